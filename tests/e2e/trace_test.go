package e2e_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/local"
	"github.com/userrequestapi/userdata/shared/tracing/tracingtest"
	"github.com/userrequestapi/userdata/tests/stacktest"
)

// daemon is where the functions of a stack send their subsegments.
type daemon struct{ tracingtest.Daemon }

func newDaemon(t *testing.T) daemon {
	t.Helper()
	return daemon{tracingtest.Listen(t)}
}

func (d daemon) with(cfg *local.Config) { cfg.XRayDaemonAddress = d.Address() }

// segment is what these tests look at in a subsegment document.
type segment struct {
	Name        string         `json:"name"`
	Type        string         `json:"type"`
	TraceID     string         `json:"trace_id"`
	ParentID    string         `json:"parent_id"`
	StartTime   float64        `json:"start_time"`
	EndTime     float64        `json:"end_time"`
	Namespace   string         `json:"namespace"`
	Error       bool           `json:"error"`
	Fault       bool           `json:"fault"`
	Annotations map[string]any `json:"annotations"`
	AWS         map[string]any `json:"aws"`
	Subsegments []segment      `json:"subsegments"`
}

// receivedSegment returns the one document that was sent since the last call.
func (d daemon) receivedSegment(t *testing.T) segment {
	t.Helper()
	payloads := d.Received(t)
	if len(payloads) != 1 {
		t.Fatalf("got %d documents, want 1: %q", len(payloads), payloads)
	}
	header, document, _ := strings.Cut(payloads[0], "\n")
	if header != `{"format": "json", "version": 1}` {
		t.Errorf("the header of the document is %q", header)
	}
	var s segment
	if err := json.Unmarshal([]byte(document), &s); err != nil {
		t.Fatalf("document %s: %v", document, err)
	}
	return s
}

// traceFields returns the fields of an X-Amzn-Trace-Id.
func traceFields(header string) map[string]string {
	fields := map[string]string{}
	for field := range strings.SplitSeq(header, ";") {
		name, value, _ := strings.Cut(field, "=")
		fields[name] = value
	}
	return fields
}

// TestTraces looks at what the functions tell X-Ray of each kind of request.
func TestTraces(t *testing.T) {
	t.Parallel()
	xray := newDaemon(t)
	s := stacktest.Start(t, xray.with)
	stage := s.URL[strings.LastIndexByte(s.URL, '/')+1:]
	for _, test := range []struct { // in this order
		method, path, body string
		headers            stacktest.Headers
		status             int
		operation, code    string
		cold               bool
		calls              []string
	}{
		{"POST", "/users", `{"userId": "` + marked + `", "name": "` + marked + `"}`, nil, 201, "createUser", "", true, []string{"PutItem"}},
		{"POST", "/users", `{"userId": "` + marked + `"}`, nil, 409, "createUser", "UserExists", false, []string{"PutItem"}},
		{"POST", "/users", `{"` + marked + `": 1e126}`, nil, 400, "createUser", "InvalidUser", false, nil},
		{"GET", "/users/" + marked, "", nil, 200, "getUser", "", true, []string{"GetItem"}},
		{"GET", "/users?userId=" + marked, "", nil, 200, "getUsers", "", false, []string{"GetItem"}},
		{"GET", "/users?userId=not-" + marked, "", nil, 404, "getUsers", "UserNotFound", false, []string{"GetItem"}},
		{"HEAD", "/users", "", nil, 200, "headUsers", "", false, []string{"Scan"}},
		{"PUT", "/users/" + marked, `{"email": "` + marked + `@example.org"}`, nil, 200, "replaceUser", "", true, []string{"GetItem", "PutItem"}},
		{"PUT", "/users?userId=" + marked, `{}`, ifMatch(`"` + marked + `"`), 412, "replaceUserByQuery", "PreconditionFailed", false,
			[]string{"GetItem"}},
		{"DELETE", "/users/" + marked, "", nil, 204, "deleteUser", "", true, []string{"GetItem", "DeleteItem"}},
	} {
		r := s.Do(t, test.method, test.path, test.body, test.headers).Want(t, test.status)
		sent := traceFields(r.Header.Get("X-Amzn-Trace-Id"))
		got := xray.receivedSegment(t)
		annotations := map[string]any{
			"Service": "UserRequestAPI", "Stage": stage, "Version": "$LATEST", "Operation": test.operation, "Outcome": "Success",
			"ColdStart": test.cold,
		}
		if test.code != "" {
			annotations["Outcome"], annotations["ErrorCode"] = "Error", test.code
		}
		want := segment{
			Name: test.operation, Type: "subsegment", TraceID: sent["Root"], ParentID: sent["Parent"],
			Error: test.code != "", Annotations: annotations,
		}
		calls := got.Subsegments
		if got.StartTime <= 0 || got.EndTime < got.StartTime {
			t.Errorf("%s: from %f to %f", test.operation, got.StartTime, got.EndTime)
		}
		got.StartTime, got.EndTime, got.Subsegments = 0, 0, nil
		if d := gocmp.Diff(want, got); d != "" {
			t.Errorf("%s %s: the handler's subsegment (-want +got):\n%s", test.method, test.path, d)
		}
		var operations []string
		for _, call := range calls {
			operations = append(operations, fmt.Sprint(call.AWS["operation"]))
			if call.Name != "DynamoDB" || call.Namespace != "aws" || call.AWS["table_name"] != s.TableName {
				t.Errorf("%s %s: the subsegment of a call is %s in %s about the table %v, want DynamoDB in aws about %s",
					test.method, test.path, call.Name, call.Namespace, call.AWS["table_name"], s.TableName)
			}
		}
		if !slices.Equal(test.calls, operations) {
			t.Errorf("%s %s: calls %v, want %v", test.method, test.path, operations, test.calls)
		}
	}
}

// TestTracesOfCallers is about requests that belong to a trace already, which the caller samples or not.
func TestTracesOfCallers(t *testing.T) {
	t.Parallel()
	xray := newDaemon(t)
	s := stacktest.Start(t, xray.with)
	const root = "1-5759e988-bd862e3fe1be46a994272793"
	trace := func(sampled string) stacktest.Headers {
		return stacktest.Headers{"X-Amzn-Trace-Id": "Root=" + root + ";Parent=53995c3f42cd8ad8;Sampled=" + sampled}
	}
	r := s.Do(t, "POST", "/users", `{"userId": "ada"}`, trace("0")).Want(t, 201)
	if got := traceFields(r.Header.Get("X-Amzn-Trace-Id")); got["Root"] != root || got["Sampled"] != "0" {
		t.Errorf("answered with the trace %v, want the caller's", got)
	}
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		body := ""
		if method == "PUT" {
			body = `{}`
		}
		s.Do(t, method, "/users/ada", body, trace("0"))
	}
	if got := xray.Received(t); len(got) > 0 {
		t.Errorf("sent of traces that are not sampled: %q", got)
	}

	s.Do(t, "POST", "/users", `{"userId": "ada"}`, trace("1")).Want(t, 201)
	if got := xray.receivedSegment(t); got.TraceID != root {
		t.Errorf("the subsegment is in the trace %s, want the caller's, %s", got.TraceID, root)
	}
}

// TestTracesHoldNothingPersonal sends marked values and looks for them in all that is sent to X-Ray.
func TestTracesHoldNothingPersonal(t *testing.T) {
	t.Parallel()
	xray := newDaemon(t)
	s := stacktest.Start(t, xray.with)
	if sendMarked(t, s) == 0 {
		t.Fatal("no requests")
	}
	payloads := xray.Received(t)
	if len(payloads) == 0 {
		t.Error("nothing was sent")
	}
	for _, payload := range payloads {
		if isMarked(payload) {
			t.Errorf("personal data was sent: %s", payload)
		}
	}
}
