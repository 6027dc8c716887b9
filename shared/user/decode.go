package user

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Limits of DynamoDB ("Quotas in Amazon DynamoDB"), said here before DynamoDB says them.
const (
	maxDepth      = 32           // levels of lists and maps, the user itself being the first
	maxSize       = 400 << 10    // bytes of an item, names included
	maxNameLength = 1<<16 - 1    // bytes of an attribute's name
	maxViolations = 10           // that are told at once
	maxPointer    = 1 << 10      // bytes of a violation's pointer
	maxNesting    = maxDepth + 2 // in JSON, where a set takes two levels that DynamoDB does not count
)

// MaxBody is the most bytes of JSON that are read: what a text of the largest size takes with every character escaped (six
// bytes for one, RFC 8259 §7).
const MaxBody = 6*maxSize + 64<<10

// maxDecoded is where decoding stops, so that no body takes much more memory than the largest user. It is counted as for
// [Attributes.Size], with the JSON forms of sets and binary as they stand, which take up to twice what they stand for.
const maxDecoded = 2 * maxSize

// Decode reads a user's attributes from the JSON text that a client sent.
//
// It returns an [*Error] with the code [InvalidBody] for what is not one JSON object (RFC 8259) in UTF-8 with unique names,
// [InvalidUser] for a value that cannot be kept as it is, and [BodyTooLarge] over [MaxBody] or DynamoDB's limit.
func Decode(body []byte) (Attributes, error) {
	if len(body) > MaxBody {
		return nil, tooLarge(fmt.Sprintf("The body has %d bytes; at most %d are read, of which a user may keep %d.",
			len(body), MaxBody, maxSize))
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, invalidBody("Empty", "", "The body is empty; send a user as a JSON object.")
	}
	// The replacement character is what invalid UTF-8 has become by the time it arrives here: API Gateway hands the body over as text.
	if i := bytes.IndexRune(body, utf8.RuneError); i >= 0 {
		return nil, invalidBody("InvalidUTF8", "", fmt.Sprintf("The body is not valid UTF-8 at byte %d. "+
			`(If the character U+FFFD is meant, write it as \ufffd.)`, i))
	}
	text := jsontext.NewDecoder(bytes.NewReader(body))
	d := decoder{text: text}
	if text.PeekKind() != '{' {
		if _, err := text.ReadToken(); err != nil {
			return nil, d.syntax(body, err)
		}
		return nil, invalidBody("NotAnObject", "", "The body is JSON, but no object; send a user as a JSON object.")
	}
	attributes, err := d.members(1)
	if err != nil {
		return nil, d.syntax(body, err)
	}
	if _, err := text.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, invalidBody("TrailingData", "", fmt.Sprintf("Something follows the JSON object, at or before byte %d.", text.InputOffset()))
	}
	if len(d.violations) > 0 {
		return nil, invalidUser(d.violations)
	}
	if depth(map[string]any(attributes)) > maxDepth {
		return nil, invalidUser([]Violation{tooDeep()})
	}
	if err := attributes.CheckSize(); err != nil {
		return nil, err
	}
	return attributes, nil
}

// decoder reads values, and collects what is wrong with them beyond their syntax.
type decoder struct {
	text       *jsontext.Decoder
	size       int // what was read so far, see maxDecoded
	violations []Violation
}

// Why decoding ends early.
var (
	errTooDeep = errors.New("nested too deeply")
	errTooMuch = errors.New("too much")
	errRefused = errors.New("refused") // violations tell
)

// refuse notes a fault at the value that was read last. It returns errRefused when no more are to be told: looking for more would
// cost time that the sender decides about.
func (d *decoder) refuse(code, detail string) error {
	return d.refuseAt(d.text.StackPointer(), code, detail)
}

func (d *decoder) refuseAt(pointer jsontext.Pointer, code, detail string) error {
	d.violations = append(d.violations, Violation{Pointer: fragment(pointer), Code: code, Detail: detail})
	if len(d.violations) == maxViolations {
		return errRefused
	}
	return nil
}

// count adds to what was read.
func (d *decoder) count(size int) error {
	if d.size += size; d.size > maxDecoded {
		return errTooMuch
	}
	return nil
}

func (d *decoder) value(level int) (any, error) {
	switch d.text.PeekKind() {
	case '{':
		m, err := d.members(level + 1)
		if err != nil {
			return nil, err
		}
		return d.typed(m)
	case '[':
		return d.elements(level + 1)
	case '0':
		return d.number()
	default:
		token, err := d.text.ReadToken()
		if err != nil {
			return nil, err
		}
		var v any
		if kind := token.Kind(); kind == '"' {
			v = token.String()
		} else if kind != 'n' {
			v = token.Bool()
		}
		return v, d.count(valueSize(v))
	}
}

func (d *decoder) number() (any, error) {
	v, err := d.text.ReadValue()
	if err != nil {
		return nil, err
	}
	n := Number(v)
	value, err := n.decimal()
	if err == nil {
		err = value.check()
	}
	if err != nil {
		code := "NumberRange"
		if errors.Is(err, errNumberPrecision) {
			code = "NumberPrecision"
		}
		return n, d.refuse(code, "The number "+err.Error()+".")
	}
	return Number(value.canonical()), d.count(value.size())
}

func (d *decoder) members(level int) (Attributes, error) {
	if level > maxNesting {
		return nil, errTooDeep
	}
	if _, err := d.text.ReadToken(); err != nil { // {
		return nil, err
	}
	m := Attributes{}
	for d.text.PeekKind() != '}' {
		token, err := d.text.ReadToken()
		if err != nil {
			return nil, err
		}
		name := token.String()
		if name == "" {
			if err := d.refuse("EmptyName", "An attribute's name must not be empty."); err != nil {
				return nil, err
			}
		}
		if len(name) > maxNameLength {
			_ = d.refuseAt(d.text.StackPointer().Parent(), "NameTooLong", fmt.Sprintf("An attribute's name has at most %d bytes.", maxNameLength))
			return nil, errRefused
		}
		if err := d.count(perElement + len(name)); err != nil {
			return nil, err
		}
		if m[name], err = d.value(level); err != nil {
			return nil, err
		}
	}
	if _, err := d.text.ReadToken(); err != nil { // }
		return nil, err
	}
	return m, d.count(perContainer)
}

func (d *decoder) elements(level int) ([]any, error) {
	if level > maxNesting {
		return nil, errTooDeep
	}
	if _, err := d.text.ReadToken(); err != nil { // [
		return nil, err
	}
	list := []any{}
	for d.text.PeekKind() != ']' {
		v, err := d.value(level)
		if err != nil {
			return nil, err
		}
		if err := d.count(perElement); err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	if _, err := d.text.ReadToken(); err != nil { // ]
		return nil, err
	}
	return list, d.count(perContainer)
}

// typed turns the JSON form of a type that JSON has not into its value; any other map stays as it is.
func (d *decoder) typed(m Attributes) (any, error) {
	if len(m) != 1 {
		return map[string]any(m), nil
	}
	for name, v := range m {
		if !isTypeName(name) {
			break
		}
		var typed any
		var err error
		switch name {
		case binaryName:
			var b []byte
			b, err = decodeBinary(v)
			typed = Binary(b)
		case stringSetName:
			typed, err = decodeSet[StringSet](v, func(e any) (string, error) {
				s, ok := e.(string)
				return s, wrongType(ok, "a list of strings")
			})
		case numberSetName:
			typed, err = decodeSet[NumberSet](v, func(e any) (Number, error) {
				n, ok := e.(Number)
				return n, wrongType(ok, "a list of numbers")
			})
		case binarySetName:
			typed, err = decodeSet[BinarySet](v, decodeBinary)
		default: // a map's name with one more dollar sign
			return map[string]any{name[1:]: v}, nil
		}
		if err != nil {
			err = d.refuse("InvalidTypedValue", fmt.Sprintf("The value of %s %v. "+
				"(An object with this one name is a set or binary; write $%[1]s for an ordinary object with the name %[1]s.)", name, err))
		}
		return typed, err
	}
	return map[string]any(m), nil
}

func decodeBinary(v any) ([]byte, error) {
	s, ok := v.(string)
	if !ok {
		return nil, wrongType(ok, "base64 text")
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil || base64.StdEncoding.EncodeToString(b) != s { // one text for one value, so that sets tell their elements apart
		return nil, errors.New("must be base64 text (RFC 4648 §4, with padding)")
	}
	return b, nil
}

func decodeSet[S ~[]E, E any](v any, element func(any) (E, error)) (S, error) {
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		return nil, errors.New("must be a list that is not empty")
	}
	set := make(S, len(list))
	seen := map[string]bool{}
	for i, e := range list {
		var err error
		if set[i], err = element(e); err != nil {
			return nil, err
		}
		key := string(appendValue(nil, e))
		if seen[key] {
			return nil, errors.New("must not hold an element twice")
		}
		seen[key] = true
	}
	return set, nil
}

func wrongType(ok bool, want string) error {
	if ok {
		return nil
	}
	return fmt.Errorf("must be %s", want)
}

func tooDeep() Violation {
	return Violation{fragment(""), "TooDeep", fmt.Sprintf("Lists and objects are nested more than %d levels deep.", maxDepth)}
}

// syntax says why decoding ended before the end of the JSON text, and where, without its content.
func (d *decoder) syntax(body []byte, err error) error {
	switch {
	case errors.Is(err, errRefused):
		return invalidUser(d.violations)
	case errors.Is(err, errTooDeep):
		return invalidUser([]Violation{tooDeep()})
	case errors.Is(err, errTooMuch):
		return tooLarge(fmt.Sprintf("A user takes at most %d bytes in the table; this one takes many more.", maxSize))
	}
	var syntax *jsontext.SyntacticError
	pointer, offset := d.text.StackPointer(), d.text.InputOffset()
	if errors.As(err, &syntax) {
		pointer, offset = syntax.JSONPointer, syntax.ByteOffset
	}
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		return invalidBody("DuplicateName", pointer, "An object has a name twice.")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return invalidBody("InvalidJSON", pointer, "The JSON text ends before it is complete.")
	case isBase64(body):
		return invalidBody("Base64", "", "The body is base64 text; send the JSON text itself.")
	case syntax != nil && strings.Contains(syntax.Err.Error(), "surrogate"): // no other UTF-8 that is invalid gets this far
		return invalidBody("InvalidUTF8", pointer, fmt.Sprintf("A string has half a surrogate pair at or after byte %d.", offset))
	default:
		return invalidBody("InvalidJSON", pointer, fmt.Sprintf("The body is not valid JSON (RFC 8259) at or after byte %d.", offset))
	}
}

func isBase64(body []byte) bool {
	decoded, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(body)))
	return err == nil && bytes.HasPrefix(decoded, []byte("{"))
}

// fragment is a JSON Pointer in its URI fragment form (RFC 6901 §6), as in RFC 9457 §3's example. Where names make it too long
// to be told, it points to what surrounds the value.
func fragment(pointer jsontext.Pointer) string {
	for len(pointer) > maxPointer {
		pointer = pointer.Parent()
	}
	return "#" + (&url.URL{Fragment: string(pointer)}).EscapedFragment()
}
