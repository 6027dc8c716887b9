// Package cache stores downloads and installations in the user's cache folder, outside the workspace.
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

// lockPeriod is the interval between attempts to take a lock that another process holds.
const lockPeriod = 100 * time.Millisecond

// Dir returns the path of a folder of the project in the user's cache folder. It does not create the folder.
func Dir(elem ...string) (string, error) {
	user, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the user's cache folder: %w", err)
	}
	return filepath.Join(append([]string{user, "userrequestapi"}, elem...)...), nil
}

// Entry is a file or folder of the cache. The file Path + ".lock" locks it.
type Entry struct {
	Path string      // absolute; parent folders are created
	What string      // name of the content for messages, such as DynamoDB Local
	Has  func() bool // reports whether the entry exists and is complete
}

// Fill calls fill unless the entry exists. Of several concurrent callers, also in other processes, one fills the entry
// and the others wait, which they report to progress. When ctx ends, the error is its cause.
func (e Entry) Fill(ctx context.Context, progress func(string), fill func() error) (err error) {
	if e.Has() {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(e.Path), 0o750); err != nil {
		return fmt.Errorf("create the cache folder for %s: %w", e.What, err)
	}
	lock := flock.New(e.Path + ".lock")
	locked, err := lock.TryLock()
	if err == nil && !locked {
		progress("Waiting for another process to install " + e.What + "…")
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

// FillAtOnce is [Entry.Fill] for a folder that appears complete or not at all: fill writes to another folder, which is
// then renamed.
func (e Entry) FillAtOnce(ctx context.Context, progress func(string), fill func(dir string) error) error {
	return e.Fill(ctx, progress, func() (err error) {
		// The lock makes a fixed name safe, and a fixed name removes what a killed process left behind.
		partial := e.Path + ".partial"
		if err := errors.Join(os.RemoveAll(partial), os.RemoveAll(e.Path), os.Mkdir(partial, 0o750)); err != nil {
			return fmt.Errorf("prepare the cache folder for %s: %w", e.What, err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(partial)) }()
		if err := fill(partial); err != nil {
			return err
		}
		if err := os.Rename(partial, e.Path); err != nil {
			return fmt.Errorf("move %s into the cache folder: %w", e.What, err)
		}
		return nil
	})
}
