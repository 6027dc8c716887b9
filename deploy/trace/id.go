package trace

import (
	"crypto/rand"
	"encoding/hex"
)

// NewID makes the id of a segment or subsegment: 16 hexadecimal digits.
func NewID() string {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails: crypto/rand
	return hex.EncodeToString(id[:])
}
