// Package guides_test holds the guides, README.md and docs, to what they say: their commands are run, their outputs compared, and all
// that they name is looked up in the source.
package guides_test

import (
	"testing"

	"github.com/userrequestapi/userdata/tests/stacktest"
)

func TestMain(m *testing.M) { stacktest.Main(m) }

// root is the folder of the workspace.
func root(t *testing.T) string {
	t.Helper()
	dir, err := stacktest.Root()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
