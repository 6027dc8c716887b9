package problem_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/shared/problem"
	"github.com/userrequestapi/userdata/shared/request"
	"github.com/userrequestapi/userdata/shared/user"
)

func TestCodes(t *testing.T) {
	t.Parallel()
	for code, want := range map[user.Code]struct {
		status     int
		title      string
		retryAfter int
	}{
		user.InvalidBody:                   {400, "The body is not a JSON object", 0},
		user.InvalidUser:                   {400, "The user is not valid", 0},
		user.InvalidUserID:                 {400, "The userId is not valid", 0},
		request.InvalidParameter:           {400, "A parameter is not valid", 0},
		user.NotFound:                      {404, "User not found", 0},
		user.Exists:                        {409, "User exists", 0},
		user.PreconditionFailed:            {412, "The user was changed", 0},
		user.BodyTooLarge:                  {413, "The user is too large", 0},
		request.UnsupportedMediaType:       {415, "The body is not JSON", 0},
		request.UnsupportedContentEncoding: {415, "The content coding is not supported", 0},
		user.IdempotencyKeyReused:          {422, "Idempotency-Key reused", 0},
		request.PreconditionRequired:       {428, "If-Match is required", 0},
		problem.InternalError:              {500, "Internal error", 0},
		user.Unavailable:                   {500, "The users cannot be reached", 0},
		user.Throttled:                     {503, "Busy", 1},
		"Unknown":                          {500, "Internal error", 0},
	} {
		t.Run(string(code), func(t *testing.T) {
			t.Parallel()
			p := problem.From(&user.Error{Code: code, Detail: "What to do."})
			if p.RetryAfter != want.retryAfter {
				t.Errorf("got Retry-After %d, want %d", p.RetryAfter, want.retryAfter)
			}
			wantJSON := fmt.Sprintf(`{"type":"urn:problem-type:userrequestapi:%s","title":%q,"status":%d,`+
				`"detail":"What to do.","code":"%[1]s"}`, code, want.title, want.status)
			if diff := cmp.Diff(wantJSON, string(p.JSON())); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestFrom(t *testing.T) {
	t.Parallel()
	const secret = "MARKED"
	cause := errors.New("cause with " + secret)
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"the user is not valid": {
			fmt.Errorf("operation: %w", &user.Error{Code: user.InvalidUser, Detail: "See errors.", Violations: []user.Violation{
				{Pointer: "#/name", Code: "InvalidName", Detail: "A name is a string."},
				{Pointer: "#/a~1b", Code: "ReadOnly", Detail: `Leave "it" <out>.`},
			}, Err: cause}),
			`{"type":"urn:problem-type:userrequestapi:InvalidUser","title":"The user is not valid","status":400,` +
				`"detail":"See errors.","instance":"/prod/users/1","code":"InvalidUser","requestId":"id","errors":[` +
				`{"pointer":"#/name","code":"InvalidName","detail":"A name is a string."},` +
				`{"pointer":"#/a~1b","code":"ReadOnly","detail":"Leave \"it\" \u003cout\u003e."}]}`,
		},
		"a parameter is not valid": {
			fmt.Errorf("operation: %w", request.Invalidf("limit is a %s.", "number")),
			`{"type":"urn:problem-type:userrequestapi:InvalidParameter","title":"A parameter is not valid","status":400,` +
				`"detail":"limit is a number.","instance":"/prod/users/1","code":"InvalidParameter","requestId":"id"}`,
		},
		"unavailable": {
			&user.Error{Code: user.Unavailable, Detail: "Try again later.", Err: cause},
			`{"type":"urn:problem-type:userrequestapi:StoreUnavailable","title":"The users cannot be reached","status":500,` +
				`"detail":"Try again later.","instance":"/prod/users/1","code":"StoreUnavailable","requestId":"id"}`,
		},
		"unknown": {
			cause,
			`{"type":"urn:problem-type:userrequestapi:InternalError","title":"Internal error","status":500,"detail":` +
				`"The service failed. Try again later; if the error persists, report the requestId.",` +
				`"instance":"/prod/users/1","code":"InternalError","requestId":"id"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := problem.From(test.err)
			p.Instance, p.RequestID = "/prod/users/1", "id"
			if diff := cmp.Diff(test.want, string(p.JSON())); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
