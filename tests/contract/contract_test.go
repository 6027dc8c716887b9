package contract_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/check/unreliable"
	"github.com/userrequestapi/userdata/deploy/local"
	"github.com/userrequestapi/userdata/deploy/local/apigateway"
)

// TestContract sends requests that produce each response example of the document.
func TestContract(t *testing.T) {
	t.Parallel()
	stacktest.Endpoint(t) // skips the test without one
	contract := stacktest.LoadContract(t, testenv.Root(t))
	c := newCoverage(contract.Document())
	t.Cleanup(func() { c.report(t) })
	for name, test := range map[string]func(*testing.T, *coverage){
		"without faults": withoutFaults, "authorization": authorization, "If-Match is required": required, "throttled": throttled,
		"no function": noFunction, "no database": noDatabase,
		"timeout":     func(t *testing.T, c *coverage) { timeout(t, c, contract) },
		"not invoked": func(t *testing.T, c *coverage) { notInvoked(t, c, contract) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, c)
		})
	}
}

// testStage is the stage under test.
type testStage struct {
	t      *testing.T
	c      *coverage
	client *stacktest.Client
	name   string
}

func start(t *testing.T, c *coverage, configure ...func(*local.Config)) (testStage, *stacktest.TestStack) {
	t.Helper()
	s := stacktest.Start(t, configure...)
	return testStage{t, c, s.Client, s.Stage()}, s
}

// want sends the example request of an operation with a change, and compares the response with an example.
func (s testStage) want(id string, status int, example string, change func(*request)) {
	s.t.Helper()
	r := s.c.operation(s.t, id).request(s.t, "")
	change(&r)
	s.compare(expected{id, status, example}, r, s.send(r))
}

func (s testStage) send(r request) stacktest.Response {
	s.t.Helper()
	return s.client.Do(s.t, r.method, r.path, r.body, r.headers)
}

// compare compares a response with an example.
func (s testStage) compare(e expected, r request, got stacktest.Response) {
	s.t.Helper()
	if r.method == http.MethodHead {
		e.example = "" // no body
	}
	example, ok := s.c.wanted[e]
	if !ok {
		s.t.Errorf("got no example %v in the document, want one", e)
		return
	}
	if got.Status != e.status {
		s.t.Errorf("%v: %s %s: got status code %d: %.1000s", e, r.method, r.path, got.Status, got.Body)
		return
	}
	if diff := s.diff(example, got); diff != "" {
		s.t.Errorf("%v: response to %s %s (-example +got):\n%s", e, r.method, r.path, diff)
		return
	}
	s.c.record(e)
}

// diff returns the difference between an example and the body of a response, "" if there is none. A nil example is that
// of a response without a body. Masked members of the body must exist, but can have other values.
func (s testStage) diff(example any, got stacktest.Response, masked ...string) string {
	s.t.Helper()
	if example == nil {
		return ""
	}
	body := stacktest.Decode(s.t, bytes.ReplaceAll(got.Body, []byte(`"/`+s.name+`/`), []byte(`"/prod/`)))
	want := stacktest.Decode(s.t, encode(s.t, example))
	for _, name := range append(masked, "requestId") {
		if value, ok := body[name].(string); ok && value != "" && want[name] != nil {
			body[name] = want[name]
		}
	}
	return gocmp.Diff(want, body)
}

// each does the same as want, concurrently for all operations that have the example.
func (s testStage) each(status int, example string, change func(*request)) {
	s.t.Helper()
	var senders sync.WaitGroup
	for _, o := range s.c.operations {
		if !s.c.has(o, status, example) {
			continue
		}
		r := o.request(s.t, "")
		change(&r)
		senders.Go(func() { s.compare(expected{o.OperationID, status, example}, r, s.send(r)) })
	}
	senders.Wait()
}

func unchanged(*request) {}

func at(path string) func(*request) { return func(r *request) { r.path = path } }

func sending(body string) func(*request) { return func(r *request) { r.body = body } }

// setting sets members of the body.
func setting(members map[string]any) func(*request) {
	return func(r *request) {
		body := map[string]any{}
		_ = json.Unmarshal([]byte(r.body), &body) // it is an example
		maps.Copy(body, members)
		encoded, _ := json.Marshal(body)
		r.body = string(encoded)
	}
}

func having(header, value string) func(*request) {
	return func(r *request) {
		r.headers = maps.Clone(r.headers)
		if r.headers == nil {
			r.headers = stacktest.Headers{}
		}
		r.headers[header] = value
	}
}

// both returns a change that applies all changes.
func both(changes ...func(*request)) func(*request) {
	return func(r *request) {
		for _, change := range changes {
			change(r)
		}
	}
}

// authorization sends requests without valid credentials.
func authorization(t *testing.T, c *coverage) {
	now := time.Now().UTC()
	for _, test := range []struct {
		authorization, example string
		status                 int
		change                 func(*request)
	}{
		{"AWS_IAM", "MissingAuthenticationToken", 403, unchanged},
		{"AWS_IAM", "InvalidSignature", 403, both(
			having("X-Amz-Date", now.Format("20060102T150405Z")),
			having("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"+now.Format("20060102")+"/us-east-1/execute-api/aws4_request, "+
				"SignedHeaders=host;x-amz-date, Signature="+strings.Repeat("0", 64)),
		)},
		{"COGNITO_USER_POOLS", "Unauthorized", 401, unchanged},
		{"API_KEY", "InvalidApiKey", 403, unchanged},
	} {
		t.Run(test.authorization+" "+test.example, func(t *testing.T) {
			t.Parallel()
			s, _ := start(t, c, stacktest.Parameters(map[string]string{"Authorization": test.authorization}))
			s.each(test.status, test.example, test.change)
		})
	}
}

func required(t *testing.T, c *coverage) {
	s, _ := start(t, c, stacktest.Parameters(map[string]string{"RequireIfMatch": "true"}))
	s.each(428, "PreconditionRequired", unchanged)
}

// throttled sends requests to a stage with a limit of one request per second.
func throttled(t *testing.T, c *coverage) {
	s, _ := start(t, c, stacktest.Parameters(map[string]string{"ThrottlingRateLimit": "1", "ThrottlingBurstLimit": "1"}))
	for _, o := range c.operations {
		if !c.has(o, http.StatusTooManyRequests, "Throttled") {
			continue
		}
		r := o.request(t, "")
		var got stacktest.Response
		testenv.Eventually(t, "a throttled request", func() bool {
			got = s.sendBurst(r)
			return got.Status == http.StatusTooManyRequests
		})
		s.compare(expected{o.OperationID, 429, "Throttled"}, r, got)
	}
}

// sendBurst sends a request several times concurrently, and returns a 429 response or else another one.
func (s testStage) sendBurst(r request) stacktest.Response {
	responses := make([]stacktest.Response, 4)
	var senders sync.WaitGroup
	for i := range responses {
		senders.Go(func() { responses[i] = s.send(r) })
	}
	senders.Wait()
	i := slices.IndexFunc(responses, func(r stacktest.Response) bool { return r.Status == http.StatusTooManyRequests })
	return responses[max(0, i)]
}

// noFunction sends requests to a stage whose functions do not start.
func noFunction(t *testing.T, c *coverage) {
	fails, err := exec.LookPath("false")
	if err != nil {
		t.Fatal(err)
	}
	s, _ := start(t, c, func(cfg *local.Config) {
		for function := range cfg.Bootstraps {
			cfg.Bootstraps[function] = fails
		}
	})
	s.each(502, "BadGateway", unchanged)
}

// noDatabase sends requests to a stage whose database throttles, and then is down.
func noDatabase(t *testing.T, c *coverage) {
	database := unreliable.NewDatabase(t)
	s, _ := start(t, c, database.With)
	database.Fail(unreliable.All(unreliable.Throttle))
	s.each(503, "StoreThrottled", unchanged)
	database.Down(t)
	s.each(500, "StoreUnavailable", unchanged)
}

// invoker invokes no function.
type invoker func() error

func (i invoker) Invoke(context.Context, string, string, []byte) (apigateway.InvokeOutput, error) {
	return apigateway.InvokeOutput{}, i()
}

// stage returns a stage whose gateway uses an invoker. The integration timeout is 50 ms, the shortest of API Gateway.
func stage(t *testing.T, c *coverage, contract *stacktest.Contract, invoke invoker) testStage {
	s := testStage{t: t, c: c, name: "prod"}
	api := stacktest.Resolve(t, map[string]string{"StageName": s.name, "Authorization": "NONE"}).API()
	g, err := apigateway.New(apigateway.Config{
		Body:  bytes.ReplaceAll(api.Body, []byte(`"timeoutInMillis":29000`), []byte(`"timeoutInMillis":50`)),
		Stage: s.name, Invoker: invoke,
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(g)
	t.Cleanup(func() {
		server.Close()
		g.Wait()
	})
	s.client = stacktest.NewClient(t, server.URL+"/"+s.name, contract)
	return s
}

// timeout sends requests to a stage whose functions exceed the integration timeout.
func timeout(t *testing.T, c *coverage, contract *stacktest.Contract) {
	end := make(chan struct{})
	s := stage(t, c, contract, func() error {
		<-end
		return nil
	})
	t.Cleanup(func() { close(end) })
	s.each(504, "GatewayTimeout", unchanged)
}

// notInvoked sends requests to a stage whose functions Lambda does not invoke.
func notInvoked(t *testing.T, c *coverage, contract *stacktest.Contract) {
	s := stage(t, c, contract, func() error { return errors.New("rate exceeded") })
	s.each(500, "BadGateway", unchanged)
}
