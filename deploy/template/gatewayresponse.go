package template

import (
	"strconv"
)

// gatewayResponses returns a gateway response of each type ("Gateway response types for API Gateway"), with the type's
// default status code.
//
// Templates of gateway responses are not Velocity: API Gateway only replaces variables. The problem document of a type
// with several status codes has no status.
func (a *openAPI) gatewayResponses() object {
	const (
		// A gateway response cannot depend on the method.
		retry       = " A read can be retried. The outcome of a write is unknown; the documentation has the next step."
		notFunction = "The function of this route failed, or could not be invoked." + retry
		ourFault    = "The service failed. Try again later; if the error persists, report the requestId."
	)
	forbidden := problemTemplate{Status: 403, Code: "Forbidden", Detail: errorMessage}
	internal := problemTemplate{Status: 500, Title: "Internal error", Code: "InternalError", Detail: ourFault}
	badGateway := problemTemplate{Title: "No response from the function", Code: "BadGateway", Detail: notFunction}
	responses := object{}
	for name, p := range map[string]problemTemplate{
		"DEFAULT_4XX": {Title: "Request refused", Code: "RequestRefused", Detail: errorMessage},
		"DEFAULT_5XX": badGateway,

		"BAD_REQUEST_PARAMETERS": {Status: 400, Title: "A parameter is not valid", Code: "InvalidParameter",
			Detail: errorMessage},
		"BAD_REQUEST_BODY": {Status: 400, Title: "The body is not a JSON object", Code: "InvalidBody",
			Detail: errorMessage},
		"UNAUTHORIZED":  {Status: 401, Code: "Unauthorized", Detail: errorMessage},
		"ACCESS_DENIED": forbidden,
		"WAF_FILTERED":  forbidden,
		"EXPIRED_TOKEN": {Status: 403, Code: "ExpiredToken", Detail: errorMessage},
		"INVALID_API_KEY": {Status: 403, Code: "InvalidApiKey",
			Detail: "Send a valid API key in the header X-Api-Key."},
		"INVALID_SIGNATURE": {Status: 403, Code: "InvalidSignature", Detail: errorMessage},
		"MISSING_AUTHENTICATION_TOKEN": {Status: 403, Code: "MissingAuthenticationToken",
			Detail: "The request has no authentication token, or the API has no such route."},
		"RESOURCE_NOT_FOUND": {Status: 404, Code: "RouteNotFound", Detail: errorMessage},
		"UNSUPPORTED_MEDIA_TYPE": {Status: 415, Code: "UnsupportedMediaType",
			Detail: "The Content-Type of this request is not supported. Omit it: no body is needed."},
		"THROTTLED": {Status: 429, Code: "Throttled",
			Detail: "The request rate of this stage is exceeded. Try again after a second."},
		"QUOTA_EXCEEDED": {Status: 429, Code: "QuotaExceeded",
			Detail: "The quota of this API key is exceeded. Try again in its next period."},

		"API_CONFIGURATION_ERROR":        internal,
		"AUTHORIZER_CONFIGURATION_ERROR": internal,
		"AUTHORIZER_FAILURE":             internal,
		"INTEGRATION_FAILURE":            badGateway,
		"INTEGRATION_TIMEOUT": {Status: 504, Code: "GatewayTimeout",
			Detail: "The function timed out." + retry},
	} {
		parameters := object{}
		for header, value := range a.problemHeaders() {
			parameters["gatewayresponse.header."+header] = value
		}
		if name == "THROTTLED" {
			parameters["gatewayresponse.header.Retry-After"] = literal("1") // seconds
		}
		response := object{
			"responseParameters": parameters,
			"responseTemplates":  object{"application/json": a.problemDocument(p)},
		}
		if p.Status != 0 {
			response["statusCode"] = strconv.Itoa(p.Status)
		}
		responses[name] = response
	}
	return responses
}
