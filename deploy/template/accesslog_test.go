package template_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/userrequestapi/userdata/deploy/local/apigateway"
	"github.com/userrequestapi/userdata/deploy/template"
)

// notFound is an invoker that responds 404 to every request.
type notFound struct{}

func (notFound) Invoke(context.Context, string, string, []byte) (apigateway.InvokeOutput, error) {
	return apigateway.InvokeOutput{RequestID: "8fbe593b", Payload: []byte(`{"statusCode":404,"body":"{}"}`)}, nil
}

// TestAccessLog checks the access log of the local gateway: each line is JSON that explains the response and has no
// data about the user.
func TestAccessLog(t *testing.T) {
	t.Parallel()
	const marked = `marked"`
	api := resolve(t, map[string]string{"Authorization": template.AuthorizationAPIKey}).API()
	number := `[0-9]+`
	for _, test := range []struct {
		method, path, key string
		want              map[string]string // patterns
	}{
		{"GET", "/users/marked%22?limit=marked", "secret", map[string]string{
			"status": "404", "functionStatus": "404", "integrationStatus": "200", "integrationRequestId": "8fbe593b", "apiKeyId": "key1",
			"resourcePath": `/users/\{userId\}`, "integrationLatency": number, "errorResponseType": "-", "integrationError": "-",
		}},
		{"GET", "/users?userId=marked", "wrong", map[string]string{
			"status": "403", "functionStatus": "-", "integrationStatus": "-", "integrationRequestId": "-", "apiKeyId": "-",
			"resourcePath": "/users", "integrationLatency": "-", "errorResponseType": "INVALID_API_KEY",
		}},
		{"DELETE", "/users?x=marked", "secret", map[string]string{
			"status": "400", "resourcePath": "/users", "errorResponseType": "BAD_REQUEST_PARAMETERS", "apiKeyId": "key1",
		}},
	} {
		t.Run(test.path, func(t *testing.T) {
			t.Parallel()
			var lines []string
			g, err := apigateway.New(apigateway.Config{
				Body: api.Body, Stage: api.Stage, AccountID: "123456789012", Region: "eu-central-1", APIID: api.ID, Invoker: notFound{},
				APIKeys:         []apigateway.APIKey{{ID: "key1", Value: "secret"}},
				AccessLogFormat: api.AccessLogFormat,
				AccessLog:       func(line string, _ apigateway.Record) { lines = append(lines, line) },
			})
			if err != nil {
				t.Fatal(err)
			}
			request := httptest.NewRequestWithContext(t.Context(), test.method, "/prod"+test.path, strings.NewReader(`{"name":"marked"}`))
			for _, name := range []string{"User-Agent", "Referer", "Idempotency-Key", "If-Match", "X-Forwarded-For", "Authorization"} {
				request.Header.Set(name, marked)
			}
			request.Header.Set("X-Api-Key", test.key)
			w := httptest.NewRecorder()
			g.ServeHTTP(w, request)
			if len(lines) != 1 || strings.Contains(lines[0], "marked") || strings.Contains(lines[0], test.key) {
				t.Fatalf("access log = %q, want one line without data about the user", lines)
			}
			fields := map[string]string{}
			if err := json.Unmarshal([]byte(lines[0]), &fields); err != nil {
				t.Fatalf("line = %s, want JSON: %v", lines[0], err)
			}
			want := map[string]string{
				"requestId": "[0-9a-f-]{36}", "xrayTraceId": "1-[0-9a-f]{8}-[0-9a-f]{24}", "responseLatency": number,
				"responseLength": number, "httpMethod": test.method, "ip": `192\.0\.2\.1`, "userArn": "-", "caller": "-", "userPoolSub": "-",
			}
			maps.Copy(want, test.want)
			for name, pattern := range want {
				if !regexp.MustCompile("^(?:" + pattern + ")$").MatchString(fields[name]) {
					t.Errorf("%s = %q, want %s", name, fields[name], pattern)
				}
			}
			if w.Code == http.StatusOK {
				t.Errorf("status = %d, want that of an error", w.Code)
			}
		})
	}
}
