package contract_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
)

// sample is a request that gets an example of the document: the example request of the operation with a change.
type sample struct {
	operation string // operationId
	status    int
	example   string
	change    func(*request)
}

// samples returns the requests that cannot be derived from the document (see [operation.variants]). Before each request,
// the table has only the user of the document's examples.
func samples(t *testing.T, c *coverage) []sample {
	t.Helper()
	large := both(sending(`{}`), setting(largeUser(t, c)))
	return []sample{
		{"createUser", 409, "UserExists", setting(map[string]any{"userId": "1"})},
		{"createUser", 413, "BodyTooLarge", large},
		{"replaceUser", 413, "BodyTooLarge", large},
		{"replaceUserByQuery", 413, "BodyTooLarge", large},
		{"replaceUserByQuery", 404, "UserNotFound", setting(map[string]any{"userId": "2"})},
	}
}

// largeUser returns a user of 410000 bytes in the table, as in the examples.
func largeUser(t *testing.T, c *coverage) map[string]any {
	t.Helper()
	const padding = "x"
	user, left := map[string]any{}, 410_000-len(padding)
	for name, value := range c.items.Example {
		text, ok := value.(string)
		if !ok {
			continue
		}
		user[name] = text
		left -= len(name) + len(text)
	}
	user[padding] = strings.Repeat("x", left)
	return user
}

// sendSeries sends the requests of examples that need other requests, or other users in the table.
func sendSeries(t *testing.T, c *coverage, s testStage, begin func(items ...stacktest.Item)) {
	t.Helper()
	begin(stacktest.Item{"userId": &types.AttributeValueMemberS{Value: following}})
	s.want("getUsers", 200, "Page", at("/users?limit=1"))

	begin()
	key := having("Idempotency-Key", "8e03978e")
	first := c.operation(t, "createUser").request(t, "")
	key(&first)
	s.send(first).Want(t, 201)
	s.want("createUser", 422, "IdempotencyKeyReused", both(key, setting(map[string]any{"x": "y"})))
}

// following is the id of a user that a scan returns after the user "1": the order is that of a hash.
const following = "3"

// known returns the user of the document's examples, whose ETag is the example of ETag.
func known(t *testing.T, c *coverage) stacktest.Item {
	t.Helper()
	user, ok := c.wanted[expected{"getUser", http.StatusOK, "User"}].(map[string]any)
	if !ok {
		t.Fatal("getUser: want an example User, got none")
	}
	item := stacktest.Item{"_userrequestapi_rev": &types.AttributeValueMemberS{Value: strings.Trim(etag(t, c), `"`)}}
	for name, value := range user {
		switch v := value.(type) {
		case string:
			item[name] = &types.AttributeValueMemberS{Value: v}
		case float64:
			item[name] = &types.AttributeValueMemberN{Value: fmt.Sprint(v)}
		case bool:
			item[name] = &types.AttributeValueMemberBOOL{Value: v}
		default:
			t.Fatalf("the example User of getUser: %s: want a string, a number or a boolean, got %v", name, value)
		}
	}
	return item
}

func etag(t *testing.T, c *coverage) string {
	t.Helper()
	header := c.operation(t, "getUser").Responses.Status(http.StatusOK).Value.Headers["ETag"]
	if header == nil {
		t.Fatal("getUser: want the header ETag, got none")
	}
	return fmt.Sprint(header.Value.Example)
}
