//go:build unix

package lambda

import "syscall"

// read reads from a non-blocking pipe. The error is EAGAIN if there is nothing to read.
func read(fd int, buffer []byte) (int, error) { return syscall.Read(fd, buffer) }
