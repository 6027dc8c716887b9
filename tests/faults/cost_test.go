package faults_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/tests/unreliable"
)

// TestCost counts the requests to the database that a request takes when nothing fails: a write that cannot be in doubt pays nothing for
// those that are.
func TestCost(t *testing.T) {
	t.Parallel()
	p := unreliable.NewDatabase(t)
	s := startWarm(t, p, "a")
	for _, r := range requests("a") {
		p.Forget()
		r.send(t, s).Want(t, r.status)
		if diff := cmp.Diff(r.operations, operations(p)); diff != "" {
			t.Errorf("%s: requests to the database (-want +got):\n%s", r.name, diff)
		}
	}
}
