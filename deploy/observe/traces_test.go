//nolint:paralleltest // the tests set the environment variables of the AWS SDK
package observe_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/aws/trace"
	"github.com/userrequestapi/userdata/deploy/observe"
	"github.com/userrequestapi/userdata/deploy/release/exitcode"
)

// summary adds a trace to X-Ray's index, in the form of GetTraceSummaries, and returns its ID.
func (f *fake) summary(start time.Time, change map[string]any) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := fmt.Sprintf("1-%08x-%024x", start.Unix(), len(f.summaries))
	service := []any{map[string]any{"Name": "UserRequestAPI-test/test", "Names": []string{"UserRequestAPI-test/test"}, "Type": "AWS::ApiGateway::Stage"}}
	text := func(value string) []any {
		return []any{map[string]any{"AnnotationValue": map[string]any{"StringValue": value}, "ServiceIds": service}}
	}
	s := map[string]any{
		"Id": id, "StartTime": trace.Seconds(start), "Duration": 0.051, "ResponseTime": 0.0482, "HasFault": false, "HasError": false, "HasThrottle": false,
		"IsPartial": false, "Revision": 2, "MatchedEventTime": trace.Seconds(start),
		"Http": map[string]any{
			"HttpURL": "https://api1.execute-api.eu-west-1.amazonaws.com/test/users/u-1?x=y", "HttpStatus": 200, "HttpMethod": "GET", "ClientIp": "192.0.2.1",
		},
		"Annotations": map[string]any{
			"Operation": text("getUser"), "Outcome": text("Success"), "Stage": text("test"),
			"ColdStart": []any{map[string]any{"AnnotationValue": map[string]any{"BooleanValue": false}, "ServiceIds": service}},
		},
		"EntryPoint": service[0], "ServiceIds": service,
	}
	maps.Copy(s, change)
	f.summaries = append(f.summaries, s)
	return id
}

func TestTraces(t *testing.T) {
	f := newFake(t)
	now := time.Now().Truncate(time.Second)
	at := func(ago time.Duration) time.Time { return now.Add(-ago) }
	ok := f.summary(at(time.Minute), nil)
	failed := f.summary(at(2*time.Minute), map[string]any{
		"HasFault": true, "HasThrottle": true, "ResponseTime": 1.5,
		"Http": map[string]any{"HttpURL": "https://x/test/users", "HttpStatus": 500, "HttpMethod": "POST"},
		"Annotations": map[string]any{
			"Operation": []any{map[string]any{"AnnotationValue": map[string]any{"StringValue": "createUser"}}},
			"ErrorCode": []any{map[string]any{"AnnotationValue": map[string]any{"StringValue": "StoreUnavailable"}}},
			"ColdStart": []any{map[string]any{"AnnotationValue": map[string]any{"BooleanValue": true}}},
		},
	})
	// The function timed out before it set annotations.
	timeout := f.summary(at(3*time.Minute), map[string]any{
		"HasFault": true, "IsPartial": true, "Annotations": map[string]any{},
		"Http": map[string]any{"HttpURL": "https://x/test/users/%1b%5B1m", "HttpStatus": 502, "HttpMethod": "GET"},
		"FaultRootCauses": []any{map[string]any{"Services": []any{map[string]any{"Name": "x", "EntityPath": []any{
			map[string]any{"Name": "x", "Exceptions": []any{map[string]any{"Name": "Sandbox.Timedout", "Message": "…"}}},
		}}}}},
	})
	refused := f.summary(at(4*time.Minute), map[string]any{
		"HasError": true, "Annotations": map[string]any{}, "Http": map[string]any{"HttpURL": "https://x/test/nothing", "HttpStatus": 404, "HttpMethod": "GET"},
	})
	f.summary(at(2*time.Hour), nil) // too long ago
	f.fail("TraceSummaries", http.StatusTooManyRequests, "ThrottledException", "Rate exceeded")

	shown, said, err := f.run(t.Context(), observe.Traces, observe.Settings{})
	if err != nil {
		t.Fatalf("error = %v, want none; progress:\n%s", err, said)
	}
	line := func(ago time.Duration, rest string) string { return at(ago).Format(time.Stamp) + "  " + rest + "\n" }
	want := "TIME             STATUS  METHOD  OPERATION            TOOK  TRACE\n" +
		line(time.Minute, "200     GET     getUser           48.2 ms  "+ok) +
		line(2*time.Minute, "500     POST    createUser      1500.0 ms  "+failed+"  StoreUnavailable, cold start, throttled") +
		line(3*time.Minute, "502     GET     -    48.2 ms  "+timeout+"  Sandbox.Timedout, incomplete") +
		line(4*time.Minute, "404     GET     -     48.2 ms  "+refused)
	if diff := cmp.Diff(columns(want), columns(shown)); diff != "" {
		t.Errorf("table (-want +got):\n%s\n%s", diff, shown)
	}
	if n := len(f.calls("TraceSummaries")); n != 3 { // a throttled request and two pages
		t.Errorf("%d searches, want 3", n)
	}

	shown, _, err = f.run(t.Context(), observe.Traces, observe.Settings{JSON: true, Limit: 2, Since: 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	var got []trace.Summary
	for encoded := range strings.Lines(shown) {
		var s trace.Summary
		if err := json.Unmarshal([]byte(encoded), &s); err != nil {
			t.Fatal(err)
		}
		got = append(got, s)
	}
	wantSummaries := []trace.Summary{
		{
			ID: ok, Start: at(time.Minute).UTC(), Duration: 48200 * time.Microsecond, Method: "GET", Status: 200, Operation: "getUser",
			Outcome: "Success", Stage: "test", Complete: true,
		},
		{
			ID: failed, Start: at(2 * time.Minute).UTC(), Duration: 1500 * time.Millisecond, Method: "POST", Status: 500,
			Operation: "createUser", ErrorCode: "StoreUnavailable", ColdStart: true, Fault: true, Throttle: true, Complete: true,
		},
	}
	if diff := cmp.Diff(wantSummaries, got); diff != "" {
		t.Errorf("summaries (-want +got):\n%s", diff)
	}
}

// columns parses a table whose columns are separated by two or more spaces.
func columns(table string) [][]string {
	var rows [][]string
	for line := range strings.Lines(table) {
		var row []string
		for text := range strings.SplitSeq(strings.TrimSpace(line), "  ") {
			if text = strings.TrimSpace(text); text != "" {
				row = append(row, text)
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// A long period is searched in parts, the latest first, until the limit is reached.
func TestTraces_LongPeriod(t *testing.T) {
	f := newFake(t)
	now := time.Now()
	recent := f.summary(now.Add(-5*time.Hour), nil)
	old := f.summary(now.Add(-17*time.Hour), nil)
	tests := []struct {
		limit, searches int
		want            []string
	}{
		{0, 4, []string{recent, old}}, {2, 3, []string{recent, old}}, {1, 1, []string{recent}},
	}
	for _, tt := range tests {
		t.Run(strconv.Itoa(tt.limit), func(t *testing.T) {
			before := len(f.calls("TraceSummaries"))
			shown, _, err := f.run(t.Context(), observe.Traces, observe.Settings{Since: 24 * time.Hour, Limit: tt.limit})
			if err != nil {
				t.Fatal(err)
			}
			var ids []string
			for _, row := range columns(shown)[1:] {
				ids = append(ids, row[len(row)-1])
			}
			if diff := cmp.Diff(tt.want, ids); diff != "" {
				t.Errorf("traces (-want +got):\n%s", diff)
			}
			searches := f.calls("TraceSummaries")[before:]
			if len(searches) != tt.searches {
				t.Errorf("%d searches, want %d", len(searches), tt.searches)
			}
			for i, s := range searches {
				if length := s["EndTime"].(float64) - s["StartTime"].(float64); length > 6*3600+1 {
					t.Errorf("search %d spans %.0f seconds, want at most six hours", i, length)
				}
				if i > 0 && s["EndTime"] != searches[i-1]["StartTime"] {
					t.Errorf("search %d ends at %v, want %v", i, s["EndTime"], searches[i-1]["StartTime"])
				}
			}
		})
	}
}

func TestTraces_Filter(t *testing.T) {
	f := newFake(t)
	const stage = `service(id(name: "UserRequestAPI-test/test", type: "AWS::ApiGateway::Stage"))`
	tests := []struct {
		name     string
		settings observe.Settings
		want     string
	}{
		{"all", observe.Settings{}, stage},
		{"fault", observe.Settings{Fault: true}, stage + " AND fault"},
		{"any", observe.Settings{Fault: true, Error: true, Throttle: true}, stage + " AND (error OR fault OR throttle)"},
		{"slow", observe.Settings{Slower: 500 * time.Millisecond}, stage + " AND responsetime > 0.5"},
		{"status", observe.Settings{Status: "404"}, stage + " AND http.status = 404"},
		{"class", observe.Settings{Status: "5xx"}, stage + " AND http.status >= 500 AND http.status < 600"},
		{
			"operation, cold", observe.Settings{Operation: "getUser", ColdStart: true, Error: true},
			stage + ` AND error AND annotation.ColdStart = true AND annotation.Operation = "getUser"`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			shown, said, err := f.run(t.Context(), observe.Traces, tt.settings)
			if err != nil || shown != "" || !strings.Contains(said, "no matching trace since") {
				t.Errorf("error = %v, shown %q, progress:\n%s\nwant no error, no trace and a note", err, shown, said)
			}
			calls := f.calls("TraceSummaries")
			if got := calls[len(calls)-1]["FilterExpression"]; got != tt.want {
				t.Errorf("filter expression\n%s, want\n%s", got, tt.want)
			}
		})
	}
	_, _, err := f.run(t.Context(), observe.Traces, observe.Settings{Since: 31 * 24 * time.Hour})
	if code(err) != exitcode.Settings || !strings.Contains(err.Error(), "30 days") {
		t.Errorf("longer than the retention: error = %v with code %d, want code %d", err, code(err), exitcode.Settings)
	}
}

// request is a request that was traced two days ago.
type request struct {
	began time.Time
	id    string // of its trace
}

func newRequest() request {
	began := time.Now().Add(-48 * time.Hour).Truncate(time.Second).Add(831 * time.Millisecond)
	return request{began, fmt.Sprintf("1-%08x-0123456789abcdef01234567", began.Unix())}
}

// at returns the time after some milliseconds of the request, in the format of documents.
func (r request) at(after int) float64 {
	return trace.Seconds(r.began.Add(time.Duration(after) * time.Millisecond))
}

// documents returns the segment documents of a cold start with a DynamoDB timeout, as from BatchGetTraces: the
// function's subsegments are in its segment, and the table's segment is inferred.
func (r request) documents() []string {
	stage := fmt.Sprintf(`{"id": "1000000000000001", "name": "UserRequestAPI-test/test", "trace_id": %q, "start_time": %[2]f, "end_time": %[3]f, "fault": true,
		"origin": "AWS::ApiGateway::Stage", "http": {"request": {"url": "https://api1.execute-api.eu-west-1.amazonaws.com/test/users", "method": "POST",
		"client_ip": "192.0.2.1", "x_forwarded_for": true}, "response": {"status": 500, "content_length": 0}},
		"aws": {"account_id": "123456789012", "api_gateway": {"account_id": "123456789012", "rest_api_id": "api1", "stage": "test", "request_id": "r-1"}},
		"subsegments": [{"id": "1000000000000002", "name": "Lambda", "start_time": %[4]f, "end_time": %[5]f, "namespace": "aws",
		"http": {"request": {"url": "https://lambda.eu-west-1.amazonaws.com/2015-03-31/functions/x/invocations", "method": "POST"}, "response": {"status": 200}},
		"aws": {"operation": "Invoke", "function_name": "UserRequestAPI-test-post"}}]}`,
		r.id, r.at(0), r.at(400), r.at(2), r.at(398))
	lambda := fmt.Sprintf(`{"id": "2000000000000001", "name": "UserRequestAPI-test-post", "trace_id": %q, "parent_id": "1000000000000002", "start_time": %[2]f,
		"end_time": %[3]f, "origin": "AWS::Lambda", "http": {"response": {"status": 200}}, "aws": {"request_id": "l-1"}}`,
		r.id, r.at(10), r.at(390))
	function := fmt.Sprintf(`{"id": "3000000000000001", "name": "UserRequestAPI-test-post", "trace_id": %q, "parent_id": "2000000000000001", "start_time": %[2]f,
		"end_time": %[3]f, "origin": "AWS::Lambda::Function", "aws": {"function_arn": "arn:aws:lambda:eu-west-1:123456789012:function:UserRequestAPI-test-post"},
		"subsegments": [
		{"id": "3000000000000002", "name": "Initialization", "start_time": %[4]f, "end_time": %[5]f},
		{"id": "3000000000000003", "name": "Invocation", "start_time": %[6]f, "end_time": %[7]f, "subsegments": [
		{"id": "3000000000000005", "name": "createUser", "start_time": %[6]f, "end_time": %[8]f, "fault": true,
		"annotations": {"Operation": "createUser", "Outcome": "Failure", "ErrorCode": "StoreUnavailable", "ColdStart": true, "Service": "UserRequestAPI"},
		"cause": {"working_directory": "/var/task", "exceptions": [{"id": "3000000000000009", "type": "StoreUnavailable", "message": "create user:\ntimeout"}]},
		"subsegments": [{"id": "3000000000000006", "name": "DynamoDB", "start_time": %[9]f, "end_time": %[8]f, "namespace": "aws", "fault": true,
		"aws": {"operation": "PutItem", "table_name": "UserData-test", "region": "eu-west-1", "request_id": "d-1", "retries": 2}}]}]},
		{"id": "3000000000000004", "name": "Overhead", "start_time": %[7]f, "end_time": %[3]f}]}`,
		r.id, r.at(120), r.at(385), r.at(20), r.at(110), r.at(121), r.at(381), r.at(380), r.at(130))
	table := fmt.Sprintf(`{"id": "4000000000000001", "name": "UserData-test", "trace_id": %q, "parent_id": "3000000000000006", "start_time": %[2]f,
		"end_time": %[3]f, "inferred": true, "fault": true, "origin": "AWS::DynamoDB::Table"}`, r.id, r.at(130), r.at(380))
	return []string{function, table, stage, lambda}
}

// linesOf adds the log lines of the request.
func (f *fake) linesOf(r request) {
	at := func(after time.Duration) time.Time { return r.began.Add(after) }
	f.log(putGroup, at(0), `{"level":"INFO","message":"request","requestId":"r-9","xrayTraceId":"1-`+r.id[2:10]+`-999999999999999999999999"}`)
	f.log(getGroup, at(121*time.Millisecond), `{"time":"2026-11-22T19:16:40.952Z","type":"platform.start","record":{"requestId":"l-1","version":"3"}}`)
	f.log(getGroup, at(380*time.Millisecond), `{"level":"ERROR","timestamp":"2026-11-22T19:16:41.211Z","message":"request","requestId":"r-1",`+
		`"lambdaRequestId":"l-1","xrayTraceId":"`+r.id+`","function":"UserRequestAPI-test-post","method":"POST","route":"/users","status":500,`+
		`"durationMs":259.1,"coldStart":true,"errorCode":"StoreUnavailable"}`)
	f.log(getGroup, at(382*time.Millisecond), `{"time":"2026-11-22T19:16:41.213Z","type":"platform.report","record":{"requestId":"l-1","status":"success",`+
		`"metrics":{"durationMs":261.02,"billedDurationMs":352,"memorySizeMB":256,"maxMemoryUsedMB":31,"initDurationMs":90.1}}}`)
	f.log(accessGroup, at(400*time.Millisecond), `{"requestId":"r-1","xrayTraceId":"`+r.id+`","httpMethod":"POST","resourcePath":"/users","status":"500",`+
		`"responseLatency":"400","integrationRequestId":"l-1","errorResponseType":"-"}`)
	f.log(executionGroup, at(399*time.Millisecond), "(r-1) Method completed with status: 500")
}

func TestTrace(t *testing.T) {
	f, r := newFake(t), newRequest()
	f.documents[r.id] = r.documents()
	f.linesOf(r)
	clock := func(after time.Duration) string { return r.began.Add(after).Format("Jan _2 15:04:05.000") }
	want := "Trace " + r.id + "  " + r.began.Format("2006-01-02 15:04:05.000") + "  POST  createUser  500  400.0 ms  StoreUnavailable, cold start\n" +
		`ColdStart=true  ErrorCode=StoreUnavailable  Operation=createUser  Outcome=Failure  Service=UserRequestAPI

UserRequestAPI-test/test ApiGateway::Stage         +0.0 ms  400.0 ms  500  fault
└ Lambda Invoke                                    +2.0 ms  396.0 ms  200
  └ UserRequestAPI-test-post Lambda               +10.0 ms  380.0 ms  200
    └ UserRequestAPI-test-post Lambda::Function  +120.0 ms  265.0 ms
      ├ Initialization                            +20.0 ms   90.0 ms  cold start
      ├ Invocation                               +121.0 ms  260.0 ms
      │ └ createUser                             +121.0 ms  259.0 ms  fault
      │   │ StoreUnavailable: create user: timeout
      │   └ DynamoDB PutItem UserData-test       +130.0 ms  250.0 ms  2 retries  fault
      └ Overhead                                 +381.0 ms    4.0 ms

` + clock(380*time.Millisecond) + ` get        ERROR  POST  /users  500  259.1 ms  cold start  StoreUnavailable  lambdaRequestId=l-1  requestId=r-1  xrayTraceId=` + r.id + "\n" +
		clock(382*time.Millisecond) + " get        REPORT  261.02 ms  init 90.1 ms  31 of 256 MB  requestId=l-1\n" +
		clock(399*time.Millisecond) + " execution  (r-1) Method completed with status: 500\n" +
		clock(400*time.Millisecond) + " access     ERROR  POST  /users  500  400 ms  integrationRequestId=l-1  requestId=r-1  xrayTraceId=" + r.id + "\n"
	shown, said, err := f.run(t.Context(), observe.Traces, observe.Settings{TraceID: r.id, Width: 80})
	if err != nil {
		t.Fatalf("error = %v, want none; progress:\n%s", err, said)
	}
	if diff := cmp.Diff(want, shown); diff != "" {
		t.Errorf("trace (-want +got):\n%s", diff)
	}

	// A wide terminal has room for the timeline.
	shown, _, err = f.run(t.Context(), observe.Traces, observe.Settings{TraceID: r.id, Width: 132, Color: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		"\x1b[31mUserRequestAPI-test/test ApiGateway::Stage\x1b[0m   ", "\x1b[31m" + strings.Repeat("━", 43) + "\x1b[0m", "\x1b[33mcold start\x1b[0m",
		"\x1b[31mStoreUnavailable: create user: timeout\x1b[0m", "  \x1b[31m" + strings.Repeat("━", 27) + "\x1b[0m     \x1b[33m2 retries\x1b[0m",
	} {
		if !strings.Contains(shown, part) {
			t.Errorf("shown:\n%s\nwant %q in it", shown, part)
		}
	}

	shown, _, err = f.run(t.Context(), observe.Traces, observe.Settings{TraceID: r.id, JSON: true})
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Summary   trace.Summary
		Documents []trace.Document
		Lines     []map[string]any
	}
	if err := json.Unmarshal([]byte(shown), &got); err != nil {
		t.Fatal(err)
	}
	if got.Summary.ErrorCode != "StoreUnavailable" || len(got.Documents) != 4 || len(got.Lines) != 5 || got.Lines[0]["type"] != "platform.start" {
		t.Errorf("as JSON:\n%s\nwant 4 documents, and 5 lines from platform.start on", shown)
	}
}

func TestTrace_Partial(t *testing.T) {
	f, r := newFake(t), newRequest()
	f.documents[r.id] = []string{
		fmt.Sprintf(`{"id": "3000000000000005", "name": "getUser", "trace_id": %q, "type": "subsegment", "parent_id": "3000000000000001", "start_time": %f,
			"in_progress": true}`, r.id, r.at(0)),
	}
	shown, said, err := f.run(t.Context(), observe.Traces, observe.Settings{TraceID: r.id})
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"incomplete\n", "getUser", "in progress  parent is missing"} {
		if !strings.Contains(shown, part) {
			t.Errorf("shown:\n%s\nwant %q in it", shown, part)
		}
	}
	if !strings.Contains(said, "the logs have no line about this trace") {
		t.Errorf("progress:\n%s\nwant a note that the logs have no line", said)
	}
}

// If X-Ray or the logs cannot be read, Trace shows the other.
func TestTrace_Unreadable(t *testing.T) {
	const tree, line, lines = "Trace 1-", "Method completed with status", `"lines":[]`
	tests := []struct {
		name, operation    string
		settings           observe.Settings
		wantShown, wantErr string
		not                string // not in the output
	}{
		{"the logs", "FilterLogEvents", observe.Settings{}, tree, "search the log group", line},
		{"the logs, as JSON", "FilterLogEvents", observe.Settings{JSON: true}, lines, "search the log group", line},
		{"X-Ray", "Traces", observe.Settings{}, line, "get the trace", tree},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, r := newFake(t), newRequest()
			f.documents[r.id] = r.documents()
			f.linesOf(r)
			for range 4 { // there are four log groups
				f.fail(tt.operation, http.StatusForbidden, "AccessDeniedException", "no")
			}
			tt.settings.TraceID = r.id
			shown, said, err := f.run(t.Context(), observe.Traces, tt.settings)
			if !strings.Contains(shown, tt.wantShown) || strings.Contains(shown, tt.not) {
				t.Errorf("shown: %s\nsaid: %s\nwant %q and not %q", shown, said, tt.wantShown, tt.not)
			}
			if code(err) != exitcode.Account || !strings.Contains(err.Error(), tt.wantErr) {
				t.Errorf("error = %v with code %d, want %q with code %d", err, code(err), tt.wantErr, exitcode.Account)
			}
		})
	}
}

func TestTrace_Absent(t *testing.T) {
	r := newRequest()
	tests := []struct {
		name  string
		id    string
		setUp func(*fake)
		shown bool // the output has lines
		want  []string
	}{
		{name: "unknown", id: r.id, want: []string{"X-Ray has no trace " + r.id, "sampled", "no line about it either"}},
		{
			name: "not sampled", id: r.id, setUp: func(f *fake) { f.linesOf(r) }, shown: true,
			want: []string{"X-Ray has no trace " + r.id, "its log lines are above"},
		},
		{
			name: "not indexed", id: r.id, setUp: func(f *fake) { f.indexed = false },
			want: []string{"X-Ray has no trace " + r.id, "Transaction Search is on"},
		},
		{
			name: "no permission to check the index", id: r.id,
			setUp: func(f *fake) {
				f.fail("GetTraceSegmentDestination", http.StatusForbidden, "AccessDeniedException", "no")
			},
			want: []string{"X-Ray has no trace " + r.id},
		},
		{name: "too old", id: "1-50000000-0123456789abcdef01234567", want: []string{"kept for 30 days"}},
		{name: "not processed", id: r.id, setUp: func(f *fake) { f.unread = []string{r.id} }, want: []string{"has not processed"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			if tt.setUp != nil {
				tt.setUp(f)
			}
			shown, _, err := f.run(t.Context(), observe.Traces, observe.Settings{TraceID: tt.id})
			if code(err) != exitcode.Failed {
				t.Fatalf("error = %v with code %d, want code %d", err, code(err), exitcode.Failed)
			}
			for _, part := range tt.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error = %v, want %q in it", err, part)
				}
			}
			if (shown != "") != tt.shown {
				t.Errorf("shown: %q, want lines: %t", shown, tt.shown)
			}
		})
	}
}
