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

// A write without If-Match starts anew when another write came between its reading and writing: so often, after a random
// pause that grows from firstPause.
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
	out, err := s.client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName:      &s.table,
		Key:            key(id),
		ConsistentRead: aws.Bool(true),
	})
	switch {
	case err != nil:
		return nil, storeError("get user", err)
	case out.Item == nil:
		return nil, notFound()
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

// Create makes one conditional write. Where the condition fails, the item in its place tells why.
func (s *Store) Create(ctx context.Context, sent user.Attributes, idempotency *user.Idempotency) (user.User, bool, error) {
	attributes, err := user.New(sent, s.now())
	if err != nil {
		return user.User{}, false, err
	}
	var made any
	if idempotency != nil {
		made = map[string]any{keyMember: idempotency.Key, bodyMember: idempotency.Body}
	}
	it, revision, err := revise(attributes, made)
	if err != nil {
		return user.User{}, false, err
	}
	writeCtx, usage := WithUsage(ctx)
	_, err = s.client.PutItem(writeCtx, &dynamodb.PutItemInput{
		TableName:                           &s.table,
		Item:                                it,
		ConditionExpression:                 aws.String("attribute_not_exists(userId)"),
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	usageOf(ctx).add(usage)
	var failed *types.ConditionalCheckFailedException
	switch {
	case err == nil:
		return user.User{Attributes: attributes, ETag: revision}, false, nil
	case !errors.As(err, &failed):
		err = storeError("create user", err)
		if usage.doubtful.Load() > 0 {
			err = inDoubt(err)
		}
		return user.User{}, false, err
	}
	existing := toUser(failed.Item)
	if ownRevision(failed.Item) == revision { // this very write, whose first answer was lost
		return existing, false, nil
	}
	if made, ok := toIdempotency(failed.Item); ok && idempotency != nil && made.Key == idempotency.Key {
		if made.Body != idempotency.Body {
			return user.User{}, false, &user.Error{Code: user.IdempotencyKeyReused,
				Detail: "This Idempotency-Key came before with another body. Use a new key for a new request."}
		}
		return existing, true, nil
	}
	return user.User{}, false, &user.Error{Code: user.Exists,
		Detail: "There is a user with this userId already. Use PUT to replace it."}
}

// Replace reads the item, then writes on condition that it is still the same.
func (s *Store) Replace(ctx context.Context, id string, sent user.Attributes, ifMatch []user.ETag) (user.User, error) {
	var replaced user.User
	err := s.change(ctx, id, ifMatch, func(ctx context.Context, old item) error {
		attributes, err := toAttributes(old).Replace(sent, s.now())
		if err != nil {
			return err
		}
		delete(attributes, revisionAttribute) // of an item of others: the store's own takes its place
		var made any
		if idempotency, ok := old[idempotencyAttribute]; ok {
			made = decode(idempotency)
		}
		it, revision, err := revise(attributes, made)
		if err != nil {
			return err
		}
		replaced = user.User{Attributes: attributes, ETag: revision}
		condition := unchanged(old)
		_, err = s.client.PutItem(ctx, &dynamodb.PutItemInput{
			TableName:                           &s.table,
			Item:                                it,
			ConditionExpression:                 &condition.expression,
			ExpressionAttributeNames:            condition.names,
			ExpressionAttributeValues:           condition.values,
			ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
		})
		var failed *types.ConditionalCheckFailedException
		if errors.As(err, &failed) && ownRevision(failed.Item) == revision {
			return nil // this very write, whose first answer was lost
		}
		return err
	})
	return replaced, err
}

// Delete reads the item, then deletes on condition that it is still the same.
func (s *Store) Delete(ctx context.Context, id string, ifMatch []user.ETag) error {
	return s.change(ctx, id, ifMatch, func(ctx context.Context, old item) error {
		condition := unchanged(old)
		_, err := s.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
			TableName:                           &s.table,
			Key:                                 key(id),
			ConditionExpression:                 &condition.expression,
			ExpressionAttributeNames:            condition.names,
			ExpressionAttributeValues:           condition.values,
			ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
		})
		var failed *types.ConditionalCheckFailedException
		if errors.As(err, &failed) && failed.Item == nil && usageOf(ctx).doubtful.Load() > 0 {
			return nil // it was there when it was read, and an earlier try of this very write has lost its answer
		}
		return err
	})
}

// change reads a user's item, checks ifMatch, and has it written by write, which must be conditional on the item being
// unchanged and whose context has the usage of this one write. It starts anew when the item was changed in between.
func (s *Store) change(
	ctx context.Context, id string, ifMatch []user.ETag, write func(ctx context.Context, old item) error,
) (err error) {
	doubtful := false
	defer func() {
		if doubtful {
			err = inDoubt(err)
		}
	}()
	for round := range maxRounds {
		if err := pause(ctx, round); err != nil {
			return storeError("change user", err)
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
		writeCtx, usage := WithUsage(ctx)
		err = write(writeCtx, old)
		usageOf(ctx).add(usage)
		doubtful = doubtful || usage.doubtful.Load() > 0
		var failed *types.ConditionalCheckFailedException
		switch {
		case err == nil:
			return nil
		case !errors.As(err, &failed):
			return storeError("change user", err)
		case doubtful && failed.Item != nil:
			// An earlier try may have been carried out, and then been followed by the write of another. Writing again would
			// undo that; saying that there is a conflict would say that nothing was written.
			return notKnown(errors.New("change user: sent more than once, then found changed"))
		}
		// Changed in between: reading again tells what it is now, and whether that is still what the client wants changed.
	}
	return busy(errors.New("change user: others kept changing it"))
}

// pause keeps writers that collided from doing it again at once.
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

// revise returns the item for attributes with a fresh revision, which no other state of any user has, and with the request
// that made the user, unless nil.
func revise(attributes user.Attributes, made any) (item, user.ETag, error) {
	revision := rand.Text()
	kept := maps.Clone(attributes)
	kept[revisionAttribute] = revision
	if made != nil {
		kept[idempotencyAttribute] = made
	}
	if err := kept.CheckSize(); err != nil {
		return nil, "", err
	}
	return encodeMembers(kept), user.ETag(revision), nil
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

func busy(err error) error {
	return &user.Error{Code: user.Throttled, Detail: "The database, or this one user in it, is busy. Try again after a moment.", Err: err}
}

// inDoubt is err, with which a write has ended, once a try of the write may have been carried out: then it must not ask to come
// back later, which says that nothing was written.
func inDoubt(err error) error {
	var refused *user.Error
	if errors.As(err, &refused) && refused.Code == user.Throttled {
		return notKnown(refused.Err)
	}
	return err
}

func notKnown(err error) error {
	return &user.Error{Code: user.Unavailable, Err: err,
		Detail: "Whether the change was made is not known. Read the user to see, before trying again."}
}

func isThrottle(err error) bool {
	return retry.IsErrorThrottles(retry.DefaultThrottles).IsErrorThrottle(err) == aws.TrueTernary
}

// isTooLarge recognises DynamoDB's own limit, which [user.Attributes.CheckSize] comes close to but need not equal.
func isTooLarge(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && api.ErrorCode() == "ValidationException" && strings.Contains(api.ErrorMessage(), "Item size")
}

// storeError tells apart why the store refused or failed.
func storeError(operation string, err error) error {
	tooLarge := isTooLarge(err)
	err = fmt.Errorf("%s: %w", operation, withoutValues(err))
	var known *user.Error
	switch {
	case errors.As(err, &known):
		return known
	case isThrottle(err):
		return busy(err)
	case tooLarge:
		return &user.Error{Code: user.BodyTooLarge, Detail: "The user is larger than the table can hold (400 KB).", Err: err}
	case errors.Is(err, context.DeadlineExceeded):
		return &user.Error{Code: user.Unavailable, Err: err,
			Detail: "The database took too long. If this was a change, read the user to see whether it was made."}
	default:
		return &user.Error{Code: user.Unavailable, Detail: "The users cannot be reached at the moment. Try again later.", Err: err}
	}
}
