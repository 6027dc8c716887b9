package changeset

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	awserrors "github.com/userrequestapi/userdata/deploy/aws/errors"
)

// maxIdlePolls is the number of polls without a new event after which the stack's status is checked. CloudFormation
// takes a few seconds to begin an operation and to publish events.
const maxIdlePolls = 30

// Event is a change of the status of a resource or the stack.
type Event struct {
	Time            time.Time
	LogicalID, Type string
	Status          types.ResourceStatus
	Reason          string
	Stack           bool // the event is about the stack itself
}

// stackEvent is an event with its ID and the token of its operation.
type stackEvent struct {
	Event
	id, token string
}

// operation is an operation of CloudFormation on the stack.
type operation struct {
	name  string // in messages
	stack string // the stack's ID
	mark  string // ID of the last event before it; "" if there was none
	token string // ClientRequestToken of its events; "" matches any operation
}

// outcome is the result of an operation.
type outcome struct {
	status types.StackStatus
	events []Event // of the operation, in order
}

// run starts an operation with call and watches it. doing is the action in messages. call may be made again after its
// response was lost: with the operation's token, that has no effect.
func (s *Stack) run(
	ctx context.Context, doing string, op operation, call func(context.Context) error,
) (outcome, error) {
	err := s.setMark(ctx, &op)
	if err == nil {
		err = s.retry(ctx, call)
		if err != nil && ctx.Err() != nil {
			return outcome{}, s.unwatchedError(op, err)
		}
	}
	if err != nil {
		return outcome{}, s.wrap(ctx, doing, wrapConflict(err))
	}
	return s.watch(ctx, op)
}

// setMark sets op.mark to the latest event.
func (s *Stack) setMark(ctx context.Context, op *operation) error {
	return s.retry(ctx, func(ctx context.Context) (err error) {
		op.mark, err = s.latestEventID(ctx, op.stack)
		return err
	})
}

// latestEventID returns the ID of a stack's latest event, or "" if it has none.
func (s *Stack) latestEventID(ctx context.Context, id string) (string, error) {
	out, err := s.client.DescribeStackEvents(ctx, &cloudformation.DescribeStackEventsInput{StackName: &id})
	if err != nil || len(out.StackEvents) == 0 {
		return "", err
	}
	return aws.ToString(out.StackEvents[0].EventId), nil
}

// eventsSince returns the events of a stack after mark, oldest first. CloudFormation returns the latest first, in
// pages.
func (s *Stack) eventsSince(ctx context.Context, id, mark string) ([]stackEvent, error) {
	var events []stackEvent
	pages := cloudformation.NewDescribeStackEventsPaginator(s.client,
		&cloudformation.DescribeStackEventsInput{StackName: &id})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, e := range page.StackEvents {
			if mark != "" && aws.ToString(e.EventId) == mark {
				slices.Reverse(events)
				return events, nil
			}
			events = append(events, stackEvent{
				Event: Event{
					Time: aws.ToTime(e.Timestamp), LogicalID: aws.ToString(e.LogicalResourceId), Type: aws.ToString(e.ResourceType),
					Status: e.ResourceStatus, Reason: aws.ToString(e.ResourceStatusReason),
					Stack: aws.ToString(e.PhysicalResourceId) == aws.ToString(e.StackId),
				},
				id: aws.ToString(e.EventId), token: aws.ToString(e.ClientRequestToken),
			})
		}
	}
	slices.Reverse(events)
	return events, nil
}

// watch reports the events of an operation until the stack has a final status. If ctx ends or the events cannot be
// read, the operation continues, and the error says so.
func (s *Stack) watch(ctx context.Context, op operation) (outcome, error) {
	var (
		seen outcome
		idle int
	)
	for {
		var fresh []stackEvent
		err := s.retry(ctx, func(ctx context.Context) (err error) {
			fresh, err = s.eventsSince(ctx, op.stack, op.mark)
			return err
		})
		if isNotFound(err) { // an emulator may forget a deleted stack at once
			return outcome{status: types.StackStatusDeleteComplete, events: seen.events}, nil
		}
		if err != nil {
			return seen, s.unwatchedError(op, err)
		}
		for _, e := range fresh {
			op.mark = e.id
			if op.token != "" && e.token != "" && e.token != op.token {
				continue // an event of an earlier deployment
			}
			seen.events = append(seen.events, e.Event)
			if s.options.Progress != nil {
				s.options.Progress(e.Event)
			}
			if e.Stack {
				seen.status = types.StackStatus(e.Status)
			}
			if e.Stack && isFinal(seen.status) {
				return seen, nil
			}
		}
		idle++
		if len(fresh) > 0 {
			idle = 0
		}
		if idle == maxIdlePolls {
			idle = 0
			if done, err := s.checkStatus(ctx, op, &seen); done || err != nil {
				return seen, err
			}
		}
		if err := s.wait(ctx); err != nil {
			return seen, s.unwatchedError(op, err)
		}
	}
}

// isFinal reports whether a status ends an operation. A rollback may follow CREATE_FAILED and UPDATE_FAILED.
func isFinal(status types.StackStatus) bool {
	return isStable(status) && status != types.StackStatusReviewInProgress &&
		status != types.StackStatusCreateFailed && status != types.StackStatusUpdateFailed
}

// checkStatus reports whether the operation has ended according to the stack's status. If so, it stores the status in
// seen. It is called when no new events arrive.
func (s *Stack) checkStatus(ctx context.Context, op operation, seen *outcome) (bool, error) {
	var d *Description
	err := s.retry(ctx, func(ctx context.Context) (err error) {
		d, err = s.describe(ctx, op.stack)
		return err
	})
	switch {
	case errors.Is(err, ErrNotFound):
		seen.status = types.StackStatusDeleteComplete
		return true, nil
	case err != nil:
		return false, s.unwatchedError(op, err)
	case d.InProgress():
		return false, nil
	case seen.status == "" && op.token != "":
		return false, fmt.Errorf("%s of stack %s: the operation has not begun and the stack is %s: %w",
			op.name, s.name, d.Status, ErrStale)
	}
	seen.status = d.Status
	return true, nil
}

// unwatchedError adds to err, which ended the wait for an operation, that the operation continues in AWS.
func (s *Stack) unwatchedError(op operation, err error) error {
	next := ""
	if s.options.Resume != nil {
		next = ": " + s.options.Resume()
	}
	return fmt.Errorf("watch the %s of stack %s: %w; the operation continues in AWS%s",
		op.name, s.name, awserrors.Explain(err), next)
}

// retry retries a call while its errors are temporary, for at most Options.LostContact. If ctx ends, it returns the
// cause of ctx.
func (s *Stack) retry(ctx context.Context, call func(context.Context) error) error {
	var lost time.Time
	for {
		started := time.Now()
		callCtx, cancel := context.WithTimeout(ctx, min(callTimeout, s.options.LostContact))
		err := call(callCtx)
		timedOut := callCtx.Err() != nil
		cancel()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !timedOut && !awserrors.Temporary(err):
			return err
		case lost.IsZero():
			lost = started
		}
		if since := time.Since(lost); since >= s.options.LostContact {
			return fmt.Errorf("no contact for %s: %w", since.Round(time.Second), awserrors.Explain(err))
		}
		if err := s.wait(ctx); err != nil {
			return err
		}
	}
}

// wait waits for the polling interval. If ctx ends, it returns the cause of ctx.
func (s *Stack) wait(ctx context.Context) error {
	timer := time.NewTimer(s.options.Poll)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// failure reports whether the event is a failure. It may be the consequence of another failure.
func (e Event) failure() bool { return strings.HasSuffix(string(e.Status), "_FAILED") }
