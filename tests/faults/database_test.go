package faults_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/local/lambda"
	"github.com/userrequestapi/userdata/tests/stacktest"
	"github.com/userrequestapi/userdata/tests/unreliable"
)

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	testenv.Eventually(t, what, condition)
}

// request is a request that succeeds when nothing is broken.
type request struct {
	name, function, method, path, body string
	headers                            stacktest.Headers
	status                             int
	operations                         []string // of DynamoDB that it takes
}

func (r request) send(t *testing.T, s *stacktest.Stack) stacktest.Response {
	t.Helper()
	return s.Do(t, r.method, r.path, r.body, r.headers)
}

// requests are one of each kind. They leave the user as they found it, so that they can be sent again and again.
func requests(id string) []request {
	return []request{
		{name: "get", function: "GetFunction", method: http.MethodGet, path: "/users/" + id,
			status: http.StatusOK, operations: []string{"GetItem"}},
		{name: "list", function: "GetFunction", method: http.MethodGet, path: "/users",
			status: http.StatusOK, operations: []string{"Scan"}},
		{name: "put", function: "PutFunction", method: http.MethodPut, path: "/users/" + id, body: `{"name":"Ada"}`,
			status: http.StatusOK, operations: []string{"GetItem", "PutItem"}},
		{name: "delete", function: "DeleteFunction", method: http.MethodDelete, path: "/users/" + id,
			status: http.StatusNoContent, operations: []string{"GetItem", "DeleteItem"}},
		{name: "post", function: "PostFunction", method: http.MethodPost, path: "/users", body: `{"userId":"` + id + `"}`,
			status: http.StatusCreated, operations: []string{"PutItem"}},
	}
}

// startWarm starts a stack behind a proxy, makes the user that requests are about, and sends each of them once.
func startWarm(t *testing.T, p *unreliable.Database, id string) *stacktest.Stack {
	t.Helper()
	s := stacktest.Start(t, p.With)
	s.Do(t, http.MethodPost, "/users", `{"userId":"`+id+`"}`).Want(t, http.StatusCreated)
	wantAllWell(t, s, id)
	return s
}

func wantAllWell(t *testing.T, s *stacktest.Stack, id string) {
	t.Helper()
	for _, r := range requests(id) {
		r.send(t, s).Want(t, r.status)
	}
}

// sendAll sends one of each kind of request at the same time and returns the answers by the requests' names.
func sendAll(t *testing.T, s *stacktest.Stack, id string) map[string]stacktest.Response {
	t.Helper()
	var (
		all       = requests(id)
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

// processes are the process ids of all environments.
func processes(s *stacktest.Stack) map[int]bool {
	pids := map[int]bool{}
	for _, name := range s.Functions {
		for _, e := range s.Host.Environments(name) {
			pids[e.PID] = true
		}
	}
	return pids
}

// wantUnavailable checks that an answer says that the database cannot be reached, and nothing else of it.
func wantUnavailable(t *testing.T, name string, res stacktest.Response, p *unreliable.Database, s *stacktest.Stack) {
	t.Helper()
	problem := res.Problem(t, http.StatusInternalServerError, "StoreUnavailable")
	said := strings.ToLower(problem.Title + " " + problem.Detail)
	for _, inside := range []string{
		p.Address, "127.0.0.1", s.Table, "dynamodb", "dial", "tcp", "refused", "reset", "eof", "timeout", "deadline", "context",
		"operation error", "smithy", "exceeded", "http",
	} {
		if strings.Contains(said, strings.ToLower(inside)) {
			t.Errorf("%s: the problem tells of the inside (%s): %s", name, inside, res.Body)
		}
	}
	if leaked := res.Header.Get("Retry-After"); leaked != "" {
		t.Errorf("%s: Retry-After = %s, want none: nobody knows when", name, leaked)
	}
}

func TestDatabaseDown(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		// fault breaks the database for the requests that send sends.
		fault func(t *testing.T, p *unreliable.Database, send func() map[string]stacktest.Response) map[string]stacktest.Response
	}{
		{"connections are refused", func(t *testing.T, p *unreliable.Database, send func() map[string]stacktest.Response) map[string]stacktest.Response {
			p.Down(t)
			defer p.Up(t)
			return send()
		}},
		{"connections are cut in the middle of a request, then refused",
			func(t *testing.T, p *unreliable.Database, send func() map[string]stacktest.Response) map[string]stacktest.Response {
				p.Fail(unreliable.All(unreliable.Ignore))
				p.Forget()
				answers := make(chan map[string]stacktest.Response)
				go func() { answers <- send() }()
				eventually(t, "a request of each kind", func() bool { return len(p.Seen()) >= len(requests("")) })
				p.Down(t)
				defer p.Up(t)
				return <-answers
			}},
		{"connections are accepted and nothing is answered",
			func(_ *testing.T, p *unreliable.Database, send func() map[string]stacktest.Response) map[string]stacktest.Response {
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
			wantAllWell(t, s, "a")
			for pid := range before {
				if !processes(s)[pid] {
					t.Errorf("process %d has ended: want it to go on", pid)
				}
			}
			wantNoFaults(t, s)
		})
	}
}

// wantNoFaults checks that no function was ended or ended by itself, and that each request has one line in the log.
func wantNoFaults(t *testing.T, s *stacktest.Stack) {
	t.Helper()
	for _, event := range s.Events() {
		switch record := event.Record.(type) {
		case lambda.Fault, lambda.InitReport:
			t.Errorf("%s: %s", event.Function, event.Text())
		case lambda.Report:
			if record.Status != "success" {
				t.Errorf("%s: %s", event.Function, event.Text())
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
			t.Errorf("%s: Retry-After = %q, want 1", name, got)
		}
	}
	for _, r := range requests("a") {
		last := r.operations[len(r.operations)-1]
		p.Fail(unreliable.First(1, last, unreliable.Throttle))
		p.Forget()
		res := r.send(t, s).Want(t, r.status)
		if line := requestLine(t, s, res); line.Retries != 1 {
			t.Errorf("%s: the log says %d retries, want 1", r.name, line.Retries)
		}
	}
	wantNoFaults(t, s)
}
