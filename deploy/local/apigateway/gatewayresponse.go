package apigateway

import (
	"encoding/json"
	"errors"
	"net/http"
)

// responseType is a type of gateway response ("Gateway response types for API Gateway").
type responseType string

const (
	default4XX                 responseType = "DEFAULT_4XX"
	default5XX                 responseType = "DEFAULT_5XX"
	apiConfigurationError      responseType = "API_CONFIGURATION_ERROR"
	badRequestBody             responseType = "BAD_REQUEST_BODY"
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
	case badRequestBody, badRequestParameters:
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
	case apiConfigurationError:
		return http.StatusInternalServerError, "ApiConfigurationException", true
	case default4XX, default5XX, requestTooLarge,
		"ACCESS_DENIED", "AUTHORIZER_CONFIGURATION_ERROR", "AUTHORIZER_FAILURE", "EXPIRED_TOKEN", "INTEGRATION_FAILURE",
		"QUOTA_EXCEEDED", "RESOURCE_NOT_FOUND", "WAF_FILTERED":
		return 0, "", true
	}
	return 0, "", false
}

// gatewayError is an error for which the gateway creates the response.
type gatewayError struct {
	kind       responseType
	fixed      bool // not customizable by the document
	status     int  // default status code
	errorType  string
	message    string
	validation string // $context.error.validationErrorString
	cause      error  // for the access log
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

// gatewayResponse is a customized gateway response.
type gatewayResponse struct {
	status     int // 0 means that of the error
	parameters parameters
	templates  templates
}

// gatewayResponses are the gateway responses customized by the document.
type gatewayResponses map[responseType]gatewayResponse

func parseGatewayResponse(kind responseType, raw json.RawMessage) (gatewayResponse, error) {
	var custom gatewayResponse
	if _, _, known := kind.defaults(); !known {
		return custom, errors.New("unknown gateway response type")
	}
	var object struct {
		StatusCode         statusCode        `json:"statusCode"`
		ResponseParameters map[string]string `json:"responseParameters"`
		ResponseTemplates  map[string]string `json:"responseTemplates"`
	}
	err := decodeStrict(raw, &object)
	if err != nil {
		return custom, err
	}
	custom.status = int(object.StatusCode)
	custom.parameters, err = parseParameters(object.ResponseParameters, "gatewayresponse.header.", gatewayResponseScope)
	if err != nil {
		return custom, err
	}
	custom.templates, err = parseTemplates(object.ResponseTemplates, gatewayResponseScope)
	return custom, err
}

// render returns the response for x.failure. It uses the document's gateway response for its type, or else the
// document's DEFAULT_4XX or DEFAULT_5XX.
func (r gatewayResponses) render(x *exchange) *response {
	failure := x.failure
	resp := &response{status: failure.status, header: http.Header{}}
	setHeader(resp.header, "x-amzn-RequestId", x.requestID)
	setHeader(resp.header, "x-amz-apigw-id", x.extendedRequestID)
	setHeader(resp.header, "x-amzn-ErrorType", failure.errorType)

	custom := r.find(failure)
	if custom.status != 0 {
		resp.status = custom.status
	}
	mediaType, body := custom.templates.find(x.accept())
	setHeader(resp.header, "Content-Type", mediaType)
	if body != nil {
		resp.body = []byte(body.render(x))
	} else {
		resp.body = []byte(`{"message":` + quote(failure.message) + `}`)
	}
	custom.parameters.apply(x, resp)
	return resp
}

func (r gatewayResponses) find(failure *gatewayError) gatewayResponse {
	if failure.fixed {
		return gatewayResponse{}
	}
	if custom, ok := r[failure.kind]; ok {
		return custom
	}
	if failure.status >= http.StatusInternalServerError {
		return r[default5XX]
	}
	return r[default4XX]
}
