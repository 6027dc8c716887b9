package local_test

import (
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"net/rpc/jsonrpc"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
)

// state is the state of the debugged process in Delve's API.
type state struct {
	State struct {
		Running       bool
		CurrentThread *struct {
			Function *struct {
				Name string `json:"name"`
			} `json:"function"`
		} `json:"currentThread"`
	}
}

// TestDebug checks that a request stopped at a breakpoint gets its response after the debugger continues.
func TestDebug(t *testing.T) { //nolint:paralleltest // calls mage
	testenv.SkipUnlessAll(t) // compiles the debugger, and a function without optimizations
	endpoint := os.Getenv("DYNAMODB_ENDPOINT")
	if testing.Short() || endpoint == "" {
		t.Skip("needs DynamoDB Local: run go tool mage test, or set DYNAMODB_ENDPOINT to a running one")
	}
	stage := "t" + strings.ToLower(rand.Text()[:12])
	port := freePort(t)
	r := startRun(t, project(t), []string{"go", "tool", "mage", "debug", "get"}, "STAGE="+stage, "DYNAMODB_ENDPOINT="+endpoint, fmt.Sprintf("DEBUG_PORT=%d", port))
	url, _ := r.ready(t)
	t.Cleanup(func() { deleteTable(t, endpoint, "UserData-"+stage) })
	address := fmt.Sprintf("127.0.0.1:%d", port)
	if !strings.Contains(r.stderr.String(), address) {
		t.Errorf("startup message:\n%s\nwant the address of the debugger %s in it", r.stderr.String(), address)
	}
	if status, body := get(t, url+"/users/1"); status != http.StatusOK || !strings.Contains(body, "Ada Lovelace") {
		t.Fatalf("without a breakpoint: status = %d, body = %s; want 200 and Ada Lovelace", status, body)
	}

	connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	debugger := jsonrpc.NewClient(connection)
	t.Cleanup(func() { _ = debugger.Close() })
	call := func(method string, arguments, result any) {
		t.Helper()
		if err := debugger.Call("RPCServer."+method, arguments, result); err != nil {
			t.Fatalf("%s: %v", method, err)
		}
	}
	var ignored, now state
	command := func(name string) { call("Command", map[string]any{"name": name}, &ignored) }
	command("halt")
	call("CreateBreakpoint", map[string]any{"Breakpoint": map[string]any{"functionName": "main.list", "line": -1}}, &struct{}{})
	resumed := debugger.Go("RPCServer.Command", map[string]any{"name": "continue"}, &now, nil)

	responses := make(chan string, 1)
	go func() {
		status, body := get(t, url+"/users?limit=1")
		responses <- fmt.Sprint(status, " ", body)
	}()
	<-resumed.Done // at the breakpoint
	if resumed.Error != nil || now.State.CurrentThread == nil || now.State.CurrentThread.Function.Name != "main.list" {
		t.Fatalf("the debugger stopped at %+v, %v; want main.list", now, resumed.Error)
	}
	select {
	case early := <-responses:
		t.Errorf("response at the breakpoint: %s, want none", early)
	default:
	}
	call("ClearBreakpoint", map[string]any{"Id": 1}, &struct{}{})
	debugger.Go("RPCServer.Command", map[string]any{"name": "continue"}, &ignored, nil)
	if got := <-responses; !strings.HasPrefix(got, "200 ") {
		t.Errorf("after the breakpoint: %s, want status 200", got)
	}
	if err := syscall.Kill(-r.cmd.Process.Pid, syscall.SIGINT); err != nil { // to the process group, like Ctrl-C
		t.Fatal(err)
	}
	if status := r.stopped(t); status != 0 {
		t.Errorf("exit status %d, want 0", status)
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port
}
