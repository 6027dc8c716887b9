//go:build unix

package bench

import "syscall"

// freeze stops a process while during runs.
func freeze(pid int, during func()) error {
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return err
	}
	during()
	return syscall.Kill(pid, syscall.SIGCONT)
}
