// Package process runs child processes so that none of them outlives this one.
//
// Each child leads a process group of its own: a terminal's Ctrl-C reaches only this process, which then stops its children
// in order, and a signal sent to a child reaches the child's own children too.
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
	gone bool
	err  error
}

// Start starts cmd as the leader of a new process group. Where the platform can (Linux), the kernel kills the child when
// this process dies without having stopped it.
func Start(cmd *exec.Cmd) (*Process, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	dieWithParent(cmd.SysProcAttr)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	p := &Process{cmd: cmd, done: make(chan struct{})}
	go p.wait()
	return p, nil
}

func (p *Process) wait() {
	err := p.cmd.Wait()
	// The children that it leaves behind must not outlive it. While there are any, the id of their group is not given away.
	_ = syscall.Kill(-p.Pid(), syscall.SIGKILL)
	p.mu.Lock()
	p.gone, p.err = true, err
	p.mu.Unlock()
	close(p.done)
}

// Pid returns the process id, which is the id of the process group too.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended and its output was read. Children that it left behind were killed.
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
	if err := syscall.Kill(-p.Pid(), sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal process group %d: %w", p.Pid(), err)
	}
	return nil
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
