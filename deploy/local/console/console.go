// Package console serves the web pages of the local stack: an overview with commands to try, traces, log lines and the
// service map. The embedded pages, styles and scripts need no build step and no other server.
package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/userrequestapi/userdata/deploy/aws/trace"
	"github.com/userrequestapi/userdata/deploy/contract"
	"github.com/userrequestapi/userdata/deploy/docs/icon"
	"github.com/userrequestapi/userdata/deploy/docs/webpage"
	"github.com/userrequestapi/userdata/deploy/host/loopback"
	"github.com/userrequestapi/userdata/deploy/local/capture"
	"github.com/userrequestapi/userdata/deploy/local/xray"
)

//go:embed pages
var pages embed.FS

//go:embed assets
var assets embed.FS

// Config configures a [Console]. All fields but Captured must be set.
type Config struct {
	Collector *xray.Collector
	// Captured are the requests and responses of the traces; nil if they are not kept.
	Captured *capture.Store
	// Stack returns the current state of the stack. It must be safe for concurrent use.
	Stack func() Overview
	// Stage forwards requests without the prefix /_local/stage to the API, with the authorization that it requires.
	Stage http.Handler
	// Docs registers the handlers of the API reference below a path such as /_local/docs/.
	Docs func(mux *http.ServeMux, path string)
}

// Overview is the state of a stack on the home page.
type Overview struct {
	Name          string   `json:"name"`
	URL           string   `json:"url"`           // invoke URL with the stage, without a trailing slash
	Stage         string   `json:"stage"`         // such as prod
	Authorization string   `json:"authorization"` // NONE, AWS_IAM, …
	Routes        []Route  `json:"routes"`
	Curl          []string `json:"curl"` // shell commands
	// CurlOptions are the options of curl for the authorization, with variables for the secrets; "" for none.
	CurlOptions string       `json:"-"`
	Database    string       `json:"database"`
	Tables      []string     `json:"tables"`  // names
	DataDir     string       `json:"dataDir"` // "" if the stack did not start the database
	LogFile     string       `json:"logFile"`
	Failures    []Failure    `json:"failures"`
	Reload      bool         `json:"reload"` // hot reload is on
	Collections []Collection `json:"-"`
}

// Route is one method of one path of the API.
type Route struct {
	Method   string `json:"method"`
	Path     string `json:"path"`
	Function string `json:"function"` // "" for a mock integration
	Summary  string `json:"summary"`
}

// Collection is a collection of the API document, whose items have a page.
type Collection struct {
	contract.Collection
	Name                  string // such as Users
	Tag, Create           string // tag and id of the operation that creates an item
	List, Replace, Delete bool   // whether the API has the operation
}

// DocsPath is the URL of the API reference.
const DocsPath = "/_local/docs/"

// Links returns the links of the header, also for the API reference.
func Links(collections []Collection) []webpage.Link {
	links := []webpage.Link{
		{Text: "Home", URL: "/", Key: "h"}, {Text: "Traces", URL: "/_local/traces", Key: "t"},
		{Text: "Map", URL: "/_local/map", Key: "m"}, {Text: "Logs", URL: "/_local/logs", Key: "l"},
	}
	for i, c := range collections {
		link := webpage.Link{Text: c.Name, URL: c.page()}
		if i == 0 {
			link.Key = "d" // data
		}
		links = append(links, link)
	}
	return append(links, webpage.Link{Text: "Reference", URL: DocsPath, Key: "r"})
}

// page returns the URL of the page.
func (c Collection) page() string { return "/_local/data" + c.Path }

// Failure is a change of the source that could not be applied. Requests for functions that do not compile get an error
// response; everything else keeps running unchanged.
type Failure struct {
	Functions []string  `json:"functions"` // that do not compile; empty for an error in the API document or the template
	Output    string    `json:"output"`
	Time      time.Time `json:"time"`
}

// Console is the handler of the pages. A server can shut down gracefully only if it is closed: register Close with
// [http.Server.RegisterOnShutdown].
type Console struct {
	cfg     Config
	mux     *http.ServeMux
	guarded http.Handler // mux behind loopback.Guard

	itemsPage *template.Template

	mu      sync.Mutex
	changed chan struct{} // closed, and replaced, by Changed
	closed  chan struct{}
	close   func()
}

// New returns the Console of a stack.
func New(cfg Config) *Console {
	c := &Console{
		cfg: cfg, mux: http.NewServeMux(), itemsPage: parsePage("items"),
		changed: make(chan struct{}), closed: make(chan struct{}),
	}
	c.close = sync.OnceFunc(func() { close(c.closed) })
	c.guarded = loopback.Guard(http.HandlerFunc(c.serve))

	traces, home := c.page("traces", "Traces"), redirect("/")
	c.mux.HandleFunc("GET /{$}", c.forBrowsers(c.page("home", "Home")))
	c.mux.HandleFunc("GET /_local/traces", traces)
	c.mux.HandleFunc("GET /_local/traces/{id}", traces)
	c.mux.HandleFunc("GET /_local/compare", c.page("compare", "Compare traces"))
	c.mux.HandleFunc("GET /_local/map", c.page("map", "Service map"))
	c.mux.HandleFunc("GET /_local/logs", c.page("logs", "Logs"))
	c.mux.HandleFunc("GET /_local", c.forBrowsers(home))
	c.mux.HandleFunc("GET /_local/{$}", c.forBrowsers(home))
	for _, name := range []string{"traces", "map", "logs"} {
		c.mux.HandleFunc("GET /_local/"+name+"/{$}", redirect("/_local/"+name))
	}
	c.mux.HandleFunc("GET /_local/data/{path...}", c.items)
	c.mux.Handle("/_local/stage/", http.StripPrefix("/_local/stage", cfg.Stage))
	cfg.Docs(c.mux, DocsPath)
	c.mux.HandleFunc("GET /_local/assets/{file...}", func(w http.ResponseWriter, r *http.Request) {
		c.asset(w, r, r.PathValue("file"))
	})
	// Browsers request it for responses without a link to an icon, such as the API document.
	c.mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, r *http.Request) { c.asset(w, r, "icon.svg") })
	c.mux.HandleFunc("GET /_local/api/stack", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, c.cfg.Stack()) })
	c.mux.HandleFunc("GET /_local/api/traces", filtered(xray.ParseFilter, c.traces))
	c.mux.HandleFunc("GET /_local/api/traces/{id}", c.trace)
	c.mux.HandleFunc("GET /_local/api/overview", filtered(parseOverview, c.distribution))
	c.mux.HandleFunc("GET /_local/api/map", filtered(xray.ParseFilter, c.serviceMap))
	c.mux.HandleFunc("GET /_local/api/logs", filtered(xray.ParseLineFilter, c.logs))
	c.mux.HandleFunc("GET /_local/api/events", c.events)
	c.mux.HandleFunc("GET /_local/api/requests/{id}", c.request)
	c.mux.HandleFunc("GET /_local/requests/{id}", c.traceOfRequest)
	c.mux.HandleFunc("POST /_local/api/clear", func(w http.ResponseWriter, _ *http.Request) {
		if c.cfg.Captured != nil {
			c.cfg.Captured.Clear()
		}
		c.cfg.Collector.Clear()
		w.WriteHeader(http.StatusNoContent)
	})
	return c
}

// Changed notifies the open pages that the state of the stack has changed.
func (c *Console) Changed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.changed)
	c.changed = make(chan struct{})
}

// nextChange returns a channel that is closed by the next call of Changed.
func (c *Console) nextChange() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

// Close ends the event streams, which otherwise end only with their pages. Other requests are still served.
func (c *Console) Close() { c.close() }

// ServeHTTP implements [http.Handler], behind [loopback.Guard]. The response for an unknown path is a problem document
// with the URL of the API.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.guarded.ServeHTTP(w, r)
}

// policy allows only scripts, styles and images of the console. It forbids inline code, markup parsed from strings, and
// framing.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

func (c *Console) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Security-Policy", policy)
	handler, pattern := c.mux.Handler(r)
	if pattern != "" {
		c.mux.ServeHTTP(w, r)
		return
	}
	response := muxResponse{header: http.Header{}} // not the response's: the mux may set Location
	handler.ServeHTTP(&response, r)
	if response.status == http.StatusMethodNotAllowed {
		allow := response.header.Get("Allow")
		w.Header().Set("Allow", allow)
		detail := fmt.Sprintf("%s allows only %s.", r.URL.Path, allow)
		loopback.WriteProblem(w, response.status, "MethodNotAllowed", detail)
		return
	}
	c.notFound(w, r)
}

// muxResponse records the status and headers of [http.ServeMux] for a request without a handler.
type muxResponse struct {
	header http.Header
	status int
}

func (r *muxResponse) Header() http.Header            { return r.header }
func (r *muxResponse) WriteHeader(status int)         { r.status = status }
func (r *muxResponse) Write(body []byte) (int, error) { return len(body), nil }

// notFound responds with 404 and the URL of the API.
func (c *Console) notFound(w http.ResponseWriter, r *http.Request) {
	stack := c.cfg.Stack()
	example := ""
	for _, route := range stack.Routes {
		if route.Method == http.MethodGet && !strings.Contains(route.Path, "{") {
			example = fmt.Sprintf(" (for example GET %s%s)", stack.URL, route.Path)
			break
		}
	}
	loopback.WriteProblem(w, http.StatusNotFound, "RouteNotFound", fmt.Sprintf(
		"No route for %s. The API is at %s%s, its pages at / in a browser.", r.URL.Path, stack.URL, example))
}

// page returns the handler of a page of the folder pages, within the layout.
func (c *Console) page(name, title string) http.HandlerFunc {
	parsed, target := parsePage(name), "/_local/"+name
	if name == "home" {
		target = "/"
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		writePage(w, parsed, pageData{Page: name, Title: title, URL: target, Stack: c.cfg.Stack()})
	}
}

// pageData is the data of a page.
type pageData struct {
	Page, Title, URL string
	Stack            Overview
	Collection       *Collection // nil except on the page of items
}

// Header returns the header of the page.
func (d pageData) Header() webpage.Header {
	return webpage.Header{
		Name: d.Stack.Name, Stage: d.Stack.Stage, Home: "/", Assets: "/_local/assets/", Current: d.URL,
		Links: Links(d.Stack.Collections), Live: d.Collection == nil,
	}
}

func parsePage(name string) *template.Template {
	return template.Must(webpage.Parse(pages, "pages/layout.html", "pages/filters.html", "pages/"+name+".html"))
}

func writePage(w http.ResponseWriter, parsed *template.Template, data pageData) {
	var page bytes.Buffer
	if err := parsed.ExecuteTemplate(&page, "layout", data); err != nil {
		loopback.WriteProblem(w, http.StatusInternalServerError, "InternalServerError", err.Error())
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = page.WriteTo(w) // fails if the client has disconnected
}

// items responds with the page of a collection.
func (c *Console) items(w http.ResponseWriter, r *http.Request) {
	stack := c.cfg.Stack()
	for _, collection := range stack.Collections {
		if collection.Path == "/"+r.PathValue("path") {
			writePage(w, c.itemsPage, pageData{"items", collection.Name, collection.page(), stack, &collection})
			return
		}
	}
	c.notFound(w, r)
}

// redirect returns a handler that redirects to another path.
func redirect(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		target := url.URL{Path: to, RawQuery: r.URL.RawQuery}
		http.Redirect(w, r, target.String(), http.StatusFound)
	}
}

// forBrowsers returns a handler that responds with 404 unless the request accepts HTML.
func (c *Console) forBrowsers(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Accept")
		if !loopback.AcceptsHTML(r) {
			c.notFound(w, r)
			return
		}
		next(w, r)
	}
}

// asset responds with an embedded file. It has an ETag, because embedded files have no modification time.
func (c *Console) asset(w http.ResponseWriter, r *http.Request, file string) {
	var content []byte
	var err error
	switch file {
	case "icon.svg":
		content = icon.SVG
	case "page.css":
		content = webpage.CSS
	case "js/indent.js":
		content = webpage.Indent
	case "js/keys.js":
		content = webpage.Keys
	default:
		content, err = assets.ReadFile(path.Join("assets", file))
	}
	if err != nil {
		c.notFound(w, r)
		return
	}
	sum := sha256.Sum256(content)
	w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:8])+`"`)
	w.Header().Set("Cache-Control", "no-cache")
	http.ServeContent(w, r, file, time.Time{}, bytes.NewReader(content))
}

// filtered returns a handler that responds with the JSON of what get returns for the filter in the query.
func filtered[Filter any](parse func(url.Values) (Filter, error), get func(Filter) any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		filter, err := parse(r.URL.Query())
		if err != nil {
			loopback.WriteProblem(w, http.StatusBadRequest, "InvalidFilter", err.Error())
			return
		}
		writeJSON(w, get(filter))
	}
}

// traces returns the traces that match, newest first.
func (c *Console) traces(filter xray.Filter) any {
	return map[string]any{"traces": append([]trace.Summary{}, c.cfg.Collector.Traces(filter)...)}
}

// overviewQuery selects and groups traces.
type overviewQuery struct {
	filter xray.Filter
	by     func(trace.Summary) string
}

// parseOverview parses the parameters of a filter, and by (see [xray.Property]).
func parseOverview(query url.Values) (q overviewQuery, err error) {
	if q.by, err = xray.Property(query.Get("by")); err != nil {
		return q, err
	}
	query.Del("by")
	q.filter, err = xray.ParseFilter(query)
	return q, err
}

func (c *Console) distribution(q overviewQuery) any { return c.cfg.Collector.Overview(q.filter, q.by) }

func (c *Console) serviceMap(filter xray.Filter) any { return c.cfg.Collector.Map(filter) }

// logs returns the log lines that match, oldest first.
func (c *Console) logs(filter xray.LineFilter) any {
	return map[string]any{"lines": c.cfg.Collector.Lines(filter)}
}

func (c *Console) trace(w http.ResponseWriter, r *http.Request) {
	detail, ok := c.cfg.Collector.Trace(r.PathValue("id"))
	if !ok {
		loopback.WriteProblem(w, http.StatusNotFound, "TraceNotFound",
			"The trace has not arrived yet, or newer ones have replaced it.")
		return
	}
	var exchanges []capture.Exchange
	if c.cfg.Captured != nil {
		exchanges = c.cfg.Captured.Trace(r.PathValue("id"))
	}
	writeJSON(w, struct {
		Summary trace.Summary `json:"summary"`
		xray.Detail
		Exchanges []capture.Exchange `json:"exchanges"` // null if requests are not captured
	}{detail.Trace.Summary(), detail, exchanges})
}

// request responds with a request and its response.
func (c *Console) request(w http.ResponseWriter, r *http.Request) {
	if c.cfg.Captured != nil {
		if exchange, ok := c.cfg.Captured.Request(r.PathValue("id")); ok {
			writeJSON(w, exchange)
			return
		}
	}
	loopback.WriteProblem(w, http.StatusNotFound, "RequestNotFound", "This request is not kept.")
}

// traceOfRequest redirects to the trace of a request, or else to a search for it.
func (c *Console) traceOfRequest(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	target := url.URL{Path: "/_local/traces", RawQuery: url.Values{"text": {id}}.Encode()}
	if found := c.cfg.Collector.Traces(xray.Filter{Text: id, Limit: 1}); len(found) == 1 {
		target = url.URL{Path: "/_local/traces/" + found[0].ID}
	}
	http.Redirect(w, r, target.String(), http.StatusFound)
}

const (
	eventInterval = 200 * time.Millisecond // minimum time between events
	keepAlive     = 15 * time.Second       // maximum time between writes, which detect closed connections
	writeTimeout  = 10 * time.Second
)

// events responds with a stream of server-sent events ("HTML Living Standard", 9.2): one immediately, and one after
// each change.
func (c *Console) events(w http.ResponseWriter, r *http.Request) {
	received, unsubscribe := c.cfg.Collector.Subscribe()
	defer unsubscribe()
	w.Header().Set("Content-Type", "text/event-stream")
	controller := http.NewResponseController(w)
	for message := "retry: 1000\ndata: change\n\n"; ; {
		changed := c.nextChange()
		_ = controller.SetWriteDeadline(time.Now().Add(writeTimeout)) // not supported by all writers
		if _, err := w.Write([]byte(message)); err != nil {
			return
		}
		if err := controller.Flush(); err != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-c.closed:
			return
		case <-time.After(eventInterval):
		}
		message = "data: change\n\n"
		select {
		case <-r.Context().Done():
			return
		case <-c.closed:
			return
		case _, open := <-received:
			if !open {
				return
			}
		case <-changed:
		case <-time.After(keepAlive):
			message = ": keep-alive\n\n"
		}
	}
}

// writeJSON responds with a value as JSON.
func writeJSON(w http.ResponseWriter, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		loopback.WriteProblem(w, http.StatusInternalServerError, "InternalServerError", err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
}
