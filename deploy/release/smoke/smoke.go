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

	// Patience is how long responses 403, 500 and 503 and failed name resolution are retried, which a new stage causes
	// until it has propagated in AWS. It ends with the first expected response of each function. 0 means one minute.
	Patience time.Duration
	Progress func(text string) // receives a few progress lines; may be nil
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
	for _, req := range []request{
		{step: "read a user that does not exist", method: http.MethodGet, path: r.path(), want: notFound()},
		{
			step: "replace a user that does not exist", method: http.MethodPut, path: r.path(), body: r.user("replaced"),
			header: http.Header{"If-Match": {"*"}}, want: notFound(),
		},
		{
			step: "delete a user that does not exist", method: http.MethodDelete, path: r.path(),
			header: http.Header{"If-Match": {"*"}}, want: notFound(),
		},
	} {
		if _, err := r.retry(ctx, deadline, req); err != nil {
			return result{}, err
		}
	}
	return r.retry(ctx, deadline, request{
		step:   "create a user",
		method: http.MethodPost,
		path:   "/users",
		body:   r.user("created"),
		header: http.Header{
			"Idempotency-Key": {r.id},
		},
		want: want{status: http.StatusCreated, user: r.user("created"), etag: anyETag},
	})
}

func notFound() want { return want{status: http.StatusNotFound, code: "UserNotFound"} }

// roundTrip runs each step once, without retries.
func (r *run) roundTrip(ctx context.Context, created result) error {
	_, err := r.do(ctx, request{
		step: "read the user", method: http.MethodGet, path: r.path(),
		want: want{status: http.StatusOK, user: r.user("created"), etag: sameETag(created.etag)},
	})
	if err != nil {
		return err
	}
	replaced, err := r.do(ctx, request{
		step: "replace the user", method: http.MethodPut, path: r.path(), body: r.user("replaced"),
		header: http.Header{"If-Match": {created.etag}},
		want:   want{status: http.StatusOK, user: r.user("replaced"), etag: otherETag(created.etag)},
	})
	if err != nil {
		return err
	}
	steps := []request{
		{
			step: "read the user by the query", method: http.MethodGet, path: "/users?userId=" + r.id,
			want: want{status: http.StatusOK, user: r.user("replaced"), etag: sameETag(replaced.etag)},
		},
		{
			step: "read the user that has not changed", method: http.MethodGet, path: r.path(),
			header: http.Header{"If-None-Match": {replaced.etag}}, want: want{status: http.StatusNotModified},
		},
		{
			step: "read the user that has changed", method: http.MethodGet, path: r.path(),
			header: http.Header{"If-None-Match": {created.etag}},
			want:   want{status: http.StatusOK, user: r.user("replaced"), etag: sameETag(replaced.etag)},
		},
		{
			step:   "replace the user as it was before",
			method: http.MethodPut,
			path:   r.path(),
			body:   r.user("lost"),
			header: http.Header{
				"If-Match": {created.etag},
			},
			want: want{status: http.StatusPreconditionFailed, code: "PreconditionFailed"},
		},
		{
			step:   "delete the user as it was before",
			method: http.MethodDelete,
			path:   r.path(),
			header: http.Header{
				"If-Match": {created.etag},
			},
			want: want{status: http.StatusPreconditionFailed, code: "PreconditionFailed"},
		},
		{
			step: "list users", method: http.MethodGet, path: "/users?limit=1", want: want{status: http.StatusOK, page: true},
		},
	}
	if r.target.Authorization != template.AuthorizationNone {
		steps = append(steps, r.anonymous()...)
	}
	steps = append(steps,
		request{
			step: "read the user after that", method: http.MethodGet, path: r.path(),
			want: want{status: http.StatusOK, user: r.user("replaced"), etag: sameETag(replaced.etag)},
		},
		request{
			step: "delete the user", method: http.MethodDelete, path: r.path(),
			header: http.Header{"If-Match": {replaced.etag}}, want: want{status: http.StatusNoContent},
		},
		request{step: "read the user that was deleted", method: http.MethodGet, path: r.path(), want: notFound()},
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
	requests := []request{
		{method: http.MethodGet, path: r.path()},
		{method: http.MethodGet, path: "/users?limit=1"},
		{method: http.MethodPost, path: "/users", body: r.user("anonymous")},
		{method: http.MethodPut, path: r.path(), body: r.user("anonymous"), header: http.Header{"If-Match": {"*"}}},
		{
			method: http.MethodPut,
			path:   "/users?userId=" + r.id,
			body:   r.user("anonymous"),
			header: http.Header{"If-Match": {"*"}},
		},
		{method: http.MethodDelete, path: r.path(), header: http.Header{"If-Match": {"*"}}},
		{method: http.MethodDelete, path: "/users?userId=" + r.id, header: http.Header{"If-Match": {"*"}}},
	}
	for i := range requests {
		requests[i].step = "send without authorization"
		requests[i].anonymous = true
		requests[i].want = want{refused: true}
	}
	return requests
}

// retry sends a request until the deadline, as long as the failure may come from a stage that is too new.
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
	_, err := r.do(ctx, request{
		step: "clean up", method: http.MethodDelete, path: r.path(), header: http.Header{"If-Match": {"*"}},
		want: want{status: http.StatusNoContent},
	})
	if failure, ok := errors.AsType[*Failure](err); ok && failure.Status == http.StatusNotFound {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w; delete the user %s yourself", err, r.id)
	}
	return nil
}
