package user

import (
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Code identifies the reason of an error. It is part of the API: clients can depend on it.
type Code string

// The codes of this package.
const (
	InvalidBody          Code = "InvalidBody"          // the body is not one JSON object
	InvalidUser          Code = "InvalidUser"          // values are invalid; see Violations
	InvalidUserID        Code = "InvalidUserId"        // the user id is malformed
	BodyTooLarge         Code = "BodyTooLarge"         // the user exceeds DynamoDB's size limit
	NotFound             Code = "UserNotFound"         // no user has this id
	Exists               Code = "UserExists"           // a user with this id exists
	PreconditionFailed   Code = "PreconditionFailed"   // the user's ETag is not in If-Match
	IdempotencyKeyReused Code = "IdempotencyKeyReused" // the idempotency key was used with a different body
	Throttled            Code = "StoreThrottled"       // the database throttles requests
	Unavailable          Code = "StoreUnavailable"     // the database fails or cannot be reached
)

// UnknownOutcome is the Detail of the error of a write that may have taken effect, or may still do so.
const UnknownOutcome = "The outcome is unknown: the change may have been made, or may still be made. " +
	"Read the user before you retry the request."

// Error is an error of the users API.
type Error struct {
	Code       Code
	Detail     string      // for the client; says what to do, and has no internal details
	Violations []Violation // what is invalid in the request
	Err        error       // the cause, for the log
}

// Violation is one invalid value in a request.
type Violation struct {
	Pointer string `json:"pointer"` // JSON Pointer as a URI fragment (RFC 6901 §6): "#/name"
	Code    string `json:"code"`
	Detail  string `json:"detail"`
}

// Error returns the code and the cause. It omits the detail and the violations, which can contain what a client sent.
func (e *Error) Error() string {
	if e.Err == nil {
		return string(e.Code)
	}
	return string(e.Code) + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is an [*Error] with the same code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

func invalidBody(code string, pointer jsontext.Pointer, detail string) *Error {
	return &Error{Code: InvalidBody, Detail: detail, Violations: []Violation{{fragment(pointer), code, detail}}}
}

// invalidUser returns an error with the first maxViolations violations.
func invalidUser(violations []Violation) *Error {
	violations = violations[:min(len(violations), maxViolations)]
	detail := "The user has values that are not allowed; see errors."
	if len(violations) == 1 {
		detail = violations[0].Detail
	}
	return &Error{Code: InvalidUser, Detail: detail, Violations: violations}
}

func tooLarge(detail string) *Error { return &Error{Code: BodyTooLarge, Detail: detail} }

// sortViolations sorts violations by pointer, for a deterministic response.
func sortViolations(violations []Violation) []Violation {
	slices.SortStableFunc(violations, func(a, b Violation) int { return strings.Compare(a.Pointer, b.Pointer) })
	return violations
}
