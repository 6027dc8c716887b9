package user

import (
	"context"
	"slices"
)

// Store keeps users. Errors that a caller can act on are of type [*Error]; each method lists their codes. All methods can return
// [Throttled], if the store asks to come back later, and [Unavailable], if it cannot be reached or fails.
//
// A write is in doubt from the moment that a part of it may have reached the database without a definite response: the response
// was lost, incomplete or an internal error, or did not come in time. The outcome of a write is what happened:
//
//   - A nil error means that the write took effect once. A write in doubt returns it only if the database proves it: the user has
//     the revision of this write, or was created by this call.
//   - Any code but [Unavailable] means that the write took no effect and will take none.
//   - [Unavailable] means, for a write in doubt, that the outcome is unknown: the write may have taken effect, or may still do so, at
//     most once. Detail then says so.
//   - Delete without ifMatch in doubt that then finds no user returns nil, whoever deleted the user.
type Store interface {
	// Get returns the user with this id, as the last completed write left it. Codes: [NotFound].
	Get(ctx context.Context, id string) (User, error)

	// List returns up to limit users, in no particular order, that come after the user with the id after ("": from the
	// start). Users that exist all the while from the first page to the last come exactly once.
	List(ctx context.Context, after string, limit int) (Page, error)

	// Create adds a user with what a client sent, including its id. Codes: [InvalidUser], [BodyTooLarge], [Exists] if there
	// is a user with this id. If idempotency is not nil, a user that the same request created is returned as it is now, with
	// replayed true; [IdempotencyKeyReused] if the key created this user from another body.
	Create(ctx context.Context, sent Attributes, idempotency *Idempotency) (u User, replayed bool, err error)

	// Replace replaces the user with this id by what a client sent. With ifMatch not empty, only where the user's ETag is one
	// of them. Codes: [InvalidUser], [BodyTooLarge], [NotFound], [PreconditionFailed]; [Throttled] also where others kept
	// changing the user between every reading and writing of it.
	Replace(ctx context.Context, id string, sent Attributes, ifMatch []ETag) (User, error)

	// Delete deletes the user with this id. With ifMatch not empty, only where the user's ETag is one of them. Codes:
	// [NotFound], [PreconditionFailed]; [Throttled] as for Replace.
	Delete(ctx context.Context, id string, ifMatch []ETag) error
}

// Page is a part of the list of all users.
type Page struct {
	Users []User
	More  bool   // whether others follow
	Next  string // the id after which they follow, where More
}

// CheckMatch returns an [*Error] with the code [PreconditionFailed] unless ifMatch is empty or has the user's ETag.
func (u User) CheckMatch(ifMatch []ETag) error {
	if len(ifMatch) == 0 || slices.Contains(ifMatch, u.ETag) {
		return nil
	}
	return &Error{Code: PreconditionFailed, Detail: "The ETag of the user is none of those in If-Match: " +
		"the user has changed since it was read. " +
		"Read it again, and send the request for its present state, with the new ETag."}
}
