// Package environment reads settings from environment variables, and gathers what is wrong with them, so that all of it can be
// told at once.
package environment

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Reader reads variables. A variable that is unset or empty has its default; one that is wrong has it too, and is a fault.
type Reader struct {
	getenv func(string) string
	faults []error
}

// New returns a reader of what getenv returns.
func New(getenv func(string) string) *Reader { return &Reader{getenv: getenv} }

// Flag reads 1 or true, 0 or false.
func (r *Reader) Flag(name string, byDefault bool) bool {
	switch text := r.getenv(name); text {
	case "":
		return byDefault
	case "1", "true":
		return true
	case "0", "false":
		return false
	default:
		r.Faultf(name, "it must be 1 or 0")
		return byDefault
	}
}

// Number reads a whole number from lowest to highest.
func (r *Reader) Number(name string, byDefault, lowest, highest int) int {
	text := r.getenv(name)
	if text == "" {
		return byDefault
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < lowest || n > highest {
		r.Faultf(name, "it must be a number from %d to %d", lowest, highest)
		return byDefault
	}
	return n
}

const day = 24 * time.Hour

// Duration reads a time of more than 0 as [time.ParseDuration] knows it, or days, such as 7d.
func (r *Reader) Duration(name string, byDefault time.Duration) time.Duration {
	text := r.getenv(name)
	if text == "" {
		return byDefault
	}
	d, err := ParseDuration(text)
	if err != nil || d <= 0 {
		r.Faultf(name, "it must be a time, such as 500ms, 15m, 6h or 7d")
		return byDefault
	}
	return d
}

// ParseDuration reads a time as [time.ParseDuration] knows it, or days, such as 7d.
func ParseDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n float64
		n, err = strconv.ParseFloat(days, 64)
		d = time.Duration(n * float64(day))
		if n > float64(math.MaxInt64)/float64(day) {
			err = strconv.ErrRange
		}
	}
	return d, err
}

// Faultf adds that the value of a variable is wrong, and what it must be.
func (r *Reader) Faultf(name, format string, args ...any) {
	r.faults = append(r.faults, fmt.Errorf("%s is %q: %s", name, r.getenv(name), fmt.Sprintf(format, args...)))
}

// Err returns all faults, joined, or nil.
func (r *Reader) Err() error { return errors.Join(r.faults...) }
