package faults_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/deploy/check/unreliable"
	"github.com/userrequestapi/userdata/shared/user/usertest"
)

// TestLostResponse loses the response to a write that the database executed. A create, which is not retried, and a
// replacement, which is, succeed because the table proves it. The outcome of a delete with If-Match is unknown.
func TestLostResponse(t *testing.T) {
	t.Parallel()
	faults := []struct {
		name     string
		fault    unreliable.Fault
		times    int
		attempts []string // the SDK's attempts for a PUT or DELETE
	}{
		{"closed once", unreliable.CloseAfter, 1, []string{"1", "1"}}, // retried by net/http
		{"reset once", unreliable.ResetAfter, 1, []string{"1", "1"}},
		{"closed twice", unreliable.CloseAfter, 2, []string{"1", "1", "2"}}, // retried by net/http, then by the SDK
		{"truncated", unreliable.Truncate, 1, []string{"1", "2"}},
		{"timed out", unreliable.DropResponse, 1, []string{"1", "2"}},
	}
	writes := []struct {
		name, method, path, body string
		headers                  stacktest.Headers
		ifMatch                  bool
		operation                string
		status                   int
	}{
		{name: "post", method: http.MethodPost, path: "/users", body: usertest.Body(t, `{"userId":"new","name":"Ada"}`),
			operation: "PutItem", status: http.StatusCreated},
		{name: "post without id", method: http.MethodPost, path: "/users", body: usertest.Body(t, `{"name":"Ada"}`),
			operation: "PutItem", status: http.StatusCreated},
		{name: "post with a key", method: http.MethodPost, path: "/users", body: usertest.Body(t, `{"userId":"keyed","name":"Ada"}`),
			headers: stacktest.Headers{"Idempotency-Key": "one"}, operation: "PutItem", status: http.StatusCreated},
		{name: "post with a key, without id", method: http.MethodPost, path: "/users", body: usertest.Body(t, `{"name":"Ada"}`),
			headers: stacktest.Headers{"Idempotency-Key": "two"}, operation: "PutItem", status: http.StatusCreated},
		{name: "put", method: http.MethodPut, path: "/users/old", body: usertest.Body(t, `{"name":"Ada"}`),
			operation: "PutItem", status: http.StatusOK},
		{name: "put with If-Match", method: http.MethodPut, path: "/users/old", body: usertest.Body(t, `{"name":"Grace"}`), ifMatch: true,
			operation: "PutItem", status: http.StatusOK},
		{name: "delete", method: http.MethodDelete, path: "/users/old",
			operation: "DeleteItem", status: http.StatusNoContent},
		{name: "delete with If-Match", method: http.MethodDelete, path: "/users/old", ifMatch: true,
			operation: "DeleteItem", status: http.StatusInternalServerError},
	}
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			p := unreliable.NewDatabase(t)
			s := startWarm(t, p, "old")
			users := 1
			for _, w := range writes {
				t.Run(w.name, func(t *testing.T) {
					if f.fault == unreliable.DropResponse && (w.ifMatch || w.headers != nil) {
						return // each takes the timeout of an attempt
					}
					before := s.Do(t, http.MethodGet, "/users/old", "")
					if before.Status == http.StatusNotFound { // deleted by the previous write
						before = s.Do(t, http.MethodPost, "/users", usertest.Body(t, `{"userId":"old"}`)).Want(t, http.StatusCreated)
						users++
					}
					headers := stacktest.Headers{}
					if w.ifMatch {
						headers["If-Match"] = before.Header.Get("Etag")
					}
					p.ResetOperations()
					p.Fail(unreliable.First(f.times, w.operation, f.fault))
					res := s.Do(t, w.method, w.path, w.body, w.headers, headers)
					p.Fail(nil)

					if res.Status != w.status {
						t.Fatalf("got status %d, want %d: %s", res.Status, w.status, res.Body)
					}
					var attempts []string
					for _, o := range p.Operations() {
						if o.Name == w.operation {
							attempts = append(attempts, o.Attempt)
						}
					}
					want := f.attempts
					if w.method == http.MethodPost {
						want = []string{"1"}
					}
					if diff := cmp.Diff(want, attempts); diff != "" {
						t.Errorf("attempts (-want +got):\n%s", diff)
					}
					if line := requestLine(t, s, res); line.Retries != len(want)-1 {
						t.Errorf("got %d retries in the log, want %d", line.Retries, len(want)-1)
					}
					switch w.method {
					case http.MethodPost:
						users++
						if replayed := res.Header.Get("Idempotent-Replayed"); replayed != "" {
							t.Errorf("got Idempotent-Replayed %s, want none for the first request", replayed)
						}
						wantRevision(t, s, res.JSON(t)["userId"].(string), res)
					case http.MethodPut:
						if got, want := res.JSON(t)["createdAt"], before.JSON(t)["createdAt"]; got != want {
							t.Errorf("got createdAt %v, want %v", got, want)
						}
						wantRevision(t, s, "old", res)
					case http.MethodDelete:
						users--
					}
					wantUsers(t, s, users)
				})
			}
			wantNoFaults(t, s)
		})
	}
}

// TestLostThenThrottled loses the response to a write that the database executed, then throttles all requests. The
// response must not be StoreThrottled, which means that the write had no effect.
func TestLostThenThrottled(t *testing.T) {
	t.Parallel()
	for _, w := range []struct {
		method, path, operation, user string
		status                        int // of a GET afterwards
	}{
		{http.MethodPost, "/users", "PutItem", "new", http.StatusOK},
		{http.MethodPut, "/users/old", "PutItem", "old", http.StatusOK},
		{http.MethodDelete, "/users/old", "DeleteItem", "old", http.StatusNotFound},
	} {
		t.Run(w.method, func(t *testing.T) {
			t.Parallel()
			p := unreliable.NewDatabase(t)
			s := startWarm(t, p, "old")
			etag := s.Do(t, http.MethodGet, "/users/old", "").Want(t, http.StatusOK).Header.Get("Etag")
			lose, lost := unreliable.First(1, w.operation, unreliable.Truncate), false
			p.Fail(func(name string) unreliable.Fault {
				if f := lose(name); f != unreliable.None {
					lost = true
					return f
				}
				if lost {
					return unreliable.Throttle
				}
				return unreliable.None
			})
			headers := stacktest.Headers{}
			if w.method != http.MethodPost {
				headers["If-Match"] = etag
			}
			res := s.Do(t, w.method, w.path, usertest.Body(t, `{"userId":"`+w.user+`","name":"Ada"}`), headers)
			p.Fail(nil)
			res.Problem(t, http.StatusInternalServerError, "StoreUnavailable")
			if got := res.Header.Get("Retry-After"); got != "" {
				t.Errorf("got Retry-After %s, want none", got)
			}
			now := s.Do(t, http.MethodGet, "/users/"+w.user, "").Want(t, w.status)
			if w.status == http.StatusOK && now.JSON(t)["name"] != "Ada" {
				t.Errorf("got user %s, want the name Ada: the test must lose the response to the write", now.Body)
			}
			wantNoFaults(t, s)
		})
	}
}
