package apigateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// api is the parsed document.
type api struct {
	root      *resource
	responses gatewayResponses
	binary    binaryMediaTypes
}

const extensionPrefix = "x-amazon-apigateway-"

// openAPI is the part of an OpenAPI 3.0 document that API Gateway uses.
type openAPI struct {
	Version    string                                `json:"openapi"`
	Paths      map[string]map[string]json.RawMessage `json:"paths"`
	Security   []map[string][]string                 `json:"security"`
	Components struct {
		Parameters      map[string]parameter       `json:"parameters"`
		RequestBodies   map[string]requestBody     `json:"requestBodies"`
		SecuritySchemes map[string]json.RawMessage `json:"securitySchemes"`
	} `json:"components"`

	BinaryMediaTypes  binaryMediaTypes           `json:"x-amazon-apigateway-binary-media-types"`
	GatewayResponses  map[string]json.RawMessage `json:"x-amazon-apigateway-gateway-responses"`
	RequestValidators map[string]json.RawMessage `json:"x-amazon-apigateway-request-validators"`
	RequestValidator  string                     `json:"x-amazon-apigateway-request-validator"`
}

type operation struct {
	OperationID string                `json:"operationId"`
	Parameters  []parameter           `json:"parameters"`
	RequestBody *requestBody          `json:"requestBody"`
	Security    []map[string][]string `json:"security"`

	Integration      json.RawMessage `json:"x-amazon-apigateway-integration"`
	RequestValidator *string         `json:"x-amazon-apigateway-request-validator"`
}

type requestBody struct {
	Ref     string `json:"$ref"`
	Content map[string]struct {
		Schema json.RawMessage `json:"schema"`
	} `json:"content"`
}

// requestValidator selects what is validated before the integration.
type requestValidator struct {
	Body       bool `json:"validateRequestBody"`
	Parameters bool `json:"validateRequestParameters"`
}

// parser parses a document and collects all errors.
type parser struct {
	document   openAPI
	schemas    *schemaCompiler
	validators map[string]requestValidator
	pools      map[string]UserPool
	errs       []error
}

func (p *parser) addError(where string, err error) {
	p.errs = append(p.errs, fmt.Errorf("%s: %w", where, err))
}

func parseDocument(body []byte, pools map[string]UserPool) (*api, error) {
	p := &parser{validators: map[string]requestValidator{}, pools: pools}
	if err := json.Unmarshal(body, &p.document); err != nil {
		return nil, err
	}
	if !strings.HasPrefix(p.document.Version, "3.0.") {
		return nil, fmt.Errorf("openapi: want 3.0.x, got %q: API Gateway REST APIs use OpenAPI 3.0", p.document.Version)
	}
	var err error
	if p.schemas, err = newSchemaCompiler(body); err != nil {
		return nil, err
	}
	p.checkExtensions("document", body, "binary-media-types", "documentation", "gateway-responses",
		"request-validator", "request-validators")
	for _, requirement := range p.document.Security {
		if len(requirement) > 0 {
			p.addError("document", errors.New("security: API Gateway ignores it here: set it for each operation"))
		}
	}
	for _, name := range sortedKeys(p.document.RequestValidators) {
		var v requestValidator
		if err := decodeStrict(p.document.RequestValidators[name], &v); err != nil {
			p.addError("request validator "+name, err)
		}
		p.validators[name] = v
	}
	a := &api{root: newResource(""), responses: gatewayResponses{}, binary: p.document.BinaryMediaTypes}
	for _, name := range sortedKeys(p.document.GatewayResponses) {
		custom, err := parseGatewayResponse(responseType(name), p.document.GatewayResponses[name])
		if err != nil {
			p.addError("gateway response "+name, err)
		}
		a.responses[responseType(name)] = custom
	}
	for _, path := range sortedKeys(p.document.Paths) {
		p.parsePath(a.root, path)
	}
	if len(p.document.Paths) == 0 {
		p.addError("document", errors.New("no paths"))
	}
	return a, errors.Join(p.errs...)
}

func (p *parser) parsePath(root *resource, path string) {
	node, err := root.add(path)
	if err != nil {
		p.addError(path, err)
		return
	}
	item := p.document.Paths[path]
	var shared []parameter
	if raw, ok := item["parameters"]; ok {
		if err := json.Unmarshal(raw, &shared); err != nil {
			p.addError(path, fmt.Errorf("parameters: %w", err))
		}
	}
	node.methods = map[string]*method{}
	for _, key := range sortedKeys(item) {
		name := strings.ToUpper(key)
		switch key {
		case "get", "put", "post", "delete", "options", "head", "patch", "trace":
		case extensionPrefix + "any-method":
			name = anyMethod
		case "summary", "description", "parameters", "servers":
			continue
		default:
			if !strings.HasPrefix(key, "x-") || strings.HasPrefix(key, extensionPrefix) {
				p.addError(path, fmt.Errorf("%s is not supported", key))
			}
			continue
		}
		pointer := "/paths/" + escapePointer(path) + "/" + key
		node.methods[name] = p.parseMethod(name+" "+path, pointer, item[key], shared)
	}
}

func (p *parser) parseMethod(where, pointer string, raw json.RawMessage, shared []parameter) *method {
	var o operation
	if err := json.Unmarshal(raw, &o); err != nil {
		p.addError(where, err)
		return nil
	}
	p.checkExtensions(where, raw, "integration", "request-validator")
	m := &method{operationName: o.OperationID, authorize: p.authorizer(where, o.Security)}

	name := p.document.RequestValidator
	if o.RequestValidator != nil {
		name = *o.RequestValidator
	}
	validator, ok := p.validators[name]
	if name != "" && !ok {
		p.addError(where, fmt.Errorf("%srequest-validator: %q not found in %[1]srequest-validators", extensionPrefix, name))
	}
	if validator.Parameters {
		m.checks = append(m.checks, validateParameters(p.parameters(where, shared, o.Parameters)))
	}
	if validator.Body && o.RequestBody != nil {
		m.checks = append(m.checks, validateBody(p.bodySchemas(where, pointer+"/requestBody", *o.RequestBody)))
	}
	if o.Integration == nil {
		p.addError(where, errors.New("no "+extensionPrefix+"integration"))
		return m
	}
	var err error
	if m.integration, err = parseIntegration(o.Integration); err != nil {
		p.addError(where, fmt.Errorf("%sintegration: %w", extensionPrefix, err))
	}
	return m
}

// parameters returns the parameters of the path, overridden by those of the operation.
func (p *parser) parameters(where string, shared, own []parameter) []parameter {
	type key struct{ in, name string }
	merged := map[key]parameter{}
	for _, declared := range slices.Concat(shared, own) {
		if name, ok := strings.CutPrefix(declared.Ref, "#/components/parameters/"); ok {
			declared = p.document.Components.Parameters[name]
		}
		switch declared.In {
		case "path", "query", "header", "cookie":
			merged[key{declared.In, declared.Name}] = declared
		default:
			p.addError(where, fmt.Errorf("parameter %q in %q %s: not found or not supported",
				declared.Name, declared.In, declared.Ref))
		}
	}
	return slices.Collect(maps.Values(merged))
}

// bodySchemas compiles the schemas of a request body and returns them by media type.
func (p *parser) bodySchemas(where, pointer string, body requestBody) map[string]*jsonschema.Schema {
	ref := body.Ref
	if name, ok := strings.CutPrefix(ref, "#/components/requestBodies/"); ok {
		pointer = "/components/requestBodies/" + escapePointer(name)
		body = p.document.Components.RequestBodies[name]
	}
	if body.Content == nil {
		p.addError(where, fmt.Errorf("request body %s: not found, or without content", ref))
	}
	schemas := map[string]*jsonschema.Schema{}
	for _, name := range sortedKeys(body.Content) {
		if body.Content[name].Schema == nil {
			continue
		}
		schema, err := p.schemas.compile(pointer + "/content/" + escapePointer(name) + "/schema")
		if err != nil {
			p.addError(where, err)
		}
		schemas[mediaType(name)] = schema
	}
	return schemas
}

func (p *parser) checkExtensions(where string, object json.RawMessage, known ...string) {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(object, &keys); err != nil {
		p.addError(where, err)
	}
	for _, key := range sortedKeys(keys) {
		if name, ok := strings.CutPrefix(key, extensionPrefix); ok && !slices.Contains(known, name) {
			p.addError(where, fmt.Errorf("extension %s is not supported", key))
		}
	}
}

// statusCode is an HTTP status code: in JSON, a number or a string of digits.
type statusCode int

// UnmarshalJSON implements json.Unmarshaler.
func (c *statusCode) UnmarshalJSON(data []byte) error {
	n, err := strconv.Atoi(strings.Trim(string(data), `"`))
	if err != nil || n < 200 || n > 599 {
		return fmt.Errorf("statusCode: want 200 to 599, got %s", data)
	}
	*c = statusCode(n)
	return nil
}

// decodeStrict decodes a JSON object into target, a pointer to a struct. It returns an error for a key that target does
// not have. Unlike encoding/json, it compares keys case-sensitively.
func decodeStrict(data []byte, target any) error {
	known, err := json.Marshal(target)
	if err != nil {
		return err
	}
	var keys, want map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(known, &want), json.Unmarshal(data, &keys)); err != nil {
		return err
	}
	for _, key := range sortedKeys(keys) {
		if _, ok := want[key]; !ok {
			return fmt.Errorf("%s is not supported", key)
		}
	}
	return json.Unmarshal(data, target)
}

// escapePointer escapes a token of a JSON pointer in a URL fragment (RFC 6901, sections 3 and 6).
func escapePointer(s string) string {
	return strings.NewReplacer("~", "~0", "/", "~1", "%", "%25", "{", "%7B", "}", "%7D", "+", "%2B").Replace(s)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
