// Package problem gives every refusal and failure the one form in which clients get it: a problem document (RFC 9457).
package problem

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/userrequestapi/userdata/shared/user"
)

// MediaType is the media type of a problem document (RFC 9457 §6.1).
const MediaType = "application/problem+json"

// typePrefix begins every problem's type; the code follows.
const typePrefix = "urn:problem-type:userrequestapi:"

// The codes of what is wrong with a request beyond the user in it. Those of the domain are in package user.
const (
	InvalidParameter           user.Code = "InvalidParameter"           // a parameter or header is malformed
	UnsupportedMediaType       user.Code = "UnsupportedMediaType"       // the body is not JSON
	UnsupportedContentEncoding user.Code = "UnsupportedContentEncoding" // the body is compressed
	PreconditionRequired       user.Code = "PreconditionRequired"       // the stage demands If-Match
	InternalError              user.Code = "InternalError"              // the fault is the service's own
)

// Problem is a problem document. It is an error too.
type Problem struct {
	Type      string      `json:"type"`
	Title     string      `json:"title"`
	Status    int         `json:"status"`
	Detail    string      `json:"detail"`
	Instance  string      `json:"instance,omitempty"`
	Code      user.Code   `json:"code"`
	RequestID string      `json:"requestId,omitempty"`
	Errors    []Violation `json:"errors,omitempty"`

	// RetryAfter is how many seconds a client had better wait; 0 where waiting does not help.
	RetryAfter int `json:"-"`

	cause error
}

// Violation is one fault in a request's body.
type Violation struct {
	Pointer string `json:"pointer"` // JSON Pointer as a URI fragment (RFC 6901 §6)
	Code    string `json:"code"`
	Detail  string `json:"detail"`
}

// kinds are the status and title of each code.
func kind(code user.Code) (status int, title string) {
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

// retryAfter is what a client is told to wait when the store is busy, in seconds: DynamoDB adapts within moments.
const retryAfter = 1

// New returns the problem with this code; detail is for the client.
func New(code user.Code, detail string) *Problem {
	status, title := kind(code)
	p := &Problem{Type: typePrefix + string(code), Title: title, Status: status, Detail: detail, Code: code}
	if code == user.Throttled {
		p.RetryAfter = retryAfter
	}
	return p
}

// From returns the problem that err is to a client. An error that is no [*Problem] and no [*user.Error] tells the client nothing.
func From(err error) *Problem {
	var (
		p       *Problem
		refused *user.Error
	)
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &refused):
		p = New(refused.Code, refused.Detail)
		for _, v := range refused.Violations {
			p.Errors = append(p.Errors, Violation(v))
		}
	default:
		p = New(InternalError, "Something went wrong on our side. Try again later; if it stays, tell us the requestId.")
	}
	p.cause = err
	return p
}

// Error returns the code and the cause, not the detail, which may name what a client sent.
func (p *Problem) Error() string {
	if p.cause == nil {
		return string(p.Code)
	}
	return p.cause.Error()
}

// Unwrap returns the error that the problem was made from, if any.
func (p *Problem) Unwrap() error { return p.cause }

// JSON returns the document.
func (p *Problem) JSON() []byte {
	b, err := json.Marshal(p)
	if err != nil { // strings and numbers only
		panic(err)
	}
	return b
}
