package e2e_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/shared/user/usertest"
)

// TestAuthorization checks each type of authorization: an authorized caller may use all operations, others get a
// problem document, and the index and OPTIONS need no authorization.
func TestAuthorization(t *testing.T) {
	t.Parallel()
	token := func(header string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", header) }
	}
	key := func(value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("X-Api-Key", value) }
	}
	unchanged := func(*http.Request) {}
	type refusal struct {
		change func(*http.Request) // modifies an authorized request
		status int
		code   string
	}
	for authorization, refusals := range map[string]map[string]refusal{
		"NONE": nil,
		"AWS_IAM": {
			"unsigned":     {func(r *http.Request) { r.Header.Del("Authorization") }, 403, "MissingAuthenticationToken"},
			"token":        {token("Bearer abc"), 403, "InvalidSignature"},
			"other query":  {func(r *http.Request) { r.URL.RawQuery = "userId=eve" }, 403, "InvalidSignature"},
			"other method": {func(r *http.Request) { r.Method = http.MethodPut }, 403, "InvalidSignature"},
			"API key":      {func(r *http.Request) { r.Header = http.Header{"X-Api-Key": {"abc"}} }, 403, "MissingAuthenticationToken"},
		},
		"COGNITO_USER_POOLS": {
			"no token":       {func(r *http.Request) { r.Header.Del("Authorization") }, 401, "Unauthorized"},
			"not a token":    {token("Bearer abc"), 401, "Unauthorized"},
			"modified token": {func(r *http.Request) { r.Header.Set("Authorization", r.Header.Get("Authorization")+"A") }, 401, "Unauthorized"},
			"unsigned token": {token("eyJhbGciOiJub25lIn0.e30."), 401, "Unauthorized"},
		},
		"API_KEY": {
			"no key":    {func(r *http.Request) { r.Header.Del("X-Api-Key") }, 403, "InvalidApiKey"},
			"wrong key": {key("abc"), 403, "InvalidApiKey"},
		},
	} {
		t.Run(authorization, func(t *testing.T) {
			t.Parallel()
			s := stacktest.Start(t, stacktest.Parameters(map[string]string{"Authorization": authorization}))
			send := func(method, path, body string, change func(*http.Request)) stacktest.Response {
				t.Helper()
				req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				if body != "" {
					req.Header.Set("Content-Type", "application/json")
				}
				if err := s.Authorize(req); err != nil {
					t.Fatal(err)
				}
				change(req)
				return s.Send(t, req)
			}
			call := func(method, path, body string) stacktest.Response {
				t.Helper()
				return send(method, path, body, unchanged)
			}

			const path = "/users/a~b.c_d-e"
			call("POST", "/users", usertest.Body(t, `{"userId": "a~b.c_d-e"}`)).Want(t, 201)
			call("GET", path, "").Want(t, 200)
			call("GET", "/users?userId=a~b.c_d-e", "").Want(t, 200)
			call("HEAD", "/users/a%7Eb.c_d-e", "").Want(t, 200)
			call("GET", "/users?limit=10", "").Want(t, 200)
			call("PUT", path, usertest.Body(t, `{"name": "Ada Lovelace"}`)).Want(t, 200)

			for name, r := range refusals {
				t.Run(name, func(t *testing.T) {
					got := send("DELETE", "/users?userId=a~b.c_d-e", "", r.change)
					got.Problem(t, r.status, r.code)
					wantHeaders(t, got, stacktest.Headers{
						"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Access-Control-Allow-Origin": "*",
					})
				})
			}
			if refusals == nil {
				s.Do(t, "GET", path, "").Want(t, 200)
			}
			call("DELETE", path, "").Want(t, 204)
			call("GET", path, "").Problem(t, 404, "UserNotFound")

			s.Do(t, "OPTIONS", path, "").Want(t, 204)
			s.Do(t, "GET", "/nothing", "").Problem(t, 404, "RouteNotFound")
			s.Do(t, s.Unsupported(t, path), path, "").Problem(t, 405, "MethodNotAllowed")
		})
	}
}

// TestIdempotencyKeyOfCaller checks that idempotency keys belong to the caller, whom the gateway passes to the
// function.
func TestIdempotencyKeyOfCaller(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t, stacktest.Parameters(map[string]string{"Authorization": "AWS_IAM"}))
	create := func() stacktest.Response {
		t.Helper()
		body := strings.NewReader(usertest.Body(t, `{}`))
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/users", body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", "4f4d0c3f")
		if err := s.Authorize(req); err != nil {
			t.Fatal(err)
		}
		return s.Send(t, req).Want(t, 201)
	}
	first, again := create(), create()
	if userPath(t, first) != userPath(t, again) || again.Header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("the same key created %s and %s, want one user", userPath(t, first), userPath(t, again))
	}
}
