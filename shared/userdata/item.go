package userdata

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/userrequestapi/userdata/shared/user"
)

// Attributes that the store writes but does not return. Their prefix avoids conflicts with other programs'
// attributes, for example CouchDB's _rev.
const (
	revisionAttribute    = "_userrequestapi_rev"         // S: the current ETag
	idempotencyAttribute = "_userrequestapi_idempotency" // M: the create request, if it had an idempotency key
	keyMember            = "key"
	bodyMember           = "body"
	revisionMember       = "rev" // the user's first revision
)

type item = map[string]types.AttributeValue

// encode converts a value of [user.Attributes] to a DynamoDB value.
func encode(v any) types.AttributeValue {
	switch v := v.(type) {
	case bool:
		return &types.AttributeValueMemberBOOL{Value: v}
	case string:
		return &types.AttributeValueMemberS{Value: v}
	case user.Number:
		return &types.AttributeValueMemberN{Value: string(v)}
	case user.Binary:
		return &types.AttributeValueMemberB{Value: v}
	case user.StringSet:
		return &types.AttributeValueMemberSS{Value: v}
	case user.NumberSet:
		set := make([]string, len(v))
		for i, n := range v {
			set[i] = string(n)
		}
		return &types.AttributeValueMemberNS{Value: set}
	case user.BinarySet:
		return &types.AttributeValueMemberBS{Value: v}
	case []any:
		list := make([]types.AttributeValue, len(v))
		for i, e := range v {
			list[i] = encode(e)
		}
		return &types.AttributeValueMemberL{Value: list}
	case map[string]any:
		return &types.AttributeValueMemberM{Value: encodeMembers(v)}
	default: // nil
		return &types.AttributeValueMemberNULL{Value: true}
	}
}

func encodeMembers[M ~map[string]any](m M) item {
	members := make(item, len(m))
	for name, v := range m {
		members[name] = encode(v)
	}
	return members
}

// Item returns the item of a user as another program writes it: without the attributes of the store.
func Item(attributes user.Attributes) map[string]types.AttributeValue {
	return encodeMembers(attributes)
}

// decode is the inverse of encode.
func decode(v types.AttributeValue) any {
	switch v := v.(type) {
	case *types.AttributeValueMemberBOOL:
		return v.Value
	case *types.AttributeValueMemberS:
		return v.Value
	case *types.AttributeValueMemberN:
		return user.Number(v.Value)
	case *types.AttributeValueMemberB:
		return user.Binary(v.Value)
	case *types.AttributeValueMemberSS:
		return user.StringSet(v.Value)
	case *types.AttributeValueMemberNS:
		set := make(user.NumberSet, len(v.Value))
		for i, n := range v.Value {
			set[i] = user.Number(n)
		}
		return set
	case *types.AttributeValueMemberBS:
		return user.BinarySet(v.Value)
	case *types.AttributeValueMemberL:
		list := make([]any, len(v.Value))
		for i, e := range v.Value {
			list[i] = decode(e)
		}
		return list
	case *types.AttributeValueMemberM:
		return decodeMembers(v.Value)
	default: // NULL
		return nil
	}
}

func decodeMembers(members item) map[string]any {
	m := make(map[string]any, len(members))
	for name, v := range members {
		m[name] = decode(v)
	}
	return m
}

// isRevision reports whether s has the form of a string from [rand.Text]. An attribute of the same name that another
// program wrote is assumed to have a different form.
func isRevision(s string) bool {
	const length, base32 = 26, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	return len(s) == length && strings.Trim(s, base32) == ""
}

// ownRevision returns the revision that the store assigned, or "" for an item written by another program.
func ownRevision(it item) user.ETag {
	revision, _ := it[revisionAttribute].(*types.AttributeValueMemberS)
	if revision == nil || !isRevision(revision.Value) {
		return ""
	}
	return user.ETag(revision.Value)
}

// toAttributes returns the item without the attributes of the store.
func toAttributes(it item) user.Attributes {
	attributes := user.Attributes(decodeMembers(it))
	if ownRevision(it) != "" {
		delete(attributes, revisionAttribute)
	}
	if _, ok := toOrigin(it); ok {
		delete(attributes, idempotencyAttribute)
	}
	return attributes
}

// toUser returns the user in an item. The ETag of an item without a revision is a hash.
func toUser(it item) user.User {
	u := user.User{Attributes: toAttributes(it), ETag: ownRevision(it)}
	if u.ETag == "" {
		u.ETag = u.Attributes.Hash()
	}
	return u
}

// origin is the request that created a user.
type origin struct {
	user.Idempotency
	revision user.ETag // the user's first revision; "" in items of earlier releases
}

// toOrigin returns the request that created the item, if it had an idempotency key.
func toOrigin(it item) (o origin, ok bool) {
	m, _ := decode(it[idempotencyAttribute]).(map[string]any)
	key, isKey := m[keyMember].(string)
	body, isBody := m[bodyMember].(string)
	revision, _ := m[revisionMember].(string)
	return origin{user.Idempotency{Key: key, Body: body}, user.ETag(revision)}, isKey && isBody
}
