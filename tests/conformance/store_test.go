// Package conformance_test tests the DynamoDB store against [user.Store], with a table as defined by the template.
package conformance_test

import (
	"context"
	"errors"
	"maps"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/deploy/check/unreliable"
	"github.com/userrequestapi/userdata/shared/user"
	"github.com/userrequestapi/userdata/shared/user/usertest"
	"github.com/userrequestapi/userdata/shared/userdata"
)

func TestMain(m *testing.M) { stacktest.Main(m, stacktest.Database) }

// newStore returns a store with the client of the functions.
func newStore(t *testing.T, endpoint, table string) user.Store {
	t.Helper()
	client := userdata.NewClient(userdata.ClientConfig{
		Region:   "us-east-1",
		Endpoint: endpoint,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"}, nil
		}),
	})
	connections, ok := client.Options().HTTPClient.(interface{ CloseIdleConnections() })
	if !ok {
		t.Fatal("HTTPClient: want the method CloseIdleConnections")
	}
	t.Cleanup(connections.CloseIdleConnections)
	return userdata.New(client, table)
}

func TestStore(t *testing.T) {
	t.Parallel()
	usertest.Run(t, func(t *testing.T) user.Store {
		t.Helper()
		return newStore(t, stacktest.Endpoint(t), stacktest.NewTable(t).TableName)
	})
}

func TestStore_InDoubt(t *testing.T) {
	t.Parallel()
	p, items := unreliable.NewDatabase(t), stacktest.NewTable(t)
	usertest.RunInDoubt(t, func(t *testing.T, users ...user.Attributes) usertest.Lossy {
		t.Helper()
		items.Clear(t)
		for _, u := range users {
			items.PutItem(t, userdata.Item(u))
		}
		return usertest.Lossy{
			Store:  newStore(t, "http://"+p.Address, items.TableName),
			Others: newStore(t, stacktest.Endpoint(t), items.TableName),
			Lose: func(meanwhile func(execute func())) {
				p.Interrupt("PutItem", meanwhile)
				p.Interrupt("DeleteItem", meanwhile)
			},
		}
	})
}

func s(value string) types.AttributeValue { return &types.AttributeValueMemberS{Value: value} }

func n(value string) types.AttributeValue { return &types.AttributeValueMemberN{Value: value} }

// TestForeignItem reads, replaces and deletes an item that another program wrote, with attributes of every type.
func TestForeignItem(t *testing.T) {
	t.Parallel()
	items := stacktest.NewTable(t)
	store := newStore(t, stacktest.Endpoint(t), items.TableName)
	item := userdata.Item(usertest.Attributes(t, "userId", "1"))
	maps.Copy(item, stacktest.Item{
		"string": s("text"),
		"empty":  s(""),
		"number": n("-12345678901234567890.123456789012345678"),
		"binary": &types.AttributeValueMemberB{Value: []byte{0, 255}},
		"bool":   &types.AttributeValueMemberBOOL{Value: true},
		"null":   &types.AttributeValueMemberNULL{Value: true},
		"map": &types.AttributeValueMemberM{
			Value: stacktest.Item{"a": n("1"), "m": &types.AttributeValueMemberM{Value: stacktest.Item{}}},
		},
		"list":     &types.AttributeValueMemberL{Value: []types.AttributeValue{s("a"), &types.AttributeValueMemberL{}}},
		"strings":  &types.AttributeValueMemberSS{Value: []string{"a"}},
		"numbers":  &types.AttributeValueMemberNS{Value: []string{"17"}},
		"bytes":    &types.AttributeValueMemberBS{Value: [][]byte{{7}}},
		"_foreign": s("kept"),
	})
	items.PutItem(t, item)
	want := usertest.Attributes(t,
		"userId", "1",
		"string", "text",
		"empty", "",
		"number", user.Number("-12345678901234567890.123456789012345678"),
		"binary", user.Binary{0, 255},
		"bool", true,
		"null", nil,
		"map", map[string]any{"a": user.Number("1"), "m": map[string]any{}},
		"list", []any{"a", []any{}},
		"strings", user.StringSet{"a"},
		"numbers", user.NumberSet{"17"},
		"bytes", user.BinarySet{{7}},
		"_foreign", "kept",
	)

	read, err := store.Get(t.Context(), "1")
	if err != nil {
		t.Fatal(err)
	}
	if d := gocmp.Diff(want, read.Attributes); d != "" {
		t.Errorf("Get (-want +got):\n%s", d)
	}
	page, err := store.List(t.Context(), "", 10)
	if err != nil {
		t.Fatal(err)
	}
	if d := gocmp.Diff(user.Page{Users: []user.User{read}}, page); d != "" {
		t.Errorf("List (-want +got):\n%s", d)
	}
	_, _, err = store.Create(t.Context(), usertest.Attributes(t, "userId", "1"), nil)
	if !errors.Is(err, &user.Error{Code: user.Exists}) {
		t.Errorf("Create: got error %v, want %s", err, user.Exists)
	}

	// A write by another program changes the ETag, although it sets no revision.
	item["string"] = s("changed")
	items.PutItem(t, item)
	changed, err := store.Get(t.Context(), "1")
	if err != nil {
		t.Fatal(err)
	}
	if changed.ETag == read.ETag {
		t.Error("got the same ETag after a write, want another")
	}
	_, err = store.Replace(t.Context(), "1", read.Attributes, []user.ETag{read.ETag})
	if !errors.Is(err, &user.Error{Code: user.PreconditionFailed}) {
		t.Errorf("Replace: got error %v, want %s", err, user.PreconditionFailed)
	}

	replaced, err := store.Replace(t.Context(), "1", changed.Attributes, []user.ETag{changed.ETag})
	if err != nil {
		t.Fatal(err)
	}
	got := items.Item(t, "1")
	item["_userrequestapi_rev"], item["updatedAt"] = s(string(replaced.ETag)), got["updatedAt"]
	if d := gocmp.Diff(stacktest.Comparable(item), stacktest.Comparable(got)); d != "" {
		t.Errorf("item after Replace (-want +got):\n%s", d)
	}

	// Another program writes the item without the revision.
	delete(item, "_userrequestapi_rev")
	items.PutItem(t, item)
	err = store.Delete(t.Context(), "1", []user.ETag{replaced.ETag})
	if !errors.Is(err, &user.Error{Code: user.PreconditionFailed}) {
		t.Errorf("Delete: got error %v, want %s", err, user.PreconditionFailed)
	}
	if err := store.Delete(t.Context(), "1", nil); err != nil {
		t.Error(err)
	}
	if got := items.Item(t, "1"); got != nil {
		t.Errorf("got item %v, want none", stacktest.Comparable(got))
	}
}
