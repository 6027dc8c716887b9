// Package changeset drives one CloudFormation stack: it plans a change, applies it, watches it to the end and says why it
// failed. Whatever state an earlier deployment left the stack in, [Stack.Settle] brings it to one that the next can go on from.
//
// CloudFormation does the work and goes on with it when the deployer is killed, so nothing here is kept between runs: the
// stack's own status, events and change sets tell what was going on.
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

// Client is the part of CloudFormation that is used. [*cloudformation.Client] implements it.
type Client interface {
	ContinueUpdateRollback(context.Context, *cloudformation.ContinueUpdateRollbackInput, ...func(*cloudformation.Options),
	) (*cloudformation.ContinueUpdateRollbackOutput, error)
	CreateChangeSet(context.Context, *cloudformation.CreateChangeSetInput, ...func(*cloudformation.Options),
	) (*cloudformation.CreateChangeSetOutput, error)
	DeleteChangeSet(context.Context, *cloudformation.DeleteChangeSetInput, ...func(*cloudformation.Options),
	) (*cloudformation.DeleteChangeSetOutput, error)
	DeleteStack(context.Context, *cloudformation.DeleteStackInput, ...func(*cloudformation.Options),
	) (*cloudformation.DeleteStackOutput, error)
	DescribeChangeSet(context.Context, *cloudformation.DescribeChangeSetInput, ...func(*cloudformation.Options),
	) (*cloudformation.DescribeChangeSetOutput, error)
	DescribeEvents(context.Context, *cloudformation.DescribeEventsInput, ...func(*cloudformation.Options),
	) (*cloudformation.DescribeEventsOutput, error)
	DescribeStackDriftDetectionStatus(
		context.Context, *cloudformation.DescribeStackDriftDetectionStatusInput, ...func(*cloudformation.Options),
	) (*cloudformation.DescribeStackDriftDetectionStatusOutput, error)
	DescribeStackEvents(context.Context, *cloudformation.DescribeStackEventsInput, ...func(*cloudformation.Options),
	) (*cloudformation.DescribeStackEventsOutput, error)
	DescribeStackResourceDrifts(context.Context, *cloudformation.DescribeStackResourceDriftsInput, ...func(*cloudformation.Options),
	) (*cloudformation.DescribeStackResourceDriftsOutput, error)
	DescribeStacks(context.Context, *cloudformation.DescribeStacksInput, ...func(*cloudformation.Options),
	) (*cloudformation.DescribeStacksOutput, error)
	DetectStackDrift(context.Context, *cloudformation.DetectStackDriftInput, ...func(*cloudformation.Options),
	) (*cloudformation.DetectStackDriftOutput, error)
	ExecuteChangeSet(context.Context, *cloudformation.ExecuteChangeSetInput, ...func(*cloudformation.Options),
	) (*cloudformation.ExecuteChangeSetOutput, error)
	GetTemplate(context.Context, *cloudformation.GetTemplateInput, ...func(*cloudformation.Options),
	) (*cloudformation.GetTemplateOutput, error)
	ListChangeSets(context.Context, *cloudformation.ListChangeSetsInput, ...func(*cloudformation.Options),
	) (*cloudformation.ListChangeSetsOutput, error)
	ListStackResources(context.Context, *cloudformation.ListStackResourcesInput, ...func(*cloudformation.Options),
	) (*cloudformation.ListStackResourcesOutput, error)
}

var (
	// ErrAbsent is returned where there is no stack of that name.
	ErrAbsent = errors.New("the stack does not exist")

	// ErrStale is returned where the stack has changed since it was settled or planned, by another deployment for instance.
	// Nothing has been done; settle the stack and plan again.
	ErrStale = errors.New("the stack has changed meanwhile")
)

const (
	defaultPoll        = 2 * time.Second
	defaultLostContact = 5 * time.Minute
	longestCall        = time.Minute // with the SDK's retries; a connection that died without a word would hang for many
)

// Options configures a [Stack]. The zero value is usable.
type Options struct {
	Poll        time.Duration // between two looks at what CloudFormation is doing; 0: 2 s
	LostContact time.Duration // how long AWS may be out of reach in the middle of an operation; 0: 5 min
	Progress    func(Event)   // gets each event of an operation that is watched, in order; may be nil

	Line command.Line // writes the commands in messages
	// Resume returns what to run after an operation that was left unwatched, such as "X waits for it"; nil: messages do
	// not say.
	Resume func() string
}

// Stack is one CloudFormation stack, which need not exist yet. Create it with [New].
type Stack struct {
	client  Client
	name    string
	options Options
}

// New returns the stack of that name in the client's account and Region. Nothing is called yet.
func New(client Client, name string, options Options) *Stack {
	if options.Poll == 0 {
		options.Poll = defaultPoll
	}
	if options.LostContact == 0 {
		options.LostContact = defaultLostContact
	}
	return &Stack{client: client, name: name, options: options}
}

// Description is what a stack is at one moment.
type Description struct {
	ID, Name                  string // the id is an ARN
	Status                    types.StackStatus
	Reason                    string    // of the status; may be ""
	Created, Updated          time.Time // Updated is zero for a stack that was never updated
	Parameters, Outputs, Tags map[string]string
}

// InProgress reports whether CloudFormation is at work on the stack. REVIEW_IN_PROGRESS is not work: it is the status of
// a stack that has a change set and nothing else.
func (d *Description) InProgress() bool { return !settled(d.Status) }

// settled reports whether a stack stays in a status until somebody asks for something.
func settled(status types.StackStatus) bool {
	return status == types.StackStatusReviewInProgress || !strings.HasSuffix(string(status), "_IN_PROGRESS")
}

// Name returns the stack's name.
func (s *Stack) Name() string { return s.name }

// Describe returns what the stack is now, or [ErrAbsent].
func (s *Stack) Describe(ctx context.Context) (*Description, error) { return s.describe(ctx, s.name) }

// describe takes a name or an id. By its id a deleted stack is found too, for 90 days.
func (s *Stack) describe(ctx context.Context, id string) (*Description, error) {
	out, err := s.client.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &id})
	if absent(err) || err == nil && len(out.Stacks) == 0 {
		return nil, s.failed(ctx, "describe", ErrAbsent)
	}
	if err != nil {
		return nil, s.failed(ctx, "describe", err)
	}
	stack := out.Stacks[0]
	if id == s.name && stack.StackStatus == types.StackStatusDeleteComplete {
		return nil, s.failed(ctx, "describe", ErrAbsent)
	}
	d := &Description{
		ID: aws.ToString(stack.StackId), Name: aws.ToString(stack.StackName),
		Status: stack.StackStatus, Reason: aws.ToString(stack.StackStatusReason),
		Created: aws.ToTime(stack.CreationTime), Updated: aws.ToTime(stack.LastUpdatedTime),
		Parameters: make(map[string]string), Outputs: make(map[string]string), Tags: make(map[string]string),
	}
	for _, p := range stack.Parameters {
		d.Parameters[aws.ToString(p.ParameterKey)] = aws.ToString(p.ParameterValue)
	}
	for _, o := range stack.Outputs {
		d.Outputs[aws.ToString(o.OutputKey)] = aws.ToString(o.OutputValue)
	}
	for _, t := range stack.Tags {
		d.Tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return d, nil
}

// Template returns the template that the stack was last given, as it was written, or [ErrAbsent].
func (s *Stack) Template(ctx context.Context) ([]byte, error) {
	out, err := s.client.GetTemplate(ctx, &cloudformation.GetTemplateInput{
		StackName: &s.name, TemplateStage: types.TemplateStageOriginal,
	})
	if absent(err) {
		err = ErrAbsent
	}
	if err != nil {
		return nil, s.failed(ctx, "get the template of", err)
	}
	return []byte(aws.ToString(out.TemplateBody)), nil
}

// Resource is a resource of the stack.
type Resource struct {
	LogicalID, PhysicalID, Type string
	Status                      types.ResourceStatus
	Reason                      string // of the status; may be ""
	Updated                     time.Time
}

// Resources returns the stack's resources, those that were deleted among them, in CloudFormation's order, or [ErrAbsent].
func (s *Stack) Resources(ctx context.Context) ([]Resource, error) { return s.resources(ctx, s.name) }

func (s *Stack) resources(ctx context.Context, id string) ([]Resource, error) {
	var resources []Resource
	pages := cloudformation.NewListStackResourcesPaginator(s.client, &cloudformation.ListStackResourcesInput{StackName: &id})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if absent(err) {
			err = ErrAbsent
		}
		if err != nil {
			return nil, s.failed(ctx, "list the resources of", err)
		}
		for _, r := range page.StackResourceSummaries {
			resources = append(resources, Resource{
				LogicalID: aws.ToString(r.LogicalResourceId), PhysicalID: aws.ToString(r.PhysicalResourceId),
				Type: aws.ToString(r.ResourceType), Status: r.ResourceStatus, Reason: aws.ToString(r.ResourceStatusReason),
				Updated: aws.ToTime(r.LastUpdatedTimestamp),
			})
		}
	}
	return resources, nil
}

// failed says what was being done to the stack when an error came up, or ctx ended.
func (s *Stack) failed(ctx context.Context, doing string, err error) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return fmt.Errorf("%s stack %s: %w", doing, s.name, awserrors.Explain(err))
}

// stale marks an error that says that somebody was faster as [ErrStale], and explains any other.
func stale(err error) error {
	if raced(err) {
		return fmt.Errorf("%w: %w", ErrStale, awserrors.Explain(err))
	}
	return awserrors.Explain(err)
}

// absent reports whether CloudFormation said that there is no such stack: it has no error code of its own for that.
func absent(err error) bool { return refusal(err, noStack) }

// races is how often in a row somebody else may be faster before that is given up.
const races = 5

// raced reports whether CloudFormation refused a call because of the state that the stack is in: somebody was faster.
func raced(err error) bool {
	switch awserrors.Code(err) {
	case "InvalidChangeSetStatus", "ChangeSetNotFound", "OperationInProgressException", "StaleRequestException":
		return true
	default:
		return refusal(err, noStack) || refusal(err, otherState)
	}
}

// What the messages of a ValidationError say of the stack as a whole. They begin with it, unlike those about a template,
// of which "S3 error: The specified key does not exist." is one.
var (
	noStack    = regexp.MustCompile(`^Stack (with id )?\S+ does not exist`)
	otherState = regexp.MustCompile(`^Stack\W.*(is in \w+ state and can ?not |cannot be deleted while in status |` +
		`already exists and cannot be created again|is not in UPDATE_ROLLBACK_FAILED)`)
)

func refusal(err error, message *regexp.Regexp) bool {
	api, ok := errors.AsType[smithy.APIError](err)
	return ok && api.ErrorCode() == "ValidationError" && message.MatchString(api.ErrorMessage())
}
