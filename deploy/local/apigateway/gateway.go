// Package apigateway serves an API Gateway REST API (v1, Lambda proxy integration) on this machine.
//
// It reads the OpenAPI 3.0 document with AWS extensions that the deployed API is made from, and gives functions the
// event, and clients the answers, that API Gateway gives. What it does not know it refuses in New, naming it: a route
// that works here and not there, or the other way round, is a mistake to be found at start.
//
// Methods are open, or take AWS_IAM (Signature Version 4 in the header or in the query), COGNITO_USER_POOLS (identity tokens)
// or an API key, as their security scheme says. A request is authorized first, then throttled, then validated.
//
// Known differences from API Gateway:
//   - Names of request headers reach the function in Go's canonical form (Content-Type, Etag, Dnt): net/http does not
//     keep the client's casing. Names of response headers keep the function's casing, save Content-Type.
//   - X-Forwarded-Port and -Proto tell the port and protocol really used, not 443 and https.
//   - Mapping templates substitute variables only; there is no Velocity engine.
//   - Function permissions and integration credentials are not checked, nor are the policies of who signs a request: each
//     credential of the configuration may call every method, and nothing is ever ACCESS_DENIED.
//   - Credentials are long-lived: a request with X-Amz-Security-Token is refused, and no key expires (EXPIRED_TOKEN).
//   - A signature has its time in X-Amz-Date, not in Date, and does not cover Authorization, Expect, Transfer-Encoding,
//     User-Agent and X-Amzn-Trace-Id, which AWS's SDKs leave out too. Its path is not normalized (//, /./, /../).
//   - A request over 10 MB gets the JSON document of other refusals. API Gateway has been seen to send the text
//     "HTTP content length exceeded 10485760 bytes.", without x-amzn-RequestId.
//   - What net/http refuses before any handler runs gets its plain text instead of a document, no x-amzn-RequestId and
//     no line in the access log, and the connection closes: 400 for a malformed request line, header or
//     percent-encoding in the path, and for a missing or repeated Host; 417 for an Expect other than
//     100-continue; 431 for headers over 1 MB; 501 for a Transfer-Encoding other than chunked; 505 for an unknown major
//     version of HTTP.
//   - A usage plan's own throttle and quota are not kept; the stage's throttle is.
//   - The text of $context.error.validationErrorString is that of another JSON Schema implementation, and is escaped as
//     between the quotes of a JSON string.
//   - The access log has no variables about the time and outcome of authorization, nor about WAF, TLS and custom domains, and
//     never the API key.
//
// Recorded from API Gateway:
//   - Slashes before the stage, and between it and the path, are ignored. Of the two, only the latter reach
//     requestContext.path.
//   - A request whose event Lambda refuses as too large gets 413 "Request Too Long", with the x-amzn-ErrorType
//     BadRequestException.
//
// Not recorded from API Gateway, so not to be relied on:
//   - That the document cannot customise that 413, and what the 431 response says.
//   - The 408 response, and the x-amzn-ErrorType of 415, 431 and API_CONFIGURATION_ERROR.
//   - That a mock integration selects its request template by Content-Type also without a body.
//   - That the response type of every faulty signature is INVALID_SIGNATURE, and that of an expired token UNAUTHORIZED.
//     The messages of AWS_IAM and COGNITO_USER_POOLS, and their x-amzn-ErrorType, are those that AWS is known to send.
//   - How long a presigned URL is valid (X-Amz-Expires, else 5 minutes).
//   - That credentials are refused if a request has one of their headers or parameters more than once.
//   - That Authorization does not reach the function if it has a signature.
//   - That a body is read, and refused if it is too large, before authorization, and that the stage's throttle comes
//     after it.
//   - How values in the access log are escaped.
//
// A request body that is not valid UTF-8 reaches the function with U+FFFD in place of each invalid byte, unless its
// content type is a binary media type, as JSON cannot carry it otherwise.
package apigateway

import (
	"context"
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
)

// Quotas of API Gateway REST APIs, in bytes ("Amazon API Gateway quotas").
const (
	maxHeader  = 10_240   // request line and header values together
	maxPayload = 10 << 20 // of a request and of a response
	maxTimeout = 29_000   // of an integration, in milliseconds
	minTimeout = 50       // of an integration, in milliseconds
	clfTime    = "02/Jan/2006:15:04:05 -0700"
)

// Invoker invokes functions synchronously, as Lambda's Invoke does with the invocation type RequestResponse.
type Invoker interface {
	// Invoke runs the function with the payload. requestID is Lambda's, "" when it is not known. functionError is the
	// X-Amz-Function-Error of the answer, "" when the function succeeded; response is then its result. err means that
	// Lambda did not run the function (throttled, not permitted, payload over 6 MB); it has a method StatusCode() int when
	// Lambda answered so. Invoke is called from several goroutines at once, and ctx does not end with the client.
	Invoke(ctx context.Context, functionARN, traceHeader string, payload []byte) (
		response []byte, requestID, functionError string, err error)
}

// Throttle limits requests to all methods of the stage together, as the stage's method settings for /*/* do.
type Throttle struct {
	Rate  float64 // requests per second; 0: no limit
	Burst int     // requests at once; at least 1 when there is a rate
}

// Config says what to serve.
type Config struct {
	// Body is the OpenAPI 3.0 document in JSON, with x-amazon-apigateway-* extensions and no CloudFormation intrinsics.
	Body []byte
	// Stage is the stage's name, the first segment of every path: up to 128 of a-z A-Z 0-9 _ -.
	Stage string
	// StageVariables are given to functions and templates.
	StageVariables map[string]string

	// AccountID, Region, APIID and DeploymentID are what events and templates tell of where the API is.
	AccountID, Region, APIID, DeploymentID string

	// Credentials are the access keys of those who may call methods with the authorization type AWS_IAM, by access key id.
	Credentials map[string]Credential
	// APIKeys are those that methods with an API key take.
	APIKeys []APIKey
	// UserPools are those whose tokens methods with the authorization type COGNITO_USER_POOLS take, by ARN.
	UserPools map[string]UserPool

	// Invoker runs the functions of aws_proxy integrations.
	Invoker Invoker
	// Throttle limits the request rate.
	Throttle Throttle
	// Sample decides whether requests are traced that bring no decision; nil traces none of them. Calls come from several
	// goroutines at once. See [NewSampler].
	Sample func() bool
	// AccessLogFormat is the format of the lines of AccessLog, as the stage's AccessLogSetting has it: $context variables
	// in one line of text. Their values are escaped as in JSON strings, and "-" where a request has none.
	AccessLogFormat string
	// AccessLog, unless nil, is called once per request, after the answer was written, with the line of the access log (""
	// without a format). Calls come from several goroutines at once.
	AccessLog func(line string, r Record)
	// NoTimeLimit lets integrations take as long as they take, which a person with a debugger needs.
	NoTimeLimit bool
}

// Record is what is known of one request when it was answered: for the access log, and for the stage's segment in a trace.
type Record struct {
	Time              time.Time // when the request arrived
	RequestID         string
	ExtendedRequestID string
	Method            string
	Host              string
	Path              string // with the stage, not URL-decoded
	ResourcePath      string // such as /users/{userId}; "" when none matched
	OperationName     string
	Protocol          string
	SourceIP          string
	UserAgent         string
	UserARN           string // of who has signed the request
	APIKeyID          string

	Status         int
	ResponseLength int // bytes of body, also where HEAD leaves them out
	Latency        time.Duration

	FunctionARN        string    // "" for other integrations than aws_proxy, or when none was reached
	FunctionRequestID  string    // Lambda's id of the invocation; "" when there is none, or no answer in time
	FunctionStatus     int       // that the function has answered with; 0 when it has not
	IntegrationTime    time.Time // when the function was invoked; zero when it was not
	IntegrationLatency time.Duration
	IntegrationStatus  int    // of Lambda's answer, 200 also where the function failed; 0 when there was none
	IntegrationError   string // why there was no answer from the integration; not told to the client

	ErrorType       string // the gateway response type, such as THROTTLED, of an answer made by the gateway
	ErrorMessage    string
	ValidationError string

	Trace Trace
}

// Gateway serves the stage of one API. It is an http.Handler whose paths begin with /{stage}.
type Gateway struct {
	cfg     Config
	api     *api
	log     accessLog     // empty: no format
	limiter *rate.Limiter // nil: no limit
	running sync.WaitGroup
}

// New reads the document and returns the gateway. The error names everything in the document that the gateway does not
// serve, by method and path.
func New(cfg Config) (*Gateway, error) {
	if !regexp.MustCompile(`^[a-zA-Z0-9_-]{1,128}$`).MatchString(cfg.Stage) {
		return nil, fmt.Errorf("stage name %q: use 1 to 128 letters, digits, hyphens and underscores", cfg.Stage)
	}
	if cfg.Invoker == nil {
		return nil, errors.New("the gateway needs an Invoker to run functions")
	}
	g := &Gateway{cfg: cfg}
	switch t := cfg.Throttle; {
	case t.Rate < 0 || t.Burst < 0 || t.Rate > 0 && t.Burst == 0 || t.Rate == 0 && t.Burst > 0:
		return nil, fmt.Errorf("throttle rate %v with burst %d: set both above 0, or neither", t.Rate, t.Burst)
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

// Wait returns when every request and every invocation has ended, also those whose client or time limit has gone. Call it
// after the server has shut down or was closed.
func (g *Gateway) Wait() { g.running.Wait() }

// exchange is one request on its way through the gateway.
type exchange struct {
	gateway *Gateway
	request *http.Request
	started time.Time

	requestID         string
	extendedRequestID string
	sourceIP          string
	trace             Trace

	sentPath   string // as it arrived, not URL-decoded
	stagePath  string // sentPath with one slash before the stage: requestContext.path
	path       string // stagePath without the stage and the slashes after it but one
	query      values
	parameters map[string]string // of the path, not URL-decoded
	resource   *resource         // nil until routed
	method     *method           // nil until routed
	body       []byte

	identity identity
	claims   map[string]string // of a user pool's token

	failure     *gatewayError // the answer that the gateway makes itself
	integration integrationRecord
}

// integrationRecord is the part of a [Record] that a proxy integration tells.
type integrationRecord struct {
	functionARN, requestID string
	functionStatus, status int
	started                time.Time
	latency                time.Duration
}

// response is an answer to the client. Header names keep their casing.
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
	answer := x.answer(w)
	write(w, answer)
	if g.cfg.AccessLog != nil {
		record := x.record(answer)
		g.cfg.AccessLog(g.log.render(x, &record), record)
	}
}

func (g *Gateway) newExchange(r *http.Request) *exchange {
	now := time.Now()
	ip, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		ip = r.RemoteAddr
	}
	path, _, _ := strings.Cut(r.RequestURI, "?")
	if !strings.HasPrefix(path, "/") { // the absolute form, sent to proxies
		path = r.URL.EscapedPath()
	}
	x := &exchange{
		gateway:           g,
		request:           r,
		started:           now,
		requestID:         uuid.NewString(),
		extendedRequestID: newExtendedRequestID(),
		sourceIP:          ip,
		trace:             newTrace(r.Header.Get(traceHeader), now, g.cfg.Sample),
		sentPath:          path,
		stagePath:         "/" + strings.TrimLeft(path, "/"),
		query:             parseQuery(r.URL.RawQuery),
		identity:          identity{SourceIP: ip},
	}
	if agent := r.UserAgent(); agent != "" {
		x.identity.UserAgent = &agent
	}
	return x
}

// answer never panics: a fault in the gateway is an answer 500, as it is on AWS.
func (x *exchange) answer(w http.ResponseWriter) (answer *response) {
	defer func() {
		if fault := recover(); fault != nil {
			x.failure = internalServerError(http.StatusInternalServerError, fmt.Errorf("panic: %v", fault))
			answer = x.gateway.api.responses.render(x)
		}
	}()
	answer, err := x.execute(w)
	if err != nil {
		if !errors.As(err, &x.failure) {
			x.failure = internalServerError(http.StatusInternalServerError, err)
		}
		return x.gateway.api.responses.render(x)
	}
	setHeader(answer.header, "x-amzn-RequestId", x.requestID)
	setHeader(answer.header, "x-amz-apigw-id", x.extendedRequestID)
	setHeader(answer.header, traceHeader, x.trace.Header())
	return answer
}

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
	if x.resource, x.parameters = g.api.root.match(x.path); x.resource != nil {
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
	for _, check := range x.method.checks {
		if err := check(x); err != nil {
			return nil, err
		}
	}
	return x.method.integration.serve(x)
}

// headerSize is the size that API Gateway's quota speaks of: the request line and the header values.
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
	case errors.Is(err, os.ErrDeadlineExceeded): // of the server's connection
		return &gatewayError{kind: default4XX, status: http.StatusRequestTimeout, errorType: "BadRequestException",
			message: "The body did not arrive in time", cause: err}
	case err != nil: // malformed chunks, or a client that closed the connection and does not read this
		return &gatewayError{kind: default4XX, status: http.StatusBadRequest, errorType: "BadRequestException",
			message: "Bad Request", cause: err}
	}
	return nil
}

func write(w http.ResponseWriter, answer *response) {
	header := w.Header()
	for name, values := range answer.header {
		if strings.EqualFold(name, "Content-Type") { // by any other name net/http would add one of its own
			name = "Content-Type"
		}
		header[name] = values
	}
	if answer.status != http.StatusNoContent && answer.status != http.StatusNotModified {
		header.Set("Content-Length", strconv.Itoa(len(answer.body)))
	}
	w.WriteHeader(answer.status)
	// An error means that the client has gone, or that the status or a HEAD request allows no body.
	_, _ = w.Write(answer.body) //nolint:gosec // what the body says is up to the function, as on AWS
}

// setHeader sets the header, whatever the casing it is there with.
func setHeader(header http.Header, name, value string) {
	delete(header, existingName(header, name))
	header[name] = []string{value}
}

func (x *exchange) record(answer *response) Record {
	record := Record{
		Time:               x.started,
		RequestID:          x.requestID,
		ExtendedRequestID:  x.extendedRequestID,
		Method:             x.request.Method,
		Host:               x.request.Host,
		Path:               x.stagePath,
		Protocol:           x.request.Proto,
		SourceIP:           x.sourceIP,
		UserAgent:          x.request.UserAgent(),
		APIKeyID:           x.identity.APIKeyID,
		Status:             answer.status,
		ResponseLength:     len(answer.body),
		Latency:            time.Since(x.started),
		FunctionARN:        x.integration.functionARN,
		FunctionRequestID:  x.integration.requestID,
		FunctionStatus:     x.integration.functionStatus,
		IntegrationTime:    x.integration.started,
		IntegrationLatency: x.integration.latency,
		IntegrationStatus:  x.integration.status,
		Trace:              x.trace,
	}
	if x.identity.UserARN != nil {
		record.UserARN = *x.identity.UserARN
	}
	if x.resource != nil {
		record.ResourcePath = x.resource.path
	}
	if x.method != nil {
		record.OperationName = x.method.operationName
	}
	if f := x.failure; f != nil {
		record.ErrorType, record.ErrorMessage, record.ValidationError = string(f.kind), f.message, f.validation
		if f.cause != nil {
			record.IntegrationError = f.cause.Error()
		}
	}
	return record
}
