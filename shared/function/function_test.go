package function_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/shared/function"
	"github.com/userrequestapi/userdata/shared/logging"
	"github.com/userrequestapi/userdata/shared/request"
	"github.com/userrequestapi/userdata/shared/request/requesttest"
	"github.com/userrequestapi/userdata/shared/response"
	"github.com/userrequestapi/userdata/shared/user"
	"github.com/userrequestapi/userdata/shared/user/usertest"
)

// newFunction returns a function whose store has the user "1", and its log.
func newFunction(
	t *testing.T, handler function.Handler, change ...func(*function.Settings),
) (*function.Server, *bytes.Buffer) {
	t.Helper()
	log := &bytes.Buffer{}
	settings := function.Settings{
		Service: "userdata",
		Stage:   "prod",
		Log:     logging.Config{Service: "userdata", Function: "userdata-test", Version: "7"},
	}
	for _, f := range change {
		f(&settings)
	}
	logger, err := logging.New(log, settings.Log)
	if err != nil {
		t.Fatal(err)
	}
	users := usertest.NewMemory(user.Attributes{"userId": "1"})
	return function.New(handler, users, settings, logger), log
}

func handle(
	ctx context.Context, t *testing.T, f *function.Server, event events.APIGatewayProxyRequest,
) response.Response {
	t.Helper()
	res, err := f.Handle(ctx, event)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func lines(t *testing.T, log *bytes.Buffer) []map[string]any {
	t.Helper()
	var found []map[string]any
	for line := range strings.Lines(log.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("log line %q: %v", line, err)
		}
		found = append(found, fields)
	}
	log.Reset()
	return found
}

// read is a handler that returns the user that the request names.
func read(ctx context.Context, deps function.Dependencies, req *request.Request) (response.Response, error) {
	id, err := req.UserID()
	if err != nil {
		return response.Response{}, err
	}
	deps.LogUser(id)
	u, err := deps.Users.Get(ctx, id)
	if err != nil {
		return response.Response{}, err
	}
	return response.Read(u, req.UserPath(id)), nil
}

func fails(err error) function.Handler {
	return func(context.Context, function.Dependencies, *request.Request) (response.Response, error) {
		return response.Response{}, err
	}
}

func panics(value any) function.Handler {
	return func(context.Context, function.Dependencies, *request.Request) (response.Response, error) {
		panic(value)
	}
}

// TestInvoke compares with Handle and encoding/json.
func TestInvoke(t *testing.T) {
	t.Parallel()
	for name, event := range map[string]events.APIGatewayProxyRequest{
		"read":      requesttest.Event("GET", "/users/1", "", "If-None-Match", `"a"`),
		"not found": requesttest.Event("GET", "/users?userId=%3Cé%3E%E2%80%A8", ""),
		"body":      requesttest.Event("POST", "/users", `{"a": "<é>\u2028\ufffd\"\u0000"}`),
		"empty":     {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, _ := newFunction(t, func(
				ctx context.Context, deps function.Dependencies, req *request.Request,
			) (response.Response, error) {
				if !req.IsWrite() {
					return read(ctx, deps, req)
				}
				sent, err := req.User()
				return response.User(http.StatusOK, user.User{Attributes: sent}, "/users"), err
			})
			payload, err := json.Marshal(event)
			if err != nil {
				t.Fatal(err)
			}
			encoded, err := f.Invoke(t.Context(), payload)
			if err != nil {
				t.Fatal(err)
			}
			var got response.Response
			if err := json.Unmarshal(encoded, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(handle(t.Context(), t, f, event), got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	f, _ := newFunction(t, func(context.Context, function.Dependencies, *request.Request) (response.Response, error) {
		return response.JSON(http.StatusOK, []byte("\"\xff\"")), nil
	})
	encoded, err := f.Invoke(t.Context(), []byte("{}"))
	if want := `"body":"\"` + "\ufffd" + `\""`; err != nil || !strings.Contains(string(encoded), want) {
		t.Errorf("response with invalid UTF-8: got %s and error %v, want it to contain %s", encoded, err, want)
	}
	for _, payload := range []string{"", "[]", `{"httpMethod": 1}`, `{"path": "secret`} {
		res, err := f.Invoke(t.Context(), []byte(payload))
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got response %s and error %v, want an error without values", payload, res, err)
		}
	}
}

// traceHeaderKey is the context key that aws-lambda-go uses for the trace header.
func traceHeaderKey() any { return "x-amzn-trace-id" }

func TestLogLine(t *testing.T) {
	t.Parallel()
	const traceID = "1-5759e988-bd862e3fe1be46a994272793"
	for name, test := range map[string]struct {
		handler function.Handler
		target  string
		want    map[string]any
	}{
		"success": {read, "/users/1", map[string]any{
			"level": "INFO", "route": "/users/{userId}", "status": 200.0, "outcome": "Success",
			"userIdHash": "6b86b273ff34fce1",
		}},
		"not found": {read, "/users?userId=2", map[string]any{
			"level": "INFO", "route": "/users", "status": 404.0, "outcome": "Error", "userIdHash": "d4735e3a265e16ee",
			"errorCode": "UserNotFound",
		}},
		"no user": {read, "/users?userId=", map[string]any{
			"level": "INFO", "route": "/users", "status": 400.0, "outcome": "Error", "errorCode": "InvalidUserId",
		}},
		"throttled": {
			fails(&user.Error{Code: user.Throttled, Detail: "Wait.", Err: errors.New("cause")}),
			"/users",
			map[string]any{
				"level": "ERROR", "route": "/users", "status": 503.0, "outcome": "Fault", "errorCode": "StoreThrottled",
				"error": "StoreThrottled: cause",
			},
		},
		"failed": {fails(errors.New("cause")), "/users", map[string]any{
			"level": "ERROR", "route": "/users", "status": 500.0, "outcome": "Fault", "errorCode": "InternalError",
			"error": "cause",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, log := newFunction(t, test.handler)
			ctx := context.WithValue(t.Context(), traceHeaderKey(), "Root="+traceID+";Parent=53995c3f42cd8ad8;Sampled=0")
			handle(ctx, t, f, requesttest.Event("GET", test.target, ""))
			got := lines(t, log)
			if len(got) != 1 {
				t.Fatalf("got %d lines, want 1: %v", len(got), got)
			}
			for _, key := range []string{"durationMs", "storeMs"} {
				if v, ok := got[0][key].(float64); !ok || v < 0 {
					t.Errorf("got %s %v, want a number from 0", key, got[0][key])
				}
				delete(got[0], key)
			}
			if _, err := time.Parse(time.RFC3339, fmt.Sprint(got[0]["timestamp"])); err != nil {
				t.Errorf("got timestamp error %v, want an RFC 3339 time", err)
			}
			delete(got[0], "timestamp")
			maps.Copy(test.want, map[string]any{
				"message": "request", "service": "userdata", "function": "userdata-test", "version": "7",
				"requestId": requesttest.RequestID, "xrayTraceId": traceID, "coldStart": true, "method": "GET",
				"operation": "GET", "retries": 0.0,
			})
			if diff := cmp.Diff(test.want, got[0]); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestColdStart(t *testing.T) {
	t.Parallel()
	f, log := newFunction(t, read)
	for range 3 {
		handle(t.Context(), t, f, requesttest.Event("GET", "/users/1", ""))
	}
	var got []any
	for _, line := range lines(t, log) {
		got = append(got, line["coldStart"])
	}
	if diff := cmp.Diff([]any{true, false, false}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestPanic(t *testing.T) {
	t.Parallel()
	var list []int
	for name, test := range map[string]struct {
		handler function.Handler
		want    string
	}{
		"runtime error": {func(context.Context, function.Dependencies, *request.Request) (response.Response, error) {
			return response.Response{StatusCode: list[3]}, nil
		}, "panic: runtime error: index out of range [3] with length 0"},
		"string": {panics("MARKED"), "panic: string"},
		"error":  {panics(errors.New("MARKED")), "panic: *errors.errorString"},
		"nil":    {panics(nil), "panic: " + new(runtime.PanicNilError).Error()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first := true
			f, log := newFunction(t, func(
				ctx context.Context, deps function.Dependencies, req *request.Request,
			) (response.Response, error) {
				if first {
					first = false
					return test.handler(ctx, deps, req)
				}
				return read(ctx, deps, req)
			})
			event := requesttest.Event("GET", "/users/1", "")
			wantProblem(t, handle(t.Context(), t, f, event), http.StatusInternalServerError, "InternalError")
			if strings.Contains(log.String(), "MARKED") {
				t.Errorf("got log %s, want one without the panic value", log)
			}
			got := lines(t, log)
			if len(got) != 2 {
				t.Fatalf("got %d lines, want 2: %v", len(got), got)
			}
			stack, _ := got[0]["stack"].(string)
			if got[0]["level"] != "ERROR" || got[0]["message"] != "panic" || got[0]["error"] != test.want ||
				got[0]["requestId"] != requesttest.RequestID || !strings.Contains(stack, "function_test.go") {
				t.Errorf("got line %v, want the ERROR %q with a stack trace", got[0], test.want)
			}
			if got[1]["message"] != "request" || got[1]["status"] != 500.0 || got[1]["errorCode"] != "InternalError" {
				t.Errorf("got line %v, want the request with status 500 and InternalError", got[1])
			}
			if next := handle(t.Context(), t, f, event); next.StatusCode != http.StatusOK {
				t.Errorf("the next request: got %v, want status code 200", next)
			}
		})
	}
}

// TestPanicDetail checks that the response to a write states that its outcome is unknown, and the response to a read
// does not.
func TestPanicDetail(t *testing.T) {
	t.Parallel()
	for method, write := range map[string]bool{"GET": false, "HEAD": false, "POST": true, "PUT": true, "DELETE": true} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			f, _ := newFunction(t, panics("MARKED"))
			target := "/users/1"
			if method == "POST" {
				target = "/users"
			}
			res := handle(t.Context(), t, f, requesttest.Event(method, target, "{}"))
			if res.StatusCode != http.StatusInternalServerError || strings.Contains(res.Body, "outcome is unknown") != write {
				t.Errorf("got status code %d and %s, want 500 and unknown outcome = %t", res.StatusCode, res.Body, write)
			}
		})
	}
}

func wantProblem(t *testing.T, res response.Response, status int, code string) {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal([]byte(res.Body), &got); err != nil {
		t.Fatalf("body %q: %v", res.Body, err)
	}
	for _, key := range []string{"title", "detail"} {
		if value, _ := got[key].(string); value == "" || strings.Contains(value, "MARKED") {
			t.Errorf("got %s %v, want a string without the cause", key, got[key])
		}
		delete(got, key)
	}
	want := map[string]any{
		"type": "urn:problem-type:userrequestapi:" + code, "status": float64(status), "code": code,
		"instance": "/prod/users/1", "requestId": requesttest.RequestID,
	}
	if res.StatusCode != status || res.Headers["Content-Type"] != "application/problem+json" {
		t.Errorf("got status code %d and headers %v, want %d and a problem document", res.StatusCode, res.Headers, status)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problem (-want +got):\n%s", diff)
	}
}

func TestProblem(t *testing.T) {
	t.Parallel()
	secret := errors.New("MARKED")
	for name, test := range map[string]struct {
		err    error
		status int
		code   string
	}{
		"not found":   {&user.Error{Code: user.NotFound, Detail: "There is none."}, 404, "UserNotFound"},
		"throttled":   {&user.Error{Code: user.Throttled, Detail: "Wait.", Err: secret}, 503, "StoreThrottled"},
		"unavailable": {&user.Error{Code: user.Unavailable, Detail: "Wait.", Err: secret}, 500, "StoreUnavailable"},
		"failed":      {secret, 500, "InternalError"},
		"too late":    {fmt.Errorf("%w: %w", secret, context.DeadlineExceeded), 500, "InternalError"},
	} {
		f, _ := newFunction(t, fails(test.err))
		res := handle(t.Context(), t, f, requesttest.Event("GET", "/users/1?x=y", ""))
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantProblem(t, res, test.status, test.code)
		})
	}
}

// API Gateway removes the body of a response to HEAD.
func TestHead(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]function.Handler{
		"success": read, "failure": fails(errors.New("cause")), "panic": panics("cause"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, _ := newFunction(t, handler)
			get := handle(t.Context(), t, f, requesttest.Event("GET", "/users/1", ""))
			head := handle(t.Context(), t, f, requesttest.Event("HEAD", "/users/1", ""))
			if diff := cmp.Diff(get, head); diff != "" || get.Body == "" {
				t.Errorf("GET and HEAD differ (-get +head):\n%s", diff)
			}
		})
	}
}

func TestDeadline(t *testing.T) {
	t.Parallel()
	var got time.Time
	var limited bool
	f, _ := newFunction(t, func(ctx context.Context, _ function.Dependencies, _ *request.Request) (response.Response, error) {
		got, limited = ctx.Deadline()
		return response.NoContent(), nil
	})
	deadline := time.Now().Add(time.Hour)
	ctx, cancel := context.WithDeadline(t.Context(), deadline)
	defer cancel()
	handle(ctx, t, f, requesttest.Event("GET", "/users", ""))
	if want := deadline.Add(-500 * time.Millisecond); !limited || !got.Equal(want) {
		t.Errorf("got deadline %v, want %v", got, want)
	}
	handle(t.Context(), t, f, requesttest.Event("GET", "/users", ""))
	if limited {
		t.Error("got a deadline, want none without Lambda's")
	}

	// With too little time left, the caller still receives a response.
	f, _ = newFunction(t, read)
	ctx, cancel = context.WithTimeout(t.Context(), 400*time.Millisecond)
	defer cancel()
	res := handle(ctx, t, f, requesttest.Event("GET", "/users/1", ""))
	wantProblem(t, res, http.StatusInternalServerError, "StoreUnavailable")
}

// A handler that ignores its deadline is logged before Lambda's deadline, and only once.
func TestOverdue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var after []map[string]any
		var log *bytes.Buffer
		var f *function.Server
		f, log = newFunction(t, func(
			_ context.Context, deps function.Dependencies, _ *request.Request,
		) (response.Response, error) {
			deps.LogUser("1")
			time.Sleep(9800 * time.Millisecond)
			synctest.Wait()
			after = lines(t, log)
			return response.NoContent(), nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		res := handle(ctx, t, f, requesttest.Event("GET", "/users/1", ""))
		wantProblem(t, res, http.StatusInternalServerError, "InternalError")
		if len(after) != 1 || after[0]["status"] != 500.0 || after[0]["errorCode"] != "InternalError" ||
			after[0]["outcome"] != "Fault" || after[0]["durationMs"] != 9750.0 ||
			after[0]["userIdHash"] != "6b86b273ff34fce1" ||
			after[0]["error"] != "handler is overdue: context deadline exceeded" {
			t.Errorf("got lines %v, want one about the overdue handler after 9.75 s", after)
		}
		if log.Len() > 0 {
			t.Errorf("got the additional lines %s, want none", log)
		}
	})
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	directive := func(name string, dimensions ...any) any {
		return map[string]any{
			"Namespace":  "UserRequestAPI",
			"Dimensions": []any{dimensions},
			"Metrics":    []any{map[string]any{"Name": name, "Unit": "Count"}},
		}
	}
	f, log := newFunction(t, read, func(s *function.Settings) { s.MetricsNamespace = "UserRequestAPI" })
	for _, target := range []string{"/users/1", "/users/2", "/users/1"} {
		handle(t.Context(), t, f, requesttest.Event("GET", target, ""))
	}
	wants := []struct {
		values     map[string]any
		directives []any
	}{
		{map[string]any{"Success": 1.0, "ColdStart": 1.0, "function_name": "userdata-test"},
			[]any{directive("Success", "service", "operation"), directive("ColdStart", "service", "function_name")}},
		{map[string]any{"Error": 1.0}, []any{directive("Error", "service", "operation")}},
		{map[string]any{"Success": 1.0}, []any{directive("Success", "service", "operation")}},
	}
	got := lines(t, log)
	if len(got) != len(wants) {
		t.Fatalf("got %d lines, want %d", len(got), len(wants))
	}
	for i, want := range wants {
		line := got[i]
		metadata, _ := line["_aws"].(map[string]any)
		if at, _ := metadata["Timestamp"].(float64); time.Since(time.UnixMilli(int64(at))) > time.Hour {
			t.Errorf("line %d: got time %v, want now", i, metadata["Timestamp"])
		}
		if diff := cmp.Diff(want.directives, metadata["CloudWatchMetrics"]); diff != "" {
			t.Errorf("line %d: directives (-want +got):\n%s", i, diff)
		}
		for _, name := range []string{"Success", "Error", "Fault", "ColdStart", "function_name"} {
			if line[name] != want.values[name] {
				t.Errorf("line %d: %s is %v, want %v", i, name, line[name], want.values[name])
			}
		}
		if line["service"] == nil || line["operation"] == nil {
			t.Errorf("line %d: got %v, want service and operation", i, line)
		}
	}
}

func TestCrossOrigin(t *testing.T) {
	t.Parallel()
	const allow, expose = "Access-Control-Allow-Origin", "Access-Control-Expose-Headers"
	for name, handler := range map[string]function.Handler{"success": read, "failure": fails(errors.New("cause"))} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, _ := newFunction(t, handler)
			closed := handle(t.Context(), t, f, requesttest.Event("GET", "/users/1", ""))
			if closed.Headers[allow] != "" || closed.Headers[expose] != "" {
				t.Errorf("without the setting: got headers %v, want none for CORS", closed.Headers)
			}
			f, _ = newFunction(t, handler, func(s *function.Settings) { s.AllowOrigin = "https://example.org" })
			open := handle(t.Context(), t, f, requesttest.Event("GET", "/users/1", ""))
			if open.Headers[allow] != "https://example.org" {
				t.Errorf("got headers %v, want the origin https://example.org", open.Headers)
			}
			for _, header := range []string{
				"ETag", "Location", "Content-Location", "Link", "Retry-After", "Idempotent-Replayed", "x-amzn-RequestId", "Date",
				"Accept-Encoding",
			} {
				if !slices.Contains(strings.Split(open.Headers[expose], ", "), header) {
					t.Errorf("got exposed headers %s, want %s among them", open.Headers[expose], header)
				}
			}
		})
	}
}

func TestRequireIfMatch(t *testing.T) {
	t.Parallel()
	for _, required := range []bool{false, true} {
		t.Run(strconv.FormatBool(required), func(t *testing.T) {
			t.Parallel()
			f, _ := newFunction(t, func(_ context.Context, deps function.Dependencies, _ *request.Request) (response.Response, error) {
				if deps.RequireIfMatch != required {
					t.Errorf("got %t, want %t", deps.RequireIfMatch, required)
				}
				return response.NoContent(), nil
			}, func(s *function.Settings) { s.RequireIfMatch = required })
			handle(t.Context(), t, f, requesttest.Event("GET", "/users", ""))
		})
	}
}

// No value of a request is logged, whatever the outcome.
func TestNothingPersonalIsLogged(t *testing.T) {
	t.Parallel()
	const secret = "MARKED"
	// Each step is an operation of a handler on a request.
	steps := map[string]func(context.Context, function.Dependencies, *request.Request) error{
		"UserID": func(_ context.Context, _ function.Dependencies, req *request.Request) error {
			_, err := req.UserID()
			return err
		},
		"Page": func(_ context.Context, _ function.Dependencies, req *request.Request) error {
			_, _, err := req.Page()
			return err
		},
		"User": func(_ context.Context, _ function.Dependencies, req *request.Request) error {
			_, err := req.User()
			return err
		},
		"Idempotency": func(_ context.Context, _ function.Dependencies, req *request.Request) error {
			_, err := req.Idempotency()
			return err
		},
		"IfMatch": func(_ context.Context, _ function.Dependencies, req *request.Request) error {
			_, err := req.IfMatch(true)
			return err
		},
		"NotModified": func(_ context.Context, _ function.Dependencies, req *request.Request) error {
			_, err := req.NotModified(secret)
			return err
		},
		"Create": func(ctx context.Context, deps function.Dependencies, _ *request.Request) error {
			_, _, err := deps.Users.Create(ctx, user.Attributes{"userId": secret, "email": secret, secret: secret}, nil)
			return err
		},
		"Replace": func(ctx context.Context, deps function.Dependencies, _ *request.Request) error {
			_, err := deps.Users.Replace(ctx, "1", user.Attributes{"_" + secret: secret}, []user.ETag{secret})
			return err
		},
		"Get": func(ctx context.Context, deps function.Dependencies, _ *request.Request) error {
			_, err := deps.Users.Get(ctx, secret)
			return err
		},
		"panic with a string": func(_ context.Context, _ function.Dependencies, req *request.Request) error {
			panic(fmt.Sprint(secret, req))
		},
		"panic with an error": func(_ context.Context, _ function.Dependencies, req *request.Request) error {
			panic(fmt.Errorf("%s %v", secret, req)) //nolint:err113 // like the error of a library
		},
		"panic in the runtime": func(context.Context, function.Dependencies, *request.Request) error {
			var v any = secret
			return v.(error) // panics
		},
	}
	for name, step := range steps {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, log := newFunction(t, func(
				ctx context.Context, deps function.Dependencies, req *request.Request,
			) (response.Response, error) {
				return response.NoContent(), step(ctx, deps, req)
			})
			for _, target := range []string{
				"/users/" + secret + "?limit=" + secret + "&cursor=" + secret + "&" + secret + "=1",
				"/users?userId=" + secret + "&userId=" + secret, "/users/%40" + secret, "/users/" + secret + "?userId=1",
			} {
				for _, body := range []string{
					`{"name":"` + secret + `"}`, secret, `{"` + secret + `":1e999,"b":{"$B":"` + secret + `"}}`,
				} {
					event := requesttest.Event("PUT", target, body,
						"If-Match", secret, "If-None-Match", secret, "Idempotency-Key", secret+`"`,
						"Content-Type", "application/json", "Authorization", secret, "User-Agent", secret,
						"X-Forwarded-For", secret, secret, secret)
					event.RequestContext.Identity = events.APIGatewayRequestIdentity{
						SourceIP: secret, UserArn: secret, UserAgent: secret, APIKey: secret, APIKeyID: secret,
						Caller: secret, User: secret,
					}
					event.RequestContext.Authorizer = map[string]any{"claims": map[string]any{"sub": secret, "email": secret}}
					event.StageVariables = map[string]string{secret: secret}
					handle(t.Context(), t, f, event)
				}
			}
			if strings.Contains(log.String(), secret) {
				t.Errorf("got log %s, want one without values of the request", log)
			}
			if log.Len() == 0 {
				t.Error("got an empty log, want a line for each request")
			}
		})
	}
}
