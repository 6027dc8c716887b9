package local_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/userrequestapi/userdata/deploy/local"
)

// docs asks for something of the reference.
func docs(t *testing.T, stack *local.Stack, method, path string, change func(*http.Request)) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, stack.Console+"_local/docs/"+path, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	change(req)
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(content)
}

// The reference is that of the running stage: its address, by the name that the reader uses, and how it authorizes requests.
func TestStack_Docs(t *testing.T) {
	t.Parallel()
	for authorization, test := range map[string]struct{ scheme, credential string }{
		"NONE": {}, "AWS_IAM": {scheme: "sigv4"}, "API_KEY": {"apiKey", `"apiKey":"local-api-key-that-is-no-secret"`},
		"COGNITO_USER_POOLS": {"userPool", `"userPool":"eyJ`},
	} {
		t.Run(authorization, func(t *testing.T) {
			t.Parallel()
			stack, err := start(t, t.TempDir(), map[string]string{"Authorization": authorization})
			if err != nil {
				t.Fatal(err)
			}
			_, text := docs(t, stack, "GET", "openapi.json", func(r *http.Request) { r.Host = "localhost:8080" })
			var document struct {
				Servers    []struct{ URL string }
				Components struct{ SecuritySchemes map[string]any }
			}
			if err := json.Unmarshal([]byte(text), &document); err != nil {
				t.Fatal(err)
			}
			if len(document.Servers) != 1 || document.Servers[0].URL != "http://localhost:8080/prod" {
				t.Errorf("servers: %v", document.Servers)
			}
			_, there := document.Components.SecuritySchemes[test.scheme]
			if want := min(1, len(test.scheme)); there != (want == 1) || len(document.Components.SecuritySchemes) != want {
				t.Errorf("security schemes: %v, want %q", document.Components.SecuritySchemes, test.scheme)
			}
			status, page := docs(t, stack, "GET", "", func(r *http.Request) { r.Header.Set("Accept", "text/html") })
			if status != http.StatusOK || !strings.Contains(page, test.credential) {
				t.Errorf("the page is %d, and has no %s:\n%s", status, test.credential, page)
			}
			// This must not reach a function: 400 where it is authorized.
			const request = "stage/users?userId=%20"
			signed := 404
			if authorization == "AWS_IAM" {
				signed = 400
			}
			fromPage := func(r *http.Request) { r.Header.Set("X-Requested-With", "reference") }
			if status, body := docs(t, stack, "DELETE", request, fromPage); status != signed {
				t.Errorf("%d %s, want %d", status, body, signed)
			}
			if status, body := docs(t, stack, "GET", request, func(*http.Request) {}); status < 400 || strings.Contains(body, "InvalidUserId") {
				t.Errorf("not from the page: %d %s", status, body)
			}
		})
	}
}
