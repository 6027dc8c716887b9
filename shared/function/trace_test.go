package function_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/shared/request/requesttest"
	"github.com/userrequestapi/userdata/shared/tracing/tracingtest"
)

const (
	traceID     = "1-5759e988-bd862e3fe1be46a994272793"
	traceHeader = "Root=" + traceID + ";Parent=53995c3f42cd8ad8;Sampled=1"
)

// segment holds the fields of a segment document that the tests check.
type segment struct {
	Name        string         `json:"name"`
	Error       bool           `json:"error"`
	Fault       bool           `json:"fault"`
	EndTime     float64        `json:"end_time"`
	InProgress  bool           `json:"in_progress"`
	Annotations map[string]any `json:"annotations"`
	Cause       struct {
		Exceptions []struct{ Type, Message string }
	} `json:"cause"`
	Subsegments []segment `json:"subsegments"`
}

func decodeSegment(t *testing.T, payload string) segment {
	t.Helper()
	_, document, _ := strings.Cut(payload, "\n")
	var s segment
	if err := json.Unmarshal([]byte(document), &s); err != nil {
		t.Fatalf("document %s: %v", document, err)
	}
	return s
}

// The subsegment of a request is complete, and is sent before the response, whatever the outcome.
func TestTraces(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		handler string
		code    string // "" for success
		calls   int
		lines   []string
	}{
		"success": {"read", "", 1, []string{"request"}},
		"panic":   {"panics", "InternalError", 0, []string{"panic", "request"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			daemon := tracingtest.Listen(t)
			f := startFunction(t, handlerVariable+"="+test.handler, "AWS_XRAY_DAEMON_ADDRESS="+daemon.Address())
			for _, cold := range []bool{true, false} {
				f.invoke(t, traceHeader, 0)
				<-f.responses
				payloads := daemon.Received(t)
				if len(payloads) != 1 {
					t.Fatalf("got %d documents, want 1: %q", len(payloads), payloads)
				}
				wantSegment(t, decodeSegment(t, payloads[0]), test.code, cold, test.calls)
			}
			var got []string
			for _, line := range f.stop(t) {
				got = append(got, line["message"].(string))
				wantIDs(t, line)
			}
			if diff := cmp.Diff(append(test.lines, test.lines...), got); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}

func wantSegment(t *testing.T, got segment, code string, cold bool, calls int) {
	t.Helper()
	want := map[string]any{
		"Service": "userdata", "Stage": "prod", "Version": "7", "Operation": "GET", "Outcome": "Success", "ColdStart": cold,
	}
	if code != "" {
		want["Outcome"], want["ErrorCode"] = "Fault", code
		exceptions := got.Cause.Exceptions
		if len(exceptions) != 1 || exceptions[0].Type != code || exceptions[0].Message != code {
			t.Errorf("got cause %v, want %s", got.Cause, code)
		}
	}
	if diff := cmp.Diff(want, got.Annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
	if got.Name != "GET" || got.Fault != (code != "") || got.Error || got.InProgress || got.EndTime == 0 ||
		len(got.Subsegments) != calls {
		t.Errorf("got %+v, want a complete subsegment GET with fault %t and %d calls", got, code != "", calls)
	}
}

func wantIDs(t *testing.T, line map[string]any) {
	t.Helper()
	if line["requestId"] != requesttest.RequestID || line["xrayTraceId"] != traceID || line["lambdaRequestId"] != "id" {
		t.Errorf("got line %v, want the request's ids", line)
	}
}

// Lambda ends a handler that hangs, without a response; its log line and trace are written before.
func TestTraceOfHandlerThatHangs(t *testing.T) {
	t.Parallel()
	daemon := tracingtest.Listen(t)
	f := startFunction(t, handlerVariable+"=hangs", "AWS_XRAY_DAEMON_ADDRESS="+daemon.Address())
	f.invoke(t, traceHeader, time.Second)
	wantSegment(t, decodeSegment(t, daemon.Next(t)), "InternalError", true, 1)
	log := lines(t, bytes.NewBufferString(<-f.stdout))
	if rest := f.stop(t); len(rest) > 0 || len(f.responses) > 0 {
		t.Errorf("got lines %v and %d responses, want none", rest, len(f.responses))
	}
	if len(log) != 1 || log[0]["message"] != "request" || log[0]["errorCode"] != "InternalError" ||
		log[0]["outcome"] != "Fault" {
		t.Errorf("got log %v, want the request with InternalError", log)
	}
	wantIDs(t, log[0])
}

// The messages of the X-Ray SDK are logged at DEBUG, with the ids of their request.
func TestSDKMessages(t *testing.T) {
	t.Parallel()
	daemon := tracingtest.Listen(t)
	address := daemon.Address()
	if err := daemon.Close(); err != nil {
		t.Fatal(err)
	}
	for level, logged := range map[string]bool{"DEBUG": true, "INFO": false} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			f := startFunction(t, "LOG_LEVEL="+level, "AWS_XRAY_DAEMON_ADDRESS="+address)
			requests, refused := 0, false
			for range 3 {
				f.invoke(t, traceHeader, 0)
				<-f.responses
			}
			for _, line := range f.stop(t) {
				message, _ := line["sdkMessage"].(string)
				switch {
				case line["message"] == "request":
					requests++
				case line["message"] != "x-ray sdk" || line["level"] != "DEBUG":
					t.Errorf("got line %v, want a request, or a message of the SDK at DEBUG", line)
				case strings.HasPrefix(message, "Emitter using address"), strings.HasPrefix(message, "using daemon endpoints"):
					continue // logged at init, outside a request
				}
				refused = refused || strings.Contains(message, "connection refused")
				wantIDs(t, line)
			}
			if requests != 3 || refused != logged {
				t.Errorf("got %d requests and connection refused logged: %t, want 3 and %t", requests, refused, logged)
			}
		})
	}
}
