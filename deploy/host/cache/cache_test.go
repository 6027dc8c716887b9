package cache_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/userrequestapi/userdata/deploy/host/cache"
)

func entry(path string) cache.Entry {
	return cache.Entry{Path: path, What: "a thing", Has: func() bool {
		_, err := os.Stat(filepath.Join(path, "whole"))
		return err == nil
	}}
}

func fill(dir string) error { return os.WriteFile(filepath.Join(dir, "whole"), nil, 0o600) }

func TestEntry_ConcurrentCallersFillOnce(t *testing.T) {
	t.Parallel()
	e := entry(filepath.Join(t.TempDir(), "below", "thing"))
	var mu sync.Mutex
	fills := 0
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			err := e.FillAtOnce(t.Context(), func(string) {}, func(dir string) error {
				mu.Lock()
				defer mu.Unlock()
				fills++
				return fill(dir)
			})
			if err != nil || !e.Has() {
				t.Errorf("error = %v, entry exists = %t; want nil and true", err, e.Has())
			}
		})
	}
	callers.Wait()
	if fills != 1 {
		t.Errorf("filled %d times, want once", fills)
	}
}

func TestEntry_FailedFillIsRetried(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	e := entry(filepath.Join(parent, "thing"))
	broken := errors.New("broken")
	err := e.FillAtOnce(t.Context(), func(string) {}, func(dir string) error {
		return errors.Join(os.WriteFile(filepath.Join(dir, "half"), nil, 0o600), broken)
	})
	if !errors.Is(err, broken) || e.Has() {
		t.Fatalf("error = %v, entry exists = %t; want %v and false", err, e.Has(), broken)
	}
	// A killed process leaves both folders behind.
	if err := errors.Join(os.Mkdir(e.Path, 0o750), os.Mkdir(e.Path+".partial", 0o750)); err != nil {
		t.Fatal(err)
	}
	if err := e.FillAtOnce(t.Context(), func(string) {}, fill); err != nil {
		t.Fatal(err)
	}
	var names []string
	entries, err := os.ReadDir(parent)
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range entries {
		names = append(names, found.Name())
	}
	if want := []string{"thing", "thing.lock"}; !slices.Equal(names, want) || !e.Has() {
		t.Errorf("got %q, entry exists = %t; want %q", names, e.Has(), want)
	}
}

func TestEntry_WaitEndsWithContext(t *testing.T) {
	t.Parallel()
	e := entry(filepath.Join(t.TempDir(), "thing"))
	stopped := errors.New("stopped")
	err := e.Fill(t.Context(), func(string) {}, func() error { // holds the lock
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		progress := ""
		err := e.Fill(ctx, func(step string) { progress = step; cancel(stopped) }, func() error { return errors.New("not locked") })
		if !errors.Is(err, stopped) || progress != "Waiting for another process to install a thing…" {
			t.Errorf("error = %v, progress = %q; want %v", err, progress, stopped)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
