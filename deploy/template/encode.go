package template

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// encodeJSON returns the output of an [encoding/json.Encoder] without HTML escaping and without the final newline. It
// uses no reflection for the values of a document: a template has some 10,000 of them, and is encoded several times
// for digests.
func encodeJSON(value any) ([]byte, error) { return appendJSON(nil, value) }

// mustEncodeJSON is encodeJSON for values that were read from YAML or JSON, which cannot fail.
func mustEncodeJSON(value any) []byte {
	encoded, err := encodeJSON(value)
	if err != nil {
		panic(err)
	}
	return encoded
}

func appendJSON(b []byte, value any) (_ []byte, err error) {
	switch v := value.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case int:
		return strconv.AppendInt(b, int64(v), 10), nil
	case int64:
		return strconv.AppendInt(b, v, 10), nil
	case string:
		return appendString(b, v)
	case object:
		if v == nil {
			return append(b, "null"...), nil
		}
		keys := slices.AppendSeq(make([]string, 0, len(v)), maps.Keys(v))
		slices.Sort(keys)
		b = append(b, '{')
		for i, key := range keys {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = appendString(b, key); err != nil {
				return nil, err
			}
			b = append(b, ':')
			if b, err = appendJSON(b, v[key]); err != nil {
				return nil, err
			}
		}
		return append(b, '}'), nil
	case []any:
		if v == nil {
			return append(b, "null"...), nil
		}
		b = append(b, '[')
		for i, element := range v {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = appendJSON(b, element); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	default:
		return appendAny(b, value)
	}
}

// appendString appends a string. It encodes simple escapes itself and leaves others to appendAny.
func appendString(b []byte, s string) ([]byte, error) {
	begin := len(b)
	b = append(b, '"')
	copied := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[copied:i]...)
		copied = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		default:
			return appendAny(b[:begin], s)
		}
	}
	return append(append(b, s[copied:]...), '"'), nil
}

func appendAny(b []byte, value any) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, fmt.Errorf("encode JSON: %w", err)
	}
	return append(b, bytes.TrimRight(buffer.Bytes(), "\n")...), nil
}

// escapeUnicode returns encoded JSON in ASCII. CloudFormation's GetTemplate returns question marks for other
// characters, and a release starts from the template that GetTemplate returns.
func escapeUnicode(encoded []byte) []byte {
	escaped := make([]byte, 0, len(encoded)+len(encoded)/8)
	for len(encoded) > 0 {
		i := 0
		for i < len(encoded) && encoded[i] < utf8.RuneSelf {
			i++
		}
		escaped = append(escaped, encoded[:i]...)
		encoded = encoded[i:]
		for len(encoded) > 0 && encoded[0] >= utf8.RuneSelf {
			r, size := utf8.DecodeRune(encoded)
			for _, unit := range utf16.AppendRune(nil, r) {
				escaped = fmt.Appendf(escaped, `\u%04x`, unit)
			}
			encoded = encoded[size:]
		}
	}
	return escaped
}
