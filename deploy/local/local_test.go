package local_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	awsdynamodb "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"go.uber.org/goleak"

	"github.com/userrequestapi/userdata/deploy/build"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/host/program"
	"github.com/userrequestapi/userdata/deploy/local"
	"github.com/userrequestapi/userdata/deploy/local/dynamodb"
)

// root is the workspace whose stack the tests start.
const root = "../testdata/service"

// programVariable makes the test binary act as deploy/cmd/local.
const programVariable = "LOCAL_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(programVariable) != "" {
		os.Exit(runProgram())
	}
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	flag.Parse()
	if !testing.Short() {
		if err := testenv.FixtureFunctions(context.Background(), root); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// runProgram is deploy/cmd/local run with functions that are already built.
func runProgram() int {
	ctx, stop := program.Context()
	defer stop()
	if err := local.RunBuilt(ctx, ".", builtFunctions()); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		return 1
	}
	return 0
}

// builtFunctions returns the functions' executables by logical ID.
func builtFunctions() map[string]string {
	bootstraps := map[string]string{}
	for _, id := range []string{"GetFunction", "PostFunction", "PutFunction", "DeleteFunction"} {
		bootstraps[id] = filepath.Join(os.Getenv(testenv.FunctionsVariable), id, build.Executable)
	}
	return bootstraps
}

// processes returns the command lines that contain dir.
func processes(t *testing.T, dir string) []string {
	t.Helper()
	out, err := exec.Command("ps", "-ww", "-A", "-o", "pid=,args=").Output()
	if err != nil {
		t.Fatalf("ps: %v", err)
	}
	var found []string
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, dir) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

// fakeBootstraps returns an executable for each function, in tests that invoke none.
func fakeBootstraps(t *testing.T) map[string]string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{"GetFunction": self, "PostFunction": self, "PutFunction": self, "DeleteFunction": self}
}

// silentDatabase starts a server that never responds. requested is closed with the first request.
func silentDatabase(t *testing.T) (endpoint string, requested <-chan struct{}) {
	t.Helper()
	came := make(chan struct{}, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case came <- struct{}{}:
		default:
		}
		_, _ = io.Copy(io.Discard, r.Body) // the server detects a disconnected client only after reading the body
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	return server.URL, came
}

// workspace creates a workspace with the template, the API document and one function with the source.
func workspace(t *testing.T, function, source string) string {
	t.Helper()
	files := map[string]string{
		"functions/" + function + "/go.mod":  "module example.org/" + function + "\n\ngo 1.26\n",
		"functions/" + function + "/main.go": source,
	}
	for _, name := range []string{"deploy/openapi.yaml", "deploy/template.yaml"} {
		content, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(content)
	}
	return testenv.Folder(t, files)
}

func TestStart_PortInUse(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	port := listener.Addr().(*net.TCPAddr).Port
	_, err = local.Start(t.Context(), local.Config{Root: root, Port: port, DataDir: t.TempDir()})
	want := fmt.Sprintf("port %d is in use by another program: stop that program or choose another port, such as PORT=", port)
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error = %v, want %s…", err, want)
	}
}

func TestStart_WrongConfig(t *testing.T) {
	t.Parallel()
	stage := func(name string) local.Config {
		return local.Config{Root: root, Parameters: map[string]string{"StageName": name}}
	}
	tests := []struct {
		name   string
		config local.Config
		want   string // in the error
	}{
		{"stage in capitals", stage("Prod"), "a stage name has 1 to 17 lower-case letters"},
		{"stage with a space", stage("my stage"), "a stage name has 1 to 17 lower-case letters"},
		{"stage with a slash", stage("a/b"), "a stage name has 1 to 17 lower-case letters"},
		{"stage too long", stage(strings.Repeat("a", 18)), "a stage name has 1 to 17 lower-case letters"},
		{"unknown parameter", local.Config{Root: root, Parameters: map[string]string{"Stagename": "prod"}}, "Stagename"},
		{"no workspace", local.Config{Root: t.TempDir()}, "no such file"},
		{"unknown authorization", local.Config{Root: root, Parameters: map[string]string{"Authorization": "BASIC"}}, "Authorization"},
		{"unused user pool", local.Config{Root: root, Parameters: map[string]string{
			"UserPoolArn": "arn:aws:cognito-idp:eu-west-1:123456789012:userpool/eu-west-1_AbCdEfGhI",
		}}, "UserPoolArn"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.config.DataDir = t.TempDir()
			stack, err := local.Start(t.Context(), tt.config)
			if err == nil {
				t.Fatalf("started %s, want an error; Close: %v", stack.URL, stack.Close())
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want %q in it", err, tt.want)
			}
		})
	}
}

// Variables of the stage would be missing in the events of the local gateway.
func TestStart_StageVariables(t *testing.T) {
	t.Parallel()
	endpoint, _ := silentDatabase(t)
	dir := workspace(t, "get", "package main\n")
	file := filepath.Join(dir, "deploy", "template.yaml")
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(content), "TracingEnabled: true\n", "TracingEnabled: true\n      Variables: {color: blue}\n", 1)
	if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = local.Start(t.Context(), local.Config{
		Root: dir, DataDir: t.TempDir(), DynamoDBEndpoint: endpoint, Bootstraps: fakeBootstraps(t),
	})
	if want := "Variables of the stage are not supported"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error = %v, want %q in it", err, want)
	}
}

// TestStart_CompileError checks that a compile error ends the start, and stops the database that is still starting.
func TestStart_CompileError(t *testing.T) {
	t.Parallel()
	endpoint, _ := silentDatabase(t)
	bootstraps := fakeBootstraps(t)
	delete(bootstraps, "GetFunction")
	dataDir := t.TempDir()
	_, err := local.Start(t.Context(), local.Config{
		Root:             workspace(t, "get", "package main\n\nfunc main() { undefined() }\n"),
		DataDir:          dataDir,
		DynamoDBEndpoint: endpoint,
		Bootstraps:       bootstraps,
	})
	failure, ok := errors.AsType[*build.CompileError](err)
	if !ok {
		t.Fatalf("error = %v, want a compile error", err)
	}
	if want := "functions/get/main.go:3:15: undefined: undefined"; !strings.Contains(failure.Output, want) {
		t.Errorf("output = %s, want %q in it", failure.Output, want)
	}
	if left := processes(t, dataDir); len(left) != 0 {
		t.Errorf("processes left: %q, want none", left)
	}
}

// Not parallel: it sets an environment variable.
func TestStart_CancelledDuringBuild(t *testing.T) {
	dir := t.TempDir()
	started := filepath.Join(dir, "started")
	compiler := filepath.Join(dir, "compiler")
	script := "#!/bin/sh\ntouch '" + started + "'\nwhile :; do sleep 0.1; done\n"
	if err := os.WriteFile(compiler, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOFLAGS", "-toolexec="+compiler)
	endpoint, _ := silentDatabase(t)
	bootstraps := fakeBootstraps(t)
	delete(bootstraps, "GetFunction")

	wantCancelled(t, dir, func() bool {
		_, err := os.Stat(started)
		return err == nil
	}, local.Config{
		Root:             workspace(t, "get", "package main\n\nfunc main() {}\n"),
		DataDir:          filepath.Join(dir, "data"),
		DynamoDBEndpoint: endpoint,
		Bootstraps:       bootstraps,
	})
}

func TestStart_CancelledDuringDatabaseStart(t *testing.T) {
	t.Parallel()
	requireJava(t)
	dataDir := t.TempDir()
	wantCancelled(t, dataDir, func() bool { return len(processes(t, dataDir)) > 0 }, local.Config{
		Root:       root,
		DataDir:    dataDir,
		Bootstraps: fakeBootstraps(t),
	})
}

func TestStart_CancelledDuringTableRequest(t *testing.T) {
	t.Parallel()
	endpoint, requested := silentDatabase(t)
	dataDir := t.TempDir()
	wantCancelled(t, dataDir, func() bool { return len(requested) > 0 }, local.Config{
		Root:             root,
		DataDir:          dataDir,
		DynamoDBEndpoint: endpoint,
		Bootstraps:       fakeBootstraps(t),
	})
}

// wantCancelled starts a stack, cancels the start when inProgress returns true, and checks that no process with dir in
// its command line is left. TestMain checks that no goroutine is left.
func wantCancelled(t *testing.T, dir string, inProgress func() bool, config local.Config) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	started := make(chan error, 1)
	go func() {
		stack, err := local.Start(ctx, config)
		if err == nil {
			err = errors.Join(errors.New("started"), stack.Close())
		}
		started <- err
	}()
	testenv.Eventually(t, "the start", func() bool {
		select {
		case err := <-started:
			t.Fatalf("Start returned before its context was canceled: error = %v, want it to wait", err)
		default:
		}
		return inProgress()
	})
	if len(processes(t, dir)) == 0 && config.DynamoDBEndpoint == "" {
		t.Fatal("got no process, want one that the start could leave behind")
	}
	cancel()
	if err := <-started; !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want %v", err, context.Canceled)
	}
	if left := processes(t, dir); len(left) != 0 {
		t.Errorf("processes left: %q, want none", left)
	}
}

func requireJava(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Java, and npm and the network once")
	}
}

func TestStart_KeepsData(t *testing.T) {
	t.Parallel()
	requireJava(t)
	config := local.Config{Root: root, DataDir: t.TempDir(), Bootstraps: fakeBootstraps(t)}
	id := map[string]types.AttributeValue{"userId": &types.AttributeValueMemberS{Value: "1"}}
	var table string
	open := func() *local.Instance {
		t.Helper()
		stack, err := local.Start(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = stack.Close() }) // if the test fails before it closes the stack
		return stack
	}
	has := func(stack *local.Instance) bool {
		t.Helper()
		out, err := connect(t, stack).GetItem(t.Context(), &awsdynamodb.GetItemInput{TableName: &table, Key: id})
		if err != nil {
			t.Fatal(err)
		}
		return out.Item != nil
	}
	closeStack := func(stack *local.Instance) {
		t.Helper()
		if err := stack.Close(); err != nil {
			t.Fatal(err)
		}
		if left := processes(t, config.DataDir); len(left) != 0 {
			t.Errorf("processes left: %q, want none", left)
		}
	}

	first := open()
	if table = first.Tables()[0].Name; !first.TablesCreated || table != "UserData" || !strings.HasSuffix(first.URL, "/prod") {
		t.Errorf("first run: table %s created = %t at %s, want UserData at /prod", table, first.TablesCreated, first.URL)
	}
	if _, err := connect(t, first).PutItem(t.Context(), &awsdynamodb.PutItemInput{TableName: &table, Item: id}); err != nil {
		t.Fatal(err)
	}
	if _, err := local.Start(t.Context(), config); err == nil || !strings.Contains(err.Error(), "in use by another run") {
		t.Errorf("second stack with the same data: error = %v, want \"in use by another run\" in it", err)
	}
	closeStack(first)

	second := open()
	if second.TablesCreated || !has(second) {
		t.Errorf("second run: table created = %t, user exists = %t, want the data of the first", second.TablesCreated, has(second))
	}
	closeStack(second)

	config.Reset = true
	third := open()
	if !third.TablesCreated || has(third) {
		t.Errorf("after a reset: table created = %t, user exists = %t, want an empty table", third.TablesCreated, has(third))
	}
	closeStack(third)
}

// connect returns a client of the stack's database. Its connections are closed after the test.
func connect(t *testing.T, stack *local.Instance) *awsdynamodb.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return dynamodb.Connect(stack.Database, func(o *awsdynamodb.Options) {
		o.HTTPClient = &http.Client{Transport: transport}
	})
}
