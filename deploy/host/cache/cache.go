// Package cache keeps what is downloaded or installed once, outside the workspace, in the user's cache folder.
package cache

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// lockPeriod is how often a lock that another process holds is tried.
const lockPeriod = 100 * time.Millisecond

// Dir returns a folder of the project in the user's cache folder. It need not exist.
func Dir(elem ...string) (string, error) {
	user, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the user's cache folder: %w", err)
	}
	return filepath.Join(append([]string{user, "userrequestapi"}, elem...)...), nil
}

// Entry is a folder of the cache, with a file beside it that locks it.
type Entry struct {
	Path string      // absolute; the folders above it are made
	What string      // what it has, for messages, such as DynamoDB Local
	Has  func() bool // whether it is there, and whole
}

// Fill makes the entry unless it is there. Of several callers at once, in other processes too, one makes it and the others wait, which
// progress is told of. When ctx ends, the error is its cause.
func (e Entry) Fill(ctx context.Context, progress func(string), fill func() error) (err error) {
	if e.Has() {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(e.Path), 0o750); err != nil {
		return fmt.Errorf("make the cache folder for %s: %w", e.What, err)
	}
	lock := flock.New(e.Path + ".lock")
	locked, err := lock.TryLock()
	if err == nil && !locked {
		progress("Waiting for another run that gets " + e.What + "…")
		_, err = lock.TryLockContext(ctx, lockPeriod)
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
	}
	if err != nil {
		return fmt.Errorf("lock the cache folder for %s: %w", e.What, err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if e.Has() {
		return nil
	}
	return fill()
}

// FillAtOnce fills the entry with what fill writes into another folder, and renames that: the entry is whole or absent.
func (e Entry) FillAtOnce(ctx context.Context, progress func(string), fill func(dir string) error) error {
	return e.Fill(ctx, progress, func() (err error) {
		// Under the lock one fixed name does, and leftovers of a killed run go away.
		partial := e.Path + ".partial"
		if err := errors.Join(os.RemoveAll(partial), os.RemoveAll(e.Path), os.Mkdir(partial, 0o750)); err != nil {
			return fmt.Errorf("prepare the cache folder for %s: %w", e.What, err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(partial)) }()
		if err := fill(partial); err != nil {
			return err
		}
		if err := os.Rename(partial, e.Path); err != nil {
			return fmt.Errorf("put %s into the cache folder: %w", e.What, err)
		}
		return nil
	})
}
