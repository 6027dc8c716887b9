package apigateway

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/userrequestapi/userdata/deploy/aws/trace"
)

const traceHeader = "X-Amzn-Trace-Id"

// Trace places a request in an X-Ray trace ("Tracing header" in the AWS X-Ray developer guide).
type Trace struct {
	Root    string // the trace id: 1-8hex-24hex
	Caller  string // the id of the caller's segment, 16 hex digits; "" when the trace begins here
	Segment string // the id, 16 hex digits, of the stage's own segment, whose parent is Caller
	Parent  string // the id, 16 hex digits, of its subsegment for the call of Lambda, which Lambda is given as the parent
	Sampled bool
}

// Header is the value of X-Amzn-Trace-Id that the function is invoked with.
func (t Trace) Header() string {
	sampled := 0
	if t.Sampled {
		sampled = 1
	}
	return fmt.Sprintf("Root=%s;Parent=%s;Sampled=%d", t.Root, t.Parent, sampled)
}

// newTrace continues the trace of the client's header, if that names one, and else begins a trace. sample decides where the
// header does not; nil never samples.
func newTrace(header string, now time.Time, sample func() bool) Trace {
	place := Trace{Segment: trace.NewID(), Parent: trace.NewID()}
	sampled := ""
	if root := trace.HeaderField(header, "Root"); isRoot(root) {
		place.Root, sampled = root, trace.HeaderField(header, "Sampled")
		if caller := trace.HeaderField(header, "Parent"); isHex(caller, 16) {
			place.Caller = caller
		}
	} else {
		place.Root = trace.NewTraceID(now)
	}
	switch sampled {
	case "0", "1":
		place.Sampled = sampled == "1"
	default:
		place.Sampled = sample != nil && sample()
	}
	return place
}

func isRoot(s string) bool {
	parts := strings.Split(s, "-")
	return len(parts) == 3 && parts[0] == "1" && isHex(parts[1], 8) && isHex(parts[2], 24)
}

func isHex(s string, length int) bool {
	_, err := hex.DecodeString(s)
	return err == nil && len(s) == length && s == strings.ToLower(s)
}
