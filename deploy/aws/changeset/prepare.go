package changeset

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/google/uuid"
)

// Prepare brings the stack into a state in which a change can be planned. progress, which may be nil, gets a line for
// each step.
//
//   - Prepare waits for an operation in progress, such as another deployment.
//   - It deletes a stack that was never deployed successfully: ROLLBACK_COMPLETE, ROLLBACK_FAILED, CREATE_FAILED, and a
//     rolled back import without resources. It never deletes a stack that was deployed.
//   - It continues a failed rollback (UPDATE_ROLLBACK_FAILED).
//   - It completes a failed deletion and keeps the resources that still cannot be deleted (DELETE_FAILED).
//
// Prepare does not change a stack in REVIEW_IN_PROGRESS: the first plan uses it, and another deployment may be about to
// execute its own.
func (s *Stack) Prepare(ctx context.Context, progress func(string)) error {
	if progress == nil {
		progress = func(string) {}
	}
	for attempt := 1; ; {
		d, err := s.waitIdle(ctx, progress)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		done, err := s.repair(ctx, d, progress)
		if errors.Is(err, ErrStale) && attempt < maxConflicts {
			attempt++
			err = nil
		}
		if done || err != nil {
			return err
		}
		if err := s.wait(ctx); err != nil {
			return s.wrap(ctx, "prepare", err)
		}
	}
}

// repair takes one step towards a state in which a change can be planned. done reports whether none was needed.
func (s *Stack) repair(ctx context.Context, d *Description, progress func(string)) (done bool, err error) {
	switch d.Status {
	case types.StackStatusRollbackComplete, types.StackStatusRollbackFailed, types.StackStatusCreateFailed,
		types.StackStatusDeleteFailed:
		return false, s.deleteRemains(ctx, d, progress)
	case types.StackStatusUpdateRollbackFailed:
		return false, s.continueRollback(ctx, d, progress)
	case types.StackStatusImportRollbackComplete, types.StackStatusImportRollbackFailed:
		resources, err := s.resources(ctx, d.ID)
		if err != nil {
			return false, err
		}
		if slices.ContainsFunc(resources, func(r Resource) bool { return exists(r.Status) }) {
			if d.Status == types.StackStatusImportRollbackComplete {
				return true, nil
			}
			return false, fmt.Errorf("stack %s is %s, which CloudFormation can only delete: set the DeletionPolicy of "+
				"the resources to keep to Retain, delete the stack in the console, and import these resources", s.name, d.Status)
		}
		return false, s.deleteRemains(ctx, d, progress)
	default:
		return true, nil
	}
}

// exists reports whether a resource with this status exists and belongs to the stack.
func exists(status types.ResourceStatus) bool {
	switch status {
	case types.ResourceStatusDeleteComplete, types.ResourceStatusDeleteSkipped, types.ResourceStatusImportFailed,
		types.ResourceStatusImportRollbackComplete:
		return false
	default:
		return true
	}
}

// deleteRemains deletes a stack, but not the resources that cannot be deleted.
func (s *Stack) deleteRemains(ctx context.Context, d *Description, progress func(string)) error {
	if failure, err := s.LastFailure(ctx, d); err == nil && failure != nil { // not available after the deletion
		progress("why it failed: " + failure.cause())
	}
	progress(fmt.Sprintf("stack %s is %s: deleting the remains", s.name, d.Status))
	left, err := s.remove(ctx, d, func(string) bool { return true })
	for _, r := range left {
		progress(fmt.Sprintf("%s (%s, %s) cannot be deleted and is no longer part of the stack: %s",
			r.LogicalID, r.Type, r.PhysicalID, trimReason(r.Reason)))
	}
	return err
}

// continueRollback continues a failed rollback.
func (s *Stack) continueRollback(ctx context.Context, d *Description, progress func(string)) error {
	progress(fmt.Sprintf("stack %s is %s: continuing the rollback", s.name, d.Status))
	op := operation{name: "rollback", stack: d.ID, token: "rollback-" + uuid.NewString()}
	end, err := s.run(ctx, "continue the rollback of", op, func(ctx context.Context) error {
		_, err := s.client.ContinueUpdateRollback(ctx, &cloudformation.ContinueUpdateRollbackInput{
			StackName: &d.ID, ClientRequestToken: &op.token,
		})
		return err
	})
	if err != nil || end.status == types.StackStatusUpdateRollbackComplete {
		return err
	}
	failure := s.explain(end)
	var stuck []string
	for _, e := range append([]Event{failure.Cause}, failure.Others...) {
		if !e.Stack && !slices.Contains(stuck, e.LogicalID) {
			stuck = append(stuck, e.LogicalID)
		}
	}
	next := "correct the cause"
	if failure.Hint != "" {
		next = failure.Hint
	}
	if len(stuck) > 0 {
		next += " and deploy again, or skip the resource: " + s.options.Line.CLI(fmt.Sprintf(
			"cloudformation continue-update-rollback --stack-name %s --resources-to-skip %s", s.name, strings.Join(stuck, " ")))
	}
	failure.Hint = next
	return failure
}
