//nolint:paralleltest // the endpoint of AWS is set in the environment of the process
package release_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/contract"
	"github.com/userrequestapi/userdata/deploy/release"
	"github.com/userrequestapi/userdata/deploy/release/exitcode"
	"github.com/userrequestapi/userdata/deploy/release/progress"
)

// read returns a file of the workspace.
func (a *account) read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(a.root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// The files contain the documents that API Gateway exports, normalized.
func TestDocs(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.succeed(t, release.Deploy)
	contains(t, a.succeed(t, release.Docs), "docs/api/test.json", "docs/api/test.apigateway.json")
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
			t.Errorf("%s = %s\nwant it to match %s", name, content, want)
		}
	}
}

// The names of the files.
const (
	readersFile = "docs/api/test.json"
	gatewayFile = "docs/api/test.apigateway.json"
)

// Without an account or a deployed stage, the document is the source's, and the output says so.
func TestDocs_WithoutStage(t *testing.T) {
	a := newAccount(t)
	setContract(t, a.root)
	check := func(cause string) {
		t.Helper()
		contains(t, a.succeed(t, release.Docs), "The document of the stage is not available", cause,
			"deploy/openapi.yaml as it would be deployed", "docs/api/test.json")
		document, err := contract.Read(os.DirFS(filepath.Join(a.root, "deploy")))
		if err != nil {
			t.Fatal(err)
		}
		var got, want any
		if err := json.Unmarshal([]byte(a.read(t, readersFile)), &got); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(document.Public().JSON(), &want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("document (-want +got):\n%s", diff)
		}
		contains(t, a.read(t, gatewayFile), `"x-amazon-apigateway-integration"`)
		a.removeDocs(t)
	}
	check("not deployed")
	a.succeed(t, release.Deploy)
	t.Run("no Region", func(t *testing.T) {
		t.Setenv("AWS_REGION", "")
		check("no Region is set")
	})
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	check("there are no AWS credentials")

	// Existing files may be the stage's.
	testenv.WriteFile(t, filepath.Join(a.root, readersFile), "exported")
	contains(t, a.succeed(t, release.Docs), "The document of the stage is not available", readersFile+" exists", "remove it")
	if got := a.read(t, readersFile); got != "exported" {
		t.Errorf("existing file = %.100s, want it unchanged", got)
	}
	if _, err := os.Stat(filepath.Join(a.root, gatewayFile)); err == nil {
		t.Errorf("wrote %s, want no document", gatewayFile)
	}
}

// removeDocs removes the documents.
func (a *account) removeDocs(t *testing.T) {
	t.Helper()
	for _, name := range []string{readersFile, gatewayFile} {
		if err := os.Remove(filepath.Join(a.root, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// If the account or the stage fails, the source's document does not replace the stage's.
func TestDocs_Fails(t *testing.T) {
	a := newAccount(t)
	a.fail(t, release.Docs, exitcode.Settings, []string{"other"}, func(s *release.Settings) { s.Stage = "other" })
	a.succeed(t, release.Deploy)
	a.takeCalls()
	a.succeed(t, release.Docs)
	a.removeDocs(t)
	export := a.takeCalls("apigateway")[0]
	a.set(func(a *account) {
		a.faults[export] = fault{
			http.StatusForbidden,
			"AccessDeniedException",
			"User is not authorized to perform: apigateway:GET",
		}
	})
	a.fail(t, release.Docs, exitcode.Account, []string{"export the document of the stage", "apigateway:GET"})
	t.Setenv("AWS_PROFILE", "nobody")
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	a.fail(t, release.Docs, exitcode.Account, []string{`no profile "nobody"`})
	process(t, "exit 1")
	a.fail(t, release.Docs, exitcode.Account, []string{"the credential process of the profile failed"})
	if _, err := os.Stat(filepath.Join(a.root, readersFile)); err == nil {
		t.Errorf("wrote %s, want no document", readersFile)
	}
}

// process makes a shell script the source of credentials.
func process(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	testenv.WriteFile(t, filepath.Join(dir, "process.sh"), script)
	testenv.WriteFile(t, filepath.Join(dir, "config"),
		"[profile process]\ncredential_process = sh "+filepath.Join(dir, "process.sh")+"\n")
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(dir, "config"))
	t.Setenv("AWS_PROFILE", "process")
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
}

// The JSON form has the origin of the document.
func TestDocs_JSON(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	source := func() string {
		t.Helper()
		var out bytes.Buffer
		a.succeed(t, release.Docs, func(s *release.Settings) { s.Printer = progress.New(&out, progress.Options{JSON: true}) })
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		var last struct {
			Result struct {
				Source string
				Files  []string
			}
		}
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{readersFile, gatewayFile}, last.Result.Files); diff != "" {
			t.Errorf("files (-want +got):\n%s", diff)
		}
		return last.Result.Source
	}
	if got := source(); got != "checkout" {
		t.Errorf("source before the first deployment = %s, want checkout", got)
	}
	a.succeed(t, release.Deploy)
	if got := source(); got != "stage" {
		t.Errorf("source after the first deployment = %s, want stage", got)
	}
}

// A port in use is reported before AWS is called.
func TestDocs_PortInUse(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	a.fail(
		t,
		release.Docs,
		exitcode.Settings,
		[]string{"in use", "PORT=0 selects a free port"},
		func(s *release.Settings) {
			s.Serve, s.Port = true, listener.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // of TCP
		},
	)
	if calls := a.takeCalls(""); len(calls) > 0 {
		t.Errorf("calls to AWS = %q, want none", calls)
	}
	if _, err := os.Stat(filepath.Join(a.root, "docs")); err == nil {
		t.Error("wrote documents, want none")
	}
}

// served is a reference that is served until stop is called or the test ends.
type served struct {
	url    string
	client *http.Client
	opened string        // the URL that the browser opened
	stop   func() string // returns the output
}

// redirection matches the redirection in the file for the browser.
var redirection = regexp.MustCompile(`<meta http-equiv="refresh" content="0; url=(http://127\.0\.0\.1:\d+/\w+/)">`)

// serveDocs serves the reference of a stage at invokeURL. browse simulates the browser; nil returns at once.
func (a *account) serveDocs(t *testing.T, invokeURL string, browse func(context.Context) error) served {
	t.Helper()
	type result struct {
		out string
		err error
	}
	ctx, cancel := context.WithCancel(t.Context())
	opened, address, ended := make(chan string, 1), make(chan string, 1), make(chan result, 1)
	go func() {
		out, err := a.run(ctx, release.Docs, func(s *release.Settings) {
			s.Serve, s.InvokeURL = true, invokeURL
			s.Browse = func(ctx context.Context, url string) error {
				content, err := os.ReadFile(strings.TrimPrefix(url, "file://"))
				if match := redirection.FindSubmatch(content); match != nil {
					opened <- url
					address <- string(match[1])
				} else {
					t.Errorf("the browser was started with %s, want a file that redirects to the page: %s (%v)", url, content, err)
				}
				if browse == nil {
					return nil
				}
				return browse(ctx)
			}
		})
		ended <- result{out, err}
	}()
	stop := sync.OnceValue(func() string {
		cancel()
		last := <-ended
		if last.err != nil {
			t.Errorf("after ctx has ended: error = %v, want nil", last.err)
		}
		return last.out
	})
	select {
	case url := <-address:
		t.Cleanup(func() { stop() })
		return served{url, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, <-opened, stop}
	case last := <-ended:
		cancel()
		t.Fatalf("error = %v, want the reference served\n%s", last.err, last.out)
	}
	return served{}
}

// Other users of the machine can see the arguments of the browser, so these must not contain the address of the page.
func TestDocs_Browse(t *testing.T) {
	a := newAccount(t)
	a.succeed(t, release.Deploy)
	for name, test := range map[string]struct {
		browse  func(context.Context) error
		failure string // the reported failure
	}{
		"returns at once":    {nil, ""},
		"runs until stopped": {func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, ""},
		"not installed":      {func(context.Context) error { return errors.New("no xdg-open") }, "cannot start a browser (no xdg-open)"},
	} {
		t.Run(name, func(t *testing.T) {
			s := a.serveDocs(t, echo(t), test.browse)
			file, _ := strings.CutPrefix(s.opened, "file://")
			if token := strings.Split(s.url, "/")[3]; strings.Contains(s.opened, token) {
				t.Errorf("the browser was started with %s, which reveals %s", s.opened, s.url)
			}
			if info, err := os.Stat(file); test.failure == "" && (err != nil || info.Mode() != 0o600) {
				t.Errorf("file for the browser = %v (%v), want it with mode 0600", info, err)
			}
			if status, _ := s.send(t, "GET", "", ""); status != http.StatusOK {
				t.Errorf("status of the page = %d, want %d", status, http.StatusOK)
			}
			out := s.stop()
			contains(t, out, "Reference  "+s.url)
			if there := strings.Contains(out, "start a browser"); there != (test.failure != "") ||
				!strings.Contains(out, test.failure) {
				t.Errorf("output = %s\nwant the failure of the browser %q", out, test.failure)
			}
			if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("file for the browser: error = %v, want %v", err, os.ErrNotExist)
			}
		})
	}
}

// send sends a request as the page does, modified by change.
func (s served) send(t *testing.T, method, path, body string, change ...func(*http.Request)) (int, string) {
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

// echo starts a stage that responds with the requests that it receives, and trusts its certificate with AWS_CA_BUNDLE.
func echo(t *testing.T) (invokeURL string) {
	t.Helper()
	stage := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusTeapot)
		reply(w, map[string]any{"request": r.Method + " " + r.URL.String(), "body": string(body), "header": r.Header})
	}))
	stage.Config.SetKeepAlivesEnabled(false)
	stage.StartTLS()
	t.Cleanup(stage.Close)
	bundle := filepath.Join(t.TempDir(), "bundle.pem")
	testenv.WriteFile(t, bundle, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: stage.Certificate().Raw})))
	t.Setenv("AWS_CA_BUNDLE", bundle)
	return stage.URL + "/api/{StageName}"
}

func TestDocs_Reference(t *testing.T) {
	a := newAccount(t)
	setContract(t, a.root)
	a.succeed(t, release.Deploy)
	s := a.serveDocs(t, echo(t), nil)
	if status, page := s.send(t, "GET", "", ""); status != http.StatusOK || !strings.Contains(page, "UserRequestAPI") {
		t.Errorf("page = %d\n%s\nwant %d with the title UserRequestAPI", status, page, http.StatusOK)
	}
	_, document := s.send(t, "GET", "openapi.json", "")
	contains(t, document, `"getUser"`, `/api/test"`, "Ada Lovelace") // with examples, which API Gateway does not export
	status, response := s.send(t, "POST", "stage/users?userId=%20a", "{}",
		func(r *http.Request) { r.Header.Set("Cookie", "secret") })
	if status != http.StatusTeapot || strings.Contains(response, "secret") ||
		strings.Contains(response, "Requested-With") {
		t.Errorf("response = %d %s, want %d, without the cookie and the header of the page",
			status, response, http.StatusTeapot)
	}
	contains(t, response, `"POST /api/test/users?userId=%20a"`, `"body":"{}"`)

	// Other callers are rejected.
	for name, change := range map[string]func(*http.Request){
		"without the page's header": func(r *http.Request) { r.Header.Del("X-Requested-With") },
		"from another site":         func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") },
		"another host name":         func(r *http.Request) { r.Host = "evil.example" },
		"another path":              func(r *http.Request) { r.URL.Path = "/stage/users" },
	} {
		if status, response := s.send(t, "POST", "stage/users", "{}", change); status == http.StatusTeapot || status < 400 {
			t.Errorf("%s: response = %d %s, want the proxy to reject the request", name, status, response)
		}
	}

	// The source has changed since the deployment.
	setTemplate(t, a.root, "Description: Replaces users", "Description: Replaces users still")
	testenv.WriteFile(t, filepath.Join(a.root, contractFile),
		strings.Replace(a.read(t, contractFile), "Read a user", "Look a user up", 1))
	_, document = a.serveDocs(t, echo(t), nil).send(t, "GET", "openapi.json", "")
	contains(t, document, "/exported", `/api/test"`)
}

// Requests are signed if the stage requires it, with credentials that the page does not contain.
func TestDocs_Signed(t *testing.T) {
	a := newAccount(t)
	testenv.WriteFile(t, filepath.Join(a.root, "deploy", "stages", "test.yaml"), "parameters: {Authorization: AWS_IAM}")
	a.succeed(t, release.Deploy)
	s := a.serveDocs(t, echo(t), nil)
	_, response := s.send(t, "PUT", "stage/users/1", `{"name": "Ada"}`,
		func(r *http.Request) { r.Header.Set("Authorization", "mine") })
	contains(t, response, "AWS4-HMAC-SHA256 Credential="+os.Getenv("AWS_ACCESS_KEY_ID")+"/",
		"/execute-api/aws4_request", `{\"name\": \"Ada\"}`)
	_, page := s.send(t, "GET", "", "")
	if secret := os.Getenv("AWS_SECRET_ACCESS_KEY"); secret == "" || strings.Contains(page, secret) {
		t.Error("the page contains the secret access key")
	}
	contains(t, page, "This server signs requests", "$AWS_ACCESS_KEY_ID")
	s.stop()

	// If the credentials fail later, the page shows the same explanation as the commands.
	gone := filepath.Join(t.TempDir(), "gone")
	process(t, "test ! -e "+gone+` || exit 1
echo '{"Version": 1, "AccessKeyId": "key", "SecretAccessKey": "secret", "Expiration": "2020-01-01T00:00:00Z"}'
`)
	s = a.serveDocs(t, echo(t), nil)
	testenv.WriteFile(t, gone, "")
	status, response := s.send(t, "GET", "stage/users", "")
	contains(t, response, "the credential process of the profile failed", "AWS_PROFILE")
	if status != http.StatusBadGateway {
		t.Errorf("status = %d, want %d", status, http.StatusBadGateway)
	}
}
