//go:build unix

package lambda

import "syscall"

// read reads from a non-blocking pipe. It returns EAGAIN if the pipe is empty, and 0 bytes without an error once all
// writers have closed it.
func read(fd int, buffer []byte) (int, error) { return syscall.Read(fd, buffer) }
