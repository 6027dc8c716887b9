package trace_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/aws/trace"
)

// raw returns the documents in a file of testdata.
func raw(tb testing.TB, name string) []json.RawMessage {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	var list []json.RawMessage
	if err := json.Unmarshal(data, &list); err != nil {
		tb.Fatal(err)
	}
	return list
}

func documents(tb testing.TB, name string) []trace.Document {
	tb.Helper()
	var list []trace.Document
	for _, data := range raw(tb, name) {
		d, err := trace.Parse(data)
		if err != nil {
			tb.Fatal(err)
		}
		list = append(list, d)
	}
	return list
}

// assemble assembles documents into traces, in the order of each trace's first document.
func assemble(documents []trace.Document) []*trace.Trace {
	byID := map[string][]trace.Document{}
	var ids []string
	for _, d := range documents {
		if byID[d.TraceID] == nil {
			ids = append(ids, d.TraceID)
		}
		byID[d.TraceID] = append(byID[d.TraceID], d)
	}
	var traces []*trace.Trace
	for _, id := range ids {
		traces = append(traces, trace.New(id, byID[id]))
	}
	return traces
}

// outline returns an indented line for each span of a trace, with "?" for orphans.
func outline(traced *trace.Trace) string {
	var b strings.Builder
	for depth, s := range traced.Walk {
		fmt.Fprintf(&b, "%s%s", strings.Repeat("  ", depth), s.Name)
		if s.Origin != "" {
			fmt.Fprintf(&b, " (%s)", s.Origin)
		}
		if s.Orphan {
			b.WriteString(" ?")
		}
		b.WriteByte('\n')
	}
	return b.String()
}

const created = `user-request-api-prod/prod (AWS::ApiGateway::Stage)
  Lambda
    user-request-api-prod-post (AWS::Lambda)
      user-request-api-prod-post (AWS::Lambda::Function)
        Initialization
        Invocation
        createUser
          DynamoDB
            attempt 1
            attempt 2
        Overhead
`

func TestNew(t *testing.T) {
	t.Parallel()
	d := documents(t, "create.json")
	for name, order := range map[string][]trace.Document{
		"in order":        d,
		"reversed":        {d[3], d[2], d[1], d[0]},
		"with duplicates": {d[1], d[0], d[1], d[3], d[2], d[0]},
		"in progress":     append(slices.Clone(d), trace.Document{ID: d[3].ID, TraceID: d[3].TraceID, InProgress: true}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			traces := assemble(order)
			if len(traces) != 1 || traces[0].ID != d[0].TraceID {
				t.Fatalf("%d traces, want 1", len(traces))
			}
			if diff := cmp.Diff(created, outline(traces[0])); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	if got := assemble(nil); len(got) != 0 {
		t.Errorf("traces without documents = %v, want none", got)
	}
	traces := assemble(append(documents(t, "timeout.json"), d...))
	if len(traces) != 2 || traces[1].ID != d[0].TraceID {
		t.Errorf("%d traces, want 2", len(traces))
	}
}

func TestNew_InvalidParents(t *testing.T) {
	t.Parallel()
	const id = "1-68a0c1d2-0123456789abcdef01234567"
	segment := func(name, parent string, start float64, embedded ...trace.Document) trace.Document {
		return trace.Document{Name: name, ID: name, ParentID: parent, TraceID: id, StartTime: start, EndTime: start + 1, Subsegments: embedded}
	}
	for name, test := range map[string]struct {
		documents []trace.Document
		want      string
	}{
		"missing parent":               {[]trace.Document{segment("b", "a", 2), segment("c", "", 1)}, "c\nb ?\n"},
		"its own parent":               {[]trace.Document{segment("a", "a", 1), segment("b", "a", 2)}, "a ?\n  b\n"},
		"cycle":                        {[]trace.Document{segment("a", "c", 1), segment("b", "a", 2), segment("c", "b", 3)}, "b ?\n  c\n    a\n"},
		"cycle with a child":           {[]trace.Document{segment("a", "b", 1), segment("b", "a", 2), segment("c", "a", 3)}, "b ?\n  a\n    c\n"},
		"embedded in itself":           {[]trace.Document{segment("a", "", 1, segment("a", "", 2))}, "a ?\n"},
		"embedded in each other":       {[]trace.Document{segment("a", "", 1, segment("b", "", 2)), segment("b", "", 2, segment("a", "", 1))}, "b\n  a\n"},
		"embedded and independent":     {[]trace.Document{segment("b", "a", 2), segment("a", "", 1, segment("b", "", 2))}, "a\n  b\n"},
		"embedded with another parent": {[]trace.Document{segment("a", "", 1, segment("b", "x", 2, segment("c", "x", 3)))}, "a\n  b\n    c\n"},
		"children by start time":       {[]trace.Document{segment("a", "", 1), segment("c", "a", 3), segment("b", "a", 2)}, "a\n  b\n  c\n"},
		"no documents":                 {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, outline(trace.New(id, test.documents))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestNew_Deep assembles the worst case of a long chain, which must take about linear time.
func TestNew_Deep(t *testing.T) {
	t.Parallel()
	const spans = 20_000
	chain := make([]trace.Document, spans)
	for i := range chain {
		chain[i] = trace.Document{ID: strconv.Itoa(i + 1), ParentID: strconv.Itoa((i + 1) % spans), StartTime: 1, EndTime: 2}
	}
	backwards := slices.Clone(chain)
	slices.Reverse(backwards)
	for _, documents := range [][]trace.Document{chain, backwards} {
		traced := trace.New("", documents)
		if got := traced.Summary().Spans; got != spans {
			t.Errorf("%d spans, want %d", got, spans)
		}
		trace.NewMap([]*trace.Trace{traced})
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	traced := trace.New("", documents(t, "create.json"))
	start := time.Date(2025, 8, 16, 17, 37, 22, 100e6, time.UTC)
	if got := traced.Start(); !got.Equal(start) {
		t.Errorf("start %v, want %v", got, start)
	}
	if got := traced.Duration(); got != 250*time.Millisecond {
		t.Errorf("duration %v, want 250ms", got)
	}
	d := trace.Document{StartTime: trace.Seconds(start)}
	if !d.Start().Equal(start) || !d.End().IsZero() || d.Duration() != 0 {
		t.Errorf("in progress: start %v, end %v, duration %v; want %v, the zero time and 0", d.Start(), d.End(), d.Duration(), start)
	}
	d.EndTime = d.StartTime - 1
	if d.Duration() != 0 {
		t.Errorf("end before start: duration %v, want 0", d.Duration())
	}
	microsecond := time.Date(2026, 11, 23, 1, 2, 3, 456_789_000, time.UTC)
	d.StartTime = trace.Seconds(microsecond)
	if !d.Start().Equal(microsecond) {
		t.Errorf("start with microseconds %v, want %v", d.Start(), microsecond)
	}
	empty := trace.New("", nil)
	if !empty.Start().IsZero() || !empty.End().IsZero() || empty.Duration() != 0 {
		t.Errorf("without documents: from %v to %v, want the zero time for both", empty.Start(), empty.End())
	}
}

func TestWalk_Stops(t *testing.T) {
	t.Parallel()
	var names []string
	for _, s := range trace.New("", documents(t, "create.json")).Walk {
		names = append(names, s.Name)
		if s.Name == "Initialization" {
			break
		}
	}
	if len(names) != 5 {
		t.Errorf("walked %v, want 5 spans", names)
	}
}

func TestSummary(t *testing.T) {
	t.Parallel()
	creation, timeout := documents(t, "create.json"), documents(t, "timeout.json")
	for name, test := range map[string]struct {
		documents []trace.Document
		want      trace.Summary
	}{
		"cold start with a retry": {creation, trace.Summary{
			Start: time.Date(2025, 8, 16, 17, 37, 22, 100e6, time.UTC), Duration: 250 * time.Millisecond,
			Method: "POST", Route: "/prod/users", Status: 201, Throttle: true,
			Operation: "createUser", Outcome: "Success", Stage: "prod", Version: "7", ColdStart: true, Complete: true, Spans: 11,
		}},
		"without the function's segment": {[]trace.Document{creation[0], creation[1], creation[3]}, trace.Summary{
			Start: time.Date(2025, 8, 16, 17, 37, 22, 100e6, time.UTC), Duration: 250 * time.Millisecond,
			Method: "POST", Route: "/prod/users", Status: 201, Throttle: true,
			Operation: "createUser", Outcome: "Success", Stage: "prod", Version: "7", ColdStart: true, Spans: 7,
		}},
		"without Lambda's segment": {creation[:1], trace.Summary{
			Start: time.Date(2025, 8, 16, 17, 37, 22, 100e6, time.UTC), Duration: 250 * time.Millisecond,
			Method: "POST", Route: "/prod/users", Status: 201, Spans: 2,
		}},
		"only the handler": {creation[3:], trace.Summary{
			Start: time.Date(2025, 8, 16, 17, 37, 22, 251e6, time.UTC), Duration: 88 * time.Millisecond, Throttle: true,
			Operation: "createUser", Outcome: "Success", Stage: "prod", Version: "7", ColdStart: true, Spans: 4,
		}},
		"timeout, in a caller's trace": {timeout, trace.Summary{
			Start: time.Date(2025, 8, 16, 17, 37, 23, 0, time.UTC), Duration: 3500 * time.Millisecond,
			Method: "GET", Route: "/prod/users/{userId}", Status: 504, Fault: true, Operation: "getUser", ErrorCode: "Sandbox.Timedout", Stage: "prod", Spans: 6,
		}},
		"timeout, complete": {timeout[:3], trace.Summary{
			Start: time.Date(2025, 8, 16, 17, 37, 23, 0, time.UTC), Duration: 3500 * time.Millisecond,
			Method: "GET", Route: "/prod/users/{userId}", Status: 504, Fault: true, ErrorCode: "Sandbox.Timedout", Complete: true, Spans: 5,
		}},
		"nothing": {nil, trace.Summary{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.want.ID = "id"
			got := trace.New("id", test.documents).Summary()
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			encoded, err := json.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			var decoded trace.Summary
			if err := json.Unmarshal(encoded, &decoded); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got, decoded); diff != "" {
				t.Errorf("from JSON (-want +got):\n%s", diff)
			}
		})
	}
	encoded, err := json.Marshal(trace.Summary{Duration: 1500 * time.Microsecond})
	if err != nil || !strings.Contains(string(encoded), `"durationMs":1.5`) {
		t.Errorf("JSON %s, %v: want durationMs 1.5", encoded, err)
	}
}

func TestMap(t *testing.T) {
	t.Parallel()
	creation, timeout := documents(t, "create.json"), documents(t, "timeout.json")
	traces := assemble(append(append(creation, timeout...),
		trace.Document{ // throttled by Lambda: only the stage has a segment
			Name: "user-request-api-prod/prod", ID: "1", TraceID: "1", Origin: "AWS::ApiGateway::Stage", StartTime: 1755365845, EndTime: 1755365847,
			Error: true, Throttle: true,
			Subsegments: []trace.Document{
				{ID: "2", Name: "Lambda", Namespace: "aws", StartTime: 1, EndTime: 2, Error: true, Throttle: true, AWS: map[string]any{"function_name": "user-request-api-prod-get"}},
				{ID: "3", Name: "example.com", Namespace: "remote", StartTime: 1, EndTime: 2, Error: true},
				{ID: "4", Name: "S3", Namespace: "aws", StartTime: 1, InProgress: true},
			},
		},
		trace.Document{Name: "DynamoDB", ID: "5", ParentID: "0", TraceID: "5", Type: "subsegment", Namespace: "aws", StartTime: 1755365845, EndTime: 1755365850},
	))
	got := trace.NewMap(traces)
	one := func(ms float64) trace.Statistics {
		return trace.Statistics{Count: 1, AverageMs: ms, P50Ms: ms, P95Ms: ms, P99Ms: ms}
	}
	ok := func(s trace.Statistics) trace.Statistics { s.OK = s.Count; return s }
	fault := func(s trace.Statistics) trace.Statistics { s.Fault = s.Count; return s }
	failed := func(s trace.Statistics) trace.Statistics { s.Error = s.Count; return s }
	requests := trace.Statistics{Count: 3, OK: 1, Fault: 1, Throttle: 1, AverageMs: 5750. / 3, P50Ms: 2000, P95Ms: 3500, P99Ms: 3500}
	const (
		stage, post, get          = "user-request-api-prod/prod", "user-request-api-prod-post", "user-request-api-prod-get"
		gateway, lambda, function = "AWS::ApiGateway::Stage", "AWS::Lambda", "AWS::Lambda::Function"
	)
	gets := trace.Statistics{Count: 2, Fault: 1, Throttle: 1, AverageMs: 2100, P50Ms: 1000, P95Ms: 3200, P99Ms: 3200}
	calls := trace.Statistics{Count: 2, Fault: 1, Throttle: 1, AverageMs: 2150, P50Ms: 1000, P95Ms: 3300, P99Ms: 3300}
	node := func(kind, name string, s trace.Statistics) trace.Node {
		return trace.Node{ID: kind + "/" + name, Name: name, Type: kind, Statistics: s}
	}
	edge := func(from, to string, s trace.Statistics) trace.Edge {
		return trace.Edge{Source: from, Target: to, Statistics: s}
	}
	want := trace.Map{
		Traces: 4,
		Start:  time.Unix(1, 0).UTC(),
		End:    time.Unix(1755365850, 0).UTC(),
		Nodes: []trace.Node{
			node("client", "client", requests),
			node(gateway, stage, requests),
			node(lambda, post, ok(one(246))),
			node(function, post, ok(one(98))),
			node("AWS::DynamoDB::Table", "UserData", ok(one(80))),
			node(lambda, get, gets),
			node(function, get, fault(one(3100))),
			node("remote", "example.com", failed(one(1000))),
			node("AWS::S3", "S3", trace.Statistics{}),
		},
		Edges: []trace.Edge{
			edge("client/client", gateway+"/"+stage, requests),
			edge(gateway+"/"+stage, lambda+"/"+post, ok(one(248))),
			edge(lambda+"/"+post, function+"/"+post, ok(one(98))),
			edge(function+"/"+post, "AWS::DynamoDB::Table/UserData", ok(one(80))),
			edge(gateway+"/"+stage, lambda+"/"+get, calls),
			edge(lambda+"/"+get, function+"/"+get, fault(one(3100))),
			edge(gateway+"/"+stage, "remote/example.com", failed(one(1000))),
			edge(gateway+"/"+stage, "AWS::S3/S3", trace.Statistics{}),
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("map (-want +got):\n%s", diff)
	}
	encoded, err := json.Marshal(trace.NewMap(nil))
	if err != nil || !strings.Contains(string(encoded), `"nodes":[],"edges":[]`) {
		t.Errorf("map without traces = %s, error = %v; want empty lists", encoded, err)
	}
}

func TestPercentiles(t *testing.T) {
	t.Parallel()
	var traces []*trace.Trace
	for i := range 200 {
		traces = append(traces, trace.New("", []trace.Document{{ID: "a", Name: "a", StartTime: 1, EndTime: 1 + float64(i+1)/1000}}))
	}
	got := trace.NewMap(traces).Nodes[0].Statistics
	want := trace.Statistics{Count: 200, OK: 200, AverageMs: 100.5, P50Ms: 100, P95Ms: 190, P99Ms: 198}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("statistics (-want +got):\n%s", diff)
	}
}

func TestCause(t *testing.T) {
	t.Parallel()
	for _, data := range []string{
		`"7000000000000011"`,
		`{"working_directory":"/var/task","paths":["a"],"exceptions":[{"id":"7000000000000011","skipped":1,"stack":[{"line":3}]}]}`,
		`{}`,
	} {
		t.Run(fmt.Sprintf("%.30s", data), func(t *testing.T) {
			t.Parallel()
			d, err := trace.Parse([]byte(`{"cause":` + data + `}`))
			if err != nil {
				t.Fatal(err)
			}
			encoded, err := json.Marshal(d.Cause)
			if err != nil || string(encoded) != data {
				t.Errorf("encoded = %s, error = %v; want %s", encoded, err, data)
			}
		})
	}
}

func TestParse_Numbers(t *testing.T) {
	t.Parallel()
	const data = `{"name":"","id":"","start_time":0,"aws":{"retries":2},"annotations":{"Balance":12345678901234567890.12}}`
	d, err := trace.Parse([]byte(data))
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(d)
	if err != nil || string(encoded) != data {
		t.Errorf("encoded = %s, error = %v; want %s", encoded, err, data)
	}
	if _, err := trace.Parse([]byte(data + "{}")); err == nil {
		t.Error("trailing data: error = nil, want one")
	}
}
