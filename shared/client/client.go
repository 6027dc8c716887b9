// Package client is a typed client of UserRequestAPI.
//
// Package [api] has its operations and types, generated from the API document. This package adds problem documents as
// errors, pages as a sequence, safe retries, and updates without lost writes.
package client

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/userrequestapi/userdata/shared/client/api"
)

// attemptTimeout exceeds API Gateway's integration timeout of 29 seconds.
const attemptTimeout = 35 * time.Second

// Client sends requests to a stage. It is safe for concurrent use.
type Client struct{ operations *api.ClientWithResponses }

// Option configures a [Client].
type Option func(*settings)

type settings struct {
	http      *http.Client
	authorize func(*http.Request) error
	retries   int
}

// New returns a client of a stage. invokeURL is its invoke URL, for example
// https://a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com/prod.
func New(invokeURL string, options ...Option) (*Client, error) {
	s := settings{http: &http.Client{Timeout: attemptTimeout}, retries: 4}
	for _, option := range options {
		option(&s)
	}
	stage, err := url.Parse(invokeURL)
	if err != nil {
		return nil, fmt.Errorf("new client: %w", err)
	}
	if stage.Scheme == "" || stage.Host == "" {
		return nil, fmt.Errorf("new client: want the invoke URL of a stage with scheme and host, got %q", invokeURL)
	}
	operations, err := api.NewClientWithResponses(invokeURL, api.WithHTTPClient(newSender(s)))
	if err != nil {
		return nil, fmt.Errorf("new client for %s: %w", invokeURL, err)
	}
	return &Client{operations}, nil
}

// WithHTTPClient sets the HTTP client. The default is one with Go's defaults and a Timeout of 35 seconds. Timeout
// applies to each attempt. CheckRedirect is ignored: redirects are not followed, because they could send credentials
// to another host.
func WithHTTPClient(client *http.Client) Option { return func(s *settings) { s.http = client } }

// WithAuthorization sets a function that authorizes each attempt: [IAM], [Token], [APIKey], or one that reads the body
// from the request's GetBody. If authorize returns an error, the request is not sent or retried.
func WithAuthorization(authorize func(*http.Request) error) Option {
	return func(s *settings) { s.authorize = authorize }
}

// WithRetries sets the maximum number of retries of a request; the default is 4. A request is retried after a 429 or
// 503 with a Retry-After of up to 60 seconds. After a lost response or another 5xx status code, only requests that
// cannot take effect twice are retried: reads, creates, and writes with an ETag.
func WithRetries(retries int) Option { return func(s *settings) { s.retries = retries } }

// APIKey authorizes requests to a stage that requires an API key.
func APIKey(key string) func(*http.Request) error {
	return func(request *http.Request) error {
		request.Header.Set("X-Api-Key", key)
		return nil
	}
}

// Token authorizes requests to a stage that requires a token of an Amazon Cognito user pool. get returns an unexpired
// token.
func Token(get func() (string, error)) func(*http.Request) error {
	return func(request *http.Request) error {
		token, err := get()
		if err != nil {
			return fmt.Errorf("get a token: %w", err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
		return nil
	}
}
