// Package smoke runs a smoke test against a deployed stage. In each collection of the API document it creates, reads,
// replaces and deletes an item of its own, with the operations, parameters and headers that the document has. It also
// checks that requests without authorization are rejected.
package smoke

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/getkin/kin-openapi/openapi3"

	"github.com/userrequestapi/userdata/deploy/contract"
	"github.com/userrequestapi/userdata/deploy/contract/sample"
	"github.com/userrequestapi/userdata/deploy/template"
	"github.com/userrequestapi/userdata/deploy/template/caller"
)

// Target is the stage and how to authenticate to it.
type Target struct {
	URL      string             // the invoke URL, without a trailing slash
	Document *contract.Document // the API document of the stage
	Caller   caller.Caller
	Client   aws.HTTPClient // sends the requests; nil means [http.DefaultClient]

	// Patience is how long to retry responses 403, 500 and 503 and failed name resolution, which a new stage causes until
	// it has propagated in AWS. After a function's first expected response, they are failures. 0 means one minute.
	Patience time.Duration
	Progress func(line string) // receives a few progress lines; may be nil
}

const (
	defaultPatience = time.Minute
	// Short, because the user waits for it after an interruption.
	cleanUpTimeout = 10 * time.Second
)

// Run runs the smoke test, which takes a few seconds. It returns a [*Failure] if a response is not as expected. It
// deletes its items in any case, even if ctx ends; the error says if that failed. If the document has no collection
// whose items can be deleted again, Run only reads what needs no parameter.
func Run(ctx context.Context, target Target) error {
	if err := target.complete(); err != nil {
		return err
	}
	tested := resources(target.Document)
	if len(tested) == 0 {
		return (&run{target: target}).readOnly(ctx)
	}
	for _, r := range tested {
		if err := (&run{target: target, resource: r}).writeAndRead(ctx); err != nil {
			return err
		}
	}
	if target.anonymous() {
		target.Progress("requests without authorization are rejected")
	}
	return nil
}

// complete checks the target and sets the defaults.
func (t *Target) complete() error {
	if err := t.Caller.Check(); err != nil {
		return fmt.Errorf("smoke test: %w", err)
	}
	if t.Client == nil {
		t.Client = http.DefaultClient
	}
	t.Patience = cmp.Or(t.Patience, defaultPatience)
	if t.Progress == nil {
		t.Progress = func(string) {}
	}
	return nil
}

// anonymous reports whether the stage rejects requests without authorization.
func (t *Target) anonymous() bool { return t.Caller.Authorization != template.AuthorizationNone }

// run is the test of one resource.
type run struct {
	target Target
	resource
	exists bool // whether the item exists or may exist
}

// writeAndRead tests the resource.
func (r *run) writeAndRead(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, r.cleanUp(ctx)) }()
	created, err := r.waitReady(ctx)
	if err != nil {
		return err
	}
	return r.roundTrip(ctx, created)
}

// waitReady waits until each function responds, and creates the item. Only requests that change nothing and an
// idempotent creation are retried: a retry of any other could hide an error.
func (r *run) waitReady(ctx context.Context) (created result, err error) {
	deadline := time.Now().Add(r.target.Patience)
	for _, req := range []request{
		r.onItem("read an item that does not exist", r.Read, missing(r.Read)),
		ifMatch("*", r.onItem("replace an item that does not exist", r.Replace, missing(r.Replace))),
		ifMatch("*", r.onItem("delete an item that does not exist", r.Remove, missing(r.Remove))),
	} {
		if !sample.Documents(req.route, http.StatusNotFound) {
			continue
		}
		if _, err := r.retry(ctx, deadline, req); err != nil {
			return result{}, err
		}
	}
	create := r.onList("create an item", r.Create, r.ok(r.Create, "created", anyETag))
	create.body = r.Body(r.Create, r.id, "created")
	if sample.Accepts(r.Create, openapi3.ParameterInHeader, "Idempotency-Key") {
		create.header = http.Header{"Idempotency-Key": {r.id}}
	}
	_, named := create.body[r.Key]
	if !named {
		delete(create.want.item, r.Key)
	}
	if created, err = r.retry(ctx, deadline, create); err != nil || named {
		return created, err
	}
	id, _ := created.object()[r.Key].(string)
	if id == "" {
		return result{}, fmt.Errorf("smoke test: create an item: want the string %s in the response of POST %s",
			r.Key, r.Path)
	}
	r.id = id
	return created, nil
}

// roundTrip runs each step once, without retries, and leaves out those that the document does not have.
func (r *run) roundTrip(ctx context.Context, created result) error {
	state, done := "created", []string{"created", "read"}
	read, err := r.do(ctx, r.onItem("read the item", r.Read, r.ok(r.Read, state, sameETag(created.etag))))
	if err != nil {
		return err
	}
	etag := cmp.Or(created.etag, read.etag)
	previous := `"` + r.id + `"` // the ETag of no state
	if r.Replace.Operation != nil {
		state, done, previous = "replaced", append(done, "replaced"), etag
		replace := r.onItem("replace the item", r.Replace, r.ok(r.Replace, state, otherETag(etag)))
		replace.body = r.Body(r.Replace, r.id, state)
		replaced, err := r.do(ctx, ifMatch(cmp.Or(etag, "*"), replace))
		if err != nil {
			return err
		}
		etag = replaced.etag
	}
	current := r.ok(r.Read, state, sameETag(etag))
	var steps []request
	if sample.Accepts(r.List, openapi3.ParameterInQuery, r.Key) {
		steps = append(steps, r.byQuery(r.onItem("read the item by the query", r.List, current)))
	}
	if etag != "" && previous != "" {
		steps = append(steps, r.conditional(etag, previous, current)...)
	}
	if sample.NeedsNothing(r.List) {
		steps, done = append(steps, r.page()), append(done, "listed")
	}
	if r.target.anonymous() {
		steps = append(steps, r.anonymous()...)
	}
	steps = append(steps,
		r.onItem("read the item again", r.Read, current),
		ifMatch(cmp.Or(etag, "*"), r.onItem("delete the item", r.Remove, want{status: sample.Success(r.Remove)})),
	)
	if sample.Documents(r.Read, http.StatusNotFound) {
		steps = append(steps, r.onItem("read the item that was deleted", r.Read, missing(r.Read)))
	}
	for _, step := range steps {
		if _, err := r.do(ctx, step); err != nil {
			return err
		}
	}
	r.target.Progress(strings.Join(done, ", ") + " and deleted " + r.itemPath())
	return nil
}

// conditional returns requests with preconditions that the item's current ETag meets, or another one does not.
func (r *run) conditional(etag, previous string, current want) []request {
	var steps []request
	if sample.Documents(r.Read, http.StatusNotModified) &&
		sample.Accepts(r.Read, openapi3.ParameterInHeader, "If-None-Match") {
		unchanged := r.onItem("read the item that has not changed", r.Read, want{status: http.StatusNotModified})
		unchanged.header = http.Header{"If-None-Match": {etag}}
		changed := r.onItem("read the item that has changed", r.Read, current)
		changed.header = http.Header{"If-None-Match": {previous}}
		steps = append(steps, unchanged, changed)
	}
	for _, step := range []request{
		r.onItem("replace the item with the previous ETag", r.Replace, want{}),
		r.onItem("delete the item with the previous ETag", r.Remove, want{}),
	} {
		step = ifMatch(previous, step)
		if sample.Documents(step.route, http.StatusPreconditionFailed) && step.header != nil {
			step.want = refusal(step.route, http.StatusPreconditionFailed)
			steps = append(steps, step)
		}
	}
	return steps
}

// page reads the list.
func (r *run) page() request {
	page := r.onList("list the items", r.List, want{status: sample.Success(r.List), lists: lists(r.List)})
	if sample.Accepts(r.List, openapi3.ParameterInQuery, "limit") {
		page.path += "?limit=1"
	}
	return page
}

// anonymous returns requests without authorization, which would take effect if they were accepted.
func (r *run) anonymous() []request {
	requests := []request{r.onItem("", r.Read, want{}), r.page(), r.onList("", r.Create, want{})}
	for _, routes := range [][2]contract.Route{{r.Replace, r.ReplaceByQuery}, {r.Remove, r.RemoveByQuery}} {
		requests = append(requests, r.onItem("", routes[0], want{}), r.byQuery(r.onItem("", routes[1], want{})))
	}
	requests = slices.DeleteFunc(requests, func(req request) bool { return req.route.Operation == nil })
	for i, req := range requests {
		requests[i] = withoutAuthorization(ifMatch("*", req))
	}
	return requests
}

// readOnly reads what needs no parameter.
func (r *run) readOnly(ctx context.Context) error {
	deadline := time.Now().Add(r.target.Patience)
	var done []string
	for _, route := range r.target.Document.Routes() {
		if route.Method != http.MethodGet || !sample.NeedsNothing(route) {
			continue
		}
		read := request{step: "read", route: route, path: route.Path, want: want{status: sample.Success(route)}}
		if _, err := r.retry(ctx, deadline, read); err != nil {
			return err
		}
		if r.target.anonymous() {
			if _, err := r.do(ctx, withoutAuthorization(read)); err != nil {
				return err
			}
		}
		done = append(done, "GET "+route.Path)
	}
	r.target.Progress("only read " + strings.Join(done, ", ") +
		": the API document has no collection with POST whose items have GET and DELETE")
	return nil
}

// retry sends a request. Until the deadline, it retries failures that a new stage may cause.
func (r *run) retry(ctx context.Context, deadline time.Time, req request) (result, error) {
	pause := r.target.Patience / 30
	announced := false
	for {
		got, err := r.do(ctx, req)
		if err == nil || !tooNew(err) || time.Until(deadline) < pause {
			return got, err
		}
		if !announced {
			r.target.Progress(
				fmt.Sprintf("%v: retrying for up to %v, as the stage may be too new", err, time.Until(deadline).Round(time.Second)),
			)
			announced = true
		}
		select {
		case <-ctx.Done():
			return result{}, fmt.Errorf("smoke test: %s: %w", req.step, context.Cause(ctx))
		case <-time.After(pause):
		}
	}
}

// cleanUp deletes the item if it may exist, even if ctx has ended.
func (r *run) cleanUp(ctx context.Context) error {
	if !r.exists {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTimeout)
	defer cancel()
	_, err := r.do(ctx, ifMatch("*", r.onItem("clean up", r.Remove, want{status: sample.Success(r.Remove)})))
	if failure, ok := errors.AsType[*Failure](err); ok && failure.Status == http.StatusNotFound {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w; delete %s yourself", err, r.itemPath())
	}
	return nil
}
