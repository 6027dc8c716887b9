package lambda_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/local/lambda"
)

const (
	traceID     = "1-5759e988-bd862e3fe1be46a994272793"
	parentID    = "53995c3f42cd8ad8"
	traceHeader = "Root=" + traceID + ";Parent=" + parentID + ";Sampled=1"
)

// invocations waits until n invocations have ended and returns all that have.
func (h *host) invocations(n int) []lambda.Invocation {
	h.t.Helper()
	var list []lambda.Invocation
	testenv.Eventually(h.t, fmt.Sprintf("the end of %d invocations", n), func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		list = slices.Clone(h.traced)
		return len(list) >= n
	})
	return list
}

// invokeTraced invokes the function with the trace header and returns the error.
func (h *host) invokeTraced(payload string) error {
	_, err := h.Invoke(h.t.Context(), function, traceHeader, []byte(payload))
	return err
}

// timestamps reports which times of an invocation are set, in chronological order.
type timestamps struct{ init, started, responded bool }

// Options.Trace is called once for each invocation, however it ends.
func TestTrace(t *testing.T) {
	t.Parallel()
	type invocationError = lambda.InvocationError
	exited := func(message string) *invocationError {
		return &invocationError{Type: "Runtime.ExitError", Message: "RequestId: <id> Error: " + message}
	}
	timeout := &invocationError{
		Type: "Sandbox.Timedout", Message: "RequestId: <id> Error: Task timed out after 3.00 seconds",
	}
	rejected := func(errorType, message string) *invocationError {
		return &invocationError{Type: errorType, Message: message}
	}
	tests := []struct {
		name, payload string
		warm          bool // preceded by another invocation
		init          string
		bootstrap     string // content of the binary; "" means the test function
		status        int
		err           *invocationError
		cause         string // substring of Cause
		has           timestamps
	}{
		{name: "cold", payload: `{"do":"echo"}`, status: 200, has: timestamps{init: true, started: true, responded: true}},
		{name: "warm", payload: `{"do":"echo"}`, warm: true, status: 200, has: timestamps{started: true, responded: true}},
		{name: "function error", payload: `{"do":"error","text":"no luck"}`, warm: true, status: 200,
			err: &invocationError{Type: "errorString"}, cause: "no luck",
			has: timestamps{started: true, responded: true}},
		{name: "panic", payload: `{"do":"panic","text":"oh"}`, warm: true, status: 200,
			err: &invocationError{Type: "string"}, cause: "oh", has: timestamps{started: true, responded: true}},
		{name: "crash", payload: `{"do":"exit3"}`, warm: true, status: 200,
			err: exited("Runtime exited with error: exit status 3"), has: timestamps{started: true}},
		{name: "crash when cold", payload: `{"do":"kill"}`, status: 200,
			err: exited("Runtime exited with error: signal: killed"), has: timestamps{init: true, started: true}},
		{name: "timeout", payload: `{"do":"hang"}`, warm: true, status: 200, err: timeout, has: timestamps{started: true}},
		{name: "response too large", payload: `{"do":"big","bytes":6291557}`, warm: true, status: 200,
			err: &invocationError{Type: "Function.ResponseSizeTooLarge", Message: "Response payload size exceeded maximum allowed payload size (6291556 bytes)."},
			has: timestamps{started: true, responded: true}},
		{name: "exit in init", payload: `{}`, init: "exit", status: 200,
			err: exited("Runtime exited with error: exit status 7"), has: timestamps{init: true, started: true}},
		{name: "error in init", payload: `{}`, init: "error", status: 200,
			err: &invocationError{Type: "Settings"}, has: timestamps{init: true, started: true}},
		{name: "timeout in init", payload: `{}`, init: "hang", status: 200, err: timeout, has: timestamps{init: true, started: true}},
		{name: "invalid binary", payload: `{}`, bootstrap: "not a program", status: 200,
			err: &invocationError{Type: "Runtime.InvalidEntrypoint", Message: "RequestId: <id> Error: .*exec format error"},
			has: timestamps{init: true, started: true}},
		{name: "not JSON", payload: `{`, status: 400, err: rejected("InvalidRequestContentException", "Could not parse request body into json")},
		{name: "payload too large", payload: strings.Repeat(" ", 6291457), status: 413,
			err: rejected("RequestEntityTooLargeException", "Request must be smaller than 6291456 bytes for the InvokeFunction operation")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := start(t, func(f *lambda.Configuration, o *lambda.Options) {
				f.Environment = map[string]string{"INIT": tt.init}
				if tt.err == timeout {
					f.Timeout, o.InitTimeout = timeLimit, timeLimit
				}
				if tt.bootstrap != "" {
					f.Bootstrap = filepath.Join(t.TempDir(), "bootstrap")
					if err := os.WriteFile(f.Bootstrap, []byte(tt.bootstrap), 0o700); err != nil {
						t.Fatal(err)
					}
				}
			})
			before := 0
			if tt.warm {
				h.invoke(`{"do":"echo"}`)
				testenv.Eventually(t, "an idle environment", func() bool { return h.idle() == 1 })
				before = 1
			}
			if err := h.invokeTraced(tt.payload); (err == nil) != (tt.status == 200) {
				t.Errorf("invoke: error = %v, want none only for the status 200, not %d", err, tt.status)
			}
			h.invocations(before + 1)
			if err := h.Close(); err != nil { // no calls of Trace after Close
				t.Fatal(err)
			}
			traced := h.invocations(before + 1)
			if len(traced) != before+1 {
				t.Fatalf("%d traced invocations, want %d: %+v", len(traced), before+1, traced)
			}
			got := traced[before]
			want := lambda.Invocation{
				Function: function, ARN: arn, RequestID: got.RequestID,
				TraceID: traceID, Parent: parentID, Sampled: true,
				LambdaSegment: got.LambdaSegment, FunctionSegment: got.FunctionSegment, Status: tt.status, Error: tt.err,
			}
			isMessage := func(p cmp.Path) bool { return p.Last().String() == ".Message" }
			equal := func(a, b string) bool { return matches(a, b) || matches(b, a) }
			if diff := cmp.Diff(want, got, cmp.FilterPath(isMessage, cmp.Comparer(equal)),
				cmpopts.IgnoreFields(lambda.Invocation{}, "Cause"), cmpopts.IgnoreTypes(time.Time{})); diff != "" {
				t.Errorf("invocation (-want +got):\n%s", diff)
			}
			checkIDs(t, got)
			if (got.Cause != nil) != (tt.cause != "") || !strings.Contains(string(got.Cause), tt.cause) ||
				got.Cause != nil && !json.Valid(got.Cause) {
				t.Errorf("cause = %s, want one that contains %q", got.Cause, tt.cause)
			}
			checkTimestamps(t, got, tt.has)
		})
	}
}

func checkIDs(t *testing.T, i lambda.Invocation) {
	t.Helper()
	id := regexp.MustCompile(`^[0-9a-f]{16}$`)
	if !id.MatchString(i.LambdaSegment) || !id.MatchString(i.FunctionSegment) || i.LambdaSegment == i.FunctionSegment {
		t.Errorf("segments = %q and %q, want two different ids of 16 hex digits", i.LambdaSegment, i.FunctionSegment)
	}
}

func checkTimestamps(t *testing.T, i lambda.Invocation, want timestamps) {
	t.Helper()
	if got := (timestamps{!i.InitStarted.IsZero(), !i.Started.IsZero(), !i.Responded.IsZero()}); got != want {
		t.Errorf("timestamps = %+v, want %+v", got, want)
	}
	if i.InitStarted.IsZero() != i.InitEnded.IsZero() || i.InitEnded.Before(i.InitStarted) {
		t.Errorf("init from %v to %v, want both or none, in this order", i.InitStarted, i.InitEnded)
	}
	last := i.Received
	for _, at := range []time.Time{i.Started, i.Responded, i.Ended} {
		if at.IsZero() {
			continue
		}
		if at.Before(last) {
			t.Errorf("invocation = %+v, want Received, Started, Responded and Ended in this order", i)
		}
		last = at
	}
	if i.Ended.IsZero() || i.InitEnded.After(i.Ended) {
		t.Errorf("invocation = %+v, want Ended as the last time", i)
	}
}

// A throttled request is traced, and running invocations are traced once each.
func TestTrace_Throttled(t *testing.T) {
	t.Parallel()
	h := start(t, func(f *lambda.Configuration, _ *lambda.Options) { f.Concurrency = new(1) })
	gate := filepath.Join(t.TempDir(), "gate")
	var held sync.WaitGroup
	held.Go(func() { h.invoke(fmt.Sprintf(`{"do":"wait","text":%q}`, gate)) })
	h.log(1, "platform.start")
	if err := h.invokeTraced(`{}`); err == nil {
		t.Error("second invocation: error = nil, want it throttled")
	}
	traced := h.invocations(1)
	if len(traced) != 1 {
		t.Fatalf("traced invocations = %+v, want the throttled one", traced)
	}
	want := &lambda.InvocationError{Type: "TooManyRequestsException", Message: "Rate Exceeded."}
	if diff := cmp.Diff(want, traced[0].Error); diff != "" || traced[0].Status != 429 {
		t.Errorf("invocation %+v, error (-want +got):\n%s", traced[0], diff)
	}
	checkIDs(t, traced[0])
	checkTimestamps(t, traced[0], timestamps{})
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	held.Wait()
	if traced := h.invocations(2); len(traced) != 2 || traced[1].Error != nil {
		t.Errorf("traced invocations = %+v, want 2, the second without an error", traced)
	}
}

// Invocations that run when the host closes are traced.
func TestTrace_Closed(t *testing.T) {
	t.Parallel()
	for _, init := range []string{"", "hang"} {
		t.Run("init "+init, func(t *testing.T) {
			t.Parallel()
			h := start(t, func(f *lambda.Configuration, _ *lambda.Options) { f.Environment = map[string]string{"INIT": init} })
			failed := make(chan error, 2)
			for range cap(failed) {
				go func() { failed <- h.invokeTraced(`{"do":"hang"}`) }()
			}
			testenv.Eventually(t, "the environments", func() bool { return len(h.Environments(function)) == cap(failed) })
			if init == "" {
				h.log(cap(failed), "platform.start")
			}
			if err := h.Close(); err != nil {
				t.Fatal(err)
			}
			for range cap(failed) {
				if err := <-failed; !errors.Is(err, lambda.ErrClosed) {
					t.Errorf("error = %v, want %v", err, lambda.ErrClosed)
				}
			}
			if err := h.invokeTraced(`{}`); !errors.Is(err, lambda.ErrClosed) {
				t.Errorf("invoke after close: %v, want %v", err, lambda.ErrClosed)
			}
			traced := h.invocations(cap(failed))
			if len(traced) != cap(failed) {
				t.Errorf("%d traced invocations, want %d", len(traced), cap(failed))
			}
			for _, i := range traced {
				if i.Error == nil || i.Error.Type != "ServiceException" || i.Status != 500 {
					t.Errorf("invocation = %+v with error %+v, want a ServiceException with status 500", i, i.Error)
				}
				checkTimestamps(t, i, timestamps{started: init == ""})
			}
		})
	}
}

// The function receives the caller's trace with the function's segment as the parent.
func TestTrace_Header(t *testing.T) {
	t.Parallel()
	const root = "Root=" + traceID
	tests := []struct {
		name, header string
		want         string // PARENT stands for the function's segment
		wantParent   string
		wantSampled  bool
	}{
		{"sampled", traceHeader, root + ";Parent=PARENT;Sampled=1", parentID, true},
		{"not sampled", root + ";Parent=" + parentID + ";Sampled=0", root + ";Parent=PARENT;Sampled=0", parentID, false},
		{"not decided", root + ";Parent=" + parentID + ";Sampled=?", root + ";Parent=PARENT;Sampled=0", parentID, false},
		{"root alone", root, root + ";Parent=PARENT;Sampled=0", "", false},
		{"more fields and spaces", "Self=1-2-3; " + root + " ;Sampled=1;;Lineage=1:a:0",
			root + ";Parent=PARENT;Sampled=1;Self=1-2-3;Lineage=1:a:0", "", true},
		{"none", "", "", "", false},
		{"no root", "Parent=" + parentID + ";Sampled=1", "", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := start(t, nil)
			output, err := h.Invoke(t.Context(), function, tt.header, []byte(`{"do":"report"}`))
			if err != nil {
				t.Fatal(err)
			}
			var seen struct {
				Trace string `json:"trace"`
			}
			if err := json.Unmarshal(output.Payload, &seen); err != nil {
				t.Fatal(err)
			}
			got := h.invocations(1)[0]
			if want := strings.ReplaceAll(tt.want, "PARENT", got.FunctionSegment); seen.Trace != want {
				t.Errorf("the function's trace header = %q, want %q", seen.Trace, want)
			}
			wantID := traceID
			if tt.want == "" {
				wantID = ""
				if got.LambdaSegment != "" || got.FunctionSegment != "" {
					t.Errorf("invocation = %+v, want no segments without a trace", got)
				}
			} else {
				checkIDs(t, got)
			}
			if got.TraceID != wantID || got.Parent != tt.wantParent || got.Sampled != tt.wantSampled {
				t.Errorf("invocation = %+v, want trace %q, parent %q, sampled %t", got, wantID, tt.wantParent, tt.wantSampled)
			}
		})
	}
}

// Every log line of an invocation has the id of its trace.
func TestEvent_TraceID(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	for i := range 3 {
		header := fmt.Sprintf("Root=1-00000000-00000000000000000000000%d;Sampled=1", i)
		if _, err := h.Invoke(t.Context(), function, header, []byte(`{"do":"print","text":"one\ntwo\n"}`)); err != nil {
			t.Fatal(err)
		}
	}
	h.invoke(`{"do":"echo"}`)
	h.log(4, "platform.report")
	h.mu.Lock()
	defer h.mu.Unlock()
	traces := map[string]map[string]int{} // events by trace and request
	for _, e := range h.events {
		if traces[e.TraceID] == nil {
			traces[e.TraceID] = map[string]int{}
		}
		traces[e.TraceID][e.RequestID]++
	}
	if len(traces) != 4 || len(traces[""]) != 1 {
		t.Errorf("traces = %v, want 4, and one request without a trace", traces)
	}
	for id, requests := range traces {
		for request, events := range requests {
			// START, END, REPORT and two lines; the first also has INIT_START and a line of the init.
			if id != "" && events != 5 && events != 7 || len(requests) != 1 || request == "" {
				t.Errorf("trace %q: events by request = %v, want one request with 5 or 7", id, requests)
			}
		}
	}
}
