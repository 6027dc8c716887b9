package user

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Number is a decimal number as text, so that every digit is kept. It has the grammar of a JSON number (RFC 8259 §6),
// or is one that DynamoDB returned.
type Number string

// What DynamoDB can hold ("Supported data types and naming rules in Amazon DynamoDB": Number).
const (
	maxDigits    = 38   // significant digits
	maxMagnitude = 125  // power of ten of the leading digit
	minMagnitude = -130 // power of ten of the leading digit
)

// A number that would need more zeros than these is written with an exponent.
const (
	leadingZeros  = 6  // including the one before the decimal point: 0.000001, but 1e-7
	trailingZeros = 20 // 100000000000000000000, but 1e+21
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

// Canonical returns the one text of the number's value in the grammar of a JSON number, so that equal numbers have
// equal texts: 12, 12.0 and 120e-1 are all 12. It has the form of ECMAScript's Number::toString, except that integers
// of up to 38 digits are written in full, unless they end in more than 20 zeros. A string that is not a number is
// returned unchanged.
func (n Number) Canonical() string {
	d, err := n.decimal()
	if err != nil {
		return string(n)
	}
	return d.canonical()
}

func (d decimal) canonical() string {
	text, count := d.digits, len(d.digits)
	switch {
	case count == 0:
		return "0"
	case d.exponent > maxDigits, d.exponent-count > trailingZeros, d.exponent <= -leadingZeros:
		if count > 1 {
			text = text[:1] + "." + text[1:]
		}
		text += fmt.Sprintf("e%+d", d.exponent-1)
	case d.exponent <= 0:
		text = "0." + strings.Repeat("0", -d.exponent) + text
	case d.exponent < count:
		text = text[:d.exponent] + "." + text[d.exponent:]
	default:
		text += strings.Repeat("0", d.exponent-count)
	}
	if d.negative {
		return "-" + text
	}
	return text
}

// compare compares two numbers by their value, as [cmp.Compare] does.
func (d decimal) compare(other decimal) int {
	sign := d.sign()
	if order := cmp.Compare(sign, other.sign()); order != 0 {
		return order
	}
	return sign * cmp.Or(cmp.Compare(d.exponent, other.exponent), strings.Compare(d.digits, other.digits))
}

func (d decimal) sign() int {
	switch {
	case d.digits == "":
		return 0
	case d.negative:
		return -1
	default:
		return 1
	}
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
