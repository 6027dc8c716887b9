//nolint:paralleltest // where AWS is, only the environment of the process can say
package release_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/openapi"
	"github.com/userrequestapi/userdata/deploy/release"
)

// docs writes the documents of the stage and returns what is shown.
func (a *account) docs(t *testing.T) string {
	t.Helper()
	return a.succeed(t, release.Docs)
}

// read returns a file of the workspace.
func (a *account) read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(a.root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// The files have what API Gateway exports, in a form of their own.
func TestDocs(t *testing.T) {
	a := newAccount(t)
	a.succeed(t, release.Deploy)
	contains(t, a.docs(t), "docs/api/test.json", "docs/api/test.apigateway.json")
	for name, query := range map[string]string{"docs/api/test.json": "", "docs/api/test.apigateway.json": "extensions=apigateway"} {
		content := a.read(t, name)
		want := regexp.MustCompile(`^\{
  "info": \{
    "title": "</restapis/` + stackName + `-Api-\d+/stages/test/exports/oas30> ` + query + `",
    "version": 1.10
  \},
  "openapi": "3.0.1",
  "paths": \{
    "/exported": \{\}
  \},
  "servers": \[\]
\}
$`)
		if !want.MatchString(content) {
			t.Errorf("%s:\n%s", name, content)
		}
	}
}

// A stage that cannot be asked has the document of the source, and that is said.
func TestDocs_WithoutStage(t *testing.T) {
	a := newAccount(t)
	check := func(cause string) {
		t.Helper()
		contains(t, a.docs(t), "The stage cannot be asked", cause, "deploy/openapi.yaml as it would be deployed", "docs/api/test.json")
		document, err := openapi.Read(os.DirFS(filepath.Join(a.root, "deploy")))
		if err != nil {
			t.Fatal(err)
		}
		var got, want any
		if err := json.Unmarshal([]byte(a.read(t, "docs/api/test.json")), &got); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(document.Public().JSON(), &want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the document (-want +got):\n%s", diff)
		}
		contains(t, a.read(t, "docs/api/test.apigateway.json"), `"x-amazon-apigateway-integration"`)
	}
	check("not deployed")
	a.succeed(t, release.Deploy)
	a.taken()
	a.docs(t)
	export := a.taken("apigateway")[0]
	a.set(func(a *account) {
		a.faults[export] = fault{http.StatusForbidden, "AccessDeniedException", "User is not authorized to perform: apigateway:GET"}
	})
	check("apigateway:GET")
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "none"))
	check("AWS_ACCESS_KEY_ID")

	a.fail(t, release.Docs, release.CodeSettings, []string{"other"}, func(s *release.Settings) { s.Stage = "other" })
}

// served is a reference that is served, until the test ends.
type served struct {
	url    string
	client *http.Client
}

// serveDocs serves the reference of a stage that answers at invokeURL.
func (a *account) serveDocs(t *testing.T, invokeURL string) served {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	address, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		_, err := a.run(ctx, release.Docs, func(s *release.Settings) {
			s.Serve, s.InvokeURL = true, invokeURL
			s.Browse = func(url string) error { address <- url; return nil }
		})
		ended <- err
	}()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	select {
	case url := <-address:
		t.Cleanup(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("after the end: %v", err)
			}
		})
		return served{url, client}
	case err := <-ended:
		cancel()
		t.Fatalf("nothing is served: %v", err)
	case <-time.After(time.Minute):
		cancel()
		t.Fatal("nothing is served")
	}
	return served{}
}

// ask sends a request as the page does, unless change makes it another.
func (s served) ask(t *testing.T, method, path, body string, change ...func(*http.Request)) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Requested-With", "reference")
	for _, c := range change {
		c(req)
	}
	res, err := s.client.Do(req)
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

// echo is a stage that tells what it was asked.
func echo(t *testing.T) (invokeURL string) {
	t.Helper()
	stage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusTeapot)
		reply(w, map[string]any{"asked": r.Method + " " + r.URL.String(), "body": string(body), "header": r.Header})
	}))
	stage.Config.SetKeepAlivesEnabled(false)
	t.Cleanup(stage.Close)
	return stage.URL + "/api/{StageName}"
}

func TestDocs_Reference(t *testing.T) {
	a := newAccount(t)
	a.succeed(t, release.Deploy)
	s := a.serveDocs(t, echo(t))
	if status, page := s.ask(t, "GET", "", ""); status != http.StatusOK || !strings.Contains(page, "UserRequestAPI") {
		t.Errorf("the page: %d\n%s", status, page)
	}
	_, document := s.ask(t, "GET", "openapi.json", "")
	contains(t, document, `"getUser"`, `/api/test"`, "Ada Lovelace") // with examples, which API Gateway does not keep
	status, answer := s.ask(t, "POST", "stage/users?userId=%20a", "{}", func(r *http.Request) { r.Header.Set("Cookie", "secret") })
	if status != http.StatusTeapot || strings.Contains(answer, "secret") || strings.Contains(answer, "Requested-With") {
		t.Errorf("the stage was asked %d %s", status, answer)
	}
	contains(t, answer, `"POST /api/test/users?userId=%20a"`, `"body":"{}"`)

	// Nobody else may ask.
	for name, change := range map[string]func(*http.Request){
		"without the page's header": func(r *http.Request) { r.Header.Del("X-Requested-With") },
		"from another site":         func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") },
		"by another name":           func(r *http.Request) { r.Host = "evil.example" },
		"by another path":           func(r *http.Request) { r.URL.Path = "/stage/users" },
	} {
		if status, answer := s.ask(t, "POST", "stage/users", "{}", change); status == http.StatusTeapot || status < 400 {
			t.Errorf("%s: %d %s", name, status, answer)
		}
	}

	// What the source says is not what is deployed any more.
	setTemplate(t, a.root, "Description: Replaces users", "Description: Replaces users still")
	openapiFile := filepath.Join(a.root, "deploy", "openapi.yaml")
	write(t, openapiFile, []byte(strings.Replace(a.read(t, "deploy/openapi.yaml"), "Read a user", "Look a user up", 1)))
	_, document = a.serveDocs(t, echo(t)).ask(t, "GET", "openapi.json", "")
	contains(t, document, "/exported", `/api/test"`)
}

// Requests to a stage that demands it are signed with the credentials of the account, which the page does not have.
func TestDocs_Signed(t *testing.T) {
	a := newAccount(t)
	write(t, filepath.Join(a.root, "deploy", "stages", "test.yaml"), []byte("parameters: {Authorization: AWS_IAM}"))
	a.succeed(t, release.Deploy)
	s := a.serveDocs(t, echo(t))
	_, answer := s.ask(t, "PUT", "stage/users/1", `{"name": "Ada"}`, func(r *http.Request) { r.Header.Set("Authorization", "mine") })
	contains(t, answer, "AWS4-HMAC-SHA256 Credential="+os.Getenv("AWS_ACCESS_KEY_ID")+"/", "/execute-api/aws4_request", `{\"name\": \"Ada\"}`)
	_, page := s.ask(t, "GET", "", "")
	if secret := os.Getenv("AWS_SECRET_ACCESS_KEY"); secret == "" || strings.Contains(page, secret) {
		t.Error("the page has the credentials")
	}
	contains(t, page, "signed on their way", "$AWS_ACCESS_KEY_ID")
}
