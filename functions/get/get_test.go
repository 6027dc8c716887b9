package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
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
	return functiontest.Harness{Handle: retrieve, Users: usertest.NewMemory(users...)}
}

func ada() user.Attributes {
	return user.Attributes{
		"userId": "1", "name": "Ada",
		"n": user.Number("12345678901234567890.123456789"), "tags": user.StringSet{"b", "a"},
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	etag := `"` + string(ada().Hash()) + `"`
	want := response.Response{
		StatusCode: 200,
		Headers: map[string]string{
			"Cache-Control": "private, no-cache", "Content-Location": "/prod/users/1",
			"Content-Type": "application/json", "ETag": etag, "X-Content-Type-Options": "nosniff",
		},
		Body: `{"n":12345678901234567890.123456789,"name":"Ada","tags":{"$SS":["a","b"]},"userId":"1"}`,
	}
	notModified := response.Response{
		StatusCode: 304,
		Headers: map[string]string{
			"Cache-Control": "private, no-cache", "Content-Location": "/prod/users/1", "ETag": etag,
			"X-Content-Type-Options": "nosniff",
		},
	}
	for _, method := range []string{"GET", "HEAD"} {
		for _, target := range []string{
			"/users/1", "/users/1/", "/users/%31", "/users?userId=1", "/users/?userId=1", "/users/1?userId=1",
			"/users?userId=1&limit=1", "/users/1?limit=none-here",
		} {
			t.Run(method+" "+target, func(t *testing.T) {
				t.Parallel()
				for value, want := range map[string]response.Response{
					"":             want,
					`"another"`:    want,
					etag:           notModified,
					"W/" + etag:    notModified,
					`"a", ` + etag: notModified,
					"*":            notModified,
				} {
					var headers []string
					if value != "" {
						headers = []string{"If-None-Match", value}
					}
					got := serving(ada()).Serve(t, requesttest.Event(method, target, "", headers...))
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("If-None-Match: %s (-want +got):\n%s", value, diff)
					}
				}
			})
		}
	}
}

func TestReadErrors(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]struct {
		status int
		code   user.Code
	}{
		"/users/2":                      {404, user.NotFound},
		"/users?userId=2":               {404, user.NotFound},
		"/users?userId=":                {400, user.InvalidUserID},
		"/users?userId=%20":             {400, user.InvalidUserID},
		"/users?userId=1&userId=1":      {400, request.InvalidParameter},
		"/users/1?userId=2":             {400, request.InvalidParameter},
		"/users/1?userId=":              {400, user.InvalidUserID},
		"/users/a%2Fb":                  {404, user.NotFound},
		"/users/%20":                    {404, user.NotFound},
		"/users/%ff":                    {400, user.InvalidUserID},
		"/users?limit=0":                {400, request.InvalidParameter},
		"/users?limit=101":              {400, request.InvalidParameter},
		"/users?limit=abc":              {400, request.InvalidParameter},
		"/users?userId=1&limit=true":    {400, request.InvalidParameter},
		"/users?userId=1&cursor=forged": {400, request.InvalidParameter},
		"/users?cursor=forged":          {400, request.InvalidParameter},
		"/users?cursor=":                {400, request.InvalidParameter},
	} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			event := requesttest.Event("GET", target, "")
			functiontest.WantProblem(t, event, serving(ada()).Serve(t, event), want.status, want.code)
		})
	}
	for name, test := range map[string]struct {
		target string
		status int
		code   user.Code
	}{
		"longest id":  {"/users/" + strings.Repeat("x", 2048), 404, user.NotFound},
		"long id":     {"/users/" + strings.Repeat("x", 2049), 400, user.InvalidUserID},
		"long cursor": {"/users?cursor=" + strings.Repeat("A", 8000), 400, request.InvalidParameter},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			event := requesttest.Event("GET", test.target, "")
			functiontest.WantProblem(t, event, serving(ada()).Serve(t, event), test.status, test.code)
		})
	}
	for _, target := range []string{"/users/1", "/users"} {
		t.Run("If-None-Match "+target, func(t *testing.T) {
			t.Parallel()
			event := requesttest.Event("GET", target, "", "If-None-Match", "without-quotes")
			functiontest.WantProblem(t, event, serving(ada()).Serve(t, event), 400, request.InvalidParameter)
		})
	}
}

func TestStoreFails(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"/users/1", "/users"} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			functiontest.StoreFails(t, retrieve, requesttest.Event("GET", target, ""))
		})
	}
}

// page is the body of a page of the list.
type page struct {
	Items []map[string]any
	Next  *string
}

func readPage(t *testing.T, h functiontest.Harness, target string) (page, response.Response) {
	t.Helper()
	res := h.Serve(t, requesttest.Event("GET", target, ""))
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s: got %v, want status code 200", target, res)
	}
	var p page
	if err := json.Unmarshal([]byte(res.Body), &p); err != nil {
		t.Fatalf("%s: %v", target, err)
	}
	headers := map[string]string{
		"Cache-Control": "no-store", "Content-Type": "application/json", "X-Content-Type-Options": "nosniff",
	}
	if p.Next != nil {
		headers["Link"] = res.Headers["Link"]
		link, isNext := strings.CutSuffix(res.Headers["Link"], `>; rel="next"`)
		if !isNext || !strings.HasPrefix(link, "</prod/users?") || !strings.Contains(link, "cursor="+*p.Next) {
			t.Errorf("%s: got Link %s, want one to /prod/users with the cursor %s", target, res.Headers["Link"], *p.Next)
		}
	}
	if diff := cmp.Diff(headers, res.Headers); diff != "" {
		t.Errorf("%s: headers (-want +got):\n%s", target, diff)
	}
	return p, res
}

// listAll reads the pages from target on, and returns the ids in them and the number of pages.
func listAll(t *testing.T, h functiontest.Harness, target string) (ids []string, pages int) {
	t.Helper()
	for range 1000 {
		p, res := readPage(t, h, target)
		pages++
		for _, item := range p.Items {
			ids = append(ids, item["userId"].(string))
		}
		if p.Next == nil {
			return ids, pages
		}
		target, _, _ = strings.Cut(strings.TrimPrefix(res.Headers["Link"], "</prod"), ">")
	}
	t.Fatal("got 1000 pages, want an end")
	return nil, 0
}

func TestList(t *testing.T) {
	t.Parallel()
	var users []user.Attributes
	var want []string
	for i := range 60 {
		id := fmt.Sprintf("%03d", i)
		users, want = append(users, user.Attributes{"userId": id}), append(want, id)
	}
	h := serving(users...)
	for target, wantPages := range map[string]int{
		"/users": 3, "/users/": 3, "/users?limit=1": 60, "/users?limit=20": 3,
		"/users?limit=59": 2, "/users?limit=60": 1, "/users?limit=100": 1,
	} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			got, pages := listAll(t, h, target)
			if diff := cmp.Diff(want, got); diff != "" || pages != wantPages {
				t.Errorf("got %d pages, want %d (-want +got):\n%s", pages, wantPages, diff)
			}
		})
	}

	first, _ := readPage(t, h, "/users?limit=10")
	second, _ := readPage(t, h, "/users?limit=5&cursor="+*first.Next)
	if len(second.Items) != 5 || second.Items[0]["userId"] != want[10] {
		t.Errorf("got %v, want 5 users from %s", second.Items, want[10])
	}
	if _, res := readPage(t, serving(), "/users"); res.Body != `{"items":[]}` {
		t.Errorf("without users: got %s, want no items", res.Body)
	}
}

// A page fits into Lambda's limit for a response.
func TestListLarge(t *testing.T) {
	t.Parallel()
	var users []user.Attributes
	var want []string
	for _, id := range []string{"1", "2", "3", "4"} {
		users, want = append(users, user.Attributes{"userId": id, "x": strings.Repeat("\x00", 390_000)}), append(want, id)
	}
	h := serving(users...)
	got, pages := listAll(t, h, "/users?limit=100")
	if diff := cmp.Diff(want, got); diff != "" || pages != len(users) {
		t.Errorf("got %d pages, want %d (-want +got):\n%s", pages, len(users), diff)
	}
	for _, character := range []string{`"`, "<", "\x7f", "é", "\u2028", "😀", "\ufffd"} {
		t.Run(character, func(t *testing.T) {
			t.Parallel()
			users := slices.Clone(users)
			for i := range users {
				users[i] = user.Attributes{"userId": want[i], "x": strings.Repeat(character, 400_000/len(character))}
			}
			_, res := readPage(t, serving(users...), "/users")
			var payload bytes.Buffer
			encoder := json.NewEncoder(&payload)
			encoder.SetEscapeHTML(false) // as in aws-lambda-go
			if err := encoder.Encode(res); err != nil {
				t.Fatal(err)
			}
			if payload.Len() > 6_000_000 {
				t.Errorf("got a response of %d bytes, want at most 6,000,000", payload.Len())
			}
		})
	}
}
