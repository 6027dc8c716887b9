package apigateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// proxy is a Lambda proxy integration (aws_proxy).
type proxy struct {
	functionARN string
	limit       time.Duration
}

func parseProxy(raw json.RawMessage) (*proxy, error) {
	var object struct {
		Type            string `json:"type"`
		HTTPMethod      string `json:"httpMethod"`
		URI             string `json:"uri"`
		TimeoutInMillis int    `json:"timeoutInMillis"`
	}
	if err := decodeStrict(raw, &object); err != nil {
		return nil, err
	}
	if object.HTTPMethod != http.MethodPost {
		return nil, fmt.Errorf("httpMethod: want POST, got %q", object.HTTPMethod)
	}
	if ms := object.TimeoutInMillis; ms < minTimeout || ms > maxTimeout {
		return nil, fmt.Errorf("timeoutInMillis: want %d to %d, got %d", minTimeout, maxTimeout, ms)
	}
	uri := regexp.MustCompile(`^arn:[^:]+:apigateway:[^:]+:lambda:path/2015-03-31/functions/` +
		`(arn:[^:]+:lambda:[^:]*:[^:]*:function:[^/]+)/invocations$`).FindStringSubmatch(object.URI)
	if uri == nil {
		return nil, fmt.Errorf("uri: want arn:PARTITION:apigateway:REGION:lambda:path/2015-03-31/functions/"+
			"FUNCTION_ARN/invocations, got %q", object.URI)
	}
	return &proxy{functionARN: uri[1], limit: time.Duration(object.TimeoutInMillis) * time.Millisecond}, nil
}

// result holds the results of [Invoker.Invoke].
type result struct {
	InvokeOutput
	err error
}

func (p *proxy) serve(x *exchange) (*response, error) {
	payload, err := x.event()
	if err != nil {
		return nil, err
	}
	record := &x.record
	record.FunctionARN, record.IntegrationTime = p.functionARN, time.Now()
	results := make(chan result, 1) // buffered: after the timeout there is no receiver
	x.gateway.running.Go(func() {
		// The invocation continues after the timeout or after the client has disconnected, as on AWS.
		ctx := context.WithoutCancel(x.request.Context())
		results <- invoke(ctx, x.gateway.cfg.Invoker, p.functionARN, x.record.Trace.Header(), payload)
	})
	limit := p.limit
	if x.gateway.cfg.NoTimeLimit {
		limit = math.MaxInt64
	}
	var outcome *result
	select {
	case r := <-results:
		outcome = &r
	case <-time.After(limit):
	}
	record.IntegrationLatency = time.Since(record.IntegrationTime)
	if outcome == nil {
		timeout := newGatewayError(integrationTimeout, "Endpoint request timed out")
		timeout.cause = fmt.Errorf("no response from the function within %v", p.limit)
		return nil, timeout
	}
	record.FunctionRequestID, record.IntegrationStatus = outcome.RequestID, outcome.status()
	record.ColdStart = outcome.ColdStart
	switch {
	case record.IntegrationStatus == http.StatusRequestEntityTooLarge: // over 6 MB: escaping can enlarge the body
		return nil, requestTooLong("BadRequestException", fmt.Errorf("invoke: %w", outcome.err))
	case outcome.err != nil:
		return nil, internalServerError(http.StatusInternalServerError, fmt.Errorf("invoke: %w", outcome.err))
	case outcome.FunctionError != "":
		return nil, internalServerError(http.StatusBadGateway, errors.New("function error: "+outcome.FunctionError))
	case len(outcome.Payload) > maxPayload:
		return nil, internalServerError(http.StatusInternalServerError,
			fmt.Errorf("function response: want at most %d bytes, got %d", maxPayload, len(outcome.Payload)))
	}
	resp, err := x.mapResponse(outcome.Payload)
	if err == nil {
		record.FunctionStatus = resp.status
	}
	return resp, err
}

// status returns the status code of Lambda's response, or 0 if there was none.
func (r result) status() int {
	var apiError interface{ StatusCode() int }
	switch {
	case r.err == nil:
		return http.StatusOK
	case errors.As(r.err, &apiError):
		return apiError.StatusCode()
	}
	return 0
}

// invoke calls the invoker and converts a panic to an error: net/http does not recover panics in this goroutine.
func invoke(ctx context.Context, invoker Invoker, arn, trace string, payload []byte) (outcome result) {
	defer func() {
		if v := recover(); v != nil {
			outcome = result{err: fmt.Errorf("panic: %v", v)}
		}
	}()
	outcome.InvokeOutput, outcome.err = invoker.Invoke(ctx, arn, trace, payload)
	return outcome
}

// functionResponse is the output of a function with proxy integration ("Output format of a Lambda function for proxy
// integration").
type functionResponse struct {
	status            statusCode
	headers           map[string]headerValue
	multiValueHeaders map[string]headerValues
	body              string
}

// parseFunctionResponse parses a function's output. Unknown keys are an error, as on API Gateway.
func parseFunctionResponse(payload []byte) (functionResponse, error) {
	parsed := functionResponse{status: http.StatusOK}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(payload, &object); err != nil || object == nil {
		return parsed, errors.New("want a JSON object")
	}
	targets := map[string]any{
		"statusCode": &parsed.status, "headers": &parsed.headers, "multiValueHeaders": &parsed.multiValueHeaders,
		"body": &parsed.body, "isBase64Encoded": new(bool), // has no effect: the API has no binary media types
	}
	for _, key := range sortedKeys(object) {
		target, ok := targets[key]
		if !ok {
			return parsed, fmt.Errorf("%s: unknown key", key)
		}
		if err := json.Unmarshal(object[key], target); err != nil {
			return parsed, fmt.Errorf("%s: %w", key, err)
		}
	}
	return parsed, nil
}

// mapResponse converts a function's output to the response for the client.
func (x *exchange) mapResponse(payload []byte) (*response, error) {
	parsed, err := parseFunctionResponse(payload)
	if err != nil {
		return nil, internalServerError(http.StatusBadGateway, fmt.Errorf("malformed Lambda proxy response: %w", err))
	}
	resp := &response{status: int(parsed.status), header: http.Header{}, body: []byte(parsed.body)}
	for _, name := range sortedKeys(parsed.multiValueHeaders) {
		for _, value := range parsed.multiValueHeaders[name] {
			key := existingName(resp.header, name)
			resp.header[key] = append(resp.header[key], string(value))
		}
	}
	for _, name := range sortedKeys(parsed.headers) {
		key, value := existingName(resp.header, name), string(parsed.headers[name])
		if !slices.Contains(resp.header[key], value) { // a value in both maps is sent once
			resp.header[key] = append(resp.header[key], value)
		}
	}
	remap(resp.header)
	return resp, nil
}

// existingName returns the key of header that equals name, ignoring case, or name if there is none.
func existingName(header http.Header, name string) string {
	for other := range header {
		if strings.EqualFold(other, name) {
			return other
		}
	}
	return name
}

// remap renames the headers that API Gateway remaps, removes Transfer-Encoding and sets the default Content-Type.
func remap(header http.Header) {
	hasType := false
	for name, values := range header {
		switch canonical := http.CanonicalHeaderKey(name); canonical {
		case "Connection", "Content-Length", "Date", "Server":
			delete(header, name)
			header["x-amzn-Remapped-"+canonical] = values
		case "Transfer-Encoding":
			delete(header, name)
		case "Content-Type":
			hasType = true
		}
	}
	if !hasType {
		header["Content-Type"] = []string{"application/json"}
	}
}

// headerValue is a string. In JSON, API Gateway also accepts a boolean.
type headerValue string

// UnmarshalJSON implements json.Unmarshaler.
func (v *headerValue) UnmarshalJSON(data []byte) error {
	switch string(data) {
	case "true", "false":
		*v = headerValue(data)
		return nil
	case "null":
		return errors.New("header value: want a string or a boolean, got null")
	}
	return json.Unmarshal(data, (*string)(v))
}

// headerValues are the values of a header.
type headerValues []headerValue

// UnmarshalJSON implements json.Unmarshaler. It returns an error for null.
func (v *headerValues) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return errors.New("header values: want a list, got null")
	}
	return json.Unmarshal(data, (*[]headerValue)(v))
}
