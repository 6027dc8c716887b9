package user

import (
	"context"
	"slices"
)

// Store stores users. Errors that a caller can act on are of type [*Error]; each method lists their codes. All
// methods can return [Throttled] if the database throttles requests, and [Unavailable] if it fails or cannot be
// reached.
//
// A write is in doubt as soon as it may have reached the database without a definite response: the response was lost,
// truncated, late, or an internal error. The error of a write states its outcome:
//
//   - A nil error means that the write took effect exactly once. A write in doubt returns nil only if the database
//     proves it: the user has the revision of this write, or was created by this call.
//   - Any code except [Unavailable] means that the write took no effect and will take none.
//   - [Unavailable] means, for a write in doubt, that the outcome is unknown: the write may have taken effect, or may
//     still do so, at most once. Detail is then [UnknownOutcome].
//   - Exception: a Delete in doubt, without ifMatch, that finds no user afterwards returns nil.
type Store interface {
	// Get returns the user with this id, including the effects of all completed writes. Codes: [NotFound].
	Get(ctx context.Context, id string) (User, error)

	// List returns up to limit users, in no particular order, that follow the user with the id after; "" starts at the
	// first user. A user that exists from the first page to the last is listed exactly once.
	List(ctx context.Context, after string, limit int) (Page, error)

	// Create creates a user with the attributes sent by a client, including its id. If idempotency is not nil and the
	// same request already created the user, Create returns its current state and replayed is true. Codes:
	// [InvalidUser], [BodyTooLarge], [Exists], and [IdempotencyKeyReused] if the key created the user from a
	// different body.
	Create(ctx context.Context, sent Attributes, idempotency *Idempotency) (u User, replayed bool, err error)

	// Replace replaces the user with this id by the attributes sent by a client. Unless ifMatch is empty, it must
	// contain the user's ETag. Codes: [InvalidUser], [BodyTooLarge], [NotFound], [PreconditionFailed], and
	// [Throttled] also if every attempt conflicted with another write.
	Replace(ctx context.Context, id string, sent Attributes, ifMatch []ETag) (User, error)

	// Delete deletes the user with this id. Unless ifMatch is empty, it must contain the user's ETag. Codes:
	// [NotFound], [PreconditionFailed], and [Throttled] as for Replace.
	Delete(ctx context.Context, id string, ifMatch []ETag) error
}

// Page is a page of the list of users.
type Page struct {
	Users []User
	More  bool   // whether there are more users
	Next  string // if More, the argument after for the next page
}

// CheckMatch returns an [*Error] with the code [PreconditionFailed] unless ifMatch is empty or contains the user's
// ETag.
func (u User) CheckMatch(ifMatch []ETag) error {
	if len(ifMatch) == 0 || slices.Contains(ifMatch, u.ETag) {
		return nil
	}
	return &Error{Code: PreconditionFailed, Detail: "The ETag of the user is none of those in If-Match: " +
		"the user has changed since it was read. " +
		"Read it again, and send the request for its present state, with the new ETag."}
}
