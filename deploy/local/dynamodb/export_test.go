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

// Archive returns the path of the class archive for a java command.
func Archive(dir, java string) string { return program{dir}.archive(java).Path }

// Install returns the folder of the program in the user's cache.
func Install(ctx context.Context) (string, error) {
	p, err := newProgram("")
	if err != nil {
		return "", err
	}
	return p.dir, p.install(ctx, "npm", func(string) {})
}
