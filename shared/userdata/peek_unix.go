//go:build unix

package userdata

import "syscall"

// peek reads from the socket without blocking or consuming data. It returns EAGAIN if there is nothing to read, and nil
// if there is data or the peer has closed the connection.
func peek(fd uintptr) error {
	_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	return err
}
