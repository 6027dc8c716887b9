package stage

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"

	awserrors "github.com/userrequestapi/userdata/deploy/aws/errors"
	"github.com/userrequestapi/userdata/deploy/template"
	"github.com/userrequestapi/userdata/deploy/template/caller"
)

// InvokeURL returns the URL of a release. pattern has the placeholders {ApiId} and {StageName}, for emulators that
// serve APIs at other addresses than AWS; "" means the stack's output InvokeURL.
func (s *Stage) InvokeURL(r *Release, pattern string) string {
	if pattern == "" {
		return r.Outputs["InvokeURL"]
	}
	return strings.NewReplacer("{ApiId}", r.Outputs["ApiId"], "{StageName}", s.Name).Replace(pattern)
}

// Caller returns a caller of a release with the credentials of the account. For a stage with an API key, it reads the
// key. token is the ID token for a user pool; Caller does not check whether one is needed.
func (s *Stage) Caller(ctx context.Context, r *Release, token string) (caller.Caller, error) {
	c := caller.Caller{
		Authorization: r.Template.Parameters()[template.AuthorizationParameter],
		Credentials:   s.Account.Config.Credentials, Region: s.Account.Region, Token: token,
	}
	if c.Authorization == template.AuthorizationAPIKey {
		key, err := apigateway.NewFromConfig(s.Account.Config).GetApiKey(ctx,
			&apigateway.GetApiKeyInput{ApiKey: aws.String(r.Outputs["ApiKeyId"]), IncludeValue: aws.Bool(true)})
		if err != nil {
			return c, fmt.Errorf("read the API key: %w", awserrors.Explain(err))
		}
		c.APIKey = aws.ToString(key.Value)
	}
	return c, nil
}
