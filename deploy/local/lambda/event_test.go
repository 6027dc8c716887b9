package lambda_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/local/lambda"
)

func TestEvent(t *testing.T) {
	t.Parallel()
	tracing := &lambda.Tracing{SpanID: "53995c3f42cd8ad8", Type: "X-Amzn-Trace-Id",
		Value: "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"}
	tests := []struct {
		name       string
		record     lambda.Record
		text, json string
	}{
		{"init start", lambda.InitStart{InitializationType: "on-demand", Phase: "init", RuntimeVersion: "provided:al2023"},
			"INIT_START Runtime Version: provided:al2023",
			`"platform.initStart","record":{"initializationType":"on-demand","phase":"init","runtimeVersion":"provided:al2023"}`},
		{"init report", lambda.InitReport{
			InitializationType: "on-demand", Phase: "init", Status: "error", ErrorType: "Runtime.ExitError",
			Metrics: lambda.InitReportMetrics{DurationMs: 12.3}},
			"INIT_REPORT Init Duration: 12.30 ms\tPhase: init\tStatus: error\tError Type: Runtime.ExitError",
			`"platform.initReport","record":{"initializationType":"on-demand","phase":"init","status":"error",` +
				`"errorType":"Runtime.ExitError","metrics":{"durationMs":12.3}}`},
		{"start", lambda.InvocationStart{RequestID: "6d68", Version: "$LATEST"},
			"START RequestId: 6d68 Version: $LATEST",
			`"platform.start","record":{"requestId":"6d68","version":"$LATEST"}`},
		{"end", lambda.InvocationEnd{RequestID: "6d68"}, "END RequestId: 6d68", `"platform.end","record":{"requestId":"6d68"}`},
		{"report", lambda.Report{RequestID: "6d68", Status: "success", Metrics: lambda.ReportMetrics{
			DurationMs: 1.23, BilledDurationMs: 2, MemorySizeMB: 128, MaxMemoryUsedMB: 20}},
			"REPORT RequestId: 6d68\tDuration: 1.23 ms\tBilled Duration: 2 ms\tMemory Size: 128 MB\tMax Memory Used: 20 MB",
			`"platform.report","record":{"requestId":"6d68","status":"success",` +
				`"metrics":{"durationMs":1.23,"billedDurationMs":2,"memorySizeMB":128,"maxMemoryUsedMB":20}}`},
		{"report of a traced cold start", lambda.Report{RequestID: "6d68", Status: "timeout", Tracing: tracing,
			Metrics: lambda.ReportMetrics{DurationMs: 1000, BilledDurationMs: 1100, MemorySizeMB: 128, InitDurationMs: 99.5}},
			"REPORT RequestId: 6d68\tDuration: 1000.00 ms\tBilled Duration: 1100 ms\tMemory Size: 128 MB\tInit Duration: 99.50 ms" +
				"\tStatus: timeout\nXRAY TraceId: 1-5759e988-bd862e3fe1be46a994272793\tSegmentId: 53995c3f42cd8ad8\tSampled: true",
			`"platform.report","record":{"requestId":"6d68","status":"timeout","metrics":{"durationMs":1000,"billedDurationMs":1100,` +
				`"memorySizeMB":128,"initDurationMs":99.5},"tracing":{"spanId":"53995c3f42cd8ad8","type":"X-Amzn-Trace-Id",` +
				`"value":"Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"}}`},
		{"fault", lambda.Fault("RequestId: 6d68 Error: x"), "RequestId: 6d68 Error: x",
			`"platform.fault","record":"RequestId: 6d68 Error: x"`},
		{"plain line", lambda.Line("a <b>"), "a <b>", `"function","record":"a \u003cb\u003e"`},
		{"JSON line", lambda.Line(`{"level":"INFO"}`), `{"level":"INFO"}`, `"function","record":{"level":"INFO"}`},
		{"incomplete JSON line", lambda.Line(`{"level":`), `{"level":`, `"function","record":"{\"level\":"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := lambda.Event{Time: time.Date(2026, 1, 2, 3, 4, 5, 678_900_000, time.FixedZone("", 3600)), Record: tt.record}
			if diff := cmp.Diff(tt.text, e.Text()); diff != "" {
				t.Errorf("text (-want +got):\n%s", diff)
			}
			got, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(`{"time":"2026-01-02T02:04:05.678Z","type":`+tt.json+"}", string(got)); diff != "" {
				t.Errorf("JSON (-want +got):\n%s", diff)
			}
		})
	}
}

// REPORT names the trace only if the function has tracing and the trace is sampled.
func TestInvoke_Tracing(t *testing.T) {
	t.Parallel()
	const root, parent = "Root=1-5759e988-bd862e3fe1be46a994272793", "Parent=53995c3f42cd8ad8"
	tests := []struct {
		name, header string
		active       bool
		want         *lambda.Tracing
	}{
		{"sampled", root + ";" + parent + ";Sampled=1", true,
			&lambda.Tracing{Type: "X-Amzn-Trace-Id", Value: root + ";" + parent + ";Sampled=1"}},
		{"not sampled", root + ";" + parent + ";Sampled=0", true, nil},
		{"no header", "", true, nil},
		{"not active", root + ";" + parent + ";Sampled=1", false, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := start(t, func(f *lambda.Configuration, _ *lambda.Options) { f.Tracing = tt.active })
			if _, err := h.Invoke(t.Context(), function, tt.header, []byte(`{"do":"echo"}`)); err != nil {
				t.Fatal(err)
			}
			h.log(1, "platform.report")
			h.invocations(1)
			h.mu.Lock()
			defer h.mu.Unlock()
			got := h.events[len(h.events)-1].Record.(lambda.Report).Tracing
			if tt.want != nil {
				tt.want.SpanID = h.traced[0].FunctionSegment
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("tracing (-want +got):\n%s", diff)
			}
		})
	}
}
