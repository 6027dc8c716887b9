package changeset

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	awserrors "github.com/userrequestapi/userdata/deploy/aws/errors"
	"github.com/userrequestapi/userdata/deploy/host/command"
)

// Failure is why CloudFormation has not done what it was asked for.
type Failure struct {
	Stack  string
	Status types.StackStatus // that the stack was left in; "": nothing was begun, as the change set was refused
	Cause  Event             // the first failure of the operation that no other has caused
	Others []Event           // further failures in their own right
	Hint   string            // what to do about the cause; "" if nothing in particular is known
}

// Error returns the root cause, what state the stack is in and what to do.
func (f *Failure) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "stack %s: %s", f.Stack, f.cause())
	fmt.Fprintf(&b, "; %s; %s", consequence(f.Status), cmp.Or(f.Hint, generalHint))
	return b.String()
}

// generalHint is the next step if nothing in particular is known about the cause.
const generalHint = "correct the cause and repeat; if there is nothing to correct, repeat: " +
	"a fault of AWS may be over by then"

// cause names what has failed, and why.
func (f *Failure) cause() string {
	if f.Cause.Stack {
		return plain(f.Cause.Reason)
	}
	return fmt.Sprintf("%s (%s): %s", f.Cause.LogicalID, f.Cause.Type, plain(f.Cause.Reason))
}

// unauthorized matches the reasons that credentials with more permissions, or credentials that are still valid, would
// not have.
var unauthorized = regexp.MustCompile(`(?i)not authorized to perform|access ?denied|UnauthorizedOperation|` +
	`permissions? error|ExpiredToken|security token included in the request is (expired|invalid)`)

// Unauthorized reports whether the cause is a missing permission or credentials that are not valid.
func (f *Failure) Unauthorized() bool { return unauthorized.MatchString(f.Cause.Reason) }

// consequence says what a status means to whoever has just failed to change the stack.
func consequence(status types.StackStatus) string {
	switch status {
	case "":
		return "nothing was changed"
	case types.StackStatusRollbackComplete:
		return fmt.Sprintf("what was created is gone again, but for what is retained (%s); the next deployment starts anew", status)
	case types.StackStatusRollbackFailed, types.StackStatusCreateFailed:
		return fmt.Sprintf("what was created is not all gone again (%s); the next deployment deletes the rest and starts anew", status)
	case types.StackStatusUpdateRollbackComplete, types.StackStatusImportRollbackComplete:
		return fmt.Sprintf("everything is as it was before (%s)", status)
	case types.StackStatusUpdateRollbackFailed:
		return fmt.Sprintf("and the way back failed too (%s); the next deployment tries it again", status)
	case types.StackStatusDeleteComplete:
		return "somebody has deleted the stack"
	default:
		return fmt.Sprintf("the stack is %s", status)
	}
}

// handler is how CloudFormation wraps what a resource provider says.
var handler = regexp.MustCompile(`^Resource handler returned message: "(.*?)" \(RequestToken: [\w-]*, HandlerErrorCode: \w*\)$`)

// plain returns the part of a reason that is for people.
func plain(reason string) string {
	reason = strings.TrimSpace(reason)
	if found := handler.FindStringSubmatch(reason); found != nil {
		reason = found[1]
	}
	if reason == "" {
		return "CloudFormation gives no reason"
	}
	return strings.TrimSuffix(reason, ".")
}

// cancelled matches the reasons of resources that failed only because another one had.
var cancelled = regexp.MustCompile(`(?i)^(the )?(resource )?\w+ (was )?cancell?ed`)

// explain finds the root cause among the events of an operation that has failed.
func (s *Stack) explain(end outcome) *Failure {
	failure := &Failure{Stack: s.name, Status: end.status}
	own := Event{LogicalID: s.name, Stack: true} // the first of the stack itself that gives a reason, other than who asked for it
	var found []Event
	for _, e := range end.events {
		switch {
		case e.Stack && own.Reason == "" && e.Reason != "" && (adverse(e.Status) || string(e.Status) == string(end.status)):
			own = e
		case !e.Stack && e.failure() && !cancelled.MatchString(e.Reason):
			found = append(found, e)
		}
	}
	failure.Cause = own
	if len(found) > 0 {
		failure.Cause, failure.Others = found[0], found[1:]
	}
	failure.Hint = s.hint(failure.Cause.Reason)
	return failure
}

// adverse reports whether a status is a failure or the way back from one.
func adverse(status types.ResourceStatus) bool {
	return strings.HasSuffix(string(status), "_FAILED") || strings.Contains(string(status), "ROLLBACK")
}

// LastFailure says why the latest operation on the stack has failed; nil where it has not, or not yet.
func (s *Stack) LastFailure(ctx context.Context) (*Failure, error) {
	d, err := s.Describe(ctx)
	if err != nil {
		return nil, err
	}
	return s.lastFailure(ctx, d)
}

func (s *Stack) lastFailure(ctx context.Context, d *Description) (*Failure, error) {
	events, err := s.since(ctx, d.ID, "")
	if err != nil {
		return nil, s.failed(ctx, "read the events of", err)
	}
	end := outcome{status: d.Status}
	for _, e := range events {
		switch types.StackStatus(e.Status) {
		default:
		case types.StackStatusCreateInProgress, types.StackStatusUpdateInProgress, types.StackStatusImportInProgress,
			types.StackStatusDeleteInProgress:
			if e.Stack { // an operation begins
				end.events = nil
			}
		}
		end.events = append(end.events, e.Event)
	}
	for _, e := range end.events {
		if !e.Stack && e.failure() {
			return s.explain(end), nil
		}
	}
	return nil, nil
}

// hints are what to do about frequent reasons, the first that matches. A target of mage in braces stands for its
// command.
//
//nolint:gochecknoglobals // compiled once, never changed
var hints = []struct {
	reason *regexp.Regexp
	text   string
}{
	{regexp.MustCompile(`CloudWatch Logs role ARN must be set in account settings`),
		"API Gateway needs a role for access logs, once per account and Region: " +
			"deploy with the parameter ApiGatewayLogsRole set to Create in the stage's file"},
	{regexp.MustCompile(`(?i)cannot be assumed|(unable|authorized|permissions?) to assume|trust relationship`),
		"a role that was just created is not known to all of AWS at once: deploy again"},
	{regexp.MustCompile(`decreases account's UnreservedConcurrentExecution below its minimum`),
		"the account has too little Lambda concurrency left: lower ReservedConcurrency in the stage's file, or have the quota " +
			"Concurrent executions raised"},
	{regexp.MustCompile(`A version for this Lambda function exists`),
		"the function's code and settings are those of a version that exists: change either, or delete that version"},
	{regexp.MustCompile(`(?i)already exist|NameConflict|AlreadyExists`),
		"something of that name is there but not part of this stack: delete it, or choose another stage; " +
			"a table can be kept, docs/deploy.md says how to take it over"},
	{regexp.MustCompile(`(?i)\bKMS\b|kms:|CiphertextException|encryption key`),
		"is the key enabled, in this Region, and does its policy allow this use? Correct it, and deploy again"},
	{regexp.MustCompile(`No integration defined|doesn't contain any methods|Invalid OpenAPI|Unable to parse API definition`),
		"API Gateway does not accept the API document: {template} prints it, and {lint} checks it"},
	{regexp.MustCompile(`(?i)\balarms?\b.*(ALARM|activated|breach|stopp)|CodeDeploy.*(fail|roll|stop)|deployment .*(was stopped|failed)`),
		"the new version has set off an alarm, and the earlier one serves again: see {status} and {logs}"},
	{regexp.MustCompile(`(?i)CodeStorageExceeded|code storage`),
		"the account's room for Lambda code is used up: docs/deploy.md says how to delete old versions"},
	{regexp.MustCompile(`(?i)quota|limit ?exceeded|LimitExceeded|TooManyRequests|maximum number of|exceeds? the (maximum|limit)`),
		"a quota of the account is reached: free some of it, or have it raised under Service Quotas"},
	{regexp.MustCompile(`(?i)Rate exceeded|Throttl|Too Many Requests`),
		"AWS was asked too often: deploy again in a few minutes"},
	{regexp.MustCompile(`(?i)cannot be (deleted|replaced).*protection|deletion ?protection|TerminationProtection`),
		"it is protected from being deleted: docs/deploy.md says how to lift that"},
	{regexp.MustCompile(`(?i)does(n't| not) (exist|match).*(s3|bucket|key)|NoSuchKey|Error occurred while GetObject|S3 Error`),
		"CloudFormation cannot read the package from the artifact bucket: is it in the same Region, and were its objects deleted?"},
	{regexp.MustCompile(`Requires capabilities`),
		"the template names a role, which this tool does not allow: leave the name to CloudFormation"},
	{regexp.MustCompile(`(?i)EarlyValidation`),
		"CloudFormation tells the details only to those who may call cloudformation:DescribeEvents"},
	{regexp.MustCompile(`(?i)in use by|Export .* cannot be|imported by`),
		"another stack uses what this one exports: change that one first"},
	{regexp.MustCompile(`(?i)User Initiated|requested by user`),
		"somebody has stopped it; deploy again"},
	{regexp.MustCompile(`requires replacement of drifted resources`),
		"CloudFormation replaces no resource that was changed by other means: change it back by hand, and deploy " +
			"without REVERT_DRIFT"},
	{regexp.MustCompile(`HandlerErrorCode: NotFound|(?i)ResourceNotFoundException`),
		"if it was deleted by other means than a deployment, {REVERT_DRIFT=1 deploy} creates it again"},
	{unauthorized,
		"a permission is missing, of whoever deploys or of a role in the template; docs/deploy.md has the policy that " +
			"the deployer needs"},
}

// target matches the target of mage in a hint, with its setting if it has one.
var target = regexp.MustCompile(`\{(?:(\w+=\w+) )?(\w+)\}`)

// command returns the command for a target as hints have it.
func (s *Stack) command(text string) string {
	found := target.FindStringSubmatch(text)
	switch setting, name := found[1], found[2]; {
	case name == "lint": // the same for all stages
		return command.Line{}.Mage(name)
	case setting != "":
		return s.options.Line.Mage(name, setting)
	default:
		return s.options.Line.Mage(name)
	}
}

// hint returns what to do about a reason, "" when nothing in particular is known.
func (s *Stack) hint(reason string) string {
	if action, _, ok := awserrors.Action(reason); ok {
		return fmt.Sprintf("the permission %s is missing, of whoever deploys or of a role in the template; "+
			"docs/deploy.md has the policy that the deployer needs", action)
	}
	for _, h := range hints {
		if h.reason.MatchString(reason) {
			return target.ReplaceAllStringFunc(h.text, s.command)
		}
	}
	return ""
}
