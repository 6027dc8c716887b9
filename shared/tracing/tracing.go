// Package tracing sends the subsegments of a function to the X-Ray daemon: [Start] creates one for a part of the
// code, and [Middleware] one for each call of an AWS SDK client. It is the only package that imports the X-Ray SDK.
//
// Without a daemon, without a trace, or if the trace is not sampled, the package does nothing and costs almost
// nothing. API Gateway makes the sampling decision, and Lambda passes it in the trace header. A subsegment is sent by
// UDP when it ends, before Lambda freezes the execution environment. Subsegments contain error codes, but not error
// texts, which can contain personal data.
package tracing

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"sync"

	"github.com/aws/aws-xray-sdk-go/header"
	"github.com/aws/aws-xray-sdk-go/strategy/exception"
	"github.com/aws/aws-xray-sdk-go/xray"
	"github.com/aws/aws-xray-sdk-go/xraylog"
	"go.uber.org/zap"

	"github.com/userrequestapi/userdata/shared/tracing/internal/daemonaddress"
)

// By default, the SDK logs plain text to stdout. Its logger must be set in init.
func init() {
	xray.SetLogger(xraylog.NullLogger)
	daemonaddress.Restore()
}

// Configure connects to the daemon at AWS_XRAY_DAEMON_ADDRESS: host:port or "tcp:host:port udp:host:port", by default
// 127.0.0.1:2000. It logs the SDK's messages at debug level to the logger that logger returns at that time, such as
// the logger of the current request. It configures the whole process: call it once, before any trace.
//
// Configure returns an error if the address is not valid. The function can still serve requests, and subsegments are
// sent to the default address.
func Configure(logger func() *zap.Logger) error {
	xray.SetLogger(sdkLogger(logger))
	if err := xray.Configure(xray.Config{}); err != nil {
		return fmt.Errorf("tracing: %s: want host:port: %w", daemonaddress.Variable, err)
	}
	return nil
}

type sdkLogger func() *zap.Logger

// Log implements [xraylog.Logger]. It logs at debug level only, because the SDK reports errors for every other
// subsegment when there is no daemon, as on a developer's machine.
func (l sdkLogger) Log(level xraylog.LogLevel, message fmt.Stringer) {
	if entry := l().Check(zap.DebugLevel, "x-ray sdk"); entry != nil {
		entry.Write(zap.Stringer("sdkLevel", level), zap.Stringer("sdkMessage", message))
	}
}

// traceHeader returns the X-Amzn-Trace-Id of the invocation, which aws-lambda-go puts into the context.
func traceHeader(ctx context.Context) *header.Header {
	value, _ := ctx.Value(xray.LambdaTraceHeaderKey).(string)
	return header.FromString(value)
}

// ID returns the trace ID of the invocation, such as 1-5759e988-bd862e3fe1be46a994272793, whether or not it is
// sampled. It returns "" outside a trace.
func ID(ctx context.Context) string {
	return traceHeader(ctx).TraceID
}

// sampled reports whether the trace is sampled and has a parent for the function's subsegments.
func sampled(ctx context.Context) bool {
	h := traceHeader(ctx)
	return h.SamplingDecision == header.Sampled && h.TraceID != "" && h.ParentID != ""
}

// Span is a subsegment of the invocation's trace. A nil Span stands for a trace that is not sampled; its methods do
// nothing. A Span is safe for concurrent use.
type Span struct {
	segment *xray.Segment

	mu       sync.Mutex
	ended    bool
	children []*Span
}

type spanKey struct{}

// Start begins a subsegment and returns a context in which it is the parent. Its own parent is the span in ctx, or
// the function's segment. The caller must end it, after its children. A name has at most 200 characters. Start
// returns ctx and a nil Span if the parent has ended or the trace is not sampled.
func Start(ctx context.Context, name string) (context.Context, *Span) {
	parent, _ := ctx.Value(spanKey{}).(*Span)
	switch {
	case parent != nil:
		parent.mu.Lock()
		defer parent.mu.Unlock()
		if parent.ended {
			return ctx, nil
		}
	case !sampled(ctx):
		return ctx, nil
	}
	ctx, segment := xray.BeginSubsegment(ctx, name)
	span := &Span{segment: segment}
	if parent != nil {
		parent.children = append(parent.children, span)
	}
	return context.WithValue(ctx, spanKey{}, span), span
}

// Annotate adds an annotation, which X-Ray indexes (at most 50 for each trace). A key consists of letters, digits and
// underscores. The kind of the value must be boolean, number or string; other values are ignored.
func (s *Span) Annotate(key string, value any) {
	if s == nil {
		return
	}
	// The only integer types that the SDK accepts are int and uint.
	switch v := reflect.ValueOf(value); {
	case v.Kind() == reflect.String:
		value = v.String()
	case v.Kind() == reflect.Bool:
		value = v.Bool()
	case v.CanInt():
		value = int(v.Int())
	case v.CanUint():
		value = uint(v.Uint())
	case v.CanFloat():
		value = v.Float()
	default:
		return
	}
	_ = s.segment.AddAnnotation(key, value) // fails only for another type
}

// Kind is the kind of a failure in X-Ray.
type Kind uint8

// The kinds of failure.
const (
	None     Kind = iota // no failure
	Error                // a client error, 4xx
	Throttle             // a client error, 429
	Fault                // a server error, 5xx
)

// KindOf returns the kind of failure of an HTTP status code.
func KindOf(status int) Kind {
	switch {
	case status == http.StatusTooManyRequests:
		return Throttle
	case status >= 500:
		return Fault
	case status >= 400:
		return Error
	}
	return None
}

// SetError marks the subsegment as failed, with code as the cause: the code of a problem document or the name of an
// AWS exception, not an error text. If kind is [None], it does nothing.
func (s *Span) SetError(kind Kind, code string) {
	if s == nil || kind == None {
		return
	}
	s.fail(kind, code, false)
}

// fail implements SetError. The SDK's AddError would mark every failure as a fault, and add the text of the error and
// a stack trace.
func (s *Span) fail(kind Kind, code string, remote bool) {
	cause := exception.Exception{ID: xray.NewSegmentID(), Type: code, Message: code, Remote: remote}
	s.segment.Lock()
	defer s.segment.Unlock()
	s.segment.Error = kind == Error || kind == Throttle
	s.segment.Throttle = kind == Throttle
	s.segment.Fault = kind == Fault
	s.segment.GetCause().Exceptions = []exception.Exception{cause}
}

// End ends the subsegment. If it is the outermost one, it is sent with its children. End marks children that have not
// ended, as after a timeout, as faults with the code Unfinished, and ends them. Later calls do nothing.
func (s *Span) End() {
	if s != nil {
		s.end("")
	}
}

// end ends a subsegment that has not ended. If code is not empty, it marks it as a fault with this code.
func (s *Span) end(code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.ended = true
	for _, child := range s.children {
		child.end("Unfinished")
	}
	if code != "" {
		s.fail(Fault, code, false)
	}
	s.segment.Close(nil)
}
