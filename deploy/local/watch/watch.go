// Package watch reports changes in the sources of the functions and of the API, with the functions concerned.
//
// It compares the contents of the files and does not interpret file system events: editors write in place, rename,
// delete and create, leave their own files, and save unchanged files. Each event in a watched folder only starts a new
// scan of all files, which takes a few milliseconds.
package watch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/userrequestapi/userdata/deploy/build"
)

// Files saved together, or formatted after they were saved, are one change.
const (
	quiet    = 20 * time.Millisecond  // time without an event before a scan
	maxDelay = 500 * time.Millisecond // from the first event to the scan
)

// Config configures a [Watcher]. All fields must be set.
type Config struct {
	Root      string         // the workspace: the folder that contains deploy and functions
	Functions []build.Module // watched with the packages that they import from the workspace; Dir relative to Root
	// Changed is called with each change, one call at a time. Its context ends when the watcher is closed, or when
	// there is a newer change, which then includes this one.
	Changed func(context.Context, Change)
	// Failed is called when watching fails.
	Failed func(error)
}

// Change is the difference between two scans.
type Change struct {
	Functions []string // sorted names of the functions to rebuild
	API       bool     // the API document or the template has changed
	// Files that were changed, added or deleted, or whose import was added or removed: sorted slash-separated paths
	// relative to [Config.Root].
	Files []string
}

// Watcher watches the sources until it is closed.
type Watcher struct {
	config  Config
	scanner *scanner
	notify  *fsnotify.Watcher
	folders map[string]fs.FileInfo // watched folders, as they were when the watch was added
	cancel  context.CancelFunc
	done    sync.WaitGroup
}

// Start starts to watch. Call it before the first build, so that no change is missed. ctx limits only the start.
func Start(ctx context.Context, config Config) (_ *Watcher, err error) {
	if config.Root, err = filepath.Abs(config.Root); err == nil {
		_, err = os.Stat(config.Root)
	}
	if err != nil {
		return nil, fmt.Errorf("watch the sources: %w", err)
	}
	w := &Watcher{config: config, scanner: newScanner(config), folders: map[string]fs.FileInfo{}}
	if w.notify, err = fsnotify.NewWatcher(); err != nil {
		return nil, fmt.Errorf("watch the sources: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("watch the sources: %w", err), w.notify.Close())
		}
	}()
	known, err := w.scanAndWatch()
	if err != nil {
		return nil, err
	}
	ctx, w.cancel = context.WithCancel(context.WithoutCancel(ctx))
	w.done.Go(func() { w.watch(ctx, known) })
	return w, nil
}

// Close stops watching. It ends the context of [Config.Changed] and waits for the call.
func (w *Watcher) Close() error {
	w.cancel()
	w.done.Wait()
	if err := w.notify.Close(); err != nil {
		return fmt.Errorf("stop watching the sources: %w", err)
	}
	return nil
}

// scanAndWatch returns the current state of the sources. Every later change causes an event.
func (w *Watcher) scanAndWatch() (state, error) {
	for {
		current, err := w.scanner.scan()
		if err != nil {
			return state{}, err
		}
		changed, err := w.setFolders(current.folders)
		if err != nil {
			return state{}, err
		}
		if !changed {
			return current, nil
		}
		// Scan again: a file may have been saved before its folder was watched.
	}
}

// setFolders watches exactly these folders, and reports whether it added or removed any.
func (w *Watcher) setFolders(folders map[string]bool) (changed bool, err error) {
	listed := w.notify.WatchList() // excludes folders that were moved or deleted, even if they exist again
	for folder, watched := range w.folders {
		info, err := os.Stat(folder)
		if folders[folder] && err == nil && os.SameFile(info, watched) && slices.Contains(listed, folder) {
			continue
		}
		// The folder was deleted or replaced, or need not be watched any more.
		_ = w.notify.Remove(folder) // fails for a deleted folder, which has no watch
		delete(w.folders, folder)
		changed = true
	}
	for folder := range folders {
		if w.folders[folder] != nil {
			continue
		}
		changed = true
		info, err := os.Stat(folder)
		if err == nil {
			err = w.notify.Add(folder)
		}
		switch {
		case errors.Is(err, fs.ErrNotExist): // deleted since the scan
		case err != nil:
			return false, err
		default:
			w.folders[folder] = info
		}
	}
	return changed, nil
}

// watch reports changes to the known state until ctx ends.
func (w *Watcher) watch(ctx context.Context, known state) {
	var (
		first            time.Time          // of the events since the last scan
		current, pending Change             // arguments of the call of Changed in progress and of the next one
		cancel           context.CancelFunc // of the call in progress; nil: none
	)
	returned := make(chan struct{})
	defer func() {
		if cancel != nil {
			cancel()
			<-returned
		}
	}()
	timer := time.NewTimer(maxDelay) // until the next scan
	timer.Stop()
	defer timer.Stop()
	schedule := func() {
		if first.IsZero() {
			first = time.Now()
		}
		timer.Reset(min(quiet, time.Until(first.Add(maxDelay))))
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.notify.Events:
			schedule()
		case err := <-w.notify.Errors:
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				w.config.Failed(fmt.Errorf("watch the sources: %w", err))
			}
			schedule() // events were lost
		case <-timer.C:
			first = time.Time{}
			scanned, err := w.scanAndWatch()
			if err != nil {
				w.config.Failed(fmt.Errorf("watch the sources: %w", err))
				continue
			}
			change := w.compare(known, scanned)
			known = scanned
			if len(change.Files) == 0 {
				continue
			}
			pending = merge(pending, change)
			if cancel != nil {
				cancel()
				pending = merge(pending, current)
			}
		case <-returned:
			cancel()
			cancel = nil
		}
		if cancel == nil && len(pending.Files) > 0 {
			current, pending = pending, Change{}
			cancel = w.call(ctx, current, returned)
		}
	}
}

// call starts a call of [Config.Changed], and returns a function that cancels it. When the call has returned, it sends
// to returned.
func (w *Watcher) call(ctx context.Context, change Change, returned chan<- struct{}) context.CancelFunc {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		w.config.Changed(ctx, change)
		returned <- struct{}{}
	}()
	return cancel
}

// compare returns the difference between two states.
func (w *Watcher) compare(before, after state) Change {
	var change Change
	users := map[string]bool{}
	files := maps.Clone(before.sources)
	maps.Copy(files, after.sources)
	for _, file := range slices.Sorted(maps.Keys(files)) {
		a, b := before.sources[file], after.sources[file]
		if a.digest == b.digest {
			continue
		}
		maps.Copy(users, a.users)
		maps.Copy(users, b.users)
		if relative, err := filepath.Rel(w.config.Root, file); err == nil {
			file = relative
		}
		change.Files = append(change.Files, filepath.ToSlash(file))
	}
	change.API = users[api]
	delete(users, api)
	change.Functions = slices.Sorted(maps.Keys(users))
	return change
}

// merge returns the union of two changes.
func merge(a, b Change) Change {
	union := func(a, b []string) []string {
		all := slices.Concat(a, b)
		slices.Sort(all)
		return slices.Compact(all)
	}
	return Change{Functions: union(a.Functions, b.Functions), API: a.API || b.API, Files: union(a.Files, b.Files)}
}
