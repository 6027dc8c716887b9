// Package interrupt lets programs stop what they have started before they end.
package interrupt

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// ErrStopped is the cause of a context that the user has ended.
var ErrStopped = errors.New("stopped")

// poll is the interval at which the parent process is looked up.
const poll = 200 * time.Millisecond

// Context returns a context that ends when the user asks for it: by Ctrl-C, by closing the terminal, or by ending the program that
// has started this one. Later signals have no effect until stop is called.
func Context() (ctx context.Context, stop func()) {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	received := make(chan os.Signal, 1)
	signal.Notify(received, signals...)
	done := make(chan struct{})
	go func() {
		defer signal.Stop(received)
		// mage does not pass on a signal that ends it: all that shows is that this process has another parent.
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
