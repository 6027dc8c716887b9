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

	updateAttempts = 10                    // an attempt fails only if another client's write succeeded
	updateWait     = 50 * time.Millisecond // maximum wait after the first attempt; increases linearly
)

// userID is the pattern of UserId in the API document.
var userID = regexp.MustCompile(`^(\.?[A-Za-z0-9_~-]|\.\.[A-Za-z0-9._~-])[A-Za-z0-9._~-]*$`)

// User is a user returned by the service. AdditionalProperties has the attributes without a field, unchanged. It also
// has attributes of a type other than that of their field, for example null, which other programs can write to the
// table.
type User struct {
	api.User

	// ETag identifies this state of the user. It is empty in lists.
	ETag string

	// Replayed reports whether an earlier request with the same Idempotency-Key created the user.
	Replayed bool
}

// UserInput is a user to send, without the attributes that the service sets.
type UserInput = api.UserInput

// Input returns the user as input for [Client.ReplaceUser].
func (u *User) Input() (UserInput, error) {
	content, err := json.Marshal(u.User)
	if err != nil {
		return UserInput{}, fmt.Errorf("copy user %s: %w", u.UserID, err)
	}
	input, err := decode[UserInput](content)
	if err != nil {
		return UserInput{}, fmt.Errorf("copy user %s: %w", u.UserID, err)
	}
	delete(input.AdditionalProperties, "createdAt")
	delete(input.AdditionalProperties, "updatedAt")
	return input, nil
}

// Index returns the index of the API: its name and links.
func (c *Client) Index(ctx context.Context) (*api.Index, error) {
	response, err := c.operations.GetIndexWithResponse(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the index: %w", err)
	}
	if response.JSON200 == nil {
		return nil, fmt.Errorf("read the index: %w", problem(response.HTTPResponse, response.Body))
	}
	return response.JSON200, nil
}

// CreateUser creates a user. If input has no id, the service assigns one. key is the Idempotency-Key, of up to 255
// characters: retries with the same key and input take effect at most once. If key is empty, CreateUser generates
// one. A caller that may retry by itself, for example after a restart, must store a key. The error is a [*Problem] if
// the service rejects the request, for example with UserExists. If [OutcomeUnknown], call again with the same key and
// input.
func (c *Client) CreateUser(ctx context.Context, input UserInput, key string) (*User, error) {
	if key == "" {
		key = rand.Text()
	}
	return write(ctx, func(ctx context.Context) (*User, error) {
		response, err := c.operations.CreateUserWithResponse(ctx, &api.CreateUserParams{IdempotencyKey: &key}, input)
		if err != nil {
			return nil, fmt.Errorf("create a user: %w", err)
		}
		return user("create a user", response.JSON201, response.HTTPResponse, response.Body)
	})
}

// GetUser returns a user. The error is a [*Problem] if the service rejects the request, for example with UserNotFound.
func (c *Client) GetUser(ctx context.Context, id string) (*User, error) {
	if err := checkID(id); err != nil {
		return nil, fmt.Errorf("get a user: %w", err)
	}
	parameter, edit := userPath(id)
	response, err := c.operations.GetUserWithResponse(ctx, parameter, nil, edit)
	if err != nil {
		return nil, fmt.Errorf("get a user: %w", err)
	}
	return user("get a user", response.JSON200, response.HTTPResponse, response.Body)
}

// ReplaceUser replaces a user. It removes attributes that input omits. If etag is not empty, it must be the user's
// current [User.ETag]. The error is a [*Problem] if the service rejects the request, for example with UserNotFound or
// PreconditionFailed. If [OutcomeUnknown], read the user before you call again: without etag, another call can
// overwrite later writes of other clients.
func (c *Client) ReplaceUser(ctx context.Context, id string, input UserInput, etag string) (*User, error) {
	if err := checkID(id); err != nil {
		return nil, fmt.Errorf("replace a user: %w", err)
	}
	return write(ctx, func(ctx context.Context) (*User, error) {
		parameter, edit := userPath(id)
		params := &api.ReplaceUserParams{IfMatch: optional(etag)}
		response, err := c.operations.ReplaceUserWithResponse(ctx, parameter, params, input, edit)
		if err != nil {
			return nil, fmt.Errorf("replace a user: %w", err)
		}
		return user("replace a user", response.JSON200, response.HTTPResponse, response.Body)
	})
}

// UpdateUser reads a user, calls change, and replaces the user. If another client wrote in between, UpdateUser starts
// again, up to 10 times in total. change can therefore be called several times. UpdateUser returns an error of change
// unchanged.
//
// If the response to the write is lost, UpdateUser retries the write, which takes effect at most once. If another
// client wrote in the meantime, the outcome is unknown and [OutcomeUnknown] reports true. If another program wrote
// the user to the table, its ETag can recur, so the outcome is unknown without a retry. Read the user, and call again
// only if the change is missing.
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
		case <-time.After(mathrand.N(time.Duration(attempt) * updateWait)): //nolint:gosec // jitter need not be secure
		}
	}
}

func (c *Client) updateOnce(ctx context.Context, id string, change func(*UserInput) error) (*User, error) {
	before, err := c.GetUser(ctx, id)
	if err != nil {
		return nil, err
	}
	if before.ETag == "" {
		return nil, errors.New("update a user: the response has no ETag, which is needed to detect concurrent writes")
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

// DeleteUser deletes a user. If etag is not empty, it must be the user's current [User.ETag]. The error is a
// [*Problem] if the service rejects the request, for example with UserNotFound or PreconditionFailed. If
// [OutcomeUnknown], read the user before you call again: without etag, another call can delete a user that was
// created in the meantime.
func (c *Client) DeleteUser(ctx context.Context, id, etag string) error {
	if err := checkID(id); err != nil {
		return fmt.Errorf("delete a user: %w", err)
	}
	_, err := write(ctx, func(ctx context.Context) (struct{}, error) {
		parameter, edit := userPath(id)
		params := &api.DeleteUserParams{IfMatch: optional(etag)}
		response, err := c.operations.DeleteUserWithResponse(ctx, parameter, params, edit)
		if err == nil && response.StatusCode() != http.StatusNoContent {
			err = problem(response.HTTPResponse, response.Body)
		}
		if err != nil {
			err = fmt.Errorf("delete a user: %w", err)
		}
		return struct{}{}, err
	})
	return err
}

// Users lists all users, in no particular order and without ETags. It requests pages as needed. pageSize is the
// maximum number of users a page, from 1 to 100; 0 means the service's default. An error ends the sequence.
func (c *Client) Users(ctx context.Context, pageSize int) iter.Seq2[*User, error] {
	return func(yield func(*User, error) bool) {
		params := &api.GetUsersParams{Limit: optional(pageSize)}
		for {
			response, err := c.operations.GetUsersWithResponse(ctx, params)
			if err == nil && response.JSON200 == nil {
				err = problem(response.HTTPResponse, response.Body)
			}
			if err != nil {
				yield(nil, fmt.Errorf("list users: %w", err))
				return
			}
			for _, item := range response.JSON200.Items {
				user, err := decodeUser(item)
				if err != nil {
					yield(nil, fmt.Errorf("list users: %w", err))
					return
				}
				if !yield(user, nil) {
					return
				}
			}
			if response.JSON200.Next == "" {
				return
			}
			params.Cursor = &response.JSON200.Next
		}
	}
}

// user returns the user in a response. If content is nil, the response is an error.
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

// maxID is the maximum length of a userId in bytes.
const maxID = 2048

func checkID(id string) error {
	if id == "" || len(id) > maxID || !utf8.ValidString(id) {
		return fmt.Errorf("userId: want 1 to %d bytes of UTF-8, got %.200q", maxID, id)
	}
	return nil
}

// userPath returns the path parameter for a user and an editor of the request. An id with characters that a URL must
// encode is sent in the query, because proxies can change an encoded path. A blank id stays in the path.
func userPath(id string) (parameter string, edit api.RequestEditorFn) {
	if userID.MatchString(id) || strings.TrimSpace(id) == "" {
		return id, func(context.Context, *http.Request) error { return nil }
	}
	return "-", func(_ context.Context, request *http.Request) error {
		request.URL = request.URL.JoinPath("..")
		request.URL.RawQuery = url.Values{"userId": {id}}.Encode()
		return nil
	}
}

// object is a type with fields and additional properties.
type object[T any] interface {
	*T
	json.Unmarshaler
	Get(name string) (member json.RawMessage, found bool)
	Set(name string, member json.RawMessage)
}

func decodeUser(content []byte) (*User, error) {
	u, err := decode[api.User](content)
	if err == nil && u.UserID == "" {
		err = errors.New("decode a user: want a userId, got none")
	}
	if err != nil {
		return nil, err
	}
	return &User{User: u}, nil
}

// decode decodes an object. A member that is null or does not match the type of its field becomes an additional
// property.
func decode[T any, P object[T]](content []byte) (decoded T, err error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(content, &members); err != nil {
		return decoded, fmt.Errorf("decode a user: %w", err)
	}
	matching := maps.Clone(members)
	maps.DeleteFunc(matching, func(name string, member json.RawMessage) bool {
		single, err := json.Marshal(map[string]json.RawMessage{name: member})
		return err != nil || string(member) == "null" || json.Unmarshal(single, P(new(T))) != nil
	})
	if content, err = json.Marshal(matching); err == nil {
		err = json.Unmarshal(content, P(&decoded))
	}
	if err != nil {
		return decoded, fmt.Errorf("decode a user: %w", err)
	}
	for name, member := range members {
		_, matches := matching[name]
		if _, additional := P(&decoded).Get(name); additional || !matches {
			P(&decoded).Set(name, member) // keeps the original JSON
		}
	}
	return decoded, nil
}

// optional returns a pointer to value, or nil if value is the zero value.
func optional[T comparable](value T) *T {
	var zero T
	if value == zero {
		return nil
	}
	return &value
}
