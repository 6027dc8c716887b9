// Package build compiles and packages the functions for AWS Lambda: for each, a statically linked executable named
// bootstrap in a ZIP archive. Both are byte-for-byte reproducible with the same version of Go. Of the
// caller's Go settings, only -toolexec in GOFLAGS applies.
package build

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	gobuild "go/build"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/userrequestapi/userdata/deploy/host/process"
	"github.com/userrequestapi/userdata/deploy/template"
)

// templateFolder is the folder of the template in the workspace. The folders of the functions are relative to it.
const templateFolder = "deploy"

// Executable is the name of the executable of an OS-only runtime such as provided.al2023.
const Executable = "bootstrap"

// Module is the Go module of a function, with its main package.
type Module struct {
	Name      string // the folder of the executable in Options.Out
	Dir       string // the module's folder, absolute or relative to Options.Root
	LogicalID string // in the template; "" for a function outside of it
}

// Target is a GOOS and GOARCH, such as "linux" and "arm64".
type Target struct{ OS, Arch string }

// Host returns the target of the running program.
func Host() Target { return Target{OS: runtime.GOOS, Arch: runtime.GOARCH} }

// ParseTarget parses a target in the format of go tool dist list, such as "linux/arm64". It accepts targets that Go
// does not support.
func ParseTarget(s string) (Target, error) {
	system, arch, _ := strings.Cut(s, "/")
	if system == "" || arch == "" {
		return Target{}, fmt.Errorf("target: want an operating system and an architecture, such as linux/arm64, got %q", s)
	}
	return Target{OS: system, Arch: arch}, nil
}

// Lambda returns the target for an architecture of Lambda: arm64 or x86_64.
func Lambda(architecture string) (Target, error) {
	switch architecture {
	case "arm64":
		return Target{OS: "linux", Arch: "arm64"}, nil
	case "x86_64":
		return Target{OS: "linux", Arch: "amd64"}, nil
	default:
		return Target{}, fmt.Errorf("architecture: want arm64 or x86_64, got %q", architecture)
	}
}

// String returns the target in the format of [ParseTarget].
func (t Target) String() string { return t.OS + "/" + t.Arch }

// Context returns the build context for the target. The zero value means [Host].
func (t Target) Context() gobuild.Context {
	if t == (Target{}) {
		t = Host()
	}
	settings := gobuild.Default
	settings.GOOS, settings.GOARCH, settings.CgoEnabled, settings.BuildTags = t.OS, t.Arch, false, tags()
	return settings
}

// tags returns the build tags of the functions. lambda.norpc excludes the RPC protocol of the legacy runtime.
// grpcnotrace excludes gRPC's trace page and with it html/template, which would prevent dead code elimination.
func tags() []string { return []string{"lambda.norpc", "grpcnotrace"} }

// Options are the options of a build.
type Options struct {
	Root   string // the workspace; paths in a [CompileError] are relative to it
	Out    string // the output folder, for <function>/bootstrap
	Target Target // the zero value means [Host]
	Debug  bool   // build for a debugger: not optimized, with symbols and source paths, hence not reproducible
	// Update keeps executables in Out that are up to date according to their build ID. The executables differ from those
	// of a deployment only in the build ID.
	Update   bool
	Progress func(Artifact) // called for each compiled function, not concurrently; may be nil
}

// Artifact is a compiled function.
type Artifact struct {
	Name   string        // of the function
	Path   string        // of the executable
	SHA256 string        // of the executable, 64 hexadecimal digits
	Size   int64         // of the executable, in bytes
	Took   time.Duration // duration of the go command
}

// CompileError is a compiler error of one or more functions.
type CompileError struct {
	Functions []string // the functions with this error, several for an error in a shared package
	Output    string   // of the go command, with paths relative to Options.Root
}

// Error returns the functions' names and the compiler output.
func (e *CompileError) Error() string {
	return fmt.Sprintf("compile %s:\n%s", strings.Join(e.Functions, ", "), e.Output)
}

// Find returns the functions of the template in the workspace at root, ordered by logical ID.
func Find(root string) ([]Module, error) {
	source, err := template.Load(os.DirFS(filepath.Join(root, templateFolder)))
	if err != nil {
		return nil, fmt.Errorf("find functions: %w", err)
	}
	functions, err := source.Functions()
	if err != nil {
		return nil, fmt.Errorf("find functions: %w", err)
	}
	return FromTemplate(functions), nil
}

// FromTemplate returns the modules of a template's functions in the same order. The name of each is its folder's, such
// as get.
func FromTemplate(functions []template.Function) []Module {
	modules := make([]Module, len(functions))
	for i, f := range functions {
		modules[i] = Module{
			Name:      path.Base(f.Source),
			Dir:       filepath.Join(templateFolder, filepath.FromSlash(f.Source)),
			LogicalID: f.LogicalID,
		}
	}
	return modules
}

// Functions compiles functions, the first one alone and then several concurrently, and returns their artifacts in the
// same order. A failure does not stop the other builds: the error joins a [*CompileError] for each distinct compiler
// output, and only the artifacts of the failed functions are zero. An earlier executable stays in place until its
// replacement is complete. If ctx ends, the builds stop and the error is its cause.
func Functions(ctx context.Context, functions []Module, options Options) ([]Artifact, error) {
	root, err := filepath.Abs(options.Root)
	if err != nil {
		return nil, fmt.Errorf("build functions: %w", err)
	}
	out, err := filepath.Abs(options.Out)
	if err != nil {
		return nil, fmt.Errorf("build functions: %w", err)
	}
	if options.Target == (Target{}) {
		options.Target = Host()
	}
	names := make(map[string]bool, len(functions))
	for _, f := range functions {
		if names[f.Name] { // two builds would write the same file
			return nil, fmt.Errorf("build functions: duplicate name %s", f.Name)
		}
		names[f.Name] = true
	}
	var (
		artifacts = make([]Artifact, len(functions))
		failures  = make([]error, len(functions))
		mu        sync.Mutex
		group     errgroup.Group
	)
	group.SetLimit(runtime.GOMAXPROCS(0))
	one := func(i int) error {
		artifacts[i], failures[i] = compile(ctx, functions[i], root, out, options)
		if failures[i] == nil && options.Progress != nil {
			mu.Lock()
			defer mu.Unlock()
			options.Progress(artifacts[i])
		}
		return nil // report the errors of all functions
	}
	for i := range functions {
		if i == 0 {
			_ = one(i) // concurrent builds would each compile the shared packages
			continue
		}
		group.Go(func() error { return one(i) })
	}
	_ = group.Wait()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("build functions: %w", context.Cause(ctx))
	}
	return artifacts, join(failures)
}

func (f Module) dir(root string) string {
	if filepath.IsAbs(f.Dir) {
		return f.Dir
	}
	return filepath.Join(root, f.Dir)
}

func compile(ctx context.Context, function Module, root, out string, options Options) (Artifact, error) {
	start := time.Now()
	dir := function.dir(root)
	// Without this check, the error would name the go command instead of the folder.
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return Artifact{}, fmt.Errorf("build %s: the folder of the function is missing: %w", function.Name, err)
	}
	executable := filepath.Join(out, function.Name, Executable)
	if err := os.MkdirAll(filepath.Dir(executable), 0o755); err != nil {
		return Artifact{}, fmt.Errorf("build %s: %w", function.Name, err)
	}
	unfinished := executable + ".new"
	if err := os.Remove(unfinished); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Artifact{}, fmt.Errorf("build %s: %w", function.Name, err)
	}
	arguments := []string{"-o", unfinished, "."}
	switch {
	case options.Update:
		// The go command keeps this file if it is up to date, and otherwise replaces it.
		if err := Link(executable, unfinished); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Artifact{}, fmt.Errorf("build %s: %w", function.Name, err)
		}
		arguments = append([]string{"-ldflags", "-s -w"}, arguments...)
	case !options.Debug:
		arguments = append([]string{"-ldflags", "-s -w -buildid="}, arguments...)
	}
	var output bytes.Buffer
	if err := goCommand(ctx, "build", dir, options, &output, arguments...); err != nil {
		err = errors.Join(err, os.RemoveAll(unfinished))
		if output.Len() == 0 || ctx.Err() != nil {
			return Artifact{}, fmt.Errorf("build %s: go build: %w", function.Name, err)
		}
		return Artifact{}, &CompileError{
			Functions: []string{function.Name},
			Output:    relative(strings.TrimSpace(output.String()), dir, root),
		}
	}
	took := time.Since(start)
	digest, size, err := sum(unfinished)
	if err == nil {
		err = os.Rename(unfinished, executable)
	}
	if err == nil { // rename(2) leaves both names if they are links to the same file
		err = os.RemoveAll(unfinished)
	}
	if err != nil {
		return Artifact{}, fmt.Errorf("build %s: %w", function.Name, err)
	}
	return Artifact{Name: function.Name, Path: executable, SHA256: digest, Size: size, Took: took}, nil
}

// Link creates newname as a hard link to the executable oldname, or as a copy if the file system does not support the
// link.
func Link(oldname, newname string) error {
	err := os.Link(oldname, newname)
	if err == nil || errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	content, err := os.ReadFile(oldname)
	if err != nil {
		return err
	}
	if err := os.WriteFile(newname, content, 0o755); err != nil { //nolint:gosec // an executable
		return errors.Join(err, os.RemoveAll(newname))
	}
	return nil
}

// sum returns the SHA-256 digest of a file in hexadecimal and its size in bytes.
func sum(file string) (digest string, size int64, err error) {
	content, err := os.Open(file)
	if err != nil {
		return "", 0, err
	}
	defer func() { _ = content.Close() }()
	hash := sha256.New()
	size, err = io.Copy(hash, content)
	return hex.EncodeToString(hash.Sum(nil)), size, err
}

// goCommand runs the go command with the settings of the build. It sets GOWORK=off because a workspace selects the
// highest version of a dependency that any of its modules requires, whereas the executable must match the function's
// go.mod.
func goCommand(ctx context.Context, verb, dir string, options Options, output io.Writer, arguments ...string) error {
	given := []string{verb, "-tags", strings.Join(tags(), ","), "-buildvcs=false"}
	if options.Debug {
		given = append(given, "-gcflags=all=-N -l")
	} else {
		given = append(given, "-trimpath")
	}
	cmd := exec.Command("go", append(given, arguments...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, output, output
	// These override the caller's settings. The microarchitecture levels are the baseline of Lambda. An empty value would
	// mean the value of go env -w; GOEXPERIMENT=, means no experiment.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOOS="+options.Target.OS, "GOARCH="+options.Target.Arch,
		"GOAMD64=v1", "GOARM64=v8.0", "GOFIPS140=off", "GOEXPERIMENT=,", "GOFLAGS="+flags(os.Getenv("GOFLAGS")))
	if os.Getenv("GOGC") == "" {
		// The compiler and the linker are short-lived: fewer garbage collections save a fifth of the time.
		cmd.Env = append(cmd.Env, "GOGC=400")
	}
	return process.Run(ctx, cmd)
}

// Tidy runs go mod tidy for the module in the folder dir, outside the workspace.
func Tidy(ctx context.Context, dir string) error {
	var output bytes.Buffer
	cmd := exec.Command("go", "mod", "tidy")
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &output, &output
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if err := process.Run(ctx, cmd); err != nil {
		return fmt.Errorf("go mod tidy: %w: %s", err, bytes.TrimSpace(output.Bytes()))
	}
	return nil
}

// flags returns GOFLAGS for a build: the default, and of the given flags only -toolexec, which may be a cache.
func flags(given string) string {
	kept := []string{"-mod=readonly"}
	for flag := range strings.FieldsSeq(given) {
		if strings.HasPrefix(flag, "-toolexec=") {
			kept = append(kept, flag)
		}
	}
	return strings.Join(kept, " ")
}

// position matches a position in compiler output. The go command prints paths relative to its working directory.
var position = regexp.MustCompile(`(?m)([^\s:]+\.(?:go|s|mod))(:\d+)`)

// relative makes paths in the go command's output relative to root instead of dir. It keeps paths outside of root.
func relative(output, dir, root string) string {
	return position.ReplaceAllStringFunc(output, func(match string) string {
		file, line, _ := strings.Cut(match, ":")
		if !filepath.IsAbs(file) {
			file = filepath.Join(dir, file)
		}
		local, err := filepath.Rel(root, file)
		if err != nil || !filepath.IsLocal(local) {
			return match
		}
		return local + ":" + line
	})
}

// join joins errors and merges compiler errors with the same output.
func join(failures []error) error {
	var joined []error
	seen := make(map[string]*CompileError)
	for _, err := range failures {
		failure, ok := errors.AsType[*CompileError](err)
		if !ok {
			joined = append(joined, err)
			continue
		}
		if earlier := seen[failure.Output]; earlier != nil {
			earlier.Functions = append(earlier.Functions, failure.Functions...)
			continue
		}
		seen[failure.Output] = failure
		joined = append(joined, failure)
	}
	return errors.Join(joined...)
}
