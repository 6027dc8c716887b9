// Package userdata stores users in the DynamoDB table UserData.
//
// Each user is one item. Besides the user's attributes, the store writes two attributes of its own: the revision,
// which is the user's ETag and the condition of every write, and the create request, if it had an idempotency key.
// Items written by other programs lack both; they are users too.
package userdata

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	mathrand "math/rand/v2"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"github.com/userrequestapi/userdata/shared/user"
)

// A write without If-Match that conflicts with another write is retried with a new read: at most maxRounds rounds in
// total, with exponential backoff and full jitter from baseDelay.
const (
	maxRounds = 8
	baseDelay = 5 * time.Millisecond
)

// DynamoStore stores users in a DynamoDB table with the partition key userId. It is safe for concurrent use.
type DynamoStore struct {
	client *dynamodb.Client
	table  string
	now    func() time.Time
}

var _ user.Store = (*DynamoStore)(nil)

// New returns a store that uses table.
func New(client *dynamodb.Client, table string) *DynamoStore {
	return &DynamoStore{client: client, table: table, now: time.Now}
}

func key(id string) item { return item{user.IDAttribute: encode(id)} }

// Get implements [user.Store] with a strongly consistent read.
func (s *DynamoStore) Get(ctx context.Context, id string) (user.User, error) {
	it, err := s.get(ctx, id)
	if err != nil {
		return user.User{}, err
	}
	return toUser(it), nil
}

func (s *DynamoStore) get(ctx context.Context, id string) (item, error) {
	it, err := s.read(ctx, id)
	switch {
	case err != nil:
		return nil, storeError("get user", err)
	case it == nil:
		return nil, &user.Error{Code: user.NotFound, Detail: "There is no user with this userId."}
	}
	return it, nil
}

// read returns the item after a strongly consistent read, or nil if there is none.
func (s *DynamoStore) read(ctx context.Context, id string) (item, error) {
	out, err := s.client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName:      &s.table,
		Key:            key(id),
		ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return nil, err
	}
	return out.Item, nil
}

// List implements [user.Store] with a Scan. A Scan reads at most 1 MB, so a page can have fewer than limit users.
func (s *DynamoStore) List(ctx context.Context, after string, limit int) (user.Page, error) {
	in := &dynamodb.ScanInput{
		TableName: &s.table,
		Limit:     aws.Int32(int32(limit) + 1), //nolint:gosec // at most 101; one more shows whether the page is the last
	}
	if after != "" {
		in.ExclusiveStartKey = key(after)
	}
	out, err := s.client.Scan(ctx, in)
	if err != nil {
		return user.Page{}, storeError("list users", err)
	}
	return toPage(out.Items, out.LastEvaluatedKey, limit), nil
}

// toPage returns a page of at most limit items. last is the key after which DynamoDB would continue; it can be set for
// an empty page.
func toPage(items []item, last item, limit int) user.Page {
	if len(items) > limit {
		items = items[:limit]
		last = items[limit-1]
	}
	page := user.Page{More: len(last) > 0}
	page.Next, _ = decode(last[user.IDAttribute]).(string)
	for _, it := range items {
		page.Users = append(page.Users, toUser(it))
	}
	return page
}

// Create implements [user.Store] with one conditional write. If the condition fails, the existing item determines the
// result.
func (s *DynamoStore) Create(
	ctx context.Context, sent user.Attributes, idempotency *user.Idempotency,
) (user.User, bool, error) {
	attributes, err := user.New(sent, s.now())
	if err != nil {
		return user.User{}, false, err
	}
	revision := newRevision()
	var origin any
	if idempotency != nil {
		origin = map[string]any{keyMember: idempotency.Key, bodyMember: idempotency.Body, revisionMember: string(revision)}
	}
	it, err := newItem(attributes, revision, origin)
	if err != nil {
		return user.User{}, false, err
	}
	proof, err := s.do(ctx, "create user", write{
		id: sent[user.IDAttribute].(string), // validated by user.New
		proves: func(it item) bool {
			origin, _ := toOrigin(it) // a replacement keeps it
			return ownRevision(it) == revision || origin.revision == revision
		},
		send: func(ctx context.Context, options func(*dynamodb.Options)) error {
			_, err := s.client.PutItem(ctx, &dynamodb.PutItemInput{
				TableName:                           &s.table,
				Item:                                it,
				ConditionExpression:                 aws.String("attribute_not_exists(userId)"),
				ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
			}, options)
			return err
		},
	})
	var c *conflict
	switch {
	case errors.As(err, &c):
		return replay(c.existing, idempotency)
	case err != nil:
		return user.User{}, false, err
	case proof != nil:
		return toUser(proof), ownRevision(proof) != revision, nil
	}
	return user.User{Attributes: attributes, ETag: revision}, false, nil
}

// replay returns the existing user if the same request created it. Otherwise, it returns an error with the code
// [user.Exists] or [user.IdempotencyKeyReused].
func replay(existing item, idempotency *user.Idempotency) (user.User, bool, error) {
	switch origin, ok := toOrigin(existing); {
	case !ok || idempotency == nil || origin.Key != idempotency.Key:
		return user.User{}, false, &user.Error{Code: user.Exists,
			Detail: "There is a user with this userId already. Use PUT to replace it."}
	case origin.Body != idempotency.Body:
		return user.User{}, false, &user.Error{Code: user.IdempotencyKeyReused,
			Detail: "This Idempotency-Key came before with another body. Use a new key for a new request."}
	}
	return toUser(existing), true, nil
}

// Replace implements [user.Store]: it reads the item, then writes it on condition that it is unchanged.
func (s *DynamoStore) Replace(
	ctx context.Context, id string, sent user.Attributes, ifMatch []user.ETag,
) (user.User, error) {
	var replaced user.User
	err := s.update(ctx, "replace user", id, ifMatch, func(old item) (write, error) {
		attributes, err := toAttributes(old).Replace(sent, s.now())
		if err != nil {
			return write{}, err
		}
		if _, conflicts := attributes[revisionAttribute]; conflicts {
			return write{}, user.Reserved(revisionAttribute, "Another program has set this attribute, whose name is reserved. "+
				"Remove the attribute from the item in the table, then replace the user again.")
		}
		revision := newRevision()
		it, err := newItem(attributes, revision, decode(old[idempotencyAttribute]))
		if err != nil {
			return write{}, err
		}
		replaced = user.User{Attributes: attributes, ETag: revision}
		condition := unchanged(old)
		return write{
			id:        id,
			retryable: ownRevision(old) != "",
			proves:    func(it item) bool { return ownRevision(it) == revision },
			send: func(ctx context.Context, options func(*dynamodb.Options)) error {
				_, err := s.client.PutItem(ctx, &dynamodb.PutItemInput{
					TableName:                           &s.table,
					Item:                                it,
					ConditionExpression:                 &condition.expression,
					ExpressionAttributeNames:            condition.names,
					ExpressionAttributeValues:           condition.values,
					ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
				}, options)
				return err
			},
		}, nil
	})
	if err != nil {
		return user.User{}, err
	}
	return replaced, nil
}

// Delete implements [user.Store]: it reads the item, then deletes it on condition that it is unchanged.
func (s *DynamoStore) Delete(ctx context.Context, id string, ifMatch []user.ETag) error {
	return s.update(ctx, "delete user", id, ifMatch, func(old item) (write, error) {
		condition := unchanged(old)
		return write{
			id:        id,
			retryable: ownRevision(old) != "",
			// A missing item does not prove which request deleted it. Without If-Match, that makes no difference.
			proves: func(it item) bool { return it == nil && len(ifMatch) == 0 },
			send: func(ctx context.Context, options func(*dynamodb.Options)) error {
				_, err := s.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
					TableName:                           &s.table,
					Key:                                 key(id),
					ConditionExpression:                 &condition.expression,
					ExpressionAttributeNames:            condition.names,
					ExpressionAttributeValues:           condition.values,
					ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
				}, options)
				return err
			},
		}, nil
	})
}

// update reads the user's item, checks ifMatch, and sends the write that prepare returns, which must be conditional
// on the item being unchanged. If that condition fails, update starts again with the read.
func (s *DynamoStore) update(
	ctx context.Context, operation, id string, ifMatch []user.ETag, prepare func(old item) (write, error),
) error {
	for round := range maxRounds {
		if err := wait(ctx, round); err != nil {
			return storeError(operation, err)
		}
		old, err := s.get(ctx, id)
		if err != nil {
			return err
		}
		if len(ifMatch) > 0 {
			if err := toUser(old).CheckMatch(ifMatch); err != nil {
				return err
			}
		}
		w, err := prepare(old)
		if err != nil {
			return err
		}
		_, err = s.do(ctx, operation, w)
		if c := (*conflict)(nil); !errors.As(err, &c) {
			return err
		}
	}
	return throttled("Other requests keep changing this user. Try again after a moment.",
		fmt.Errorf("%s: write conflict in each of %d attempts", operation, maxRounds))
}

// wait waits before a round other than the first, for a random time that keeps concurrent writers apart.
func wait(ctx context.Context, round int) error {
	if round == 0 {
		return nil
	}
	timer := time.NewTimer(mathrand.N(baseDelay << (round - 1))) //nolint:gosec // jitter need not be secure
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// newRevision returns a globally unique revision.
func newRevision() user.ETag { return user.ETag(rand.Text()) }

// newItem returns an item with attributes and the revision, and with origin unless it is nil.
func newItem(attributes user.Attributes, revision user.ETag, origin any) (item, error) {
	stored := maps.Clone(attributes)
	stored[revisionAttribute] = string(revision)
	if origin != nil {
		stored[idempotencyAttribute] = origin
	}
	if err := stored.CheckSize(); err != nil {
		return nil, err
	}
	return encodeMembers(stored), nil
}

type condition struct {
	expression string
	names      map[string]string
	values     item
}

// unchanged returns the condition that the item is still in the state in which it was read.
func unchanged(it item) condition {
	c := condition{names: map[string]string{"#rev": revisionAttribute}}
	if revision, ok := it[revisionAttribute]; ok {
		c.expression, c.values = "#rev = :rev", item{":rev": revision}
	} else {
		c.expression = "attribute_exists(userId) AND attribute_not_exists(#rev)"
	}
	return c
}

func throttled(detail string, err error) error {
	return &user.Error{Code: user.Throttled, Detail: detail, Err: err}
}

// storeError converts the error of a call that had no effect to a [*user.Error].
func storeError(operation string, err error) error {
	tooLarge := isTooLarge(err)
	err = wrap(operation, err)
	switch {
	case isThrottle(err):
		return throttled("The database is busy. Try again after a moment.", err)
	case tooLarge:
		return &user.Error{Code: user.BodyTooLarge, Detail: "The user is larger than DynamoDB allows (400 KB).", Err: err}
	case errors.Is(err, context.DeadlineExceeded):
		return &user.Error{Code: user.Unavailable, Detail: "The database took too long. Try again later.", Err: err}
	default:
		const detail = "The users cannot be reached at the moment. Try again later."
		return &user.Error{Code: user.Unavailable, Detail: detail, Err: err}
	}
}

// wrap adds the operation to err and redacts it.
func wrap(operation string, err error) error {
	return fmt.Errorf("%s: %w", operation, redact(err))
}

// redact removes the message of DynamoDB errors that can quote attribute values, which must not appear in a log.
func redact(err error) error {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return err
	}
	switch code := api.ErrorCode(); code {
	case "ValidationException", "SerializationException":
		return &smithy.GenericAPIError{Code: code, Message: "message removed", Fault: api.ErrorFault()}
	}
	return err
}

func isThrottle(err error) bool {
	return retry.IsErrorThrottles(retry.DefaultThrottles).IsErrorThrottle(err) == aws.TrueTernary
}

// isTooLarge reports whether err is DynamoDB's error for an item above its size limit. [user.Attributes.CheckSize] only
// approximates that limit.
func isTooLarge(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && api.ErrorCode() == "ValidationException" &&
		strings.Contains(api.ErrorMessage(), "Item size")
}
