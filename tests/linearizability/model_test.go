package linearizability_test

import (
	"fmt"
	"strconv"

	"github.com/anishathalye/porcupine"
)

// request is what a client asks for. Every request has its own value, except one that is sent again with its Idempotency-Key.
type request struct {
	method  string // GET, POST, PUT or DELETE
	value   int    // written by POST and PUT
	key     string // Idempotency-Key of POST
	ifMatch *user  // whose ETag is in If-Match
}

// result is what a client was told.
type result struct {
	status   int // 0: the outcome is unknown
	replayed bool
	user     user // in the body and the ETag, for 200 and 201
}

// user is the state of one user. The zero user does not exist.
type user struct {
	exists bool
	value  int
	etag   string // "" if no response has told it
	key    string // of the request that created it
}

// matches reports whether u can be the user that has the ETag of other.
func (u user) matches(other user) bool {
	return u.exists && u.value == other.value && (u.etag == "" || other.etag == "" || u.etag == other.etag)
}

// named returns u with an ETag that a response has told.
func (u user) named(etag string) user {
	u.etag = etag
	return u
}

// newModel returns the API of one user, as a client alone would see it.
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

// String returns the request as "PUT 7 If-Match ETag", or "POST 7 key 7".
func (r request) String() string {
	text := r.method
	if r.value != 0 {
		text += fmt.Sprint(" ", r.value)
	}
	if r.key != "" {
		text += " key " + r.key
	}
	if r.ifMatch != nil {
		text += fmt.Sprintf(" If-Match %s (%d)", r.ifMatch.etag, r.ifMatch.value)
	}
	return text
}

// String returns the result as "200 7 ETag", or "unknown".
func (r result) String() string {
	if r.status == 0 {
		return "unknown"
	}
	text := strconv.Itoa(r.status)
	if r.replayed {
		text += " replayed"
	}
	if r.user.exists {
		text += fmt.Sprintf(" %d %s", r.user.value, r.user.etag)
	}
	return text
}

// step reports whether a request can have the result in this state, and returns the state that it leaves.
func step(now user, req request, res result) (possible bool, next user) {
	accepted := req.ifMatch == nil || now.matches(*req.ifMatch)
	certain := req.ifMatch != nil && now.etag != "" && req.ifMatch.etag != "" // whether If-Match matches
	written := user{exists: true, value: req.value, key: req.key, etag: res.user.etag}
	if req.method == "PUT" {
		written.key = now.key
	}
	switch res.status {
	case 0: // It took effect here, if it could. That it took no effect is the same as an effect after all other requests.
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
		return now.matches(res.user), now.named(res.user.etag)
	case 201:
		if res.replayed {
			return now.matches(res.user) && now.key == req.key, now.named(res.user.etag)
		}
		return !now.exists, written
	case 204: // Without If-Match, it is also the response to a DELETE in doubt that then finds no user.
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
