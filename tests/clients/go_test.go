package clients_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/check/unreliable"
	"github.com/userrequestapi/userdata/shared/client"
	"github.com/userrequestapi/userdata/shared/user/usertest"
	"github.com/userrequestapi/userdata/shared/userdata"
)

// TestExamples runs all examples of the Go client.
func TestExamples(t *testing.T) {
	t.Parallel()
	testenv.SkipUnlessAll(t)
	database := unreliable.NewDatabase(t)
	s := stacktest.Start(t, database.With)
	w, dir := startRecorder(t, s), filepath.Join(testenv.Root(t), "shared", "client")
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, "example_test.go"), nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	variables := []string{"USERREQUESTAPI_URL=" + w.url, "USERREQUESTAPI_USER=" + usertest.Body(t, "{}")}
	out := run(t, dir, variables, "go", "test", "-count=1", "-v", "-run", "^Example", ".")
	examples := doc.Examples([]*ast.File{file}...)
	for _, example := range examples {
		if want := "--- PASS: Example" + example.Name + " "; !strings.Contains(out, want) || example.Output == "" {
			t.Errorf("Example%s: want it to pass and to have an output, got\n%s", example.Name, out)
		}
	}
	if len(examples) == 0 || len(w.exchanges()) == 0 {
		t.Errorf("got %d examples and %d requests, want some", len(examples), len(w.exchanges()))
	}
	busyUntilSeen(database, w)
	run(t, dir, variables, "go", "test", "-count=1", "-run", "^ExampleWithRetries$", ".")
	if w.count(" 503") == 0 {
		t.Errorf("got %q, want a busy database", w.exchanges())
	}
	if left := s.AllItems(t); len(left) > 0 {
		t.Errorf("got users %v after the examples, want none", left)
	}
}

// busyUntilSeen throttles the database, despite the retries of the service, until one more response is 503.
func busyUntilSeen(database *unreliable.Database, w *recorder) {
	before := w.count(" 503")
	database.Fail(func(string) unreliable.Fault {
		if w.count(" 503") == before {
			return unreliable.Throttle
		}
		return unreliable.None
	})
}

func connect(t *testing.T, invokeURL string, options ...client.Option) *client.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	options = append([]client.Option{client.WithHTTPClient(&http.Client{Transport: transport})}, options...)
	c, err := client.New(invokeURL, options...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// newUser returns a valid user with the members of a JSON object.
func newUser(t *testing.T, members string) client.UserInput {
	t.Helper()
	var input client.UserInput
	if err := json.Unmarshal([]byte(usertest.Body(t, members)), &input); err != nil {
		t.Fatal(err)
	}
	return input
}

// TestAuthorization calls stages with each authorization of the template.
func TestAuthorization(t *testing.T) {
	t.Parallel()
	for _, authorization := range []string{"AWS_IAM", "COGNITO_USER_POOLS", "API_KEY", "NONE"} {
		t.Run(authorization, func(t *testing.T) {
			t.Parallel()
			s := stacktest.Start(t, stacktest.Parameters(map[string]string{"Authorization": authorization}))
			headers := func() http.Header {
				request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/users", http.NoBody)
				if err == nil {
					err = s.Authorize(request)
				}
				if err != nil {
					t.Fatal(err)
				}
				return request.Header
			}
			authorize := s.Authorize
			switch authorization {
			case "AWS_IAM":
				authorize = localIAM(t, s, "")
			case "COGNITO_USER_POOLS":
				authorize = client.Token(func() (string, error) {
					return strings.TrimPrefix(headers().Get("Authorization"), "Bearer "), nil
				})
			case "API_KEY":
				authorize = client.APIKey(headers().Get("X-Api-Key"))
			}
			c := connect(t, s.URL, client.WithAuthorization(authorize))
			index, err := c.Index(t.Context())
			if err != nil || index.Name != "UserRequestAPI" {
				t.Errorf("got %v, %v, want the index of UserRequestAPI", index, err)
			}
			if _, err := c.CreateUser(
				t.Context(),
				newUser(t, `{"userId": "a~b.c_d-e", "name": "Ada"}`),
				"",
			); err != nil {
				t.Error(err)
			}
			user, err := c.UpdateUser(
				t.Context(),
				"a~b.c_d-e",
				func(user *client.UserInput) error { user.Email = new("ada@example.org"); return nil },
			)
			if err != nil || *user.Name != "Ada" || *user.Email != "ada@example.org" {
				t.Errorf("got %v, %v, want Ada with her email", user, err)
			}
			for user, err := range c.Users(t.Context(), 100) {
				if err != nil || user.UserID != "a~b.c_d-e" {
					t.Errorf("got %v, %v, want Ada", user, err)
				}
			}
			if err := c.DeleteUser(t.Context(), "a~b.c_d-e", user.ETag); err != nil {
				t.Error(err)
			}

			for _, id := range []string{"a/b é", "..", " "} { // written by other programs
				s.PutItem(t, userdata.Item(usertest.Attributes(t, "userId", id)))
				user, err := c.UpdateUser(t.Context(), id, func(user *client.UserInput) error {
					user.Name = new("Ada")
					return nil
				})
				if err != nil || user.UserID != id || *user.Name != "Ada" {
					t.Fatalf("%q: got %v, %v, want Ada", id, user, err)
				}
				if err := c.DeleteUser(t.Context(), id, user.ETag); err != nil {
					t.Errorf("delete %q: %v", id, err)
				}
			}

			_, err = connect(t, s.URL).GetUser(t.Context(), "a~b.c_d-e")
			want := map[string]int{"AWS_IAM": 403, "COGNITO_USER_POOLS": 401, "API_KEY": 403, "NONE": 404}[authorization]
			if problem, ok := errors.AsType[*client.Problem](err); !ok || problem.Status != want || problem.Code == "" {
				t.Errorf("without authorization: got error %v, want status %d", err, want)
			}
		})
	}
}

// TestOpenUser checks that all attributes of a user are returned as sent.
func TestOpenUser(t *testing.T) {
	t.Parallel()
	c := connect(t, stacktest.Start(t).URL)
	sent := newUser(t, `{
		"number": 12345678901234567890123456789012345678, "cents": 0.1, "set": {"$SS":["a"]}, "null": null,
		"text": "<ö&>", "nested": {"list":[1,{"deep":[true]}]}
	}`)
	sent.Email = nil
	created, err := c.CreateUser(t.Context(), sent, "")
	if err != nil {
		t.Fatal(err)
	}
	want := canonical(t, sent.AdditionalProperties)
	if d := gocmp.Diff(want, canonical(t, created.AdditionalProperties)); d != "" {
		t.Errorf("created (-want +got):\n%s", d)
	}
	if d := gocmp.Diff(sent.Name, created.Name); d != "" || created.Email != nil || created.CreatedAt == nil ||
		created.UpdatedAt == nil || created.ETag == "" {
		t.Errorf("got %+v, want a user without an email, but with times and an ETag; name (-want +got):\n%s", created, d)
	}
	replaced, err := c.UpdateUser(t.Context(), created.UserID, func(user *client.UserInput) error {
		user.AdditionalProperties["cents"] = json.RawMessage("0.2")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want["cents"] = "0.2"
	if d := gocmp.Diff(want, canonical(t, replaced.AdditionalProperties)); d != "" {
		t.Errorf("replaced (-want +got):\n%s", d)
	}
	if !replaced.CreatedAt.Equal(*created.CreatedAt) {
		t.Errorf("got createdAt %v, want %v", replaced.CreatedAt, created.CreatedAt)
	}
}

// TestForeignUser checks that users written to the table by other programs can be read, changed and listed, whatever
// their attributes.
func TestForeignUser(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	item := userdata.Item(usertest.Attributes(t, "userId", "foreign"))
	maps.Copy(item, stacktest.Item{
		"name":      &types.AttributeValueMemberM{Value: stacktest.Item{"first": &types.AttributeValueMemberS{Value: "Ada"}}},
		"email":     &types.AttributeValueMemberS{Value: "ada@example.org"},
		"createdAt": &types.AttributeValueMemberN{Value: "1700000000"},
		"count":     &types.AttributeValueMemberN{Value: "7"},
		"updatedAt": &types.AttributeValueMemberNULL{Value: true},
	})
	s.PutItem(t, item)
	c := connect(t, s.URL)
	want := canonical(t, newUser(t, "{}").AdditionalProperties)
	maps.Copy(want, map[string]string{
		"name": `{"first":"Ada"}`, "createdAt": "1700000000", "count": "7", "updatedAt": "null",
	})
	check := func(user *client.User, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if user.UserID != "foreign" || user.Name != nil || *user.Email != "ada@example.org" || user.CreatedAt != nil {
			t.Errorf("got %+v, want the user foreign with an email only", user.User)
		}
		if d := gocmp.Diff(want, canonical(t, user.AdditionalProperties)); d != "" {
			t.Errorf("attributes (-want +got):\n%s", d)
		}
	}
	check(c.GetUser(t.Context(), "foreign"))
	listed := 0
	for user, err := range c.Users(t.Context(), 0) {
		check(user, err)
		listed++
	}
	if listed != 1 {
		t.Errorf("listed %d users, want 1", listed)
	}
	replaced, err := c.UpdateUser(t.Context(), "foreign", func(user *client.UserInput) error {
		delete(user.AdditionalProperties, "name")
		user.Name = new("Ada")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	delete(want, "name")
	delete(want, "updatedAt")
	if d := gocmp.Diff(want, canonical(t, replaced.AdditionalProperties)); d != "" || *replaced.Name != "Ada" {
		t.Errorf("replaced: name %v, attributes (-want +got):\n%s", replaced.Name, d)
	}
}

// canonical returns the values as JSON that does not depend on the order of members and on white space.
func canonical(t *testing.T, attributes map[string]json.RawMessage) map[string]string {
	t.Helper()
	values := map[string]string{}
	for name, value := range attributes {
		object := stacktest.Decode(t, []byte(`{"value":`+string(value)+`}`))
		content, err := json.Marshal(object["value"])
		if err != nil {
			t.Fatal(err)
		}
		values[name] = string(content)
	}
	return values
}

// TestUsers lists more users than fit on a page, and stops early.
func TestUsers(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	w := startRecorder(t, s)
	c := connect(t, w.url)
	want := map[string]bool{}
	for i := range 23 {
		id := fmt.Sprintf("user-%d", i)
		want[id] = true
		if _, err := c.CreateUser(t.Context(), newUser(t, `{"userId": "`+id+`"}`), ""); err != nil {
			t.Fatal(err)
		}
	}
	before := len(w.exchanges())
	got := map[string]bool{}
	for user, err := range c.Users(t.Context(), 5) {
		if err != nil {
			t.Fatal(err)
		}
		if got[user.UserID] {
			t.Errorf("got user %s again, want each user once", user.UserID)
		}
		got[user.UserID] = true
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
	if pages := len(w.exchanges()) - before; pages < 5 {
		t.Errorf("got %d pages, want at least 5", pages)
	}

	before = len(w.exchanges())
	for _, err := range c.Users(t.Context(), 5) {
		if err != nil {
			t.Error(err)
		}
		break
	}
	if pages := len(w.exchanges()) - before; pages != 1 {
		t.Errorf("got %d pages for one user, want 1", pages)
	}

	for _, err := range c.Users(t.Context(), 101) {
		if problem, ok := errors.AsType[*client.Problem](err); !ok || problem.Status != 400 {
			t.Errorf("got error %v, want status 400", err)
		}
	}
}

// TestUpdateUser_LosesNothing lets clients increment a number concurrently.
func TestUpdateUser_LosesNothing(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	c := connect(t, s.URL)
	if _, err := c.CreateUser(t.Context(), newUser(t, `{"userId": "counter", "count": 0}`), ""); err != nil {
		t.Fatal(err)
	}
	const clients, times = 4, 5
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			for range times {
				_, err := c.UpdateUser(t.Context(), "counter", func(user *client.UserInput) error {
					count, err := strconv.Atoi(string(user.AdditionalProperties["count"]))
					user.AdditionalProperties["count"] = json.RawMessage(strconv.Itoa(count + 1))
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	user, err := c.GetUser(t.Context(), "counter")
	if err != nil || string(user.AdditionalProperties["count"]) != strconv.Itoa(clients*times) {
		t.Errorf("got %v, %v, want a count of %d", user, err, clients*times)
	}
}

// TestThrottledStage checks that clients succeed on a stage that throttles them, with idempotent requests and others.
func TestThrottledStage(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(
		t,
		stacktest.Parameters(map[string]string{"ThrottlingRateLimit": "10", "ThrottlingBurstLimit": "1"}),
	)
	w := startRecorder(t, s)
	ctx, cancel := testenv.WithDeadline(t.Context(), t)
	defer cancel()
	// untilThrottled calls repeatedly from several goroutines.
	untilThrottled := func(call func(id string) error) {
		for before := w.count(" 429"); w.count(" 429") == before && ctx.Err() == nil; {
			var group sync.WaitGroup
			for i := range 4 {
				group.Go(func() {
					if err := call(strconv.Itoa(i)); err != nil {
						t.Error(err)
					}
				})
			}
			group.Wait()
		}
		if ctx.Err() != nil {
			t.Errorf("got %q, want status 429", w.exchanges())
		}
	}
	patient := connect(t, w.url, client.WithRetries(50))
	untilThrottled(func(id string) error { return callAll(ctx, t, patient, id) })

	impatient := connect(t, w.url, client.WithRetries(0))
	untilThrottled(func(id string) error {
		err := impatient.DeleteUser(ctx, id, "")
		if problem, ok := errors.AsType[*client.Problem](err); ok && (problem.Status == 404 || problem.Code == client.CodeThrottled) {
			return nil
		}
		return fmt.Errorf("got error %w, want status 404 or 429", err)
	})
}

// callAll calls every method, with a user that does not exist before or after.
func callAll(ctx context.Context, t *testing.T, c *client.Client, id string) error {
	t.Helper()
	if _, err := c.CreateUser(ctx, newUser(t, `{"userId": "`+id+`"}`), ""); err != nil {
		return err
	}
	if _, err := c.ReplaceUser(ctx, id, newUser(t, "{}"), ""); err != nil {
		return err
	}
	if _, err := c.GetUser(ctx, id); err != nil {
		return err
	}
	for _, err := range c.Users(ctx, 100) {
		if err != nil {
			return err
		}
	}
	return c.DeleteUser(ctx, id, "")
}

// TestBusyDatabase checks that a client succeeds on a throttled database, with idempotent requests and others: after a
// 503 nothing was written.
func TestBusyDatabase(t *testing.T) {
	t.Parallel()
	database := unreliable.NewDatabase(t)
	s := stacktest.Start(t, database.With)
	w := startRecorder(t, s)
	c := connect(t, w.url)
	ada := newUser(t, `{"userId": "ada"}`)
	calls := []struct {
		name string
		call func() error
		want []string // exchanges
	}{
		{
			"create",
			func() error { _, err := c.CreateUser(t.Context(), ada, ""); return err },
			[]string{"POST /users 503", "POST /users 201"},
		},
		{
			"get",
			func() error { _, err := c.GetUser(t.Context(), "ada"); return err },
			[]string{"GET /users/ada 503", "GET /users/ada 200"},
		},
		{"list", func() error {
			for _, err := range c.Users(t.Context(), 0) {
				return err
			}
			return nil
		}, []string{"GET /users 503", "GET /users 200"}},
		{
			"replace", func() error { _, err := c.ReplaceUser(t.Context(), "ada", ada, ""); return err },
			[]string{"PUT /users/ada 503", "PUT /users/ada 200"},
		},
		{
			"delete",
			func() error { return c.DeleteUser(t.Context(), "ada", "") },
			[]string{"DELETE /users/ada 503", "DELETE /users/ada 204"},
		},
	}
	for _, tt := range calls { // in order: each call needs the one before
		before := len(w.exchanges())
		busyUntilSeen(database, w)
		if err := tt.call(); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if d := gocmp.Diff(tt.want, w.exchanges()[before:]); d != "" {
			t.Errorf("%s: exchanges (-want +got):\n%s", tt.name, d)
		}
	}

	database.Fail(unreliable.All(unreliable.Throttle))
	_, err := connect(t, w.url, client.WithRetries(0)).GetUser(t.Context(), "ada")
	if problem, ok := errors.AsType[*client.Problem](err); !ok || problem.Status != 503 ||
		problem.Code != client.CodeStoreThrottled {
		t.Errorf("got error %v, want status 503", err)
	}
	database.Fail(nil)
}

// TestUserID checks that the client sends requests for exactly the ids that the document allows in the path or in the
// query.
func TestUserID(t *testing.T) {
	t.Parallel()
	contract := stacktest.LoadContract(t, testenv.Root(t))
	c, err := client.New(
		"http://127.0.0.1/prod",
		client.WithHTTPClient(&http.Client{Transport: refusing{}}),
		client.WithRetries(0),
	)
	if err != nil {
		t.Fatal(err)
	}
	documented := func(id string) bool {
		schemas := contract.Document().Components.Schemas
		return schemas["UserIdInPath"].Value.VisitJSON(id) == nil || schemas["UserIdInQuery"].Value.VisitJSON(id) == nil
	}
	ids := []string{""}
	for _, length := range []int{128, 129, 2048, 2049} {
		ids = append(ids, strings.Repeat("a", length))
	}
	for _, first := range []string{"", ".", "..", "...", "a", "-"} {
		for b := range 256 {
			ids = append(ids, first+string(rune(b)), first+string(rune(b))+"a")
		}
	}
	for _, id := range ids {
		_, err := c.GetUser(t.Context(), id)
		if err == nil {
			t.Fatalf("%q: got a response, want none", id)
		}
		if sent := errors.Is(err, errRefused); sent != documented(id) {
			t.Errorf("%.200q: got error %v, want it sent: %t", id, err, documented(id))
		}
	}
}

// TestCodes checks that the Go client has a constant for each code in the API document.
func TestCodes(t *testing.T) {
	t.Parallel()
	contract := stacktest.LoadContract(t, testenv.Root(t))
	rows := regexp.MustCompile("(?m)^\\| [0-9x]{3} \\| `(\\w+)` \\|")
	documented := map[string]bool{}
	for _, row := range rows.FindAllStringSubmatch(contract.Document().Info.Description, -1) {
		documented[strconv.Quote(row[1])] = true
	}
	if len(documented) == 0 {
		t.Fatal("got no codes from the API document, want a table of codes")
	}
	path := filepath.Join(testenv.Root(t), "shared", "client", "codes.go")
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(node ast.Node) bool {
		if constant, ok := node.(*ast.ValueSpec); ok {
			name, value := constant.Names[0].Name, constant.Values[0].(*ast.BasicLit).Value
			if !documented[value] {
				t.Errorf("the API document has no code %s: remove %s from shared/client/codes.go", value, name)
			}
			if want := `"` + strings.TrimPrefix(name, "Code") + `"`; !strings.EqualFold(value, want) {
				t.Errorf("%s is %s, want %s", name, value, want)
			}
			delete(documented, value)
		}
		return true
	})
	for code := range documented {
		t.Errorf("add a constant to shared/client/codes.go: Code%s = %s", strings.Trim(code, `"`), code)
	}
}

var errRefused = errors.New("refused")

// refusing is a transport that returns errRefused.
type refusing struct{}

// RoundTrip implements [http.RoundTripper].
func (refusing) RoundTrip(*http.Request) (*http.Response, error) { return nil, errRefused }

// TestLostResponse checks that a user is created once if the first response is lost.
func TestLostResponse(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	transport := &forgetful{Transport: &http.Transport{}}
	t.Cleanup(transport.CloseIdleConnections)
	c := connect(t, s.URL, client.WithHTTPClient(&http.Client{Transport: transport}))
	user, err := c.CreateUser(t.Context(), newUser(t, "{}"), "")
	if err != nil {
		t.Fatal(err)
	}
	if sent := transport.sent.Load(); sent != 2 {
		t.Errorf("got %d requests, want 2", sent)
	}
	if users := s.AllItems(t); len(users) != 1 || users[user.UserID] == nil {
		t.Errorf("got %v, want only the user %s", users, user.UserID)
	}
}

// forgetful is a transport that loses the first response.
type forgetful struct {
	*http.Transport

	sent atomic.Int32
}

// RoundTrip implements [http.RoundTripper].
func (f *forgetful) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := f.Transport.RoundTrip(r)
	if f.sent.Add(1) > 1 || err != nil {
		return response, err
	}
	_, err = io.Copy(io.Discard, response.Body)
	return nil, errors.Join(io.ErrUnexpectedEOF, err, response.Body.Close())
}
