package faults_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/check/unreliable"
	"github.com/userrequestapi/userdata/deploy/local/lambda"
	"github.com/userrequestapi/userdata/shared/user/usertest"
)

// request is a request that succeeds without faults.
type request struct {
	name, function, method, path, body string
	headers                            stacktest.Headers
	status                             int
	operations                         []string // its DynamoDB operations
}

func (r request) send(t *testing.T, s *stacktest.TestStack) stacktest.Response {
	t.Helper()
	return s.Do(t, r.method, r.path, r.body, r.headers)
}

// requests returns one request of each kind. The user exists before and after them, so that they can be sent
// repeatedly.
func requests(t *testing.T, id string) []request {
	t.Helper()
	body := usertest.Body(t, `{"userId":"`+id+`"}`)
	return []request{
		{name: "get", function: "GetFunction", method: http.MethodGet, path: "/users/" + id,
			status: http.StatusOK, operations: []string{"GetItem"}},
		{name: "list", function: "GetFunction", method: http.MethodGet, path: "/users",
			status: http.StatusOK, operations: []string{"Scan"}},
		{name: "put", function: "PutFunction", method: http.MethodPut, path: "/users/" + id, body: body,
			status: http.StatusOK, operations: []string{"GetItem", "PutItem"}},
		{name: "delete", function: "DeleteFunction", method: http.MethodDelete, path: "/users/" + id,
			status: http.StatusNoContent, operations: []string{"GetItem", "DeleteItem"}},
		{name: "post", function: "PostFunction", method: http.MethodPost, path: "/users", body: body,
			status: http.StatusCreated, operations: []string{"PutItem"}},
	}
}

// startWarm starts a stack with the database p, creates the user for requests, and sends each of them once.
func startWarm(t *testing.T, p *unreliable.Database, id string) *stacktest.TestStack {
	t.Helper()
	s := stacktest.Start(t, p.With)
	s.Do(t, http.MethodPost, "/users", usertest.Body(t, `{"userId":"`+id+`"}`)).Want(t, http.StatusCreated)
	wantSuccess(t, s, id)
	return s
}

func wantSuccess(t *testing.T, s *stacktest.TestStack, id string) {
	t.Helper()
	for _, r := range requests(t, id) {
		r.send(t, s).Want(t, r.status)
	}
}

// sendAll sends one request of each kind concurrently and returns the responses by name.
func sendAll(t *testing.T, s *stacktest.TestStack, id string) map[string]stacktest.Response {
	t.Helper()
	var (
		all       = requests(t, id)
		responses = make([]stacktest.Response, len(all))
		senders   sync.WaitGroup
		byName    = map[string]stacktest.Response{}
	)
	for i, r := range all {
		senders.Go(func() { responses[i] = r.send(t, s) })
	}
	senders.Wait()
	for i, r := range all {
		byName[r.name] = responses[i]
	}
	return byName
}

// processes returns the process ids of all execution environments.
func processes(s *stacktest.TestStack) map[int]bool {
	pids := map[int]bool{}
	for _, name := range s.Functions {
		for _, e := range s.Environments(name) {
			pids[e.PID] = true
		}
	}
	return pids
}

// wantUnavailable checks that a response has the code StoreUnavailable and no internal details.
func wantUnavailable(t *testing.T, name string, res stacktest.Response, p *unreliable.Database, s *stacktest.TestStack) {
	t.Helper()
	problem := res.Problem(t, http.StatusInternalServerError, "StoreUnavailable")
	message := strings.ToLower(problem.Title + " " + problem.Detail)
	for _, internal := range []string{
		p.Address, "127.0.0.1", s.TableName, "dynamodb", "dial", "tcp", "refused", "reset", "eof", "timeout", "deadline",
		"context", "operation error", "smithy", "exceeded", "http",
	} {
		if strings.Contains(message, strings.ToLower(internal)) {
			t.Errorf("%s: got %s, want no internal details such as %q", name, res.Body, internal)
		}
	}
	if got := res.Header.Get("Retry-After"); got != "" {
		t.Errorf("%s: got Retry-After %s, want none", name, got)
	}
}

func TestDatabaseDown(t *testing.T) {
	t.Parallel()
	type responses = map[string]stacktest.Response
	tests := []struct {
		name string
		// fault makes the database fail for the requests that send sends.
		fault func(t *testing.T, p *unreliable.Database, send func() responses) responses
	}{
		{"connections refused", func(t *testing.T, p *unreliable.Database, send func() responses) responses {
			p.Down(t)
			defer p.Up(t)
			return send()
		}},
		{"connections closed, then refused", func(t *testing.T, p *unreliable.Database, send func() responses) responses {
			p.Fail(unreliable.All(unreliable.Ignore))
			p.ResetOperations()
			received := make(chan responses)
			go func() { received <- send() }()
			testenv.Eventually(t, "a request of each kind", func() bool { return len(p.Operations()) >= len(requests(t, "")) })
			p.Down(t)
			defer p.Up(t)
			return <-received
		}},
		{"no responses", func(_ *testing.T, p *unreliable.Database, send func() responses) responses {
			p.Fail(unreliable.All(unreliable.Ignore))
			return send()
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := unreliable.NewDatabase(t)
			s := startWarm(t, p, "a")
			before := processes(s)

			for name, res := range tt.fault(t, p, func() map[string]stacktest.Response { return sendAll(t, s, "a") }) {
				wantUnavailable(t, name, res, p, s)
			}
			p.Fail(nil)
			wantSuccess(t, s, "a")
			for pid := range before {
				if !processes(s)[pid] {
					t.Errorf("process %d has exited, want it to keep running", pid)
				}
			}
			wantNoFaults(t, s)
		})
	}
}

// wantNoFaults checks that no init or invocation of a function failed.
func wantNoFaults(t *testing.T, s *stacktest.TestStack) {
	t.Helper()
	for _, event := range s.Events() {
		switch record := event.Record.(type) {
		case lambda.Fault, lambda.InitReport:
			t.Errorf("%s: got %s, want no fault", event.Function, event.Text())
		case lambda.Report:
			if record.Status != "success" {
				t.Errorf("%s: got %s, want success", event.Function, event.Text())
			}
		}
	}
}

func TestThrottled(t *testing.T) {
	t.Parallel()
	p := unreliable.NewDatabase(t)
	s := startWarm(t, p, "a")
	p.Fail(unreliable.All(unreliable.Throttle))
	for name, res := range sendAll(t, s, "a") {
		res.Problem(t, http.StatusServiceUnavailable, "StoreThrottled")
		if got := res.Header.Get("Retry-After"); got != "1" {
			t.Errorf("%s: got Retry-After %q, want 1", name, got)
		}
	}
	for _, r := range requests(t, "a") {
		last := r.operations[len(r.operations)-1]
		p.Fail(unreliable.First(1, last, unreliable.Throttle))
		p.ResetOperations()
		res := r.send(t, s).Want(t, r.status)
		if line := requestLine(t, s, res); line.Retries != 1 {
			t.Errorf("%s: got %d retries in the log, want 1", r.name, line.Retries)
		}
	}
	wantNoFaults(t, s)
}
