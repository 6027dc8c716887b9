package linearizability_test

import (
	"fmt"
	"strconv"

	"github.com/anishathalye/porcupine"
)

// request is a request of a client. Each request has a unique value, except retries with the same Idempotency-Key.
type request struct {
	method  string // GET, POST, PUT or DELETE
	value   int    // written by POST and PUT
	key     string // Idempotency-Key of POST
	ifMatch *user  // the user whose ETag is in If-Match
}

// result is the response to a request.
type result struct {
	status   int // 0 for an unknown outcome
	replayed bool
	user     user // from the body and the ETag header, for 200 and 201
}

// user is the state of one user. The zero value is a user that does not exist.
type user struct {
	exists bool
	value  int
	etag   string // "" if not known from a response
	key    string // of the request that created the user
}

// matches reports whether u can be the user with the ETag of other.
func (u user) matches(other user) bool {
	return u.exists && u.value == other.value && (u.etag == "" || other.etag == "" || u.etag == other.etag)
}

// withETag returns u with the ETag of a response.
func (u user) withETag(etag string) user {
	u.etag = etag
	return u
}

// newModel returns the sequential specification of the API for one user.
func newModel() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return user{} },
		Step: func(state, input, output any) (bool, any) {
			return step(state.(user), input.(request), output.(result))
		},
		DescribeOperation: func(input, output any) string { return fmt.Sprintf("%v → %v", input, output) },
		DescribeState:     func(state any) string { return fmt.Sprint(state) },
	}
}

// String returns the request, for example "PUT 7 If-Match ETag (6)" or "POST 7 key 7".
func (r request) String() string {
	s := r.method
	if r.value != 0 {
		s += fmt.Sprint(" ", r.value)
	}
	if r.key != "" {
		s += " key " + r.key
	}
	if r.ifMatch != nil {
		s += fmt.Sprintf(" If-Match %s (%d)", r.ifMatch.etag, r.ifMatch.value)
	}
	return s
}

// String returns the result, for example "200 7 ETag" or "unknown".
func (r result) String() string {
	if r.status == 0 {
		return "unknown"
	}
	s := strconv.Itoa(r.status)
	if r.replayed {
		s += " replayed"
	}
	if r.user.exists {
		s += fmt.Sprintf(" %d %s", r.user.value, r.user.etag)
	}
	return s
}

// step reports whether a request can have this result in the state now, and returns the next state.
func step(now user, req request, res result) (possible bool, next user) {
	accepted := req.ifMatch == nil || now.matches(*req.ifMatch)
	// certain reports whether both ETags are known, so that accepted is exact.
	certain := req.ifMatch != nil && now.etag != "" && req.ifMatch.etag != ""
	written := user{exists: true, value: req.value, key: req.key, etag: res.user.etag}
	if req.method == "PUT" {
		written.key = now.key
	}
	switch res.status {
	case 0: // It takes effect here, if possible. No effect is the same as an effect after all other requests.
		switch {
		case req.method == "POST" && !now.exists, req.method == "PUT" && now.exists && accepted:
			return true, written
		case req.method == "DELETE" && accepted:
			return true, user{}
		}
		return true, now
	case 200:
		if req.method == "PUT" {
			return now.exists && accepted, written
		}
		return now.matches(res.user), now.withETag(res.user.etag)
	case 201:
		if res.replayed {
			return now.matches(res.user) && now.key == req.key, now.withETag(res.user.etag)
		}
		return !now.exists, written
	case 204: // Without If-Match, also the response to a DELETE in doubt that finds no user afterwards.
		return req.ifMatch == nil || accepted, user{}
	case 404:
		return !now.exists, now
	case 409:
		return now.exists && (req.key == "" || now.key != req.key), now
	case 412:
		return now.exists && req.ifMatch != nil && (!accepted || !certain), now
	}
	return false, now
}
