package apigateway

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// proxy is a Lambda proxy integration (aws_proxy).
type proxy struct {
	functionARN string
	limit       time.Duration
}

func parseProxy(raw json.RawMessage) (integration, error) {
	var object struct {
		Type                string       `json:"type"`
		HTTPMethod          string       `json:"httpMethod"`
		URI                 string       `json:"uri"`
		TimeoutInMillis     milliseconds `json:"timeoutInMillis"`
		PassthroughBehavior passthrough  `json:"passthroughBehavior"` // has no effect with a proxy
		Credentials         string       `json:"credentials"`         // Lambda's permissions are not checked here
	}
	if err := decodeStrict(raw, &object); err != nil {
		return nil, err
	}
	if object.HTTPMethod != http.MethodPost {
		return nil, fmt.Errorf("httpMethod %q: functions are invoked with POST", object.HTTPMethod)
	}
	arn, err := functionARN(object.URI)
	if err != nil {
		return nil, err
	}
	limit, err := object.TimeoutInMillis.limit()
	if err != nil {
		return nil, err
	}
	return &proxy{functionARN: arn, limit: limit}, nil
}

// result is what an invocation came to.
type result struct {
	response      []byte
	requestID     string
	functionError string
	err           error
}

func (p *proxy) serve(x *exchange) (*response, error) {
	payload, err := x.event()
	if err != nil {
		return nil, err
	}
	record := &x.integration
	record.functionARN, record.started = p.functionARN, time.Now()
	invoked := make(chan result, 1) // buffered: an invocation past its limit finds nobody waiting
	x.gateway.running.Go(func() {
		// The invocation goes on when the client or the time limit is gone, as on AWS.
		ctx := context.WithoutCancel(x.request.Context())
		invoked <- invoke(ctx, x.gateway.cfg.Invoker, p.functionARN, x.trace.Header(), payload)
	})
	var limit <-chan time.Time
	if !x.gateway.cfg.NoTimeLimit {
		timer := time.NewTimer(p.limit)
		defer timer.Stop()
		limit = timer.C
	}
	var outcome result
	select {
	case outcome = <-invoked:
		record.latency = time.Since(record.started)
	case <-limit:
		record.latency = time.Since(record.started)
		timeout := newGatewayError(integrationTimeout, "Endpoint request timed out")
		timeout.cause = fmt.Errorf("no answer from the function within %v", p.limit)
		return nil, timeout
	}
	record.requestID, record.status = outcome.requestID, outcome.status()
	switch {
	case record.status == http.StatusRequestEntityTooLarge: // the event, in which the body is a JSON string, is over 6 MB
		return nil, requestTooLong("BadRequestException", fmt.Errorf("invoke: %w", outcome.err))
	case outcome.err != nil:
		return nil, internalServerError(http.StatusInternalServerError, fmt.Errorf("invoke: %w", outcome.err))
	case outcome.functionError != "":
		return nil, internalServerError(http.StatusBadGateway, errors.New("function error: "+outcome.functionError))
	case len(outcome.response) > maxPayload:
		return nil, internalServerError(http.StatusInternalServerError,
			fmt.Errorf("the function's response has %d bytes, over the limit of %d", len(outcome.response), maxPayload))
	}
	answer, err := x.mapResponse(outcome.response)
	if err == nil {
		record.functionStatus = answer.status
	}
	return answer, err
}

// status is that of Lambda's answer; 0 when there was none.
func (r result) status() int {
	var refusal interface{ StatusCode() int }
	switch {
	case r.err == nil:
		return http.StatusOK
	case errors.As(r.err, &refusal):
		return refusal.StatusCode()
	}
	return 0
}

// invoke turns a panic into an error: it runs where no server would recover it.
func invoke(ctx context.Context, invoker Invoker, arn, trace string, payload []byte) (outcome result) {
	defer func() {
		if fault := recover(); fault != nil {
			outcome = result{err: fmt.Errorf("panic: %v", fault)}
		}
	}()
	outcome.response, outcome.requestID, outcome.functionError, outcome.err = invoker.Invoke(ctx, arn, trace, payload)
	return outcome
}

// functionResponse is what a function answers with proxy integration
// ("Output format of a Lambda function for proxy integration").
type functionResponse struct {
	status            statusCode
	headers           map[string]headerValue
	multiValueHeaders map[string]headerValues
	body              string
	isBase64Encoded   bool
}

// parseFunctionResponse is strict, as API Gateway is: a key that it does not know makes the response malformed.
func parseFunctionResponse(payload []byte) (functionResponse, error) {
	parsed := functionResponse{status: http.StatusOK}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(payload, &object); err != nil || object == nil {
		return parsed, errors.New("it must be a JSON object")
	}
	for _, key := range sortedKeys(object) {
		value := object[key]
		var err error
		switch key {
		case "statusCode":
			err = json.Unmarshal(value, &parsed.status)
		case "headers":
			err = json.Unmarshal(value, &parsed.headers)
		case "multiValueHeaders":
			err = json.Unmarshal(value, &parsed.multiValueHeaders)
		case "body":
			err = json.Unmarshal(value, &parsed.body)
		case "isBase64Encoded":
			err = json.Unmarshal(value, &parsed.isBase64Encoded)
		default:
			err = errors.New("no such key")
		}
		if err != nil {
			return parsed, fmt.Errorf("%s: %w", key, err)
		}
	}
	return parsed, nil
}

// mapResponse makes the client's answer from the function's.
func (x *exchange) mapResponse(payload []byte) (*response, error) {
	parsed, err := parseFunctionResponse(payload)
	if err != nil {
		return nil, internalServerError(http.StatusBadGateway, fmt.Errorf("malformed Lambda proxy response: %w", err))
	}
	answer := &response{status: int(parsed.status), header: http.Header{}, body: []byte(parsed.body)}
	if parsed.isBase64Encoded && x.gateway.api.binary.match(x.accept()) {
		if answer.body, err = base64.StdEncoding.DecodeString(parsed.body); err != nil {
			failure := newGatewayError(apiConfigurationError, "Internal server error")
			failure.cause = fmt.Errorf("decode the base64 body: %w", err)
			return nil, failure
		}
	}
	for _, name := range sortedKeys(parsed.multiValueHeaders) {
		for _, value := range parsed.multiValueHeaders[name] {
			key := existingName(answer.header, name)
			answer.header[key] = append(answer.header[key], string(value))
		}
	}
	for _, name := range sortedKeys(parsed.headers) {
		key, value := existingName(answer.header, name), string(parsed.headers[name])
		if !slices.Contains(answer.header[key], value) { // a pair in both maps appears once
			answer.header[key] = append(answer.header[key], value)
		}
	}
	remap(answer.header)
	return answer, nil
}

// existingName is the name as the header has it already, in whatever casing, or else the name.
func existingName(header http.Header, name string) string {
	for other := range header {
		if strings.EqualFold(other, name) {
			return other
		}
	}
	return name
}

// remap renames the headers that are the gateway's own, and drops Transfer-Encoding.
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

// headerValue is a string or, as API Gateway takes it too, a boolean.
type headerValue string

// UnmarshalJSON implements json.Unmarshaler.
func (v *headerValue) UnmarshalJSON(data []byte) error {
	switch string(data) {
	case "true", "false":
		*v = headerValue(data)
		return nil
	case "null":
		return errors.New("a header value is null")
	}
	return json.Unmarshal(data, (*string)(v))
}

// headerValues are the values of one name.
type headerValues []headerValue

// UnmarshalJSON implements json.Unmarshaler: null is not a list.
func (v *headerValues) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return errors.New("a value of multiValueHeaders is null, not a list")
	}
	return json.Unmarshal(data, (*[]headerValue)(v))
}
