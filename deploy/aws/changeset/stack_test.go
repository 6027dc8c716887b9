package changeset_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"github.com/userrequestapi/userdata/deploy/aws/changeset"
	"github.com/userrequestapi/userdata/deploy/aws/changeset/changesettest"
	awserrors "github.com/userrequestapi/userdata/deploy/aws/errors"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/host/command"
)

const (
	name = "UserRequestAPI"
	poll = time.Millisecond
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// bench is a stack in a CloudFormation server, with its events and progress lines.
type bench struct {
	*changeset.Stack
	cfn *changesettest.CloudFormation

	mu     sync.Mutex
	events []changeset.Event
	lines  []string
}

func start(t *testing.T, change ...func(*changeset.Options)) *bench {
	t.Helper()
	return join(t, changesettest.New(t), change...)
}

// join returns another deployment of the same stack.
func join(t *testing.T, cfn *changesettest.CloudFormation, change ...func(*changeset.Options)) *bench {
	t.Helper()
	b := &bench{cfn: cfn}
	options := changeset.Options{Poll: poll, Progress: func(e changeset.Event) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.events = append(b.events, e)
	}}
	for _, c := range change {
		c(&options)
	}
	b.Stack = changeset.New(cfn.Client(), name, options)
	return b
}

func (b *bench) progress(line string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, line)
}

// deploy prepares the stack, plans and applies. It starts over after a conflict with another deployment.
func (b *bench) deploy(ctx context.Context, input changeset.Input) (*changeset.Plan, error) {
	for {
		if err := b.Prepare(ctx, b.progress); err != nil {
			return nil, err
		}
		plan, err := b.Plan(ctx, input)
		if err == nil {
			err = b.Apply(ctx, plan)
		}
		if !errors.Is(err, changeset.ErrStale) {
			return plan, err
		}
	}
}

// within returns a context that ends shortly before the deadline of the test.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := testenv.WithDeadline(t.Context(), t)
	t.Cleanup(cancel)
	return ctx
}

const (
	table    = `"Table": {"Type": "AWS::DynamoDB::Table", "DeletionPolicy": "Retain", "Properties": {"TableName": "UserData"}}`
	role     = `"Role": {"Type": "AWS::IAM::Role", "Properties": {"Description": "of a function"}}`
	function = `"Function": {"Type": "AWS::Lambda::Function", "Properties": {"MemorySize": 256, "Code": "one"}}`
	changed  = `"Function": {"Type": "AWS::Lambda::Function", "Properties": {"MemorySize": 512, "Code": "two"}}`
	alarm    = `"Alarm": {"Type": "AWS::CloudWatch::Alarm", "Properties": {}}`
)

// template returns a template with these resources and an output.
func template(resources ...string) changeset.Input {
	return changeset.Input{TemplateBody: []byte(`{"Resources": {` + strings.Join(resources, ",") + `},
		"Outputs": {"TableName": {"Value": {"Ref": "Table"}}}}`)}
}

func TestFirstDeployment(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.cfn.Page(2) // events and changes span several pages
	ctx := within(t)
	if _, err := b.Describe(ctx); !errors.Is(err, changeset.ErrNotFound) {
		t.Errorf("before: got error %v, want %v", err, changeset.ErrNotFound)
	}
	input := template(table, role, function)
	input.TemplateBody = []byte(strings.Replace(string(input.TemplateBody), "{", `{"Parameters": {"Stage": {}},`, 1))
	input.Parameters = map[string]string{"Stage": "prod"}
	plan, err := b.deploy(ctx, input)
	if err != nil {
		t.Fatal(err)
	}
	want := []changeset.Change{
		{Action: "Add", LogicalID: "Function", Type: "AWS::Lambda::Function"},
		{Action: "Add", LogicalID: "Role", Type: "AWS::IAM::Role"},
		{Action: "Add", LogicalID: "Table", Type: "AWS::DynamoDB::Table"},
	}
	if diff := cmp.Diff(want, plan.Changes); diff != "" || !plan.New || plan.Empty() {
		t.Errorf("plan: new %v, empty %v, changes -want +got:\n%s", plan.New, plan.Empty(), diff)
	}
	wantEvents := []string{
		"UserRequestAPI CREATE_IN_PROGRESS", "Function CREATE_IN_PROGRESS", "Role CREATE_IN_PROGRESS", "Table CREATE_IN_PROGRESS",
		"Function CREATE_COMPLETE", "Role CREATE_COMPLETE", "Table CREATE_COMPLETE", "UserRequestAPI CREATE_COMPLETE",
	}
	if diff := cmp.Diff(wantEvents, summary(b.events)); diff != "" {
		t.Errorf("events -want +got:\n%s", diff)
	}
	d, err := b.Describe(ctx)
	if err != nil {
		t.Fatal(err)
	}
	got := changeset.Description{Status: d.Status, Parameters: d.Parameters, Outputs: d.Outputs}
	if diff := cmp.Diff(changeset.Description{
		Status: types.StackStatusCreateComplete, Parameters: input.Parameters,
		Outputs: map[string]string{"TableName": "UserData"},
	}, got); diff != "" {
		t.Errorf("description -want +got:\n%s", diff)
	}
	if body, err := b.Template(ctx); err != nil || !bytes.Equal(body, input.TemplateBody) {
		t.Errorf("template: got %s, %v, want it unchanged", body, err)
	}
	resources, err := b.Resources(ctx)
	if err != nil || len(resources) != 3 || resources[2].PhysicalID != "UserData" || resources[2].Status != types.ResourceStatusCreateComplete {
		t.Errorf("resources: got %+v, %v, want 3 with the created table last", resources, err)
	}
}

func summary(events []changeset.Event) []string {
	var lines []string
	for _, e := range events {
		lines = append(lines, e.LogicalID+" "+string(e.Status))
	}
	return lines
}

func TestNoChange(t *testing.T) {
	t.Parallel()
	b := start(t)
	ctx := within(t)
	if _, err := b.deploy(ctx, template(table, role, function)); err != nil {
		t.Fatal(err)
	}
	plan, err := b.deploy(ctx, template(table, role, function))
	if err != nil {
		t.Fatal(err)
	}
	if !plan.Empty() || len(plan.Changes) > 0 {
		t.Errorf("got plan %+v, want an empty plan", plan)
	}
	if err := b.Discard(ctx, plan); err != nil {
		t.Errorf("discard an empty plan: got error %v, want none", err)
	}
	if left := b.cfn.ChangeSets(name); len(left) > 0 {
		t.Errorf("got change sets %v, want none", left)
	}
	if got := count(b.cfn, "ExecuteChangeSet"); got != 1 {
		t.Errorf("got %d executions, want 1, by the first deployment", got)
	}
}

func count(cfn *changesettest.CloudFormation, action string) int {
	n := 0
	for _, call := range cfn.Calls() {
		if call == action {
			n++
		}
	}
	return n
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.cfn.Page(1)
	ctx := within(t)
	if _, err := b.deploy(ctx, template(table, role, function)); err != nil {
		t.Fatal(err)
	}
	renamed := strings.Replace(table, "UserData", "Other", 1)
	plan, err := b.deploy(ctx, template(renamed, changed, alarm))
	if err != nil {
		t.Fatal(err)
	}
	for i := range plan.Changes {
		plan.Changes[i].PhysicalID = ""
	}
	want := []changeset.Change{
		{Action: "Add", LogicalID: "Alarm", Type: "AWS::CloudWatch::Alarm"},
		{
			Action: "Modify", LogicalID: "Function", Type: "AWS::Lambda::Function", Replacement: "False",
			Properties: []string{"Code", "MemorySize"},
		},
		{
			Action: "Modify", LogicalID: "Table", Type: "AWS::DynamoDB::Table", Replacement: "True",
			Properties: []string{"TableName"}, Policy: "ReplaceAndDelete",
		},
		{Action: "Remove", LogicalID: "Role", Type: "AWS::IAM::Role", Policy: "Delete"},
	}
	if diff := cmp.Diff(want, plan.Changes); diff != "" || plan.New {
		t.Errorf("plan: new %v, changes -want +got:\n%s", plan.New, diff)
	}
	// Apply also reports the events of the cleanup phase.
	last := summary(b.events)[len(b.events)-4:]
	if diff := cmp.Diff([]string{
		"UserRequestAPI UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "Role DELETE_IN_PROGRESS", "Role DELETE_COMPLETE",
		"UserRequestAPI UPDATE_COMPLETE",
	}, last); diff != "" {
		t.Errorf("last events -want +got:\n%s", diff)
	}
}

func TestOnlyOutputsChange(t *testing.T) {
	t.Parallel()
	b := start(t)
	ctx := within(t)
	if _, err := b.deploy(ctx, template(table)); err != nil {
		t.Fatal(err)
	}
	plan, err := b.deploy(ctx, changeset.Input{TemplateBody: []byte(`{"Resources": {` + table + `}, "Outputs": {"Table": {"Value": "x"}}}`)})
	if err != nil || plan.Empty() || len(plan.Changes) > 0 {
		t.Fatalf("got plan %+v, %v, want a plan that is not empty and changes no resource", plan, err)
	}
	if d, err := b.Describe(ctx); err != nil || d.Outputs["Table"] != "x" {
		t.Errorf("got description %+v, %v, want the output Table=x", d, err)
	}
}

func TestFailedUpdate(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		reason string
		want   []string // parts of the error
	}{
		{
			"missing permission",
			`Resource handler returned message: "User: arn:aws:iam::123456789012:user/deployer is not authorized to perform: ` +
				`lambda:UpdateFunctionConfiguration on resource: arn:aws:lambda:eu-west-1:123456789012:function:x" ` +
				`(RequestToken: 0c1d, HandlerErrorCode: AccessDenied)`,
			[]string{"Function (AWS::Lambda::Function): User: arn", "lacks the permission lambda:UpdateFunctionConfiguration", "docs/deploy.md"},
		},
		{
			"alarm",
			"CodeDeploy deployment d-1 was stopped: one or more alarms have been activated according to the Amazon CloudWatch metrics",
			[]string{"the new version triggered an alarm"},
		},
		{
			"version",
			"A version for this Lambda function exists ( 7 ). Modify the function to create a new version.",
			[]string{"change either, or delete that version"},
		},
		{
			"concurrency",
			"Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [10].",
			[]string{"lower ReservedConcurrency"},
		},
		{"logs role", "CloudWatch Logs role ARN must be set in account settings to enable logging", []string{"ApiGatewayLogsRole", "Create"}},
		{"integration", "No integration defined for method", []string{"go tool mage template"}},
		{"key", "The ciphertext refers to a customer master key that does not exist (Service: AWSKMS, KMS key is disabled)", []string{"enabled, is in this Region"}},
		{"quota", "Account has reached the maximum number of REST APIs: LimitExceededException", []string{"Service Quotas"}},
		{
			"role",
			`Resource handler returned message: "The role defined for the function cannot be assumed by Lambda. ` +
				`(Service: Lambda, Status Code: 400)" (RequestToken: 0c1d, HandlerErrorCode: InvalidRequest)`,
			[]string{"cannot be assumed by Lambda", "UPDATE_ROLLBACK_COMPLETE); a role that was just created", "deploy again"},
		},
		{
			"role of API Gateway", "Role arn does not have required trust relationship configured to API Gateway",
			[]string{"a role that was just created", "deploy again"},
		},
		{"unknown", "Something else.", []string{
			"Something else; the stack is back in its previous state (UPDATE_ROLLBACK_COMPLETE); correct the cause and deploy again",
		}},
		{"none", "", []string{"CloudFormation returned no reason", "correct the cause and deploy again"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := start(t)
			ctx := within(t)
			if _, err := b.deploy(ctx, template(table, role, function)); err != nil {
				t.Fatal(err)
			}
			before := b.cfn.Resources(name)
			b.cfn.Fail(changesettest.Update, "Function", test.reason)
			_, err := b.deploy(ctx, template(table, role, changed, strings.Replace(alarm, "Alarm", "Other", 1), strings.Replace(alarm, "Alarm", "Another", 1)))
			failure, ok := errors.AsType[*changeset.Failure](err)
			if !ok {
				t.Fatalf("got error %v, want a *changeset.Failure", err)
			}
			if failure.Cause.LogicalID != "Function" || failure.Status != types.StackStatusUpdateRollbackComplete {
				t.Errorf("got status %s, cause %+v, want the function's", failure.Status, failure.Cause)
			}
			if len(failure.Others) > 0 {
				t.Errorf("others: got %+v, want none: cancelled resources are no failures", failure.Others)
			}
			for _, part := range append(test.want, "the stack is back in its previous state (UPDATE_ROLLBACK_COMPLETE)") {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("got error %q, want %q in it", err, part)
				}
			}
			if diff := cmp.Diff(before, b.cfn.Resources(name)); diff != "" {
				t.Errorf("resources -before +after:\n%s", diff)
			}
			if _, err := b.deploy(ctx, template(table, role, changed)); err != nil {
				t.Errorf("the next deployment: got error %v, want none", err)
			}
		})
	}
}

// TestInitialStates deploys to a stack in each state that an earlier deployment may leave behind.
func TestInitialStates(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		arrange func(*testing.T, *bench)
		lines   []string // substrings of the progress lines, in order
		isNew   bool     // the deployment creates the stack
	}{
		{name: "nothing", arrange: func(*testing.T, *bench) {}, isNew: true},
		{name: "ROLLBACK_COMPLETE", arrange: func(t *testing.T, b *bench) {
			t.Helper()
			b.cfn.Fail(changesettest.Create, "Role", "no")
			if _, err := b.deploy(within(t), template(role, function)); err == nil {
				t.Error("the creation succeeded, want an error")
			}
			b.cfn.WantStatus(t, name, "ROLLBACK_COMPLETE")
		}, lines: []string{"why it failed: ", "ROLLBACK_COMPLETE: deleting the remains"}, isNew: true},
		{name: "ROLLBACK_FAILED", arrange: func(t *testing.T, b *bench) {
			t.Helper()
			b.cfn.Fail(changesettest.Create, "Role", "no")
			b.cfn.Fail(changesettest.Rollback, "Function", "in use")
			b.cfn.Fail(changesettest.Delete, "Function", "still in use")
			_, err := b.deploy(within(t), template(role, function))
			if failure, ok := errors.AsType[*changeset.Failure](err); !ok || failure.Cause.LogicalID != "Role" || len(failure.Others) != 1 {
				t.Errorf("got error %+v, want the cause and the later failure", err)
			}
			b.cfn.WantStatus(t, name, "ROLLBACK_FAILED")
		}, lines: []string{"why it failed: ", "ROLLBACK_FAILED: deleting the remains", "Function (AWS::Lambda::Function, "}, isNew: true},
		{name: "CREATE_FAILED", arrange: func(_ *testing.T, b *bench) {
			b.cfn.Put(name, "CREATE_FAILED", template(role).TemplateBody)
		}, lines: []string{"CREATE_FAILED: deleting the remains"}, isNew: true},
		{name: "REVIEW_IN_PROGRESS", arrange: func(t *testing.T, b *bench) {
			t.Helper()
			if _, err := b.Plan(within(t), template(table)); err != nil {
				t.Error(err)
			}
			b.cfn.WantStatus(t, name, "REVIEW_IN_PROGRESS")
		}, isNew: true},
		{name: "UPDATE_ROLLBACK_COMPLETE", arrange: func(_ *testing.T, b *bench) {
			b.cfn.Put(name, "UPDATE_ROLLBACK_COMPLETE", template(role).TemplateBody)
		}},
		{name: "UPDATE_ROLLBACK_FAILED", arrange: func(t *testing.T, b *bench) {
			t.Helper()
			b.cfn.Put(name, "CREATE_COMPLETE", template(role, function).TemplateBody)
			b.cfn.Fail(changesettest.Update, "Function", "no")
			b.cfn.Fail(changesettest.Rollback, "Function", "not now")
			_, err := b.deploy(within(t), template(role, changed))
			if want := "the rollback failed too"; err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got error %v, want %q in it", err, want)
			}
		}, lines: []string{"UPDATE_ROLLBACK_FAILED: continuing the rollback"}},
		{name: "DELETE_FAILED", arrange: func(t *testing.T, b *bench) {
			t.Helper()
			b.cfn.Put(name, "CREATE_COMPLETE", template(role, function).TemplateBody)
			b.cfn.Fail(changesettest.Delete, "Role", "in use")
			want := "Role (AWS::IAM::Role): in use"
			if err := b.Delete(within(t)); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got error %v, want %q in it", err, want)
			}
		}, lines: []string{"why it failed: ", "DELETE_FAILED: deleting the remains"}, isNew: true},
		{name: "DELETE_FAILED permanently", arrange: func(t *testing.T, b *bench) {
			t.Helper()
			b.cfn.Put(name, "CREATE_COMPLETE", template(role, function).TemplateBody)
			b.cfn.Fail(changesettest.Delete, "Role", "in use")
			b.cfn.Fail(changesettest.Delete, "Role", "in use")
			if err := b.Delete(within(t)); err == nil {
				t.Error("the deletion succeeded, want an error")
			}
		}, lines: []string{"why it failed: ", "DELETE_FAILED: deleting the remains", "Role (AWS::IAM::Role, "}, isNew: true},
		{name: "IMPORT_ROLLBACK_COMPLETE of a new stack", arrange: func(t *testing.T, b *bench) {
			t.Helper()
			b.cfn.Exists("AWS::DynamoDB::Table", "Adopted")
			b.cfn.Fail(changesettest.Import, "Table", "The resource is not in a state to be imported")
			if _, err := b.deploy(within(t), importing()); err == nil {
				t.Error("the import succeeded, want an error")
			}
			b.cfn.WantStatus(t, name, "IMPORT_ROLLBACK_COMPLETE")
		}, lines: []string{"why it failed: ", "IMPORT_ROLLBACK_COMPLETE: deleting the remains"}, isNew: true},
		{name: "IMPORT_ROLLBACK_COMPLETE of an existing stack", arrange: func(_ *testing.T, b *bench) {
			b.cfn.Put(name, "IMPORT_ROLLBACK_COMPLETE", template(role).TemplateBody)
		}},
		{name: "CREATE_IN_PROGRESS", arrange: func(t *testing.T, b *bench) { interrupt(t, b, template(table, role, function)) },
			lines: []string{"_IN_PROGRESS, by another or an interrupted deployment"}},
		{name: "UPDATE_IN_PROGRESS", arrange: func(t *testing.T, b *bench) {
			t.Helper()
			b.cfn.Put(name, "CREATE_COMPLETE", template(role, function).TemplateBody)
			interrupt(t, b, template(role, changed))
		}, lines: []string{"_IN_PROGRESS, by another or an interrupted deployment"}},
		{name: "UPDATE_IN_PROGRESS that fails", arrange: func(t *testing.T, b *bench) {
			t.Helper()
			b.cfn.Put(name, "CREATE_COMPLETE", template(role, function).TemplateBody)
			b.cfn.Fail(changesettest.Update, "Function", "no")
			interrupt(t, b, template(role, changed))
		}, lines: []string{"_IN_PROGRESS, by another or an interrupted deployment"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := start(t)
			test.arrange(t, b)
			b.lines = nil
			plan, err := b.deploy(within(t), template(table, role, function, alarm))
			if err != nil {
				t.Fatal(err)
			}
			if plan.New != test.isNew {
				t.Errorf("new: got %v, want %v", plan.New, test.isNew)
			}
			if len(b.lines) != len(test.lines) {
				t.Fatalf("progress: got %q, want %q", b.lines, test.lines)
			}
			for i, part := range test.lines {
				if !strings.Contains(b.lines[i], part) {
					t.Errorf("progress: got %q, want %q in it", b.lines[i], part)
				}
			}
			if got := b.cfn.Status(name); got != "CREATE_COMPLETE" && got != "UPDATE_COMPLETE" {
				t.Errorf("got status %s after the deployment, want CREATE_COMPLETE or UPDATE_COMPLETE", got)
			}
			if got := len(b.cfn.Resources(name)); got != 4 {
				t.Errorf("got %d resources after the deployment, want 4", got)
			}
		})
	}
}

// interrupt starts a deployment and cancels it at the first event.
func interrupt(t *testing.T, b *bench, input changeset.Input) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(within(t))
	defer cancel(nil)
	interrupted := errors.New("interrupted")
	deployer := changeset.New(b.cfn.Client(), name, changeset.Options{
		Poll: poll, Progress: func(changeset.Event) { cancel(interrupted) }, Resume: func() string { return "the next command waits for it" },
	})
	plan, err := deployer.Plan(ctx, input)
	if err != nil {
		t.Fatal(err)
	}
	err = deployer.Apply(ctx, plan)
	if !errors.Is(err, interrupted) {
		t.Fatalf("got error %v, want the cause of the context", err)
	}
	if want := "the operation continues in AWS: the next command waits for it"; !strings.Contains(err.Error(), want) {
		t.Errorf("got error %q, want %q in it", err, want)
	}
}

func importing() changeset.Input {
	input := changeset.Input{
		TemplateBody: []byte(`{"Resources": {` + strings.Replace(table, "UserData", "Adopted", 1) + `}}`),
	}
	input.Import = []types.ResourceToImport{{
		LogicalResourceId: new("Table"), ResourceType: new("AWS::DynamoDB::Table"),
		ResourceIdentifier: map[string]string{"TableName": "Adopted"},
	}}
	return input
}

func TestImport(t *testing.T) {
	t.Parallel()
	b := start(t)
	ctx := within(t)
	b.cfn.Exists("AWS::DynamoDB::Table", "Adopted")
	plan, err := b.deploy(ctx, importing())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]changeset.Change{
		{Action: "Import", LogicalID: "Table", Type: "AWS::DynamoDB::Table", PhysicalID: "Adopted"},
	}, plan.Changes); diff != "" {
		t.Errorf("changes -want +got:\n%s", diff)
	}
	b.cfn.WantStatus(t, name, "IMPORT_COMPLETE")
	if _, err := b.deploy(ctx, template(strings.Replace(table, "UserData", "Adopted", 1), role)); err != nil {
		t.Errorf("the deployment after the import: got error %v, want none", err)
	}
}

func TestNameIsTaken(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.cfn.Exists("AWS::DynamoDB::Table", "UserData")
	_, err := b.deploy(within(t), template(table, role))
	for _, part := range []string{
		"Table (AWS::DynamoDB::Table): Resource of type 'AWS::DynamoDB::Table' with identifier 'UserData' already exists; ",
		"the created resources were deleted", "docs/deploy.md describes how to import an existing table",
	} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("got error %v, want %q in it", err, part)
		}
	}
}

func TestRollbackThatFailsAgain(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.cfn.Put(name, "UPDATE_ROLLBACK_FAILED", template(role, function).TemplateBody)
	b.cfn.SetResourceStatus(name, "Function", "UPDATE_FAILED", "gone")
	b.cfn.Fail(changesettest.Rollback, "Function", "Function not found")
	err := b.Prepare(within(t), nil)
	want := "aws cloudformation continue-update-rollback --stack-name UserRequestAPI --resources-to-skip Function"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got error %v, want %q in it", err, want)
	}
	b.cfn.Run(name)
	if err := b.Prepare(within(t), nil); err != nil {
		t.Errorf("after the cause was corrected: got error %v, want none", err)
	}
}

func TestStuckImport(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.cfn.Put(name, "IMPORT_ROLLBACK_FAILED", template(role).TemplateBody)
	if err := b.Prepare(within(t), nil); err == nil || !strings.Contains(err.Error(), "can only delete") {
		t.Errorf("got error %v, want the next step in it", err)
	}
	b.cfn.WantStatus(t, name, "IMPORT_ROLLBACK_FAILED")
}

func TestRejected(t *testing.T) {
	t.Parallel()
	const early = "The following hook(s)/validation failed: [AWS::EarlyValidation::ResourceExistenceCheck]. " +
		"To troubleshoot Early Validation errors, use the DescribeEvents API for detailed failure information."
	for _, test := range []struct {
		name    string
		arrange func(*changesettest.CloudFormation)
		input   changeset.Input
		want    []string
	}{
		{
			"validation", func(c *changesettest.CloudFormation) {
				c.Refuse(early, "Table: Resource of type 'AWS::DynamoDB::Table' with identifier 'UserData' already exists.",
					"Role: Required property [X] not found")
			}, template(table, role),
			[]string{"Table (AWS::DynamoDB::Table): Resource of type", "(at /Resources/Table)", "nothing was changed", "import an existing table"},
		},
		{
			"validation without permission for its details", func(c *changesettest.CloudFormation) {
				c.Refuse(early)
				c.Fault("DescribeEvents", changesettest.AccessDenied("cloudformation:DescribeEvents"))
			}, template(table), []string{"AWS::EarlyValidation::ResourceExistenceCheck", "cloudformation:DescribeEvents"},
		},
		{
			"change set", func(c *changesettest.CloudFormation) { c.Refuse("Circular dependency between resources: [A, B]") },
			template(table), []string{"Circular dependency between resources: [A, B]; nothing was changed"},
		},
		{"template", nil, changeset.Input{TemplateBody: []byte("{")}, []string{"Template format error", "nothing was changed"}},
		{
			"parameter", nil, changeset.Input{TemplateBody: []byte(`{"Parameters": {"Stage": {}}}`)},
			[]string{"Parameters: [Stage] must have values"},
		},
		{
			"missing template", func(c *changesettest.CloudFormation) {
				c.Fault("CreateChangeSet", changesettest.Fault{
					Status: 400, Code: "ValidationError", Message: "S3 error: The specified key does not exist.",
				})
			}, template(table), []string{"S3 error: The specified key does not exist", "artifact bucket"},
		},
		{
			"named role", nil, template(`"Role": {"Type": "AWS::IAM::Role", "Properties": {"RoleName": "x"}}`),
			[]string{"Requires capabilities : [CAPABILITY_NAMED_IAM]", "remove the RoleName"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := start(t)
			if test.arrange != nil {
				test.arrange(b.cfn)
			}
			_, err := b.deploy(within(t), test.input)
			if _, ok := errors.AsType[*changeset.Failure](err); !ok {
				t.Errorf("got error %v, want a *changeset.Failure", err)
			}
			for _, part := range test.want {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("got error %v, want %q in it", err, part)
				}
			}
			b.cfn.Run(name)
			b.cfn.WantStatus(t, name, "")
		})
	}
}

func TestDiscard(t *testing.T) {
	t.Parallel()
	b := start(t)
	ctx := within(t)
	first, err := b.Plan(ctx, template(table))
	if err != nil {
		t.Fatal(err)
	}
	second, err := b.Plan(ctx, template(table, role))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Discard(ctx, first); err != nil {
		t.Fatal(err)
	}
	if got := b.cfn.ChangeSets(name); !slices.Equal(got, []string{second.Name}) {
		t.Fatalf("change sets: got %v, want only the other deployment's", got)
	}
	if err := b.Discard(ctx, second); err != nil {
		t.Fatal(err)
	}
	b.cfn.Run(name)
	b.cfn.WantStatus(t, name, "")
}

func TestAbandonedChangeSets(t *testing.T) {
	t.Parallel()
	b := start(t)
	ctx := within(t)
	b.cfn.Put(name, "CREATE_COMPLETE", template(table).TemplateBody)
	if _, err := b.Plan(ctx, template(table, role)); err != nil { // abandoned
		t.Fatal(err)
	}
	_, err := b.cfn.Client().CreateChangeSet(ctx, &cloudformation.CreateChangeSetInput{
		StackName: new(name), ChangeSetName: new("by-hand"), ChangeSetType: types.ChangeSetTypeUpdate, TemplateBody: new("{}"),
	})
	if err != nil {
		t.Fatal(err)
	}
	b.cfn.Age(61 * time.Minute)
	young, err := b.Plan(ctx, template(table, function))
	if err != nil {
		t.Fatal(err)
	}
	last, err := b.Plan(ctx, template(table, alarm))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"by-hand", young.Name, last.Name}, b.cfn.ChangeSets(name)); diff != "" {
		t.Errorf("change sets -want +got:\n%s", diff)
	}
}

func TestObsoletePlan(t *testing.T) {
	t.Parallel()
	b := start(t)
	ctx := within(t)
	b.cfn.Put(name, "CREATE_COMPLETE", template(table).TemplateBody)
	plan, err := b.Plan(ctx, template(table, role))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := join(t, b.cfn).deploy(ctx, template(table, function)); err != nil {
		t.Fatal(err)
	}
	if err := b.Apply(ctx, plan); !errors.Is(err, changeset.ErrStale) {
		t.Errorf("got error %v, want %v", err, changeset.ErrStale)
	}
	if err := b.Discard(ctx, plan); err != nil {
		t.Errorf("discard: got error %v, want none", err)
	}
}

func TestTwoDeploymentsAtOnce(t *testing.T) {
	t.Parallel()
	for _, existing := range []bool{false, true} {
		t.Run(fmt.Sprintf("existing %v", existing), func(t *testing.T) {
			t.Parallel()
			cfn := changesettest.New(t)
			if existing {
				cfn.Put(name, "CREATE_COMPLETE", template(table).TemplateBody)
			}
			ctx := within(t)
			var group sync.WaitGroup
			for i := range 4 {
				b := join(t, cfn)
				group.Go(func() {
					input := template(table, role, strings.Replace(function, "one", strconv.Itoa(i), 1))
					if _, err := b.deploy(ctx, input); err != nil {
						t.Errorf("deployment %d: got error %v, want none", i, err)
					}
				})
			}
			group.Wait()
			cfn.WantStatus(t, name, "UPDATE_COMPLETE")
			if got := count(cfn, "DeleteStack"); got != 0 {
				t.Errorf("the stack was deleted %d times, want none", got)
			}
		})
	}
}

func TestFaultsBefore(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		fault changesettest.Fault
		kind  awserrors.Kind
		want  string
	}{
		{"expired", changesettest.ExpiredToken(), awserrors.Expired, "sign in again"},
		{"denied", changesettest.AccessDenied("cloudformation:DescribeStacks"), awserrors.Denied, "user/deployer may not call cloudformation:DescribeStacks"},
		{"throttled", changesettest.Throttling(), awserrors.Throttled, "Rate exceeded"},
		{"broken connection", changesettest.Reset(), awserrors.Unreachable, "check the network"},
		{"unavailable", changesettest.Unavailable(), awserrors.Unavailable, "AWS has a fault"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := start(t)
			b.cfn.Fault("*", slices.Repeat([]changesettest.Fault{test.fault}, 3)...) // the client's attempts
			_, err := b.deploy(within(t), template(table))
			if awserrors.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v of kind %d, want kind %d and %q in it", err, awserrors.KindOf(err), test.kind, test.want)
			}
			if _, err := b.deploy(within(t), template(table)); err != nil && test.kind != awserrors.Expired && test.kind != awserrors.Denied {
				t.Errorf("the next deployment: got error %v, want none", err)
			}
		})
	}
}

// The faults exceed the SDK's attempts, so that the package itself must retry.
func TestFaultsInTheMiddle(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		action string
		fault  changesettest.Fault
		times  int
	}{
		{"DescribeStackEvents", changesettest.Throttling(), 10},
		{"DescribeStackEvents", changesettest.Reset(), 10},
		{"DescribeStackEvents", changesettest.Unavailable(), 10},
		{"ExecuteChangeSet", changesettest.Throttling(), 10},
		{"ExecuteChangeSet", changesettest.Reset(), 10},
		{"ExecuteChangeSet", changesettest.LostResponse(), 1},
		{"ExecuteChangeSet", changesettest.LostResponse(), 10},
		{"CreateChangeSet", changesettest.LostResponse(), 1},
		{"DescribeChangeSet", changesettest.Reset(), 2},
	} {
		t.Run(fmt.Sprintf("%s %+v", test.action, test.fault), func(t *testing.T) {
			t.Parallel()
			b := start(t)
			b.cfn.Put(name, "CREATE_COMPLETE", template(table).TemplateBody)
			b.cfn.Fault(test.action, slices.Repeat([]changesettest.Fault{test.fault}, test.times)...)
			if _, err := b.deploy(within(t), template(table, role, function)); err != nil {
				t.Fatal(err)
			}
			if got := b.cfn.Status(name); got != "UPDATE_COMPLETE" || len(b.cfn.Resources(name)) != 3 {
				t.Errorf("got status %s, resources %v, want UPDATE_COMPLETE and 3", got, b.cfn.Resources(name))
			}
			if diff := cmp.Diff("UserRequestAPI UPDATE_COMPLETE", summary(b.events)[len(b.events)-1]); diff != "" {
				t.Errorf("last event -want +got:\n%s", diff)
			}
		})
	}
}

// The response to ExecuteChangeSet is lost, and its retry is rejected because the execution has started.
func TestLostExecuteResponse(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.cfn.Put(name, "CREATE_COMPLETE", template(table).TemplateBody)
	b.cfn.Fault("ExecuteChangeSet", changesettest.LostResponse(),
		changesettest.Fault{Status: 400, Code: "InvalidChangeSetStatus", Message: "ChangeSet [x] cannot be executed in its current execution status of [EXECUTE_IN_PROGRESS]"})
	if _, err := b.deploy(within(t), template(table, role)); err != nil {
		t.Fatal(err)
	}
	if got := count(b.cfn, "CreateChangeSet"); got != 1 {
		t.Errorf("got %d plans, want 1", got)
	}
}

func TestLostContact(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		fault changesettest.Fault
		want  string
	}{
		{"broken connections", changesettest.Reset(), "no contact for"},
		{"no responses", changesettest.Hang(), "no contact for"},
		{"expired credentials", changesettest.ExpiredToken(), "sign in again"},
		{"permission withdrawn", changesettest.AccessDenied("cloudformation:DescribeStackEvents"), "may not call cloudformation:DescribeStackEvents"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := start(t, func(o *changeset.Options) { o.LostContact = 200 * time.Millisecond })
			b.cfn.Put(name, "CREATE_COMPLETE", template(table).TemplateBody)
			b.cfn.Before("ExecuteChangeSet", func() {
				b.cfn.Fault("DescribeStackEvents", slices.Repeat([]changesettest.Fault{test.fault}, 10_000)...)
			})
			_, err := b.deploy(within(t), template(table, role))
			for _, part := range []string{test.want, "the operation continues in AWS"} {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("got error %v, want %q in it", err, part)
				}
			}
		})
	}
}

func TestInterruptedPlan(t *testing.T) {
	t.Parallel()
	b := start(t)
	ctx, cancel := context.WithCancelCause(within(t))
	interrupted := errors.New("interrupted")
	b.cfn.Before("DescribeChangeSet", func() { cancel(interrupted) })
	_, err := b.Plan(ctx, template(table))
	if !errors.Is(err, interrupted) {
		t.Errorf("got error %v, want the cause of the context", err)
	}
	b.cfn.Run(name)
	b.cfn.WantStatus(t, name, "")
}

func TestDelete(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		arrange func(*testing.T, *bench)
		retain  []string
		want    string // part of the error
	}{
		{name: "absent", arrange: func(*testing.T, *bench) {}},
		{name: "with a retained table", arrange: func(_ *testing.T, b *bench) {
			b.cfn.Put(name, "CREATE_COMPLETE", template(table, role).TemplateBody)
		}},
		{name: "in review", arrange: func(t *testing.T, b *bench) {
			t.Helper()
			if _, err := b.Plan(within(t), template(role)); err != nil {
				t.Error(err)
			}
		}},
		{name: "during a deployment", arrange: func(t *testing.T, b *bench) {
			t.Helper()
			b.cfn.Put(name, "CREATE_COMPLETE", template(role).TemplateBody)
			interrupt(t, b, template(role, function))
		}},
		{name: "during a deletion", arrange: func(t *testing.T, b *bench) {
			t.Helper()
			b.cfn.Put(name, "CREATE_COMPLETE", template(role, function).TemplateBody)
			if _, err := b.cfn.Client().DeleteStack(within(t), &cloudformation.DeleteStackInput{StackName: new(name)}); err != nil {
				t.Error(err)
			}
		}},
		{name: "undeletable resource that may be retained", arrange: func(_ *testing.T, b *bench) {
			b.cfn.Put(name, "CREATE_COMPLETE", template(role, function).TemplateBody)
			b.cfn.Fail(changesettest.Delete, "Role", "in use")
		}, retain: []string{"Role"}},
		{name: "undeletable resource", arrange: func(_ *testing.T, b *bench) {
			b.cfn.Put(name, "CREATE_COMPLETE", template(role, function).TemplateBody)
			b.cfn.Fail(changesettest.Delete, "Role", "Cannot delete entity, must detach all policies first.")
		}, retain: []string{"Function"}, want: "Role (AWS::IAM::Role): Cannot delete entity, must detach all policies first; the stack is DELETE_FAILED"},
		{name: "with a lost response", arrange: func(_ *testing.T, b *bench) {
			b.cfn.Put(name, "CREATE_COMPLETE", template(role).TemplateBody)
			b.cfn.Fault("DeleteStack", changesettest.LostResponse())
		}},
		{name: "protected", arrange: func(_ *testing.T, b *bench) {
			b.cfn.Put(name, "CREATE_COMPLETE", template(role).TemplateBody)
			b.cfn.Fault("DeleteStack", changesettest.Fault{
				Status: 400, Code: "ValidationError", Message: "Stack [UserRequestAPI] cannot be deleted while TerminationProtection is enabled",
			})
		}, want: "cannot be deleted while TerminationProtection is enabled"},
		{name: "conflict with a deployment", arrange: func(_ *testing.T, b *bench) {
			b.cfn.Put(name, "CREATE_COMPLETE", template(role).TemplateBody)
			b.cfn.Fault("DeleteStack", changesettest.Fault{
				Status: 400, Code: "ValidationError", Message: "Stack [x] cannot be deleted while in status UPDATE_IN_PROGRESS",
			})
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := start(t)
			test.arrange(t, b)
			err := b.Delete(within(t), test.retain...)
			switch {
			case test.want == "" && err != nil:
				t.Errorf("got error %v, want none", err)
			case test.want == "" && b.cfn.Status(name) != "":
				t.Errorf("got status %s, want no stack", b.cfn.Status(name))
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got error %v, want %q in it", err, test.want)
			}
		})
	}
}

func TestDeletedMeanwhile(t *testing.T) {
	t.Parallel()
	b := start(t)
	ctx := within(t)
	b.cfn.Put(name, "CREATE_COMPLETE", template(table).TemplateBody)
	plan, err := b.Plan(ctx, template(table, role))
	if err != nil {
		t.Fatal(err)
	}
	if err := join(t, b.cfn).Delete(ctx); err != nil {
		t.Fatal(err)
	}
	if err := b.Apply(ctx, plan); err == nil {
		t.Error("apply: got no error, want one")
	}
}

// CloudFormation accepts the call and never begins the operation.
func TestNothingBegins(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.cfn.Put(name, "CREATE_COMPLETE", template(table).TemplateBody)
	b.cfn.Fault("ExecuteChangeSet", changesettest.Ignored())
	if _, err := b.deploy(within(t), template(table, role)); err != nil { // plans twice
		t.Fatal(err)
	}
	if got := count(b.cfn, "CreateChangeSet"); got != 2 {
		t.Errorf("got %d plans, want 2", got)
	}
	b.cfn.Fault("DeleteStack", slices.Repeat([]changesettest.Fault{changesettest.Ignored()}, 10)...)
	if err := b.Delete(within(t)); !errors.Is(err, changeset.ErrStale) {
		t.Errorf("delete: got error %v, want %v", err, changeset.ErrStale)
	}
}

// The final event is missing.
func TestStatusWithoutEvent(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.cfn.Put(name, "UPDATE_IN_PROGRESS", template(table).TemplateBody)
	b.cfn.Before("DescribeStackEvents", func() {})
	b.cfn.Before("DescribeStackEvents", func() { b.cfn.SetStatus(name, "UPDATE_COMPLETE") })
	if err := b.Prepare(within(t), b.progress); err != nil {
		t.Fatal(err)
	}
	if len(b.lines) != 1 {
		t.Errorf("progress: got %q, want one line", b.lines)
	}
}

func TestInterruptedAnywhere(t *testing.T) {
	t.Parallel()
	for _, action := range []string{
		"DescribeStacks", "ListChangeSets", "CreateChangeSet", "DescribeChangeSet", "DescribeStackEvents", "ExecuteChangeSet",
	} {
		t.Run(action, func(t *testing.T) {
			t.Parallel()
			b := start(t)
			b.cfn.Put(name, "CREATE_COMPLETE", template(table).TemplateBody)
			ctx, cancel := context.WithCancelCause(within(t))
			interrupted := errors.New("interrupted")
			b.cfn.Before(action, func() { cancel(interrupted) })
			if _, err := b.deploy(ctx, template(table, role)); !errors.Is(err, interrupted) {
				t.Errorf("got error %v, want the cause of the context", err)
			}
			if _, err := b.deploy(within(t), template(table, role, function)); err != nil {
				t.Errorf("the next deployment: got error %v, want none", err)
			}
			b.cfn.WantStatus(t, name, "UPDATE_COMPLETE")
		})
	}
}

func TestDrift(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.cfn.Page(1)
	ctx := within(t)
	if _, err := b.Drift(ctx); !errors.Is(err, changeset.ErrNotFound) {
		t.Errorf("without a stack: got error %v, want %v", err, changeset.ErrNotFound)
	}
	b.cfn.Put(name, "CREATE_COMPLETE", template(role, function, alarm).TemplateBody)
	if got, err := b.Drift(ctx); err != nil || len(got) > 0 {
		t.Errorf("without drift: got %+v, %v, want none", got, err)
	}
	b.cfn.Drift(name, "Role")
	b.cfn.Drift(name, "Function", "/Timeout", "/MemorySize")
	got, err := b.Drift(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]changeset.Drift{
		{LogicalID: "Function", Type: "AWS::Lambda::Function", Status: "MODIFIED", Properties: []string{"/MemorySize", "/Timeout"}},
		{LogicalID: "Role", Type: "AWS::IAM::Role", Status: "DELETED", Properties: []string{}},
	}, got); diff != "" {
		t.Errorf("drift -want +got:\n%s", diff)
	}
}

func revert(input changeset.Input) changeset.Input {
	input.RevertDrift = true
	return input
}

func TestRevertDrift(t *testing.T) {
	t.Parallel()
	unchanged := template(role, function, alarm)
	tests := []struct {
		name    string
		drift   map[string][]string
		input   changeset.Input
		want    []changeset.Change // without physical IDs; nil means an empty plan
		wantErr string             // substring of the error of Plan
	}{
		{name: "no drift", input: revert(unchanged)},
		{name: "not requested", drift: map[string][]string{"Role": nil, "Function": {"/Timeout"}}, input: unchanged},
		{
			name: "changed and deleted", drift: map[string][]string{"Role": nil, "Function": {"/Timeout", "/Environment/Variables/A"}},
			input: revert(unchanged),
			want: []changeset.Change{
				{
					Action: "Modify", LogicalID: "Function", Type: "AWS::Lambda::Function", Replacement: "False",
					Properties: []string{"Environment", "Timeout"}, Drift: "MODIFIED",
				},
				{Action: "Add", LogicalID: "Role", Type: "AWS::IAM::Role", Drift: "DELETED"},
			},
		},
		{
			name: "with another change", drift: map[string][]string{"Role": nil}, input: revert(template(role, changed, alarm)),
			want: []changeset.Change{
				{Action: "Modify", LogicalID: "Function", Type: "AWS::Lambda::Function", Replacement: "False", Properties: []string{"Code", "MemorySize"}},
				{Action: "Add", LogicalID: "Role", Type: "AWS::IAM::Role", Drift: "DELETED"},
			},
		},
		{
			name: "replacement of a drifted resource", drift: map[string][]string{"Function": {"/Timeout"}},
			input:   revert(template(role, strings.Replace(function, `"Code"`, `"FunctionName": "other", "Code"`, 1), alarm)),
			wantErr: "deploy without REVERT_DRIFT",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b, ctx := start(t), within(t)
			if _, err := b.deploy(ctx, unchanged); err != nil {
				t.Fatal(err)
			}
			for id, paths := range tt.drift {
				b.cfn.Drift(name, id, paths...)
			}
			plan, err := b.Plan(ctx, tt.input)
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
					t.Errorf("got error %v, want %q in it", err, tt.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, plan.Changes, cmpopts.IgnoreFields(changeset.Change{}, "PhysicalID")); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
			if err := b.Apply(ctx, plan); err != nil {
				t.Fatal(err)
			}
			drift, err := b.Drift(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if reverted := len(drift) == 0; reverted != (tt.want != nil || tt.drift == nil) {
				t.Errorf("drift afterwards: got %+v, want it reverted: %t", drift, !reverted)
			}
		})
	}
}

// CloudFormation notices that a resource was deleted only when it updates the resource.
func TestUpdateOfDeletedResource(t *testing.T) {
	t.Parallel()
	b, ctx := start(t, func(o *changeset.Options) { o.Line = command.Line{Stage: "dev"} }), within(t)
	if _, err := b.deploy(ctx, template(role, function)); err != nil {
		t.Fatal(err)
	}
	b.cfn.Drift(name, "Function")
	_, err := b.deploy(ctx, template(role, changed))
	if want := "REVERT_DRIFT=1 STAGE=dev go tool mage deploy creates it again"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got error %v, want %q in it", err, want)
	}
	if _, err := b.deploy(ctx, revert(template(role, changed))); err != nil {
		t.Error(err)
	}
}

func TestUnauthorized(t *testing.T) {
	t.Parallel()
	const handler = `Resource handler returned message: "%s" (RequestToken: 0c1d, HandlerErrorCode: %s)`
	tests := []struct {
		reason string
		want   bool
	}{
		{fmt.Sprintf(handler, "User: arn:aws:iam::1:user/x is not authorized to perform: iam:CreateRole on resource: y (Service: Iam, Status Code: 403)", "AccessDenied"), true},
		{"API: iam:CreateRole User: arn:aws:iam::1:user/x is not authorized to perform: iam:CreateRole on resource: y", true},
		{fmt.Sprintf(handler, "Access Denied (Service: S3, Status Code: 403)", "GeneralServiceException"), true},
		{fmt.Sprintf(handler, "Encountered a permissions error performing a tagging operation, please add required tag permissions", "UnauthorizedTaggingOperation"), true},
		{fmt.Sprintf(handler, "The security token included in the request is expired", "GeneralServiceException"), true},
		{fmt.Sprintf(handler, "Function not found", "NotFound"), false},
		{"the disk is full", false},
		{"", false},
	}
	for _, tt := range tests {
		t.Run(tt.reason, func(t *testing.T) {
			t.Parallel()
			b := start(t)
			b.cfn.Fail(changesettest.Create, "Role", tt.reason)
			_, err := b.deploy(within(t), template(role))
			failure, ok := errors.AsType[*changeset.Failure](err)
			if !ok || failure.Unauthorized() != tt.want {
				t.Errorf("got error %v, want Unauthorized %t", err, tt.want)
			}
		})
	}
}

// The commands in hints select the stack's stage and account.
func TestHints(t *testing.T) {
	t.Parallel()
	const of = "STAGE=dev AWS_PROFILE=me go tool mage "
	tests := []struct {
		reason string
		want   []string
	}{
		{"Invalid OpenAPI input", []string{of + "template prints it", " go tool mage lint checks it"}},
		{"the alarm went into ALARM", []string{of + "status and " + of + "logs"}},
		{"Resource not found (RequestToken: 0c1d, HandlerErrorCode: NotFound)", []string{"REVERT_DRIFT=1 " + of + "deploy creates it again"}},
	}
	for _, tt := range tests {
		t.Run(tt.reason, func(t *testing.T) {
			t.Parallel()
			b := start(t, func(o *changeset.Options) { o.Line = command.Line{Stage: "dev", AWS: []string{"AWS_PROFILE=me"}} })
			b.cfn.Fail(changesettest.Create, "Role", tt.reason)
			_, err := b.deploy(within(t), template(role))
			for _, part := range tt.want {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("got error %v, want %q in it", err, part)
				}
			}
		})
	}
}
