package user_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/userrequestapi/userdata/shared/user"
	"github.com/userrequestapi/userdata/shared/user/usertest"
)

// violations returns the codes and pointers of the violations, or nil if err is nil.
func violations(err error) []string {
	if err == nil {
		return nil
	}
	var refused *user.Error
	if !errors.As(err, &refused) || refused.Code != user.InvalidUser {
		return []string{fmt.Sprint(err)}
	}
	var found []string
	for _, v := range refused.Violations {
		found = append(found, v.Code+" "+v.Pointer)
	}
	return found
}

func TestCheckID(t *testing.T) {
	t.Parallel()
	for _, id := range []string{
		"1", "a", "A-Z_0.9~", "...", ".a", "-", "_", "~", strings.Repeat("x", 128),
		"0190163d-8694-739b-aea5-966c26f8ad91",
	} {
		t.Run(fmt.Sprintf("valid %.20q", id), func(t *testing.T) {
			t.Parallel()
			if err := user.CheckID(id); err != nil {
				t.Error(err)
			}
		})
	}
	for _, id := range []string{
		"", ".", "..", " ", "a b", "a/b", "a%20b", "a@b", "a\n", "é", "😀", "a+b", "a,b", "a'b", "a\x00",
		strings.Repeat("x", 129),
	} {
		t.Run(fmt.Sprintf("invalid %.20q", id), func(t *testing.T) {
			t.Parallel()
			if err := user.CheckID(id); !errors.Is(err, &user.Error{Code: user.InvalidUserID}) {
				t.Errorf("got error %v, want %s", err, user.InvalidUserID)
			}
		})
	}
}

func TestNewID(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 100 {
		id, err := user.NewID()
		if err != nil {
			t.Fatal(err)
		}
		if parsed, err := uuid.Parse(id); err != nil || parsed.Version() != 7 || seen[id] || user.CheckID(id) != nil {
			t.Errorf("got id %q, want a new UUIDv7", id)
		}
		seen[id] = true
	}
}

func TestValidation(t *testing.T) {
	t.Parallel()
	local, label := strings.Repeat("l", 64), strings.Repeat("d", 63)
	longest := local + "@" + label + "." + label + "." + strings.Repeat("d", 61) // 254
	for name, test := range map[string]struct {
		valid    []any
		invalid  []any
		code     string
		required bool // a user without the attribute is invalid
	}{
		user.IDAttribute: {
			valid: []any{"1", strings.Repeat("x", 128)},
			invalid: []any{
				"", "a b", strings.Repeat("x", 129), user.Number("1"), nil, true, []any{"1"}, user.Binary("1"),
			},
			code: "InvalidUserId",
		},
		user.NameAttribute: {
			valid: []any{
				"A", " ", strings.Repeat("x", 256), strings.Repeat("é", 256), strings.Repeat("😀", 256),
				"Ada\nLovelace", "\ufffd",
			},
			invalid: []any{
				"", strings.Repeat("x", 257), strings.Repeat("😀", 257), strings.Repeat("e\u0301", 129),
				user.Number("1"), nil, true, map[string]any{}, user.StringSet{"Ada"},
			},
			code: "InvalidName",
		},
		user.EmailAttribute: {
			valid: []any{
				"a@b", "ada@example.org", "ada.king@example.org", "ada+tag@example.org", "!#$%&'*+/=?^_`{|}~-@example.org",
				"1@2", `"ada king"@example.org`, `"a\"b\\c"@example.org`, `"@"@example.org`, `""@example.org`,
				"ada@[192.0.2.1]", "ada@[IPv6:2001:db8::1]", "ada@xn--bcher-kva.example", "ada@a-b.c", "ADA@EXAMPLE.ORG",
				"ada@localhost", local + "@example.org", "a@" + label + ".org", longest,
			},
			invalid: []any{
				"", "ada", "@", "@example.org", "ada@", "ada@@example.org", "a@b@c", ".ada@example.org", "ada.@example.org",
				"a..b@example.org", "ada @example.org", " ada@example.org", "ada@example.org ", "ada@example.org\n",
				"ada@.org", "ada@example.", "ada@example..org", "ada@-example.org", "ada@example-.org", "ada@exam_ple.org",
				"ada@exämple.org", "ädä@example.org", "Ada <ada@example.org>", "<ada@example.org>",
				"mailto:ada@example.org, b@c", `"ada@example.org`, `a"b@example.org`, `"a"b"@example.org`,
				"ada@192.0.2.1]", "ada@[192.0.2]", "ada@[192.0.2.256]", "ada@[2001:db8::1]", "ada@[IPv6:192.0.2.1]",
				"ada@[IPv6:2001:db8::g]", "ada@[]", "ada(comment)@example.org", "ada\x00@example.org",
				"l" + local + "@example.org", "a@" + label + "d.org", longest + "d",
				user.Number("1"), nil, []any{"ada@example.org"},
			},
			code: "InvalidEmail",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check := func(sent user.Attributes, want []string) {
				t.Helper()
				_, err := user.New(sent, time.Now())
				if diff := cmp.Diff(want, violations(err)); diff != "" {
					t.Errorf("new %s %q (-want +got):\n%s", name, sent[name], diff)
				}
				_, err = user.Attributes{user.IDAttribute: "1"}.Replace(sent, time.Now())
				if diff := cmp.Diff(want, violations(err)); diff != "" {
					t.Errorf("replaced %s %q (-want +got):\n%s", name, sent[name], diff)
				}
			}
			refused := []string{test.code + " #/" + name}
			for _, value := range test.valid {
				check(usertest.Attributes(t, user.IDAttribute, "1", name, value), nil)
			}
			for _, value := range test.invalid {
				check(usertest.Attributes(t, user.IDAttribute, "1", name, value), refused)
			}
			if test.required {
				missing := usertest.Attributes(t, user.IDAttribute, "1")
				delete(missing, name)
				check(missing, refused)
			}
		})
	}
}

const (
	created = "2026-01-02T03:04:05.678Z"
	updated = "2026-02-03T04:05:06.789Z"
)

func date(t *testing.T, s string) time.Time {
	t.Helper()
	d, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestNew(t *testing.T) {
	t.Parallel()
	now := date(t, "2026-01-02T04:04:05.678999+01:00")
	sent := usertest.Attributes(t, "userId", "1", "a", nil)
	original := maps.Clone(sent)
	got, err := user.New(sent, now)
	if err != nil {
		t.Fatal(err)
	}
	want := usertest.Attributes(t, "userId", "1", "a", nil, "createdAt", created, "updatedAt", created)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff(original, sent); diff != "" {
		t.Errorf("New changed its argument (-want +got):\n%s", diff)
	}

	_, err = user.New(usertest.Attributes(t,
		"userId", "", "name", "", "email", "", "_rev", "1", "_a b", "1", "createdAt", created, "updatedAt", created,
		"valid", "",
	), now)
	wantViolations := []string{
		"ReservedName #/_a%20b", "ReservedName #/_rev", "ReadOnly #/createdAt", "InvalidEmail #/email", "InvalidName #/name",
		"ReadOnly #/updatedAt", "InvalidUserId #/userId",
	}
	if diff := cmp.Diff(wantViolations, violations(err)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}

	many := usertest.Attributes(t)
	for i := range 1000 {
		many[fmt.Sprintf("_%d%s", i, strings.Repeat("x", 5000))] = nil
	}
	_, err = user.New(many, now)
	if got := violations(err); len(got) != 10 || len(got[0]) > 100 {
		t.Errorf("got %d violations, the first of %d bytes, want 10 of at most 100 bytes", len(got), len(got[0]))
	}
}

func TestReplace(t *testing.T) {
	t.Parallel()
	const now = "2026-03-04T05:06:07.890Z"
	old := user.Attributes{
		"userId": "1", "createdAt": created, "updatedAt": updated, "gone": "a", "_ttl": user.Number("10"),
	}
	for name, test := range map[string]struct {
		old  user.Attributes
		sent user.Attributes // and the attributes of a valid user
		want user.Attributes // and the attributes of a valid user; nil for an error
		code []string
	}{
		"no attributes": {
			old, user.Attributes{},
			user.Attributes{"userId": "1", "createdAt": created, "updatedAt": now, "_ttl": user.Number("10")}, nil,
		},
		"unchanged": {
			old, old,
			user.Attributes{"userId": "1", "createdAt": created, "updatedAt": now, "_ttl": user.Number("10"), "gone": "a"}, nil,
		},
		"equal number": {
			old, user.Attributes{"_ttl": user.Number("1.0e1"), "createdAt": created},
			user.Attributes{"userId": "1", "createdAt": created, "updatedAt": now, "_ttl": user.Number("10")}, nil,
		},
		"read before the last write": {
			old, user.Attributes{"updatedAt": created},
			user.Attributes{"userId": "1", "createdAt": created, "updatedAt": now, "_ttl": user.Number("10")}, nil,
		},
		"foreign, without times": {
			user.Attributes{"userId": "1", "a": "b"}, user.Attributes{"c": "d"},
			user.Attributes{"userId": "1", "c": "d", "updatedAt": now}, nil,
		},
		"foreign, with other times": {
			user.Attributes{"userId": "1", "createdAt": user.Number("1"), "updatedAt": "z"},
			user.Attributes{"createdAt": user.Number("1.0"), "updatedAt": "z"},
			user.Attributes{"userId": "1", "createdAt": user.Number("1"), "updatedAt": "z"}, nil,
		},
		"foreign, with times omitted": {
			user.Attributes{"userId": "1", "createdAt": nil, "updatedAt": user.Number("1577836800")}, user.Attributes{},
			user.Attributes{"userId": "1", "createdAt": nil, "updatedAt": user.Number("1577836800")}, nil,
		},
		"foreign, with updatedAt null": {
			user.Attributes{"userId": "1", "updatedAt": nil}, user.Attributes{"updatedAt": nil},
			user.Attributes{"userId": "1", "updatedAt": now}, nil,
		},
		"foreign, with times of another precision": {
			user.Attributes{"userId": "1", "updatedAt": "2026-03-04T06:06:07+01:00"}, user.Attributes{},
			user.Attributes{"userId": "1", "updatedAt": now}, nil,
		},
		"clocks that differ": {
			user.Attributes{"userId": "1", "updatedAt": "2026-03-04T05:06:07.891Z"}, user.Attributes{},
			user.Attributes{"userId": "1", "updatedAt": "2026-03-04T05:06:07.891Z"}, nil,
		},
		"foreign, with an invalid id": {
			user.Attributes{"userId": "a/b"}, user.Attributes{"userId": "a/b"},
			user.Attributes{"userId": "a/b", "updatedAt": now}, nil,
		},
		"another invalid id": {
			user.Attributes{"userId": "a/b"}, user.Attributes{"userId": "a/c"}, nil, []string{"InvalidUserId #/userId"},
		},
		"changed createdAt": {old, user.Attributes{"createdAt": updated}, nil, []string{"ReadOnly #/createdAt"}},
		"createdAt null":    {old, user.Attributes{"createdAt": nil}, nil, []string{"ReadOnly #/createdAt"}},
		"new createdAt": {
			user.Attributes{"userId": "1"}, user.Attributes{"createdAt": created}, nil, []string{"ReadOnly #/createdAt"},
		},
		"updatedAt in the future": {old, user.Attributes{"updatedAt": now}, nil, []string{"ReadOnly #/updatedAt"}},
		"updatedAt before createdAt": {
			old, user.Attributes{"updatedAt": "2026-01-02T03:04:05.677Z"}, nil, []string{"ReadOnly #/updatedAt"},
		},
		"updatedAt without time": {old, user.Attributes{"updatedAt": "2026-01-10"}, nil, []string{"ReadOnly #/updatedAt"}},
		"updatedAt with offset": {
			old, user.Attributes{"updatedAt": "2026-01-10T00:00:00.000+01:00"}, nil, []string{"ReadOnly #/updatedAt"},
		},
		"updatedAt number": {
			old, user.Attributes{"updatedAt": user.Number("1")}, nil, []string{"ReadOnly #/updatedAt"},
		},
		"changed reserved":         {old, user.Attributes{"_ttl": user.Number("11")}, nil, []string{"ReservedName #/_ttl"}},
		"reserved of another type": {old, user.Attributes{"_ttl": "10"}, nil, []string{"ReservedName #/_ttl"}},
		"new reserved": {
			old, user.Attributes{"_rev": "1", "name": ""}, nil, []string{"ReservedName #/_rev", "InvalidName #/name"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sent, want := usertest.Attributes(t), usertest.Attributes(t)
			maps.Copy(sent, test.sent)
			maps.Copy(want, test.want)
			if test.want == nil {
				want = nil
			}
			got, err := test.old.Replace(sent, date(t, now))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if diff := cmp.Diff(test.code, violations(err)); diff != "" {
				t.Errorf("violations (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCheckMatch(t *testing.T) {
	t.Parallel()
	u := user.User{ETag: "b"}
	for _, etags := range [][]user.ETag{nil, {}, {"b"}, {"a", "b"}} {
		t.Run(fmt.Sprintf("matches %q", etags), func(t *testing.T) {
			t.Parallel()
			if err := u.CheckMatch(etags); err != nil {
				t.Errorf("got error %v, want none", err)
			}
		})
	}
	for _, etags := range [][]user.ETag{{"a"}, {"B"}, {""}, {"a", "c"}} {
		t.Run(fmt.Sprintf("differs from %q", etags), func(t *testing.T) {
			t.Parallel()
			if err := u.CheckMatch(etags); !errors.Is(err, &user.Error{Code: user.PreconditionFailed}) {
				t.Errorf("got error %v, want %s", err, user.PreconditionFailed)
			}
		})
	}
}

func TestIdempotency(t *testing.T) {
	t.Parallel()
	body := user.Attributes{"n": user.Number("1"), "s": user.StringSet{"a", "b"}}
	first := user.NewIdempotency("caller", "key", body)
	equal := user.Attributes{"s": user.StringSet{"b", "a"}, "n": user.Number("1.0")}
	if retry := user.NewIdempotency("caller", "key", equal); *retry != *first {
		t.Errorf("got %v and %v for equal requests, want the same", first, retry)
	}
	other := user.NewIdempotency("caller", "key", user.Attributes{})
	if other.Key != first.Key || other.Body == first.Body {
		t.Errorf("got %v and %v for different bodies, want the same Key and another Body", first, other)
	}
	seen := map[string]bool{first.UserID(): true}
	for _, other := range []*user.Idempotency{
		user.NewIdempotency("caller", "key2", body),
		user.NewIdempotency("", "key", body),
		user.NewIdempotency("callerkey", "", body),
	} {
		if other.Key == first.Key || other.Body != first.Body || seen[other.UserID()] {
			t.Errorf("got %v and %v for different keys, want the same Body, another Key and another id", first, other)
		}
		seen[other.UserID()] = true
	}
	id, err := uuid.Parse(first.UserID())
	if err != nil || id.Version() != 8 || id.Variant() != uuid.RFC4122 {
		t.Errorf("got id %s, error %v, want a UUIDv8", id, err)
	}
	if strings.Contains(fmt.Sprint(first), "key") || strings.Contains(fmt.Sprint(first), "caller") {
		t.Errorf("got %v, want only hashes", first)
	}
}

func TestError(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	err := fmt.Errorf("operation: %w", &user.Error{
		Code: user.Unavailable, Detail: "detail", Violations: []user.Violation{{Pointer: "#/pointer"}}, Err: cause,
	})
	if err.Error() != "operation: StoreUnavailable: cause" || !errors.Is(err, cause) ||
		!errors.Is(err, &user.Error{Code: user.Unavailable}) || errors.Is(err, &user.Error{Code: user.Throttled}) {
		t.Errorf("got error %v, want the code StoreUnavailable and the cause", err)
	}
	if got := (&user.Error{Code: user.NotFound, Detail: "detail"}).Error(); got != "UserNotFound" {
		t.Errorf("got %q, want UserNotFound", got)
	}
}
