// Package smoke runs a smoke test against a deployed stage: it creates, reads, replaces and deletes a user of its own.
// It checks that each response conforms to the API document, and that requests without authorization are rejected.
package smoke

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/uuid"

	"github.com/userrequestapi/userdata/deploy/template"
)

// userPrefix marks the ids of the test's users, in case one could not be deleted.
const userPrefix = "smoke-test-"

// Target is the stage and how to authenticate to it.
type Target struct {
	URL           string     // the invoke URL, without a trailing slash
	Authorization string     // the value of the template's parameter Authorization
	Config        aws.Config // signs requests for AWS_IAM; sends requests with its HTTPClient, if set
	APIKey        string     // for API_KEY
	Token         string     // for COGNITO_USER_POOLS

	// Patience is how long to retry responses 403, 500 and 503 and failed name resolution, which a new stage causes until
	// it has propagated in AWS. After a function's first expected response, they are failures. 0 means one minute.
	Patience time.Duration
	Progress func(line string) // receives a few progress lines; may be nil
}

const (
	defaultPatience = time.Minute
	// Longer than API Gateway's integration timeout.
	requestTimeout = 35 * time.Second
	// Short, because the user waits for it after an interruption.
	cleanUpTimeout = 10 * time.Second
)

// Run runs the smoke test, which takes a few seconds. It returns a [*Failure] if a response is not as expected. It
// deletes the user in any case, even if ctx ends; the error says if that failed.
func Run(ctx context.Context, target Target) (err error) {
	r, err := newRun(target)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.cleanUp(ctx)) }()
	created, err := r.waitReady(ctx)
	if err != nil {
		return err
	}
	return r.roundTrip(ctx, created)
}

func newRun(target Target) (*run, error) {
	r := &run{target: target, client: target.Config.HTTPClient, id: userPrefix + uuid.NewString()}
	switch target.Authorization {
	case template.AuthorizationIAM:
		if target.Config.Credentials == nil {
			return nil, errors.New("smoke test: the stage requires signed requests, but there are no credentials")
		}
	case template.AuthorizationCognito:
		if target.Token == "" {
			return nil, errors.New(
				"smoke test: the stage requires a token of its user pool: set TOKEN, or skip the test with SMOKE=0",
			)
		}
	case template.AuthorizationAPIKey:
		if target.APIKey == "" {
			return nil, errors.New("smoke test: the stage requires an API key, but none is set")
		}
	case template.AuthorizationNone:
	default:
		return nil, fmt.Errorf("smoke test: unknown authorization %q", target.Authorization)
	}
	if r.client == nil {
		r.client = http.DefaultClient
	}
	if r.target.Patience == 0 {
		r.target.Patience = defaultPatience
	}
	if r.target.Progress == nil {
		r.target.Progress = func(string) {}
	}
	return r, nil
}

// run is one run of the test.
type run struct {
	target Target
	client aws.HTTPClient
	id     string // of the test's user
	exists bool   // whether the user exists or may exist
}

func (r *run) path() string { return "/users/" + r.id }

// user returns the body of a request, which contains no personal data.
func (r *run) user(state string) map[string]any {
	return map[string]any{"userId": r.id, "purpose": "smoke test", "state": state}
}

// waitReady waits until each function responds, and creates the user. Only requests that change nothing and an
// idempotent creation are retried: a retry of any other could hide an error.
func (r *run) waitReady(ctx context.Context) (created result, err error) {
	deadline := time.Now().Add(r.target.Patience)
	notFound := want{status: http.StatusNotFound, code: userNotFound}
	for _, req := range []request{
		r.get("read a user that does not exist", notFound),
		r.put("replace a user that does not exist", "replaced", "*", notFound),
		r.delete("delete a user that does not exist", "*", notFound),
		{
			step: "create a user", method: http.MethodPost, path: "/users", body: r.user("created"),
			header: http.Header{"Idempotency-Key": {r.id}},
			want:   want{status: http.StatusCreated, user: r.user("created"), etag: anyETag},
		},
	} {
		if created, err = r.retry(ctx, deadline, req); err != nil {
			return result{}, err
		}
	}
	return created, nil
}

// userNotFound is the code of the problem document about a user that does not exist.
const userNotFound = "UserNotFound"

func (r *run) get(step string, want want) request {
	return request{step: step, method: http.MethodGet, path: r.path(), want: want}
}

func (r *run) put(step, state, ifMatch string, want want) request {
	return request{
		step: step, method: http.MethodPut, path: r.path(), body: r.user(state),
		header: http.Header{"If-Match": {ifMatch}}, want: want,
	}
}

func (r *run) delete(step, ifMatch string, want want) request {
	return request{
		step: step, method: http.MethodDelete, path: r.path(), header: http.Header{"If-Match": {ifMatch}}, want: want,
	}
}

// byQuery returns req with the id in the query instead of the path.
func (r *run) byQuery(req request) request {
	req.path = "/users?userId=" + r.id
	return req
}

// ok is the response with the user in a state.
func (r *run) ok(state string, etag func(string) bool) want {
	return want{status: http.StatusOK, user: r.user(state), etag: etag}
}

// roundTrip runs each step once, without retries.
func (r *run) roundTrip(ctx context.Context, created result) error {
	if _, err := r.do(ctx, r.get("read the user", r.ok("created", sameETag(created.etag)))); err != nil {
		return err
	}
	replaced, err := r.do(ctx,
		r.put("replace the user", "replaced", created.etag, r.ok("replaced", otherETag(created.etag))))
	if err != nil {
		return err
	}
	failed := want{status: http.StatusPreconditionFailed, code: "PreconditionFailed"}
	current := r.ok("replaced", sameETag(replaced.etag))
	unchanged := r.get("read the user that has not changed", want{status: http.StatusNotModified})
	unchanged.header = http.Header{"If-None-Match": {replaced.etag}}
	changed := r.get("read the user that has changed", current)
	changed.header = http.Header{"If-None-Match": {created.etag}}
	steps := []request{
		r.byQuery(r.get("read the user by the query", current)), unchanged, changed,
		r.put("replace the user with the previous ETag", "lost", created.etag, failed),
		r.delete("delete the user with the previous ETag", created.etag, failed),
		{step: "list users", method: http.MethodGet, path: "/users?limit=1", want: want{status: http.StatusOK, page: true}},
	}
	if r.target.Authorization != template.AuthorizationNone {
		steps = append(steps, r.anonymous()...)
	}
	steps = append(steps,
		r.get("read the user again", current),
		r.delete("delete the user", replaced.etag, want{status: http.StatusNoContent}),
		r.get("read the user that was deleted", want{status: http.StatusNotFound, code: userNotFound}),
	)
	for _, step := range steps {
		if _, err := r.do(ctx, step); err != nil {
			return err
		}
	}
	r.target.Progress("created, read, replaced, listed and deleted the user " + r.id)
	if r.target.Authorization != template.AuthorizationNone {
		r.target.Progress("requests without authorization are rejected")
	}
	return nil
}

// anonymous returns requests without authorization, which would take effect if they were accepted.
func (r *run) anonymous() []request {
	put, remove := r.put("", "anonymous", "*", want{}), r.delete("", "*", want{})
	requests := []request{
		r.get("", want{}),
		{method: http.MethodGet, path: "/users?limit=1"},
		{method: http.MethodPost, path: "/users", body: r.user("anonymous")},
		put, r.byQuery(put), remove, r.byQuery(remove),
	}
	for i := range requests {
		requests[i].step, requests[i].anonymous = "send without authorization", true
		requests[i].want = want{refused: true}
	}
	return requests
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

// cleanUp deletes the user if it may exist, even if ctx has ended.
func (r *run) cleanUp(ctx context.Context) error {
	if !r.exists {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTimeout)
	defer cancel()
	_, err := r.do(ctx, r.delete("clean up", "*", want{status: http.StatusNoContent}))
	if failure, ok := errors.AsType[*Failure](err); ok && failure.Status == http.StatusNotFound {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w; delete the user %s yourself", err, r.id)
	}
	return nil
}
