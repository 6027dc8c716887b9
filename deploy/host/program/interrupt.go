package program

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// ErrStopped is the cause of a context that ended because the user stopped the program.
var ErrStopped = errors.New("stopped")

// poll is the interval between checks of the parent process.
const poll = 200 * time.Millisecond

// Context returns a context that ends with SIGINT, SIGTERM or SIGHUP, or when the parent process ends, so that the
// program can clean up. Later signals have no effect until stop is called.
func Context() (ctx context.Context, stop func()) {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // nohup ignores it
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	signaled, release := signal.NotifyContext(ctx, signals...)
	parent := os.Getppid()
	go func() {
		defer cancel(ErrStopped)
		// A signal that ends mage does not reach this process: only its parent process ID changes.
		for os.Getppid() == parent {
			select {
			case <-signaled.Done():
				return
			case <-time.After(poll):
			}
		}
	}()
	return ctx, func() {
		cancel(context.Canceled)
		release()
	}
}
