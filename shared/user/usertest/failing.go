package usertest

import (
	"context"

	"github.com/userrequestapi/userdata/shared/user"
)

// Failing is a store whose methods all return Err.
type Failing struct{ Err error }

var _ user.Store = Failing{}

// Get implements [user.Store].
func (f Failing) Get(context.Context, string) (user.User, error) { return user.User{}, f.Err }

// List implements [user.Store].
func (f Failing) List(context.Context, string, int) (user.Page, error) { return user.Page{}, f.Err }

// Create implements [user.Store].
func (f Failing) Create(context.Context, user.Attributes, *user.Idempotency) (user.User, bool, error) {
	return user.User{}, false, f.Err
}

// Replace implements [user.Store].
func (f Failing) Replace(context.Context, string, user.Attributes, []user.ETag) (user.User, error) {
	return user.User{}, f.Err
}

// Delete implements [user.Store].
func (f Failing) Delete(context.Context, string, []user.ETag) error { return f.Err }
