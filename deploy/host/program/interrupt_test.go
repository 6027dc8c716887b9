package program_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/userrequestapi/userdata/deploy/host/program"
)

const role = "PROGRAM_TEST_ROLE"

// waiting waits until it is interrupted, and then reads a line before it ends.
func waiting() {
	ctx, stop := program.Context()
	defer stop()
	fmt.Println("started")
	<-ctx.Done()
	fmt.Println(errors.Is(context.Cause(ctx), program.ErrStopped))
	var line string
	_, _ = fmt.Scanln(&line) // the test sends more signals first
	fmt.Println("ended")
}

// parent starts waiting with its own stdin and stdout, and does not forward signals.
func parent() {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), role+"=waiting")
	cmd.Stdin, cmd.Stdout = os.Stdin, os.Stdout
	_ = cmd.Run()
}

func TestContext(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			p := start(t, "waiting")
			p.want(t, "started")
			if err := p.cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			p.want(t, "true")
			for range 3 {
				if err := p.cmd.Process.Signal(sig); err != nil {
					t.Fatal(err)
				}
			}
			p.end(t)
			if err := p.cmd.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestContext_ParentEnds(t *testing.T) {
	t.Parallel()
	p := start(t, "parent")
	p.want(t, "started")
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.want(t, "true")
	p.end(t)
	if err := p.cmd.Wait(); err == nil {
		t.Error("Wait: error = nil, want that of a killed parent")
	}
}

func TestContext_Stop(t *testing.T) {
	t.Parallel()
	ctx, stop := program.Context()
	if err := ctx.Err(); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cause = %v, want %v", err, context.Canceled)
	}
}

// started is a child process with its stdin and stdout connected to the test.
type started struct {
	cmd   *exec.Cmd
	in    *os.File
	lines *bufio.Scanner
}

func start(t *testing.T, as string) started {
	t.Helper()
	inRead, inWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = inWrite.Close(), outRead.Close() })
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), role+"="+as)
	cmd.Stdin, cmd.Stdout = inRead, outWrite
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = inRead.Close(), outWrite.Close() // the child has copies
	return started{cmd, inWrite, bufio.NewScanner(outRead)}
}

func (s started) want(t *testing.T, line string) {
	t.Helper()
	if !s.lines.Scan() || s.lines.Text() != line {
		t.Fatalf("got %q, want %q", s.lines.Text(), line)
	}
}

// end sends the line that waiting waits for.
func (s started) end(t *testing.T) {
	t.Helper()
	if _, err := s.in.WriteString("\n"); err != nil {
		t.Fatal(err)
	}
	s.want(t, "ended")
}
