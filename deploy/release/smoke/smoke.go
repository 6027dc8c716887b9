// Package smoke tries out a deployed stage from outside: it creates, reads, replaces and deletes a user of its own, and sees
// whether the stage answers each request as the API document says, and none that is not authorized.
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

// userPrefix begins the ids of the users that are created, so that one that could not be deleted is known for what it is.
const userPrefix = "smoke-test-"

// Target is the stage, and how to authenticate there.
type Target struct {
	URL           string     // the invoke URL, without a slash at its end
	Authorization string     // the value of the template's parameter
	Config        aws.Config // signs the requests with AWS_IAM; its HTTP client sends them, if it has one
	APIKey        string     // with API_KEY
	Token         string     // with COGNITO_USER_POOLS

	// Patience is how long answers are forgiven that a stage gives before all of AWS knows of it: 403, 500, 503, and a host that
	// has no address. It ends with the first good answer of each function. 0 is a minute.
	Patience time.Duration
	Progress func(text string) // is told how it goes, in a few lines; may be nil
}

const (
	defaultPatience = time.Minute
	// A request may take as long as API Gateway lets it.
	requestTimeout = 35 * time.Second
	// What is left to do when the test has been stopped must not keep a person waiting.
	cleanUpTimeout = 10 * time.Second
)

// Run tries out the stage, which takes a few seconds. The error is a [*Failure] where the stage does not answer as it should. The
// user is deleted in any case, even when ctx ends; the error also tells where that could not be done.
func Run(ctx context.Context, target Target) (err error) {
	r, err := newRun(target)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.cleanUp(ctx)) }()
	created, err := r.settle(ctx)
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
			return nil, errors.New("smoke test: the stage takes signed requests, and there are no credentials to sign with")
		}
	case template.AuthorizationCognito:
		if target.Token == "" {
			return nil, errors.New("smoke test: the stage takes tokens of its user pool: give one as TOKEN, or leave the test out with SMOKE=0")
		}
	case template.AuthorizationAPIKey:
		if target.APIKey == "" {
			return nil, errors.New("smoke test: the stage takes API keys, and none is given")
		}
	case template.AuthorizationNone:
	default:
		return nil, fmt.Errorf("smoke test: there is no authorization %q", target.Authorization)
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

// run is one round trip.
type run struct {
	target Target
	client aws.HTTPClient
	id     string // of the user
	exists bool   // the user does, or may
}

// path is the user's.
func (r *run) path() string { return "/users/" + r.id }

// user is what is sent; it has nothing personal.
func (r *run) user(state string) map[string]any {
	return map[string]any{"userId": r.id, "purpose": "smoke test", "state": state}
}

// settle waits until each function answers, and creates the user. It asks for what changes nothing, and for a creation that can be
// repeated, so that nothing needs to be repeated after it: a repetition could hide a fault.
func (r *run) settle(ctx context.Context) (created answer, err error) {
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
		if _, err := r.insist(ctx, deadline, req); err != nil {
			return answer{}, err
		}
	}
	return r.insist(ctx, deadline, request{
		step: "create a user", method: http.MethodPost, path: "/users", body: r.user("created"),
		header: http.Header{"Idempotency-Key": {r.id}}, want: want{status: http.StatusCreated, user: r.user("created"), etag: anyETag},
	})
}

func notFound() want { return want{status: http.StatusNotFound, code: "UserNotFound"} }

// roundTrip does each step once.
func (r *run) roundTrip(ctx context.Context, created answer) error {
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
			step: "replace the user as it was before", method: http.MethodPut, path: r.path(), body: r.user("lost"),
			header: http.Header{"If-Match": {created.etag}}, want: want{status: http.StatusPreconditionFailed, code: "PreconditionFailed"},
		},
		{
			step: "delete the user as it was before", method: http.MethodDelete, path: r.path(),
			header: http.Header{"If-Match": {created.etag}}, want: want{status: http.StatusPreconditionFailed, code: "PreconditionFailed"},
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
		r.target.Progress("requests without authorization are refused")
	}
	return nil
}

// anonymous are requests that nobody answers for. They would do something if they were let through.
func (r *run) anonymous() []request {
	requests := []request{
		{method: http.MethodGet, path: r.path()},
		{method: http.MethodGet, path: "/users?limit=1"},
		{method: http.MethodPost, path: "/users", body: r.user("anonymous")},
		{method: http.MethodPut, path: r.path(), body: r.user("anonymous"), header: http.Header{"If-Match": {"*"}}},
		{method: http.MethodPut, path: "/users?userId=" + r.id, body: r.user("anonymous"), header: http.Header{"If-Match": {"*"}}},
		{method: http.MethodDelete, path: r.path(), header: http.Header{"If-Match": {"*"}}},
		{method: http.MethodDelete, path: "/users?userId=" + r.id, header: http.Header{"If-Match": {"*"}}},
	}
	for i := range requests {
		requests[i].step = "ask without authorization"
		requests[i].anonymous = true
		requests[i].want = want{refused: true}
	}
	return requests
}

// insist repeats a request until the deadline as long as the stage may only be too new to answer it.
func (r *run) insist(ctx context.Context, deadline time.Time, req request) (answer, error) {
	pause := r.target.Patience / 30
	told := false
	for {
		got, err := r.do(ctx, req)
		if err == nil || !tooNew(err) || time.Until(deadline) < pause {
			return got, err
		}
		if !told {
			r.target.Progress(fmt.Sprintf("%v: waiting up to %v for a stage that may be too new", err, time.Until(deadline).Round(time.Second)))
			told = true
		}
		select {
		case <-ctx.Done():
			return answer{}, fmt.Errorf("smoke test: %s: %w", req.step, context.Cause(ctx))
		case <-time.After(pause):
		}
	}
}

// cleanUp deletes the user where that may be left, whether ctx has ended or not.
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
