package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

const (
	minWait       = 200 * time.Millisecond
	maxWait       = 5 * time.Second  // without Retry-After
	maxRetryAfter = 60 * time.Second // a response with a longer Retry-After is returned at once
)

// sender sends requests with retries.
type sender struct {
	idempotent *retryablehttp.Client // for requests that take effect at most once
	others     *retryablehttp.Client
}

func newSender(s settings) sender {
	sent := *s.http
	sent.Transport = authorizer{s.http.Transport, s.authorize}
	sent.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	newClient := func(policy retryablehttp.CheckRetry) *retryablehttp.Client {
		return &retryablehttp.Client{
			HTTPClient:   &sent,
			RetryMax:     s.retries,
			RetryWaitMin: minWait,
			RetryWaitMax: maxWait,
			CheckRetry:   policy,
			Backoff:      backoff,
			ErrorHandler: retryablehttp.PassthroughErrorHandler,
		}
	}
	return sender{idempotent: newClient(retryIdempotent), others: newClient(retryIfAsked)}
}

// Do implements [api.HttpRequestDoer].
func (s sender) Do(request *http.Request) (*http.Response, error) {
	retryable, err := retryablehttp.FromRequest(request)
	if err != nil {
		return nil, fmt.Errorf("read the request body: %w", err)
	}
	client := s.others
	if request.Method == http.MethodGet || request.Header.Get(idempotencyKey) != "" || requiresRevision(request) {
		client = s.idempotent
	}
	response, err := client.Do(retryable)
	if ctx := request.Context(); err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return response, err
}

// requiresRevision reports whether If-Match requires a state of the user that never recurs, so the request takes
// effect at most once. An ETag that begins with h- can recur: it is the hash of a user that another program wrote to
// the table.
func requiresRevision(request *http.Request) bool {
	etags := request.Header.Get("If-Match")
	return strings.Contains(etags, `"`) && !strings.Contains(etags, `"h-`)
}

// retryIfAsked retries any request after a response with Retry-After: a request with status code 429 did not reach a
// function, and one with 503 wrote nothing (section Errors of the API document).
func retryIfAsked(_ context.Context, response *http.Response, err error) (bool, error) {
	if err != nil {
		return false, nil //nolint:nilerr // the caller has the error of the request
	}
	wait, asked := retryAfter(response)
	return asked && wait <= maxRetryAfter, nil
}

// retryIdempotent also retries after an error or another 5xx status code.
func retryIdempotent(ctx context.Context, response *http.Response, err error) (bool, error) {
	if err == nil {
		if _, asked := retryAfter(response); !asked && response.StatusCode >= http.StatusInternalServerError {
			return true, nil
		}
		return retryIfAsked(ctx, response, nil)
	}
	if _, ok := errors.AsType[*authorizationError](err); ok {
		return false, nil
	}
	return retryablehttp.DefaultRetryPolicy(ctx, response, err)
}

// retryAfter returns the Retry-After of a response with status code 429 or 503. A 429 for an exhausted quota has none.
func retryAfter(response *http.Response) (wait time.Duration, asked bool) {
	if response.StatusCode != http.StatusTooManyRequests && response.StatusCode != http.StatusServiceUnavailable {
		return 0, false
	}
	seconds, err := strconv.ParseUint(response.Header.Get("Retry-After"), 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, false
	}
	return time.Duration(min(seconds, 3600)) * time.Second, true
}

// backoff returns the wait before a retry, with jitter.
func backoff(shortest, longest time.Duration, attempt int, response *http.Response) time.Duration {
	wait := retryablehttp.DefaultBackoff(shortest, longest, attempt, nil)
	if response != nil {
		if asked, ok := retryAfter(response); ok {
			wait = asked
		}
	}
	return wait + rand.N(shortest) //nolint:gosec // jitter need not be secure
}

// authorizationError is the error of a request that was not sent because authorize failed.
type authorizationError struct{ cause error }

func (e *authorizationError) Error() string { return "authorize: " + e.cause.Error() }

func (e *authorizationError) Unwrap() error { return e.cause }

// authorizer authorizes each attempt, because signatures and tokens expire.
type authorizer struct {
	base      http.RoundTripper
	authorize func(*http.Request) error
}

// RoundTrip implements [http.RoundTripper].
func (a authorizer) RoundTrip(request *http.Request) (*http.Response, error) {
	base := a.base
	if base == nil {
		base = http.DefaultTransport
	}
	if a.authorize != nil {
		request = request.Clone(request.Context())
		if err := a.authorize(request); err != nil {
			if request.Body != nil {
				_ = request.Body.Close()
			}
			return nil, &authorizationError{err}
		}
	}
	return sendAttempt(base, request)
}
