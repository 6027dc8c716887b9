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
	"github.com/userrequestapi/userdata/shared/user/usertest"
	"github.com/userrequestapi/userdata/shared/userdata"
)

// call is a call that the database received.
type call struct {
	Operation string // for example "PutItem"
	Attempt   string // Amz-Sdk-Request, for example "attempt=1; max=3"
	Input     input
}

type input struct {
	Item, ExclusiveStartKey   map[string]any
	ConditionExpression       string
	ExpressionAttributeValues map[string]any
}

// response responds to a call.
type response func(w http.ResponseWriter, r *http.Request, in input)

// database is a stub of DynamoDB for faults that DynamoDB Local cannot produce on demand.
type database struct {
	server *httptest.Server
	store  *userdata.DynamoStore

	mu    sync.Mutex
	calls []call
}

// newDatabase starts a database that responds to each call with the next response, and repeats the last one.
func newDatabase(t *testing.T, responses ...response) *database {
	t.Helper()
	d := &database{}
	d.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in input
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(body, &in)
		}
		if err != nil {
			t.Errorf("read call: %v", err)
		}
		_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		d.mu.Lock()
		d.calls = append(d.calls, call{operation, r.Header.Get("Amz-Sdk-Request"), in})
		next := responses[min(len(d.calls), len(responses))-1]
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

// operations returns the calls so far, each with the number of the SDK's attempt.
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
	_ = json.NewEncoder(w).Encode(body) // the client may have disconnected
}

func ok(body map[string]any) response {
	return func(w http.ResponseWriter, _ *http.Request, _ input) { respond(w, http.StatusOK, body) }
}

func item(it map[string]any) response { return ok(map[string]any{"Item": it}) }

func fail(status int, exception, message string) response {
	return func(w http.ResponseWriter, _ *http.Request, _ input) {
		respond(w, status, map[string]any{"__type": "com.amazonaws.dynamodb.v20120810#" + exception, "message": message})
	}
}

func throttle() response {
	return fail(http.StatusBadRequest, "ProvisionedThroughputExceededException",
		"The level of configured throughput was exceeded")
}

// html is the response of a web server, as after a wrong endpoint.
func html(w http.ResponseWriter, _ *http.Request, _ input) { _, _ = io.WriteString(w, "<html>") }

func internalError() response {
	return fail(http.StatusInternalServerError, "InternalServerError", "Internal server error")
}

// conflict is the response to a write whose condition failed. it is the existing item, or nil if there is none.
func conflict(it map[string]any) response {
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

// drop closes the connection without a response.
func drop(w http.ResponseWriter, _ *http.Request, _ input) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		err = conn.Close()
	}
	if err != nil {
		panic(err)
	}
}

// truncate closes the connection in the middle of the response.
func truncate(w http.ResponseWriter, _ *http.Request, _ input) {
	w.Header().Set("Content-Length", "1000")
	_, _ = io.WriteString(w, `{"Item":{"userId":`) // an error is the client's
	panic(http.ErrAbortHandler)
}

// hang sends no response until the client gives up.
func hang(_ http.ResponseWriter, r *http.Request, _ input) { <-r.Context().Done() }

// execute copies the item of a write to written, then responds with next.
func execute(written map[string]any, next response) response {
	return func(w http.ResponseWriter, r *http.Request, in input) {
		maps.Copy(written, in.Item)
		next(w, r, in)
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
		responses []response
		want      user.Code // "" for success
		retries   int
	}{
		"success":                         {[]response{item(stored())}, "", 0},
		"throttled, then success":         {[]response{throttle(), throttle(), item(stored())}, "", 2},
		"throttled":                       {[]response{throttle()}, user.Throttled, 2},
		"throttled by the account limit":  {[]response{fail(400, "RequestLimitExceeded", "")}, user.Throttled, 2},
		"throttled by the control plane":  {[]response{fail(400, "ThrottlingException", "")}, user.Throttled, 2},
		"internal error, then success":    {[]response{internalError(), item(stored())}, "", 1},
		"internal error":                  {[]response{internalError()}, user.Unavailable, 2},
		"unavailable":                     {[]response{fail(503, "ServiceUnavailable", "")}, user.Unavailable, 2},
		"connection lost, then success":   {[]response{drop, item(stored())}, "", 1},
		"connection lost":                 {[]response{drop}, user.Unavailable, 2},
		"truncated, then success":         {[]response{truncate, item(stored())}, "", 1},
		"truncated":                       {[]response{truncate}, user.Unavailable, 2},
		"timeout, then success":           {[]response{hang, item(stored())}, "", 1},
		"no table":                        {[]response{fail(400, "ResourceNotFoundException", "")}, user.Unavailable, 0},
		"access denied":                   {[]response{fail(400, "AccessDeniedException", "")}, user.Unavailable, 0},
		"not DynamoDB":                    {[]response{html}, user.Unavailable, 0},
		"throttled, then connection lost": {[]response{throttle(), drop}, user.Unavailable, 3},
		"user not found":                  {[]response{ok(map[string]any{})}, user.NotFound, 0},
		"internal error, then not found":  {[]response{internalError(), ok(map[string]any{})}, user.NotFound, 1},
		"unknown error":                   {[]response{fail(400, "SomethingNewException", "")}, user.Unavailable, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t, test.responses...)
			ctx, usage := userdata.WithUsage(t.Context())
			_, err := d.store.Get(ctx, "1")
			if test.want == "" && err != nil || test.want != "" && !errors.Is(err, &user.Error{Code: test.want}) {
				t.Errorf("got error %v, want %q", err, test.want)
			}
			if usage.Retries() != test.retries {
				t.Errorf("got %d retries, want %d", usage.Retries(), test.retries)
			}
			if got := len(d.operations()); got != 1+test.retries {
				t.Errorf("got %d calls, want %d", got, 1+test.retries)
			}
			if usage.Duration() <= 0 {
				t.Errorf("got duration %v, want a positive one", usage.Duration())
			}
		})
	}
}

func TestConnectionRefused(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, internalError())
	d.server.Close()
	ctx, usage := userdata.WithUsage(t.Context())
	for name, err := range callAll(ctx, t, d.store) {
		if !errors.Is(err, &user.Error{Code: user.Unavailable}) {
			t.Errorf("%s: got error %v, want %s", name, err, user.Unavailable)
		}
	}
	if got := usage.Retries(); got != 5*2 {
		t.Errorf("got %d retries of 5 calls, want 10", got)
	}
}

// callAll calls each method once and returns the errors.
func callAll(ctx context.Context, t *testing.T, store *userdata.DynamoStore) map[string]error {
	t.Helper()
	_, get := store.Get(ctx, "1")
	_, list := store.List(ctx, "", 10)
	_, _, create := store.Create(ctx, usertest.Attributes(t, "userId", "1"), nil)
	_, replace := store.Replace(ctx, "1", usertest.Attributes(t), nil)
	remove := store.Delete(ctx, "1", nil)
	return map[string]error{"Get": get, "List": list, "Create": create, "Replace": replace, "Delete": remove}
}

// TestManyThrottled checks that a call returns the same error when the SDK's retry quota is used up.
func TestManyThrottled(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, throttle())
	var calls sync.WaitGroup
	for range 8 { // with 80 connections, a busy machine would exceed the timeouts of the client
		calls.Go(func() {
			for range 10 {
				if _, err := d.store.Get(t.Context(), "1"); !errors.Is(err, &user.Error{Code: user.Throttled}) {
					t.Errorf("got error %v, want %s", err, user.Throttled)
				}
			}
		})
	}
	calls.Wait()
	if got := len(d.operations()); got >= 3*80 {
		t.Errorf("got %d calls, want fewer than 240 because of the SDK's retry quota", got)
	}
}

// Revisions in the format of the store.
const (
	beforeRevision = "BBBBBBBBBBBBBBBBBBBBBBBBBB"
	othersRevision = "OOOOOOOOOOOOOOOOOOOOOOOOOO"
)

// TestInDoubt checks that a create in doubt is not retried, and that no write in doubt reports a wrong outcome.
func TestInDoubt(t *testing.T) {
	t.Parallel()
	others := stored("_userrequestapi_rev", othersRevision, "name", "Grace")
	before := stored("_userrequestapi_rev", beforeRevision, "createdAt", "2026-01-02T03:04:05.678Z")
	create := func(ctx context.Context, store *userdata.DynamoStore) (user.User, error) {
		u, replayed, err := store.Create(ctx, usertest.Attributes(t, "userId", "1", "name", "Ada"), nil)
		if replayed {
			t.Error("got replayed true, want false without an idempotency key")
		}
		return u, err
	}
	replace := func(ctx context.Context, store *userdata.DynamoStore) (user.User, error) {
		return store.Replace(ctx, "1", usertest.Attributes(t, "name", "Ada"), nil)
	}
	replaceMatch := func(ctx context.Context, store *userdata.DynamoStore) (user.User, error) {
		return store.Replace(ctx, "1", usertest.Attributes(t, "name", "Ada"), []user.ETag{beforeRevision})
	}
	remove := func(ctx context.Context, store *userdata.DynamoStore) (user.User, error) {
		return user.User{}, store.Delete(ctx, "1", nil)
	}
	removeMatch := func(ctx context.Context, store *userdata.DynamoStore) (user.User, error) {
		return user.User{}, store.Delete(ctx, "1", []user.ETag{beforeRevision})
	}
	foreign := stored("name", "Grace")
	written := func() map[string]any { return map[string]any{} }
	tests := map[string]struct {
		responses func(written map[string]any) []response
		write     func(ctx context.Context, store *userdata.DynamoStore) (user.User, error)
		want      user.Code
		calls     []string
	}{
		"create": {
			func(w map[string]any) []response { return []response{execute(w, drop), item(w)} },
			create, "", []string{"PutItem 1", "GetItem 1"},
		},
		"create, internal error": {
			func(w map[string]any) []response { return []response{execute(w, internalError()), item(w)} },
			create, "", []string{"PutItem 1", "GetItem 1"},
		},
		"create, truncated": {
			func(w map[string]any) []response { return []response{execute(w, truncate), internalError(), item(w)} },
			create, "", []string{"PutItem 1", "GetItem 1", "GetItem 2"},
		},
		"create, not executed": { // or not executed yet
			func(map[string]any) []response { return []response{internalError(), ok(map[string]any{})} },
			create, user.Unavailable, []string{"PutItem 1", "GetItem 1"},
		},
		"create, after others": {
			func(map[string]any) []response { return []response{internalError(), item(others)} },
			create, user.Unavailable, []string{"PutItem 1", "GetItem 1"},
		},
		"create, throttled, then created by others": { // a throttled attempt has no effect
			func(map[string]any) []response { return []response{throttle(), conflict(others)} },
			create, user.Exists, []string{"PutItem 1", "PutItem 2"},
		},
		"create, throttled, then internal error": {
			func(map[string]any) []response { return []response{throttle(), internalError(), item(others)} },
			create, user.Unavailable, []string{"PutItem 1", "PutItem 2", "GetItem 1"},
		},
		"replace": {
			func(w map[string]any) []response { return []response{item(before), execute(w, drop), conflict(w)} },
			replace, "", []string{"GetItem 1", "PutItem 1", "PutItem 1"},
		},
		"replace, internal error": {
			func(w map[string]any) []response {
				return []response{item(before), execute(w, internalError()), conflict(w)}
			},
			replaceMatch, "", []string{"GetItem 1", "PutItem 1", "PutItem 2"},
		},
		"replace, after others": {
			func(map[string]any) []response { return []response{item(before), internalError(), conflict(others)} },
			replaceMatch, user.Unavailable, []string{"GetItem 1", "PutItem 1", "PutItem 2"},
		},
		"replace without If-Match, after others": { // a retry must not overwrite their write
			func(map[string]any) []response { return []response{item(before), drop, conflict(others)} },
			replace, user.Unavailable, []string{"GetItem 1", "PutItem 1", "PutItem 1"},
		},
		"replace, deleted by others": {
			func(map[string]any) []response { return []response{item(before), internalError(), conflict(nil)} },
			replace, user.Unavailable, []string{"GetItem 1", "PutItem 1", "PutItem 2"},
		},
		"replace of an item without revision": { // its condition can become true again
			func(w map[string]any) []response { return []response{item(foreign), execute(w, drop), item(w)} },
			replace, "", []string{"GetItem 1", "PutItem 1", "GetItem 1"},
		},
		"replace of an item without revision, not executed": {
			func(map[string]any) []response { return []response{item(foreign), internalError(), item(foreign)} },
			replace, user.Unavailable, []string{"GetItem 1", "PutItem 1", "GetItem 1"},
		},
		"replace, too large after doubt": {
			func(map[string]any) []response {
				tooLarge := fail(400, "ValidationException", "Item size has exceeded")
				return []response{item(before), internalError(), tooLarge, item(before)}
			},
			replace, user.Unavailable, []string{"GetItem 1", "PutItem 1", "PutItem 2", "GetItem 1"},
		},
		"replace, three internal errors, executed": {
			func(w map[string]any) []response {
				return []response{item(before), internalError(), internalError(), execute(w, internalError()), item(w)}
			},
			replaceMatch, "", []string{"GetItem 1", "PutItem 1", "PutItem 2", "PutItem 3", "GetItem 1"},
		},
		"replace, throttled, then changed by others": { // a throttled attempt has no effect
			func(map[string]any) []response {
				return []response{item(before), throttle(), conflict(others), item(others)}
			},
			replaceMatch, user.PreconditionFailed, []string{"GetItem 1", "PutItem 1", "PutItem 2", "GetItem 1"},
		},
		"delete, throttled, then deleted by others": {
			func(map[string]any) []response {
				return []response{item(before), throttle(), conflict(nil), ok(map[string]any{})}
			},
			removeMatch, user.NotFound, []string{"GetItem 1", "DeleteItem 1", "DeleteItem 2", "GetItem 1"},
		},
		"create, throttled": {
			func(map[string]any) []response { return []response{throttle()} },
			create, user.Throttled, []string{"PutItem 1", "PutItem 2", "PutItem 3"},
		},
		"create, internal error, then throttled": { // Throttled would mean that the write had no effect
			func(map[string]any) []response { return []response{internalError(), throttle()} },
			create, user.Unavailable, []string{"PutItem 1", "GetItem 1", "GetItem 2", "GetItem 3"},
		},
		"replace, throttled": {
			func(map[string]any) []response { return []response{item(before), throttle()} },
			replaceMatch, user.Throttled, []string{"GetItem 1", "PutItem 1", "PutItem 2", "PutItem 3"},
		},
		"replace, internal error, then throttled": {
			func(map[string]any) []response { return []response{item(before), internalError(), throttle()} },
			replaceMatch, user.Unavailable,
			[]string{"GetItem 1", "PutItem 1", "PutItem 2", "PutItem 3", "GetItem 1", "GetItem 2", "GetItem 3"},
		},
		"replace, throttled, lost, then throttled": {
			func(map[string]any) []response { return []response{item(before), throttle(), drop, throttle()} },
			replace, user.Unavailable,
			[]string{"GetItem 1", "PutItem 1", "PutItem 2", "PutItem 2", "PutItem 3", "GetItem 1", "GetItem 2", "GetItem 3"},
		},
		"delete, throttled": {
			func(map[string]any) []response { return []response{item(before), throttle()} },
			remove, user.Throttled, []string{"GetItem 1", "DeleteItem 1", "DeleteItem 2", "DeleteItem 3"},
		},
		"delete, internal error, then throttled": {
			func(map[string]any) []response { return []response{item(before), internalError(), throttle()} },
			remove, user.Unavailable,
			[]string{"GetItem 1", "DeleteItem 1", "DeleteItem 2", "DeleteItem 3", "GetItem 1", "GetItem 2", "GetItem 3"},
		},
		"replace, changed by others, second round": {
			func(map[string]any) []response {
				return []response{item(before), conflict(others), item(others), ok(map[string]any{})}
			},
			replace, "", []string{"GetItem 1", "PutItem 1", "GetItem 1", "PutItem 1"},
		},
		"delete": {
			func(map[string]any) []response { return []response{item(before), drop, conflict(nil)} },
			remove, "", []string{"GetItem 1", "DeleteItem 1", "DeleteItem 1"},
		},
		"delete, internal error": {
			func(map[string]any) []response { return []response{item(before), internalError(), conflict(nil)} },
			remove, "", []string{"GetItem 1", "DeleteItem 1", "DeleteItem 2"},
		},
		"delete with If-Match": { // a missing item does not prove who deleted it
			func(map[string]any) []response { return []response{item(before), drop, conflict(nil)} },
			removeMatch, user.Unavailable, []string{"GetItem 1", "DeleteItem 1", "DeleteItem 1"},
		},
		"delete, three internal errors, executed": {
			func(map[string]any) []response {
				return []response{item(before), internalError(), internalError(), internalError(), ok(map[string]any{})}
			},
			remove, "", []string{"GetItem 1", "DeleteItem 1", "DeleteItem 2", "DeleteItem 3", "GetItem 1"},
		},
		"delete, three internal errors": {
			func(map[string]any) []response {
				return []response{item(before), internalError(), internalError(), internalError(), item(before)}
			},
			remove, user.Unavailable, []string{"GetItem 1", "DeleteItem 1", "DeleteItem 2", "DeleteItem 3", "GetItem 1"},
		},
		"delete of an item without revision": {
			func(map[string]any) []response { return []response{item(foreign), drop, ok(map[string]any{})} },
			remove, "", []string{"GetItem 1", "DeleteItem 1", "GetItem 1"},
		},
		"delete of an item without revision, not executed": {
			func(map[string]any) []response { return []response{item(foreign), drop, item(foreign)} },
			remove, user.Unavailable, []string{"GetItem 1", "DeleteItem 1", "GetItem 1"},
		},
		"delete, after others": {
			func(map[string]any) []response { return []response{item(before), conflict(nil), ok(map[string]any{})} },
			remove, user.NotFound, []string{"GetItem 1", "DeleteItem 1", "GetItem 1"},
		},
		"delete, changed by others": {
			func(map[string]any) []response { return []response{item(before), internalError(), conflict(others)} },
			remove, user.Unavailable, []string{"GetItem 1", "DeleteItem 1", "DeleteItem 2"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := written()
			d := newDatabase(t, test.responses(w)...)
			u, err := test.write(t.Context(), d.store)
			var refused *user.Error
			if test.want == "" && err != nil || test.want != "" && (!errors.As(err, &refused) || refused.Code != test.want) {
				t.Errorf("got error %v, want %q", err, test.want)
			}
			if test.want == user.Unavailable && !strings.Contains(refused.Detail, "unknown") {
				t.Errorf("got detail %q, want the outcome to be unknown", refused.Detail)
			}
			if diff := cmp.Diff(test.calls, d.operations()); diff != "" {
				t.Errorf("calls and the SDK's attempts (-want +got):\n%s", diff)
			}
			if len(w) == 0 {
				return
			}
			if diff := cmp.Diff(map[string]any{"S": string(u.ETag)}, w["_userrequestapi_rev"]); diff != "" {
				t.Errorf("revision of the written item (-want +got):\n%s", diff)
			}
			if u.Attributes["name"] != "Ada" {
				t.Errorf("got user %v, want the name Ada", u)
			}
		})
	}
}

// TestEmptyPage checks that the page after an empty one starts at LastEvaluatedKey.
func TestEmptyPage(t *testing.T) {
	t.Parallel()
	empty := ok(map[string]any{"LastEvaluatedKey": stored()})
	d := newDatabase(t, empty, ok(map[string]any{"Items": []any{stored("name", "Ada")}}))
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
		t.Errorf("got ExclusiveStartKey %v, want the key of user 1", got)
	}
}

// TestConflictInEachRound checks that a write gives up after 8 conflicts.
func TestConflictInEachRound(t *testing.T) {
	t.Parallel()
	it := stored("_userrequestapi_rev", othersRevision)
	d := newDatabase(t, func(w http.ResponseWriter, r *http.Request, in input) {
		if in.ConditionExpression == "" {
			item(it)(w, r, in)
		} else {
			conflict(it)(w, r, in)
		}
	})
	_, err := d.store.Replace(t.Context(), "1", usertest.Attributes(t), nil)
	if !errors.Is(err, &user.Error{Code: user.Throttled}) {
		t.Errorf("got error %v, want %s", err, user.Throttled)
	}
	if n := len(d.operations()); n != 16 {
		t.Errorf("got %d calls, want 16", n)
	}
}

// TestBrokenConnection checks that a broken idle connection is replaced within the SDK's first attempt, without
// backoff.
func TestBrokenConnection(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]struct {
		do       func(ctx context.Context, store *userdata.DynamoStore) error
		response response
	}{
		"GetItem": {func(ctx context.Context, store *userdata.DynamoStore) error {
			_, err := store.Get(ctx, "1")
			return err
		}, item(stored())},
		"Scan": {func(ctx context.Context, store *userdata.DynamoStore) error {
			_, err := store.List(ctx, "", 10)
			return err
		}, ok(map[string]any{"Items": []any{stored()}})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t, item(stored()), drop, call.response)
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
		t.Run(exception, func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t, fail(400, exception, "One or more parameter values were invalid: "+secret))
			for name, err := range callAll(t.Context(), t, d.store) {
				if !errors.Is(err, &user.Error{Code: user.Unavailable}) ||
					strings.Contains(err.Error(), secret) || !strings.Contains(err.Error(), exception) {
					t.Errorf("%s: got error %v, want %s with %s and no values", name, err, user.Unavailable, exception)
				}
			}
		})
	}
	d := newDatabase(t, conflict(stored("email", secret)))
	_, _, err := d.store.Create(t.Context(), usertest.Attributes(t, "userId", "1"), nil)
	if !errors.Is(err, &user.Error{Code: user.Exists}) || strings.Contains(err.Error(), secret) {
		t.Errorf("got error %v, want %s without values", err, user.Exists)
	}
}

// TestTooLarge checks the error for an item that CheckSize accepts and DynamoDB rejects.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	tooLarge := fail(400, "ValidationException", "Item size has exceeded the maximum allowed size")
	d := newDatabase(t, tooLarge)
	want := &user.Error{Code: user.BodyTooLarge}
	if _, _, err := d.store.Create(t.Context(), usertest.Attributes(t, "userId", "1"), nil); !errors.Is(err, want) {
		t.Errorf("create: got error %v, want %v", err, want)
	}
	d = newDatabase(t, item(stored()), tooLarge)
	if _, err := d.store.Replace(t.Context(), "1", usertest.Attributes(t), nil); !errors.Is(err, want) {
		t.Errorf("replace: got error %v, want %v", err, want)
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, internalError(), item(stored()))
	ctx, usage := userdata.WithUsage(t.Context())
	if usage.Duration() != 0 || usage.Retries() != 0 {
		t.Errorf("before: got duration %v and %d retries, want 0 and 0", usage.Duration(), usage.Retries())
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
		t.Errorf("got duration %v and %d retries, want a positive one and 1", usage.Duration(), usage.Retries())
	}
}
