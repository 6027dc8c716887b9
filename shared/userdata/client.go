package userdata

import (
	"crypto/x509"
	"errors"
	"io"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/smithy-go/middleware"
)

// Limits of one call: three attempts and two delays take at most 6.6 s. The context's deadline limits the total time
// of several calls.
const (
	dialTimeout    = time.Second
	attemptTimeout = 2 * time.Second
	maxAttempts    = 3
	minBackoff     = 25 * time.Millisecond // the SDK's default for DynamoDB
	maxBackoff     = 300 * time.Millisecond
)

// ClientConfig configures [NewClient].
type ClientConfig struct {
	Region      string
	Endpoint    string // overrides the Region's endpoint, for example with that of DynamoDB Local
	Credentials aws.CredentialsProvider
	// Roots, if not nil, are root certificates that are tried before those of the system, such as [AmazonRoots].
	Roots *x509.CertPool
	// Trace, if not nil, adds middleware to every call.
	Trace func(*middleware.Stack) error
}

// NewClient returns a client whose timeouts and retries fit into the timeout of a function.
func NewClient(cfg ClientConfig) *dynamodb.Client {
	options := dynamodb.Options{
		Region:      cfg.Region,
		Credentials: cfg.Credentials,
		HTTPClient:  newHTTPClient(cfg.Roots),
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts = maxAttempts
			o.Backoff = retry.BackoffDelayerFunc(backoff)
			o.Retryables = append(o.Retryables, retry.IsErrorRetryableFunc(isTruncated))
		}),
	}
	if cfg.Endpoint != "" {
		options.BaseEndpoint = aws.String(cfg.Endpoint)
		options.AccountIDEndpointMode = aws.AccountIDEndpointModeDisabled // DynamoDB Local has one endpoint for all accounts
	}
	options.APIOptions = append(options.APIOptions, recordUsage)
	if cfg.Trace != nil {
		options.APIOptions = append(options.APIOptions, cfg.Trace)
	}
	return dynamodb.New(options)
}

// backoff returns the delay before a retry. It is short unless DynamoDB throttles: each write by another client in
// the meantime can hide the outcome of a write in doubt.
func backoff(attempt int, err error) (time.Duration, error) {
	if isThrottle(err) {
		return retry.NewExponentialJitterBackoff(maxBackoff).BackoffDelay(attempt, err)
	}
	return rand.N(minBackoff << attempt), nil //nolint:gosec // jitter need not be secure
}

// isTruncated returns [aws.TrueTernary] for a truncated response, the only kind of lost response that the SDK does not
// retry by itself.
func isTruncated(err error) aws.Ternary {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return aws.TrueTernary
	}
	return aws.UnknownTernary
}
