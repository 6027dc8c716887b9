// Package caller authorizes the requests of a caller as a stage requires.
package caller

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/userrequestapi/userdata/deploy/aws/sigv4"
	"github.com/userrequestapi/userdata/deploy/template"
)

// Timeout is how long a caller waits for a response. It is longer than API Gateway's integration timeout
// ([template.MaxIntegrationTimeout]).
const Timeout = 35 * time.Second

// Caller is a caller of a stage.
type Caller struct {
	Authorization string // the value of the template's parameter Authorization

	Credentials aws.CredentialsProvider // for AWS_IAM
	Region      string                  // for AWS_IAM
	APIKey      string                  // for API_KEY
	Token       string                  // for COGNITO_USER_POOLS, with or without the prefix "Bearer "
}

// Check returns an error if the caller lacks what the stage requires.
func (c Caller) Check() error {
	switch c.Authorization {
	case template.AuthorizationIAM:
		if c.Credentials == nil {
			return errors.New("the stage requires signed requests, but there are no credentials")
		}
	case template.AuthorizationCognito:
		if c.Token == "" {
			return errors.New("the stage requires an ID token of its user pool: set TOKEN")
		}
	case template.AuthorizationAPIKey:
		if c.APIKey == "" {
			return errors.New("the stage requires an API key, but none is set")
		}
	case template.AuthorizationNone:
	default:
		return fmt.Errorf("unknown authorization %q", c.Authorization)
	}
	return nil
}

// Authorize adds the authorization to a request. The request must not be changed afterwards. If it has a body, it must
// have GetBody.
func (c Caller) Authorize(req *http.Request) error {
	switch c.Authorization {
	case template.AuthorizationIAM:
		return sigv4.Sign(req, c.Credentials, c.Region)
	case template.AuthorizationCognito:
		req.Header.Set(template.AuthorizationHeader, "Bearer "+strings.TrimPrefix(c.Token, "Bearer "))
	case template.AuthorizationAPIKey:
		req.Header.Set(template.APIKeyHeader, c.APIKey)
	}
	return nil
}

// ForbiddenHint says what to check if the stage responds 403, or returns "".
func (c Caller) ForbiddenHint() string {
	switch c.Authorization {
	case template.AuthorizationIAM:
		return "check that the credentials allow execute-api:Invoke"
	case template.AuthorizationAPIKey:
		return "check that the usage plan of the API key contains this stage"
	default:
		return ""
	}
}
