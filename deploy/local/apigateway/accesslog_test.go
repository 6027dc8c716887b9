package apigateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/local/apigateway"
)

// line waits for the access log line of a request and returns it.
func (s *testServer) line() string {
	s.t.Helper()
	s.record()
	return <-s.lines
}

func (s *testServer) fields() map[string]string {
	s.t.Helper()
	line := s.line()
	fields := map[string]string{}
	if err := json.Unmarshal([]byte(line), &fields); err != nil {
		s.t.Errorf("line %s: want a JSON object of strings: %v", line, err)
	}
	return fields
}

// format returns a log format with a field for each variable.
func format(variables ...string) string {
	var fields []string
	for _, name := range append(variables, "requestId") {
		fields = append(fields, `"`+name+`":"$context.`+name+`"`)
	}
	return "{" + strings.Join(fields, ",") + "}"
}

func logging(format string) func(*apigateway.Config) {
	return func(c *apigateway.Config) { c.AccessLogFormat = format }
}

// lambdaError is an error response of Lambda's Invoke API: a status code.
type lambdaError int

func (lambdaError) Error() string     { return "rejected" }
func (e lambdaError) StatusCode() int { return int(e) }

func TestAccessLogLine(t *testing.T) {
	t.Parallel()
	doc := document(object{
		"/users/{userId}": object{
			"get":  operation(proxy(), object{"operationId": "getUser"}),
			"post": operation(proxy()), "put": operation(proxy()), "delete": operation(proxy()), "patch": operation(proxy()),
		},
		"/mock": object{"get": operation(mock())},
	})
	function := invokerFunc(func(_ context.Context, _, _ string, payload []byte) ([]byte, string, error) {
		switch {
		case strings.Contains(string(payload), `"httpMethod":"POST"`):
			return nil, "Unhandled", nil
		case strings.Contains(string(payload), `"httpMethod":"PUT"`):
			return nil, "", fmt.Errorf("lambda: %w", lambdaError(429))
		case strings.Contains(string(payload), `"httpMethod":"DELETE"`):
			return nil, "", errors.New("unreachable")
		case strings.Contains(string(payload), `"httpMethod":"PATCH"`):
			return []byte(`[]`), "", nil
		}
		return []byte(`{"statusCode":404,"body":"hello"}`), "", nil
	})
	variables := []string{
		"authorizer.claims.sub", "error.responseType", "extendedRequestId", "httpMethod", "identity.apiKeyId", "identity.caller",
		"identity.sourceIp", "identity.userArn", "integration.error", "integration.requestId", "integration.status",
		"integrationLatency", "integrationStatus", "protocol", "requestTime", "resourcePath", "responseLatency",
		"responseLength", "status", "xrayTraceId",
	}
	const number, id = "[0-9]+", functionRequestID
	common := map[string]string{
		"extendedRequestId": extendedID.String(), "xrayTraceId": "1-[0-9a-f]{8}-[0-9a-f]{24}",
		"resourcePath": `/users/\{userId\}`, "protocol": "HTTP/1.1", "responseLength": number, "responseLatency": number,
		"requestTime":       `[0-9]{2}/[A-Z][a-z]{2}/[0-9:]+ \+0000`,
		"identity.sourceIp": "127.0.0.1", "requestId": uuid.String(), "integrationLatency": number,
	}
	failed := func(status, integrationStatus, message string) map[string]string {
		return map[string]string{
			"status": status, "integrationStatus": integrationStatus, "integration.requestId": id, "integration.error": message,
			"error.responseType": "DEFAULT_5XX",
		}
	}
	for _, test := range []struct {
		method, path string
		want         map[string]string // overrides common; a variable in neither has no value
	}{
		{"GET", "/users/1", map[string]string{
			"status": "404", "integrationStatus": "200", "integration.status": "404", "integration.requestId": id, "responseLength": "5"}},
		{"POST", "/users/1", failed("502", "200", "function error: Unhandled")},
		{"PUT", "/users/1", failed("500", "429", "invoke: lambda: rejected")},
		{"DELETE", "/users/1", failed("500", "", "invoke: unreachable")},
		{"PATCH", "/users/1", failed("502", "200", "malformed Lambda proxy response: want a JSON object")},
		{"GET", "/mock", map[string]string{"resourcePath": "/mock", "status": "200", "responseLength": "0", "integrationLatency": ""}},
		{"GET", "/nowhere", map[string]string{"resourcePath": "", "status": "403", "integrationLatency": "",
			"error.responseType": "MISSING_AUTHENTICATION_TOKEN"}},
	} {
		t.Run(test.method+test.path, func(t *testing.T) {
			t.Parallel()
			s := serve(t, doc, function, logging(format(variables...)))
			s.do(test.method, test.path, "", "Host", "api.example.com", "User-Agent", "test/1")
			got := s.fields()
			for _, name := range append(variables, "requestId") {
				pattern, ok := test.want[name]
				if !ok {
					pattern = common[name]
				}
				if name == "httpMethod" {
					pattern = test.method
				}
				if pattern == "" {
					pattern = "-"
				}
				if !regexp.MustCompile("^(?:" + strings.Trim(pattern, "^$") + ")$").MatchString(got[name]) {
					t.Errorf("%s = %q, want %s", name, got[name], pattern)
				}
			}
		})
	}
}

// The access log identifies the caller for each authorization type.
func TestAccessLogCaller(t *testing.T) {
	t.Parallel()
	variables := format("identity.caller", "identity.userArn", "identity.apiKeyId")
	t.Run("signature", func(t *testing.T) {
		t.Parallel()
		s := serve(t, protected(sigV4()), respondWith(`{}`), withCredentials, logging(variables))
		s.send(s.request("GET", "/users", "", nil))
		got := s.fields()
		if !strings.HasPrefix(got["identity.userArn"], "arn:aws:iam::") || got["identity.caller"] != userID {
			t.Errorf("fields = %v, want the caller %s and the ARN of the user", got, userID)
		}
	})
	t.Run("key", func(t *testing.T) {
		t.Parallel()
		s := serve(t, protected(apiKey()), respondWith(`{}`), logging(variables),
			func(c *apigateway.Config) { c.APIKeys = []apigateway.APIKey{{ID: "key1", Value: "first-value"}} })
		s.do("GET", "/users", "", "X-Api-Key", "first-value")
		if got := s.fields(); got["identity.apiKeyId"] != "key1" {
			t.Errorf("fields = %v, want the key id key1", got)
		}
	})
}

// A JSON line stays valid, whatever a value contains.
func TestAccessLogEscaping(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		`"`, `\`, `\"`, `","status":"200","x":"`, "a\tb", "\x80\xff", "\u2028\u2029", "<b>&", "$context.status", "${context.status}", "-", "{}",
		"💥", strings.Repeat(`\"`, 1000),
	} {
		t.Run(fmt.Sprintf("%.20q", value), func(t *testing.T) {
			t.Parallel()
			fails := invokerFunc(func(context.Context, string, string, []byte) ([]byte, string, error) {
				return nil, "", errors.New(value)
			})
			s := serve(t, catchAll(), fails, logging(`{"requestId":"$context.requestId","error":"$context.integration.error"}`))
			s.do("GET", "/", "")
			got := s.fields()
			clean := strings.ToValidUTF8(value, "\ufffd\ufffd") // one for each of the two invalid bytes
			want := map[string]string{"requestId": got["requestId"], "error": "invoke: " + clean}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// Without a format, AccessLog is called with an empty line.
func TestAccessLogWithoutFormat(t *testing.T) {
	t.Parallel()
	s := serve(t, catchAll(), respondWith(`{}`))
	s.do("GET", "/", "")
	if got := s.line(); got != "" {
		t.Errorf("line = %q, want none", got)
	}
	s = serve(t, catchAll(), respondWith(`{}`), logging("only text, a $ and $context.requestId:$context.identity.apiKeyId-"))
	s.do("GET", "/", "")
	if got := s.line(); !regexp.MustCompile(`^only text, a \$ and [0-9a-f-]{36}:--$`).MatchString(got) {
		t.Errorf("line = %q, want the text of the format with a request id and a hyphen", got)
	}
}

// The function takes an hour of fake time.
func TestNoTimeLimit(t *testing.T) {
	t.Parallel()
	for noLimit, want := range map[bool]int{false: 504, true: 200} {
		synctest.Test(t, func(t *testing.T) {
			g, err := newGateway(catchAll(), func(c *apigateway.Config) {
				c.NoTimeLimit = noLimit
				c.Invoker = invokerFunc(func(context.Context, string, string, []byte) ([]byte, string, error) {
					time.Sleep(time.Hour)
					return []byte(`{}`), "", nil
				})
			})
			if err != nil {
				t.Fatal(err)
			}
			w := httptest.NewRecorder()
			g.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/prod/", http.NoBody))
			if w.Code != want {
				t.Errorf("NoTimeLimit %t: status %d, want %d", noLimit, w.Code, want)
			}
			g.Wait()
		})
	}
}
