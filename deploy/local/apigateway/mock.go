package apigateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// mock is a mock integration. Its request template renders a status code, which selects the response.
type mock struct {
	requests    templates
	passthrough passthrough
	responses   []mockResponse // sorted by pattern
	fallback    *mockResponse  // default response, or nil
}

type mockResponse struct {
	pattern    *regexp.Regexp // nil for the default
	status     int
	parameters parameters
	templates  templates
}

func parseMock(raw json.RawMessage) (integration, error) {
	object := struct {
		Type                string                     `json:"type"`
		RequestTemplates    map[string]string          `json:"requestTemplates"`
		PassthroughBehavior passthrough                `json:"passthroughBehavior"`
		Responses           map[string]json.RawMessage `json:"responses"`
		TimeoutInMillis     milliseconds               `json:"timeoutInMillis"` // has no effect
	}{PassthroughBehavior: whenNoMatch}
	err := decodeStrict(raw, &object)
	if err != nil {
		return nil, err
	}
	if _, err := object.TimeoutInMillis.timeout(); err != nil {
		return nil, err
	}
	m := &mock{passthrough: object.PassthroughBehavior}
	if m.requests, err = parseTemplates(object.RequestTemplates, integrationScope); err != nil {
		return nil, fmt.Errorf("requestTemplates: %w", err)
	}
	if len(object.Responses) == 0 {
		return nil, errors.New("no responses")
	}
	for _, pattern := range sortedKeys(object.Responses) {
		parsed, err := parseMockResponse(object.Responses[pattern])
		if err != nil {
			return nil, fmt.Errorf("response %q: %w", pattern, err)
		}
		if pattern == "default" {
			m.fallback = &parsed
			continue
		}
		if parsed.pattern, err = regexp.Compile("^(?:" + pattern + ")$"); err != nil {
			return nil, fmt.Errorf("response %q: %w", pattern, err)
		}
		m.responses = append(m.responses, parsed)
	}
	if err := m.checkConstants(object.RequestTemplates); err != nil {
		return nil, err
	}
	return m, nil
}

// checkConstants checks the request templates without variables. Those with variables are checked at the time of a
// request.
func (m *mock) checkConstants(requests map[string]string) error {
	for _, name := range sortedKeys(requests) {
		if strings.Contains(requests[name], "$") {
			continue
		}
		code, err := mockStatus(requests[name])
		if err != nil {
			return fmt.Errorf("requestTemplates: template %s: %w", name, err)
		}
		if m.response(code) == nil {
			return fmt.Errorf("requestTemplates: template %s: no response matches status code %d", name, code)
		}
	}
	return nil
}

func parseMockResponse(raw json.RawMessage) (mockResponse, error) {
	var object struct {
		StatusCode         statusCode        `json:"statusCode"`
		ResponseParameters map[string]string `json:"responseParameters"`
		ResponseTemplates  map[string]string `json:"responseTemplates"`
	}
	var parsed mockResponse
	err := decodeStrict(raw, &object)
	if err != nil {
		return parsed, err
	}
	if parsed.status = int(object.StatusCode); parsed.status == 0 {
		return parsed, errors.New("no statusCode")
	}
	parsed.parameters, err = parseParameters(object.ResponseParameters, "method.response.header.", integrationScope)
	if err != nil {
		return parsed, err
	}
	parsed.templates, err = parseTemplates(object.ResponseTemplates, integrationScope)
	return parsed, err
}

func (m *mock) serve(x *exchange) (*response, error) {
	selected, err := m.selectResponse(x)
	if err != nil {
		return nil, err
	}
	resp := &response{status: selected.status, header: http.Header{"Content-Type": {"application/json"}}}
	if _, body := selected.templates.find(x.accept()); body != nil {
		resp.body = []byte(body.render(x))
	}
	selected.parameters.apply(x, resp)
	return resp, nil
}

// selectResponse returns the response for the status code rendered by the request template.
func (m *mock) selectResponse(x *exchange) (*mockResponse, error) {
	request := string(x.body)
	if t, ok := m.requests[x.contentType()]; ok {
		request = t.render(x)
	} else if m.passthrough == never || m.passthrough == whenNoTemplates && len(m.requests) > 0 {
		return nil, newGatewayError(unsupportedMediaType, "Unsupported Media Type")
	}
	code, err := mockStatus(request)
	if err != nil {
		return nil, internalServerError(http.StatusInternalServerError, err)
	}
	if selected := m.response(code); selected != nil {
		return selected, nil
	}
	failure := newGatewayError(apiConfigurationError, "Internal server error")
	failure.cause = fmt.Errorf("mock integration: no response matches status code %d", code)
	return nil, failure
}

// mockStatus returns the status code in the integration request of a mock.
func mockStatus(request string) (int, error) {
	var object struct {
		StatusCode int `json:"statusCode"`
	}
	if err := json.Unmarshal([]byte(request), &object); err != nil || object.StatusCode == 0 {
		return 0, fmt.Errorf("mock integration: want JSON with an integer statusCode, got %q", request)
	}
	return object.StatusCode, nil
}

// response returns the response for the status code, or nil if none matches.
func (m *mock) response(code int) *mockResponse {
	for i := range m.responses {
		if m.responses[i].pattern.MatchString(strconv.Itoa(code)) {
			return &m.responses[i]
		}
	}
	return m.fallback
}
