package user

import (
	"bytes"
	"encoding/base64"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Attributes maps the names of a user's attributes to their values. A value is nil, a bool, string, [Number], []any,
// map[string]any, [Binary], [StringSet], [NumberSet] or [BinarySet]. These are all of DynamoDB's types, so no value
// is lost.
type Attributes map[string]any

// DynamoDB types without a JSON equivalent. In JSON, each is an object with one member: {"$B": "aGk="}, {"$SS": ["a",
// "b"]}, {"$NS": [1, 2]}, {"$BS": ["aGk="]}. A map whose only member has such a name is escaped by another dollar
// sign: {"$$SS": …}.
type (
	// Binary is a byte string; base64 in JSON (RFC 4648 §4).
	Binary []byte
	// StringSet is a non-empty set of strings in any order.
	StringSet []string
	// NumberSet is a non-empty set of numbers in any order.
	NumberSet []Number
	// BinarySet is a non-empty set of byte strings in any order.
	BinarySet [][]byte
)

const (
	binaryName    = "$B"
	stringSetName = "$SS"
	numberSetName = "$NS"
	binarySetName = "$BS"
)

// isTypeName reports whether name is the member name of a typed value, with any number of additional dollar signs.
func isTypeName(name string) bool {
	switch "$" + strings.TrimLeft(name, "$") {
	case binaryName, stringSetName, numberSetName, binarySetName:
		return strings.HasPrefix(name, "$")
	}
	return false
}

// AppendJSON appends the attributes as a JSON object in canonical form: members are sorted by name, sets are sorted
// by value, and numbers are canonical. Equal attributes have the same JSON, so the response to a write equals the
// next read byte for byte.
func (a Attributes) AppendJSON(dst []byte) []byte { return appendObject(dst, a) }

// equal reports whether two values of [Attributes] are equal. Numbers compare by value, sets in any order.
func equal(a, b any) bool { return bytes.Equal(appendValue(nil, a), appendValue(nil, b)) }

func appendValue(dst []byte, v any) []byte {
	switch v := v.(type) {
	case bool:
		return strconv.AppendBool(dst, v)
	case string:
		return appendString(dst, v)
	case Number:
		return append(dst, v.Canonical()...)
	case []any:
		return appendList(dst, v, appendValue)
	case map[string]any:
		return appendMap(dst, v)
	case Binary:
		return appendTyped(dst, binaryName, appendBase64(nil, v))
	case StringSet:
		return appendTyped(dst, stringSetName, appendList(nil, slices.Sorted(slices.Values(v)), appendString))
	case NumberSet:
		return appendTyped(dst, numberSetName, appendNumberSet(nil, v))
	case BinarySet:
		sorted := slices.SortedFunc(slices.Values(v), bytes.Compare)
		return appendTyped(dst, binarySetName, appendList(nil, sorted, appendBase64))
	default: // nil
		return append(dst, "null"...)
	}
}

func appendMap(dst []byte, m map[string]any) []byte {
	if len(m) == 1 {
		for name, v := range m {
			if isTypeName(name) {
				return appendObject(dst, map[string]any{"$" + name: v})
			}
		}
	}
	return appendObject(dst, m)
}

func appendObject(dst []byte, m map[string]any) []byte {
	dst = append(dst, '{')
	for i, name := range slices.Sorted(maps.Keys(m)) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, name), ':')
		dst = appendValue(dst, m[name])
	}
	return append(dst, '}')
}

// appendTyped appends the JSON form of a DynamoDB type without a JSON equivalent.
func appendTyped(dst []byte, name string, value []byte) []byte {
	dst = append(appendString(append(dst, '{'), name), ':')
	return append(append(dst, value...), '}')
}

// appendNumberSet parses each number once, not with each comparison: a set can have more than 100,000.
func appendNumberSet(dst []byte, set NumberSet) []byte {
	values := make([]decimal, len(set))
	for i, n := range set {
		values[i], _ = n.decimal() // no error: DynamoDB and Decode return numbers only
	}
	slices.SortFunc(values, decimal.compare)
	return appendList(dst, values, func(dst []byte, d decimal) []byte { return append(dst, d.canonical()...) })
}

func appendList[T any](dst []byte, list []T, element func([]byte, T) []byte) []byte {
	dst = append(dst, '[')
	for i, e := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = element(dst, e)
	}
	return append(dst, ']')
}

func appendString(dst []byte, s string) []byte {
	// The only possible error is invalid UTF-8, which is replaced. DynamoDB stores none.
	start := len(dst)
	dst, _ = jsontext.AppendQuote(dst, s)
	if strings.ContainsRune(s, utf8.RuneError) {
		// Escaped, because Decode rejects the character itself as replaced invalid UTF-8.
		dst = append(dst[:start], bytes.ReplaceAll(dst[start:], []byte("\uFFFD"), []byte(`\ufffd`))...)
	}
	return dst
}

func appendBase64(dst, b []byte) []byte {
	return append(base64.StdEncoding.AppendEncode(append(dst, '"'), b), '"')
}

// depth returns the number of nested levels of lists and maps in v, including v.
func depth(v any) int {
	deepest := 0
	switch v := v.(type) {
	case map[string]any:
		for _, e := range v {
			deepest = max(deepest, depth(e))
		}
	case []any:
		for _, e := range v {
			deepest = max(deepest, depth(e))
		}
	default:
		return 0
	}
	return 1 + deepest
}

// Size returns the size in bytes that DynamoDB counts for the attributes and their names ("DynamoDB item sizes and
// formats").
func (a Attributes) Size() int {
	size := 0
	for name, v := range a {
		size += len(name) + valueSize(v)
	}
	return size
}

// Bytes that DynamoDB counts for a list or map, and for each of its elements.
const (
	perContainer = 3
	perElement   = 1
)

func valueSize(v any) int {
	size := 0
	switch v := v.(type) {
	case string:
		return len(v)
	case Number:
		return v.size()
	case Binary:
		return len(v)
	case StringSet:
		for _, s := range v {
			size += len(s)
		}
	case NumberSet:
		for _, n := range v {
			size += n.size()
		}
	case BinarySet:
		for _, b := range v {
			size += len(b)
		}
	case []any:
		size = perContainer
		for _, e := range v {
			size += perElement + valueSize(e)
		}
	case map[string]any:
		size = perContainer
		for name, e := range v {
			size += perElement + len(name) + valueSize(e)
		}
	default: // null and the booleans
		return 1
	}
	return size
}
