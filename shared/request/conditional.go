package request

import (
	"slices"
	"strings"

	"github.com/userrequestapi/userdata/shared/user"
)

// IfMatch returns the ETags in If-Match, one of which must be the user's (RFC 9110 §13.1.1). It returns none if the
// only condition is that the user exists. If required is true, a request without the header is an error.
//
// If-None-Match is an error: no value of it is useful for a write to an existing user (RFC 9110 §13.1.2).
func (r *Request) IfMatch(required bool) ([]user.ETag, error) {
	t, err := r.tags("If-Match")
	switch {
	case err != nil:
		return nil, err
	case len(r.header("If-None-Match")) > 0:
		return nil, Invalidf("If-None-Match is not supported here: " +
			"PUT and DELETE change existing users. Use POST to create a user.")
	case required && !t.sent:
		return nil, &user.Error{
			Code: PreconditionRequired, Detail: "Send If-Match with the ETag of the user as it was last read.",
		}
	case len(t.strong) == 0 && len(t.weak) > 0:
		// If-Match uses the strong comparison, in which a weak tag never matches. No user has an empty ETag.
		return []user.ETag{""}, nil
	}
	return t.strong, nil
}

// NotModified reports whether If-None-Match matches etag, so that the response to a read is 304 (RFC 9110 §13.1.2).
func (r *Request) NotModified(etag user.ETag) (bool, error) {
	t, err := r.tags("If-None-Match")
	return t.any || slices.Contains(t.strong, etag) || slices.Contains(t.weak, etag), err
}

// CheckNoneMatch returns an error if a request that creates a user has an If-None-Match other than *, which POST
// implies.
func (r *Request) CheckNoneMatch() error {
	t, err := r.tags("If-None-Match")
	if err == nil && t.sent && !t.any {
		err = Invalidf("If-None-Match must be * here: POST creates a user that does not exist.")
	}
	return err
}

// tags is the value of If-Match or If-None-Match.
type tags struct {
	sent   bool // whether the request has the header
	any    bool // "*"
	strong []user.ETag
	weak   []user.ETag
}

func (r *Request) tags(header string) (tags, error) {
	values := r.header(header)
	t := tags{sent: len(values) > 0}
	rest := strings.Trim(strings.Join(values, ","), " \t,")
	if rest == "*" {
		t.any = true
		return t, nil
	}
	if t.sent && rest == "" {
		return tags{}, invalidTags(header)
	}
	for rest != "" {
		tag, weak := strings.CutPrefix(rest, "W/")
		tag, opened := strings.CutPrefix(tag, `"`)
		tag, after, closed := strings.Cut(tag, `"`)
		after = strings.TrimLeft(after, " \t")
		if !opened || !closed || strings.ContainsFunc(tag, isControlOrSpace) || after != "" && after[0] != ',' {
			return tags{}, invalidTags(header)
		}
		if weak {
			t.weak = append(t.weak, user.ETag(tag))
		} else {
			t.strong = append(t.strong, user.ETag(tag))
		}
		rest = strings.TrimLeft(after, " \t,")
	}
	return t, nil
}

// isControlOrSpace reports whether c is an ASCII control character or a space, which an entity-tag cannot contain
// (etagc in RFC 9110 §8.8.3).
func isControlOrSpace(c rune) bool { return c <= ' ' || c == '\x7f' }

func invalidTags(header string) error {
	return Invalidf("%s must be * or a list of ETags in quotation marks, as they were received.", header)
}
