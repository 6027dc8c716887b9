package apigateway

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// template is a parsed mapping template. Of Velocity, only references to $context, $stageVariables and $input.params
// are supported, with or without braces.
type template []func(*exchange) string

// scope determines the variables that are available in a template or a mapping expression.
type scope int

const (
	integrationScope     scope = iota // the templates of a mock integration
	gatewayResponseScope              // without $input, but with $context.error
)

func parseTemplate(text string, in scope) (template, error) {
	directive := regexp.MustCompile(`#(?:\{?(?:set|if|elseif|else|end|foreach|include|parse|stop|break|evaluate|` +
		`define|macro)\b|#|\*|\[\[)`)
	if found := directive.FindString(text); found != "" {
		return nil, fmt.Errorf("template directive %s is not supported: use variables only, without Velocity", found)
	}
	// A dollar sign that does not precede a name is a literal.
	reference := regexp.MustCompile(`\$(?:!?\{[^}]*\}?|!?[a-zA-Z_][\w-]*(?:\.[a-zA-Z_][\w-]*)*(?:\([^)]*\))?)`)
	var t template
	for text != "" {
		at := reference.FindStringIndex(text)
		if at == nil {
			return append(t, literal(text)), nil
		}
		variable, err := parseReference(text[at[0]:at[1]], in)
		if err != nil {
			return nil, err
		}
		t = append(t, literal(text[:at[0]]), variable)
		text = text[at[1]:]
	}
	return t, nil
}

// render substitutes the variables. A variable without a value is replaced by the empty string.
func (t template) render(x *exchange) string {
	var b strings.Builder
	for _, part := range t {
		b.WriteString(part(x))
	}
	return b.String()
}

func literal(text string) func(*exchange) string {
	return func(*exchange) string { return text }
}

func parseReference(reference string, in scope) (func(*exchange) string, error) {
	name := strings.TrimPrefix(reference, "$")
	if inner, ok := strings.CutPrefix(name, "{"); ok {
		name = strings.TrimSuffix(inner, "}")
	}
	input := regexp.MustCompile(`^input\.params\(\s*['"]([^'"]+)['"]\s*\)$`)
	if parameter := input.FindStringSubmatch(name); parameter != nil && in == integrationScope {
		return func(x *exchange) string { return x.parameter(parameter[1]) }, nil
	}
	if variable := parseVariable(name, in); variable != nil {
		return variable, nil
	}
	return nil, fmt.Errorf("template variable %s is not supported", reference)
}

// parameter implements $input.params(name): it searches the path, then the query string, then the headers.
func (x *exchange) parameter(name string) string {
	if value, ok := x.parameters[name]; ok {
		return value
	}
	if value, ok := x.query.last[name]; ok {
		return value
	}
	return x.requestHeader(name)
}

// requestHeader returns the last value of the header.
func (x *exchange) requestHeader(name string) string {
	if list := x.request.Header.Values(name); len(list) > 0 {
		return list[len(list)-1]
	}
	return ""
}

// parseVariable returns the variable context.NAME or stageVariables.NAME, for templates and mapping expressions. It
// returns nil for others.
func parseVariable(name string, in scope) func(*exchange) string {
	if variable, ok := strings.CutPrefix(name, "stageVariables."); ok && variable != "" {
		return func(x *exchange) string { return x.gateway.cfg.StageVariables[variable] }
	}
	variable, ok := strings.CutPrefix(name, "context.")
	if !ok {
		return nil
	}
	if strings.HasPrefix(variable, "error.") && in != gatewayResponseScope {
		return nil
	}
	return contextVariable(variable)
}

// contextVariable returns the $context variable with the name, except for those about authorization ("API Gateway
// mapping template and access logging variable reference"). It returns nil for others.
func contextVariable(name string) func(*exchange) string {
	switch name {
	case "accountId":
		return func(x *exchange) string { return x.gateway.cfg.AccountID }
	case "apiId":
		return func(x *exchange) string { return x.gateway.cfg.APIID }
	case "deploymentId":
		return func(x *exchange) string { return x.gateway.cfg.DeploymentID }
	case "stage":
		return func(x *exchange) string { return x.gateway.cfg.Stage }
	case "domainName":
		return (*exchange).domainName
	case "domainPrefix":
		return (*exchange).domainPrefix
	case "requestId":
		return func(x *exchange) string { return x.requestID }
	case "extendedRequestId":
		return func(x *exchange) string { return x.extendedRequestID }
	case "httpMethod":
		return func(x *exchange) string { return x.request.Method }
	case "path":
		return func(x *exchange) string { return x.stagePath }
	case "protocol":
		return func(x *exchange) string { return x.request.Proto }
	case "requestTime":
		return func(x *exchange) string { return x.started.UTC().Format(clfTime) }
	case "requestTimeEpoch":
		return func(x *exchange) string { return strconv.FormatInt(x.started.UnixMilli(), 10) }
	case "identity.sourceIp":
		return func(x *exchange) string { return x.sourceIP }
	case "identity.userAgent":
		return func(x *exchange) string { return x.request.UserAgent() }
	case "resourceId", "resourcePath":
		return func(x *exchange) string {
			switch {
			case x.resource == nil:
				return ""
			case name == "resourceId":
				return x.resource.id()
			}
			return x.resource.path
		}
	case "operationName":
		return func(x *exchange) string {
			if x.method == nil {
				return ""
			}
			return x.method.operationName
		}
	case "error.message":
		return func(x *exchange) string { return x.failure.message }
	case "error.messageString":
		return func(x *exchange) string { return quote(x.failure.message) }
	case "error.responseType":
		return func(x *exchange) string { return string(x.failure.kind) }
	case "error.validationErrorString": // escaped for use within a JSON string
		return func(x *exchange) string { return strings.Trim(quote(x.failure.validation), `"`) }
	}
	return nil
}

func quote(s string) string {
	quoted, err := encodeJSON(s)
	if err != nil {
		panic(err) // unreachable: strings can always be encoded
	}
	return string(quoted)
}

// parseExpression parses the value of a response parameter: 'literal', context.NAME or stageVariables.NAME. In gateway
// responses, it also accepts method.request.{header,path,querystring}.NAME, elsewhere integration.response.header.NAME.
func parseExpression(expression string, in scope) (func(*exchange) string, error) {
	if n := len(expression); n >= 2 && expression[0] == '\'' && expression[n-1] == '\'' {
		return literal(expression[1 : n-1]), nil
	}
	if variable := parseVariable(expression, in); variable != nil {
		return variable, nil
	}
	if in == gatewayResponseScope {
		if name, ok := strings.CutPrefix(expression, "method.request.header."); ok && name != "" {
			return func(x *exchange) string { return x.requestHeader(name) }, nil
		}
		if name, ok := strings.CutPrefix(expression, "method.request.path."); ok && name != "" {
			return func(x *exchange) string { return x.parameters[name] }, nil
		}
		if name, ok := strings.CutPrefix(expression, "method.request.querystring."); ok && name != "" {
			return func(x *exchange) string { return x.query.last[name] }, nil
		}
	} else if name, ok := strings.CutPrefix(expression, "integration.response.header."); ok && name != "" {
		return literal(""), nil // a mock integration has no headers
	}
	return nil, fmt.Errorf("mapping expression %s is not supported: put literals in single quotes", expression)
}

// templates are templates by media type.
type templates map[string]template

func parseTemplates(texts map[string]string, in scope) (templates, error) {
	parsed := templates{}
	for _, name := range sortedKeys(texts) {
		if !regexp.MustCompile(`^[\w!#&^.+-]+/[\w!#&^.+-]+$`).MatchString(name) {
			return nil, fmt.Errorf("template key: want a media type, got %q", name)
		}
		t, err := parseTemplate(texts[name], in)
		if err != nil {
			return nil, fmt.Errorf("template %s: %w", name, err)
		}
		parsed[strings.ToLower(name)] = t
	}
	return parsed, nil
}

// find returns the template for the Accept header, for application/json or else the first one, as API Gateway does for
// responses.
func (t templates) find(accept string) (mediaType string, chosen template) {
	for _, name := range append([]string{accept, "application/json"}, sortedKeys(t)...) {
		if chosen, ok := t[name]; ok {
			return name, chosen
		}
	}
	return "application/json", nil
}

// parameters are mapping expressions by response header.
type parameters map[string]func(*exchange) string

func parseParameters(expressions map[string]string, prefix string, in scope) (parameters, error) {
	parsed := parameters{}
	for _, key := range sortedKeys(expressions) {
		name, ok := strings.CutPrefix(key, prefix)
		if !ok || name == "" {
			return nil, fmt.Errorf("response parameter %s: want a name that begins with %s", key, prefix)
		}
		expression, err := parseExpression(expressions[key], in)
		if err != nil {
			return nil, fmt.Errorf("response parameter %s: %w", key, err)
		}
		parsed[name] = expression
	}
	return parsed, nil
}

// apply sets the headers whose expression has a value.
func (p parameters) apply(x *exchange, resp *response) {
	for name, expression := range p {
		if value := expression(x); value != "" {
			setHeader(resp.header, name, value)
		}
	}
}
