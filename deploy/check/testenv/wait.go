package testenv

import (
	"context"
	"testing"
	"time"
)

// grace is the time between the failure of a test and the timeout of go test, so that the test can report its failure.
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

// Eventually polls until condition returns true. It fails the test shortly before the deadline of go test -timeout
// and has no other limit, because durations depend on the machine.
func Eventually(tb testing.TB, what string, condition func() bool) {
	tb.Helper()
	end, ok := deadline(tb)
	for start := time.Now(); !condition(); {
		if ok && time.Now().After(end) {
			tb.Fatalf("after %v: still waiting for %s", time.Since(start).Round(time.Second), what)
		}
		// The interval is a tenth of the elapsed time, from 1 ms to 50 ms.
		time.Sleep(min(max(time.Since(start)/10, time.Millisecond), 50*time.Millisecond))
	}
}

// deadline returns the time at which a test fails. ok is false without -timeout and in benchmarks.
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
