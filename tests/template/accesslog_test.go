package template_test

import (
	"context"
	"encoding/json"
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

// TestAccessLog checks, for each route, the line of a request in the access log: it is JSON that explains the response,
// and has nothing that the caller sent but the method and the route.
func TestAccessLog(t *testing.T) {
	t.Parallel()
	const marked, secret = "marked", "a-secret-key"
	resources, err := render(t, map[string]string{"Authorization": template.AuthorizationAPIKey}).
		Resolve(template.PseudoParameters{Region: region, AccountID: account})
	if err != nil {
		t.Fatal(err)
	}
	api := resources.API()
	if strings.Contains(api.AccessLogFormat, "\n") {
		t.Error("the format of the access log has several lines, want one")
	}
	for _, route := range apiDocument(t).Routes() {
		if route.Function == "" {
			continue
		}
		for key, status := range map[string]string{secret: "404", "another-" + secret: "403"} {
			t.Run(route.Method+" "+route.Path+" "+status, func(t *testing.T) {
				t.Parallel()
				var lines []string
				gateway, err := apigateway.New(apigateway.Config{
					Body: api.Body, Stage: api.Stage, AccountID: account, Region: region, APIID: api.ID, Invoker: notFound{},
					APIKeys:         []apigateway.APIKey{{ID: "key1", Value: secret}},
					AccessLogFormat: api.AccessLogFormat,
					AccessLog:       func(line string, _ apigateway.Record) { lines = append(lines, line) },
				})
				if err != nil {
					t.Fatal(err)
				}
				query := []string{marked + "=" + marked}
				for _, parameter := range route.Parameters {
					if parameter.Value.In == "query" {
						query = append(query, parameter.Value.Name+"="+marked)
					}
				}
				target := regexp.MustCompile(`\{\w+\}`).ReplaceAllString(route.Path, marked+"%22")
				request := httptest.NewRequestWithContext(t.Context(), route.Method,
					"/"+api.Stage+target+"?"+strings.Join(query, "&"), strings.NewReader(`{"name":"`+marked+`"}`))
				for _, name := range []string{"User-Agent", "Referer", "Idempotency-Key", "If-Match", "X-Forwarded-For", "Authorization"} {
					request.Header.Set(name, marked+`"`)
				}
				request.Header.Set(template.APIKeyHeader, key)
				gateway.ServeHTTP(httptest.NewRecorder(), request)
				if len(lines) != 1 || strings.Contains(lines[0], marked) || strings.Contains(lines[0], secret) {
					t.Fatalf("access log = %q, want one line without what the caller sent", lines)
				}
				var line map[string]string
				if err := json.Unmarshal([]byte(lines[0]), &line); err != nil {
					t.Fatalf("line = %s, want JSON: %v", lines[0], err)
				}
				for name, want := range map[string]string{
					"httpMethod": route.Method, "resourcePath": route.Path, "status": status,
				} {
					if line[name] != want {
						t.Errorf("%s = %q, want %q", name, line[name], want)
					}
				}
				if (line["errorResponseType"] == "-") != (status == "404") || line["requestId"] == "" {
					t.Errorf("line = %v, want a requestId, and an errorResponseType only if no function responds", line)
				}
			})
		}
	}
}
