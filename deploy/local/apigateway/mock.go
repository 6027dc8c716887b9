package apigateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// mock is a mock integration that has one response, and returns 415 for a media type without a request template.
type mock struct {
	Type                string            `json:"type"`
	PassthroughBehavior string            `json:"passthroughBehavior"`
	RequestTemplates    map[string]string `json:"requestTemplates"` // by media type
	Responses           struct {
		Default customResponse `json:"default"`
	} `json:"responses"`
}

func parseMock(raw json.RawMessage) (*mock, error) {
	m := &mock{}
	if err := decodeStrict(raw, m); err != nil {
		return nil, err
	}
	if m.PassthroughBehavior != "never" {
		return nil, fmt.Errorf("passthroughBehavior: want never, got %q", m.PassthroughBehavior)
	}
	for mediaType, template := range m.RequestTemplates {
		var request struct { // any status code selects the default response
			StatusCode int `json:"statusCode"`
		}
		if err := decodeStrict([]byte(template), &request); err != nil || request.StatusCode == 0 {
			return nil, fmt.Errorf("requestTemplates: %s: want {\"statusCode\": NUMBER}, got %q", mediaType, template)
		}
	}
	if m.Responses.Default.StatusCode == 0 {
		return nil, errors.New("responses: default: no statusCode")
	}
	err := m.Responses.Default.parse("method.response.header.", requestIDVariable, stageVariable)
	if err != nil {
		return nil, fmt.Errorf("responses: default: %w", err)
	}
	return m, nil
}

func (m *mock) serve(x *exchange) (*response, error) {
	if _, ok := m.RequestTemplates[x.contentType()]; !ok {
		return nil, newGatewayError(unsupportedMediaType, "Unsupported Media Type")
	}
	custom := m.Responses.Default
	resp := &response{
		status: int(custom.StatusCode),
		header: http.Header{"Content-Type": {"application/json"}},
		body:   []byte(custom.render(x)),
	}
	custom.setHeaders(resp)
	return resp, nil
}
