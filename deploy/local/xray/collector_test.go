package xray_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/userrequestapi/userdata/deploy/aws/trace"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/local/xray"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// listen starts a collector. By default, a rejected document fails the test.
func listen(t *testing.T, o xray.Options) *xray.Collector {
	t.Helper()
	if o.Refused == nil {
		o.Refused = func(err error) { t.Errorf("rejected document: error = %v, want none", err) }
	}
	c, err := xray.Listen(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

const packetHeader = `{"format": "json", "version": 1}` + "\n"

// send sends UDP packets.
func send(t *testing.T, address string, packets ...string) {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // only written to
	for _, packet := range packets {
		if _, err := conn.Write([]byte(packet)); err != nil {
			t.Fatal(err)
		}
	}
}

const start = 1755365842

func traceID(n int) string { return fmt.Sprintf("1-68a0c1d2-%024x", n) }

func spanID(n, part int) string { return fmt.Sprintf("%012x%04x", n, part) }

// stage returns the stage's segment of trace n, which starts n seconds after start.
func stage(n int, change ...func(*trace.Document)) trace.Document {
	d := trace.Document{
		Name: "api/prod", ID: spanID(n, 1), TraceID: traceID(n), StartTime: float64(start + n), EndTime: float64(start+n) + 0.25,
		Origin: "AWS::ApiGateway::Stage",
		HTTP: &trace.HTTP{
			Request:  &trace.HTTPRequest{Method: "GET", URL: "https://example.com/prod/users"},
			Response: &trace.HTTPResponse{Status: 200},
		},
	}
	for _, c := range change {
		c(&d)
	}
	return d
}

// handler returns the function's subsegment of trace n.
func handler(n int, change ...func(*trace.Document)) trace.Document {
	d := trace.Document{
		Name: "getUser", ID: spanID(n, 2), ParentID: spanID(n, 1), TraceID: traceID(n), Type: "subsegment",
		StartTime: float64(start+n) + 0.1, EndTime: float64(start+n) + 0.2,
		Annotations: map[string]any{"Operation": "getUser", "Outcome": "Success", "ColdStart": false},
		Subsegments: []trace.Document{{
			Name: "DynamoDB", ID: spanID(n, 3), Namespace: "aws", StartTime: float64(start+n) + 0.1, EndTime: float64(start+n) + 0.2,
			AWS: map[string]any{"table_name": "UserData", "operation": "GetItem"},
		}},
	}
	for _, c := range change {
		c(&d)
	}
	return d
}

func packet(t *testing.T, d trace.Document) string {
	t.Helper()
	data, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return packetHeader + string(data)
}

func ids(summaries []trace.Summary) []string {
	list := []string{}
	for _, s := range summaries {
		list = append(list, s.ID)
	}
	return list
}

func TestReceive(t *testing.T) {
	t.Parallel()
	c := listen(t, xray.Options{})
	if host, _, err := net.SplitHostPort(c.Address()); err != nil || host != "127.0.0.1" {
		t.Fatalf("address = %s, want 127.0.0.1:PORT", c.Address())
	}
	c.Log(xray.Line{TraceID: traceID(1), Text: "before"})
	send(t, c.Address(), packet(t, handler(1)))
	c.Add(stage(1))
	testenv.Eventually(t, "the complete trace", func() bool {
		list := c.Traces(xray.Filter{})
		return len(list) == 1 && list[0].Spans == 3
	})
	c.Log(xray.Line{TraceID: traceID(1), Text: "after"})

	summary := c.Traces(xray.Filter{})[0]
	want := trace.Summary{
		ID: traceID(1), Start: time.Unix(start+1, 0).UTC(), Duration: 250 * time.Millisecond, Method: "GET", Route: "/prod/users", Status: 200,
		Operation: "getUser", Outcome: "Success", Complete: true, Spans: 3,
	}
	if diff := cmp.Diff(want, summary); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
	detail, ok := c.Trace(traceID(1))
	if !ok || len(detail.Documents) != 2 || len(detail.Lines) != 2 || detail.Truncated {
		t.Fatalf("trace exists = %t, with %d documents and %d lines; want 2 of each", ok, len(detail.Documents), len(detail.Lines))
	}
	if detail.Lines[0].Text != "before" || detail.Lines[1].Text != "after" {
		t.Errorf("lines = %+v, want before and after", detail.Lines)
	}
	var names []string
	for depth, s := range detail.Trace.Walk {
		names = append(names, fmt.Sprint(depth, s.Name))
	}
	if diff := cmp.Diff([]string{"0api/prod", "1getUser", "2DynamoDB"}, names); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
	for _, raw := range detail.Documents {
		if _, err := trace.ParseValid(raw); err != nil {
			t.Error(err)
		}
	}
	if m := c.Map(xray.Filter{}); m.Traces != 1 || len(m.Nodes) != 3 || m.Nodes[2].Name != "UserData" {
		t.Errorf("map = %+v, want one trace and three nodes, the last UserData", m)
	}
	if _, ok := c.Trace(traceID(2)); ok {
		t.Error("Trace of an unknown ID: ok = true, want false")
	}
	c.Clear()
	if got := c.Traces(xray.Filter{}); len(got) != 0 || len(c.Lines(xray.LineFilter{})) != 0 {
		t.Errorf("after Clear: traces = %v, lines = %v; want none", got, c.Lines(xray.LineFilter{}))
	}
}

func TestInvalidDocuments(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var refused []string
	c := listen(t, xray.Options{CheckAdded: true, Refused: func(err error) {
		mu.Lock()
		defer mu.Unlock()
		refused = append(refused, err.Error())
	}})
	valid := packet(t, stage(1))
	send(t, c.Address(),
		"", "\n", "hello", `{"format": "xml", "version": 1}`+"\n{}", strings.TrimPrefix(valid, packetHeader), packetHeader, packetHeader+"{}",
		packet(t, stage(2, func(d *trace.Document) { d.ID = "2" })), valid)
	c.Add(stage(3, func(d *trace.Document) { d.AWS = map[string]any{"x": func() {}} }))
	c.Add(stage(4, func(d *trace.Document) { d.ID = "4" }))
	testenv.Eventually(t, "the valid document", func() bool { return len(c.Traces(xray.Filter{})) == 1 })
	mu.Lock()
	defer mu.Unlock()
	if len(refused) != 10 {
		t.Errorf("%d rejected documents, want 10:\n%s", len(refused), strings.Join(refused, "\n"))
	}
}

func TestForward(t *testing.T) {
	t.Parallel()
	daemon, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer daemon.Close() //nolint:errcheck // only read from
	c := listen(t, xray.Options{Forward: daemon.LocalAddr().String()})
	d := stage(1)
	c.Add(d)
	buffer := make([]byte, 1<<16)
	ctx, cancel := testenv.WithDeadline(t.Context(), t)
	defer cancel()
	end, _ := ctx.Deadline()
	if err := daemon.SetReadDeadline(end); err != nil {
		t.Fatal(err)
	}
	n, _, err := daemon.ReadFrom(buffer)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(packet(t, d), string(buffer[:n])); diff != "" {
		t.Errorf("forwarded (-want +got):\n%s", diff)
	}

	// A missing daemon has no effect.
	if err := daemon.Close(); err != nil {
		t.Fatal(err)
	}
	c.Add(stage(2), stage(3))
	if got := c.Traces(xray.Filter{}); len(got) != 3 {
		t.Errorf("%d traces, want 3", len(got))
	}
	for _, address := range []string{"daemon", "127.0.0.1:port"} {
		if _, err := xray.Listen(xray.Options{Forward: address}); err == nil || !strings.Contains(err.Error(), address) {
			t.Errorf("forward to %s: error = %v, want the address in it", address, err)
		}
	}
}

func TestReplace(t *testing.T) {
	t.Parallel()
	c := listen(t, xray.Options{})
	running := stage(1, func(d *trace.Document) { d.EndTime, d.InProgress, d.HTTP.Response = 0, true, nil })
	c.Add(running)
	if got := c.Traces(xray.Filter{})[0]; got.Complete || got.Status != 0 {
		t.Errorf("in progress: summary = %+v, want it incomplete and without a status", got)
	}
	c.Add(stage(1), running, stage(1))
	detail, _ := c.Trace(traceID(1))
	if got := c.Traces(xray.Filter{})[0]; !got.Complete || got.Status != 200 || len(detail.Documents) != 1 {
		t.Errorf("%d documents, summary = %+v; want one document, complete with status 200", len(detail.Documents), got)
	}
}

// TestCapacity checks that the oldest traces are dropped, and do not reappear with late documents.
func TestCapacity(t *testing.T) {
	t.Parallel()
	c := listen(t, xray.Options{Capacity: 3})
	for n := range 5 {
		c.Add(stage(n))
	}
	want := []string{traceID(4), traceID(3), traceID(2)}
	if diff := cmp.Diff(want, ids(c.Traces(xray.Filter{}))); diff != "" {
		t.Errorf("traces (-want +got):\n%s", diff)
	}
	c.Add(handler(0), handler(1), handler(3))
	if diff := cmp.Diff(want, ids(c.Traces(xray.Filter{}))); diff != "" {
		t.Errorf("after late documents (-want +got):\n%s", diff)
	}
	for n := range 20 {
		c.Add(stage(100 + n))
	}
	c.Add(stage(0)) // a new trace: its ID is no longer among the dropped ones
	if got := ids(c.Traces(xray.Filter{})); !slices.Contains(got, traceID(0)) {
		t.Errorf("traces = %v, want the one that was sent again", got)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	c := listen(t, xray.Options{})
	large := strings.Repeat("x", 60_000)
	for n := range 100 {
		c.Add(handler(1, func(d *trace.Document) {
			d.ID, d.Subsegments = spanID(1, 100+n), nil
			d.Metadata = map[string]json.RawMessage{"x": json.RawMessage(`"` + large + `"`)}
		}))
	}
	detail, _ := c.Trace(traceID(1))
	if got := len(detail.Documents); got < 60 || got > 70 || !detail.Truncated {
		t.Errorf("kept %d of 100 documents of 60 kB, truncated = %t; want 60 to 70 and true", got, detail.Truncated)
	}
	for range 12_000 {
		c.Log(xray.Line{TraceID: traceID(1), Text: "a line"})
	}
	if got := c.Lines(xray.LineFilter{}); len(got) != 10_000 || got[0].Sequence != 2001 || got[9_999].Sequence != 12_000 {
		t.Errorf("%d lines, the first with sequence %d; want 10000 from 2001 on", len(got), got[0].Sequence)
	}
	c.Add(stage(2))
	for range 2000 {
		c.Log(xray.Line{TraceID: traceID(2), Text: large})
	}
	if got := len(c.Lines(xray.LineFilter{})); got < 500 || got > 600 {
		t.Errorf("kept %d lines of 60 kB, want 500 to 600", got)
	}
	if detail, _ := c.Trace(traceID(2)); len(detail.Lines) < 60 || len(detail.Lines) > 70 || !detail.Truncated {
		t.Errorf("kept %d lines of the trace, truncated = %t; want 60 to 70 and true", len(detail.Lines), detail.Truncated)
	}
	// Many traces of the maximum size.
	for n := range 50 {
		c.Add(stage(1000 + n))
		for range 70 {
			c.Log(xray.Line{TraceID: traceID(1000 + n), Text: large})
		}
	}
	if got := len(c.Traces(xray.Filter{})); got < 10 || got > 20 {
		t.Errorf("kept %d traces of 4 MB, want 10 to 20", got)
	}
}

func TestFilter(t *testing.T) {
	t.Parallel()
	c := listen(t, xray.Options{})
	status := func(status int) func(*trace.Document) {
		return func(d *trace.Document) {
			d.HTTP.Response.Status = status
			d.Error, d.Throttle, d.Fault = status/100 == 4, status == 429, status/100 == 5
		}
	}
	lasting := func(d time.Duration) func(*trace.Document) {
		return func(doc *trace.Document) { doc.EndTime = doc.StartTime + d.Seconds() }
	}
	annotated := func(name string, value any) func(*trace.Document) {
		return func(d *trace.Document) { d.Annotations[name] = value }
	}
	c.Add(
		stage(1), handler(1, annotated("ColdStart", true)),
		stage(2, status(404)), handler(2, annotated("ErrorCode", "UserNotFound")),
		stage(3, status(500), lasting(2*time.Second)), handler(3, func(d *trace.Document) {
			d.Cause = &trace.Cause{Exceptions: []trace.Exception{{ID: spanID(3, 9), Type: "InternalServerError", Message: "Zonk"}}}
		}),
		stage(4, status(429), func(d *trace.Document) { d.HTTP.Request.Method = "POST" }), handler(4, annotated("Operation", "createUser")),
	)
	c.Log(xray.Line{TraceID: traceID(2), Text: `{"message": "Hello there"}`})
	for query, want := range map[string][]int{
		"":                                    {4, 3, 2, 1},
		"status=":                             {4, 3, 2, 1},
		"status=404":                          {2},
		"status=4xx":                          {4, 2},
		"status=5XX":                          {3},
		"status=2xx":                          {1},
		"status=3xx":                          {},
		"method=post":                         {4},
		"operation=createuser":                {4},
		"operation=create":                    {},
		"min=1s":                              {3},
		"max=1s":                              {4, 2, 1},
		"min=250ms&max=250ms":                 {4, 2, 1},
		"error=1":                             {4, 2},
		"fault=1":                             {3},
		"throttle=true":                       {4},
		"fault=1&throttle=1":                  {4, 3},
		"fault=0":                             {4, 3, 2, 1},
		"cold=1":                              {1},
		"limit=2":                             {4, 3},
		"error=1&limit=1":                     {4},
		"since=2025-08-16T17:37:25Z":          {4, 3},
		"since=2025-08-16T19:37:25.5%2B02:00": {4},
		"since=1m":                            {},
		"until=2025-08-16T17:37:25Z":          {2, 1},
		"until=1m":                            {4, 3, 2, 1},
		"code=UserNotFound":                   {2},
		"code=usernotfound":                   {},
		"version=1":                           {},
		"since=1000000h":                      {4, 3, 2, 1},
		"text=usernotfound":                   {2},
		"text=ZONK":                           {3},
		"text=hello+there":                    {2},
		"text=hello+zonk":                     {},
		"text=userdata":                       {4, 3, 2, 1},
		"text=" + traceID(3):                  {3},
		"text=" + spanID(4, 3):                {4},
		"text=/prod/users+429":                {4},
		"text=annotations":                    {},
	} {
		t.Run("?"+query, func(t *testing.T) {
			t.Parallel()
			values, err := url.ParseQuery(query)
			if err != nil {
				t.Fatal(err)
			}
			f, err := xray.ParseFilter(values)
			if err != nil {
				t.Error(err)
			}
			wanted := []string{}
			for _, n := range want {
				wanted = append(wanted, traceID(n))
			}
			if diff := cmp.Diff(wanted, ids(c.Traces(f))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if got := c.Map(f).Traces; got != len(want) {
				t.Errorf("map of %d traces, want %d", got, len(want))
			}
		})
	}
	for query, want := range map[string]string{
		"stauts=404":      `unknown filter "stauts"`,
		"status=40":       "status=40: want a status code such as 404",
		"status=9xx":      "status=9xx",
		"status=-1":       "status=-1",
		"status=099":      "status=099",
		"status=abc":      "status=abc",
		"min=10":          "min=10: want a duration such as 10ms",
		"max=-1s":         "max=-1s",
		"fault=2":         "fault=2: want 1 or 0",
		"since=yesterday": "since=yesterday: want a time such as",
		"limit=0":         "limit=0: want a number of at least 1",
	} {
		t.Run("?"+query, func(t *testing.T) {
			t.Parallel()
			values, err := url.ParseQuery(query)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := xray.ParseFilter(values); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error = %v, want %q in it", err, want)
			}
		})
	}
}

func TestLines(t *testing.T) {
	t.Parallel()
	c := listen(t, xray.Options{})
	at := time.Unix(start, 0)
	c.Log(xray.Line{Time: at, Source: "get", Type: "function", Text: `{"level":"WARN","requestId":"r1","xrayTraceId":"` + traceID(1) + `","message":"Slow"}`})
	c.Log(xray.Line{Time: at, Source: "get", Type: "platform.report", RequestID: "r1", TraceID: traceID(1), Text: "REPORT RequestId: r1"})
	c.Log(xray.Line{Time: at, Source: "post", Type: "platform.fault", RequestID: "r2", Text: "RequestId: r2 Error: exit status 1"})
	c.Log(xray.Line{Time: at, Source: "post", Type: "function", RequestID: "given", Text: `{"level":"DEBUG","requestId":"r3"}`})
	c.Log(xray.Line{Time: at, Source: "post", Type: "function", Text: `{"level": 3`})
	want := &xray.Line{
		Sequence: 1, Time: at, Source: "get", Type: "function", Level: "WARN", RequestID: "r1", TraceID: traceID(1),
		Text: `{"level":"WARN","requestId":"r1","xrayTraceId":"` + traceID(1) + `","message":"Slow"}`,
	}
	if diff := cmp.Diff(want, c.Lines(xray.LineFilter{})[0]); diff != "" {
		t.Errorf("line (-want +got):\n%s", diff)
	}
	for query, want := range map[string][]uint64{
		"":                           {1, 2, 3, 4, 5},
		"trace=" + traceID(1):        {1, 2},
		"request=r1":                 {1, 2},
		"request=given":              {4},
		"request=r3":                 {},
		"source=post":                {3, 4, 5},
		"level=error":                {3},
		"level=WARN":                 {1, 3},
		"level=INFO":                 {1, 2, 3, 5},
		"level=DEBUG":                {1, 2, 3, 4, 5},
		"text=slow":                  {1},
		"text=requestid+STATUS":      {3},
		"after=3":                    {4, 5},
		"after=5":                    {},
		"limit=2":                    {4, 5},
		"after=1&limit=1&source=get": {2},
	} {
		t.Run("?"+query, func(t *testing.T) {
			t.Parallel()
			values, err := url.ParseQuery(query)
			if err != nil {
				t.Fatal(err)
			}
			f, err := xray.ParseLineFilter(values)
			if err != nil {
				t.Fatal(err)
			}
			got := []uint64{}
			for _, l := range c.Lines(f) {
				got = append(got, l.Sequence)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	for _, query := range []string{"level=loud", "after=-1", "limit=x", "status=404"} {
		t.Run("?"+query, func(t *testing.T) {
			t.Parallel()
			values, err := url.ParseQuery(query)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := xray.ParseLineFilter(values); err == nil {
				t.Error("error = nil, want one")
			}
		})
	}
}

func TestLines_Clear(t *testing.T) {
	t.Parallel()
	c := listen(t, xray.Options{})
	c.Log(xray.Line{Text: "before"})
	c.Clear()
	c.Log(xray.Line{Text: "after"})
	if got := c.Lines(xray.LineFilter{}); len(got) != 1 || got[0].Sequence != 2 {
		t.Errorf("got lines %+v, want only the second", got)
	}
}

// TestLines_OneRequest checks that API Gateway's and Lambda's ID of a request both find all its lines.
func TestLines_OneRequest(t *testing.T) {
	t.Parallel()
	c := listen(t, xray.Options{})
	c.Log(xray.Line{Type: "platform.start", RequestID: "l1", Text: "START"})
	c.Log(xray.Line{Type: "platform.start", RequestID: "l2", Text: "START"})
	c.Log(xray.Line{Type: "function", Text: `{"requestId":"g1","lambdaRequestId":"l1"}`})
	c.Log(xray.Line{Type: "access", Text: `{"requestId":"g1","integrationRequestId":"l1"}`})
	c.Log(xray.Line{Type: "access", Text: `{"requestId":"g2","integrationRequestId":"l2"}`})
	c.Log(xray.Line{Type: "access", Text: `{"requestId":"g3","integrationRequestId":"-"}`})
	c.Log(xray.Line{Type: "access", Text: `{"requestId":"g4","integrationRequestId":"-"}`})
	for id, want := range map[string][]uint64{"g1": {1, 3, 4}, "l1": {1, 3, 4}, "g2": {2, 5}, "g3": {6}, "nobody": nil} {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			var got []uint64
			for _, l := range c.Lines(xray.LineFilter{RequestID: id}) {
				got = append(got, l.Sequence)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestSubscribe(t *testing.T) {
	t.Parallel()
	c := listen(t, xray.Options{})
	changes, cancel := c.Subscribe()
	other, _ := c.Subscribe()
	pending := func(changes <-chan struct{}) bool {
		select {
		case _, ok := <-changes:
			return ok
		default:
			return false
		}
	}
	if pending(changes) {
		t.Error("got a notification before the first change, want none")
	}
	c.Add(stage(1), stage(2))
	c.Log(xray.Line{})
	if !pending(changes) || pending(changes) {
		t.Error("got more or less than one notification of three changes, want one")
	}
	c.Clear()
	if !pending(changes) {
		t.Error("got no notification of Clear, want one")
	}
	cancel()
	cancel()
	c.Log(xray.Line{})
	if pending(changes) {
		t.Error("got a notification after the end of the subscription, want none")
	}
	if !pending(other) {
		t.Error("got no notification of the other subscriber, want one")
	}
	for range 2 {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok := <-other; ok {
		t.Error("got a notification after Close, want the channel closed")
	}
	late, cancel := c.Subscribe()
	if _, ok := <-late; ok {
		t.Error("got a notification of a subscription after Close, want the channel closed")
	}
	cancel()
	if got := c.Traces(xray.Filter{}); len(got) != 0 {
		t.Errorf("traces = %v, want none after Clear", got)
	}
}

// TestConcurrent calls all methods concurrently, for the race detector, and checks that traces are not mixed.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	const senders, traces = 4, 50
	c := listen(t, xray.Options{Capacity: senders * traces})
	changes, cancel := c.Subscribe()
	defer cancel()
	stop := make(chan struct{})
	var readers, writers sync.WaitGroup
	readers.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-changes:
				for _, s := range c.Traces(xray.Filter{Text: "getuser"}) {
					c.Trace(s.ID)
				}
				c.Map(xray.Filter{})
				c.Lines(xray.LineFilter{Text: "line", Limit: 10})
			}
		}
	})
	for sender := range senders {
		writers.Go(func() {
			for i := range traces {
				n := sender*traces + i
				send(t, c.Address(), packet(t, handler(n)))
				c.Log(xray.Line{TraceID: traceID(n), Text: fmt.Sprint("line ", n)})
				c.Add(stage(n))
			}
		})
	}
	writers.Wait()
	testenv.Eventually(t, "all traces", func() bool {
		list := c.Traces(xray.Filter{})
		return len(list) == senders*traces && !slices.ContainsFunc(list, func(s trace.Summary) bool { return !s.Complete || s.Spans != 3 })
	})
	close(stop)
	readers.Wait()
	for n := range senders * traces {
		detail, _ := c.Trace(traceID(n))
		if len(detail.Lines) != 1 || detail.Lines[0].Text != fmt.Sprint("line ", n) {
			t.Errorf("lines of trace %d = %+v, want only its own", n, detail.Lines)
		}
	}
}
