// Package console serves the pages of a running stack: what it is made of and how to try it, every request's trace and log lines,
// and the service map. Pages, style and scripts are embedded as they were written; they need nothing but the console itself.
package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/userrequestapi/userdata/deploy/aws/trace"
	"github.com/userrequestapi/userdata/deploy/host/loopback"
	"github.com/userrequestapi/userdata/deploy/local/xray"
)

//go:embed pages
var pages embed.FS

//go:embed assets
var assets embed.FS

// Config says what there is to show. All fields must be set.
type Config struct {
	Collector *xray.Collector
	// Stack returns the present state of the stack. It may be called from any goroutine.
	Stack func() Stack
	// Docs adds the reference of the API to what is served, below a path such as /_local/docs/.
	Docs func(mux *http.ServeMux, path string)
}

// Stack is what the first page tells of a stack.
type Stack struct {
	Name          string    `json:"name"`
	URL           string    `json:"url"`           // invoke URL, with the stage, without a slash at its end
	Stage         string    `json:"stage"`         // such as prod
	Authorization string    `json:"authorization"` // NONE, AWS_IAM, …
	Routes        []Route   `json:"routes"`
	Curl          []string  `json:"curl"` // lines to paste into a shell
	Database      string    `json:"database"`
	Table         string    `json:"table"`
	DataDir       string    `json:"dataDir"` // "": the database is not the stack's own
	LogFile       string    `json:"logFile"`
	Failures      []Failure `json:"failures"`
	Reload        bool      `json:"reload"` // what is saved is built and swapped in
}

// Route is one method of one path of the API.
type Route struct {
	Method   string `json:"method"`
	Path     string `json:"path"`
	Function string `json:"function"` // "": the gateway answers itself
	Summary  string `json:"summary"`
}

// Failure is a change that could not be taken over. Functions that do not build are told to their clients; all else goes on as
// before.
type Failure struct {
	Functions []string  `json:"functions"` // that do not build; none: the API document or the template is at fault
	Output    string    `json:"output"`
	Time      time.Time `json:"time"`
}

// Console is the handler for all that is not below the stage's path. It must be closed before a server of it can shut down
// gracefully: [http.Server.RegisterOnShutdown] with Close.
type Console struct {
	cfg     Config
	mux     *http.ServeMux
	guarded http.Handler // serves what mux has to whom it is for
	pages   map[string]*template.Template
	etags   map[string]string // by path below assets

	mu      sync.Mutex
	changed chan struct{} // closed, and replaced, by Changed
	closed  chan struct{}
	close   func()
}

// New makes the console of a stack.
func New(cfg Config) *Console {
	c := &Console{
		cfg: cfg, mux: http.NewServeMux(), pages: map[string]*template.Template{}, etags: map[string]string{},
		changed: make(chan struct{}), closed: make(chan struct{}),
	}
	c.close = sync.OnceFunc(func() { close(c.closed) })
	c.guarded = loopback.Guard(http.HandlerFunc(c.serve))
	c.hash()

	c.page("GET /{$}", "home", "Home", needHTML)
	c.page("GET /_local/traces", "traces", "Traces")
	c.page("GET /_local/traces/{id}", "traces", "Traces")
	c.page("GET /_local/map", "map", "Service map")
	c.page("GET /_local/logs", "logs", "Logs")
	c.redirect("GET /_local", "/", needHTML) // as the page there
	c.redirect("GET /_local/{$}", "/", needHTML)
	for _, name := range []string{"traces", "map", "logs"} {
		c.redirect("GET /_local/"+name+"/{$}", "/_local/"+name)
	}
	cfg.Docs(c.mux, docsPath)
	c.mux.HandleFunc("GET /_local/assets/{file...}", func(w http.ResponseWriter, r *http.Request) { c.asset(w, r, r.PathValue("file")) })
	// Browsers ask for it where no page names another, as with the document.
	c.mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, r *http.Request) { c.asset(w, r, "icon.svg") })
	c.mux.HandleFunc("GET /_local/api/stack", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, c.cfg.Stack()) })
	c.mux.HandleFunc("GET /_local/api/traces", c.traces)
	c.mux.HandleFunc("GET /_local/api/traces/{id}", c.trace)
	c.mux.HandleFunc("GET /_local/api/map", c.serviceMap)
	c.mux.HandleFunc("GET /_local/api/logs", c.logs)
	c.mux.HandleFunc("GET /_local/api/events", c.events)
	c.mux.HandleFunc("POST /_local/api/clear", func(w http.ResponseWriter, _ *http.Request) {
		c.cfg.Collector.Clear()
		w.WriteHeader(http.StatusNoContent)
	})
	return c
}

const docsPath = "/_local/docs/"

// Changed tells the pages that are open that the state of the stack is another now.
func (c *Console) Changed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *Console) nextChange() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

// Close ends the streams of events, which would end only with their pages. All else is served as before.
func (c *Console) Close() { c.close() }

// ServeHTTP answers requests to this machine by a name of this machine. Whatever else finds nothing gets a problem document that
// tells where the API is.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.guarded.ServeHTTP(w, r)
}

// policy lets pages use what the console serves, no inline script or style, and no markup that a script makes of text; nobody may
// frame them.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

func (c *Console) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Security-Policy", policy)
	handler, pattern := c.mux.Handler(r)
	if pattern != "" {
		c.mux.ServeHTTP(w, r)
		return
	}
	refusal := refusal{header: http.Header{}} // not the response's: the mux may set Location
	handler.ServeHTTP(&refusal, r)
	if refusal.status == http.StatusMethodNotAllowed {
		allow := refusal.header.Get("Allow")
		w.Header().Set("Allow", allow)
		loopback.WriteProblem(w, refusal.status, "MethodNotAllowed", fmt.Sprintf("%s takes %s only.", r.URL.Path, allow))
		return
	}
	c.notFound(w, r)
}

// refusal takes what [http.ServeMux] says of a request that it has no handler for: the status and the header Allow.
type refusal struct {
	header http.Header
	status int
}

func (r *refusal) Header() http.Header            { return r.header }
func (r *refusal) WriteHeader(status int)         { r.status = status }
func (r *refusal) Write(text []byte) (int, error) { return len(text), nil }

// notFound tells a client that missed the stage where it is.
func (c *Console) notFound(w http.ResponseWriter, r *http.Request) {
	stack := c.cfg.Stack()
	loopback.WriteProblem(w, http.StatusNotFound, "RouteNotFound", fmt.Sprintf(
		"There is nothing at %s. The API is at %s, such as GET %[2]s/users; pages about it are at / for a browser.", r.URL.Path, stack.URL))
}

// page serves a page from the folder of pages within the layout, when all conditions hold.
func (c *Console) page(pattern, name, title string, conditions ...condition) {
	if c.pages[name] == nil {
		c.pages[name] = template.Must(template.ParseFS(pages, "pages/layout.html", "pages/filters.html", "pages/"+name+".html"))
	}
	c.handle(pattern, conditions, func(w http.ResponseWriter, _ *http.Request) {
		var page bytes.Buffer
		data := struct {
			Page, Title string
			Stack       Stack
		}{name, title, c.cfg.Stack()}
		if err := c.pages[name].ExecuteTemplate(&page, "layout", data); err != nil {
			loopback.WriteProblem(w, http.StatusInternalServerError, "InternalServerError", err.Error())
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = page.WriteTo(w) // a client that has gone
	})
}

// redirect redirects to the page at another path, when all conditions hold.
func (c *Console) redirect(pattern, to string, conditions ...condition) {
	c.handle(pattern, conditions, func(w http.ResponseWriter, r *http.Request) {
		target := url.URL{Path: to, RawQuery: r.URL.RawQuery}
		http.Redirect(w, r, target.String(), http.StatusFound)
	})
}

// condition reports whether there is a page for the request; it may set headers of the response.
type condition func(http.Header, *http.Request) bool

// handle registers a handler that responds with 404 unless all conditions hold.
func (c *Console) handle(pattern string, conditions []condition, handler http.HandlerFunc) {
	c.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		for _, holds := range conditions {
			if !holds(w.Header(), r) {
				c.notFound(w, r)
				return
			}
		}
		handler(w, r)
	})
}

func needHTML(header http.Header, r *http.Request) bool {
	header.Set("Vary", "Accept")
	return loopback.AcceptsHTML(r)
}

// hash gives each asset a tag: embedded files have no time of change.
func (c *Console) hash() {
	err := fs.WalkDir(assets, "assets", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := assets.ReadFile(name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(content)
		c.etags[strings.TrimPrefix(name, "assets/")] = `"` + hex.EncodeToString(sum[:8]) + `"`
		return nil
	})
	if err != nil { // what is embedded is there
		panic(err)
	}
}

func (c *Console) asset(w http.ResponseWriter, r *http.Request, file string) {
	etag, ok := c.etags[file]
	if !ok {
		c.notFound(w, r)
		return
	}
	w.Header().Set("ETag", etag)
	w.Header().Set("Cache-Control", "no-cache")
	http.ServeFileFS(w, r, assets, path.Join("assets", file))
}

// traces answers with the traces that match, newest first.
func (c *Console) traces(w http.ResponseWriter, r *http.Request) {
	filter, err := xray.ParseFilter(r.URL.Query())
	if err != nil {
		loopback.WriteProblem(w, http.StatusBadRequest, "InvalidFilter", err.Error())
		return
	}
	writeJSON(w, struct {
		Traces []trace.Summary `json:"traces"`
	}{append([]trace.Summary{}, c.cfg.Collector.Traces(filter)...)})
}

func (c *Console) trace(w http.ResponseWriter, r *http.Request) {
	detail, ok := c.cfg.Collector.Trace(r.PathValue("id"))
	if !ok {
		loopback.WriteProblem(w, http.StatusNotFound, "TraceNotFound", "It has not arrived yet, or made way for newer ones.")
		return
	}
	writeJSON(w, struct {
		Summary trace.Summary `json:"summary"`
		xray.Detail
	}{detail.Trace.Summary(), detail})
}

func (c *Console) serviceMap(w http.ResponseWriter, r *http.Request) {
	filter, err := xray.ParseFilter(r.URL.Query())
	if err != nil {
		loopback.WriteProblem(w, http.StatusBadRequest, "InvalidFilter", err.Error())
		return
	}
	writeJSON(w, c.cfg.Collector.Map(filter))
}

// logs answers with the log lines that match, oldest first.
func (c *Console) logs(w http.ResponseWriter, r *http.Request) {
	filter, err := xray.ParseLineFilter(r.URL.Query())
	if err != nil {
		loopback.WriteProblem(w, http.StatusBadRequest, "InvalidFilter", err.Error())
		return
	}
	writeJSON(w, struct {
		Lines []xray.Line `json:"lines"`
	}{append([]xray.Line{}, c.cfg.Collector.Lines(filter)...)})
}

// A page that is open is told of changes this often at most, and of being connected at least this often: a connection that nobody
// holds any more is noticed only by writing to it.
const (
	eventInterval = 200 * time.Millisecond
	keepAlive     = 15 * time.Second
	writeTimeout  = 10 * time.Second
)

// events is a stream of server-sent events ("HTML Living Standard", 9.2): one at once, and one after each change.
func (c *Console) events(w http.ResponseWriter, r *http.Request) {
	received, unsubscribe := c.cfg.Collector.Subscribe()
	defer unsubscribe()
	w.Header().Set("Content-Type", "text/event-stream")
	controller := http.NewResponseController(w)
	for message := "retry: 1000\ndata: change\n\n"; ; {
		changed := c.nextChange()
		_ = controller.SetWriteDeadline(time.Now().Add(writeTimeout)) // a writer without deadlines just waits
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
			message = ": still here\n\n"
		}
	}
}

// writeJSON answers with a value. Values that cannot be encoded are a fault of the program.
func writeJSON(w http.ResponseWriter, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		loopback.WriteProblem(w, http.StatusInternalServerError, "InternalServerError", err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
}
