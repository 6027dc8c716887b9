// Package client is a typed client of UserRequestAPI.
//
// Its operations and types are those of package [api], which is generated from the API document. This package adds what every caller
// needs: problem documents as errors, pages as a sequence, requests that are repeated where that is safe, and users that are changed
// without losing what others have written.
package client

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/userrequestapi/userdata/shared/client/api"
)

// attemptTimeout is a little longer than API Gateway lets a function take, which is 29 seconds.
const attemptTimeout = 35 * time.Second

// Client sends requests to a stage. Its methods may be called from several goroutines.
type Client struct{ operations *api.ClientWithResponses }

// Option changes how a [Client] sends requests.
type Option func(*settings)

type settings struct {
	http      *http.Client
	authorize func(*http.Request) error
	retries   int
}

// New returns a client of the stage with this invoke URL, such as https://a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com/prod.
func New(invokeURL string, options ...Option) (*Client, error) {
	s := settings{http: &http.Client{Timeout: attemptTimeout}, retries: 4}
	for _, option := range options {
		option(&s)
	}
	stage, err := url.Parse(invokeURL)
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	if stage.Scheme == "" || stage.Host == "" {
		return nil, fmt.Errorf("make a client: %q has no scheme or no host; give the whole invoke URL of a stage", invokeURL)
	}
	operations, err := api.NewClientWithResponses(invokeURL, api.WithHTTPClient(newSender(s)))
	if err != nil {
		return nil, fmt.Errorf("make a client of %s: %w", invokeURL, err)
	}
	return &Client{operations}, nil
}

// WithHTTPClient has requests sent by another HTTP client than one with Go's defaults, which gives up an attempt after 35 seconds. Its
// Timeout is that of each attempt. Redirects are not followed, whatever its CheckRedirect says, as they would take credentials elsewhere.
func WithHTTPClient(client *http.Client) Option { return func(s *settings) { s.http = client } }

// WithAuthorization has each attempt of a request made one that the stage accepts: by [APIKey], by [Token], or by a signature
// (AWS Signature Version 4, service execute-api), for which the body is read from the request's GetBody. Its error ends the request.
func WithAuthorization(authorize func(*http.Request) error) Option {
	return func(s *settings) { s.authorize = authorize }
}

// WithRetries sets how often a request is repeated at most: 4 times unless told otherwise. Repeated is what was answered 429 or 503 with a
// Retry-After of up to 60 seconds, after that time; and what got no answer or another 5xx, if repeating it cannot take effect twice:
// reads, creations, and writes with an ETag.
func WithRetries(most int) Option { return func(s *settings) { s.retries = most } }

// APIKey authorizes requests to a stage that asks for an API key.
func APIKey(key string) func(*http.Request) error {
	return func(request *http.Request) error {
		request.Header.Set("X-Api-Key", key)
		return nil
	}
}

// Token authorizes requests to a stage that asks for tokens of an Amazon Cognito user pool. get returns one that has not expired.
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
