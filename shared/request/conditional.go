package request

import (
	"regexp"
	"slices"
	"strings"

	"github.com/userrequestapi/userdata/shared/problem"
	"github.com/userrequestapi/userdata/shared/user"
)

// entityTag is RFC 9110 §8.8.3's entity-tag, at the beginning of what is left of a list of them.
var entityTag = regexp.MustCompile(`^(W/)?"([\x21\x23-\x7e\x80-\x{10FFFF}]*)"[ \t]*(?:,[ \t,]*|$)`)

// tags are what a condition names.
type tags struct {
	sent   bool
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
		match := entityTag.FindStringSubmatch(rest)
		if match == nil {
			return tags{}, invalidTags(header)
		}
		if match[1] == "" {
			t.strong = append(t.strong, user.ETag(match[2]))
		} else {
			t.weak = append(t.weak, user.ETag(match[2]))
		}
		rest = rest[len(match[0]):]
	}
	return t, nil
}

func invalidTags(header string) error {
	return problem.New(problem.InvalidParameter, header+` is * or a list of ETags as they were received, in quotation marks.`)
}

// IfMatch returns the ETags of which a user must have one (RFC 9110 §13.1.1); none where there is no condition beyond the
// user's existence. With required it refuses a request without the header.
//
// It also refuses If-None-Match, which a write of a user that exists would have to heed (RFC 9110 §13.1.2).
func (r *Request) IfMatch(required bool) ([]user.ETag, error) {
	t, err := r.tags("If-Match")
	switch {
	case err != nil:
		return nil, err
	case len(r.header("If-None-Match")) > 0:
		return nil, problem.New(problem.InvalidParameter,
			"If-None-Match has no use here: PUT and DELETE are for users that exist. POST creates one.")
	case required && !t.sent:
		return nil, problem.New(problem.PreconditionRequired,
			"Say with If-Match which state of the user is meant: the ETag that came with it when it was read.")
	case len(t.strong) == 0 && len(t.weak) > 0:
		// If-Match compares strongly, so that a weak tag never matches; and no user's ETag is empty.
		return []user.ETag{""}, nil
	}
	return t.strong, nil
}

// NotModified tells whether a client that reads a user has it already (If-None-Match, RFC 9110 §13.1.2).
func (r *Request) NotModified(etag user.ETag) (bool, error) {
	t, err := r.tags("If-None-Match")
	return t.any || slices.Contains(t.strong, etag) || slices.Contains(t.weak, etag), err
}

// CheckNoneMatch refuses a condition on creating a user other than "If-None-Match: *", which says what holds anyway.
func (r *Request) CheckNoneMatch() error {
	t, err := r.tags("If-None-Match")
	if err == nil && t.sent && !t.any {
		err = problem.New(problem.InvalidParameter, "If-None-Match can only be * here: the user must not exist yet.")
	}
	return err
}
