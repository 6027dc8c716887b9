// Package problem converts errors to problem documents (RFC 9457). It alone decides the status code of an error.
package problem

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/userrequestapi/userdata/shared/request"
	"github.com/userrequestapi/userdata/shared/user"
)

// MediaType is the media type of a problem document (RFC 9457 §6.1).
const MediaType = "application/problem+json"

// typePrefix and the code form the type of a problem.
const typePrefix = "urn:problem-type:userrequestapi:"

// InternalError is the code of every error that is not a [*user.Error].
const InternalError user.Code = "InternalError"

// Problem is a problem document.
type Problem struct {
	Type      string           `json:"type"`
	Title     string           `json:"title"`
	Status    int              `json:"status"`
	Detail    string           `json:"detail"`
	Instance  string           `json:"instance,omitempty"`
	Code      user.Code        `json:"code"`
	RequestID string           `json:"requestId,omitempty"`
	Errors    []user.Violation `json:"errors,omitempty"`

	// RetryAfter is the time to wait before a retry, in seconds; 0 means that the response has no Retry-After.
	RetryAfter int `json:"-"`
}

// From returns the problem document of err. For an error that is not a [*user.Error], it contains no details of err.
func From(err error) *Problem {
	e, ok := errors.AsType[*user.Error](err)
	if !ok {
		e = &user.Error{
			Code: InternalError, Detail: "The service failed. Try again later; if the error persists, report the requestId.",
		}
	}
	status, title := describe(e.Code)
	p := &Problem{
		Type: typePrefix + string(e.Code), Title: title, Status: status, Detail: e.Detail, Code: e.Code, Errors: e.Violations,
	}
	if e.Code == user.Throttled {
		p.RetryAfter = retryAfter
	}
	return p
}

// JSON returns the document.
func (p *Problem) JSON() []byte {
	b, err := json.Marshal(p)
	if err != nil { // impossible: a Problem has only strings and numbers
		panic(err)
	}
	return b
}

// describe returns the status code and title of a code.
func describe(code user.Code) (status int, title string) {
	switch code {
	case user.InvalidBody:
		return http.StatusBadRequest, "The body is not a JSON object"
	case user.InvalidUser:
		return http.StatusBadRequest, "The user is not valid"
	case user.InvalidUserID:
		return http.StatusBadRequest, "The userId is not valid"
	case request.InvalidParameter:
		return http.StatusBadRequest, "A parameter is not valid"
	case user.NotFound:
		return http.StatusNotFound, "User not found"
	case user.Exists:
		return http.StatusConflict, "User exists"
	case user.PreconditionFailed:
		return http.StatusPreconditionFailed, "The user was changed"
	case user.BodyTooLarge:
		return http.StatusRequestEntityTooLarge, "The user is too large"
	case request.UnsupportedMediaType:
		return http.StatusUnsupportedMediaType, "The body is not JSON"
	case request.UnsupportedContentEncoding:
		return http.StatusUnsupportedMediaType, "The content coding is not supported"
	case user.IdempotencyKeyReused:
		return http.StatusUnprocessableEntity, "Idempotency-Key reused"
	case request.PreconditionRequired:
		return http.StatusPreconditionRequired, "If-Match is required"
	case user.Throttled:
		return http.StatusServiceUnavailable, "Busy"
	case user.Unavailable:
		return http.StatusInternalServerError, "The users cannot be reached"
	default:
		return http.StatusInternalServerError, "Internal error"
	}
}

// retryAfter is the Retry-After of a throttled request, in seconds: DynamoDB adapts quickly.
const retryAfter = 1
