package testenv

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// FindRoot returns the folder of the workspace: the working directory or its nearest parent with a go.work.
func FindRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the workspace: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("find the workspace: no go.work in this folder or its parents")
		}
		dir = parent
	}
}

// Root returns the folder of the workspace as [FindRoot] does.
func Root(tb testing.TB) string {
	tb.Helper()
	root, err := FindRoot()
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
