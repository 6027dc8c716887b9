package apigateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/local/apigateway"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// object is a JSON object.
type object = map[string]any

const functionARN = "arn:aws:lambda:eu-west-1:123456789012:function:users-get:live"

// merge copies the keys of more to o and returns o.
func merge(o object, more []object) object {
	for _, extra := range more {
		maps.Copy(o, extra)
	}
	return o
}

// proxy returns a proxy integration with the function.
func proxy(more ...object) object {
	integration := object{
		"type":            "aws_proxy",
		"httpMethod":      "POST",
		"timeoutInMillis": 29_000,
		"uri": "arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/" + functionARN +
			"/invocations",
	}
	return merge(integration, more)
}

// operation returns an operation with the integration.
func operation(integration object, more ...object) object {
	o := object{"x-amazon-apigateway-integration": integration}
	return merge(o, more)
}

// document returns an API with the paths.
func document(paths object, more ...object) object {
	d := object{"openapi": "3.0.1", "info": object{"title": "test", "version": "1"}, "paths": paths}
	return merge(d, more)
}

// catchAll returns an API whose function serves every path and method.
func catchAll(more ...object) object {
	method := object{"x-amazon-apigateway-any-method": operation(proxy())}
	return document(object{"/": method, "/{proxy+}": method}, more...)
}

type invokerFunc func(ctx context.Context, arn, trace string, payload []byte) ([]byte, string, error)

// functionRequestID is Lambda's request id of all invocations.
const functionRequestID = "8476a536-e9f4-11e8-9739-2dfe598c3fcd"

func (f invokerFunc) Invoke(ctx context.Context, arn, trace string, payload []byte) (apigateway.InvokeOutput, error) {
	response, functionError, err := f(ctx, arn, trace, payload)
	return apigateway.InvokeOutput{RequestID: functionRequestID, FunctionError: functionError, Payload: response}, err
}

// respondWith returns an invoker that always returns the same response.
func respondWith(response string) invokerFunc {
	return func(context.Context, string, string, []byte) ([]byte, string, error) {
		return []byte(response), "", nil
	}
}

// recorder is an invoker that records the last invocation and returns {}.
type recorder struct {
	mu      sync.Mutex
	arn     string
	trace   string
	payload []byte
}

func (r *recorder) Invoke(_ context.Context, arn, trace string, payload []byte) (apigateway.InvokeOutput, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.arn, r.trace, r.payload = arn, trace, payload
	return apigateway.InvokeOutput{RequestID: functionRequestID, Payload: []byte(`{}`)}, nil
}

func (r *recorder) event(t *testing.T) object {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	var event object
	if err := json.Unmarshal(r.payload, &event); err != nil {
		t.Fatalf("event %q: want a JSON object: %v", r.payload, err)
	}
	return event
}

// testServer is a gateway with its server and access log.
type testServer struct {
	t       *testing.T
	url     string // with the stage
	server  *httptest.Server
	records chan apigateway.Record
	lines   chan string // of the access log, one for each record
}

func serve(t *testing.T, doc object, invoker apigateway.Invoker, change ...func(*apigateway.Config)) *testServer {
	t.Helper()
	body, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	s := &testServer{t: t, records: make(chan apigateway.Record, 100), lines: make(chan string, 100)}
	cfg := apigateway.Config{
		Body: body, Stage: "prod", AccountID: "123456789012", Region: "eu-west-1", APIID: "a1b2c3d4e5",
		DeploymentID: "dep123", Invoker: invoker, AccessLog: func(line string, r apigateway.Record) {
			s.lines <- line
			s.records <- r
		},
	}
	for _, f := range change {
		f(&cfg)
	}
	g, err := apigateway.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.server = httptest.NewServer(g)
	s.url = s.server.URL + "/prod"
	t.Cleanup(func() {
		s.server.Close()
		g.Wait()
	})
	return s
}

// reply is a response with its body read.
type reply struct {
	status int
	header http.Header
	body   string
}

// do sends a request to a path within the stage. headers are pairs of name and value.
func (s *testServer) do(method, path, body string, headers ...string) reply {
	s.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, reader)
	if err != nil {
		s.t.Fatal(err)
	}
	for pair := range slices.Chunk(headers, 2) {
		if pair[0] == "Host" {
			r.Host = pair[1]
			continue
		}
		r.Header.Add(pair[0], pair[1])
	}
	response, err := s.server.Client().Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	return s.read(response)
}

func (s *testServer) read(response *http.Response) reply {
	s.t.Helper()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return reply{response.StatusCode, response.Header, string(body)}
}

// record waits for the access log record of a request and returns it.
func (s *testServer) record() apigateway.Record {
	s.t.Helper()
	// A cleanup may call record, when the test's context has ended.
	ctx, cancel := testenv.WithDeadline(context.WithoutCancel(s.t.Context()), s.t)
	defer cancel()
	select {
	case r := <-s.records:
		return r
	case <-ctx.Done():
		s.t.Fatal("got no access log record, want one")
		return apigateway.Record{}
	}
}

// wantError checks a response created by the gateway.
func (r reply) wantError(t *testing.T, status int, errorType, message string) {
	t.Helper()
	type summary struct {
		Status             int
		ErrorType, Body    string
		RequestID, APIGWID bool
		Trace, ContentType string
	}
	want := summary{status, errorType, `{"message":` + quote(message) + `}`, true, true, "", "application/json"}
	got := summary{
		r.status, r.header.Get("x-amzn-ErrorType"), r.body,
		uuid.MatchString(r.header.Get("x-amzn-RequestId")), extendedID.MatchString(r.header.Get("x-amz-apigw-id")),
		r.header.Get("X-Amzn-Trace-Id"), r.header.Get("Content-Type"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
}

func quote(s string) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(s); err != nil {
		panic(err)
	}
	return strings.TrimSpace(b.String())
}

var (
	uuid       = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	extendedID = regexp.MustCompile(`^[\w-]{15}=$`)
	root       = regexp.MustCompile(`^Root=1-[0-9a-f]{8}-[0-9a-f]{24}$`)
	fullTrace  = regexp.MustCompile(`^Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=[01]$`)
)

func TestConfigErrors(t *testing.T) {
	t.Parallel()
	body, err := json.Marshal(catchAll())
	if err != nil {
		t.Fatal(err)
	}
	valid := apigateway.Config{Body: body, Stage: "prod", Invoker: respondWith(`{}`)}
	for name, test := range map[string]struct {
		change func(*apigateway.Config)
		want   string
	}{
		"no stage":             {func(c *apigateway.Config) { c.Stage = "" }, `underscores, got ""`},
		"stage with a slash":   {func(c *apigateway.Config) { c.Stage = "a/b" }, `underscores, got "a/b"`},
		"stage too long":       {func(c *apigateway.Config) { c.Stage = strings.Repeat("a", 129) }, "stage name"},
		"no invoker":           {func(c *apigateway.Config) { c.Invoker = nil }, "Invoker must be set"},
		"rate without a burst": {func(c *apigateway.Config) { c.Throttle.Rate = 1 }, "got rate 1, burst 0"},
		"burst without a rate": {func(c *apigateway.Config) { c.Throttle.Burst = 1 }, "got rate 0, burst 1"},
		"no document":          {func(c *apigateway.Config) { c.Body = nil }, "read the API document"},
		"log variable": {func(c *apigateway.Config) { c.AccessLogFormat = "$context.requestId $context.identity.apiKey" },
			"access log format: variable $context.identity.apiKey is not supported"},
		"log variable that is not in the template": {
			func(c *apigateway.Config) { c.AccessLogFormat = "$context.requestId $context.operationName" },
			"variable $context.operationName is not supported",
		},
		"log variable outside $context": {
			func(c *apigateway.Config) { c.AccessLogFormat = "$context.requestId $stageVariables.a" },
			"variable $stageVariables.a is not supported",
		},
		"log variable in braces": {func(c *apigateway.Config) { c.AccessLogFormat = "$context.requestId ${context.status}" },
			"variable ${context.status} is not supported"},
		"log of two lines":  {func(c *apigateway.Config) { c.AccessLogFormat = "$context.requestId\n" }, "want a single line"},
		"log without an id": {func(c *apigateway.Config) { c.AccessLogFormat = "$context.requestIdx" }, "want $context.requestId"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := valid
			test.change(&cfg)
			if _, err := apigateway.New(cfg); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error = %v, want one that contains %q", err, test.want)
			}
		})
	}
}

func TestOutsideStage(t *testing.T) {
	t.Parallel()
	s := serve(t, catchAll(), respondWith(`{}`))
	s.url = s.server.URL
	for _, path := range []string{"", "/", "/production", "/prodx/users", "/dev/users", "/users"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			s.do("GET", path, "").wantError(t, 403, "ForbiddenException", "Forbidden")
		})
	}
}

func TestInvokerPanic(t *testing.T) {
	t.Parallel()
	s := serve(t, catchAll(), invokerFunc(func(context.Context, string, string, []byte) ([]byte, string, error) {
		panic("boom")
	}))
	for range 2 {
		s.do("GET", "/users", "").wantError(t, 500, "InternalServerErrorException", "Internal server error")
		if got := s.record().IntegrationError; got != "invoke: panic: boom" {
			t.Errorf("IntegrationError = %q, want invoke: panic: boom", got)
		}
	}
}

// A panic in the gateway itself results in 500. The only way to cause one from outside is reading the body.
func TestGatewayPanic(t *testing.T) {
	t.Parallel()
	g, err := newGateway(catchAll())
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	g.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/prod/", panicReader{}))
	if w.Code != 500 || w.Body.String() != `{"message":"Internal server error"}` {
		t.Errorf("response = %d %s, want 500 and Internal server error", w.Code, w.Body)
	}
}

type panicReader struct{}

func (panicReader) Read([]byte) (int, error) { panic("boom") }

func TestMalformedChunk(t *testing.T) {
	t.Parallel()
	function := &recorder{}
	s := serve(t, catchAll(), function)
	got := s.raw("POST /prod/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nnot a chunk\r\n")
	got.wantError(t, 400, "BadRequestException", "Bad Request")
	if function.payload != nil {
		t.Error("the function was invoked, want no invocation")
	}
}

func TestAbsoluteFormAndTLS(t *testing.T) {
	t.Parallel()
	function := &recorder{}
	s := serve(t, catchAll(), function)
	if got := s.raw("GET http://h/prod/a%2Fb HTTP/1.1\r\nHost: h\r\n\r\n"); got.status != 200 {
		t.Errorf("status = %d, want 200", got.status)
	}
	if got := function.event(t)["path"]; got != "/a%2Fb" {
		t.Errorf("path = %v, want %q", got, "/a%2Fb")
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://h/prod/x", http.NoBody)
	s.server.Config.Handler.ServeHTTP(w, r)
	headers := function.event(t)["headers"].(object)
	if headers["X-Forwarded-Proto"] != "https" || headers["X-Forwarded-Port"] != "443" {
		t.Errorf("headers = %v, want https and the port 443", headers)
	}
}

func TestAccessLog(t *testing.T) {
	t.Parallel()
	doc := document(object{"/users/{userId}": object{
		"get":  operation(proxy(), object{"operationId": "getUser"}),
		"post": operation(proxy(), object{"operationId": "createUser"}),
	}})
	function := invokerFunc(func(_ context.Context, _, _ string, payload []byte) ([]byte, string, error) {
		if strings.Contains(string(payload), `"httpMethod":"POST"`) {
			return []byte(`{"errorMessage":"secret"}`), "Unhandled", nil
		}
		return []byte(`{"body":"hello"}`), "", nil
	})
	base := apigateway.Record{
		ResourcePath: "/users/{userId}", Protocol: "HTTP/1.1", SourceIP: "127.0.0.1", FunctionARN: functionARN, FunctionRequestID: functionRequestID, IntegrationStatus: 200,
	}
	for name, test := range map[string]struct {
		method string
		want   func(*apigateway.Record)
	}{
		"success": {"GET", func(r *apigateway.Record) {
			r.Status, r.ResponseLength, r.FunctionStatus = 200, 5, 200
		}},
		"function error": {"POST", func(r *apigateway.Record) {
			r.Status, r.ResponseLength, r.ErrorType = 502, 35, "DEFAULT_5XX"
			r.IntegrationError = "function error: Unhandled"
		}},
		"unknown method": {"PUT", func(r *apigateway.Record) {
			r.FunctionARN, r.FunctionRequestID, r.IntegrationStatus, r.Status, r.ResponseLength = "", "", 0, 403, 42
			r.ErrorType = "MISSING_AUTHENTICATION_TOKEN"
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, doc, function)
			before := time.Now()
			resp := s.do(test.method, "/users/1?secret=1", "", "Host", "api.example.com", "User-Agent", "test/1")
			got := s.record()
			want := base
			test.want(&want)
			want.Method = test.method
			want.RequestID = resp.header.Get("x-amzn-RequestId")
			want.ExtendedRequestID = resp.header.Get("x-amz-apigw-id")
			if got.Time.Before(before) || got.Latency <= 0 || got.Latency < got.IntegrationLatency {
				t.Errorf("time %v, latency %v, integration latency %v; want a time after %v, and at least the integration latency",
					got.Time, got.Latency, got.IntegrationLatency, before)
			}
			invoked := want.FunctionARN != ""
			if (got.IntegrationLatency > 0) != invoked || got.IntegrationTime.After(got.Time) != invoked {
				t.Errorf("integration at %v, latency %v; want both set: %t", got.IntegrationTime, got.IntegrationLatency, invoked)
			}
			if !fullTrace.MatchString(got.Trace.Header()) {
				t.Errorf("trace header = %s, want %s", got.Trace.Header(), fullTrace)
			}
			got.Time, got.Latency, got.Trace = time.Time{}, 0, apigateway.Trace{}
			got.IntegrationTime, got.IntegrationLatency = time.Time{}, 0
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("record (-want +got):\n%s", diff)
			}
		})
	}
}

func ExampleNew() {
	g, err := apigateway.New(apigateway.Config{
		Stage: "prod",
		Body: []byte(`{"openapi":"3.0.1","paths":{"/health":{"get":{"x-amazon-apigateway-integration":{
			"type":"mock","passthroughBehavior":"never","requestTemplates":{"application/json":"{\"statusCode\":200}"},
			"responses":{"default":{"statusCode":"200","responseTemplates":{
				"application/json":"{\"stage\":\"$context.stage\"}"}}}
		}}}}}`),
		Invoker: respondWith(`{}`),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	w := httptest.NewRecorder()
	g.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/prod/health", http.NoBody))
	fmt.Println(w.Code, w.Body)
	// Output: 200 {"stage":"prod"}
}
