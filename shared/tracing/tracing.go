// Package tracing sends a function's own subsegments to the X-Ray daemon: [Start] for a part of the code, and [Middleware]
// for each call that an AWS SDK client makes. It is the only package that imports the X-Ray SDK.
//
// Everything is silent and all but free without a daemon, without a trace, or when X-Ray does not sample the trace, which
// API Gateway decides and Lambda tells in the trace header. A subsegment leaves by UDP when it ends, so what a handler
// starts and ends is sent before the environment freezes. Only what a caller passes is written: error codes, never the
// text of an error, which can hold personal data.
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

// The SDK writes plain text to stdout unless told otherwise, and wants to be told in init.
func init() {
	xray.SetLogger(xraylog.NullLogger)
	daemonaddress.Restore()
}

// Configure sends the SDK's own messages, at debug level, to what logger returns at that time, which is the logger of the
// request that is being answered: the SDK itself does not know whose segment it tells of. It connects to the daemon that
// AWS_XRAY_DAEMON_ADDRESS names (host:port, or "tcp:host:port udp:host:port"; 127.0.0.1:2000 if unset). It configures the
// whole process: call it once, before any trace. An error means that the address is not usable, and that subsegments go to
// 127.0.0.1:2000 instead, as they do without Configure; the function can serve all the same.
func Configure(logger func() *zap.Logger) error {
	xray.SetLogger(sdkLogger(logger))
	if err := xray.Configure(xray.Config{}); err != nil {
		return fmt.Errorf("tracing: %s: %w: set it to host:port", daemonaddress.Variable, err)
	}
	return nil
}

type sdkLogger func() *zap.Logger

// Log implements [xraylog.Logger]. No message of the SDK matters to who runs the service: without a daemon, as on a
// developer's machine, every second subsegment is an error for it.
func (l sdkLogger) Log(level xraylog.LogLevel, message fmt.Stringer) {
	if entry := l().Check(zap.DebugLevel, "x-ray sdk"); entry != nil {
		entry.Write(zap.Stringer("sdkLevel", level), zap.Stringer("sdkMessage", message))
	}
}

// traceHeader reads the X-Amzn-Trace-Id that Lambda sent with the invocation, which aws-lambda-go puts into the context.
func traceHeader(ctx context.Context) *header.Header {
	value, _ := ctx.Value(xray.LambdaTraceHeaderKey).(string)
	return header.FromString(value)
}

// ID returns the id of the invocation's trace (1-8hex-24hex), sampled or not, and "" outside a trace.
func ID(ctx context.Context) string {
	return traceHeader(ctx).TraceID
}

// sampled tells whether a subsegment that begins directly below the function has a parent and is wanted.
func sampled(ctx context.Context) bool {
	h := traceHeader(ctx)
	return h.SamplingDecision == header.Sampled && h.TraceID != "" && h.ParentID != ""
}

// Span is a subsegment of the invocation's trace. All methods may be called on a nil Span, which is what there is when the
// trace is not sampled, and from any goroutine.
type Span struct {
	segment *xray.Segment

	mu       sync.Mutex
	ended    bool
	children []*Span
}

type spanKey struct{}

// Start begins a subsegment below the one that ctx carries, else directly below the function, and returns a context for
// what belongs to it. Names have up to 200 characters. The caller ends it, after its children. Below one that has ended,
// nothing begins any more.
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

// Annotate adds an indexed value, by which X-Ray finds traces (at most 50 in a trace). The key is of letters, digits and
// underscores. Booleans, numbers and strings are taken, named types of these included; anything else is left out.
func (s *Span) Annotate(key string, value any) {
	if s == nil {
		return
	}
	// The SDK takes no other integers than int and uint.
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
	// The error says that the type is not taken, which cannot be.
	_ = s.segment.AddAnnotation(key, value)
}

// Kind is how X-Ray tells failures apart.
type Kind uint8

// The kinds of failure, and none.
const (
	None     Kind = iota
	Error         // the caller's: a 4xx, also an expected one
	Throttle      // the caller's: too many requests, a 429
	Fault         // the service's: a 5xx
)

// KindOf returns the kind of failure that an HTTP status stands for.
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

// SetError flags the subsegment as failed and gives the code as the cause. The code is a fixed name of the error, such as
// that of a problem document or of an AWS exception, never an error's text. With [None] it does nothing.
func (s *Span) SetError(kind Kind, code string) {
	if s == nil || kind == None {
		return
	}
	s.fail(kind, code, false)
}

// fail does without the SDK's AddError, which makes every failure a fault and writes the error's text, stack and folder.
func (s *Span) fail(kind Kind, code string, remote bool) {
	cause := exception.Exception{ID: xray.NewSegmentID(), Type: code, Message: code, Remote: remote}
	s.segment.Lock()
	defer s.segment.Unlock()
	s.segment.Error = kind == Error || kind == Throttle
	s.segment.Throttle = kind == Throttle
	s.segment.Fault = kind == Fault
	s.segment.GetCause().Exceptions = []exception.Exception{cause}
}

// End ends the subsegment. The outermost one is then sent, with those below it; one of these that has not ended yet, as when
// the time runs out, is ended as a fault with the code Unfinished. Only the first call counts.
func (s *Span) End() {
	if s != nil {
		s.end("")
	}
}

// end flags a subsegment that has not ended yet as a fault with this code, unless that is empty.
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
