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

// StoreFails checks what a handler answers to event when the store fails or is busy: a problem that tells nothing of its inside.
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
		failing := usertest.Failing{Err: &user.Error{Code: test.code, Detail: "Wait.", Err: errors.New("inside")}}
		answer := Handler{Handle: handle, Users: failing}.Serve(t, event)
		WantProblem(t, event, answer, test.status, test.code, test.headers...)
		if strings.Contains(answer.Body, "inside") {
			t.Errorf("got %s", answer.Body)
		}
	}
}
