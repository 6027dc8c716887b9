package client

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/userrequestapi/userdata/shared/client/api"
)

const (
	idempotencyKey = "Idempotency-Key"

	updateAttempts = 10                    // of which each fails only where another client has succeeded
	updateWait     = 50 * time.Millisecond // at most, and more with each attempt, so that clients get out of each other's way
)

// userID is the pattern of the API document's UserId.
var userID = regexp.MustCompile(`^(\.?[A-Za-z0-9_~-]|\.\.[A-Za-z0-9._~-])[A-Za-z0-9._~-]*$`)

// User is a user as the service has it. The attributes that are not among the fields are in AdditionalProperties, as they came. So are
// those that are among them but not as the API document has them, null for instance: others may have put such users into the table.
type User struct {
	api.User

	// ETag names this state of the user. It is empty in lists.
	ETag string

	// Replayed tells that an earlier request with the same Idempotency-Key has created the user.
	Replayed bool
}

// UserInput is a user as it is sent: without what the service sets.
type UserInput = api.UserInput

// Input returns the user as it is sent back, to be changed before.
func (u *User) Input() (UserInput, error) {
	content, err := json.Marshal(u.User)
	if err != nil {
		return UserInput{}, fmt.Errorf("take over the user %s: %w", u.UserID, err)
	}
	input, err := decode[UserInput](content)
	if err != nil {
		return UserInput{}, fmt.Errorf("take over the user %s: %w", u.UserID, err)
	}
	delete(input.AdditionalProperties, "createdAt")
	delete(input.AdditionalProperties, "updatedAt")
	return input, nil
}

// Index reads what the API is, and where its parts are.
func (c *Client) Index(ctx context.Context) (*api.Index, error) {
	answer, err := c.operations.GetIndexWithResponse(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the index: %w", err)
	}
	if answer.JSON200 == nil {
		return nil, fmt.Errorf("read the index: %w", problem(answer.HTTPResponse, answer.Body))
	}
	return answer.JSON200, nil
}

// CreateUser creates a user, whom the service names where input does not. key, the request's Idempotency-Key of up to 255 characters, keeps
// it from taking effect twice when it is repeated. Where key is empty a new one is made; a caller that may itself call again, after a
// restart for instance, keeps one. The error is a [*Problem] where the request was refused, as UserExists. Where [OutcomeUnknown], call
// again with the same key and input.
func (c *Client) CreateUser(ctx context.Context, input UserInput, key string) (*User, error) {
	if key == "" {
		key = rand.Text()
	}
	return write(ctx, func(ctx context.Context) (*User, error) {
		answer, err := c.operations.CreateUserWithResponse(ctx, &api.CreateUserParams{IdempotencyKey: &key}, input)
		if err != nil {
			return nil, fmt.Errorf("create a user: %w", err)
		}
		return user("create a user", answer.JSON201, answer.HTTPResponse, answer.Body)
	})
}

// GetUser reads a user. The error is a [*Problem] where the request was refused, as UserNotFound.
func (c *Client) GetUser(ctx context.Context, id string) (*User, error) {
	if err := checkID(id); err != nil {
		return nil, fmt.Errorf("get a user: %w", err)
	}
	parameter, edit := address(id)
	answer, err := c.operations.GetUserWithResponse(ctx, parameter, nil, edit)
	if err != nil {
		return nil, fmt.Errorf("get a user: %w", err)
	}
	return user("get a user", answer.JSON200, answer.HTTPResponse, answer.Body)
}

// ReplaceUser replaces a user: attributes that input leaves out are gone. Unless etag is empty the user is replaced only where it still has
// this [User.ETag]. The error is a [*Problem] where the request was refused, as UserNotFound and PreconditionFailed. Where
// [OutcomeUnknown], read the user before you call again: without etag, another call undoes what others have written since.
func (c *Client) ReplaceUser(ctx context.Context, id string, input UserInput, etag string) (*User, error) {
	if err := checkID(id); err != nil {
		return nil, fmt.Errorf("replace a user: %w", err)
	}
	return write(ctx, func(ctx context.Context) (*User, error) {
		parameter, edit := address(id)
		params := &api.ReplaceUserParams{IfMatch: optional(etag)}
		answer, err := c.operations.ReplaceUserWithResponse(ctx, parameter, params, input, edit)
		if err != nil {
			return nil, fmt.Errorf("replace a user: %w", err)
		}
		return user("replace a user", answer.JSON200, answer.HTTPResponse, answer.Body)
	})
}

// UpdateUser reads a user, calls change with it, and writes it back. Where another client has written in between all of it is done again,
// at most 10 times, so that no write is lost: change may be called several times. An error of change ends it, and is returned.
//
// Where the response to the write is lost, the same write is sent again, which cannot take effect twice. If another client
// has written by then, nobody can tell whether this write came before: the error is one of [OutcomeUnknown]. So it is,
// without a retry, if another program has written the user to the table, because its ETag can come back. Read the user,
// and call again only if it is not as it should be.
func (c *Client) UpdateUser(ctx context.Context, id string, change func(*UserInput) error) (*User, error) {
	for attempt := 1; ; attempt++ {
		user, err := c.updateOnce(ctx, id, change)
		p, ok := errors.AsType[*Problem](err)
		if !ok || p.Status != http.StatusPreconditionFailed || OutcomeUnknown(err) || attempt == updateAttempts {
			return user, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("update a user: %w", context.Cause(ctx))
		case <-time.After(mathrand.N(time.Duration(attempt) * updateWait)): //nolint:gosec // it is no secret
		}
	}
}

func (c *Client) updateOnce(ctx context.Context, id string, change func(*UserInput) error) (*User, error) {
	before, err := c.GetUser(ctx, id)
	if err != nil {
		return nil, err
	}
	if before.ETag == "" {
		return nil, errors.New("update a user: the answer has no ETag, without which a change of another client could be lost")
	}
	input, err := before.Input()
	if err != nil {
		return nil, err
	}
	if err := change(&input); err != nil {
		return nil, err
	}
	return c.ReplaceUser(ctx, id, input, before.ETag)
}

// DeleteUser deletes a user. Unless etag is empty the user is deleted only where it still has this [User.ETag]. The error is a [*Problem]
// where the request was refused, as UserNotFound and PreconditionFailed. Where [OutcomeUnknown], read the user before you call again:
// without etag, another call deletes a user that was created since.
func (c *Client) DeleteUser(ctx context.Context, id, etag string) error {
	if err := checkID(id); err != nil {
		return fmt.Errorf("delete a user: %w", err)
	}
	_, err := write(ctx, func(ctx context.Context) (struct{}, error) {
		parameter, edit := address(id)
		params := &api.DeleteUserParams{IfMatch: optional(etag)}
		answer, err := c.operations.DeleteUserWithResponse(ctx, parameter, params, edit)
		if err == nil && answer.StatusCode() != http.StatusNoContent {
			err = problem(answer.HTTPResponse, answer.Body)
		}
		if err != nil {
			err = fmt.Errorf("delete a user: %w", err)
		}
		return struct{}{}, err
	})
	return err
}

// Users lists all users, in no particular order and without their ETags, by as many requests as that takes. pageSize is how many users one
// answer has at most, 1 to 100; 0 leaves that to the service. An error is the last of the sequence.
func (c *Client) Users(ctx context.Context, pageSize int) iter.Seq2[*User, error] {
	return func(yield func(*User, error) bool) {
		params := &api.GetUsersParams{Limit: optional(pageSize)}
		for {
			answer, err := c.operations.GetUsersWithResponse(ctx, params)
			if err == nil && answer.JSON200 == nil {
				err = problem(answer.HTTPResponse, answer.Body)
			}
			if err != nil {
				yield(nil, fmt.Errorf("list users: %w", err))
				return
			}
			for _, item := range answer.JSON200.Items {
				user, err := decodeUser(item)
				if err != nil {
					yield(nil, fmt.Errorf("list users: %w", err))
					return
				}
				if !yield(user, nil) {
					return
				}
			}
			if answer.JSON200.Next == "" {
				return
			}
			params.Cursor = &answer.JSON200.Next
		}
	}
}

// user returns the user that an operation was answered with.
func user(operation string, content *json.RawMessage, response *http.Response, body []byte) (*User, error) {
	if content == nil {
		return nil, fmt.Errorf("%s: %w", operation, problem(response, body))
	}
	u, err := decodeUser(*content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", operation, err)
	}
	u.ETag, u.Replayed = response.Header.Get("ETag"), response.Header.Get("Idempotent-Replayed") == "true"
	return u, nil
}

// maxID is the most bytes of a userId that the table can have.
const maxID = 2048

func checkID(id string) error {
	if id == "" || len(id) > maxID || !utf8.ValidString(id) {
		return fmt.Errorf("%.200q is no userId: give 1 to %d bytes of UTF-8", id, maxID)
	}
	return nil
}

// address returns the path parameter for a user, and the editor of the request. An id of another program that a URL
// would have to encode is sent in the query instead, because such a path can be changed on its way. Only a blank id
// stays in the path.
func address(id string) (parameter string, edit api.RequestEditorFn) {
	if userID.MatchString(id) || strings.TrimSpace(id) == "" {
		return id, func(context.Context, *http.Request) error { return nil }
	}
	return "-", func(_ context.Context, request *http.Request) error {
		request.URL = request.URL.JoinPath("..")
		request.URL.RawQuery = url.Values{"userId": {id}}.Encode()
		return nil
	}
}

// open is an object with fields and further members.
type open[T any] interface {
	*T
	json.Unmarshaler
	Get(name string) (member json.RawMessage, found bool)
	Set(name string, member json.RawMessage)
}

func decodeUser(content []byte) (*User, error) {
	u, err := decode[api.User](content)
	if err == nil && u.UserID == "" {
		err = errors.New("decode a user: there is no userId")
	}
	if err != nil {
		return nil, err
	}
	return &User{User: u}, nil
}

// decode reads an open object. A member that does not fit its field, as null, becomes a further one.
func decode[T any, P open[T]](content []byte) (object T, err error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(content, &members); err != nil {
		return object, fmt.Errorf("decode a user: %w", err)
	}
	fitting := maps.Clone(members)
	maps.DeleteFunc(fitting, func(name string, member json.RawMessage) bool {
		alone, err := json.Marshal(map[string]json.RawMessage{name: member})
		return err != nil || string(member) == "null" || json.Unmarshal(alone, P(new(T))) != nil
	})
	if content, err = json.Marshal(fitting); err == nil {
		err = json.Unmarshal(content, P(&object))
	}
	if err != nil {
		return object, fmt.Errorf("decode a user: %w", err)
	}
	for name, member := range members {
		_, fits := fitting[name]
		if _, further := P(&object).Get(name); further || !fits {
			P(&object).Set(name, member) // as it came
		}
	}
	return object, nil
}

// optional returns what stands for a parameter that is left out where it is zero.
func optional[T comparable](value T) *T {
	var zero T
	if value == zero {
		return nil
	}
	return &value
}
