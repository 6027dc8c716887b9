package functiontest

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"github.com/userrequestapi/userdata/shared/function"
	"github.com/userrequestapi/userdata/shared/user"
	"github.com/userrequestapi/userdata/shared/user/usertest"
)

// StoreFails checks that a handler responds to event with a problem document when the store fails or throttles, and
// that the document does not contain the cause.
func StoreFails(t *testing.T, handle function.Handler, event events.APIGatewayProxyRequest) {
	t.Helper()
	for _, test := range []struct {
		code    user.Code
		status  int
		headers []string
	}{
		{user.Unavailable, 500, nil},
		{user.Throttled, 503, []string{"Retry-After", "1"}},
	} {
		t.Run(string(test.code), func(t *testing.T) {
			failing := usertest.Failing{Err: &user.Error{Code: test.code, Detail: "Wait.", Err: errors.New("inside")}}
			res := Harness{Handle: handle, Users: failing}.Serve(t, event)
			WantProblem(t, event, res, test.status, test.code, test.headers...)
			if strings.Contains(res.Body, "inside") {
				t.Errorf("got %s, want a problem without the cause", res.Body)
			}
		})
	}
}
