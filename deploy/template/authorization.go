package template

import (
	"fmt"

	"github.com/userrequestapi/userdata/deploy/cfn"
)

// AuthorizationParameter is the parameter with the authorization of a stage.
const AuthorizationParameter = "Authorization"

const userPoolParameter = "UserPoolArn"

// The headers with the authorization of a request.
const (
	AuthorizationHeader = "Authorization" // for signatures and tokens
	APIKeyHeader        = "x-api-key"
)

// The values of the parameter Authorization.
const (
	AuthorizationIAM     = "AWS_IAM"            // requests are signed; IAM allows execute-api:Invoke
	AuthorizationCognito = "COGNITO_USER_POOLS" // requests have a token of the user pool
	AuthorizationAPIKey  = "API_KEY"            // requests have an API key, which meters but does not protect
	AuthorizationNone    = "NONE"               // everyone may call
)

// securityScheme is a security scheme of the API's Body. The zero value means no authorization.
type securityScheme struct {
	name       string
	definition object
}

// secure adds the security requirement to an operation.
func (s securityScheme) secure(operation object) {
	if s.name != "" {
		operation["security"] = []any{object{s.name: []any{}}}
	}
}

// SecurityScheme returns the name of the contract's security scheme for a value of the parameter Authorization, or ""
// for NONE.
func SecurityScheme(authorization string) string {
	s, _ := scheme(authorization) // "" for an unknown authorization
	return s.name
}

// scheme returns the security scheme of an authorization ("x-amazon-apigateway-authtype property",
// "x-amazon-apigateway-authorizer object").
func scheme(authorization string) (securityScheme, error) {
	header := func(name string) object { return object{"type": "apiKey", "name": name, "in": "header"} }
	switch authorization {
	case AuthorizationIAM:
		definition := header(AuthorizationHeader)
		definition[AuthTypeKey] = "awsSigv4"
		return securityScheme{"sigv4", definition}, nil
	case AuthorizationCognito:
		definition := header(AuthorizationHeader)
		definition[AuthTypeKey] = "cognito_user_pools"
		definition[AuthorizerKey] = object{
			"type": "cognito_user_pools", "providerARNs": []any{object{"Ref": userPoolParameter}},
		}
		return securityScheme{"userPool", definition}, nil
	case AuthorizationAPIKey:
		return securityScheme{"apiKey", header(APIKeyHeader)}, nil
	case AuthorizationNone:
		return securityScheme{}, nil
	default:
		return securityScheme{}, fmt.Errorf("parameter %s: want AWS_IAM, COGNITO_USER_POOLS, API_KEY or NONE, got %q",
			AuthorizationParameter, authorization)
	}
}

// pinAuthorization returns the security scheme. It allows the parameter only its current value, because another value
// would not change the rendered Body.
func (r *Rendered) pinAuthorization() (securityScheme, error) {
	value, ok := r.values[AuthorizationParameter]
	if !ok {
		return securityScheme{}, fmt.Errorf("%s: Parameters.%s: missing", templateFile, AuthorizationParameter)
	}
	parameter := cfn.Mapping(r.document, "Parameters", AuthorizationParameter)
	parameter["Default"], parameter["AllowedValues"] = value, []any{value}
	return scheme(value)
}
