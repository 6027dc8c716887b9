//go:build unix

package process

import (
	"errors"
	"fmt"
	"os/exec"
	"syscall"
)

// Groups reports whether the operating system has process groups. The local stack relies on them.
const Groups = true

// setGroup makes the child the leader of a new process group.
func setGroup(attr *syscall.SysProcAttr) {
	attr.Setpgid = true
	dieWithParent(attr)
}

// signalGroup sends sig to the process group that the child leads. A group that has ended is not an error.
func signalGroup(cmd *exec.Cmd, sig syscall.Signal) error {
	pid := cmd.Process.Pid
	if err := syscall.Kill(-pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal process group %d: %w", pid, err)
	}
	return nil
}

// lowestPriority is the highest niceness; see nice(1).
const lowestPriority = 19

// Background gives the process group the lowest scheduling priority.
func (p *Process) Background() { _ = syscall.Setpriority(syscall.PRIO_PGRP, p.Pid(), lowestPriority) }
