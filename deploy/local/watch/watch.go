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

// Config configures a [Watcher]. Root, Functions and Changed must be set.
type Config struct {
	Root      string           // the workspace: the folder that contains deploy and functions
	Functions []build.Function // watched with the packages that they import from the workspace
	Target    build.Target     // target of the build; the zero value is [build.Host]
	// Changed is called with each change, one call at a time. Its context ends when the watcher is closed, or when
	// there is a newer change, which then includes this one.
	Changed func(context.Context, Change)
	// Failed, if not nil, is called when watching fails.
	Failed func(error)
}

// Change is the difference between two scans.
type Change struct {
	Functions []string // names of the functions to rebuild, in the order of [Config.Functions]
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

// Start starts to watch. Call it before the first build, so that no change is missed. ctx ends only the start.
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
	known, err := w.scanAndWatch(ctx)
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
func (w *Watcher) scanAndWatch(ctx context.Context) (state, error) {
	for {
		current, err := w.scanner.scan(ctx)
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
	call := w.newCall()
	defer call.stop()
	timer := time.NewTimer(maxDelay) // until the next scan
	timer.Stop()
	defer timer.Stop()
	var first time.Time // of the events since the last scan
	schedule := func() {
		if first.IsZero() {
			first = time.Now()
		}
		timer.Reset(min(quiet, time.Until(first.Add(maxDelay))))
	}
	fail := func(err error) {
		if w.config.Failed != nil && ctx.Err() == nil {
			w.config.Failed(fmt.Errorf("watch the sources: %w", err))
		}
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.notify.Events:
			schedule()
		case err := <-w.notify.Errors:
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				fail(err)
			}
			schedule() // events were lost
		case <-timer.C:
			first = time.Time{}
			current, err := w.scanAndWatch(ctx)
			if err != nil {
				fail(err)
				continue
			}
			if change := w.compare(known, current); len(change.Files) > 0 {
				call.request(ctx, change)
			}
			known = current
		case <-call.returned:
			call.finish(ctx)
		}
	}
}

// call manages the calls of [Config.Changed], of which at most one is in progress.
type call struct {
	watcher  *Watcher
	cancel   context.CancelFunc // of the call in progress; nil: none
	current  Change             // argument of the call in progress
	pending  Change             // argument of the next call
	returned chan struct{}
}

func (w *Watcher) newCall() *call { return &call{watcher: w, returned: make(chan struct{})} }

// request calls Changed with change. If a call is in progress, request cancels it and adds its change to the next call.
func (c *call) request(ctx context.Context, change Change) {
	c.pending = c.watcher.merge(c.pending, change)
	if c.cancel != nil {
		c.cancel()
		c.pending = c.watcher.merge(c.pending, c.current)
		return
	}
	c.start(ctx)
}

func (c *call) start(ctx context.Context) {
	ctx, c.cancel = context.WithCancel(ctx)
	c.current, c.pending = c.pending, Change{}
	change := c.current
	go func() {
		c.watcher.config.Changed(ctx, change)
		c.returned <- struct{}{}
	}()
}

// finish ends the call in progress, which has returned, and starts the next one if a change is pending.
func (c *call) finish(ctx context.Context) {
	c.cancel()
	c.cancel = nil
	if len(c.pending.Files) > 0 {
		c.start(ctx)
	}
}

// stop cancels the call in progress and waits for it.
func (c *call) stop() {
	if c.cancel != nil {
		c.cancel()
		<-c.returned
	}
}

// compare returns the difference between two states.
func (w *Watcher) compare(before, after state) Change {
	var change Change
	names := map[string]bool{}
	compareFile := func(file string, a, b source) {
		if a.digest == b.digest {
			return
		}
		change.API = change.API || a.api || b.api
		maps.Copy(names, a.functions)
		maps.Copy(names, b.functions)
		if relative, err := filepath.Rel(w.config.Root, file); err == nil {
			file = relative
		}
		change.Files = append(change.Files, filepath.ToSlash(file))
	}
	for file, source := range before.sources {
		compareFile(file, source, after.sources[file])
	}
	for file, added := range after.sources {
		if _, ok := before.sources[file]; !ok {
			compareFile(file, source{}, added)
		}
	}
	slices.Sort(change.Files)
	change.Functions = w.sortNames(names)
	return change
}

// merge returns the union of two changes.
func (w *Watcher) merge(a, b Change) Change {
	names := map[string]bool{}
	for _, name := range slices.Concat(a.Functions, b.Functions) {
		names[name] = true
	}
	files := slices.Concat(a.Files, b.Files)
	slices.Sort(files)
	return Change{Functions: w.sortNames(names), API: a.API || b.API, Files: slices.Compact(files)}
}

// sortNames returns the names in the order of [Config.Functions].
func (w *Watcher) sortNames(names map[string]bool) []string {
	var ordered []string
	for _, f := range w.config.Functions {
		if names[f.Name] {
			ordered = append(ordered, f.Name)
		}
	}
	return ordered
}
