// Package build compiles the functions as AWS Lambda runs them: one executable named bootstrap for each, linked statically,
// and packed into an archive. Both are the same byte for byte wherever they are built with the same version of Go, whatever
// the builder's own settings are, but for -toolexec in GOFLAGS.
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

// templateFolder is where the template is in the workspace; the folders of its functions are relative to it.
const templateFolder = "deploy"

// Executable is the name of the file that an OS-only runtime such as provided.al2023 starts.
const Executable = "bootstrap"

// Function is a module that holds the main package of one function.
type Function struct {
	Name      string // the folder below Options.Out that the executable is put in
	Dir       string // the module's folder; a relative one starts at Options.Root
	LogicalID string // in the template; empty for a function that is in none
}

// Target is the system that is built for, in Go's names, as "linux" and "arm64".
type Target struct{ OS, Arch string }

// Host is the system that this program runs on.
func Host() Target { return Target{OS: runtime.GOOS, Arch: runtime.GOARCH} }

// ParseTarget reads a target as go tool dist list prints it, such as "linux/arm64". Whether Go knows it, the build shows.
func ParseTarget(text string) (Target, error) {
	system, arch, _ := strings.Cut(text, "/")
	if system == "" || arch == "" {
		return Target{}, fmt.Errorf("target %q: want a system and an architecture, such as linux/arm64", text)
	}
	return Target{OS: system, Arch: arch}, nil
}

// Lambda returns the target for an architecture as Lambda names it: arm64 or x86_64.
func Lambda(architecture string) (Target, error) {
	switch architecture {
	case "arm64":
		return Target{OS: "linux", Arch: "arm64"}, nil
	case "x86_64":
		return Target{OS: "linux", Arch: "amd64"}, nil
	default:
		return Target{}, fmt.Errorf("architecture %q: Lambda has arm64 and x86_64", architecture)
	}
}

// String returns the target as [ParseTarget] reads it.
func (t Target) String() string { return t.OS + "/" + t.Arch }

// Context returns what decides which files of a folder are compiled for the target; the zero value is [Host].
func (t Target) Context() gobuild.Context {
	if t == (Target{}) {
		t = Host()
	}
	settings := gobuild.Default
	settings.GOOS, settings.GOARCH, settings.CgoEnabled, settings.BuildTags = t.OS, t.Arch, false, tags()
	return settings
}

// tags are those that the functions are built with: lambda.norpc leaves out Lambda's old protocol; grpcnotrace a page of
// gRPC's, which the X-Ray SDK brings along, and with it html/template, which keeps the linker from leaving out methods that
// nobody calls.
func tags() []string { return []string{"lambda.norpc", "grpcnotrace"} }

// Options say what to build for and where to.
type Options struct {
	Root   string // the workspace; paths in a [CompileError] are relative to it
	Out    string // the folder that gets <function>/bootstrap
	Target Target // the zero value is [Host]
	Debug  bool   // for a debugger: not optimized, with symbols and the sources' paths, which differ by machine
	// Update keeps an executable in Out that is up to date, which the go command finds by a build ID in it. Such executables
	// differ from those that are deployed in the build ID alone.
	Update   bool
	Progress func(Artifact) // is told of each function that is ready, one at a time; may be nil
}

// Artifact is a function that was compiled.
type Artifact struct {
	Name   string        // of the function
	Path   string        // of the executable
	SHA256 string        // of the executable, 64 hexadecimal digits: another for other content
	Size   int64         // of the executable, in bytes
	Took   time.Duration // by the go command
}

// CompileError says why functions could not be compiled.
type CompileError struct {
	Functions []string // that failed in this same way, which for a fault in a shared package is all that import it
	Output    string   // of the go command, its paths relative to Options.Root
}

// Error returns the functions' names and below them what the compiler said.
func (e *CompileError) Error() string {
	return fmt.Sprintf("compile %s:\n%s", strings.Join(e.Functions, ", "), e.Output)
}

// Find returns the functions of the template in root's folder deploy, in the order of their logical ids there.
func Find(root string) ([]Function, error) {
	source, err := template.Load(os.DirFS(filepath.Join(root, templateFolder)))
	if err != nil {
		return nil, fmt.Errorf("find functions: %w", err)
	}
	rendered, err := source.Render(template.Options{})
	if err != nil {
		return nil, fmt.Errorf("find functions: %w", err)
	}
	// Where the stack would be changes nothing about the source of its functions.
	stack, err := rendered.Resolve(template.PseudoParameters{
		Region: "us-east-1", AccountID: "000000000000", StackName: "build",
	})
	if err != nil {
		return nil, fmt.Errorf("find functions: %w", err)
	}
	return FromTemplate(stack.Functions()), nil
}

// FromTemplate returns the modules that functions of a template are built from, in the same order. Each is named as its
// folder is, such as get.
func FromTemplate(functions []template.Function) []Function {
	modules := make([]Function, len(functions))
	for i, f := range functions {
		modules[i] = Function{
			Name:      path.Base(f.Source),
			Dir:       filepath.Join(templateFolder, filepath.FromSlash(f.Source)),
			LogicalID: f.LogicalID,
		}
	}
	return modules
}

// Functions compiles functions, the first alone and then several at a time, and returns the artifacts in the order of functions.
// A failure does not stop the other builds: the error joins a [*CompileError] for each distinct compiler output, and an
// executable that an earlier call made stays in place until a newer one is complete. Beside such an error the artifacts of the
// failed functions are zero, and the others are as they should be. When ctx ends, the builds stop and the error is its cause.
func Functions(ctx context.Context, functions []Function, options Options) ([]Artifact, error) {
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
			return nil, fmt.Errorf("build functions: two are named %s", f.Name)
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
		return nil // so that one broken function does not hide what is wrong with another
	}
	for i := range functions {
		if i == 0 {
			_ = one(i) // alone: builds side by side would each compile anew what they share
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

// dir returns the function's folder.
func (f Function) dir(root string) string {
	if filepath.IsAbs(f.Dir) {
		return f.Dir
	}
	return filepath.Join(root, f.Dir)
}

// compile makes the executable of a function.
func compile(ctx context.Context, function Function, root, out string, options Options) (Artifact, error) {
	start := time.Now()
	dir := function.dir(root)
	// Otherwise the go command could not start, and the error would name it instead of the folder.
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
		// The go command keeps this file if the executable is up to date, and else replaces it.
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
	if err == nil { // renaming one of two links to a file to the other leaves both
		err = os.RemoveAll(unfinished)
	}
	if err != nil {
		return Artifact{}, fmt.Errorf("build %s: %w", function.Name, err)
	}
	return Artifact{Name: function.Name, Path: executable, SHA256: digest, Size: size, Took: took}, nil
}

// Link makes newname a hard link to the executable oldname, or a copy of it if the file system cannot link them.
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

// sum returns the SHA-256 of a file in hexadecimal digits, and how many bytes it has.
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

// goCommand runs the go command, which compiles the same way whichever its verb is. GOWORK=off: the workspace raises every
// dependency to the highest version that any module wants, the linters among them; the executable shall hold just what its
// own go.mod says.
func goCommand(ctx context.Context, verb, dir string, options Options, output io.Writer, arguments ...string) error {
	given := []string{verb, "-tags", strings.Join(tags(), ","), "-buildvcs=false"}
	if options.Debug {
		given = append(given, "-gcflags=all=-N -l")
	} else {
		given = append(given, "-trimpath")
	}
	cmd := exec.Command("go", append(given, arguments...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, output, output
	// Whatever the builder's own settings are: the microarchitecture levels are those that every Lambda environment has.
	// What is empty would be as go env -w says; the comma names no experiment.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOOS="+options.Target.OS, "GOARCH="+options.Target.Arch,
		"GOAMD64=v1", "GOARM64=v8.0", "GOFIPS140=off", "GOEXPERIMENT=,", "GOFLAGS="+flags(os.Getenv("GOFLAGS")))
	if os.Getenv("GOGC") == "" {
		// The compiler and the linker live for a second: to collect less of their garbage saves a fifth of it.
		cmd.Env = append(cmd.Env, "GOGC=400")
	}
	return process.Run(ctx, cmd)
}

// flags returns what is left of GOFLAGS: the program that runs the compiler, which may be a cache. Else it is as by default.
func flags(given string) string {
	left := []string{"-mod=readonly"}
	for flag := range strings.FieldsSeq(given) {
		if strings.HasPrefix(flag, "-toolexec=") {
			left = append(left, flag)
		}
	}
	return strings.Join(left, " ")
}

// position is where a compiler message points to: the go command prints paths relative to the folder that it runs in.
var position = regexp.MustCompile(`(?m)([^\s:]+\.(?:go|s|mod))(:\d+)`)

// relative returns the go command's output with paths that are relative to root instead of dir. A path outside of root
// stays as it is.
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

// join joins failures, those with the same compiler output into one.
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
