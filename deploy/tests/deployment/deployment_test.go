package deployment_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
)

// digestLength is the number of digest characters at the end of a version's logical id.
const digestLength = 10

// TestStage runs the life cycle of a stage, with the targets that a user runs. Steps that the tests of deploy/release
// also cover run only in test:all.
func TestStage(t *testing.T) {
	t.Parallel()
	c := newCheckout(t, newDeployer(t))
	asJSON := []string{"JSON=1"}

	if testenv.All() {
		r := c.must(asJSON, "plan")
		if changes := r.planned(t); !slices.Contains(changes, "Add GetFunction") || !slices.Contains(changes, "Add Table") {
			t.Errorf("plan = %q, want Add GetFunction and Add Table", changes)
		}
	}
	for _, target := range []string{"status", "smoke", "rollback"} {
		if r := c.run(nil, target); r.code != 2 || !r.contains("not deployed") {
			t.Errorf("%s before the first deployment: exit code %d, want 2 and \"not deployed\"\n%s", target, r.code, r)
		}
	}

	// First deployment.
	r := c.must(asJSON, "deploy")
	if changes := r.planned(t); !slices.Contains(changes, "Add GetFunction") || !slices.Contains(changes, "Add Table") {
		t.Errorf("changes = %q, want Add GetFunction and Add Table", changes)
	}
	api := r.outputs(t)["ApiId"]
	c.crud(api)
	c.checkLogs(api)
	c.checkIndex(api)
	c.checkExport(api)

	// No change.
	r = c.must(nil, "deploy")
	for _, want := range []string{"get is unchanged", "put is unchanged", "nothing to change"} {
		if !r.contains(want) {
			t.Errorf("second deployment: want %q in\n%s", want, r)
		}
	}
	if testenv.All() {
		if r := c.must(asJSON, "plan"); len(r.planned(t)) != 0 {
			t.Errorf("plan = %q, want nothing", r.planned(t))
		}
	}

	// Only the changed function is deployed.
	c.edit("functions/get/main.go", "from 1 to 100.", "from 1 to 100, changed.")
	oneFunction := []string{"Add GetVersion", "Modify GetFunction", "Remove GetVersion"}
	if testenv.All() {
		r = c.must(asJSON, "plan")
		if diff := cmp.Diff(oneFunction, r.planned(t)); diff != "" {
			t.Errorf("plan (-want +got):\n%s", diff)
		}
	}
	r = c.must(asJSON, "deploy")
	if diff := cmp.Diff(oneFunction, r.planned(t)); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	if r.contains("put is uploaded") || !r.contains("get is uploaded") {
		t.Errorf("want only get uploaded:\n%s", r)
	}
	if detail := c.detail(api); !strings.Contains(detail, "changed") {
		t.Errorf("detail = %s, want that of the new code", detail)
	}

	if testenv.All() {
		// deployFunction deploys no other changes.
		c.edit("functions/get/main.go", "changed.", "again.")
		c.edit("deploy/template.yaml", "Description: Replaces users", "Description: Replaces users altogether")
		r = c.must(asJSON, "deployFunction", "get")
		if diff := cmp.Diff(oneFunction, r.planned(t)); diff != "" {
			t.Errorf("changes (-want +got):\n%s", diff)
		}
		if detail := c.detail(api); !strings.Contains(detail, "again") {
			t.Errorf("detail = %s, want that of the newest code", detail)
		}
		if r := c.run(nil, "deployFunction", "got"); r.code != 2 || !r.contains("delete, get, post, put") {
			t.Errorf("unknown function: exit code %d, want 2 and the names of the functions\n%s", r.code, r)
		}

		// Roll back.
		c.must(nil, "rollback")
		if detail := c.detail(api); !strings.Contains(detail, "changed") {
			t.Errorf("detail = %s, want that of the previous release", detail)
		}
	}

	// Roll back to the first release.
	c.must(nil, "rollback")
	if detail := c.detail(api); strings.Contains(detail, "changed") {
		t.Errorf("detail = %s, want that of the first release", detail)
	}
	if r := c.run(nil, "rollback"); r.code != 2 || !r.contains("is the first") {
		t.Errorf("rollback of the first release: exit code %d, want 2 and \"is the first\"\n%s", r.code, r)
	}

	// A failed change is rolled back, and the last line names the cause.
	c.write("deploy/template.yaml", strings.Replace(c.read("deploy/template.yaml"), "\nResources:\n", `
Resources:
  Broken:
    Type: AWS::CloudWatch::Alarm
    Properties:
      ComparisonOperator: GreaterThanThreshold
      EvaluationPeriods: 1
      Threshold: 1
      Metrics:
        - Id: sum
          Expression: "1 + 1"
`, 1))
	r = c.run(nil, "deploy")
	lines := strings.Split(strings.TrimSpace(r.stderr), "\n")
	if r.code != 1 || !strings.Contains(lines[len(lines)-1], "Broken") {
		t.Errorf("failing deployment: exit code %d, want 1 and the cause in the last line\n%s", r.code, r)
	}
	c.crud(api)

	// The next deployment succeeds. A change of only the documentation reaches the stage.
	c.write("deploy/template.yaml", original(t, "deploy/template.yaml"))
	if testenv.All() {
		c.must(nil, "deploy")
	}
	c.edit("deploy/openapi.yaml", "summary: Create a user", "summary: Make a user")
	api = c.must(asJSON, "deploy").outputs(t)["ApiId"] // the emulator creates a new API
	c.checkExport(api)

	r = c.must(nil, "status")
	for _, want := range []string{"UPDATE_COMPLETE", "UserRequestAPI-emulator-get", "version "} {
		if !r.contains(want) {
			t.Errorf("status: want %q in\n%s", want, r)
		}
	}

	if testenv.All() {
		// A deployment that replaces the table needs confirmation.
		c.setStage(map[string]string{"ExistingTableName": "Another"})
		if r := c.run(nil, "deploy"); r.code != 4 || !r.contains("REPLACE_TABLE=UserData-emulator") {
			t.Errorf("deployment without the table: exit code %d, want 4 and REPLACE_TABLE\n%s", r.code, r)
		}
		c.setStage(nil)
	}

	// Nothing is deleted without confirmation.
	for _, environment := range [][]string{nil, {"CONFIRM=prod"}} {
		if r := c.run(environment, "destroy"); r.code != 4 || !r.contains("nothing was deleted") {
			t.Errorf("destroy with %q: exit code %d, want 4 and \"nothing was deleted\"\n%s", environment, r.code, r)
		}
	}
	if r := c.run([]string{"CONFIRM=emulator", "DELETE_TABLE=UserData"}, "destroy"); r.code != 2 {
		t.Errorf("destroy with another table: exit code %d, want 2\n%s", r.code, r)
	}
	c.create(api, "stays")
	r = c.must([]string{"CONFIRM=emulator"}, "destroy")
	if !r.contains("the table UserData-emulator is retained") {
		t.Errorf("destroy: want the table retained\n%s", r)
	}
	if r := c.run(nil, "status"); r.code != 2 {
		t.Errorf("status after destroy: exit code %d, want 2\n%s", r.code, r)
	}
	c.must([]string{"CONFIRM=emulator"}, "destroy") // nothing to do

	if testenv.All() {
		// The next deployment keeps the users.
		r = c.must(asJSON, "deploy")
		api = r.outputs(t)["ApiId"]
		if status, _, body := c.call(api, http.MethodGet, "/users/stays", ""); status != http.StatusOK {
			t.Errorf("GET of an earlier user: got %d %s, want 200", status, body)
		}
		c.must([]string{"CONFIRM=emulator", "DELETE_TABLE=UserData-emulator"}, "destroy")
	}

	readPolicy(t).checkCalls(t, c.callsFile())
}
