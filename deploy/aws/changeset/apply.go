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

// Apply executes a plan and watches until CloudFormation is done, its tidying up included. It returns a [*Failure] when
// CloudFormation fails, which by then has rolled back; [ErrStale] when the plan no longer fits the stack. When ctx ends,
// the error is its cause and CloudFormation goes on.
func (s *Stack) Apply(ctx context.Context, plan *Plan) error {
	if plan.Empty() {
		return nil
	}
	op := operation{name: "deployment", stack: plan.StackID, token: plan.Name}
	err := s.persist(ctx, func(ctx context.Context) (err error) {
		op.mark, err = s.mark(ctx, plan.StackID)
		return err
	})
	if err != nil {
		return s.failed(ctx, "deploy", stale(err))
	}
	// A call of which the answer was lost is recognised by its token, so it can be repeated safely.
	err = s.persist(ctx, func(ctx context.Context) error {
		_, err := s.client.ExecuteChangeSet(ctx, &cloudformation.ExecuteChangeSetInput{
			StackName: &s.name, ChangeSetName: &plan.Name, ClientRequestToken: &plan.Name, DisableRollback: aws.Bool(false),
		})
		return err
	})
	if err != nil {
		begun, unknown := s.begun(ctx, plan, op)
		switch {
		case begun:
		case ctx.Err() != nil, unknown != nil && awserrors.Temporary(err):
			return s.unwatched(op, err)
		default:
			return s.failed(ctx, "deploy", stale(err))
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

// begun reports whether the plan is being executed although the call that asked for it has failed: the answer to an earlier
// attempt may have been lost.
func (s *Stack) begun(ctx context.Context, plan *Plan, op operation) (bool, error) {
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	events, err := s.since(ctx, plan.StackID, op.mark)
	if err != nil {
		return false, err
	}
	if slices.ContainsFunc(events, func(e observation) bool { return e.token == op.token }) {
		return true, nil
	}
	out, err := s.client.DescribeChangeSet(ctx, &cloudformation.DescribeChangeSetInput{StackName: &s.name, ChangeSetName: &plan.Name})
	if err != nil {
		return false, err
	}
	return strings.HasPrefix(string(out.ExecutionStatus), "EXECUTE_"), nil
}

// Delete deletes the stack and watches until it is gone; what runs on it is waited for first. Resources with the
// DeletionPolicy Retain stay in any case; those of the logical ids in retain stay if they cannot be deleted. It returns a
// [*Failure] when anything else cannot be deleted. A stack that does not exist is a success.
func (s *Stack) Delete(ctx context.Context, retain ...string) error {
	for race := 1; ; race++ {
		d, err := s.quiet(ctx, nil)
		if errors.Is(err, ErrAbsent) {
			return nil
		}
		if err != nil {
			return err
		}
		_, err = s.remove(ctx, d, func(id string) bool { return slices.Contains(retain, id) })
		if !errors.Is(err, ErrStale) || race == races {
			return err
		}
		if err := s.pause(ctx); err != nil {
			return s.failed(ctx, "delete", err)
		}
	}
}

// remove deletes a stack on which nothing runs. If resources resist, and keep allows it of all of them, it deletes the stack
// without them and returns them.
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
		return nil, failure // CloudFormation has refused, as when another stack uses an output
	}
	resources, err := s.resources(ctx, d.ID)
	if err != nil {
		return nil, errors.Join(failure, err)
	}
	resisting := slices.DeleteFunc(resources, func(r Resource) bool { return r.Status != types.ResourceStatusDeleteFailed })
	var ids []string
	for _, r := range resisting {
		if !keep(r.LogicalID) {
			return nil, failure
		}
		ids = append(ids, r.LogicalID)
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
	return resisting, nil
}

// delete asks for a stack's deletion and watches it. retain may only be given for a stack that is DELETE_FAILED.
func (s *Stack) delete(ctx context.Context, id string, retain []string) (outcome, error) {
	op := operation{name: "deletion", stack: id, token: "delete-" + uuid.NewString()}
	err := s.persist(ctx, func(ctx context.Context) (err error) {
		op.mark, err = s.mark(ctx, id)
		return err
	})
	if err != nil {
		return outcome{}, s.failed(ctx, "delete", stale(err))
	}
	err = s.persist(ctx, func(ctx context.Context) error {
		_, err := s.client.DeleteStack(ctx, &cloudformation.DeleteStackInput{
			StackName: &id, ClientRequestToken: &op.token, RetainResources: retain,
		})
		return err
	})
	switch {
	case absent(err):
		return outcome{status: types.StackStatusDeleteComplete}, nil
	case ctx.Err() != nil:
		return outcome{}, s.unwatched(op, err)
	case err != nil:
		return outcome{}, s.failed(ctx, "delete", stale(err))
	}
	return s.watch(ctx, op)
}

// quiet waits until nothing runs on the stack and returns what it is then. tell, which may be nil, is told what is waited for.
func (s *Stack) quiet(ctx context.Context, tell func(string)) (*Description, error) {
	for {
		d, err := s.Describe(ctx)
		if err != nil || !d.InProgress() {
			return d, err
		}
		mark, err := s.mark(ctx, d.ID)
		if err != nil {
			return nil, s.failed(ctx, "wait for", err)
		}
		// Looked at once more, as it may have ended before the mark was taken, and then no further event would come.
		if d, err = s.describe(ctx, d.ID); err != nil || !d.InProgress() {
			continue
		}
		if tell != nil {
			tell(fmt.Sprintf("stack %s is %s, by another deployment or one that was interrupted: waiting for it to end", s.name, d.Status))
		}
		if _, err := s.watch(ctx, operation{name: "operation under way", stack: d.ID, mark: mark}); err != nil {
			return nil, err
		}
	}
}
