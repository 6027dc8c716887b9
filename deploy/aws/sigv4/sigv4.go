// Package sigv4 signs requests to an API whose authorization is AWS_IAM ("AWS Signature Version 4 for API requests").
package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	signer "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Service is the service name of API Gateway in IAM.
const Service = "execute-api"

// Scheme returns the value of curl's option --aws-sigv4 for APIs in a Region.
func Scheme(region string) string { return "aws:amz:" + region + ":" + Service }

// Curl returns the options with which curl signs requests to an API in a Region. The credentials are in the environment
// variables of AWS's tools.
func Curl(region string) string {
	return `--aws-sigv4 "` + Scheme(region) + `" --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" ` +
		`-H "X-Amz-Security-Token: $AWS_SESSION_TOKEN"`
}

// Sign signs a request to an API in a Region. A request with a body must have GetBody. The request must not be changed
// afterwards. API Gateway accepts the signature for 5 minutes. If there are no credentials, the error is an
// [CredentialsError].
func Sign(req *http.Request, credentials aws.CredentialsProvider, region string) error {
	keys, err := credentials.Retrieve(req.Context())
	if err != nil {
		return fmt.Errorf("sign: %w", &CredentialsError{err})
	}
	digest := sha256.New()
	if req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return fmt.Errorf("sign: %w", err)
		}
		_, err = io.Copy(digest, body)
		if err := errors.Join(err, body.Close()); err != nil {
			return fmt.Errorf("sign: %w", err)
		}
	}
	payloadHash := hex.EncodeToString(digest.Sum(nil))
	err = signer.NewSigner().SignHTTP(req.Context(), keys, req, payloadHash, Service, region, time.Now())
	if err != nil {
		return fmt.Errorf("sign: %w", err)
	}
	return nil
}

// CredentialsError means that credentials could not be retrieved. The SDK has no type for this.
type CredentialsError struct{ Err error }

// Error implements error.
func (e *CredentialsError) Error() string { return "get credentials: " + e.Err.Error() }

// Unwrap returns the error of the provider.
func (e *CredentialsError) Unwrap() error { return e.Err }
