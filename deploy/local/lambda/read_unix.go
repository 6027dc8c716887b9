//go:build unix

package lambda

import "syscall"

// read reads from a non-blocking pipe. It returns EAGAIN if the pipe is empty.
func read(fd int, buffer []byte) (int, error) { return syscall.Read(fd, buffer) }
