package usertest

import (
	"errors"
	"strings"
	"testing"

	"github.com/userrequestapi/userdata/shared/user"
)

// Lossy is a store with two clients, one of which can lose responses.
type Lossy struct {
	Store  user.Store // the client that can lose responses
	Others user.Store // all other clients, with the same users
	// Lose loses the response to the next write of Store. It calls meanwhile while Store waits for that response. The
	// write takes effect when meanwhile calls execute, or when execute is called later.
	Lose func(meanwhile func(execute func()))
}

// action is an action of a client on the user of a test.
type action func(store user.Store) error

// RunInDoubt tests that a store reports the outcome of writes in doubt. Each call of open returns a new store with
// the given users, which have no revision.
func RunInDoubt(t *testing.T, open func(t *testing.T, users ...user.Attributes) Lossy) {
	t.Helper()
	const id = "1"
	var (
		first user.User // the existing user, if any
		key   = user.NewIdempotency("caller", "key", Attributes(t, user.IDAttribute, id, user.NameAttribute, "A"))
	)
	createWith := func(name string, key *user.Idempotency) action {
		return func(store user.Store) error {
			_, _, err := store.Create(t.Context(), Attributes(t, user.IDAttribute, id, user.NameAttribute, name), key)
			return err
		}
	}
	create := func(name string) action { return createWith(name, nil) }
	replace := func(name string, ifMatch func() []user.ETag) action {
		return func(store user.Store) error {
			_, err := store.Replace(t.Context(), id, Attributes(t, user.NameAttribute, name), ifMatch())
			return err
		}
	}
	remove := func(ifMatch func() []user.ETag) action {
		return func(store user.Store) error { return store.Delete(t.Context(), id, ifMatch()) }
	}
	always := func() []user.ETag { return nil }
	matching := func() []user.ETag { return []user.ETag{first.ETag} }
	const (
		executed = iota // before the response is lost
		dropped         // never
		delayed         // after all actions
	)
	// The tests share first, so they run sequentially.
	for _, tt := range []struct {
		name      string
		exists    bool // whether the user exists before the write
		foreign   bool // whether another program wrote the user
		write     action
		execution int
		meanwhile []action
		want      user.Code // of the write; "" for success
		then      []action
		end       string // the name of the user at the end; "" for no user
	}{
		{name: "create", write: create("A"), execution: executed, end: "A"},
		{name: "create, not executed", write: create("A"), execution: dropped, want: user.Unavailable},
		{
			name: "create, replaced", write: create("A"), execution: executed,
			meanwhile: []action{replace("B", always)}, want: user.Unavailable, end: "B",
		},
		{
			name: "create, deleted", write: create("A"), execution: executed,
			meanwhile: []action{remove(always)}, want: user.Unavailable,
		},
		{
			name: "create, deleted and created", write: create("A"), execution: executed,
			meanwhile: []action{remove(always), create("B")}, want: user.Unavailable, end: "B",
		},
		{
			name: "create, delayed", write: create("A"), execution: delayed,
			meanwhile: []action{create("B")}, want: user.Unavailable, then: []action{remove(always)}, end: "A",
		},
		{name: "create with a key", write: createWith("A", key), execution: executed, end: "A"},
		{
			name: "create with a key, replaced", write: createWith("A", key), execution: executed,
			meanwhile: []action{replace("B", always)}, end: "B",
		},
		{
			name: "create with a key, deleted", write: createWith("A", key), execution: executed,
			meanwhile: []action{remove(always)}, want: user.Unavailable, then: []action{createWith("A", key)}, end: "A",
		},
		{
			name: "create with a key, delayed", write: createWith("A", key), execution: delayed,
			meanwhile: []action{createWith("A", key)}, want: user.Unavailable, then: []action{remove(always)}, end: "A",
		},
		{name: "replace", exists: true, write: replace("A", always), execution: executed, end: "A"},
		{name: "replace, not executed", exists: true, write: replace("A", matching), execution: dropped, end: "A"},
		{
			name: "replace, delayed", exists: true, write: replace("A", always), execution: delayed,
			then: []action{replace("B", always)}, end: "B",
		},
		{
			name: "replace, deleted", exists: true, write: replace("A", always), execution: executed,
			meanwhile: []action{remove(always)}, want: user.Unavailable,
		},
		{
			name: "replace with ifMatch, replaced", exists: true, write: replace("A", matching), execution: executed,
			meanwhile: []action{replace("B", always)}, want: user.Unavailable, end: "B",
		},
		{
			name: "replace, deleted and created", exists: true, write: replace("A", always), execution: executed,
			meanwhile: []action{remove(always), create("C")}, want: user.Unavailable, end: "C",
		},
		{name: "delete", exists: true, write: remove(always), execution: executed},
		{name: "delete, not executed", exists: true, write: remove(matching), execution: dropped},
		{
			name: "delete, deleted", exists: true, write: remove(always), execution: dropped,
			meanwhile: []action{remove(always)},
		},
		{name: "delete with ifMatch", exists: true, write: remove(matching), execution: executed, want: user.Unavailable},
		{
			name: "delete with ifMatch, replaced and deleted", exists: true, write: remove(matching), execution: dropped,
			meanwhile: []action{replace("B", always), remove(always)}, want: user.Unavailable,
		},
		{
			name: "delete, deleted and created", exists: true, write: remove(always), execution: executed,
			meanwhile: []action{create("B")}, want: user.Unavailable, end: "B",
		},
		{
			name: "replace of a foreign user", exists: true, foreign: true, write: replace("A", matching),
			execution: executed, end: "A",
		},
		{
			name: "replace of a foreign user, not executed", exists: true, foreign: true, write: replace("A", matching),
			execution: dropped, want: user.Unavailable, end: "before",
		},
		{
			name: "replace of a foreign user, delayed", exists: true, foreign: true, write: replace("A", always),
			execution: delayed, want: user.Unavailable, end: "A",
		},
		{name: "delete of a foreign user", exists: true, foreign: true, write: remove(always), execution: executed},
		{
			name: "delete of a foreign user, not executed", exists: true, foreign: true, write: remove(always),
			execution: dropped, want: user.Unavailable, end: "before",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := Attributes(t, user.IDAttribute, id, user.NameAttribute, "before")
			var lossy Lossy
			if tt.foreign {
				lossy = open(t, before)
				var err error
				if first, err = lossy.Others.Get(t.Context(), id); err != nil {
					t.Fatal(err)
				}
			} else {
				lossy = open(t)
				if tt.exists {
					first = mustCreate(t, lossy.Others, before)
				}
			}
			others := func(actions []action) {
				for i, act := range actions {
					if err := act(lossy.Others); err != nil {
						t.Errorf("action %d of other clients: %v", i, err)
					}
				}
			}
			executeDelayed := func() {}
			lossy.Lose(func(execute func()) {
				switch tt.execution {
				case executed:
					execute()
				case delayed:
					executeDelayed = execute
				}
				others(tt.meanwhile)
			})
			err := tt.write(lossy.Store)
			var failed *user.Error
			switch {
			case tt.want == "" && err != nil, tt.want != "" && (!errors.As(err, &failed) || failed.Code != tt.want):
				t.Errorf("got error %v, want %q", err, tt.want)
			case tt.want != "" && !strings.Contains(failed.Detail, "unknown"):
				t.Errorf("got detail %q, want the outcome to be unknown", failed.Detail)
			}
			others(tt.then)
			executeDelayed()
			now, err := lossy.Others.Get(t.Context(), id)
			if err != nil && !errors.Is(err, &user.Error{Code: user.NotFound}) {
				t.Fatal(err)
			}
			if got, _ := now.Attributes[user.NameAttribute].(string); got != tt.end {
				t.Errorf("got user %q at the end, want %q", got, tt.end)
			}
		})
	}
}
