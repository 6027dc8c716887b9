// Package function is what all functions have in common: [Start] reads the settings, makes the logger, the tracer and the
// store, and then answers requests with the function's own handler, whose errors become problem documents.
package function

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/userrequestapi/userdata/shared/logging"
	"github.com/userrequestapi/userdata/shared/problem"
	"github.com/userrequestapi/userdata/shared/request"
	"github.com/userrequestapi/userdata/shared/response"
	"github.com/userrequestapi/userdata/shared/tracing"
	"github.com/userrequestapi/userdata/shared/user"
	"github.com/userrequestapi/userdata/shared/userdata"
)

// Handler answers one request. An error is told to the client by [problem.From].
type Handler func(ctx context.Context, api API, req *request.Request) (response.Response, error)

// API is what a handler works with.
type API struct {
	Users          user.Store
	RequireIfMatch bool
}

// Function answers API Gateway's requests with a handler.
type Function struct {
	handler  Handler
	api      API
	settings Settings
	logger   *zap.Logger
	warm     atomic.Bool // whether a request came before
}

// New returns a function that answers with handler, from users.
func New(handler Handler, users user.Store, settings Settings, logger *zap.Logger) *Function {
	return &Function{
		handler:  handler,
		api:      API{Users: users, RequireIfMatch: settings.RequireIfMatch},
		settings: settings,
		logger:   logger,
	}
}

// reserve is kept of the time that Lambda gives, to answer and to log after the handler has run out of it.
const reserve = 500 * time.Millisecond

// Handle answers one event. It always returns an answer and never an error: a failure of the handler, a panic included, is a
// problem document for the client and an error in the log.
func (f *Function) Handle(ctx context.Context, event events.APIGatewayProxyRequest) (response.Response, error) {
	start := time.Now()
	coldStart := !f.warm.Swap(true)
	req := request.New(&event)
	logger := f.logger.With(
		zap.String("requestId", req.ID()),
		zap.String("xrayTraceId", tracing.ID(ctx)),
		lambdaRequestID(ctx),
	)
	ctx = logging.With(ctx, logger)
	ctx, usage := userdata.WithUsage(ctx)
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-reserve))
		defer cancel()
	}
	ctx, span := tracing.Start(ctx, req.Operation())
	defer span.End()

	answer, failure := f.answer(ctx, req)
	if failure != nil {
		failure.Instance, failure.RequestID = req.Path(), req.ID()
		answer = response.Problem(failure)
	}
	// The body of an answer to HEAD stays: the gateway does not send it, but tells its length (RFC 9110 §8.6).
	maps.Copy(answer.Headers, f.crossOrigin())

	result := outcome(answer.StatusCode)
	span.Annotate("Service", f.settings.Service)
	span.Annotate("Stage", f.settings.Stage)
	span.Annotate("Version", f.settings.Log.Version)
	span.Annotate("Operation", req.Operation())
	span.Annotate("Outcome", result)
	span.Annotate("ColdStart", coldStart)
	fields := []zap.Field{
		zap.Bool("coldStart", coldStart),
		zap.String("method", req.Method()),
		zap.String("route", req.Route()),
		zap.String("operation", req.Operation()),
		zap.Int("status", answer.StatusCode),
		zap.String("outcome", result),
		zap.Duration("durationMs", time.Since(start)),
		zap.Duration("storeMs", usage.Duration()),
		zap.Int("retries", usage.Retries()),
		logging.UserID(req.Subject()),
	}
	if failure != nil {
		span.Annotate("ErrorCode", failure.Code)
		span.SetError(tracing.KindOf(failure.Status), string(failure.Code))
		fields = append(fields, zap.String("errorCode", string(failure.Code)))
		if answer.StatusCode >= http.StatusInternalServerError {
			fields = append(fields, zap.NamedError("error", failure))
		}
	}
	logger.Log(level(answer.StatusCode), "request", fields...)
	return answer, nil
}

// lambdaRequestID is the id in Lambda's own lines, which is not API Gateway's.
func lambdaRequestID(ctx context.Context) zap.Field {
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		return zap.String("lambdaRequestId", lc.AwsRequestID)
	}
	return zap.Skip()
}

// answer runs the handler. What went wrong, a panic included, is returned as a problem.
func (f *Function) answer(ctx context.Context, req *request.Request) (answer response.Response, failure *problem.Problem) {
	defer func() {
		if v := recover(); v != nil {
			cause := panicError(v)
			logging.From(ctx).Error("panic", zap.Error(cause), zap.StackSkip("stack", 1))
			failure = problem.From(cause)
		}
	}()
	answer, err := f.handler(ctx, f.api, req)
	if err != nil {
		return answer, problem.From(err)
	}
	return answer, nil
}

// panicError tells what v says only where the Go runtime has said it: any other value can hold what the client sent.
func panicError(v any) error {
	if err, ok := v.(runtime.Error); ok {
		return fmt.Errorf("panic: %w", err)
	}
	return fmt.Errorf("panic: %T", v)
}

// crossOrigin are the headers that let pages of another origin read an answer (the Fetch standard, "HTTP extensions").
func (f *Function) crossOrigin() map[string]string {
	if f.settings.AllowOrigin == "" {
		return nil
	}
	return map[string]string{
		"Access-Control-Allow-Origin":   f.settings.AllowOrigin,
		"Access-Control-Expose-Headers": "ETag, Location, Content-Location, Link, Retry-After, Idempotent-Replayed, x-amzn-RequestId",
	}
}

func outcome(status int) string {
	switch {
	case status >= http.StatusInternalServerError:
		return "Fault"
	case status >= http.StatusBadRequest:
		return "Error"
	default:
		return "Success"
	}
}

func level(status int) zapcore.Level {
	if status >= http.StatusInternalServerError {
		return zapcore.ErrorLevel
	}
	return zapcore.InfoLevel
}
