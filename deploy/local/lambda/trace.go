package lambda

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/userrequestapi/userdata/deploy/aws/trace"
)

// Invocation is one call of a function that is over, with what the segments tell that Lambda itself sends to X-Ray of it:
// AWS::Lambda of the service, and AWS::Lambda::Function of the execution environment.
type Invocation struct {
	Function  string // function name
	ARN       string // as invoked, with the qualifier
	RequestID string
	LogStream string // of the environment that ran it; "" when none did

	// TraceID, Parent and Sampled are those of the X-Amzn-Trace-Id that the invocation came with; "" where it has none, in
	// which case there are no segments either.
	TraceID, Parent string
	Sampled         bool
	// LambdaSegment and FunctionSegment are the ids of the two segments: 16 hexadecimal digits. The function is given
	// FunctionSegment as the parent of what it sends itself.
	LambdaSegment, FunctionSegment string

	Received  time.Time // when Invoke was called
	Started   time.Time // when the runtime was given it, or a failed init was repeated for it; zero: neither happened
	Responded time.Time // when the runtime answered; zero: it did not
	Ended     time.Time // when the runtime asked for the next one, or the environment had ended

	// InitStarted and InitEnded enclose the init of the environment, of which this was the first invocation; zero
	// otherwise. The init may have taken place before Received.
	InitStarted, InitEnded time.Time

	Status int // HTTP status of Lambda's answer: 200, also when the function failed; 429 when it was throttled
	// Error is why the invocation failed; nil when it succeeded.
	Error *InvocationError
	// Cause is what the runtime itself says for X-Ray about Error (the header Lambda-Runtime-Function-Xray-Error-Cause): a
	// JSON object with the exceptions, whose messages are the function's own; nil where it says nothing.
	Cause json.RawMessage
}

// InvocationError is why an invocation failed.
type InvocationError struct {
	Type    string // such as "Sandbox.Timedout", "Runtime.ExitError", "TooManyRequestsException" or the type of a Go error
	Message string // Lambda's own words; "" for an error of the function, whose words may be about a person
	Kind    ErrorKind
}

// ErrorKind says who ended an invocation that failed, and how.
type ErrorKind string

const (
	// ErrorKindError is a function that reported an error or whose process ended.
	ErrorKindError ErrorKind = "error"
	// ErrorKindTimeout is a function that was ended because its time was over.
	ErrorKindTimeout ErrorKind = "timeout"
	// ErrorKindThrottle is an invocation that was refused because too many ran.
	ErrorKindThrottle ErrorKind = "throttle"
	// ErrorKindRefused is an invocation that was refused for another reason, such as its size.
	ErrorKindRefused ErrorKind = "refused"
	// ErrorKindClosed is an invocation that ended with the Host.
	ErrorKindClosed ErrorKind = "closed"
)

// traceContext is the place of an invocation in a trace. The zero value is that of one without.
type traceContext struct {
	header                         string // as it came
	id, parent                     string
	sampled                        bool
	lambdaSegment, functionSegment string
}

func newTraceContext(header string) traceContext {
	id := trace.HeaderField(header, "Root")
	if id == "" {
		return traceContext{}
	}
	return traceContext{
		header:          header,
		id:              id,
		parent:          trace.HeaderField(header, "Parent"),
		sampled:         trace.HeaderField(header, "Sampled") == "1",
		lambdaSegment:   trace.NewID(),
		functionSegment: trace.NewID(),
	}
}

// functionHeader is the X-Amzn-Trace-Id for the function, whose parent is Lambda's segment of the function. Other fields, such as
// Lineage, are passed on.
func (t traceContext) functionHeader() string {
	if t.id == "" {
		return ""
	}
	sampled := "0"
	if t.sampled {
		sampled = "1"
	}
	fields := []string{"Root=" + t.id, "Parent=" + t.functionSegment, "Sampled=" + sampled}
	for field := range strings.SplitSeq(t.header, ";") {
		field = strings.TrimSpace(field)
		switch name, _, _ := strings.Cut(field, "="); name {
		case "", "Root", "Parent", "Sampled":
		default:
			fields = append(fields, field)
		}
	}
	return strings.Join(fields, ";")
}

// record is what is known of the invocation without the environment that ran it.
func (inv *invocation) record(status int, failed *InvocationError) Invocation {
	return Invocation{
		Function:        inv.function,
		ARN:             inv.arn,
		RequestID:       inv.id,
		TraceID:         inv.trace.id,
		Parent:          inv.trace.parent,
		Sampled:         inv.trace.sampled,
		LambdaSegment:   inv.trace.lambdaSegment,
		FunctionSegment: inv.trace.functionSegment,
		Received:        inv.received,
		Started:         inv.started,
		Responded:       inv.responded,
		Ended:           time.Now(),
		Status:          status,
		Error:           failed,
	}
}

// refused is the record of an invocation that Lambda does not carry out.
func (inv *invocation) refused(err *Error) Invocation {
	kind := ErrorKindRefused
	if err.Status == http.StatusTooManyRequests {
		kind = ErrorKindThrottle
	}
	return inv.record(err.Status, &InvocationError{Type: err.Type, Message: err.Message, Kind: kind})
}

// closed is the record of an invocation that ended with the host.
func (inv *invocation) closed() Invocation {
	return inv.record(http.StatusInternalServerError,
		&InvocationError{Type: "ServiceException", Message: ErrClosed.Error(), Kind: ErrorKindClosed})
}

// record is what is known of the invocation that the environment has carried out.
func (e *environment) record(failed *failure) Invocation {
	r := e.invocation.record(http.StatusOK, nil)
	r.LogStream = e.logStream
	if !e.expired.IsZero() {
		r.Ended = e.expired
	}
	if e.cold {
		r.InitStarted, r.InitEnded = e.initStart, e.initEnd
		if r.InitEnded.IsZero() { // it failed, and the invocation with it
			r.InitEnded = r.Ended
		}
	}
	if failed != nil {
		r.Error = &InvocationError{Type: failed.errorType, Message: failed.message, Kind: ErrorKind(failed.status)}
		r.Cause = failed.cause
	}
	return r
}

// trace tells of an invocation that is over.
func (h *Host) trace(r Invocation) {
	if h.opts.Trace == nil {
		return
	}
	h.logMutex.Lock()
	defer h.logMutex.Unlock()
	h.opts.Trace(r)
}
