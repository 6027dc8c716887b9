package userdata_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/shared/user"
	"github.com/userrequestapi/userdata/shared/userdata"
)

// call is what a client asked of the database.
type call struct {
	Operation string // PutItem
	Attempt   string // the SDK's: "attempt=1; max=3"
	Input     input
}

type input struct {
	Item, ExclusiveStartKey   map[string]any
	ConditionExpression       string
	ExpressionAttributeValues map[string]any
}

// answer is what the database does in answer to a call.
type answer func(w http.ResponseWriter, r *http.Request, in input)

// database is a server that answers as DynamoDB does, for what a real one does not do on demand.
type database struct {
	server *httptest.Server
	store  *userdata.Store

	mu    sync.Mutex
	calls []call
}

// newDatabase returns a database that gives these answers in turn, and the last one from then on.
func newDatabase(t *testing.T, answers ...answer) *database {
	t.Helper()
	d := &database{}
	d.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in input
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(body, &in)
		}
		if err != nil {
			t.Errorf("read the call: %v", err)
		}
		_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		d.mu.Lock()
		d.calls = append(d.calls, call{operation, r.Header.Get("Amz-Sdk-Request"), in})
		next := answers[min(len(d.calls), len(answers))-1]
		d.mu.Unlock()
		next(w, r, in)
	}))
	t.Cleanup(d.server.Close)
	d.store = userdata.New(userdata.NewClient(userdata.ClientConfig{
		Region:      "eu-central-1",
		Endpoint:    d.server.URL,
		Credentials: testCredentials(),
	}), "UserData")
	return d
}

// operations are the calls that came, each with the number of the SDK's attempt.
func (d *database) operations() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var names []string
	for _, c := range d.calls {
		attempt, _, _ := strings.Cut(strings.TrimPrefix(c.Attempt, "attempt="), ";")
		names = append(names, c.Operation+" "+attempt)
	}
	return names
}

func respond(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client may have gone
}

func ok(body map[string]any) answer {
	return func(w http.ResponseWriter, _ *http.Request, _ input) { respond(w, http.StatusOK, body) }
}

func item(it map[string]any) answer { return ok(map[string]any{"Item": it}) }

func refuse(status int, exception, message string) answer {
	return func(w http.ResponseWriter, _ *http.Request, _ input) {
		respond(w, status, map[string]any{"__type": "com.amazonaws.dynamodb.v20120810#" + exception, "message": message})
	}
}

func throttle() answer {
	return refuse(http.StatusBadRequest, "ProvisionedThroughputExceededException", "The level of configured throughput was exceeded")
}

// html is what answers in the place of DynamoDB where the endpoint is wrong.
func html(w http.ResponseWriter, _ *http.Request, _ input) { _, _ = io.WriteString(w, "<html>") }

func broken() answer {
	return refuse(http.StatusInternalServerError, "InternalServerError", "Internal server error")
}

// conflict says that the condition failed, with the item that is there, nil: none.
func conflict(it map[string]any) answer {
	return func(w http.ResponseWriter, _ *http.Request, _ input) {
		body := map[string]any{
			"__type":  "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
			"message": "The conditional request failed",
		}
		if it != nil {
			body["Item"] = it
		}
		respond(w, http.StatusBadRequest, body)
	}
}

// drop closes the connection without an answer.
func drop(w http.ResponseWriter, _ *http.Request, _ input) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		err = conn.Close()
	}
	if err != nil {
		panic(err)
	}
}

// cutShort closes the connection in the middle of an answer.
func cutShort(w http.ResponseWriter, _ *http.Request, _ input) {
	w.Header().Set("Content-Length", "1000")
	_, _ = io.WriteString(w, `{"Item":{"userId":`) // the client finds out
	panic(http.ErrAbortHandler)
}

// hang does not answer for as long as the client waits.
func hang(_ http.ResponseWriter, r *http.Request, _ input) { <-r.Context().Done() }

// carryOut carries a write out, and answers it like after. written has the item in the end.
func carryOut(written map[string]any, after answer) answer {
	return func(w http.ResponseWriter, r *http.Request, in input) {
		maps.Copy(written, in.Item)
		after(w, r, in)
	}
}

func stored(attributes ...string) map[string]any {
	it := map[string]any{"userId": map[string]any{"S": "1"}}
	for i := 0; i < len(attributes); i += 2 {
		it[attributes[i]] = map[string]any{"S": attributes[i+1]}
	}
	return it
}

func TestFaults(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		answers []answer
		want    user.Code // "": success
		retries int
	}{
		"fine":                            {[]answer{item(stored())}, "", 0},
		"throttled, then fine":            {[]answer{throttle(), throttle(), item(stored())}, "", 2},
		"throttled":                       {[]answer{throttle()}, user.Throttled, 2},
		"throttled by the account":        {[]answer{refuse(400, "RequestLimitExceeded", "")}, user.Throttled, 2},
		"throttled by the control":        {[]answer{refuse(400, "ThrottlingException", "")}, user.Throttled, 2},
		"broken, then fine":               {[]answer{broken(), item(stored())}, "", 1},
		"broken":                          {[]answer{broken()}, user.Unavailable, 2},
		"unavailable":                     {[]answer{refuse(503, "ServiceUnavailable", "")}, user.Unavailable, 2},
		"connection lost, then fine":      {[]answer{drop, item(stored())}, "", 1},
		"connection lost":                 {[]answer{drop}, user.Unavailable, 2},
		"answer cut short, then fine":     {[]answer{cutShort, item(stored())}, "", 1},
		"answer cut short":                {[]answer{cutShort}, user.Unavailable, 2},
		"no answer in time, then fine":    {[]answer{hang, item(stored())}, "", 1},
		"no table":                        {[]answer{refuse(400, "ResourceNotFoundException", "")}, user.Unavailable, 0},
		"not allowed":                     {[]answer{refuse(400, "AccessDeniedException", "")}, user.Unavailable, 0},
		"not DynamoDB":                    {[]answer{html}, user.Unavailable, 0},
		"throttled, then connection lost": {[]answer{throttle(), drop}, user.Unavailable, 3},
		"no such user":                    {[]answer{ok(map[string]any{})}, user.NotFound, 0},
		"broken, then no such user":       {[]answer{broken(), ok(map[string]any{})}, user.NotFound, 1},
		"not known, not to be repeated":   {[]answer{refuse(400, "SomethingNewException", "")}, user.Unavailable, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t, test.answers...)
			ctx, usage := userdata.WithUsage(t.Context())
			_, err := d.store.Get(ctx, "1")
			if test.want == "" && err != nil || test.want != "" && !errors.Is(err, &user.Error{Code: test.want}) {
				t.Errorf("got error %v, want %q", err, test.want)
			}
			if usage.Retries() != test.retries {
				t.Errorf("got %d retries, want %d", usage.Retries(), test.retries)
			}
			if got := len(d.operations()); got != 1+test.retries {
				t.Errorf("%d calls came, want %d", got, 1+test.retries)
			}
			if usage.Duration() <= 0 {
				t.Errorf("got duration %v", usage.Duration())
			}
		})
	}
}

func TestConnectionRefused(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, broken())
	d.server.Close()
	ctx, usage := userdata.WithUsage(t.Context())
	for name, err := range everyCall(ctx, d.store) {
		if !errors.Is(err, &user.Error{Code: user.Unavailable}) {
			t.Errorf("%s: got error %v", name, err)
		}
	}
	if got := usage.Retries(); got != 5*2 {
		t.Errorf("got %d retries of 5 calls", got)
	}
}

func everyCall(ctx context.Context, store *userdata.Store) map[string]error {
	_, get := store.Get(ctx, "1")
	_, list := store.List(ctx, "", 10)
	_, _, create := store.Create(ctx, user.Attributes{"userId": "1"}, nil)
	_, replace := store.Replace(ctx, "1", user.Attributes{}, nil)
	return map[string]error{"Get": get, "List": list, "Create": create, "Replace": replace, "Delete": store.Delete(ctx, "1", nil)}
}

// The SDK stops repeating when too many calls fail, which must not change what a call fails with.
func TestManyThrottled(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, throttle())
	var calls sync.WaitGroup
	for range 80 {
		calls.Go(func() {
			if _, err := d.store.Get(t.Context(), "1"); !errors.Is(err, &user.Error{Code: user.Throttled}) {
				t.Errorf("got error %v", err)
			}
		})
	}
	calls.Wait()
	if got := len(d.operations()); got >= 3*80 {
		t.Errorf("%d calls came: the SDK never stopped repeating them", got)
	}
}

// Revisions of the form that the store gives.
const (
	beforeRevision = "BBBBBBBBBBBBBBBBBBBBBBBBBB"
	othersRevision = "OOOOOOOOOOOOOOOOOOOOOOOOOO"
)

// An attempt of a write is in doubt: a create is not sent again, and no outcome is reported that might be wrong.
func TestInDoubt(t *testing.T) {
	t.Parallel()
	others := stored("_userrequestapi_rev", othersRevision, "name", "Grace")
	before := stored("_userrequestapi_rev", beforeRevision, "createdAt", "2026-01-02T03:04:05.678Z")
	create := func(ctx context.Context, store *userdata.Store) (user.User, error) {
		u, replayed, err := store.Create(ctx, user.Attributes{"userId": "1", "name": "Ada"}, nil)
		if replayed {
			t.Error("replayed")
		}
		return u, err
	}
	replace := func(ctx context.Context, store *userdata.Store) (user.User, error) {
		return store.Replace(ctx, "1", user.Attributes{"name": "Ada"}, nil)
	}
	replaceMatch := func(ctx context.Context, store *userdata.Store) (user.User, error) {
		return store.Replace(ctx, "1", user.Attributes{"name": "Ada"}, []user.ETag{beforeRevision})
	}
	remove := func(ctx context.Context, store *userdata.Store) (user.User, error) {
		return user.User{}, store.Delete(ctx, "1", nil)
	}
	removeMatch := func(ctx context.Context, store *userdata.Store) (user.User, error) {
		return user.User{}, store.Delete(ctx, "1", []user.ETag{beforeRevision})
	}
	foreign := stored("name", "Grace")
	written := func() map[string]any { return map[string]any{} }
	tests := map[string]struct {
		answers func(written map[string]any) []answer
		write   func(ctx context.Context, store *userdata.Store) (user.User, error)
		want    user.Code
		calls   []string
	}{
		"create": {
			func(w map[string]any) []answer { return []answer{carryOut(w, drop), item(w)} },
			create, "", []string{"PutItem 1", "GetItem 1"},
		},
		"create, failed": {
			func(w map[string]any) []answer { return []answer{carryOut(w, broken()), item(w)} },
			create, "", []string{"PutItem 1", "GetItem 1"},
		},
		"create, cut short": {
			func(w map[string]any) []answer { return []answer{carryOut(w, cutShort), broken(), item(w)} },
			create, "", []string{"PutItem 1", "GetItem 1", "GetItem 2"},
		},
		"create, not executed": { // or not yet
			func(map[string]any) []answer { return []answer{broken(), ok(map[string]any{})} },
			create, user.Unavailable, []string{"PutItem 1", "GetItem 1"},
		},
		"create, after others": {
			func(map[string]any) []answer { return []answer{broken(), item(others)} },
			create, user.Unavailable, []string{"PutItem 1", "GetItem 1"},
		},
		"create, throttled, then there are others": { // a throttled attempt had no effect
			func(map[string]any) []answer { return []answer{throttle(), conflict(others)} },
			create, user.Exists, []string{"PutItem 1", "PutItem 2"},
		},
		"create, throttled, then failed": {
			func(map[string]any) []answer { return []answer{throttle(), broken(), item(others)} },
			create, user.Unavailable, []string{"PutItem 1", "PutItem 2", "GetItem 1"},
		},
		"replace": {
			func(w map[string]any) []answer { return []answer{item(before), carryOut(w, drop), conflict(w)} },
			replace, "", []string{"GetItem 1", "PutItem 1", "PutItem 1"},
		},
		"replace, failed": {
			func(w map[string]any) []answer { return []answer{item(before), carryOut(w, broken()), conflict(w)} },
			replaceMatch, "", []string{"GetItem 1", "PutItem 1", "PutItem 2"},
		},
		"replace, after others": {
			func(map[string]any) []answer { return []answer{item(before), broken(), conflict(others)} },
			replaceMatch, user.Unavailable, []string{"GetItem 1", "PutItem 1", "PutItem 2"},
		},
		"replace without If-Match, after others": { // which must not be overwritten by a write that may have happened before it
			func(map[string]any) []answer { return []answer{item(before), drop, conflict(others)} },
			replace, user.Unavailable, []string{"GetItem 1", "PutItem 1", "PutItem 1"},
		},
		"replace, deleted by others": {
			func(map[string]any) []answer { return []answer{item(before), broken(), conflict(nil)} },
			replace, user.Unavailable, []string{"GetItem 1", "PutItem 1", "PutItem 2"},
		},
		"replace of an item without revision": { // the condition holds again if others write such an item again
			func(w map[string]any) []answer { return []answer{item(foreign), carryOut(w, drop), item(w)} },
			replace, "", []string{"GetItem 1", "PutItem 1", "GetItem 1"},
		},
		"replace of an item without revision, not executed": {
			func(map[string]any) []answer { return []answer{item(foreign), broken(), item(foreign)} },
			replace, user.Unavailable, []string{"GetItem 1", "PutItem 1", "GetItem 1"},
		},
		"replace, too large after doubt": {
			func(map[string]any) []answer {
				return []answer{item(before), broken(), refuse(400, "ValidationException", "Item size has exceeded"), item(before)}
			},
			replace, user.Unavailable, []string{"GetItem 1", "PutItem 1", "PutItem 2", "GetItem 1"},
		},
		"replace, failed every time, executed": {
			func(w map[string]any) []answer {
				return []answer{item(before), broken(), broken(), carryOut(w, broken()), item(w)}
			},
			replaceMatch, "", []string{"GetItem 1", "PutItem 1", "PutItem 2", "PutItem 3", "GetItem 1"},
		},
		"replace, throttled, then changed by others": { // what was throttled was not carried out
			func(map[string]any) []answer {
				return []answer{item(before), throttle(), conflict(others), item(others)}
			},
			replaceMatch, user.PreconditionFailed, []string{"GetItem 1", "PutItem 1", "PutItem 2", "GetItem 1"},
		},
		"delete, throttled, then deleted by others": {
			func(map[string]any) []answer {
				return []answer{item(before), throttle(), conflict(nil), ok(map[string]any{})}
			},
			removeMatch, user.NotFound, []string{"GetItem 1", "DeleteItem 1", "DeleteItem 2", "GetItem 1"},
		},
		"create, throttled": {
			func(map[string]any) []answer { return []answer{throttle()} },
			create, user.Throttled, []string{"PutItem 1", "PutItem 2", "PutItem 3"},
		},
		"create, failed, then throttled": { // "come back later" would say that nothing was written
			func(map[string]any) []answer { return []answer{broken(), throttle()} },
			create, user.Unavailable, []string{"PutItem 1", "GetItem 1", "GetItem 2", "GetItem 3"},
		},
		"replace, throttled": {
			func(map[string]any) []answer { return []answer{item(before), throttle()} },
			replaceMatch, user.Throttled, []string{"GetItem 1", "PutItem 1", "PutItem 2", "PutItem 3"},
		},
		"replace, failed, then throttled": {
			func(map[string]any) []answer { return []answer{item(before), broken(), throttle()} },
			replaceMatch, user.Unavailable,
			[]string{"GetItem 1", "PutItem 1", "PutItem 2", "PutItem 3", "GetItem 1", "GetItem 2", "GetItem 3"},
		},
		"replace, throttled, lost, then throttled": {
			func(map[string]any) []answer { return []answer{item(before), throttle(), drop, throttle()} },
			replace, user.Unavailable,
			[]string{"GetItem 1", "PutItem 1", "PutItem 2", "PutItem 2", "PutItem 3", "GetItem 1", "GetItem 2", "GetItem 3"},
		},
		"delete, throttled": {
			func(map[string]any) []answer { return []answer{item(before), throttle()} },
			remove, user.Throttled, []string{"GetItem 1", "DeleteItem 1", "DeleteItem 2", "DeleteItem 3"},
		},
		"delete, failed, then throttled": {
			func(map[string]any) []answer { return []answer{item(before), broken(), throttle()} },
			remove, user.Unavailable,
			[]string{"GetItem 1", "DeleteItem 1", "DeleteItem 2", "DeleteItem 3", "GetItem 1", "GetItem 2", "GetItem 3"},
		},
		"replace again, changed by others": {
			func(map[string]any) []answer {
				return []answer{item(before), conflict(others), item(others), ok(map[string]any{})}
			},
			replace, "", []string{"GetItem 1", "PutItem 1", "GetItem 1", "PutItem 1"},
		},
		"delete": {
			func(map[string]any) []answer { return []answer{item(before), drop, conflict(nil)} },
			remove, "", []string{"GetItem 1", "DeleteItem 1", "DeleteItem 1"},
		},
		"delete, failed": {
			func(map[string]any) []answer { return []answer{item(before), broken(), conflict(nil)} },
			remove, "", []string{"GetItem 1", "DeleteItem 1", "DeleteItem 2"},
		},
		"delete with If-Match": { // there is no proof of a deletion
			func(map[string]any) []answer { return []answer{item(before), drop, conflict(nil)} },
			removeMatch, user.Unavailable, []string{"GetItem 1", "DeleteItem 1", "DeleteItem 1"},
		},
		"delete, failed every time, executed": {
			func(map[string]any) []answer {
				return []answer{item(before), broken(), broken(), broken(), ok(map[string]any{})}
			},
			remove, "", []string{"GetItem 1", "DeleteItem 1", "DeleteItem 2", "DeleteItem 3", "GetItem 1"},
		},
		"delete, failed every time": {
			func(map[string]any) []answer {
				return []answer{item(before), broken(), broken(), broken(), item(before)}
			},
			remove, user.Unavailable, []string{"GetItem 1", "DeleteItem 1", "DeleteItem 2", "DeleteItem 3", "GetItem 1"},
		},
		"delete of an item without revision": {
			func(map[string]any) []answer { return []answer{item(foreign), drop, ok(map[string]any{})} },
			remove, "", []string{"GetItem 1", "DeleteItem 1", "GetItem 1"},
		},
		"delete of an item without revision, not executed": {
			func(map[string]any) []answer { return []answer{item(foreign), drop, item(foreign)} },
			remove, user.Unavailable, []string{"GetItem 1", "DeleteItem 1", "GetItem 1"},
		},
		"delete, after others": {
			func(map[string]any) []answer { return []answer{item(before), conflict(nil), ok(map[string]any{})} },
			remove, user.NotFound, []string{"GetItem 1", "DeleteItem 1", "GetItem 1"},
		},
		"delete, changed by others": {
			func(map[string]any) []answer { return []answer{item(before), broken(), conflict(others)} },
			remove, user.Unavailable, []string{"GetItem 1", "DeleteItem 1", "DeleteItem 2"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := written()
			d := newDatabase(t, test.answers(w)...)
			u, err := test.write(t.Context(), d.store)
			var refused *user.Error
			if test.want == "" && err != nil || test.want != "" && (!errors.As(err, &refused) || refused.Code != test.want) {
				t.Errorf("got error %v, want %q", err, test.want)
			}
			if test.want == user.Unavailable && !strings.Contains(refused.Detail, "unknown") {
				t.Errorf("got detail %q, want one that says that the outcome is unknown", refused.Detail)
			}
			if diff := cmp.Diff(test.calls, d.operations()); diff != "" {
				t.Errorf("calls and the SDK's attempts (-want +got):\n%s", diff)
			}
			if len(w) == 0 {
				return
			}
			if diff := cmp.Diff(map[string]any{"S": string(u.ETag)}, w["_userrequestapi_rev"]); diff != "" {
				t.Errorf("the ETag is not that of what was written (-want +got):\n%s", diff)
			}
			if u.Attributes["name"] != "Ada" {
				t.Errorf("got user %v", u)
			}
		})
	}
}

// What follows an empty page begins where the database has stopped, not anew.
func TestEmptyPage(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, ok(map[string]any{"LastEvaluatedKey": stored()}), ok(map[string]any{"Items": []any{stored("name", "Ada")}}))
	page, err := d.store.List(t.Context(), "", 10)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(user.Page{More: true, Next: "1"}, page); diff != "" {
		t.Errorf("page (-want +got):\n%s", diff)
	}
	if _, err := d.store.List(t.Context(), page.Next, 10); err != nil {
		t.Fatal(err)
	}
	if got := d.calls[1].Input.ExclusiveStartKey; !cmp.Equal(got, stored()) {
		t.Errorf("the page after it begins after %v", got)
	}
}

// Where every write meets that of another, it is given up at last.
func TestChangedEveryTime(t *testing.T) {
	t.Parallel()
	it := stored("_userrequestapi_rev", othersRevision)
	d := newDatabase(t, func(w http.ResponseWriter, r *http.Request, in input) {
		if in.ConditionExpression == "" {
			item(it)(w, r, in)
		} else {
			conflict(it)(w, r, in)
		}
	})
	_, err := d.store.Replace(t.Context(), "1", user.Attributes{}, nil)
	if !errors.Is(err, &user.Error{Code: user.Throttled}) {
		t.Errorf("got error %v", err)
	}
	if n := len(d.operations()); n != 16 {
		t.Errorf("%d calls came, want 8 times two", n)
	}
}

// A connection that is dead when it is taken from the pool, as after the environment was frozen, is replaced at once: it is still
// the SDK's first attempt, so that it has not paused.
func TestDeadConnection(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]struct {
		do     func(ctx context.Context, store *userdata.Store) error
		answer answer
	}{
		"GetItem": {func(ctx context.Context, store *userdata.Store) error {
			_, err := store.Get(ctx, "1")
			return err
		}, item(stored())},
		"Scan": {func(ctx context.Context, store *userdata.Store) error {
			_, err := store.List(ctx, "", 10)
			return err
		}, ok(map[string]any{"Items": []any{stored()}})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t, item(stored()), drop, call.answer)
			if _, err := d.store.Get(t.Context(), "1"); err != nil { // opens the connection
				t.Fatal(err)
			}
			ctx, usage := userdata.WithUsage(t.Context())
			if err := call.do(ctx, d.store); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff([]string{"GetItem 1", name + " 1", name + " 1"}, d.operations()); diff != "" {
				t.Errorf("calls and the SDK's attempts (-want +got):\n%s", diff)
			}
			if usage.Retries() != 1 {
				t.Errorf("got %d retries, want 1", usage.Retries())
			}
		})
	}
}

func TestErrorsHaveNoValues(t *testing.T) {
	t.Parallel()
	const secret = "ada@example.org"
	for _, exception := range []string{"ValidationException", "SerializationException"} {
		d := newDatabase(t, refuse(400, exception, "One or more parameter values were invalid: "+secret))
		for name, err := range everyCall(t.Context(), d.store) {
			if !errors.Is(err, &user.Error{Code: user.Unavailable}) ||
				strings.Contains(err.Error(), secret) || !strings.Contains(err.Error(), exception) {
				t.Errorf("%s: got error %v", name, err)
			}
		}
	}
	d := newDatabase(t, conflict(stored("email", secret)))
	_, _, err := d.store.Create(t.Context(), user.Attributes{"userId": "1"}, nil)
	if !errors.Is(err, &user.Error{Code: user.Exists}) || strings.Contains(err.Error(), secret) {
		t.Errorf("got error %v", err)
	}
}

// What DynamoDB finds too large, though its size was thought right.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	tooLarge := refuse(400, "ValidationException", "Item size has exceeded the maximum allowed size")
	d := newDatabase(t, tooLarge)
	if _, _, err := d.store.Create(t.Context(), user.Attributes{"userId": "1"}, nil); !errors.Is(err, &user.Error{Code: user.BodyTooLarge}) {
		t.Errorf("create: got error %v", err)
	}
	d = newDatabase(t, item(stored()), tooLarge)
	if _, err := d.store.Replace(t.Context(), "1", user.Attributes{}, nil); !errors.Is(err, &user.Error{Code: user.BodyTooLarge}) {
		t.Errorf("replace: got error %v", err)
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, broken(), item(stored()))
	ctx, usage := userdata.WithUsage(t.Context())
	if usage.Duration() != 0 || usage.Retries() != 0 {
		t.Errorf("before: got duration %v and %d retries", usage.Duration(), usage.Retries())
	}
	var calls sync.WaitGroup
	for range 4 {
		calls.Go(func() {
			if _, err := d.store.Get(ctx, "1"); err != nil {
				t.Error(err)
			}
		})
	}
	calls.Wait()
	if usage.Duration() <= 0 || usage.Retries() != 1 {
		t.Errorf("got duration %v and %d retries, want 1", usage.Duration(), usage.Retries())
	}
}
