package template

import (
	"fmt"

	"github.com/userrequestapi/userdata/deploy/contract"
)

const (
	authorizationParameter = "Authorization"
	userPoolParameter      = "UserPoolArn"

	authorizerKey = "x-amazon-apigateway-authorizer"
)

// The values of the parameter Authorization.
const (
	AuthorizationIAM     = "AWS_IAM"            // a request is signed by who may call execute-api:Invoke
	AuthorizationCognito = "COGNITO_USER_POOLS" // a request carries a token of the user pool
	AuthorizationAPIKey  = "API_KEY"            // a request carries a key: it meters, it does not protect
	AuthorizationNone    = "NONE"               // anybody may call
)

// securityScheme says in the API's Body how requests are authorized. The zero value is no authorization.
type securityScheme struct {
	name       string
	definition object
}

// secure has an operation ask for the authorization.
func (s securityScheme) secure(operation object) {
	if s.name != "" {
		operation["security"] = []any{object{s.name: []any{}}}
	}
}

// scheme returns how API Gateway is told of an authorization ("x-amazon-apigateway-authtype property",
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
		return securityScheme{}, fmt.Errorf("parameter %s: %q is no authorization", authorizationParameter, authorization)
	}
}

// pinAuthorization returns how requests are authorized. It leaves the parameter that one value: another one would not change the
// Body, and the stack would not be what its parameters say.
func (r *Rendered) pinAuthorization() (securityScheme, error) {
	value, ok := r.values[authorizationParameter]
	if !ok {
		return securityScheme{}, fmt.Errorf("%s: Parameters.%s: it is missing", templateFile, authorizationParameter)
	}
	parameter := member(member(r.document, "Parameters"), authorizationParameter)
	parameter["Default"], parameter["AllowedValues"] = value, []any{value}
	return scheme(value)
}
