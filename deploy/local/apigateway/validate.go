package apigateway

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// parameter is an OpenAPI parameter: the fields for request validation.
type parameter struct {
	Ref      string `json:"$ref"`
	Name     string `json:"name"`
	In       string `json:"in"`
	Required bool   `json:"required"`
}

// value returns the parameter's value in the request, or "".
func (p parameter) value(x *exchange) string {
	switch p.In {
	case "path":
		return x.parameters[p.Name]
	case "query":
		return x.query.last[p.Name]
	}
	return x.requestHeader(p.Name)
}

// validateParameters checks that required parameters are present and not blank.
func validateParameters(all []parameter) func(*exchange) error {
	required := slices.DeleteFunc(slices.Clone(all), func(p parameter) bool { return !p.Required || p.In == "cookie" })
	slices.SortFunc(required, func(a, b parameter) int {
		return cmp.Or(cmp.Compare(a.In, b.In), cmp.Compare(a.Name, b.Name))
	})
	return func(x *exchange) error {
		var missing []string
		for _, p := range required {
			if strings.TrimSpace(p.value(x)) == "" {
				missing = append(missing, p.Name)
			}
		}
		if missing == nil {
			return nil
		}
		return newGatewayError(badRequestParameters,
			"Missing required request parameters: ["+strings.Join(missing, ", ")+"]")
	}
}

// validateBody validates the body against the schema for its media type, if any. An empty body is validated as {}.
func validateBody(schemas map[string]*jsonschema.Schema) func(*exchange) error {
	return func(x *exchange) error {
		schema := schemas[x.contentType()]
		if schema == nil {
			return nil
		}
		body := x.body
		if len(body) == 0 {
			body = []byte("{}")
		}
		instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
		if err == nil {
			err = schema.Validate(instance)
		}
		if err == nil {
			return nil
		}
		failure := newGatewayError(badRequestBody, "Invalid request body")
		failure.validation = validationErrorString(err)
		return failure
	}
}

// validationErrorString lists the errors in API Gateway's format: [one, two].
func validationErrorString(err error) string {
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return "[Unable to parse the request body as JSON]"
	}
	var list []string
	var gather func(*jsonschema.ValidationError)
	gather = func(e *jsonschema.ValidationError) {
		for _, cause := range e.Causes {
			gather(cause)
		}
		if len(e.Causes) == 0 {
			list = append(list, "/"+strings.Join(e.InstanceLocation, "/")+": "+e.BasicOutput().Error.String())
		}
	}
	gather(invalid)
	return "[" + strings.Join(list, ", ") + "]"
}

// schemaCompiler compiles the schemas of an OpenAPI document. API Gateway interprets them as JSON Schema draft 4.
type schemaCompiler struct{ compiler *jsonschema.Compiler }

const schemaURL = "openapi:///document"

func newSchemaCompiler(document []byte) (*schemaCompiler, error) {
	root, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		return nil, fmt.Errorf("parse JSON: %w", err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft4)
	c.UseLoader(noLoader{})
	if err := c.AddResource(schemaURL, root); err != nil {
		return nil, fmt.Errorf("read the schemas: %w", err)
	}
	return &schemaCompiler{c}, nil
}

// compile compiles the schema at the JSON pointer.
func (c *schemaCompiler) compile(pointer string) (*jsonschema.Schema, error) {
	schema, err := c.compiler.Compile(schemaURL + "#" + pointer)
	if err != nil {
		return nil, fmt.Errorf("schema %s: %w", pointer, err)
	}
	return schema, nil
}

// noLoader rejects references outside the document.
type noLoader struct{}

// Load implements jsonschema.URLLoader.
func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("%s is outside the document: use references that begin with #/", url)
}
