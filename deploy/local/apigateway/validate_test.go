package apigateway_test

import (
	"encoding/json"
	"strings"
	"testing"
)

const validatorKey = "x-amazon-apigateway-request-validator"

// validators returns the request validators all, body, parameters and none.
func validators(more ...object) object {
	o := object{validatorKey + "s": object{
		"all":        object{"validateRequestBody": true, "validateRequestParameters": true},
		"body":       object{"validateRequestBody": true, "validateRequestParameters": false},
		"parameters": object{"validateRequestBody": false, "validateRequestParameters": true},
		"none":       object{},
	}}
	return merge(o, more)
}

func TestRequiredParameters(t *testing.T) {
	t.Parallel()
	parameters := []object{
		{"name": "q", "in": "query", "required": true}, {"name": "optional", "in": "query"},
		{"$ref": "#/components/parameters/Header"}, {"name": "session", "in": "cookie", "required": true},
		{"name": "shared", "in": "query", "required": false},
	}
	shared := []object{
		{"name": "id", "in": "path", "required": true}, {"name": "shared", "in": "query", "required": true},
		{"name": "both", "in": "query", "required": true},
	}
	method := func(validator string) object {
		o := operation(proxy(), object{"parameters": parameters})
		if validator != "" {
			o[validatorKey] = validator
		}
		return o
	}
	doc := document(object{"/users/{id}": object{
		"parameters": shared, "get": method("all"), "put": method("parameters"), "post": method("body"),
		"patch": method("none"), "delete": method(""),
	}}, validators(object{
		validatorKey: "parameters",
		"components": object{"parameters": object{"Header": object{"name": "x-tenant", "in": "header", "required": true}}},
	}))
	s := serve(t, doc, respondWith(`{}`))
	const all = "Missing required request parameters: [x-tenant, both, q]"
	for _, test := range []struct {
		method, path string
		tenant       string
		want         string // error message; "" if the request is valid
	}{
		{"GET", "/users/1?q=1&both=1", "t", ""},
		{"GET", "/users/1", "", all},
		{"PUT", "/users/1", "", all},
		{"DELETE", "/users/1", "", all}, // the document's validator
		{"POST", "/users/1", "", ""},
		{"PATCH", "/users/1", "", ""},
		{"GET", "/users/1?q=&both=1", "t", "Missing required request parameters: [q]"},
		{"GET", "/users/1?q=%20&both=1", "t", "Missing required request parameters: [q]"},
		{"GET", "/users/1?Q=1&both=1", "t", "Missing required request parameters: [q]"},
		{"GET", "/users/1?q=1&both=1", "  ", "Missing required request parameters: [x-tenant]"},
	} {
		var headers []string
		if test.tenant != "" {
			headers = []string{"X-Tenant", test.tenant}
		}
		got := s.do(test.method, test.path, "", headers...)
		if test.want == "" {
			if got.status != 200 {
				t.Errorf("%s %s: %+v", test.method, test.path, got)
			}
			continue
		}
		got.wantError(t, 400, "BadRequestException", test.want)
	}
}

func TestRequestBody(t *testing.T) {
	t.Parallel()
	body := func(schema object) object {
		return object{"requestBody": object{"content": object{"application/json": object{"schema": schema}}}}
	}
	user := object{"$ref": "#/components/schemas/User"}
	doc := document(object{
		"/users": object{"post": operation(proxy(), body(user))},
		"/users/{id}": object{
			"put":   operation(proxy(), object{"requestBody": object{"$ref": "#/components/requestBodies/User"}}),
			"patch": operation(proxy(), body(object{"type": "object"}), object{validatorKey: "parameters"}),
			"get":   operation(proxy()),
		},
		"/inline/{a+}": object{"post": operation(proxy(), body(object{"type": "object", "minProperties": 1}))},
	}, validators(object{
		validatorKey: "all",
		"components": object{
			"requestBodies": object{"User": body(user)["requestBody"]},
			"schemas": object{
				"User": object{
					"type": "object", "required": []string{"name"}, "example": object{"name": 1}, "properties": object{
						"name":  object{"type": "string", "minLength": 1, "maxLength": 5, "nullable": true},
						"age":   object{"type": "integer", "format": "int32", "minimum": 0, "exclusiveMinimum": true},
						"email": object{"$ref": "#/components/schemas/Email"},
						"id":    object{"type": "string"},
					},
				},
				"Email": object{"type": "string", "pattern": "@"},
			},
		},
	}))
	for name, test := range map[string]struct {
		method, path, contentType, body string
		valid                           bool
	}{
		"valid":                    {"POST", "/users", "application/json", `{"name":"a","age":1,"email":"@","id":""}`, true},
		"with a charset":           {"POST", "/users", "Application/JSON; charset=utf-8", `{}`, false},
		"no content type":          {"POST", "/users", "", `{}`, false},
		"other content type":       {"POST", "/users", "text/plain", `not JSON`, true},
		"required":                 {"POST", "/users", "application/json", `{"age":1}`, false},
		"type":                     {"POST", "/users", "application/json", `{"name":1}`, false},
		"too long":                 {"POST", "/users", "application/json", `{"name":"abcdef"}`, false},
		"draft 4 exclusiveMinimum": {"POST", "/users", "application/json", `{"name":"a","age":0}`, false},
		"nested reference":         {"POST", "/users", "application/json", `{"name":"a","email":"b"}`, false},
		"not an object":            {"POST", "/users", "application/json", `[]`, false},
		"not JSON":                 {"POST", "/users", "application/json", `{"name":`, false},
		"trailing data":            {"POST", "/users", "application/json", `{"name":"a"} 1`, false},
		"empty is {}":              {"POST", "/users", "application/json", ``, false},
		"many digits":              {"POST", "/users", "", `{"name":"a","age":123456789012345678901234567890}`, true},
		"referenced body":          {"PUT", "/users/1", "application/json", `{}`, false},
		"referenced body, valid":   {"PUT", "/users/1", "application/json", `{"name":"a"}`, true},
		"no body validation":       {"PATCH", "/users/1", "application/json", `[]`, true},
		"no request body declared": {"GET", "/users/1", "application/json", `[]`, true},
		"inline":                   {"POST", "/inline/x", "application/json", `{}`, false},
		"inline, valid":            {"POST", "/inline/x", "application/json", `{"a":1}`, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, doc, respondWith(`{}`))
			var headers []string
			if test.contentType != "" {
				headers = []string{"Content-Type", test.contentType}
			}
			got := s.do(test.method, test.path, test.body, headers...)
			record := s.record()
			if test.valid {
				if got.status != 200 || record.ValidationError != "" {
					t.Errorf("response = %+v, validation error %q, want 200", got, record.ValidationError)
				}
				return
			}
			got.wantError(t, 400, "BadRequestException", "Invalid request body")
			if record.ErrorType != "BAD_REQUEST_BODY" || !strings.HasPrefix(record.ValidationError, "[") {
				t.Errorf("record %+v", record)
			}
		})
	}
}

func TestValidationErrorString(t *testing.T) {
	t.Parallel()
	schema := object{"type": "object", "required": []string{"a\"b"}, "properties": object{"n": object{"type": "string"}}}
	doc := document(object{"/": object{"post": operation(proxy(), object{
		"requestBody": object{"content": object{"application/json": object{"schema": schema}}},
	})}}, validators(object{
		validatorKey: "all",
		"x-amazon-apigateway-gateway-responses": object{"BAD_REQUEST_BODY": object{
			"statusCode":        422,
			"responseTemplates": object{"application/json": `{"detail":"$context.error.validationErrorString"}`},
		}},
	}))
	s := serve(t, doc, respondWith(`{}`))
	for body, want := range map[string]string{
		`{"n":1}`: `[/: missing property 'a"b', /n: got number, want string]`,
		`{`:       `[Unable to parse the request body as JSON]`,
	} {
		got := s.do("POST", "/", body)
		var problem struct{ Detail string }
		if err := json.Unmarshal([]byte(got.body), &problem); err != nil {
			t.Errorf("body %q: %v", got.body, err)
		}
		if got.status != 422 || problem.Detail != want {
			t.Errorf("%s: %d %q, want %q", body, got.status, problem.Detail, want)
		}
	}
}
