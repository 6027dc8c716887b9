package apigateway

import (
	"crypto/subtle"
	"encoding/json"
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

// securityScheme is an OpenAPI security scheme with the extensions of API Gateway.
type securityScheme struct {
	Type       string          `json:"type"`
	Name       string          `json:"name"`
	In         string          `json:"in"`
	AuthType   string          `json:"x-amazon-apigateway-authtype"`
	Authorizer json.RawMessage `json:"x-amazon-apigateway-authorizer"`
}

// authorizer returns the authorizer for the security requirements of an operation.
func (p *parser) authorizer(where string, requirements []map[string][]string) authorizer {
	if len(requirements) > 1 || len(requirements) == 1 && len(requirements[0]) > 1 {
		p.addError(where, errors.New("security: several schemes for one method are not supported: use one"))
		return allowAll
	}
	for _, requirement := range requirements {
		for name, scopes := range requirement {
			authorize, err := p.scheme(name, scopes)
			if err != nil {
				p.addError(where, fmt.Errorf("security scheme %s: %w", name, err))
				return allowAll
			}
			return authorize
		}
	}
	return allowAll
}

func (p *parser) scheme(name string, scopes []string) (authorizer, error) {
	raw, ok := p.document.Components.SecuritySchemes[name]
	if !ok {
		return nil, errors.New("not found in components.securitySchemes")
	}
	var scheme securityScheme
	if err := json.Unmarshal(raw, &scheme); err != nil {
		return nil, err
	}
	switch {
	case scheme.Type != "apiKey" || scheme.In != "header" || scheme.Name == "":
		return nil, fmt.Errorf("type %s in %q is not supported: use type apiKey in header, with a name",
			scheme.Type, scheme.In)
	case len(scopes) > 0:
		return nil, fmt.Errorf("scopes %s are not supported", strings.Join(scopes, ", "))
	}
	switch strings.ToLower(scheme.AuthType) {
	case "":
		if !strings.EqualFold(scheme.Name, "X-Api-Key") || scheme.Authorizer != nil {
			return nil, errors.New("without " + extensionPrefix + "authtype, want an API key with the name x-api-key")
		}
		return requireAPIKey, nil
	case "awssigv4":
		if !strings.EqualFold(scheme.Name, "Authorization") || scheme.Authorizer != nil {
			return nil, errors.New("awsSigv4: want the name Authorization and no " + extensionPrefix + "authorizer")
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
