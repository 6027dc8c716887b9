package program_test

import (
	"testing"

	"github.com/userrequestapi/userdata/deploy/host/program"
)

func TestFindRoot_NoWorkspace(t *testing.T) {
	t.Chdir(t.TempDir())
	if root, err := program.FindRoot(); err == nil {
		t.Errorf("got %s, want an error", root)
	}
}
