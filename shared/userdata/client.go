package userdata

import (
	"errors"
	"io"
	"math/rand/v2"
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
	minBackoff     = 25 * time.Millisecond // as the SDK's own for DynamoDB
	maxBackoff     = 300 * time.Millisecond
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
			o.Backoff = retry.BackoffDelayerFunc(backoff)
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

// backoff returns the pause before a retry. It is short unless DynamoDB is throttling: the more other clients write in the meantime, the
// fewer writes in doubt have an outcome that can be known.
func backoff(attempt int, err error) (time.Duration, error) {
	if isThrottle(err) {
		return retry.NewExponentialJitterBackoff(maxBackoff).BackoffDelay(attempt, err)
	}
	return rand.N(minBackoff << attempt), nil //nolint:gosec // it is no secret
}

// isCutShort recognises an answer whose connection ended in its middle. The SDK by itself retries all other lost answers.
func isCutShort(err error) aws.Ternary {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return aws.TrueTernary
	}
	return aws.UnknownTernary
}
