package faults_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/deploy/check/unreliable"
)

// Parts of the trace of a request to GetFunction, as in [stacktest.Tree].
const (
	toFunction = `
UserRequestAPI-STAGE/STAGE AWS::ApiGateway::Stage `
	throughLambda = `
  Lambda Invoke 200
    UserRequestAPI-STAGE-get AWS::Lambda 200
      UserRequestAPI-STAGE-get AWS::Lambda::Function
        Invocation
        getUser `
	overhead = `
        Overhead`
)

// TestTrace_Database checks the trace of each kind of response.
func TestTrace_Database(t *testing.T) {
	t.Parallel()
	const (
		maxTries  = 3
		deadline  = "fault cause:DeadlineExceeded"
		throttled = "error throttle cause:ProvisionedThroughputExceededException"
		getItem   = "\n          DynamoDB GetItem TABLE "
		attempt   = "\n            attempt "
	)
	all := func(f unreliable.Fault) func() func(string) unreliable.Fault {
		return func() func(string) unreliable.Fault { return unreliable.All(f) }
	}
	throttledOnce := func() func(string) unreliable.Fault { return unreliable.First(1, "GetItem", unreliable.Throttle) }
	tests := []struct {
		name         string
		fault        func() func(string) unreliable.Fault
		method, path string // "" is a method that the path does not support
		status       int
		want         string
	}{
		{"found", all(unreliable.None), "GET", "/users/a", 200,
			toFunction + "200" + throughLambda + "Outcome=Success ColdStart=false" + getItem + "200" + overhead},
		{"not found", all(unreliable.None), "GET", "/users/nobody", 404,
			toFunction + "404 error" + throughLambda +
				"Outcome=Error ErrorCode=UserNotFound ColdStart=false error cause:UserNotFound" + getItem + "200" + overhead},
		{"refused by the gateway", all(unreliable.None), "DELETE", "/users", 400, toFunction + "400 error"},
		{"method not allowed", all(unreliable.None), "", "/users/a", 405, toFunction + "405 error"},
		{"throttled", all(unreliable.Throttle), "GET", "/users/a", 503,
			toFunction + "503 fault" + throughLambda +
				"Outcome=Fault ErrorCode=StoreThrottled ColdStart=false fault cause:StoreThrottled" +
				getItem + "400 " + throttled + attempt + "400 " + throttled + attempt + "400 " + throttled +
				attempt + "400 " + throttled + overhead},
		{"throttled once", throttledOnce, "GET", "/users/a", 200,
			toFunction + "200" + throughLambda + "Outcome=Success ColdStart=false" +
				getItem + "200" + attempt + "400 " + throttled + attempt + "200" + overhead},
		{"timeout", all(unreliable.Ignore), "GET", "/users/a", 500,
			toFunction + "500 fault" + throughLambda +
				"Outcome=Fault ErrorCode=StoreUnavailable ColdStart=false fault cause:StoreUnavailable" +
				getItem + deadline + attempt + deadline + attempt + deadline + attempt + deadline + overhead},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := unreliable.NewDatabase(t)
			s := startWarm(t, p, "a")
			if tt.method == "" {
				tt.method = s.Unsupported(t, tt.path)
			}
			attempts := max(strings.Count(tt.want, attempt), strings.Count(tt.want, getItem))
			for tries := 1; ; tries++ {
				p.Fail(tt.fault())
				p.ResetOperations()
				environments := len(processes(s))
				id, header := stacktest.NewTrace()
				s.Do(t, tt.method, tt.path, "", header).Want(t, tt.status)
				// On a busy machine, an attempt may time out, and an environment may be late to request the next invocation, so
				// that another one starts. The trace then differs.
				sent, running := len(p.Operations()), len(processes(s))
				if tries == maxTries || sent <= attempts && running == environments {
					s.WantTrace(t, id, tt.want)
					return
				}
				t.Logf("%d attempts, want %d; %d environments, want %d: sending the request again",
					sent, attempts, running, environments)
			}
		})
	}
}

// TestTrace_Function checks the trace of each failure of a function.
func TestTrace_Function(t *testing.T) {
	t.Parallel()
	failed := func(cause string) string {
		return toFunction + `502 fault
  Lambda Invoke 200 fault
    UserRequestAPI-STAGE-get AWS::Lambda 200 fault
      UserRequestAPI-STAGE-get AWS::Lambda::Function fault cause:` + cause + `
        Initialization
        Invocation fault`
	}
	tests := []struct{ fault, want string }{
		{"panic", failed("string") + overhead},
		{"error", failed("errorString") + overhead},
		{"exit3", failed("Runtime.ExitError")},
		{"hang", failed("Sandbox.Timedout")},
		{"not an object", toFunction + `502 fault
  Lambda Invoke 200 fault
    UserRequestAPI-STAGE-get AWS::Lambda 200
      UserRequestAPI-STAGE-get AWS::Lambda::Function
        Initialization
        Invocation` + overhead},
	}
	for _, tt := range tests {
		t.Run(tt.fault, func(t *testing.T) {
			t.Parallel()
			s := stacktest.Start(t, faulty, withTimeout(t))
			id, header := stacktest.NewTrace()
			path := "/users/1?" + url.Values{"fault": {tt.fault}}.Encode()
			s.Do(t, http.MethodGet, path, "", header).Want(t, http.StatusBadGateway)
			s.WantTrace(t, id, tt.want)
		})
	}
}

func TestTrace_TooManyRequests(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t, faulty, withEnvironments(1))
	finish := occupy(t, s)
	id, header := stacktest.NewTrace()
	s.Do(t, http.MethodGet, "/users/1", "", header).Want(t, http.StatusInternalServerError)
	s.WantTrace(t, id, toFunction+`500 fault
  Lambda Invoke 429 error throttle
    UserRequestAPI-STAGE-get AWS::Lambda 429 error throttle cause:TooManyRequestsException`)
	finish()
}
