package local

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/userrequestapi/userdata/deploy/build"
	"github.com/userrequestapi/userdata/deploy/local/console"
	"github.com/userrequestapi/userdata/deploy/local/watch"
	"github.com/userrequestapi/userdata/deploy/template"
)

// watch reloads sources that change on disk, from the end of the start until the stack is closed.
func (s *Instance) watch(ctx context.Context) (err error) {
	s.watcher, err = watch.Start(ctx, watch.Config{
		Root:      s.cfg.Root,
		Functions: build.FromTemplate(s.resources.Load().Functions()),
		Changed: func(ctx context.Context, change watch.Change) {
			select {
			case <-s.ready:
				s.reload(ctx, change)
			case <-ctx.Done():
			}
		},
		Failed: func(err error) { s.cfg.Progress(err.Error()) },
	})
	if err != nil {
		return fmt.Errorf("%w (WATCH=0 turns off hot reload)", err)
	}
	return nil
}

// reload rebuilds the changed functions and the API, and retries those that failed before. If one of them fails, its
// previous version keeps running.
func (s *Instance) reload(ctx context.Context, change watch.Change) {
	defer s.pages.Changed()
	began := time.Now()
	_, failed := s.failures.get(document)
	resources, api := s.resources.Load(), change.API || failed
	if api {
		changed, err := s.reloadResources()
		s.failures.set(document, err)
		if err != nil {
			s.cfg.Progress(fmt.Sprintf("The API was not reloaded: %v", err))
			api = false
		} else {
			resources = changed
		}
	}
	// With a change of the API, functions are replaced together with their settings.
	reloaded := s.rebuild(ctx, resources.Functions(), change.Functions, !api)
	if ctx.Err() != nil {
		return // a newer change includes this one
	}
	err := s.replace(ctx, resources, api)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		s.failures.set(document, err)
		s.cfg.Progress(fmt.Sprintf("The change was not applied: %v", err))
		return
	}
	if api {
		reloaded = append(reloaded, "the API")
	}
	if len(reloaded) > 0 {
		s.cfg.Progress(fmt.Sprintf("Reloaded %s in %.1f s.", strings.Join(reloaded, ", "), time.Since(began).Seconds()))
	}
}

// reloadResources reads the template and the API document. The set of functions must be unchanged since the start.
func (s *Instance) reloadResources() (*template.Resources, error) {
	current := s.resources.Load()
	changed, err := load(s.cfg)
	if err != nil {
		return nil, err
	}
	if !slices.Equal(build.FromTemplate(changed.Functions()), build.FromTemplate(current.Functions())) {
		return nil, errors.New("functions were added, removed or moved in deploy/template.yaml: restart the local stack")
	}
	return changed, nil
}

// replace replaces the functions that have changed, and if api is true the API and the tables. If it returns an error,
// the functions and the API have not changed.
func (s *Instance) replace(ctx context.Context, resources *template.Resources, api bool) error {
	functions, err := s.lambdaFunctions(resources)
	if err != nil {
		return err
	}
	g := s.gateway.Load()
	if api {
		if g, err = s.newGateway(resources); err != nil {
			return err
		}
		if err := s.updateTables(ctx, resources.Tables()); err != nil {
			return err
		}
	}
	if err := s.Host.Update(functions); err != nil {
		return err
	}
	s.resources.Store(resources)
	if api {
		s.setGateway(g)
	}
	return nil
}

// rebuild builds the functions with these names and those that did not compile before, and returns the names of those
// that compiled. The most recently invoked function is built first. If early is true, each is replaced as soon as it
// is built.
func (s *Instance) rebuild(ctx context.Context, functions []template.Function, names []string, early bool) []string {
	var affected []template.Function
	for _, f := range functions {
		name := path.Base(f.Source)
		if _, failed := s.failures.get(name); failed || slices.Contains(names, name) {
			affected = append(affected, f)
		}
	}
	if len(affected) == 0 {
		return nil
	}
	slices.SortStableFunc(affected, func(a, b template.Function) int {
		return s.invocations.last(b.ARN).Compare(s.invocations.last(a.ARN))
	})
	ready := func(a build.Artifact) {
		if ctx.Err() != nil || !early {
			return
		}
		i := slices.IndexFunc(affected, func(f template.Function) bool { return path.Base(f.Source) == a.Name })
		err := s.install(affected[i].LogicalID, a)
		if err == nil {
			err = s.replace(ctx, s.resources.Load(), false)
		}
		s.failures.set(a.Name, err)
	}
	artifacts, err := s.compile(ctx, affected, ready)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		s.cfg.Progress(err.Error())
	}
	var built []string
	for i, f := range affected {
		name := path.Base(f.Source)
		failure := failureOf(name, err)
		if failure == nil {
			failure = s.install(f.LogicalID, artifacts[i])
		}
		s.failures.set(name, failure)
		if failure == nil {
			built = append(built, name)
		}
	}
	return built
}

// failureOf returns the part of an error of [build.Functions] that concerns one function, or nil.
func failureOf(name string, err error) error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return err
	}
	for _, err := range joined.Unwrap() {
		if compile, ok := errors.AsType[*build.CompileError](err); !ok || slices.Contains(compile.Functions, name) {
			return err
		}
	}
	return nil
}

// document is the key in [failures] of the template and the API document.
const document = ""

// failures are the errors in the current source: by folder name for functions that do not compile, and by [document]
// for the template and the API document.
type failures struct {
	mu    sync.Mutex
	byKey map[string]console.Failure
}

// set sets the failure of a key; nil deletes it.
func (f *failures) set(key string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		delete(f.byKey, key)
		return
	}
	if f.byKey == nil {
		f.byKey = map[string]console.Failure{}
	}
	failure := console.Failure{Output: err.Error(), Time: time.Now()}
	if compile, ok := errors.AsType[*build.CompileError](err); ok {
		failure.Functions, failure.Output = compile.Functions, compile.Output
	}
	f.byKey[key] = failure
}

func (f *failures) get(key string) (console.Failure, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	failure, ok := f.byKey[key]
	return failure, ok
}

// all returns the failures in the order of their keys, without duplicates.
func (f *failures) all() []console.Failure {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []console.Failure
	for _, key := range slices.Sorted(maps.Keys(f.byKey)) {
		failure := f.byKey[key]
		if !slices.ContainsFunc(all, func(other console.Failure) bool { return other.Output == failure.Output }) {
			all = append(all, failure)
		}
	}
	return all
}

// invocationTimes are the times of the functions' last invocations, by ARN.
type invocationTimes struct{ times sync.Map }

func (i *invocationTimes) record(arn string) { i.times.Store(arn, time.Now()) }

// last returns the zero time for a function that was not invoked.
func (i *invocationTimes) last(arn string) time.Time {
	last, _ := i.times.Load(arn)
	at, _ := last.(time.Time)
	return at
}
