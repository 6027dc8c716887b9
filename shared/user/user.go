// Package user is the domain of the users API: what a user is, which users are allowed, why a request is refused, and what a
// store of users does. It knows neither HTTP nor DynamoDB's client; it knows DynamoDB's types and limits, because a user is a
// DynamoDB item that nothing may be lost of.
package user

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
)

// The attributes that mean something to the service. A user has any others besides.
const (
	IDAttribute        = "userId"
	NameAttribute      = "name"
	EmailAttribute     = "email"
	CreatedAtAttribute = "createdAt" // set by the service, [TimeFormat]
	UpdatedAtAttribute = "updatedAt" // set by the service, [TimeFormat]
)

// TimeFormat is the form of the service's times: RFC 3339, always UTC, to the millisecond.
const TimeFormat = "2006-01-02T15:04:05.000Z07:00"

// User is a user as a store gives it.
type User struct {
	Attributes Attributes
	ETag       ETag
}

// ID is the user's id, "" for an item whose key is no string.
func (u User) ID() string {
	id, _ := u.Attributes[IDAttribute].(string)
	return id
}

// ETag is the opaque name of one state of a user; RFC 9110 §8.8.3's opaque-tag without its quotes. Every write makes a new one.
type ETag string

// Hash is the ETag of a user that was written by others and has no revision: it follows from the attributes alone.
// Unlike revisions, it can come back. Package client recognizes it by its prefix.
func (a Attributes) Hash() ETag {
	return ETag("h-" + digest(a.AppendJSON(nil)))
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// maxKeyLength is the most bytes of an item's key ("Quotas in Amazon DynamoDB").
const maxKeyLength = 2048

// CheckKey returns an [*Error] with the code [InvalidUserID] unless id can be the id of an item, whoever wrote it: a
// string of 1 to 2048 bytes. Only other programs create users whose id [CheckID] refuses.
func CheckKey(id string) error {
	if id == "" || len(id) > maxKeyLength || !utf8.ValidString(id) {
		return &Error{Code: InvalidUserID, Detail: fmt.Sprintf("A userId has 1 to %d bytes of UTF-8.", maxKeyLength)}
	}
	return nil
}

const idRule = `A userId has 1 to 128 of the characters A-Z a-z 0-9 . _ ~ - (and is not "." or "..").`

var idPattern = regexp.MustCompile(`^[A-Za-z0-9._~-]{1,128}$`)

// CheckID returns an [*Error] with the code [InvalidUserID] unless a user can be created with this id: 1 to 128 of the
// characters that a URL never encodes (RFC 3986 §2.3). "." and ".." are refused, because clients remove them from a
// path (RFC 3986 §5.2.4).
func CheckID(id string) error {
	if !idPattern.MatchString(id) || id == "." || id == ".." {
		return &Error{Code: InvalidUserID, Detail: idRule}
	}
	return nil
}

// NewID returns an id for a user that came without one: a UUIDv7 (RFC 9562 §5.7).
func NewID() (string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("make a user id: %w", err)
	}
	return id.String(), nil
}

const (
	maxNameCharacters = 256
	maxEmailLength    = 254 // RFC 5321 §4.5.3.1.3, less the angle brackets
	maxLocalLength    = 64  // RFC 5321 §4.5.3.1.1
)

// mailbox is RFC 5321 §4.1.2's Mailbox: a dot-string or a quoted string, at a domain or an address literal.
var mailbox = regexp.MustCompile(`^(` +
	"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*" + `|"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\[\x20-\x7e])*"` +
	`)@((?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*|\[[0-9A-Za-z.:]+\])$`)

func isMailbox(s string) bool {
	parts := mailbox.FindStringSubmatch(s)
	if parts == nil || len(s) > maxEmailLength || len(parts[1]) > maxLocalLength {
		return false
	}
	literal, isLiteral := strings.CutPrefix(parts[2], "[")
	if !isLiteral {
		return true
	}
	literal = strings.TrimSuffix(literal, "]")
	v6, isV6 := strings.CutPrefix(literal, "IPv6:")
	addr, err := netip.ParseAddr(v6)
	return err == nil && addr.Is6() == isV6
}

// validate checks the attributes that clients may set.
// The id of old, which is nil for a new user, is valid whatever its form.
func (a Attributes) validate(old Attributes) []Violation {
	var violations []Violation
	refuse := func(name, code, detail string) {
		violations = append(violations, Violation{fragment(jsontext.Pointer("").AppendToken(name)), code, detail})
	}
	if v, ok := a[IDAttribute]; ok && !old.has(IDAttribute, v) {
		id, isString := v.(string)
		if err := CheckID(id); !isString || err != nil {
			refuse(IDAttribute, string(InvalidUserID), idRule)
		}
	}
	if v, ok := a[NameAttribute]; ok {
		name, isString := v.(string)
		if n := utf8.RuneCountInString(name); !isString || n < 1 || n > maxNameCharacters {
			refuse(NameAttribute, "InvalidName", fmt.Sprintf("A name is a string of 1 to %d characters.", maxNameCharacters))
		}
	}
	if v, ok := a[EmailAttribute]; ok {
		if email, isString := v.(string); !isString || !isMailbox(email) {
			refuse(EmailAttribute, "InvalidEmail", fmt.Sprintf(
				"An email is a mailbox such as ada@example.org (RFC 5321 §4.1.2) of at most %d characters.", maxEmailLength))
		}
	}
	return violations
}

func isReserved(name string) bool { return strings.HasPrefix(name, "_") }

func reservedViolation(name, detail string) Violation {
	return Violation{fragment(jsontext.Pointer("").AppendToken(name)), "ReservedName", detail}
}

const reservedDetail = "Attributes whose name begins with an underscore belong to the service; leave it out."

// Reserved returns an [*Error] with the code [InvalidUser] for an attribute whose name belongs to the service.
func Reserved(name, detail string) error {
	return invalidUser([]Violation{reservedViolation(name, detail)})
}

func readOnlyViolation(name string) Violation {
	return Violation{fragment(jsontext.Pointer("").AppendToken(name)), "ReadOnly",
		"This attribute is set by the service; leave it out, or send it as it was read."}
}

// CheckSize returns an [*Error] with the code [BodyTooLarge] where an item with these attributes is larger than DynamoDB takes.
func (a Attributes) CheckSize() error {
	if size := a.Size(); size > maxSize {
		return tooLarge(fmt.Sprintf("The user takes %d bytes in the table; at most %d are possible.", size, maxSize))
	}
	return nil
}

// New returns the attributes of a new user made of what a client sent, which must have an id. It returns an [*Error] with the
// code [InvalidUser] for values that are not allowed.
func New(sent Attributes, now time.Time) (Attributes, error) {
	violations := sent.validate(nil)
	for name := range sent {
		switch {
		case isReserved(name):
			violations = append(violations, reservedViolation(name, reservedDetail))
		case name == CreatedAtAttribute, name == UpdatedAtAttribute:
			violations = append(violations, readOnlyViolation(name))
		}
	}
	if len(violations) > 0 {
		return nil, invalidUser(sorted(violations))
	}
	user := maps.Clone(sent)
	user[CreatedAtAttribute] = formatTime(now)
	user[UpdatedAtAttribute] = user[CreatedAtAttribute]
	return user, nil
}

// Replace returns the attributes of a user that a client replaces by sent. createdAt and attributes of other programs
// whose names begin with an underscore are kept. Replace returns an [*Error] with the code [InvalidUser] for values
// that are not allowed, among them other values of attributes that are kept.
func (a Attributes) Replace(sent Attributes, now time.Time) (Attributes, error) {
	violations := sent.validate(a)
	for name, v := range sent {
		switch {
		case isReserved(name) && !a.has(name, v):
			violations = append(violations, reservedViolation(name, reservedDetail))
		case name == CreatedAtAttribute && !a.has(name, v),
			name == UpdatedAtAttribute && !a.has(name, v) && !a.wasUpdatedAt(v):
			violations = append(violations, readOnlyViolation(name))
		}
	}
	if len(violations) > 0 {
		return nil, invalidUser(sorted(violations))
	}
	user := maps.Clone(sent)
	user[IDAttribute] = a[IDAttribute]
	for name, v := range a {
		if isReserved(name) || name == CreatedAtAttribute {
			user[name] = v
		}
	}
	user[UpdatedAtAttribute] = a.nextUpdatedAt(now)
	return user, nil
}

// nextUpdatedAt returns the updatedAt of a replacement. It does not go back if the clocks of two execution environments
// differ. A value of another program that is not an RFC 3339 time is kept.
func (a Attributes) nextUpdatedAt(now time.Time) any {
	old := a[UpdatedAtAttribute]
	if old == nil { // absent, or null
		return formatTime(now)
	}
	text, _ := old.(string)
	if before, err := time.Parse(time.RFC3339, text); err != nil || before.After(now) {
		return old
	}
	return formatTime(now)
}

// has tells whether the attribute with this name has the value v.
func (a Attributes) has(name string, v any) bool {
	old, ok := a[name]
	return ok && equal(old, v)
}

// wasUpdatedAt tells whether v can be the updatedAt of an earlier state: another client may have written since this one read.
func (a Attributes) wasUpdatedAt(v any) bool {
	sent, ok := serviceTime(v)
	created, _ := a[CreatedAtAttribute].(string)
	updated, _ := a[UpdatedAtAttribute].(string)
	return ok && created <= sent && sent <= updated
}

// serviceTime returns v as text where it is a time that the service wrote. Such times are in the order of their text.
func serviceTime(v any) (text string, ok bool) {
	text, _ = v.(string)
	t, err := time.Parse(TimeFormat, text)
	return text, err == nil && formatTime(t) == text
}

func formatTime(t time.Time) string { return t.UTC().Format(TimeFormat) }
