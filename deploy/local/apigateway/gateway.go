// Package apigateway serves an API Gateway REST API (v1, Lambda proxy integration) locally.
//
// It reads the OpenAPI 3.0 document of the deployed API, with AWS extensions. Functions receive the same event, and
// clients the same responses, as with API Gateway. It supports what package template renders, and [New] returns an
// error for everything else, so that a route works either in both places or in neither.
//
// A method's security scheme selects its authorization: none, AWS_IAM (Signature Version 4 in the header or the query
// string), COGNITO_USER_POOLS (identity tokens) or an API key. A request is first authorized, then throttled, then
// validated.
//
// Known differences from API Gateway:
//   - The function receives request header names in Go's canonical form (Content-Type, Etag, Dnt): net/http does not
//     preserve the client's casing. Response header names keep the function's casing, except for Content-Type.
//   - X-Forwarded-Port and X-Forwarded-Proto have the actual port and protocol, not 443 and https.
//   - Function permissions and IAM policies are not checked: each configured credential may call every method, and
//     ACCESS_DENIED does not occur.
//   - Credentials are long-term: X-Amz-Security-Token is rejected, and EXPIRED_TOKEN does not occur.
//   - The time of a signature is read from X-Amz-Date, not from Date. Signatures do not cover Authorization, Expect,
//     Transfer-Encoding, User-Agent and X-Amzn-Trace-Id, which the AWS SDKs do not sign either. Paths are not
//     normalized (//, /./, /../).
//   - The response to a request over 10 MB is the same JSON document as for other errors. API Gateway has been
//     observed to send the text "HTTP content length exceeded 10485760 bytes." without x-amzn-RequestId.
//   - net/http rejects malformed requests before any handler runs: with a plain text body, without x-amzn-RequestId
//     and access log line, and it closes the connection. Status codes: 400 for a malformed request line, header or
//     percent-encoding in the path, and for a missing or repeated Host; 417 for an Expect other than 100-continue;
//     431 for headers over 1 MB; 501 for a Transfer-Encoding other than chunked; 505 for an unknown major version of
//     HTTP.
//   - The throttle and quota of a usage plan are ignored. The stage's throttle applies.
//
// Recorded from API Gateway:
//   - Slashes before the stage, and between the stage and the path, are ignored. Only the latter are kept in
//     requestContext.path.
//   - If Lambda rejects the event as too large, the response is 413 "Request Too Long" with the x-amzn-ErrorType
//     BadRequestException.
//
// Assumptions, not recorded from API Gateway:
//   - The document cannot customize this 413.
//   - The 408 response, the body of 431, and the x-amzn-ErrorType of 415 and 431.
//   - A mock integration selects its request template by Content-Type even without a body.
//   - The response type is INVALID_SIGNATURE for every invalid signature and UNAUTHORIZED for an expired token. (The
//     messages and the x-amzn-ErrorType of AWS_IAM and COGNITO_USER_POOLS are those of AWS.)
//   - A presigned URL is valid for X-Amz-Expires, or 5 minutes without it.
//   - A request that has a header or parameter of the credentials more than once is rejected.
//   - The function does not receive Authorization if it contains a signature.
//   - The body is read, and rejected if it is too large, before authorization. The stage's throttle applies after it.
//   - The escaping of values in the access log.
//
// The event is JSON: in a body that is not valid UTF-8, U+FFFD replaces each invalid byte.
package apigateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/time/rate"

	"github.com/userrequestapi/userdata/deploy/template"
)

// Quotas of API Gateway REST APIs ("Amazon API Gateway quotas").
const (
	maxHeader  = 10_240                         // bytes: total of the request line and header values
	maxPayload = 10 << 20                       // bytes: of a request and of a response
	maxTimeout = template.MaxIntegrationTimeout // of an integration, in milliseconds
	minTimeout = 50                             // of an integration, in milliseconds
)

// clfTime is the time layout of the Common Log Format.
const clfTime = "02/Jan/2006:15:04:05 -0700"

// Invoker invokes functions synchronously, like Lambda's Invoke API with the invocation type RequestResponse.
type Invoker interface {
	// Invoke runs the function with the payload. An error means that Lambda did not run the function, for example
	// because it was throttled; an error response of Lambda has a method StatusCode() int. Invoke must be safe for
	// concurrent use. ctx is not canceled when the client disconnects.
	Invoke(ctx context.Context, functionARN, traceHeader string, payload []byte) (InvokeOutput, error)
}

// InvokeOutput is the response of Lambda's Invoke API. With an error, only RequestID may be set.
type InvokeOutput struct {
	RequestID     string // "" if unknown
	FunctionError string // "" if the function succeeded
	Payload       []byte
	// ColdStart reports whether the request waited for a new execution environment. Lambda's API does not return it.
	ColdStart bool
}

// Throttle limits the requests to all methods of the stage together, like the stage's method settings for /*/*.
type Throttle struct {
	Rate  float64 // requests per second; 0 means no limit
	Burst int     // size of the token bucket; at least 1 if Rate is set
}

// Config configures a [Gateway].
type Config struct {
	// Body is the OpenAPI 3.0 document in JSON, with x-amazon-apigateway-* extensions and no CloudFormation intrinsics.
	Body []byte
	// Stage is the name of the stage, the first segment of every path: 1 to 128 of a-z A-Z 0-9 _ -.
	Stage string
	// AccountID, APIID and DeploymentID are values for events. Signatures must be for the Region.
	AccountID, APIID, DeploymentID, Region string

	// Credentials are the access keys accepted by methods with the authorization type AWS_IAM, by access key id.
	Credentials map[string]Credential
	// APIKeys are the keys accepted by methods that require an API key.
	APIKeys []APIKey
	// UserPools are the user pools for methods with the authorization type COGNITO_USER_POOLS, by ARN.
	UserPools map[string]UserPool

	// Invoker runs the functions of aws_proxy integrations.
	Invoker Invoker
	// Throttle limits the request rate.
	Throttle Throttle
	// Sample reports whether a request without a sampling decision is traced. If nil, none is. It must be safe for
	// concurrent use. See [NewSampler].
	Sample func() bool
	// AccessLogFormat is the access log format of the stage: one line of text with $context variables.
	AccessLogFormat string
	// AccessLog, if not nil, is called once per request, after the response is written. line is "" without a format.
	// AccessLog must be safe for concurrent use.
	AccessLog func(line string, r Record)
	// Exchange, if not nil, is called before AccessLog with the content of the request and the response. Exchange must be
	// safe for concurrent use.
	Exchange func(r Record, content Content)
	// NoTimeLimit disables the timeouts of integrations, for use with a debugger.
	NoTimeLimit bool
}

// Content is the content of a request and its response. It must not be changed.
type Content struct {
	Request     *http.Request // its body has been read
	RequestBody []byte        // nil if the gateway rejected the request before it read the body
	Header      http.Header   // of the response
	Body        []byte        // of the response; nil if none is sent, as to HEAD
}

// Record describes a request and its response, for the access log and the stage's segment in a trace.
type Record struct {
	Time              time.Time // when the request arrived
	RequestID         string
	ExtendedRequestID string
	Method            string
	ResourcePath      string // such as /users/{userId}; "" if none matched
	Protocol          string
	SourceIP          string
	UserARN           string // of the IAM user that signed the request
	APIKeyID          string

	Status         int
	ResponseLength int // length of the body in bytes, even if HEAD omits it
	Latency        time.Duration

	FunctionARN        string    // "" if no aws_proxy integration was reached
	FunctionRequestID  string    // Lambda's request id; "" without a response before the timeout
	FunctionStatus     int       // status code returned by the function; 0 if none
	IntegrationTime    time.Time // when the function was invoked; zero if it was not
	IntegrationLatency time.Duration
	IntegrationStatus  int    // status code of Lambda's response: 200 even if the function failed; 0 if none
	IntegrationError   string // why the integration failed; not sent to the client

	ErrorType string // gateway response type, such as THROTTLED; "" if the response came from the integration
	ErrorCode string // the member code of a problem document (RFC 9457) in the response; "" for another response
	ColdStart bool   // the request waited for a new execution environment

	Trace Trace
}

// Gateway serves the stage of an API. It is an http.Handler for paths that begin with /{stage}.
type Gateway struct {
	cfg     Config
	api     *api
	log     accessLog
	limiter *rate.Limiter // nil without a limit
	running sync.WaitGroup
}

// New returns a gateway for the document. The error lists everything in the document that the gateway does not support,
// by method and path.
func New(cfg Config) (*Gateway, error) {
	if !regexp.MustCompile(`^[a-zA-Z0-9_-]{1,128}$`).MatchString(cfg.Stage) {
		return nil, fmt.Errorf("stage name: want 1 to 128 letters, digits, hyphens and underscores, got %q", cfg.Stage)
	}
	if cfg.Invoker == nil {
		return nil, errors.New("the Invoker must be set")
	}
	g := &Gateway{cfg: cfg}
	switch t := cfg.Throttle; {
	case t.Rate < 0 || t.Burst < 0 || (t.Rate > 0) != (t.Burst > 0):
		return nil, fmt.Errorf("throttle: want rate and burst above 0, or neither, got rate %v, burst %d", t.Rate, t.Burst)
	case t.Rate > 0:
		g.limiter = rate.NewLimiter(rate.Limit(t.Rate), t.Burst)
	}
	var err error
	if g.log, err = parseAccessLog(cfg.AccessLogFormat); err != nil {
		return nil, fmt.Errorf("access log format: %w", err)
	}
	if g.api, err = parseDocument(cfg.Body, cfg.UserPools); err != nil {
		return nil, fmt.Errorf("read the API document:\n%w", err)
	}
	return g, nil
}

// Wait waits until all requests and invocations have ended, including invocations that continue after a timeout or
// after the client has disconnected. Call it after the server is shut down or closed.
func (g *Gateway) Wait() { g.running.Wait() }

// exchange is the state of one request.
type exchange struct {
	gateway *Gateway
	request *http.Request
	record  Record // complete after the response

	sentPath   string // as received, not URL-decoded
	stagePath  string // requestContext.path: sentPath with exactly one slash before the stage
	path       string // stagePath without the stage, with exactly one leading slash
	query      values
	parameters map[string]string // path parameters, not URL-decoded
	resource   *resource         // nil until routed
	method     *method           // nil until routed
	body       []byte

	identity identity
	claims   map[string]string // of the user pool's token

	failure *gatewayError // nil if the integration responded
}

// response is a response to the client. Header names keep their casing.
type response struct {
	status int
	header http.Header
	body   []byte
}

// ServeHTTP implements http.Handler.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.running.Add(1)
	defer g.running.Done()
	x := g.newExchange(r)
	resp := x.respond(w)
	write(w, resp)
	x.complete(resp)
	if g.cfg.Exchange != nil {
		content := Content{Request: r, RequestBody: x.body, Header: w.Header(), Body: resp.body}
		if r.Method == http.MethodHead {
			content.Body = nil
		}
		g.cfg.Exchange(x.record, content)
	}
	if g.cfg.AccessLog != nil {
		g.cfg.AccessLog(g.log.render(x), x.record)
	}
}

func (g *Gateway) newExchange(r *http.Request) *exchange {
	now := time.Now()
	ip, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		ip = r.RemoteAddr
	}
	path, _, _ := strings.Cut(r.RequestURI, "?")
	if !strings.HasPrefix(path, "/") { // absolute form (RFC 9112, section 3.2.2)
		path = r.URL.EscapedPath()
	}
	x := &exchange{
		gateway: g,
		request: r,
		record: Record{
			Time:              now,
			RequestID:         uuid.NewString(),
			ExtendedRequestID: newExtendedRequestID(),
			Method:            r.Method,
			Protocol:          r.Proto,
			SourceIP:          ip,
			Trace:             newTrace(r.Header.Get(traceHeader), now, g.cfg.Sample),
		},
		sentPath:  path,
		stagePath: "/" + strings.TrimLeft(path, "/"),
		query:     parseQuery(r.URL.RawQuery),
		identity:  identity{SourceIP: ip},
	}
	if agent := r.UserAgent(); agent != "" {
		x.identity.UserAgent = &agent
	}
	return x
}

// respond returns the response to the request. It converts errors and panics to gateway responses.
func (x *exchange) respond(w http.ResponseWriter) (resp *response) {
	defer func() {
		if v := recover(); v != nil {
			x.failure = internalServerError(http.StatusInternalServerError, fmt.Errorf("panic: %v", v))
			resp = x.gateway.api.responses.render(x)
		}
	}()
	resp, err := x.execute(w)
	if err != nil {
		if !errors.As(err, &x.failure) {
			x.failure = internalServerError(http.StatusInternalServerError, err)
		}
		return x.gateway.api.responses.render(x)
	}
	setHeader(resp.header, "x-amzn-RequestId", x.record.RequestID)
	setHeader(resp.header, "x-amz-apigw-id", x.record.ExtendedRequestID)
	setHeader(resp.header, traceHeader, x.record.Trace.Header())
	return resp
}

// execute authorizes and validates the request, and calls the integration.
func (x *exchange) execute(w http.ResponseWriter) (*response, error) {
	g := x.gateway
	if headerSize(x.request) > maxHeader {
		return nil, &gatewayError{fixed: true, status: http.StatusRequestHeaderFieldsTooLarge,
			errorType: "BadRequestException", message: "Request Header Fields Too Large"}
	}
	path, inStage := strings.CutPrefix(x.stagePath, "/"+g.cfg.Stage)
	if !inStage || path != "" && path[0] != '/' {
		return nil, &gatewayError{fixed: true, status: http.StatusForbidden,
			errorType: "ForbiddenException", message: "Forbidden"}
	}
	x.path = "/" + strings.TrimLeft(path, "/")
	if x.resource, x.parameters = g.api.resources.match(x.path); x.resource != nil {
		x.method = x.resource.method(x.request.Method)
	}
	if x.method == nil {
		return nil, newGatewayError(missingAuthenticationToken, "Missing Authentication Token")
	}
	if err := x.readBody(w); err != nil {
		return nil, err
	}
	if err := x.method.authorize(x); err != nil {
		return nil, err
	}
	if g.limiter != nil && !g.limiter.Allow() {
		return nil, newGatewayError(throttled, "Too Many Requests")
	}
	if err := x.method.validate(x); err != nil {
		return nil, err
	}
	return x.method.integration.serve(x)
}

// headerSize returns the size limited by API Gateway's quota: that of the request line and the header values.
func headerSize(r *http.Request) int {
	size := len(r.Method) + len(r.RequestURI) + len(r.Proto) + len("  ") + len(r.Host)
	for _, values := range r.Header {
		for _, value := range values {
			size += len(value)
		}
	}
	return size
}

func (x *exchange) readBody(w http.ResponseWriter) error {
	tooLarge := requestTooLong("RequestTooLargeException", nil)
	if x.request.ContentLength > maxPayload {
		return tooLarge
	}
	var err error
	x.body, err = io.ReadAll(http.MaxBytesReader(w, x.request.Body, maxPayload))
	if limit := new(http.MaxBytesError); errors.As(err, &limit) {
		return tooLarge
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded): // read deadline of NewServer
		return &gatewayError{kind: default4XX, status: http.StatusRequestTimeout, errorType: "BadRequestException",
			message: "The body did not arrive in time", cause: err}
	case err != nil: // malformed chunks, or the client has disconnected
		return &gatewayError{kind: default4XX, status: http.StatusBadRequest, errorType: "BadRequestException",
			message: "Bad Request", cause: err}
	}
	return nil
}

func write(w http.ResponseWriter, resp *response) {
	header := w.Header()
	for name, values := range resp.header {
		if strings.EqualFold(name, "Content-Type") { // in any other casing, net/http would add a second one
			name = "Content-Type"
		}
		header[name] = values
	}
	if resp.status != http.StatusNoContent && resp.status != http.StatusNotModified {
		header.Set("Content-Length", strconv.Itoa(len(resp.body)))
	}
	w.WriteHeader(resp.status)
	// Write fails if the client has disconnected, or if the status code or HEAD allows no body.
	_, _ = w.Write(resp.body) //nolint:gosec // the function is responsible for the body
}

// setHeader sets the header and removes it in other casings.
func setHeader(header http.Header, name, value string) {
	delete(header, existingName(header, name))
	header[name] = []string{value}
}

// complete sets the fields of the record that are known after the response.
func (x *exchange) complete(resp *response) {
	r := &x.record
	r.Status, r.ResponseLength, r.Latency = resp.status, len(resp.body), time.Since(r.Time)
	r.ErrorCode = errorCode(resp)
	r.APIKeyID = x.identity.APIKeyID
	if x.identity.UserARN != nil {
		r.UserARN = *x.identity.UserARN
	}
	if x.resource != nil {
		r.ResourcePath = x.resource.path
	}
	if f := x.failure; f != nil {
		r.ErrorType = string(f.kind)
		if f.cause != nil {
			r.IntegrationError = f.cause.Error()
		}
	}
}

// errorCode returns the member code of a problem document, or "".
func errorCode(resp *response) string {
	if resp.status < http.StatusBadRequest || len(resp.body) == 0 {
		return ""
	}
	var problem struct {
		Code string `json:"code"`
	}
	if err := json.Unmarshal(resp.body, &problem); err != nil { // not JSON, or a code that is not a string
		return ""
	}
	return problem.Code
}
