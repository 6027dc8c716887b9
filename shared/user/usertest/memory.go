package usertest

import (
	"context"
	"crypto/rand"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/userrequestapi/userdata/shared/user"
)

// Memory is a store that keeps users in memory, for tests of what stands before a store. It passes [Run] and [RunInDoubt] as the
// DynamoDB store does.
type Memory struct {
	mu      sync.Mutex // guards what follows
	records map[string]record
	lose    func(execute func())
}

type record struct {
	user        user.User
	idempotency *user.Idempotency
	created     user.ETag // the revision that the create gave the user
	pinned      bool      // whether the ETag is a revision, which never comes back, rather than a hash
}

var _ user.Store = (*Memory)(nil)

// NewMemory returns a store with these users, as if others had written them.
func NewMemory(users ...user.Attributes) *Memory {
	m := &Memory{records: map[string]record{}}
	for _, attributes := range users {
		u := user.User{Attributes: attributes, ETag: attributes.Hash()}
		m.records[u.ID()] = record{user: u}
	}
	return m
}

// Get implements [user.Store].
func (m *Memory) Get(ctx context.Context, id string) (user.User, error) {
	r, err := m.find(ctx, id, nil)
	return r.user, err
}

// ended is the error of a call whose context has ended.
func ended(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return &user.Error{Code: user.Unavailable, Detail: "The request was given up.", Err: ctx.Err()}
}

func (m *Memory) find(ctx context.Context, id string, ifMatch []user.ETag) (record, error) {
	if err := ended(ctx); err != nil {
		return record{}, err
	}
	m.mu.Lock()
	r, ok := m.records[id]
	m.mu.Unlock()
	if !ok {
		return record{}, &user.Error{Code: user.NotFound, Detail: "There is no user with this userId."}
	}
	return r, r.user.CheckMatch(ifMatch)
}

// List implements [user.Store].
func (m *Memory) List(ctx context.Context, after string, limit int) (user.Page, error) {
	if err := ended(ctx); err != nil {
		return user.Page{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var page user.Page
	for _, id := range slices.Sorted(maps.Keys(m.records)) {
		switch {
		case id <= after:
		case len(page.Users) == limit:
			page.More = true
			page.Next = page.Users[limit-1].ID()
			return page, nil
		default:
			page.Users = append(page.Users, m.records[id].user)
		}
	}
	return page, nil
}

// Lose loses the response to the next write. meanwhile is called before the write notices. The write takes effect when meanwhile or what
// it leaves behind calls execute.
func (m *Memory) Lose(meanwhile func(execute func())) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lose = meanwhile
}

// write is a conditional write of one user.
type write struct {
	id     string
	before user.ETag // that the user must have; "": there must be no user
	pinned bool      // whether before is a revision
	after  *record   // nil: no user
	proves func(now record, exists bool) bool
}

// do reports whether w took effect, with the user that is there if its condition failed, or that proves its effect. It follows the rule
// of [user.Store] for writes in doubt.
func (m *Memory) do(w write) (done bool, found *record, err error) {
	execute := func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		now, exists := m.records[w.id]
		switch {
		case exists != (w.before != "") || now.user.ETag != w.before:
			found = nil
			if exists {
				found = &now
			}
			return false
		case w.after == nil:
			delete(m.records, w.id)
		default:
			m.records[w.id] = *w.after
		}
		return true
	}
	m.mu.Lock()
	meanwhile := m.lose
	m.lose = nil
	m.mu.Unlock()
	if meanwhile == nil {
		return execute(), found, nil
	}
	meanwhile(func() { execute() })
	if w.pinned && execute() { // A revision never comes back, so that the write cannot take effect twice.
		return true, nil, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now, exists := m.records[w.id]
	if !w.proves(now, exists) {
		return false, nil, &user.Error{Code: user.Unavailable, Detail: "The outcome is unknown. Read the user before you repeat the request."}
	}
	return true, &now, nil
}

// Create implements [user.Store].
func (m *Memory) Create(ctx context.Context, sent user.Attributes, idempotency *user.Idempotency) (user.User, bool, error) {
	if err := ended(ctx); err != nil {
		return user.User{}, false, err
	}
	attributes, err := user.New(sent, time.Now())
	if err != nil {
		return user.User{}, false, err
	}
	u, err := revise(attributes)
	if err != nil {
		return user.User{}, false, err
	}
	done, found, err := m.do(write{
		id: u.ID(), after: &record{u, idempotency, u.ETag, true},
		proves: func(now record, _ bool) bool {
			return now.user.ETag == u.ETag || idempotency != nil && now.created == u.ETag
		},
	})
	switch {
	case err != nil:
		return user.User{}, false, err
	case done && found == nil:
		return u, false, nil
	case done:
		return found.user, found.user.ETag != u.ETag, nil
	}
	switch made := found.idempotency; {
	case made == nil || idempotency == nil || made.Key != idempotency.Key:
		return user.User{}, false, &user.Error{Code: user.Exists, Detail: "There is a user with this userId already."}
	case made.Body != idempotency.Body:
		return user.User{}, false, &user.Error{Code: user.IdempotencyKeyReused, Detail: "This key came with another body."}
	}
	return found.user, true, nil
}

// Replace implements [user.Store].
func (m *Memory) Replace(ctx context.Context, id string, sent user.Attributes, ifMatch []user.ETag) (user.User, error) {
	for {
		r, err := m.find(ctx, id, ifMatch)
		if err != nil {
			return user.User{}, err
		}
		attributes, err := r.user.Attributes.Replace(sent, time.Now())
		if err != nil {
			return user.User{}, err
		}
		before, pinned := r.user.ETag, r.pinned
		r.pinned = true
		if r.user, err = revise(attributes); err != nil {
			return user.User{}, err
		}
		done, _, err := m.do(write{
			id: id, before: before, pinned: pinned, after: &r,
			proves: func(now record, _ bool) bool { return now.user.ETag == r.user.ETag },
		})
		if done || err != nil {
			return r.user, err
		}
	}
}

// Delete implements [user.Store].
func (m *Memory) Delete(ctx context.Context, id string, ifMatch []user.ETag) error {
	for {
		r, err := m.find(ctx, id, ifMatch)
		if err != nil {
			return err
		}
		done, _, err := m.do(write{
			id: id, before: r.user.ETag, pinned: r.pinned,
			proves: func(_ record, exists bool) bool { return !exists && len(ifMatch) == 0 },
		})
		if done || err != nil {
			return err
		}
	}
}

func revise(attributes user.Attributes) (user.User, error) {
	return user.User{Attributes: attributes, ETag: user.ETag(rand.Text())}, attributes.CheckSize()
}
