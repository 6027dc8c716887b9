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

// quietLooks is after how many looks without an event the stack is asked for its status. CloudFormation takes a few
// seconds to begin and to publish events.
const quietLooks = 30

// Event is a change of a resource's status, or of the stack's.
type Event struct {
	Time                        time.Time
	LogicalID, PhysicalID, Type string
	Status                      types.ResourceStatus
	Reason                      string
	Stack                       bool // it is the stack's own
}

// observation is an event and what tells it from others.
type observation struct {
	Event
	id, token string
}

// operation is what CloudFormation does to the stack and is watched doing.
type operation struct {
	name  string // what it is called in messages
	stack string // id
	mark  string // id of the last event before it; "" when there was none
	token string // that its events carry; "": whatever runs is watched
}

// outcome is how an operation ended.
type outcome struct {
	status types.StackStatus
	events []Event // of the operation, in order
}

// mark returns the id of a stack's latest event, "" when it has none.
func (s *Stack) mark(ctx context.Context, id string) (string, error) {
	out, err := s.client.DescribeStackEvents(ctx, &cloudformation.DescribeStackEventsInput{StackName: &id})
	if err != nil || len(out.StackEvents) == 0 {
		return "", err
	}
	return aws.ToString(out.StackEvents[0].EventId), nil
}

// since returns the events of a stack after mark, in order. They come latest first, a page of up to 100 at a time.
func (s *Stack) since(ctx context.Context, id, mark string) ([]observation, error) {
	var events []observation
	pages := cloudformation.NewDescribeStackEventsPaginator(s.client, &cloudformation.DescribeStackEventsInput{StackName: &id})
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
			events = append(events, observation{
				Event: Event{
					Time: aws.ToTime(e.Timestamp), LogicalID: aws.ToString(e.LogicalResourceId),
					PhysicalID: aws.ToString(e.PhysicalResourceId), Type: aws.ToString(e.ResourceType),
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

// watch reports the events of an operation until the one that ends it, which is the stack's own. When ctx ends, when AWS stays
// out of reach or refuses to tell, the operation goes on unwatched, and the error says so.
func (s *Stack) watch(ctx context.Context, op operation) (outcome, error) {
	var (
		seen  outcome
		quiet int
	)
	for {
		var fresh []observation
		err := s.persist(ctx, func(ctx context.Context) (err error) {
			fresh, err = s.since(ctx, op.stack, op.mark)
			return err
		})
		if absent(err) { // an emulator may forget a deleted stack at once
			return outcome{status: types.StackStatusDeleteComplete, events: seen.events}, nil
		}
		if err != nil {
			return seen, s.unwatched(op, err)
		}
		for _, e := range fresh {
			op.mark = e.id
			if op.token != "" && e.token != "" && e.token != op.token {
				continue // of another deployment, just before
			}
			seen.events = append(seen.events, e.Event)
			if s.options.Progress != nil {
				s.options.Progress(e.Event)
			}
			if e.Stack {
				seen.status = types.StackStatus(e.Status)
			}
			if e.Stack && ends(seen.status) {
				return seen, nil
			}
		}
		quiet++
		if len(fresh) > 0 {
			quiet = 0
		}
		if quiet == quietLooks {
			quiet = 0
			if done, err := s.silent(ctx, op, &seen); done || err != nil {
				return seen, err
			}
		}
		if err := s.pause(ctx); err != nil {
			return seen, s.unwatched(op, err)
		}
	}
}

// ends reports whether nothing follows a status within the same operation. What is a failure to begin with may still be
// rolled back.
func ends(status types.StackStatus) bool {
	return settled(status) && status != types.StackStatusReviewInProgress &&
		status != types.StackStatusCreateFailed && status != types.StackStatusUpdateFailed
}

// silent asks the stack itself, as no event has come for long, and reports whether the operation is over.
func (s *Stack) silent(ctx context.Context, op operation, seen *outcome) (bool, error) {
	var d *Description
	err := s.persist(ctx, func(ctx context.Context) (err error) {
		d, err = s.describe(ctx, op.stack)
		return err
	})
	switch {
	case errors.Is(err, ErrAbsent):
		seen.status = types.StackStatusDeleteComplete
		return true, nil
	case err != nil:
		return false, s.unwatched(op, err)
	case d.InProgress():
		return false, nil
	case seen.status == "" && op.token != "":
		return false, fmt.Errorf("%s of stack %s: CloudFormation has not begun and the stack is %s: %w",
			op.name, s.name, d.Status, ErrStale)
	}
	seen.status = d.Status
	return true, nil
}

// unwatched returns the error for an operation that continues in AWS while nobody watches it.
func (s *Stack) unwatched(op operation, err error) error {
	next := ""
	if s.options.Resume != nil {
		next = ": " + s.options.Resume()
	}
	return fmt.Errorf("watch the %s of stack %s: %w; what has begun goes on in AWS by itself%s",
		op.name, s.name, awserrors.Explain(err), next)
}

// persist makes a call until it succeeds or fails for good, through moments in which AWS is out of reach. When ctx ends,
// the error is its cause.
func (s *Stack) persist(ctx context.Context, call func(context.Context) error) error {
	var lost time.Time
	for {
		started := time.Now()
		one, cancel := context.WithTimeout(ctx, min(longestCall, s.options.LostContact))
		err := call(one)
		late := one.Err() != nil
		cancel()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !late && !awserrors.Temporary(err):
			return err
		case lost.IsZero():
			lost = started
		}
		if since := time.Since(lost); since >= s.options.LostContact {
			return fmt.Errorf("no contact for %s: %w", since.Round(time.Second), awserrors.Explain(err))
		}
		if err := s.pause(ctx); err != nil {
			return err
		}
	}
}

// pause waits until the next look. When ctx ends, the error is its cause.
func (s *Stack) pause(ctx context.Context) error {
	timer := time.NewTimer(s.options.Poll)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// failure reports whether a resource has failed, in its own right or because another has.
func (e Event) failure() bool { return strings.HasSuffix(string(e.Status), "_FAILED") }
