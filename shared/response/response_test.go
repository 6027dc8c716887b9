package response_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/shared/problem"
	"github.com/userrequestapi/userdata/shared/response"
	"github.com/userrequestapi/userdata/shared/user"
)

func TestResponses(t *testing.T) {
	t.Parallel()
	ada := user.User{Attributes: user.Attributes{"userId": "1", "name": "Ada", "n": user.Number("1.50")}, ETag: "tag"}
	const (
		body = `{"n":1.5,"name":"Ada","userId":"1"}`
		path = "/prod/users/1"
	)
	type headers = map[string]string
	for name, test := range map[string]struct {
		got, want response.Response
	}{
		"JSON": {
			response.JSON(200, []byte("[]")),
			response.Response{StatusCode: 200, Body: "[]", Headers: headers{
				"Cache-Control": "no-store", "Content-Type": "application/json", "X-Content-Type-Options": "nosniff",
			}},
		},
		"User": {
			response.User(201, ada, path),
			response.Response{StatusCode: 201, Body: body, Headers: headers{
				"Cache-Control": "no-store", "Content-Type": "application/json", "X-Content-Type-Options": "nosniff",
				"ETag": `"tag"`, "Content-Location": path,
			}},
		},
		"Read": {
			response.Read(ada, path),
			response.Response{StatusCode: 200, Body: body, Headers: headers{
				"Cache-Control": "private, no-cache", "Content-Type": "application/json", "X-Content-Type-Options": "nosniff",
				"ETag": `"tag"`, "Content-Location": path,
			}},
		},
		"NotModified": {
			response.NotModified(ada, path),
			response.Response{StatusCode: 304, Headers: headers{
				"Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff",
				"ETag": `"tag"`, "Content-Location": path,
			}},
		},
		"NoContent": {
			response.NoContent(),
			response.Response{StatusCode: 204, Headers: headers{
				"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
			}},
		},
		"Problem": {
			response.Problem(problem.From(&user.Error{Code: user.NotFound, Detail: "There is none."})),
			response.Response{
				StatusCode: 404,
				Body: `{"type":"urn:problem-type:userrequestapi:UserNotFound","title":"User not found","status":404,` +
					`"detail":"There is none.","code":"UserNotFound"}`,
				Headers: headers{
					"Cache-Control": "no-store", "Content-Type": "application/problem+json", "X-Content-Type-Options": "nosniff",
				},
			},
		},
		"Problem of a throttled request": {
			response.Problem(problem.From(&user.Error{Code: user.Throttled, Detail: "Wait.", Err: errors.New("inside")})),
			response.Response{
				StatusCode: 503,
				Body: `{"type":"urn:problem-type:userrequestapi:StoreThrottled","title":"Busy","status":503,` +
					`"detail":"Wait.","code":"StoreThrottled"}`,
				Headers: headers{
					"Cache-Control": "no-store", "Content-Type": "application/problem+json", "X-Content-Type-Options": "nosniff",
					"Retry-After": "1",
				},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, test.got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
