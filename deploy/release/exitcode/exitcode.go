// Package exitcode gives errors the exit codes of mage.
package exitcode

import (
	"errors"
	"fmt"
)

// The exit codes of mage, besides 0.
const (
	Failed      = 1   // AWS or the build failed; the message says if the stage was changed
	Settings    = 2   // a setting, a parameter or a file is invalid; nothing was changed
	Account     = 3   // the credentials, the permissions or the Region do not allow the operation
	Refused     = 4   // the operation could lose data and was not confirmed
	Interrupted = 130 // Ctrl-C
)

// Error is an error with the exit code of mage.
type Error struct {
	Code int
	Err  error
}

// Error implements error.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the wrapped error.
func (e *Error) Unwrap() error { return e.Err }

// ExitStatus returns the exit code of mage, which calls it for the outermost error.
func (e *Error) ExitStatus() int { return e.Code }

// With returns err with a code, or err itself if it is nil or has a code already.
func With(code int, err error) error {
	if _, ok := errors.AsType[*Error](err); ok || err == nil {
		return err
	}
	return &Error{code, err}
}

// Errorf returns an error with a code. The other arguments are those of [fmt.Errorf].
func Errorf(code int, format string, args ...any) error {
	return &Error{code, fmt.Errorf(format, args...)}
}
