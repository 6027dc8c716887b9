package userdata

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/aws/smithy-go/middleware"
)

// Usage counts a request's calls to DynamoDB. It is safe for concurrent use.
type Usage struct {
	calls, attempts atomic.Int64
	duration        atomic.Int64 // nanoseconds
}

// Duration returns the time spent in calls, including the delays between attempts.
func (u *Usage) Duration() time.Duration { return time.Duration(u.duration.Load()) }

// Retries returns the number of retries, by the SDK or, after a broken connection, by net/http.
func (u *Usage) Retries() int { return int(max(u.attempts.Load()-u.calls.Load(), 0)) }

type usageKey struct{}

// WithUsage returns a context whose calls to DynamoDB are counted in the returned usage.
func WithUsage(ctx context.Context) (context.Context, *Usage) {
	usage := new(Usage)
	return context.WithValue(ctx, usageKey{}, usage), usage
}

// usageOf returns the usage of ctx, or a new one if ctx has none.
func usageOf(ctx context.Context) *Usage {
	if usage, ok := ctx.Value(usageKey{}).(*Usage); ok {
		return usage
	}
	return new(Usage)
}

// recordUsage adds middleware that counts each call in the usage of its context.
func recordUsage(stack *middleware.Stack) error {
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
