// Package clients_test runs clients of the API document against the local stack: the Go client, one in TypeScript, the
// programs in docs/call.md, and the collections of requests in docs/api. A client of package stacktest forwards their
// unsigned requests and checks the responses against the document.
package clients_test

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/contract"
	"github.com/userrequestapi/userdata/deploy/host/process"
	"github.com/userrequestapi/userdata/deploy/host/tools"
)

func TestMain(m *testing.M) { stacktest.Main(m) }

// recorder is a proxy that forwards requests to a stack and records the exchanges.
type recorder struct {
	url string // the invoke URL for the client

	mu   sync.Mutex
	seen []string // method, path and status code of each exchange, such as GET /users/1 200
}

// startRecorder starts a recorder and stops it after the test.
func startRecorder(t *testing.T, s *stacktest.TestStack) *recorder {
	t.Helper()
	w := &recorder{}
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read a request: %v", err)
		}
		headers := stacktest.Headers{"Content-Type": ""}
		for name := range r.Header {
			headers[name] = r.Header.Get(name)
		}
		response := s.Do(t, r.Method, r.URL.RequestURI(), string(body), headers)
		w.record(r.Method + " " + r.URL.Path + " " + strconv.Itoa(response.Status))
		if response.Status == 0 { // the test has failed
			out.WriteHeader(http.StatusBadGateway)
			return
		}
		maps.Copy(out.Header(), response.Header)
		out.WriteHeader(response.Status)
		if _, err := out.Write(response.Body); err != nil && r.Method != http.MethodHead {
			t.Errorf("forward a response: %v", err)
		}
	}))
	t.Cleanup(server.Close)
	w.url = server.URL
	return w
}

func (w *recorder) record(exchange string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, exchange)
}

func (w *recorder) exchanges() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.seen)
}

// count returns the number of exchanges that end with a string, such as " 429".
func (w *recorder) count(end string) int {
	n := 0
	for _, exchange := range w.exchanges() {
		if strings.HasSuffix(exchange, end) {
			n++
		}
	}
	return n
}

// document returns the API document.
func document(t *testing.T) *contract.Document {
	t.Helper()
	d, err := contract.Read(os.DirFS(filepath.Join(testenv.Root(t), "deploy")))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// packages installs the packages of package.json in the folder. It skips the test with -short and, except in CI,
// without npm.
func packages(t *testing.T, folder string) *tools.Env {
	t.Helper()
	if testing.Short() {
		t.Skip("needs npm and the network")
	}
	env, err := tools.Node(
		t.Context(),
		read(t, folder, "package.json"),
		read(t, folder, "package-lock.json"),
		func(step string) { t.Log(step) },
	)
	testenv.SkipAbsent(t, err)
	return env
}

func read(t *testing.T, elem ...string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func write(t *testing.T, content []byte, elem ...string) string {
	t.Helper()
	path := filepath.Join(elem...)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// run runs a program in a folder and returns its output. The test fails if the program does.
func run(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	var out, errors bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, append(os.Environ(), env...), &out, &errors
	ctx := context.WithoutCancel(t.Context())
	if err := process.Run(ctx, cmd); err != nil {
		t.Fatalf("%s %s: %v\n%s%s", filepath.Base(name), strings.Join(args, " "), err, &out, &errors)
	}
	return out.String()
}
