package local

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

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
	var modules []build.Function
	for _, f := range s.resources.Load().Functions() {
		modules = append(modules, module(f))
	}
	s.watcher, err = watch.Start(ctx, watch.Config{
		Root:      s.cfg.Root,
		Functions: modules,
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

// reload brings what runs to what the source says, as far as the source can be used.
func (s *Stack) reload(ctx context.Context, change watch.Change) {
	began := time.Now()
	resources, loaded := s.resources.Load(), false
	if change.API {
		changed, err := load(s.cfg)
		s.failures.note(document, err)
		if err != nil {
			s.cfg.Progress(fmt.Sprintf("The API stays as it was: %v", err))
		} else {
			if !reflect.DeepEqual(changed.Table(), resources.Table()) {
				s.cfg.Progress("The table stays as it was until the next start; one that exists already is not changed then either.")
			}
			resources, loaded = changed, true
		}
	}
	reloaded := s.rebuild(ctx, resources.Functions(), change.Functions)
	if ctx.Err() != nil {
		return
	}
	functions, err := s.lambdaFunctions(resources)
	if err == nil {
		err = s.Host.Update(functions)
	}
	if err == nil && loaded {
		err = s.serveAPI(resources.API())
		reloaded = append(reloaded, "the API")
	}
	if err != nil {
		s.failures.note(document, err)
		s.cfg.Progress(fmt.Sprintf("What runs stays as it was: %v", err))
		return
	}
	s.resources.Store(resources)
	s.pages.Changed()
	if len(reloaded) > 0 {
		s.cfg.Progress(fmt.Sprintf("Reloaded %s in %.1f s.", strings.Join(reloaded, ", "), time.Since(began).Seconds()))
	}
}

// rebuild builds the functions with these names, and returns the names of those that compile.
func (s *Stack) rebuild(ctx context.Context, functions []template.Function, names []string) []string {
	var modules []build.Function
	ids := map[string]string{}
	for _, f := range functions {
		if m := module(f); slices.Contains(names, m.Name) {
			modules = append(modules, m)
			ids[m.Name] = f.LogicalID
		}
	}
	if len(modules) == 0 {
		return nil
	}
	_, err := build.Functions(ctx, modules, build.Options{Root: s.cfg.Root, Out: s.cfg.builds()})
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		s.cfg.Progress(err.Error())
	}
	var built []string
	for _, m := range modules {
		failure := failureOf(m.Name, err)
		s.failures.note(m.Name, failure)
		if failure == nil {
			s.bootstraps[ids[m.Name]] = filepath.Join(s.cfg.builds(), m.Name, build.Executable)
			built = append(built, m.Name)
		}
	}
	return built
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

// module is what the function is built from, named as its folder is.
func module(f template.Function) build.Function { return build.FromTemplate([]template.Function{f})[0] }

// revision tells one build of a function from another.
func revision(bootstrap string) (string, error) {
	file, err := os.Open(bootstrap)
	if err != nil {
		return "", fmt.Errorf("read the function: %w", err)
	}
	defer func() { _ = file.Close() }()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", fmt.Errorf("read the function: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// invoker runs functions, but answers in the place of those that do not compile.
type invoker struct{ stack *Stack }

// Invoke implements [gateway.Invoker].
func (i invoker) Invoke(ctx context.Context, functionARN, traceHeader string, payload []byte) (
	response []byte, requestID, functionError string, err error,
) {
	for _, f := range i.stack.resources.Load().Functions() {
		if failure, failed := i.stack.failures.of(module(f).Name); failed && f.ARN == functionARN {
			response, err = buildFailed(failure, payload)
			return response, "", "", err
		}
	}
	return i.stack.Host.Invoke(ctx, functionARN, traceHeader, payload)
}

// buildFailed is the answer of a function that does not compile: a problem document (RFC 9457) as the functions' own are.
func buildFailed(failure console.Failure, payload []byte) ([]byte, error) {
	var event struct {
		Path           string `json:"path"`
		RequestContext struct {
			RequestID string `json:"requestId"`
		} `json:"requestContext"`
	}
	if err := json.Unmarshal(payload, &event); err != nil {
		return nil, fmt.Errorf("read the event: %w", err)
	}
	problem, err := json.Marshal(map[string]any{
		"type":      "urn:problem-type:userrequestapi:BuildFailed",
		"title":     "The function does not compile",
		"status":    http.StatusInternalServerError,
		"detail":    failure.Output,
		"instance":  event.Path,
		"code":      "BuildFailed",
		"requestId": event.RequestContext.RequestID,
	})
	if err != nil {
		return nil, fmt.Errorf("encode the problem: %w", err)
	}
	response, err := json.Marshal(map[string]any{
		"statusCode": http.StatusInternalServerError,
		"headers": map[string]string{
			"Content-Type": "application/problem+json", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
		},
		"body": string(problem),
	})
	if err != nil {
		return nil, fmt.Errorf("encode the answer: %w", err)
	}
	return response, nil
}
