package userdata_test

import (
	"errors"
	"maps"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/shared/user"
	"github.com/userrequestapi/userdata/shared/user/usertest"
	"github.com/userrequestapi/userdata/shared/userdata"
)

type attribute = map[string]any

func TestETagOfForeignItems(t *testing.T) {
	t.Parallel()
	one, null := attribute{"N": "1"}, attribute{"NULL": true}
	etag := func(it attribute) user.ETag {
		it["userId"] = attribute{"S": "1"}
		u, err := newDatabase(t, item(it)).store.Get(t.Context(), "1")
		if err != nil {
			t.Fatal(err)
		}
		return u.ETag
	}
	base := func() attribute {
		return attribute{
			"n":  attribute{"N": "10"},
			"ss": attribute{"SS": []string{"a", "b"}},
			"ns": attribute{"NS": []string{"1", "2.5"}},
			"bs": attribute{"BS": []string{"YQ==", "Yg=="}},
			"m":  attribute{"M": attribute{"l": attribute{"L": []any{one, null}}}},
		}
	}
	want := etag(base())
	for name, test := range map[string]struct {
		attribute string
		value     any
		same      bool
	}{
		"unchanged":                {"n", attribute{"N": "10"}, true},
		"number in another form":   {"n", attribute{"N": "1.0E+1"}, true},
		"string set reversed":      {"ss", attribute{"SS": []string{"b", "a"}}, true},
		"number set reversed":      {"ns", attribute{"NS": []string{"2.50", "1.0"}}, true},
		"binary set reversed":      {"bs", attribute{"BS": []string{"Yg==", "YQ=="}}, true},
		"another number":           {"n", attribute{"N": "11"}, false},
		"string":                   {"n", attribute{"S": "10"}, false},
		"list reversed":            {"m", attribute{"M": attribute{"l": attribute{"L": []any{null, one}}}}, false},
		"list instead of set":      {"ss", attribute{"L": []any{attribute{"S": "a"}, attribute{"S": "b"}}}, false},
		"binary instead of string": {"ss", attribute{"BS": []string{"YQ==", "Yg=="}}, false},
		"additional attribute":     {"_userrequestapi_rev", attribute{"N": "1"}, false},
		"foreign revision":         {"_userrequestapi_rev", attribute{"S": "1-abc \"def\""}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changed := base()
			changed[test.attribute] = test.value
			if got := etag(changed); (got == want) != test.same {
				t.Errorf("got ETag %q after %q, want the same = %t", got, want, test.same)
			}
		})
	}
	revised := base()
	const revision = "ABCDEFGHIJKLMNOPQRSTUVWXY2"
	revised["_userrequestapi_rev"] = attribute{"S": revision}
	if got := etag(revised); got != revision {
		t.Errorf("got ETag %q, want the revision %q", got, revision)
	}
}

// valid returns the item of a valid user without the attributes of the service.
func valid(t *testing.T) attribute {
	t.Helper()
	it := attribute{}
	d := newDatabase(t, execute(it, ok(map[string]any{})))
	if _, _, err := d.store.Create(t.Context(), usertest.Attributes(t, "userId", "1"), nil); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"_userrequestapi_rev", "createdAt", "updatedAt"} {
		delete(it, name)
	}
	return it
}

func TestReplaceForeignItem(t *testing.T) {
	t.Parallel()
	foreign := valid(t)
	maps.Copy(foreign, attribute{
		"_rev":                        attribute{"S": "1-967a00"},
		"_idempotency":                attribute{"M": attribute{"key": attribute{"S": "a"}, "body": attribute{"S": "b"}}},
		"_userrequestapi_idempotency": attribute{"S": "another meaning"},
		"_ttl":                        attribute{"N": "1767225600"},
		"updatedAt":                   attribute{"N": "1577836800"},
	})
	want := usertest.Attributes(t,
		"userId", "1", "_rev", "1-967a00", "_idempotency", map[string]any{"key": "a", "body": "b"},
		"_userrequestapi_idempotency", "another meaning", "_ttl", user.Number("1767225600"),
		"updatedAt", user.Number("1577836800"),
	)
	for name, sent := range map[string]user.Attributes{"unchanged": want, "omitted": usertest.Attributes(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t, item(foreign), item(foreign), ok(map[string]any{}))
			read, err := d.store.Get(t.Context(), "1")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, read.Attributes); diff != "" {
				t.Errorf("before (-want +got):\n%s", diff)
			}
			replaced, err := d.store.Replace(t.Context(), "1", sent, []user.ETag{read.ETag})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, replaced.Attributes); diff != "" {
				t.Errorf("replacement (-want +got):\n%s", diff)
			}
			wantItem := maps.Clone(foreign)
			wantItem["_userrequestapi_rev"] = attribute{"S": string(replaced.ETag)}
			if diff := cmp.Diff(wantItem, d.calls[2].Input.Item); diff != "" {
				t.Errorf("written item (-want +got):\n%s", diff)
			}
		})
	}
}

// TestReplaceItemWithForeignRevision checks that an item with another program's attribute of the name of the revision
// is not replaced.
func TestReplaceItemWithForeignRevision(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]attribute{
		"number": {"N": "5"}, "string": {"S": "1-967a00"}, "null": {"NULL": true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			it := valid(t)
			it["_userrequestapi_rev"] = value
			foreign := item(it)
			d := newDatabase(t, foreign, foreign, foreign)
			read, err := d.store.Get(t.Context(), "1")
			if err != nil {
				t.Fatal(err)
			}
			for _, sent := range []user.Attributes{read.Attributes, usertest.Attributes(t)} {
				_, err = d.store.Replace(t.Context(), "1", sent, nil)
				var refused *user.Error
				if !errors.As(err, &refused) || refused.Code != user.InvalidUser || len(refused.Violations) != 1 {
					t.Fatalf("got error %v, want %s", err, user.InvalidUser)
				}
				if v := refused.Violations[0]; v.Code != "ReservedName" || v.Pointer != "#/_userrequestapi_rev" {
					t.Errorf("got violation %v, want ReservedName at #/_userrequestapi_rev", v)
				}
			}
		})
	}
}

// TestForeignItemInTable reads, replaces and deletes an item that another program wrote, in DynamoDB Local.
func TestForeignItemInTable(t *testing.T) {
	t.Parallel()
	client := dynamoDB(t)
	table := newTable(t, client)
	put := func(it map[string]types.AttributeValue) {
		t.Helper()
		if _, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &table, Item: it}); err != nil {
			t.Fatal(err)
		}
	}
	foreign := map[string]types.AttributeValue{
		"userId": &types.AttributeValueMemberS{Value: "1"},
		"n":      &types.AttributeValueMemberN{Value: "12345678901234567890123456789012345678"},
		"ss":     &types.AttributeValueMemberSS{Value: []string{"a", ""}},
		"ns":     &types.AttributeValueMemberNS{Value: []string{"1e-130", "2"}},
		"b":      &types.AttributeValueMemberB{Value: []byte{0, 0xff}},
		"null":   &types.AttributeValueMemberNULL{Value: true},
		"m": &types.AttributeValueMemberM{
			Value: map[string]types.AttributeValue{"$SS": &types.AttributeValueMemberBOOL{Value: true}},
		},
	}
	put(foreign)
	store := userdata.New(client, table)
	first, err := store.Get(t.Context(), "1")
	if err != nil {
		t.Fatal(err)
	}
	want := user.Attributes{
		"userId": "1",
		"n":      user.Number("12345678901234567890123456789012345678"),
		"ss":     user.StringSet{"a", ""},
		"ns":     user.NumberSet{"1e-130", "2"},
		"b":      user.Binary{0, 0xff},
		"null":   nil,
		"m":      map[string]any{"$SS": true},
	}
	if first.ETag != want.Hash() {
		t.Errorf("got %s, want %s", first.Attributes.AppendJSON(nil), want.AppendJSON(nil))
	}

	// The hash detects another write by the other program.
	foreign["n"] = &types.AttributeValueMemberN{Value: "1"}
	put(foreign)
	if err := store.Delete(t.Context(), "1", []user.ETag{first.ETag}); err == nil {
		t.Error("got no error, want one because of If-Match")
	}
	second, err := store.Get(t.Context(), "1")
	if err != nil {
		t.Fatal(err)
	}
	sent := usertest.Attributes(t)
	maps.Copy(sent, second.Attributes)
	replaced, err := store.Replace(t.Context(), "1", sent, []user.ETag{second.ETag})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := replaced.Attributes["createdAt"]; ok {
		t.Error("got createdAt, want none for a user that another program created")
	}
	if err := store.Delete(t.Context(), "1", []user.ETag{replaced.ETag}); err != nil {
		t.Error(err)
	}
}
