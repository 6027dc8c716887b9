package client

// Codes of problems. New codes may be added: treat an unknown code according to the status code.
const (
	CodeInvalidUserID              = "InvalidUserId"              // 400: no user can have the id
	CodeInvalidParameter           = "InvalidParameter"           // 400: a parameter or header is missing or malformed
	CodeInvalidBody                = "InvalidBody"                // 400: the body is not one JSON object
	CodeInvalidUser                = "InvalidUser"                // 400: a value is not allowed; see Errors
	CodeUnauthorized               = "Unauthorized"               // 401: the request has no valid token
	CodeMissingAuthenticationToken = "MissingAuthenticationToken" // 403: the request is not signed
	CodeInvalidSignature           = "InvalidSignature"           // 403: the signature or its access key is not valid
	CodeExpiredToken               = "ExpiredToken"               // 403: the credentials have expired
	CodeInvalidAPIKey              = "InvalidApiKey"              // 403: the request has no valid API key
	CodeForbidden                  = "Forbidden"                  // 403: the caller has no permission
	CodeUserNotFound               = "UserNotFound"               // 404: no user has this id
	CodeRouteNotFound              = "RouteNotFound"              // 404: the API has no such route
	CodeMethodNotAllowed           = "MethodNotAllowed"           // 405: the route does not support the method
	CodeUserExists                 = "UserExists"                 // 409: a user with this id exists
	CodePreconditionFailed         = "PreconditionFailed"         // 412: the user has another ETag
	CodeBodyTooLarge               = "BodyTooLarge"               // 413: the user is too large for the table
	CodeUnsupportedMediaType       = "UnsupportedMediaType"       // 415: the body is not JSON in UTF-8
	CodeUnsupportedContentEncoding = "UnsupportedContentEncoding" // 415: the body is compressed
	CodeIdempotencyKeyReused       = "IdempotencyKeyReused"       // 422: the key was used with another body
	CodePreconditionRequired       = "PreconditionRequired"       // 428: the stage requires If-Match
	CodeThrottled                  = "Throttled"                  // 429: too many requests for the stage
	CodeQuotaExceeded              = "QuotaExceeded"              // 429: the quota of the API key is exceeded
	CodeRequestRefused             = "RequestRefused"             // 4xx: rejected for another reason; see Detail
	CodeInternalError              = "InternalError"              // 500: the service failed
	CodeStoreUnavailable           = "StoreUnavailable"           // 500: the database failed or timed out
	CodeStoreThrottled             = "StoreThrottled"             // 503: the database throttled the request
	CodeGatewayTimeout             = "GatewayTimeout"             // 504: the function timed out
	CodeBadGateway                 = "BadGateway"                 // 5xx: the function failed or could not be invoked
)
