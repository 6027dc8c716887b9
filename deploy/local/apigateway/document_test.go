package apigateway_test

import (
	"strings"
	"testing"
)

// mock returns a mock integration that responds with 200.
func mock(more ...object) object {
	m := object{
		"type":                "mock",
		"passthroughBehavior": "never",
		"requestTemplates":    object{"application/json": `{"statusCode": 200}`},
		"responses":           object{"default": object{"statusCode": "200"}},
	}
	return merge(m, more)
}

// Everything that package template does not render is refused.
func TestDocumentErrors(t *testing.T) {
	t.Parallel()
	users := func(o object) object { return document(object{"/users": object{"get": o}}) }
	path := func(path string) object { return document(object{path: object{"get": operation(proxy())}}) }
	proxied := func(key string, value any) object { return users(operation(proxy(object{key: value}))) }
	with := func(key string, value any) object { return users(operation(proxy(), object{key: value})) }
	mocked := func(key string, value any) object { return users(operation(mock(object{key: value}))) }
	response := func(key string, value any) object {
		return mocked("responses", object{"default": object{"statusCode": 200, key: value}})
	}
	template := func(text string) object { return response("responseTemplates", object{"application/json": text}) }
	header := func(value string) object {
		return response("responseParameters", object{"method.response.header.X": value})
	}
	gatewayResponse := func(name string, r object) object {
		return catchAll(object{"x-amazon-apigateway-gateway-responses": object{name: r}})
	}
	validator := func(settings object) object {
		return catchAll(object{
			"x-amazon-apigateway-request-validators": object{"all": settings}, "x-amazon-apigateway-request-validator": "all",
		})
	}
	const get, integration = "GET /users: ", "GET /users: x-amazon-apigateway-integration: "
	for name, test := range map[string]struct {
		document object
		want     string // part of the error
	}{
		"Swagger 2":     {object{"swagger": "2.0", "paths": object{}}, `document: not supported: json: unknown field "swagger"`},
		"OpenAPI 3.1":   {catchAll(object{"openapi": "3.1.0"}), `openapi: want 3.0.x, got "3.1.0"`},
		"no paths":      {document(object{}), "paths: want at least one"},
		"extension":     {catchAll(object{"x-amazon-apigateway-cors": object{}}), `document: not supported: json: unknown field "x-amazon-apigateway-cors"`},
		"x- key":        {catchAll(object{"x-owner": "me"}), `"x-owner"`},
		"binary types":  {catchAll(object{"x-amazon-apigateway-binary-media-types": []string{"*/*"}}), `"x-amazon-apigateway-binary-media-types"`},
		"root security": {catchAll(object{"security": []object{}}), `"security"`},
		"components":    {catchAll(object{"components": object{"parameters": object{}}}), `"parameters"`},
		"several errors": {
			document(object{"/a": object{"get": operation(object{"type": "http"})}, "/b": object{"put": object{}}}),
			"GET /a: x-amazon-apigateway-integration: integration type \"http\" is not supported: use aws_proxy or mock\n" +
				"PUT /b: no x-amazon-apigateway-integration",
		},

		"path extension":    {document(object{"/users": object{"x-amazon-apigateway-foo": 1}}), "/users: x-amazon-apigateway-foo is not supported"},
		"path key":          {document(object{"/users": object{"gett": object{}}}), "/users: gett is not supported"},
		"TRACE":             {document(object{"/users": object{"trace": operation(proxy())}}), "/users: trace is not supported"},
		"path parameters":   {document(object{"/users": object{"parameters": []object{}}}), "/users: parameters is not supported"},
		"path $ref":         {document(object{"/users": object{"$ref": "#/x"}}), "/users: $ref is not supported"},
		"relative path":     {path("users"), "users: path: want one that begins with /"},
		"empty part":        {path("/a//b"), "/a//b: path part: want letters, digits"},
		"partial parameter": {path("/users/{id}.json"), `/users/{id}.json: path part: want`},
		"greedy in the middle": {
			path("/a/{proxy+}/b"), "/a/{proxy+}/b: greedy path parameter {proxy+}: want it as the last path part",
		},
		"two parameter names": {document(object{"/a/{b}": object{}, "/a/{c}": object{}}), "/a/{c}: path parameter {c}: another path uses {b}"},

		"operation extension": {with("x-amazon-apigateway-auth", object{}), get + `not supported: json: unknown field "x-amazon-apigateway-auth"`},
		"operation validator": {with("x-amazon-apigateway-request-validator", "all"), get + `not supported: json: unknown field "x-amazon-apigateway-request-validator"`},
		"unknown scheme":      {with("security", []object{{"sigv4": []string{}}}), get + "security scheme sigv4"},
		"validator":           {catchAll(object{"x-amazon-apigateway-request-validator": "all"}), `x-amazon-apigateway-request-validator: "all" not found`},
		"validator setting":   {validator(object{"validateBody": true}), `"validateBody"`},
		"body validation":     {validator(object{"validateRequestBody": true}), "document: x-amazon-apigateway-request-validators: all: validateRequestBody is not supported"},
		"parameter reference": {with("parameters", []object{{"$ref": "#/components/parameters/A"}}), get + `not supported: json: unknown field "$ref"`},
		"parameter location": {
			merge(with("parameters", []object{{"name": "a", "in": "cookie"}}), []object{validated()}), get + `parameter "a" in "cookie" is not supported`,
		},

		"no integration":   {users(object{}), get + "no x-amazon-apigateway-integration"},
		"no type":          {users(operation(object{})), integration + `integration type "" is not supported: use aws_proxy or mock`},
		"http integration": {users(operation(object{"type": "http_proxy"})), integration + `integration type "http_proxy"`},
		"proxy key":        {proxied("cacheKeyParameters", []string{}), integration + `not supported: json: unknown field "cacheKeyParameters"`},
		"proxy method":     {proxied("httpMethod", "GET"), integration + `httpMethod: want POST, got "GET"`},
		"proxy uri":        {proxied("uri", functionARN), integration + "uri: want"},
		"unresolved uri":   {proxied("uri", object{"Fn::Sub": "x"}), integration + "not supported: json: cannot unmarshal object"},
		"short timeout":    {proxied("timeoutInMillis", 49), integration + "timeoutInMillis: want 50 to 29000, got 49"},
		"long timeout":     {proxied("timeoutInMillis", 29_001), integration + "timeoutInMillis: want 50 to 29000, got 29001"},
		"credentials":      {proxied("credentials", "arn:aws:iam::1:role/r"), integration + `not supported: json: unknown field "credentials"`},

		"mock key":            {mocked("contentHandling", "CONVERT_TO_TEXT"), integration + `not supported: json: unknown field "contentHandling"`},
		"mock passthrough":    {mocked("passthroughBehavior", "when_no_match"), integration + `passthroughBehavior: want never, got "when_no_match"`},
		"mock pattern":        {mocked("responses", object{"4..": object{"statusCode": 400}}), integration + `not supported: json: unknown field "4.."`},
		"mock response":       {mocked("responses", object{}), integration + "responses: default: no statusCode"},
		"mock request":        {mocked("requestTemplates", object{"text/css": "{statusCode: 200}"}), integration + "requestTemplates: text/css: want"},
		"mock request status": {mocked("requestTemplates", object{"text/css": `{"statusCode": $input.params('a')}`}), integration + "requestTemplates: text/css: want"},
		"response status":     {response("statusCode", "9"), integration + "not supported: statusCode: want 200 to 599"},
		"response key":        {response("contentHandling", "x"), integration + `not supported: json: unknown field "contentHandling"`},
		"response type":       {response("responseTemplates", object{"text/html": ""}), integration + `not supported: json: unknown field "text/html"`},
		"response parameter":  {response("responseParameters", object{"X": "'a'"}), integration + "responses: default: responseParameters: X is not supported"},
		"header expression":   {header("context.requestId"), integration + "responses: default: responseParameters: method.response.header.X: context.requestId is not supported"},
		"header of a request": {header("method.request.header.a"), "method.request.header.a is not supported"},

		"directive":       {template("#set($a = 1)"), integration + "responses: default: responseTemplates: # is not supported"},
		"stage variable":  {template("$stageVariables.a"), "$stageVariables.a is not supported: use only the variables $context.requestId, $context.stage"},
		"input.params":    {template("$input.params('a')"), "$input.params is not supported"},
		"other variable":  {template("$context.path"), "$context.path is not supported"},
		"longer variable": {template("$context.stage.x"), "$context.stage.x is not supported"},
		"braces":          {template("${context.stage}"), "${context.stage is not supported"},
		"quiet reference": {template("$!context.stage"), "$!context.stage is not supported"},
		"error in a mock": {template("$context.error.messageString"), "$context.error.messageString is not supported"},
		"dollar":          {template("$"), "$ is not supported"},

		"gateway response type":     {gatewayResponse("NOT_FOUND", object{}), "gateway response NOT_FOUND: unknown gateway response type"},
		"gateway response key":      {gatewayResponse("THROTTLED", object{"templates": object{}}), `gateway response THROTTLED: not supported: json: unknown field "templates"`},
		"gateway response header":   {gatewayResponse("THROTTLED", object{"responseParameters": object{"gatewayresponse.header.X": "method.request.path.id"}}), "gateway response THROTTLED: responseParameters: gatewayresponse.header.X: method.request.path.id is not supported"},
		"gateway response variable": {gatewayResponse("THROTTLED", object{"responseTemplates": object{"application/json": "$context.stage"}}), "gateway response THROTTLED: responseTemplates: $context.stage is not supported"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := newGateway(test.document); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error = %v, want one that contains %q", err, test.want)
			}
		})
	}
}
