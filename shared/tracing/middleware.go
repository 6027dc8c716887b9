package tracing

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-xray-sdk-go/xray"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Middleware returns an API option for a DynamoDB client or one of its calls (dynamodb.WithAPIOptions) by which each call
// is a subsegment, which X-Ray shows as the table. It tells region, operation, request id, status and the number of
// retries; the flags are those of the last attempt, so a call that succeeds at last is no fault. A call that was retried has
// each attempt as a subsegment below it, named attempt, with its own time, status and flags.
//
// The SDK's own instrumentation (awsv2) knows neither table nor attempts, and flags a call by any attempt that failed.
func Middleware(table string) func(*middleware.Stack) error {
	return func(stack *middleware.Stack) error {
		c := &call{table: table} // there is a stack for each call
		if err := stack.Initialize.Add(middleware.InitializeMiddlewareFunc("XRaySubsegment", c.trace), middleware.After); err != nil {
			return fmt.Errorf("trace calls: %w", err)
		}
		attempt := middleware.FinalizeMiddlewareFunc("XRayAttempt", c.try)
		if err := stack.Finalize.Insert(attempt, (*retry.Attempt)(nil).ID(), middleware.After); err != nil {
			return fmt.Errorf("trace attempts: %w", err)
		}
		return nil
	}
}

// call is one call of an operation. Its attempts follow one another.
type call struct {
	table    string
	span     *Span
	attempts []attempt
}

type attempt struct {
	start, end time.Time
	result     result
}

// trace is around the whole call.
func (c *call) trace(
	ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler,
) (middleware.InitializeOutput, middleware.Metadata, error) {
	ctx, c.span = Start(ctx, awsmiddleware.GetServiceID(ctx))
	if c.span == nil {
		return next.HandleInitialize(ctx, in)
	}
	defer c.span.End()
	c.describe(ctx)
	out, metadata, err := next.HandleInitialize(ctx, in)
	if len(c.attempts) > 1 {
		for _, a := range c.attempts {
			a.add(ctx)
		}
	}
	c.span.describe(resultOf(metadata, err), map[string]any{"retries": max(len(c.attempts)-1, 0)})
	return out, metadata, err
}

// try is around each attempt. It makes no subsegment yet: most calls have one attempt, which is the call.
func (c *call) try(
	ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler,
) (middleware.FinalizeOutput, middleware.Metadata, error) {
	if c.span == nil {
		return next.HandleFinalize(ctx, in)
	}
	start := time.Now()
	out, metadata, err := next.HandleFinalize(ctx, in)
	c.attempts = append(c.attempts, attempt{start, time.Now(), resultOf(metadata, err)})
	return out, metadata, err
}

func (c *call) describe(ctx context.Context) {
	segment := c.span.segment
	segment.Lock()
	defer segment.Unlock()
	segment.Namespace = "aws"
	block := segment.GetAWS()
	block["operation"] = awsmiddleware.GetOperationName(ctx)
	block["region"] = awsmiddleware.GetRegion(ctx)
	block["table_name"] = c.table
	block["resource_names"] = []string{c.table}
}

// add makes a subsegment of an attempt that is over, below the call that ctx carries and that is not.
func (a attempt) add(ctx context.Context) {
	_, span := Start(ctx, "attempt")
	if span == nil { // the call's time is over
		return
	}
	span.describe(a.result, nil)
	span.End()
	span.segment.Lock()
	defer span.segment.Unlock()
	span.segment.StartTime, span.segment.EndTime = seconds(a.start), seconds(a.end)
}

// seconds is how X-Ray has times: since 1970.
func seconds(t time.Time) float64 { return float64(t.UnixNano()) / float64(time.Second) }

// result is what came of a call or of one of its attempts.
type result struct {
	status    int // 0: no answer
	length    int64
	requestID string
	kind      Kind
	code      string // of the error, "" without one
}

func resultOf(metadata middleware.Metadata, err error) result {
	var r result
	r.requestID, _ = awsmiddleware.GetRequestIDMetadata(metadata)
	// Where nothing was received, the SDK puts an empty response.
	if response, ok := awsmiddleware.GetRawResponse(metadata).(*smithyhttp.Response); ok && response.Response != nil {
		r.status, r.length = response.StatusCode, max(response.ContentLength, 0)
	}
	if err == nil {
		return r
	}
	r.kind, r.code = KindOf(r.status), errorCode(err)
	throttles := retry.ThrottleErrorCode{Codes: retry.DefaultThrottleErrorCodes}
	switch {
	case throttles.IsErrorThrottle(err) == aws.TrueTernary:
		// DynamoDB throttles with a 400.
		r.kind = Throttle
	case r.kind == None:
		// No answer, or one that cannot be read.
		r.kind = Fault
	}
	return r
}

// describe writes the result, and more into the block aws.
func (s *Span) describe(r result, more map[string]any) {
	s.segment.Lock()
	if r.requestID != "" {
		s.segment.GetAWS()[xray.RequestIDKey] = r.requestID
	}
	if more != nil {
		maps.Copy(s.segment.GetAWS(), more)
	}
	if r.status != 0 {
		s.segment.GetHTTP().GetResponse().Status = r.status
		s.segment.GetHTTP().GetResponse().ContentLength = int(r.length)
	}
	s.segment.Unlock()
	if r.kind != None {
		s.fail(r.kind, r.code, r.status != 0)
	}
}

// errorCode names an error without its text: by the service's code, else by why there is none.
func errorCode(err error) string {
	var (
		service smithy.APIError
		send    *smithyhttp.RequestSendError
	)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "DeadlineExceeded"
	case errors.Is(err, context.Canceled):
		return "Canceled"
	case errors.As(err, &service):
		return service.ErrorCode()
	case errors.As(err, &send):
		return "RequestSendError"
	}
	return "ClientError"
}
