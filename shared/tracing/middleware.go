package tracing

import (
	"context"
	"errors"

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
// retries; the flags are those of the last attempt, so a call that succeeds at last is no fault.
//
// The SDK's own instrumentation (awsv2) knows neither table nor retries, and flags a call by any attempt that failed.
func Middleware(table string) func(*middleware.Stack) error {
	subsegment := middleware.InitializeMiddlewareFunc("XRaySubsegment", func(
		ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler,
	) (middleware.InitializeOutput, middleware.Metadata, error) {
		ctx, span := Start(ctx, awsmiddleware.GetServiceID(ctx))
		if span == nil {
			return next.HandleInitialize(ctx, in)
		}
		defer span.End()
		span.describeCall(ctx, table)
		out, metadata, err := next.HandleInitialize(ctx, in)
		span.describeResult(metadata, err)
		return out, metadata, err
	})
	return func(stack *middleware.Stack) error {
		return stack.Initialize.Add(subsegment, middleware.After)
	}
}

func (s *Span) describeCall(ctx context.Context, table string) {
	s.segment.Lock()
	defer s.segment.Unlock()
	s.segment.Namespace = "aws"
	block := s.segment.GetAWS()
	block["operation"] = awsmiddleware.GetOperationName(ctx)
	block["region"] = awsmiddleware.GetRegion(ctx)
	block["table_name"] = table
	block["resource_names"] = []string{table}
}

func (s *Span) describeResult(metadata middleware.Metadata, err error) {
	status := s.describeResponse(metadata)
	if err == nil {
		return
	}
	kind := KindOf(status)
	throttles := retry.ThrottleErrorCode{Codes: retry.DefaultThrottleErrorCodes}
	switch {
	case throttles.IsErrorThrottle(err) == aws.TrueTernary:
		// DynamoDB throttles with a 400.
		kind = Throttle
	case kind == None:
		// No answer, or one that cannot be read.
		kind = Fault
	}
	s.fail(kind, errorCode(err), status != 0)
}

// describeResponse writes what the last attempt got, and returns its HTTP status, 0 if there was no response.
func (s *Span) describeResponse(metadata middleware.Metadata) int {
	s.segment.Lock()
	defer s.segment.Unlock()
	block := s.segment.GetAWS()
	if attempts, ok := retry.GetAttemptResults(metadata); ok {
		block["retries"] = len(attempts.Results) - 1
	}
	if id, ok := awsmiddleware.GetRequestIDMetadata(metadata); ok {
		block[xray.RequestIDKey] = id
	}
	response, ok := awsmiddleware.GetRawResponse(metadata).(*smithyhttp.Response)
	if !ok || response.StatusCode == 0 {
		// Where nothing was received, the SDK puts an empty response.
		return 0
	}
	s.segment.GetHTTP().GetResponse().Status = response.StatusCode
	s.segment.GetHTTP().GetResponse().ContentLength = int(max(response.ContentLength, 0))
	return response.StatusCode
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
