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

// Memory is an in-memory store for tests. It passes [Run] and [RunInDoubt], as the DynamoDB store does.
type Memory struct {
	mu      sync.Mutex // guards the fields below
	records map[string]record
	lose    func(execute func())
}

type record struct {
	user        user.User
	idempotency *user.Idempotency
	created     user.ETag // the user's first revision
	revised     bool      // whether the ETag is a revision, not a hash
}

var _ user.Store = (*Memory)(nil)

// NewMemory returns a store with the given users, which have no revision.
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

// contextError returns an [*user.Error] if ctx is done.
func contextError(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return &user.Error{Code: user.Unavailable, Detail: "The request was canceled.", Err: ctx.Err()}
}

func (m *Memory) find(ctx context.Context, id string, ifMatch []user.ETag) (record, error) {
	if err := contextError(ctx); err != nil {
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
	if err := contextError(ctx); err != nil {
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

// Lose loses the response to the next write; see [Lossy].
func (m *Memory) Lose(meanwhile func(execute func())) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lose = meanwhile
}

// write is a conditional write of one user.
type write struct {
	id        string
	before    user.ETag // the condition; "" if the user must not exist
	retryable bool      // whether before is a revision, which never recurs
	after     *record   // nil deletes the user
	proves    func(now record, exists bool) bool
}

// do sends w according to the rule of [user.Store] for writes in doubt, and reports whether w took effect. found is
// the user that proves it, or the existing user if the condition failed.
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
	if w.retryable && execute() {
		return true, nil, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now, exists := m.records[w.id]
	if !w.proves(now, exists) {
		return false, nil, &user.Error{Code: user.Unavailable, Detail: user.UnknownOutcome}
	}
	return true, &now, nil
}

// Create implements [user.Store].
func (m *Memory) Create(
	ctx context.Context, sent user.Attributes, idempotency *user.Idempotency,
) (user.User, bool, error) {
	if err := contextError(ctx); err != nil {
		return user.User{}, false, err
	}
	attributes, err := user.New(sent, time.Now())
	if err != nil {
		return user.User{}, false, err
	}
	u, err := newUserState(attributes)
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
	switch origin := found.idempotency; {
	case origin == nil || idempotency == nil || origin.Key != idempotency.Key:
		return user.User{}, false, &user.Error{Code: user.Exists, Detail: "There is a user with this userId already."}
	case origin.Body != idempotency.Body:
		return user.User{}, false, &user.Error{
			Code: user.IdempotencyKeyReused, Detail: "This key was used with a different body.",
		}
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
		before, retryable := r.user.ETag, r.revised
		r.revised = true
		if r.user, err = newUserState(attributes); err != nil {
			return user.User{}, err
		}
		done, _, err := m.do(write{
			id: id, before: before, retryable: retryable, after: &r,
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
			id: id, before: r.user.ETag, retryable: r.revised,
			proves: func(_ record, exists bool) bool { return !exists && len(ifMatch) == 0 },
		})
		if done || err != nil {
			return err
		}
	}
}

// newUserState returns a user with a new revision.
func newUserState(attributes user.Attributes) (user.User, error) {
	return user.User{Attributes: attributes, ETag: user.ETag(rand.Text())}, attributes.CheckSize()
}
