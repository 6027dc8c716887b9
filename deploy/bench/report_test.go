package bench_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/bench"
)

// values returns 20 values with a median.
func values(median float64) []float64 {
	var values []float64
	for i := range 20 {
		values = append(values, median*(1+(float64(i)-9.5)/500))
	}
	return values
}

// result returns a result of 20 cold starts whose medians are multiples of scale.
func result(scale float64) *bench.Result {
	cell := func(subject string, database bench.Database, scale float64) *bench.Cell {
		return &bench.Cell{Subject: subject, Database: database, Values: map[bench.Metric][]float64{
			bench.Init: values(9 * scale), bench.First: values(scale), bench.FirstCPU: values(5 * scale),
			bench.Cold: values(10 * scale), bench.P50: values(400 * scale), bench.P90: values(700 * scale),
			bench.P99: values(1000 * scale), bench.CPU: values(300 * scale), bench.Memory: values(30 * scale),
		}}
	}
	return &bench.Result{
		Time:       time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC),
		Machine:    bench.Machine{OS: "linux", Arch: "amd64", Processors: 2, Go: "go1.26"},
		ColdStarts: 20, Requests: 300, Traced: true, Quota: bench.QuotaComputed,
		Subjects: []bench.Subject{
			{Name: "get", Kind: bench.Function, Request: "GET /users/{userId}", Zip: 4_770_000, ZipARM64: 4_290_000},
			{Name: "sample", Kind: bench.Other, Of: "get", Zip: 5_440_000},
			{Name: "floor", Kind: bench.Floor, Zip: 2_700_000, ZipARM64: 2_450_000},
		},
		Cells: []*bench.Cell{
			cell("get", bench.InstantTLS, scale), cell("sample", bench.InstantTLS, 2), cell("floor", "", 0.5),
		},
	}
}

func TestWrite(t *testing.T) {
	t.Parallel()
	const heading = "Database instant-tls, a whole processor\n"
	want := [][]string{
		strings.Fields("init ms first ms first CPU ms init + first ms p50 µs p90 µs p99 µs CPU µs thaw ms memory MiB zip MB arm64 MB"),
		strings.Fields("get 9.00 ±1% 1.00 ±1% 5.00 ±1% 10.0 ±1% 400 ±1% 700 ±1% 1000 ±1% 300 ±1% – 30.0 ±1% 4.77 4.29"),
		strings.Fields("sample 18.0 ±1% 2.00 ±1% 10.0 ±1% 20.0 ±1% 800 ±1% 1400 ±1% 2000 ±1% 600 ±1% – 60.0 ±1% 5.44 –"),
		strings.Fields("floor 4.50 ±1% 0.500 ±1% 2.50 ±1% 5.00 ±1% 200 ±1% 350 ±1% 500 ±1% 150 ±1% – 15.0 ±1% 2.70 2.45"),
		strings.Fields("get ÷ sample 0.50 0.50 0.50 0.50 0.50 0.50 0.50 0.50 – 0.50 0.88 –"),
		strings.Fields("get ÷ floor 2.00 2.00 2.00 2.00 2.00 2.00 2.00 2.00 – 2.00 1.77 1.75"),
	}
	var got, markdown bytes.Buffer
	if err := result(1).Write(&got, bench.Format{}); err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(got.String(), heading)
	var rows [][]string
	for line := range strings.Lines(table) {
		rows = append(rows, strings.Fields(line))
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("table (-want +got):\n%s\n%s", diff, table)
	}
	if err := result(1).Write(&markdown, bench.Format{Markdown: true}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"**Database instant-tls, a whole processor**\n\n|  ", "|---|---:|", "| get ÷ floor  | "} {
		if !strings.Contains(markdown.String(), want) {
			t.Errorf("Markdown: want %q in\n%s", want, &markdown)
		}
	}
}

// TestWrite_FewColdStarts checks that medians of few values have no confidence interval.
func TestWrite_FewColdStarts(t *testing.T) {
	t.Parallel()
	r := result(1)
	r.ColdStarts = 2
	for _, c := range r.Cells {
		for metric, values := range c.Values {
			c.Values[metric] = values[9:11]
		}
	}
	var got bytes.Buffer
	if err := r.Write(&got, bench.Format{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"medians; COLD_STARTS must be at least 6 for confidence intervals", "get 9.00 1.00 5.00 10.0 400",
	} {
		if !strings.Contains(strings.Join(strings.Fields(got.String()), " "), want) {
			t.Errorf("want %q in\n%s", want, &got)
		}
	}
}

// TestComplete checks the cells with computed quotas: the first request needs 5 ms of processor time.
func TestComplete(t *testing.T) {
	t.Parallel()
	r := result(1)
	r.Complete([]int{256})
	got := r.Cell("get", bench.InstantTLS, 256)
	if got == nil || len(got.Values[bench.First]) != 20 {
		t.Fatalf("cell = %v, want one with 20 values", got)
	}
	// 1 ms, and 2.1 ms beyond the quota, which take 1769/256 times as long.
	if first := got.Values[bench.First][10]; first < 13 || first > 14 {
		t.Errorf("first request = %v ms, want 13.4", first)
	}
	if init := got.Values[bench.Init]; !cmp.Equal(init, r.Cell("get", bench.InstantTLS, 0).Values[bench.Init]) {
		t.Errorf("init = %v ms, want that of a whole processor", init)
	}
	if warm := got.Values[bench.P50][10]; warm < 399 || warm > 401 {
		t.Errorf("warm request = %v µs, want 400: it is within the quota", warm)
	}
}

func TestWriteComparison(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(before *bench.Result)
		want   []string
	}{
		{
			"faster", func(*bench.Result) {},
			[]string{
				"since 2026-11-30 12:00",
				"get, instant-tls init ms 9.00 ±1% 4.50 ±1% -50.00% p=0.000 n=20",
				"sample, instant-tls init ms 18.0 ±1% 18.0 ±1% ~ p=1.000 n=20",
				"get zip MB 4.77 4.77 +0.00%",
			},
		},
		{
			"another machine", func(before *bench.Result) { before.Machine.Processors = 8 },
			[]string{"The earlier result is from another machine or version of Go: linux/amd64, 8 processors, go1.26."},
		},
		{
			"nothing in common", func(before *bench.Result) { before.Cells, before.Subjects = nil, nil },
			[]string{"The earlier result has nothing that was measured now."},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			before := result(1)
			test.change(before)
			var got bytes.Buffer
			if err := result(0.5).WriteComparison(&got, before, bench.Format{}); err != nil {
				t.Fatal(err)
			}
			for _, want := range test.want {
				if !strings.Contains(strings.Join(strings.Fields(got.String()), " "), want) {
					t.Errorf("want %q in\n%s", want, &got)
				}
			}
		})
	}
}

func TestRead_Refused(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "before.json")
	if _, err := bench.Read(file); err == nil {
		t.Error("error = nil for a missing file")
	}
	for _, content := range []string{"", "{}", "init ms", `{"cells": [null]}`} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := bench.Read(file)
		if want := "want the output of JSON=1 go tool mage bench"; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("content %q: error = %v, want %q", content, err, want)
		}
	}
}

func TestParseBaseline(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		in   string
		want bench.Baseline // the zero value: refused
	}{
		{"before/get/bootstrap", bench.Baseline{Bootstrap: "before/get/bootstrap"}},
		{"sample/bootstrap,event.json", bench.Baseline{Bootstrap: "sample/bootstrap", Event: "event.json"}},
		{
			"get,GOGC=100,GOMAXPROCS=2",
			bench.Baseline{Bootstrap: "get", Environment: map[string]string{"GOGC": "100", "GOMAXPROCS": "2"}},
		},
		{
			"b,A=,event.json",
			bench.Baseline{Bootstrap: "b", Event: "event.json", Environment: map[string]string{"A": ""}},
		},
		{"", bench.Baseline{}},
		{",event.json", bench.Baseline{}},
		{"b,", bench.Baseline{}},
		{"b,=1", bench.Baseline{}},
		{"b,one.json,two.json", bench.Baseline{}},
	} {
		t.Run(test.in, func(t *testing.T) {
			t.Parallel()
			got, err := bench.ParseBaseline(test.in)
			if diff := cmp.Diff(test.want, got); diff != "" || (err != nil) != (test.want.Bootstrap == "") {
				t.Errorf("error = %v, baseline (-want +got):\n%s", err, diff)
			}
		})
	}
}
