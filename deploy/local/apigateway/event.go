package apigateway

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// event is the input of a function with proxy integration ("Input format of a Lambda function for proxy integration").
type event struct {
	Resource                        string              `json:"resource"`
	Path                            string              `json:"path"`
	HTTPMethod                      string              `json:"httpMethod"`
	Headers                         map[string]string   `json:"headers"`
	MultiValueHeaders               map[string][]string `json:"multiValueHeaders"`
	QueryStringParameters           map[string]string   `json:"queryStringParameters"`
	MultiValueQueryStringParameters map[string][]string `json:"multiValueQueryStringParameters"`
	PathParameters                  map[string]string   `json:"pathParameters"`
	StageVariables                  map[string]string   `json:"stageVariables"` // always null
	RequestContext                  requestContext      `json:"requestContext"`
	Body                            *string             `json:"body"`
	IsBase64Encoded                 bool                `json:"isBase64Encoded"` // always false
}

type requestContext struct {
	ResourceID        string   `json:"resourceId"`
	OperationName     string   `json:"operationName,omitempty"`
	ResourcePath      string   `json:"resourcePath"`
	HTTPMethod        string   `json:"httpMethod"`
	ExtendedRequestID string   `json:"extendedRequestId"`
	RequestTime       string   `json:"requestTime"`
	Path              string   `json:"path"`
	AccountID         string   `json:"accountId"`
	Protocol          string   `json:"protocol"`
	Stage             string   `json:"stage"`
	DomainPrefix      string   `json:"domainPrefix"`
	RequestTimeEpoch  int64    `json:"requestTimeEpoch"`
	RequestID         string   `json:"requestId"`
	Identity          identity `json:"identity"`
	DomainName        string   `json:"domainName"`
	DeploymentID      string   `json:"deploymentId"`
	APIID             string   `json:"apiId"`

	Authorizer *authorizerContext `json:"authorizer,omitempty"`
}

// authorizerContext is the context from an authorizer of the type COGNITO_USER_POOLS.
type authorizerContext struct {
	Claims map[string]string `json:"claims"`
}

// identity describes the caller. Unset fields are null in JSON, except for those of the API key, which are omitted.
type identity struct {
	APIKey                        string  `json:"apiKey,omitempty"`
	APIKeyID                      string  `json:"apiKeyId,omitempty"`
	CognitoIdentityPoolID         *string `json:"cognitoIdentityPoolId"`
	AccountID                     *string `json:"accountId"`
	CognitoIdentityID             *string `json:"cognitoIdentityId"`
	Caller                        *string `json:"caller"`
	SourceIP                      string  `json:"sourceIp"`
	PrincipalOrgID                *string `json:"principalOrgId"`
	AccessKey                     *string `json:"accessKey"`
	CognitoAuthenticationType     *string `json:"cognitoAuthenticationType"`
	CognitoAuthenticationProvider *string `json:"cognitoAuthenticationProvider"`
	UserARN                       *string `json:"userArn"`
	UserAgent                     *string `json:"userAgent"`
	User                          *string `json:"user"`
}

// values holds headers or query string parameters, which may be repeated. Both maps are nil if empty: null in JSON.
type values struct {
	last map[string]string
	all  map[string][]string
}

func (v *values) add(name string, value ...string) {
	if v.all == nil {
		v.last, v.all = map[string]string{}, map[string][]string{}
	}
	v.all[name] = append(v.all[name], value...)
	v.last[name] = value[len(value)-1]
}

// parseQuery decodes a query string as API Gateway does: malformed escapes are kept, and a semicolon is a separator.
func parseQuery(raw string) values {
	var query values
	for pair := range strings.FieldsFuncSeq(raw, func(r rune) bool { return r == '&' || r == ';' }) {
		name, value, _ := strings.Cut(pair, "=")
		query.add(unescape(name), unescape(value))
	}
	return query
}

func unescape(s string) string {
	if decoded, err := url.QueryUnescape(s); err == nil {
		return decoded
	}
	return s
}

// headers returns the headers for the function.
func (x *exchange) headers() values {
	var headers values
	for name, list := range x.request.Header {
		if !isDropped(name) && (name != "Authorization" || x.identity.AccessKey == nil) { // omits signatures
			headers.add(name, list...)
		}
	}
	forwarded := x.record.SourceIP
	if earlier := x.request.Header.Values("X-Forwarded-For"); len(earlier) > 0 {
		forwarded = strings.Join(earlier, ", ") + ", " + forwarded
	}
	protocol, port := "http", "80"
	if x.request.TLS != nil {
		protocol, port = "https", "443"
	}
	if local, ok := x.request.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok {
		port = strconv.Itoa(local.Port)
	}
	for name, value := range map[string]string{
		"Host":              x.request.Host,
		"X-Forwarded-For":   forwarded,
		"X-Forwarded-Port":  port,
		"X-Forwarded-Proto": protocol,
		traceHeader:         "Root=" + x.record.Trace.Root,
	} {
		delete(headers.all, name)
		headers.add(name, value)
	}
	return headers
}

// isDropped reports whether API Gateway removes the header with this canonical name from requests.
func isDropped(name string) bool {
	switch name {
	case "Connection", "Content-Length", "Content-Md5", "Expect", "Max-Forwards", "Proxy-Authenticate", "Server", "Te",
		"Transfer-Encoding", "Trailer", "Upgrade", "Www-Authenticate":
		return true
	}
	return false
}

// event encodes the function's input.
func (x *exchange) event() ([]byte, error) {
	cfg := &x.gateway.cfg
	headers := x.headers()
	e := event{
		Resource:                        x.resource.path,
		Path:                            x.path,
		HTTPMethod:                      x.request.Method,
		Headers:                         headers.last,
		MultiValueHeaders:               headers.all,
		QueryStringParameters:           x.query.last,
		MultiValueQueryStringParameters: x.query.all,
		RequestContext: requestContext{
			ResourceID:        x.resource.id(),
			OperationName:     x.method.operationName,
			ResourcePath:      x.resource.path,
			HTTPMethod:        x.request.Method,
			ExtendedRequestID: x.record.ExtendedRequestID,
			RequestTime:       x.record.Time.UTC().Format(clfTime),
			Path:              x.stagePath,
			AccountID:         cfg.AccountID,
			Protocol:          x.request.Proto,
			Stage:             cfg.Stage,
			DomainPrefix:      x.domainPrefix(),
			RequestTimeEpoch:  x.record.Time.UnixMilli(),
			RequestID:         x.record.RequestID,
			Identity:          x.identity,
			DomainName:        x.domainName(),
			DeploymentID:      cfg.DeploymentID,
			APIID:             cfg.APIID,
		},
	}
	if x.claims != nil {
		e.RequestContext.Authorizer = &authorizerContext{x.claims}
	}
	if len(x.parameters) > 0 {
		e.PathParameters = x.parameters
	}
	if len(x.body) > 0 {
		e.Body = new(string(x.body))
	}
	return encodeJSON(e)
}

// contentType returns the request's media type without parameters, by default application/json.
func (x *exchange) contentType() string {
	name, _, _ := strings.Cut(x.request.Header.Get("Content-Type"), ";")
	return cmp.Or(strings.ToLower(strings.TrimSpace(name)), "application/json")
}

// domainName returns the requested host without its port.
func (x *exchange) domainName() string {
	if name, _, err := net.SplitHostPort(x.request.Host); err == nil {
		return name
	}
	return x.request.Host
}

func (x *exchange) domainPrefix() string {
	prefix, _, _ := strings.Cut(x.domainName(), ".")
	return prefix
}

// newExtendedRequestID returns a random id in the format of x-amz-apigw-id: 16 characters, the last of which is '='.
func newExtendedRequestID() string {
	b := make([]byte, 11)
	_, _ = rand.Read(b) // never fails
	return base64.URLEncoding.EncodeToString(b)
}

// encodeJSON encodes v without escaping <, > and &.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, fmt.Errorf("encode JSON: %w", err)
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}
