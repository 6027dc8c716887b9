package testenv_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
)

// limited is a testing.TB with a deadline. As in [testing.T], Fatalf ends the goroutine.
type limited struct {
	testing.TB

	deadline time.Time // zero if there is none
	message  string
}

func (l *limited) Helper() {}

func (l *limited) Deadline() (time.Time, bool) { return l.deadline, !l.deadline.IsZero() }

func (l *limited) Fatalf(format string, args ...any) {
	l.message = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func TestEventually(t *testing.T) {
	t.Parallel()
	const hour = time.Hour
	for _, tt := range []struct {
		name               string
		timeout, trueAfter time.Duration
		wantFailure        bool
	}{
		{"at once", hour, 0, false},
		{"within milliseconds", hour, 3 * time.Millisecond, false},
		{"before the deadline", hour, hour - 11*time.Second, false},
		{"after the deadline", hour, 2 * hour, true},
		{"within the grace period", hour, hour - time.Second, true},
		{"a short timeout", 100 * time.Millisecond, 80 * time.Millisecond, false},
		{"no timeout", 0, 2 * hour, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				l := &limited{TB: t}
				if tt.timeout > 0 {
					l.deadline = start.Add(tt.timeout)
				}
				done := make(chan time.Duration)
				go func() {
					defer func() { done <- time.Since(start) }()
					testenv.Eventually(l, "it", func() bool { return time.Since(start) >= tt.trueAfter })
				}()
				took := <-done
				if failed := l.message != ""; failed != tt.wantFailure {
					t.Errorf("failed = %t (%s), want %t", failed, l.message, tt.wantFailure)
				}
				if tt.wantFailure && took >= tt.timeout {
					t.Errorf("gave up after %v, want less than the timeout, %v", took, tt.timeout)
				}
				if late := took - tt.trueAfter; !tt.wantFailure && late > 50*time.Millisecond {
					t.Errorf("returned %v late, want at most 50 ms", late)
				}
			})
		})
	}
}

func TestWithDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ctx, cancel := testenv.WithDeadline(t.Context(), &limited{TB: t, deadline: start.Add(time.Hour)})
		defer cancel()
		<-ctx.Done()
		if took := time.Since(start); !errors.Is(ctx.Err(), context.DeadlineExceeded) || took >= time.Hour || took < 50*time.Minute {
			t.Errorf("ended after %v: %v, want shortly before the deadline", took, ctx.Err())
		}
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := testenv.WithDeadline(t.Context(), &limited{TB: t})
		defer cancel()
		if _, ok := ctx.Deadline(); ok {
			t.Error("got a deadline without a timeout, want none")
		}
	})
}
