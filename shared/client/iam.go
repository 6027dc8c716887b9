package client

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

// signingService is the service name of API Gateway in signatures.
const signingService = "execute-api"

// IAM authorizes requests to a stage whose authorization is AWS_IAM, the default: it signs them with AWS Signature
// Version 4. credentials and region are usually those of an [aws.Config], which caches credentials and renews temporary
// ones. region is the Region of the stage. The request must not be changed afterwards.
func IAM(credentials aws.CredentialsProvider, region string) func(*http.Request) error {
	return func(request *http.Request) error {
		if region == "" {
			return errors.New("sign: want the Region of the stage, got none; set AWS_REGION, or pass the Region to IAM")
		}
		if credentials == nil {
			return errors.New("sign: want a credentials provider, got none; pass the Credentials of an aws.Config to IAM")
		}
		keys, err := credentials.Retrieve(request.Context())
		if err == nil && !keys.HasKeys() {
			err = errors.New("the provider returned no access key")
		}
		if err != nil {
			return fmt.Errorf("sign: get AWS credentials: %w; set AWS_PROFILE, or AWS_ACCESS_KEY_ID and "+
				"AWS_SECRET_ACCESS_KEY, or sign in with aws sso login", err)
		}
		hash, err := bodyHash(request)
		if err != nil {
			return fmt.Errorf("sign: read the request body: %w", err)
		}
		// For API Gateway, the canonical path is escaped twice, which is the signer's default.
		err = signer.NewSigner().SignHTTP(request.Context(), keys, request, hash, signingService, region, time.Now())
		if err != nil {
			return fmt.Errorf("sign: %w", err)
		}
		return nil
	}
}

// bodyHash returns the SHA-256 of the request's body in hexadecimal. It reads the body from GetBody.
func bodyHash(request *http.Request) (string, error) {
	digest := sha256.New()
	if request.GetBody != nil {
		body, err := request.GetBody()
		if err != nil {
			return "", err
		}
		_, err = io.Copy(digest, body)
		if err := errors.Join(err, body.Close()); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(digest.Sum(nil)), nil
}
