package apigateway

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// accessLog is the parsed format of a stage's access log: a list of literals and variables.
type accessLog []logVariable

// logVariable renders a part of the line.
type logVariable func(*exchange, *Record) string

// noValue is logged for a variable without a value.
const noValue = "-"

// parseAccessLog parses a format ("Set up CloudWatch logging for REST APIs in API Gateway"). It must be one line and
// contain the request id.
func parseAccessLog(format string) (accessLog, error) {
	if format == "" {
		return nil, nil
	}
	if strings.ContainsAny(format, "\r\n") {
		return nil, errors.New("want a single line")
	}
	if !regexp.MustCompile(`\$context\.(requestId|extendedRequestId)\b`).MatchString(format) {
		return nil, errors.New("want $context.requestId or $context.extendedRequestId in it")
	}
	reference := regexp.MustCompile(
		`\$(?:context\.authorizer\.claims\.[\w:-]+|[a-zA-Z_]\w*(?:\.[a-zA-Z_]\w*)*|\{[^}]*\}?)`)
	var parts accessLog
	for format != "" {
		at := reference.FindStringIndex(format)
		if at == nil {
			at = []int{len(format), len(format)}
		}
		text := format[:at[0]]
		parts = append(parts, func(*exchange, *Record) string { return text })
		if at[0] < at[1] {
			variable, err := parseLogVariable(format[at[0]:at[1]])
			if err != nil {
				return nil, err
			}
			parts = append(parts, variable)
		}
		format = format[at[1]:]
	}
	return parts, nil
}

// render returns the line of a request. It escapes values for use within a JSON string, so that clients cannot inject
// fields into a JSON line.
func (l accessLog) render(x *exchange, r *Record) string {
	var b strings.Builder
	for _, part := range l {
		b.WriteString(part(x, r))
	}
	return b.String()
}

func parseLogVariable(reference string) (logVariable, error) {
	name, ok := strings.CutPrefix(reference, "$context.")
	if !ok {
		return nil, fmt.Errorf("variable %s is not supported: use $context variables", reference)
	}
	if name == "error.messageString" { // includes the quotes
		return func(_ *exchange, r *Record) string { return quote(orNoValue(r.ErrorMessage)) }, nil
	}
	value := recordVariable(name)
	if value == nil {
		value = identityVariable(name)
	}
	if value == nil && name != "operationName" { // available in templates only
		if variable := contextVariable(name); variable != nil {
			value = func(x *exchange, _ *Record) string { return variable(x) }
		}
	}
	if value == nil {
		return nil, fmt.Errorf("variable %s is not supported", reference)
	}
	return func(x *exchange, r *Record) string {
		quoted := quote(orNoValue(value(x, r)))
		return quoted[1 : len(quoted)-1]
	}, nil
}

func orNoValue(value string) string {
	if value == "" {
		return noValue
	}
	return value
}

// recordVariable returns the variables that are only available in access logs ("Variables for access logging for API
// Gateway"), and those about errors. It returns nil for others.
func recordVariable(name string) logVariable {
	of := func(value func(*Record) string) logVariable {
		return func(_ *exchange, r *Record) string { return value(r) }
	}
	switch name {
	case "status":
		return of(func(r *Record) string { return strconv.Itoa(r.Status) })
	case "responseLength":
		return of(func(r *Record) string { return strconv.Itoa(r.ResponseLength) })
	case "responseLatency":
		return of(func(r *Record) string { return wholeMilliseconds(r.Latency) })
	case "integrationLatency", "integration.latency":
		return of(func(r *Record) string {
			if r.IntegrationTime.IsZero() {
				return ""
			}
			return wholeMilliseconds(r.IntegrationLatency)
		})
	case "integrationStatus", "integration.integrationStatus":
		return of(func(r *Record) string { return formatStatus(r.IntegrationStatus) })
	case "integration.status":
		return of(func(r *Record) string { return formatStatus(r.FunctionStatus) })
	case "integration.requestId", "awsEndpointRequestId":
		return of(func(r *Record) string { return r.FunctionRequestID })
	case "integration.error", "integrationErrorMessage":
		return of(func(r *Record) string { return r.IntegrationError })
	case "xrayTraceId":
		return of(func(r *Record) string { return r.Trace.Root })
	case "error.message":
		return of(func(r *Record) string { return r.ErrorMessage })
	case "error.responseType":
		return of(func(r *Record) string { return r.ErrorType })
	case "error.validationErrorString":
		return of(func(r *Record) string { return r.ValidationError })
	}
	return nil
}

func wholeMilliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

func formatStatus(status int) string {
	if status == 0 {
		return ""
	}
	return strconv.Itoa(status)
}

// identityVariable returns the variables about the caller. It returns nil for others, and for identity.apiKey, which is
// a secret.
func identityVariable(name string) logVariable {
	of := func(value func(*identity) *string) logVariable {
		return func(x *exchange, _ *Record) string {
			if text := value(&x.identity); text != nil {
				return *text
			}
			return ""
		}
	}
	if claim, ok := strings.CutPrefix(name, "authorizer.claims."); ok {
		return func(x *exchange, _ *Record) string { return x.claims[claim] }
	}
	switch name {
	case "identity.accountId":
		return of(func(i *identity) *string { return i.AccountID })
	case "identity.apiKeyId":
		return of(func(i *identity) *string { return &i.APIKeyID })
	case "identity.caller":
		return of(func(i *identity) *string { return i.Caller })
	case "identity.user":
		return of(func(i *identity) *string { return i.User })
	case "identity.userArn":
		return of(func(i *identity) *string { return i.UserARN })
	case "identity.principalOrgId":
		return of(func(i *identity) *string { return i.PrincipalOrgID })
	case "identity.cognitoAuthenticationProvider":
		return of(func(i *identity) *string { return i.CognitoAuthenticationProvider })
	case "identity.cognitoAuthenticationType":
		return of(func(i *identity) *string { return i.CognitoAuthenticationType })
	case "identity.cognitoIdentityId":
		return of(func(i *identity) *string { return i.CognitoIdentityID })
	case "identity.cognitoIdentityPoolId":
		return of(func(i *identity) *string { return i.CognitoIdentityPoolID })
	}
	return nil
}
