package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/shared/user/usertest"
)

func idempotencyKey(key string) stacktest.Headers { return stacktest.Headers{"Idempotency-Key": key} }

// TestIdempotencyKeyAtOnce sends the same POST 20 times concurrently.
func TestIdempotencyKeyAtOnce(t *testing.T) {
	t.Parallel()
	const count = 20
	for name, body := range map[string]string{
		"without userId": `{"name": "Ada", "n": 1.0}`,
		"with userId":    `{"userId": "ada", "name": "Ada", "n": 1.0}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := stacktest.Start(t, environments(count))
			responses := atOnce(count, func(int) stacktest.Response {
				return s.Do(t, "POST", "/users", usertest.Body(t, body), idempotencyKey("one-and-the-same"))
			})
			created := 0
			for _, r := range responses {
				r.Want(t, 201)
				if r.Header.Get("Idempotent-Replayed") == "" {
					created++
				} else {
					wantHeaders(t, r, stacktest.Headers{"Idempotent-Replayed": "true"})
				}
				wantHeaders(t, r, stacktest.Headers{
					"ETag": responses[0].Header.Get("ETag"), "Location": responses[0].Header.Get("Location"),
				})
				if d := gocmp.Diff(normal(responses[0].JSON(t)), normal(r.JSON(t))); d != "" {
					t.Errorf("response (-first +got):\n%s", d)
				}
			}
			if created != 1 {
				t.Errorf("got %d responses without Idempotent-Replayed, want 1", created)
			}
			if items := s.AllItems(t); len(items) != 1 {
				t.Errorf("the table has %d users, want 1", len(items))
			}
		})
	}
}

// TestIdempotencyKey checks which requests count as the same.
func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	const key = "open-sesame"
	s := stacktest.Start(t)
	post := func(t *testing.T, key, body string) stacktest.Response {
		t.Helper()
		return s.Do(t, "POST", "/users", usertest.Body(t, body), idempotencyKey(key))
	}
	first := post(t, key, `{"name": "Ada", "numbers": {"$NS": [1, 2]}, "n": 10}`).Want(t, 201)
	wantHeaders(t, first, stacktest.Headers{"Idempotent-Replayed": ""})

	for name, sent := range map[string]string{"bare": key, "quoted": `"` + key + `"`} {
		again := post(t, sent, `{"n": 1e1, "numbers": {"$NS": [2.0, 1]}, "name": "\u0041da"}`).Want(t, 201)
		wantHeaders(t, again, stacktest.Headers{
			"Idempotent-Replayed": "true", "ETag": etag(t, first), "Location": first.Header.Get("Location"),
		})
		if d := gocmp.Diff(normal(first.JSON(t)), normal(again.JSON(t))); d != "" {
			t.Errorf("%s: response differs from the first (-want +got):\n%s", name, d)
		}
	}
	before := s.AllItems(t)
	post(t, key, `{"name": "Ada"}`).Problem(t, 422, "IdempotencyKeyReused")
	post(t, key, `{"name": "Ada", "numbers": {"$NS": [1, 2]}, "n": "10"}`).Problem(t, 422, "IdempotencyKeyReused")
	if d := gocmp.Diff(before, s.AllItems(t)); d != "" {
		t.Errorf("the table was changed (-want +got):\n%s", d)
	}

	// With a userId, the key belongs to that user.
	named := post(t, key, `{"userId": "ada"}`).Want(t, 201)
	wantHeaders(t, named, stacktest.Headers{"Idempotent-Replayed": ""})
	wantHeaders(t, post(t, key, `{"userId": "ada"}`).Want(t, 201), stacktest.Headers{"Idempotent-Replayed": "true"})
	post(t, key, `{"userId": "ada", "n": 1}`).Problem(t, 422, "IdempotencyKeyReused")
	post(t, "another key", `{"userId": "ada"}`).Problem(t, 409, "UserExists")
	s.Do(t, "POST", "/users", usertest.Body(t, `{"userId": "ada"}`)).Problem(t, 409, "UserExists")

	// A late retry returns the current user and changes nothing.
	replaced := s.Do(t, "PUT", "/users/ada", usertest.Body(t, `{"name": "Ada King"}`)).Want(t, 200)
	late := post(t, key, `{"userId": "ada"}`).Want(t, 201)
	wantHeaders(t, late, stacktest.Headers{"Idempotent-Replayed": "true", "ETag": etag(t, replaced)})
	if d := gocmp.Diff(replaced.JSON(t), late.JSON(t)); d != "" {
		t.Errorf("late retry (-want +got):\n%s", d)
	}
	s.Do(t, "DELETE", "/users/ada", "").Want(t, 204)
	wantHeaders(t, post(t, key, `{"userId": "ada"}`).Want(t, 201), stacktest.Headers{"Idempotent-Replayed": ""})

	// The attributes for idempotency are not returned.
	for _, path := range []string{userPath(t, first), "/users"} {
		if body := s.Do(t, "GET", path, "").Want(t, 200).Body; strings.Contains(string(body), "_userrequestapi_") {
			t.Errorf("GET %s: got %s, want no attributes of the store", path, body)
		}
	}
	if items := fmt.Sprint(s.AllItems(t)); strings.Contains(items, key) {
		t.Errorf("got items %s, want only the hash of the key", items)
	}
}
