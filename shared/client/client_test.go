package client_test

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/userrequestapi/userdata/shared/client"
	"github.com/userrequestapi/userdata/shared/client/api"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if os.Getenv(invokeURL) == "" {
		fmt.Printf("Skipping the examples: set %s to the invoke URL of a stage, such as http://127.0.0.1:3000/prod.\n",
			invokeURL)
		skip := "^Example"
		if also := flag.Lookup("test.skip").Value.String(); also != "" {
			skip += "|" + also
		}
		if err := flag.Set("test.skip", skip); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// stub responds to each request with the next response, and repeats the last one.
type stub struct {
	responses []response
	requests  []*http.Request
	bodies    []string
}

type response struct {
	status     int // 0 for a lost response
	retryAfter string
	header     map[string]string // additional headers
	mediaType  string            // "" for application/json
	body       string            // "" for {}
}

// RoundTrip implements [http.RoundTripper].
func (s *stub) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	next := s.responses[min(len(s.requests), len(s.responses)-1)]
	s.requests, s.bodies = append(s.requests, r), append(s.bodies, string(body))
	if next.status == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	header := http.Header{"Content-Type": {cmp.Or(next.mediaType, "application/json")}, "X-Amzn-Requestid": {"r-1"}}
	if next.retryAfter != "" {
		header.Set("Retry-After", next.retryAfter)
	}
	for name, value := range next.header {
		header.Set(name, value)
	}
	return &http.Response{
		StatusCode: next.status, Header: header, Body: io.NopCloser(strings.NewReader(cmp.Or(next.body, "{}"))), Request: r,
	}, nil
}

func newClient(t *testing.T, s *stub, options ...client.Option) *client.Client {
	t.Helper()
	c, err := client.New("http://127.0.0.1/prod", append(options, client.WithHTTPClient(&http.Client{Transport: s}))...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// calls returns a function that calls each operation.
func calls(ctx context.Context, c *client.Client) map[string]func() error {
	return map[string]func() error{
		"get": func() error { _, err := c.GetUser(ctx, "1"); return err },
		"list": func() error {
			for _, err := range c.Users(ctx, 0) {
				return err
			}
			return nil
		},
		"create": func() error { _, err := c.CreateUser(ctx, client.UserInput{Name: new("Ada")}, ""); return err },
		"replace": func() error {
			_, err := c.ReplaceUser(ctx, "1", client.UserInput{Name: new("Ada")}, `"E"`)
			return err
		},
		"delete": func() error { return c.DeleteUser(ctx, "1", "") },
	}
}

// TestRetries checks that every request is retried after Retry-After, and that only requests that cannot take effect
// twice are retried after other failures.
func TestRetries(t *testing.T) {
	t.Parallel()
	safe, all := []string{"get", "list", "create", "replace"}, []string{"get", "list", "create", "replace", "delete"}
	tests := []struct {
		name     string
		response response
		retried  []string // operations
		wait     time.Duration
	}{
		{"lost response", response{}, safe, 200 * time.Millisecond},
		{"throttled", response{status: 429, retryAfter: "1"}, all, time.Second},
		{"busy", response{status: 503, retryAfter: "2"}, all, 2 * time.Second},
		{"quota exhausted", response{status: 429}, nil, 0},
		{"internal error", response{status: 500}, safe, 200 * time.Millisecond},
		{"function failed", response{status: 502}, safe, 200 * time.Millisecond},
		{"unavailable", response{status: 503}, safe, 200 * time.Millisecond},
		{"timed out", response{status: 504}, safe, 200 * time.Millisecond},
		{"internal error with Retry-After", response{status: 500, retryAfter: "9"}, safe, 200 * time.Millisecond},
		{"timed out with Retry-After", response{status: 504, retryAfter: "9"}, safe, 200 * time.Millisecond},
		{"throttled for a minute", response{status: 429, retryAfter: "60"}, all, time.Minute},
		{"throttled for too long", response{status: 429, retryAfter: "61"}, nil, 0},
		{"busy for too long", response{status: 503, retryAfter: "18446744073709551616"}, nil, 0},
		{"negative Retry-After", response{status: 429, retryAfter: "-1"}, nil, 0},
		{"another success", response{status: 202, retryAfter: "1"}, nil, 0},
		{"redirect", response{status: 307, header: map[string]string{"Location": "http://127.0.0.1/other"}}, nil, 0},
		{"bad request", response{status: 400}, nil, 0},
		{"forbidden", response{status: 403}, nil, 0},
	}
	for _, tt := range tests {
		for _, operation := range all {
			t.Run(tt.name+", "+operation, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s, began := &stub{responses: []response{tt.response}}, time.Now()
					err := calls(t.Context(), newClient(t, s, client.WithRetries(1)))[operation]()
					want := 1
					if slices.Contains(tt.retried, operation) {
						want = 2
					}
					if len(s.requests) != want {
						t.Errorf("got %d requests, want %d", len(s.requests), want)
					}
					if waited := time.Since(began); want == 2 && (waited < tt.wait || waited >= tt.wait+200*time.Millisecond) {
						t.Errorf("waited %v, want %v plus less than 200ms of jitter", waited, tt.wait)
					}
					problem, ok := errors.AsType[*client.Problem](err)
					if tt.response.status == 0 {
						if !errors.Is(err, io.ErrUnexpectedEOF) {
							t.Errorf("got error %v, want %v", err, io.ErrUnexpectedEOF)
						}
					} else if !ok || problem.Status != tt.response.status {
						t.Errorf("got error %v, want a problem with status %d", err, tt.response.status)
					}
				})
			})
		}
	}
}

// TestRetries_SameRequest checks that a retry has the same key and body, and is authorized anew.
func TestRetries_SameRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &stub{responses: []response{{}, {status: 502}, {status: 201, body: `{"userId": "7", "name": "Ada"}`}}}
		tokens := 0
		c := newClient(t, s, client.WithAuthorization(client.Token(func() (string, error) {
			tokens++
			return fmt.Sprintf("token-%d", tokens), nil
		})))
		user, err := c.CreateUser(t.Context(), client.UserInput{Name: new("Ada")}, "")
		if err != nil || user.UserID != "7" {
			t.Fatalf("got %v, %v, want user 7", user, err)
		}
		if len(s.requests) != 3 {
			t.Fatalf("got %d requests, want 3", len(s.requests))
		}
		key := s.requests[0].Header.Get("Idempotency-Key")
		for i, r := range s.requests {
			if got, want := r.Header.Get("Authorization"), fmt.Sprintf("Bearer token-%d", i+1); got != want {
				t.Errorf("request %d: got Authorization %q, want %q", i, got, want)
			}
			if got := r.Header.Get("Idempotency-Key"); got == "" || got != key {
				t.Errorf("request %d: got Idempotency-Key %q, want %q", i, got, key)
			}
			if s.bodies[i] != `{"name":"Ada"}` {
				t.Errorf("request %d: got body %s, want the same in each request", i, s.bodies[i])
			}
		}
	})
}

// TestRetries_NotASuccess checks that a success with Retry-After is not retried.
func TestRetries_NotASuccess(t *testing.T) {
	t.Parallel()
	user := response{status: 200, retryAfter: "1", header: map[string]string{"ETag": `"E"`}, body: `{"userId": "1"}`}
	page := response{status: 200, retryAfter: "1", body: `{"items": [{"userId": "1"}]}`}
	created, deleted := user, response{status: 204, retryAfter: "1"}
	created.status = 201
	for name, res := range map[string]response{
		"get": user, "list": page, "create": created, "replace": user, "delete": deleted,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &stub{responses: []response{res}}
			if err := calls(t.Context(), newClient(t, s))[name](); err != nil || len(s.requests) != 1 {
				t.Errorf("got error %v after %d requests, want none after 1", err, len(s.requests))
			}
		})
	}
}

func TestRetries_ContextEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		timeout := errors.New("timeout")
		for _, res := range []response{{status: 503, retryAfter: "60"}, {status: 429, retryAfter: "60"}} {
			for name := range calls(t.Context(), nil) {
				s := &stub{responses: []response{res}}
				ctx, cancel := context.WithTimeoutCause(t.Context(), 30*time.Second, timeout)
				if err := calls(ctx, newClient(t, s))[name](); !errors.Is(err, timeout) {
					t.Errorf("%s: got error %v, want %v", name, err, timeout)
				}
				if len(s.requests) != 1 {
					t.Errorf("%s: got %d requests, want 1", name, len(s.requests))
				}
				cancel()
			}
		}
	})
}

// TestRedirect checks that redirects are not followed.
func TestRedirect(t *testing.T) {
	t.Parallel()
	for name := range calls(t.Context(), nil) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &stub{responses: []response{{status: 307, header: map[string]string{"Location": "/other"}}}}
			err := calls(t.Context(), newClient(t, s, client.WithAuthorization(client.APIKey("secret"))))[name]()
			if problem, ok := errors.AsType[*client.Problem](err); !ok || problem.Status != 307 || len(s.requests) != 1 {
				t.Errorf("got error %v after %d requests, want status 307 after 1", err, len(s.requests))
			}
		})
	}
}

func TestAuthorization_Fails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		expired := errors.New("the refresh token has expired")
		tokens := 0
		s, began := &stub{responses: []response{{status: 200}}}, time.Now()
		c := newClient(t, s, client.WithAuthorization(client.Token(func() (string, error) { tokens++; return "", expired })))
		all := calls(t.Context(), c)
		for name, call := range all {
			if err := call(); !errors.Is(err, expired) {
				t.Errorf("%s: got error %v, want %v", name, err, expired)
			}
		}
		if len(s.requests) > 0 || tokens != len(all) || time.Since(began) > 0 {
			t.Errorf("got %d requests and %d calls for a token in %v, want 0 and %d without a wait",
				len(s.requests), tokens, time.Since(began), len(all))
		}
	})
}

func TestProblem(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		response response
		want     api.Problem
		message  string
	}{
		{
			"problem document",
			response{status: 400, body: `{"type": "urn:problem-type:userrequestapi:InvalidUser", "status": 400,
				"title": "The user is not valid", "detail": "One value.", "code": "InvalidUser", "requestId": "r-2",
				"errors": [{"pointer": "#/name", "code": "InvalidName", "detail": "Too long."}]}`},
			api.Problem{Status: 400, Code: "InvalidUser", RequestID: "r-2"},
			"get a user: status 400 InvalidUser: One value. #/name InvalidName: Too long. (request r-2)",
		},
		{
			"problem document without status",
			response{status: 502, body: `{"type": "urn:problem-type:userrequestapi:BadGateway",
				"title": "No response", "code": "BadGateway", "requestId": "r-3"}`},
			api.Problem{Status: 502, Code: "BadGateway", RequestID: "r-3"},
			"get a user: status 502 BadGateway (request r-3)",
		},
		{
			"response of API Gateway",
			response{status: 431, body: `{"message": "Request Header Fields Too Large"}`},
			api.Problem{Status: 431, RequestID: "r-1"},
			"get a user: status 431: Request Header Fields Too Large (request r-1)",
		},
		{
			"response of another server",
			response{status: 403, mediaType: "text/html", body: "<html>"},
			api.Problem{Status: 403, RequestID: "r-1"},
			"get a user: status 403: want a problem document, got \"<html>\" (request r-1)",
		},
		{
			"response of a proxy, with a wrong media type",
			response{status: 502, body: "no upstream"},
			api.Problem{Status: 502, RequestID: "r-1"},
			"get a user: status 502: want a problem document, got \"no upstream\" (request r-1)",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := newClient(t, &stub{responses: []response{tt.response}}, client.WithRetries(0)).GetUser(t.Context(), "1")
			problem, ok := errors.AsType[*client.Problem](err)
			if !ok {
				t.Fatalf("got error %v, want a problem", err)
			}
			got := api.Problem{Status: problem.Status, Code: problem.Code, RequestID: problem.RequestID}
			if fmt.Sprint(got) != fmt.Sprint(tt.want) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			if err.Error() != tt.message {
				t.Errorf("got %q, want %q", err, tt.message)
			}
		})
	}
}

// TestOutcomeUnknown checks the outcome of writes after each sequence of responses. A retry can be refused because of
// the effect of an earlier attempt.
func TestOutcomeUnknown(t *testing.T) {
	t.Parallel()
	user := response{status: 200, header: map[string]string{"ETag": `"E"`}, body: `{"userId": "1"}`}
	created, failed := user, response{status: 500, body: `{"code": "StoreUnavailable"}`}
	created.status = 201
	writes := map[string]func(ctx context.Context, c *client.Client) error{
		"create": func(ctx context.Context, c *client.Client) error {
			_, err := c.CreateUser(ctx, client.UserInput{}, "")
			return err
		},
		"replace": func(ctx context.Context, c *client.Client) error {
			_, err := c.ReplaceUser(ctx, "1", client.UserInput{}, "")
			return err
		},
		"replace, with ETag": func(ctx context.Context, c *client.Client) error {
			_, err := c.ReplaceUser(ctx, "1", client.UserInput{}, `"E"`)
			return err
		},
		"replace, with ETag of another program": func(ctx context.Context, c *client.Client) error {
			_, err := c.ReplaceUser(ctx, "1", client.UserInput{}, `"h-E"`)
			return err
		},
		"replace, with *": func(ctx context.Context, c *client.Client) error {
			_, err := c.ReplaceUser(ctx, "1", client.UserInput{}, "*")
			return err
		},
		"delete":            func(ctx context.Context, c *client.Client) error { return c.DeleteUser(ctx, "1", "") },
		"delete, with ETag": func(ctx context.Context, c *client.Client) error { return c.DeleteUser(ctx, "1", `"E"`) },
		"invalid id":        func(ctx context.Context, c *client.Client) error { return c.DeleteUser(ctx, "", "") },
		"update": func(ctx context.Context, c *client.Client) error {
			_, err := c.UpdateUser(ctx, "1", func(*client.UserInput) error { return nil })
			return err
		},
	}
	for _, tt := range []struct {
		name, write string
		responses   []response
		status      int // of the problem; 0 for success, -1 for another error
		unknown     bool
		requests    int
	}{
		{"done", "create", []response{created}, 0, false, 1},
		{"refused", "create", []response{{status: 409}}, 409, false, 1},
		{"failed, then done", "create", []response{failed, created}, 0, false, 2},
		{"failed, then refused", "create", []response{failed, {status: 409}}, 409, true, 2},
		{"lost, then refused", "create", []response{{}, {status: 409}}, 409, true, 2},
		{"busy, then refused", "create", []response{{status: 503, retryAfter: "1"}, {status: 409}}, 409, false, 2},
		{"failed", "replace", []response{failed}, 500, true, 1},
		{"refused", "replace", []response{{status: 404}}, 404, false, 1},
		{"timed out", "replace", []response{{status: 504}}, 504, true, 1},
		{"redirected", "replace", []response{{status: 307}}, 307, false, 1},
		{"failed, then done", "replace, with ETag", []response{failed, user}, 0, false, 2},
		{"failed, then refused", "replace, with ETag", []response{failed, {status: 412}}, 412, true, 2},
		{"refused", "replace, with ETag", []response{{status: 412}}, 412, false, 1},
		{"failed", "replace, with ETag of another program", []response{failed}, 500, true, 1},
		{"failed", "replace, with *", []response{failed}, 500, true, 1},
		{"failed", "delete", []response{failed}, 500, true, 1},
		{"done", "delete", []response{{status: 204}}, 0, false, 1},
		{"failed, then refused", "delete, with ETag", []response{failed, {status: 404}}, 404, true, 2},
		{"not sent", "invalid id", []response{failed}, -1, false, 0},
		{"failed, then done", "update", []response{user, failed, user}, 0, false, 3},
		{"refused, then done", "update", []response{user, {status: 412}, user, user}, 0, false, 4},
		{"failed, then refused", "update", []response{user, failed, {status: 412}}, 412, true, 3}, // does not start again
		{"failed to read", "update", []response{failed}, 500, false, 5},
	} {
		t.Run(tt.write+" "+tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &stub{responses: tt.responses}
				err := writes[tt.write](t.Context(), newClient(t, s))
				if got := client.OutcomeUnknown(err); got != tt.unknown {
					t.Errorf("got error %v, unknown %t, want %t", err, got, tt.unknown)
				}
				problem, ok := errors.AsType[*client.Problem](err)
				if tt.status == 0 && err != nil || tt.status > 0 && (!ok || problem.Status != tt.status) {
					t.Errorf("got error %v, want status %d", err, tt.status)
				}
				if len(s.requests) != tt.requests {
					t.Errorf("got %d requests, want %d", len(s.requests), tt.requests)
				}
			})
		})
	}
}

// TestOutcomeUnknown_Transport checks the outcome of writes after errors of [http.Transport].
func TestOutcomeUnknown_Transport(t *testing.T) {
	t.Parallel()
	abort := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	server := httptest.NewServer(http.HandlerFunc(abort))
	t.Cleanup(server.Close)
	stopped := httptest.NewServer(http.NotFoundHandler())
	stopped.Close()
	for _, tt := range []struct {
		name     string
		canceled bool               // before the call
		dials    []*httptest.Server // the connections of the attempts
		unknown  bool
	}{
		{"refused connection", false, []*httptest.Server{stopped}, false},
		{"refused connections", false, []*httptest.Server{stopped, stopped}, false},
		{"canceled before", true, []*httptest.Server{server}, false},
		{"lost response", false, []*httptest.Server{server}, true},
		{"lost response, then refused connection", false, []*httptest.Server{server, stopped}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dials := 0
			transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				dials++
				return new(net.Dialer).DialContext(ctx, network, tt.dials[dials-1].Listener.Addr().String())
			}}
			t.Cleanup(transport.CloseIdleConnections)
			c, err := client.New("http://127.0.0.1/prod",
				client.WithHTTPClient(&http.Client{Transport: transport}), client.WithRetries(len(tt.dials)-1))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if tt.canceled {
				cancel()
			}
			_, err = c.CreateUser(ctx, client.UserInput{}, "")
			if got := client.OutcomeUnknown(err); err == nil || got != tt.unknown {
				t.Errorf("got error %v, unknown %t, want %t", err, got, tt.unknown)
			}
			if !tt.canceled && dials != len(tt.dials) {
				t.Errorf("got %d connections, want %d", dials, len(tt.dials))
			}
		})
	}
}

// TestUpdateUser_GivesUp checks that UpdateUser fails after 10 conflicts.
func TestUpdateUser_GivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		changed := 0
		s := &stub{}
		for range 100 {
			s.responses = append(s.responses, response{
				status: 200, header: map[string]string{"ETag": `"E"`},
				body: `{"userId": "1", "createdAt": "2026-01-02T03:04:05.670Z", "n": 1.10}`,
			}, response{status: 412})
		}
		_, err := newClient(t, s).UpdateUser(t.Context(), "1", func(*client.UserInput) error { changed++; return nil })
		if problem, ok := errors.AsType[*client.Problem](err); !ok || problem.Status != 412 || changed != 10 {
			t.Errorf("got error %v after %d calls of change, want status 412 after 10", err, changed)
		}
		if want := `{"n":1.10,"userId":"1"}`; s.bodies[1] != want {
			t.Errorf("got body %s, want %s", s.bodies[1], want)
		}
	})
}

// TestUpdateUser_NoETag checks that UpdateUser never replaces a user without a condition.
func TestUpdateUser_NoETag(t *testing.T) {
	t.Parallel()
	s := &stub{responses: []response{{status: 200, body: `{"userId": "1"}`}}}
	_, err := newClient(t, s).UpdateUser(t.Context(), "1", func(*client.UserInput) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "ETag") || len(s.requests) != 1 {
		t.Errorf("got error %v after %d requests, want one about the ETag after 1", err, len(s.requests))
	}
}

// TestInvalidUser checks that a response without a user is an error.
func TestInvalidUser(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		"[]", "7", "null", "{}", `{"userId": "1"`, `{"userId": null}`, `{"userId": 7}`, `{"items": [{"userId": "1"}]}`,
	} {
		t.Run(body, func(t *testing.T) {
			t.Parallel()
			for _, status := range []int{200, 201} {
				for _, name := range []string{"get", "create", "replace"} {
					s := &stub{responses: []response{{status: status, body: body}}}
					if err := calls(t.Context(), newClient(t, s))[name](); err == nil {
						t.Errorf("%s: got %s as a user, want an error", name, body)
					}
				}
			}
			s := &stub{responses: []response{{status: 200, body: `{"items": [` + body + `]}`}}}
			if err := calls(t.Context(), newClient(t, s))["list"](); err == nil {
				t.Errorf("list: got %s as a user, want an error", body)
			}
		})
	}
}

// TestGetUser_Foreign checks that the attributes of a user that another program wrote are unchanged.
func TestGetUser_Foreign(t *testing.T) {
	t.Parallel()
	body := `{"userId": "1", "name": null, "email": 7, "html": "<&>", "n": 1.10}`
	s := &stub{responses: []response{{status: 200, body: body}}}
	user, err := newClient(t, s).GetUser(t.Context(), "1")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for name, member := range user.AdditionalProperties {
		got[name] = string(member)
	}
	want := map[string]string{"name": "null", "email": "7", "html": `"<&>"`, "n": "1.10"}
	if !maps.Equal(got, want) || user.Name != nil || user.Email != nil {
		t.Errorf("got %v, want %v in AdditionalProperties", got, want)
	}
}

// TestInvalidUserID checks that no request is sent for an invalid id.
func TestInvalidUserID(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"", "\xff", strings.Repeat("a", 2049)} {
		t.Run(fmt.Sprintf("%.20q", id), func(t *testing.T) {
			t.Parallel()
			s := &stub{responses: []response{{
				status: 200, header: map[string]string{"ETag": `"E"`}, body: `{"userId": "1"}`,
			}}}
			c := newClient(t, s)
			_, got := c.GetUser(t.Context(), id)
			_, replaced := c.ReplaceUser(t.Context(), id, client.UserInput{}, "")
			_, updated := c.UpdateUser(t.Context(), id, func(*client.UserInput) error { return nil })
			for _, err := range []error{got, replaced, updated, c.DeleteUser(t.Context(), id, "")} {
				want := fmt.Sprintf("userId: want 1 to 2048 bytes of UTF-8, got %.200q", id)
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got error %v, want %q", err, want)
				}
			}
			if len(s.requests) > 0 {
				t.Errorf("got %d requests, want none", len(s.requests))
			}
		})
	}
}

// TestUserPath checks the URL for each id, including ids that only other programs can create.
func TestUserPath(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"1":         "/prod/users/1",
		".a":        "/prod/users/.a",
		"...":       "/prod/users/...",
		"-":         "/prod/users/-",
		"a.b_c~d-e": "/prod/users/a.b_c~d-e",
		" ":         "/prod/users/%20",
		".":         "/prod/users?userId=.",
		"..":        "/prod/users?userId=..",
		"a/b":       "/prod/users?userId=a%2Fb",
		"a?b&c":     "/prod/users?userId=a%3Fb%26c",
		"café x":    "/prod/users?userId=caf%C3%A9+x",
		"%2e":       "/prod/users?userId=%252e",
	} {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			s := &stub{responses: []response{
				{status: 200, header: map[string]string{"ETag": `"E"`}, body: `{"userId": "1"}`},
				{status: 200, header: map[string]string{"ETag": `"E"`}, body: `{"userId": "1"}`},
				{status: 204},
			}}
			c := newClient(t, s)
			_, got := c.GetUser(t.Context(), id)
			_, replaced := c.ReplaceUser(t.Context(), id, client.UserInput{}, "")
			if err := errors.Join(got, replaced, c.DeleteUser(t.Context(), id, "")); err != nil {
				t.Error(err)
			}
			for i, method := range []string{"GET", "PUT", "DELETE"} {
				if r := s.requests[i]; r.Method != method || r.URL.RequestURI() != want {
					t.Errorf("got %s %s, want %s %s", r.Method, r.URL.RequestURI(), method, want)
				}
			}
		})
	}
}

func TestUpdateUser_ErrorOfChange(t *testing.T) {
	t.Parallel()
	want := errors.New("error of change")
	s := &stub{responses: []response{{status: 200, header: map[string]string{"ETag": `"E"`}, body: `{"userId": "1"}`}}}
	_, err := newClient(t, s).UpdateUser(t.Context(), "1", func(*client.UserInput) error { return want })
	if !errors.Is(err, want) {
		t.Errorf("got error %v, want %v", err, want)
	}
	if len(s.requests) != 1 {
		t.Errorf("got %d requests, want 1", len(s.requests))
	}
}

func TestNew_InvalidURL(t *testing.T) {
	t.Parallel()
	for _, invokeURL := range []string{"", "/prod", "127.0.0.1:3000/prod", "http://127.0.0.1:port/prod"} {
		t.Run(invokeURL, func(t *testing.T) {
			t.Parallel()
			if _, err := client.New(invokeURL); err == nil || !strings.Contains(err.Error(), invokeURL) {
				t.Errorf("got error %v, want one with the URL", err)
			}
		})
	}
}
