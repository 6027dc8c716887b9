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

// doubt records whether an attempt of a write is in doubt: the attempt may have reached DynamoDB but got no definite
// response, because of a timeout, a broken connection, a 5xx status code, or a truncated response.
type doubt struct {
	retryable bool // see write
	marked    atomic.Bool
}

func (d *doubt) mark() { d.marked.Store(true) }

type doubtKey struct{}

// doubtOf returns the doubt of the write that ctx belongs to, or nil for a read.
func doubtOf(ctx context.Context) *doubt {
	d, _ := ctx.Value(doubtKey{}).(*doubt)
	return d
}

// write is one conditional write of an item.
type write struct {
	id   string
	send func(ctx context.Context, options func(*dynamodb.Options)) error
	// retryable reports whether the condition requires a revision of the store. A revision never recurs, so any
	// number of attempts take effect at most once.
	retryable bool
	// proves reports whether the item (nil if there is none) proves that the write took effect.
	proves func(it item) bool
}

// do sends w. It implements the rule for writes in doubt. After the first attempt in doubt:
//
//  1. The write succeeds only with proof: a complete response, or the item in the table.
//  2. Any other outcome is unknown, because an earlier attempt may have taken effect, or may still do so.
//  3. The write is retried only if it is retryable. Otherwise, one read looks for the proof.
//
// do returns a nil error if w took effect, exactly once. proof is the item that proves it, or nil if a complete
// response does. Any error except [user.Unavailable], including [*conflict], means that w took no effect and will
// take none.
func (s *DynamoStore) do(ctx context.Context, operation string, w write) (proof item, err error) {
	d := &doubt{retryable: w.retryable}
	err = w.send(context.WithValue(ctx, doubtKey{}, d), func(o *dynamodb.Options) {
		if retryer, ok := o.Retryer.(aws.RetryerV2); ok && !w.retryable {
			o.Retryer = doubtRetryer{retryer, d}
		}
	})
	if err == nil {
		return nil, nil
	}
	var failed *types.ConditionalCheckFailedException
	refused := errors.As(err, &failed)
	switch {
	case refused && !d.marked.Load():
		return nil, &conflict{failed.Item}
	case !d.marked.Load():
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

// conflict is the error of a write whose condition failed. existing is nil if there is no item.
type conflict struct{ existing item }

func (*conflict) Error() string { return "condition of the write failed" }

// doubtRetryer stops retrying after an attempt in doubt.
type doubtRetryer struct {
	aws.RetryerV2
	doubt *doubt
}

// IsErrorRetryable implements [aws.Retryer].
func (r doubtRetryer) IsErrorRetryable(err error) bool {
	return !r.doubt.marked.Load() && r.RetryerV2.IsErrorRetryable(err)
}

func unknownOutcome(operation string, err error) error {
	return &user.Error{
		Code:   user.Unavailable,
		Detail: user.UnknownOutcome,
		Err:    wrap(operation, err),
	}
}
