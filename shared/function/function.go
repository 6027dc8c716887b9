// Package function runs the Lambda functions of the API. [Start] reads the settings, creates the logger, the tracer
// and the store, and serves requests with a [Handler], whose errors become problem documents.
package function

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
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

// Handler serves one request. The caller receives an error as the problem document that [problem.From] returns.
type Handler func(ctx context.Context, deps Dependencies, req *request.Request) (response.Response, error)

// Dependencies holds what a handler needs besides the request.
type Dependencies struct {
	Users          user.Store // nil if the function's entry in deploy/template.yaml does not list the table
	RequireIfMatch bool
	LogUser        func(id string) // adds the hash of a user's id to the log line of the request
}

// Server serves the requests of API Gateway with a handler.
type Server struct {
	handler      Handler
	dependencies Dependencies
	settings     Settings
	logger       *zap.Logger
	warm         atomic.Bool // set by the first request
	current      atomic.Pointer[zap.Logger]
}

// New returns a server that serves requests with handler and stores users in users, which may be nil.
func New(handler Handler, users user.Store, settings Settings, logger *zap.Logger) *Server {
	s := &Server{
		handler:      handler,
		dependencies: Dependencies{Users: users, RequireIfMatch: settings.RequireIfMatch},
		settings:     settings,
		logger:       logger,
	}
	s.current.Store(logger)
	return s
}

// reserve is the time between the handler's deadline and Lambda's, for the response and the log. A handler that has
// not returned after half of it is overdue.
const reserve = 500 * time.Millisecond

// Invoke implements [lambda.Handler] with [Server.Handle]. Without it, package lambda would use encoding/json, which
// takes three times as long for an event.
func (s *Server) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	var event events.APIGatewayProxyRequest
	err := json.Unmarshal(payload, &event, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return nil, errors.New("the event is not that of a proxy integration of API Gateway") // err can contain its values
	}
	res, err := s.Handle(ctx, event)
	if err != nil {
		return nil, err
	}
	encoded, err := json.Marshal(res, json.FormatNilMapAsNull(true), json.Deterministic(true),
		jsontext.AllowInvalidUTF8(true)) // replaces it, as encoding/json does
	if err != nil {
		return nil, fmt.Errorf("encode response: %w", err)
	}
	return encoded, nil
}

// Handle serves one event. The error is always nil: an error or panic of the handler is logged and returned as a
// problem document. For a handler that is overdue, Handle writes the log and the trace before Lambda ends the
// invocation.
func (s *Server) Handle(ctx context.Context, event events.APIGatewayProxyRequest) (response.Response, error) {
	i := &invocation{server: s, request: request.New(&event), start: time.Now(), coldStart: !s.warm.Swap(true)}
	i.logger = s.logger.With(
		zap.String("requestId", i.request.ID()),
		zap.String("xrayTraceId", tracing.ID(ctx)),
		lambdaRequestID(ctx),
	)
	s.current.Store(i.logger)
	defer s.current.Store(s.logger)
	ctx = logging.With(ctx, i.logger)
	ctx, i.usage = userdata.WithUsage(ctx)
	ctx, i.span = tracing.Start(ctx, i.request.Operation())
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-reserve))
		defer cancel()
		timer := time.AfterFunc(time.Until(deadline.Add(-reserve/2)), func() {
			overdue := fmt.Errorf("handler is overdue: %w", context.DeadlineExceeded)
			i.finish(response.Response{}, overdue)
		})
		defer timer.Stop()
	}
	res, err := i.runHandler(ctx)
	return i.finish(res, err), nil
}

// currentLogger returns the logger of the current request, or the server's own between requests. An execution
// environment serves one request at a time.
func (s *Server) currentLogger() *zap.Logger { return s.current.Load() }

// invocation is the state of one request.
type invocation struct {
	server    *Server
	request   *request.Request
	start     time.Time
	coldStart bool
	logger    *zap.Logger
	usage     *userdata.Usage
	span      *tracing.Span
	userID    atomic.Pointer[string] // set by [Dependencies.LogUser]

	finished sync.Once
	response response.Response
}

// finish writes the log line and the trace of the request, and returns the response. Only the first call has an
// effect; later and concurrent calls return its response.
func (i *invocation) finish(res response.Response, err error) response.Response {
	i.finished.Do(func() {
		var code user.Code
		if err != nil {
			p := problem.From(err)
			if p.Code == problem.InternalError && i.request.IsWrite() {
				p.Detail = user.UnknownOutcome
			}
			p.Instance, p.RequestID = i.request.Path(), i.request.ID()
			res, code = response.Problem(p), p.Code
		}
		// A response to HEAD keeps its body: API Gateway does not send it, but derives Content-Length (RFC 9110
		// §8.6).
		maps.Copy(res.Headers, i.server.crossOrigin())
		i.trace(res.StatusCode, code)
		i.log(res.StatusCode, code, err)
		i.response = res
	})
	return i.response
}

// trace completes the subsegment of the request. code is "" if the request succeeded.
func (i *invocation) trace(status int, code user.Code) {
	i.span.Annotate("Service", i.server.settings.Service)
	i.span.Annotate("Stage", i.server.settings.Stage)
	i.span.Annotate("Version", i.server.settings.Log.Version)
	i.span.Annotate("Operation", i.request.Operation())
	i.span.Annotate("Outcome", outcome(status))
	i.span.Annotate("ColdStart", i.coldStart)
	if code != "" {
		i.span.Annotate("ErrorCode", code)
		i.span.SetError(tracing.KindOf(status), string(code))
	}
	i.span.End()
}

func (i *invocation) log(status int, code user.Code, err error) {
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
	}
	if id := i.userID.Load(); id != nil {
		fields = append(fields, logging.UserID(*id))
	}
	if code != "" {
		fields = append(fields, zap.String("errorCode", string(code)))
	}
	if status >= http.StatusInternalServerError {
		fields = append(fields, zap.NamedError("error", err))
	}
	fields = append(fields, i.metrics(end, status)...)
	i.logger.Log(level(status), "request", fields...)
}

// metrics returns the custom metrics of the log line: the outcome by operation, and the cold start with the name and
// dimensions of Powertools for AWS Lambda.
func (i *invocation) metrics(at time.Time, status int) []zap.Field {
	namespace := i.server.settings.MetricsNamespace
	if namespace == "" {
		return nil
	}
	requests := metrics.Counter{Namespace: namespace, Name: outcome(status), Dimensions: []string{"service", "operation"}}
	if !i.coldStart {
		return metrics.Fields(at, requests)
	}
	coldStart := metrics.Counter{
		Namespace: namespace, Name: "ColdStart", Dimensions: []string{"service", "function_name"},
	}
	functionName := zap.String("function_name", i.server.settings.Log.Function)
	return append(metrics.Fields(at, requests, coldStart), functionName)
}

// lambdaRequestID returns the request id of Lambda's own log lines, which differs from API Gateway's.
func lambdaRequestID(ctx context.Context) zap.Field {
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		return zap.String("lambdaRequestId", lc.AwsRequestID)
	}
	return zap.Skip()
}

// runHandler returns the handler's response, or its error or panic as an error.
func (i *invocation) runHandler(ctx context.Context) (res response.Response, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = panicError(v)
			logging.From(ctx).Error("panic", zap.Error(err), zap.StackSkip("stack", 1))
		}
	}()
	if err := i.request.CheckQuery(); err != nil {
		return res, err
	}
	deps := i.server.dependencies
	deps.LogUser = func(id string) { i.userID.Store(&id) }
	return i.server.handler(ctx, deps, i.request)
}

// panicError returns an error for the panic value v. It includes the text only of errors of the Go runtime: any other
// value can contain data of the request.
func panicError(v any) error {
	if err, ok := v.(runtime.Error); ok {
		return fmt.Errorf("panic: %w", err)
	}
	return fmt.Errorf("panic: %T", v)
}

// crossOrigin returns the headers that let pages of another origin read a response (the Fetch standard, "HTTP
// extensions").
func (s *Server) crossOrigin() map[string]string {
	if s.settings.AllowOrigin == "" {
		return nil
	}
	return map[string]string{
		"Access-Control-Allow-Origin": s.settings.AllowOrigin,
		// The API document allows only this value, and tests validate all responses against it.
		"Access-Control-Expose-Headers": "Accept, Accept-Encoding, Allow, Content-Location, Date, ETag, " +
			"Idempotent-Replayed, Link, Location, Retry-After, x-amz-apigw-id, x-amzn-ErrorType, " +
			"x-amzn-RequestId, X-Amzn-Trace-Id",
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
