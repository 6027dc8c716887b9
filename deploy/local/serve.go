package local

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
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

// routes serves the pages about the stack, and the API at all other paths: outside the stage, it responds as API Gateway
// does. Both refuse a Host that is not a name of this machine. Pages of any origin may call the API (CORS).
func (s *Stack) routes() http.Handler {
	s.pages = console.New(console.Config{Collector: s.Collector, Stack: s.state, Docs: s.docs})
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

// docs serves the reference of the API below a path, and where the stack demands signed requests, what signs those that it sends.
func (s *Stack) docs(mux *http.ServeMux, path string) {
	var proxy http.Handler
	if s.authorization.kind == template.AuthorizationIAM {
		stage, err := url.Parse(s.URL)
		if err != nil { // it was made of the address of a listener
			panic(err)
		}
		proxy = reference.Proxy(stage, s.Authorize, &http.Transport{DisableKeepAlives: true, ResponseHeaderTimeout: answerTime})
	}
	reference.Handle(mux, path, s.page, proxy)
}

// answerTime is more than the 29 s after which the stage answers that its function has not.
const answerTime = time.Minute

// page is the reference as it is now, for who has asked by one of the names of this machine.
func (s *Stack) page(r *http.Request) (reference.Page, error) {
	document, err := contract.Read(os.DirFS(filepath.Join(s.cfg.Root, "deploy")))
	if err != nil {
		return reference.Page{}, err
	}
	credential, err := s.authorization.credential()
	if err != nil {
		return reference.Page{}, err
	}
	stage := s.resources.Load().API().Stage
	page := reference.Page{
		Document: document.ForStage("http://"+r.Host+"/"+stage, "The stack on this machine", s.authorization.kind),
		Links: []reference.Link{
			{Text: "Home", URL: "/"}, {Text: "Traces", URL: "/_local/traces"}, {Text: "Map", URL: "/_local/map"},
			{Text: "Logs", URL: "/_local/logs"}, {Text: "Reference"},
		},
	}
	var notes []string
	switch scheme := contract.SecurityScheme(s.authorization.kind); {
	case s.authorization.kind == template.AuthorizationIAM:
		page.Curl = signedCurl()
		notes = append(notes, "Requests are signed on their way to the stage, with the example credentials of this stack.")
	case credential != "":
		page.Credentials = map[string]string{scheme: credential}
	}
	switch {
	case len(s.failures.all()) > 0:
		notes = append(notes, "A change of the source could not be taken over: what is below may be ahead of what runs.")
	case s.watcher == nil:
		notes = append(notes, "Changes of the source are not taken over while the stack runs: what is below may be ahead of it.")
	}
	page.Note = strings.Join(notes, " ")
	return page, nil
}

// access takes a request that was answered.
func (s *Stack) access(line string, r apigateway.Record, api template.API) {
	if r.Trace.Sampled {
		s.Collector.Add(stageSegment(r, api, s.Console))
	}
	if line == "" { // the stage has no access log
		return
	}
	s.Collector.Log(xray.Line{
		Time: r.Time.Add(r.Latency), Source: "access log", RequestID: r.RequestID, TraceID: r.Trace.Root, Type: "access", Text: line,
	})
	if s.cfg.AccessLog != nil {
		s.cfg.AccessLog(line, r)
	}
}

// trace takes an invocation that is over.
func (s *Stack) trace(i lambda.Invocation) {
	if i.Sampled {
		s.Collector.Add(lambdaSegments(i)...)
	}
}

// log takes an event of a function's log.
func (s *Stack) log(e lambda.Event) {
	line := xray.Line{Time: e.Time, Source: e.Function, Stream: e.LogStream, TraceID: e.TraceID, Type: e.Type(), Text: e.Text()}
	if _, own := e.Record.(lambda.Line); !own {
		line.RequestID = e.RequestID // a function's own lines tell the gateway's id
	}
	s.Collector.Log(line)
	if s.cfg.Log != nil {
		s.cfg.Log(e)
	}
}

// state is what the pages tell of the stack.
func (s *Stack) state() console.Stack {
	api := s.resources.Load().API()
	curl, err := s.curl()
	if err != nil {
		curl = []string{"# " + err.Error()}
	}
	description := console.Stack{
		Name:          api.Name,
		URL:           s.URL,
		Stage:         api.Stage,
		Authorization: s.authorization.kind,
		Routes:        routes(api, s.resources.Load().Functions()),
		Curl:          curl,
		Database:      s.Database,
		Table:         s.Table,
		LogFile:       s.cfg.LogFile,
		Failures:      s.failures.all(),
		Reload:        s.watcher != nil,
	}
	if s.database != nil {
		description.DataDir = filepath.Join(s.cfg.DataDir, "dynamodb")
	}
	return description
}

// curl are lines that call the API, to paste into a shell one after the other.
func (s *Stack) curl() ([]string, error) {
	before, curl, err := s.authorization.curl()
	if err != nil {
		return nil, err
	}
	var lines []string
	if before != "" {
		lines = append(lines, before)
	}
	return append(lines,
		fmt.Sprintf("%s '%s/users?userId=1'", curl, s.URL),
		fmt.Sprintf(`%s -X POST %s/users -H 'Content-Type: application/json' -d '{"name": "Grace Hopper"}'`, curl, s.URL),
		fmt.Sprintf("%s '%s/users?limit=10'", curl, s.URL),
	), nil
}

// routes are the methods of the API that functions serve, by path.
func routes(api template.API, functions []template.Function) []console.Route {
	var document struct {
		Paths map[string]map[string]struct {
			Summary     string
			Integration struct{ URI string } `json:"x-amazon-apigateway-integration"`
		}
	}
	if err := json.Unmarshal(api.Body, &document); err != nil {
		return nil // the gateway has refused such a document
	}
	var routes []console.Route
	for path, methods := range document.Paths {
		for method, operation := range methods {
			for _, f := range functions {
				if strings.Contains(operation.Integration.URI, f.ARN+"/invocations") {
					routes = append(routes, console.Route{
						Method: strings.ToUpper(method), Path: path, Function: f.Name, Summary: operation.Summary,
					})
				}
			}
		}
	}
	slices.SortFunc(routes, func(a, b console.Route) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Method, b.Method))
	})
	return routes
}
