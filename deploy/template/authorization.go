package template

import (
	"fmt"

	"github.com/userrequestapi/userdata/deploy/cfn"
	"github.com/userrequestapi/userdata/deploy/contract"
)

const (
	authorizationParameter = "Authorization"
	userPoolParameter      = "UserPoolArn"

	authorizerKey = "x-amazon-apigateway-authorizer"
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

// scheme returns the security scheme of an authorization ("x-amazon-apigateway-authtype property",
// "x-amazon-apigateway-authorizer object").
func scheme(authorization string) (securityScheme, error) {
	header := func(name string) object { return object{"type": "apiKey", "name": name, "in": "header"} }
	name := contract.SecurityScheme(authorization)
	switch authorization {
	case AuthorizationIAM:
		definition := header("Authorization")
		definition["x-amazon-apigateway-authtype"] = "awsSigv4"
		return securityScheme{name, definition}, nil
	case AuthorizationCognito:
		definition := header("Authorization")
		definition["x-amazon-apigateway-authtype"] = "cognito_user_pools"
		definition[authorizerKey] = object{
			"type": "cognito_user_pools", "providerARNs": []any{object{"Ref": userPoolParameter}},
		}
		return securityScheme{name, definition}, nil
	case AuthorizationAPIKey:
		return securityScheme{name, header("x-api-key")}, nil
	case AuthorizationNone:
		return securityScheme{}, nil
	default:
		return securityScheme{}, fmt.Errorf("parameter %s: %q is not an authorization", authorizationParameter, authorization)
	}
}

// pinAuthorization returns the security scheme. It allows the parameter only its current value, because another value
// would not change the rendered Body.
func (r *Rendered) pinAuthorization() (securityScheme, error) {
	value, ok := r.values[authorizationParameter]
	if !ok {
		return securityScheme{}, fmt.Errorf("%s: Parameters.%s: missing", templateFile, authorizationParameter)
	}
	parameter := cfn.Mapping(r.document, "Parameters", authorizationParameter)
	parameter["Default"], parameter["AllowedValues"] = value, []any{value}
	return scheme(value)
}
