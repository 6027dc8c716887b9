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

// Limits of DynamoDB ("Quotas in Amazon DynamoDB") and of error responses.
const (
	maxDepth      = 32           // nested levels of lists and maps, including the user itself
	maxSize       = 400 << 10    // bytes of an item, including attribute names
	maxNameLength = 1<<16 - 1    // bytes of an attribute name
	maxViolations = 10           // per response
	maxPointer    = 1 << 10      // bytes of a violation's pointer
	maxNesting    = maxDepth + 2 // in JSON, where a set has two levels that DynamoDB does not count
)

// MaxBody is the maximum size of a body in bytes. It allows for the largest string with every character escaped (six
// bytes each, RFC 8259 §7).
const MaxBody = 6*maxSize + 64<<10

// maxDecoded limits the memory that decoding takes. It is counted like [Attributes.Size], but with sets and binary
// values in their JSON form, which is at most twice as large.
const maxDecoded = 2 * maxSize

// Decode decodes a user's attributes from JSON.
//
// It returns an [*Error] with the code [InvalidBody] if body is not one JSON object (RFC 8259) in UTF-8 with unique
// names, [InvalidUser] if a value cannot be stored unchanged, or [BodyTooLarge] if it exceeds [MaxBody] or DynamoDB's
// size limit.
func Decode(body []byte) (Attributes, error) {
	if len(body) > MaxBody {
		return nil, tooLarge(fmt.Sprintf("The body has %d bytes, more than the limit of %d; a user has at most %d.",
			len(body), MaxBody, maxSize))
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, invalidBody("Empty", "", "The body is empty; send a user as a JSON object.")
	}
	// API Gateway passes the body as a JSON string, in which U+FFFD has replaced invalid UTF-8.
	if i := bytes.IndexRune(body, utf8.RuneError); i >= 0 {
		return nil, invalidBody("InvalidUTF8", "", fmt.Sprintf("The body is not valid UTF-8 at byte %d. "+
			`(To send the character U+FFFD, write it as \ufffd.)`, i))
	}
	tokens := jsontext.NewDecoder(bytes.NewReader(body))
	d := decoder{tokens: tokens}
	if tokens.PeekKind() != '{' {
		if _, err := tokens.ReadToken(); err != nil {
			return nil, d.toError(body, err)
		}
		return nil, invalidBody("NotAnObject", "", "The body is JSON, but not an object; send a user as a JSON object.")
	}
	attributes, err := d.members(1)
	if err != nil {
		return nil, d.toError(body, err)
	}
	if _, err := tokens.ReadToken(); !errors.Is(err, io.EOF) {
		detail := fmt.Sprintf("The body has data after the JSON object, at or before byte %d.", tokens.InputOffset())
		return nil, invalidBody("TrailingData", "", detail)
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

// decoder decodes values and collects violations.
type decoder struct {
	tokens     *jsontext.Decoder
	size       int // of the values decoded so far; see maxDecoded
	violations []Violation
}

// Reasons to stop decoding.
var (
	errTooDeep    = errors.New("nested too deeply")
	errTooLarge   = errors.New("too large")
	errViolations = errors.New("too many violations")
)

// addViolation adds a violation at the last value read. It returns errViolations after maxViolations, which limits
// the time that an invalid body takes.
func (d *decoder) addViolation(code, detail string) error {
	return d.addViolationAt(d.tokens.StackPointer(), code, detail)
}

func (d *decoder) addViolationAt(pointer jsontext.Pointer, code, detail string) error {
	d.violations = append(d.violations, Violation{Pointer: fragment(pointer), Code: code, Detail: detail})
	if len(d.violations) == maxViolations {
		return errViolations
	}
	return nil
}

// addSize adds size to the size decoded so far. It returns errTooLarge if that exceeds maxDecoded.
func (d *decoder) addSize(size int) error {
	if d.size += size; d.size > maxDecoded {
		return errTooLarge
	}
	return nil
}

func (d *decoder) value(level int) (any, error) {
	switch d.tokens.PeekKind() {
	case '{':
		m, err := d.members(level + 1)
		if err != nil {
			return nil, err
		}
		return d.decodeTyped(m)
	case '[':
		return d.elements(level + 1)
	case '0':
		return d.number()
	default:
		token, err := d.tokens.ReadToken()
		if err != nil {
			return nil, err
		}
		var v any
		if kind := token.Kind(); kind == '"' {
			v = token.String()
		} else if kind != 'n' {
			v = token.Bool()
		}
		return v, d.addSize(valueSize(v))
	}
}

func (d *decoder) number() (any, error) {
	v, err := d.tokens.ReadValue()
	if err != nil {
		return nil, err
	}
	n := Number(v)
	value, err := n.decimal()
	if err == nil {
		n, err = Number(value.canonical()), value.check()
	}
	if err != nil {
		code := "NumberRange"
		if errors.Is(err, errNumberPrecision) {
			code = "NumberPrecision"
		}
		return n, d.addViolation(code, "The number "+err.Error()+".")
	}
	return n, d.addSize(value.size())
}

func (d *decoder) members(level int) (Attributes, error) {
	if level > maxNesting {
		return nil, errTooDeep
	}
	if _, err := d.tokens.ReadToken(); err != nil { // {
		return nil, err
	}
	m := Attributes{}
	for d.tokens.PeekKind() != '}' {
		token, err := d.tokens.ReadToken()
		if err != nil {
			return nil, err
		}
		name := token.String()
		if name == "" {
			if err := d.addViolation("EmptyName", "An attribute's name must not be empty."); err != nil {
				return nil, err
			}
		}
		if len(name) > maxNameLength {
			detail := fmt.Sprintf("An attribute's name has at most %d bytes.", maxNameLength)
			_ = d.addViolationAt(d.tokens.StackPointer().Parent(), "NameTooLong", detail)
			return nil, errViolations
		}
		if err := d.addSize(perElement + len(name)); err != nil {
			return nil, err
		}
		if m[name], err = d.value(level); err != nil {
			return nil, err
		}
	}
	if _, err := d.tokens.ReadToken(); err != nil { // }
		return nil, err
	}
	return m, d.addSize(perContainer)
}

func (d *decoder) elements(level int) ([]any, error) {
	if level > maxNesting {
		return nil, errTooDeep
	}
	if _, err := d.tokens.ReadToken(); err != nil { // [
		return nil, err
	}
	list := []any{}
	for d.tokens.PeekKind() != ']' {
		v, err := d.value(level)
		if err != nil {
			return nil, err
		}
		if err := d.addSize(perElement); err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	if _, err := d.tokens.ReadToken(); err != nil { // ]
		return nil, err
	}
	return list, d.addSize(perContainer)
}

// decodeTyped converts the JSON form of a set or binary value. It returns any other map unchanged.
func (d *decoder) decodeTyped(m Attributes) (any, error) {
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
				return s, checkType(ok, "a list of strings")
			})
		case numberSetName:
			typed, err = decodeSet[NumberSet](v, func(e any) (Number, error) {
				n, ok := e.(Number)
				return n, checkType(ok, "a list of numbers")
			})
		case binarySetName:
			typed, err = decodeSet[BinarySet](v, decodeBinary)
		default: // an escaped map
			return map[string]any{name[1:]: v}, nil
		}
		if err != nil {
			err = d.addViolation("InvalidTypedValue", fmt.Sprintf("The value of %s %v. "+
				"(An object with this single member is a set or binary value; write $%[1]s for an object with the member %[1]s.)",
				name, err))
		}
		return typed, err
	}
	return map[string]any(m), nil
}

func decodeBinary(v any) ([]byte, error) {
	s, ok := v.(string)
	if !ok {
		return nil, checkType(ok, "a base64 string")
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil || base64.StdEncoding.EncodeToString(b) != s { // decodeSet needs one encoding per value
		return nil, errors.New("must be a base64 string (RFC 4648 §4, with padding)")
	}
	return b, nil
}

func decodeSet[S ~[]E, E any](v any, element func(any) (E, error)) (S, error) {
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		return nil, errors.New("must be a non-empty list")
	}
	set := make(S, len(list))
	seen := map[any]bool{} // of strings, or of numbers in canonical form
	for i, e := range list {
		var err error
		if set[i], err = element(e); err != nil {
			return nil, err
		}
		if seen[e] {
			return nil, errors.New("must not contain duplicate elements")
		}
		seen[e] = true
	}
	return set, nil
}

// checkType returns an error unless ok.
func checkType(ok bool, want string) error {
	if ok {
		return nil
	}
	return fmt.Errorf("must be %s", want)
}

func tooDeep() Violation {
	detail := fmt.Sprintf("Lists and objects are nested more than %d levels deep.", maxDepth)
	return Violation{fragment(""), "TooDeep", detail}
}

// toError converts the error of a decoder to an [*Error] without values from the body.
func (d *decoder) toError(body []byte, err error) error {
	switch {
	case errors.Is(err, errViolations):
		return invalidUser(d.violations)
	case errors.Is(err, errTooDeep):
		return invalidUser([]Violation{tooDeep()})
	case errors.Is(err, errTooLarge):
		return tooLarge(fmt.Sprintf("The user is larger than the limit of %d bytes.", maxSize))
	}
	var syntax *jsontext.SyntacticError
	pointer, offset := d.tokens.StackPointer(), d.tokens.InputOffset()
	if errors.As(err, &syntax) {
		pointer, offset = syntax.JSONPointer, syntax.ByteOffset
	}
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		return invalidBody("DuplicateName", pointer, "An object has a name twice.")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return invalidBody("InvalidJSON", pointer, "The JSON object is incomplete.")
	case isBase64(body):
		return invalidBody("Base64", "", "The body is encoded in base64; send the JSON itself.")
	case syntax != nil && strings.Contains(syntax.Err.Error(), "surrogate"): // Decode rejects other invalid UTF-8
		detail := fmt.Sprintf("A string has an unpaired surrogate at or after byte %d.", offset)
		return invalidBody("InvalidUTF8", pointer, detail)
	default:
		detail := fmt.Sprintf("The body is not valid JSON (RFC 8259) at or after byte %d.", offset)
		return invalidBody("InvalidJSON", pointer, detail)
	}
}

func isBase64(body []byte) bool {
	decoded, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(body)))
	return err == nil && bytes.HasPrefix(decoded, []byte("{"))
}

// fragment returns a JSON Pointer in URI fragment form (RFC 6901 §6), as in RFC 9457 §3. If it exceeds maxPointer,
// fragment returns that of the nearest ancestor that does not.
func fragment(pointer jsontext.Pointer) string {
	for len(pointer) > maxPointer {
		pointer = pointer.Parent()
	}
	return "#" + (&url.URL{Fragment: string(pointer)}).EscapedFragment()
}
