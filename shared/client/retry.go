package client

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

const (
	shortestWait = 200 * time.Millisecond
	longestWait  = 5 * time.Second // where the answer does not say how long
)

// sender sends requests, and repeats them where that is safe.
type sender struct {
	repeatable *retryablehttp.Client // of requests that do the same when they come twice
	others     *retryablehttp.Client
}

func newSender(s settings) sender {
	sent := *s.http
	sent.Transport = authorized{s.http.Transport, s.authorize}
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
	if request.Method == http.MethodGet || request.Header.Get(idempotencyKey) != "" {
		return s.repeatable.Do(repeated)
	}
	return s.others.Do(repeated)
}

// whenAsked repeats what was refused with a Retry-After (429, 503): nothing was done yet.
func whenAsked(ctx context.Context, response *http.Response, err error) (bool, error) {
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	return err == nil && response.Header.Get("Retry-After") != "", nil
}

// unlessRefused also repeats what got no answer, or one that the service has failed. A quota that is used up has no Retry-After.
func unlessRefused(ctx context.Context, response *http.Response, err error) (bool, error) {
	if err == nil && response.StatusCode < http.StatusInternalServerError {
		return whenAsked(ctx, response, err)
	}
	return retryablehttp.DefaultRetryPolicy(ctx, response, err)
}

// backoff keeps clients that were refused together from coming back together.
func backoff(shortest, longest time.Duration, attempt int, response *http.Response) time.Duration {
	wait := retryablehttp.DefaultBackoff(shortest, longest, attempt, response)
	return wait + rand.N(shortest) //nolint:gosec // it is no secret
}

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
			return nil, fmt.Errorf("authorize: %w", err)
		}
	}
	return base.RoundTrip(request)
}
