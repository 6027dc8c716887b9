package testenv_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
)

func TestRoot(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat(filepath.Join(testenv.Root(t), "deploy", "check", "testenv")); err != nil {
		t.Error(err)
	}
}

func TestFolder(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(filepath.Join(testenv.Folder(t, map[string]string{"a/b/c": "text"}), "a", "b", "c"))
	if err != nil || string(content) != "text" {
		t.Errorf("got %q, error %v, want text", content, err)
	}
}
