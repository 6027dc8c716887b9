package testenv

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/userrequestapi/userdata/deploy/host/program"
)

// Root returns the folder of the workspace as [program.FindRoot] does.
func Root(tb testing.TB) string {
	tb.Helper()
	root, err := program.FindRoot()
	if err != nil {
		tb.Fatal(err)
	}
	return root
}

// Folder returns a temporary folder with files, whose keys are slash-separated paths in it.
func Folder(tb testing.TB, files map[string]string) string {
	tb.Helper()
	dir := tb.TempDir()
	for path, content := range files {
		WriteFile(tb, filepath.Join(dir, filepath.FromSlash(path)), content)
	}
	return dir
}

// WriteFile writes a file, and creates the folders that its path names.
func WriteFile(tb testing.TB, path, content string) {
	tb.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o750), os.WriteFile(path, []byte(content), 0o600)); err != nil {
		tb.Fatal(err)
	}
}
