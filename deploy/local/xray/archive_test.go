package xray_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/aws/trace"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/local/xray"
)

// run calls use with a collector that keeps its traces in dir, and closes it.
func run(t *testing.T, dir string, use func(*xray.Collector)) {
	t.Helper()
	c, err := xray.Listen(xray.Options{
		Dir: dir, Failed: func(err error) { t.Errorf("kept traces: error = %v, want none", err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	use(c)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// wantTraces waits until a collector has these traces.
func wantTraces(t *testing.T, c *xray.Collector, want ...string) {
	t.Helper()
	testenv.Eventually(t, "the traces", func() bool { return cmp.Equal(want, ids(c.Traces(xray.Filter{}))) })
}

// files returns the content of a folder by name.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	contents := map[string]string{}
	for _, entry := range entries {
		content, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		contents[entry.Name()] = string(content)
	}
	return contents
}

// TestRestart checks that traces, but not their log lines, survive a restart, also after a cut-off line.
func TestRestart(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "traces")
	var before xray.Detail
	run(t, dir, func(c *xray.Collector) {
		c.Log(xray.Line{TraceID: traceID(1), Text: "personal data"})
		c.Add(stage(1), handler(1), stage(2))
		before, _ = c.Trace(traceID(1))
	})
	for name, content := range files(t, dir) {
		if strings.Contains(content, "personal data") {
			t.Errorf("%s has a log line, want only documents: %s", name, content)
		}
	}
	current := filepath.Join(dir, "documents.jsonl")
	content, err := os.ReadFile(current)
	if err != nil {
		t.Fatal(err)
	}
	cutOff := content[:len(content)-20] // of the document of trace 2
	if err := os.WriteFile(current, cutOff, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, dir, func(c *xray.Collector) {
		wantTraces(t, c, traceID(1))
		after, _ := c.Trace(traceID(1))
		if diff := cmp.Diff(before.Documents, after.Documents); diff != "" || len(after.Lines) != 0 {
			t.Errorf("lines = %v, want none; documents (-want +got):\n%s", after.Lines, diff)
		}
		c.Add(stage(3))
		wantTraces(t, c, traceID(3), traceID(1))
	})
	run(t, dir, func(c *xray.Collector) {
		wantTraces(t, c, traceID(3), traceID(1))
		c.Clear()
		c.Add(stage(4))
	})
	run(t, dir, func(c *xray.Collector) { wantTraces(t, c, traceID(4)) })
}

// TestRestart_Limit checks that the files have at most the maximum size, and the newest documents.
func TestRestart_Limit(t *testing.T) {
	t.Parallel()
	const maximum, traces = 20_000, 200
	dir := t.TempDir()
	c := listen(t, xray.Options{Dir: dir, DirBytes: maximum})
	for n := range traces {
		c.Add(stage(n))
	}
	total, names := 0, 0
	for _, content := range files(t, dir) {
		total += len(content)
		names++
	}
	if total > maximum || total < maximum/3 || names != 3 { // with the lock
		t.Errorf("%d files with %d bytes, want 3 with %d at most", names, total, maximum)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	run(t, dir, func(c *xray.Collector) {
		testenv.Eventually(t, "the traces", func() bool { return len(c.Traces(xray.Filter{})) > 0 })
		got := ids(c.Traces(xray.Filter{}))
		if got[0] != traceID(traces-1) || len(got) < 20 || len(got) > 100 {
			t.Errorf("%d traces, the newest %s; want 20 to 100 and %s", len(got), got[0], traceID(traces-1))
		}
		c.Clear()
	})
	for name, content := range files(t, dir) {
		if content != "" {
			t.Errorf("%s has %d bytes after Clear, want none", name, len(content))
		}
	}
}

// TestRestart_Unavailable checks that a folder which cannot be used is reported once, and traces are kept in memory.
func TestRestart_Unavailable(t *testing.T) {
	t.Parallel()
	used := t.TempDir()
	listen(t, xray.Options{Dir: used})
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{used: "DATA_DIR", file: file} {
		var failures []string
		c := listen(t, xray.Options{Dir: dir, Failed: func(err error) { failures = append(failures, err.Error()) }})
		c.Add(stage(1), stage(2))
		c.Clear()
		c.Add(stage(1))
		if len(failures) != 1 || !strings.Contains(failures[0], want) {
			t.Errorf("%s: failures = %q, want one with %q", dir, failures, want)
		}
		wantTraces(t, c, traceID(1))
	}
}

// TestOlderTraces checks that traces beyond the newest 500, whose documents are compressed, are found and complete.
func TestOlderTraces(t *testing.T) {
	t.Parallel()
	c := listen(t, xray.Options{})
	c.Log(xray.Line{TraceID: traceID(0), Text: "Hello"})
	c.Add(handler(0))
	for n := range 1100 {
		c.Add(trace.Document{Name: "filler", ID: spanID(n, 1), TraceID: traceID(n + 1), StartTime: start + 10, EndTime: start + 11})
	}
	c.Log(xray.Line{TraceID: traceID(0), Text: "there"})
	c.Add(stage(0)) // late
	detail, ok := c.Trace(traceID(0))
	if !ok || len(detail.Documents) != 2 || len(detail.Lines) != 2 {
		t.Fatalf("trace = %+v, want 2 documents and 2 lines", detail)
	}
	for _, text := range []string{"", "getuser", "userdata", "hello there", spanID(0, 3)} {
		got := c.Traces(xray.Filter{Text: text})
		if len(got) == 0 || got[len(got)-1].ID != traceID(0) || !got[len(got)-1].Complete || got[len(got)-1].Spans != 3 {
			t.Errorf("search %q: got %d traces, want the last to be trace 0, complete with 3 spans", text, len(got))
		}
	}
	if got := c.Traces(xray.Filter{Text: "hello nobody"}); len(got) != 0 {
		t.Errorf("search: got %v, want none", ids(got))
	}
}
