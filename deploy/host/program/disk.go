package program

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

var errDiskFull = errors.New("the disk is full")

// ExplainDiskFull adds the variables that select another disk to err, if err contains the operating system's message
// for a full disk. It returns other errors, and errors that it has already explained, unchanged.
func ExplainDiskFull(err error) error {
	if err == nil || errors.Is(err, errDiskFull) {
		return err
	}
	full := func(message string) bool { return strings.Contains(err.Error(), message) }
	messages := []string{"no space left on device", "disk quota exceeded", "not enough space on the disk"}
	if !slices.ContainsFunc(messages, full) {
		return err
	}
	return fmt.Errorf("%w\n%w: free some space, or choose another disk with TMPDIR for temporary files "+
		"(now %s) or GOCACHE for Go's build cache", err, errDiskFull, os.TempDir())
}
