package faults_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/check/unreliable"
)

// TestCost checks the number of database requests per request without faults: the handling of writes in doubt adds
// none.
func TestCost(t *testing.T) {
	t.Parallel()
	p := unreliable.NewDatabase(t)
	s := startWarm(t, p, "a")
	for _, r := range requests(t, "a") {
		p.ResetOperations()
		r.send(t, s).Want(t, r.status)
		if diff := cmp.Diff(r.operations, operations(p)); diff != "" {
			t.Errorf("%s: requests to the database (-want +got):\n%s", r.name, diff)
		}
	}
}
