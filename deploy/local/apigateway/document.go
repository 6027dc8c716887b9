package apigateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// api is the parsed document.
type api struct {
	resources resources
	responses gatewayResponses
}

const extensionPrefix = "x-amazon-apigateway-"

// document has the keys of the rendered API document: OpenAPI 3.0 with extensions. Any other key is an error. Those of
// the type [json.RawMessage] are parsed later, or API Gateway uses them only for documentation and models.
type document struct {
	OpenAPI      string                                `json:"openapi"`
	Info         json.RawMessage                       `json:"info"`
	ExternalDocs json.RawMessage                       `json:"externalDocs"`
	Paths        map[string]map[string]json.RawMessage `json:"paths"`
	Components   struct {
		Schemas         json.RawMessage           `json:"schemas"`
		SecuritySchemes map[string]securityScheme `json:"securitySchemes"`
	} `json:"components"`

	Documentation     json.RawMessage             `json:"x-amazon-apigateway-documentation"`
	GatewayResponses  map[string]json.RawMessage  `json:"x-amazon-apigateway-gateway-responses"`
	RequestValidators map[string]requestValidator `json:"x-amazon-apigateway-request-validators"`
	RequestValidator  string                      `json:"x-amazon-apigateway-request-validator"`
}

// operation has the keys of a rendered operation. Any other key is an error.
type operation struct {
	OperationID string                `json:"operationId"`
	Parameters  []parameter           `json:"parameters"`
	RequestBody json.RawMessage       `json:"requestBody"`
	Responses   json.RawMessage       `json:"responses"`
	Security    []map[string][]string `json:"security"`
	Integration json.RawMessage       `json:"x-amazon-apigateway-integration"`
}

// parser parses a document and collects all errors.
type parser struct {
	document document
	pools    map[string]UserPool
	errs     []error
}

func (p *parser) addError(where string, err error) {
	if err != nil {
		p.errs = append(p.errs, fmt.Errorf("%s: %w", where, err))
	}
}

func parseDocument(body []byte, pools map[string]UserPool) (*api, error) {
	p := &parser{pools: pools}
	if err := decodeStrict(body, &p.document); err != nil {
		return nil, fmt.Errorf("document: %w", err)
	}
	if version := p.document.OpenAPI; !strings.HasPrefix(version, "3.0.") {
		return nil, fmt.Errorf("openapi: want 3.0.x, got %q: API Gateway REST APIs use OpenAPI 3.0", version)
	}
	if len(p.document.Paths) == 0 {
		return nil, errors.New("paths: want at least one")
	}
	validator, err := p.requestValidator()
	p.addError("document", err)
	a := &api{responses: gatewayResponses{}}
	for _, name := range sortedKeys(p.document.GatewayResponses) {
		custom, err := parseGatewayResponse(responseType(name), p.document.GatewayResponses[name])
		p.addError("gateway response "+name, err)
		a.responses[responseType(name)] = custom
	}
	for _, path := range sortedKeys(p.document.Paths) {
		added, err := a.resources.add(path)
		if err != nil {
			p.addError(path, err)
			continue
		}
		for _, key := range sortedKeys(p.document.Paths[path]) {
			name := strings.ToUpper(key)
			switch key {
			case "get", "put", "post", "delete", "options", "head", "patch":
			case extensionPrefix + "any-method":
				name = anyMethod
			default:
				p.addError(path, fmt.Errorf("%s is not supported", key))
				continue
			}
			method, err := p.method(p.document.Paths[path][key], validator)
			p.addError(name+" "+path, err)
			added.methods[name] = method
		}
	}
	return a, errors.Join(p.errs...)
}

func (p *parser) method(raw json.RawMessage, validator requestValidator) (m *method, err error) {
	var o operation
	if err := decodeStrict(raw, &o); err != nil {
		return nil, err
	}
	m = &method{operationName: o.OperationID}
	if validator.Parameters {
		if m.required, err = requiredParameters(o.Parameters); err != nil {
			return nil, err
		}
	}
	if m.authorize, err = p.authorizer(o.Security); err != nil {
		return nil, err
	}
	if o.Integration == nil {
		return nil, errors.New("no " + extensionPrefix + "integration")
	}
	if m.integration, err = parseIntegration(o.Integration); err != nil {
		return nil, fmt.Errorf("%sintegration: %w", extensionPrefix, err)
	}
	return m, nil
}

// parseIntegration parses an x-amazon-apigateway-integration.
func parseIntegration(raw json.RawMessage) (integration, error) {
	var kind struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(raw, &kind); err != nil {
		return nil, err
	}
	switch kind.Type {
	case "aws_proxy":
		return parseProxy(raw)
	case "mock":
		return parseMock(raw)
	}
	return nil, fmt.Errorf("integration type %q is not supported: use aws_proxy or mock", kind.Type)
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

// decodeStrict decodes a JSON object into target. It returns an error for a key that target does not have.
func decodeStrict(data []byte, target any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(target); err != nil {
		return fmt.Errorf("not supported: %w", err)
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
