package apigateway

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// Credential is an access key of an IAM user. Policies are not evaluated: it may call every method.
type Credential struct {
	SecretAccessKey string
	AccountID       string
	UserID          string // the unique id, such as AIDACKCEVSQ6C2EXAMPLE
	UserARN         string
}

// APIKey is a key of the stage's usage plan.
type APIKey struct {
	ID    string // identifies the key in events and in the access log
	Value string // sent by clients in X-Api-Key
}

// UserPool is a Cognito user pool: the data for verifying its tokens.
type UserPool struct {
	Issuer string             // claim iss: https://cognito-idp.REGION.amazonaws.com/POOL_ID
	Keys   jose.JSONWebKeySet // public keys of the pool
}

// authorizer authorizes a request and sets the caller's identity, or returns an error.
type authorizer func(*exchange) error

// allowAll authorizes every request. It is for methods without a security scheme.
func allowAll(*exchange) error { return nil }

// securityScheme has the keys of a rendered security scheme.
type securityScheme struct {
	Type       string `json:"type"`
	Name       string `json:"name"`
	In         string `json:"in"`
	AuthType   string `json:"x-amazon-apigateway-authtype"`
	Authorizer struct {
		Type         string   `json:"type"`
		ProviderARNs []string `json:"providerARNs"`
	} `json:"x-amazon-apigateway-authorizer"`
}

// authorizer returns the authorizer for the security requirements of an operation.
func (p *parser) authorizer(requirements []map[string][]string) (authorizer, error) {
	if len(requirements) == 0 {
		return allowAll, nil
	}
	if len(requirements) > 1 || len(requirements[0]) != 1 {
		return nil, errors.New("security: several schemes for one method are not supported: use one")
	}
	name := sortedKeys(requirements[0])[0]
	authorize, err := p.scheme(name, requirements[0][name])
	if err != nil {
		return nil, fmt.Errorf("security scheme %s: %w", name, err)
	}
	return authorize, nil
}

func (p *parser) scheme(name string, scopes []string) (authorizer, error) {
	scheme, ok := p.document.Components.SecuritySchemes[name]
	switch {
	case !ok:
		return nil, errors.New("not found in components.securitySchemes")
	case scheme.Type != "apiKey" || scheme.In != "header" || scheme.Name == "":
		return nil, fmt.Errorf("type %s in %q is not supported: use type apiKey in header, with a name",
			scheme.Type, scheme.In)
	case len(scopes) > 0:
		return nil, fmt.Errorf("scopes %s are not supported", strings.Join(scopes, ", "))
	}
	switch scheme.AuthType {
	case "":
		if !strings.EqualFold(scheme.Name, "X-Api-Key") {
			return nil, errors.New("without " + extensionPrefix + "authtype, want an API key with the name x-api-key")
		}
		return requireAPIKey, nil
	case "awsSigv4":
		if scheme.Name != "Authorization" {
			return nil, errors.New("awsSigv4: want the name Authorization")
		}
		return requireSignature, nil
	case "cognito_user_pools":
		return p.userPools(scheme)
	}
	return nil, fmt.Errorf("%sauthtype %s is not supported: use awsSigv4 or cognito_user_pools",
		extensionPrefix, scheme.AuthType)
}

// singleHeader returns the value of a header that the request has exactly once, or "".
func (x *exchange) singleHeader(name string) string {
	if values := x.request.Header.Values(name); len(values) == 1 {
		return values[0]
	}
	return ""
}

// requireAPIKey authorizes requests with an API key. It ignores the throttle and quota of the usage plan.
func requireAPIKey(x *exchange) error {
	sent := []byte(x.singleHeader("X-Api-Key"))
	for _, key := range x.gateway.cfg.APIKeys {
		if key.Value != "" && subtle.ConstantTimeCompare(sent, []byte(key.Value)) == 1 {
			x.identity.APIKey, x.identity.APIKeyID = key.Value, key.ID
			return nil
		}
	}
	return newGatewayError(invalidAPIKey, "Forbidden")
}
