package local_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/local"
	"github.com/userrequestapi/userdata/deploy/local/apigateway"
	"github.com/userrequestapi/userdata/deploy/local/lambda"
)

const (
	requestLine = `{"level":"INFO","timestamp":"2026-11-22T19:16:40.831Z","message":"request","service":"UserRequestAPI",` +
		`"function":"UserRequestAPI-get","version":"$LATEST","requestId":"8fbe593b","coldStart":false,"method":"GET",` +
		`"route":"/users/{userId}","operation":"getUser","status":200,"outcome":"Success","durationMs":6.617,"retries":0}`
	failedLine = `{"level":"ERROR","timestamp":"2026-11-22T19:16:40.831Z","message":"request","requestId":"8fbe593b",` +
		`"coldStart":true,"method":"PUT","route":"/users","status":500,"durationMs":600,"errorCode":"StoreUnavailable",` +
		`"error":"StoreUnavailable: get user"}`
	panicLine = `{"level":"ERROR","message":"panic","error":"panic: index out of range","stack":"main.retrieve\n\tget.go:31"}`
)

// report returns a REPORT event.
func report(status, errorType string) lambda.Report {
	return lambda.Report{RequestID: "8fbe593b", Status: status, ErrorType: errorType, Metrics: lambda.ReportMetrics{
		DurationMs: 6.62, BilledDurationMs: 67, MemorySizeMB: 256, MaxMemoryUsedMB: 17, InitDurationMs: 60.1,
	}}
}

func TestTextLine(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		record lambda.Record
		color  bool
		want   string // after the time and the function name; "": no line
	}{
		{"init starts", lambda.InitStart{RuntimeVersion: "provided:al2023"}, false, ""},
		{"invocation starts", lambda.InvocationStart{RequestID: "8fbe593b", Version: "$LATEST"}, false, ""},
		{"invocation ends", lambda.InvocationEnd{RequestID: "8fbe593b"}, false, ""},
		{"request", lambda.Line(requestLine), false,
			"INFO   GET  /users/{userId}  200  6.617 ms  requestId=8fbe593b  retries=0"},
		{"request in color", lambda.Line(requestLine), true,
			"INFO   GET  /users/{userId}  \x1b[32m200\x1b[0m  6.617 ms  \x1b[2mrequestId=8fbe593b\x1b[0m  \x1b[2mretries=0\x1b[0m"},
		{"failed cold", lambda.Line(failedLine), false,
			"ERROR  PUT  /users  500  600 ms  cold start  StoreUnavailable  error=StoreUnavailable: get user  requestId=8fbe593b"},
		{"failed cold in color", lambda.Line(failedLine), true,
			"\x1b[31mERROR\x1b[0m  PUT  /users  \x1b[31m500\x1b[0m  600 ms  \x1b[33mcold start\x1b[0m  \x1b[31mStoreUnavailable\x1b[0m  " +
				"\x1b[2merror=StoreUnavailable: get user\x1b[0m  \x1b[2mrequestId=8fbe593b\x1b[0m"},
		{"client error in color", lambda.Line(`{"level":"WARN","message":"request","method":"GET","route":"/","status":404,"durationMs":1}`),
			true, "\x1b[33mWARN \x1b[0m  GET  /  \x1b[33m404\x1b[0m  1 ms"},
		{"panic", lambda.Line(panicLine), false,
			"ERROR  panic  error=panic: index out of range  \nmain.retrieve\n\tget.go:31"},
		{"large number", lambda.Line(`{"level":"DEBUG","message":"scan","bytes":123456789012}`), false,
			"DEBUG  scan  bytes=123456789012"},
		{"nested object", lambda.Line(`{"level":"INFO","message":"x","more":{"b":[1,null],"a":"<&>"}}`), false,
			`INFO   x  more={"b":[1,null],"a":"<&>"}`},
		{"no message", lambda.Line(`{"a":1}`), false, "       a=1"},
		{"not JSON", lambda.Line("panic: oh"), false, "panic: oh"},
		{"JSON, not an object", lambda.Line(`[1]`), false, "[1]"},
		{"truncated object", lambda.Line(`{"level":"INFO"`), false, `{"level":"INFO"`},
		{"report", report("success", ""), false, "REPORT RequestId: 8fbe593b  Duration: 6.62 ms  Billed Duration: 67 ms" +
			"  Memory Size: 256 MB  Max Memory Used: 17 MB  Init Duration: 60.10 ms"},
		{"report in color", report("error", "Runtime.ExitError"), true, "\x1b[2mREPORT RequestId: 8fbe593b  Duration: 6.62 ms" +
			"  Billed Duration: 67 ms  Memory Size: 256 MB  Max Memory Used: 17 MB  Init Duration: 60.10 ms  Status: error" +
			"  Error Type: Runtime.ExitError\x1b[0m"},
		{"fault", lambda.Fault("RequestId: 8fbe593b Error: Runtime exited without providing a reason\nRuntime.ExitError"), false,
			"RequestId: 8fbe593b Error: Runtime exited without providing a reason\nRuntime.ExitError"},
	}
	at := time.Date(2026, 11, 22, 19, 16, 40, int(831*time.Millisecond), time.Local)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := local.TextLine(lambda.Event{Time: at, Function: "UserRequestAPI-get", Record: tt.record}, tt.color)
			clock := "19:16:40.831"
			if tt.color {
				clock = "\x1b[2m" + clock + "\x1b[0m"
			}
			want := clock + " UserRequestAPI-get  " + tt.want
			if tt.want == "" {
				want = ""
			}
			if got != want {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}

// traceID is a trace id as API Gateway creates it.
const traceID = "1-5759e988-bd862e3fe1be46a994272793"

func TestRequestLine(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 19, 16, 40, int(831*time.Millisecond), time.Local)
	for _, tt := range []struct {
		name   string
		record apigateway.Record
		color  bool
		want   string // between the time and the trace id
	}{
		{"success", apigateway.Record{Method: "GET", ResourcePath: "/users/{userId}", Status: 200, Latency: 6617 * time.Microsecond},
			false, "200  GET    /users/{userId}  6.6 ms"},
		{"cold start", apigateway.Record{Method: "POST", ResourcePath: "/users", Status: 201, Latency: 98 * time.Millisecond, ColdStart: true},
			false, "201  POST   /users  98 ms  cold start"},
		{"error", apigateway.Record{Method: "PUT", ResourcePath: "/users", Status: 400, Latency: time.Millisecond, ErrorCode: "InvalidUser"},
			true, "\x1b[33m400\x1b[0m  PUT    /users  1.0 ms  \x1b[33mInvalidUser\x1b[0m"},
		{"error of the gateway", apigateway.Record{Method: "GET", Status: 403, Latency: time.Millisecond, ErrorType: "MISSING_AUTHENTICATION_TOKEN"},
			false, "403  GET    (no route)  1.0 ms  MISSING_AUTHENTICATION_TOKEN"},
		{"fault", apigateway.Record{Method: "DELETE", ResourcePath: "/users", Status: 500, Latency: 1500 * time.Millisecond, ErrorCode: "StoreUnavailable"},
			true, "\x1b[31m500\x1b[0m  DELETE /users  1500 ms  \x1b[31mFAULT\x1b[0m  \x1b[31mStoreUnavailable\x1b[0m"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.record.Time, tt.record.Trace.Root = at.Add(-tt.record.Latency), traceID
			want := "19:16:40.831  " + tt.want + "  " + traceID
			if tt.color {
				want = "\x1b[2m19:16:40.831\x1b[0m  " + tt.want + "  \x1b[2m" + traceID + "\x1b[0m"
			}
			if diff := cmp.Diff(want, local.RequestLine(tt.record, tt.color)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestLog checks that stdout has one line for each request, or with LOG=all the content of the file.
func TestLog(t *testing.T) {
	t.Parallel()
	const access = `{"requestId":"8fbe593b","status":"200"}`
	record := apigateway.Record{Method: "GET", ResourcePath: "/users", Status: 200, Trace: apigateway.Trace{Root: traceID}}
	event := lambda.Event{Function: "UserRequestAPI-get", Record: lambda.Line(requestLine)}
	for _, all := range []bool{false, true} {
		t.Run(fmt.Sprintf("all %t", all), func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "stack.jsonl")
			stdout, err := os.Create(filepath.Join(t.TempDir(), "stdout"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = stdout.Close() }()
			if err := local.WriteLog(file, stdout, all, record, access, event); err != nil {
				t.Fatal(err)
			}
			kept := requestLine + "\n" + access + "\n"
			want := local.RequestLine(record, false) + "\n"
			if all {
				want = kept
			}
			for path, want := range map[string]string{file: kept, stdout.Name(): want} {
				got, err := os.ReadFile(path)
				if diff := cmp.Diff(want, string(got)); diff != "" || err != nil {
					t.Errorf("%s: %v\n%s", path, err, diff)
				}
			}
		})
	}
}

func TestJSONLine(t *testing.T) {
	t.Parallel()
	const place = `"function":"UserRequestAPI-get","logStream":"stream"}`
	tests := []struct {
		name   string
		record lambda.Record
		want   string
	}{
		{"JSON object", lambda.Line(`{"level": "INFO", "n": 1.0}`), `{"level": "INFO", "n": 1.0}`},
		{"text", lambda.Line("panic: \x1b[1moh"),
			`{"time":"2026-11-22T19:16:40.831Z","type":"function","record":"panic: \u001b[1moh",` + place},
		{"array", lambda.Line(`[1]`), `{"time":"2026-11-22T19:16:40.831Z","type":"function","record":"[1]",` + place},
		{"truncated object", lambda.Line(`{"a":`), `{"time":"2026-11-22T19:16:40.831Z","type":"function","record":"{\"a\":",` + place},
		{"Lambda event", lambda.InvocationEnd{RequestID: "8fbe593b"},
			`{"time":"2026-11-22T19:16:40.831Z","type":"platform.end","record":{"requestId":"8fbe593b"},` + place},
		{"event of two lines", lambda.Fault("Error: Runtime exited\nRuntime.ExitError"),
			`{"time":"2026-11-22T19:16:40.831Z","type":"platform.fault","record":"Error: Runtime exited\nRuntime.ExitError",` + place},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			at := time.Date(2026, 11, 22, 19, 16, 40, int(831*time.Millisecond), time.UTC)
			event := lambda.Event{Time: at, Function: "UserRequestAPI-get", LogStream: "stream", Record: tt.record}
			if got := local.JSONLine(event); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestStepLine(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name                  string
		terminal, color, over bool
		want                  string
	}{
		{"terminal", true, true, false, "\x1b[2m  1.2 s\x1b[0m  Building 4 functions…"},
		{"terminal without colors", true, false, false, "  1.2 s  Building 4 functions…"},
		{"terminal, after the start", true, true, true, "Building 4 functions…"},
		{"not a terminal", false, true, false, "Building 4 functions…"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := local.StepLine("Building 4 functions…", 1234*time.Millisecond, tt.terminal, tt.color, tt.over); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
