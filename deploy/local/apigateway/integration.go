package apigateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// integration serves the requests of a method. Errors other than gatewayError result in 500.
type integration interface {
	serve(*exchange) (*response, error)
}

// parseIntegration parses an x-amazon-apigateway-integration.
func parseIntegration(raw json.RawMessage) (integration, error) {
	var kind struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(raw, &kind); err != nil {
		return nil, err
	}
	switch strings.ToLower(kind.Type) {
	case "aws_proxy":
		return parseProxy(raw)
	case "mock":
		return parseMock(raw)
	case "":
		return nil, errors.New("no type: want aws_proxy or mock")
	}
	return nil, fmt.Errorf("integration type %s is not supported: use aws_proxy or mock", kind.Type)
}

// passthrough is the behavior for a request whose content type has no template.
type passthrough string

const (
	never           passthrough = "never"
	whenNoTemplates passthrough = "when_no_templates"
	whenNoMatch     passthrough = "when_no_match"
)

// UnmarshalJSON implements json.Unmarshaler. It ignores case, as API Gateway does.
func (p *passthrough) UnmarshalJSON(data []byte) error {
	var s string
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("passthroughBehavior: %w", err)
	}
	switch *p = passthrough(strings.ToLower(s)); *p {
	case never, whenNoTemplates, whenNoMatch:
		return nil
	}
	return fmt.Errorf("passthroughBehavior: want never, when_no_templates or when_no_match, got %q", s)
}

// milliseconds is the timeout of an integration.
type milliseconds int

// timeout returns the timeout of the integration, by default the maximum.
func (m milliseconds) timeout() (time.Duration, error) {
	if m == 0 {
		m = maxTimeout
	}
	if m < minTimeout || m > maxTimeout {
		return 0, fmt.Errorf("timeoutInMillis: want %d to %d, got %d", minTimeout, maxTimeout, int(m))
	}
	return time.Duration(m) * time.Millisecond, nil
}

// functionARN returns the ARN of the function in the uri of an integration.
func functionARN(uri string) (string, error) {
	match := regexp.MustCompile(`^arn:[^:]+:apigateway:[^:]+:lambda:path/2015-03-31/functions/` +
		`(arn:[^:]+:lambda:[^:]*:[^:]*:function:[^/]+)/invocations$`).FindStringSubmatch(uri)
	if match == nil {
		return "", fmt.Errorf("uri: want arn:PARTITION:apigateway:REGION:lambda:path/2015-03-31/functions/"+
			"FUNCTION_ARN/invocations, got %q", uri)
	}
	return match[1], nil
}
