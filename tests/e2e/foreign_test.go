package e2e_test

import (
	"fmt"
	"maps"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/getkin/kin-openapi/openapi3"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/local"
	"github.com/userrequestapi/userdata/shared/user/usertest"
	"github.com/userrequestapi/userdata/shared/userdata"
)

// foreign returns an item of another application: the attributes of a valid user, all attribute types, no createdAt,
// no revision.
func foreign(t *testing.T, id string) stacktest.Item {
	t.Helper()
	item := valid(t, id)
	maps.Copy(item, stacktest.Item{
		"empty":        str(""),
		"emoji 👍":      str("👩🏽‍🚀"),
		"number":       n("12345678901234567890.123456789"),
		"digits":       n("-1234567890123456789012345678901234567.8"),
		"small":        n("1e-130"),
		"binary":       &types.AttributeValueMemberB{Value: []byte{0, 255, 'b'}},
		"empty binary": &types.AttributeValueMemberB{Value: []byte{}},
		"true":         &types.AttributeValueMemberBOOL{Value: true},
		"false":        &types.AttributeValueMemberBOOL{Value: false},
		"null":         &types.AttributeValueMemberNULL{Value: true},
		"map": &types.AttributeValueMemberM{Value: stacktest.Item{
			"list":  list(n("1"), str("two"), list(), &types.AttributeValueMemberNULL{Value: true}),
			"inner": &types.AttributeValueMemberM{Value: stacktest.Item{}},
			"set":   &types.AttributeValueMemberNS{Value: []string{"0.5"}},
			"_name": str("not at the top"),
		}},
		"looks like a set": &types.AttributeValueMemberM{Value: stacktest.Item{"$SS": list(str("a"))}},
		"strings":          &types.AttributeValueMemberSS{Value: []string{"b", "a", ""}},
		"numbers":          &types.AttributeValueMemberNS{Value: []string{"3", "1e2", "99999999999999999999999999999999999999"}},
		"binaries":         &types.AttributeValueMemberBS{Value: [][]byte{{2}, {1}, []byte("text")}},
		"$B":               str("a name of its own"),
		"_legacy":          str("of others"),
	})
	return item
}

// valid returns an item of another application, with the attributes of a valid user.
func valid(t *testing.T, id string) stacktest.Item {
	t.Helper()
	return userdata.Item(usertest.Attributes(t, "userId", id))
}

const foreignJSON = `{
	"userId": "1", "empty": "", "emoji 👍": "👩🏽‍🚀",
	"number": 12345678901234567890.123456789, "digits": -1234567890123456789012345678901234567.8, "small": 1e-130,
	"binary": {"$B": "AP9i"}, "empty binary": {"$B": ""}, "true": true, "false": false, "null": null,
	"map": {"list": [1, "two", [], null], "inner": {}, "set": {"$NS": [0.5]}, "_name": "not at the top"},
	"looks like a set": {"$$SS": ["a"]},
	"strings": {"$SS": ["", "a", "b"]}, "numbers": {"$NS": [3, 100, 99999999999999999999999999999999999999]},
	"binaries": {"$BS": ["AQ==", "Ag==", "dGV4dA=="]},
	"$B": "a name of its own", "_legacy": "of others"
}`

// TestForeignItem checks that GET /users?userId= returns any item of the table, whoever wrote it.
func TestForeignItem(t *testing.T) {
	t.Parallel()
	testForeignItem(t, stacktest.Start(t))
}

// TestDefaultStage repeats TestForeignItem on the stage prod, whose table is UserData, with the stack's own database.
func TestDefaultStage(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t, func(cfg *local.Config) { cfg.Parameters, cfg.DynamoDBEndpoint = nil, "" })
	if s.TableName != "UserData" {
		t.Errorf("table = %s, want UserData", s.TableName)
	}
	base, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	if base.Path != "/prod" {
		t.Errorf("stage path = %s, want /prod", base.Path)
	}
	testForeignItem(t, s)
}

func testForeignItem(t *testing.T, s *stacktest.TestStack) {
	t.Helper()
	s.Do(t, "GET", "/users?userId=1", "").Problem(t, 404, "UserNotFound")
	s.PutItem(t, foreign(t, "1"))

	read := s.Do(t, "GET", "/users?userId=1", "").Want(t, 200)
	wantHeaders(t, read, stacktest.Headers{"Content-Type": "application/json"})
	want := normal(stacktest.Decode(t, []byte(usertest.Body(t, foreignJSON))))
	if d := gocmp.Diff(want, normal(read.JSON(t))); d != "" {
		t.Errorf("the user (-want +got):\n%s", d)
	}
	tag := etag(t, read)
	again := s.Do(t, "GET", "/users/1", "").Want(t, 200)
	wantHeaders(t, again, stacktest.Headers{"ETag": tag})
	if d := gocmp.Diff(want, normal(again.JSON(t))); d != "" {
		t.Errorf("the user at its canonical address (-want +got):\n%s", d)
	}
	s.Do(t, "GET", "/users?userId=1", "", ifNoneMatch(tag)).Want(t, 304)
	listed := s.Do(t, "GET", "/users", "").Want(t, 200).JSON(t)
	if d := gocmp.Diff(map[string]any{"items": []any{want}}, normal(listed)); d != "" {
		t.Errorf("the list (-want +got):\n%s", d)
	}
	s.Do(t, "POST", "/users", usertest.Body(t, `{"userId": "1"}`)).Problem(t, 409, "UserExists")

	// Writing the user as it was read only adds the service's own attributes.
	replaced := s.Do(t, "PUT", "/users?userId=1", string(read.Body), ifMatch(tag)).Want(t, 200)
	wantItem := stacktest.Comparable(foreign(t, "1"))
	gotItem := stacktest.Comparable(s.Item(t, "1"))
	for _, name := range []string{"_userrequestapi_rev", "updatedAt"} {
		if gotItem[name] == nil {
			t.Errorf("item after PUT: want the attribute %s, got none", name)
		}
		delete(gotItem, name)
	}
	if d := gocmp.Diff(wantItem, gotItem); d != "" {
		t.Errorf("item after PUT (-want +got):\n%s", d)
	}
	s.Do(t, "PUT", "/users?userId=1", `{}`, ifMatch(tag)).Problem(t, 412, "PreconditionFailed")

	// Another application changes the item without updating its revision.
	changed := foreign(t, "1")
	changed["name"] = str("Ada King")
	s.PutItem(t, changed)
	s.Do(t, "PUT", "/users?userId=1", `{}`, ifMatch(etag(t, replaced))).Problem(t, 412, "PreconditionFailed")
	s.Do(t, "DELETE", "/users?userId=1", "", ifMatch(tag)).Problem(t, 412, "PreconditionFailed")
	read = s.Do(t, "GET", "/users?userId=1", "", ifNoneMatch(tag)).Want(t, 200)
	if name := read.JSON(t)["name"]; name != "Ada King" {
		t.Errorf("name = %v after the change in the table, want Ada King", name)
	}
	s.Do(t, "DELETE", "/users?userId=1", "", ifMatch(etag(t, read))).Want(t, 204)
	if item := s.Item(t, "1"); item != nil {
		t.Errorf("after DELETE: got item %v, want none", stacktest.Comparable(item))
	}
}

// TestForeignItem_Invalid checks items with values that the API rejects.
func TestForeignItem_Invalid(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	s.Client = stacktest.NewClient(t, s.URL, contractOfOthers(t))
	for name, test := range map[string]struct {
		attribute string
		value     types.AttributeValue
		want      string
		replaced  bool // PUT succeeds
	}{
		"numeric name":      {"name", n("7"), `7`, true},
		"empty name":        {"name", str(""), `""`, true},
		"invalid email":     {"email", str("nobody"), `"nobody"`, true},
		"numeric createdAt": {"createdAt", n("1577836800"), `1577836800`, false},
		"invalid createdAt": {"createdAt", str("long ago"), `"long ago"`, false},
		"null updatedAt":    {"updatedAt", &types.AttributeValueMemberNULL{Value: true}, `null`, true},
		"numeric updatedAt": {"updatedAt", n("1577836800"), `1577836800`, false},
		"_rev of CouchDB":   {"_rev", str("1-967a00"), `"1-967a00"`, false},
		"numeric _rev":      {"_rev", n("3"), `3`, false},
		"_idempotency": {"_idempotency", &types.AttributeValueMemberM{
			Value: stacktest.Item{"key": str("a"), "body": str("b")},
		}, `{"key":"a","body":"b"}`, false},
		"string _userrequestapi_idempotency": {"_userrequestapi_idempotency", str("x"), `"x"`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id := stacktest.StageName()
			s.PutItem(t, stacktest.Item{"userId": str(id), test.attribute: test.value})
			read := s.Do(t, "GET", "/users/"+id, "").Want(t, 200)
			want := stacktest.Decode(t, []byte(`{"userId": "`+id+`", "`+test.attribute+`": `+test.want+`}`))
			if d := gocmp.Diff(want, read.JSON(t)); d != "" {
				t.Errorf("the user (-want +got):\n%s", d)
			}
			wantKept := func(r stacktest.Response) {
				t.Helper()
				if test.replaced {
					return
				}
				if d := gocmp.Diff(want[test.attribute], r.JSON(t)[test.attribute]); d != "" {
					t.Errorf("%s after PUT (-want +got):\n%s", test.attribute, d)
				}
				wantItem := stacktest.Comparable(stacktest.Item{test.attribute: test.value})[test.attribute]
				if d := gocmp.Diff(wantItem, stacktest.Comparable(s.Item(t, id))[test.attribute]); d != "" {
					t.Errorf("in the table, %s after PUT (-want +got):\n%s", test.attribute, d)
				}
			}
			body := usertest.Body(t, `{}`)
			replaced := s.Do(t, "PUT", "/users/"+id, body, ifMatch(etag(t, read))).Want(t, 200)
			wantKept(replaced)
			wantReadBack(t, s, replaced)
			if !test.replaced {
				wantKept(s.Do(t, "PUT", "/users/"+id, string(replaced.Body), ifMatch(etag(t, replaced))).Want(t, 200))
			}
			s.Do(t, "PUT", "/users/"+id, body, ifMatch(etag(t, read))).Problem(t, 412, "PreconditionFailed")
			s.Do(t, "DELETE", "/users/"+id, "").Want(t, 204)
		})
	}
}

// TestForeignIDs checks that users with IDs that the API does not create can be read, replaced and deleted.
func TestForeignIDs(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	stage := "/" + s.Stage()
	for id, want := range map[string]struct{ canonical, other string }{
		"a/b":             {"/users?userId=a%2Fb", "/users/a%2Fb"},
		"café x":          {"/users?userId=caf%C3%A9+x", "/users/caf%C3%A9%20x"},
		" ":               {"/users/%20", "/users/%20/"},
		"ada@example.org": {"/users?userId=ada%40example.org", "/users/ada@example.org"},
		".":               {"/users?userId=.", "/users?userId=%2E"},
		"..":              {"/users?userId=..", "/users?userId=%2E%2E"},
		"%41+?#&=\"\\\x00\n😀": {
			"/users?userId=%2541%2B%3F%23%26%3D%22%5C%00%0A%F0%9F%98%80",
			"/users/%2541+%3F%23&=%22%5C%00%0A%F0%9F%98%80",
		},
		strings.Repeat("é", 1024): {
			"/users?userId=" + strings.Repeat("%C3%A9", 1024),
			"/users/" + strings.Repeat("%C3%A9", 1024),
		},
	} {
		t.Run(fmt.Sprintf("%.20q", id), func(t *testing.T) {
			t.Parallel()
			for _, path := range []string{want.canonical, want.other} {
				s.PutItem(t, valid(t, id))
				read := s.Do(t, "GET", path, "").Want(t, 200)
				wantHeaders(t, read, stacktest.Headers{"Content-Location": stage + want.canonical})
				if got := read.JSON(t)["userId"]; got != id {
					t.Errorf("GET %s: got userId %q, want %q", path, got, id)
				}
				s.Do(t, "HEAD", path, "").Want(t, 200)
				replaced := s.Do(t, "PUT", path, string(read.Body), ifMatch(etag(t, read))).Want(t, 200)
				wantHeaders(t, replaced, stacktest.Headers{"Content-Location": stage + want.canonical})
				s.Do(t, "PUT", "/users", string(replaced.Body), ifMatch(etag(t, replaced))).Want(t, 200)
				s.Do(t, "PUT", path, `{"userId": "a/c"}`).Problem(t, 400, "InvalidParameter")
				s.Do(t, "DELETE", path, "").Want(t, 204)
				if item := s.Item(t, id); item != nil {
					t.Errorf("DELETE %s: got item %v, want none", path, item)
				}
			}
		})
	}
	// In the query, a blank id is an error: it is more likely an empty variable of a script than an id.
	s.Do(t, "GET", "/users?userId=%20", "").Problem(t, 400, "InvalidUserId")
}

// TestForeignRevision checks that a user with another program's attribute of the name of the revision is not replaced.
func TestForeignRevision(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	item := valid(t, "1")
	item["_userrequestapi_rev"] = n("3")
	s.PutItem(t, item)
	before := s.AllItems(t)
	read := s.Do(t, "GET", "/users/1", "").Want(t, 200)
	for _, body := range []string{usertest.Body(t, `{}`), string(read.Body)} {
		p := s.Do(t, "PUT", "/users/1", body).Problem(t, 400, "InvalidUser")
		if len(p.Errors) != 1 || p.Errors[0].Code != "ReservedName" || !strings.Contains(p.Detail, "Another program") {
			t.Errorf("got %+v, want ReservedName", p)
		}
	}
	if d := gocmp.Diff(before, s.AllItems(t)); d != "" {
		t.Errorf("the table was changed (-want +got):\n%s", d)
	}
	s.Do(t, "DELETE", "/users/1", "").Want(t, 204)
}

// contractOfOthers returns a contract for users that other applications wrote: their attributes are returned even if
// they violate the API document.
func contractOfOthers(t *testing.T) *stacktest.Contract {
	t.Helper()
	contract := stacktest.LoadContract(t, testenv.Root(t))
	user := contract.Document().Components.Schemas["User"].Value
	user.Required = []string{"userId"}
	for name := range user.Properties {
		if name != "userId" {
			user.Properties[name] = openapi3.NewSchema().WithNullable().NewRef()
		}
	}
	return contract
}
