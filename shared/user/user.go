// Package user is the domain model of the users API: users, their validation, errors, and the interface of a store.
// It depends neither on HTTP nor on a DynamoDB client. It has DynamoDB's types and limits, because every user is a
// DynamoDB item.
package user

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/userrequestapi/userdata/shared/internal/ascii"
)

// Attributes with a meaning to the service. A user can have any others.
const (
	IDAttribute        = "userId"
	NameAttribute      = "name"
	EmailAttribute     = "email"
	CreatedAtAttribute = "createdAt" // set by the service, [TimeFormat]
	UpdatedAtAttribute = "updatedAt" // set by the service, [TimeFormat]
)

// TimeFormat is the format of the service's times: RFC 3339 in UTC with milliseconds.
const TimeFormat = "2006-01-02T15:04:05.000Z07:00"

// User is a user in a [Store].
type User struct {
	Attributes Attributes
	ETag       ETag
}

// ID returns the user's id, or "" if it is not a string.
func (u User) ID() string {
	id, _ := u.Attributes[IDAttribute].(string)
	return id
}

// ETag identifies one state of a user: the opaque-tag of RFC 9110 §8.8.3 without its quotes. Every write sets a new
// one.
type ETag string

// Hash returns the ETag of a user without a revision, which another program wrote. Unlike a revision, it can recur:
// equal attributes have equal hashes. Package client recognizes it by its prefix.
func (a Attributes) Hash() ETag {
	return ETag("h-" + digest(a.AppendJSON(nil)))
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// maxKeyLength is the maximum length in bytes of a partition key ("Quotas in Amazon DynamoDB").
const maxKeyLength = 2048

// CheckKey returns an [*Error] with the code [InvalidUserID] unless id can be the key of an item: 1 to 2048 bytes of
// UTF-8. Only other programs create users with ids that [CheckID] rejects.
func CheckKey(id string) error {
	if id == "" || len(id) > maxKeyLength || !utf8.ValidString(id) {
		return &Error{Code: InvalidUserID, Detail: fmt.Sprintf("A userId has 1 to %d bytes of UTF-8.", maxKeyLength)}
	}
	return nil
}

const idRule = `A userId has 1 to 128 of the characters A-Z a-z 0-9 . _ ~ - (and is not "." or "..").`

const maxIDLength = 128

// CheckID returns an [*Error] with the code [InvalidUserID] unless a user can be created with this id: 1 to 128
// unreserved characters (RFC 3986 §2.3). "." and ".." are invalid, because clients remove them from a path (RFC 3986
// §5.2.4).
func CheckID(id string) error {
	if len(id) > maxIDLength || !ascii.IsAlphanumeric(id, "._~-") || id == "." || id == ".." {
		return &Error{Code: InvalidUserID, Detail: idRule}
	}
	return nil
}

// NewID returns a UUIDv7 (RFC 9562 §5.7) for a user sent without an id.
func NewID() (string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("generate user id: %w", err)
	}
	return id.String(), nil
}

// New returns the attributes of a new user. sent is what the client sent, and must have an id. New returns an
// [*Error] with the code [InvalidUser] if a value is invalid.
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
		return nil, invalidUser(sortViolations(violations))
	}
	user := maps.Clone(sent)
	user[CreatedAtAttribute] = formatTime(now)
	user[UpdatedAtAttribute] = user[CreatedAtAttribute]
	return user, nil
}

// Replace returns the attributes of a user that a client replaces by sent. It keeps createdAt and other programs'
// attributes with reserved names. Replace returns an [*Error] with the code [InvalidUser] if a value is invalid or
// would change an attribute that is kept.
func (a Attributes) Replace(sent Attributes, now time.Time) (Attributes, error) {
	violations := sent.validate(a)
	for name, v := range sent {
		switch {
		case isReserved(name) && !a.has(name, v):
			violations = append(violations, reservedViolation(name, reservedDetail))
		case name == CreatedAtAttribute && !a.has(name, v),
			name == UpdatedAtAttribute && !a.has(name, v) && !a.isEarlierUpdatedAt(v):
			violations = append(violations, readOnlyViolation(name))
		}
	}
	if len(violations) > 0 {
		return nil, invalidUser(sortViolations(violations))
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

// CheckSize returns an [*Error] with the code [BodyTooLarge] if an item with these attributes exceeds DynamoDB's size
// limit.
func (a Attributes) CheckSize() error {
	if size := a.Size(); size > maxSize {
		return tooLarge(fmt.Sprintf("The user takes %d bytes in the table; at most %d are possible.", size, maxSize))
	}
	return nil
}

// Reserved returns an [*Error] with the code [InvalidUser] for an attribute with a reserved name.
func Reserved(name, detail string) error {
	return invalidUser([]Violation{reservedViolation(name, detail)})
}

const (
	maxNameCharacters = 256
	maxEmailLength    = 254 // RFC 5321 §4.5.3.1.3, without the angle brackets
	maxLocalLength    = 64  // RFC 5321 §4.5.3.1.1
	maxLabelLength    = 63  // RFC 1035 §2.3.4
)

// isMailbox reports whether s is a Mailbox (RFC 5321 §4.1.2): a Dot-string or Quoted-string, at a Domain or
// address-literal.
func isMailbox(s string) bool {
	at := strings.LastIndexByte(s, '@')
	if at < 0 || at > maxLocalLength || len(s) > maxEmailLength {
		return false
	}
	local, domain := s[:at], s[at+1:]
	return (isDotString(local) || isQuotedString(local)) && (isDomain(domain) || isAddressLiteral(domain))
}

func isDotString(s string) bool {
	for atom := range strings.SplitSeq(s, ".") {
		if !ascii.IsAlphanumeric(atom, "!#$%&'*+/=?^_`{|}~-") {
			return false
		}
	}
	return true
}

func isQuotedString(s string) bool {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return false
	}
	escaped := false
	for _, c := range []byte(s[1 : len(s)-1]) {
		if c < ' ' || c > '~' || c == '"' && !escaped {
			return false
		}
		escaped = c == '\\' && !escaped
	}
	return !escaped
}

func isDomain(s string) bool {
	for label := range strings.SplitSeq(s, ".") {
		if len(label) > maxLabelLength || !ascii.IsAlphanumeric(label, "-") || strings.Trim(label, "-") != label {
			return false
		}
	}
	return true
}

func isAddressLiteral(s string) bool {
	opened, isOpened := strings.CutPrefix(s, "[")
	literal, isClosed := strings.CutSuffix(opened, "]")
	if !isOpened || !isClosed || !ascii.IsAlphanumeric(literal, ".:") {
		return false
	}
	v6, isV6 := strings.CutPrefix(literal, "IPv6:")
	addr, err := netip.ParseAddr(v6)
	return err == nil && addr.Is6() == isV6
}

// validate validates the attributes that clients can set. old is the existing user, whose id is always valid, or nil.
func (a Attributes) validate(old Attributes) []Violation {
	var violations []Violation
	add := func(name, code, detail string) {
		violations = append(violations, Violation{fragment(jsontext.Pointer("").AppendToken(name)), code, detail})
	}
	if v, ok := a[IDAttribute]; ok && !old.has(IDAttribute, v) {
		id, isString := v.(string)
		if err := CheckID(id); !isString || err != nil {
			add(IDAttribute, string(InvalidUserID), idRule)
		}
	}
	if v, ok := a[NameAttribute]; ok {
		name, isString := v.(string)
		if n := utf8.RuneCountInString(name); !isString || n < 1 || n > maxNameCharacters {
			add(NameAttribute, "InvalidName", fmt.Sprintf("A name is a string of 1 to %d characters.", maxNameCharacters))
		}
	}
	if v, ok := a[EmailAttribute]; ok {
		if email, isString := v.(string); !isString || !isMailbox(email) {
			add(EmailAttribute, "InvalidEmail", fmt.Sprintf(
				"An email is a mailbox such as ada@example.org (RFC 5321 §4.1.2) of at most %d characters.", maxEmailLength))
		}
	}
	return violations
}

func isReserved(name string) bool { return strings.HasPrefix(name, "_") }

func reservedViolation(name, detail string) Violation {
	return Violation{fragment(jsontext.Pointer("").AppendToken(name)), "ReservedName", detail}
}

const reservedDetail = "Names that begin with an underscore are reserved; omit the attribute."

func readOnlyViolation(name string) Violation {
	return Violation{fragment(jsontext.Pointer("").AppendToken(name)), "ReadOnly",
		"This attribute is set by the service; omit it, or send it back unchanged."}
}

// nextUpdatedAt returns the updatedAt of a replacement. It never decreases, even if the clocks of execution
// environments differ. Another program's value that is not an RFC 3339 time is kept.
func (a Attributes) nextUpdatedAt(now time.Time) any {
	old := a[UpdatedAtAttribute]
	if old == nil { // missing or null
		return formatTime(now)
	}
	s, _ := old.(string)
	if before, err := time.Parse(time.RFC3339, s); err != nil || before.After(now) {
		return old
	}
	return formatTime(now)
}

// has reports whether the attribute with this name has the value v.
func (a Attributes) has(name string, v any) bool {
	old, ok := a[name]
	return ok && equal(old, v)
}

// isEarlierUpdatedAt reports whether v can be the updatedAt of an earlier state, which a client read before another
// write.
func (a Attributes) isEarlierUpdatedAt(v any) bool {
	sent, ok := serviceTime(v)
	created, _ := a[CreatedAtAttribute].(string)
	updated, _ := a[UpdatedAtAttribute].(string)
	return ok && created <= sent && sent <= updated
}

// serviceTime returns v as a string. ok reports whether it has the format of the service, in which strings sort by
// time.
func serviceTime(v any) (s string, ok bool) {
	s, _ = v.(string)
	t, err := time.Parse(TimeFormat, s)
	return s, err == nil && formatTime(t) == s
}

func formatTime(t time.Time) string { return t.UTC().Format(TimeFormat) }
