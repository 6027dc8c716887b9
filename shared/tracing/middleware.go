package tracing

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-xray-sdk-go/xray"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Middleware is an API option for a DynamoDB client or one of its calls (dynamodb.WithAPIOptions). It creates a
// subsegment for each call, which X-Ray shows as the table, with the Region, operation, request id, status code and
// number of retries. The result is that of the last attempt. If the call was retried, each attempt is a child named
// attempt, with its own times and result.
//
// The SDK's own instrumentation (awsv2) records neither the table nor attempts, and marks a call as failed if any
// attempt failed.
func Middleware(stack *middleware.Stack) error {
	c := &call{} // each call has its own stack
	subsegment := middleware.InitializeMiddlewareFunc("XRaySubsegment", c.trace)
	if err := stack.Initialize.Add(subsegment, middleware.After); err != nil {
		return fmt.Errorf("trace calls: %w", err)
	}
	attempt := middleware.FinalizeMiddlewareFunc("XRayAttempt", c.record)
	if err := stack.Finalize.Insert(attempt, (*retry.Attempt)(nil).ID(), middleware.After); err != nil {
		return fmt.Errorf("trace attempts: %w", err)
	}
	return nil
}

// call is one call of an operation. Its attempts are sequential.
type call struct {
	span     *Span
	attempts []attempt
}

type attempt struct {
	start, end time.Time
	result     result
}

// trace creates the subsegments of the call.
func (c *call) trace(
	ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler,
) (middleware.InitializeOutput, middleware.Metadata, error) {
	ctx, c.span = Start(ctx, awsmiddleware.GetServiceID(ctx))
	if c.span == nil {
		return next.HandleInitialize(ctx, in)
	}
	defer c.span.End()
	c.describe(ctx, tableOf(in.Parameters))
	out, metadata, err := next.HandleInitialize(ctx, in)
	if len(c.attempts) > 1 {
		for _, a := range c.attempts {
			a.add(ctx)
		}
	}
	c.span.setResult(resultOf(metadata, err), map[string]any{"retries": max(len(c.attempts)-1, 0)})
	return out, metadata, err
}

// record records an attempt. trace creates the subsegments of attempts, because most calls have one attempt and need
// none.
func (c *call) record(
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

// tableOf returns the TableName in the input of an operation, or "" if the operation has several tables.
func tableOf(input any) string {
	name := reflect.Indirect(reflect.ValueOf(input)).FieldByName("TableName")
	if name = reflect.Indirect(name); name.Kind() != reflect.String {
		return ""
	}
	return name.String()
}

func (c *call) describe(ctx context.Context, table string) {
	segment := c.span.segment
	segment.Lock()
	defer segment.Unlock()
	segment.Namespace = "aws"
	block := segment.GetAWS()
	block["operation"] = awsmiddleware.GetOperationName(ctx)
	block["region"] = awsmiddleware.GetRegion(ctx)
	if table != "" {
		block["table_name"] = table
		block["resource_names"] = []string{table}
	}
}

// add creates the subsegment of a completed attempt, as a child of the call's span in ctx.
func (a attempt) add(ctx context.Context) {
	_, span := Start(ctx, "attempt")
	if span == nil { // the call's span has ended
		return
	}
	span.setResult(a.result, nil)
	span.End()
	span.segment.Lock()
	defer span.segment.Unlock()
	span.segment.StartTime, span.segment.EndTime = seconds(a.start), seconds(a.end)
}

// seconds returns t in the time format of segment documents: seconds since 1970, with a fraction.
func seconds(t time.Time) float64 { return float64(t.UnixNano()) / float64(time.Second) }

// result is the result of a call or of an attempt.
type result struct {
	status    int // 0 without a response
	length    int64
	requestID string
	kind      Kind
	code      string // of the error; "" for success
}

func resultOf(metadata middleware.Metadata, err error) result {
	var r result
	r.requestID, _ = awsmiddleware.GetRequestIDMetadata(metadata)
	// If no response was received, the SDK sets an empty one.
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
		r.kind = Throttle // DynamoDB throttles with status code 400
	case r.kind == None:
		r.kind = Fault // no response, or one that cannot be decoded
	}
	return r
}

// setResult sets the fields of the result, and adds fields to the block aws.
func (s *Span) setResult(r result, fields map[string]any) {
	s.segment.Lock()
	if r.requestID != "" {
		s.segment.GetAWS()[xray.RequestIDKey] = r.requestID
	}
	if fields != nil {
		maps.Copy(s.segment.GetAWS(), fields)
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

// errorCode returns the service's error code, or a name for the cause of an error without one.
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
