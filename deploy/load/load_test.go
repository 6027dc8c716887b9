package load_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/userrequestapi/userdata/deploy/contract"
	"github.com/userrequestapi/userdata/deploy/load"
	"github.com/userrequestapi/userdata/deploy/template"
	"github.com/userrequestapi/userdata/deploy/template/caller"
)

// things serves a collection. It chooses the id of an item without a userId.
type things struct {
	fail func(r *http.Request, n int) (status int, code string) // of the nth request with its method; 0 to serve it

	mu       sync.Mutex
	items    map[string]bool // by path
	requests map[string]int  // by method
	created  int
}

func (s *things) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var sent map[string]any
	_ = json.NewDecoder(r.Body).Decode(&sent) // fails without a body
	s.mu.Lock()
	s.requests[r.Method]++
	n := s.requests[r.Method]
	s.mu.Unlock()
	if s.fail != nil {
		if status, code := s.fail(r, n); status != 0 {
			w.Header().Set("Content-Type", contract.ProblemMediaType)
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(map[string]any{"code": code})
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch exists := s.items[r.URL.Path]; {
	case r.Method == http.MethodPost:
		s.created++
		id := sent["userId"]
		if id == nil {
			id = s.created
		}
		s.items[fmt.Sprintf("%s/%v", r.URL.Path, id)] = true
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(map[string]any{"id": id})
	case strings.Count(r.URL.Path, "/") == 1: // a collection
	case !exists:
		w.WriteHeader(http.StatusNotFound)
	case r.Method == http.MethodDelete:
		delete(s.items, r.URL.Path)
		w.WriteHeader(http.StatusNoContent)
	}
}

func (s *things) left() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.items)
}

const document = `openapi: 3.0.3
info: {title: Things, version: "1.0"}
paths:
  /health: {get: {responses: {"200": {description: OK}}}}
  /things:
    get: {responses: {"200": {description: OK}}}
    post:
      requestBody:
        content:
          application/json: {schema: {type: object, properties: {name: {type: string}}, additionalProperties: false}}
      responses: {"201": {description: Created}}
  /things/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get: {responses: {"200": {description: OK}, "404": {description: Not found}}}
    delete: {responses: {"204": {description: Deleted}, "404": {description: Not found}}}
`

// serve starts a stage without authorization.
func serve(t *testing.T, document string, fail func(r *http.Request, n int) (int, string)) (*things, load.Target) {
	t.Helper()
	s := &things{fail: fail, items: map[string]bool{}, requests: map[string]int{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	parsed, err := contract.Parse([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return s, load.Target{
		URL: server.URL, Document: parsed, Caller: caller.Caller{Authorization: template.AuthorizationNone},
	}
}

func TestRun_Failures(t *testing.T) {
	t.Parallel()
	every := func(method string, status int, code string) func(*http.Request, int) (int, string) {
		return func(r *http.Request, n int) (int, string) {
			if r.Method == method && n%2 == 0 {
				return status, code
			}
			return 0, ""
		}
	}
	tests := []struct {
		name      string
		fail      func(*http.Request, int) (int, string)
		want      load.Failure
		advice    string
		throttled bool
	}{
		{"none", nil, load.Failure{}, "", false},
		{
			"throttled by API Gateway", every(http.MethodPost, 429, "Throttled"),
			load.Failure{Operation: "POST /things", Status: 429, Code: "Throttled"}, "ThrottlingRateLimit", true,
		},
		{
			"throttled by the table", every(http.MethodGet, 503, "StoreThrottled"),
			load.Failure{Operation: "GET /things/{id}", Status: 503, Code: "StoreThrottled"}, "the table throttled", true,
		},
		{
			"failed DELETE", every(http.MethodDelete, 502, "BadGateway"),
			load.Failure{Operation: "DELETE /things/{id}", Status: 502, Code: "BadGateway"}, "integrationError", false,
		},
		{
			"error of the function", every(http.MethodDelete, 500, "StoreUnavailable"),
			load.Failure{Operation: "DELETE /things/{id}", Status: 500, Code: "StoreUnavailable"}, "its log lines", false,
		},
		{
			"timed out", every(http.MethodDelete, 504, "GatewayTimeout"),
			load.Failure{Operation: "DELETE /things/{id}", Status: 504, Code: "GatewayTimeout"}, "29 s", false,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(t.Context())
			enough := errors.New("enough requests")
			s, target := serve(t, document, func(r *http.Request, n int) (int, string) {
				if r.Method == http.MethodDelete && n == 4 { // the last request of an iteration
					cancel(enough)
				}
				if tt.fail == nil {
					return 0, ""
				}
				return tt.fail(r, n)
			})
			got, err := load.Run(ctx, target, load.Options{Rate: 100, Duration: time.Hour})
			if !errors.Is(err, enough) {
				t.Fatalf("error = %v, want %v", err, enough)
			}
			if n := s.left(); n > 0 || !got.CleanedUp {
				t.Errorf("%d items left, CleanedUp = %t; want none and true", n, got.CleanedUp)
			}
			if tt.fail == nil {
				if len(got.Failures) > 0 {
					t.Errorf("failures = %+v, want none", got.Failures)
				}
				return
			}
			var of []load.Failure
			for _, f := range got.Failures {
				if f.Operation == tt.want.Operation {
					of = append(of, f)
				}
			}
			ignored := cmpopts.IgnoreFields(load.Failure{}, "Requests", "Advice")
			if diff := cmp.Diff([]load.Failure{tt.want}, of, ignored); diff != "" {
				t.Fatalf("failures (-want +got):\n%s", diff)
			}
			if !strings.Contains(of[0].Advice, tt.advice) {
				t.Errorf("advice = %q, want it to contain %q", of[0].Advice, tt.advice)
			}
			if (got.Throttled > 0) != tt.throttled {
				t.Errorf("throttled = %d, want some: %t", got.Throttled, tt.throttled)
			}
		})
	}
}

// If no server accepts the requests, the report says why, and there is nothing to clean up.
func TestRun_NoServer(t *testing.T) {
	t.Parallel()
	refusing := httptest.NewServer(http.NotFoundHandler())
	refusing.Close()
	untrusted := httptest.NewUnstartedServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that the client ends
	untrusted.StartTLS()
	t.Cleanup(untrusted.Close)
	for want, url := range map[string]string{"connection refused": refusing.URL, "untrusted certificate": untrusted.URL} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			_, target := serve(t, document, nil)
			target.URL = url
			got, err := load.Run(t.Context(), target, load.Options{Rate: 10, Duration: 100 * time.Millisecond})
			if err != nil || !got.CleanedUp {
				t.Fatalf("error = %v, report = %+v; want nothing to clean up", err, got)
			}
			if len(got.Failures) == 0 || got.Failures[0].Code != want || got.Failures[0].Advice == "" {
				t.Errorf("failures = %+v, want %s with advice", got.Failures, want)
			}
		})
	}
}

// A POST without a response may have created an item.
func TestRun_NoResponse(t *testing.T) {
	t.Parallel()
	_, target := serve(t, document, func(*http.Request, int) (int, string) { panic(http.ErrAbortHandler) })
	got, err := load.Run(t.Context(), target, load.Options{Rate: 10, Duration: 100 * time.Millisecond})
	if got == nil || len(got.Failures) == 0 || got.Failures[0].Code != "connection closed" {
		t.Fatalf("report = %+v, want connection closed", got)
	}
	if err == nil || !strings.Contains(err.Error(), "unknown ids") {
		t.Errorf("error = %v, want it to say that POST may have created items", err)
	}
}

// The items are deleted after an interruption.
func TestRun_Interrupted(t *testing.T) {
	t.Parallel()
	stop := errors.New("stop pressed")
	ctx, cancel := context.WithCancelCause(t.Context())
	s, target := serve(t, document, func(r *http.Request, n int) (int, string) {
		if r.Method == http.MethodDelete && n == 1 {
			cancel(stop)
			return http.StatusTooManyRequests, "Throttled" // retried by the clean-up
		}
		return 0, ""
	})
	got, err := load.Run(ctx, target, load.Options{Rate: 200, Duration: time.Hour})
	if !errors.Is(err, stop) {
		t.Errorf("error = %v, want %v", err, stop)
	}
	if n := s.left(); n > 0 || got == nil || !got.CleanedUp {
		t.Errorf("%d items left, report = %+v; want none left", n, got)
	}
}

// An item that cannot be deleted is named.
func TestRun_CleanUpFails(t *testing.T) {
	t.Parallel()
	_, target := serve(t, document, func(r *http.Request, _ int) (int, string) {
		if r.Method == http.MethodDelete {
			return http.StatusForbidden, "Forbidden"
		}
		return 0, ""
	})
	got, err := load.Run(t.Context(), target, load.Options{Rate: 100, Duration: 100 * time.Millisecond})
	if err == nil || !strings.Contains(err.Error(), "/things/1") || !strings.Contains(err.Error(), "yourself") {
		t.Errorf("error = %v, want it to name the items", err)
	}
	if got == nil || got.CleanedUp {
		t.Errorf("report = %+v, want CleanedUp false", got)
	}
}

func TestRun_Documents(t *testing.T) {
	t.Parallel()
	const noPaths = "openapi: 3.0.3\ninfo: {title: Things, version: \"1.0\"}\npaths:\n"
	tests := []struct {
		name, document string
		want           []string // operations
		err            string
	}{
		{
			"no collection", noPaths + "  /health: {get: {responses: {\"200\": {description: OK}}}}\n",
			[]string{"GET /health"}, "",
		},
		{
			"nothing to read", noPaths + "  /health: {delete: {responses: {\"204\": {description: Deleted}}}}\n", nil,
			"want a collection",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, target := serve(t, tt.document, nil)
			got, err := load.Run(t.Context(), target, load.Options{Rate: 50, Duration: 100 * time.Millisecond})
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error = %v, want it to contain %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, o := range got.Operations {
				names = append(names, o.Name)
			}
			if diff := cmp.Diff(tt.want, names); diff != "" {
				t.Errorf("operations (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRun_NoCredentials(t *testing.T) {
	t.Parallel()
	for authorization, want := range map[string]string{
		template.AuthorizationIAM:     "no credentials",
		template.AuthorizationCognito: "set TOKEN",
		template.AuthorizationAPIKey:  "an API key",
		"Custom":                      `unknown authorization "Custom"`,
	} {
		t.Run(authorization, func(t *testing.T) {
			t.Parallel()
			_, err := load.Run(t.Context(), load.Target{Caller: caller.Caller{Authorization: authorization}}, load.Options{})
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error = %v, want it to contain %q", err, want)
			}
		})
	}
}
