package local_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/local"
	"github.com/userrequestapi/userdata/deploy/local/console"
)

// docs sends a request to the API reference.
func docs(t *testing.T, stack *local.Instance, method, path string, change func(*http.Request)) (status int, body string) {
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

// The reference is that of the running stage: its address, by the name that the reader uses, and how it authorizes
// requests.
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
				t.Errorf("servers = %v, want http://localhost:8080/prod", document.Servers)
			}
			_, there := document.Components.SecuritySchemes[test.scheme]
			if want := min(1, len(test.scheme)); there != (want == 1) || len(document.Components.SecuritySchemes) != want {
				t.Errorf("security schemes = %v, want only %q", document.Components.SecuritySchemes, test.scheme)
			}
			status, page := docs(t, stack, "GET", "", func(r *http.Request) { r.Header.Set("Accept", "text/html") })
			if status != http.StatusOK || !strings.Contains(page, test.credential) {
				t.Errorf("page: status = %d, want %s in it:\n%s", status, test.credential, page)
			}
			// This request never reaches a function: 400 if it is authorized.
			const request = "stage/users?userId=%20"
			signed := 404
			if authorization == "AWS_IAM" {
				signed = 400
			}
			fromPage := func(r *http.Request) { r.Header.Set("X-Requested-With", "reference") }
			if status, body := docs(t, stack, "DELETE", request, fromPage); status != signed {
				t.Errorf("request of the page: status = %d, body = %s; want %d", status, body, signed)
			}
			if status, body := docs(t, stack, "GET", request, func(*http.Request) {}); status < 400 || strings.Contains(body, "InvalidUserId") {
				t.Errorf("cross-origin request: status = %d, body = %s; want it rejected by the proxy", status, body)
			}
		})
	}
}

// The home page has the routes that functions serve, with the summaries of the API document.
func TestStack_Routes(t *testing.T) {
	t.Parallel()
	stack, err := start(t, t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, text := docs(t, stack, "GET", "../api/stack", func(*http.Request) {})
	var state struct{ Routes []console.Route }
	if err := json.Unmarshal([]byte(text), &state); err != nil {
		t.Fatal(err)
	}
	want := console.Route{
		Method: "POST", Path: "/users", Summary: "Create a user", Function: "UserRequestAPI-post",
	}
	if !slices.Contains(state.Routes, want) || len(state.Routes) != 9 {
		t.Errorf("got %+v, want 9 routes with %+v", state.Routes, want)
	}
}

// TestStack_Docs_Note checks that the reference has the document on disk, and a note if the running API may differ.
func TestStack_Docs_Note(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(root)); err != nil {
		t.Fatal(err)
	}
	const behind, broken = "Hot reload is off", "could not be applied"
	for _, watch := range []bool{true, false} {
		stack, err := local.Start(t.Context(), local.Config{
			Root: dir, DataDir: t.TempDir(), DynamoDBEndpoint: emptyDatabase(t), Bootstraps: fakeBootstraps(t), Watch: watch, Progress: func(string) {},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := stack.Close(); err != nil {
				t.Error(err)
			}
		})
		page := func() string {
			_, page := docs(t, stack, "GET", "", func(*http.Request) {})
			return page
		}
		if text := page(); strings.Contains(text, behind) == watch || strings.Contains(text, broken) {
			t.Errorf("watch = %t: want the note %q: %t, and no other note, in\n%.2000s", watch, behind, !watch, text)
		}
		if !watch {
			continue
		}
		name := filepath.Join(dir, "deploy", "openapi.yaml")
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, bytes.ReplaceAll(content, []byte("x-function: GetFunction"), []byte("x-function: NoFunction")), 0o600); err != nil {
			t.Fatal(err)
		}
		testenv.Eventually(t, "the note about the rejected document", func() bool { return strings.Contains(page(), broken) })
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
