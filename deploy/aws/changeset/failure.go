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

// Failure is an operation that CloudFormation rejected or that failed.
type Failure struct {
	Stack  string
	Status types.StackStatus // of the stack afterwards; "" if the change set was rejected and nothing changed
	Cause  Event             // the first failure that is not a consequence of another
	Others []Event           // further independent failures
	Hint   string            // what to do about the cause; "" if no specific hint is known
}

// Error returns the root cause, the state of the stack and the next step.
func (f *Failure) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "stack %s: %s", f.Stack, f.cause())
	fmt.Fprintf(&b, "; %s; %s", describeStatus(f.Status), cmp.Or(f.Hint, generalHint))
	return b.String()
}

// generalHint is the next step for a cause without a specific hint.
const generalHint = "correct the cause and deploy again; if there is nothing to correct, deploy again: " +
	"the cause may be a temporary fault of AWS"

// cause returns the resource that failed and the reason.
func (f *Failure) cause() string {
	if f.Cause.Stack {
		return trimReason(f.Cause.Reason)
	}
	return fmt.Sprintf("%s (%s): %s", f.Cause.LogicalID, f.Cause.Type, trimReason(f.Cause.Reason))
}

// unauthorized matches the reasons of failures that are due to missing permissions or invalid credentials.
var unauthorized = regexp.MustCompile(`(?i)not authorized to perform|access ?denied|UnauthorizedOperation|` +
	`permissions? error|ExpiredToken|security token included in the request is (expired|invalid)`)

// Unauthorized reports whether the cause is a missing permission or invalid credentials.
func (f *Failure) Unauthorized() bool { return unauthorized.MatchString(f.Cause.Reason) }

// describeStatus returns what the status of a stack means after a failed operation.
func describeStatus(status types.StackStatus) string {
	switch status {
	case "":
		return "nothing was changed"
	case types.StackStatusRollbackComplete:
		return fmt.Sprintf("the created resources were deleted, except retained ones (%s); the next deployment starts over",
			status)
	case types.StackStatusRollbackFailed, types.StackStatusCreateFailed:
		return fmt.Sprintf(
			"not all of the created resources were deleted (%s); the next deployment deletes the rest and starts over",
			status,
		)
	case types.StackStatusUpdateRollbackComplete, types.StackStatusImportRollbackComplete:
		return fmt.Sprintf("the stack is back in its previous state (%s)", status)
	case types.StackStatusUpdateRollbackFailed:
		return fmt.Sprintf("the rollback failed too (%s); the next deployment continues it", status)
	case types.StackStatusDeleteComplete:
		return "the stack was deleted in the meantime"
	default:
		return fmt.Sprintf("the stack is %s", status)
	}
}

// handlerMessage matches a resource provider's message as CloudFormation wraps it.
var handlerMessage = regexp.MustCompile(
	`^Resource handler returned message: "(.*?)" \(RequestToken: [\w-]*, HandlerErrorCode: \w*\)$`,
)

// trimReason returns a reason without CloudFormation's wrapping and final full stop.
func trimReason(reason string) string {
	reason = strings.TrimSpace(reason)
	if found := handlerMessage.FindStringSubmatch(reason); found != nil {
		reason = found[1]
	}
	if reason == "" {
		return "CloudFormation returned no reason"
	}
	return strings.TrimSuffix(reason, ".")
}

// cancelled matches the reasons of resources that failed only because another resource did.
var cancelled = regexp.MustCompile(`(?i)^(the )?(resource )?\w+ (was )?cancell?ed`)

// explain finds the root cause among the events of a failed operation.
func (s *Stack) explain(end outcome) *Failure {
	failure := &Failure{Stack: s.name, Status: end.status}
	own := Event{LogicalID: s.name, Stack: true} // the stack's first failure event with a reason
	var found []Event
	for _, e := range end.events {
		switch {
		case e.Stack && own.Reason == "" && e.Reason != "" && (isFailure(e.Status) || string(e.Status) == string(end.status)):
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

// isFailure reports whether a status is a failure or part of a rollback.
func isFailure(status types.ResourceStatus) bool {
	return strings.HasSuffix(string(status), "_FAILED") || strings.Contains(string(status), "ROLLBACK")
}

// LastFailure returns the failure of the latest operation on the stack, or nil if no resource has failed in it. d
// describes the stack.
func (s *Stack) LastFailure(ctx context.Context, d *Description) (*Failure, error) {
	events, err := s.eventsSince(ctx, d.ID, "")
	if err != nil {
		return nil, s.wrap(ctx, "read the events of", err)
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

// hints are the next steps for common reasons. The first match applies. A mage target in braces stands for its command.
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
		"a role that was just created takes a moment to become available everywhere: deploy again"},
	{
		regexp.MustCompile(`decreases account's UnreservedConcurrentExecution below its minimum`),
		"the account has too little unreserved Lambda concurrency: lower ReservedConcurrency in the stage's file, or " +
			"request an increase of the quota Concurrent executions",
	},
	{regexp.MustCompile(`A version for this Lambda function exists`),
		"a version with this code and configuration already exists: change either, or delete that version"},
	{regexp.MustCompile(`(?i)already exist|NameConflict|AlreadyExists`),
		"a resource with this name exists outside of this stack: delete it, or choose another stage; " +
			"docs/deploy.md describes how to import an existing table"},
	{regexp.MustCompile(`(?i)\bKMS\b|kms:|CiphertextException|encryption key`),
		"check that the key is enabled, is in this Region and has a policy that allows this use, then deploy again"},
	{
		regexp.MustCompile(
			`No integration defined|doesn't contain any methods|Invalid OpenAPI|Unable to parse API definition`,
		),
		"API Gateway rejected the API document: {template} prints it, and {lint} checks it",
	},
	{
		regexp.MustCompile(
			`(?i)\balarms?\b.*(ALARM|activated|breach|stopp)|CodeDeploy.*(fail|roll|stop)|deployment .*(was stopped|failed)`,
		),
		"the new version triggered an alarm, and the previous version is active again: see {status} and {logs}",
	},
	{regexp.MustCompile(`(?i)CodeStorageExceeded|code storage`),
		"the account's Lambda code storage is full: docs/deploy.md describes how to delete old versions"},
	{
		regexp.MustCompile(
			`(?i)quota|limit ?exceeded|LimitExceeded|TooManyRequests|maximum number of|exceeds? the (maximum|limit)`,
		),
		"the account has reached a quota: delete unused resources, or request an increase in Service Quotas",
	},
	{regexp.MustCompile(`(?i)Rate exceeded|Throttl|Too Many Requests`),
		"AWS throttled the requests: deploy again in a few minutes"},
	{regexp.MustCompile(`(?i)cannot be (deleted|replaced).*protection|deletion ?protection|TerminationProtection`),
		"deletion protection is on: docs/deploy.md describes how to turn it off"},
	{
		regexp.MustCompile(
			`(?i)does(n't| not) (exist|match).*(s3|bucket|key)|NoSuchKey|Error occurred while GetObject|S3 Error`,
		),
		"CloudFormation cannot read the package from the artifact bucket: " +
			"check that the bucket is in this Region and has the object",
	},
	{regexp.MustCompile(`Requires capabilities`),
		"the template names a role, which this tool does not allow: remove the RoleName"},
	{regexp.MustCompile(`(?i)EarlyValidation`),
		"the details need the permission cloudformation:DescribeEvents"},
	{regexp.MustCompile(`(?i)in use by|Export .* cannot be|imported by`),
		"another stack imports an output of this stack: change the other stack first"},
	{regexp.MustCompile(`(?i)User Initiated|requested by user`),
		"the operation was cancelled by a user: deploy again"},
	{regexp.MustCompile(`requires replacement of drifted resources`),
		"CloudFormation does not replace a resource that has drifted: revert the drift by hand, and deploy " +
			"without REVERT_DRIFT"},
	{regexp.MustCompile(`HandlerErrorCode: NotFound|(?i)ResourceNotFoundException`),
		"if it was deleted outside of CloudFormation, {REVERT_DRIFT=1 deploy} creates it again"},
	{unauthorized,
		"the deployer or a role in the template lacks a permission; docs/deploy.md has the policy that the deployer needs"},
}

// target matches a mage target in a hint, with its optional setting.
var target = regexp.MustCompile(`\{(?:(\w+=\w+) )?(\w+)\}`)

// command returns the command for a target in braces.
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

// hint returns the next step for a reason, or "" if no specific hint is known.
func (s *Stack) hint(reason string) string {
	if action, _, ok := awserrors.Action(reason); ok {
		return fmt.Sprintf("the deployer or a role in the template lacks the permission %s; "+
			"docs/deploy.md has the policy that the deployer needs", action)
	}
	for _, h := range hints {
		if h.reason.MatchString(reason) {
			return target.ReplaceAllStringFunc(h.text, s.command)
		}
	}
	return ""
}
