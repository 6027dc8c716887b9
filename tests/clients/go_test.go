package clients_test

import (
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
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/local"
	"github.com/userrequestapi/userdata/shared/client"
	"github.com/userrequestapi/userdata/tests/stacktest"
)

// TestExamples runs the examples of the Go client, all of them.
func TestExamples(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	w, dir := watch(t, s), filepath.Join(workspace(t), "shared", "client")
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, "example_test.go"), nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	out := run(t, dir, []string{"USERREQUESTAPI_URL=" + w.url}, "go", "test", "-count=1", "-v", "-run", "^Example", ".")
	examples := doc.Examples([]*ast.File{file}...)
	for _, example := range examples {
		if want := "--- PASS: Example" + example.Name + " "; !strings.Contains(out, want) || example.Output == "" {
			t.Errorf("Example%s has not run:\n%s", example.Name, out)
		}
	}
	if len(examples) == 0 || len(w.exchanges()) == 0 {
		t.Errorf("got %d examples and %d requests", len(examples), len(w.exchanges()))
	}
	if left := s.AllItems(t); len(left) > 0 {
		t.Errorf("users are left: %v", left)
	}
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

// TestAuthorization has the client call stages that authorize in each of the template's ways.
func TestAuthorization(t *testing.T) {
	t.Parallel()
	for _, authorization := range []string{"AWS_IAM", "COGNITO_USER_POOLS", "API_KEY", "NONE"} {
		t.Run(authorization, func(t *testing.T) {
			t.Parallel()
			s := stacktest.Start(t, stacktest.Parameters(map[string]string{"Authorization": authorization}),
				func(cfg *local.Config) { cfg.DataDir = t.TempDir() })
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
			case "COGNITO_USER_POOLS":
				authorize = client.Token(func() (string, error) { return headers().Get("Authorization"), nil })
			case "API_KEY":
				authorize = client.APIKey(headers().Get("X-Api-Key"))
			}
			c := connect(t, s.URL, client.WithAuthorization(authorize))
			index, err := c.Index(t.Context())
			if err != nil || index.Name != "UserRequestAPI" {
				t.Errorf("got %v, %v, want the index of UserRequestAPI", index, err)
			}
			if _, err := c.CreateUser(t.Context(), client.UserInput{UserID: new("a~b.c_d-e"), Name: new("Ada")}, ""); err != nil {
				t.Error(err)
			}
			user, err := c.UpdateUser(t.Context(), "a~b.c_d-e", func(user *client.UserInput) error { user.Email = new("ada@example.org"); return nil })
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

			_, err = connect(t, s.URL).GetUser(t.Context(), "a~b.c_d-e")
			want := map[string]int{"AWS_IAM": 403, "COGNITO_USER_POOLS": 401, "API_KEY": 403, "NONE": 404}[authorization]
			if problem, ok := errors.AsType[*client.Problem](err); !ok || problem.Status != want || problem.Code == "" {
				t.Errorf("without authorization: got error %v, want status %d", err, want)
			}
		})
	}
}

// TestOpenUser sees that whatever a user has comes back as it was sent.
func TestOpenUser(t *testing.T) {
	t.Parallel()
	c := connect(t, stacktest.Start(t).URL)
	attributes := map[string]json.RawMessage{
		"number": json.RawMessage("12345678901234567890123456789012345678"),
		"cents":  json.RawMessage("0.1"),
		"set":    json.RawMessage(`{"$SS":["a"]}`),
		"null":   json.RawMessage("null"),
		"text":   json.RawMessage(`"<ö&>"`),
		"nested": json.RawMessage(`{"list":[1,{"deep":[true]}]}`),
	}
	created, err := c.CreateUser(t.Context(), client.UserInput{AdditionalProperties: attributes}, "")
	if err != nil {
		t.Fatal(err)
	}
	want := canonical(t, attributes)
	if d := gocmp.Diff(want, canonical(t, created.AdditionalProperties)); d != "" {
		t.Errorf("created (-want +got):\n%s", d)
	}
	if created.Name != nil || created.Email != nil || created.CreatedAt == nil || created.UpdatedAt == nil || created.ETag == "" {
		t.Errorf("got %+v, want a user without name and email, but with times and an ETag", created)
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
		t.Errorf("createdAt is %v, was %v", replaced.CreatedAt, created.CreatedAt)
	}
}

// TestForeignUser sees that users whom others have put into the table can be read, changed and listed, whatever they are like.
func TestForeignUser(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	s.PutItem(t, stacktest.Item{
		"userId":    &types.AttributeValueMemberS{Value: "foreign"},
		"name":      &types.AttributeValueMemberM{Value: stacktest.Item{"first": &types.AttributeValueMemberS{Value: "Ada"}}},
		"email":     &types.AttributeValueMemberS{Value: "ada@example.org"},
		"createdAt": &types.AttributeValueMemberN{Value: "1700000000"},
		"count":     &types.AttributeValueMemberN{Value: "7"},
	})
	c := connect(t, s.URL)
	want := map[string]string{"name": `{"first":"Ada"}`, "createdAt": "1700000000", "count": "7"}
	check := func(user *client.User, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if user.UserID != "foreign" || user.Name != nil || *user.Email != "ada@example.org" || user.CreatedAt != nil {
			t.Errorf("got %+v, want the user foreign, with an email alone in the fields", user.User)
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
	if d := gocmp.Diff(want, canonical(t, replaced.AdditionalProperties)); d != "" || *replaced.Name != "Ada" {
		t.Errorf("replaced: name %v, attributes (-want +got):\n%s", replaced.Name, d)
	}
}

// canonical returns values as one text each, whatever the order and spelling of what they have.
func canonical(t *testing.T, attributes map[string]json.RawMessage) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for name, text := range attributes {
		object := stacktest.Decode(t, []byte(`{"value":`+string(text)+`}`))
		content, err := json.Marshal(object["value"])
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(content)
	}
	return texts
}

// TestUsers reads more users than fit on a page, and stops in between.
func TestUsers(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	w := watch(t, s)
	c := connect(t, w.url)
	want := map[string]bool{}
	for i := range 23 {
		id := fmt.Sprintf("user-%d", i)
		want[id] = true
		if _, err := c.CreateUser(t.Context(), client.UserInput{UserID: &id}, ""); err != nil {
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
			t.Errorf("%s comes twice", user.UserID)
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

// TestUpdateUser_LosesNothing has clients count up one number at once.
func TestUpdateUser_LosesNothing(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	c := connect(t, s.URL)
	counter := client.UserInput{UserID: new("counter"), AdditionalProperties: map[string]json.RawMessage{"count": json.RawMessage("0")}}
	if _, err := c.CreateUser(t.Context(), counter, ""); err != nil {
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

// TestThrottledStage sees that a client gets through where the stage has it wait, with what is safe to repeat and what is not.
func TestThrottledStage(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t, stacktest.Parameters(map[string]string{"ThrottlingRateLimit": "1", "ThrottlingBurstLimit": "1"}))
	w := watch(t, s)
	c := connect(t, w.url)
	if _, err := c.CreateUser(t.Context(), client.UserInput{UserID: new("1")}, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ReplaceUser(t.Context(), "1", client.UserInput{Name: new("Ada")}, ""); err != nil {
		t.Error(err)
	}
	if _, err := c.GetUser(t.Context(), "1"); err != nil {
		t.Error(err)
	}
	if err := c.DeleteUser(t.Context(), "1", ""); err != nil {
		t.Error(err)
	}
	if !slices.ContainsFunc(w.exchanges(), func(exchange string) bool { return strings.HasSuffix(exchange, " 429") }) {
		t.Errorf("got %q, want that the stage has throttled", w.exchanges())
	}
	c = connect(t, w.url, client.WithRetries(0))
	for {
		if err := c.DeleteUser(t.Context(), "1", ""); err != nil {
			if problem, ok := errors.AsType[*client.Problem](err); ok && problem.Status == 404 {
				continue // not throttled yet
			} else if !ok || problem.Status != 429 || problem.Code != "Throttled" {
				t.Errorf("got error %v, want status 429", err)
			}
			break
		}
	}
}

// TestLostAnswer sees that a user is created once where the answer to that does not arrive.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	transport := &forgetful{Transport: &http.Transport{}}
	t.Cleanup(transport.CloseIdleConnections)
	c := connect(t, s.URL, client.WithHTTPClient(&http.Client{Transport: transport}))
	user, err := c.CreateUser(t.Context(), client.UserInput{Name: new("Ada")}, "")
	if err != nil {
		t.Fatal(err)
	}
	if sent := transport.sent.Load(); sent != 2 {
		t.Errorf("got %d requests, want 2", sent)
	}
	if users := s.AllItems(t); len(users) != 1 || users[user.UserID] == nil {
		t.Errorf("got %v, want the user %s alone", users, user.UserID)
	}
}

// forgetful loses the answer to the first request.
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
