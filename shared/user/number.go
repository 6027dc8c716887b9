package user

import (
	"errors"
	"strconv"
	"strings"
)

// Number is a decimal number as text, so that every digit is kept. It has the grammar of a JSON number (RFC 8259 §6).
type Number string

// What DynamoDB can hold ("Supported data types and naming rules in Amazon DynamoDB": Number).
const (
	maxDigits    = 38   // significant digits
	maxMagnitude = 125  // power of ten of the leading digit
	minMagnitude = -130 // power of ten of the leading digit
)

var (
	errNumberSyntax    = errors.New("is not a number")
	errNumberPrecision = errors.New("has more than 38 significant digits, which is the most that is kept exactly")
	errNumberRange     = errors.New("is outside the range ±1e-130 to ±9.9999999999999999999999999999999999999e+125")
)

// decimal is a number's value: 0.DIGITS × 10^exponent, with no zero at either end of digits; zero has no digits.
type decimal struct {
	negative bool
	digits   string
	exponent int
}

func (n Number) decimal() (decimal, error) {
	text, negative := strings.CutPrefix(string(n), "-")
	mantissa, power, hasPower := cutExponent(text)
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	exponent := len(whole) - (len(whole) + len(fraction) - len(digits))
	digits = strings.TrimRight(digits, "0")
	if whole+fraction == "" || strings.Trim(digits, "0123456789") != "" {
		return decimal{}, errNumberSyntax
	}
	if digits == "" {
		return decimal{}, nil
	}
	if hasPower {
		p, err := strconv.Atoi(power)
		switch {
		case errors.Is(err, strconv.ErrRange):
			return decimal{}, errNumberRange
		case err != nil:
			return decimal{}, errNumberSyntax
		case p > 1<<30 || p < -1<<30: // far outside, and adding to it must not overflow
			return decimal{}, errNumberRange
		}
		exponent += p
	}
	return decimal{negative, digits, exponent}, nil
}

func cutExponent(text string) (mantissa, power string, found bool) {
	i := strings.IndexAny(text, "eE")
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+1:], true
}

// check says why DynamoDB could not hold the number exactly, or nil.
func (d decimal) check() error {
	switch {
	case len(d.digits) > maxDigits:
		return errNumberPrecision
	case d.digits != "" && (d.exponent-1 > maxMagnitude || d.exponent-1 < minMagnitude):
		return errNumberRange
	}
	return nil
}

// short is the number as it was written, unless with more zeros than DynamoDB might read: it refuses 0e99999999999, which is 0.
func (n Number) short(d decimal) Number {
	const longest = 1 + 2 + maxDigits - minMagnitude // a sign, "0.", and 38 digits after the zeros
	if d.digits == "" || len(n) > longest {
		return Number(d.canonical())
	}
	return n
}

// Canonical is the same text for equal numbers, in the scientific notation of JSON: 12, 12.0 and 120e-1 are 1.2e1.
func (n Number) Canonical() string {
	d, err := n.decimal()
	if err != nil {
		return string(n)
	}
	return d.canonical()
}

func (d decimal) canonical() string {
	if d.digits == "" {
		return "0"
	}
	text := d.digits[:1]
	if len(d.digits) > 1 {
		text += "." + d.digits[1:]
	}
	if d.negative {
		text = "-" + text
	}
	return text + "e" + strconv.Itoa(d.exponent-1)
}

// size is the number's part of an item's size, in bytes: about one for every two digits ("DynamoDB item sizes and formats").
func (d decimal) size() int {
	size := 1 + (len(d.digits)+1)/2
	if d.negative {
		size++
	}
	return max(size, 2)
}

func (n Number) size() int {
	d, err := n.decimal()
	if err != nil {
		return len(n)
	}
	return d.size()
}
