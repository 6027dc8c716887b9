// Package changeset deploys a CloudFormation stack with change sets: it plans a change, applies it, waits for the
// outcome and explains failures. [Stack.Prepare] prepares the stack for the next change, whatever state it is in.
//
// The package keeps no state between runs: CloudFormation continues an operation after the deployer was killed, and the
// stack's status, events and change sets describe it.
package changeset

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/smithy-go"

	awserrors "github.com/userrequestapi/userdata/deploy/aws/errors"
	"github.com/userrequestapi/userdata/deploy/host/command"
)

var (
	// ErrNotFound means that no stack with this name exists.
	ErrNotFound = errors.New("the stack does not exist")

	// ErrStale means that the stack has changed since Prepare or Plan, for example by another deployment. The call had no
	// effect: call Prepare and Plan again.
	ErrStale = errors.New("the stack has changed in the meantime")
)

const (
	defaultPoll        = 2 * time.Second
	defaultLostContact = 5 * time.Minute
	callTimeout        = time.Minute // includes the SDK's retries; a silently broken connection would block longer
)

// Options configures a [Stack]. The zero value is usable.
type Options struct {
	Poll        time.Duration // the polling interval; 0 means 2 s
	LostContact time.Duration // how long AWS may be unreachable during an operation; 0 means 5 min
	Progress    func(Event)   // gets each event of an operation, in order; may be nil

	Line command.Line // formats the commands in messages
	// Resume returns the command to run after a wait was interrupted, such as "X waits for it". It may be nil.
	Resume func() string
}

// Stack is a CloudFormation stack, which need not exist yet. Create it with [New].
type Stack struct {
	client  *cloudformation.Client
	name    string
	options Options
}

// New returns the stack with this name in the client's account and Region. It makes no calls.
func New(client *cloudformation.Client, name string, options Options) *Stack {
	if options.Poll == 0 {
		options.Poll = defaultPoll
	}
	if options.LostContact == 0 {
		options.LostContact = defaultLostContact
	}
	return &Stack{client: client, name: name, options: options}
}

// Description is the state of a stack.
type Description struct {
	ID, Name            string // the ID is an ARN
	Status              types.StackStatus
	Reason              string    // of the status; may be ""
	Created, Updated    time.Time // Updated is zero for a stack that was never updated
	Parameters, Outputs map[string]string
}

// InProgress reports whether an operation is in progress. It is false for REVIEW_IN_PROGRESS, the status of a stack
// that only has change sets.
func (d *Description) InProgress() bool { return !isStable(d.Status) }

// isStable reports whether a stack keeps a status until the next operation.
func isStable(status types.StackStatus) bool {
	return status == types.StackStatusReviewInProgress || !strings.HasSuffix(string(status), "_IN_PROGRESS")
}

// Describe returns the state of the stack, or [ErrNotFound].
func (s *Stack) Describe(ctx context.Context) (*Description, error) { return s.describe(ctx, s.name) }

// describe takes a name or an ID. By its ID, a deleted stack is found for 90 days.
func (s *Stack) describe(ctx context.Context, id string) (*Description, error) {
	out, err := s.client.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &id})
	if isNotFound(err) || err == nil && len(out.Stacks) == 0 {
		return nil, s.wrap(ctx, "describe", ErrNotFound)
	}
	if err != nil {
		return nil, s.wrap(ctx, "describe", err)
	}
	stack := out.Stacks[0]
	if id == s.name && stack.StackStatus == types.StackStatusDeleteComplete {
		return nil, s.wrap(ctx, "describe", ErrNotFound)
	}
	d := &Description{
		ID: aws.ToString(stack.StackId), Name: aws.ToString(stack.StackName),
		Status: stack.StackStatus, Reason: aws.ToString(stack.StackStatusReason),
		Created: aws.ToTime(stack.CreationTime), Updated: aws.ToTime(stack.LastUpdatedTime),
		Parameters: map[string]string{}, Outputs: map[string]string{},
	}
	for _, p := range stack.Parameters {
		d.Parameters[aws.ToString(p.ParameterKey)] = aws.ToString(p.ParameterValue)
	}
	for _, o := range stack.Outputs {
		d.Outputs[aws.ToString(o.OutputKey)] = aws.ToString(o.OutputValue)
	}
	return d, nil
}

// Template returns the stack's latest template as it was submitted, or [ErrNotFound].
func (s *Stack) Template(ctx context.Context) ([]byte, error) {
	out, err := s.client.GetTemplate(ctx, &cloudformation.GetTemplateInput{
		StackName: &s.name, TemplateStage: types.TemplateStageOriginal,
	})
	if isNotFound(err) {
		err = ErrNotFound
	}
	if err != nil {
		return nil, s.wrap(ctx, "get the template of", err)
	}
	return []byte(aws.ToString(out.TemplateBody)), nil
}

// Resource is a resource of the stack.
type Resource struct {
	LogicalID, PhysicalID, Type string
	Status                      types.ResourceStatus
	Reason                      string // of the status; may be ""
}

// Resources returns the stack's resources, including deleted ones, in CloudFormation's order, or [ErrNotFound].
func (s *Stack) Resources(ctx context.Context) ([]Resource, error) { return s.resources(ctx, s.name) }

func (s *Stack) resources(ctx context.Context, id string) ([]Resource, error) {
	var resources []Resource
	pages := cloudformation.NewListStackResourcesPaginator(s.client,
		&cloudformation.ListStackResourcesInput{StackName: &id})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if isNotFound(err) {
			err = ErrNotFound
		}
		if err != nil {
			return nil, s.wrap(ctx, "list the resources of", err)
		}
		for _, r := range page.StackResourceSummaries {
			resources = append(resources, Resource{
				LogicalID: aws.ToString(r.LogicalResourceId), PhysicalID: aws.ToString(r.PhysicalResourceId),
				Type: aws.ToString(r.ResourceType), Status: r.ResourceStatus, Reason: aws.ToString(r.ResourceStatusReason),
			})
		}
	}
	return resources, nil
}

// wrap adds the action that failed and the stack to an error. If ctx has ended, its cause replaces the error.
func (s *Stack) wrap(ctx context.Context, doing string, err error) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return fmt.Errorf("%s stack %s: %w", doing, s.name, awserrors.Explain(err))
}

// wrapConflict wraps a conflict with another deployment in [ErrStale], and explains any other error.
func wrapConflict(err error) error {
	if isConflict(err) {
		return fmt.Errorf("%w: %w", ErrStale, awserrors.Explain(err))
	}
	return awserrors.Explain(err)
}

// isNotFound reports whether err means that the stack does not exist. CloudFormation has no error code for it.
func isNotFound(err error) bool { return isValidationError(err, noStack) }

// maxConflicts is the number of attempts that may conflict with other deployments.
const maxConflicts = 5

// isConflict reports whether CloudFormation rejected a call because another deployment has changed the stack's state.
func isConflict(err error) bool {
	switch awserrors.Code(err) {
	case "InvalidChangeSetStatus", "ChangeSetNotFound", "OperationInProgressException", "StaleRequestException":
		return true
	default:
		return isValidationError(err, noStack) || isValidationError(err, otherState)
	}
}

// Messages of a ValidationError about the stack. They begin with "Stack", unlike those about a template, such as
// "S3 error: The specified key does not exist."
var (
	noStack    = regexp.MustCompile(`^Stack (with id )?\S+ does not exist`)
	otherState = regexp.MustCompile(`^Stack\W.*(is in \w+ state and can ?not |cannot be deleted while in status |` +
		`already exists and cannot be created again|is not in UPDATE_ROLLBACK_FAILED)`)
)

func isValidationError(err error, message *regexp.Regexp) bool {
	api, ok := errors.AsType[smithy.APIError](err)
	return ok && api.ErrorCode() == "ValidationError" && message.MatchString(api.ErrorMessage())
}
