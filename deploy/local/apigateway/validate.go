package apigateway

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// requestValidator selects what is validated before the integration. Bodies are not validated here.
type requestValidator struct {
	Body       bool `json:"validateRequestBody"`
	Parameters bool `json:"validateRequestParameters"`
}

// requestValidator returns the document's validator.
func (p *parser) requestValidator() (requestValidator, error) {
	name := p.document.RequestValidator
	validator, ok := p.document.RequestValidators[name]
	switch {
	case name != "" && !ok:
		return validator, fmt.Errorf("%srequest-validator: %q not found in %[1]srequest-validators", extensionPrefix, name)
	case validator.Body:
		return validator, fmt.Errorf("%srequest-validators: %s: validateRequestBody is not supported", extensionPrefix, name)
	}
	return validator, nil
}

// parameter is a parameter of an operation.
type parameter struct {
	Name        string          `json:"name"`
	Description json.RawMessage `json:"description"`
	In          string          `json:"in"`
	Required    bool            `json:"required"`
	Schema      json.RawMessage `json:"schema"` // not validated by API Gateway
}

// requiredParameters returns the required parameters in the order of API Gateway's message.
func requiredParameters(all []parameter) ([]parameter, error) {
	for _, p := range all {
		if p.In != "path" && p.In != "query" && p.In != "header" {
			return nil, fmt.Errorf("parameter %q in %q is not supported", p.Name, p.In)
		}
	}
	required := slices.DeleteFunc(slices.Clone(all), func(p parameter) bool { return !p.Required })
	slices.SortFunc(required, func(a, b parameter) int {
		return cmp.Or(cmp.Compare(a.In, b.In), cmp.Compare(a.Name, b.Name))
	})
	return required, nil
}

// validate checks that the required parameters are present and not blank.
func (m *method) validate(x *exchange) error {
	var missing []string
	for _, p := range m.required {
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

// value returns the parameter's value in the request, or "".
func (p parameter) value(x *exchange) string {
	switch p.In {
	case "path":
		return x.parameters[p.Name]
	case "query":
		return x.query.last[p.Name]
	}
	values := x.request.Header.Values(p.Name)
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}
