// Package watch tells what has changed in the sources of the functions and of the API, and whom it concerns.
//
// What counts is the content of the files that the functions are compiled from, not what the file system says has happened to
// them: an editor may write in place, replace by renaming, delete and create, or leave its own files beside, and a file may be
// saved as it was. Each event in a folder of interest only makes the watcher look at all of them again, which takes a few
// milliseconds.
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

// An editor that saves several files, or a tool that formats them thereafter, makes one change.
const (
	quiet   = 20 * time.Millisecond  // without an event, then the files are looked at
	longest = 500 * time.Millisecond // from the first event, however many follow
)

// Config says what to watch, and whom to tell. Root, Functions and Changed must be set.
type Config struct {
	Root      string           // the workspace: the folder that has deploy and functions in it
	Functions []build.Function // whose sources are watched, and what these import from the workspace
	Target    build.Target     // that the functions are built for; the zero value is [build.Host]
	// Changed is told of each change, one at a time. Its context ends when there is a newer change, which then takes in this
	// one too, or when the watcher is closed.
	Changed func(context.Context, Change)
	// Failed is told when something cannot be watched any more; nil: nobody is.
	Failed func(error)
}

// Change is what has changed since the last one.
type Change struct {
	Functions []string // names of those that must be built anew, in the order of [Config.Functions]
	API       bool     // the API document or the template has changed
	// Files that were changed, added or deleted, or that are imported now, or no longer; in order, with slashes, relative to
	// [Config.Root].
	Files []string
}

// Watcher watches until it is closed.
type Watcher struct {
	config  Config
	scanner *scanner
	notify  *fsnotify.Watcher
	folders map[string]fs.FileInfo // that are watched, as they were when that began
	cancel  context.CancelFunc
	done    sync.WaitGroup
}

// Start begins to watch: what is saved from now on is told, so it is called before the first build. ctx ends only the start.
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
	known, err := w.look(ctx)
	if err != nil {
		return nil, err
	}
	ctx, w.cancel = context.WithCancel(context.WithoutCancel(ctx))
	w.done.Go(func() { w.watch(ctx, known) })
	return w, nil
}

// Close ends the watching. It waits for [Config.Changed], whose context it ends.
func (w *Watcher) Close() error {
	w.cancel()
	w.done.Wait()
	if err := w.notify.Close(); err != nil {
		return fmt.Errorf("end the watching of the sources: %w", err)
	}
	return nil
}

// look returns the present state of the sources. Every later change of it makes an event.
func (w *Watcher) look(ctx context.Context) (state, error) {
	for {
		present, err := w.scanner.scan(ctx)
		if err != nil {
			return state{}, err
		}
		changed, err := w.follow(present.folders)
		if err != nil {
			return state{}, err
		}
		if !changed {
			return present, nil
		}
		// A file may have been saved before its folder was watched.
	}
}

// follow has just these folders watched, and tells whether that changed anything.
func (w *Watcher) follow(folders map[string]bool) (changed bool, err error) {
	listed := w.notify.WatchList() // without those that were moved or deleted, even if they are back
	for folder, watched := range w.folders {
		info, err := os.Stat(folder)
		if folders[folder] && err == nil && os.SameFile(info, watched) && slices.Contains(listed, folder) {
			continue
		}
		// It is gone, is of no interest any more, or another one has its name.
		_ = w.notify.Remove(folder) // which fails where the folder has gone, and its watch with it
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
		case errors.Is(err, fs.ErrNotExist): // by now
		case err != nil:
			return false, err
		default:
			w.folders[folder] = info
		}
	}
	return changed, nil
}

// watch tells of changes to the known state until ctx ends.
func (w *Watcher) watch(ctx context.Context, known state) {
	call := w.newCall()
	defer call.end()
	timer := time.NewTimer(longest) // until the files are looked at
	timer.Stop()
	defer timer.Stop()
	var first time.Time // event since they were
	soon := func() {
		if first.IsZero() {
			first = time.Now()
		}
		timer.Reset(min(quiet, time.Until(first.Add(longest))))
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
			soon()
		case err := <-w.notify.Errors:
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				fail(err)
			}
			soon() // events were lost: as if there had been one
		case <-timer.C:
			first = time.Time{}
			present, err := w.look(ctx)
			if err != nil {
				fail(err)
				continue
			}
			if change := w.compare(known, present); len(change.Files) > 0 {
				call.change(ctx, change)
			}
			known = present
		case <-call.returned:
			call.done(ctx)
		}
	}
}

// call is a call of [Config.Changed].
type call struct {
	watcher  *Watcher
	cancel   context.CancelFunc // of what it was called with; nil: it is not being called
	told     Change             // what it was called with
	pending  Change             // what comes next
	returned chan struct{}
}

func (w *Watcher) newCall() *call { return &call{watcher: w, returned: make(chan struct{})} }

// change tells of a change, at once or as soon as the call that it interrupts has returned.
func (c *call) change(ctx context.Context, change Change) {
	c.pending = c.watcher.join(c.pending, change)
	if c.cancel != nil {
		c.cancel()
		c.pending = c.watcher.join(c.pending, c.told)
		return
	}
	c.begin(ctx)
}

func (c *call) begin(ctx context.Context) {
	ctx, c.cancel = context.WithCancel(ctx)
	c.told, c.pending = c.pending, Change{}
	told := c.told
	go func() {
		c.watcher.config.Changed(ctx, told)
		c.returned <- struct{}{}
	}()
}

// done begins the next call, if there is to be one.
func (c *call) done(ctx context.Context) {
	c.cancel()
	c.cancel = nil
	if len(c.pending.Files) > 0 {
		c.begin(ctx)
	}
}

// end waits for the call.
func (c *call) end() {
	if c.cancel != nil {
		c.cancel()
		<-c.returned
	}
}

// compare returns what has changed between two states.
func (w *Watcher) compare(before, after state) Change {
	var change Change
	names := map[string]bool{}
	differs := func(file string, a, b source) {
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
		differs(file, source, after.sources[file])
	}
	for file, added := range after.sources {
		if _, ok := before.sources[file]; !ok {
			differs(file, source{}, added)
		}
	}
	slices.Sort(change.Files)
	change.Functions = w.inOrder(names)
	return change
}

// join returns two changes as one.
func (w *Watcher) join(a, b Change) Change {
	names := map[string]bool{}
	for _, name := range slices.Concat(a.Functions, b.Functions) {
		names[name] = true
	}
	files := slices.Concat(a.Files, b.Files)
	slices.Sort(files)
	return Change{Functions: w.inOrder(names), API: a.API || b.API, Files: slices.Compact(files)}
}

// inOrder returns the names of functions in the order of the configuration.
func (w *Watcher) inOrder(names map[string]bool) []string {
	var ordered []string
	for _, f := range w.config.Functions {
		if names[f.Name] {
			ordered = append(ordered, f.Name)
		}
	}
	return ordered
}
