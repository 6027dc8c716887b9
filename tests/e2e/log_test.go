package e2e_test

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/deploy/local"
	"github.com/userrequestapi/userdata/deploy/local/lambda"
	"github.com/userrequestapi/userdata/shared/user/usertest"
)

// marked stands for personal data: no log line and no trace may contain it, in any case.
const marked = "mark3d-p3rs0nal"

func isMarked(str string) bool { return strings.Contains(strings.ToLower(str), marked) }

// sendMarked sends requests with a marked value in every part of a request, including invalid ones, and returns how
// many of them reached a function.
func sendMarked(t *testing.T, s *stacktest.TestStack) int {
	t.Helper()
	const (
		user = `{"userId": "` + marked + `", "name": "` + marked + `", "email": "` + marked + `@example.org", "` + marked + `": ["` +
			marked + `", {"$SS": ["` + marked + `"]}]}`
		path = "/users/" + marked
	)
	everywhere := stacktest.Headers{
		"Authorization": marked, "Cookie": marked, "User-Agent": marked, "Referer": marked, "X-Forwarded-For": marked, "X-Api-Key": marked,
	}
	requests := []refusal{
		{method: "POST", body: user, status: 201, headers: idempotencyKey(marked)},
		{method: "POST", body: user, status: 201, headers: idempotencyKey(marked)},
		{method: "POST", body: `{"userId": "` + marked + `"}`, status: 422, headers: idempotencyKey(marked)},
		{method: "POST", body: `{"userId": "` + marked + `"}`, status: 409},
		{method: "POST", body: `{"name": ["` + marked + `"], "email": "` + marked + `", "_` + marked + `": 1}`, status: 400},
		{method: "POST", body: `{"` + marked + `": {"$B": "` + marked + `"}}`, status: 400},
		{method: "POST", body: `{"` + marked + `": 1, "` + marked + `": 1}`, status: 400},
		{method: "POST", body: `{"` + marked + `": ` + marked, status: 400},
		{method: "POST", body: marked, status: 400},
		{method: "POST", body: "\"" + marked + "\xff\"", status: 400},
		{method: "POST", body: `{"userId": "` + marked + ` ` + marked + `"}`, status: 400},
		{method: "POST", body: `{"x": "` + strings.Repeat(marked, 30_000) + `"}`, status: 413},
		{method: "POST", body: `{}`, status: 415, headers: contentType("text/" + marked)},
		{method: "POST", body: `{}`, status: 400, headers: idempotencyKey(`"` + marked)},
		{method: "POST", body: `{}`, status: 400, headers: ifNoneMatch(marked)},
		{method: "GET", path: path, status: 200},
		{method: "GET", path: path, status: 304, headers: ifNoneMatch("*")},
		{method: "GET", path: path, status: 400, headers: ifNoneMatch(marked)},
		{method: "GET", path: "/users?userId=" + marked, status: 200},
		{method: "GET", path: "/users?userId=not-" + marked, status: 404},
		{method: "GET", path: "/users?userId=" + marked + "%20", status: 404},
		{method: "GET", path: "/users/" + marked + "%40example.org", status: 404},
		{method: "GET", path: "/users/" + marked + "%ff", status: 400},
		{method: "GET", path: path + "?userId=" + marked + "2", status: 400},
		{method: "GET", path: "/users?" + marked + "=" + marked, status: 200},
		{method: "GET", path: "/users?limit=" + marked, status: 400},
		{method: "GET", path: "/users?cursor=" + marked, status: 400},
		{method: "HEAD", path: path, status: 200},
		{method: "PUT", path: path, body: user, status: 200},
		{method: "PUT", path: path, body: user, status: 412, headers: ifMatch(`"` + marked + `"`)},
		{method: "PUT", path: path, body: user, status: 400, headers: ifMatch(marked)},
		{method: "PUT", path: path, body: `{"userId": "other-` + marked + `"}`, status: 400},
		{method: "PUT", path: path, body: `{"createdAt": "` + marked + `"}`, status: 400},
		{method: "PUT", path: "/users/not-" + marked, body: `{}`, status: 404},
		{method: "DELETE", path: path, status: 412, headers: ifMatch(`"` + marked + `"`)},
		{method: "DELETE", path: path, status: 204},
	}
	for _, r := range requests {
		if r.path == "" {
			r.path = "/users"
		}
		if r.body != "" && r.status != 400 && r.status != 415 {
			r.body = usertest.Body(t, r.body)
		}
		s.Do(t, r.method, r.path, r.body, everywhere, r.headers).Want(t, r.status)
	}
	for _, header := range []string{
		"Root=" + marked, "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=" + marked + ";Sampled=1;Self=" + marked + ";" + marked + "=1", marked,
	} {
		s.Do(t, "GET", path, "", everywhere, stacktest.Headers{"X-Amzn-Trace-Id": header}).Want(t, 404)
	}
	// These do not reach a function.
	s.Do(t, "GET", "/"+marked, "", everywhere).Want(t, 404)
	s.Do(t, s.Unsupported(t, path), path, user, everywhere).Want(t, 405)
	s.Do(t, "DELETE", "/users?"+marked+"="+marked, "", everywhere).Want(t, 400)
	return len(requests) + 3
}

// requestLines returns the request lines of a stopped stack, by request ID.
func requestLines(t *testing.T, s *stacktest.TestStack) map[string][]map[string]any {
	t.Helper()
	lines := map[string][]map[string]any{}
	for _, line := range s.Lines() {
		fields := stacktest.Decode(t, []byte(line))
		for _, name := range []string{"timestamp", "level", "message"} {
			if value, _ := fields[name].(string); value == "" {
				t.Errorf("got line %s, want the field %s", line, name)
			}
		}
		if fields["message"] == "request" {
			id, _ := fields["requestId"].(string)
			lines[id] = append(lines[id], fields)
		}
	}
	return lines
}

// TestLogs checks the log line of each request.
func TestLogs(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	stage := s.Stage()
	hash := sha256.Sum256([]byte("ada"))
	adaHash := hex.EncodeToString(hash[:8])
	type request struct {
		method, path, body string
		status             int
		function, route    string
		operation          string
		outcome, code      string
		cold               bool
		user               string
	}
	body := usertest.Body(t, `{"userId": "ada"}`)
	requests := []request{ // in this order
		{"POST", "/users", body, 201, "post", "/users", "createUser", "Success", "", true, adaHash},
		{"POST", "/users", body, 409, "post", "/users", "createUser", "Error", "UserExists", false, adaHash},
		{"POST", "/users", `[]`, 400, "post", "/users", "createUser", "Error", "InvalidBody", false, ""},
		{"GET", "/users/ada", "", 200, "get", "/users/{userId}", "getUser", "Success", "", true, adaHash},
		{"GET", "/users?userId=ada", "", 200, "get", "/users", "getUsers", "Success", "", false, adaHash},
		{"GET", "/users", "", 200, "get", "/users", "getUsers", "Success", "", false, ""},
		{"HEAD", "/users/a%ff", "", 400, "get", "/users/{userId}", "headUser", "Error", "InvalidUserId", false, ""},
		{"PUT", "/users/ada", body, 200, "put", "/users/{userId}", "replaceUser", "Success", "", true, adaHash},
		{"DELETE", "/users?userId=ada", "", 204, "delete", "/users", "deleteUserByQuery", "Success", "", true, adaHash},
	}
	responses := make([]stacktest.Response, len(requests))
	for i, r := range requests {
		responses[i] = s.Do(t, r.method, r.path, r.body).Want(t, r.status)
	}
	s.Stop(t)
	lines := requestLines(t, s)
	invocations := map[string]bool{}
	for _, event := range s.Events() {
		if start, ok := event.Record.(lambda.InvocationStart); ok {
			invocations[start.RequestID] = true
		}
	}
	for i, r := range requests {
		id := responses[i].Header.Get("X-Amzn-Requestid")
		if len(lines[id]) != 1 {
			t.Errorf("%s %s: got %d lines, want 1", r.method, r.path, len(lines[id]))
			continue
		}
		got := lines[id][0]
		delete(lines, id)
		for _, name := range []string{"durationMs", "storeMs"} {
			number, _ := got[name].(json.Number)
			if value, err := number.Float64(); err != nil || value < 0 {
				t.Errorf("%s = %v, want a number from 0", name, got[name])
			}
			delete(got, name)
		}
		if _, err := time.Parse("2006-01-02T15:04:05.000Z", fmt.Sprint(got["timestamp"])); err != nil {
			t.Error(err)
		}
		delete(got, "timestamp")
		invocation, _ := got["lambdaRequestId"].(string)
		if !invocations[invocation] {
			t.Errorf("lambdaRequestId = %q, want the ID of an invocation", invocation)
		}
		delete(invocations, invocation)
		delete(got, "lambdaRequestId")
		want := map[string]any{
			"level": "INFO", "message": "request", "service": "UserRequestAPI",
			"function": "UserRequestAPI-" + stage + "-" + r.function, "version": "$LATEST",
			"requestId": id, "xrayTraceId": traceFields(responses[i].Header.Get("X-Amzn-Trace-Id"))["Root"],
			"coldStart": r.cold, "method": r.method, "route": r.route, "operation": r.operation,
			"status": json.Number(strconv.Itoa(r.status)), "outcome": r.outcome, "retries": json.Number("0"),
		}
		if r.code != "" {
			want["errorCode"] = r.code
		}
		if r.user != "" {
			want["userIdHash"] = r.user
		}
		if d := gocmp.Diff(want, got); d != "" {
			t.Errorf("%s %s (-want +got):\n%s", r.method, r.path, d)
		}
	}
	if len(lines) > 0 {
		t.Errorf("got lines of unknown requests, %v, want none", lines)
	}
	if got, want := len(s.Lines()), len(requests); got != want {
		t.Errorf("the functions logged %d lines, want %d: %q", got, want, s.Lines())
	}
}

// TestMetrics checks the custom metrics of a stage: in the embedded metric format, each metric and dimension of a
// directive is a member of the line.
func TestMetrics(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t, stacktest.Parameters(map[string]string{"Metrics": "true"}))
	stage := s.Stage()
	body := usertest.Body(t, `{"userId": "ada"}`)
	s.Do(t, "POST", "/users", body).Want(t, 201)
	s.Do(t, "POST", "/users", body).Want(t, 409)
	s.Do(t, "GET", "/users/ada", "").Want(t, 200)
	s.Stop(t)
	var got []string
	for _, lines := range requestLines(t, s) {
		for _, line := range lines {
			raw, err := json.Marshal(line["_aws"])
			if err != nil {
				t.Fatal(err)
			}
			var metadata struct {
				Timestamp         int64
				CloudWatchMetrics []struct {
					Namespace  string
					Dimensions [][]string
					Metrics    []struct{ Name, Unit string }
				}
			}
			if err := json.Unmarshal(raw, &metadata); err != nil || metadata.Timestamp == 0 {
				t.Fatalf("_aws = %s, error %v, want metadata with a timestamp", raw, err)
			}
			for _, directive := range metadata.CloudWatchMetrics {
				var dimensions []string
				for _, name := range directive.Dimensions[0] {
					dimensions = append(dimensions, fmt.Sprintf("%s=%s", name, line[name]))
				}
				for _, metric := range directive.Metrics {
					got = append(got, fmt.Sprintf("%s %s %s %v %s", directive.Namespace, strings.Join(dimensions, ","), metric.Name, line[metric.Name], metric.Unit))
				}
			}
		}
	}
	slices.Sort(got)
	name := "UserRequestAPI-" + stage
	want := []string{
		name + " service=UserRequestAPI,function_name=" + name + "-get ColdStart 1 Count",
		name + " service=UserRequestAPI,function_name=" + name + "-post ColdStart 1 Count",
		name + " service=UserRequestAPI,operation=createUser Error 1 Count",
		name + " service=UserRequestAPI,operation=createUser Success 1 Count",
		name + " service=UserRequestAPI,operation=getUser Success 1 Count",
	}
	if d := gocmp.Diff(want, got); d != "" {
		t.Errorf("metrics (-want +got):\n%s", d)
	}
}

// TestLogs_NoPersonalData sends marked values and searches the logs for them.
func TestLogs_NoPersonalData(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t, stacktest.Parameters(map[string]string{"LogLevel": "DEBUG", "Metrics": "true"}))
	count := sendMarked(t, s)
	s.Stop(t)
	if lines := requestLines(t, s); len(lines) != count {
		t.Errorf("got lines of %d requests, want %d", len(lines), count)
	}
	wantNothingMarked(t, s)
}

func wantNothingMarked(t *testing.T, s *stacktest.TestStack) {
	t.Helper()
	if len(s.Events()) == 0 {
		t.Error("got no events, want some")
	}
	for _, event := range s.Events() {
		if isMarked(event.Text()) {
			t.Errorf("got event %.2000s, want no personal data", event.Text())
		}
	}
}

// failing is a proxy of the database that can return errors.
type failing struct {
	*httptest.Server
	response atomic.Pointer[failure] // nil forwards the request
}

// failure is an error response of DynamoDB.
type failure struct {
	status int
	kind   string // type of the error; "" for a malformed response
	quotes bool   // the message quotes the request, as DynamoDB does for some errors
}

func (f failure) body(request []byte) string {
	if f.kind == "" {
		return `{"Item": {"name": {"S": "` + marked // truncated
	}
	message := "refused"
	if f.quotes {
		message = string(request)
	}
	return fmt.Sprintf(`{"__type": "com.amazonaws.dynamodb.v20120810#%s", "message": %q}`, f.kind, message)
}

func newFailing(t *testing.T, database string) *failing {
	t.Helper()
	target, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: transport,
	}
	f := &failing{}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		response := f.response.Load()
		if response == nil {
			proxy.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the function has disconnected
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.WriteHeader(response.status)
		_, _ = io.WriteString(w, response.body(body))
	}))
	t.Cleanup(f.Close)
	return f
}

// TestStoreFailures checks the response and the log after errors of the database: they reveal no internals and no
// personal data.
//
//nolint:paralleltest,tparallel // the rows share the database
func TestStoreFailures(t *testing.T) {
	t.Parallel()
	database := newFailing(t, stacktest.Endpoint(t))
	s := stacktest.Start(t, func(cfg *local.Config) { cfg.DynamoDBEndpoint = database.URL })
	named := func(members string) string {
		return strings.Replace(usertest.Body(t, members), "{", `{"`+marked+`": "`+marked+`", `, 1)
	}
	requests := []refusal{
		{method: "POST", path: "/users", body: named(`{"userId": "` + marked + `"}`), status: 201},
		{method: "GET", path: "/users/" + marked, status: 200},
		{method: "GET", path: "/users", status: 200},
		{method: "PUT", path: "/users/" + marked, body: named(`{}`), status: 200},
		{method: "DELETE", path: "/users/" + marked, status: 204},
	}
	s.Do(t, "POST", "/users", usertest.Body(t, `{"userId": "`+marked+`-2"}`)).Want(t, 201)
	before := s.AllItems(t)
	failures := []struct {
		response failure
		status   int
		code     string
	}{
		{failure{400, "ValidationException", true}, 500, "StoreUnavailable"},
		{failure{400, "SerializationException", true}, 500, "StoreUnavailable"},
		{failure{400, "AccessDeniedException", false}, 500, "StoreUnavailable"},
		{failure{400, "ResourceNotFoundException", false}, 500, "StoreUnavailable"},
		{failure{500, "InternalServerError", false}, 500, "StoreUnavailable"},
		{failure{200, "", false}, 500, "StoreUnavailable"},
		{failure{400, "ProvisionedThroughputExceededException", false}, 503, "StoreThrottled"},
		{failure{400, "ThrottlingException", false}, 503, "StoreThrottled"},
		{failure{400, "RequestLimitExceeded", false}, 503, "StoreThrottled"},
	}
	for _, test := range failures {
		t.Run(cmp.Or(test.response.kind, "malformed"), func(t *testing.T) {
			database.response.Store(&test.response)
			clients(len(requests), len(requests), func(i int, _ func(func())) {
				r := s.Do(t, requests[i].method, requests[i].path, requests[i].body)
				p := r.Problem(t, test.status, test.code)
				retryAfter := ""
				if test.status == http.StatusServiceUnavailable {
					retryAfter = "1"
				}
				wantHeaders(t, r, stacktest.Headers{"Retry-After": retryAfter, "Cache-Control": "no-store"})
				p.Instance = "" // the path of the request
				body := fmt.Sprint(p)
				for _, internal := range []string{marked, test.response.kind, s.TableName, database.URL, "DynamoDB"} {
					if internal != "" && strings.Contains(body, internal) {
						t.Errorf("got response %s, want it without %s", body, internal)
					}
				}
			})
		})
	}
	database.response.Store(nil)
	if d := gocmp.Diff(before, s.AllItems(t)); d != "" {
		t.Errorf("the table was changed (-want +got):\n%s", d)
	}
	for _, r := range requests { // without an error, with the same functions
		s.Do(t, r.method, r.path, r.body).Want(t, r.status)
	}
	s.Stop(t)
	wantNothingMarked(t, s)
	wantNoPersonalData(t, s)
	logged := 0
	for _, line := range slices.Concat(slices.Collect(maps.Values(requestLines(t, s)))...) {
		if line["level"] == "ERROR" && line["errorCode"] != nil && line["error"] != nil && line["outcome"] == "Fault" {
			logged++
		}
	}
	if want := len(failures) * len(requests); logged != want {
		t.Errorf("got %d errors in the log, want %d", logged, want)
	}
}
