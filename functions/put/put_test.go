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
	"github.com/userrequestapi/userdata/shared/user"
	"github.com/userrequestapi/userdata/shared/user/usertest"
)

const createdAt = "2026-01-02T03:04:05.678Z"

func ada() user.Attributes {
	return user.Attributes{
		"userId": "1", "old": true, "createdAt": createdAt, "updatedAt": createdAt, "_ttl": user.Number("5"),
	}
}

func serving() functiontest.Harness {
	return functiontest.Harness{Handle: replace, Users: usertest.NewMemory(ada())}
}

func TestReplace(t *testing.T) {
	t.Parallel()
	etag := `"` + string(ada().Hash()) + `"`
	body := func(members string) string { return usertest.Body(t, members) }
	for name, test := range map[string]struct {
		target  string
		body    string
		headers []string
	}{
		"in the path":             {"/users/1", body(`{"n":1.50}`), nil},
		"with a slash":            {"/users/1/", body(`{"n":1.50}`), nil},
		"encoded":                 {"/users/%31", body(`{"n":1.50}`), nil},
		"in the query":            {"/users?userId=1", body(`{"n":1.50}`), nil},
		"in the body":             {"/users", body(`{"n":1.50,"userId":"1"}`), nil},
		"everywhere":              {"/users/1?userId=1", body(`{"n":1.50,"userId":"1"}`), nil},
		"as it was read":          {"/users/1", body(`{"n":1.50,"createdAt":"` + createdAt + `","updatedAt":"` + createdAt + `","_ttl":5}`), nil},
		"If-Match":                {"/users/1", body(`{"n":1.50}`), []string{"If-Match", etag}},
		"If-Match, one of":        {"/users/1", body(`{"n":1.50}`), []string{"if-match", `"a", ` + etag}},
		"If-Match, any":           {"/users/1", body(`{"n":1.50}`), []string{"If-Match", "*"}},
		"If-Match, weak and this": {"/users/1", body(`{"n":1.50}`), []string{"If-Match", `W/"a", ` + etag}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, required := range []bool{false, true} {
				if required && test.headers == nil {
					continue
				}
				h := serving()
				h.RequireIfMatch = required
				res := h.Serve(t, requesttest.Event("PUT", test.target, test.body, test.headers...))
				stored, err := h.Users.Get(t.Context(), "1")
				if err != nil {
					t.Fatal(err)
				}
				updatedAt := stored.Attributes["updatedAt"]
				want := usertest.Attributes(t, "userId", "1",
					"n", user.Number("1.5"), "createdAt", createdAt, "updatedAt", updatedAt, "_ttl", user.Number("5"))
				if diff := cmp.Diff(want, stored.Attributes); diff != "" || updatedAt == createdAt {
					t.Errorf("updated at %v, stored (-want +got):\n%s", updatedAt, diff)
				}
				wantHeaders := map[string]string{
					"Cache-Control": "no-store", "Content-Type": "application/json", "X-Content-Type-Options": "nosniff",
					"Content-Location": "/prod/users/1", "ETag": `"` + string(stored.ETag) + `"`,
				}
				if diff := cmp.Diff(wantHeaders, res.Headers); diff != "" || res.StatusCode != http.StatusOK {
					t.Errorf("got status %d, headers (-want +got):\n%s", res.StatusCode, diff)
				}
				if want := string(stored.Attributes.AppendJSON(nil)); res.Body != want || !json.Valid([]byte(want)) {
					t.Errorf("got body %s, want the stored user %s", res.Body, want)
				}
			}
		})
	}
}

func TestReplaceErrors(t *testing.T) {
	t.Parallel()
	body := func(members string) string { return usertest.Body(t, members) }
	weak := `W/"` + string(ada().Hash()) + `"`
	one := func(fault string) []string { return []string{fault} }
	for name, test := range map[string]struct {
		target  string
		body    string
		headers []string
		status  int
		code    user.Code
		faults  []string
	}{
		"unknown":                     {"/users/2", "{}", nil, 404, user.NotFound, nil},
		"unknown, If-Match":           {"/users/2", "{}", []string{"If-Match", "*"}, 404, user.NotFound, nil},
		"no id":                       {"/users", "{}", nil, 400, request.InvalidParameter, nil},
		"blank":                       {"/users?userId=", "{}", nil, 400, user.InvalidUserID, nil},
		"twice":                       {"/users?userId=1&userId=1", "{}", nil, 400, request.InvalidParameter, nil},
		"malformed":                   {"/users/%ff", "{}", nil, 400, user.InvalidUserID, nil},
		"unknown, not a UserId":       {"/users/a%40b", "{}", nil, 404, user.NotFound, nil},
		"path and query differ":       {"/users/1?userId=2", "{}", nil, 400, request.InvalidParameter, nil},
		"path and body differ":        {"/users/1", `{"userId":"2"}`, nil, 400, request.InvalidParameter, nil},
		"query and body differ":       {"/users?userId=1", `{"userId":"2"}`, nil, 400, request.InvalidParameter, nil},
		"id in the body a number":     {"/users/1", `{"userId":1}`, nil, 400, request.InvalidParameter, nil},
		"id in the body alone, blank": {"/users", `{"userId":""}`, nil, 400, user.InvalidUserID, nil},
		"id in the body alone, space": {"/users", `{"userId":"a b"}`, nil, 404, user.NotFound, nil},
		"id in the body alone, null":  {"/users", `{"userId":null}`, nil, 400, user.InvalidUserID, nil},
		"changed since":               {"/users/1", "{}", []string{"If-Match", `"a"`}, 412, user.PreconditionFailed, nil},
		"weak":                        {"/users/1", "{}", []string{"If-Match", weak}, 412, user.PreconditionFailed, nil},
		"malformed If-Match":          {"/users/1", "{}", []string{"If-Match", "a"}, 400, request.InvalidParameter, nil},
		"not JSON":                    {"/users/1", "name=Ada", nil, 400, user.InvalidBody, one("InvalidJSON #")},
		"changed createdAt":           {"/users/1", body(`{"createdAt":"2026-01-02T03:04:05.679Z"}`), nil, 400, user.InvalidUser, one("ReadOnly #/createdAt")},
		"reserved":                    {"/users/1", body(`{"_rev":"a"}`), nil, 400, user.InvalidUser, one("ReservedName #/_rev")},
		"changed reserved":            {"/users/1", body(`{"_ttl":6}`), nil, 400, user.InvalidUser, one("ReservedName #/_ttl")},
		"name a number":               {"/users/1", body(`{"name":1,"a":1}`), nil, 400, user.InvalidUser, one("InvalidName #/name")},
		"large user":                  {"/users/1", `{"a":"` + strings.Repeat("x", 401<<10) + `"}`, nil, 413, user.BodyTooLarge, nil},
		"large body":                  {"/users/1", `{"a":"` + strings.Repeat("x", 5<<20) + `"}`, nil, 413, user.BodyTooLarge, nil},
		"text":                        {"/users/1", "{}", []string{"Content-Type", "text/plain"}, 415, request.UnsupportedMediaType, nil},
		"gzip":                        {"/users/1", "{}", []string{"Content-Encoding", "gzip"}, 415, request.UnsupportedContentEncoding, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := serving()
			event := requesttest.Event("PUT", test.target, test.body, test.headers...)
			event.Path = strings.TrimSuffix(event.Path, "/")
			faults := functiontest.WantProblem(t, event, h.Serve(t, event), test.status, test.code)
			if diff := cmp.Diff(test.faults, faults); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
			wantUnchanged(t, h)
		})
	}
}

func wantUnchanged(t *testing.T, h functiontest.Harness) {
	t.Helper()
	page, err := h.Users.List(t.Context(), "", 10)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]user.User{{Attributes: ada(), ETag: ada().Hash()}}, page.Users); diff != "" {
		t.Errorf("users stored (-want +got):\n%s", diff)
	}
}

func TestIfMatchRequired(t *testing.T) {
	t.Parallel()
	h := serving()
	h.RequireIfMatch = true
	event := requesttest.Event("PUT", "/users/1", "{}")
	functiontest.WantProblem(t, event, h.Serve(t, event), 428, request.PreconditionRequired)
	wantUnchanged(t, h)
}

func TestStoreFails(t *testing.T) {
	t.Parallel()
	functiontest.StoreFails(t, replace, requesttest.Event("PUT", "/users/1", "{}"))
}
