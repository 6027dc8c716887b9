package interrupt_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/userrequestapi/userdata/deploy/interrupt"
)

const role = "INTERRUPT_TEST_ROLE"

func TestMain(m *testing.M) {
	if os.Getenv(role) == "target" {
		target()
		return
	}
	os.Exit(m.Run())
}

// target is a program that, as mage does, listens for signals from after its target has started, and ends at once at the second.
func target() {
	ctx, stop := interrupt.Context(context.Background())
	mage := make(chan os.Signal, 2)
	signal.Notify(mage, os.Interrupt)
	go func() {
		<-mage
		<-mage
		os.Exit(7)
	}()
	defer stop()
	fmt.Println("started")
	<-ctx.Done()
	fmt.Println(errors.Is(context.Cause(ctx), interrupt.ErrStopped))
	var line string
	_, _ = fmt.Scanln(&line) // until the test has interrupted it again
	fmt.Println("ended")
}

func TestContext(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), role+"=target")
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			want := func(line string) {
				t.Helper()
				if !lines.Scan() || lines.Text() != line {
					t.Fatalf("got %q, want %q", lines.Text(), line)
				}
			}
			want("started")
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			want("true")
			for range 3 {
				if err := cmd.Process.Signal(sig); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := in.Write([]byte("\n")); err != nil {
				t.Fatal(err)
			}
			want("ended")
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestContext_Stop(t *testing.T) {
	t.Parallel()
	parent, cancel := context.WithCancel(t.Context())
	ctx, stop := interrupt.Context(parent)
	cancel()
	select {
	case <-ctx.Done():
		t.Error("the context ended with its parent")
	case <-time.After(time.Millisecond):
	}
	stop()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cause = %v", err)
	}
}
