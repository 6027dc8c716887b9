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
	shortestWait = 200 * time.Millisecond
	longestWait  = 5 * time.Second  // where the answer does not say how long
	longestAsked = 60 * time.Second // of the document's header Retry-After
)

// sender sends requests, and repeats them where that is safe.
type sender struct {
	repeatable *retryablehttp.Client // of requests that do the same when they come twice
	others     *retryablehttp.Client
}

func newSender(s settings) sender {
	sent := *s.http
	sent.Transport = authorized{s.http.Transport, s.authorize}
	sent.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	repeating := func(policy retryablehttp.CheckRetry) *retryablehttp.Client {
		return &retryablehttp.Client{
			HTTPClient:   &sent,
			RetryMax:     s.retries,
			RetryWaitMin: shortestWait,
			RetryWaitMax: longestWait,
			CheckRetry:   policy,
			Backoff:      backoff,
			ErrorHandler: retryablehttp.PassthroughErrorHandler,
		}
	}
	return sender{repeatable: repeating(unlessRefused), others: repeating(whenAsked)}
}

// Do implements [api.HttpRequestDoer].
func (s sender) Do(request *http.Request) (*http.Response, error) {
	repeated, err := retryablehttp.FromRequest(request)
	if err != nil {
		return nil, fmt.Errorf("keep the body to repeat it: %w", err)
	}
	by := s.others
	if request.Method == http.MethodGet || request.Header.Get(idempotencyKey) != "" || namesState(request) {
		by = s.repeatable
	}
	response, err := by.Do(repeated)
	if ctx := request.Context(); err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return response, err
}

// namesState reports whether a request can take effect in one state of the user alone, which never comes back, so that it
// takes effect at most once however often it is sent. An ETag that begins with h- is a hash of a user that another program
// has written to the table. That state can come back.
func namesState(request *http.Request) bool {
	etags := request.Header.Get("If-Match")
	return strings.Contains(etags, `"`) && !strings.Contains(etags, `"h-`)
}

// whenAsked repeats what the service asks to have repeated, even changes: with a 429 the request has not reached a function, and with a
// 503 nothing was written (the document's section Errors).
func whenAsked(_ context.Context, response *http.Response, err error) (bool, error) {
	if err != nil {
		return false, nil //nolint:nilerr // it is the request's, which the caller has
	}
	wait, asked := retryAfter(response)
	return asked && wait <= longestAsked, nil
}

// unlessRefused also repeats what got no answer, or one that the service has failed.
func unlessRefused(ctx context.Context, response *http.Response, err error) (bool, error) {
	if err == nil {
		if _, asked := retryAfter(response); !asked && response.StatusCode >= http.StatusInternalServerError {
			return true, nil
		}
		return whenAsked(ctx, response, nil)
	}
	if _, ok := errors.AsType[*authorizationError](err); ok {
		return false, nil
	}
	return retryablehttp.DefaultRetryPolicy(ctx, response, err)
}

// retryAfter returns how long an answer asks to wait. A quota that is used up (429) does not say.
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

// backoff keeps clients that were refused together from coming back together.
func backoff(shortest, longest time.Duration, attempt int, response *http.Response) time.Duration {
	wait := retryablehttp.DefaultBackoff(shortest, longest, attempt, nil)
	if response != nil {
		if asked, ok := retryAfter(response); ok {
			wait = asked
		}
	}
	return wait + rand.N(shortest) //nolint:gosec // it is no secret
}

// authorizationError is why a request could not be authorized, and was not sent.
type authorizationError struct{ cause error }

func (e *authorizationError) Error() string { return "authorize: " + e.cause.Error() }

func (e *authorizationError) Unwrap() error { return e.cause }

// authorized authorizes each attempt, as signatures and tokens expire.
type authorized struct {
	base      http.RoundTripper
	authorize func(*http.Request) error
}

// RoundTrip implements [http.RoundTripper].
func (a authorized) RoundTrip(request *http.Request) (*http.Response, error) {
	base := a.base
	if base == nil {
		base = http.DefaultTransport
	}
	if a.authorize != nil {
		request = request.Clone(request.Context())
		if err := a.authorize(request); err != nil {
			if request.Body != nil {
				_ = request.Body.Close() // which was not read
			}
			return nil, &authorizationError{err}
		}
	}
	return sendAttempt(base, request)
}
