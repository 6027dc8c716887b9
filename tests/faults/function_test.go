package faults_test

import (
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

	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/local"
	"github.com/userrequestapi/userdata/deploy/local/lambda"
	"github.com/userrequestapi/userdata/tests/stacktest"
)

const faultyVariable = "USERDATA_TEST_FAULTY" // the path of the binary of testdata/faulty

// buildFaulty is a [stacktest.Fixture].
func buildFaulty(ctx context.Context) (stop func() error, err error) {
	dir, err := os.MkdirTemp("", "userdata-faulty-")
	if err != nil {
		return nil, fmt.Errorf("build the faulty function: %w", err)
	}
	binary := filepath.Join(dir, "bootstrap")
	out, err := exec.CommandContext(ctx, "go", "build", "-tags", "lambda.norpc", "-o", binary, "./testdata/faulty").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("build the faulty function: %w\n%s", err, out)
	}
	return func() error { return os.RemoveAll(dir) }, os.Setenv(faultyVariable, binary)
}

// faulty puts the faulty function in the place of the one that reads users.
func faulty(cfg *local.Config) { cfg.Bootstraps["GetFunction"] = os.Getenv(faultyVariable) }

// withVariables starts a function with other environment variables than the template gives it; each is NAME=value, or just NAME
// for one that is to be absent.
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

// withTimeout gives all functions a time limit that a test can wait for.
func withTimeout(t *testing.T) func(*local.Config) {
	t.Helper()
	return func(cfg *local.Config) {
		root := t.TempDir()
		if err := os.Mkdir(filepath.Join(root, "deploy"), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"openapi.yaml", "template.yaml"} {
			text, err := os.ReadFile(filepath.Join(cfg.Root, "deploy", name))
			if err != nil {
				t.Fatal(err)
			}
			changed := regexp.MustCompile(`\bTimeout: \d+`).ReplaceAll(text, []byte("Timeout: 3"))
			if err := os.WriteFile(filepath.Join(root, "deploy", name), changed, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cfg.Root = root
	}
}

func withEnvironments(n int) func(*local.Config) {
	return func(cfg *local.Config) { cfg.Environments = n }
}

// get asks the faulty function to break as fault says.
func get(t *testing.T, s *stacktest.Stack, fault string, more ...string) stacktest.Response {
	t.Helper()
	query := url.Values{"fault": {fault}}
	for i := 0; i+1 < len(more); i += 2 {
		query.Set(more[i], more[i+1])
	}
	return s.Do(t, http.MethodGet, "/users/1?"+query.Encode(), "")
}

// wantGatewayProblem checks the problem document of the gateway itself for a function that did not answer.
func wantGatewayProblem(t *testing.T, res stacktest.Response, status int) {
	t.Helper()
	var document struct {
		Type, Title, Detail, Code, RequestID string
	}
	if err := json.Unmarshal(res.Body, &document); err != nil {
		t.Fatalf("body: %v: %.500s", err, res.Body)
	}
	res.Want(t, status)
	if document.Code != "BadGateway" || document.Type == "" || document.Title == "" || document.Detail == "" {
		t.Errorf("got %s, want the problem BadGateway with a detail", res.Body)
	}
	for name, want := range map[string]string{
		"Content-Type":     "application/problem+json",
		"X-Amzn-Errortype": "InternalServerErrorException",
		"X-Amzn-Requestid": document.RequestID,
		"X-Amzn-Trace-Id":  "", // errors of the gateway itself have none
	} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if strings.Contains(string(res.Body), "secret of the inside") {
		t.Errorf("the answer tells of the inside: %s", res.Body)
	}
}

// wantLog waits until the function that reads users has logged its nth REPORT, and compares what it and Lambda have logged by
// then with patterns: regular expressions for whole entries, in which <id> stands for a request id and <ms> for a duration.
func wantLog(t *testing.T, s *stacktest.Stack, reports int, patterns ...string) {
	t.Helper()
	var entries []string
	eventually(t, "the report in the log", func() bool {
		entries = nil
		left := reports
		for _, event := range s.Events() {
			entries = append(entries, event.Text())
			if _, ok := event.Record.(lambda.Report); ok {
				left--
			}
		}
		return left <= 0
	})
	if !slices.EqualFunc(entries, patterns, matches) {
		t.Errorf("log:\n%s\nwant:\n%s", strings.Join(entries, "\n"), strings.Join(patterns, "\n"))
	}
}

func matches(entry, pattern string) bool {
	pattern = strings.NewReplacer("$LATEST", `\$LATEST`, "<id>", `[0-9a-f]{8}-[0-9a-f-]{27}`, "<ms>", `[0-9]+\.[0-9]{2} ms`).
		Replace(pattern)
	return regexp.MustCompile("^(?s:" + pattern + ")$").MatchString(entry)
}

const (
	initStarted = "INIT_START Runtime Version: provided:al2023"
	started     = "START RequestId: <id> Version: $LATEST"
	ended       = "END RequestId: <id>"
	reported    = "REPORT RequestId: <id>\tDuration: <ms>\tBilled Duration: [0-9]+ ms\tMemory Size: 256 MB\tMax Memory Used: [0-9]+ MB"
	initTime    = "\tInit Duration: <ms>"
	traced      = "\nXRAY TraceId: 1-[0-9a-f]{8}-[0-9a-f]{24}\tSegmentId: [0-9a-f]{16}\tSampled: true"
)

func TestFaultyFunction(t *testing.T) {
	t.Parallel()
	exited := func(how string) string { return "RequestId: <id> Error: Runtime exited " + how + "\nRuntime.ExitError" }
	tests := []struct {
		fault   string
		wantLog []string // between START and END
		status  string   // at the end of REPORT
		ends    bool     // the environment, which is followed by another
	}{
		{fault: "panic", status: "\tStatus: error\tError Type: string", ends: true, wantLog: []string{
			`.*"errorMessage":"secret of the inside".*`, ".*the process should exit.*", exited("with error: exit status 1"),
		}},
		{fault: "error", status: "\tStatus: error\tError Type: errorString",
			wantLog: []string{`.*"errorMessage":"secret of the inside".*`}},
		{fault: "exit0", status: "\tStatus: error\tError Type: Runtime.ExitError", ends: true,
			wantLog: []string{exited("without providing a reason")}},
		{fault: "exit3", status: "\tStatus: error\tError Type: Runtime.ExitError", ends: true,
			wantLog: []string{exited("with error: exit status 3")}},
		{fault: "not JSON"},
		{fault: "no object"},
		{fault: "unknown key"},
		{fault: "no status"},
		{fault: "large", status: "\tStatus: error\tError Type: Function.ResponseSizeTooLarge", ends: true,
			wantLog: []string{".*413.*", exited("with error: exit status 1")}},
	}
	for _, tt := range tests {
		t.Run(tt.fault, func(t *testing.T) {
			t.Parallel()
			s := stacktest.Start(t, faulty)
			wantGatewayProblem(t, get(t, s, tt.fault), http.StatusBadGateway)
			if res := get(t, s, "").Want(t, http.StatusOK); res.JSON(t)["userId"] != "well" {
				t.Errorf("the next request: %s", res.Body)
			}
			log := append([]string{initStarted, started}, tt.wantLog...)
			log = append(log, ended, reported+initTime+tt.status+traced)
			if tt.ends {
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
	wantGatewayProblem(t, get(t, s, "hang"), http.StatusBadGateway)
	get(t, s, "").Want(t, http.StatusOK)
	wantLog(t, s, 2,
		initStarted, started, `20..-..-..T..:..:..\....Z <id> Task timed out after 3\.00 seconds`,
		ended, reported+initTime+"\tStatus: timeout"+traced,
		initStarted, started, ended, reported+initTime+traced)
}

// Lambda repeats an init that fails within the invocation, and tells the client only when that fails too.
func TestFaultyFunction_Init(t *testing.T) {
	t.Parallel()
	tests := []struct {
		init  string
		lines []string
	}{
		{"exit", []string{".* no start"}},
		{"panic", []string{"panic: no start", "goroutine 1 .*", `main\.main.*`, `\t.*main\.go.*`}},
	}
	const status = "\tStatus: error\tError Type: Runtime.ExitError"
	for _, tt := range tests {
		t.Run(tt.init, func(t *testing.T) {
			t.Parallel()
			s := stacktest.Start(t, faulty, withVariables(t, "GetFunction", "INIT="+tt.init))
			wantGatewayProblem(t, get(t, s, ""), http.StatusBadGateway)
			wantLog(t, s, 1, slices.Concat(
				[]string{initStarted}, tt.lines, []string{"INIT_REPORT Init Duration: <ms>\tPhase: init" + status},
				tt.lines, []string{"INIT_REPORT Init Duration: <ms>\tPhase: invoke" + status},
				[]string{started, ended, "REPORT .*" + status + traced},
			)...)
			s.Do(t, http.MethodPost, "/users", `{"userId":"1"}`).Want(t, http.StatusCreated) // by another function
		})
	}
}

// A function with wrong settings does not start, and says in one line all that is wrong.
func TestWrongSettings(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		variables []string
		want      []string // in the line
	}{
		{"no service", []string{"SERVICE_NAME"}, []string{"SERVICE_NAME is not set"}},
		{"wrong table and level", []string{"TABLE_NAME=a b", "LOG_LEVEL=loud"}, []string{"TABLE_NAME: want the name", "LOG_LEVEL"}},
		{"wrong endpoint", []string{"DYNAMODB_ENDPOINT=127.0.0.1:8000"}, []string{"DYNAMODB_ENDPOINT: want an http"}},
		{
			"wrong endpoint of the SDKs", []string{"DYNAMODB_ENDPOINT", "AWS_ENDPOINT_URL_DYNAMODB=127.0.0.1:8000"},
			[]string{"AWS_ENDPOINT_URL_DYNAMODB: want an http"},
		},
		{"wrong switch", []string{"REQUIRE_IF_MATCH=often"}, []string{"REQUIRE_IF_MATCH: want true or false"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := stacktest.Start(t, withVariables(t, "PutFunction", tt.variables...))
			wantGatewayProblem(t, s.Do(t, http.MethodPut, "/users/1", `{}`), http.StatusBadGateway)
			lines := s.Lines()
			if len(lines) != 2 { // the init is repeated
				t.Fatalf("lines: %q, want one for each of the two inits", lines)
			}
			for _, text := range lines {
				var line logLine
				if err := json.Unmarshal([]byte(text), &line); err != nil || line.Level != "ERROR" || line.Message != "init failed" {
					t.Errorf("line %s, want an ERROR as JSON", text)
				}
				for _, want := range tt.want {
					if !strings.Contains(line.Error, want) {
						t.Errorf("the line says %q, want %q in it", line.Error, want)
					}
				}
			}
			reports := 0
			for _, event := range s.Events() {
				if record, ok := event.Record.(lambda.InitReport); ok {
					reports++
					if record.ErrorType != "Function.InvalidSettings" {
						t.Errorf("%s, want the function's own error type", event.Text())
					}
				}
			}
			if reports != 2 {
				t.Errorf("%d reports of a failed init, want 2", reports)
			}
			s.Do(t, http.MethodPost, "/users", `{"userId":"1"}`).Want(t, http.StatusCreated) // by another function
		})
	}
}

// A function finds DynamoDB by the variables of the AWS SDKs, which emulators set, and by its own before these.
func TestEndpoint(t *testing.T) {
	t.Parallel()
	database := os.Getenv(testenv.EndpointVariable)
	const nowhere = "http://127.0.0.1:1"
	tests := []struct {
		name      string
		variables []string
		status    int // of the response to a POST
	}{
		{"for all services", []string{"DYNAMODB_ENDPOINT", "AWS_ENDPOINT_URL=" + database}, http.StatusCreated},
		{
			"for DynamoDB",
			[]string{"DYNAMODB_ENDPOINT", "AWS_ENDPOINT_URL=" + nowhere, "AWS_ENDPOINT_URL_DYNAMODB=" + database},
			http.StatusCreated,
		},
		{"of its own", []string{"AWS_ENDPOINT_URL=" + nowhere, "AWS_ENDPOINT_URL_DYNAMODB=" + nowhere}, http.StatusCreated},
		{
			"of its own, where the others are ignored",
			[]string{"AWS_ENDPOINT_URL=" + nowhere, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true"}, http.StatusCreated,
		},
		{
			"that of DynamoDB before that of all services",
			[]string{"DYNAMODB_ENDPOINT", "AWS_ENDPOINT_URL=" + database, "AWS_ENDPOINT_URL_DYNAMODB=" + nowhere},
			http.StatusInternalServerError,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := stacktest.Start(t, withVariables(t, "PostFunction", tt.variables...))
			s.Do(t, http.MethodPost, "/users", `{"userId":"1"}`).Want(t, tt.status)
		})
	}
}

// More requests than there may be environments are refused by Lambda, which the gateway tells as a fault of its own.
func TestTooManyRequests(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t, faulty, withEnvironments(1))
	file := filepath.Join(t.TempDir(), "gate")
	first := make(chan stacktest.Response)
	go func() { first <- get(t, s, "wait", "file", file) }()
	eventually(t, "the first request", func() bool {
		all := s.Host.Environments(s.Functions["GetFunction"])
		return len(all) == 1 && len(s.Events()) >= 2
	})
	wantGatewayProblem(t, get(t, s, ""), http.StatusInternalServerError)
	s.Do(t, http.MethodPost, "/users", `{"userId":"1"}`).Want(t, http.StatusCreated) // has environments of its own
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if res := (<-first).Want(t, http.StatusOK); res.JSON(t)["userId"] != "waited" {
		t.Errorf("the first request: %s", res.Body)
	}
	get(t, s, "").Want(t, http.StatusOK)
}

// Where the functions' X-Ray daemon is absent, or takes nothing any more, no request fails, and a function prints nothing but its own
// lines of JSON.
func TestNoXRayDaemon(t *testing.T) {
	t.Parallel()
	full, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = full.Close() })
	if err := full.SetReadBuffer(1); err != nil { // which nobody reads, and has room for a packet or two
		t.Fatal(err)
	}
	for name, address := range map[string]string{"absent": "127.0.0.1:1", "full": full.LocalAddr().String()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var changes []func(*local.Config)
			for _, function := range []string{"GetFunction", "PostFunction", "PutFunction", "DeleteFunction"} {
				changes = append(changes, withVariables(t, function, "AWS_XRAY_DAEMON_ADDRESS="+address))
			}
			s := stacktest.Start(t, changes...)
			const rounds = 3 // of two packets to a closed port, the second is told that it is closed
			s.Do(t, http.MethodPost, "/users", `{"userId":"a"}`).Want(t, http.StatusCreated)
			for range rounds {
				wantAllWell(t, s, "a")
			}
			s.Do(t, http.MethodGet, "/users/nobody", "").Want(t, http.StatusNotFound)
			sent := 2 + rounds*len(requests("a"))
			eventually(t, "a line for each request", func() bool { return len(s.Lines()) >= sent })
			for _, text := range s.Lines() {
				var line logLine
				if err := json.Unmarshal([]byte(text), &line); err != nil || line.Message != "request" || line.Level != "INFO" {
					t.Errorf("line %q, want only the requests' own", text)
				}
			}
			wantNoFaults(t, s)
		})
	}
}
