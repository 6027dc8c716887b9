//nolint:paralleltest // the endpoint of AWS is set in the environment of the process
package release_test

import (
	"context"
	"strings"
	"testing"

	"github.com/userrequestapi/userdata/deploy/aws/changeset/changesettest"
	"github.com/userrequestapi/userdata/deploy/host/program"
	"github.com/userrequestapi/userdata/deploy/release"
	"github.com/userrequestapi/userdata/deploy/release/exitcode"
)

func revertDrift(s *release.Settings) { s.RevertDrift = true }

// Drift is reported instead of "nothing to change", and reverted only with REVERT_DRIFT.
func TestDriftIsReverted(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.succeed(t, release.Deploy)
	first := a.deployed(t)
	contains(t, a.succeed(t, release.Deploy, drift), "nothing to change")
	contains(t, a.succeed(t, release.Deploy, drift, revertDrift), "nothing to change")

	const repair = "REVERT_DRIFT=1 STAGE=test AWS_PROFILE=deployer AWS_REGION=" + changesettest.Region + " go tool mage deploy"
	a.Drift(stackName, "GetFunction", "/Timeout")
	changed := "MODIFIED  GetFunction (AWS::Lambda::Function) /Timeout"
	for name, do := range map[string]target{"deploy": release.Deploy, "deployFunction": function("get"), "status": release.Status} {
		out := a.succeed(t, do, drift)
		contains(t, out, changed, repair)
		if strings.Contains(out, "nothing to change") {
			t.Errorf("%s reports nothing to change:\n%s", name, out)
		}
	}
	contains(t, a.succeed(t, release.Plan, drift), changed, "go tool mage plan")

	// A deleted resource makes the deployment fail.
	a.Drift(stackName, "PutFunction")
	a.fail(t, release.Deploy, exitcode.Failed, []string{"PutFunction was deleted", repair + " creates it again"},
		drift)
	a.deployed(t).is(t, 1, "", "CREATE_COMPLETE")
	contains(t, a.succeed(t, release.Deploy), "nothing to change") // DRIFT=0

	out := a.succeed(t, release.Plan, revertDrift)
	contains(t, out, "~ GetFunction", "(Timeout; was changed outside of a deployment)", "+ PutFunction",
		"(was deleted outside of a deployment)")
	a.deployed(t).is(t, 1, "", "CREATE_COMPLETE")
	out = a.succeed(t, release.Deploy, revertDrift)
	contains(t, out, "~ GetFunction", "+ PutFunction", "Stage test is release 1")
	after := a.deployed(t)
	after.is(t, 1, "", "UPDATE_COMPLETE") // the same release, so that a rollback goes back from it as before
	if after.Key != first.Key {
		t.Errorf("release %s, want %s", after.Key, first.Key)
	}
	contains(t, a.succeed(t, release.Deploy, drift), "nothing to change")

	// With a change of the source it is a new release.
	a.Drift(stackName, "GetFunction")
	setCode(t, a.root, "get", "second")
	a.fail(t, release.Deploy, exitcode.Failed, []string{"GetFunction", repair})
	a.succeed(t, release.Deploy, revertDrift)
	a.deployed(t).is(t, 2, first.Key, "UPDATE_COMPLETE")
}

// A failed drift detection does not prevent a deployment.
func TestDriftDetectionFails(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.succeed(t, release.Deploy)
	a.Fault("DetectStackDrift", changesettest.AccessDenied("cloudformation:DetectStackDrift"))
	contains(t, a.succeed(t, release.Deploy, drift), "some resources could not be compared",
		"cloudformation:DetectStackDrift", "nothing to change")
}

// A new table with that name would prevent the restoration of a backup.
func TestDeletedTableIsNotReplaced(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.succeed(t, release.Deploy)
	a.Drift(stackName, "Table")
	a.fail(t, release.Deploy, exitcode.Failed, []string{"Table was deleted"}, drift)
	a.fail(t, release.Deploy, exitcode.Refused, []string{
		"the stage was not changed",
		tableName + " was deleted",
		"restore a backup",
		"REPLACE_TABLE=" + tableName + " REVERT_DRIFT=1 ",
	}, revertDrift)
	if sets := a.ChangeSets(stackName); len(sets) > 0 {
		t.Errorf("remaining change sets = %q, want none", sets)
	}
	contains(t, a.succeed(t, release.Deploy, revertDrift, func(s *release.Settings) { s.ReplaceTables = []string{tableName} }),
		"+ Table")
	contains(t, a.succeed(t, release.Deploy, drift), "nothing to change")
}

// The command in the message after an interruption has the settings of the interrupted target.
func TestCommandAfterInterruption(t *testing.T) { //nolint:tparallel // steps of one account
	t.Parallel()
	const place = "STAGE=test AWS_PROFILE=deployer AWS_REGION=" + changesettest.Region + " go tool mage "
	a := newAccount(t)
	for _, tt := range []struct {
		name    string
		do      target
		changes []func(*release.Settings)
		want    string
	}{
		{
			"deploy", release.Deploy, []func(*release.Settings){func(s *release.Settings) { s.AtOnce, s.ReplaceTables = true, []string{tableName} }},
			"AT_ONCE=1 SMOKE=0 DRIFT=0 REPLACE_TABLE=" + tableName + " " + place + "deploy waits for it",
		},
		{"deployFunction", function("get"), nil, place + "deployFunction get waits for it"},
		{"rollback", release.Rollback, nil, place + "status shows the outcome"}, // a second rollback would go back one more release
		{"destroy", release.Destroy, []func(*release.Settings){deleteTable}, "DELETE_TABLE=" + tableName + " " + place + "destroy waits for it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			setCode(t, a.root, "get", tt.name)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			action := "ExecuteChangeSet"
			if tt.name == "destroy" {
				action = "DeleteStack"
			}
			a.Before(action, func() { a.Before("DescribeStackEvents", func() { cancel(program.ErrStopped) }) })
			_, err := a.run(ctx, tt.do, tt.changes...)
			if code(err) != exitcode.Interrupted {
				t.Fatalf("error = %v with code %d, want code %d", err, code(err), exitcode.Interrupted)
			}
			contains(t, err.Error(), "the operation continues in AWS: "+tt.want)
			a.Run(stackName)
		})
	}
}
