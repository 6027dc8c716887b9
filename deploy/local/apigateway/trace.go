package apigateway

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/userrequestapi/userdata/deploy/aws/trace"
)

const traceHeader = "X-Amzn-Trace-Id"

// Trace is the trace context of a request ("Tracing header" in the AWS X-Ray developer guide). The ids of segments have
// 16 hexadecimal digits.
type Trace struct {
	Root    string // trace id: 1-8hex-24hex
	Caller  string // id of the caller's segment; "" if the trace begins here
	Segment string // id of the stage's segment, whose parent is Caller
	Parent  string // id of its subsegment for the invocation, which is the parent of Lambda's segment
	Sampled bool
}

// Header returns the X-Amzn-Trace-Id for the invocation.
func (t Trace) Header() string {
	sampled := 0
	if t.Sampled {
		sampled = 1
	}
	return fmt.Sprintf("Root=%s;Parent=%s;Sampled=%d", t.Root, t.Parent, sampled)
}

// newTrace continues the trace in the client's header or begins a new one. If the header has no sampling decision, it
// calls sample; nil means not sampled.
func newTrace(header string, now time.Time, sample func() bool) Trace {
	t := Trace{Segment: trace.NewID(), Parent: trace.NewID()}
	sampled := ""
	if root := trace.HeaderField(header, "Root"); isRoot(root) {
		t.Root, sampled = root, trace.HeaderField(header, "Sampled")
		if caller := trace.HeaderField(header, "Parent"); isHex(caller, 16) {
			t.Caller = caller
		}
	} else {
		t.Root = trace.NewTraceID(now)
	}
	switch sampled {
	case "0", "1":
		t.Sampled = sampled == "1"
	default:
		t.Sampled = sample != nil && sample()
	}
	return t
}

func isRoot(s string) bool {
	parts := strings.Split(s, "-")
	return len(parts) == 3 && parts[0] == "1" && isHex(parts[1], 8) && isHex(parts[2], 24)
}

func isHex(s string, length int) bool {
	_, err := hex.DecodeString(s)
	return err == nil && len(s) == length && s == strings.ToLower(s)
}
