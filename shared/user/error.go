package user

import (
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Code says why a request was refused or failed. It is part of the API's contract: clients decide by it.
type Code string

// The codes of the domain.
const (
	InvalidBody          Code = "InvalidBody"          // what was sent is not one JSON object
	InvalidUser          Code = "InvalidUser"          // a value is not allowed; Violations tell which
	InvalidUserID        Code = "InvalidUserId"        // the user id is malformed
	BodyTooLarge         Code = "BodyTooLarge"         // the user is larger than DynamoDB can hold
	NotFound             Code = "UserNotFound"         // there is no such user
	Exists               Code = "UserExists"           // there is a user with this id already
	PreconditionFailed   Code = "PreconditionFailed"   // the user is not as the client last saw it
	IdempotencyKeyReused Code = "IdempotencyKeyReused" // the idempotency key came before with another body
	Throttled            Code = "StoreThrottled"       // the store asks to come back later
	Unavailable          Code = "StoreUnavailable"     // the store cannot be reached, or fails
)

// UnknownOutcome is the detail of an error of a write that may have taken effect, or may still do so.
const UnknownOutcome = "The outcome is unknown: the change may have been made, or may still be made. " +
	"Read the user before you repeat the request."

// Error is why the users API refuses or fails.
type Error struct {
	Code       Code
	Detail     string      // for the client: says what to do, tells nothing of the inside
	Violations []Violation // each of the faults found in what the client sent
	Err        error       // the cause, for the log
}

// Violation is one fault in what the client sent.
type Violation struct {
	Pointer string // JSON Pointer as a URI fragment (RFC 6901 §6): "#/name"
	Code    string
	Detail  string
}

// Error returns the code and the cause. Neither the detail nor the violations are in it: they may name what a client sent.
func (e *Error) Error() string {
	if e.Err == nil {
		return string(e.Code)
	}
	return string(e.Code) + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is tells whether target is an [*Error] with the same code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

func invalidBody(code string, pointer jsontext.Pointer, detail string) *Error {
	return &Error{Code: InvalidBody, Detail: detail, Violations: []Violation{{fragment(pointer), code, detail}}}
}

// invalidUser tells the first of the violations, so that an answer stays small however many there are.
func invalidUser(violations []Violation) *Error {
	violations = violations[:min(len(violations), maxViolations)]
	detail := "The user has values that are not allowed; see errors."
	if len(violations) == 1 {
		detail = violations[0].Detail
	}
	return &Error{Code: InvalidUser, Detail: detail, Violations: violations}
}

func tooLarge(detail string) *Error { return &Error{Code: BodyTooLarge, Detail: detail} }

// sorted puts violations in the order of their pointers, so that the same request gets the same answer.
func sorted(violations []Violation) []Violation {
	slices.SortStableFunc(violations, func(a, b Violation) int { return strings.Compare(a.Pointer, b.Pointer) })
	return violations
}
