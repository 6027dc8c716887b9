package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/shared/function/functiontest"
	"github.com/userrequestapi/userdata/shared/request"
	"github.com/userrequestapi/userdata/shared/request/requesttest"
	"github.com/userrequestapi/userdata/shared/response"
	"github.com/userrequestapi/userdata/shared/user"
	"github.com/userrequestapi/userdata/shared/user/usertest"
)

func serving(users ...user.Attributes) functiontest.Harness {
	return functiontest.Harness{Handle: create, Users: usertest.NewMemory(users...)}
}

func post(t *testing.T, h functiontest.Harness, body string, headers ...string) response.Response {
	t.Helper()
	return h.Serve(t, requesttest.Event("POST", "/users", body, headers...))
}

// wantCreated checks the response and the stored user, and returns the user's id.
func wantCreated(t *testing.T, h functiontest.Harness, res response.Response, replayed bool) string {
	t.Helper()
	var body map[string]any
	if err := json.Unmarshal([]byte(res.Body), &body); err != nil || res.StatusCode != http.StatusCreated {
		t.Fatalf("got %v, error %v, want status code 201 and a JSON body", res, err)
	}
	id, _ := body["userId"].(string)
	stored, err := h.Users.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if want := string(stored.Attributes.AppendJSON(nil)); res.Body != want {
		t.Errorf("got body %s, want the stored user %s", res.Body, want)
	}
	want := map[string]string{
		"Cache-Control": "no-store", "Content-Type": "application/json", "X-Content-Type-Options": "nosniff",
		"Location": "/prod/users/" + id, "Content-Location": "/prod/users/" + id, "ETag": `"` + string(stored.ETag) + `"`,
	}
	if replayed {
		want["Idempotent-Replayed"] = "true"
	}
	if diff := cmp.Diff(want, res.Headers); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	return id
}

func TestCreate(t *testing.T) {
	t.Parallel()
	h := serving()
	res := post(t, h, usertest.Body(t, `{"userId":"1","name":"Ada","n":12345678901234567890.123456789}`), "If-None-Match", "*")
	if id := wantCreated(t, h, res, false); id != "1" {
		t.Errorf("got id %s, want 1", id)
	}
	if !strings.HasPrefix(res.Body, `{"createdAt":"`) ||
		!strings.Contains(res.Body, `"n":12345678901234567890.123456789,`) || !strings.Contains(res.Body, `"name":"Ada"`) {
		t.Errorf("got %s, want createdAt and the attributes sent", res.Body)
	}
	res = h.Serve(t, requesttest.Event("POST", "/users/", usertest.Body(t, `{"userId":"2"}`)))
	if id := wantCreated(t, h, res, false); id != "2" {
		t.Errorf("got id %s, want 2", id)
	}
}

func TestCreateWithoutID(t *testing.T) {
	t.Parallel()
	h := serving()
	create := func() string { return wantCreated(t, h, post(t, h, usertest.Body(t, `{}`)), false) }
	first, second := create(), create()
	if first == second || first[14] != '7' {
		t.Errorf("got ids %s and %s, want two UUIDv7", first, second)
	}
}

func TestIdempotency(t *testing.T) {
	t.Parallel()
	for name, members := range map[string]string{"with id": `{"userId":"1","n":1}`, "without": `{"n":1}`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := serving()
			body := usertest.Body(t, members)
			first := wantCreated(t, h, post(t, h, body, "Idempotency-Key", "key"), false)
			for _, retry := range []response.Response{
				post(t, h, body, "Idempotency-Key", "key"),
				post(t, h, " "+strings.Replace(body, `"n":1`, `"n" : 1.0`, 1), "idempotency-key", `"key"`),
			} {
				if id := wantCreated(t, h, retry, true); id != first {
					t.Errorf("retry: got id %s, want %s", id, first)
				}
			}
			event := requesttest.Event("POST", "/users", strings.Replace(body, `"n":1`, `"n":2`, 1), "Idempotency-Key", "key")
			functiontest.WantProblem(t, event, h.Serve(t, event), 422, user.IdempotencyKeyReused)
			page, err := h.Users.List(t.Context(), "", 10)
			if err != nil || len(page.Users) != 1 {
				t.Errorf("got users %v, error %v, want one user", page.Users, err)
			}
		})
	}

	// Keys of different callers are independent.
	h := serving()
	event := requesttest.Event("POST", "/users", usertest.Body(t, `{}`), "Idempotency-Key", "key")
	first := wantCreated(t, h, h.Serve(t, event), false)
	event.RequestContext.Identity.UserArn = "arn:aws:iam::123456789012:user/other"
	if second := wantCreated(t, h, h.Serve(t, event), false); second == first {
		t.Errorf("got id %s for both callers, want two ids", second)
	}
}

func TestCreateErrors(t *testing.T) {
	t.Parallel()
	one := func(pointer string) []string { return []string{pointer} }
	body := func(members string) string { return usertest.Body(t, members) }
	for name, test := range map[string]struct {
		body    string
		headers []string
		status  int
		code    user.Code
		faults  []string
	}{
		"not JSON":           {"userId=1", nil, 400, user.InvalidBody, one("InvalidJSON #")},
		"empty":              {"", nil, 400, user.InvalidBody, one("Empty #")},
		"array":              {"[]", nil, 400, user.InvalidBody, one("NotAnObject #")},
		"duplicate names":    {`{"a":1,"a":1}`, nil, 400, user.InvalidBody, one("DuplicateName #/a")},
		"trailing data":      {`{}{}`, nil, 400, user.InvalidBody, one("TrailingData #")},
		"invalid UTF-8":      {"{\"a\":\"\ufffd\"}", nil, 400, user.InvalidBody, one("InvalidUTF8 #")},
		"base64":             {"eyJ1c2VySWQiOiIxIn0=", nil, 400, user.InvalidBody, one("Base64 #")},
		"39 digits":          {`{"a":123456789012345678901234567890123456789}`, nil, 400, user.InvalidUser, one("NumberPrecision #/a")},
		"out of range":       {`{"a":1e126}`, nil, 400, user.InvalidUser, one("NumberRange #/a")},
		"too deep":           {strings.Repeat(`{"a":`, 33) + "1" + strings.Repeat("}", 33), nil, 400, user.InvalidUser, one("TooDeep #")},
		"reserved":           {body(`{"_rev":"1"}`), nil, 400, user.InvalidUser, one("ReservedName #/_rev")},
		"read-only":          {body(`{"createdAt":"2026-01-02T03:04:05.678Z"}`), nil, 400, user.InvalidUser, one("ReadOnly #/createdAt")},
		"id with a slash":    {body(`{"userId":"a/b"}`), nil, 400, user.InvalidUser, one("InvalidUserId #/userId")},
		"id of 129":          {body(`{"userId":"` + strings.Repeat("x", 129) + `"}`), nil, 400, user.InvalidUser, one("InvalidUserId #/userId")},
		"id a number":        {body(`{"userId":2}`), nil, 400, user.InvalidUser, one("InvalidUserId #/userId")},
		"id null":            {body(`{"userId":null}`), nil, 400, user.InvalidUser, one("InvalidUserId #/userId")},
		"name and email":     {body(`{"name":"","email":"ada"}`), nil, 400, user.InvalidUser, []string{"InvalidEmail #/email", "InvalidName #/name"}},
		"exists":             {body(`{"userId":"1"}`), nil, 409, user.Exists, nil},
		"exists, with a key": {body(`{"userId":"1"}`), []string{"Idempotency-Key", "key"}, 409, user.Exists, nil},
		"large body":         {`{"a":"` + strings.Repeat("x", 5<<20) + `"}`, nil, 413, user.BodyTooLarge, nil},
		"large user":         {`{"a":"` + strings.Repeat("x", 401<<10) + `"}`, nil, 413, user.BodyTooLarge, nil},
		"text":               {`{}`, []string{"Content-Type", "text/plain"}, 415, request.UnsupportedMediaType, nil},
		"gzip":               {`{}`, []string{"Content-Encoding", "gzip"}, 415, request.UnsupportedContentEncoding, nil},
		"malformed key":      {`{}`, []string{"Idempotency-Key", `"`}, 400, request.InvalidParameter, nil},
		"If-None-Match":      {`{}`, []string{"If-None-Match", `"a"`}, 400, request.InvalidParameter, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := serving(user.Attributes{"userId": "1"})
			event := requesttest.Event("POST", "/users", test.body, test.headers...)
			faults := functiontest.WantProblem(t, event, h.Serve(t, event), test.status, test.code)
			if diff := cmp.Diff(test.faults, faults); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
			page, err := h.Users.List(t.Context(), "", 10)
			if err != nil || len(page.Users) != 1 || len(page.Users[0].Attributes) != 1 {
				t.Errorf("got users %v, error %v, want the table unchanged", page.Users, err)
			}
		})
	}
}

func TestStoreFails(t *testing.T) {
	t.Parallel()
	functiontest.StoreFails(t, create, requesttest.Event("POST", "/users", "{}"))
}

func TestUserIDInQuery(t *testing.T) {
	t.Parallel()
	for _, query := range []string{"userId=2", "userId=", "userId=2&userId=2", "userid=2"} {
		t.Run(query, func(t *testing.T) {
			t.Parallel()
			h := serving()
			event := requesttest.Event("POST", "/users?"+query, `{"userId":"2"}`)
			functiontest.WantProblem(t, event, h.Serve(t, event), 400, request.InvalidParameter)
			if page, err := h.Users.List(t.Context(), "", 10); err != nil || len(page.Users) != 0 {
				t.Errorf("got users %v, error %v, want none", page.Users, err)
			}
		})
	}
}
