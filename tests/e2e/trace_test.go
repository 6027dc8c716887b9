package e2e_test

import (
	"encoding/json"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/deploy/local/xray"
	"github.com/userrequestapi/userdata/shared/user/usertest"
)

// traceFields returns the fields of an X-Amzn-Trace-Id.
func traceFields(header string) map[string]string {
	fields := map[string]string{}
	for field := range strings.SplitSeq(header, ";") {
		name, value, _ := strings.Cut(field, "=")
		fields[name] = value
	}
	return fields
}

// tree returns the expected trace of a request that a function handled.
func tree(function, status, handler string, cold bool, calls ...string) string {
	start := "ColdStart=false"
	lines := []string{
		"UserRequestAPI-STAGE/STAGE AWS::ApiGateway::Stage " + status,
		"  Lambda Invoke 200",
		"    UserRequestAPI-STAGE-" + function + " AWS::Lambda 200",
		"      UserRequestAPI-STAGE-" + function + " AWS::Lambda::Function",
	}
	if cold {
		start = "ColdStart=true"
		lines = append(lines, "        Initialization")
	}
	lines = append(lines, "        Invocation", "        "+strings.Replace(handler, "COLD", start, 1))
	for _, call := range calls {
		lines = append(lines, "          DynamoDB "+strings.Replace(call, " ", " TABLE ", 1))
	}
	return strings.Join(append(lines, "        Overhead"), "\n")
}

// TestTraces checks the trace of each kind of request.
func TestTraces(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	stage := s.Stage()
	for _, test := range []struct { // in this order
		method, path, body string
		headers            stacktest.Headers
		status             int
		operation          string
		want               string
	}{
		{"POST", "/users", usertest.Body(t, `{"userId": "`+marked+`", "name": "`+marked+`"}`), nil, 201, "createUser",
			tree("post", "201", "createUser Outcome=Success COLD", true, "PutItem 200")},
		{"POST", "/users", usertest.Body(t, `{"userId": "`+marked+`"}`), nil, 409, "createUser",
			tree("post", "409 error", "createUser Outcome=Error ErrorCode=UserExists COLD error cause:UserExists", false,
				"PutItem 400 error cause:ConditionalCheckFailedException")},
		{"POST", "/users", `{"` + marked + `": 1e126}`, nil, 400, "createUser",
			tree("post", "400 error", "createUser Outcome=Error ErrorCode=InvalidUser COLD error cause:InvalidUser", false)},
		{"GET", "/users/" + marked, "", nil, 200, "getUser", tree("get", "200", "getUser Outcome=Success COLD", true, "GetItem 200")},
		{"GET", "/users?userId=" + marked, "", nil, 200, "getUsers", tree("get", "200", "getUsers Outcome=Success COLD", false, "GetItem 200")},
		{"GET", "/users?userId=not-" + marked, "", nil, 404, "getUsers",
			tree("get", "404 error", "getUsers Outcome=Error ErrorCode=UserNotFound COLD error cause:UserNotFound", false, "GetItem 200")},
		{"HEAD", "/users", "", nil, 200, "headUsers", tree("get", "200", "headUsers Outcome=Success COLD", false, "Scan 200")},
		{"PUT", "/users/" + marked, usertest.Body(t, `{"email": "`+marked+`@example.org"}`), nil, 200, "replaceUser",
			tree("put", "200", "replaceUser Outcome=Success COLD", true, "GetItem 200", "PutItem 200")},
		{"PUT", "/users?userId=" + marked, `{}`, ifMatch(`"` + marked + `"`), 412, "replaceUserByQuery",
			tree("put", "412 error", "replaceUserByQuery Outcome=Error ErrorCode=PreconditionFailed COLD error cause:PreconditionFailed", false,
				"GetItem 200")},
		{"DELETE", "/users/" + marked, "", nil, 204, "deleteUser",
			tree("delete", "204", "deleteUser Outcome=Success COLD", true, "GetItem 200", "DeleteItem 200")},
	} {
		r := s.Do(t, test.method, test.path, test.body, test.headers).Want(t, test.status)
		id := traceFields(r.Header.Get("X-Amzn-Trace-Id"))["Root"]
		s.WantTrace(t, id, test.want)
		detail, _ := s.Collector.Trace(id)
		for _, span := range detail.Trace.Walk {
			if span.Name != test.operation {
				continue
			}
			got := map[string]any{}
			for _, key := range []string{"Service", "Stage", "Version", "Operation"} {
				got[key] = span.Annotations[key]
			}
			want := map[string]any{"Service": "UserRequestAPI", "Stage": stage, "Version": "$LATEST", "Operation": test.operation}
			if d := gocmp.Diff(want, got); d != "" {
				t.Errorf("%s %s: annotations (-want +got):\n%s", test.method, test.path, d)
			}
		}
	}
}

// TestTracesOfCallers checks requests with a trace of the caller, sampled or not.
func TestTracesOfCallers(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	const parent = "53995c3f42cd8ad8"
	decided := func(sampled string) (id string, header stacktest.Headers) {
		id, _ = stacktest.NewTrace()
		return id, stacktest.Headers{"X-Amzn-Trace-Id": "Root=" + id + ";Parent=" + parent + ";Sampled=" + sampled}
	}
	unwanted, header := decided("0")
	r := s.Do(t, "POST", "/users", usertest.Body(t, `{"userId": "ada"}`), header).Want(t, 201)
	if got := traceFields(r.Header.Get("X-Amzn-Trace-Id")); got["Root"] != unwanted || got["Sampled"] != "0" {
		t.Errorf("trace in the response = %v, want the caller's", got)
	}
	s.Do(t, "GET", "/users/ada", "", header).Want(t, 200)
	s.Do(t, "PUT", "/users/ada", usertest.Body(t, `{}`), header).Want(t, 200)
	s.Do(t, "DELETE", "/users/ada", "", header).Want(t, 204)

	wanted, header := decided("1")
	s.Do(t, "GET", "/users/ada", "", header).Want(t, 404)
	whole := tree("get", "404 error", "getUser Outcome=Error ErrorCode=UserNotFound COLD error cause:UserNotFound", false, "GetItem 200")
	s.WantTrace(t, wanted, strings.Replace(whole, "STAGE/STAGE", "STAGE/STAGE (of a caller)", 1))
	if detail, _ := s.Collector.Trace(wanted); detail.Trace.Roots[0].ParentID != parent {
		t.Errorf("parent = %s, want the caller's, %s", detail.Trace.Roots[0].ParentID, parent)
	}
	if _, ok := s.Collector.Trace(unwanted); ok || len(s.Collector.Traces(xray.Filter{})) != 1 {
		t.Errorf("got %d traces, want only the sampled one", len(s.Collector.Traces(xray.Filter{})))
	}
}

// TestSampling checks requests without a sampling decision, for which the stage's sampling rule decides.
func TestSampling(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t, stacktest.Parameters(map[string]string{"TracingReservoir": "0", "TracingSamplingRate": "0"}))
	r := s.Do(t, "GET", "/users", "").Want(t, 200)
	if got := traceFields(r.Header.Get("X-Amzn-Trace-Id"))["Sampled"]; got != "0" {
		t.Errorf("Sampled=%s, want 0", got)
	}
	id, header := stacktest.NewTrace() // sampled by the caller
	s.Do(t, "GET", "/users", "", header).Want(t, 200)
	s.WantTrace(t, id, tree("get", "200", "getUsers Outcome=Success COLD", false, "Scan 200"))
	if all := s.Collector.Traces(xray.Filter{}); len(all) != 1 {
		t.Errorf("got %d traces, want only the sampled one", len(all))
	}
}

// TestNoPersonalDataCollected sends marked values and searches all traces, logs and metrics for them.
func TestNoPersonalDataCollected(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	if sendMarked(t, s) == 0 {
		t.Fatal("got no requests, want some")
	}
	id, header := stacktest.NewTrace()
	s.Do(t, "GET", "/users?limit=1", "", header).Want(t, 200)
	s.WantTrace(t, id, tree("get", "200", "getUsers Outcome=Success COLD", false, "Scan 200")) // all earlier traces are complete, too
	wantNoPersonalData(t, s)
}

// wantNoPersonalData searches all traces and log lines for marked values.
func wantNoPersonalData(t *testing.T, s *stacktest.TestStack) {
	t.Helper()
	collected := s.AccessLog()
	for _, line := range s.Collector.Lines(xray.LineFilter{}) {
		collected = append(collected, line.Text)
	}
	traces := s.Collector.Traces(xray.Filter{})
	for _, summary := range traces {
		detail, _ := s.Collector.Trace(summary.ID)
		encoded, err := json.Marshal(detail)
		if err != nil {
			t.Fatal(err)
		}
		collected = append(collected, string(encoded))
	}
	if len(traces) == 0 || len(s.AccessLog()) == 0 || len(collected) < 3*len(traces) {
		t.Errorf("got %d traces, %d lines of the access log, %d strings in total, want some of each kind",
			len(traces), len(s.AccessLog()), len(collected))
	}
	for _, str := range collected {
		if isMarked(str) {
			t.Errorf("got %s, want no personal data", str)
		}
	}
}
