// Package interrupt gives mage's targets the time to stop what they have started.
//
// mage by itself ends a target 5 s after the first Ctrl-C and at once after the second, whatever still runs.
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

// poll is how often it is looked whether the parent process is there.
const poll = 200 * time.Millisecond

// Context returns a context that ends when the user asks for it: by Ctrl-C, by closing the terminal, or by ending the program that
// has started this one. More of the same changes nothing. Signals go to nobody else from then on, until stop is called; the
// context that is given counts for its values alone.
func Context(parent context.Context) (ctx context.Context, stop func()) {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(parent))
	received := make(chan os.Signal, 1)
	take := func() {
		signal.Ignore(signals...) // takes them from everybody, and unlike Reset leaves no moment in which one would kill
		signal.Notify(received, signals...)
	}
	take()
	done := make(chan struct{})
	go func() {
		defer signal.Stop(received)
		// mage listens for signals from about the time on when it starts the target: what it has taken is taken again. It does
		// not pass on a signal that ends it, which only shows by this process having another parent.
		taken := false
		ticker := time.NewTicker(poll)
		defer ticker.Stop()
		for started := os.Getppid(); ; {
			select {
			case <-received:
				take()
				cancel(ErrStopped)
			case <-ticker.C:
				if !taken {
					take()
					taken = true
				}
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
