package userdata

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/userrequestapi/userdata/shared/user"
)

// doubt records whether an attempt of a write is in doubt: it may have reached DynamoDB and returned no definite response,
// because it timed out, its connection broke, the status was 5xx, or the response was incomplete.
type doubt struct {
	pinned bool // as in write
	raised atomic.Bool
}

func (d *doubt) raise() { d.raised.Store(true) }

type doubtKey struct{}

// doubtOf returns the record of the write that the context belongs to, nil for a read.
func doubtOf(ctx context.Context) *doubt {
	d, _ := ctx.Value(doubtKey{}).(*doubt)
	return d
}

// write is one conditional write of an item.
type write struct {
	id   string
	send func(ctx context.Context, options func(*dynamodb.Options)) error
	// pinned reports whether the condition names a revision of the store. Revisions never come back, so that any number of
	// attempts take effect at most once.
	pinned bool
	// proves reports whether the item, nil if there is none, proves that the write took effect.
	proves func(it item) bool
}

// do sends w. Every write passes here, which has the rule for writes in doubt (decision 0004). From the first attempt in doubt on:
//
//  1. The write succeeds only on proof: a complete response, or the item in the table.
//  2. Any other outcome is unknown, for an earlier attempt may have taken effect, or may do so later.
//  3. The write is sent again only if it is pinned. Otherwise, one read looks for the proof.
//
// do returns a nil error if w took effect, once, with the item that proves it unless the response does. Any error but
// [user.Unavailable], among them [*conflict], means that w took no effect and will take none.
func (s *Store) do(ctx context.Context, operation string, w write) (proof item, err error) {
	d := &doubt{pinned: w.pinned}
	err = w.send(context.WithValue(ctx, doubtKey{}, d), func(o *dynamodb.Options) {
		if retryer, ok := o.Retryer.(aws.RetryerV2); ok && !w.pinned {
			o.Retryer = untilDoubt{retryer, d}
		}
	})
	if err == nil {
		return nil, nil
	}
	var failed *types.ConditionalCheckFailedException
	refused := errors.As(err, &failed)
	switch {
	case refused && !d.raised.Load():
		return nil, &conflict{failed.Item}
	case !d.raised.Load():
		return nil, storeError(operation, err)
	case refused:
		proof = failed.Item
	default:
		var readErr error
		if proof, readErr = s.read(ctx, w.id); readErr != nil {
			return nil, unknownOutcome(operation, err)
		}
	}
	if !w.proves(proof) {
		return nil, unknownOutcome(operation, err)
	}
	return proof, nil
}

// conflict is the error of a write whose condition failed.
type conflict struct{ existing item } // nil if there is none

func (*conflict) Error() string { return "the condition of the write failed" }

// untilDoubt retries until an attempt is in doubt.
type untilDoubt struct {
	aws.RetryerV2
	doubt *doubt
}

// IsErrorRetryable implements [aws.Retryer].
func (r untilDoubt) IsErrorRetryable(err error) bool {
	return !r.doubt.raised.Load() && r.RetryerV2.IsErrorRetryable(err)
}

func unknownOutcome(operation string, err error) error {
	return &user.Error{
		Code:   user.Unavailable,
		Detail: user.UnknownOutcome,
		Err:    describe(operation, err),
	}
}
