package local_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	awsdynamodb "github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/local"
)

// run is a local stack in a process of its own.
type run struct {
	cmd     *exec.Cmd
	dataDir string
	stdout  io.ReadCloser
	stderr  buffer
	ended   chan struct{} // closed when cmd has ended
}

// buffer is a [bytes.Buffer] for concurrent use.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// startRun runs a command in the folder dir as the leader of a process group, as a shell does, with the given environment
// variables and a data folder and ports of its own.
func startRun(t *testing.T, dir string, command []string, variables ...string) *run {
	t.Helper()
	dataDir := t.TempDir()
	r := &run{cmd: exec.Command(command[0], command[1:]...), dataDir: dataDir, ended: make(chan struct{})}
	r.cmd.Dir = dir
	r.cmd.Env = append(os.Environ(), "DATA_DIR="+dataDir, "PORT=0", "STAGE=", "AUTH=", "RESET=", "LOG=", "CONCURRENCY=", "IDLE_TIMEOUT=", "AWS_XRAY_DAEMON_ADDRESS=")
	r.cmd.Env = append(r.cmd.Env, variables...)
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	r.cmd.Stderr = &r.stderr
	var (
		stdout *os.File
		err    error
	)
	if r.stdout, stdout, err = os.Pipe(); err != nil {
		t.Fatal(err)
	}
	r.cmd.Stdout = stdout
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = stdout.Close()
	go func() {
		_ = r.cmd.Wait()
		close(r.ended)
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-r.cmd.Process.Pid, syscall.SIGKILL) // only if the test has failed
		<-r.ended
		_ = r.stdout.Close()
		if t.Failed() {
			t.Logf("stderr:\n%s", r.stderr.String())
		}
	})
	return r
}

// project returns a copy of the workspace at root with the targets of this repository.
func project(t *testing.T) string {
	t.Helper()
	dir, repository := t.TempDir(), testenv.Root(t)
	if err := os.CopyFS(dir, os.DirFS(root)); err != nil {
		t.Fatal(err)
	}
	tools := filepath.Join(repository, "deploy")
	for _, name := range []string{"magefile.go", "go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join(repository, name))
		if err != nil {
			t.Fatal(err)
		}
		testenv.WriteFile(t, filepath.Join(dir, name), strings.ReplaceAll(string(content), "=> ./deploy\n", "=> "+tools+"\n"))
	}
	// As modules of a workspace, the tools are compiled as in this repository, and the build cache has them.
	testenv.WriteFile(t, filepath.Join(dir, "go.work"), "go 1.26.0\n\nuse (\n\t.\n\t"+tools+"\n)\n")
	return dir
}

// ready waits for the startup message, and returns its invoke URL and commands.
func (r *run) ready(t *testing.T) (url string, curls []string) {
	t.Helper()
	testenv.Eventually(t, "the startup message", func() bool {
		select {
		case <-r.ended:
			t.Fatalf("the command ended (%v), want a startup message", r.cmd.ProcessState)
		default:
		}
		return strings.Contains(r.stderr.String(), "Press Ctrl-C to stop.")
	})
	for line := range strings.Lines(r.stderr.String()) {
		line = strings.TrimSpace(line)
		if _, after, ok := strings.Cut(line, " is at "); ok {
			url = after
		}
		if strings.HasPrefix(line, "curl ") {
			curls = append(curls, line)
		}
	}
	return url, curls
}

// stopped waits until the process has ended, checks that no child is left, and returns the exit status.
func (r *run) stopped(t *testing.T) int {
	t.Helper()
	testenv.Eventually(t, "the end", func() bool {
		select {
		case <-r.ended:
			return true
		default:
			return false
		}
	})
	testenv.Eventually(t, "the end of the process group", func() bool { return syscall.Kill(-r.cmd.Process.Pid, 0) != nil })
	if left := processes(t, r.dataDir); len(left) != 0 {
		t.Errorf("processes left: %q, want none", left)
	}
	return r.cmd.ProcessState.ExitCode()
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get(url) //nolint:noctx // the test's deadline is enough
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(content)
}

// TestRun follows a new user: start with DynamoDB Local, run the suggested commands, press Ctrl-C twice.
func TestRun(t *testing.T) { //nolint:paralleltest // mage writes to the magefile's folder when it compiles
	requireJava(t)
	r := startRun(t, project(t), []string{"go", "tool", "mage", "run"}, "DYNAMODB_ENDPOINT=")
	url, curls := r.ready(t)
	if !strings.HasSuffix(url, "/prod") || len(curls) != 3 {
		t.Fatalf("URL = %q, commands = %q; want a URL with the suffix /prod and three commands", url, curls)
	}
	if status, body := get(t, url+"/users/1"); status != http.StatusOK || !strings.Contains(body, "Ada Lovelace") {
		t.Errorf("example user: status = %d, body = %s; want 200 and Ada Lovelace", status, body)
	}
	if _, err := exec.LookPath("curl"); err == nil {
		for i, want := range []struct{ status, content string }{{"200", "Ada Lovelace"}, {"201", "Grace Hopper"}, {"200", `"items":[`}} {
			out, err := exec.Command("sh", "-c", curls[i]+` --silent --show-error --write-out '\n%{http_code}'`).Output()
			if err != nil || !strings.HasSuffix(string(out), "\n"+want.status) || !strings.Contains(string(out), want.content) {
				t.Errorf("%s\noutput = %s, error = %v; want %s with %s", curls[i], out, err, want.status, want.content)
			}
		}
	}
	if running := processes(t, r.dataDir); len(running) < 2 {
		t.Errorf("processes %q, want the functions and the database", running)
	}
	for range 2 {
		if err := syscall.Kill(-r.cmd.Process.Pid, syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
	}
	if got := r.stopped(t); got != 0 {
		t.Errorf("exit status %d, want 0", got)
	}
	printed, err := io.ReadAll(r.stdout)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := os.ReadFile(filepath.Join(r.dataDir, "logs", "stack.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	wantLog(t, kept)
	request := regexp.MustCompile(`^\d\d:\d\d:\d\d\.\d{3}  20[01]  (GET|POST) +/\S+  \S+ ms(  cold start)?  1-[0-9a-f]{8}-[0-9a-f]{24}\n$`)
	for line := range strings.Lines(string(printed)) {
		if !request.MatchString(line) {
			t.Errorf("stdout has the line %q, want one for each request", line)
		}
	}
	if got := bytes.Count(printed, []byte("\n")); got < 2 {
		t.Errorf("stdout has %d lines, want one for each request", got)
	}
}

// wantLog checks that a log consists of JSON objects, one of them for a request.
func wantLog(t *testing.T, log []byte) {
	t.Helper()
	requests := 0
	lines := bufio.NewScanner(bytes.NewReader(log))
	for lines.Scan() {
		var line struct{ Message string }
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Errorf("line %q, want a JSON object", lines.Text())
		}
		if line.Message == "request" {
			requests++
		}
	}
	if err := lines.Err(); err != nil || requests == 0 {
		t.Errorf("%d requests in the log, error = %v; want some and no error", requests, err)
	}
}

// startProgram starts the test binary as deploy/cmd/local.
func startProgram(t *testing.T, variables ...string) *run {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return startRun(t, root, []string{self}, append(variables, programVariable+"=run")...)
}

func TestRun_Signals(t *testing.T) { //nolint:paralleltest // some cases call mage
	endpoint := os.Getenv("DYNAMODB_ENDPOINT")
	if testing.Short() || endpoint == "" {
		t.Skip("needs DynamoDB Local: run go tool mage test, or set DYNAMODB_ENDPOINT to a running one")
	}
	tests := []struct {
		name   string
		mage   bool // whether mage starts the program
		group  bool // whether the signal goes to the process group
		signal syscall.Signal
	}{
		{"SIGTERM to the go command", true, false, syscall.SIGTERM},
		{"SIGTERM to the group of the go command", true, true, syscall.SIGTERM},
		{"SIGINT to the process", false, false, syscall.SIGINT},
		{"SIGTERM to the process", false, false, syscall.SIGTERM},
		{"SIGHUP to the process group", false, true, syscall.SIGHUP},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if signal.Ignored(tt.signal) {
				t.Skip("the signal is ignored, as by nohup, also by what the test starts")
			}
			stage := "t" + strings.ToLower(rand.Text()[:12])
			variables := []string{"STAGE=" + stage, "DYNAMODB_ENDPOINT=" + endpoint}
			var r *run
			if tt.mage {
				testenv.SkipUnlessAll(t) // TestRun also starts mage
				r = startRun(t, project(t), []string{"go", "tool", "mage", "run"}, variables...)
			} else {
				t.Parallel()
				r = startProgram(t, variables...)
			}
			url, _ := r.ready(t)
			t.Cleanup(func() { deleteTable(t, endpoint, "UserData-"+stage) })
			// A closed stdout must not stop the stack.
			if err := r.stdout.Close(); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if status, body := get(t, url+"/users/1"); status != http.StatusOK || !strings.Contains(body, "Ada Lovelace") {
					t.Errorf("example user: status = %d, body = %s; want 200 and Ada Lovelace", status, body)
				}
			}
			pid := r.cmd.Process.Pid
			if tt.group {
				pid = -pid
			}
			for range 2 { // a second signal must have no effect
				_ = syscall.Kill(pid, tt.signal) // the process may have ended
			}
			// Once its tool has ended, the go command no longer handles signals: the second may end it before it ends
			// by itself.
			const bySignal = -1
			if status := r.stopped(t); status != 0 && (status != bySignal || !tt.mage) {
				t.Errorf("exit status %d, want 0", status)
			}
			log, err := os.ReadFile(filepath.Join(r.dataDir, "logs", "stack.jsonl"))
			if err != nil {
				t.Fatal(err)
			}
			wantLog(t, log)
		})
	}
}

// TestRun_Authorization checks that the suggested commands succeed with each type of authorization, and that the same
// request without authorization is rejected.
func TestRun_Authorization(t *testing.T) {
	t.Parallel()
	endpoint := os.Getenv("DYNAMODB_ENDPOINT")
	if testing.Short() || endpoint == "" {
		t.Skip("needs DynamoDB Local: run go tool mage test, or set DYNAMODB_ENDPOINT to a running one")
	}
	help, err := exec.Command("curl", "--help", "all").Output()
	if err != nil {
		t.Skip("needs curl")
	}
	for authorization, status := range map[string]int{"AWS_IAM": 403, "COGNITO_USER_POOLS": 401, "API_KEY": 403, "NONE": 200} {
		t.Run(authorization, func(t *testing.T) {
			t.Parallel()
			if authorization == "AWS_IAM" && !bytes.Contains(help, []byte("--aws-sigv4")) {
				t.Skip("needs curl with --aws-sigv4")
			}
			stage := "t" + strings.ToLower(rand.Text()[:12])
			r := startProgram(t, "STAGE="+stage, "DYNAMODB_ENDPOINT="+endpoint, "AUTH="+authorization)
			url, curls := r.ready(t)
			t.Cleanup(func() { deleteTable(t, endpoint, "UserData-"+stage) })
			if len(curls) != 3 {
				t.Fatalf("commands = %q, want 3", curls)
			}
			_, block, _ := strings.Cut(r.stderr.String(), url+"\n")
			block, _, _ = strings.Cut(block, "  Pages")
			// Each response is one JSON object.
			script := `set -e; curl() { command curl -sS --fail -w '\n' "$@"; }` + "\n" + block
			out, err := exec.Command("sh", "-c", script).CombinedOutput()
			responses := strings.Split(strings.TrimSpace(string(out)), "\n")
			if err != nil || len(responses) != 3 || !strings.Contains(responses[0], "Ada Lovelace") ||
				!strings.Contains(responses[1], "Grace Hopper") || !strings.Contains(responses[2], `"items":[`) {
				t.Errorf("error = %v, output:\n%s\nwant three successful responses to:\n%s", err, out, block)
			}
			if authorization == "AWS_IAM" {
				caller, err := local.Caller(authorization, r.dataDir)
				if err != nil {
					t.Fatal(err)
				}
				key, err := caller.Credentials.Retrieve(t.Context())
				// The lines of requests, on stdout, have no headers.
				if err != nil || key.SecretAccessKey == "" || strings.Contains(r.stderr.String(), key.SecretAccessKey) {
					t.Errorf("the startup message has the secret access key %s, or error %v:\n%s",
						key.SecretAccessKey, err, r.stderr.String())
				}
			}
			if got, body := get(t, url+"/users/1"); got != status {
				t.Errorf("without authorization: status = %d, body = %s; want %d", got, body, status)
			}
		})
	}
}

func deleteTable(t *testing.T, endpoint, table string) {
	t.Helper()
	client := connect(t, &local.Instance{Database: endpoint})
	_, err := client.DeleteTable(context.WithoutCancel(t.Context()), &awsdynamodb.DeleteTableInput{TableName: &table})
	if err != nil {
		t.Errorf("delete the table: %v", err)
	}
}

// TestRun_WrongSettings checks the error for each invalid setting.
func TestRun_WrongSettings(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("needs the built functions")
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	port := listener.Addr().(*net.TCPAddr).Port
	tests := []struct {
		name      string
		variables []string
		want      []string
	}{
		{"port", []string{"PORT=abc"}, []string{`PORT: want a number from 0 to 65535, got "abc"`}},
		{"several errors", []string{"PORT=65536", "CONCURRENCY=0", "RESET=maybe"}, []string{
			`PORT: want a number from 0 to 65535, got "65536"`, `CONCURRENCY: want a number from 1 to 1000, got "0"`,
			`RESET: want 1 or 0, got "maybe"`,
		}},
		{"authorization", []string{"AUTH=iam"}, []string{`AUTH: want AWS_IAM, COGNITO_USER_POOLS, API_KEY or NONE, got "iam"`}},
		{"stage", []string{"STAGE=My Stage"}, []string{"a stage name has 1 to 17 lower-case letters"}},
		{"log", []string{"LOG=none"}, []string{`LOG: want requests or all, got "none"`}},
		{"idle timeout", []string{"IDLE_TIMEOUT=-1s"}, []string{`IDLE_TIMEOUT: want a duration, such as 500ms, 15m, 6h or 7d, got "-1s"`}},
		{"port in use", []string{fmt.Sprintf("PORT=%d", port)}, []string{fmt.Sprintf("port %d is in use", port), "such as PORT="}},
		{"reset of another database", []string{"RESET=1", "DYNAMODB_ENDPOINT=http://127.0.0.1:1"}, []string{"RESET: want it unset with DYNAMODB_ENDPOINT"}},
		{"no database", []string{"DYNAMODB_ENDPOINT=http://127.0.0.1:1"}, []string{"no DynamoDB at DYNAMODB_ENDPOINT=http://127.0.0.1:1", "refused", "unset DYNAMODB_ENDPOINT"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := startProgram(t, tt.variables...)
			if status := r.stopped(t); status != 1 {
				t.Errorf("exit status %d, want 1", status)
			}
			for _, want := range tt.want {
				if !strings.Contains(r.stderr.String(), want) {
					t.Errorf("stderr = %q, want %q in it", r.stderr.String(), want)
				}
			}
			if strings.Contains(r.stderr.String(), "goroutine ") {
				t.Errorf("stderr = %s, want no stack trace", r.stderr.String())
			}
		})
	}
}
