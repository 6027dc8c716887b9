package lambda

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/userrequestapi/userdata/deploy/aws/trace"
)

// Invocation describes an invocation that has ended, with the contents of the two segments that Lambda sends to X-Ray:
// AWS::Lambda for the service and AWS::Lambda::Function for the execution environment.
type Invocation struct {
	Function  string // function name
	ARN       string // as invoked, with the qualifier
	RequestID string

	// TraceID, Parent and Sampled are the fields Root, Parent and Sampled of the invocation's X-Amzn-Trace-Id. If
	// TraceID is empty, there are no segments.
	TraceID, Parent string
	Sampled         bool
	// LambdaSegment and FunctionSegment are the ids of the two segments: 16 hexadecimal digits. FunctionSegment is the
	// parent of the subsegments that the function sends.
	LambdaSegment, FunctionSegment string

	Received  time.Time // when Invoke was called
	Started   time.Time // when the runtime received it, or the retry of a failed init began; zero if neither happened
	Responded time.Time // when the runtime responded; zero if it did not
	Ended     time.Time // when the runtime requested the next invocation, or the environment ended

	// InitStarted and InitEnded are the start and the end of the environment's init. They are zero unless this was its
	// first invocation. The init may precede Received.
	InitStarted, InitEnded time.Time

	Status int // status code of Lambda's response: 200 even if the function failed; 429 if it was throttled
	// Error describes why the invocation failed. It is nil if the invocation succeeded.
	Error *InvocationError
	// Cause is the header Lambda-Runtime-Function-Xray-Error-Cause sent by the runtime: a JSON object with the
	// exceptions, whose messages come from the function. It is nil if the runtime sent none.
	Cause json.RawMessage
}

// InvocationError describes why an invocation failed.
type InvocationError struct {
	Type    string // such as "Sandbox.Timedout", "TooManyRequestsException" or the type of a Go error
	Message string // from Lambda; "" for an error of the function, whose message may contain personal data
}

// newInvocation returns the Invocation for a request with an X-Amzn-Trace-Id.
func newInvocation(traceHeader string) Invocation {
	i := Invocation{RequestID: uuid.NewString(), Received: time.Now(), TraceID: trace.HeaderField(traceHeader, "Root")}
	if i.TraceID != "" {
		i.Parent = trace.HeaderField(traceHeader, "Parent")
		i.Sampled = trace.HeaderField(traceHeader, "Sampled") == "1"
		i.LambdaSegment, i.FunctionSegment = trace.NewID(), trace.NewID()
	}
	return i
}

// functionHeader returns the X-Amzn-Trace-Id for the function. Its parent is the AWS::Lambda::Function segment. Other
// fields, such as Lineage, are passed on.
func (inv *invocation) functionHeader() string {
	if inv.TraceID == "" {
		return ""
	}
	sampled := "0"
	if inv.Sampled {
		sampled = "1"
	}
	fields := []string{"Root=" + inv.TraceID, "Parent=" + inv.FunctionSegment, "Sampled=" + sampled}
	for field := range strings.SplitSeq(inv.traceHeader, ";") {
		field = strings.TrimSpace(field)
		switch name, _, _ := strings.Cut(field, "="); name {
		case "", "Root", "Parent", "Sampled":
		default:
			fields = append(fields, field)
		}
	}
	return strings.Join(fields, ";")
}

// record returns the Invocation with its end, without the fields set by the environment.
func (inv *invocation) record(status int, failed *InvocationError) Invocation {
	r := inv.Invocation
	r.Ended, r.Status, r.Error = time.Now(), status, failed
	return r
}

// refusedRecord returns the Invocation for a request rejected by Lambda.
func (inv *invocation) refusedRecord(err *Error) Invocation {
	return inv.record(err.Status, &InvocationError{Type: err.Type, Message: err.Message})
}

// closedRecord returns the Invocation for an invocation ended by [Host.Close].
func (inv *invocation) closedRecord() Invocation {
	return inv.record(http.StatusInternalServerError, &InvocationError{"ServiceException", ErrClosed.Error()})
}

// record returns the Invocation for the environment's current invocation.
func (e *environment) record(failed *failure) Invocation {
	r := e.invocation.record(http.StatusOK, nil)
	if !e.expired.IsZero() {
		r.Ended = e.expired
	}
	if e.cold {
		r.InitStarted, r.InitEnded = e.initStart, e.initEnd
		if r.InitEnded.IsZero() { // the init failed
			r.InitEnded = r.Ended
		}
	}
	if failed != nil {
		r.Error = &InvocationError{Type: failed.errorType, Message: failed.message}
		r.Cause = failed.cause
	}
	return r
}

// trace passes an invocation that has ended to Options.Trace.
func (h *Host) trace(r Invocation) {
	if h.opts.Trace == nil {
		return
	}
	h.logMutex.Lock()
	defer h.logMutex.Unlock()
	h.opts.Trace(r)
}
