package bench_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/bench"
	"github.com/userrequestapi/userdata/deploy/bench/usage"
	"github.com/userrequestapi/userdata/deploy/build"
	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
)

// root is the workspace that is measured.
const root = "../testdata/service"

func TestMain(m *testing.M) { stacktest.Main(m, stacktest.FixtureFunctions(root)) }

// options are the options of a quick measurement.
func options(t *testing.T) bench.Options {
	t.Helper()
	if testing.Short() {
		t.Skip("builds functions: skipped with -short")
	}
	return bench.Options{
		Root: root, Executables: os.Getenv(testenv.FunctionsVariable),
		Databases:  []bench.Database{bench.Instant, bench.InstantTLS},
		ColdStarts: 1, Requests: 2,
	}
}

// TestRun measures the functions of the fixture, of which get is also the baseline.
func TestRun(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.Functions, o.MemoryMB = []string{"delete", "get"}, []int{512}
	get := filepath.Join(o.Executables, "GetFunction", build.Executable)
	event := filepath.Join(t.TempDir(), "event.json")
	if err := os.WriteFile(event, []byte(`{"httpMethod": "GET", "pathParameters": {"userId": "1"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	o.Baselines = []bench.Baseline{
		{Bootstrap: get}, {Bootstrap: get, Event: event}, {Bootstrap: "get", Environment: map[string]string{"GOGC": "50"}},
	}
	result, err := bench.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range result.Subjects {
		got = append(got, string(s.Kind)+" "+s.Name+": "+s.Request)
	}
	want := []string{
		"function get: GET /users/{userId}", "function delete: DELETE /users/{userId}",
		"baseline GetFunction: GET /users/{userId}",
		"baseline GetFunction 2: event.json", "baseline get GOGC=50: GET /users/{userId}",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("subjects (-want +got):\n%s", diff)
	}
	for _, c := range result.Cells {
		for _, m := range []bench.Metric{bench.Init, bench.First, bench.Cold, bench.P50} {
			if n := len(c.Values[m]); n != o.ColdStarts {
				t.Errorf("%s: %d values of %s, want %d", c, n, m, o.ColdStarts)
			}
		}
		if usage.Supported && c.MemoryMB == 0 && len(c.Values[bench.CPU]) == 0 {
			t.Errorf("%s: no processor time", c)
		}
	}
	checkOutput(t, result)
}

// checkOutput checks that the JSON is complete, and that the tables have all functions.
func checkOutput(t *testing.T, result *bench.Result) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "result.json")
	var encoded, tables, comparison bytes.Buffer
	if err := result.WriteJSON(&encoded); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, encoded.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	read, err := bench.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(result, read); diff != "" {
		t.Errorf("result after JSON (-want +got):\n%s", diff)
	}
	if err := result.Write(&tables, bench.Format{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Database instant,", "Database instant-tls,", "The quota of 512 MB", "\ndelete "} {
		if !strings.Contains(tables.String(), want) {
			t.Errorf("tables: want %q in\n%s", want, &tables)
		}
	}
	if err := read.WriteComparison(&comparison, result, bench.Format{}); err != nil {
		t.Fatal(err)
	}
	if want := "~"; !strings.Contains(comparison.String(), want) {
		t.Errorf("comparison with itself: want %q in\n%s", want, &comparison)
	}
}

func TestRun_Refused(t *testing.T) {
	t.Parallel()
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		change func(*bench.Options)
		want   string
	}{
		{
			"unknown function", func(o *bench.Options) { o.Functions = []string{"gte"} },
			"FUNCTION: unknown function gte: did you mean get?",
		},
		{
			"missing baseline",
			func(o *bench.Options) { o.Baselines = []bench.Baseline{{Bootstrap: "/missing/bootstrap"}} },
			"BASELINE: want an executable or the name of a function: ",
		},
		{
			"baseline that is not executable",
			func(o *bench.Options) { o.Baselines = []bench.Baseline{{Bootstrap: text}} }, text + ": want an executable file",
		},
		{
			"baseline with a relative path", func(o *bench.Options) {
				o.Folder, o.Baselines = filepath.Dir(text), []bench.Baseline{{Bootstrap: filepath.Base(text)}}
			}, text + ": want an executable file",
		},
		{
			"event with a relative path", func(o *bench.Options) {
				o.Folder, o.Baselines = filepath.Dir(text), []bench.Baseline{{Bootstrap: "get", Event: filepath.Base(text)}}
			}, text + ": want an event in JSON",
		},
		{
			"missing event",
			func(o *bench.Options) {
				o.Baselines = []bench.Baseline{{Bootstrap: "get", Event: "/missing/event.json"}}
			},
			"BASELINE: read the event: ",
		},
		{
			"event that is not JSON",
			func(o *bench.Options) { o.Baselines = []bench.Baseline{{Bootstrap: "get", Event: text}} },
			text + ": want an event in JSON",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o := options(t)
			o.Databases = []bench.Database{bench.Instant}
			test.change(&o)
			_, err := bench.Run(t.Context(), o)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error = %v, want %q", err, test.want)
			}
		})
	}
}

func TestRun_Interrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	interrupted := errors.New("interrupted")
	cancel(interrupted)
	o := options(t)
	o.Databases = []bench.Database{bench.Instant}
	_, err := bench.Run(ctx, o)
	if want := interrupted.Error(); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error = %v, want %q", err, want)
	}
}
