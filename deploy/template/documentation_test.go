package template_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/template"
)

const documentedContract = `
openapi: 3.0.3
info: {title: small, version: "1"}
externalDocs: {url: https://example.org}
tags: [{name: Things}]
paths:
  /a:
    description: A thing.
    get:
      operationId: getA
      x-function: Function
      summary: Read a
      tags: [Things]
      parameters:
        - {name: q, in: query, description: A query., schema: {type: integer, minimum: 1}, example: 1}
      responses:
        "200": {$ref: "#/components/responses/A"}
        "404": {description: There is no thing.}
        "410": {description: There is none.}
    put:
      operationId: putA
      x-function: Function
      summary: Write a
      requestBody: {required: true, content: {application/json: {schema: {$ref: "#/components/schemas/A"}, example: {b: 1}}}}
      responses:
        "200": {$ref: "#/components/responses/A"}
        "404": {description: There is no thing.}
        "410": {description: There is none.}
  /a/b:
    get:
      operationId: getB
      x-function: Function
      summary: Read b
      responses:
        "200": {description: b, headers: {X-Age: {$ref: "#/components/headers/Age"}}}
        "410": {description: There is no b.}
  /a/b/c:
    get:
      operationId: getC
      x-function: Function
      summary: Read c
      responses:
        "200": {$ref: "#/components/responses/A"}
        "410": {description: There is no b.}
components:
  headers:
    Age: {description: How old it is., schema: {type: string, maxLength: 3}}
    Access-Control-Expose-Headers: {schema: {type: string, enum: [ETag]}}
  responses:
    A:
      description: The thing.
      headers: {X-Age: {$ref: "#/components/headers/Age"}}
      content: {application/json: {schema: {$ref: "#/components/schemas/A"}, examples: {one: {value: {b: 1}}}}}
  schemas:
    Problem: {type: object}
    A:
      type: object
      description: A thing.
      properties:
        b: {type: integer, readOnly: true}
        example: {type: string, example: named so}
  securitySchemes:
    userPool: {type: http, scheme: bearer, description: A token.}
`

// TestDocumentation checks that documentation parts have the content that API Gateway does not import, and that shared
// content is in one part.
func TestDocumentation(t *testing.T) {
	t.Parallel()
	parts := func(authorization, userPool string) map[string]any {
		in := files(t)
		in["openapi.yaml"].Data = []byte(documentedContract)
		source := strings.Replace(small, "Parameters:\n", "Parameters:\n  UserPoolArn: {Type: String, Default: \"\"}\n", 1)
		in["template.yaml"].Data = fmt.Appendf(nil, source, "plain")
		loaded, err := template.Load(in)
		if err != nil {
			t.Fatal(err)
		}
		rendered, err := loaded.Render(template.Options{Parameters: map[string]string{"Required": "xyz", "Authorization": authorization, "UserPoolArn": userPool}})
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]any{}
		body := at(t, decode(t, rendered.JSON()), "Resources", "Api", "Properties", "Body")
		for _, part := range at(t, body, "x-amazon-apigateway-documentation", "documentationParts").([]any) {
			var words []string
			for _, key := range []string{"type", "method", "path", "statusCode", "name"} {
				if word, ok := at(t, part, "location").(object)[key].(string); ok {
					words = append(words, word)
				}
			}
			found[strings.Join(words, " ")] = at(t, part, "properties")
		}
		return found
	}
	description := func(value string) object { return object{"description": value} }
	example := object{"content": object{"application/json": object{"examples": object{"one": object{"value": object{"b": 1.0}}}}}}
	want := map[string]any{
		"API": object{
			"info": object{"title": "small", "version": "1"}, "externalDocs": object{"url": "https://example.org"},
			"tags": []any{object{"name": "Things"}},
		},
		"RESOURCE /a":       description("A thing."),
		"METHOD GET /a":     object{"summary": "Read a", "tags": []any{"Things"}},
		"METHOD PUT /a":     object{"summary": "Write a"},
		"METHOD GET /a/b":   object{"summary": "Read b"},
		"METHOD GET /a/b/c": object{"summary": "Read c"},
		"QUERY_PARAMETER GET /a q": object{
			"description": "A query.", "schema": object{"type": "integer", "minimum": 1.0}, "example": 1.0,
		},
		"REQUEST_BODY PUT /a": object{
			"required": true, "content": object{"application/json": object{"example": object{"b": 1.0}}},
		},
		// Shared by three of four operations.
		"RESPONSE 200":            description("The thing."),
		"RESPONSE GET /a/b 200":   description("b"),
		"RESPONSE GET /a/b/c 200": description("The thing."), // otherwise it would inherit from /a/b
		"RESPONSE_BODY 200":       example,
		"RESPONSE_HEADER X-Age":   object{"description": "How old it is.", "schema": object{"maxLength": 3.0}},
		// The first of two equally frequent contents; paths below inherit it.
		"RESPONSE 410":          description("There is no b."),
		"RESPONSE GET /a 410":   description("There is none."),
		"RESPONSE PUT /a 410":   description("There is none."),
		"RESPONSE GET /a/b 410": description("There is no b."),
		// Not general, because API Gateway also returns 404 for unknown routes.
		"RESPONSE GET /a 404": description("There is no thing."),
		"RESPONSE PUT /a 404": description("There is no thing."),
		// A response of API Gateway.
		"RESPONSE 204": description("A response of API Gateway"),
		"MODEL A": object{"description": "A thing.", "properties": object{
			"b": object{"readOnly": true}, "example": object{"example": "named so"},
		}},
	}
	if diff := cmp.Diff(want, parts("NONE", "")); diff != "" {
		t.Errorf("documentation (-want +got):\n%s", diff)
	}
	want["AUTHORIZER userPool"] = description("A token.")
	if diff := cmp.Diff(want, parts("COGNITO_USER_POOLS", "arn:aws:cognito-idp:eu-central-1:123456789012:userpool/eu-central-1_A")); diff != "" {
		t.Errorf("documentation with an authorizer (-want +got):\n%s", diff)
	}
}

// TestGatewayStatuses checks that no documentation part for responses of operations applies to API Gateway's
// responses to any method.
func TestGatewayStatuses(t *testing.T) {
	t.Parallel()
	body := at(t, decode(t, project(t, nil).JSON()), "Resources", "Api", "Properties", "Body")
	parts := at(t, body, "x-amazon-apigateway-documentation", "documentationParts").([]any)
	for path, status := range map[string]string{"/{proxy+}": "404", "/users": "405"} {
		at(t, body, "paths", path, "x-amazon-apigateway-any-method", "responses", status) // it exists
		found := 0
		for _, part := range parts {
			location := at(t, part, "location").(object)
			if kind := location["type"]; kind != "RESPONSE" && kind != "RESPONSE_BODY" || location["statusCode"] != status {
				continue
			}
			found++
			if location["method"] == nil {
				t.Errorf("%v also applies to ANY %s, want it for one method", location, path)
			}
		}
		if status == "404" && found == 0 {
			t.Error("found no part for 404 of an operation, want some")
		}
	}
}

// TestASCII checks that the rendered template is in ASCII: GetTemplate does not preserve other characters.
func TestASCII(t *testing.T) {
	t.Parallel()
	rendered := project(t, nil).JSON()
	if i := bytes.IndexFunc(rendered, func(r rune) bool { return r > '~' }); i >= 0 {
		t.Errorf("byte %d of the template is not ASCII", i)
	}
}
