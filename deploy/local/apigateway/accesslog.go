package apigateway

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// accessLog is the format of a stage's access log, split into its parts. It is empty if the stage has no access log.
type accessLog []logPart

// logPart is a variable or a literal string.
type logPart struct{ variable, literal string }

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
	known := new(exchange).logVariables()
	var l accessLog
	end := 0
	for _, at := range regexp.MustCompile(`\$(?:[a-zA-Z_]\w*(?:\.\w+)*|\{[^}]*\}?)`).FindAllStringIndex(format, -1) {
		variable := format[at[0]:at[1]]
		if _, ok := known[variable]; !ok {
			return nil, fmt.Errorf("variable %s is not supported", variable)
		}
		l = append(l, logPart{literal: format[end:at[0]]}, logPart{variable: variable})
		end = at[1]
	}
	return append(l, logPart{literal: format[end:]}), nil
}

// render returns the line of a request. It escapes values for use within a JSON string, so that clients cannot inject
// fields into a JSON line. A missing value is logged as "-".
func (l accessLog) render(x *exchange) string {
	if len(l) == 0 {
		return ""
	}
	values := x.logVariables()
	var line strings.Builder
	for _, part := range l {
		if part.variable == "" {
			line.WriteString(part.literal)
			continue
		}
		quoted := quote(cmp.Or(values[part.variable], "-"))
		line.WriteString(quoted[1 : len(quoted)-1])
	}
	return strings.Clone(line.String()) // without spare capacity, as lines are kept
}

// logVariables returns the supported variables of the access log ("Variables for access logging for API Gateway") with
// their values, or "".
func (x *exchange) logVariables() map[string]string {
	r := &x.record
	var caller, integrationLatency string
	if x.identity.Caller != nil {
		caller = *x.identity.Caller
	}
	if !r.IntegrationTime.IsZero() {
		integrationLatency = wholeMilliseconds(r.IntegrationLatency)
	}
	return map[string]string{
		"$context.authorizer.claims.sub": x.claims["sub"],
		"$context.error.responseType":    r.ErrorType,
		"$context.extendedRequestId":     r.ExtendedRequestID,
		"$context.httpMethod":            r.Method,
		"$context.identity.apiKeyId":     r.APIKeyID,
		"$context.identity.caller":       caller,
		"$context.identity.sourceIp":     r.SourceIP,
		"$context.identity.userArn":      r.UserARN,
		"$context.integration.error":     r.IntegrationError,
		"$context.integration.requestId": r.FunctionRequestID,
		"$context.integration.status":    formatStatus(r.FunctionStatus),
		"$context.integrationLatency":    integrationLatency,
		"$context.integrationStatus":     formatStatus(r.IntegrationStatus),
		"$context.protocol":              r.Protocol,
		"$context.requestId":             r.RequestID,
		"$context.requestTime":           r.Time.UTC().Format(clfTime),
		"$context.resourcePath":          r.ResourcePath,
		"$context.responseLatency":       wholeMilliseconds(r.Latency),
		"$context.responseLength":        strconv.Itoa(r.ResponseLength),
		"$context.status":                strconv.Itoa(r.Status),
		"$context.xrayTraceId":           r.Trace.Root,
	}
}

func wholeMilliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// formatStatus formats a status code, or "" for 0.
func formatStatus(status int) string {
	if status == 0 {
		return ""
	}
	return strconv.Itoa(status)
}
