package dynamodb

import (
	"context"
	"io"
	"os"
)

// Unpack is tested by itself: no tarball but the pinned one gets that far.
func Unpack(ctx context.Context, packed io.Reader, root *os.Root) error {
	return unpack(ctx, packed, root)
}
