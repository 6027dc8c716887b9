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

// api is what the gateway takes from the document.
type api struct {
	root      *resource
	responses gatewayResponses
	binary    binaryMediaTypes
}

const extensionPrefix = "x-amazon-apigateway-"

// openAPI is the part of an OpenAPI 3.0 document that API Gateway acts on.
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

// requestValidator says what is checked before the integration.
type requestValidator struct {
	Body       bool `json:"validateRequestBody"`
	Parameters bool `json:"validateRequestParameters"`
}

// parser reads a document and gathers what it refuses, so that one start tells all.
type parser struct {
	document   openAPI
	schemas    *schemaCompiler
	validators map[string]requestValidator
	pools      map[string]UserPool
	refused    []error
}

func (p *parser) refuse(where string, err error) {
	p.refused = append(p.refused, fmt.Errorf("%s: %w", where, err))
}

func parseDocument(body []byte, pools map[string]UserPool) (*api, error) {
	p := &parser{validators: map[string]requestValidator{}, pools: pools}
	if err := json.Unmarshal(body, &p.document); err != nil {
		return nil, err
	}
	if !strings.HasPrefix(p.document.Version, "3.0.") {
		return nil, fmt.Errorf("openapi %q: API Gateway REST APIs take OpenAPI 3.0", p.document.Version)
	}
	var err error
	if p.schemas, err = newSchemaCompiler(body); err != nil {
		return nil, err
	}
	p.refuseUnknownExtensions("document", body, "binary-media-types", "documentation", "gateway-responses",
		"request-validator", "request-validators")
	for _, requirement := range p.document.Security {
		if len(requirement) > 0 {
			p.refuse("document", errors.New("security: API Gateway ignores it here: say it at each operation"))
		}
	}
	for _, name := range sortedKeys(p.document.RequestValidators) {
		var v requestValidator
		if err := decodeStrict(p.document.RequestValidators[name], &v); err != nil {
			p.refuse("request validator "+name, err)
		}
		p.validators[name] = v
	}
	a := &api{root: newResource(""), responses: gatewayResponses{}, binary: p.document.BinaryMediaTypes}
	for _, name := range sortedKeys(p.document.GatewayResponses) {
		custom, err := parseGatewayResponse(responseType(name), p.document.GatewayResponses[name])
		if err != nil {
			p.refuse("gateway response "+name, err)
		}
		a.responses[responseType(name)] = custom
	}
	for _, path := range sortedKeys(p.document.Paths) {
		p.parsePath(a.root, path)
	}
	if len(p.document.Paths) == 0 {
		p.refuse("document", errors.New("it has no paths"))
	}
	return a, errors.Join(p.refused...)
}

func (p *parser) parsePath(root *resource, path string) {
	node, err := root.add(path)
	if err != nil {
		p.refuse(path, err)
		return
	}
	item := p.document.Paths[path]
	var shared []parameter
	if raw, ok := item["parameters"]; ok {
		if err := json.Unmarshal(raw, &shared); err != nil {
			p.refuse(path, fmt.Errorf("parameters: %w", err))
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
				p.refuse(path, fmt.Errorf("%s is not supported", key))
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
		p.refuse(where, err)
		return nil
	}
	p.refuseUnknownExtensions(where, raw, "integration", "request-validator")
	m := &method{operationName: o.OperationID, authorize: p.authorizer(where, o.Security)}

	name := p.document.RequestValidator
	if o.RequestValidator != nil {
		name = *o.RequestValidator
	}
	validator, ok := p.validators[name]
	if name != "" && !ok {
		p.refuse(where, fmt.Errorf("%srequest-validator: there is no %q in %[1]srequest-validators", extensionPrefix, name))
	}
	if validator.Parameters {
		m.checks = append(m.checks, requireParameters(p.parameters(where, shared, o.Parameters)))
	}
	if validator.Body && o.RequestBody != nil {
		m.checks = append(m.checks, requireBody(p.bodySchemas(where, pointer+"/requestBody", *o.RequestBody)))
	}
	if o.Integration == nil {
		p.refuse(where, errors.New("it has no "+extensionPrefix+"integration"))
		return m
	}
	var err error
	if m.integration, err = parseIntegration(o.Integration); err != nil {
		p.refuse(where, fmt.Errorf("%sintegration: %w", extensionPrefix, err))
	}
	return m
}

// parameters are those of the path, overridden by those of the operation.
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
			p.refuse(where, fmt.Errorf("parameter %q in %q %s: not found or not supported",
				declared.Name, declared.In, declared.Ref))
		}
	}
	return slices.Collect(maps.Values(merged))
}

// bodySchemas compiles the schemas of a request body by media type.
func (p *parser) bodySchemas(where, pointer string, body requestBody) map[string]*jsonschema.Schema {
	ref := body.Ref
	if name, ok := strings.CutPrefix(ref, "#/components/requestBodies/"); ok {
		pointer = "/components/requestBodies/" + escapePointer(name)
		body = p.document.Components.RequestBodies[name]
	}
	if body.Content == nil {
		p.refuse(where, fmt.Errorf("request body %s: not found, or without content", ref))
	}
	schemas := map[string]*jsonschema.Schema{}
	for _, name := range sortedKeys(body.Content) {
		if body.Content[name].Schema == nil {
			continue
		}
		schema, err := p.schemas.compile(pointer + "/content/" + escapePointer(name) + "/schema")
		if err != nil {
			p.refuse(where, err)
		}
		schemas[mediaType(name)] = schema
	}
	return schemas
}

func (p *parser) refuseUnknownExtensions(where string, object json.RawMessage, known ...string) {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(object, &keys); err != nil {
		p.refuse(where, err)
	}
	for _, key := range sortedKeys(keys) {
		if name, ok := strings.CutPrefix(key, extensionPrefix); ok && !slices.Contains(known, name) {
			p.refuse(where, fmt.Errorf("the extension %s is not supported", key))
		}
	}
}

// statusCode is an HTTP status, in JSON a number or a string of digits.
type statusCode int

// UnmarshalJSON implements json.Unmarshaler.
func (c *statusCode) UnmarshalJSON(data []byte) error {
	n, err := strconv.Atoi(strings.Trim(string(data), `"`))
	if err != nil || n < 200 || n > 599 {
		return fmt.Errorf("statusCode %s: use 200 to 599", data)
	}
	*c = statusCode(n)
	return nil
}

// decodeStrict decodes a JSON object and names a key that the target, a pointer to a struct, does not have exactly so.
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

func escapePointer(s string) string {
	// A JSON pointer in a URL fragment: RFC 6901, sections 3 and 6.
	return strings.NewReplacer("~", "~0", "/", "~1", "%", "%25", "{", "%7B", "}", "%7D", "+", "%2B").Replace(s)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
