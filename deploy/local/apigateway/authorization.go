package apigateway

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// Credential is the access key of an IAM user. There are no policies here: whoever signs with it may call every method.
type Credential struct {
	SecretAccessKey string
	AccountID       string
	UserID          string // the unique id, such as AIDACKCEVSQ6C2EXAMPLE
	UserARN         string
}

// APIKey is a key of the stage's usage plan.
type APIKey struct {
	ID    string // tells the function and the access log which key it was
	Value string // what clients send in X-Api-Key
}

// UserPool is a Cognito user pool, as far as verifying its tokens goes.
type UserPool struct {
	Issuer string             // what tokens say in iss: https://cognito-idp.REGION.amazonaws.com/POOL_ID
	Keys   jose.JSONWebKeySet // the public keys that sign its tokens, by key id
}

// authorizer lets a request pass, noting who sent it, or returns why not.
type authorizer func(*exchange) error

// open is the authorizer of methods that name no security scheme.
func open(*exchange) error { return nil }

// securityScheme is an OpenAPI security scheme with the extensions of API Gateway.
type securityScheme struct {
	Type       string          `json:"type"`
	Name       string          `json:"name"`
	In         string          `json:"in"`
	AuthType   string          `json:"x-amazon-apigateway-authtype"`
	Authorizer json.RawMessage `json:"x-amazon-apigateway-authorizer"`
}

// authorizer reads the security of an operation.
func (p *parser) authorizer(where string, requirements []map[string][]string) authorizer {
	if len(requirements) > 1 || len(requirements) == 1 && len(requirements[0]) > 1 {
		p.refuse(where, errors.New("security: several schemes for one method are not supported: name one"))
		return open
	}
	for _, requirement := range requirements {
		for name, scopes := range requirement {
			authorize, err := p.scheme(name, scopes)
			if err != nil {
				p.refuse(where, fmt.Errorf("the security scheme %s: %w", name, err))
				return open
			}
			return authorize
		}
	}
	return open
}

func (p *parser) scheme(name string, scopes []string) (authorizer, error) {
	raw, ok := p.document.Components.SecuritySchemes[name]
	if !ok {
		return nil, errors.New("there is none of that name in components.securitySchemes")
	}
	var scheme securityScheme
	if err := json.Unmarshal(raw, &scheme); err != nil {
		return nil, err
	}
	switch {
	case scheme.Type != "apiKey" || scheme.In != "header" || scheme.Name == "":
		return nil, fmt.Errorf("type %s in %q is not supported: use type apiKey in header, with a name", scheme.Type, scheme.In)
	case len(scopes) > 0:
		return nil, fmt.Errorf("the scopes %s are not supported", strings.Join(scopes, ", "))
	}
	switch strings.ToLower(scheme.AuthType) {
	case "":
		if !strings.EqualFold(scheme.Name, "X-Api-Key") || scheme.Authorizer != nil {
			return nil, errors.New("without " + extensionPrefix + "authtype it must be an API key, whose name is x-api-key")
		}
		return requireAPIKey, nil
	case "awssigv4":
		if !strings.EqualFold(scheme.Name, "Authorization") || scheme.Authorizer != nil {
			return nil, errors.New("awsSigv4 is about the header Authorization, and has no " + extensionPrefix + "authorizer")
		}
		return requireSignature, nil
	case "cognito_user_pools":
		return p.userPools(scheme)
	}
	return nil, fmt.Errorf("%sauthtype %s is not supported: there are no Lambda authorizers here", extensionPrefix, scheme.AuthType)
}

// onlyHeader returns the value of a header that must not be ambiguous: "" unless the request has it exactly once.
func (x *exchange) onlyHeader(name string) string {
	if values := x.request.Header.Values(name); len(values) == 1 {
		return values[0]
	}
	return ""
}

// requireAPIKey is about methods that require an API key. The usage plan's own throttle and quota are not kept.
func requireAPIKey(x *exchange) error {
	sent := []byte(x.onlyHeader("X-Api-Key"))
	for _, key := range x.gateway.cfg.APIKeys {
		if key.Value != "" && subtle.ConstantTimeCompare(sent, []byte(key.Value)) == 1 {
			x.identity.APIKey, x.identity.APIKeyID = key.Value, key.ID
			return nil
		}
	}
	return newGatewayError(invalidAPIKey, "Forbidden")
}
