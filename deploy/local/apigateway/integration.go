package apigateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// integration answers the requests of a method. An error that is not a gatewayError is answered with 500.
type integration interface {
	serve(*exchange) (*response, error)
}

// parseIntegration reads an x-amazon-apigateway-integration.
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
		return nil, errors.New("the integration has no type")
	}
	return nil, fmt.Errorf("the integration type %s is not supported: use aws_proxy or mock", kind.Type)
}

// passthrough is what happens to a request whose content type has no template.
type passthrough string

const (
	never           passthrough = "never"
	whenNoTemplates passthrough = "when_no_templates"
	whenNoMatch     passthrough = "when_no_match"
)

// UnmarshalJSON takes upper case too, as API Gateway does.
func (p *passthrough) UnmarshalJSON(data []byte) error {
	var s string
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("passthroughBehavior: %w", err)
	}
	switch *p = passthrough(strings.ToLower(s)); *p {
	case never, whenNoTemplates, whenNoMatch:
		return nil
	}
	return fmt.Errorf("passthroughBehavior %q: use never, when_no_templates or when_no_match", s)
}

// milliseconds is the time limit of an integration.
type milliseconds int

// limit is the time that the integration has; the maximum where the document says nothing.
func (m milliseconds) limit() (time.Duration, error) {
	if m == 0 {
		m = maxTimeout
	}
	if m < minTimeout || m > maxTimeout {
		return 0, fmt.Errorf("timeoutInMillis %d: use %d to %d", int(m), minTimeout, maxTimeout)
	}
	return time.Duration(m) * time.Millisecond, nil
}

// functionARN takes the function out of the uri of an integration.
func functionARN(uri string) (string, error) {
	match := regexp.MustCompile(`^arn:[^:]+:apigateway:[^:]+:lambda:path/2015-03-31/functions/` +
		`(arn:[^:]+:lambda:[^:]*:[^:]*:function:[^/]+)/invocations$`).FindStringSubmatch(uri)
	if match == nil {
		return "", fmt.Errorf("uri %q: use arn:PARTITION:apigateway:REGION:lambda:path/2015-03-31/functions/"+
			"FUNCTION_ARN/invocations", uri)
	}
	return match[1], nil
}
