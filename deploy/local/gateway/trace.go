package gateway

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
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
	trace := Trace{Segment: randomHex(8), Parent: randomHex(8)}
	decided := false
	for field := range strings.SplitSeq(header, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		switch {
		case key == "Root" && isRoot(value):
			trace.Root = value
		case key == "Parent" && isHex(value, 16):
			trace.Caller = value
		case key == "Sampled" && (value == "0" || value == "1"):
			trace.Sampled, decided = value == "1", true
		}
	}
	if trace.Root == "" {
		trace.Root, trace.Caller, decided = fmt.Sprintf("1-%08x-%s", now.Unix(), randomHex(12)), "", false
	}
	if !decided {
		trace.Sampled = sample != nil && sample()
	}
	return trace
}

func isRoot(s string) bool {
	parts := strings.Split(s, "-")
	return len(parts) == 3 && parts[0] == "1" && isHex(parts[1], 8) && isHex(parts[2], 24)
}

func isHex(s string, length int) bool {
	_, err := hex.DecodeString(s)
	return err == nil && len(s) == length && s == strings.ToLower(s)
}

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails: crypto/rand
	return hex.EncodeToString(b)
}
