// Package environment reads settings from environment variables and collects all errors in them.
package environment

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Reader reads variables. A variable that is unset, empty or invalid has its default; an invalid one is also a fault.
type Reader struct {
	getenv func(string) string
	faults []error
}

// New returns a Reader that calls getenv, such as [os.Getenv].
func New(getenv func(string) string) *Reader { return &Reader{getenv: getenv} }

// Flag returns true for 1 or true, and false for 0 or false.
func (r *Reader) Flag(name string, byDefault bool) bool {
	return read(r, name, byDefault, "want 1 or 0", func(s string) (value, ok bool) {
		value = s == "1" || s == "true"
		return value, value || s == "0" || s == "false"
	})
}

// Number returns an integer from lowest to highest.
func (r *Reader) Number(name string, byDefault, lowest, highest int) int {
	want := fmt.Sprintf("want a number from %d to %d", lowest, highest)
	return read(r, name, byDefault, want, func(s string) (int, bool) {
		n, err := strconv.Atoi(s)
		return n, err == nil && lowest <= n && n <= highest
	})
}

// Duration returns a positive duration in the format of [ParseDuration].
func (r *Reader) Duration(name string, byDefault time.Duration) time.Duration {
	const want = "want a duration, such as 500ms, 15m, 6h or 7d"
	return read(r, name, byDefault, want, func(s string) (time.Duration, bool) {
		d, err := ParseDuration(s)
		return d, err == nil && d > 0
	})
}

// read returns the value of a variable, or byDefault. parse also reports whether the value is valid.
func read[T any](r *Reader, name string, byDefault T, want string, parse func(s string) (T, bool)) T {
	s := r.getenv(name)
	if s == "" {
		return byDefault
	}
	value, ok := parse(s)
	if !ok {
		r.Faultf(name, "%s", want)
		return byDefault
	}
	return value
}

const day = 24 * time.Hour

// ParseDuration is [time.ParseDuration] with the additional unit d, which cannot be combined: 7d is seven days.
func ParseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		var n float64
		n, err = strconv.ParseFloat(days, 64)
		d = time.Duration(n * float64(day))
		if n > float64(math.MaxInt64)/float64(day) {
			err = strconv.ErrRange
		}
	}
	return d, err
}

// Faultf adds the fault of a variable. The message, such as "want 1 or 0", says what was expected.
func (r *Reader) Faultf(name, format string, args ...any) {
	r.faults = append(r.faults, fmt.Errorf("%s: %s, got %q", name, fmt.Sprintf(format, args...), r.getenv(name)))
}

// Err returns all faults, joined, or nil if there are none.
func (r *Reader) Err() error { return errors.Join(r.faults...) }
