package userdata

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/aws/smithy-go/middleware"
)

// Usage is what a request has asked of DynamoDB. It is safe for concurrent use.
type Usage struct {
	calls, attempts atomic.Int64
	duration        atomic.Int64 // nanoseconds
}

// Duration is the time spent in calls, pauses between their attempts included.
func (u *Usage) Duration() time.Duration { return time.Duration(u.duration.Load()) }

// Retries is how often calls were sent again, be it by the SDK or, on a connection that had died, by net/http.
func (u *Usage) Retries() int { return int(max(u.attempts.Load()-u.calls.Load(), 0)) }

type usageKey struct{}

// WithUsage returns a context whose calls to DynamoDB are added up in the returned usage.
func WithUsage(ctx context.Context) (context.Context, *Usage) {
	usage := new(Usage)
	return context.WithValue(ctx, usageKey{}, usage), usage
}

// usageOf returns the usage that the context's calls are added up in; without one, a usage that nobody reads.
func usageOf(ctx context.Context) *Usage {
	if usage, ok := ctx.Value(usageKey{}).(*Usage); ok {
		return usage
	}
	return new(Usage)
}

// measure adds each call to its context's usage.
func measure(stack *middleware.Stack) error {
	return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("MeasureUsage", func(
		ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler,
	) (middleware.InitializeOutput, middleware.Metadata, error) {
		usage := usageOf(ctx)
		start := time.Now()
		out, metadata, err := next.HandleInitialize(ctx, in)
		usage.calls.Add(1)
		usage.duration.Add(int64(time.Since(start)))
		return out, metadata, err
	}), middleware.Before)
}
