package observe_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/aws/trace"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/local/datadir"
	"github.com/userrequestapi/userdata/deploy/local/xray"
	"github.com/userrequestapi/userdata/deploy/observe"
	"github.com/userrequestapi/userdata/deploy/release/exitcode"
	"github.com/userrequestapi/userdata/deploy/release/progress"
	"github.com/userrequestapi/userdata/deploy/release/stage"
)

// stopped is a local stack that has run, with a request that failed and one that succeeded.
type stopped struct {
	settings observe.Settings
	failed   string // ID of the trace
}

// runLocal writes what a local stack writes to its data folder. The log is at most half a minute old.
func runLocal(t *testing.T) stopped {
	t.Helper()
	root := t.TempDir()
	s := stopped{settings: observe.Settings{
		Settings: stage.Settings{Root: root, Stage: "local", Poll: time.Millisecond},
		DataDir:  filepath.Join(root, ".local"),
	}}
	for _, name := range []string{"get", "put-avatar"} {
		testenv.WriteFile(t, filepath.Join(root, "functions", name, "main.go"), "package main\n")
	}
	c, err := xray.Listen(xray.Options{Dir: datadir.Traces(s.settings.DataDir)})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(-30 * time.Second)
	s.failed = trace.NewTraceID(at)
	c.Add(
		trace.Document{
			Name: "API/prod", ID: trace.NewID(), TraceID: s.failed, StartTime: trace.Seconds(at), EndTime: trace.Seconds(at.Add(2 * time.Second)),
			Origin: "AWS::ApiGateway::Stage", Fault: true,
			HTTP:        &trace.HTTP{Request: &trace.HTTPRequest{Method: "PUT"}, Response: &trace.HTTPResponse{Status: 500}},
			Annotations: map[string]any{"Operation": "putAvatar", "ErrorCode": "StoreUnavailable"},
		},
		trace.Document{
			Name: "API/prod", ID: trace.NewID(), TraceID: trace.NewTraceID(at), StartTime: trace.Seconds(at.Add(time.Second)),
			EndTime: trace.Seconds(at.Add(1100 * time.Millisecond)), Origin: "AWS::ApiGateway::Stage",
			HTTP:        &trace.HTTP{Request: &trace.HTTPRequest{Method: "GET"}, Response: &trace.HTTPResponse{Status: 200}},
			Annotations: map[string]any{"Operation": "getUser"},
		})
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	stamp := at.UTC().Format("2006-01-02T15:04:05.000Z")
	testenv.WriteFile(t, datadir.Log(s.settings.DataDir), strings.Join([]string{
		`{"time":"` + stamp + `","type":"platform.start","record":{"requestId":"l1"},"function":"API-put-avatar","lambdaRequestId":"l1"}`,
		`{"timestamp":"` + stamp + `","level":"ERROR","message":"request","function":"API-put-avatar","requestId":"g1","lambdaRequestId":"l1","xrayTraceId":"` + s.failed + `","status":500}`,
		`{"requestId":"g1","requestTime":"` + at.UTC().Format("02/Jan/2006:15:04:05 -0700") + `","status":"500","integrationRequestId":"l1"}`,
		`{"timestamp":"` + stamp + `","level":"INFO","message":"request","function":"API-get","requestId":"g2","lambdaRequestId":"l2","status":200}`,
		`{"cut`,
	}, "\n"))
	return s
}

// show runs a target, and returns its output and its notes.
func (s stopped) show(t *testing.T, do target, change func(*observe.Settings)) (out, notes string) {
	t.Helper()
	var b, printed bytes.Buffer
	settings := s.settings
	settings.Out, settings.Printer = &b, progress.New(&printed, progress.Options{})
	change(&settings)
	if err := do(t.Context(), settings); err != nil {
		t.Fatalf("error = %v, want none; notes:\n%s", err, &printed)
	}
	return b.String(), printed.String()
}

func TestTraces_Local(t *testing.T) {
	t.Parallel()
	s := runLocal(t)
	for name, test := range map[string]struct {
		change func(*observe.Settings)
		want   []string // operations, newest first
	}{
		"all":          {func(*observe.Settings) {}, []string{"getUser", "putAvatar"}},
		"limit":        {func(s *observe.Settings) { s.Limit = 1 }, []string{"getUser"}},
		"fault":        {func(s *observe.Settings) { s.Fault = true }, []string{"putAvatar"}},
		"error":        {func(s *observe.Settings) { s.Error = true }, nil},
		"any flag":     {func(s *observe.Settings) { s.Error, s.Fault = true, true }, []string{"putAvatar"}},
		"slower":       {func(s *observe.Settings) { s.Slower = time.Second }, []string{"putAvatar"}},
		"operation":    {func(s *observe.Settings) { s.Operation = "getUser" }, []string{"getUser"}},
		"class":        {func(s *observe.Settings) { s.Status = "5xx" }, []string{"putAvatar"}},
		"status":       {func(s *observe.Settings) { s.Status = "200" }, []string{"getUser"}},
		"cold start":   {func(s *observe.Settings) { s.ColdStart = true }, nil},
		"too long ago": {func(s *observe.Settings) { s.Since = time.Second }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, notes := s.show(t, observe.Traces, func(s *observe.Settings) { s.JSON = true; test.change(s) })
			var got []string
			for line := range strings.Lines(out) {
				var summary trace.Summary
				if err := json.Unmarshal([]byte(line), &summary); err != nil {
					t.Fatal(err)
				}
				got = append(got, summary.Operation)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("traces (-want +got):\n%s", diff)
			}
			if !strings.Contains(notes, "no local stack is running") {
				t.Errorf("notes = %s, want that no stack runs", notes)
			}
		})
	}

	out, _ := s.show(t, observe.Traces, func(o *observe.Settings) { o.Width = 100 })
	if !strings.Contains(out, "StoreUnavailable") || !strings.Contains(out, "putAvatar") {
		t.Errorf("table = %s, want putAvatar with StoreUnavailable", out)
	}
	out, _ = s.show(t, observe.Traces, func(o *observe.Settings) { o.TraceID, o.Width = s.failed, 100 })
	for _, want := range []string{"Trace " + s.failed, "API/prod ApiGateway::Stage", "putavatar", "access"} {
		if !strings.Contains(out, want) {
			t.Errorf("trace = %s, want %q in it", out, want)
		}
	}
	out, _ = s.show(t, observe.Traces, func(o *observe.Settings) { o.TraceID, o.JSON = s.failed, true })
	var shown struct{ Documents, Lines []json.RawMessage }
	if err := json.Unmarshal([]byte(out), &shown); err != nil || len(shown.Documents) != 1 || len(shown.Lines) != 3 {
		t.Errorf("trace = %s (%v), want 1 document and 3 lines", out, err)
	}
}

func TestLogs_Local(t *testing.T) {
	t.Parallel()
	s := runLocal(t)
	for name, test := range map[string]struct {
		change func(*observe.Settings)
		want   []string // a part of each line
	}{
		"all":      {func(*observe.Settings) {}, []string{"platform.start", `"g1"`, "integrationRequestId", `"g2"`}},
		"limit":    {func(s *observe.Settings) { s.Limit = 1 }, []string{`"g2"`}},
		"level":    {func(s *observe.Settings) { s.Level = "ERROR" }, []string{`"g1"`, "integrationRequestId"}},
		"function": {func(s *observe.Settings) { s.Functions = []string{"get"} }, []string{`"g2"`}},
		"hyphen":   {func(s *observe.Settings) { s.Functions = []string{"putavatar"} }, []string{"platform.start", `"g1"`}},
		"access":   {func(s *observe.Settings) { s.Functions = []string{"access"} }, []string{"integrationRequestId"}},
		"request":  {func(s *observe.Settings) { s.RequestID = "g1" }, []string{"platform.start", `"g1"`, "integrationRequestId"}},
		"Lambda's": {func(s *observe.Settings) { s.RequestID = "l2" }, []string{`"g2"`}},
		"trace":    {func(o *observe.Settings) { o.TraceID = s.failed }, []string{"platform.start", `"g1"`, "integrationRequestId"}},
		"nobody":   {func(s *observe.Settings) { s.RequestID = "g3" }, nil},
		"since":    {func(s *observe.Settings) { s.Since = time.Second }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, notes := s.show(t, observe.Logs, test.change)
			got := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
			if out == "" {
				got = nil
			}
			if len(got) != len(test.want) {
				t.Fatalf("got the lines\n%s\nwant %q", out, test.want)
			}
			for i, want := range test.want {
				if !strings.Contains(got[i], want) || !json.Valid([]byte(got[i])) {
					t.Errorf("line %d = %s, want JSON with %s", i, got[i], want)
				}
			}
			if !strings.Contains(notes, "no local stack is running") {
				t.Errorf("notes = %s, want that no stack runs", notes)
			}
		})
	}
}

// TestLogs_LocalFollow checks that new lines are shown, also those of a new run, and no note while a stack runs.
func TestLogs_LocalFollow(t *testing.T) {
	t.Parallel()
	s := runLocal(t)
	c, err := xray.Listen(xray.Options{Dir: datadir.Traces(s.settings.DataDir)}) // a stack runs
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }() // nothing is written
	var out screen
	settings := s.settings
	var notes bytes.Buffer
	settings.Out, settings.Follow, settings.Printer = &out, true, progress.New(&notes, progress.Options{})
	ctx, cancel := testenv.WithDeadline(t.Context(), t)
	done := make(chan error)
	go func() { done <- observe.Logs(ctx, settings) }()
	wait := func(text string) {
		t.Helper()
		testenv.Eventually(t, text, func() bool { return strings.Contains(out.String(), text) })
	}
	name := datadir.Log(settings.DataDir)
	wait(`"g2"`)
	file, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString("ting\"}\n{\"message\":\"added\"}\n"); err != nil {
		t.Fatal(err)
	}
	wait(`"added"`)
	if err := file.Truncate(0); err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString("{\"message\":\"new run\"}\n"); err != nil {
		t.Fatal(err)
	}
	wait(`"new run"`)
	cancel()
	if err := <-done; err != nil {
		t.Errorf("error = %v, want none", err)
	}
	if err := file.Close(); err != nil {
		t.Error(err)
	}
	if notes.Len() != 0 {
		t.Errorf("notes = %s, want none", &notes)
	}
}

// TestLocal_NeverStarted checks the message when no stack has run.
func TestLocal_NeverStarted(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]target{"traces": observe.Traces, "logs": observe.Logs} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			err := do(t.Context(), observe.Settings{
				Settings: stage.Settings{Root: root, Stage: "local", Printer: progress.New(&bytes.Buffer{}, progress.Options{})},
				DataDir:  filepath.Join(root, ".local"), Out: &bytes.Buffer{},
			})
			if code(err) != exitcode.Settings || !strings.Contains(err.Error(), "go tool mage run") {
				t.Errorf("error = %v with code %d, want one with `go tool mage run` and code %d", err, code(err), exitcode.Settings)
			}
		})
	}
}
