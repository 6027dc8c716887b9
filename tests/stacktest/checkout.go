package stacktest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Checkout copies the sources of the stack to a temporary folder, which a test may change, and returns its path.
func Checkout(tb testing.TB) string {
	tb.Helper()
	dir := tb.TempDir()
	from, err := Root()
	if err != nil {
		tb.Fatal(err)
	}
	root := os.DirFS(from)
	for _, folder := range []string{"deploy", "functions", "shared"} {
		err := fs.WalkDir(root, folder, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || strings.HasSuffix(path, "_test.go") || !entry.Type().IsRegular() {
				return err
			}
			content, err := fs.ReadFile(root, path)
			if err != nil {
				return err
			}
			to := filepath.Join(dir, path)
			return errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, content, 0o600))
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}
