package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// Groups reports whether the operating system has process groups. The local stack relies on them.
const Groups = false

// setGroup keeps the console's Ctrl-C from the child.
func setGroup(attr *syscall.SysProcAttr) { attr.CreationFlags |= syscall.CREATE_NEW_PROCESS_GROUP }

// signalGroup kills the child, whatever the signal: Windows has no other. The child's own children are not reached.
func signalGroup(cmd *exec.Cmd, _ syscall.Signal) error {
	if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill process %d: %w", cmd.Process.Pid, err)
	}
	return nil
}

// Background does nothing: the local stack, its only user, does not run on Windows.
func (*Process) Background() {}
