package user

import (
	"bytes"
	"encoding/base64"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Attributes are the named values of a user. A value is one of nil, bool, string, [Number], []any, map[string]any, [Binary],
// [StringSet], [NumberSet] and [BinarySet]: DynamoDB's types, so that nothing is lost whoever wrote the item.
type Attributes map[string]any

// The types that JSON has not. In JSON each is an object with one member: {"$B": "aGk="}, {"$SS": ["a", "b"]}, {"$NS": [1, 2]},
// {"$BS": ["aGk="]}. A map whose only member has such a name is written with one more dollar sign: {"$$SS": …}.
type (
	// Binary is a byte string; base64 in JSON (RFC 4648 §4).
	Binary []byte
	// StringSet is a set of strings, never empty, in no particular order.
	StringSet []string
	// NumberSet is a set of numbers, never empty, in no particular order.
	NumberSet []Number
	// BinarySet is a set of byte strings, never empty, in no particular order.
	BinarySet [][]byte
)

const (
	binaryName    = "$B"
	stringSetName = "$SS"
	numberSetName = "$NS"
	binarySetName = "$BS"
)

// isTypeName tells whether name, less all but one of its leading dollar signs, marks one of the types that JSON has not.
func isTypeName(name string) bool {
	switch "$" + strings.TrimLeft(name, "$") {
	case binaryName, stringSetName, numberSetName, binarySetName:
		return strings.HasPrefix(name, "$")
	}
	return false
}

// AppendJSON appends the attributes as a JSON object whose members are in the order of their names.
func (a Attributes) AppendJSON(dst []byte) []byte {
	return appender{number: Number.json}.object(dst, a)
}

// canonical is the same text for attributes that are equal in value, however their numbers and sets are written.
func (a Attributes) canonical() []byte {
	return appender{number: Number.Canonical, sorted: true}.object(nil, a)
}

// equal tells whether two values of [Attributes] are equal, numbers by their value and sets whatever their order.
func equal(a, b any) bool {
	canonical := appender{number: Number.Canonical, sorted: true}
	return bytes.Equal(canonical.value(nil, a), canonical.value(nil, b))
}

// json is the number as JSON writes it. DynamoDB's own text may have forms that JSON has not, such as ".5".
func (n Number) json() string {
	if v := jsontext.Value(n); v.Kind() == '0' && v.IsValid() {
		return string(n)
	}
	return n.Canonical()
}

// appender writes values as JSON.
type appender struct {
	number func(Number) string
	sorted bool // whether the elements of sets are sorted
}

func (w appender) value(dst []byte, v any) []byte {
	switch v := v.(type) {
	case bool:
		if v {
			return append(dst, "true"...)
		}
		return append(dst, "false"...)
	case string:
		return appendString(dst, v)
	case Number:
		return append(dst, w.number(v)...)
	case []any:
		return appendList(dst, v, w.value)
	case map[string]any:
		return w.mapValue(dst, v)
	case Binary:
		return w.typed(dst, binaryName, v)
	case StringSet:
		return w.typed(dst, stringSetName, v)
	case NumberSet:
		return w.typed(dst, numberSetName, v)
	case BinarySet:
		return w.typed(dst, binarySetName, v)
	default: // nil is the only type that is left
		return append(dst, "null"...)
	}
}

func (w appender) mapValue(dst []byte, m map[string]any) []byte {
	if len(m) == 1 {
		for name, v := range m {
			if isTypeName(name) {
				return w.object(dst, map[string]any{"$" + name: v})
			}
		}
	}
	return w.object(dst, m)
}

func (w appender) object(dst []byte, m map[string]any) []byte {
	dst = append(dst, '{')
	for i, name := range slices.Sorted(maps.Keys(m)) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, name), ':')
		dst = w.value(dst, m[name])
	}
	return append(dst, '}')
}

func (w appender) typed(dst []byte, name string, v any) []byte {
	dst = append(appendString(append(dst, '{'), name), ':')
	switch v := v.(type) {
	case Binary:
		dst = appendBase64(dst, v)
	case StringSet:
		if w.sorted {
			v = slices.Sorted(slices.Values(v))
		}
		dst = appendList(dst, v, appendString)
	case NumberSet:
		texts := make([]string, len(v))
		for i, n := range v {
			texts[i] = w.number(n)
		}
		if w.sorted {
			slices.Sort(texts)
		}
		dst = appendList(dst, texts, func(dst []byte, s string) []byte { return append(dst, s...) })
	case BinarySet:
		if w.sorted {
			v = slices.SortedFunc(slices.Values(v), bytes.Compare)
		}
		dst = appendList(dst, v, appendBase64)
	}
	return append(dst, '}')
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
	// The only possible error is invalid UTF-8, which is then replaced; DynamoDB holds none.
	start := len(dst)
	dst, _ = jsontext.AppendQuote(dst, s)
	if strings.ContainsRune(s, utf8.RuneError) {
		// Escaped, so that what was read can be sent back: Decode takes the character itself for a broken text.
		dst = append(dst[:start], bytes.ReplaceAll(dst[start:], []byte("\uFFFD"), []byte(`\ufffd`))...)
	}
	return dst
}

func appendBase64(dst, b []byte) []byte {
	return append(base64.StdEncoding.AppendEncode(append(dst, '"'), b), '"')
}

// depth counts the levels of lists and maps in v, v included.
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

// Size is the size in bytes that DynamoDB counts for the attributes, names included ("DynamoDB item sizes and formats").
func (a Attributes) Size() int {
	size := 0
	for name, v := range a {
		size += len(name) + valueSize(v)
	}
	return size
}

// What DynamoDB counts for a list or map, and for each element of it, in bytes.
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
