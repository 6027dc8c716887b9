package apigateway

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
)

// responseType is a type of gateway response ("Gateway response types for API Gateway").
type responseType string

const (
	default4XX                 responseType = "DEFAULT_4XX"
	default5XX                 responseType = "DEFAULT_5XX"
	badRequestParameters       responseType = "BAD_REQUEST_PARAMETERS"
	integrationTimeout         responseType = "INTEGRATION_TIMEOUT"
	invalidAPIKey              responseType = "INVALID_API_KEY" //nolint:gosec // a response type, not a key
	invalidSignature           responseType = "INVALID_SIGNATURE"
	missingAuthenticationToken responseType = "MISSING_AUTHENTICATION_TOKEN"
	requestTooLarge            responseType = "REQUEST_TOO_LARGE"
	throttled                  responseType = "THROTTLED"
	unauthorized               responseType = "UNAUTHORIZED"
	unsupportedMediaType       responseType = "UNSUPPORTED_MEDIA_TYPE"
)

// defaults returns the default status code and x-amzn-ErrorType of a type. They are zero if the type has none or the
// gateway does not use it. known reports whether the type exists. A document may customize every type, but
// REQUEST_TOO_LARGE has no effect.
func (t responseType) defaults() (status int, errorType string, known bool) {
	switch t {
	case badRequestParameters:
		return http.StatusBadRequest, "BadRequestException", true
	case unauthorized:
		return http.StatusUnauthorized, "UnauthorizedException", true
	case missingAuthenticationToken:
		return http.StatusForbidden, "MissingAuthenticationTokenException", true
	case invalidAPIKey:
		return http.StatusForbidden, "ForbiddenException", true
	case invalidSignature:
		return http.StatusForbidden, "InvalidSignatureException", true
	case unsupportedMediaType:
		return http.StatusUnsupportedMediaType, "BadRequestException", true
	case throttled:
		return http.StatusTooManyRequests, "TooManyRequestsException", true
	case integrationTimeout:
		return http.StatusGatewayTimeout, "InternalServerErrorException", true
	case default4XX, default5XX, requestTooLarge,
		"ACCESS_DENIED", "API_CONFIGURATION_ERROR", "AUTHORIZER_CONFIGURATION_ERROR", "AUTHORIZER_FAILURE",
		"BAD_REQUEST_BODY", "EXPIRED_TOKEN", "INTEGRATION_FAILURE", "QUOTA_EXCEEDED", "RESOURCE_NOT_FOUND", "WAF_FILTERED":
		return 0, "", true
	}
	return 0, "", false
}

// gatewayError is an error for which the gateway creates the response.
type gatewayError struct {
	kind      responseType
	fixed     bool // not customizable by the document
	status    int  // default status code
	errorType string
	message   string
	cause     error // for the access log
}

func (e *gatewayError) Error() string {
	if e.cause != nil {
		return e.message + ": " + e.cause.Error()
	}
	return e.message
}

func newGatewayError(kind responseType, message string) *gatewayError {
	status, errorType, _ := kind.defaults()
	return &gatewayError{kind: kind, status: status, errorType: errorType, message: message}
}

// internalServerError returns the error for a failure of the function, Lambda or the gateway.
func internalServerError(status int, cause error) *gatewayError {
	return &gatewayError{kind: default5XX, status: status, errorType: "InternalServerErrorException",
		message: "Internal server error", cause: cause}
}

// requestTooLong returns the error for a request over the limit of API Gateway or Lambda.
func requestTooLong(errorType string, cause error) *gatewayError {
	return &gatewayError{fixed: true, kind: requestTooLarge, status: http.StatusRequestEntityTooLarge,
		errorType: errorType, message: "Request Too Long", cause: cause}
}

// gatewayResponses are the gateway responses customized by the document.
type gatewayResponses map[responseType]customResponse

func parseGatewayResponse(kind responseType, raw json.RawMessage) (custom customResponse, err error) {
	if _, _, known := kind.defaults(); !known {
		return custom, errors.New("unknown gateway response type")
	}
	if err := decodeStrict(raw, &custom); err != nil {
		return custom, err
	}
	err = custom.parse("gatewayresponse.header.", requestIDVariable, messageVariable)
	return custom, err
}

// render returns the response for x.failure. It uses the document's gateway response for its type, or else the
// document's DEFAULT_4XX or DEFAULT_5XX.
func (r gatewayResponses) render(x *exchange) *response {
	failure := x.failure
	custom := r.find(failure)
	resp := &response{
		status: cmp.Or(int(custom.StatusCode), failure.status),
		header: http.Header{
			"x-amzn-RequestId": {x.record.RequestID},
			"x-amz-apigw-id":   {x.record.ExtendedRequestID},
			"x-amzn-ErrorType": {failure.errorType},
			"Content-Type":     {"application/json"},
		},
		body: []byte(cmp.Or(custom.render(x), `{"message":`+quote(failure.message)+`}`)),
	}
	custom.setHeaders(resp)
	return resp
}

func (r gatewayResponses) find(failure *gatewayError) customResponse {
	if failure.fixed {
		return customResponse{}
	}
	if custom, ok := r[failure.kind]; ok {
		return custom
	}
	if failure.status >= http.StatusInternalServerError {
		return r[default5XX]
	}
	return r[default4XX]
}
