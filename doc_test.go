//go:build !mage

package workspace_test

import (
	"os"
	"testing"
)

// TestWorkspace fails in go test ./..., whose pattern matches none of the modules with tests.
func TestWorkspace(t *testing.T) {
	t.Parallel()
	if os.Getenv("TEST_SUMMARY") == "" { // set by go tool mage test
		t.Fatal("this folder has no tests: run go tool mage test for the tests of all modules, " +
			"or go test ./shared/... for those of one")
	}
}
