package guides_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCheckout_LineEndings clones the repository with the defaults of Git for Windows, and checks that every file is
// unchanged.
func TestCheckout_LineEndings(t *testing.T) {
	t.Parallel()
	published, clone := publish(t), filepath.Join(t.TempDir(), "clone")
	git(t, published, "clone", "--quiet", "-c", "core.autocrlf=true", ".", clone)
	names := strings.Split(strings.TrimRight(git(t, clone, "ls-files", "-z"), "\x00"), "\x00")
	for _, name := range names {
		want, err := os.ReadFile(filepath.Join(published, name))
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(clone, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs in the clone: want LF line endings", name)
		}
	}
	if len(names) < 100 {
		t.Errorf("got %d files in the clone, want all of the repository", len(names))
	}
}
