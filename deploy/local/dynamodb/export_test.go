package dynamodb

import (
	"context"
	"io"
	"os"
)

// Unpack is exported because only the pinned tarball passes the checksum.
func Unpack(ctx context.Context, packed io.Reader, root *os.Root) error {
	return unpack(ctx, packed, root)
}

// LogFile returns the path of the file with Java's output.
func (s *Server) LogFile() string { return s.logFile }

// Archive returns the path of the class archive for a java command.
func Archive(dir, java string) string { return program{dir}.archive(java).Path }

// Install installs the program in the user's cache and returns its folder.
func Install(ctx context.Context) (string, error) {
	p, err := newProgram("")
	if err != nil {
		return "", err
	}
	return p.dir, p.install(ctx, "npm", func(string) {})
}
