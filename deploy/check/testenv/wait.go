package testenv

import (
	"context"
	"testing"
	"time"
)

// grace is how long before the go command ends a test the test gives up, so that it can say what it waits for.
const grace = 10 * time.Second

// WithDeadline returns a copy of parent that ends shortly before the deadline of go test -timeout.
func WithDeadline(parent context.Context, tb testing.TB) (context.Context, context.CancelFunc) {
	tb.Helper()
	end, ok := deadline(tb)
	if !ok {
		return context.WithCancel(parent)
	}
	return context.WithDeadline(parent, end)
}

// Eventually polls until condition holds. It fails the test shortly before the deadline of go test -timeout, and has no other
// limit: how long something takes depends on the machine.
func Eventually(tb testing.TB, what string, condition func() bool) {
	tb.Helper()
	end, ok := deadline(tb)
	for start := time.Now(); !condition(); {
		if ok && time.Now().After(end) {
			tb.Fatalf("after %v: still waiting for %s", time.Since(start).Round(time.Second), what)
		}
		// Often at first, then at a tenth of the time that it has taken.
		time.Sleep(min(max(time.Since(start)/10, time.Millisecond), 50*time.Millisecond))
	}
}

// deadline returns when a test gives up. Without -timeout, and in benchmarks, there is none.
func deadline(tb testing.TB) (end time.Time, ok bool) {
	tb.Helper()
	limited, ok := tb.(interface{ Deadline() (time.Time, bool) })
	if !ok {
		return time.Time{}, false
	}
	if end, ok = limited.Deadline(); ok {
		end = end.Add(-min(grace, time.Until(end)/10))
	}
	return end, ok
}
