package changeset

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/google/uuid"

	awserrors "github.com/userrequestapi/userdata/deploy/aws/errors"
)

// Apply executes a plan and waits until CloudFormation has finished, including the cleanup phase. It returns a
// [*Failure] if CloudFormation failed and rolled back, and [ErrStale] if the plan no longer matches the stack. If ctx
// ends, the error is its cause and CloudFormation continues.
func (s *Stack) Apply(ctx context.Context, plan *Plan) error {
	if plan.Empty() {
		return nil
	}
	op := operation{name: "deployment", stack: plan.StackID, token: plan.Name}
	if err := s.setMark(ctx, &op); err != nil {
		return s.wrap(ctx, "deploy", wrapConflict(err))
	}
	// The request token makes a retry safe after a lost response.
	err := s.retry(ctx, func(ctx context.Context) error {
		_, err := s.client.ExecuteChangeSet(ctx, &cloudformation.ExecuteChangeSetInput{
			StackName: &s.name, ChangeSetName: &plan.Name, ClientRequestToken: &plan.Name, DisableRollback: aws.Bool(false),
		})
		return err
	})
	if err != nil {
		executing, checkErr := s.executing(ctx, plan, op)
		switch {
		case executing:
		case ctx.Err() != nil, checkErr != nil && awserrors.Temporary(err):
			return s.unwatchedError(op, err)
		default:
			return s.wrap(ctx, "deploy", wrapConflict(err))
		}
	}
	end, err := s.watch(ctx, op)
	if err != nil {
		return err
	}
	switch end.status {
	case types.StackStatusCreateComplete, types.StackStatusUpdateComplete, types.StackStatusImportComplete:
		return nil
	default:
		return s.explain(end)
	}
}

// executing reports whether CloudFormation executes the plan although ExecuteChangeSet returned an error: the response
// to an earlier attempt may have been lost.
func (s *Stack) executing(ctx context.Context, plan *Plan, op operation) (bool, error) {
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	events, err := s.eventsSince(ctx, plan.StackID, op.mark)
	if err != nil {
		return false, err
	}
	if slices.ContainsFunc(events, func(e stackEvent) bool { return e.token == op.token }) {
		return true, nil
	}
	in := &cloudformation.DescribeChangeSetInput{StackName: &s.name, ChangeSetName: &plan.Name}
	out, err := s.client.DescribeChangeSet(ctx, in)
	if err != nil {
		return false, err
	}
	return strings.HasPrefix(string(out.ExecutionStatus), "EXECUTE_"), nil
}

// Delete deletes the stack and waits until it no longer exists. An operation in progress ends first. Resources with the
// DeletionPolicy Retain are always kept; those with a logical ID in retain are kept if they cannot be deleted. Delete
// returns a [*Failure] if any other resource cannot be deleted, and nil if the stack does not exist.
func (s *Stack) Delete(ctx context.Context, retain ...string) error {
	for attempt := 1; ; attempt++ {
		d, err := s.waitIdle(ctx, nil)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		_, err = s.remove(ctx, d, func(id string) bool { return slices.Contains(retain, id) })
		if !errors.Is(err, ErrStale) || attempt == maxConflicts {
			return err
		}
		if err := s.wait(ctx); err != nil {
			return s.wrap(ctx, "delete", err)
		}
	}
}

// remove deletes a stack without an operation in progress. If resources cannot be deleted and keep returns true for
// each of them, it deletes the stack without them and returns them.
func (s *Stack) remove(ctx context.Context, d *Description, keep func(logicalID string) bool) ([]Resource, error) {
	end, err := s.delete(ctx, d.ID, nil)
	if err != nil {
		return nil, err
	}
	if end.status == types.StackStatusDeleteComplete {
		return nil, nil
	}
	failure := s.explain(end)
	if end.status != types.StackStatusDeleteFailed {
		return nil, failure // rejected, for example because another stack imports an output
	}
	resources, err := s.resources(ctx, d.ID)
	if err != nil {
		return nil, errors.Join(failure, err)
	}
	var undeletable []Resource
	var ids []string
	for _, r := range resources {
		if r.Status != types.ResourceStatusDeleteFailed {
			continue
		}
		if !keep(r.LogicalID) {
			return nil, failure
		}
		undeletable, ids = append(undeletable, r), append(ids, r.LogicalID)
	}
	if len(ids) == 0 {
		return nil, failure
	}
	if end, err = s.delete(ctx, d.ID, ids); err != nil {
		return nil, err
	}
	if end.status != types.StackStatusDeleteComplete {
		return nil, s.explain(end)
	}
	return undeletable, nil
}

// delete deletes a stack and waits for the outcome. CloudFormation accepts retain only for a stack in DELETE_FAILED.
func (s *Stack) delete(ctx context.Context, id string, retain []string) (outcome, error) {
	op := operation{name: "deletion", stack: id, token: "delete-" + uuid.NewString()}
	end, err := s.run(ctx, "delete", op, func(ctx context.Context) error {
		_, err := s.client.DeleteStack(ctx, &cloudformation.DeleteStackInput{
			StackName: &id, ClientRequestToken: &op.token, RetainResources: retain,
		})
		return err
	})
	if isNotFound(err) {
		return outcome{status: types.StackStatusDeleteComplete}, nil
	}
	return end, err
}

// waitIdle waits until no operation is in progress and returns the stack's description. progress may be nil.
func (s *Stack) waitIdle(ctx context.Context, progress func(string)) (*Description, error) {
	for {
		d, err := s.Describe(ctx)
		if err != nil || !d.InProgress() {
			return d, err
		}
		mark, err := s.latestEventID(ctx, d.ID)
		if err != nil {
			return nil, s.wrap(ctx, "wait for", err)
		}
		// The operation may have ended before the latest event was read; then no further event would follow.
		if d, err = s.describe(ctx, d.ID); err != nil || !d.InProgress() {
			continue
		}
		if progress != nil {
			progress(fmt.Sprintf("stack %s is %s, by another or an interrupted deployment: waiting for it to end",
				s.name, d.Status))
		}
		if _, err := s.watch(ctx, operation{name: "operation in progress", stack: d.ID, mark: mark}); err != nil {
			return nil, err
		}
	}
}
