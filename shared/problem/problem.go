// Package problem converts errors to problem documents (RFC 9457).
package problem

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/userrequestapi/userdata/shared/user"
)

// MediaType is the media type of a problem document (RFC 9457 §6.1).
const MediaType = "application/problem+json"

// typePrefix and the code form the type of a problem.
const typePrefix = "urn:problem-type:userrequestapi:"

// The codes of errors that do not concern the user in the request. Package user has the others.
const (
	InvalidParameter           user.Code = "InvalidParameter"           // a parameter or header is malformed
	UnsupportedMediaType       user.Code = "UnsupportedMediaType"       // the body is not JSON
	UnsupportedContentEncoding user.Code = "UnsupportedContentEncoding" // the body is compressed
	PreconditionRequired       user.Code = "PreconditionRequired"       // the stage requires If-Match
	InternalError              user.Code = "InternalError"              // the service has failed
)

// Problem is a problem document. It implements error.
type Problem struct {
	Type      string      `json:"type"`
	Title     string      `json:"title"`
	Status    int         `json:"status"`
	Detail    string      `json:"detail"`
	Instance  string      `json:"instance,omitempty"`
	Code      user.Code   `json:"code"`
	RequestID string      `json:"requestId,omitempty"`
	Errors    []Violation `json:"errors,omitempty"`

	// RetryAfter is the time to wait before a retry, in seconds; 0 means that the response has no Retry-After.
	RetryAfter int `json:"-"`

	cause error
}

// Violation is one error in the body of a request.
type Violation struct {
	Pointer string `json:"pointer"` // JSON Pointer as a URI fragment (RFC 6901 §6)
	Code    string `json:"code"`
	Detail  string `json:"detail"`
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
	case InvalidParameter:
		return http.StatusBadRequest, "A parameter is not valid"
	case user.NotFound:
		return http.StatusNotFound, "User not found"
	case user.Exists:
		return http.StatusConflict, "User exists"
	case user.PreconditionFailed:
		return http.StatusPreconditionFailed, "The user was changed"
	case user.BodyTooLarge:
		return http.StatusRequestEntityTooLarge, "The user is too large"
	case UnsupportedMediaType:
		return http.StatusUnsupportedMediaType, "The body is not JSON"
	case UnsupportedContentEncoding:
		return http.StatusUnsupportedMediaType, "The content coding is not supported"
	case user.IdempotencyKeyReused:
		return http.StatusUnprocessableEntity, "Idempotency-Key reused"
	case PreconditionRequired:
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

// New returns a problem with this code. The caller of the API reads detail.
func New(code user.Code, detail string) *Problem {
	status, title := describe(code)
	p := &Problem{Type: typePrefix + string(code), Title: title, Status: status, Detail: detail, Code: code}
	if code == user.Throttled {
		p.RetryAfter = retryAfter
	}
	return p
}

// From returns the problem document of err. For an error that is neither a [*Problem] nor a [*user.Error], it
// contains no details of err.
func From(err error) *Problem {
	var (
		p       *Problem
		userErr *user.Error
	)
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &userErr):
		p = New(userErr.Code, userErr.Detail)
		for _, v := range userErr.Violations {
			p.Errors = append(p.Errors, Violation(v))
		}
	default:
		p = New(InternalError, "The service failed. Try again later; if the error persists, report the requestId.")
	}
	p.cause = err
	return p
}

// Error returns the cause, or the code if there is none. It omits the detail, which can contain values of the
// request.
func (p *Problem) Error() string {
	if p.cause == nil {
		return string(p.Code)
	}
	return p.cause.Error()
}

// Unwrap returns the cause, or nil.
func (p *Problem) Unwrap() error { return p.cause }

// JSON returns the document.
func (p *Problem) JSON() []byte {
	b, err := json.Marshal(p)
	if err != nil { // impossible: a Problem has only strings and numbers
		panic(err)
	}
	return b
}
