package smoke

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/userrequestapi/userdata/deploy/aws/sigv4"
	"github.com/userrequestapi/userdata/deploy/template"
)

// Failure is an answer of the stage that is not as it should be. It has nothing in it of what users there are.
type Failure struct {
	Step      string // what was tried, with method and address
	Want, Got string // such as "412 PreconditionFailed"
	Status    int    // that was answered
	RequestID string // by which the logs tell more; empty where there was none
	hint      string
}

// Error tells all of it.
func (f *Failure) Error() string {
	text := fmt.Sprintf("smoke test: %s: got %s, want %s", f.Step, f.Got, f.Want)
	if f.RequestID != "" {
		text += " (request id " + f.RequestID + ")"
	}
	if f.hint != "" {
		text += ": " + f.hint
	}
	return text
}

// request is a step.
type request struct {
	step         string
	method, path string // the path follows the invoke URL
	header       http.Header
	body         map[string]any
	anonymous    bool // it has nothing that authorizes it
	want         want
}

// want is what must be true of an answer.
type want struct {
	status  int
	code    string            // of a problem document; empty: there need not be one
	refused bool              // as not authorized, instead of status
	user    map[string]any    // that must be in the body, with further attributes perhaps
	etag    func(string) bool // nil: any or none
	page    bool              // the body is a page of users
}

func anyETag(etag string) bool { return etag != "" }

func sameETag(etag string) func(string) bool { return func(other string) bool { return other == etag } }

func otherETag(etag string) func(string) bool {
	return func(other string) bool { return other != "" && other != etag }
}

// answer is what is looked at of a response.
type answer struct {
	status    int
	code      string // of a problem document; API Gateway's own error type where there is none
	requestID string
	etag      string
	user      map[string]any // the object in the body; nil where it is none
}

// do sends a request and checks the answer.
func (r *run) do(ctx context.Context, req request) (answer, error) {
	step := fmt.Sprintf("%s (%s %s)", req.step, req.method, req.path)
	ctx, cancel := context.WithTimeoutCause(ctx, requestTimeout, fmt.Errorf("no answer within %v", requestTimeout))
	defer cancel()
	got, err := r.send(ctx, req)
	r.remember(req, got, err)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return answer{}, fmt.Errorf("smoke test: %s: %w", step, err)
	}
	if failure := got.compare(req.want); failure != nil {
		failure.Step, failure.Status, failure.RequestID = step, got.status, got.requestID
		if got.status == http.StatusForbidden && !req.anonymous {
			failure.hint = r.forbidden()
		}
		return got, failure
	}
	return got, nil
}

// remember keeps whether there may be a user to be deleted.
func (r *run) remember(req request, got answer, err error) {
	refused := got.status >= http.StatusBadRequest && got.status < http.StatusInternalServerError
	switch {
	case req.method == http.MethodPost && !req.anonymous && !refused: // a failure may have come after it was created
		r.exists = true
	case req.method == http.MethodDelete && err == nil && got.status < http.StatusBadRequest:
		r.exists = false
	}
}

func (r *run) send(ctx context.Context, req request) (answer, error) {
	var body []byte
	if req.body != nil {
		var err error
		if body, err = json.Marshal(req.body); err != nil {
			return answer{}, fmt.Errorf("encode the user: %w", err)
		}
	}
	message, err := http.NewRequestWithContext(ctx, req.method, r.target.URL+req.path, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for name, values := range req.header {
		message.Header[http.CanonicalHeaderKey(name)] = values
	}
	if req.body != nil {
		message.Header.Set("Content-Type", "application/json")
	}
	if !req.anonymous {
		if err := r.authorize(message); err != nil {
			return answer{}, err
		}
	}
	response, err := r.client.Do(message)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	const most = 10 << 20 // what API Gateway lets through
	content, err := io.ReadAll(io.LimitReader(response.Body, most))
	if err != nil {
		return answer{}, fmt.Errorf("read the answer: %w", err)
	}
	return read(response, content), nil
}

// authorize makes the stage accept a request.
func (r *run) authorize(message *http.Request) error {
	switch r.target.Authorization {
	case template.AuthorizationIAM:
		return sigv4.Sign(message, r.target.Config.Credentials, r.target.Config.Region)
	case template.AuthorizationCognito:
		message.Header.Set("Authorization", "Bearer "+strings.TrimPrefix(r.target.Token, "Bearer "))
	case template.AuthorizationAPIKey:
		message.Header.Set("X-Api-Key", r.target.APIKey)
	}
	return nil
}

// forbidden says why a request that was authorized may have been refused all the same.
func (r *run) forbidden() string {
	switch r.target.Authorization {
	case template.AuthorizationIAM:
		return "may the credentials call execute-api:Invoke?"
	case template.AuthorizationAPIKey:
		return "does the usage plan of the API key have this stage?"
	default:
		return ""
	}
}

func read(response *http.Response, content []byte) answer {
	a := answer{
		status:    response.StatusCode,
		requestID: response.Header.Get("X-Amzn-Requestid"),
		etag:      response.Header.Get("Etag"),
	}
	if json.Unmarshal(content, &a.user) != nil {
		a.user = nil // compare says so where it matters
	}
	if strings.HasPrefix(response.Header.Get("Content-Type"), "application/problem+json") {
		a.code, _ = a.user["code"].(string)
		id, _ := a.user["requestId"].(string)
		a.requestID = cmp.Or(a.requestID, id)
	}
	if a.code == "" && a.status >= http.StatusBadRequest {
		a.code = response.Header.Get("X-Amzn-Errortype")
	}
	return a
}

// compare returns nil where the answer is as wanted.
func (a answer) compare(w want) *Failure {
	got := strings.TrimSpace(strconv.Itoa(a.status) + " " + a.code)
	if w.refused {
		if a.status == http.StatusUnauthorized || a.status == http.StatusForbidden {
			return nil
		}
		return &Failure{Got: got, Want: "401 or 403", hint: "the stage is open to anybody"}
	}
	wanted := strings.TrimSpace(strconv.Itoa(w.status) + " " + w.code)
	if a.status != w.status || w.code != "" && a.code != w.code {
		return &Failure{Got: got, Want: wanted}
	}
	for name, value := range w.user {
		if a.user[name] != value {
			return &Failure{Got: got + " with another " + name, Want: fmt.Sprintf("%s with the %s %q", wanted, name, value)}
		}
	}
	if w.etag != nil && !w.etag(a.etag) {
		return &Failure{Got: got + " with the ETag " + cmp.Or(a.etag, "left out"), Want: wanted + " with the ETag of this state of the user"}
	}
	if _, isList := a.user["items"].([]any); w.page && !isList {
		return &Failure{Got: got + " without items", Want: wanted + " with items"}
	}
	return nil
}

// tooNew tells whether a stage may have failed because not all of AWS knows of it yet: its address, its keys, its functions'
// permissions and roles.
func tooNew(err error) bool {
	if failure, ok := errors.AsType[*Failure](err); ok {
		switch failure.Status {
		case http.StatusForbidden, http.StatusInternalServerError, http.StatusServiceUnavailable:
			return true
		}
		return false
	}
	_, noAddress := errors.AsType[*net.DNSError](err)
	return noAddress
}
