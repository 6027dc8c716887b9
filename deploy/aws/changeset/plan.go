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
	prefix         = "deploy-"        // of the names of this package's change sets
	abandonedAfter = time.Hour        // an unexecuted change set of this age is abandoned
	cleanupTimeout = 10 * time.Second // after ctx has ended
)

// Input is the desired state of the stack.
type Input struct {
	TemplateURL  string // https URL of an object in S3, up to 1 MB; it or TemplateBody
	TemplateBody []byte // up to 51,200 bytes
	Parameters   map[string]string
	Description  string // of the change set; may be ""
	// Import lists existing resources to import. The template must have each of them with a DeletionPolicy, and must not
	// change other resources or outputs.
	Import []types.ResourceToImport
	// RevertDrift compares the template with the actual resources instead of the previous template: the plan also reverts
	// changes and recreates resources that were deleted outside of CloudFormation. It applies to stacks with resources.
	RevertDrift bool
}

// Plan is a change set. The zero value, returned for an up-to-date stack, changes nothing.
type Plan struct {
	ID, Name string // of the change set
	StackID  string
	New      bool // the stack has no resources yet
	Changes  []Change
}

// Empty reports whether there is nothing to apply. A plan without Changes need not be empty: it may change the outputs
// or description of the stack.
func (p *Plan) Empty() bool { return p.ID == "" }

// Change is the change of one resource.
type Change struct {
	Action      string   `json:"action"` // Add, Modify, Remove, Import, Dynamic or SyncWithActual
	LogicalID   string   `json:"logicalId"`
	PhysicalID  string   `json:"physicalId,omitempty"`
	Type        string   `json:"type"`
	Replacement string   `json:"replacement,omitempty"` // of Modify: True, False or Conditional
	Properties  []string `json:"properties,omitempty"`  // of Modify: properties, or attributes such as Tags; sorted
	Drift       string   `json:"drift,omitempty"`       // with Input.RevertDrift: MODIFIED, DELETED or "" for neither
	// Policy is the effect of the DeletionPolicy or UpdateReplacePolicy on a resource that is removed or replaced:
	// Delete, Retain, Snapshot, ReplaceAndDelete, ReplaceAndRetain or ReplaceAndSnapshot; "" for other changes.
	Policy string `json:"policy,omitempty"`
}

// Retains reports whether a resource that is removed from the stack or replaced is kept.
func (c Change) Retains() bool {
	return c.Policy == string(types.PolicyActionRetain) || c.Policy == string(types.PolicyActionReplaceAndRetain)
}

// Plan creates a change set and returns its changes. The caller need not execute it: [Stack.Discard], or any Plan an
// hour later, deletes it. Plan returns a [*Failure] if CloudFormation rejects the input, and [ErrStale] if another
// deployment has begun since [Stack.Prepare].
func (s *Stack) Plan(ctx context.Context, input Input) (*Plan, error) {
	d, err := s.Describe(ctx)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	plan := &Plan{
		Name: fmt.Sprintf("%s%s-%.8s", prefix, time.Now().UTC().Format("20060102T150405Z"), uuid.NewString()),
		New:  d == nil || d.Status == types.StackStatusReviewInProgress,
	}
	if d != nil {
		s.deleteAbandoned(ctx)
	}
	if err := s.create(ctx, plan, input); err != nil {
		s.cleanUp(ctx, plan)
		return nil, err
	}
	out, err := s.waitCreated(ctx, plan)
	if err != nil {
		s.cleanUp(ctx, plan)
		return nil, err
	}
	if out.Status != types.ChangeSetStatusFailed {
		return plan, nil
	}
	reason := aws.ToString(out.StatusReason)
	if strings.Contains(reason, "didn't contain changes") || strings.Contains(reason, "No updates are to be performed") {
		return &Plan{}, s.Discard(ctx, plan)
	}
	rejected := s.rejected(ctx, plan, reason)
	s.cleanUp(ctx, plan)
	return nil, rejected
}

// create calls CreateChangeSet.
func (s *Stack) create(ctx context.Context, plan *Plan, input Input) error {
	in := &cloudformation.CreateChangeSetInput{
		StackName: &s.name, ChangeSetName: &plan.Name, ClientToken: &plan.Name, ChangeSetType: types.ChangeSetTypeUpdate,
		// Without CAPABILITY_NAMED_IAM, CloudFormation rejects a template that names a role.
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
	_, err := s.client.CreateChangeSet(ctx, in)
	switch {
	case err == nil, awserrors.Code(err) == "AlreadyExistsException": // the response to an earlier attempt was lost
		return nil
	case ctx.Err() == nil && !isConflict(err) && awserrors.Code(err) != "" && awserrors.KindOf(err) == awserrors.Other:
		reason := awserrors.Explain(err).Error()
		return &Failure{Stack: s.name, Cause: Event{LogicalID: s.name, Reason: reason, Stack: true}, Hint: s.hint(reason)}
	default:
		return s.wrap(ctx, "plan", wrapConflict(err))
	}
}

// waitCreated waits until the change set is created and sets the plan's fields.
func (s *Stack) waitCreated(ctx context.Context, plan *Plan) (*cloudformation.DescribeChangeSetOutput, error) {
	in := &cloudformation.DescribeChangeSetInput{StackName: &s.name, ChangeSetName: &plan.Name}
	for {
		out, err := s.client.DescribeChangeSet(ctx, in)
		if err != nil {
			return nil, s.wrap(ctx, "plan", wrapConflict(err))
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
			if err := s.wait(ctx); err != nil {
				return nil, s.wrap(ctx, "plan", err)
			}
		default:
			return nil, s.wrap(ctx, "plan", fmt.Errorf("%w: the change set is %s", ErrStale, out.Status))
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
			Drift: driftStatus(c.ResourceDriftStatus),
		})
	}
	return changes
}

// rejected returns the failure for a change set that could not be created. Validation errors are in its events.
func (s *Stack) rejected(ctx context.Context, plan *Plan, reason string) error {
	failure := &Failure{Stack: s.name, Cause: Event{LogicalID: s.name, Reason: reason, Stack: true}}
	// DescribeEvents finds a change set only by its ARN. If it fails, the reason alone is reported.
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
				Type: aws.ToString(e.ResourceType), Status: e.ResourceStatus, Reason: why,
			})
		}
	}
	if len(found) > 0 {
		failure.Cause, failure.Others = found[0], found[1:]
	}
	failure.Hint = s.hint(failure.Cause.Reason)
	return failure
}

// Discard deletes the plan's change set, and the stack if the plan created it and it has no other change set.
func (s *Stack) Discard(ctx context.Context, plan *Plan) error {
	if plan.Empty() {
		return nil
	}
	_, err := s.client.DeleteChangeSet(ctx,
		&cloudformation.DeleteChangeSetInput{StackName: &s.name, ChangeSetName: &plan.Name})
	if err != nil && !isConflict(err) {
		return s.wrap(ctx, "discard the plan of", err)
	}
	if !plan.New {
		return nil
	}
	d, err := s.describe(ctx, plan.StackID)
	if errors.Is(err, ErrNotFound) || err == nil && d.Status != types.StackStatusReviewInProgress {
		return nil
	}
	if err != nil {
		return err
	}
	others, err := s.changeSets(ctx, plan.StackID)
	if err != nil {
		return s.wrap(ctx, "discard the plan of", err)
	}
	if slices.ContainsFunc(others, func(c types.ChangeSetSummary) bool { return aws.ToString(c.ChangeSetId) != plan.ID }) {
		return nil // another deployment has a plan for this stack
	}
	_, err = s.client.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: &plan.StackID})
	if err != nil && !isConflict(err) {
		return s.wrap(ctx, "discard the plan of", err)
	}
	return nil
}

// cleanUp discards a plan after an error. It ignores errors: a later Plan deletes the change set.
func (s *Stack) cleanUp(ctx context.Context, plan *Plan) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	if plan.ID == "" { // CreateChangeSet may have taken effect
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

// deleteAbandoned deletes the change sets of killed deployments. It ignores errors, because they do no harm.
func (s *Stack) deleteAbandoned(ctx context.Context) {
	sets, err := s.changeSets(ctx, s.name)
	if err != nil {
		return
	}
	for _, set := range sets {
		executed := strings.HasPrefix(string(set.ExecutionStatus), "EXECUTE_")
		ours := strings.HasPrefix(aws.ToString(set.ChangeSetName), prefix)
		if ours && !executed && time.Since(aws.ToTime(set.CreationTime)) > abandonedAfter {
			_, _ = s.client.DeleteChangeSet(ctx,
				&cloudformation.DeleteChangeSetInput{StackName: &s.name, ChangeSetName: set.ChangeSetName})
		}
	}
}

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
