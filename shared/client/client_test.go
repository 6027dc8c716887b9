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
		fmt.Printf("The examples are skipped: %s has no invoke URL of a stage, such as http://127.0.0.1:3000/prod.\n", invokeURL)
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

// stage answers requests one after the other; the last answer is for all that follow.
type stage struct {
	answers  []answer
	requests []*http.Request
	bodies   []string
}

type answer struct {
	status     int // 0: none
	retryAfter string
	header     map[string]string // further ones
	mediaType  string            // application/json where empty
	body       string            // {} where empty
}

// RoundTrip implements [http.RoundTripper].
func (s *stage) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	next := s.answers[min(len(s.requests), len(s.answers)-1)]
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

func connect(t *testing.T, s *stage, options ...client.Option) *client.Client {
	t.Helper()
	c, err := client.New("http://127.0.0.1/prod", append(options, client.WithHTTPClient(&http.Client{Transport: s}))...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// calls are the operations by name, each of them called once.
func calls(ctx context.Context, c *client.Client) map[string]func() error {
	return map[string]func() error{
		"get": func() error { _, err := c.GetUser(ctx, "1"); return err },
		"list": func() error {
			for _, err := range c.Users(ctx, 0) {
				return err
			}
			return nil
		},
		"create":  func() error { _, err := c.CreateUser(ctx, client.UserInput{Name: new("Ada")}, ""); return err },
		"replace": func() error { _, err := c.ReplaceUser(ctx, "1", client.UserInput{Name: new("Ada")}, `"E"`); return err },
		"delete":  func() error { return c.DeleteUser(ctx, "1", "") },
	}
}

// TestRetries tells what is repeated: what was refused with the time to come again, and of what may come twice, whatever the service
// failed at.
func TestRetries(t *testing.T) {
	t.Parallel()
	safe, all := []string{"get", "list", "create", "replace"}, []string{"get", "list", "create", "replace", "delete"}
	tests := []struct {
		name     string
		answer   answer
		repeated []string // operations
		wait     time.Duration
	}{
		{"no answer", answer{}, safe, 200 * time.Millisecond},
		{"throttled", answer{status: 429, retryAfter: "1"}, all, time.Second},
		{"busy", answer{status: 503, retryAfter: "2"}, all, 2 * time.Second},
		{"a quota is used up", answer{status: 429}, nil, 0},
		{"failed", answer{status: 500}, safe, 200 * time.Millisecond},
		{"no answer from the function", answer{status: 502}, safe, 200 * time.Millisecond},
		{"out of service", answer{status: 503}, safe, 200 * time.Millisecond},
		{"timed out", answer{status: 504}, safe, 200 * time.Millisecond},
		{"failed, with a time that is not to be told then", answer{status: 500, retryAfter: "9"}, safe, 200 * time.Millisecond},
		{"timed out, with such a time", answer{status: 504, retryAfter: "9"}, safe, 200 * time.Millisecond},
		{"throttled for long", answer{status: 429, retryAfter: "60"}, all, time.Minute},
		{"throttled for too long", answer{status: 429, retryAfter: "61"}, nil, 0},
		{"busy for too long", answer{status: 503, retryAfter: "18446744073709551616"}, nil, 0},
		{"throttled for no time", answer{status: 429, retryAfter: "-1"}, nil, 0},
		{"another success", answer{status: 202, retryAfter: "1"}, nil, 0},
		{"elsewhere", answer{status: 307, header: map[string]string{"Location": "http://127.0.0.1/other"}}, nil, 0},
		{"refused", answer{status: 400}, nil, 0},
		{"forbidden", answer{status: 403}, nil, 0},
	}
	for _, tt := range tests {
		for _, operation := range all {
			t.Run(tt.name+", "+operation, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s, began := &stage{answers: []answer{tt.answer}}, time.Now()
					err := calls(t.Context(), connect(t, s, client.WithRetries(1)))[operation]()
					want := 1
					if slices.Contains(tt.repeated, operation) {
						want = 2
					}
					if len(s.requests) != want {
						t.Errorf("got %d requests, want %d", len(s.requests), want)
					}
					if waited := time.Since(began); want == 2 && (waited < tt.wait || waited >= tt.wait+200*time.Millisecond) {
						t.Errorf("waited for %v, want %v and up to 200ms to be out of step", waited, tt.wait)
					}
					problem, ok := errors.AsType[*client.Problem](err)
					if tt.answer.status == 0 {
						if !errors.Is(err, io.ErrUnexpectedEOF) {
							t.Errorf("got error %v, want %v", err, io.ErrUnexpectedEOF)
						}
					} else if !ok || problem.Status != tt.answer.status {
						t.Errorf("got error %v, want a problem with status %d", err, tt.answer.status)
					}
				})
			})
		}
	}
}

// TestRetries_SameRequest sees that what is sent again is the request that was sent, key and body included, authorized anew.
func TestRetries_SameRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &stage{answers: []answer{{}, {status: 502}, {status: 201, body: `{"userId": "7", "name": "Ada"}`}}}
		tokens := 0
		c := connect(t, s, client.WithAuthorization(client.Token(func() (string, error) {
			tokens++
			return fmt.Sprintf("token-%d", tokens), nil
		})))
		user, err := c.CreateUser(t.Context(), client.UserInput{Name: new("Ada")}, "")
		if err != nil || user.UserID != "7" {
			t.Fatalf("got %v, %v, want the user 7", user, err)
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
				t.Errorf("request %d: got body %s", i, s.bodies[i])
			}
		}
	})
}

// TestRetries_NotASuccess sees that what was done is not done again, whatever headers the answer has.
func TestRetries_NotASuccess(t *testing.T) {
	t.Parallel()
	user := answer{status: 200, retryAfter: "1", header: map[string]string{"ETag": `"E"`}, body: `{"userId": "1"}`}
	created, deleted, page := user, answer{status: 204, retryAfter: "1"}, answer{status: 200, retryAfter: "1", body: `{"items": [{"userId": "1"}]}`}
	created.status = 201
	for name, given := range map[string]answer{"get": user, "list": page, "create": created, "replace": user, "delete": deleted} {
		s := &stage{answers: []answer{given}}
		if err := calls(t.Context(), connect(t, s))[name](); err != nil || len(s.requests) != 1 {
			t.Errorf("%s: got error %v after %d requests, want none after 1", name, err, len(s.requests))
		}
	}
}

func TestRetries_ContextEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		enough := errors.New("waited for long enough")
		for _, given := range []answer{{status: 503, retryAfter: "60"}, {status: 429, retryAfter: "60"}} {
			for name := range calls(t.Context(), nil) {
				s := &stage{answers: []answer{given}}
				ctx, cancel := context.WithTimeoutCause(t.Context(), 30*time.Second, enough)
				if err := calls(ctx, connect(t, s))[name](); !errors.Is(err, enough) {
					t.Errorf("%s: got error %v, want %v", name, err, enough)
				}
				if len(s.requests) != 1 {
					t.Errorf("%s: got %d requests, want 1", name, len(s.requests))
				}
				cancel()
			}
		}
	})
}

// TestRedirect sees that credentials go nowhere but to the stage.
func TestRedirect(t *testing.T) {
	t.Parallel()
	for name := range calls(t.Context(), nil) {
		s := &stage{answers: []answer{{status: 307, header: map[string]string{"Location": "/other"}}}}
		err := calls(t.Context(), connect(t, s, client.WithAuthorization(client.APIKey("secret"))))[name]()
		if problem, ok := errors.AsType[*client.Problem](err); !ok || problem.Status != 307 || len(s.requests) != 1 {
			t.Errorf("%s: got error %v after %d requests, want status 307 after 1", name, err, len(s.requests))
		}
	}
}

func TestAuthorization_Fails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		expired := errors.New("the refresh token has expired")
		asked := 0
		s, began := &stage{answers: []answer{{status: 200}}}, time.Now()
		c := connect(t, s, client.WithAuthorization(client.Token(func() (string, error) { asked++; return "", expired })))
		all := calls(t.Context(), c)
		for name, call := range all {
			if err := call(); !errors.Is(err, expired) {
				t.Errorf("%s: got error %v, want %v", name, err, expired)
			}
		}
		if len(s.requests) > 0 || asked != len(all) || time.Since(began) > 0 {
			t.Errorf("got %d requests and %d tokens in %v, want none and %d at once", len(s.requests), asked, time.Since(began), len(all))
		}
	})
}

func TestProblem(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		answer answer
		want   api.Problem
		text   string
	}{
		{
			"a problem document",
			answer{status: 400, body: `{"type": "urn:problem-type:userrequestapi:InvalidUser", "title": "The user is not valid", "status": 400,
				"detail": "One value.", "code": "InvalidUser", "requestId": "r-2",
				"errors": [{"pointer": "#/name", "code": "InvalidName", "detail": "Too long."}]}`},
			api.Problem{Status: 400, Code: "InvalidUser", RequestID: "r-2"},
			"get a user: status 400 InvalidUser: One value. #/name InvalidName: Too long. (request r-2)",
		},
		{
			"one that does not know its status",
			answer{status: 502, body: `{"type": "urn:problem-type:userrequestapi:BadGateway", "title": "No answer", "code": "BadGateway", "requestId": "r-3"}`},
			api.Problem{Status: 502, Code: "BadGateway", RequestID: "r-3"},
			"get a user: status 502 BadGateway (request r-3)",
		},
		{
			"API Gateway's own",
			answer{status: 431, body: `{"message": "Request Header Fields Too Large"}`},
			api.Problem{Status: 431, RequestID: "r-1"},
			"get a user: status 431: Request Header Fields Too Large (request r-1)",
		},
		{
			"of another server",
			answer{status: 403, mediaType: "text/html", body: "<html>"},
			api.Problem{Status: 403, RequestID: "r-1"},
			"get a user: status 403: the answer is no problem document but \"<html>\" (request r-1)",
		},
		{
			"of a proxy that does not know what JSON is",
			answer{status: 502, body: "no upstream"},
			api.Problem{Status: 502, RequestID: "r-1"},
			"get a user: status 502: the answer is no problem document but \"no upstream\" (request r-1)",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := connect(t, &stage{answers: []answer{tt.answer}}, client.WithRetries(0)).GetUser(t.Context(), "1")
			problem, ok := errors.AsType[*client.Problem](err)
			if !ok {
				t.Fatalf("got error %v, want a problem", err)
			}
			got := api.Problem{Status: problem.Status, Code: problem.Code, RequestID: problem.RequestID}
			if fmt.Sprint(got) != fmt.Sprint(tt.want) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			if err.Error() != tt.text {
				t.Errorf("got %q, want %q", err, tt.text)
			}
		})
	}
}

// TestOutcomeUnknown has one or two responses to writes. A write that is refused after an attempt that may have taken effect was perhaps
// refused because of that effect.
func TestOutcomeUnknown(t *testing.T) {
	t.Parallel()
	user := answer{status: 200, header: map[string]string{"ETag": `"E"`}, body: `{"userId": "1"}`}
	created, failed := user, answer{status: 500, body: `{"code": "StoreUnavailable"}`}
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
		answers     []answer
		status      int // of the problem; 0: success
		unknown     bool
		requests    int
	}{
		{"done", "create", []answer{created}, 0, false, 1},
		{"refused", "create", []answer{{status: 409}}, 409, false, 1},
		{"failed, then done", "create", []answer{failed, created}, 0, false, 2},
		{"failed, then refused", "create", []answer{failed, {status: 409}}, 409, true, 2},
		{"lost, then refused", "create", []answer{{}, {status: 409}}, 409, true, 2},
		{"busy, then refused", "create", []answer{{status: 503, retryAfter: "1"}, {status: 409}}, 409, false, 2},
		{"failed", "replace", []answer{failed}, 500, true, 1},
		{"refused", "replace", []answer{{status: 404}}, 404, false, 1},
		{"timed out", "replace", []answer{{status: 504}}, 504, true, 1},
		{"redirected", "replace", []answer{{status: 307}}, 307, false, 1},
		{"failed, then done", "replace, with ETag", []answer{failed, user}, 0, false, 2},
		{"failed, then refused", "replace, with ETag", []answer{failed, {status: 412}}, 412, true, 2},
		{"refused", "replace, with ETag", []answer{{status: 412}}, 412, false, 1},
		{"failed", "replace, with ETag of another program", []answer{failed}, 500, true, 1},
		{"failed", "replace, with *", []answer{failed}, 500, true, 1},
		{"failed", "delete", []answer{failed}, 500, true, 1},
		{"done", "delete", []answer{{status: 204}}, 0, false, 1},
		{"failed, then refused", "delete, with ETag", []answer{failed, {status: 404}}, 404, true, 2},
		{"not sent", "invalid id", []answer{failed}, -1, false, 0},
		{"failed, then done", "update", []answer{user, failed, user}, 0, false, 3},
		{"refused, then done", "update", []answer{user, {status: 412}, user, user}, 0, false, 4},
		{"failed, then refused", "update", []answer{user, failed, {status: 412}}, 412, true, 3}, // no second round
		{"failed to read", "update", []answer{failed}, 500, false, 5},
	} {
		t.Run(tt.write+" "+tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &stage{answers: tt.answers}
				err := writes[tt.write](t.Context(), connect(t, s))
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

// TestOutcomeUnknown_Transport has errors of [http.Transport]. A request without a connection was not sent.
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

// TestUpdateUser_GivesUp sees that a service that never takes the user back is not asked for ever.
func TestUpdateUser_GivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		changed := 0
		s := &stage{}
		for range 100 {
			s.answers = append(s.answers, answer{
				status: 200, header: map[string]string{"ETag": `"E"`},
				body: `{"userId": "1", "createdAt": "2026-01-02T03:04:05.670Z", "n": 1.10}`,
			}, answer{status: 412})
		}
		_, err := connect(t, s).UpdateUser(t.Context(), "1", func(*client.UserInput) error { changed++; return nil })
		if problem, ok := errors.AsType[*client.Problem](err); !ok || problem.Status != 412 || changed != 10 {
			t.Errorf("got error %v after %d changes, want status 412 after 10", err, changed)
		}
		if want := `{"n":1.10,"userId":"1"}`; s.bodies[1] != want {
			t.Errorf("sent back %s, want %s", s.bodies[1], want)
		}
	})
}

// TestUpdateUser_NoETag sees that a user is never replaced without a condition.
func TestUpdateUser_NoETag(t *testing.T) {
	t.Parallel()
	s := &stage{answers: []answer{{status: 200, body: `{"userId": "1"}`}}}
	_, err := connect(t, s).UpdateUser(t.Context(), "1", func(*client.UserInput) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "ETag") || len(s.requests) != 1 {
		t.Errorf("got error %v after %d requests, want one about the ETag after 1", err, len(s.requests))
	}
}

// TestNoUser sees that nothing passes for a user that is none.
func TestNoUser(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"[]", "7", "null", "{}", `{"userId": "1"`, `{"userId": null}`, `{"userId": 7}`, `{"items": [{"userId": "1"}]}`} {
		for _, status := range []int{200, 201} {
			for _, name := range []string{"get", "create", "replace"} {
				s := &stage{answers: []answer{{status: status, body: body}}}
				if err := calls(t.Context(), connect(t, s))[name](); err == nil {
					t.Errorf("%s: got %s as a user, want an error", name, body)
				}
			}
		}
		s := &stage{answers: []answer{{status: 200, body: `{"items": [` + body + `]}`}}}
		if err := calls(t.Context(), connect(t, s))["list"](); err == nil {
			t.Errorf("list: got %s as a user, want an error", body)
		}
	}
}

// TestGetUser_AsItCame sees that nothing is lost of a user that others have written, nor written in another way.
func TestGetUser_AsItCame(t *testing.T) {
	t.Parallel()
	s := &stage{answers: []answer{{status: 200, body: `{"userId": "1", "name": null, "email": 7, "html": "<&>", "n": 1.10}`}}}
	user, err := connect(t, s).GetUser(t.Context(), "1")
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

// TestNoUserID checks that no request is sent for an id that no user can have.
func TestNoUserID(t *testing.T) {
	t.Parallel()
	s := &stage{answers: []answer{{status: 200, header: map[string]string{"ETag": `"E"`}, body: `{"userId": "1"}`}}}
	c := connect(t, s)
	for _, id := range []string{"", "\xff", strings.Repeat("a", 2049)} {
		_, got := c.GetUser(t.Context(), id)
		_, replaced := c.ReplaceUser(t.Context(), id, client.UserInput{}, "")
		_, updated := c.UpdateUser(t.Context(), id, func(*client.UserInput) error { return nil })
		for _, err := range []error{got, replaced, updated, c.DeleteUser(t.Context(), id, "")} {
			if want := fmt.Sprintf("%.200q is no userId", id); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got error %v, want one with %s", err, want)
			}
		}
	}
	if len(s.requests) > 0 {
		t.Errorf("got %d requests, want none", len(s.requests))
	}
}

// TestAddresses checks the address of each id, those of other programs included.
func TestAddresses(t *testing.T) {
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
		s := &stage{answers: []answer{
			{status: 200, header: map[string]string{"ETag": `"E"`}, body: `{"userId": "1"}`},
			{status: 200, header: map[string]string{"ETag": `"E"`}, body: `{"userId": "1"}`},
			{status: 204},
		}}
		c := connect(t, s)
		_, got := c.GetUser(t.Context(), id)
		_, replaced := c.ReplaceUser(t.Context(), id, client.UserInput{}, "")
		if err := errors.Join(got, replaced, c.DeleteUser(t.Context(), id, "")); err != nil {
			t.Errorf("%s: %v", id, err)
		}
		for i, method := range []string{"GET", "PUT", "DELETE"} {
			if r := s.requests[i]; r.Method != method || r.URL.RequestURI() != want {
				t.Errorf("%s: got %s %s, want %s %s", id, r.Method, r.URL.RequestURI(), method, want)
			}
		}
	}
}

func TestUpdateUser_ErrorOfChange(t *testing.T) {
	t.Parallel()
	refused := errors.New("refused")
	s := &stage{answers: []answer{{status: 200, header: map[string]string{"ETag": `"E"`}, body: `{"userId": "1"}`}}}
	if _, err := connect(t, s).UpdateUser(t.Context(), "1", func(*client.UserInput) error { return refused }); !errors.Is(err, refused) {
		t.Errorf("got error %v, want %v", err, refused)
	}
	if len(s.requests) != 1 {
		t.Errorf("got %d requests, want 1", len(s.requests))
	}
}

func TestNew_Refuses(t *testing.T) {
	t.Parallel()
	for _, invokeURL := range []string{"", "/prod", "127.0.0.1:3000/prod", "http://127.0.0.1:port/prod"} {
		if _, err := client.New(invokeURL); err == nil || !strings.Contains(err.Error(), invokeURL) {
			t.Errorf("%q: got error %v, want one that names it", invokeURL, err)
		}
	}
}
