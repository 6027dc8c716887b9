package user

import (
	"crypto/sha256"

	"github.com/google/uuid"
)

// Idempotency identifies a create request with an Idempotency-Key header, to detect retries. It is stored with the
// user that the request created. It contains hashes only.
type Idempotency struct {
	Key  string // hash of the caller and the idempotency key
	Body string // hash of the attributes sent, the same for equal attributes
}

// NewIdempotency returns the identity of a request that caller sent with an idempotency key.
func NewIdempotency(caller, key string, sent Attributes) *Idempotency {
	return &Idempotency{
		Key:  digest([]byte(caller + "\x00" + key)),
		Body: digest(sent.AppendJSON(nil)),
	}
}

// UserID returns the id for a user sent without one: a UUIDv8 (RFC 9562 §5.8) derived from the caller and the key. A
// retry therefore has the same id as the first attempt.
func (i *Idempotency) UserID() string {
	sum := sha256.Sum256([]byte("userId\x00" + i.Key))
	id := uuid.UUID(sum[:16])
	id[6] = id[6]&0x0f | 0x80 // version 8
	id[8] = id[8]&0x3f | 0x80 // variant of RFC 9562
	return id.String()
}
