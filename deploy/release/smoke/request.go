package smoke

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/userrequestapi/userdata/deploy/contract"
	"github.com/userrequestapi/userdata/deploy/contract/sample"
	"github.com/userrequestapi/userdata/deploy/template/caller"
)

// Failure is an unexpected response. It contains no data of other items.
type Failure struct {
	Step      string // the step, with method and path
	Want, Got string // such as "412 a problem document"
	Status    int    // the status code of the response
	RequestID string // finds the log lines of the request; "" if the response has none
	hint      string
}

// Error implements error.
func (f *Failure) Error() string {
	message := fmt.Sprintf("smoke test: %s: got %s, want %s", f.Step, f.Got, f.Want)
	if f.RequestID != "" {
		message += " (request id " + f.RequestID + ")"
	}
	if f.hint != "" {
		message += ": " + f.hint
	}
	return message
}

// request is the request of a step.
type request struct {
	step      string
	route     contract.Route
	path      string // relative to the invoke URL
	header    http.Header
	body      map[string]any // nil for none
	anonymous bool           // sent without authorization
	want      want
}

// onItem returns a request for the item.
func (r *resource) onItem(step string, route contract.Route, want want) request {
	req := request{step: step, route: route, path: r.itemPath(), want: want}
	if sample.BodySchema(route) != nil {
		req.body = r.Body(route, r.id, "lost")
	}
	return req
}

// onList returns a request for the collection.
func (r *resource) onList(step string, route contract.Route, want want) request {
	req := r.onItem(step, route, want)
	req.path = r.Path
	return req
}

// byQuery returns req with the id in the query instead of the path.
func (r *resource) byQuery(req request) request {
	req.path = r.Path + "?" + url.Values{r.Key: {r.id}}.Encode()
	return req
}

// ifMatch returns req with If-Match, if the operation has it.
func ifMatch(etag string, req request) request {
	if sample.Accepts(req.route, openapi3.ParameterInHeader, "If-Match") {
		req.header = http.Header{"If-Match": {etag}}
	}
	return req
}

// withoutAuthorization returns req without authorization, which must be rejected.
func withoutAuthorization(req request) request {
	req.step, req.anonymous, req.want = "send without authorization", true, want{refused: true}
	return req
}

// want is the expected response.
type want struct {
	status  int
	problem bool              // the body is a problem document
	refused bool              // rejected as unauthorized, instead of status
	item    map[string]any    // members that the body must have
	etag    func(string) bool // nil accepts any or none
	lists   []string          // the body has at least one of these arrays; "" is the body itself, nil accepts any body
}

func anyETag(etag string) bool { return etag != "" }

// sameETag accepts the ETag, or any if it is unknown.
func sameETag(etag string) func(string) bool {
	return func(other string) bool { return other != "" && (etag == "" || other == etag) }
}

func otherETag(etag string) func(string) bool {
	return func(other string) bool { return other != "" && other != etag }
}

// result is the part of a response that is checked.
type result struct {
	status    int
	problem   bool   // whether the body is a problem document
	code      string // of a problem document, or else API Gateway's error type
	requestID string
	etag      string
	body      any // nil if it is not JSON
}

// object returns the object in the body, or nil.
func (r result) object() map[string]any {
	object, _ := r.body.(map[string]any)
	return object
}

// do sends a request and checks the response.
func (r *run) do(ctx context.Context, req request) (result, error) {
	step := fmt.Sprintf("%s (%s %s)", req.step, req.route.Method, req.path)
	ctx, cancel := context.WithTimeoutCause(ctx, caller.Timeout, fmt.Errorf("no response within %v", caller.Timeout))
	defer cancel()
	got, err := r.send(ctx, req)
	r.trackItem(req, got, err)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return result{}, fmt.Errorf("smoke test: %s: %w", step, err)
	}
	if failure := got.compare(req.want); failure != nil {
		failure.Step, failure.Status, failure.RequestID = step, got.status, got.requestID
		switch {
		case req.anonymous:
		case got.status == http.StatusForbidden:
			failure.hint = r.target.Caller.ForbiddenHint()
		case req.body != nil && (got.status == http.StatusBadRequest || got.status == http.StatusUnprocessableEntity):
			failure.hint = fmt.Sprintf("the body is the example of the response %d to GET %s in deploy/%s",
				http.StatusOK, r.Item, contract.File)
		}
		return got, failure
	}
	return got, nil
}

// trackItem records whether the item may exist now.
func (r *run) trackItem(req request, got result, err error) {
	refused := got.status >= http.StatusBadRequest && got.status < http.StatusInternalServerError
	switch {
	case req.route.Method == http.MethodPost && !req.anonymous && !refused: // a 5xx may follow a creation
		r.exists = true
	case req.route.Method == http.MethodDelete && err == nil && got.status < http.StatusBadRequest:
		r.exists = false
	}
}

func (r *run) send(ctx context.Context, req request) (result, error) {
	var body []byte
	if req.body != nil {
		var err error
		if body, err = json.Marshal(req.body); err != nil {
			return result{}, fmt.Errorf("encode the item: %w", err)
		}
	}
	httpRequest, err := http.NewRequestWithContext(ctx, req.route.Method, r.target.URL+req.path, bytes.NewReader(body))
	if err != nil {
		return result{}, err
	}
	for name, values := range req.header {
		httpRequest.Header[http.CanonicalHeaderKey(name)] = values
	}
	if req.body != nil {
		httpRequest.Header.Set("Content-Type", contract.JSONMediaType)
	}
	if !req.anonymous {
		if err := r.target.Caller.Authorize(httpRequest); err != nil {
			return result{}, err
		}
	}
	response, err := r.target.Client.Do(httpRequest)
	if err != nil {
		return result{}, err
	}
	defer response.Body.Close()
	const maxResponse = 10 << 20 // API Gateway's payload limit, in bytes
	content, err := io.ReadAll(io.LimitReader(response.Body, maxResponse))
	if err != nil {
		return result{}, fmt.Errorf("read the response: %w", err)
	}
	return read(response, content), nil
}

func read(response *http.Response, content []byte) result {
	r := result{
		status:    response.StatusCode,
		requestID: response.Header.Get("X-Amzn-Requestid"),
		etag:      response.Header.Get("Etag"),
	}
	if json.Unmarshal(content, &r.body) != nil {
		r.body = nil // compare reports it if it matters
	}
	if strings.HasPrefix(response.Header.Get("Content-Type"), contract.ProblemMediaType) {
		r.problem = r.object() != nil
		r.code, _ = r.object()["code"].(string)
		id, _ := r.object()["requestId"].(string)
		r.requestID = cmp.Or(r.requestID, id)
	}
	if r.code == "" && r.status >= http.StatusBadRequest {
		r.code = response.Header.Get("X-Amzn-Errortype")
	}
	return r
}

// compare returns nil if the response is as expected.
func (r result) compare(w want) *Failure {
	got := strings.TrimSpace(strconv.Itoa(r.status) + " " + r.code)
	if w.refused {
		if r.status == http.StatusUnauthorized || r.status == http.StatusForbidden {
			return nil
		}
		return &Failure{Got: got, Want: "401 or 403", hint: "the stage accepts requests without authorization"}
	}
	wanted := strconv.Itoa(w.status)
	if w.problem {
		wanted += " with a problem document"
	}
	if r.status != w.status || w.problem && !r.problem {
		return &Failure{Got: got, Want: wanted}
	}
	for _, name := range slices.Sorted(maps.Keys(w.item)) {
		if value := w.item[name]; r.object()[name] != value {
			return &Failure{Got: got + " with another " + name, Want: fmt.Sprintf("%s with the %s %q", wanted, name, value)}
		}
	}
	if w.etag != nil && !w.etag(r.etag) {
		return &Failure{
			Got:  got + " with the ETag " + cmp.Or(r.etag, "omitted"),
			Want: wanted + " with the ETag of this state of the item",
		}
	}
	if w.lists != nil && !slices.ContainsFunc(w.lists, r.hasList) {
		return &Failure{Got: got + " without a list", Want: wanted + " with a list"}
	}
	return nil
}

// hasList reports whether the body has an array of this name, or is one if name is empty.
func (r result) hasList(name string) bool {
	value := r.body
	if name != "" {
		value = r.object()[name]
	}
	_, isList := value.([]any)
	return isList
}

// tooNew reports whether a stage may have failed because it has not propagated in AWS yet: its DNS name, its API keys,
// or its functions' permissions and roles.
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
