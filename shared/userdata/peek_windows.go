package userdata

import "syscall"

// peek returns EAGAIN: Windows cannot peek without blocking, and Lambda does not run on Windows.
func peek(uintptr) error { return syscall.EAGAIN }
