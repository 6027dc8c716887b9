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

// Settle brings the stack to a state in which a change can be planned, telling what it does on the way; tell may be nil.
//
//   - Whatever runs on it, another deployment say, is waited for.
//   - What never came to serve is deleted: ROLLBACK_COMPLETE, ROLLBACK_FAILED, CREATE_FAILED, and an import that was
//     rolled back and has left nothing. A stack that has served is never deleted.
//   - A rollback that failed is continued (UPDATE_ROLLBACK_FAILED).
//   - A deletion that failed is completed, without the resources that still resist (DELETE_FAILED).
//
// REVIEW_IN_PROGRESS is left as it is: a first plan takes it over, and another deployment may be about to execute its own.
func (s *Stack) Settle(ctx context.Context, tell func(string)) error {
	if tell == nil {
		tell = func(string) {}
	}
	for race := 1; ; {
		d, err := s.quiet(ctx, tell)
		if errors.Is(err, ErrAbsent) {
			return nil
		}
		if err != nil {
			return err
		}
		done, err := s.recover(ctx, d, tell)
		if errors.Is(err, ErrStale) && race < races {
			race++
			err = nil
		}
		if done || err != nil {
			return err
		}
		if err := s.pause(ctx); err != nil {
			return s.failed(ctx, "settle", err)
		}
	}
}

// recover takes one step out of the state that the stack rests in and reports whether none was needed.
func (s *Stack) recover(ctx context.Context, d *Description, tell func(string)) (done bool, err error) {
	switch d.Status {
	case types.StackStatusRollbackComplete, types.StackStatusRollbackFailed, types.StackStatusCreateFailed,
		types.StackStatusDeleteFailed:
		return false, s.clear(ctx, d, tell)
	case types.StackStatusUpdateRollbackFailed:
		return false, s.resume(ctx, d, tell)
	case types.StackStatusImportRollbackComplete, types.StackStatusImportRollbackFailed:
		resources, err := s.resources(ctx, d.ID)
		if err != nil {
			return false, err
		}
		if slices.ContainsFunc(resources, func(r Resource) bool { return exists(r.Status) }) {
			if d.Status == types.StackStatusImportRollbackComplete {
				return true, nil
			}
			return false, fmt.Errorf("stack %s is %s, which CloudFormation has no way out of but to delete it: "+
				"set the DeletionPolicy of what shall stay to Retain, delete the stack in the console, and import what has stayed",
				s.name, d.Status)
		}
		return false, s.clear(ctx, d, tell)
	default:
		return true, nil
	}
}

// exists reports whether a resource of that status is there and belongs to the stack.
func exists(status types.ResourceStatus) bool {
	switch status {
	case types.ResourceStatusDeleteComplete, types.ResourceStatusDeleteSkipped, types.ResourceStatusImportFailed,
		types.ResourceStatusImportRollbackComplete:
		return false
	default:
		return true
	}
}

// clear deletes the remains of a stack. What cannot be deleted even now is left behind, so that it is in nobody's way.
func (s *Stack) clear(ctx context.Context, d *Description, tell func(string)) error {
	if failure, err := s.lastFailure(ctx, d); err == nil && failure != nil { // after this nobody can look it up
		tell("why it failed: " + failure.cause())
	}
	tell(fmt.Sprintf("stack %s is %s: deleting the remains", s.name, d.Status))
	left, err := s.remove(ctx, d, func(string) bool { return true })
	for _, r := range left {
		tell(fmt.Sprintf("%s (%s, %s) cannot be deleted and is no longer part of the stack: %s",
			r.LogicalID, r.Type, r.PhysicalID, plain(r.Reason)))
	}
	return err
}

// resume continues a rollback that has failed.
func (s *Stack) resume(ctx context.Context, d *Description, tell func(string)) error {
	tell(fmt.Sprintf("stack %s is %s: continuing the rollback", s.name, d.Status))
	op := operation{name: "rollback", stack: d.ID, token: "rollback-" + uuid.NewString()}
	err := s.persist(ctx, func(ctx context.Context) (err error) {
		op.mark, err = s.mark(ctx, d.ID)
		return err
	})
	if err != nil {
		return s.failed(ctx, "continue the rollback of", stale(err))
	}
	err = s.persist(ctx, func(ctx context.Context) error {
		_, err := s.client.ContinueUpdateRollback(ctx, &cloudformation.ContinueUpdateRollbackInput{
			StackName: &d.ID, ClientRequestToken: &op.token,
		})
		return err
	})
	switch {
	case ctx.Err() != nil:
		return s.unwatched(op, err)
	case err != nil:
		return s.failed(ctx, "continue the rollback of", stale(err))
	}
	end, err := s.watch(ctx, op)
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
	next := "correct what it names"
	if failure.Hint != "" {
		next = failure.Hint
	}
	if len(stuck) > 0 {
		next += " and deploy again, or leave it as it is: " + s.options.Line.CLI(fmt.Sprintf(
			"cloudformation continue-update-rollback --stack-name %s --resources-to-skip %s", s.name, strings.Join(stuck, " ")))
	}
	failure.Hint = next
	return failure
}
