package debug_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/rpc"
	"net/rpc/jsonrpc"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/userrequestapi/userdata/deploy/build"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/host/process"
	"github.com/userrequestapi/userdata/deploy/local/debug"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const timeout = 60 * time.Second

const root = "../../.." // the workspace

const program = `package main

import "time"

func main() {
	for i := 41; ; i++ {
		serve(i)
	}
}

func serve(request int) {
	response := request + 1
	time.Sleep(10 * time.Millisecond)
	_ = response
}
`

// breakpoint is the line after the assignment to response.
const breakpoint = 13

// session is an executable under the debugger.
type session struct {
	debugger *process.Process
	address  string
	source   string // of the executable
	client   *rpc.Client
	pid      int    // of the executable
	output   string // file with the output of both
}

func start(t *testing.T) session {
	t.Helper()
	if testing.Short() {
		t.Skip("compiles the debugger, and the standard library for it")
	}
	dir := t.TempDir()
	dlv, err := debug.Build(t.Context(), root, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	// Unlike a port, no other program can take a Unix socket.
	s := session{address: "unix:" + filepath.Join(dir, "socket"), source: filepath.Join(dir, "main.go"), output: filepath.Join(dir, "output")}
	for name, content := range map[string]string{"main.go": program, "go.mod": "module example.com/get\n\ngo 1.26.0\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	artifacts, err := build.Functions(t.Context(), []build.Module{{Name: "get", Dir: dir}},
		build.Options{Root: dir, Out: dir, Debug: true})
	if err != nil {
		t.Fatal(err)
	}
	output, err := os.Create(s.output)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = output.Close() }()
	arguments := append(debug.Command(dlv, s.address), artifacts[0].Path)
	cmd := exec.Command(arguments[0], arguments[1:]...)
	cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+t.TempDir())
	cmd.Stdout, cmd.Stderr = output, output
	if s.debugger, err = process.Start(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.debugger.Stop(timeout) })

	s.client = dial(t, filepath.Join(dir, "socket"), s.debugger)
	t.Cleanup(func() { _ = s.client.Close() })
	testenv.Eventually(t, "the executable to run without an editor", func() bool {
		var present struct{ State state }
		call(t, s.client, "State", map[string]any{"NonBlocking": true}, &present)
		return present.State.Running
	})
	command(t, s.client, "halt") // Delve responds to most calls only when the program is halted
	var id struct{ Pid int }
	call(t, s.client, "ProcessPid", struct{}{}, &id)
	s.pid = id.Pid
	return s
}

// TestCommand sets a breakpoint after the start of the executable, and checks that Delve stops there.
func TestCommand(t *testing.T) {
	t.Parallel()
	s := start(t)
	call(t, s.client, "CreateBreakpoint", map[string]any{"Breakpoint": map[string]any{"file": s.source, "line": breakpoint}}, &struct{}{})
	stopped := command(t, s.client, "continue").CurrentThread
	if stopped.File != s.source || stopped.Line != breakpoint {
		t.Errorf("stopped at %s:%d, want %s:%d", stopped.File, stopped.Line, s.source, breakpoint)
	}
	var result struct{ Variable struct{ Value string } }
	call(t, s.client, "Eval", map[string]any{"Scope": map[string]any{"GoroutineID": -1}, "Expr": "response - request"}, &result)
	if result.Variable.Value != "1" {
		t.Errorf("response - request = %q, want 1", result.Variable.Value)
	}

	if err := s.debugger.Stop(timeout); err != nil {
		t.Error(err)
	}
	testenv.Eventually(t, "the end of the executable", func() bool { return errors.Is(syscall.Kill(s.pid, 0), syscall.ESRCH) })
	if printed, err := os.ReadFile(s.output); err != nil || len(printed) > 0 {
		t.Errorf("output = %q, error = %v; want no output: the executable prints nothing", printed, err)
	}
}

func TestSupervise(t *testing.T) {
	t.Parallel()
	s := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	returned := make(chan struct{})
	go func() {
		defer close(returned)
		debug.Supervise(ctx, s.address)
	}()
	// Without Supervise, the debugger does not end with the executable.
	resumed := s.client.Go("RPCServer.Command", map[string]any{"name": "continue"}, &struct{}{}, make(chan *rpc.Call, 1))
	if err := syscall.Kill(s.pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-s.debugger.Done()
	<-resumed.Done
	select {
	case <-returned:
		t.Error("Supervise returned, want it to wait for the end of its context")
	default:
	}
	cancel()
	<-returned
}

func TestBuild(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("compiles the debugger")
	}
	var steps []string
	dir := t.TempDir()
	progress := func(step string) { steps = append(steps, step) }
	for range 2 {
		dlv, err := debug.Build(t.Context(), root, dir, progress)
		if err != nil {
			t.Fatal(err)
		}
		if version, err := exec.CommandContext(t.Context(), dlv, "version").Output(); err != nil || !bytes.Contains(version, []byte("Delve")) {
			t.Errorf("%s version = %q, error = %v; want the version of Delve", dlv, version, err)
		}
	}
	if len(steps) != 1 {
		t.Errorf("progress = %q, want one line: the second call builds nothing", steps)
	}
}

// dial polls until the debugger listens.
func dial(t *testing.T, socket string, debugger *process.Process) *rpc.Client {
	t.Helper()
	for ; ; time.Sleep(time.Millisecond) {
		connection, err := new(net.Dialer).DialContext(t.Context(), "unix", socket)
		if err == nil {
			return jsonrpc.NewClient(connection)
		}
		if debugger.State() != nil {
			t.Fatalf("the debugger ended (%v), want it to listen; error = %v", debugger.State(), err)
		}
	}
}

// state is a part of Delve's api.DebuggerState.
type state struct {
	Running       bool
	CurrentThread struct {
		File string
		Line int
	}
}

func command(t *testing.T, client *rpc.Client, name string) state {
	t.Helper()
	var result struct{ State state }
	call(t, client, "Command", map[string]any{"name": name}, &result)
	return result.State
}

func call(t *testing.T, client *rpc.Client, method string, arguments, result any) {
	t.Helper()
	pending := client.Go("RPCServer."+method, arguments, result, make(chan *rpc.Call, 1))
	<-pending.Done
	if pending.Error != nil {
		t.Fatalf("%s: %v", method, pending.Error)
	}
}

func TestBuild_NoTool(t *testing.T) {
	t.Parallel()
	if _, err := debug.Build(t.Context(), t.TempDir(), t.TempDir(), nil); err == nil {
		t.Error("Build without the tool in go.mod: error = nil, want one")
	}
}
