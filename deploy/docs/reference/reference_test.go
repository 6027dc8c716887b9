package reference_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/contract"
	"github.com/userrequestapi/userdata/deploy/docs/reference"
	"github.com/userrequestapi/userdata/deploy/docs/webpage"
	"github.com/userrequestapi/userdata/deploy/host/loopback"
)

// page returns a page of a document that tries to close the element that contains it.
func page(t *testing.T) reference.Page {
	t.Helper()
	document, err := contract.ParsePublic(
		[]byte(`{"openapi": "3.0.3", "info": {"title": "Things & </script>", "version": "1"}, "paths": {}}`),
	)
	if err != nil {
		t.Fatal(err)
	}
	return reference.Page{
		Document: document, Links: []webpage.Link{{Text: "Home", URL: "/"}, {Text: "Here"}}, Note: "Mind <this>.",
		Credentials: map[string]string{"apiKey": "key"}, Curl: `--user "a:b"`,
	}
}

var (
	local    = regexp.MustCompile(`(?:href|src)="([^"/#:]+(?:/[^"]*)?)"`)
	pageData = regexp.MustCompile(`(?s)<script type="application/json" id="page">(.*?)</script>`)
)

// TestWrite checks that the folder contains all files that the page loads.
func TestWrite(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "folder")
	p := page(t)
	if err := reference.Write(dir, p); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(dir, "index.html"))
	if err != nil {
		t.Fatal(err)
	}
	html := string(content)
	names := local.FindAllStringSubmatch(html, -1)
	if len(names) < 6 {
		t.Errorf("the page links to %q, want its style, scripts and documents", names)
	}
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(dir, name[1])); err != nil {
			t.Error(err)
		}
	}
	for _, want := range []string{
		`<a href="" aria-current="page">Here</a>`, `<a href="/">Home</a>`, "Mind &lt;this&gt;.", "Things &amp; &lt;/script&gt;",
		`http-equiv="Content-Security-Policy"`, `connect-src &#39;self&#39;;`,
	} {
		if !strings.Contains(html, want) {
			t.Errorf("want %s in the page, got:\n%s", want, html)
		}
	}
	var data struct {
		Document    struct{ Info struct{ Title string } }
		Credentials map[string]string
		Proxy, Curl string
	}
	element := pageData.FindStringSubmatch(html)
	if element == nil {
		t.Fatalf("want an element with the id page, got:\n%s", html)
	}
	if err := json.Unmarshal([]byte(element[1]), &data); err != nil || data.Document.Info.Title != p.Document.Title ||
		data.Credentials["apiKey"] != "key" || data.Proxy != "" || data.Curl != p.Curl {
		t.Errorf("the page's data is %+v (%v), want that of %+v without a proxy", data, err, p)
	}
	for name, want := range map[string][]byte{"openapi.json": p.Document.JSON(), "openapi.yaml": p.Document.YAML()} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: got %s (%v), want %s", name, got, err, want)
		}
	}

	p.CrossOrigin = true
	if err := reference.Write(dir, p); err != nil {
		t.Fatal(err)
	}
	if content, err := os.ReadFile(filepath.Join(dir, "index.html")); err != nil ||
		!strings.Contains(string(content), "connect-src &#39;self&#39; https:") {
		t.Errorf("got %s (%v), want connect-src with https:", content, err)
	}
}

// TestWrite_Outline checks the list of operations in the page: in the order of the document, by tag.
func TestWrite_Outline(t *testing.T) {
	t.Parallel()
	document, err := contract.ParsePublic([]byte(`{"openapi": "3.0.3",
		"info": {"title": "Things", "version": "1", "description": "How <it> works"},
		"tags": [{"name": "B"}, {"name": "A"}, {"name": "C"}],
		"paths": {
			"/b": {"parameters": [], "post": {
				"operationId": "addB", "tags": ["B"], "summary": "Add <b>", "responses": {"200": {"description": "OK"}}}},
			"/a": {"get": {"operationId": "getA", "tags": ["A", "D"], "responses": {"200": {"description": "OK"}}},
				"delete": {"responses": {"200": {"description": "OK"}}}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := reference.Write(dir, reference.Page{Document: document}); err != nil {
		t.Fatal(err)
	}
	html, err := os.ReadFile(filepath.Join(dir, "index.html"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	parts := regexp.MustCompile(`href="(#/[^"]*)"|<pre[^>]*>([^<]*)</pre>|-description">([^<]+)<`)
	for _, shown := range parts.FindAllSubmatch(html, -1) {
		got = append(got, string(shown[1])+string(shown[2])+string(shown[3]))
	}
	want := []string{
		"#/B", "#/B/addB", "Add &lt;b&gt;", "curl -X POST &#39;/b&#39;", "#/A", "#/A/getA", "curl &#39;/a&#39;",
		"#/D", "#/D/getA", "curl &#39;/a&#39;", "#/default", "#/default/", "curl -X DELETE &#39;/a&#39;",
		"How &lt;it&gt; works",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("outline (-want +got):\n%s", diff)
	}
}

// request sends a request to a handler.
func request(
	t *testing.T,
	handler http.Handler,
	method, target, body string,
	header map[string]string,
) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	for name, value := range header {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w
}

func TestHandle(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	p := page(t)
	reference.Handle(mux, "/docs/", func(r *http.Request) (reference.Page, error) {
		if r.Host == "broken" {
			return reference.Page{}, errors.New("line 3: not a mapping")
		}
		return p, nil
	}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		loopback.WriteProblem(w, http.StatusTeapot, "Asked", r.URL.EscapedPath())
	}))
	const browser = "text/html,*/*;q=0.8"
	for _, test := range []struct {
		path, accept, contentType, body string
		status                          int
	}{
		{"/docs/", browser, "text/html; charset=utf-8", `id="reference"`, 200},
		{"/docs/", browser, "text/html; charset=utf-8", `"proxy":"stage"`, 200},
		{"/docs/stage/users/a%2Fb", "*/*", "application/problem+json", `"/users/a%2Fb"`, 418},
		{"/docs/openapi.json", "*/*", "application/json", `"openapi": "3.0.3"`, 200},
		{"/docs/openapi.yaml", "*/*", "application/yaml", `"openapi": "3.0.3"`, 200},
		{"/docs/openapi.yaml", browser, "text/plain; charset=utf-8", `"openapi": "3.0.3"`, 200},
		{"/docs/assets/swagger-ui.css", "*/*", "text/css; charset=utf-8", ".swagger-ui", 200},
		{"/docs/assets/outline.css", "*/*", "text/css; charset=utf-8", ".opblock-summary", 200},
		{"/docs/assets/swagger-ui-bundle.js", "*/*", "text/javascript; charset=utf-8", "SwaggerUIBundle", 200},
		{"/docs/assets/reference.js", "*/*", "text/javascript; charset=utf-8", "SwaggerUIBundle", 200},
		{"/docs/assets/page.css", "*/*", "text/css; charset=utf-8", "color-scheme", 200},
		{"/docs/assets/indent.js", "*/*", "text/javascript; charset=utf-8", "indentJSON", 200},
		{"/docs/assets/keys.js", "*/*", "text/javascript; charset=utf-8", "bindKeys", 200},
		{"/docs/assets/layout.js", "*/*", "text/javascript; charset=utf-8", "OperationsFirst", 200},
		{"/docs/assets/icon.svg", "*/*", "image/svg+xml", "<svg", 200},
		{"/docs/assets/page.html", "*/*", "text/plain; charset=utf-8", "not found", 404},
		{"http://broken/docs/", browser, "application/problem+json", "line 3: not a mapping", 500},
		{"http://broken/docs/openapi.json", "*/*", "application/problem+json", "line 3: not a mapping", 500},
	} {
		t.Run(test.path+" "+test.body, func(t *testing.T) {
			t.Parallel()
			res := request(t, mux, "GET", test.path, "", map[string]string{"Accept": test.accept})
			if got := res.Header().Get("Content-Type"); res.Code != test.status || got != test.contentType {
				t.Errorf("got %d %s, want %d %s", res.Code, got, test.status, test.contentType)
			}
			if body := res.Body.String(); !strings.Contains(body, test.body) {
				t.Errorf("got the body %.200s, want %q in it", body, test.body)
			}
		})
	}
	policy := request(t, mux, "GET", "/docs/", "", nil).Header().Get("Content-Security-Policy")
	if !strings.Contains(policy, "script-src 'self';") || !strings.Contains(policy, "frame-ancestors 'none'") ||
		strings.Contains(policy, "unsafe") {
		t.Errorf("got the policy %s, want script-src 'self', frame-ancestors 'none' and nothing unsafe", policy)
	}
}

// TestHandle_Assets checks the revalidation of files, and a page without a proxy.
func TestHandle_Assets(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	reference.Handle(mux, "/", func(*http.Request) (reference.Page, error) { return page(t), nil }, nil)
	first := request(t, mux, "GET", "/assets/swagger-ui.css", "", map[string]string{"Accept-Encoding": "gzip;q=0, identity"})
	if first.Code != http.StatusOK || first.Header().Get("Content-Encoding") != "" ||
		!strings.HasPrefix(first.Body.String(), ".swagger-ui") {
		t.Errorf("got %d %v %.20q, want 200 with an uncompressed style", first.Code, first.Header(), first.Body.String())
	}
	again := request(
		t,
		mux,
		"GET",
		"/assets/swagger-ui.css",
		"",
		map[string]string{"If-None-Match": first.Header().Get("ETag")},
	)
	if again.Code != http.StatusNotModified {
		t.Errorf("got %d for the current ETag, want 304", again.Code)
	}
	if res := request(t, mux, "GET", "/stage/users", "", nil); res.Code != http.StatusNotFound {
		t.Errorf("got %d without a proxy, want 404", res.Code)
	}
	if body := request(t, mux, "GET", "/", "", nil).Body.String(); strings.Contains(body, `"proxy"`) {
		t.Errorf("want a page without a proxy, got:\n%s", body)
	}
}

// received is the last request that a stage received.
type received struct {
	method, url, body string
	header            http.Header
}

func TestProxy(t *testing.T) { //nolint:tparallel // the rows share the stage
	t.Parallel()
	var got received
	stage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got = received{r.Method, r.URL.String(), string(body), r.Header}
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("Set-Cookie", "a=b")
		w.WriteHeader(http.StatusPreconditionFailed)
	}))
	t.Cleanup(stage.Close)
	target, err := url.Parse(stage.URL + "/prod")
	if err != nil {
		t.Fatal(err)
	}
	refused := errors.New("the credentials have expired")
	mux := http.NewServeMux()
	reference.Handle(
		mux,
		"/",
		func(*http.Request) (reference.Page, error) { return page(t), nil },
		reference.Proxy(target, func(r *http.Request) error {
			if r.Method == http.MethodDelete {
				return refused
			}
			body := ""
			if r.GetBody != nil {
				reader, err := r.GetBody()
				if err != nil {
					return err
				}
				content, err := io.ReadAll(reader)
				if err != nil {
					return err
				}
				body = string(content)
			}
			r.Header.Set("Authorization", "for "+r.URL.Host+" "+body)
			return nil
		}, &http.Transport{DisableKeepAlives: true}),
	)
	proxy := loopback.Guard(mux)
	fromPage := map[string]string{
		"X-Requested-With": "reference",
		"Cookie":           "c",
		"Origin":           "http://127.0.0.1",
		"Sec-Fetch-Site":   "same-origin",
		"If-Match":         `"0"`,
		"Authorization":    "mine",
	}

	res := request(t, proxy, "PUT", "http://127.0.0.1/stage/users/a%2Fb?userId=%20", `{"name": "Ada"}`, fromPage)
	if res.Code != http.StatusPreconditionFailed {
		t.Errorf("the page got %d, want 412", res.Code)
	}
	header := map[string][]string(res.Header())
	delete(header, "Date")
	if diff := cmp.Diff(map[string][]string{
		"Content-Length": {"0"}, "Etag": {`"1"`}, "X-Content-Type-Options": {"nosniff"},
	}, header); diff != "" {
		t.Errorf("the page got headers (-want +got):\n%s", diff)
	}
	if got.method != "PUT" || got.url != "/prod/users/a%2Fb?userId=%20" || got.body != `{"name": "Ada"}` {
		t.Errorf("the stage received %+v, want the request of the page below /prod", got)
	}
	if authorization := got.header.Get("Authorization"); authorization != "for "+target.Host+` {"name": "Ada"}` {
		t.Errorf("the stage received Authorization: %s, want that of authorize", authorization)
	}
	if got.header.Get("If-Match") != `"0"` {
		t.Error("the header If-Match is missing")
	}
	for _, name := range []string{"X-Requested-With", "Cookie", "Origin", "Sec-Fetch-Site", "X-Forwarded-For"} {
		if value, there := got.header[http.CanonicalHeaderKey(name)]; there {
			t.Errorf("the stage received %s: %s", name, value)
		}
	}

	const large = 17 << 20
	for name, test := range map[string]struct {
		method, path, body string
		header             map[string]string
		status             int
		detail             string
	}{
		"without the page's header":  {"GET", "/users", "", nil, 403, "OriginRefused"},
		"a preflight":                {"OPTIONS", "/users", "", map[string]string{"Access-Control-Request-Method": "GET"}, 403, "OriginRefused"},
		"failed authorization":       {"DELETE", "/users", "", fromPage, 502, "was not sent: " + refused.Error()},
		"above API Gateway's limit":  {"PUT", "/users", strings.Repeat(" ", large), fromPage, 413, "ContentTooLarge"},
		"an invalid escape":          {"GET", "/users?userId=%zz", "", fromPage, 400, "escape % as %25"},
		"a semicolon":                {"GET", "/users?userId=a;b", "", fromPage, 400, "; as %3B"},
		"another stage":              {"GET", "/%2e%2e/other", "", fromPage, 400, "AddressRefused"},
		"another stage, all escaped": {"GET", "/..%2f..%2fother", "", fromPage, 400, "AddressRefused"},
		"a path that ends outside":   {"GET", "/users/%2e.", "", fromPage, 400, "AddressRefused"},
		"a dot segment":              {"GET", "/users/%2E/1", "", fromPage, 400, "AddressRefused"},
	} {
		t.Run(name, func(t *testing.T) {
			got = received{}
			res := request(t, proxy, test.method, "http://127.0.0.1/stage"+test.path, test.body, test.header)
			if body := res.Body.String(); res.Code != test.status || !strings.Contains(body, test.detail) {
				t.Errorf("got %d %s, want %d %s", res.Code, body, test.status, test.detail)
			}
			for _, header := range []string{"X-Content-Type-Options", "Content-Security-Policy"} {
				if res.Header().Get(header) == "" {
					t.Errorf("got headers %v, want %s among them", res.Header(), header)
				}
			}
			if got.method != "" {
				t.Errorf("the stage received %+v, want no request", got)
			}
		})
	}
	//nolint:paralleltest // as above
	for _, path := range []string{"/users/...", "/users/a..b?userId=..", "/users/%3B%25"} {
		t.Run(path, func(t *testing.T) {
			request(t, proxy, "GET", "http://127.0.0.1/stage"+path, "", fromPage)
			if got.url != "/prod"+path {
				t.Errorf("the stage received %s, want /prod%s", got.url, path)
			}
		})
	}
}

// proxyTo serves a proxy to a stage on this machine and returns its address.
func proxyTo(t *testing.T, stage string, transport http.RoundTripper) string {
	t.Helper()
	target, err := url.Parse(stage)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(
		loopback.Guard(reference.Proxy(target, func(*http.Request) error { return nil }, transport)),
	)
	t.Cleanup(server.Close)
	return server.URL
}

// problemDocument is the part of a problem document that the tests of the proxy check.
type problemDocument struct {
	Status       int
	Code, Detail string
}

// send sends a request to a proxy as the page does, and returns the problem document in the response, if it is one.
func send(t *testing.T, method, address string, body io.Reader) (status int, p problemDocument) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address+"/users/1", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Requested-With", "reference")
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.Header.Get("Content-Type") == "application/problem+json" {
		if err := json.NewDecoder(res.Body).Decode(&p); err != nil {
			t.Fatal(err)
		}
	}
	return res.StatusCode, p
}

// TestProxy_Limit sends bodies around API Gateway's limit to a stage that, like API Gateway, does not read a larger
// body.
func TestProxy_Limit(t *testing.T) {
	t.Parallel()
	const limit = 10 << 20
	stage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > limit {
			t.Errorf("the stage received a request of %d bytes", r.ContentLength)
		}
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil || n != r.ContentLength {
			t.Errorf("the stage read %d bytes of %d: %v", n, r.ContentLength, err)
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(stage.Close)
	address := proxyTo(t, stage.URL, &http.Transport{DisableKeepAlives: true})
	for size, want := range map[int64]int{
		1: 204, limit: 204, limit + 1: 413, 12 << 20: 413, 16 << 20: 413, 40 << 20: 413,
	} {
		t.Run(strconv.FormatInt(size, 10), func(t *testing.T) {
			t.Parallel()
			for name, body := range map[string]io.Reader{
				"with Content-Length": strings.NewReader(strings.Repeat(" ", int(size))),
				"chunked":             io.MultiReader(strings.NewReader(strings.Repeat(" ", int(size)))),
			} {
				status, p := send(t, "PUT", address, body)
				if status != want || want == 413 && (p.Code != "ContentTooLarge" || p.Status != want) {
					t.Errorf("%s: %d %+v, want %d", name, status, p, want)
				}
			}
		})
	}
}

// TestProxy_Failures checks that the problem documents say what to do, without addresses or system calls.
func TestProxy_Failures(t *testing.T) {
	t.Parallel()
	never := make(chan struct{})
	serve := func(start func(http.Handler) *httptest.Server, handler http.HandlerFunc) string {
		server := start(handler)
		t.Cleanup(server.Close)
		return server.URL
	}
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	for name, test := range map[string]struct {
		stage  string
		status int
		code   string
		detail string
	}{
		"nothing listens":      {closed.URL, 502, "StageUnreachable", "not sent: no connection to the stage can be established"},
		"the name is unknown":  {"http://stage.invalid", 502, "StageUnreachable", "host name stage.invalid of the stage cannot be resolved"},
		"an unknown authority": {serve(httptest.NewTLSServer, nil), 502, "StageUnreachable", "certificate of the stage is not trusted"},
		"no response": {
			serve(httptest.NewServer, func(http.ResponseWriter, *http.Request) { <-never }), 504, "StageTimeout", "did not respond in time",
		},
		"a closed connection": {
			serve(httptest.NewServer, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }),
			502, "ConnectionLost", "without a valid response",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := proxyTo(t, test.stage, &http.Transport{DisableKeepAlives: true, ResponseHeaderTimeout: time.Second})
			for _, method := range []string{"GET", "PUT"} {
				status, got := send(t, method, address, http.NoBody)
				if status != test.status || got.Code != test.code || !strings.Contains(got.Detail, test.detail) {
					t.Errorf("%s: %d %+v, want %d %s %q", method, status, got, test.status, test.code, test.detail)
				}
				unknown := method == "PUT" && test.code != "StageUnreachable"
				if strings.Contains(got.Detail, "outcome is unknown") != unknown {
					t.Errorf("%s: the detail is %q, want it to mention an unknown outcome: %t", method, got.Detail, unknown)
				}
				for _, raw := range []string{"127.0.0.1", "tcp", "EOF", "dial", "lookup"} {
					if strings.Contains(got.Detail, raw) {
						t.Errorf("%s: the detail is %q, want no %s in it", method, got.Detail, raw)
					}
				}
			}
		})
	}
	t.Cleanup(func() { close(never) })
}
