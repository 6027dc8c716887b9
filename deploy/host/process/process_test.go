package process_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/host/process"
)

func TestStop(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		script string
		grace  time.Duration
		want   syscall.Signal
	}{
		{"ends on SIGTERM", "echo $$; sleep 60", time.Minute, syscall.SIGTERM},
		{"is killed when it ignores SIGTERM", "trap '' TERM; echo $$; sleep 60 & echo; wait", time.Millisecond, syscall.SIGKILL},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, _ := start(t, tt.script)
			if err := p.Stop(tt.grace); err != nil {
				t.Fatal(err)
			}
			if got := p.State().Sys().(syscall.WaitStatus).Signal(); got != tt.want {
				t.Errorf("signal = %v, want %v", got, tt.want)
			}
			if err := p.Stop(tt.grace); err != nil {
				t.Errorf("second Stop: error = %v, want nil", err)
			}
		})
	}
}

func TestKill_GrandchildrenToo(t *testing.T) {
	t.Parallel()
	p, grandchild := start(t, "sleep 60 & echo $!; wait")
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	waitGone(t, grandchild)
}

func TestWait_LeavesNoGrandchildren(t *testing.T) {
	t.Parallel()
	p, grandchild := start(t, "sleep 60 & echo $!; wait")
	if err := syscall.Kill(p.Pid(), syscall.SIGKILL); err != nil { // only the child, not its group
		t.Fatal(err)
	}
	if err := p.Wait(); err == nil {
		t.Error("Wait: error = nil, want that of a killed child")
	}
	waitGone(t, grandchild)
}

// waitGone polls, because only children can be waited for. A negative pid is a process group.
func waitGone(t *testing.T, pid int) {
	t.Helper()
	testenv.Eventually(t, fmt.Sprintf("the end of process %d", pid), func() bool { return syscall.Kill(pid, 0) != nil })
}

// start runs script and returns the process and the process ID that it prints.
func start(t *testing.T, script string) (*process.Process, int) {
	t.Helper()
	cmd := exec.Command("sh", "-c", script)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p, err := process.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	return p, pid
}

func TestRun(t *testing.T) {
	t.Parallel()
	stopped := errors.New("stopped")
	tests := []struct {
		name   string
		script string
		stop   bool
		want   func(error) bool
	}{
		{"succeeds", "true", false, func(err error) bool { return err == nil }},
		{"fails", "exit 3", false, func(err error) bool {
			var exit *exec.ExitError
			return errors.As(err, &exit) && exit.ExitCode() == 3
		}},
		{"is interrupted", "echo; sleep 60", true, func(err error) bool { return errors.Is(err, stopped) }},
		{"is killed when it ignores SIGINT", "trap '' INT; echo; sleep 60 & wait; wait", true,
			func(err error) bool { return errors.Is(err, stopped) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(t.Context())
			cmd := exec.Command("sh", "-c", tt.script)
			cmd.Stdout = writerFunc(func(p []byte) (int, error) {
				if tt.stop {
					cancel(stopped)
				}
				return len(p), nil
			})
			if err := process.Run(ctx, cmd); !tt.want(err) {
				t.Errorf("error = %v, want that of a program that %s", err, tt.name)
			}
			waitGone(t, -cmd.Process.Pid)
		})
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
