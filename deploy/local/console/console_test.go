package console_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/userrequestapi/userdata/deploy/aws/trace"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/local/capture"
	"github.com/userrequestapi/userdata/deploy/local/console"
	"github.com/userrequestapi/userdata/deploy/local/xray"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	traceID   = "1-6b036893-f9c7520967698c2c89b59906"
	requestID = "8fbe593b-2c36-45a7-9c5c-a77b19f4ea07"
)

// running is a console behind a test server.
type running struct {
	*console.Console
	collector *xray.Collector
	url       string
	client    *http.Client
}

// serve starts a console with the trace of one request.
func serve(t *testing.T) running {
	t.Helper()
	c, err := xray.Listen(xray.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c.Add(trace.Document{
		Name: "UserRequestAPI/prod", ID: "4c6eda647412bf72", TraceID: traceID, StartTime: 1795397154.0625, EndTime: 1795397154.125,
		Origin: "AWS::ApiGateway::Stage", Error: true,
		HTTP: &trace.HTTP{
			Request:  &trace.HTTPRequest{Method: "GET", URL: "http://127.0.0.1:3000/prod/users/{userId}"},
			Response: &trace.HTTPResponse{Status: 404},
		},
	})
	c.Log(xray.Line{Time: time.Unix(1795397154, 0), Source: "access log", TraceID: traceID, Type: "access", Text: `{"requestId": "` + requestID + `", "status": "404"}`})
	captured := &capture.Store{}
	captured.Add(capture.Exchange{RequestID: requestID, TraceID: traceID, Method: "GET", Address: "/prod/users/1?x=%20"})
	handler := console.New(console.Config{Collector: c, Captured: captured, Stack: func() console.Overview {
		return console.Overview{
			Name: "UserRequestAPI", URL: "http://127.0.0.1:3000/prod", Stage: "prod",
			Routes:   []console.Route{{Method: "GET", Path: "/users", Function: "UserRequestAPI-get", Summary: "List users"}},
			Failures: []console.Failure{{Functions: []string{"GetFunction"}, Output: "handler.go:1:1: <no>"}},
		}
	}, Stage: http.NotFoundHandler(), Docs: func(mux *http.ServeMux, path string) {
		mux.HandleFunc("GET "+path+"{$}", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("the reference")) })
	}})
	server := httptest.NewServer(handler)
	server.Config.RegisterOnShutdown(handler.Close)
	t.Cleanup(func() {
		ctx, cancel := testenv.WithDeadline(context.WithoutCancel(t.Context()), t)
		defer cancel()
		if err := server.Config.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: error = %v, want none", err)
		}
		server.Close()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return running{handler, c, server.URL, server.Client()}
}

// response is a response with its body.
type response struct {
	status int
	header http.Header
	body   string
}

// do sends a request. change may be nil.
func (r running) do(t *testing.T, method, path string, change func(*http.Request)) response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.url+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(req)
	}
	res, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response{res.StatusCode, res.Header, string(body)}
}

func accept(mediaTypes string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Accept", mediaTypes) }
}

// browser is the Accept header of browsers for pages.
const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

func TestResponses(t *testing.T) {
	t.Parallel()
	c := serve(t)
	for _, test := range []struct {
		name, method, path string
		accept             string
		status             int
		contentType        string
		body               string // a part of it
	}{
		{"home page", "GET", "/", browser, 200, "text/html; charset=utf-8", "http://127.0.0.1:3000/prod"},
		{"home page, HEAD", "HEAD", "/", browser, 200, "text/html; charset=utf-8", ""},
		{"API client without the stage in the path", "GET", "/", "*/*", 404, "application/problem+json", "http://127.0.0.1:3000/prod"},
		{"without Accept", "GET", "/", "", 404, "application/problem+json", "for example GET http://127.0.0.1:3000/prod/users)"},
		{"HTML refused", "GET", "/", "text/html;q=0, application/json", 404, "application/problem+json", "RouteNotFound"},
		{"other address", "GET", "/users", browser, 404, "application/problem+json", "RouteNotFound"},
		{"other page", "GET", "/_local/nothing", browser, 404, "application/problem+json", "RouteNotFound"},
		{"list of traces", "GET", "/_local/traces", browser, 200, "text/html; charset=utf-8", `id="traces"`},
		{"trace", "GET", "/_local/traces/" + traceID, "", 200, "text/html; charset=utf-8", `id="detail"`},
		{"folder of pages", "GET", "/_local/", browser, 200, "text/html; charset=utf-8", "http://127.0.0.1:3000/prod"},
		{"folder of pages, without a slash", "GET", "/_local", browser, 200, "text/html; charset=utf-8", "http://127.0.0.1:3000/prod"},
		{"folder of traces", "GET", "/_local/traces/?status=4xx", browser, 200, "text/html; charset=utf-8", `id="traces"`},
		{"folder of traces, for programs", "GET", "/_local/traces/", "*/*", 200, "text/html; charset=utf-8", `id="traces"`},
		{"folder of the map", "GET", "/_local/map/", "", 200, "text/html; charset=utf-8", `id="map"`},
		{"folder of logs", "GET", "/_local/logs/?request=1", browser, 200, "text/html; charset=utf-8", `id="lines"`},
		{"nothing, after two slashes", "GET", "/_local//nothing", "", 404, "application/problem+json", "RouteNotFound"},
		{"nothing, after dots", "GET", "/_local/traces/../../nothing", "", 404, "application/problem+json", "RouteNotFound"},
		{"map", "GET", "/_local/map", browser, 200, "text/html; charset=utf-8", `id="map"`},
		{"logs", "GET", "/_local/logs", browser, 200, "text/html; charset=utf-8", `id="lines"`},
		{"reference", "GET", "/_local/docs/", browser, 200, "text/plain; charset=utf-8", "the reference"},
		{"reference, without a slash", "GET", "/_local/docs", browser, 200, "text/plain; charset=utf-8", "the reference"},
		{"reference, without a slash and without a browser", "GET", "/_local/docs", "", 200, "text/plain; charset=utf-8", "the reference"},
		{"no page of the reference", "GET", "/_local/docs/nothing", browser, 404, "application/problem+json", "RouteNotFound"},
		{"shared style", "GET", "/_local/assets/page.css", "", 200, "text/css; charset=utf-8", "color-scheme"},
		{"style", "GET", "/_local/assets/console.css", "", 200, "text/css; charset=utf-8", "light-dark"},
		{"script", "GET", "/_local/assets/js/traces.js", "", 200, "text/javascript; charset=utf-8", "import"},
		{"icon", "GET", "/favicon.ico", "", 200, "image/svg+xml", "<svg"},
		{"no asset", "GET", "/_local/assets/js/nothing.js", "", 404, "application/problem+json", "RouteNotFound"},
		{"no folder", "GET", "/_local/assets/js", "", 404, "application/problem+json", "RouteNotFound"},
		{"trace as JSON", "GET", "/_local/api/traces/" + traceID, "", 200, "application/json", `"name":"UserRequestAPI/prod"`},
		{"no trace", "GET", "/_local/api/traces/1-0-0", "", 404, "application/problem+json", "TraceNotFound"},
		{"wrong filter", "GET", "/_local/api/traces?min=much", "", 400, "application/problem+json", "InvalidFilter"},
		{"wrong filter of the map", "GET", "/_local/api/map?nothing=1", "", 400, "application/problem+json", "InvalidFilter"},
		{"wrong filter of lines", "GET", "/_local/api/logs?limit=x", "", 400, "application/problem+json", "InvalidFilter"},
		{"map as JSON", "GET", "/_local/api/map", "", 200, "application/json", `"AWS::ApiGateway::Stage"`},
		{"stack", "GET", "/_local/api/stack", "", 200, "application/json", `"path":"/users"`},
		{"wrong method", "GET", "/_local/api/clear", "", 405, "application/problem+json", "allows only POST"},
		{"wrong method of a page", "DELETE", "/_local/traces", "", 405, "application/problem+json", "allows only GET, HEAD"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := c.do(t, test.method, test.path, accept(test.accept))
			if contentType := got.header.Get("Content-Type"); got.status != test.status || contentType != test.contentType {
				t.Errorf("got %d, %s; want %d, %s", got.status, contentType, test.status, test.contentType)
			}
			if !strings.Contains(got.body, test.body) {
				t.Errorf("got %s, want %q in it", got.body, test.body)
			}
			if test.status >= 400 {
				if location := got.header.Get("Location"); location != "" {
					t.Errorf("Location = %s, want none", location)
				}
				if allowed := got.header.Get("Allow") != ""; allowed != (test.status == 405) {
					t.Errorf("Allow = %q, want it only with status 405", got.header.Get("Allow"))
				}
				var problem struct{ Status int }
				if err := json.Unmarshal([]byte(got.body), &problem); err != nil || problem.Status != test.status {
					t.Errorf("problem = %s, error = %v; want status %d", got.body, err, test.status)
				}
			}
			if got.header.Get("X-Content-Type-Options") != "nosniff" || got.header.Get("Content-Security-Policy") == "" {
				t.Errorf("headers = %v, want the security headers", got.header)
			}
		})
	}
}

func TestTraces(t *testing.T) {
	t.Parallel()
	c := serve(t)
	for query, want := range map[string]int{"": 1, "?status=4xx&error=1": 1, "?fault=1": 0, "?text=users&limit=10": 1, "?operation=getUser": 0} {
		t.Run("traces"+query, func(t *testing.T) {
			t.Parallel()
			body := c.do(t, "GET", "/_local/api/traces"+query, nil).body
			var list struct{ Traces []trace.Summary }
			if err := json.Unmarshal([]byte(body), &list); err != nil {
				t.Fatal(err)
			}
			if list.Traces == nil || len(list.Traces) != want {
				t.Errorf("got %s, want %d traces", body, want)
			}
		})
	}
}

func TestTraceWithLines(t *testing.T) {
	t.Parallel()
	c := serve(t)
	body := c.do(t, "GET", "/_local/api/traces/"+traceID, nil).body
	var got struct {
		Summary   struct{ ID, Method, Route string }
		Trace     struct{ Roots []struct{ Name string } }
		Documents []struct{ ID string }
		Lines     []struct{ Source string }
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	want := got
	want.Summary.ID, want.Summary.Method, want.Summary.Route = traceID, "GET", "/prod/users/{userId}"
	want.Trace.Roots = []struct{ Name string }{{"UserRequestAPI/prod"}}
	want.Documents = []struct{ ID string }{{"4c6eda647412bf72"}}
	want.Lines = []struct{ Source string }{{"access log"}}
	if d := gocmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if lines := c.do(t, "GET", "/_local/api/logs?trace="+traceID, nil).body; !strings.Contains(lines, `"source":"access log"`) {
		t.Errorf("lines = %s, want one of the access log", lines)
	}
}

// TestPages_NoInlineCode looks for code that the Content-Security-Policy would block.
func TestPages_NoInlineCode(t *testing.T) {
	t.Parallel()
	c := serve(t)
	inline := regexp.MustCompile(`(?i)<script[^>]*>[^<]|<style|\sstyle=|\son[a-z]+=|javascript:|https?://[^1]`)
	for _, path := range []string{"/", "/_local/traces", "/_local/map", "/_local/logs"} {
		body := c.do(t, "GET", path, accept(browser)).body
		if found := inline.FindString(body); found != "" {
			t.Errorf("%s: found %q, want no inline code", path, found)
		}
		for _, asset := range regexp.MustCompile(`/_local/assets/[^"]+`).FindAllString(body, -1) {
			if got := c.do(t, "GET", asset, nil); got.status != http.StatusOK {
				t.Errorf("%s links to %s: status = %d, want 200", path, asset, got.status)
			}
		}
	}
}

// TestScripts_Imports follows the imports of modules: a browser reports a missing module only in its developer tools.
func TestScripts_Imports(t *testing.T) {
	t.Parallel()
	c := serve(t)
	imports := regexp.MustCompile(`(?m)^import [^;]*"\./([^"]+)";`)
	seen := map[string]bool{}
	for next := []string{"home.js", "traces.js", "map.js", "logs.js"}; len(next) > 0; next = next[1:] {
		if seen[next[0]] {
			continue
		}
		seen[next[0]] = true
		got := c.do(t, "GET", "/_local/assets/js/"+next[0], nil)
		if got.status != http.StatusOK {
			t.Errorf("%s: status = %d, want 200", next[0], got.status)
		}
		for _, match := range imports.FindAllStringSubmatch(got.body, -1) {
			next = append(next, match[1])
		}
	}
	if !seen["dom.js"] || !seen["indent.js"] {
		t.Errorf("modules = %v, want the imported ones too", seen)
	}
}

func TestAssets_ETag(t *testing.T) {
	t.Parallel()
	c := serve(t)
	etag := c.do(t, "GET", "/_local/assets/console.css", nil).header.Get("ETag")
	again := c.do(t, "GET", "/_local/assets/console.css", func(r *http.Request) { r.Header.Set("If-None-Match", etag) })
	if etag == "" || again.status != http.StatusNotModified || again.body != "" {
		t.Errorf("status = %d, want 304 for the ETag %s", again.status, etag)
	}
}

func TestHosts(t *testing.T) {
	t.Parallel()
	c := serve(t)
	for host, want := range map[string]int{
		"127.0.0.1": 200, "127.0.0.1:3000": 200, "localhost:3000": 200, "LocalHost": 200, "[::1]:3000": 200, "[::1]": 200,
		"evil.example": 421, "evil.example:3000": 421, "127.0.0.1.evil.example": 421, "10.0.0.1:3000": 421, "localhost.evil.example": 421,
	} {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			got := c.do(t, "GET", "/_local/api/traces", func(r *http.Request) { r.Host = host })
			if got.status != want {
				t.Errorf("got %d, want %d: %s", got.status, want, got.body)
			}
		})
	}
}

func TestClear(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		headers map[string]string
		status  int
	}{
		"program":                        {nil, 204},
		"same origin":                    {map[string]string{"Sec-Fetch-Site": "same-origin"}, 204},
		"cross-site":                     {map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, 403},
		"other port":                     {map[string]string{"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:1"}, 403},
		"browser without Sec-Fetch-Site": {map[string]string{"Origin": "https://evil.example"}, 403},
		"opaque origin":                  {map[string]string{"Origin": "null"}, 403},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := serve(t)
			got := c.do(t, "POST", "/_local/api/clear", func(r *http.Request) {
				for name, value := range test.headers {
					r.Header.Set(name, value)
				}
			})
			if got.status != test.status {
				t.Errorf("got %d, want %d: %s", got.status, test.status, got.body)
			}
			if _, there := c.collector.Trace(traceID); there != (test.status == 403) {
				t.Errorf("trace exists = %t, want %t", there, !there)
			}
		})
	}
}

// TestEvents reads the stream of events until the server shuts down.
func TestEvents(t *testing.T) {
	t.Parallel()
	c := serve(t)
	ctx, cancel := testenv.WithDeadline(t.Context(), t)
	defer cancel()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.url+"/_local/api/events", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got := res.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("content type = %s, want text/event-stream", got)
	}
	scanner, lines := bufio.NewScanner(res.Body), make(chan string)
	go func() {
		defer close(lines)
		for scanner.Scan() {
			lines <- scanner.Text()
		}
	}()
	next := func(what string) {
		t.Helper()
		for {
			select {
			case line, open := <-lines:
				if !open {
					t.Fatalf("the stream ended, want an event %s", what)
				}
				if line == "data: change" {
					return
				}
			case <-ctx.Done():
				t.Fatalf("got no event, want one %s", what)
			}
		}
	}
	next("at the start")
	c.collector.Log(xray.Line{Source: "test", Text: "a line"})
	next("after a line")
	c.Changed()
	next("after a change of the stack")
	c.Close()
	c.Close()
	for {
		select {
		case _, open := <-lines:
			if !open {
				return
			}
		case <-ctx.Done():
			t.Fatal("the stream is open after Close, want it ended")
		}
	}
}

// TestStack_Fields checks the names that the home page reads.
func TestStack_Fields(t *testing.T) {
	t.Parallel()
	body := serve(t).do(t, "GET", "/_local/api/stack", nil).body
	var stack map[string]any
	if err := json.Unmarshal([]byte(body), &stack); err != nil {
		t.Fatal(err)
	}
	var names []string
	for name := range stack {
		names = append(names, name)
	}
	slices.Sort(names)
	want := []string{"authorization", "curl", "dataDir", "database", "failures", "logFile", "name", "reload", "routes", "stage", "tables", "url"}
	if d := gocmp.Diff(want, names); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// TestRequests reads a request, goes from its id to its trace, and deletes it with the traces.
func TestRequests(t *testing.T) {
	t.Parallel()
	r := serve(t)
	const address = `"address":"/prod/users/1?x=%20"`
	for _, path := range []string{"/_local/api/requests/" + requestID, "/_local/api/traces/" + traceID} {
		if got := r.do(t, "GET", path, nil); got.status != http.StatusOK || !strings.Contains(got.body, address) {
			t.Errorf("%s: got %d %s, want 200 and %s", path, got.status, got.body, address)
		}
	}
	r.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for id, want := range map[string]string{
		requestID: "/_local/traces/" + traceID, "un/known": "/_local/traces?text=un%2Fknown",
	} {
		got := r.do(t, "GET", "/_local/requests/"+url.PathEscape(id), nil)
		if location := got.header.Get("Location"); got.status != http.StatusFound || location != want {
			t.Errorf("%s: got %d to %s, want 302 to %s", id, got.status, location, want)
		}
	}
	r.do(t, "POST", "/_local/api/clear", nil)
	if got := r.do(t, "GET", "/_local/api/requests/"+requestID, nil); got.status != http.StatusNotFound {
		t.Errorf("after clear: got %d, want 404", got.status)
	}
}
