package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"

	"github.com/userrequestapi/userdata/deploy/build"
	"github.com/userrequestapi/userdata/deploy/local/lambda"
	"github.com/userrequestapi/userdata/deploy/template"
)

// builds returns the folder of the functions' executables.
func (c Config) builds() string { return filepath.Join(c.DataDir, "functions") }

// bootstrap is the executable of a function.
type bootstrap struct {
	path     string
	revision string // changes with the content; "" if the executable is from Config.Bootstraps
	previous string // path of the executable that this one replaced, if that was built by this run
}

// build sets the bootstraps of the functions, and compiles those that Config.Bootstraps does not contain.
func (s *Instance) build(ctx context.Context, functions []template.Function) error {
	s.bootstraps = map[string]bootstrap{}
	var missing []template.Function
	for _, f := range functions {
		if path, ok := s.cfg.Bootstraps[f.LogicalID]; ok {
			s.bootstraps[f.LogicalID] = bootstrap{path: path}
			continue
		}
		missing = append(missing, f)
	}
	if missing == nil {
		return nil
	}
	s.cfg.Progress(fmt.Sprintf("Building %d functions…", len(missing)))
	artifacts, err := s.compile(ctx, missing, nil)
	if err != nil {
		return err
	}
	for i, a := range artifacts {
		if err := s.install(missing[i].LogicalID, a); err != nil {
			return err
		}
	}
	s.cfg.Progress(fmt.Sprintf("Built %d functions.", len(missing)))
	return nil
}

// compile updates the functions' executables, and calls progress with each.
func (s *Instance) compile(
	ctx context.Context, functions []template.Function, progress func(build.Artifact),
) ([]build.Artifact, error) {
	return build.Functions(ctx, build.FromTemplate(functions), build.Options{
		Root: s.cfg.Root, Out: s.cfg.builds(), Update: true, Progress: progress,
	})
}

// install links the executable of a function into a folder that no other build overwrites. It removes the executable
// that the current one has replaced: no execution environment starts from it any more.
func (s *Instance) install(logicalID string, a build.Artifact) (err error) {
	if s.installed == "" {
		if s.installed, s.installedLock, err = createRunDir(s.cfg.builds()); err != nil {
			return fmt.Errorf("create the folder of the running functions: %w", err)
		}
	}
	dir := filepath.Join(s.installed, a.Name+"-"+a.SHA256[:12])
	executable := filepath.Join(dir, build.Executable)
	current := s.bootstraps[logicalID]
	if executable == current.path {
		return nil
	}
	if err = os.MkdirAll(dir, 0o755); err == nil {
		err = build.Link(a.Path, executable)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("install %s: %w", a.Name, err)
	}
	next := bootstrap{path: executable, revision: a.SHA256}
	if current.revision != "" { // built by this run
		next.previous = current.path
	}
	s.bootstraps[logicalID] = next
	if current.previous != "" && current.previous != executable {
		if err := os.RemoveAll(filepath.Dir(current.previous)); err != nil {
			return fmt.Errorf("install %s: %w", a.Name, err)
		}
	}
	return nil
}

// createRunDir creates a folder in builds for the executables of one run, and removes the folders of killed runs. Each
// run holds a shared lock as long as it needs its folder, so the folders can be removed only if no run holds the lock.
func createRunDir(builds string) (_ string, _ *flock.Flock, err error) {
	lock := flock.New(filepath.Join(builds, "run.lock"))
	defer func() {
		if err != nil {
			err = errors.Join(err, lock.Close())
		}
	}()
	exclusive, err := lock.TryLock()
	if err != nil {
		return "", nil, err
	}
	if exclusive {
		killed, err := fs.Glob(os.DirFS(builds), "run-*") // not filepath.Glob: the path may contain pattern characters
		for _, name := range killed {
			err = errors.Join(err, os.RemoveAll(filepath.Join(builds, name)))
		}
		if err := errors.Join(err, lock.Unlock()); err != nil {
			return "", nil, err
		}
	}
	if err := lock.RLock(); err != nil { // waits only while another run removes folders
		return "", nil, err
	}
	dir, err := os.MkdirTemp(builds, "run-")
	return dir, lock, err
}

// startFunctions starts the host with the functions.
func (s *Instance) startFunctions(resources *template.Resources) error {
	functions, err := s.lambdaFunctions(resources)
	if err != nil {
		return err
	}
	s.Host, err = lambda.Start(functions, lambda.Options{
		AccountID:         accountID,
		Region:            region,
		XRayDaemonAddress: s.Collector.Address(),
		MaxEnvironments:   s.cfg.Environments,
		IdleTimeout:       s.cfg.IdleTimeout,
		Log:               s.recordEvent,
		Trace:             s.recordInvocation,
	})
	return err
}

// lambdaFunctions converts the template's functions to those of package lambda.
func (s *Instance) lambdaFunctions(resources *template.Resources) ([]lambda.Configuration, error) {
	var functions []lambda.Configuration
	for _, f := range resources.Functions() {
		if !strings.HasPrefix(f.Runtime, "provided.") {
			return nil, fmt.Errorf("function %s: Runtime: want provided.* in the local stack, got %q", f.LogicalID, f.Runtime)
		}
		environment := maps.Clone(f.Environment)
		environment["DYNAMODB_ENDPOINT"] = s.Database
		function := lambda.Configuration{
			Name:        f.Name,
			Bootstrap:   s.bootstraps[f.LogicalID].path,
			Revision:    s.bootstraps[f.LogicalID].revision,
			Environment: environment,
			MemoryMB:    f.MemoryMB,
			Timeout:     f.Timeout,
			Concurrency: f.ReservedConcurrency,
			Handler:     f.Handler,
			Tracing:     f.Tracing,
			LogGroup:    f.Logging.Group,
			LogFormat:   f.Logging.Format,
			LogLevel:    f.Logging.ApplicationLevel,
		}
		if f.LogicalID == s.cfg.Debug {
			function.Debugger = s.cfg.Debugger
		}
		functions = append(functions, function)
	}
	return functions, nil
}
