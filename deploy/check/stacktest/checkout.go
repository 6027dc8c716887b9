package stacktest

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
)

// Checkout copies the sources of the stack to a temporary folder, which a test may change, and returns its path.
func Checkout(tb testing.TB) string {
	tb.Helper()
	dir, root := tb.TempDir(), os.DirFS(testenv.Root(tb))
	for _, folder := range []string{"deploy", "functions", "shared"} {
		err := fs.WalkDir(root, folder, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || strings.HasSuffix(path, "_test.go") || !entry.Type().IsRegular() {
				return err
			}
			content, err := fs.ReadFile(root, path)
			if err != nil {
				return err
			}
			testenv.WriteFile(tb, filepath.Join(dir, path), string(content))
			return nil
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}
