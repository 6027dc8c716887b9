package userdata

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/smithy-go/middleware"
)

// Limits of one call: three attempts and two pauses take at most 6.6 s. A request that makes several calls is bounded by the
// deadline of its context.
const (
	dialTimeout    = time.Second
	attemptTimeout = 2 * time.Second
	maxAttempts    = 3
	maxBackoff     = 300 * time.Millisecond
	idleTimeout    = 5 * time.Minute
)

// ClientConfig says where DynamoDB is, and who calls it.
type ClientConfig struct {
	Region      string
	Endpoint    string // another address than the region's own: DynamoDB Local
	Credentials aws.CredentialsProvider
	// Trace is added to the middleware of every call; nil: none.
	Trace func(*middleware.Stack) error
}

// NewClient returns a client whose time-outs, attempts and pauses are pinned to what a function can wait for.
func NewClient(cfg ClientConfig) *dynamodb.Client {
	options := dynamodb.Options{
		Region:      cfg.Region,
		Credentials: cfg.Credentials,
		HTTPClient:  newHTTPClient(),
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts = maxAttempts
			o.MaxBackoff = maxBackoff
			o.Retryables = append(o.Retryables, retry.IsErrorRetryableFunc(isCutShort))
		}),
	}
	if cfg.Endpoint != "" {
		options.BaseEndpoint = aws.String(cfg.Endpoint)
		options.AccountIDEndpointMode = aws.AccountIDEndpointModeDisabled // DynamoDB Local has one address for all accounts
	}
	options.APIOptions = append(options.APIOptions, measure)
	if cfg.Trace != nil {
		options.APIOptions = append(options.APIOptions, cfg.Trace)
	}
	return dynamodb.New(options)
}

// isCutShort recognises an answer whose connection ended in its middle. The SDK by itself retries all other lost answers.
func isCutShort(err error) aws.Ternary {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return aws.TrueTernary
	}
	return aws.UnknownTernary
}

func newHTTPClient() *http.Client {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	return &http.Client{
		Timeout: attemptTimeout,
		Transport: replayer{&http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         dialer.DialContext,
			TLSHandshakeTimeout: dialTimeout,
			MaxIdleConnsPerHost: 4,
			IdleConnTimeout:     idleTimeout,
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// replayer lets net/http send a request again, on a new connection and at once, when the connection that it took from the pool
// turns out to be dead: the usual case after the environment was frozen. Without it the attempt fails, and the SDK pauses before
// the next. DynamoDB may have carried out the first try of a write all the same; the write's condition then tells.
type replayer struct{ next *http.Transport }

// CloseIdleConnections is what [http.Client.CloseIdleConnections] calls.
func (r replayer) CloseIdleConnections() { r.next.CloseIdleConnections() }

// RoundTrip implements [http.RoundTripper].
func (r replayer) RoundTrip(req *http.Request) (*http.Response, error) {
	usage := usageOf(req.Context())
	usage.tries.Add(1)
	connections := 0
	again := req.Clone(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
		connections++
		if connections > 1 { // the one before broke off
			usage.tries.Add(1)
			usage.doubtful.Add(1)
		}
	}}))
	// An empty list marks the request as safe to send again, and is not sent itself (net/http.Transport).
	again.Header["X-Idempotency-Key"] = nil
	if req.Body != nil && req.GetBody == nil {
		body, err := io.ReadAll(req.Body)
		if err = errors.Join(err, req.Body.Close()); err != nil {
			return nil, fmt.Errorf("read request body: %w", err)
		}
		again.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		again.Body, _ = again.GetBody() // never fails
	}
	res, err := r.next.RoundTrip(again)
	if err != nil || res.StatusCode < 400 || res.StatusCode >= 500 {
		usage.doubtful.Add(1)
	}
	return res, err
}
