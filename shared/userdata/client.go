package userdata

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
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
)

// idleTimeout is the time without traffic after which a kept connection is not used again: it may have been lost while the
// environment was frozen, unnoticed (decision 0004 has the measurements).
const idleTimeout = 5 * time.Second

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
		Transport: &transport{next: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         dialer.DialContext,
			TLSHandshakeTimeout: dialTimeout,
			TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(0)},
			MaxIdleConnsPerHost: 4,
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// transport sends the attempts of calls, and records which attempts of a write are in doubt.
type transport struct {
	next *http.Transport
	used atomic.Int64 // the wall clock at the last response, in Unix nanoseconds
}

// CloseIdleConnections implements the method that [http.Client.CloseIdleConnections] calls.
func (t *transport) CloseIdleConnections() { t.next.CloseIdleConnections() }

// closeStale closes the idle connections after idleTimeout without a response. A timer would not do: the monotonic clock, which
// [http.Transport.IdleConnTimeout] uses, can stand still while the environment is frozen.
func (t *transport) closeStale() {
	idle := time.Duration(time.Now().UnixNano() - t.used.Load())
	if idle < 0 || idle > idleTimeout {
		t.next.CloseIdleConnections()
	}
}

// RoundTrip implements [http.RoundTripper].
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	t.closeStale()
	usage, doubt := usageOf(req.Context()), doubtOf(req.Context())
	usage.attempts.Add(1)
	connections := 0
	out := req.Clone(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
		connections++
		if connections > 1 { // net/http resends the request, because the kept connection broke
			usage.attempts.Add(1)
			if doubt != nil && doubt.pinned {
				doubt.raise()
			}
		}
	}}))
	if doubt == nil || doubt.pinned {
		// An empty list, which is not sent, allows net/http to resend the request. Without it, net/http does so only if no byte
		// was sent.
		out.Header["X-Idempotency-Key"] = nil
	}
	if req.Body != nil && req.GetBody == nil {
		body, err := io.ReadAll(req.Body)
		if err = errors.Join(err, req.Body.Close()); err != nil {
			return nil, fmt.Errorf("read request body: %w", err)
		}
		out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		out.Body, _ = out.GetBody() // never fails
	}
	res, err := t.next.RoundTrip(out)
	if err == nil {
		t.used.Store(time.Now().UnixNano())
	}
	refused := err == nil && res.StatusCode >= 400 && res.StatusCode < 500
	if doubt != nil && connections > 0 && !refused {
		doubt.raise() // after a complete success nobody asks
	}
	return res, err
}
