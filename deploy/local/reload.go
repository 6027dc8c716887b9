package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"github.com/userrequestapi/userdata/deploy/build"
	"github.com/userrequestapi/userdata/deploy/local/console"
	"github.com/userrequestapi/userdata/deploy/local/watch"
	"github.com/userrequestapi/userdata/deploy/template"
)

// document is the key in [failures] of the template and the API document, beside those of the functions.
const document = ""

// failures are why parts of the source cannot be used: those of functions that do not compile, by their folders' names, and that
// of the template and the API document.
type failures struct {
	mu    sync.Mutex
	byKey map[string]console.Failure
}

// note keeps why the part cannot be used, and forgets it when err is nil.
func (f *failures) note(key string, err error) {
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

func (f *failures) of(key string) (console.Failure, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	failure, ok := f.byKey[key]
	return failure, ok
}

// all returns each failure once, however many functions have it.
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

// watch reloads what changes on disk, once the start is over, until the stack is closed.
func (s *Stack) watch(ctx context.Context) (err error) {
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
		return fmt.Errorf("%w (WATCH=0 does without)", err)
	}
	return nil
}

// reload brings what runs to what the source says, as far as the source can be used. What could not be used before is tried again.
func (s *Stack) reload(ctx context.Context, change watch.Change) {
	defer s.pages.Changed()
	began := time.Now()
	_, failed := s.failures.of(document)
	resources, api := s.resources.Load(), change.API || failed
	if api {
		changed, err := s.loadAgain()
		s.failures.note(document, err)
		if err != nil {
			s.cfg.Progress(fmt.Sprintf("The API stays as it was: %v", err))
			api = false
		} else {
			resources = changed
		}
	}
	// Code and settings that were changed together are replaced together.
	reloaded := s.rebuild(ctx, resources.Functions(), change.Functions, !api)
	if ctx.Err() != nil {
		return // a newer change takes this one in
	}
	if err := s.replace(resources, api); err != nil {
		s.failures.note(document, err)
		s.cfg.Progress(fmt.Sprintf("What runs stays as it was: %v", err))
		return
	}
	if api {
		reloaded = append(reloaded, "the API")
	}
	if len(reloaded) > 0 {
		s.cfg.Progress(fmt.Sprintf("Reloaded %s in %.1f s.", strings.Join(reloaded, ", "), time.Since(began).Seconds()))
	}
}

// loadAgain reads the template and the API document, whose functions must be those that there were at the start.
func (s *Stack) loadAgain() (*template.Stack, error) {
	present := s.resources.Load()
	changed, err := load(s.cfg)
	if err != nil {
		return nil, err
	}
	if !slices.Equal(build.FromTemplate(changed.Functions()), build.FromTemplate(present.Functions())) {
		return nil, errors.New("functions were added, removed or moved in deploy/template.yaml: start the stack again for that")
	}
	if !reflect.DeepEqual(changed.Table(), present.Table()) {
		s.cfg.Progress("The table stays as it was until the next start; one that exists already is not changed then either.")
	}
	return changed, nil
}

// replace replaces the functions, where they have changed, and the API if it has: all of it or nothing.
func (s *Stack) replace(resources *template.Stack, api bool) error {
	functions, err := s.lambdaFunctions(resources)
	if err != nil {
		return err
	}
	g := s.gateway.Load()
	if api {
		if g, err = s.newGateway(resources.API()); err != nil {
			return err
		}
	}
	if err := s.Host.Update(functions); err != nil {
		return err
	}
	s.resources.Store(resources)
	if api {
		s.serve(g)
	}
	return nil
}

// rebuild builds the functions with these names, and those that did not compile before, and returns the names of those that do.
// The most recently requested function comes first. With early, each is replaced as soon as it is ready.
func (s *Stack) rebuild(ctx context.Context, functions []template.Function, names []string, early bool) []string {
	var affected []template.Function
	for _, f := range functions {
		name := path.Base(f.Source)
		if _, failed := s.failures.of(name); failed || slices.Contains(names, name) {
			affected = append(affected, f)
		}
	}
	if len(affected) == 0 {
		return nil
	}
	slices.SortStableFunc(affected, func(a, b template.Function) int { return s.asked.compare(b.ARN, a.ARN) })
	ready := func(a build.Artifact) {
		i := slices.IndexFunc(affected, func(f template.Function) bool { return path.Base(f.Source) == a.Name })
		if ctx.Err() != nil || !early {
			return
		}
		err := s.install(affected[i].LogicalID, a)
		if err == nil {
			err = s.replace(s.resources.Load(), false)
		}
		s.failures.note(a.Name, err)
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
		s.failures.note(name, failure)
		if failure == nil {
			built = append(built, name)
		}
	}
	return built
}

// install gives the binary of a function a place of its own, which no other build overwrites, and removes the one before the
// present one, which no environment is started from any more.
func (s *Stack) install(logicalID string, a build.Artifact) (err error) {
	if s.installed == "" {
		if s.installed, s.installedLock, err = makeRunDir(s.cfg.builds()); err != nil {
			return fmt.Errorf("make the folder of the functions that run: %w", err)
		}
	}
	dir := filepath.Join(s.installed, a.Name+"-"+a.SHA256[:12])
	executable := filepath.Join(dir, build.Executable)
	present := s.bootstraps[logicalID]
	if executable == present.path {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("install %s: %w", a.Name, err)
	}
	if err := build.Link(a.Path, executable); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("install %s: %w", a.Name, err)
	}
	next := bootstrap{path: executable, revision: a.SHA256}
	if present.revision != "" { // else it is not ours, and stays
		next.before = present.path
	}
	s.bootstraps[logicalID] = next
	if present.before != "" && present.before != executable {
		if err := os.RemoveAll(filepath.Dir(present.before)); err != nil {
			return fmt.Errorf("install %s: %w", a.Name, err)
		}
	}
	return nil
}

// makeRunDir makes a folder in builds for the executables of one run, and removes those of earlier runs that were killed. Each
// run holds a shared lock while it needs its folder; only when no run holds it, what is there can be removed.
func makeRunDir(builds string) (_ string, _ *flock.Flock, err error) {
	lock := flock.New(filepath.Join(builds, "run.lock"))
	defer func() {
		if err != nil {
			err = errors.Join(err, lock.Close())
		}
	}()
	alone, err := lock.TryLock()
	if err != nil {
		return "", nil, err
	}
	if alone {
		entries, err := os.ReadDir(builds) // no pattern: the path may have any character
		for _, entry := range entries {
			if strings.HasPrefix(entry.Name(), "run-") {
				err = errors.Join(err, os.RemoveAll(filepath.Join(builds, entry.Name())))
			}
		}
		if err := errors.Join(err, lock.Unlock()); err != nil {
			return "", nil, err
		}
	}
	if err := lock.RLock(); err != nil { // waits at most until another run has removed folders
		return "", nil, err
	}
	dir, err := os.MkdirTemp(builds, "run-")
	return dir, lock, err
}

// failureOf is why the function could not be built, by what [build.Functions] says of several; nil when it could.
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

// requested is when each function was most recently requested, by its ARN.
type requested struct{ times sync.Map }

func (r *requested) note(arn string) { r.times.Store(arn, time.Now()) }

// compare is negative if b is the more recently requested one.
func (r *requested) compare(a, b string) int { return r.last(a).Compare(r.last(b)) }

func (r *requested) last(arn string) time.Time {
	last, _ := r.times.Load(arn)
	at, _ := last.(time.Time)
	return at
}

// invoker runs functions, but answers in the place of those that do not compile.
type invoker struct{ stack *Stack }

// Invoke implements [gateway.Invoker].
func (i invoker) Invoke(ctx context.Context, functionARN, traceHeader string, payload []byte) (
	response []byte, requestID, functionError string, err error,
) {
	i.stack.asked.note(functionARN)
	for _, f := range i.stack.resources.Load().Functions() {
		if failure, failed := i.stack.failures.of(path.Base(f.Source)); failed && f.ARN == functionARN {
			response, err = buildFailed(failure, f.Environment["CORS_ALLOW_ORIGIN"], payload)
			return response, "", "", err
		}
	}
	return i.stack.Host.Invoke(ctx, functionARN, traceHeader, payload)
}

const buildFailedCode = "BuildFailed"

// buildFailed returns the response in the place of a function that cannot be built: a problem document (RFC 9457) like
// those of the functions.
func buildFailed(failure console.Failure, allowOrigin string, payload []byte) ([]byte, error) {
	var event struct {
		RequestContext struct {
			Path      string `json:"path"` // with the stage
			RequestID string `json:"requestId"`
		} `json:"requestContext"`
	}
	if err := json.Unmarshal(payload, &event); err != nil {
		return nil, fmt.Errorf("read the event: %w", err)
	}
	segments := strings.FieldsFunc(event.RequestContext.Path, func(r rune) bool { return r == '/' }) // without empty ones
	problem, err := json.Marshal(map[string]any{
		"type":      "urn:problem-type:userrequestapi:" + buildFailedCode,
		"title":     "The function cannot be built",
		"status":    http.StatusInternalServerError,
		"detail":    failure.Output,
		"instance":  "/" + strings.Join(segments, "/"),
		"code":      buildFailedCode,
		"requestId": event.RequestContext.RequestID,
	})
	if err != nil {
		return nil, fmt.Errorf("encode the problem: %w", err)
	}
	headers := map[string]string{
		"Content-Type": "application/problem+json", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
	}
	if allowOrigin != "" {
		headers["Access-Control-Allow-Origin"] = allowOrigin
	}
	response, err := json.Marshal(map[string]any{
		"statusCode": http.StatusInternalServerError, "headers": headers, "body": string(problem),
	})
	if err != nil {
		return nil, fmt.Errorf("encode the answer: %w", err)
	}
	return response, nil
}
