package local

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/userrequestapi/userdata/deploy/contract"
	"github.com/userrequestapi/userdata/deploy/docs/reference"
	"github.com/userrequestapi/userdata/deploy/host/loopback"
	"github.com/userrequestapi/userdata/deploy/local/apigateway"
	"github.com/userrequestapi/userdata/deploy/local/console"
	"github.com/userrequestapi/userdata/deploy/local/lambda"
	"github.com/userrequestapi/userdata/deploy/local/xray"
	"github.com/userrequestapi/userdata/deploy/template"
)

// routes serves the console's pages, and the API at all other paths. Outside the stage the API responds as API Gateway
// does. Both accept only localhost and loopback addresses as Host. Pages of any origin may call the API (CORS).
func (s *Instance) routes() http.Handler {
	s.pages = console.New(console.Config{
		Collector: s.Collector, Captured: s.captured, Stack: s.overview, Stage: s.proxy(), Docs: s.handleDocs,
	})
	api := loopback.GuardHost(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.gateway.Load().ServeHTTP(w, r)
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Path; {
		case path == "/", path == "/favicon.ico", path == "/_local", strings.HasPrefix(path, "/_local/"):
			s.pages.ServeHTTP(w, r)
		default:
			api.ServeHTTP(w, r)
		}
	})
}

// handleDocs serves the API reference below path. If the stage requires signed requests, it also serves a proxy that
// signs them.
func (s *Instance) handleDocs(mux *http.ServeMux, path string) {
	var proxy http.Handler
	if s.authorization.kind == template.AuthorizationIAM {
		proxy = s.proxy()
	}
	reference.Handle(mux, path, s.referencePage, proxy)
}

// proxy returns a handler that authorizes requests and forwards them to the stage.
func (s *Instance) proxy() http.Handler {
	stage, err := url.Parse(s.URL)
	if err != nil { // impossible: the URL contains the address of a listener
		panic(err)
	}
	return reference.Proxy(stage, s.Authorize, &http.Transport{
		DisableKeepAlives: true, ResponseHeaderTimeout: responseTimeout})
}

// responseTimeout is longer than API Gateway's integration timeout of 29 s.
const responseTimeout = time.Minute

// referencePage returns the API reference for the current source, with the Host of the request as the server.
func (s *Instance) referencePage(r *http.Request) (reference.Page, error) {
	api := s.resources.Load().API()
	document, err := api.Document.Reread(os.DirFS(filepath.Join(s.cfg.Root, "deploy")))
	if err != nil {
		return reference.Page{}, err
	}
	credential, err := s.authorization.credential()
	if err != nil {
		return reference.Page{}, err
	}
	scheme := template.SecurityScheme(s.authorization.kind)
	page := reference.Page{
		Document: document.Public().ForStage("http://"+r.Host+"/"+api.Stage, "The local stack", scheme),
		Stage:    api.Stage,
		Home:     "/",
		TraceURL: "/_local/requests/",
	}
	for _, link := range console.Links(collections(document)) {
		if link.URL == console.DocsPath {
			link.URL = "" // this page
		}
		page.Links = append(page.Links, link)
	}
	if s.captured != nil {
		page.RequestURL = "/_local/api/requests/"
	}
	var notes []string
	switch {
	case s.authorization.kind == template.AuthorizationIAM:
		page.Curl = s.authorization.curlOptions()
		notes = append(notes, "Requests are signed with the access key of the local stack.")
	case credential != "":
		page.Credentials = map[string]string{scheme: credential}
	}
	switch {
	case len(s.failures.all()) > 0:
		notes = append(notes,
			"The last change of the source could not be applied: this reference may be ahead of the running API.")
	case s.watcher == nil:
		notes = append(notes, "Hot reload is off: this reference may be ahead of the running API.")
	}
	page.Note = strings.Join(notes, " ")
	return page, nil
}

// recordRequest records the segment of a request and its line of the access log.
func (s *Instance) recordRequest(line string, r apigateway.Record, api template.API) {
	if r.Trace.Sampled {
		s.Collector.Add(stageSegment(r, api, s.Console))
	}
	if line != "" { // the stage has an access log
		s.Collector.Log(xray.Line{
			Time: r.Time.Add(r.Latency), Source: "access log", RequestID: r.RequestID, TraceID: r.Trace.Root,
			Type: "access", Text: line,
		})
	}
	if s.cfg.AccessLog != nil {
		s.cfg.AccessLog(line, r)
	}
}

// recordInvocation records the segments of a completed invocation.
func (s *Instance) recordInvocation(i lambda.Invocation) {
	if i.Sampled {
		s.Collector.Add(lambdaSegments(i)...)
	}
}

// recordEvent records an event of a function's log.
func (s *Instance) recordEvent(e lambda.Event) {
	line := xray.Line{
		Time: e.Time, Source: e.Function, Stream: e.LogStream, TraceID: e.TraceID, Type: e.Type(), Text: e.Text()}
	if _, own := e.Record.(lambda.Line); !own {
		line.RequestID = e.RequestID // a function's own lines contain API Gateway's ID
	}
	s.Collector.Log(line)
	if s.cfg.Log != nil {
		s.cfg.Log(e)
	}
}

// overview returns the state of the stack for the pages.
func (s *Instance) overview() console.Overview {
	api := s.resources.Load().API()
	curl, err := s.curl()
	if err != nil {
		curl = []string{"# " + err.Error()}
	}
	overview := console.Overview{
		Name:          api.Name,
		URL:           s.URL,
		Stage:         api.Stage,
		Authorization: s.authorization.kind,
		Routes:        routes(api, s.resources.Load().Functions()),
		Curl:          curl,
		CurlOptions:   s.authorization.curlOptions(),
		Database:      s.Database,
		Tables:        tableNames(s.Tables()),
		LogFile:       s.cfg.LogFile,
		Failures:      s.failures.all(),
		Reload:        s.watcher != nil,
		Collections:   collections(api.Document),
	}
	if s.database != nil {
		overview.DataDir = filepath.Join(s.cfg.DataDir, "dynamodb")
	}
	return overview
}

// routes returns the routes that functions serve, ordered by path.
func routes(api template.API, functions []template.Function) []console.Route {
	var routes []console.Route
	for _, r := range api.Document.Routes() {
		for _, f := range functions {
			if f.LogicalID == r.Function {
				routes = append(routes, console.Route{
					Method: r.Method, Path: r.Path, Function: f.Name, Summary: r.Operation.Summary,
				})
			}
		}
	}
	return routes
}

// collections returns the collections of the API document, named after the tag of the operation that creates an item.
func collections(document *contract.Document) []console.Collection {
	var all []console.Collection
	for _, c := range document.Collections() {
		path, item := document.Paths.Value(c.Path), document.Paths.Value(c.Item)
		collection := console.Collection{
			Collection: c, Name: strings.TrimPrefix(c.Path, "/"), Tag: "default", Create: path.Post.OperationID,
			List: path.Get != nil, Replace: item.Put != nil, Delete: item.Delete != nil,
		}
		if len(path.Post.Tags) > 0 {
			collection.Name, collection.Tag = path.Post.Tags[0], path.Post.Tags[0]
		}
		all = append(all, collection)
	}
	return all
}
