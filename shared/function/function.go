// Package function is what all functions have in common: [Start] reads the settings, makes the logger, the tracer and the
// store, and then answers requests with the function's own handler, whose errors become problem documents.
package function

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/userrequestapi/userdata/shared/logging"
	"github.com/userrequestapi/userdata/shared/metrics"
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
	current  atomic.Pointer[zap.Logger]
}

// New returns a function that answers with handler, from users.
func New(handler Handler, users user.Store, settings Settings, logger *zap.Logger) *Function {
	f := &Function{
		handler:  handler,
		api:      API{Users: users, RequireIfMatch: settings.RequireIfMatch},
		settings: settings,
		logger:   logger,
	}
	f.current.Store(logger)
	return f
}

// reserve is kept of the time that Lambda gives, to answer and to log after the handler has run out of it. A handler that has
// not noticed by the half of it is overdue.
const reserve = 500 * time.Millisecond

// Handle answers one event. It always returns an answer and never an error: a failure of the handler, a panic included, is a
// problem document for the client and an error in the log. What there is to tell of a handler that does not return in time is
// told while there is time.
func (f *Function) Handle(ctx context.Context, event events.APIGatewayProxyRequest) (response.Response, error) {
	i := &invocation{function: f, request: request.New(&event), start: time.Now(), coldStart: !f.warm.Swap(true)}
	i.logger = f.logger.With(
		zap.String("requestId", i.request.ID()),
		zap.String("xrayTraceId", tracing.ID(ctx)),
		lambdaRequestID(ctx),
	)
	f.current.Store(i.logger)
	defer f.current.Store(f.logger)
	ctx = logging.With(ctx, i.logger)
	ctx, i.usage = userdata.WithUsage(ctx)
	ctx, i.span = tracing.Start(ctx, i.request.Operation())
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-reserve))
		defer cancel()
		overdue := time.AfterFunc(time.Until(deadline.Add(-reserve/2)), func() {
			i.finish(response.Response{}, problem.From(fmt.Errorf("handler is overdue: %w", context.DeadlineExceeded)), "")
		})
		defer overdue.Stop()
	}
	answer, failure := f.answer(ctx, i.request)
	return i.finish(answer, failure, i.request.Subject()), nil
}

// currentLogger returns the logger of the request that is being answered, else the function's own. Lambda gives an environment
// one request at a time.
func (f *Function) currentLogger() *zap.Logger { return f.current.Load() }

// invocation is the answering of one request.
type invocation struct {
	function  *Function
	request   *request.Request
	start     time.Time
	coldStart bool
	logger    *zap.Logger
	usage     *userdata.Usage
	span      *tracing.Span

	finished sync.Once
	answer   response.Response
}

// finish tells the log and the trace how the request ends, and returns the answer. Only the first call counts: the others, also
// those at the same time, return its answer.
func (i *invocation) finish(answer response.Response, failure *problem.Problem, subject string) response.Response {
	i.finished.Do(func() {
		if failure != nil {
			if failure.Code == problem.InternalError && i.request.IsWrite() {
				failure.Detail = user.UnknownOutcome
			}
			failure.Instance, failure.RequestID = i.request.Path(), i.request.ID()
			answer = response.Problem(failure)
		}
		// The body of an answer to HEAD stays: the gateway does not send it, but tells its length (RFC 9110 §8.6).
		maps.Copy(answer.Headers, i.function.crossOrigin())
		i.trace(answer.StatusCode, failure)
		i.log(answer.StatusCode, failure, subject)
		i.answer = answer
	})
	return i.answer
}

func (i *invocation) trace(status int, failure *problem.Problem) {
	i.span.Annotate("Service", i.function.settings.Service)
	i.span.Annotate("Stage", i.function.settings.Stage)
	i.span.Annotate("Version", i.function.settings.Log.Version)
	i.span.Annotate("Operation", i.request.Operation())
	i.span.Annotate("Outcome", outcome(status))
	i.span.Annotate("ColdStart", i.coldStart)
	if failure != nil {
		i.span.Annotate("ErrorCode", failure.Code)
		i.span.SetError(tracing.KindOf(failure.Status), string(failure.Code))
	}
	i.span.End()
}

func (i *invocation) log(status int, failure *problem.Problem, subject string) {
	end := time.Now()
	fields := []zap.Field{
		zap.Bool("coldStart", i.coldStart),
		zap.String("method", i.request.Method()),
		zap.String("route", i.request.Route()),
		zap.String("operation", i.request.Operation()),
		zap.Int("status", status),
		zap.String("outcome", outcome(status)),
		zap.Duration("durationMs", end.Sub(i.start)),
		zap.Duration("storeMs", i.usage.Duration()),
		zap.Int("retries", i.usage.Retries()),
		logging.UserID(subject),
	}
	if failure != nil {
		fields = append(fields, zap.String("errorCode", string(failure.Code)))
		if status >= http.StatusInternalServerError {
			fields = append(fields, zap.NamedError("error", failure))
		}
	}
	fields = append(fields, i.metrics(end, status)...)
	i.logger.Log(level(status), "request", fields...)
}

// metrics are the line's custom metrics: the outcome by operation, and the cold start as Powertools for AWS Lambda has it.
func (i *invocation) metrics(at time.Time, status int) []zap.Field {
	namespace := i.function.settings.MetricsNamespace
	if namespace == "" {
		return nil
	}
	requests := metrics.Counter{Namespace: namespace, Name: outcome(status), Dimensions: []string{"service", "operation"}}
	if !i.coldStart {
		return metrics.Fields(at, requests)
	}
	coldStart := metrics.Counter{Namespace: namespace, Name: "ColdStart", Dimensions: []string{"service", "function_name"}}
	return append(metrics.Fields(at, requests, coldStart), zap.String("function_name", i.function.settings.Log.Function))
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
	if err := req.CheckQuery(); err != nil {
		return answer, problem.From(err)
	}
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

// crossOrigin returns the headers that let pages of another origin read a response (the Fetch standard, "HTTP
// extensions").
func (f *Function) crossOrigin() map[string]string {
	if f.settings.AllowOrigin == "" {
		return nil
	}
	return map[string]string{
		"Access-Control-Allow-Origin": f.settings.AllowOrigin,
		// The one value that the API document allows; tests hold all responses to it.
		"Access-Control-Expose-Headers": "Accept-Encoding, Allow, Content-Location, Date, ETag, Idempotent-Replayed, Link, " +
			"Location, Retry-After, x-amz-apigw-id, x-amzn-ErrorType, x-amzn-RequestId, X-Amzn-Trace-Id",
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
