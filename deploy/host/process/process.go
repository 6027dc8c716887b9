// Package process runs child processes that do not outlive this process.
//
// Each child leads its own process group. Ctrl-C in a terminal therefore reaches only this process, which then stops
// its children in order. A signal sent to a child also reaches the child's own children. Windows has no process groups:
// see [Groups].
package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Process is a started child.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
	mu   sync.Mutex // guards gone, so that no signal is sent to a process id that was reaped
	gone bool       // reaped
	err  error
}

// Start starts cmd as the leader of a new process group. On Linux, the kernel kills the child if this process dies
// without stopping it.
func Start(cmd *exec.Cmd) (*Process, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	setGroup(cmd.SysProcAttr)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	p := &Process{cmd: cmd, done: make(chan struct{})}
	go p.wait()
	return p, nil
}

func (p *Process) wait() {
	err := p.cmd.Wait()
	// Kill the children that the process left behind. The id of a group is not reused while it has members.
	_ = signalGroup(p.cmd, syscall.SIGKILL)
	p.mu.Lock()
	p.gone, p.err = true, err
	p.mu.Unlock()
	close(p.done)
}

// Pid returns the process ID, which is also the ID of the process group.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done returns a channel that is closed when the process has ended, its output was read and its remaining children were
// killed.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait waits until the process has ended and returns what [exec.Cmd.Wait] returned.
func (p *Process) Wait() error {
	<-p.done
	return p.err
}

// State returns how the process ended; nil while it runs.
func (p *Process) State() *os.ProcessState {
	select {
	case <-p.done:
		return p.cmd.ProcessState
	default:
		return nil
	}
}

// Signal sends sig to the process group. A process that has ended is not an error.
func (p *Process) Signal(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return nil
	}
	return signalGroup(p.cmd, sig)
}

// Stop asks the process to end with SIGTERM, kills its group after grace, and returns when it has ended.
func (p *Process) Stop(grace time.Duration) error { return p.stop(syscall.SIGTERM, grace) }

func (p *Process) stop(sig syscall.Signal, grace time.Duration) error {
	err := p.Signal(sig)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
		return err
	case <-timer.C:
	}
	return errors.Join(err, p.Kill())
}

// Kill ends the process group at once with SIGKILL and returns when the process has ended.
func (p *Process) Kill() error {
	err := p.Signal(syscall.SIGKILL)
	<-p.done
	return err
}
