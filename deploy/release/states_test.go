//nolint:paralleltest // the endpoint of AWS is set in the environment of the process
package release_test

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/userrequestapi/userdata/deploy/aws/changeset/changesettest"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/host/program"
	"github.com/userrequestapi/userdata/deploy/release"
	"github.com/userrequestapi/userdata/deploy/release/exitcode"
	"github.com/userrequestapi/userdata/deploy/release/progress"
)

// A release is identified by the object key of its template.
func TestReleases(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	setContract(t, a.root)
	out := a.succeed(t, release.Deploy)
	first := a.deployed(t)
	first.is(t, 1, "", "CREATE_COMPLETE")
	contains(t, out, "created the bucket", "get is uploaded", "delete is uploaded", "Stage test is release 1")
	if a.object(first.Key) == nil {
		t.Errorf("the bucket has no template %s", first.Key)
	}
	for id, key := range first.code {
		if executable := a.executable(t, key); !bytes.Contains(executable, []byte("first")) {
			t.Errorf("%s: the package does not contain the executable that was built", id)
		}
	}

	a.takeCalls()
	contains(t, a.succeed(t, release.Deploy), "nothing to change", "get is unchanged")
	if calls := a.takeCalls("s3 PUT", "cloudformation Create", "cloudformation Execute"); len(calls) > 0 {
		t.Errorf("calls without a change = %q, want none", calls)
	}
	a.deployed(t).is(t, 1, "", "CREATE_COMPLETE")

	setCode(t, a.root, "get", "second")
	out = a.succeed(t, release.Deploy)
	second := a.deployed(t)
	second.is(t, 2, first.Key, "UPDATE_COMPLETE")
	contains(t, out, "get is uploaded", "post is unchanged", "Stage test is release 2")
	if got, want := changed(first.code, second.code), []string{"GetFunction"}; !slices.Equal(got, want) {
		t.Errorf("changed functions %q, want %q", got, want)
	}
	if calls := a.takeCalls("s3 PUT"); len(calls) != 2 {
		t.Errorf("uploads %q, want one function and the template", calls)
	}

	setCode(t, a.root, "put", "third")
	a.Fail(changesettest.Update, "PutFunction", "the disk is full")
	a.fail(t, release.Deploy, exitcode.Failed,
		[]string{"PutFunction", "the disk is full", "the stack is back in its previous state"})
	after := a.deployed(t)
	after.is(t, 2, first.Key, "UPDATE_ROLLBACK_COMPLETE")
	if diff := cmp.Diff(second.code, after.code); diff != "" {
		t.Errorf("deployed functions after the failure (-want +got):\n%s", diff)
	}

	a.succeed(t, release.Deploy)
	third := a.deployed(t)
	third.is(t, 3, second.Key, "UPDATE_COMPLETE")
	if got, want := changed(second.code, third.code), []string{"PutFunction"}; !slices.Equal(got, want) {
		t.Errorf("changed functions %q, want %q", got, want)
	}
}

// changed returns the functions with a different package.
func changed(before, after map[string]string) []string {
	var ids []string
	for id, key := range after {
		if before[id] != key {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func TestFirstDeploymentFailed(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.Fail(changesettest.Create, "ApiStage", "there is no role for logs")
	a.fail(t, release.Deploy, exitcode.Failed, []string{"ApiStage", "there is no role for logs", "ROLLBACK_COMPLETE"})
	a.WantStatus(t, stackName, "ROLLBACK_COMPLETE")
	failed := a.deployed(t).ID
	a.set(func(a *account) { a.tables[tableName] = users("ACTIVE") }) // created and retained
	contains(t, a.succeed(t, release.Deploy), "ROLLBACK_COMPLETE", "there is no role for logs",
		"importing it with all its data")
	now := a.deployed(t)
	now.is(t, 1, "", "UPDATE_COMPLETE")
	if now.ID == failed {
		t.Error("the failed stack was kept, want a new one")
	}
	if got := a.Resources(stackName)["Table"]; got != tableName {
		t.Errorf("table %s, want %s", got, tableName)
	}
}

// A deployed stack is never deleted: the next deployment first continues a failed rollback.
func TestRollbackOfUpdateFailed(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.succeed(t, release.Deploy)
	first := a.deployed(t)
	setCode(t, a.root, "put", "second")
	a.Fail(changesettest.Update, "PutFunction", "the disk is full")
	a.Fail(changesettest.Rollback, "PutFunction", "the key is disabled")
	a.fail(t, release.Deploy, exitcode.Failed, []string{"PutFunction", "the disk is full", "UPDATE_ROLLBACK_FAILED"})
	contains(t, a.succeed(t, release.Deploy), "continuing the rollback")
	now := a.deployed(t)
	now.is(t, 2, first.Key, "UPDATE_COMPLETE")
	if now.ID != first.ID {
		t.Error("the stack was replaced, want it kept")
	}
}

// A deployment that is killed before it executes its change set leaves an empty stack.
func TestKilledBeforeExecution(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"creation", "import"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t)
			if name == "import" {
				a.tables[tableName] = users("ACTIVE")
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			a.Before("ExecuteChangeSet", func() { cancel(program.ErrStopped) })
			a.Fault("ExecuteChangeSet", changesettest.Hang())
			if out, err := a.run(ctx, release.Deploy); code(err) != exitcode.Interrupted {
				t.Fatalf("error = %v with code %d, want code %d\n%s", err, code(err), exitcode.Interrupted, out)
			}
			a.WantStatus(t, stackName, "REVIEW_IN_PROGRESS")
			a.succeed(t, release.Deploy)
			if name == "import" {
				a.deployed(t).is(t, 1, "", "UPDATE_COMPLETE")
			} else {
				a.deployed(t).is(t, 1, "", "CREATE_COMPLETE")
			}
		})
	}
}

func TestExistingTable(t *testing.T) {
	t.Parallel()
	other := func(key, keyType string) *table {
		found := users("ACTIVE")
		found.key, found.keyType = key, keyType
		return found
	}
	tests := []struct {
		name     string
		table    *table
		code     int
		want     string // in the output, or the error
		imported bool
	}{
		{name: "active", table: users("ACTIVE"), want: "exists already", imported: true},
		{name: "being created", table: users("CREATING", "ACTIVE"), want: "is CREATING", imported: true},
		{name: "being changed", table: users("UPDATING", "ACTIVE"), want: "is UPDATING", imported: true},
		{name: "being deleted", table: users("DELETING", ""), want: "to be deleted"},
		{
			name:  "another key",
			table: other("id", "S"),
			code:  exitcode.Refused,
			want:  "its key is id (S): want userId (S), as in deploy/template.yaml",
		},
		{
			name:  "a number as the key",
			table: other("userId", "N"),
			code:  exitcode.Refused,
			want:  "its key is userId (N): want userId (S), as in deploy/template.yaml",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t)
			a.tables[tableName] = tt.table
			if tt.code != 0 {
				a.fail(t, release.Deploy, tt.code, []string{tt.want, tableName})
				a.WantStatus(t, stackName, "")
				if calls := a.takeCalls("dynamodb Up"); len(calls) > 0 {
					t.Errorf("calls that change the table = %q, want none", calls)
				}
				return
			}
			contains(t, a.succeed(t, release.Deploy), tt.want)
			now := a.deployed(t)
			if got := a.Resources(stackName)["Table"]; got != tableName {
				t.Errorf("table %s, want %s", got, tableName)
			}
			if !tt.imported {
				now.is(t, 1, "", "CREATE_COMPLETE")
				return
			}
			now.is(t, 1, "", "UPDATE_COMPLETE")
			if !tt.table.protected || !tt.table.recoverable {
				t.Errorf("deletion protection = %t, point-in-time recovery = %t, want both", tt.table.protected, tt.table.recoverable)
			}
			want := []string{
				"dynamodb UpdateContinuousBackups",
				"dynamodb UpdateTable",
				"cloudformation CreateChangeSet",
				"cloudformation CreateChangeSet",
			}
			if diff := cmp.Diff(want, a.takeCalls("dynamodb Up", "cloudformation Create")); diff != "" {
				t.Errorf("order (-want +got):\n%s", diff)
			}
		})
	}
}

// inWorkspace returns settings for the workspace at root.
func inWorkspace(root string) func(*release.Settings) {
	return func(s *release.Settings) { s.Root = root }
}

// race lets another deployment, whose source differs in the function put, run a target before the next call of an
// action.
func (a *account) race(t *testing.T, action string, do target) {
	t.Helper()
	root := functions(t)
	setCode(t, root, "put", "faster")
	a.Before(action, func() {
		if out, err := a.run(t.Context(), do, inWorkspace(root)); err != nil {
			t.Errorf("the other deployment: %v\n%s", err, out)
		}
	})
}

func TestConcurrentDeployment(t *testing.T) {
	t.Parallel()
	for _, action := range []string{"CreateChangeSet", "ExecuteChangeSet"} {
		later := func(t *testing.T) { // -short runs the race that is closer to the execution
			t.Helper()
			if action == "CreateChangeSet" {
				testenv.SkipUnlessAll(t)
			}
		}
		t.Run("first deployments before "+action, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t)
			a.race(t, action, release.Deploy)
			contains(t, a.succeed(t, release.Deploy), "another deployment has changed the stack")
			now := a.deployed(t)
			if now.Number != 2 || !strings.HasPrefix(now.Previous, "templates/"+stackName+"/000001-") ||
				now.Status != "UPDATE_COMPLETE" {
				t.Errorf("release %d after %q, stack status %s, want release 2 after the first, UPDATE_COMPLETE",
					now.Number, now.Previous, now.Status)
			}
			if sets := a.ChangeSets(stackName); len(sets) > 1 { // an obsolete one may remain
				t.Errorf("remaining change sets = %q, want at most one", sets)
			}
		})
		t.Run("deploy before "+action, func(t *testing.T) {
			t.Parallel()
			later(t)
			a := newAccount(t)
			a.succeed(t, release.Deploy)
			setCode(t, a.root, "get", "slower")
			a.race(t, action, function("put"))
			contains(t, a.succeed(t, release.Deploy), "another deployment has changed the stack")
			now := a.deployed(t)
			if now.Number != 3 || !strings.HasPrefix(now.Previous, "templates/"+stackName+"/000002-") {
				t.Errorf("release %d after %q, want release 3 after release 2", now.Number, now.Previous)
			}
			for id, value := range map[string]string{"GetFunction": "slower", "PutFunction": "first"} { // as in its own source
				if executable := a.executable(t, now.code[id]); !bytes.Contains(executable, []byte(value)) {
					t.Errorf("%s does not contain %q", id, value)
				}
			}
		})
		t.Run("deployFunction before "+action, func(t *testing.T) {
			t.Parallel()
			later(t)
			a := newAccount(t)
			a.succeed(t, release.Deploy)
			setCode(t, a.root, "get", "slower")
			a.race(t, action, function("put"))
			contains(t, a.succeed(t, function("get")), "another deployment has changed the stack")
			now := a.deployed(t)
			if now.Number != 3 || !strings.HasPrefix(now.Previous, "templates/"+stackName+"/000002-") {
				t.Errorf("release %d after %q, want release 3 after release 2", now.Number, now.Previous)
			}
			for id, value := range map[string]string{"GetFunction": "slower", "PutFunction": "faster", "PostFunction": "first"} {
				if executable := a.executable(t, now.code[id]); !bytes.Contains(executable, []byte(value)) {
					t.Errorf("%s does not contain %q", id, value)
				}
			}
		})
		t.Run("rollback before "+action, func(t *testing.T) {
			t.Parallel()
			later(t)
			a := newAccount(t)
			a.succeed(t, release.Deploy)
			setCode(t, a.root, "get", "slower")
			a.succeed(t, function("get"))
			a.race(t, action, function("put"))
			a.fail(t, release.Rollback, exitcode.Failed, []string{"release 3 was deployed in the meantime"})
			if now := a.deployed(t); now.Number != 3 {
				t.Errorf("release %d, want 3", now.Number)
			}
		})
	}
}

// function is the target for one function.
func function(name string) target {
	return func(ctx context.Context, s release.Settings) error { return release.Function(ctx, s, name) }
}

func TestTableIsProtected(t *testing.T) { //nolint:tparallel // steps of one account
	t.Parallel()
	tests := []struct {
		name   string
		change func(t *testing.T, root string)
		want   string
	}{
		{"removed", func(t *testing.T, root string) { setStage(t, root, "ExistingTableName: Others") }, "from the stack"},
		{
			"renamed",
			func(t *testing.T, root string) { setTemplate(t, root, `"UserData-\$`, `"Users-$$`) },
			"replaces the table " + tableName,
		},
	}
	a := newAccount(t)
	a.succeed(t, release.Deploy)
	first, root := a.deployed(t), a.root
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a.root = functions(t)
			tt.change(t, a.root)
			a.fail(
				t,
				release.Deploy,
				exitcode.Refused,
				[]string{"the stage was not changed", tt.want, "REPLACE_TABLE=" + tableName + " SMOKE=0 DRIFT=0 STAGE="},
				func(s *release.Settings) { s.ReplaceTables = []string{"UserData"} },
			)
			a.deployed(t).is(t, 1, "", "CREATE_COMPLETE")
			if sets := a.ChangeSets(stackName); len(sets) > 0 {
				t.Errorf("remaining change sets = %q, want none", sets)
			}
		})
	}
	a.root = root
	tests[0].change(t, root)
	contains(t, a.succeed(t, release.Deploy, func(s *release.Settings) { s.ReplaceTables = []string{tableName} }), "REPLACE_TABLE")
	a.deployed(t).is(t, 2, first.Key, "UPDATE_COMPLETE")
}

func TestRollback(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.fail(t, release.Rollback, exitcode.Settings, []string{"is not deployed"})
	setStage(t, a.root, "DeploymentPreference: Canary10Percent5Minutes, LogLevel: DEBUG")
	a.succeed(t, release.Deploy)
	first := a.deployed(t)
	a.fail(t, release.Rollback, exitcode.Settings, []string{"is the first"})
	setCode(t, a.root, "get", "second")
	a.succeed(t, function("get"))
	second := a.deployed(t)
	setStage(t, a.root, "DeploymentPreference: Canary10Percent5Minutes, LogLevel: ERROR")
	setCode(t, a.root, "put", "third")
	a.succeed(t, release.Deploy)

	for _, want := range []deployed{second, first} {
		contains(t, a.succeed(t, release.Rollback), fmt.Sprintf("to release %d", want.Number),
			fmt.Sprintf("Stage test is release %d", want.Number))
		now := a.deployed(t)
		now.is(t, want.Number, want.Previous, "UPDATE_COMPLETE")
		want.parameters["DeploymentPreference"] = "AllAtOnce" // only the deployment is not gradual
		if diff := cmp.Diff(want.parameters, now.parameters); diff != "" {
			t.Errorf("parameters of release %d (-want +got):\n%s", want.Number, diff)
		}
		if diff := cmp.Diff(want.code, now.code); diff != "" {
			t.Errorf("packages of release %d (-want +got):\n%s", want.Number, diff)
		}
	}
	a.fail(t, release.Rollback, exitcode.Settings, []string{"is the first"})

	// The next deployment follows the release that it replaces.
	a.succeed(t, release.Deploy)
	now := a.deployed(t)
	if now.Previous != first.Key || now.parameters["DeploymentPreference"] != "Canary10Percent5Minutes" {
		t.Errorf("previous release %q, want %q; parameters %v", now.Previous, first.Key, now.parameters)
	}
	a.remove(first.Key)
	a.fail(t, release.Rollback, exitcode.Failed,
		[]string{"no longer in the bucket " + bucketName, "go tool mage deploy"})
	if got := a.deployed(t); got.Key != now.Key {
		t.Errorf("release %d, want %d", got.Number, now.Number)
	}
}

// A rollback that fails keeps the current release, and can be retried.
func TestRollbackFails(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.succeed(t, release.Deploy)
	first := a.deployed(t)
	setCode(t, a.root, "get", "second")
	a.succeed(t, function("get"))
	a.Fail(changesettest.Update, "GetFunction", "the package is gone")
	a.fail(t, release.Rollback, exitcode.Failed, []string{"the package is gone", "the stack is back in its previous state"})
	a.deployed(t).is(t, 2, first.Key, "UPDATE_ROLLBACK_COMPLETE")
	a.succeed(t, release.Rollback)
	a.deployed(t).is(t, 1, "", "UPDATE_COMPLETE")
}

func TestFunction(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.fail(t, function("get"), exitcode.Settings, []string{"is not deployed"})
	setStage(t, a.root, "Architecture: x86_64, LogLevel: DEBUG")
	a.succeed(t, release.Deploy)
	first := a.deployed(t)
	a.fail(t, function("gte"), exitcode.Settings, []string{`no function "gte"`, "delete, get, post, put"})

	// Only the named function is deployed, although others have changed.
	setStage(t, a.root, "Architecture: arm64, LogLevel: ERROR")
	testenv.WriteFile(t, a.root+"/functions/get/main.go", "package main\n\nfunc main() {}\n")
	setCode(t, a.root, "put", "second")
	contains(t, a.succeed(t, function("get")), "Building get for linux/amd64", "is deployed")
	second := a.deployed(t)
	second.is(t, 2, first.Key, "UPDATE_COMPLETE")
	if got, want := changed(first.code, second.code), []string{"GetFunction"}; !slices.Equal(got, want) {
		t.Errorf("changed functions %q, want %q", got, want)
	}
	if diff := cmp.Diff(first.parameters, second.parameters); diff != "" {
		t.Errorf("parameters (-want +got):\n%s", diff)
	}
	file, err := elf.NewFile(bytes.NewReader(a.executable(t, second.code["GetFunction"])))
	if err != nil {
		t.Fatal(err)
	}
	if file.Machine != elf.EM_X86_64 {
		t.Errorf("built for %s, want %s", file.Machine, elf.EM_X86_64)
	}
	contains(t, a.succeed(t, function("get")), "nothing to change")

}

// A compilation error changes nothing and is reported with its position.
func TestBrokenSource(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.succeed(t, release.Deploy)
	testenv.WriteFile(t, a.root+"/functions/get/main.go", "package main\n\nfunc main() { broken }\n")
	a.takeCalls()
	for _, do := range []target{release.Deploy, release.Plan, function("get")} {
		a.fail(t, do, exitcode.Failed, []string{"functions/get/main.go:3", "broken"})
	}
	if calls := a.takeCalls("s3 PUT", "cloudformation Create"); len(calls) > 0 {
		t.Errorf("calls = %q, want none", calls)
	}
}

func confirm(s *release.Settings) { s.Confirm = "test" }

func deleteTable(s *release.Settings) { s.Confirm, s.DeleteTables = "test", []string{tableName} }

// A stage whose packages are in a bucket of the global namespace keeps it. If another account has taken that name, the
// stage uses a bucket of its account's namespace.
func TestBucket(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		set  func(*account)
		want string
	}{
		{"none", func(*account) {}, bucketName},
		{"that of an earlier version", func(a *account) { a.settings[globalName] = []byte{} }, globalName},
		{"of another account", func(a *account) { a.foreign = globalName }, bucketName},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t)
			a.set(tt.set)
			a.succeed(t, release.Plan)
			a.succeed(t, release.Deploy)
			setCode(t, a.root, "get", "second")
			a.succeed(t, function("get"))
			a.succeed(t, release.Rollback)
			if got := a.deployed(t).parameters["ArtifactBucket"]; got != tt.want {
				t.Errorf("bucket %s, want %s", got, tt.want)
			}
			for _, call := range a.takeCalls("s3 PUT") {
				if bucket := regexp.MustCompile(`[/?]`).Split(strings.TrimPrefix(call, "s3 PUT /"), 2)[0]; bucket != tt.want {
					t.Errorf("unexpected call %s", call)
				}
			}
		})
	}
}

func TestDestroy(t *testing.T) {
	t.Parallel()
	t.Run("the table is retained and imported again", func(t *testing.T) {
		t.Parallel()
		a := newAccount(t)
		a.succeed(t, release.Deploy)
		a.set(func(a *account) { a.tables[tableName] = users("ACTIVE") })
		contains(t, a.succeed(t, release.Destroy, confirm), "the table "+tableName+" is retained")
		a.WantStatus(t, stackName, "")
		if calls := a.takeCalls("dynamodb Up", "dynamodb Delete"); len(calls) > 0 {
			t.Errorf("calls that change the table = %q, want none", calls)
		}
		contains(t, a.succeed(t, release.Destroy, confirm), "there is no stack")
		contains(t, a.succeed(t, release.Deploy), "importing it with all its data")
		a.deployed(t).is(t, 1, "", "UPDATE_COMPLETE")
	})
	t.Run("with its table", func(t *testing.T) {
		t.Parallel()
		a := newAccount(t)
		a.succeed(t, release.Deploy)
		a.set(func(a *account) { a.tables[tableName] = users("ACTIVE") })
		a.tables[tableName].protected = true
		contains(t, a.succeed(t, release.Destroy, deleteTable), "Deleting the table "+tableName)
		if got := a.Status(stackName); got != "" || a.tables[tableName].statuses[0] != "" {
			t.Errorf("stack status %q, table status %q, want neither to exist", got, a.tables[tableName].statuses[0])
		}
		want := []string{"dynamodb UpdateTable", "dynamodb DeleteTable"}
		if diff := cmp.Diff(want, a.takeCalls("dynamodb Up", "dynamodb Delete")); diff != "" {
			t.Errorf("calls (-want +got):\n%s", diff)
		}
	})
	for _, tt := range []struct {
		name  string
		table *table
		want  []string // calls that change the table
	}{
		{"a table that is not protected", users("ACTIVE"), []string{"dynamodb DeleteTable"}},
		{"a table that is being deleted", users("DELETING", ""), nil},
		{"a table that is gone", nil, nil},
	} {
		t.Run(tt.name+" and no stack", func(t *testing.T) {
			t.Parallel()
			a := newAccount(t)
			a.tables[tableName] = tt.table
			contains(t, a.succeed(t, release.Destroy, deleteTable), "there is no stack")
			if diff := cmp.Diff(tt.want, a.takeCalls("dynamodb Up", "dynamodb Delete"), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			if tt.table != nil && tt.table.statuses[0] != "" {
				t.Errorf("table status %s, want no table", tt.table.statuses[0])
			}
		})
	}
	t.Run("a resource is not deleted", func(t *testing.T) {
		t.Parallel()
		a := newAccount(t)
		a.succeed(t, release.Deploy)
		a.Fail(changesettest.Delete, "GetLogGroup", "somebody writes to it")
		a.fail(t, release.Destroy, exitcode.Failed, []string{"GetLogGroup", "somebody writes to it"}, confirm)
		a.WantStatus(t, stackName, "DELETE_FAILED")
		a.succeed(t, release.Destroy, confirm)
		a.WantStatus(t, stackName, "")
	})
	t.Run("a resource is not deleted, and the stage is deployed again", func(t *testing.T) {
		t.Parallel()
		a := newAccount(t)
		a.succeed(t, release.Deploy)
		a.Fail(changesettest.Delete, "GetLogGroup", "somebody writes to it")
		a.fail(t, release.Destroy, exitcode.Failed, []string{"GetLogGroup"}, confirm)
		a.tables[tableName] = users("ACTIVE") // retained
		contains(t, a.succeed(t, release.Deploy), "DELETE_FAILED")
		a.deployed(t).is(t, 1, "", "UPDATE_COMPLETE")
	})
	t.Run("after a failed first deployment", func(t *testing.T) {
		t.Parallel()
		a := newAccount(t)
		a.Fail(changesettest.Create, "Api", "no")
		a.fail(t, release.Deploy, exitcode.Failed, []string{"Api"})
		a.succeed(t, release.Destroy, confirm)
		a.WantStatus(t, stackName, "")
	})
	t.Run("while a deployment is under way", func(t *testing.T) {
		t.Parallel()
		a := newAccount(t)
		a.interrupted(t, release.Deploy)
		a.succeed(t, release.Destroy, confirm)
		a.WantStatus(t, stackName, "")
	})
}

// interrupted runs a target and interrupts it after CloudFormation has started.
func (a *account) interrupted(t *testing.T, do target) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	a.Pace(1)
	defer a.Pace(pace)
	a.Before("ExecuteChangeSet", func() {
		a.Before("DescribeStackEvents", func() {})
		a.Before("DescribeStackEvents", func() { cancel(program.ErrStopped) })
	})
	out, err := a.run(ctx, do)
	if code(err) != exitcode.Interrupted {
		t.Fatalf("error = %v with code %d, want code %d\n%s", err, code(err), exitcode.Interrupted, out)
	}
	contains(t, err.Error(), "continues in AWS")
	if got := a.Status(stackName); !strings.HasSuffix(got, "_IN_PROGRESS") {
		t.Fatalf("stack status %s, want it in progress", got)
	}
}

func TestInterruptedInTheMiddle(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.interrupted(t, release.Deploy)
	contains(t, a.succeed(t, release.Deploy), "waiting for it to end", "nothing to change", "Stage test is release 1")
	a.deployed(t).is(t, 1, "", "CREATE_COMPLETE")
	setCode(t, a.root, "get", "second")
	a.interrupted(t, function("get"))
	a.Pace(1) // so that the update outlasts the next target
	a.fail(t, release.Plan, exitcode.Failed, []string{"a deployment is under way"})
	setCode(t, a.root, "get", "third")
	contains(t, a.succeed(t, release.Deploy), "waiting for it to end")
	if now := a.deployed(t); now.Number != 3 || now.Status != "UPDATE_COMPLETE" {
		t.Errorf("release %d, stack status %s, want release 3, UPDATE_COMPLETE", now.Number, now.Status)
	}
}

func TestForeignStack(t *testing.T) {
	t.Parallel()
	targets := map[string]target{
		"deploy": release.Deploy, "plan": release.Plan, "deployFunction": function("get"), "rollback": release.Rollback,
		"destroy": release.Destroy, "smoke": release.Smoke, "status": release.Status,
	}
	const yaml = "Resources:\n  Topic:\n    Type: AWS::SNS::Topic\n"
	for _, tt := range []struct{ status, document string }{
		{status: "CREATE_COMPLETE"}, {"CREATE_COMPLETE", yaml}, {status: "ROLLBACK_COMPLETE"}, {"ROLLBACK_COMPLETE", yaml},
		{status: "UPDATE_ROLLBACK_FAILED"}, {status: "DELETE_FAILED"},
	} {
		t.Run(fmt.Sprintf("%s %.9s", tt.status, tt.document), func(t *testing.T) {
			t.Parallel()
			a := newAccount(t)
			a.document = tt.document
			a.Put(stackName, tt.status, []byte(`{"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}`))
			for name, do := range targets {
				t.Run(name, func(t *testing.T) {
					a.fail(t, do, exitcode.Settings, []string{"the stack " + stackName, "was not created by this tool"}, confirm)
				})
			}
			if got := a.Status(stackName); got != tt.status || len(a.Resources(stackName)) != 1 {
				t.Errorf("stack status %s with resources %v, want %s with one", got, a.Resources(stackName), tt.status)
			}
		})
	}
}

func drift(s *release.Settings) { s.Drift = true }

func TestStatus(t *testing.T) {
	t.Parallel()
	t.Run("deployed", func(t *testing.T) {
		t.Parallel()
		a := newAccount(t)
		a.succeed(t, release.Deploy)
		contains(t, a.succeed(t, release.Status), "Drift    not checked")
		contains(t, a.succeed(t, release.Status, drift), "Drift    none")

		a.addAlarms()
		a.set(func(a *account) { a.alarms[stackName+"/get-errors"] = "ALARM" })
		a.Drift(stackName, "GetFunction", "/Timeout")
		contains(t, a.succeed(t, release.Status, drift), "CREATE_COMPLETE", "Release  1", "version 7, Active, functions/get/",
			"  ALARM             UserRequestAPI-test/get-errors\n", "  OK                UserRequestAPI-test\n",
			"MODIFIED  GetFunction (AWS::Lambda::Function) /Timeout")

		setCode(t, a.root, "get", "second")
		a.Fail(changesettest.Update, "GetFunction", "the disk is full")
		a.fail(t, function("get"), exitcode.Failed, []string{"the disk is full"})
		contains(t, a.succeed(t, release.Status), "UPDATE_ROLLBACK_COMPLETE", "Release  1", "the disk is full")
	})
	t.Run("in creation", func(t *testing.T) {
		t.Parallel()
		a := newAccount(t)
		a.interrupted(t, release.Deploy)
		out, err := a.run(t.Context(), release.Status, drift)
		contains(t, out+fmt.Sprint(err), "CREATE_IN_PROGRESS")
	})
	t.Run("failed", func(t *testing.T) {
		t.Parallel()
		a := newAccount(t)
		a.Fail(changesettest.Create, "ApiStage", "there is no role for logs")
		a.fail(t, release.Deploy, exitcode.Failed, []string{"there is no role for logs"})
		out, err := a.run(t.Context(), release.Status, drift)
		contains(t, out+fmt.Sprint(err), "ROLLBACK_COMPLETE", "there is no role for logs")
	})
	t.Run("none", func(t *testing.T) {
		t.Parallel()
		a := newAccount(t)
		a.fail(t, release.Status, exitcode.Settings, []string{"is not deployed", "there is no stack " + stackName})
		if calls := a.takeCalls("cloudformation "); len(calls) != 1 { // the stack may be created before another call
			t.Errorf("calls %q, want one", calls)
		}
	})
}

// statusOf returns the status that the target prints as JSON, and its error.
func (a *account) statusOf(t *testing.T) (release.StageStatus, error) {
	t.Helper()
	lines, err := a.lines(t, release.Status, drift)
	results := with("result", lines)
	if len(results) != 1 {
		t.Fatalf("%d results, %v; want one", len(results), err)
	}
	encoded, _ := json.Marshal(results[0]["result"])
	var status release.StageStatus
	if err := json.Unmarshal(encoded, &status); err != nil {
		t.Fatal(err)
	}
	return status, err
}

// The status has the alarms of the template.
func TestStatus_Alarms(t *testing.T) { //nolint:tparallel // steps of one account
	t.Parallel()
	a := newAccount(t)
	a.succeed(t, release.Deploy)
	a.addAlarms()
	want := maps.Clone(a.alarms)
	if len(want) < 10 {
		t.Fatalf("alarms of the template = %v, want at least 10", want)
	}
	check := func(t *testing.T) {
		t.Helper()
		status, err := a.statusOf(t)
		if diff := cmp.Diff(want, status.Alarms); diff != "" || err != nil {
			t.Errorf("error = %v, alarms (-want +got):\n%s", err, diff)
		}
	}
	t.Run("all", check)
	t.Run("in alarm", func(t *testing.T) {
		a.set(func(a *account) { a.alarms[stackName+"/server-errors"], a.alarms[stackName] = "ALARM", "ALARM" })
		want[stackName+"/server-errors"], want[stackName] = "ALARM", "ALARM"
		check(t)
	})
	t.Run("deleted by hand", func(t *testing.T) {
		a.set(func(a *account) { delete(a.alarms, stackName+"/latency") })
		want[stackName+"/latency"] = "MISSING"
		check(t)
	})
	t.Run("named by ARN", func(t *testing.T) {
		a.SetPhysicalID(stackName, "Alarm",
			"arn:aws:cloudwatch:"+changesettest.Region+":"+changesettest.Account+":alarm:"+stackName)
		check(t)
	})
}

// The owner of the address in AlarmEmail must confirm the subscription: the deployment and the status say so.
func TestStatus_Notification(t *testing.T) { //nolint:tparallel // steps of one account
	t.Parallel()
	a := newAccount(t)
	setStage(t, a.root, "AlarmEmail: team@example.org")
	a.set(func(a *account) { a.pending = true })
	const hint = "its owner must open the link in the email"
	if out := a.succeed(t, release.Deploy); !strings.Contains(out, "alarms do not notify team@example.org yet: "+hint) {
		t.Errorf("deployment prints\n%s\nwant what to do about the subscription", out)
	}
	a.addAlarms()
	check := func(t *testing.T, want release.Notification, text string) {
		t.Helper()
		status, err := a.statusOf(t)
		next := cmpopts.IgnoreFields(release.Notification{}, "Next")
		if diff := cmp.Diff(want, status.Notification, next); diff != "" || err != nil {
			t.Errorf("error = %v, notification (-want +got):\n%s", err, diff)
		}
		if out := a.succeed(t, release.Status); !strings.Contains(out, text) {
			t.Errorf("status prints\n%s\nwant %q in it", out, text)
		}
	}
	t.Run("pending", func(t *testing.T) {
		check(t, release.Notification{Email: "team@example.org"}, "team@example.org is not notified: PENDING, "+hint)
		status, _ := a.statusOf(t)
		contains(t, status.Notification.Next, "aws sns subscribe --topic-arn ", " --notification-endpoint team@example.org")
	})
	t.Run("confirmed", func(t *testing.T) {
		a.set(func(a *account) { a.pending = false })
		check(t, release.Notification{Email: "team@example.org", Confirmed: true}, "team@example.org is notified")
	})
	t.Run("not read", func(t *testing.T) {
		a.set(func(a *account) {
			a.faults["sns GetTopicAttributes"] = fault{http.StatusForbidden, "AuthorizationError", "not authorized"}
		})
		status, err := a.statusOf(t)
		if err == nil || status.Errors["notification"] == "" || len(status.Alarms) == 0 {
			t.Errorf("status = %+v, error = %v, want the alarms and an error for the notification", status, err)
		}
	})
}

// A part that cannot be read does not hide the others.
func TestStatus_Parts(t *testing.T) { //nolint:tparallel // steps of one account
	t.Parallel()
	a := newAccount(t)
	a.succeed(t, release.Deploy)
	a.addAlarms()
	a.Drift(stackName, "GetFunction")
	get := a.Resources(stackName)["GetFunction"]
	alias := "lambda GET /2015-03-31/functions/" + get + "/aliases/live"
	denied := func(action string) fault {
		return fault{
			http.StatusForbidden, "AccessDeniedException",
			"User: arn:aws:iam::1:user/x is not authorized to perform: " + action + " on resource: y",
		}
	}
	functions := 4
	tests := []struct {
		name    string
		set     func(*account)
		code    int
		message string // contained in the error
		errors  []string
		change  func(want *release.StageStatus)
		text    []string // contained in the text output
	}{
		{name: "all"},
		{
			name: "a function was deleted by hand",
			set: func(a *account) {
				a.faults[alias] = fault{http.StatusNotFound, "ResourceNotFoundException", "Function not found: " + get}
			},
			change: func(want *release.StageStatus) {
				f := &want.Functions[slices.IndexFunc(want.Functions, func(f release.FunctionStatus) bool { return f.Name == get })]
				f.Version, f.State, f.Reason = "", "MISSING", "Function not found: "+get
			},
			text: []string{"MISSING: Function not found", "DELETED   GetFunction"},
		},
		{
			name: "a function", set: func(a *account) { a.faults[alias] = denied("lambda:GetAlias") },
			code: exitcode.Account, message: "lambda:GetAlias", errors: []string{get},
			change: func(want *release.StageStatus) {
				f := &want.Functions[slices.IndexFunc(want.Functions, func(f release.FunctionStatus) bool { return f.Name == get })]
				f.Version, f.State = "", ""
			},
			text: []string{"not read: ", "version 7, Active"},
		},
		{
			name: "the alarms",
			set:  func(a *account) { a.faults["monitoring DescribeAlarms"] = denied("cloudwatch:DescribeAlarms") },
			code: exitcode.Account, message: "cloudwatch:DescribeAlarms", errors: []string{"alarms"},
			change: func(want *release.StageStatus) { want.Alarms = nil },
			text:   []string{"Alarms\n  not read: ", "version 7, Active"},
		},
		{
			name: "the drift",
			set: func(a *account) {
				a.Fault("DetectStackDrift", changesettest.AccessDenied("cloudformation:DetectStackDrift"))
			},
			code: exitcode.Account, message: "cloudformation:DetectStackDrift", errors: []string{"drift"},
			change: func(want *release.StageStatus) { want.Drift = nil },
			text:   []string{"Drift    some resources could not be compared", "version 7, Active"},
		},
		{
			name: "the resources",
			set: func(a *account) {
				a.Fault("ListStackResources", changesettest.AccessDenied("cloudformation:ListStackResources"))
			},
			code: exitcode.Account, message: "cloudformation:ListStackResources", errors: []string{"alarms", "functions"},
			change: func(want *release.StageStatus) { want.Functions, want.Alarms = nil, nil },
			text:   []string{"Functions\n  not read: ", "Release  1"},
		},
		{
			name: "the events",
			set: func(a *account) {
				a.Fault("DescribeStackEvents", changesettest.AccessDenied("cloudformation:DescribeStackEvents"))
			},
			code: exitcode.Account, message: "cloudformation:DescribeStackEvents", errors: []string{"failure"},
			text: []string{"Failure  not read: ", "version 7, Active"},
		},
	}
	all, err := a.statusOf(t)
	if err != nil || len(all.Functions) != functions || len(all.Alarms) == 0 || len(all.Drift) != 1 {
		t.Fatalf("status = %+v, error = %v, want %d functions, alarms and one drift", all, err, functions)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			set := func() {
				if tt.set != nil {
					a.set(tt.set)
				}
			}
			set()
			out, _ := a.run(t.Context(), release.Status, drift)
			contains(t, out, tt.text...)
			set()
			status, err := a.statusOf(t)
			if code(err) != tt.code {
				t.Errorf("error = %v with code %d, want code %d", err, code(err), tt.code)
			}
			contains(t, fmt.Sprint(err), tt.message)
			want := all
			want.Functions = slices.Clone(all.Functions)
			if tt.change != nil {
				tt.change(&want)
			}
			if diff := cmp.Diff(want, status, cmpopts.IgnoreFields(release.StageStatus{}, "Errors"),
				cmpopts.IgnoreUnexported(release.StageStatus{})); diff != "" {
				t.Errorf("status (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.errors, slices.Sorted(maps.Keys(status.Errors))); diff != "" {
				t.Errorf("errors by part (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPlan(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	out := a.succeed(t, release.Plan)
	contains(t, out, "+ Api ", "+ GetFunction ", "+ Table ", "fixed costs: 7.20 US dollars a month, +7.20 by this change: ",
		"metrics in alarms 37 (+37), composite alarms 1 (+1), dashboards 1 (+1)")
	a.WantStatus(t, stackName, "")
	if calls := a.takeCalls("s3 PUT", "cloudformation Create"); len(calls) > 0 {
		t.Errorf("calls = %q, want none", calls)
	}
	a.succeed(t, release.Deploy)
	before := a.deployed(t)
	a.takeCalls()
	setCode(t, a.root, "get", "second")
	setTemplate(t, a.root, `"UserData-\$`, `"Users-$$`)
	setStage(t, a.root, "AlarmEmail: team@example.org")
	out = a.succeed(t, release.Plan)
	contains(t, out, "fixed costs: 8.20 US dollars a month, +1.00 by this change: metrics in alarms 37, composite alarms 1",
		"KMS keys 1 (+1)")
	contains(t, out, "~ GetFunction ", "(Code)", "= GetVersion", "(retained: ",
		"! Table ", "REPLACED: TableName; the old one is retained")
	if removed := regexp.MustCompile(`- \w*Version\w* +AWS::Lambda::Version`).FindString(out); removed != "" {
		t.Errorf("the plan removes a version: %s", removed)
	}
	if got := a.deployed(t); got.Key != before.Key || got.Status != before.Status {
		t.Errorf("release %d, stack status %s, want %d, %s", got.Number, got.Status, before.Number, before.Status)
	}
	if sets := a.ChangeSets(stackName); len(sets) > 0 {
		t.Errorf("remaining change sets = %q, want none", sets)
	}
	for _, call := range a.takeCalls("s3 PUT", "cloudformation Execute") { // the template must be uploaded for CloudFormation
		if !strings.HasPrefix(call, "s3 PUT /"+bucketName+"/plans/") {
			t.Errorf("unexpected call %s", call)
		}
	}
	// A plan is not a release: no later release refers to it.
	a.succeed(t, release.Deploy, func(s *release.Settings) { s.ReplaceTables = []string{tableName} })
	a.deployed(t).is(t, 2, before.Key, "UPDATE_COMPLETE")
}

// lines returns the JSON lines that a target prints.
func (a *account) lines(t *testing.T, do target, changes ...func(*release.Settings)) ([]map[string]any, error) {
	t.Helper()
	var out bytes.Buffer
	_, err := a.run(t.Context(), do, append(changes, func(s *release.Settings) {
		s.Printer = progress.New(&out, progress.Options{JSON: true})
	})...)
	var lines []map[string]any
	for line := range strings.Lines(out.String()) {
		var content map[string]any
		if err := json.Unmarshal([]byte(line), &content); err != nil {
			t.Fatalf("line %s: want JSON, got error %v", line, err)
		}
		if _, err := time.Parse(time.RFC3339, fmt.Sprint(content["time"])); err != nil || content["event"] == "" {
			t.Errorf("line %s: want a time in RFC 3339 and an event, got error %v", line, err)
		}
		lines = append(lines, content)
	}
	return lines, err
}

// with returns the lines with this event.
func with(event string, lines []map[string]any) []map[string]any {
	return slices.DeleteFunc(slices.Clone(lines), func(line map[string]any) bool { return line["event"] != event })
}

func TestJSON(t *testing.T) { //nolint:tparallel // steps of one account
	t.Parallel()
	a := newAccount(t)
	for _, tt := range []struct {
		name   string
		do     target
		before func()
		events []string
		code   int
		want   string // contained in the error message
	}{
		{name: "refused", do: release.Rollback, events: []string{"step"}, code: exitcode.Settings, want: "is not deployed"},
		{
			name: "failed", do: release.Deploy, before: func() { a.Fail(changesettest.Create, "Api", "no such thing") },
			events: []string{"step", "note", "plan", "resource", "stack"}, code: exitcode.Failed, want: "no such thing",
		},
		{name: "deployed", do: release.Deploy, events: []string{"step", "note", "plan", "resource", "stack", "result"}},
		{name: "status", do: release.Status, events: []string{"step", "result"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.before != nil {
				tt.before()
			}
			lines, err := a.lines(t, tt.do)
			if code(err) != tt.code {
				t.Fatalf("error = %v with code %d, want code %d", err, code(err), tt.code)
			}
			for _, event := range tt.events {
				if len(with(event, lines)) == 0 {
					t.Errorf("lines = %v, want an event %q", lines, event)
				}
			}
			failures := with("error", lines)
			if tt.code == 0 {
				if len(failures) > 0 {
					t.Errorf("errors = %v, want none", failures)
				}
				return
			}
			if last := lines[len(lines)-1]; len(failures) != 1 || last["event"] != "error" || last["code"] != float64(tt.code) ||
				!strings.Contains(fmt.Sprint(last["message"]), tt.want) {
				t.Errorf("errors = %v, last line = %v, want one error with code %d and %q", failures, last, tt.code, tt.want)
			}
		})
	}
	lines, err := a.lines(t, release.Plan)
	if err != nil {
		t.Fatal(err)
	}
	if plans := with("plan", lines); len(plans) != 1 || !cmp.Equal(plans[0]["changes"], []any{}) {
		t.Errorf("plans without a change = %v, want one with an empty list", plans)
	}
	setCode(t, a.root, "get", "second")
	if lines, err = a.lines(t, release.Plan); err != nil {
		t.Fatal(err)
	}
	if plans := with("plan", lines); len(plans) != 1 || len(plans[0]["changes"].([]any)) == 0 {
		t.Errorf("plans with a change = %v, want one with changes", plans)
	}
}

// Failed calls are retried or reported, and the next deployment continues.
func TestFaults(t *testing.T) { //nolint:tparallel // steps of one account
	t.Parallel()
	watching := func(faults ...changesettest.Fault) func(*account) {
		return func(a *account) {
			a.Before("ExecuteChangeSet", func() { a.Fault("DescribeStackEvents", faults...) })
		}
	}
	tests := []struct {
		name string
		set  func(*account)
		code int
		want []string // contained in the error
		next string   // contained in the output of the next deployment
	}{
		{
			name: "expired before the plan", set: func(a *account) { a.Fault("CreateChangeSet", changesettest.ExpiredToken()) },
			code: exitcode.Account, want: []string{"expired"},
		},
		{
			name: "expired before the execution",
			set:  func(a *account) { a.Fault("ExecuteChangeSet", changesettest.ExpiredToken()) },
			code: exitcode.Account,
			want: []string{"expired"},
		},
		{
			name: "expired while watching", set: watching(changesettest.ExpiredToken()),
			code: exitcode.Account, want: []string{"expired", "continues in AWS"}, next: "nothing to change",
		},
		{
			name: "no permission to plan", set: func(a *account) {
				a.Fault("CreateChangeSet", changesettest.AccessDenied("cloudformation:CreateChangeSet"))
			},
			code: exitcode.Account, want: []string{"cloudformation:CreateChangeSet", "docs/deploy.md"},
		},
		{
			name: "no permission to watch", set: watching(changesettest.AccessDenied("cloudformation:DescribeStackEvents")),
			code: exitcode.Account, want: []string{"cloudformation:DescribeStackEvents"}, next: "nothing to change",
		},
		{name: "throttled", set: func(a *account) {
			a.Fault("CreateChangeSet", changesettest.Throttling())
			watching(changesettest.Throttling())(a)
		}},
		{name: "connection lost", set: func(a *account) {
			a.Fault("ExecuteChangeSet", changesettest.Reset())
			watching(changesettest.Reset())(a)
		}},
		{name: "responses lost", set: func(a *account) {
			a.Fault("CreateChangeSet", changesettest.LostResponse())
			a.Fault("ExecuteChangeSet", changesettest.LostResponse())
		}},
		{name: "service unavailable", set: watching(changesettest.Unavailable())},
	}
	a := newAccount(t)
	a.succeed(t, release.Deploy)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := a.deployed(t)
			setCode(t, a.root, "get", tt.name)
			tt.set(a)
			if tt.code == 0 {
				a.succeed(t, function("get"))
			} else {
				a.fail(t, function("get"), tt.code, tt.want)
				contains(t, a.succeed(t, function("get")), tt.next)
			}
			now := a.deployed(t)
			now.is(t, before.Number+1, before.Key, "UPDATE_COMPLETE")
			if executable := a.executable(t, now.code["GetFunction"]); !bytes.Contains(executable, []byte(tt.name)) {
				t.Errorf("the executable of release %d does not contain %q", now.Number, tt.name)
			}
		})
	}
}

// A missing permission is reported, and the deployment succeeds once it is granted.
func TestPermissionIsMissing(t *testing.T) { //nolint:tparallel // steps of one account
	t.Parallel()
	a := newAccount(t)
	for _, tt := range []struct{ call, action string }{
		{"s3 PUT /" + bucketName, "s3:CreateBucket"},
		{"s3 PUT /" + bucketName + "?policy", "s3:PutBucketPolicy"},
		{"apigateway GET /account", "apigateway:GET"},
		{"dynamodb DescribeTable", "dynamodb:DescribeTable"},
		{"dynamodb UpdateContinuousBackups", "dynamodb:UpdateContinuousBackups"},
	} {
		t.Run(tt.action, func(t *testing.T) {
			a.set(func(a *account) {
				a.tables[tableName] = users("ACTIVE")
				a.faults[tt.call] = fault{
					http.StatusForbidden,
					"AccessDenied",
					"User: arn:aws:iam::1:user/x is not authorized to perform: " + tt.action + " on resource: y",
				}
			})
			a.fail(t, release.Deploy, exitcode.Account, []string{tt.action, "docs/deploy.md"})
		})
	}
	a.succeed(t, release.Deploy)
	a.deployed(t).is(t, 1, "", "UPDATE_COMPLETE")
}

func TestAtOnce(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	setStage(t, a.root, "DeploymentPreference: Linear10PercentEvery1Minute")
	preference := func(want string) {
		t.Helper()
		if got := a.deployed(t).parameters["DeploymentPreference"]; got != want {
			t.Errorf("DeploymentPreference is %s, want %s", got, want)
		}
	}
	a.succeed(t, release.Deploy)
	preference("Linear10PercentEvery1Minute")
	atOnce := func(s *release.Settings) { s.AtOnce = true }
	setCode(t, a.root, "get", "second")
	a.succeed(t, release.Deploy, atOnce)
	preference("AllAtOnce")
	setCode(t, a.root, "get", "third")
	a.succeed(t, release.Deploy)
	preference("Linear10PercentEvery1Minute")
	setCode(t, a.root, "get", "fourth")
	a.succeed(t, function("get"), atOnce)
	preference("AllAtOnce")
}

// A stage that fails the smoke test stays deployed, and the error says what to do.
func TestSmokeAfterDeployment(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	requests := make(chan string, 10) // URLs and API keys of the first requests
	stage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case requests <- r.URL.Path + " " + r.Header.Get("X-Api-Key"):
		default:
		}
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "{}")
	}))
	defer stage.Close()
	stage.Config.SetKeepAlivesEnabled(false)
	smoke := func(s *release.Settings) { s.Smoke, s.InvokeURL = true, stage.URL+"/{ApiId}/{StageName}" }
	testenv.WriteFile(t, a.root+"/deploy/stages/test.yaml", "parameters: {Authorization: API_KEY}")
	a.fail(t, release.Deploy, exitcode.Failed, []string{"the stage is deployed, but does not work", "418"}, smoke)
	first := a.deployed(t)
	first.is(t, 1, "", "CREATE_COMPLETE")
	if got := <-requests; !regexp.MustCompile(`^/` + stackName + `-Api-\d+/test/users/\S+ the-key$`).MatchString(got) {
		t.Errorf("first request to the stage = %q, want one for a user with the API key", got)
	}
	setCode(t, a.root, "get", "second")
	a.fail(t, release.Deploy, exitcode.Failed, []string{"Roll back with STAGE=test ", "go tool mage rollback"}, smoke)
	a.fail(t, release.Smoke, exitcode.Failed, []string{"418"}, smoke)

	testenv.WriteFile(t, a.root+"/deploy/stages/test.yaml",
		"parameters: {Authorization: COGNITO_USER_POOLS, UserPoolArn: 'arn:aws:cognito-idp:eu-west-1:123456789012:userpool/eu-west-1_a'}")
	contains(t, a.succeed(t, release.Deploy, smoke), "the smoke test is skipped", "TOKEN")
}
