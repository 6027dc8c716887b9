// Package usertest tests implementations of [user.Store] and provides an in-memory store for tests.
package usertest

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/shared/user"
)

// Run tests an implementation of [user.Store]. Each call of open returns a new, empty store, and registers any
// cleanup itself.
func Run(t *testing.T, open func(t *testing.T) user.Store) {
	t.Helper()
	for name, test := range map[string]func(t *testing.T, store user.Store){
		"Create":                         create,
		"NotFound":                       notFound,
		"Replace":                        replace,
		"Delete":                         remove,
		"IfMatch":                        ifMatch,
		"ReadOnly":                       readOnly,
		"Values":                         values,
		"Idempotency":                    idempotency,
		"Size":                           size,
		"Canceled":                       canceled,
		"List":                           list,
		"ListLarge":                      listLarge,
		"ListFromDeleted":                listFromDeleted,
		"ConcurrentIncrement":            concurrentIncrement,
		"ConcurrentCreate":               concurrentCreate,
		"ConcurrentCreateIdempotent":     concurrentCreateIdempotent,
		"ConcurrentReplaceUnconditional": concurrentReplaceUnconditional,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

// diff compares the JSON of two users. It returns "" if they are equal byte for byte.
func diff(want, got user.Attributes) string {
	w, g := string(want.AppendJSON(nil)), string(got.AppendJSON(nil))
	if w == g { // cmp.Diff is slow for large users
		return ""
	}
	return gocmp.Diff(w, g)
}

func wantCode(t *testing.T, err error, code user.Code) {
	t.Helper()
	if !errors.Is(err, &user.Error{Code: code}) {
		t.Errorf("got error %v, want %s", err, code)
	}
}

// wantViolation checks that err has exactly one violation, with this code, for the attribute name.
func wantViolation(t *testing.T, err error, name, code string) {
	t.Helper()
	wantCode(t, err, user.InvalidUser)
	var refused *user.Error
	if !errors.As(err, &refused) {
		return
	}
	if v := refused.Violations; len(v) != 1 || v[0].Pointer != "#/"+name || v[0].Code != code {
		t.Errorf("got violations %v, want %s at #/%s", v, code, name)
	}
}

// wantUser checks that a read returns want byte for byte.
func wantUser(t *testing.T, store user.Store, want user.User) {
	t.Helper()
	got, err := store.Get(t.Context(), want.ID())
	if err != nil {
		t.Fatal(err)
	}
	if d := diff(want.Attributes, got.Attributes); d != "" {
		t.Errorf("stored user (-want +got):\n%s", d)
	}
	if got.ETag != want.ETag {
		t.Errorf("got ETag %q, want %q", got.ETag, want.ETag)
	}
}

func mustCreate(t *testing.T, store user.Store, sent user.Attributes) user.User {
	t.Helper()
	u, replayed, err := store.Create(t.Context(), sent, nil)
	if err != nil {
		t.Fatal(err)
	}
	if replayed {
		t.Error("got replayed true, want false without an idempotency key")
	}
	return u
}

// newUser returns [Attributes] with a unique id.
func newUser(t *testing.T, attributes ...any) user.Attributes {
	t.Helper()
	return withAttribute(Attributes(t, attributes...), user.IDAttribute, rand.Text())
}

// withAttribute returns a copy of attributes in which one has another value.
func withAttribute(attributes user.Attributes, name string, value any) user.Attributes {
	changed := maps.Clone(attributes)
	changed[name] = value
	return changed
}

func serviceTime(t *testing.T, u user.User, name string) time.Time {
	t.Helper()
	s, ok := u.Attributes[name].(string)
	got, err := time.Parse(user.TimeFormat, s)
	if !ok || err != nil || got.Format(user.TimeFormat) != s {
		t.Errorf("got %s %v, want a time in UTC with milliseconds", name, u.Attributes[name])
	}
	return got
}

func create(t *testing.T, store user.Store) {
	sent := newUser(t,
		user.NameAttribute, "Ada Lovelace", user.EmailAttribute, "ada@example.org", "age", user.Number("36"))
	original := maps.Clone(sent)
	created := mustCreate(t, store, sent)
	if d := diff(original, sent); d != "" {
		t.Errorf("Create changed its argument (-want +got):\n%s", d)
	}
	if created.ETag == "" {
		t.Error("got no ETag, want one")
	}
	c, u := serviceTime(t, created, user.CreatedAtAttribute), serviceTime(t, created, user.UpdatedAtAttribute)
	if !c.Equal(u) {
		t.Errorf("got createdAt %v and updatedAt %v, want the same", c, u)
	}
	want := maps.Clone(sent)
	for _, name := range []string{user.CreatedAtAttribute, user.UpdatedAtAttribute} {
		want[name] = created.Attributes[name]
	}
	if d := diff(want, created.Attributes); d != "" {
		t.Errorf("created user (-want +got):\n%s", d)
	}
	wantUser(t, store, created)

	_, _, err := store.Create(t.Context(), withAttribute(sent, user.NameAttribute, "Another"), nil)
	wantCode(t, err, user.Exists)
	wantUser(t, store, created)

	invalid := newUser(t, user.EmailAttribute, "nobody")
	_, _, err = store.Create(t.Context(), invalid, nil)
	wantViolation(t, err, user.EmailAttribute, "InvalidEmail")
	_, err = store.Get(t.Context(), invalid[user.IDAttribute].(string))
	wantCode(t, err, user.NotFound)
}

func notFound(t *testing.T, store user.Store) {
	id := rand.Text()
	got, err := store.Get(t.Context(), id)
	wantCode(t, err, user.NotFound)
	if got.Attributes != nil || got.ETag != "" {
		t.Errorf("got user %v, want the zero value with an error", got)
	}
	for _, etags := range [][]user.ETag{nil, {"a"}} {
		_, err = store.Replace(t.Context(), id, Attributes(t), etags)
		wantCode(t, err, user.NotFound)
		wantCode(t, store.Delete(t.Context(), id, etags), user.NotFound)
	}
	_, err = store.Get(t.Context(), id)
	wantCode(t, err, user.NotFound)
}

func replace(t *testing.T, store user.Store) {
	before := mustCreate(t, store, newUser(t, user.NameAttribute, "Ada", "gone", "soon", "kept", "text"))
	id := before.ID()
	sent := Attributes(t, "kept", user.Number("1"), "new", true)
	for range 3 {
		after, err := store.Replace(t.Context(), id, sent, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := withAttribute(sent, user.IDAttribute, id)
		want[user.CreatedAtAttribute] = before.Attributes[user.CreatedAtAttribute]
		want[user.UpdatedAtAttribute] = after.Attributes[user.UpdatedAtAttribute]
		if d := diff(want, after.Attributes); d != "" {
			t.Errorf("replacement (-want +got):\n%s", d)
		}
		previous, updated := serviceTime(t, before, user.UpdatedAtAttribute), serviceTime(t, after, user.UpdatedAtAttribute)
		if updated.Before(previous) {
			t.Errorf("got updatedAt %v, want no earlier than %v", updated, previous)
		}
		if after.ETag == before.ETag {
			t.Errorf("got ETag %q again, want a new one", after.ETag)
		}
		wantUser(t, store, after)
		before = after
	}

	_, err := store.Replace(t.Context(), id, Attributes(t, user.NameAttribute, ""), nil)
	wantViolation(t, err, user.NameAttribute, "InvalidName")
	wantUser(t, store, before)
}

func remove(t *testing.T, store user.Store) {
	sent := newUser(t)
	first, other := mustCreate(t, store, sent), mustCreate(t, store, newUser(t))
	if err := store.Delete(t.Context(), first.ID(), nil); err != nil {
		t.Fatal(err)
	}
	_, err := store.Get(t.Context(), first.ID())
	wantCode(t, err, user.NotFound)
	wantCode(t, store.Delete(t.Context(), first.ID(), nil), user.NotFound)
	wantUser(t, store, other)

	second := mustCreate(t, store, sent)
	if second.ETag == first.ETag {
		t.Error("got the ETag of the deleted user, want a new one")
	}
}

func ifMatch(t *testing.T, store user.Store) {
	first := mustCreate(t, store, newUser(t, "n", user.Number("1")))
	id := first.ID()
	second, err := store.Replace(t.Context(), id, Attributes(t, "n", user.Number("2")), []user.ETag{first.ETag})
	if err != nil {
		t.Fatal(err)
	}

	for name, stale := range map[string][]user.ETag{
		"earlier": {first.ETag},
		"unknown": {"unknown"},
		"empty":   {""},
		"several": {"unknown", first.ETag},
		"lower":   {user.ETag(strings.ToLower(string(second.ETag))) + "x"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := store.Replace(t.Context(), id, Attributes(t, "n", name), stale)
			wantCode(t, err, user.PreconditionFailed)
			wantCode(t, store.Delete(t.Context(), id, stale), user.PreconditionFailed)
		})
	}
	wantUser(t, store, second)

	matching := []user.ETag{"unknown", second.ETag, first.ETag}
	third, err := store.Replace(t.Context(), id, Attributes(t, "n", user.Number("3")), matching)
	if err != nil {
		t.Fatal(err)
	}
	wantUser(t, store, third)
	if err := store.Delete(t.Context(), id, []user.ETag{first.ETag, third.ETag}); err != nil {
		t.Fatal(err)
	}
	_, err = store.Get(t.Context(), id)
	wantCode(t, err, user.NotFound)
}

func readOnly(t *testing.T, store user.Store) {
	const other = "2001-02-03T04:05:06.789Z"
	for name, code := range map[string]string{
		user.CreatedAtAttribute: "ReadOnly",
		user.UpdatedAtAttribute: "ReadOnly",
		"_rev":                  "ReservedName",
		"_idempotency":          "ReservedName",
		"_":                     "ReservedName",
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := store.Create(t.Context(), newUser(t, name, other), nil)
			wantViolation(t, err, name, code)
			created := mustCreate(t, store, newUser(t))
			_, err = store.Replace(t.Context(), created.ID(), withAttribute(created.Attributes, name, other), nil)
			wantViolation(t, err, name, code)
			wantUser(t, store, created)
		})
	}

	created := mustCreate(t, store, newUser(t))
	second, err := store.Replace(t.Context(), created.ID(), withAttribute(created.Attributes, "n", "2"), nil)
	if err != nil {
		t.Errorf("unchanged read-only attributes: %v", err)
	}
	third, err := store.Replace(t.Context(), created.ID(), withAttribute(second.Attributes, "n", "3"), nil)
	if err != nil {
		t.Errorf("unchanged read-only attributes: %v", err)
	}
	// An earlier updatedAt is valid: without If-Match, a client can send an earlier state.
	fourth, err := store.Replace(t.Context(), created.ID(), withAttribute(created.Attributes, "n", "4"), nil)
	if err != nil {
		t.Errorf("earlier updatedAt: got error %v, want none", err)
	}
	if fourth.Attributes[user.UpdatedAtAttribute].(string) < third.Attributes[user.UpdatedAtAttribute].(string) {
		t.Error("got an earlier updatedAt, want the same or a later one")
	}
}

func values(t *testing.T, store user.Store) {
	deep := any("bottom")
	for range 15 {
		deep = []any{map[string]any{"m": deep}}
	}
	sent := newUser(t,
		"number", user.Number("36"),
		"fraction", user.Number("12345678901234567890.123456789"),
		"digits", user.Number("12345678901234567890123456789012345678"),
		"negative", user.Number("-1.2345678901234567890123456789012345678"),
		"smallest", user.Number("1e-130"),
		"largest", user.Number("9.9999999999999999999999999999999999999e+125"),
		"lowest", user.Number("-9.9999999999999999999999999999999999999e+125"),
		"zero", user.Number("0"),
		"zeros", user.Number("100.00"),
		"exponent", user.Number("1E5"),
		"plus sign", user.Number("1e+5"),
		"minus zero", user.Number("-0"),
		"trailing zero", user.Number("0.10"),
		"large integer", user.Number("1e37"),
		"small", user.Number("0.00000012"),
		"string", "text",
		"empty string", "",
		"emoji", "👩🏽‍🚀 é e\u0301 \u0000 \u2028 \\ \" \ufffd",
		"null", nil,
		"true", true,
		"false", false,
		"map", map[string]any{"a": map[string]any{"b": []any{nil, "", user.Number("1"), map[string]any{}}}, "$B": "x"},
		"empty map", map[string]any{},
		"list", []any{"a", user.Number("1"), []any{}, true, nil},
		"empty list", []any{},
		"deep", deep,
		"binary", user.Binary("\x00\xff\xfe"),
		"empty binary", user.Binary{},
		"string set", user.StringSet{"b", "a", "👍"},
		"number set", user.NumberSet{"3", "1e2", "-2.5", "12345678901234567890123456789012345678"},
		"binary set", user.BinarySet{[]byte("b"), {0}, {0xff}},
		"unsorted number set", user.NumberSet{"1E5", "10", "0.10", "-0", "-1e-130", "1e125"},
		"nested numbers", []any{user.Number("1.0"), map[string]any{"n": user.Number("1e-130")}},
		"nested sets", []any{user.StringSet{"a"}, map[string]any{"n": user.NumberSet{"1"}, "b": user.Binary("b")}},
		"escaped set", map[string]any{"$SS": []any{"a"}},
		"escaped twice", map[string]any{"$$B": "a"},
		"name with spaces, é, # and .", "ok",
		"$B", "ok",
	)
	created := mustCreate(t, store, sent)
	wantUser(t, store, created)

	read, err := store.Get(t.Context(), created.ID())
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := user.Decode(read.Attributes.AppendJSON(nil))
	if err != nil {
		t.Fatalf("decode a user that was read: %v", err)
	}
	if d := diff(created.Attributes, decoded); d != "" {
		t.Errorf("encoded and decoded (-want +got):\n%s", d)
	}
	replaced, err := store.Replace(t.Context(), created.ID(), decoded, []user.ETag{created.ETag})
	if err != nil {
		t.Fatal(err)
	}
	want := withAttribute(created.Attributes, user.UpdatedAtAttribute, replaced.Attributes[user.UpdatedAtAttribute])
	if d := diff(want, replaced.Attributes); d != "" {
		t.Errorf("replaced by itself (-want +got):\n%s", d)
	}
	wantUser(t, store, replaced)

	// Numbers in forms that DynamoDB rejects.
	unusual, err := user.Decode([]byte(Body(t, `{"userId":"`+rand.Text()+`",`+
		`"zero":0e99999999999,"negative":-0.0e-99999999999,"long":1`+strings.Repeat("0", 5000)+`e-5000,`+
		`"set":{"$NS":[0e99999999999,1]}}`)))
	if err != nil {
		t.Fatal(err)
	}
	wantUser(t, store, mustCreate(t, store, unusual))
}

func idempotency(t *testing.T, store user.Store) {
	sent := newUser(t, "n", user.Number("1"))
	key := rand.Text()
	request := user.NewIdempotency("caller", key, sent)
	created, replayed, err := store.Create(t.Context(), sent, request)
	if err != nil || replayed {
		t.Fatalf("got replayed %t, error %v, want false and none", replayed, err)
	}
	wantUser(t, store, created)

	wantReplayed := func(want user.User) {
		t.Helper()
		equal := user.NewIdempotency("caller", key, withAttribute(sent, "n", user.Number("1.0")))
		got, replayed, err := store.Create(t.Context(), sent, equal)
		if err != nil || !replayed {
			t.Fatalf("got replayed %t, error %v, want true and none", replayed, err)
		}
		if d := diff(want.Attributes, got.Attributes); d != "" || got.ETag != want.ETag {
			t.Errorf("got ETag %q, want %q, and (-want +got):\n%s", got.ETag, want.ETag, d)
		}
		wantUser(t, store, want)
	}
	wantReplayed(created)
	replaced, err := store.Replace(t.Context(), created.ID(), Attributes(t, "n", "replaced"), nil)
	if err != nil {
		t.Fatal(err)
	}
	wantReplayed(replaced)

	for name, test := range map[string]struct {
		request *user.Idempotency
		want    user.Code
	}{
		"another body": {
			user.NewIdempotency("caller", key, withAttribute(sent, "n", user.Number("2"))), user.IdempotencyKeyReused,
		},
		"another key":    {user.NewIdempotency("caller", rand.Text(), sent), user.Exists},
		"another caller": {user.NewIdempotency("another", key, sent), user.Exists},
		"no key":         {nil, user.Exists},
	} {
		t.Run(name, func(t *testing.T) {
			_, replayed, err := store.Create(t.Context(), sent, test.request)
			if replayed || !errors.Is(err, &user.Error{Code: test.want}) {
				t.Errorf("got replayed %t, error %v, want %s", replayed, err, test.want)
			}
		})
	}
	wantUser(t, store, replaced)

	plain := mustCreate(t, store, newUser(t))
	duplicate := Attributes(t, user.IDAttribute, plain.ID())
	_, _, err = store.Create(t.Context(), duplicate, user.NewIdempotency("caller", key, sent))
	wantCode(t, err, user.Exists)

	if err := store.Delete(t.Context(), created.ID(), nil); err != nil {
		t.Fatal(err)
	}
	if _, replayed, err := store.Create(t.Context(), sent, request); err != nil || replayed {
		t.Errorf("after Delete: got replayed %t, error %v, want a new user", replayed, err)
	}
}

func size(t *testing.T, store user.Store) {
	const most = 400 << 10
	small := mustCreate(t, store, newUser(t))
	fits := mustCreate(t, store, newUser(t, "x", strings.Repeat("x", most-1<<10)))
	wantUser(t, store, fits)

	for name, large := range map[string]any{
		"string": strings.Repeat("x", most),
		"list":   slices.Repeat([]any{nil}, most/2),
		"set":    user.NumberSet(slices.Collect(numbers(most / 4))),
	} {
		t.Run(name, func(t *testing.T) {
			sent := newUser(t, "x", large)
			_, _, err := store.Create(t.Context(), sent, nil)
			if !errors.Is(err, &user.Error{Code: user.BodyTooLarge}) {
				t.Errorf("create %s: got error %v, want %s", name, err, user.BodyTooLarge)
			}
			_, err = store.Get(t.Context(), sent[user.IDAttribute].(string))
			wantCode(t, err, user.NotFound)
			_, err = store.Replace(t.Context(), small.ID(), Attributes(t, "x", large), nil)
			if !errors.Is(err, &user.Error{Code: user.BodyTooLarge}) {
				t.Errorf("replace %s: got error %v, want %s", name, err, user.BodyTooLarge)
			}
		})
	}
	wantUser(t, store, small)
}

// numbers yields n numbers of four bytes each.
func numbers(n int) func(yield func(user.Number) bool) {
	return func(yield func(user.Number) bool) {
		for i := range n {
			if !yield(user.Number(strconv.Itoa(100_001 + 10*i))) {
				return
			}
		}
	}
}

func canceled(t *testing.T, store user.Store) {
	existing := mustCreate(t, store, newUser(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	sent := newUser(t)
	for name, call := range map[string]func() error{
		"Get":     func() error { _, err := store.Get(ctx, existing.ID()); return err },
		"List":    func() error { _, err := store.List(ctx, "", 1); return err },
		"Create":  func() error { _, _, err := store.Create(ctx, sent, nil); return err },
		"Replace": func() error { _, err := store.Replace(ctx, existing.ID(), Attributes(t, "n", "1"), nil); return err },
		"Delete":  func() error { return store.Delete(ctx, existing.ID(), nil) },
	} {
		t.Run(name, func(t *testing.T) {
			err := call()
			if !errors.Is(err, context.Canceled) || !errors.Is(err, &user.Error{Code: user.Unavailable}) {
				t.Errorf("got error %v, want %s caused by %v", err, user.Unavailable, context.Canceled)
			}
		})
	}
	wantUser(t, store, existing)
	_, err := store.Get(t.Context(), sent[user.IDAttribute].(string))
	wantCode(t, err, user.NotFound)
}

// listAll lists all users after the id after, limit users a page, and returns their ids in order.
func listAll(t *testing.T, store user.Store, after string, limit int) []string {
	t.Helper()
	var ids []string
	for range 1000 {
		page, err := store.List(t.Context(), after, limit)
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Users) > limit {
			t.Errorf("got a page of %d users, want at most %d", len(page.Users), limit)
		}
		for _, u := range page.Users {
			wantUser(t, store, u)
			ids = append(ids, u.ID())
		}
		if !page.More {
			slices.Sort(ids)
			return ids
		}
		after = page.Next
	}
	t.Fatal("got 1000 pages, want an end")
	return nil
}

func createMany(t *testing.T, store user.Store, n int, attributes ...any) []string {
	t.Helper()
	var ids []string
	for range n {
		ids = append(ids, mustCreate(t, store, newUser(t, attributes...)).ID())
	}
	slices.Sort(ids)
	return ids
}

func list(t *testing.T, store user.Store) {
	if got := listAll(t, store, "", 10); got != nil {
		t.Errorf("got %v from an empty store, want none", got)
	}
	const n = 24
	want := createMany(t, store, n, user.NameAttribute, "Ada", "set", user.StringSet{"a", "b"})
	for _, limit := range []int{1, 5, 8, n - 1, n, n + 1, 100} {
		if d := gocmp.Diff(want, listAll(t, store, "", limit)); d != "" {
			t.Errorf("pages of %d (-want +got):\n%s", limit, d)
		}
	}
	for limit, wantMore := range map[int]bool{n - 1: true, n: false, n + 1: false} {
		page, err := store.List(t.Context(), "", limit)
		if err != nil {
			t.Fatal(err)
		}
		if page.More != wantMore || len(page.Users) != min(limit, n) {
			t.Errorf("limit %d: got %d users and more %t, want more %t", limit, len(page.Users), page.More, wantMore)
		}
	}
}

// listLarge lists users whose total size exceeds the 1 MB that one Scan reads.
func listLarge(t *testing.T, store user.Store) {
	want := createMany(t, store, 6, "x", strings.Repeat("x", 350_000))
	for _, limit := range []int{2, 6, 100} {
		if d := gocmp.Diff(want, listAll(t, store, "", limit)); d != "" {
			t.Errorf("pages of %d (-want +got):\n%s", limit, d)
		}
	}
}

func listFromDeleted(t *testing.T, store user.Store) {
	ids := createMany(t, store, 10)
	page, err := store.List(t.Context(), "", 4)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Delete(t.Context(), page.Next, nil); err != nil {
		t.Fatal(err)
	}
	for _, u := range page.Users {
		ids = slices.DeleteFunc(ids, func(id string) bool { return id == u.ID() })
	}
	if d := gocmp.Diff(ids, listAll(t, store, page.Next, 3)); d != "" {
		t.Errorf("after a deleted user (-want +got):\n%s", d)
	}
}

// concurrently runs n calls of f concurrently and returns their results.
func concurrently[T any](n int, f func(i int) T) []T {
	results := make([]T, n)
	start := make(chan struct{})
	var calls sync.WaitGroup
	for i := range n {
		calls.Go(func() {
			<-start
			results[i] = f(i)
		})
	}
	close(start)
	calls.Wait()
	return results
}

func concurrentIncrement(t *testing.T, store user.Store) {
	const clients = 50
	u := mustCreate(t, store, newUser(t, "n", user.Number("0")))
	increment := func() error {
		for {
			read, err := store.Get(t.Context(), u.ID())
			if err != nil {
				return err
			}
			n, err := strconv.Atoi(string(read.Attributes["n"].(user.Number)))
			if err != nil {
				return fmt.Errorf("read counter: %w", err)
			}
			sent := withAttribute(read.Attributes, "n", user.Number(strconv.Itoa(n+1)))
			_, err = store.Replace(t.Context(), u.ID(), sent, []user.ETag{read.ETag})
			if !errors.Is(err, &user.Error{Code: user.PreconditionFailed}) {
				return err
			}
		}
	}
	for _, err := range concurrently(clients, func(int) error { return increment() }) {
		if err != nil {
			t.Error(err)
		}
	}
	got, err := store.Get(t.Context(), u.ID())
	if err != nil {
		t.Fatal(err)
	}
	want := withAttribute(u.Attributes, "n", user.Number(strconv.Itoa(clients)))
	want[user.UpdatedAtAttribute] = got.Attributes[user.UpdatedAtAttribute]
	if d := diff(want, got.Attributes); d != "" {
		t.Errorf("after %d increments (-want +got):\n%s", clients, d)
	}
}

type created struct {
	user     user.User
	replayed bool
	err      error
}

func concurrentCreate(t *testing.T, store user.Store) {
	sent := newUser(t)
	results := concurrently(20, func(i int) created {
		u, replayed, err := store.Create(t.Context(), withAttribute(sent, "n", user.Number(strconv.Itoa(i))), nil)
		return created{u, replayed, err}
	})
	var winners []user.User
	for _, r := range results {
		if r.err == nil {
			winners = append(winners, r.user)
			continue
		}
		wantCode(t, r.err, user.Exists)
	}
	if len(winners) != 1 {
		t.Fatalf("%d calls created the user, want 1", len(winners))
	}
	wantUser(t, store, winners[0])
}

func concurrentCreateIdempotent(t *testing.T, store user.Store) {
	sent := newUser(t, "n", user.Number("1"))
	request := user.NewIdempotency("", rand.Text(), sent)
	results := concurrently(20, func(int) created {
		u, replayed, err := store.Create(t.Context(), sent, request)
		return created{u, replayed, err}
	})
	firsts := 0
	for _, r := range results {
		if r.err != nil {
			t.Fatal(r.err)
		}
		if !r.replayed {
			firsts++
		}
		wantUser(t, store, r.user)
	}
	if firsts != 1 {
		t.Errorf("%d calls created the user, want 1", firsts)
	}
	if got := listAll(t, store, "", 100); len(got) != 1 {
		t.Errorf("got %d users, want 1", len(got))
	}
}

func concurrentReplaceUnconditional(t *testing.T, store user.Store) {
	before := mustCreate(t, store, newUser(t))
	results := concurrently(20, func(i int) created {
		u, err := store.Replace(t.Context(), before.ID(), Attributes(t, "n", user.Number(strconv.Itoa(i))), nil)
		return created{user: u, err: err}
	})
	after, err := store.Get(t.Context(), before.ID())
	if err != nil {
		t.Fatal(err)
	}
	if d := gocmp.Diff(before.Attributes[user.CreatedAtAttribute], after.Attributes[user.CreatedAtAttribute]); d != "" {
		t.Errorf("createdAt (-want +got):\n%s", d)
	}
	var done []user.User
	for _, r := range results {
		if r.err == nil {
			done = append(done, r.user)
			continue
		}
		wantCode(t, r.err, user.Throttled) // conflicts in every attempt
	}
	last := slices.IndexFunc(done, func(u user.User) bool { return u.ETag == after.ETag })
	if last < 0 {
		t.Fatalf("got the stored user %v, want one of the %d replacements", after, len(done))
	}
	wantUser(t, store, done[last])
	slices.SortFunc(done, func(a, b user.User) int { return cmp.Compare(a.ETag, b.ETag) })
	unique := slices.CompactFunc(slices.Clone(done), func(a, b user.User) bool { return a.ETag == b.ETag })
	if len(unique) != len(done) {
		t.Errorf("got %d ETags, want one for each of %d replacements", len(unique), len(done))
	}
}
