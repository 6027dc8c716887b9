package request

import (
	"crypto/sha256"
	"encoding/base64"

	"github.com/userrequestapi/userdata/shared/user"
)

// A cursor is the base64url encoding of a version, a checksum, and the id after which the page begins. The checksum
// detects values that this API did not issue. It needs no secret key: a cursor gives access to nothing beyond the
// list.
const (
	cursorVersion  = 1
	checksumLength = 8
)

func encodeCursor(after string) string {
	return base64.RawURLEncoding.EncodeToString(append(append([]byte{cursorVersion}, checksum(after)...), after...))
}

func decodeCursor(cursor string) (after string, err error) {
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(b) <= 1+checksumLength {
		return "", invalidCursor()
	}
	after = string(b[1+checksumLength:])
	if encodeCursor(after) != cursor || user.CheckKey(after) != nil {
		return "", invalidCursor()
	}
	return after, nil
}

func checksum(after string) []byte {
	sum := sha256.Sum256([]byte("cursor\x00" + after))
	return sum[:checksumLength]
}

func invalidCursor() error {
	return Invalidf("The cursor is not valid. Pass next from the previous page unchanged, or omit it to start over.")
}
