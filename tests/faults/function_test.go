package faults_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/local"
	"github.com/userrequestapi/userdata/deploy/local/lambda"
	"github.com/userrequestapi/userdata/shared/user/usertest"
)

const faultyVariable = "TEST_FAULTY" // the path of the binary of testdata/faulty

// buildFaulty is a [stacktest.Fixture] that builds testdata/faulty.
func buildFaulty(ctx context.Context) (stop func() error, err error) {
	dir, err := os.MkdirTemp("", "faulty-")
	if err != nil {
		return nil, fmt.Errorf("build faulty function: %w", err)
	}
	binary := filepath.Join(dir, "bootstrap")
	build := exec.CommandContext(ctx, "go", "build", "-tags", "lambda.norpc", "-o", binary, "./testdata/faulty")
	out, err := build.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("build faulty function: %w\n%s", err, out)
	}
	return func() error { return os.RemoveAll(dir) }, os.Setenv(faultyVariable, binary)
}

// faulty replaces GetFunction by the faulty function.
func faulty(cfg *local.Config) { cfg.Bootstraps["GetFunction"] = os.Getenv(faultyVariable) }

// withVariables changes the environment variables of a function. A variable NAME=value is set; a variable NAME is
// removed.
func withVariables(t *testing.T, function string, variables ...string) func(*local.Config) {
	t.Helper()
	return func(cfg *local.Config) {
		command := []string{"exec", "env"}
		for _, v := range variables {
			if !strings.Contains(v, "=") {
				command = append(command, "-u")
			}
			command = append(command, "'"+v+"'")
		}
		script := fmt.Sprintf("#!/bin/sh\n%s %s\n", strings.Join(command, " "), cfg.Bootstraps[function])
		path := filepath.Join(t.TempDir(), "bootstrap")
		if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
		cfg.Bootstraps[function] = path
	}
}

// withTimeout sets the timeout of all functions to 3 seconds.
func withTimeout(t *testing.T) func(*local.Config) {
	t.Helper()
	return func(cfg *local.Config) {
		root := t.TempDir()
		for _, name := range []string{"openapi.yaml", "template.yaml"} {
			content, err := os.ReadFile(filepath.Join(cfg.Root, "deploy", name))
			if err != nil {
				t.Fatal(err)
			}
			changed := regexp.MustCompile(`\bTimeout: .*`).ReplaceAll(content, []byte("Timeout: 3"))
			testenv.WriteFile(t, filepath.Join(root, "deploy", name), string(changed))
		}
		cfg.Root = root
	}
}

func withEnvironments(n int) func(*local.Config) {
	return func(cfg *local.Config) { cfg.Environments = n }
}

// getFault sends a request to the faulty function. Without a failure, it returns a user whose id is fault, or "none".
// parameters has names and values in turn.
func getFault(t *testing.T, s *stacktest.TestStack, fault string, parameters ...string) stacktest.Response {
	t.Helper()
	user := usertest.Body(t, fmt.Sprintf(`{"userId": %q}`, cmp.Or(fault, "none")))
	query := url.Values{"fault": {fault}, "user": {user}}
	for i := 0; i+1 < len(parameters); i += 2 {
		query.Set(parameters[i], parameters[i+1])
	}
	return s.Do(t, http.MethodGet, "/users/1?"+query.Encode(), "")
}

// wantGatewayProblem checks the problem document that the gateway returns if a function fails.
func wantGatewayProblem(t *testing.T, res stacktest.Response, status int) {
	t.Helper()
	var document struct {
		Type, Title, Detail, Code, RequestID string
	}
	if err := json.Unmarshal(res.Body, &document); err != nil {
		t.Fatalf("want a problem document, got %.500s: %v", res.Body, err)
	}
	res.Want(t, status)
	if document.Code != "BadGateway" || document.Type == "" || document.Title == "" || document.Detail == "" {
		t.Errorf("got %s, want the problem BadGateway with type, title and detail", res.Body)
	}
	for name, want := range map[string]string{
		"Content-Type":     "application/problem+json",
		"X-Amzn-Errortype": "InternalServerErrorException",
		"X-Amzn-Requestid": document.RequestID,
		"X-Amzn-Trace-Id":  "", // not set for errors of the gateway
	} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("got %s %q, want %q", name, got, want)
		}
	}
	if strings.Contains(string(res.Body), "internal secret") {
		t.Errorf("got body %s, want no internal details", res.Body)
	}
}

// wantLog waits for this number of REPORT entries, then compares all log entries with patterns. A pattern is a regular
// expression for a whole entry, in which <id> matches a request id and <ms> a duration.
func wantLog(t *testing.T, s *stacktest.TestStack, reports int, patterns ...string) {
	t.Helper()
	var entries []string
	testenv.Eventually(t, "REPORT entries", func() bool {
		entries = nil
		missing := reports
		for _, event := range s.Events() {
			entries = append(entries, event.Text())
			if _, ok := event.Record.(lambda.Report); ok {
				missing--
			}
		}
		return missing <= 0
	})
	if !slices.EqualFunc(entries, patterns, matches) {
		t.Errorf("got log:\n%s\nwant:\n%s", strings.Join(entries, "\n"), strings.Join(patterns, "\n"))
	}
}

func matches(entry, pattern string) bool {
	pattern = strings.NewReplacer(
		"$LATEST", `\$LATEST`, "<id>", `[0-9a-f]{8}-[0-9a-f-]{27}`, "<ms>", `[0-9]+\.[0-9]{2} ms`,
	).Replace(pattern)
	return regexp.MustCompile("^(?s:" + pattern + ")$").MatchString(entry)
}

const (
	initStarted = "INIT_START Runtime Version: provided:al2023"
	started     = "START RequestId: <id> Version: $LATEST"
	ended       = "END RequestId: <id>"
	reported    = "REPORT RequestId: <id>\tDuration: <ms>\tBilled Duration: [0-9]+ ms\t" +
		"Memory Size: 256 MB\tMax Memory Used: [0-9]+ MB"
	initTime = "\tInit Duration: <ms>"
	traced   = "\nXRAY TraceId: 1-[0-9a-f]{8}-[0-9a-f]{24}\tSegmentId: [0-9a-f]{16}\tSampled: true"
)

func TestFaultyFunction(t *testing.T) {
	t.Parallel()
	exited := func(reason string) string {
		return "RequestId: <id> Error: Runtime exited " + reason + "\nRuntime.ExitError"
	}
	tests := []struct {
		fault   string
		wantLog []string // between START and END
		status  string   // at the end of REPORT
		exits   bool     // whether the next request has a cold start
	}{
		{fault: "panic", status: "\tStatus: error\tError Type: string", exits: true, wantLog: []string{
			`.*"errorMessage":"internal secret".*`, ".*the process should exit.*", exited("with error: exit status 1"),
		}},
		{fault: "error", status: "\tStatus: error\tError Type: errorString",
			wantLog: []string{`.*"errorMessage":"internal secret".*`}},
		{fault: "exit0", status: "\tStatus: error\tError Type: Runtime.ExitError", exits: true,
			wantLog: []string{exited("without providing a reason")}},
		{fault: "exit3", status: "\tStatus: error\tError Type: Runtime.ExitError", exits: true,
			wantLog: []string{exited("with error: exit status 3")}},
		{fault: "not JSON"},
		{fault: "not an object"},
		{fault: "unknown key"},
		{fault: "invalid status code"},
		{fault: "large", status: "\tStatus: error\tError Type: Function.ResponseSizeTooLarge", exits: true,
			wantLog: []string{".*413.*", exited("with error: exit status 1")}},
	}
	for _, tt := range tests {
		t.Run(tt.fault, func(t *testing.T) {
			t.Parallel()
			s := stacktest.Start(t, faulty)
			wantGatewayProblem(t, getFault(t, s, tt.fault), http.StatusBadGateway)
			if res := getFault(t, s, "").Want(t, http.StatusOK); res.JSON(t)["userId"] != "none" {
				t.Errorf("next request: got %s, want userId none", res.Body)
			}
			log := append([]string{initStarted, started}, tt.wantLog...)
			log = append(log, ended, reported+initTime+tt.status+traced)
			if tt.exits {
				log = append(log, initStarted, started, ended, reported+initTime+traced)
			} else {
				log = append(log, started, ended, reported+traced)
			}
			wantLog(t, s, 2, log...)
		})
	}
}

func TestFaultyFunction_Hangs(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t, faulty, withTimeout(t))
	wantGatewayProblem(t, getFault(t, s, "hang"), http.StatusBadGateway)
	getFault(t, s, "").Want(t, http.StatusOK)
	wantLog(t, s, 2,
		initStarted, started, `20..-..-..T..:..:..\....Z <id> Task timed out after 3\.00 seconds`,
		ended, reported+initTime+"\tStatus: timeout"+traced,
		initStarted, started, ended, reported+initTime+traced)
}

// TestFaultyFunction_Init checks that Lambda retries a failed init during the invocation, and fails the request if it
// fails again.
func TestFaultyFunction_Init(t *testing.T) {
	t.Parallel()
	tests := []struct {
		init  string
		lines []string
	}{
		{"exit", []string{".* init failed"}},
		{"panic", []string{"panic: init failed", "goroutine 1 .*", `main\.main.*`, `\t.*main\.go.*`}},
	}
	const status = "\tStatus: error\tError Type: Runtime.ExitError"
	for _, tt := range tests {
		t.Run(tt.init, func(t *testing.T) {
			t.Parallel()
			s := stacktest.Start(t, faulty, withVariables(t, "GetFunction", "INIT="+tt.init))
			wantGatewayProblem(t, getFault(t, s, ""), http.StatusBadGateway)
			wantLog(t, s, 1, slices.Concat(
				[]string{initStarted}, tt.lines, []string{"INIT_REPORT Init Duration: <ms>\tPhase: init" + status},
				tt.lines, []string{"INIT_REPORT Init Duration: <ms>\tPhase: invoke" + status},
				[]string{started, ended, "REPORT .*" + status + traced},
			)...)
			s.Do(t, http.MethodPost, "/users", usertest.Body(t, `{"userId":"1"}`)).Want(t, http.StatusCreated) // served by another function
		})
	}
}

// TestInvalidSettings checks that the init of a function with invalid settings fails, and logs all errors in one line.
func TestInvalidSettings(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		variables []string
		want      []string // in the line
	}{
		{"no service", []string{"SERVICE_NAME"}, []string{"SERVICE_NAME is not set"}},
		{
			"invalid table and level", []string{"TABLE_NAME=a b", "LOG_LEVEL=loud"},
			[]string{"TABLE_NAME: want the name", "LOG_LEVEL"},
		},
		{"invalid endpoint", []string{"DYNAMODB_ENDPOINT=127.0.0.1:8000"}, []string{"DYNAMODB_ENDPOINT: want an http"}},
		{
			"invalid endpoint of the SDKs", []string{"DYNAMODB_ENDPOINT", "AWS_ENDPOINT_URL_DYNAMODB=127.0.0.1:8000"},
			[]string{"AWS_ENDPOINT_URL_DYNAMODB: want an http"},
		},
		{"invalid boolean", []string{"REQUIRE_IF_MATCH=often"}, []string{"REQUIRE_IF_MATCH: want true or false"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := stacktest.Start(t, withVariables(t, "PutFunction", tt.variables...))
			wantGatewayProblem(t, s.Do(t, http.MethodPut, "/users/1", usertest.Body(t, `{}`)), http.StatusBadGateway)
			lines := s.Lines()
			if len(lines) != 2 { // Lambda retries the init
				t.Fatalf("got lines %q, want one for each of two inits", lines)
			}
			for _, raw := range lines {
				var line logLine
				err := json.Unmarshal([]byte(raw), &line)
				if err != nil || line.Level != "ERROR" || line.Message != "init failed" {
					t.Errorf("got line %s, want a JSON line with level ERROR and message init failed", raw)
				}
				for _, want := range tt.want {
					if !strings.Contains(line.Error, want) {
						t.Errorf("got error %q, want one with %q", line.Error, want)
					}
				}
			}
			reports := 0
			for _, event := range s.Events() {
				if record, ok := event.Record.(lambda.InitReport); ok {
					reports++
					if record.ErrorType != "Function.InvalidSettings" {
						t.Errorf("got %s, want the error type Function.InvalidSettings", event.Text())
					}
				}
			}
			if reports != 2 {
				t.Errorf("got %d INIT_REPORT entries, want 2", reports)
			}
			s.Do(t, http.MethodPost, "/users", usertest.Body(t, `{"userId":"1"}`)).Want(t, http.StatusCreated) // served by another function
		})
	}
}

// TestEndpoint checks that DYNAMODB_ENDPOINT has precedence over the endpoint variables of the AWS SDKs.
func TestEndpoint(t *testing.T) {
	t.Parallel()
	database := stacktest.Endpoint(t)
	const closed = "http://127.0.0.1:1"
	tests := []struct {
		name      string
		variables []string
		status    int // of the response to a POST
	}{
		{"AWS_ENDPOINT_URL", []string{"DYNAMODB_ENDPOINT", "AWS_ENDPOINT_URL=" + database}, http.StatusCreated},
		{
			"AWS_ENDPOINT_URL_DYNAMODB before AWS_ENDPOINT_URL",
			[]string{"DYNAMODB_ENDPOINT", "AWS_ENDPOINT_URL=" + closed, "AWS_ENDPOINT_URL_DYNAMODB=" + database},
			http.StatusCreated,
		},
		{
			"DYNAMODB_ENDPOINT before both",
			[]string{"AWS_ENDPOINT_URL=" + closed, "AWS_ENDPOINT_URL_DYNAMODB=" + closed}, http.StatusCreated,
		},
		{
			"DYNAMODB_ENDPOINT, with the others ignored",
			[]string{"AWS_ENDPOINT_URL=" + closed, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true"}, http.StatusCreated,
		},
		{
			"AWS_ENDPOINT_URL_DYNAMODB, closed",
			[]string{"DYNAMODB_ENDPOINT", "AWS_ENDPOINT_URL=" + database, "AWS_ENDPOINT_URL_DYNAMODB=" + closed},
			http.StatusInternalServerError,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := stacktest.Start(t, withVariables(t, "PostFunction", tt.variables...))
			s.Do(t, http.MethodPost, "/users", usertest.Body(t, `{"userId":"1"}`)).Want(t, tt.status)
		})
	}
}

// TestTooManyRequests exceeds the concurrency of a function. Lambda throttles the request, and the gateway responds
// with 500.
func TestTooManyRequests(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t, faulty, withEnvironments(1))
	finish := occupy(t, s)
	wantGatewayProblem(t, getFault(t, s, ""), http.StatusInternalServerError)
	s.Do(t, http.MethodPost, "/users", usertest.Body(t, `{"userId":"1"}`)).Want(t, http.StatusCreated) // another function has its own limit
	if res := finish(); res.JSON(t)["userId"] != "wait" {
		t.Errorf("first request: got %s, want userId wait", res.Body)
	}
	getFault(t, s, "").Want(t, http.StatusOK)
}

// occupy sends a request that occupies the only execution environment of the function get. finish ends the request and
// returns its response.
func occupy(t *testing.T, s *stacktest.TestStack) (finish func() stacktest.Response) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "gate")
	response := make(chan stacktest.Response)
	go func() { response <- getFault(t, s, "wait", "file", file) }()
	testenv.Eventually(t, "first request", func() bool {
		return len(s.Environments(s.Functions["GetFunction"])) == 1
	})
	return func() stacktest.Response {
		testenv.WriteFile(t, file, "")
		return (<-response).Want(t, http.StatusOK)
	}
}

// TestNoXRayDaemon checks that a missing or blocked X-Ray daemon neither fails requests nor adds lines to the log.
func TestNoXRayDaemon(t *testing.T) {
	t.Parallel()
	full, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = full.Close() })
	if err := full.SetReadBuffer(1); err != nil { // room for one or two packets, which are never read
		t.Fatal(err)
	}
	for name, address := range map[string]string{"no daemon": "127.0.0.1:1", "full buffer": full.LocalAddr().String()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var changes []func(*local.Config)
			for _, function := range []string{"GetFunction", "PostFunction", "PutFunction", "DeleteFunction"} {
				changes = append(changes, withVariables(t, function, "AWS_XRAY_DAEMON_ADDRESS="+address))
			}
			s := stacktest.Start(t, changes...)
			const rounds = 3 // sending to a closed port fails only from the second packet on
			s.Do(t, http.MethodPost, "/users", usertest.Body(t, `{"userId":"a"}`)).Want(t, http.StatusCreated)
			for range rounds {
				wantSuccess(t, s, "a")
			}
			s.Do(t, http.MethodGet, "/users/nobody", "").Want(t, http.StatusNotFound)
			sent := 2 + rounds*len(requests(t, "a"))
			testenv.Eventually(t, "a line for each request", func() bool { return len(s.Lines()) >= sent })
			for _, raw := range s.Lines() {
				var line logLine
				err := json.Unmarshal([]byte(raw), &line)
				if err != nil || line.Message != "request" || line.Level != "INFO" {
					t.Errorf("got line %q, want only request lines", raw)
				}
			}
			wantNoFaults(t, s)
		})
	}
}
