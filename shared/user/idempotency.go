package user

import (
	"crypto/sha256"

	"github.com/google/uuid"
)

// Idempotency names one request to create a user, so that a repetition of it is recognised (the Idempotency-Key header).
// It is kept with the user that the request made. Neither the key nor the body can be told from it.
type Idempotency struct {
	Key  string // the hash of the caller and the key
	Body string // the hash of what was sent, the same for JSON texts that are equal in value
}

// NewIdempotency names the request of caller, who sent attributes with key.
func NewIdempotency(caller, key string, sent Attributes) *Idempotency {
	return &Idempotency{
		Key:  digest([]byte(caller + "\x00" + key)),
		Body: digest(sent.AppendJSON(nil)),
	}
}

// UserID is the id of a user that came without one: it follows from the caller and the key, so that a repetition meets the user
// that the first request made. It is a UUIDv8 (RFC 9562 §5.8).
func (i *Idempotency) UserID() string {
	sum := sha256.Sum256([]byte("userId\x00" + i.Key))
	id := uuid.UUID(sum[:16])
	id[6] = id[6]&0x0f | 0x80 // version 8
	id[8] = id[8]&0x3f | 0x80 // variant of RFC 9562
	return id.String()
}
