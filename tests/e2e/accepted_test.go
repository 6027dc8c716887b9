package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/shared/user/usertest"
)

// TestAddresses checks each way to identify a user: in the path, in the query, and in the body.
func TestAddresses(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	for name, test := range map[string]struct{ method, path, body string }{
		"GET, path":              {"GET", "/users/ID", ""},
		"GET, query":             {"GET", "/users?userId=ID", ""},
		"GET, both":              {"GET", "/users/ID?userId=ID", ""},
		"GET, encoded path":      {"GET", "/users/%41ID", ""},
		"GET, query and others":  {"GET", "/users?limit=5&userId=ID&other=1", ""},
		"PUT, path":              {"PUT", "/users/ID", `{"n": 1}`},
		"PUT, path and body":     {"PUT", "/users/ID", `{"n": 1, "userId": "ID"}`},
		"PUT, path, query, body": {"PUT", "/users/ID?userId=ID", `{"n": 1, "userId": "ID"}`},
		"PUT, query":             {"PUT", "/users?userId=ID", `{"n": 1}`},
		"PUT, query and body":    {"PUT", "/users?userId=ID", `{"n": 1, "userId": "ID"}`},
		"PUT, body only":         {"PUT", "/users", `{"n": 1, "userId": "ID"}`},
		"DELETE, path":           {"DELETE", "/users/ID", ""},
		"DELETE, query":          {"DELETE", "/users?userId=ID", ""},
		"DELETE, both":           {"DELETE", "/users/ID?userId=ID", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id := strings.ToUpper(stacktest.StageName())
			if strings.Contains(test.path, "%41") {
				id = "A" + id
			}
			in := func(str string) string { return strings.ReplaceAll(str, "ID", strings.TrimPrefix(id, "A")) }
			s.Do(t, "POST", "/users", usertest.Body(t, fmt.Sprintf(`{"userId": %q}`, id))).Want(t, 201)
			body := in(test.body)
			if body != "" {
				body = usertest.Body(t, body)
			}
			r := s.Do(t, test.method, in(test.path), body)
			if test.method == "DELETE" {
				r.Want(t, 204)
				s.Do(t, "GET", "/users/"+id, "").Problem(t, 404, "UserNotFound")
				return
			}
			user := r.Want(t, 200).JSON(t)
			if got := userPath(t, r); user["userId"] != id || got != "/users/"+id {
				t.Errorf("user = %v at %s, want %s", user["userId"], got, id)
			}
			if test.method == "PUT" && fmt.Sprint(user["n"]) != "1" {
				t.Errorf("n = %v, want 1", user["n"])
			}
		})
	}
}

// TestAccepted checks unusual but valid requests.
func TestAccepted(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	body := func(members string) string { return usertest.Body(t, members) }
	for name, test := range map[string]struct {
		body    string
		headers stacktest.Headers
	}{
		"no content type":          {body(`{}`), contentType("")},
		"content type in capitals": {body(`{}`), contentType("APPLICATION/JSON")},
		"with charset":             {body(`{}`), contentType(`application/json; charset="UTF-8"`)},
		"with other parameter":     {body(`{}`), contentType("application/json; version=1")},
		"If-None-Match":            {body(`{}`), ifNoneMatch("*")},
		"white space":              {" \r\n\t{ \n" + body(`{}`)[1:] + " \n", nil},
		"id of all characters":     {body(`{"userId": "AZaz09._~-"}`), nil},
		"id of 128":                {body(`{"userId": "` + strings.Repeat("i", 128) + `"}`), nil},
		"id of three dots":         {body(`{"userId": "..."}`), nil},
		"name of 256":              {body(`{"name": "` + strings.Repeat("👍", 256) + `"}`), nil},
		"email, quoted":            {body(`{"email": "\"ada lovelace\"@example.org"}`), nil},
		"email, literal":           {body(`{"email": "ada@[IPv6:2001:db8::1]"}`), nil},
		"almost 400 KB":            {body(`{"x": "` + strings.Repeat("x", 400<<10-1000) + `"}`), nil},
		"almost 400 KB, escaped":   {body(`{"x": "` + strings.Repeat(`\u0001`, 400<<10-1000) + `"}`), nil},
		"key of 255":               {body(`{}`), idempotencyKey(strings.Repeat("k", 255))},
		"nested underscore":        {body(`{"m": {"_rev": 1}}`), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			created := s.Do(t, "POST", "/users", test.body, test.headers).Want(t, 201)
			read := s.Do(t, "GET", userPath(t, created), "").Want(t, 200)
			if d := gocmp.Diff(string(created.Body), string(read.Body)); d != "" {
				t.Errorf("read user differs from the created one (-created +read):\n%.2000s", d)
			}
			s.Do(t, "PUT", userPath(t, created), string(read.Body)).Want(t, 200)
		})
	}
}
