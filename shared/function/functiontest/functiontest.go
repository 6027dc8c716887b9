// Package functiontest serves events with a function's handler, as the deployed function does, and checks the
// responses.
package functiontest

import (
	"encoding/json"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"github.com/userrequestapi/userdata/shared/function"
	"github.com/userrequestapi/userdata/shared/request"
	"github.com/userrequestapi/userdata/shared/request/requesttest"
	"github.com/userrequestapi/userdata/shared/response"
	"github.com/userrequestapi/userdata/shared/user"
)

// Harness is a handler with its store and settings.
type Harness struct {
	Handle         function.Handler
	Users          user.Store
	RequireIfMatch bool
}

// Serve returns the response to event.
func (h Harness) Serve(t *testing.T, event events.APIGatewayProxyRequest) response.Response {
	t.Helper()
	f := function.New(h.Handle, h.Users, function.Settings{RequireIfMatch: h.RequireIfMatch}, zap.NewNop())
	res, err := f.Handle(t.Context(), event)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// WantProblem checks that the response to event is a problem document with this status and code. headers are
// alternating names and values: the expected headers in addition to those of every problem. It returns the code and
// pointer of each error, such as "InvalidName #/name".
func WantProblem(
	t *testing.T, event events.APIGatewayProxyRequest,
	res response.Response, status int, code user.Code, headers ...string,
) []string {
	t.Helper()
	type fault struct{ Pointer, Code, Detail string }
	var got struct {
		Type, Title, Detail, Instance, RequestID string
		Status                                   int
		Code                                     user.Code
		Errors                                   []fault
	}
	if err := json.Unmarshal([]byte(res.Body), &got); err != nil {
		t.Fatalf("status %d, body %q: %v", res.StatusCode, res.Body, err)
	}
	if res.StatusCode != status || got.Status != status || got.Code != code {
		t.Errorf("got status %d and %s, want %d and %s", res.StatusCode, res.Body, status, code)
	}
	instance := request.New(&event).Path()
	if got.Title == "" || got.Detail == "" || got.RequestID != requesttest.RequestID || got.Instance != instance {
		t.Errorf("got %s, want a title, a detail, the requestId %s and the instance %s",
			res.Body, requesttest.RequestID, instance)
	}
	want := map[string]string{
		"Cache-Control": "no-store", "Content-Type": "application/problem+json", "X-Content-Type-Options": "nosniff",
	}
	if code == request.UnsupportedMediaType {
		want["Accept"] = "application/json"
	}
	if code == request.UnsupportedContentEncoding {
		want["Accept-Encoding"] = "identity"
	}
	for i := 0; i < len(headers); i += 2 {
		want[headers[i]] = headers[i+1]
	}
	if diff := cmp.Diff(want, res.Headers); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	var faults []string
	for _, f := range got.Errors {
		faults = append(faults, f.Code+" "+f.Pointer)
	}
	return faults
}
