// Package userdata keeps users in the DynamoDB table UserData.
//
// One user is one item, whose attributes are the user's own beside two that the store keeps for itself: the revision, which is
// the user's ETag and what every write is conditional on, and the request that made the user, where it had an idempotency key.
// Items that others wrote, without these, are users too.
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

// A write without If-Match reads and writes up to maxRounds times if other writes come in between, after random pauses that
// grow from firstPause.
const (
	maxRounds  = 8
	firstPause = 5 * time.Millisecond
)

// Store keeps users in a DynamoDB table whose key is userId. It is safe for concurrent use.
type Store struct {
	client *dynamodb.Client
	table  string
	now    func() time.Time
}

var _ user.Store = (*Store)(nil)

// New returns the store of users in table.
func New(client *dynamodb.Client, table string) *Store {
	return &Store{client: client, table: table, now: time.Now}
}

func key(id string) item { return item{user.IDAttribute: encode(id)} }

// Get reads consistently: clients read what they have just written.
func (s *Store) Get(ctx context.Context, id string) (user.User, error) {
	it, err := s.get(ctx, id)
	if err != nil {
		return user.User{}, err
	}
	return toUser(it), nil
}

func (s *Store) get(ctx context.Context, id string) (item, error) {
	it, err := s.read(ctx, id)
	switch {
	case err != nil:
		return nil, storeError("get user", err)
	case it == nil:
		return nil, notFound()
	}
	return it, nil
}

// read returns the item as the last write left it, nil if there is none.
func (s *Store) read(ctx context.Context, id string) (item, error) {
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

// List scans the table. One page holds at most 1 MB of items, so it can have fewer than limit users.
func (s *Store) List(ctx context.Context, after string, limit int) (user.Page, error) {
	in := &dynamodb.ScanInput{
		TableName: &s.table,
		Limit:     aws.Int32(int32(limit) + 1), //nolint:gosec // at most 100; one more tells whether the page is the last
	}
	if after != "" {
		in.ExclusiveStartKey = key(after)
	}
	out, err := s.client.Scan(ctx, in)
	if err != nil {
		return user.Page{}, storeError("list users", err)
	}
	last := out.LastEvaluatedKey // also where nothing came before it
	if len(out.Items) > limit {
		out.Items = out.Items[:limit]
		last = out.Items[limit-1]
	}
	page := user.Page{More: len(last) > 0}
	page.Next, _ = decode(last[user.IDAttribute]).(string)
	for _, it := range out.Items {
		page.Users = append(page.Users, toUser(it))
	}
	return page, nil
}

// Create makes one conditional write. If the condition fails, the existing item tells why.
func (s *Store) Create(ctx context.Context, sent user.Attributes, idempotency *user.Idempotency) (user.User, bool, error) {
	attributes, err := user.New(sent, s.now())
	if err != nil {
		return user.User{}, false, err
	}
	revision := newRevision()
	var origin any
	if idempotency != nil {
		origin = map[string]any{keyMember: idempotency.Key, bodyMember: idempotency.Body, revisionMember: string(revision)}
	}
	it, err := revise(attributes, revision, origin)
	if err != nil {
		return user.User{}, false, err
	}
	proof, err := s.do(ctx, "create user", write{
		id: sent[user.IDAttribute].(string), // user.New has checked it
		proves: func(it item) bool {
			origin, _ := toOrigin(it) // remains when others replace the user
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

// replay returns the existing user if the same request created it, otherwise the error of a create that it refuses.
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

// Replace reads the item, then writes on condition that it is still the same.
func (s *Store) Replace(ctx context.Context, id string, sent user.Attributes, ifMatch []user.ETag) (user.User, error) {
	var replaced user.User
	err := s.change(ctx, "replace user", id, ifMatch, func(old item) (write, error) {
		attributes, err := toAttributes(old).Replace(sent, s.now())
		if err != nil {
			return write{}, err
		}
		if _, others := attributes[revisionAttribute]; others {
			return write{}, user.Reserved(revisionAttribute, "Another program has given this attribute to the user. "+
				"The service needs its name to replace the user: remove the attribute from the table.")
		}
		revision := newRevision()
		it, err := revise(attributes, revision, decode(old[idempotencyAttribute]))
		if err != nil {
			return write{}, err
		}
		replaced = user.User{Attributes: attributes, ETag: revision}
		condition := unchanged(old)
		return write{
			id:     id,
			pinned: ownRevision(old) != "",
			proves: func(it item) bool { return ownRevision(it) == revision },
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

// Delete reads the item, then deletes on condition that it is still the same.
func (s *Store) Delete(ctx context.Context, id string, ifMatch []user.ETag) error {
	return s.change(ctx, "delete user", id, ifMatch, func(old item) (write, error) {
		condition := unchanged(old)
		return write{
			id:     id,
			pinned: ownRevision(old) != "",
			// An absent item does not prove who deleted it. Without If-Match, the caller need not know.
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

// change reads a user's item, checks ifMatch, and does the write that prepare returns, which must be conditional on the item
// being unchanged. It starts over if another write came in between.
func (s *Store) change(
	ctx context.Context, operation, id string, ifMatch []user.ETag, prepare func(old item) (write, error),
) error {
	for round := range maxRounds {
		if err := pause(ctx, round); err != nil {
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
	return busy("Other requests keep changing this user. Try again after a moment.",
		fmt.Errorf("%s: another write came in between, %d times", operation, maxRounds))
}

// pause keeps writers that collided from colliding again.
func pause(ctx context.Context, round int) error {
	if round == 0 {
		return nil
	}
	timer := time.NewTimer(mathrand.N(firstPause << (round - 1))) //nolint:gosec // it is no secret
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// newRevision returns a revision that no other state of any user has.
func newRevision() user.ETag { return user.ETag(rand.Text()) }

// revise returns the item for attributes with a revision, and with the origin of the user unless it is nil.
func revise(attributes user.Attributes, revision user.ETag, origin any) (item, error) {
	kept := maps.Clone(attributes)
	kept[revisionAttribute] = string(revision)
	if origin != nil {
		kept[idempotencyAttribute] = origin
	}
	if err := kept.CheckSize(); err != nil {
		return nil, err
	}
	return encodeMembers(kept), nil
}

type condition struct {
	expression string
	names      map[string]string
	values     item
}

// unchanged is the condition that an item still is in the state in which it was read.
func unchanged(it item) condition {
	c := condition{names: map[string]string{"#rev": revisionAttribute}}
	if revision, ok := it[revisionAttribute]; ok {
		c.expression, c.values = "#rev = :rev", item{":rev": revision}
	} else {
		c.expression = "attribute_exists(userId) AND attribute_not_exists(#rev)"
	}
	return c
}

func notFound() error {
	return &user.Error{Code: user.NotFound, Detail: "There is no user with this userId."}
}

// withoutValues leaves out the message of an error of DynamoDB that can quote the item's values, which must not get into a log.
func withoutValues(err error) error {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return err
	}
	switch code := api.ErrorCode(); code {
	case "ValidationException", "SerializationException":
		return &smithy.GenericAPIError{Code: code, Message: "message left out", Fault: api.ErrorFault()}
	}
	return err
}

func busy(detail string, err error) error {
	return &user.Error{Code: user.Throttled, Detail: detail, Err: err}
}

func isThrottle(err error) bool {
	return retry.IsErrorThrottles(retry.DefaultThrottles).IsErrorThrottle(err) == aws.TrueTernary
}

// isTooLarge recognises DynamoDB's own limit, which [user.Attributes.CheckSize] comes close to but need not equal.
func isTooLarge(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && api.ErrorCode() == "ValidationException" && strings.Contains(api.ErrorMessage(), "Item size")
}

// describe adds the operation to an error, and removes the values of items from it.
func describe(operation string, err error) error {
	return fmt.Errorf("%s: %w", operation, withoutValues(err))
}

// storeError returns the error of a call that had no effect.
func storeError(operation string, err error) error {
	tooLarge := isTooLarge(err)
	err = describe(operation, err)
	switch {
	case isThrottle(err):
		return busy("The database is busy. Try again after a moment.", err)
	case tooLarge:
		return &user.Error{Code: user.BodyTooLarge, Detail: "The user is larger than the table can hold (400 KB).", Err: err}
	case errors.Is(err, context.DeadlineExceeded):
		return &user.Error{Code: user.Unavailable, Detail: "The database took too long. Try again later.", Err: err}
	default:
		return &user.Error{Code: user.Unavailable, Detail: "The users cannot be reached at the moment. Try again later.", Err: err}
	}
}
