package lambda_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/local/lambda"
)

const (
	function  = "UserRequestAPI-get"
	arn       = "arn:aws:lambda:eu-west-1:123456789012:function:UserRequestAPI-get"
	timeLimit = 3 * time.Second  // timeout for functions that must exceed it; long enough for the others to respond
	maxDelay  = 20 * time.Second // limit for what takes milliseconds on an idle machine
)

// bootstrap is the path of the binary built from testdata/function.
var bootstrap string //nolint:gochecknoglobals // set once, by TestMain

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	folder, err := os.MkdirTemp("", "lambdahost")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(folder) }()
	if folder, err = filepath.EvalSymlinks(folder); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	bootstrap = filepath.Join(folder, "bootstrap")
	build := exec.Command("go", "build", "-tags", "lambda.norpc", "-o", bootstrap, "./testdata/function")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as for deployed functions
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the test function: %v\n%s", err, out)
		return 1
	}
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// host is a [lambda.Host] with one function, which records its log events and traced invocations.
type host struct {
	*lambda.Host
	t        *testing.T
	function lambda.Configuration

	mu     sync.Mutex
	events []lambda.Event
	traced []lambda.Invocation
}

// start starts a host and closes it at the end of the test. change may modify the configuration.
func start(t *testing.T, change func(*lambda.Configuration, *lambda.Options)) *host {
	t.Helper()
	h := &host{t: t}
	f := lambda.Configuration{Name: function, Bootstrap: bootstrap, MemoryMB: 256, Timeout: time.Minute}
	opts := lambda.Options{AccountID: "123456789012", Region: "eu-west-1", XRayDaemonAddress: "127.0.0.1:2000", Log: func(e lambda.Event) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.events = append(h.events, e)
	}, Trace: func(i lambda.Invocation) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.traced = append(h.traced, i)
	}}
	if change != nil {
		change(&f, &opts)
	}
	h.function = f
	var err error
	if h.Host, err = lambda.Start([]lambda.Configuration{f}, opts); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Errorf("Close: error = %v, want none", err)
		}
	})
	return h
}

func (h *host) invoke(payload string) (response, functionError string) {
	h.t.Helper()
	output, err := h.Invoke(h.t.Context(), function, "", []byte(payload))
	if err != nil {
		h.t.Errorf("invoke %.100s: error = %v, want none", payload, err)
	}
	return string(output.Payload), output.FunctionError
}

// log waits for the nth event of a type and returns the log lines up to it.
func (h *host) log(n int, eventType string) []string {
	h.t.Helper()
	var lines []string
	testenv.Eventually(h.t, "the log entry", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		lines = lines[:0]
		left := n
		for _, e := range h.events {
			lines = append(lines, e.Text())
			if e.Type() == eventType {
				left--
			}
			if left == 0 {
				return true
			}
		}
		return false
	})
	return lines
}

func (h *host) idle() int {
	n := 0
	for _, e := range h.Environments(function) {
		if !e.Busy {
			n++
		}
	}
	return n
}

// waitIdle waits until no environment is busy. Otherwise the next invocation may start another one.
func (h *host) waitIdle() {
	h.t.Helper()
	testenv.Eventually(h.t, "the end of the invocations", func() bool { return h.idle() == len(h.Environments(function)) })
}

// freeze sends SIGSTOP and waits until the process has stopped.
func (h *host) freeze(pid int) {
	h.t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		h.t.Fatal(err)
	}
	testenv.Eventually(h.t, "the stop", func() bool {
		state, err := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
		if err != nil {
			h.t.Fatalf("ps: %v", err)
		}
		return strings.HasPrefix(string(state), "T")
	})
}

// checkLog compares lines with patterns: regular expressions that match whole lines, in which <id> stands for a request
// id and <ms> for a duration.
func checkLog(t *testing.T, lines, patterns []string) {
	t.Helper()
	if !slices.EqualFunc(lines, patterns, matches) {
		t.Errorf("log:\n%s\nwant:\n%s", strings.Join(lines, "\n"), strings.Join(patterns, "\n"))
	}
}

func matches(line, pattern string) bool {
	pattern = strings.NewReplacer("$LATEST", `\$LATEST`, "<id>", `[0-9a-f]{8}-[0-9a-f-]{27}`, "<ms>", `[0-9]+\.[0-9]{2} ms`).
		Replace(pattern)
	return line == pattern || regexp.MustCompile("^(?s:"+pattern+")$").MatchString(line)
}

const (
	started  = "START RequestId: <id> Version: $LATEST"
	ended    = "END RequestId: <id>"
	reported = "REPORT RequestId: <id>\tDuration: <ms>\tBilled Duration: [0-9]+ ms\tMemory Size: 256 MB" +
		"\tMax Memory Used: [1-9][0-9]* MB"
)

// exitError returns the error document, as recorded on Lambda, for a process that has exited.
func exitError(message string) string {
	return `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: <id> Error: ` + message + `"}`
}

func TestInvoke(t *testing.T) {
	t.Parallel()
	tooBig := `{"errorType":"Function.ResponseSizeTooLarge",` +
		`"errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes)."}`
	tests := []struct {
		name, payload  string
		want           string // a pattern as for checkLog
		wantError      string
		wantLog        []string // between START and END
		wantStatus     string   // at the end of REPORT
		wantNewProcess bool
	}{
		{name: "echo", payload: `{"do":"echo","text":"ü"}`, want: regexp.QuoteMeta(`{"do":"echo","text":"ü"}`)},
		{name: "empty payload", payload: ``, want: `{"errorMessage":"cannot do \\"\\"","errorType":".*"}`,
			wantError: "Unhandled", wantLog: []string{`.*cannot do.*`}, wantStatus: "error\tError Type: .*"},
		{name: "error", payload: `{"do":"error","text":"no luck"}`, want: `{"errorMessage":"no luck","errorType":"errorString"}`,
			wantError: "Unhandled", wantLog: []string{`.*no luck.*`}, wantStatus: "error\tError Type: errorString"},
		{name: "panic", payload: `{"do":"panic","text":"oh"}`, want: `{"errorMessage":"oh","errorType":"string","stackTrace":\[.*\]}`,
			wantError: "Unhandled", wantNewProcess: true,
			wantLog: []string{
				`.*"errorMessage":"oh".*`, ".*the process should exit.*",
				"RequestId: <id> Error: Runtime exited with error: exit status 1\nRuntime.ExitError",
			},
			wantStatus: "error\tError Type: string"},
		{name: "exit 0", payload: `{"do":"exit0"}`,
			want:      exitError("Runtime exited without providing a reason"),
			wantError: "Unhandled", wantNewProcess: true,
			wantLog:    []string{"RequestId: <id> Error: Runtime exited without providing a reason\nRuntime.ExitError"},
			wantStatus: "error\tError Type: Runtime.ExitError"},
		{name: "exit 3", payload: `{"do":"exit3"}`,
			want:      exitError("Runtime exited with error: exit status 3"),
			wantError: "Unhandled", wantNewProcess: true,
			wantLog: []string{
				"last words without an end",
				"RequestId: <id> Error: Runtime exited with error: exit status 3\nRuntime.ExitError",
			},
			wantStatus: "error\tError Type: Runtime.ExitError"},
		{name: "signal", payload: `{"do":"kill"}`,
			want:      exitError("Runtime exited with error: signal: killed"),
			wantError: "Unhandled", wantNewProcess: true,
			wantLog:    []string{"RequestId: <id> Error: Runtime exited with error: signal: killed\nRuntime.ExitError"},
			wantStatus: "error\tError Type: Runtime.ExitError"},
		{name: "nonsense", payload: `{"do":"nonsense"}`, want: "\x00 not JSON \xff"},
		{name: "largest response", payload: `{"do":"big","bytes":6291556}`, want: "x+"},
		{name: "response too large", payload: `{"do":"big","bytes":6291557}`, want: regexp.QuoteMeta(tooBig),
			wantError: "Unhandled", wantNewProcess: true,
			wantLog: []string{
				".*unexpected status code: 413",
				"RequestId: <id> Error: Runtime exited with error: exit status 1\nRuntime.ExitError",
			},
			wantStatus: "error\tError Type: Function.ResponseSizeTooLarge"},
		{name: "response far too large", payload: `{"do":"big","bytes":30000000}`, want: regexp.QuoteMeta(tooBig),
			wantError: "Unhandled", wantNewProcess: true,
			wantLog: []string{
				".*unexpected status code: 413",
				"RequestId: <id> Error: Runtime exited with error: exit status 1\nRuntime.ExitError",
			},
			wantStatus: "error\tError Type: Function.ResponseSizeTooLarge"},
		{name: "print", payload: `{"do":"print","text":"one\n\ntwo\n"}`, want: `"printed"`, wantLog: []string{"one", "two"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := start(t, nil)
			h.invoke(`{"do":"echo"}`)
			h.waitIdle()
			before := h.Environments(function)

			got, functionError := h.invoke(tt.payload)
			h.waitIdle()
			if !matches(got, tt.want) {
				t.Errorf("response = %.300q, want %s", got, tt.want)
			}
			if functionError != tt.wantError {
				t.Errorf("function error = %q, want %q", functionError, tt.wantError)
			}
			if got, _ := h.invoke(`{"do":"echo"}`); got != `{"do":"echo"}` {
				t.Errorf("response of the next invocation = %s, want its payload", got)
			}
			after := h.Environments(function)
			if len(before) != 1 || len(after) != 1 {
				t.Fatalf("environments before %v, after %v, want one each", before, after)
			}
			if renewed := before[0].ID != after[0].ID && before[0].PID != after[0].PID; renewed != tt.wantNewProcess {
				t.Errorf("environments before %v, after %v: new process = %t, want %t",
					before, after, renewed, tt.wantNewProcess)
			}

			report := reported
			if tt.wantStatus != "" {
				report += "\tStatus: " + tt.wantStatus
			}
			patterns := []string{
				"INIT_START Runtime Version: provided:al2023", "init", started, ended, reported + "\tInit Duration: <ms>", started,
			}
			checkLog(t, h.log(2, "platform.report"), append(append(patterns, tt.wantLog...), ended, report))
		})
	}
}

func TestInvoke_Timeout(t *testing.T) {
	t.Parallel()
	h := start(t, func(f *lambda.Configuration, _ *lambda.Options) { f.Timeout = timeLimit })
	got, functionError := h.invoke(`{"do":"hang"}`)
	checkLog(t, []string{got, functionError}, []string{
		`{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: <id> Error: Task timed out after 3.00 seconds"}`, "Unhandled",
	})
	if left := h.Environments(function); len(left) != 0 {
		t.Errorf("environments after a timeout = %v, want none", left)
	}
	checkLog(t, h.log(1, "platform.report"), []string{
		"INIT_START Runtime Version: provided:al2023", "init", started, "hanging",
		`20..-..-..T..:..:..\....Z <id> Task timed out after 3\.00 seconds`, ended,
		reported + "\tInit Duration: <ms>\tStatus: timeout",
	})
	if got, _ := h.invoke(`{"do":"echo"}`); got != `{"do":"echo"}` {
		t.Errorf("response of the next invocation = %s, want its payload", got)
	}
}

// A stopped process serves invocations after SIGCONT. Without it, the invocation times out.
func TestInvoke_Frozen(t *testing.T) {
	t.Parallel()
	h := start(t, func(f *lambda.Configuration, _ *lambda.Options) { f.Timeout = timeLimit })
	h.invoke(`{"do":"echo"}`)
	testenv.Eventually(t, "an idle environment", func() bool { return h.idle() == 1 })
	pid := h.Environments(function)[0].PID
	h.freeze(pid)
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if got, functionError := h.invoke(`{"do":"echo"}`); functionError != "" || h.Environments(function)[0].PID != pid {
		t.Errorf("after SIGCONT: %s %s from %v, want a response from process %d",
			got, functionError, h.Environments(function), pid)
	}

	testenv.Eventually(t, "an idle environment", func() bool { return h.idle() == 1 })
	h.freeze(pid)
	if got, _ := h.invoke(`{"do":"echo"}`); !strings.Contains(got, "Task timed out after 3.00 seconds") {
		t.Errorf("frozen: %s, want a timeout", got)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("signal to the frozen process: error = %v, want %v", err, syscall.ESRCH)
	}
}

func TestInvoke_Init(t *testing.T) {
	t.Parallel()
	const (
		initStart = "INIT_START Runtime Version: provided:al2023"
		posted    = `posted 202 {"status":"OK"} <nil>`
	)
	tests := []struct {
		init    string
		want    string
		wantLog []string
	}{
		{"exit", exitError("Runtime exited with error: exit status 7"),
			[]string{
				initStart, "init", "INIT_REPORT Init Duration: <ms>\tPhase: init\tStatus: error\tError Type: Runtime.ExitError",
				"init", "INIT_REPORT Init Duration: <ms>\tPhase: invoke\tStatus: error\tError Type: Runtime.ExitError",
				started, ended, "REPORT .*\tStatus: error\tError Type: Runtime.ExitError",
			}},
		{"error", `{"errorType":"Settings","errorMessage":"TABLE_NAME is wrong"}`,
			[]string{
				initStart, "init", posted, "INIT_REPORT Init Duration: <ms>\tPhase: init\tStatus: error\tError Type: Settings",
				"init", posted, "INIT_REPORT Init Duration: <ms>\tPhase: invoke\tStatus: error\tError Type: Settings",
				started, ended, "REPORT .*\tStatus: error\tError Type: Settings",
			}},
		{"error and stay", `{"errorType":"Settings","errorMessage":"TABLE_NAME is wrong"}`,
			[]string{
				initStart, "init", posted,
				"INIT_REPORT Init Duration: <ms>\tPhase: init\tStatus: error\tError Type: Settings",
				"init", posted, "INIT_REPORT Init Duration: <ms>\tPhase: invoke\tStatus: error\tError Type: Settings",
				started, ended, "REPORT .*\tStatus: error\tError Type: Settings",
			}},
		{"hang", `{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: <id> Error: Task timed out after 3.00 seconds"}`,
			[]string{
				initStart, "init", "INIT_REPORT Init Duration: <ms>\tPhase: init\tStatus: timeout",
				"init", "INIT_REPORT Init Duration: <ms>\tPhase: invoke\tStatus: timeout",
				started, ".* <id> Task timed out after 3.00 seconds", ended, "REPORT .*\tStatus: timeout",
			}},
	}
	for _, tt := range tests {
		t.Run(tt.init, func(t *testing.T) {
			t.Parallel()
			h := start(t, func(f *lambda.Configuration, opts *lambda.Options) {
				f.Environment = map[string]string{"INIT": tt.init}
				if tt.init == "hang" {
					f.Timeout, opts.InitTimeout = timeLimit, timeLimit
				}
			})
			got, functionError := h.invoke(`{"do":"echo"}`)
			checkLog(t, []string{got, functionError}, []string{tt.want, "Unhandled"})
			checkLog(t, h.log(1, "platform.report"), tt.wantLog)
			if left := h.Environments(function); len(left) != 0 {
				t.Errorf("environments left = %v, want none", left)
			}
		})
	}
}

func TestInvoke_ColdStart(t *testing.T) {
	t.Parallel()
	h := start(t, func(*lambda.Configuration, *lambda.Options) {})
	for i, want := range []bool{true, false} {
		output, err := h.Invoke(t.Context(), function, "", []byte(`{"do":"echo"}`))
		if err != nil || output.ColdStart != want {
			t.Errorf("invocation %d: cold start %t, error %v; want %t and no error", i, output.ColdStart, err, want)
		}
	}
}

// An init that times out is retried within the invocation, which succeeds if the retry does.
func TestInvoke_InitRetry(t *testing.T) {
	t.Parallel()
	h := start(t, func(f *lambda.Configuration, opts *lambda.Options) {
		f.Environment = map[string]string{"INIT": "hang once", "MARK": filepath.Join(t.TempDir(), "mark")}
		opts.InitTimeout = timeLimit
	})
	if got, functionError := h.invoke(`{"do":"echo"}`); got != `{"do":"echo"}` || functionError != "" {
		t.Errorf("response = %s, function error = %q; want the payload and no error", got, functionError)
	}
	checkLog(t, h.log(1, "platform.report"), []string{
		"INIT_START Runtime Version: provided:al2023", "init", "INIT_REPORT Init Duration: <ms>\tPhase: init\tStatus: timeout",
		"init", started, ended, reported,
	})
}

func TestInvoke_InvalidEntrypoint(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "bootstrap")
	if err := os.WriteFile(file, []byte("not a program"), 0o700); err != nil {
		t.Fatal(err)
	}
	h := start(t, func(f *lambda.Configuration, _ *lambda.Options) { f.Bootstrap = file })
	got, functionError := h.invoke(`{}`)
	checkLog(t, []string{got, functionError}, []string{
		`{"errorType":"Runtime.InvalidEntrypoint","errorMessage":"RequestId: <id> Error: .*exec format error"}`, "Unhandled",
	})
}

func TestInvoke_Errors(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	tests := []struct {
		name, function string
		payload        []byte
		want           lambda.Error
	}{
		{"unknown name", "unknown", nil, lambda.Error{Status: 404, Type: "ResourceNotFoundException"}},
		{"other account", strings.ReplaceAll(arn, "123456789012", "1"), nil,
			lambda.Error{Status: 404, Type: "ResourceNotFoundException"}},
		{"not JSON", function, []byte("{"), lambda.Error{Status: 400, Type: "InvalidRequestContentException"}},
		{"too large", function, make([]byte, 6291457), lambda.Error{Status: 413, Type: "RequestEntityTooLargeException"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := h.Invoke(t.Context(), tt.function, "", tt.payload)
			var got *lambda.Error
			if !errors.As(err, &got) || got.Message == "" || !strings.Contains(err.Error(), got.Type) {
				t.Fatalf("error = %v, want a *lambda.Error with a message", err)
			}
			tt.want.Message = got.Message
			if diff := cmp.Diff(tt.want, *got); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
	if got := h.Environments(function); len(got) != 0 {
		t.Errorf("environments = %v, want none", got)
	}
}

func TestInvoke_LargestPayload(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	const frame = `{"do":"echo","text":""}`
	payload := `{"do":"echo","text":"` + strings.Repeat("x", 6291456-len(frame)) + `"}`
	if got, _ := h.invoke(payload); got != payload {
		t.Errorf("got %d bytes, want the %d sent", len(got), len(payload))
	}
}

func TestInvoke_FunctionEnvironment(t *testing.T) {
	t.Parallel()
	h := start(t, func(f *lambda.Configuration, opts *lambda.Options) {
		f.Environment = map[string]string{"TABLE_NAME": "UserData", "TZ": "Europe/Zurich"}
		f.Handler = "main"
		opts.XRayDaemonAddress = "127.0.0.1:2345"
		f.LogGroup, f.LogFormat, f.LogLevel = "/functions", "JSON", "WARN"
	})
	type seen struct {
		Environment []string  `json:"environment"`
		RequestID   string    `json:"requestId"`
		ARN         string    `json:"arn"`
		Deadline    time.Time `json:"deadline"`
		Trace       string    `json:"trace"`
		Folder      string    `json:"folder"`
		Invocations int       `json:"invocations"`
	}
	report := func(function, trace string) seen {
		t.Helper()
		output, err := h.Invoke(t.Context(), function, trace, []byte(`{"do":"report"}`))
		if err != nil || output.FunctionError != "" {
			t.Fatalf("response = %s, function error = %q, error = %v; want a report", output.Payload, output.FunctionError, err)
		}
		var s seen
		if err := json.Unmarshal(output.Payload, &s); err != nil {
			t.Fatal(err)
		}
		if s.RequestID != output.RequestID {
			t.Errorf("request id in the function = %s, want the caller's %s", s.RequestID, output.RequestID)
		}
		return s
	}
	before := time.Now()
	s := report(function, traceHeader+";Lineage=a87bd80c:1|68fd508a:5")
	trace := "Root=" + traceID + ";Parent=" + h.invocations(1)[0].FunctionSegment + ";Sampled=1;Lineage=a87bd80c:1|68fd508a:5"
	if left := s.Deadline.Sub(before); left < time.Minute-time.Second || left > time.Minute+maxDelay {
		t.Errorf("deadline in %v, want in one minute", left)
	}
	environment := h.Environments(function)[0]
	root := filepath.Dir(bootstrap)
	api := ""
	variables := map[string]string{}
	for _, v := range s.Environment {
		name, value, _ := strings.Cut(v, "=")
		variables[name] = value
		if name == "AWS_LAMBDA_RUNTIME_API" {
			api = value
		}
	}
	if ok, _ := regexp.MatchString(`^127\.0\.0\.1:[0-9]+/`+environment.ID+`$`, api); !ok {
		t.Errorf("AWS_LAMBDA_RUNTIME_API = %s, want 127.0.0.1:PORT/%s", api, environment.ID)
	}
	if ok, _ := regexp.MatchString(`^20[0-9]{2}/[0-9]{2}/[0-9]{2}/\[\$LATEST\][0-9a-f]{32}$`, environment.LogStream); !ok {
		t.Errorf("log stream = %s, want YYYY/MM/DD/[$LATEST] and 32 hex digits", environment.LogStream)
	}
	want := map[string]string{
		"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_SESSION_TOKEN": "local",
		"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "WARN",
		"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1",
		"AWS_LAMBDA_FUNCTION_NAME": function, "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
		"AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME":      "/functions", "AWS_LAMBDA_LOG_STREAM_NAME": environment.LogStream,
		"AWS_LAMBDA_RUNTIME_API":   api,
		"AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR", "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2345",
		"_AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1", "_AWS_XRAY_DAEMON_PORT": "2345", "_X_AMZN_TRACE_ID": trace,
		"LAMBDA_TASK_ROOT": root, "LAMBDA_RUNTIME_DIR": "/var/runtime", "LANG": "en_US.UTF-8",
		"PATH":            "/usr/local/bin:/usr/bin:/bin:/opt/bin",
		"LD_LIBRARY_PATH": "/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:" + root + ":" + root + "/lib:/opt/lib",
		"_HANDLER":        "main", "TZ": "Europe/Zurich", "TABLE_NAME": "UserData",
	}
	if diff := cmp.Diff(want, variables); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	got := s
	got.Environment, got.RequestID, got.Deadline = nil, "", time.Time{}
	if diff := cmp.Diff(seen{ARN: arn, Trace: trace, Folder: root, Invocations: 1}, got); diff != "" {
		t.Errorf("invocation (-want +got):\n%s", diff)
	}

	second := report(arn+":live", "")
	if second.ARN != arn+":live" || second.Trace != "" || second.Invocations != 2 || second.RequestID == s.RequestID {
		t.Errorf("second invocation = %+v, want %s, no trace, 2 invocations and another request id", second, arn+":live")
	}
}

// The Runtime API rejects invalid requests, and the invocation continues.
func TestInvoke_RuntimeAPIErrors(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	if got, functionError := h.invoke(`{"do":"wrong"}`); got != `{"events":[]}` || functionError != "" {
		t.Errorf("got %s %s, want the function's first response", got, functionError)
	}
	const (
		transition = `403 {"errorType":"InvalidStateTransition","errorMessage":"State transition from %s to %s failed for runtime. ` +
			`Error: State transition is not allowed"}`
		invalidID = `400 {"errorType":"InvalidRequestID","errorMessage":"Invalid request ID"}`
	)
	lines := h.log(1, "platform.report")
	checkLog(t, lines[3:], []string{
		fmt.Sprintf(transition, "Running", "Ready"),
		invalidID,
		invalidID,
		fmt.Sprintf(transition, "Running", "InitError"),
		"404 404 page not found", // there is no Extensions API
		"404 404 page not found",
		"405 Method Not Allowed",
		`202 {"status":"OK"}`,
		fmt.Sprintf(transition, "ResponseSent", "InvocationResponse"),
		"RequestId: <id> Error: Runtime exited with error: exit status 1\nRuntime.ExitError",
		ended, reported + "\tInit Duration: <ms>\tStatus: error\tError Type: Runtime.ExitError",
	})
}

// Lines are split after 256 KB, and each belongs to its invocation.
func TestInvoke_LongLines(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	whole := strings.Repeat("a", 256<<10)
	var want []string
	for _, text := range []string{whole, whole + "b", "c"} {
		payload, err := json.Marshal(map[string]string{"do": "print", "text": text + "\n"})
		if err != nil {
			t.Fatal(err)
		}
		h.invoke(string(payload))
		want = append(want, text[:min(len(text), len(whole))])
		if len(text) > len(whole) {
			want = append(want, text[len(whole):])
		}
	}
	h.log(3, "platform.report")
	h.mu.Lock()
	defer h.mu.Unlock()
	var got []string
	var running string
	for _, e := range h.events {
		switch r := e.Record.(type) {
		case lambda.InvocationStart:
			running = r.RequestID
		case lambda.Line:
			if e.Text() != "init" {
				got = append(got, e.Text())
			}
			if running != "" && e.RequestID != running {
				t.Errorf("request id of a line = %q, want %q", e.RequestID, running)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("got %d lines, want %d with the printed content", len(got), len(want))
	}
}

func TestInvoke_Concurrency(t *testing.T) {
	t.Parallel()
	const limit = 3
	h := start(t, func(f *lambda.Configuration, _ *lambda.Options) { f.Concurrency = new(limit) })

	// Up to the limit, each concurrent invocation has its own environment. One more is throttled.
	gate := filepath.Join(t.TempDir(), "gate")
	hold := fmt.Sprintf(`{"do":"wait","text":%q}`, gate)
	var held sync.WaitGroup
	pids := make([]string, limit)
	for i := range pids {
		held.Go(func() { pids[i], _ = h.invoke(hold) })
	}
	testenv.Eventually(t, "the environments", func() bool { return len(h.Environments(function)) == limit })
	_, err := h.Invoke(t.Context(), function, "", nil)
	var throttled *lambda.Error
	if !errors.As(err, &throttled) || throttled.Status != 429 || throttled.Type != "TooManyRequestsException" {
		t.Errorf("error over the limit = %v, want 429", err)
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	held.Wait()
	seen := map[string]bool{}
	for _, pid := range pids {
		seen[pid] = true
	}
	if len(seen) != limit {
		t.Errorf("processes = %v, want %d different ones", pids, limit)
	}

	// Sequential invocations use the most recently used environment.
	testenv.Eventually(t, "idle environments", func() bool { return h.idle() == limit })
	last, _ := h.invoke(hold)
	for range 20 {
		testenv.Eventually(t, "idle environments", func() bool { return h.idle() == limit })
		if got, _ := h.invoke(hold); got != last {
			t.Fatalf("process = %s, want %s", got, last)
		}
	}

	// With as many clients as environments, no invocation is throttled.
	var clients sync.WaitGroup
	for range limit {
		clients.Go(func() {
			for range 50 {
				h.invoke(`{"do":"echo"}`)
			}
		})
	}
	clients.Wait()
	if got := len(h.Environments(function)); got != limit {
		t.Errorf("%d environments, want %d", got, limit)
	}
	testenv.Eventually(t, "idle environments", func() bool { return h.idle() == limit })
	h.checkOneAtATime(limit + 1 + 20 + limit*50)
}

// Idle environments end, except for the most recently used one.
func TestInvoke_IdleTimeout(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		timeout time.Duration
		want    int // environments that stay
	}{
		{"short", time.Millisecond, 1},
		{"long", time.Hour, 3},
		{"none", 0, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := start(t, func(_ *lambda.Configuration, o *lambda.Options) { o.IdleTimeout = tt.timeout })
			gate := filepath.Join(t.TempDir(), "gate")
			var held sync.WaitGroup
			for range 3 {
				held.Go(func() { h.invoke(fmt.Sprintf(`{"do":"wait","text":%q}`, gate)) })
			}
			testenv.Eventually(t, "the environments", func() bool { return len(h.Environments(function)) == 3 })
			if err := os.WriteFile(gate, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			held.Wait()
			testenv.Eventually(t, "the end of the others", func() bool {
				return len(h.Environments(function)) == tt.want && h.idle() == tt.want
			})
			last, _ := h.invoke(fmt.Sprintf(`{"do":"wait","text":%q}`, gate))
			for range 20 { // idle for longer than the timeout at least once
				testenv.Eventually(t, "idle environments", func() bool { return h.idle() == tt.want })
				if got, functionError := h.invoke(fmt.Sprintf(`{"do":"wait","text":%q}`, gate)); got != last || functionError != "" {
					t.Fatalf("response from process %s, error %q, want process %s", got, functionError, last)
				}
			}
		})
	}
}

// checkOneAtATime checks in the log that there were want invocations, and at most one at a time per environment.
func (h *host) checkOneAtATime(want int) {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	running := map[string]string{}
	invocations := 0
	for _, e := range h.events {
		switch e.Type() {
		case "platform.start":
			if other := running[e.LogStream]; other != "" {
				h.t.Errorf("%s started while %s ran, want one invocation at a time", e.RequestID, other)
			}
			running[e.LogStream] = e.RequestID
			invocations++
		case "platform.end":
			if running[e.LogStream] != e.RequestID {
				h.t.Errorf("%s ended while %q ran, want the end of the latter", e.RequestID, running[e.LogStream])
			}
			running[e.LogStream] = ""
		}
	}
	if invocations != want {
		h.t.Errorf("%d invocations in the log, want %d", invocations, want)
	}
}

func TestInvoke_AccountLimit(t *testing.T) {
	t.Parallel()
	h := start(t, func(_ *lambda.Configuration, opts *lambda.Options) { opts.MaxEnvironments = 1 })
	gate := filepath.Join(t.TempDir(), "gate")
	var held sync.WaitGroup
	held.Go(func() { h.invoke(fmt.Sprintf(`{"do":"wait","text":%q}`, gate)) })
	testenv.Eventually(t, "the environment", func() bool { return len(h.Environments(function)) == 1 })
	_, err := h.Invoke(t.Context(), function, "", nil)
	var throttled *lambda.Error
	if !errors.As(err, &throttled) || throttled.Status != 429 {
		t.Errorf("error = %v, want 429", err)
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	held.Wait()
	// Sequential invocations are never throttled: they reuse the environment.
	for range 50 {
		h.invoke(`{"do":"echo"}`)
	}
}

// An invocation continues after its caller's context is canceled.
func TestInvoke_ContextCanceled(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	gate := filepath.Join(t.TempDir(), "gate")
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() {
		_, err := h.Invoke(ctx, function, "", fmt.Appendf(nil, `{"do":"wait","text":%q}`, gate))
		failed <- err
	}()
	h.log(1, "platform.start")
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want %v", err, context.Canceled)
	}
	pid := h.Environments(function)[0].PID
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	checkLog(t, h.log(1, "platform.report")[2:], []string{started, ended, reported + "\tInit Duration: <ms>"})
	if got, _ := h.invoke(fmt.Sprintf(`{"do":"wait","text":%q}`, gate)); got != strconv.Itoa(pid) {
		t.Errorf("process of the next invocation = %s, want %d", got, pid)
	}
}

// An environment whose process exits while idle is replaced.
func TestInvoke_ExitWhileIdle(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.invoke(`{"do":"echo"}`)
	testenv.Eventually(t, "an idle environment", func() bool { return h.idle() == 1 })
	if err := syscall.Kill(h.Environments(function)[0].PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	lines := h.log(1, "platform.fault")
	checkLog(t, lines[len(lines)-1:], []string{"Error: Runtime exited with error: signal: killed\nRuntime.ExitError"})
	if got, functionError := h.invoke(`{"do":"echo"}`); functionError != "" {
		t.Errorf("response of the next invocation = %s, want its payload", got)
	}
}

// Child processes of a runtime end with it.
func TestInvoke_Orphan(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.invoke(`{"do":"orphan"}`)
	lines := h.log(1, "platform.report")
	pid, err := strconv.Atoi(lines[3])
	if err != nil {
		t.Fatalf("log = %q, want the process id of the child in the fourth line", lines)
	}
	testenv.Eventually(t, "the end of the orphan", func() bool {
		state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)) // stays a zombie if init does not reap it
		return syscall.Kill(pid, 0) != nil || err == nil && strings.Contains(string(state), ") Z ")
	})
}

func TestClose(t *testing.T) {
	t.Parallel()
	for name, frozen := range map[string]bool{"idle": false, "frozen": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t, nil)
			h.invoke(`{"do":"echo"}`)
			before := h.log(1, "platform.report")
			pid := h.Environments(function)[0].PID
			if frozen {
				h.freeze(pid)
			}
			if err := h.Close(); err != nil {
				t.Errorf("Close: error = %v, want none", err)
			}
			if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
				t.Errorf("signal to process %d: error = %v, want %v", pid, err, syscall.ESRCH)
			}
			if left := h.Environments(function); len(left) != 0 {
				t.Errorf("environments left = %v, want none", left)
			}
			if after := h.texts()[len(before):]; len(after) != 0 {
				t.Errorf("log after Close = %q, want none", after)
			}
			if _, err := h.Invoke(t.Context(), function, "", nil); !errors.Is(err, lambda.ErrClosed) {
				t.Errorf("invoke after close: %v, want %v", err, lambda.ErrClosed)
			}
		})
	}
}

func TestClose_WhileInvocationsRun(t *testing.T) {
	t.Parallel()
	for _, init := range []string{"", "hang"} {
		t.Run("init "+init, func(t *testing.T) {
			t.Parallel()
			h := start(t, func(f *lambda.Configuration, _ *lambda.Options) { f.Environment = map[string]string{"INIT": init} })
			failed := make(chan error)
			for range 2 {
				go func() {
					_, err := h.Invoke(t.Context(), function, "", []byte(`{"do":"hang"}`))
					failed <- err
				}()
			}
			testenv.Eventually(t, "the environments", func() bool { return len(h.Environments(function)) == 2 })
			if err := h.Close(); err != nil {
				t.Errorf("Close: error = %v, want none", err)
			}
			for range 2 {
				if err := <-failed; !errors.Is(err, lambda.ErrClosed) {
					t.Errorf("error = %v, want %v", err, lambda.ErrClosed)
				}
			}
		})
	}
}

func TestStart_Errors(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	plain := filepath.Join(folder, "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	valid := lambda.Configuration{Name: "a", Bootstrap: bootstrap, MemoryMB: 128, Timeout: time.Second}
	changed := func(change func(*lambda.Configuration)) []lambda.Configuration {
		f := valid
		change(&f)
		return []lambda.Configuration{f}
	}
	for want, functions := range map[string][]lambda.Configuration{
		"configured twice":       {valid, valid},
		"want a name without":    changed(func(f *lambda.Configuration) { f.Name = "" }),
		"no such file":           changed(func(f *lambda.Configuration) { f.Bootstrap = filepath.Join(folder, "b") }),
		plain + " is not an":     changed(func(f *lambda.Configuration) { f.Bootstrap = plain }),
		folder + " is not":       changed(func(f *lambda.Configuration) { f.Bootstrap = folder }),
		"want a memory and a":    changed(func(f *lambda.Configuration) { f.Timeout = 0 }),
		"AWS_REGION is reserved": changed(func(f *lambda.Configuration) { f.Environment = map[string]string{"AWS_REGION": "x"} }),
		"X-Ray daemon":           nil,
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			opts := lambda.Options{XRayDaemonAddress: "127.0.0.1:2000"}
			if functions == nil {
				opts.XRayDaemonAddress = "localhost"
			}
			if _, err := lambda.Start(functions, opts); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error = %v, want one that contains %q", err, want)
			}
		})
	}
}
