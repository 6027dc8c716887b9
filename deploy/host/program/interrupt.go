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

// Context returns a context that ends with SIGINT, SIGTERM or SIGHUP, or when the parent process ends. Later signals
// have no effect until stop is called.
func Context() (ctx context.Context, stop func()) {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // nohup ignores it
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	received := make(chan os.Signal, 1)
	signal.Notify(received, signals...)
	done := make(chan struct{})
	go func() {
		defer signal.Stop(received)
		// A signal that ends mage does not reach this process: only its parent process ID changes.
		ticker := time.NewTicker(poll)
		defer ticker.Stop()
		for started := os.Getppid(); ; {
			select {
			case <-received:
				cancel(ErrStopped)
			case <-ticker.C:
				if os.Getppid() != started {
					cancel(ErrStopped)
				}
			case <-done:
				return
			}
		}
	}()
	return ctx, func() {
		close(done)
		cancel(context.Canceled)
	}
}
