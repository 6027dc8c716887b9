package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/shared/function/functiontest"
	"github.com/userrequestapi/userdata/shared/request"
	"github.com/userrequestapi/userdata/shared/request/requesttest"
	"github.com/userrequestapi/userdata/shared/response"
	"github.com/userrequestapi/userdata/shared/user"
	"github.com/userrequestapi/userdata/shared/user/usertest"
)

func ada() user.Attributes { return user.Attributes{"userId": "1", "name": "Ada"} }

func serving() functiontest.Harness {
	return functiontest.Harness{Handle: remove, Users: usertest.NewMemory(ada(), user.Attributes{"userId": "2"})}
}

// ids returns the ids of the stored users.
func ids(t *testing.T, h functiontest.Harness) []string {
	t.Helper()
	page, err := h.Users.List(t.Context(), "", 10)
	if err != nil {
		t.Fatal(err)
	}
	var stored []string
	for _, u := range page.Users {
		stored = append(stored, u.ID())
	}
	return stored
}

func TestDelete(t *testing.T) {
	t.Parallel()
	etag := `"` + string(ada().Hash()) + `"`
	want := response.Response{
		StatusCode: 204,
		Headers:    map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
	}
	for _, target := range []string{"/users/1", "/users/1/", "/users/%31", "/users?userId=1", "/users/1?userId=1"} {
		for _, ifMatch := range []string{"", "*", etag, `"a", ` + etag} {
			t.Run(target+" If-Match: "+ifMatch, func(t *testing.T) {
				t.Parallel()
				h := serving()
				var headers []string
				if ifMatch != "" {
					headers = []string{"If-Match", ifMatch}
					h.RequireIfMatch = true
				}
				got := h.Serve(t, requesttest.Event("DELETE", target, "", headers...))
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
				if diff := cmp.Diff([]string{"2"}, ids(t, h)); diff != "" {
					t.Errorf("ids stored (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestDeleteErrors(t *testing.T) {
	t.Parallel()
	weak := `W/"` + string(ada().Hash()) + `"`
	for name, test := range map[string]struct {
		target  string
		ifMatch string
		status  int
		code    user.Code
	}{
		"unknown":               {"/users/3", "", 404, user.NotFound},
		"unknown, If-Match":     {"/users/3", "*", 404, user.NotFound},
		"no id":                 {"/users", "", 400, request.InvalidParameter},
		"blank":                 {"/users?userId=", "", 400, user.InvalidUserID},
		"twice":                 {"/users?userId=1&userId=2", "", 400, request.InvalidParameter},
		"path and query differ": {"/users/1?userId=2", "", 400, request.InvalidParameter},
		"malformed":             {"/users/%ff", "", 400, user.InvalidUserID},
		"changed since":         {"/users/1", `"a"`, 412, user.PreconditionFailed},
		"weak":                  {"/users/1", weak, 412, user.PreconditionFailed},
		"malformed If-Match":    {"/users/1", "a", 400, request.InvalidParameter},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := serving()
			var headers []string
			if test.ifMatch != "" {
				headers = []string{"If-Match", test.ifMatch}
			}
			event := requesttest.Event("DELETE", test.target, "", headers...)
			functiontest.WantProblem(t, event, h.Serve(t, event), test.status, test.code)
			if diff := cmp.Diff([]string{"1", "2"}, ids(t, h)); diff != "" {
				t.Errorf("ids stored (-want +got):\n%s", diff)
			}
		})
	}

	h := serving()
	h.RequireIfMatch = true
	event := requesttest.Event("DELETE", "/users/1", "")
	functiontest.WantProblem(t, event, h.Serve(t, event), 428, request.PreconditionRequired)
	if diff := cmp.Diff([]string{"1", "2"}, ids(t, h)); diff != "" {
		t.Errorf("ids stored (-want +got):\n%s", diff)
	}
}

func TestStoreFails(t *testing.T) {
	t.Parallel()
	functiontest.StoreFails(t, remove, requesttest.Event("DELETE", "/users/1", ""))
}
