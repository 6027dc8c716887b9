package apigateway_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/userrequestapi/userdata/deploy/local/apigateway"
)

// mock returns a mock integration that responds with 200.
func mock(more ...object) object {
	m := object{
		"type":             "mock",
		"requestTemplates": object{"application/json": `{"statusCode": 200}`},
		"responses":        object{"default": object{"statusCode": "200"}},
	}
	return merge(m, more)
}

func TestDocumentErrors(t *testing.T) {
	t.Parallel()
	users := func(o object) object { return document(object{"/users": object{"get": o}}) }
	path := func(path string) object { return document(object{path: object{"get": operation(proxy())}}) }
	response := func(r object) object {
		return users(operation(mock(object{"responses": object{"default": r}})))
	}
	template := func(text string) object {
		return response(object{"statusCode": 200, "responseTemplates": object{"application/json": text}})
	}
	parameter := func(expression string) object {
		return response(object{
			"statusCode": 200, "responseParameters": object{"method.response.header.X": expression},
		})
	}
	gatewayResponse := func(name string, r object) object {
		return catchAll(object{"x-amazon-apigateway-gateway-responses": object{name: r}})
	}
	validated := func(o object) object {
		return document(object{"/users": object{"post": o}}, object{
			"x-amazon-apigateway-request-validators": object{
				"all": object{"validateRequestBody": true, "validateRequestParameters": true},
			},
			"x-amazon-apigateway-request-validator": "all",
		})
	}
	body := func(schema object) object {
		return validated(operation(proxy(), object{
			"requestBody": object{"content": object{"application/json": object{"schema": schema}}},
		}))
	}
	for name, test := range map[string]struct {
		document object
		want     []string // substrings of the error
	}{
		"Swagger 2":   {object{"swagger": "2.0", "paths": object{}}, []string{"OpenAPI 3.0"}},
		"OpenAPI 3.1": {catchAll(object{"openapi": "3.1.0"}), []string{`openapi: want 3.0.x, got "3.1.0"`}},
		"no paths":    {document(object{}), []string{"document: no paths"}},
		"unknown extension": {
			catchAll(object{"x-amazon-apigateway-cors": object{}}),
			[]string{"document: extension x-amazon-apigateway-cors is not supported"},
		},
		"policy": {
			catchAll(object{"x-amazon-apigateway-policy": object{}}),
			[]string{"x-amazon-apigateway-policy"},
		},
		"operation extension": {
			users(operation(proxy(), object{"x-amazon-apigateway-auth": object{}})),
			[]string{"GET /users: extension x-amazon-apigateway-auth"},
		},
		"path extension": {
			document(object{"/users": object{"x-amazon-apigateway-foo": 1}}),
			[]string{"/users: x-amazon-apigateway-foo is not supported"},
		},
		"unknown path key": {
			document(object{"/users": object{"gett": operation(proxy())}}),
			[]string{"/users: gett is not supported"},
		},
		"path $ref": {document(object{"/users": object{"$ref": "#/x"}}), []string{"/users: $ref"}},
		"root security": {
			catchAll(object{"security": []object{{"key": []string{}}}}),
			[]string{"document: security: API Gateway ignores it here"},
		},
		"operation security": {
			users(operation(proxy(), object{"security": []object{{"sigv4": []string{}}}})),
			[]string{"GET /users: security scheme sigv4"},
		},
		"several errors": {
			document(object{"/a": object{"get": operation(object{"type": "http"})}, "/b": object{"put": object{}}}),
			[]string{"GET /a:", "http", "\nPUT /b:"}},

		"relative path":     {path("users"), []string{"users: the path must begin with /"}},
		"empty path part":   {path("/a//b"), []string{"/a//b: path part: want", `got ""`}},
		"partial parameter": {path("/users/{id}.json"), []string{"path part: want", `got "{id}.json"`}},
		"greedy in the middle": {
			path("/a/{proxy+}/b"),
			[]string{"/a/{proxy+}/b: greedy path parameter {proxy+}: must be the last path part"},
		},
		"two parameter names": {document(object{"/a/{b}": object{}, "/a/{c}": object{}}), []string{"{c}", "{b}"}},

		"no integration": {users(object{}), []string{"GET /users: no x-amazon-apigateway-integration"}},
		"no type": {
			users(operation(object{})),
			[]string{"GET /users: x-amazon-apigateway-integration: no type"},
		},
		"http integration": {
			users(operation(object{"type": "http_proxy"})),
			[]string{"GET /users", "integration type http_proxy is not supported"},
		},
		"unknown setting": {
			users(operation(proxy(object{"cacheKeyParameters": []string{}}))),
			[]string{"GET /users", "cacheKeyParameters is not supported"},
		},
		"misspelt setting": {users(operation(proxy(object{"URI": "x"}))), []string{"URI is not supported"}},
		"httpMethod not POST": {
			users(operation(proxy(object{"httpMethod": "GET"}))),
			[]string{"GET /users", `httpMethod: want POST, got "GET"`},
		},
		"no httpMethod": {users(operation(proxy(object{"httpMethod": ""}))), []string{`httpMethod: want POST, got ""`}},
		"bad uri": {
			users(operation(proxy(object{"uri": functionARN}))),
			[]string{"GET /users", "uri", functionARN},
		},
		"unresolved uri": {
			users(operation(proxy(object{"uri": object{"Fn::Sub": "x"}}))),
			[]string{"GET /users", "uri"},
		},
		"timeout too short": {
			users(operation(proxy(object{"timeoutInMillis": 49}))),
			[]string{"timeoutInMillis: want 50 to 29000, got 49"},
		},
		"timeout too long": {
			users(operation(proxy(object{"timeoutInMillis": 29_001}))),
			[]string{"timeoutInMillis: want 50 to 29000, got 29001"},
		},
		"bad passthrough": {
			users(operation(mock(object{"passthroughBehavior": "sometimes"}))),
			[]string{"passthroughBehavior", `got "sometimes"`},
		},

		"mock setting": {
			users(operation(mock(object{"contentHandling": "CONVERT_TO_TEXT"}))),
			[]string{"contentHandling is not supported"},
		},
		"mock with no responses": {
			users(operation(mock(object{"responses": object{}}))),
			[]string{"GET /users", "no responses"},
		},
		"mock pattern": {
			users(operation(mock(object{"responses": object{"(": object{"statusCode": 200}}}))),
			[]string{`response "("`},
		},
		"mock without status": {response(object{}), []string{`response "default": no statusCode`}},
		"mock status":         {response(object{"statusCode": "9"}), []string{"statusCode"}},
		"mock response key": {
			response(object{"statusCode": 200, "contentHandling": "x"}),
			[]string{"contentHandling is not supported"},
		},
		"mock parameter name": {
			response(object{"statusCode": 200, "responseParameters": object{"X": "'a'"}}),
			[]string{"response parameter X"},
		},
		"mock parameter text":    {parameter("a"), []string{"method.response.header.X", "mapping expression a"}},
		"mock parameter body":    {parameter("integration.response.body.a"), []string{"integration.response.body.a"}},
		"mock request parameter": {parameter("method.request.header.a"), []string{"method.request.header.a"}},
		"mock template key": {
			response(object{"statusCode": 200, "responseTemplates": object{"json": ""}}),
			[]string{`template key: want a media type, got "json"`},
		},
		"directive":        {template("#set($a = 1)"), []string{"GET /users", "#set", "Velocity"}},
		"braced directive": {template("#{if}(true)"), []string{"#{if"}},
		"comment":          {template("## note"), []string{"##"}},
		"util":             {template("$util.escapeJavaScript('a')"), []string{"$util.escapeJavaScript('a')"}},
		"input.json":       {template("$input.json('$')"), []string{"$input.json('$')"}},
		"unknown variable": {template("${context.foo}"), []string{"${context.foo}"}},
		"quiet reference":  {template("$!context.stage"), []string{"$!context.stage"}},
		"error in a mock":  {template("$context.error.message"), []string{"$context.error.message"}},
		"mock request not JSON": {
			users(operation(mock(object{"requestTemplates": object{"application/json": `{statusCode: 200}`}}))),
			[]string{"integer statusCode"},
		},
		"mock request no status": {
			users(operation(mock(object{"requestTemplates": object{"application/json": `{}`}}))),
			[]string{"integer statusCode"},
		},
		"mock status unmatched": {
			users(operation(mock(object{"responses": object{"4..": object{"statusCode": 400}}}))),
			[]string{"no response matches status code 200"},
		},

		"gateway response type": {
			gatewayResponse("NOT_FOUND", object{}),
			[]string{"gateway response NOT_FOUND"},
		},
		"gateway response key": {
			gatewayResponse("THROTTLED", object{"templates": object{}}),
			[]string{"gateway response THROTTLED: templates is not supported"},
		},
		"gateway response parameter": {
			gatewayResponse("THROTTLED", object{
				"responseParameters": object{"gatewayresponse.header.X": "integration.response.header.a"},
			}),
			[]string{"THROTTLED", "integration.response.header.a"},
		},
		"gateway response input": {
			gatewayResponse("THROTTLED", object{"responseTemplates": object{"application/json": "$input.params('a')"}}),
			[]string{"THROTTLED", "$input.params('a')"},
		},

		"unknown validator": {
			users(operation(proxy(), object{"x-amazon-apigateway-request-validator": "all"})),
			[]string{"GET /users", `"all" not found`},
		},
		"validator setting": {
			catchAll(object{"x-amazon-apigateway-request-validators": object{"all": object{"validateBody": true}}}),
			[]string{"request validator all: validateBody"},
		},
		"parameter location": {
			validated(operation(proxy(), object{"parameters": []object{{"name": "a", "in": "body"}}})),
			[]string{"POST /users", `"a"`, `"body"`},
		},
		"parameter reference": {
			validated(operation(proxy(), object{"parameters": []object{{"$ref": "#/components/parameters/A"}}})),
			[]string{"POST /users", "parameter"},
		},
		"body reference": {
			validated(operation(proxy(), object{"requestBody": object{"$ref": "#/components/requestBodies/A"}})),
			[]string{"POST /users", "#/components/requestBodies/A"},
		},
		"schema reference": {
			body(object{"$ref": "#/components/schemas/User"}),
			[]string{"POST /users", "/components/schemas/User"},
		},
		"schema at a URL": {
			body(object{"$ref": "https://example.com/user.json"}),
			[]string{"POST /users", "https://example.com/user.json", "outside the document"},
		},
		"schema in a file": {
			body(object{"$ref": "file:///etc/passwd"}),
			[]string{"POST /users", "outside the document"},
		},
		"schema not draft 4": {body(object{"exclusiveMinimum": 3}), []string{"POST /users", "exclusiveMinimum"}},
		"schema type":        {body(object{"type": "text"}), []string{"POST /users", "type"}},
		"schema pattern":     {body(object{"pattern": "(?=a)"}), []string{"POST /users", "pattern"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body, err := json.Marshal(test.document)
			if err != nil {
				t.Fatal(err)
			}
			_, err = apigateway.New(apigateway.Config{Body: body, Stage: "prod", Invoker: respondWith(`{}`)})
			if err == nil {
				t.Fatal("New accepted the document")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error = %v, want one that contains %q", err, want)
				}
			}
		})
	}
}

func TestDocuments(t *testing.T) {
	t.Parallel()
	for name, doc := range map[string]object{
		"ignored keys": catchAll(object{
			"security": []object{}, "servers": []object{{"url": "https://x"}}, "tags": []object{},
			"x-amazon-apigateway-documentation": object{"version": "1"}, "x-users-function": "get",
			"components": object{"securitySchemes": object{
				"key": object{"type": "apiKey", "x-amazon-apigateway-authtype": "a"},
			}},
		}),
		"no scheme": document(object{"/a": object{
			"summary": "s", "description": "d", "parameters": []object{}, "x-users-owner": "me",
			"get": operation(proxy(), object{"security": []object{{}}, "deprecated": true, "x-users-function": "get"}),
		}}),
		//nolint:gosec // the name of a role, not a secret
		"all settings of a proxy": document(object{"/a": object{"get": operation(proxy(object{
			"type": "AWS_PROXY", "passthroughBehavior": "WHEN_NO_MATCH", "timeoutInMillis": 29_000,
			"credentials": "arn:aws:iam::1:role/r",
		}))}}),
		"validator without checks": document(object{"/a": object{"get": operation(proxy(), object{
			"x-amazon-apigateway-request-validator": "none", "parameters": []object{{"in": "body"}},
		})}}, object{"x-amazon-apigateway-request-validators": object{"none": object{}}}),
	} {
		body, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := apigateway.New(apigateway.Config{Body: body, Stage: "prod", Invoker: respondWith(`{}`)}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
