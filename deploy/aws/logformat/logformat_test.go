package logformat_test

import (
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/aws/logformat"
)

const (
	request = `{"level":"INFO","timestamp":"2026-11-22T19:16:40.831Z","message":"request","service":"UserRequestAPI",` +
		`"function":"UserRequestAPI-get","version":"3","requestId":"r-1","coldStart":false,"method":"GET",` +
		`"route":"/users/{userId}","operation":"getUser","status":200,"outcome":"Success","durationMs":6.617,"retries":0,` +
		`"_aws":{"Timestamp":1,"CloudWatchMetrics":[]}}`
	failed = `{"level":"ERROR","message":"request","requestId":"r-1","coldStart":true,"method":"PUT","route":"/users","status":500,` +
		`"durationMs":600,"errorCode":"StoreUnavailable","error":"StoreUnavailable: get user"}`
	panicked = `{"level":"ERROR","message":"panic","error":"panic: index out of range","stack":"main.retrieve\n\tget.go:31"}`
	report   = `{"time":"2026-11-22T19:16:40.831Z","type":"platform.report","record":{"requestId":"l-1","status":"success","metrics":` +
		`{"durationMs":6.62,"billedDurationMs":67,"memorySizeMB":256,"maxMemoryUsedMB":17,"initDurationMs":60.1},"tracing":{"value":"Root=1-a"}}}`
	timeout = `{"time":"2026-11-22T19:16:40.831Z","type":"platform.report","record":{"requestId":"l-1","status":"timeout","errorType":"Sandbox.Timedout",` +
		`"metrics":{"durationMs":10000,"billedDurationMs":10000,"memorySizeMB":256,"maxMemoryUsedMB":17}}}`
	start  = `{"time":"2026-11-22T19:16:40.831Z","type":"platform.start","record":{"requestId":"l-1","version":"3"}}`
	initOf = `{"type":"platform.initReport","record":{"initializationType":"on-demand","phase":"init","status":"error","errorType":"Runtime.ExitError"}}`
	fault  = `{"type":"platform.fault","record":"RequestId: l-1 Process exited before completing request"}`
	access = `{"requestId":"r-1","extendedRequestId":"x=","xrayTraceId":"1-a","requestTime":"22/Nov/2026:19:16:40 +0000","ip":"192.0.2.1",` +
		`"caller":"-","httpMethod":"GET","resourcePath":"/users/{userId}","protocol":"HTTP/1.1","status":"200","responseLength":"81",` +
		`"responseLatency":"12","integrationLatency":"9","integrationStatus":"200","integrationError":"-","errorResponseType":"-"}`
	refused = `{"requestId":"r-1","httpMethod":"GET","resourcePath":"-","status":"403","responseLatency":"1","integrationError":"-",` +
		`"errorResponseType":"MISSING_AUTHENTICATION_TOKEN"}`
)

func TestText(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, line  string
		color       bool
		want, level string
	}{
		{"request", request, false, "INFO   GET  /users/{userId}  200  6.617 ms  requestId=r-1  retries=0", "INFO"},
		{"request in color", request, true,
			"INFO   GET  /users/{userId}  \x1b[32m200\x1b[0m  6.617 ms  \x1b[2mrequestId=r-1\x1b[0m  \x1b[2mretries=0\x1b[0m", "INFO"},
		{"failed", failed, false,
			"ERROR  PUT  /users  500  600 ms  cold start  StoreUnavailable  error=StoreUnavailable: get user  requestId=r-1", "ERROR"},
		{"failed in color", failed, true,
			"\x1b[31mERROR\x1b[0m  PUT  /users  \x1b[31m500\x1b[0m  600 ms  \x1b[33mcold start\x1b[0m  \x1b[31mStoreUnavailable\x1b[0m  " +
				"\x1b[2merror=StoreUnavailable: get user\x1b[0m  \x1b[2mrequestId=r-1\x1b[0m", "ERROR"},
		{"panic", panicked, false, "ERROR  panic  error=panic: index out of range  \nmain.retrieve\n\tget.go:31", "ERROR"},
		{"no level", `{"a":1,"b":null,"c":""}`, false, "       a=1", "INFO"},
		{"an unknown level", `{"level":"LOUD","status":"500"}`, false, "LOUD   status=500", "ERROR"},
		{"report", report, false, "REPORT  6.62 ms  init 60.1 ms  17 of 256 MB  requestId=l-1", "INFO"},
		{"timeout", timeout, false, "REPORT  10000 ms  17 of 256 MB  timeout  Sandbox.Timedout  requestId=l-1", "ERROR"},
		{"timeout in color", timeout, true,
			"\x1b[2mREPORT  10000 ms  17 of 256 MB\x1b[0m  \x1b[31mtimeout  Sandbox.Timedout\x1b[0m  \x1b[2mrequestId=l-1\x1b[0m", "ERROR"},
		{"start", start, false, "", "INFO"},
		{"init that failed", initOf, false, "initReport  errorType=Runtime.ExitError  initializationType=on-demand  phase=init  status=error", "ERROR"},
		{"fault", fault, false, "fault  RequestId: l-1 Process exited before completing request", "ERROR"},
		{"dropped", `{"type":"platform.logsDropped","record":{"droppedRecords":3}}`, false, "logsDropped  droppedRecords=3", "WARN"},
		{"access", access, false, "INFO   GET  /users/{userId}  200  12 ms  integrationLatency=9  integrationStatus=200  ip=192.0.2.1  requestId=r-1  " +
			"xrayTraceId=1-a", "INFO"},
		{"refused", refused, false, "WARN   GET  -  403  1 ms  MISSING_AUTHENTICATION_TOKEN  requestId=r-1", "WARN"},
		{"not JSON", "panic: oh\n\tmain.go:1", false, "panic: oh\n\tmain.go:1", "ERROR"},
		{"control characters", "\x1b]0;title\x07\r", true, "\x1b[31m�]0;title��\x1b[0m", "ERROR"},
		{"control characters in a field", `{"message":"\u001b[2J","\u001b[31m":"x"}`, false, "       �[2J  �[31m=x", "INFO"},
		{"an array", `[1]`, false, "[1]", "ERROR"},
		{"truncated", `{"level":"INFO"`, false, `{"level":"INFO"`, "ERROR"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := (logformat.Style{Color: tt.color}).Text(tt.line); got != tt.want {
				t.Errorf("Text\n%q, want\n%q", got, tt.want)
			}
			if got := logformat.Level(tt.line); got != tt.level {
				t.Errorf("Level %s, want %s", got, tt.level)
			}
		})
	}
}

func TestFields(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, line string
		want       []string
	}{
		{"in the line", `{"requestId":"r-1","lambdaRequestId":"l-1","other":"x"}`, []string{"r-1", "l-1"}},
		{"in the record", start, []string{"l-1"}},
		{"access log", access, []string{"r-1"}},
		{"hyphen and null", `{"requestId":"-","lambdaRequestId":null}`, nil},
		{"not JSON", "r-1", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, logformat.Fields(tt.line, "requestId", "lambdaRequestId")); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestIsObject(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]bool{`{"a":1}`: true, `{}`: true, `[]`: false, `{"a":`: false, "": false, "{": false} {
		t.Run(strconv.Quote(line), func(t *testing.T) {
			t.Parallel()
			if got := logformat.IsObject(line); got != want {
				t.Errorf("IsObject(%q) = %v, want %v", line, got, want)
			}
		})
	}
}
