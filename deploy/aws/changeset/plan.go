package changeset

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/google/uuid"

	awserrors "github.com/userrequestapi/userdata/deploy/aws/errors"
)

const (
	prefix    = "deploy-"        // of the names of the change sets that are made here, and of no others
	abandoned = time.Hour        // the age from which on nobody is about to execute a change set
	tidying   = 10 * time.Second // for what is tidied up after ctx has ended
)

// Input is what the stack is to become.
type Input struct {
	TemplateURL  string // https URL of an object in S3, up to 1 MB; it or TemplateBody
	TemplateBody []byte // up to 51,200 bytes
	Parameters   map[string]string
	Tags         map[string]string // of the stack and of all that it makes
	Description  string            // of the change set; may be ""
	// Import are resources that exist already and that the stack shall take over. The template must have each of them with
	// a DeletionPolicy, and may change nothing else: no other resource and no output. Tags wait for the next change.
	Import []types.ResourceToImport
	// RevertDrift has CloudFormation compare the template with the resources as they are, not with the previous
	// template: the plan also undoes what was changed, and creates what was deleted, by other means. It applies to
	// stacks that have resources.
	RevertDrift bool
}

// Plan is what would change. The zero value, a plan of no changes, is what an up-to-date stack gets.
type Plan struct {
	ID, Name string // of the change set
	StackID  string
	New      bool // the stack has no resources yet
	Changes  []Change
}

// Empty reports whether there is nothing to apply. A plan without Changes may not be empty: outputs, tags and the
// description of a stack change no resource.
func (p *Plan) Empty() bool { return p.ID == "" }

// Change is what would happen to one resource.
type Change struct {
	Action      string   `json:"action"` // Add, Modify, Remove, Import, Dynamic or SyncWithActual
	LogicalID   string   `json:"logicalId"`
	PhysicalID  string   `json:"physicalId,omitempty"`
	Type        string   `json:"type"`
	Replacement string   `json:"replacement,omitempty"` // of Modify: True, False or Conditional
	Properties  []string `json:"properties,omitempty"`  // of Modify: the properties, or attributes such as Tags, that change; sorted
	Drift       string   `json:"drift,omitempty"`       // with Input.RevertDrift: MODIFIED, DELETED or "" for neither
	// Policy says what becomes of a resource that is removed or replaced, by its DeletionPolicy or UpdateReplacePolicy:
	// Delete, Retain, Snapshot, ReplaceAndDelete, ReplaceAndRetain or ReplaceAndSnapshot; "" for other changes.
	Policy string `json:"policy,omitempty"`
}

// Retains reports whether the resource that leaves the stack goes on existing.
func (c Change) Retains() bool {
	return c.Policy == string(types.PolicyActionRetain) || c.Policy == string(types.PolicyActionReplaceAndRetain)
}

// Plan makes a change set and returns what it would change. It is nobody's business to see it executed: one that never
// is gets tidied up by [Stack.Discard], or an hour later by another Plan. An input that CloudFormation refuses is a [*Failure];
// [ErrStale] means that another deployment has begun since the stack was settled.
func (s *Stack) Plan(ctx context.Context, input Input) (*Plan, error) {
	d, err := s.Describe(ctx)
	if err != nil && !errors.Is(err, ErrAbsent) {
		return nil, err
	}
	plan := &Plan{
		Name: fmt.Sprintf("%s%s-%.8s", prefix, time.Now().UTC().Format("20060102T150405Z"), uuid.NewString()),
		New:  d == nil || d.Status == types.StackStatusReviewInProgress,
	}
	if d != nil {
		s.sweep(ctx)
	}
	if err := s.create(ctx, plan, input); err != nil {
		s.tidy(ctx, plan)
		return nil, err
	}
	out, err := s.created(ctx, plan)
	if err != nil {
		s.tidy(ctx, plan)
		return nil, err
	}
	if out.Status != types.ChangeSetStatusFailed {
		return plan, nil
	}
	reason := aws.ToString(out.StatusReason)
	if strings.Contains(reason, "didn't contain changes") || strings.Contains(reason, "No updates are to be performed") {
		return &Plan{}, s.Discard(ctx, plan)
	}
	refused := s.refused(ctx, plan, reason)
	s.tidy(ctx, plan)
	return nil, refused
}

// create asks for the change set.
func (s *Stack) create(ctx context.Context, plan *Plan, input Input) error {
	in := &cloudformation.CreateChangeSetInput{
		StackName: &s.name, ChangeSetName: &plan.Name, ClientToken: &plan.Name, ChangeSetType: types.ChangeSetTypeUpdate,
		// The template names no role, so CAPABILITY_NAMED_IAM is not asked for: a role with a name would be refused.
		Capabilities: []types.Capability{types.CapabilityCapabilityIam}, ResourcesToImport: input.Import,
	}
	switch {
	case len(input.Import) > 0:
		in.ChangeSetType = types.ChangeSetTypeImport
	case plan.New:
		in.ChangeSetType = types.ChangeSetTypeCreate
	case input.RevertDrift:
		in.DeploymentMode = types.DeploymentModeRevertDrift
	}
	if input.TemplateURL != "" {
		in.TemplateURL = &input.TemplateURL
	} else {
		in.TemplateBody = aws.String(string(input.TemplateBody))
	}
	if input.Description != "" {
		in.Description = &input.Description
	}
	for _, key := range slices.Sorted(maps.Keys(input.Parameters)) {
		in.Parameters = append(in.Parameters, types.Parameter{
			ParameterKey: &key, ParameterValue: aws.String(input.Parameters[key]),
		})
	}
	if len(input.Import) == 0 { // "As part of the import operation, you cannot modify or add [Tags]"
		for _, key := range slices.Sorted(maps.Keys(input.Tags)) {
			in.Tags = append(in.Tags, types.Tag{Key: &key, Value: aws.String(input.Tags[key])})
		}
	}
	_, err := s.client.CreateChangeSet(ctx, in)
	switch {
	case err == nil, awserrors.Code(err) == "AlreadyExistsException": // the answer to an earlier attempt of this call was lost
		return nil
	case ctx.Err() == nil && !raced(err) && awserrors.Code(err) != "" && awserrors.KindOf(err) == awserrors.Other:
		reason := awserrors.Explain(err).Error()
		return &Failure{Stack: s.name, Cause: Event{LogicalID: s.name, Reason: reason, Stack: true}, Hint: s.hint(reason)}
	default:
		return s.failed(ctx, "plan", stale(err))
	}
}

// created waits until the change set is complete and fills the plan in.
func (s *Stack) created(ctx context.Context, plan *Plan) (*cloudformation.DescribeChangeSetOutput, error) {
	in := &cloudformation.DescribeChangeSetInput{StackName: &s.name, ChangeSetName: &plan.Name}
	for {
		out, err := s.client.DescribeChangeSet(ctx, in)
		if err != nil {
			return nil, s.failed(ctx, "plan", stale(err))
		}
		plan.ID, plan.StackID = aws.ToString(out.ChangeSetId), aws.ToString(out.StackId)
		switch out.Status {
		case types.ChangeSetStatusFailed:
			return out, nil
		case types.ChangeSetStatusCreateComplete:
			plan.Changes = append(plan.Changes, changes(out.Changes)...)
			if out.NextToken == nil {
				return out, nil
			}
			in.NextToken = out.NextToken
		case types.ChangeSetStatusCreatePending, types.ChangeSetStatusCreateInProgress:
			if err := s.pause(ctx); err != nil {
				return nil, s.failed(ctx, "plan", err)
			}
		default:
			return nil, s.failed(ctx, "plan", fmt.Errorf("%w: the change set is %s", ErrStale, out.Status))
		}
	}
}

func changes(page []types.Change) []Change {
	var changes []Change
	for _, change := range page {
		c := change.ResourceChange
		if c == nil { // an invocation of a hook
			continue
		}
		var properties []string
		for _, detail := range c.Details {
			if target := detail.Target; target != nil {
				properties = append(properties, cmp.Or(aws.ToString(target.Name), string(target.Attribute)))
			}
		}
		slices.Sort(properties)
		changes = append(changes, Change{
			Action: string(c.Action), LogicalID: aws.ToString(c.LogicalResourceId),
			PhysicalID: aws.ToString(c.PhysicalResourceId), Type: aws.ToString(c.ResourceType),
			Replacement: string(c.Replacement), Properties: slices.Compact(properties), Policy: string(c.PolicyAction),
			Drift: drifted(c.ResourceDriftStatus),
		})
	}
	return changes
}

// refused returns why CloudFormation made no change set of an input. What its validation has found it tells event by event.
func (s *Stack) refused(ctx context.Context, plan *Plan, reason string) error {
	failure := &Failure{Stack: s.name, Cause: Event{LogicalID: s.name, Reason: reason, Stack: true}}
	// Only by its ARN is a change set found here. Without the details the reason alone must do.
	out, err := s.client.DescribeEvents(ctx, &cloudformation.DescribeEventsInput{
		ChangeSetName: &plan.ID, Filters: &types.EventFilter{FailedEvents: aws.Bool(true)},
	})
	var found []Event
	if err == nil {
		for _, e := range out.OperationEvents {
			why := cmp.Or(aws.ToString(e.ValidationStatusReason), aws.ToString(e.HookStatusReason),
				aws.ToString(e.ResourceStatusReason))
			if why == "" || aws.ToString(e.LogicalResourceId) == "" {
				continue
			}
			if path := aws.ToString(e.ValidationPath); path != "" {
				why += " (at " + path + ")"
			}
			found = append(found, Event{
				Time: aws.ToTime(e.Timestamp), LogicalID: aws.ToString(e.LogicalResourceId),
				PhysicalID: aws.ToString(e.PhysicalResourceId), Type: aws.ToString(e.ResourceType),
				Status: e.ResourceStatus, Reason: why,
			})
		}
	}
	if len(found) > 0 {
		failure.Cause, failure.Others = found[0], found[1:]
	}
	failure.Hint = s.hint(failure.Cause.Reason)
	return failure
}

// Discard deletes the plan's change set, and the stack that it has brought into being if nothing else is in it.
func (s *Stack) Discard(ctx context.Context, plan *Plan) error {
	if plan.Empty() {
		return nil
	}
	_, err := s.client.DeleteChangeSet(ctx, &cloudformation.DeleteChangeSetInput{StackName: &s.name, ChangeSetName: &plan.Name})
	if err != nil && !raced(err) {
		return s.failed(ctx, "discard the plan of", err)
	}
	if !plan.New {
		return nil
	}
	d, err := s.describe(ctx, plan.StackID)
	if errors.Is(err, ErrAbsent) || err == nil && d.Status != types.StackStatusReviewInProgress {
		return nil
	}
	if err != nil {
		return err
	}
	others, err := s.changeSets(ctx, plan.StackID)
	if err != nil {
		return s.failed(ctx, "discard the plan of", err)
	}
	if slices.ContainsFunc(others, func(c types.ChangeSetSummary) bool { return aws.ToString(c.ChangeSetId) != plan.ID }) {
		return nil // another deployment plans the same stack
	}
	if _, err := s.client.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: &plan.StackID}); err != nil && !raced(err) {
		return s.failed(ctx, "discard the plan of", err)
	}
	return nil
}

// tidy discards a plan that came to nothing. It is best effort, as there is an error already, and an older change set gets
// swept later.
func (s *Stack) tidy(ctx context.Context, plan *Plan) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidying)
	defer cancel()
	if plan.ID == "" { // its creation may have been under way
		out, err := s.client.DescribeChangeSet(ctx, &cloudformation.DescribeChangeSetInput{
			StackName: &s.name, ChangeSetName: &plan.Name,
		})
		if err != nil {
			return
		}
		plan.ID, plan.StackID = aws.ToString(out.ChangeSetId), aws.ToString(out.StackId)
	}
	_ = s.Discard(ctx, plan)
}

// sweep deletes the change sets that deployments which were killed have left. It is best effort: they do no harm.
func (s *Stack) sweep(ctx context.Context) {
	sets, err := s.changeSets(ctx, s.name)
	if err != nil {
		return
	}
	for _, set := range sets {
		executed := strings.HasPrefix(string(set.ExecutionStatus), "EXECUTE_")
		ours := strings.HasPrefix(aws.ToString(set.ChangeSetName), prefix)
		if ours && !executed && time.Since(aws.ToTime(set.CreationTime)) > abandoned {
			_, _ = s.client.DeleteChangeSet(ctx, &cloudformation.DeleteChangeSetInput{StackName: &s.name, ChangeSetName: set.ChangeSetName})
		}
	}
}

// changeSets returns the stack's change sets.
func (s *Stack) changeSets(ctx context.Context, id string) ([]types.ChangeSetSummary, error) {
	var sets []types.ChangeSetSummary
	pages := cloudformation.NewListChangeSetsPaginator(s.client, &cloudformation.ListChangeSetsInput{StackName: &id})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		sets = append(sets, page.Summaries...)
	}
	return sets, nil
}
