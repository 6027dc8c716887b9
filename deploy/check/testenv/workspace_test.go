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

func TestFindRoot_NoWorkspace(t *testing.T) {
	t.Chdir(t.TempDir())
	if root, err := testenv.FindRoot(); err == nil {
		t.Errorf("got %s, want an error", root)
	}
}

func TestFolder(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(filepath.Join(testenv.Folder(t, map[string]string{"a/b/c": "text"}), "a", "b", "c"))
	if err != nil || string(content) != "text" {
		t.Errorf("got %q, error %v, want text", content, err)
	}
}
