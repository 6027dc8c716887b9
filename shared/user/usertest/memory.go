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

// Memory is a store that keeps users in memory, for tests of what stands before a store. It passes [Run] as the DynamoDB store
// does.
type Memory struct {
	mu      sync.Mutex
	records map[string]record
}

type record struct {
	user        user.User
	idempotency *user.Idempotency
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
	m.mu.Lock()
	defer m.mu.Unlock()
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
	r, ok := m.records[id]
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

// Create implements [user.Store].
func (m *Memory) Create(ctx context.Context, sent user.Attributes, idempotency *user.Idempotency) (user.User, bool, error) {
	if err := ended(ctx); err != nil {
		return user.User{}, false, err
	}
	attributes, err := user.New(sent, time.Now())
	if err != nil {
		return user.User{}, false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	u, err := revise(attributes)
	if err != nil {
		return user.User{}, false, err
	}
	existing, ok := m.records[u.ID()]
	switch made := existing.idempotency; {
	case !ok:
		m.records[u.ID()] = record{u, idempotency}
		return u, false, nil
	case made == nil || idempotency == nil || made.Key != idempotency.Key:
		return user.User{}, false, &user.Error{Code: user.Exists, Detail: "There is a user with this userId already."}
	case made.Body != idempotency.Body:
		return user.User{}, false, &user.Error{Code: user.IdempotencyKeyReused, Detail: "This key came with another body."}
	}
	return existing.user, true, nil
}

// Replace implements [user.Store].
func (m *Memory) Replace(ctx context.Context, id string, sent user.Attributes, ifMatch []user.ETag) (user.User, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, err := m.find(ctx, id, ifMatch)
	if err != nil {
		return user.User{}, err
	}
	attributes, err := r.user.Attributes.Replace(sent, time.Now())
	if err != nil {
		return user.User{}, err
	}
	if r.user, err = revise(attributes); err != nil {
		return user.User{}, err
	}
	m.records[id] = r
	return r.user, nil
}

// Delete implements [user.Store].
func (m *Memory) Delete(ctx context.Context, id string, ifMatch []user.ETag) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.find(ctx, id, ifMatch); err != nil {
		return err
	}
	delete(m.records, id)
	return nil
}

func revise(attributes user.Attributes) (user.User, error) {
	return user.User{Attributes: attributes, ETag: user.ETag(rand.Text())}, attributes.CheckSize()
}
