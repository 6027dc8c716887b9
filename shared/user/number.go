package user

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Number is a decimal number as a string, which keeps every digit. It is a JSON number (RFC 8259 §6) or a number as
// DynamoDB returned it.
type Number string

// Limits of DynamoDB's type Number ("Supported data types and naming rules in Amazon DynamoDB").
const (
	maxDigits    = 38   // significant digits
	maxMagnitude = 125  // exponent of the leading digit
	minMagnitude = -130 // exponent of the leading digit
)

// A number with more zeros than these has an exponent.
const (
	leadingZeros  = 6  // including the one before the decimal point: 0.000001, but 1e-7
	trailingZeros = 20 // 100000000000000000000, but 1e+21
)

var (
	errNumberSyntax    = errors.New("is not a number")
	errNumberPrecision = errors.New("has more than 38 significant digits, the maximum that can be stored exactly")
	errNumberRange     = errors.New("is outside the range ±1e-130 to ±9.9999999999999999999999999999999999999e+125")
)

// decimal is the number 0.DIGITS × 10^exponent. digits neither begins nor ends with a zero, and is empty for zero.
type decimal struct {
	negative bool
	digits   string
	exponent int
}

func (n Number) decimal() (decimal, error) {
	absolute, negative := strings.CutPrefix(string(n), "-")
	mantissa, power, hasPower := cutExponent(absolute)
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
		case p > 1<<30 || p < -1<<30: // out of range; the sum below could overflow
			return decimal{}, errNumberRange
		}
		exponent += p
	}
	return decimal{negative, digits, exponent}, nil
}

func cutExponent(s string) (mantissa, power string, found bool) {
	i := strings.IndexAny(s, "eE")
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// check returns an error if DynamoDB cannot store the number exactly.
func (d decimal) check() error {
	switch {
	case len(d.digits) > maxDigits:
		return errNumberPrecision
	case d.digits != "" && (d.exponent-1 > maxMagnitude || d.exponent-1 < minMagnitude):
		return errNumberRange
	}
	return nil
}

// Canonical returns the canonical JSON form of the number, the same for equal numbers: 12, 12.0 and 120e-1 are all
// 12. It is the form of ECMAScript's Number::toString, except that integers of up to 38 digits have no exponent unless
// they end in more than 20 zeros. A string that is not a number is returned unchanged.
func (n Number) Canonical() string {
	d, err := n.decimal()
	if err != nil {
		return string(n)
	}
	return d.canonical()
}

func (d decimal) canonical() string {
	s, count := d.digits, len(d.digits)
	switch {
	case count == 0:
		return "0"
	case d.exponent > maxDigits, d.exponent-count > trailingZeros, d.exponent <= -leadingZeros:
		if count > 1 {
			s = s[:1] + "." + s[1:]
		}
		s += fmt.Sprintf("e%+d", d.exponent-1)
	case d.exponent <= 0:
		s = "0." + strings.Repeat("0", -d.exponent) + s
	case d.exponent < count:
		s = s[:d.exponent] + "." + s[d.exponent:]
	default:
		s += strings.Repeat("0", d.exponent-count)
	}
	if d.negative {
		return "-" + s
	}
	return s
}

// compare compares two numbers like [cmp.Compare].
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

// size returns the size in bytes that DynamoDB counts: about one byte per two digits ("DynamoDB item sizes and
// formats").
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
