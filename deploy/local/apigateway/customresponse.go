package apigateway

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Variables of templates ("API Gateway mapping template and access logging variable reference").
const (
	requestIDVariable = "$context.requestId"
	stageVariable     = "$context.stage"
	messageVariable   = "$context.error.messageString" // with quotes
)

// customResponse is a response that the document defines, of a mock integration or for an error of the gateway.
type customResponse struct {
	StatusCode         statusCode        `json:"statusCode"`
	ResponseParameters map[string]string `json:"responseParameters"`
	ResponseTemplates  struct {
		JSON string `json:"application/json"` // for every Accept header
	} `json:"responseTemplates"`

	header map[string]string
}

// parse sets the headers. Their parameters must have the prefix and literal values. The template may have only the
// given variables, and no directives: there is no Velocity engine.
func (c *customResponse) parse(prefix string, variables ...string) error {
	c.header = map[string]string{}
	for _, parameter := range sortedKeys(c.ResponseParameters) {
		value := c.ResponseParameters[parameter]
		name, ok := strings.CutPrefix(parameter, prefix)
		if !ok || name == "" {
			return fmt.Errorf("responseParameters: %s is not supported: want a name that begins with %s", parameter, prefix)
		}
		if n := len(value); n < 2 || value[0] != '\'' || value[n-1] != '\'' {
			return fmt.Errorf("responseParameters: %s: %s is not supported: want a literal in single quotes", parameter, value)
		}
		c.header[name] = value[1 : len(value)-1]
	}
	for _, found := range regexp.MustCompile(`\$[\w.{!]*|#`).FindAllString(c.ResponseTemplates.JSON, -1) {
		if !slices.Contains(variables, found) {
			return fmt.Errorf("responseTemplates: %s is not supported: use only the variables %s",
				found, strings.Join(variables, ", "))
		}
	}
	return nil
}

// render returns the body.
func (c *customResponse) render(x *exchange) string {
	message := ""
	if x.failure != nil {
		message = x.failure.message
	}
	return strings.NewReplacer(
		requestIDVariable, x.record.RequestID, stageVariable, x.gateway.cfg.Stage, messageVariable, quote(message),
	).Replace(c.ResponseTemplates.JSON)
}

func (c *customResponse) setHeaders(resp *response) {
	for name, value := range c.header {
		setHeader(resp.header, name, value)
	}
}

// quote returns the string in JSON.
func quote(s string) string {
	quoted, err := encodeJSON(s)
	if err != nil {
		panic(err) // unreachable: strings can always be encoded
	}
	return string(quoted)
}
