package build_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"github.com/userrequestapi/userdata/deploy/build"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const hello = `package main

import "example.com/shared"

func main() { println(shared.Greeting) }
`

// workspace writes a workspace with two functions and a shared module.
func workspace(t *testing.T, changes map[string]string) string {
	t.Helper()
	files := map[string]string{
		"shared/go.mod":         "module example.com/shared\n\ngo 1.26.0\n",
		"shared/shared.go":      "package shared\n\nconst Greeting = \"hello\"\n",
		"functions/get/go.mod":  module("get"),
		"functions/get/main.go": hello,
		"functions/put/go.mod":  module("put"),
		"functions/put/main.go": hello,
	}
	maps.Copy(files, changes)
	return testenv.Folder(t, files)
}

// modules returns the functions of the workspace.
func modules() []build.Module {
	return []build.Module{{Name: "get", Dir: "functions/get"}, {Name: "put", Dir: "functions/put"}}
}

func module(name string) string {
	return "module example.com/" + name + `

go 1.26.0

require example.com/shared v0.0.0

replace example.com/shared => ../../shared
`
}

func TestFunctions(t *testing.T) {
	t.Parallel()
	root := workspace(t, nil)
	functions := modules()
	out := t.TempDir()
	var progress []string
	artifacts, err := build.Functions(t.Context(), functions, build.Options{
		Root:     root,
		Out:      out,
		Progress: func(a build.Artifact) { progress = append(progress, a.Name) },
	})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, artifact := range artifacts {
		names = append(names, artifact.Name)
		if want := filepath.Join(out, artifact.Name, "bootstrap"); artifact.Path != want {
			t.Errorf("path = %s, want %s", artifact.Path, want)
		}
		if info, err := os.Stat(artifact.Path); err != nil || info.Size() != artifact.Size || info.Mode()&0o111 == 0 {
			t.Errorf("file of the artifact = %v, %v, want an executable as in %+v", info, err, artifact)
		}
		got, err := exec.CommandContext(t.Context(), artifact.Path).CombinedOutput()
		if err != nil || string(got) != "hello\n" {
			t.Errorf("%s printed %q, %v, want hello", artifact.Name, got, err)
		}
	}
	if diff := cmp.Diff([]string{"get", "put"}, names); diff != "" {
		t.Errorf("artifacts (-want +got):\n%s", diff)
	}
	if len(progress) != len(functions) {
		t.Errorf("progress = %q, want each function once", progress)
	}
	if left, _ := filepath.Glob(filepath.Join(out, "*", "*")); len(left) != len(functions) {
		t.Errorf("out holds %q, want only the executables", left)
	}
}

// The executables do not depend on the folder. TestPackageFunction checks the same of their packages.
func TestFunctions_Reproducible(t *testing.T) {
	t.Parallel()
	target := build.Target{OS: "linux", Arch: "arm64"}
	roots := []string{workspace(t, nil), filepath.Join(t.TempDir(), "another", "place")}
	if err := os.CopyFS(roots[1], os.DirFS(roots[0])); err != nil {
		t.Fatal(err)
	}
	compile := func(root string) map[string]build.Artifact {
		t.Helper()
		artifacts, err := build.Functions(t.Context(), modules(), build.Options{Root: root, Out: t.TempDir(), Target: target})
		if err != nil {
			t.Fatal(err)
		}
		byName := map[string]build.Artifact{}
		for _, artifact := range artifacts {
			byName[artifact.Name] = artifact
		}
		return byName
	}
	first, second := compile(roots[0]), compile(roots[1])
	for name, artifact := range first {
		executable := read(t, artifact.Path)
		if !bytes.Equal(executable, read(t, second[name].Path)) {
			t.Errorf("%s: executables of two folders differ, want identical ones", name)
		}
		if sum := sha256.Sum256(executable); artifact.SHA256 != hex.EncodeToString(sum[:]) {
			t.Errorf("%s: digest = %s, want %x", name, artifact.SHA256, sum)
		}
		for _, root := range roots {
			if bytes.Contains(executable, []byte(root)) {
				t.Errorf("%s: the executable contains %s, want no path of the folder", name, root)
			}
		}
	}
	file, err := elf.Open(first["get"].Path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if file.Machine != elf.EM_AARCH64 {
		t.Errorf("machine = %v, want %v", file.Machine, elf.EM_AARCH64)
	}
	if libraries, err := file.ImportedLibraries(); err != nil || len(libraries) > 0 {
		t.Errorf("linked to %q, %v, want a static executable", libraries, err)
	}

	testenv.WriteFile(t, filepath.Join(roots[1], "functions", "get", "main.go"), hello+"\nfunc init() { println(\"changed\") }\n")
	changed := map[string]bool{}
	for name, artifact := range compile(roots[1]) {
		changed[name] = artifact.SHA256 != first[name].SHA256
	}
	if diff := cmp.Diff(map[string]bool{"get": true, "put": false}, changed); diff != "" {
		t.Errorf("changed executables (-want +got):\n%s", diff)
	}
}

// Shared packages, which take most of the build time, are compiled once. Not parallel, because it sets an environment
// variable.
func TestFunctions_CompileSharedPackagesOnce(t *testing.T) {
	dir := t.TempDir()
	tool, log := filepath.Join(dir, "tool"), filepath.Join(dir, "log")
	script := "#!/bin/sh\ncase \"$*\" in *' -p example.com/shared '*) echo compiled >> " + log + ";; esac\nexec \"$@\"\n"
	if err := os.WriteFile(tool, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOFLAGS", "-toolexec="+tool)
	root := workspace(t, map[string]string{ // not in the build cache
		"shared/shared.go": fmt.Sprintf("package shared\n\nconst Greeting = \"hello at %v\"\n", time.Now().UnixNano()),
	})
	if _, err := build.Functions(t.Context(), modules(), build.Options{Root: root, Out: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	if got := string(read(t, log)); got != "compiled\n" {
		t.Errorf("the compiler was called %d times for the shared package, want once", strings.Count(got, "\n"))
	}
}

// Not parallel, because it sets environment variables.
func TestFunctions_IndependentOfSettings(t *testing.T) {
	compile := func() []byte {
		t.Helper()
		artifacts, err := build.Functions(t.Context(), []build.Module{{Name: "get", Dir: "functions/get"}},
			build.Options{Root: workspace(t, nil), Out: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		executable, err := os.ReadFile(artifacts[0].Path)
		if err != nil {
			t.Fatal(err)
		}
		return executable
	}
	plain := compile()
	written := filepath.Join(t.TempDir(), "env") // the file of go env -w
	settings := "GOEXPERIMENT=fieldtrack\nGOFLAGS=-gcflags=-N\n"
	if err := os.WriteFile(written, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, variable := range []string{"GOFLAGS=-gcflags=-N", "GOEXPERIMENT=fieldtrack", "GOENV=" + written} {
		t.Run(variable, func(t *testing.T) {
			name, value, _ := strings.Cut(variable, "=")
			t.Setenv(name, value)
			if !bytes.Equal(plain, compile()) {
				t.Errorf("the executable with %s differs from that without it", variable)
			}
		})
	}
}

// Not parallel, because it sets an environment variable.
func TestFunctions_Update(t *testing.T) {
	dir := t.TempDir()
	tool, log := filepath.Join(dir, "tool"), filepath.Join(dir, "log")
	script := "#!/bin/sh\ncase \"$*\" in *-V=full*) ;; */link\\ *-importcfg*) echo linked >> " + log + ";; esac\nexec \"$@\"\n"
	if err := os.WriteFile(tool, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOFLAGS", "-toolexec="+tool)
	root := workspace(t, nil)
	options := build.Options{Root: root, Out: t.TempDir(), Update: true}
	update := func() (artifacts []build.Artifact, linked int) {
		t.Helper()
		if err := os.WriteFile(log, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		artifacts, err := build.Functions(t.Context(), modules(), options)
		if err != nil {
			t.Fatal(err)
		}
		if left, _ := filepath.Glob(filepath.Join(options.Out, "*", "*")); len(left) != len(artifacts) {
			t.Errorf("out holds %q, want only the executables", left)
		}
		return artifacts, strings.Count(string(read(t, log)), "linked\n")
	}
	before, linked := update()
	if linked != 2 {
		t.Errorf("first build: linked %d executables, want 2", linked)
	}
	running := filepath.Join(dir, "running") // must not change
	if err := os.Link(before[0].Path, running); err != nil {
		t.Fatal(err)
	}
	if again, linked := update(); linked != 0 || again[0].SHA256 != before[0].SHA256 || again[1].SHA256 != before[1].SHA256 {
		t.Errorf("nothing changed: linked %d executables, want none; %+v, want %+v", linked, again, before)
	}
	changed := "package main\n\nfunc main() { println(\"changed\") }\n"
	if err := os.WriteFile(filepath.Join(root, "functions", "get", "main.go"), []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	after, linked := update()
	if linked != 1 || after[0].SHA256 == before[0].SHA256 || after[1].SHA256 != before[1].SHA256 {
		t.Errorf("one changed: linked %d executables, want 1; %+v, before %+v", linked, after, before)
	}
	for path, want := range map[string]string{running: "hello\n", after[0].Path: "changed\n", after[1].Path: "hello\n"} {
		got, err := exec.CommandContext(t.Context(), path).CombinedOutput()
		if err != nil || string(got) != want {
			t.Errorf("%s printed %q, %v, want %q", path, got, err, want)
		}
	}
	// Executables for a deployment have no build ID.
	options.Update = false
	if deployed, linked := update(); linked != 2 || deployed[1].SHA256 == after[1].SHA256 {
		t.Errorf("for a deployment: linked %d executables, want 2 that differ", linked)
	}
}

func TestFunctions_CompileErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		changes   map[string]string
		functions []string
		output    string
	}{
		{
			"in one function",
			map[string]string{"functions/put/main.go": "package main\n\nfunc main() { undefined() }\n"},
			[]string{"put"},
			"functions/put/main.go:3:15: undefined: undefined",
		},
		{
			"in the shared module, for both functions",
			map[string]string{"shared/shared.go": "package shared\n\nvar Greeting string = 1\n"},
			[]string{"get", "put"},
			"shared/shared.go:3:23: cannot use 1",
		},
		{
			"with a second position",
			map[string]string{"functions/get/main.go": "package main\n\nfunc main() {}\n\nfunc main() {}\n"},
			[]string{"get"},
			"\tfunctions/get/main.go:3:6: other declaration of main",
		},
		{
			"in go.mod",
			map[string]string{"functions/get/go.mod": "module example.com/get\n\nnonsense\n"},
			[]string{"get"},
			"functions/get/go.mod:3: unknown directive: nonsense",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			root := workspace(t, nil)
			functions := modules()
			options := build.Options{Root: root, Out: t.TempDir()}
			artifacts, err := build.Functions(t.Context(), functions, options)
			if err != nil {
				t.Fatal(err)
			}
			for name, content := range tt.changes {
				if err := os.WriteFile(filepath.Join(root, name), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			_, err = build.Functions(t.Context(), functions, options)
			failure, ok := errors.AsType[*build.CompileError](err)
			if !ok {
				t.Fatalf("error = %v, want a CompileError", err)
			}
			if diff := cmp.Diff(tt.functions, failure.Functions); diff != "" {
				t.Errorf("functions (-want +got):\n%s", diff)
			}
			if !strings.Contains(failure.Output, tt.output) {
				t.Errorf("output = %q, want it to contain %q", failure.Output, tt.output)
			}
			if strings.Contains(failure.Output, "..") || strings.Contains(failure.Output, root) {
				t.Errorf("output = %q, want paths relative to the root", failure.Output)
			}
			for _, artifact := range artifacts {
				if _, err := os.Stat(artifact.Path); err != nil {
					t.Errorf("previous executable: error = %v, want it in place", err)
				}
			}
		})
	}
}

func TestFunctions_AllFailuresAreReported(t *testing.T) {
	t.Parallel()
	root := workspace(t, map[string]string{
		"functions/get/main.go": "package main\n\nfunc main() { one() }\n",
		"functions/put/main.go": "package main\n\nfunc main() { two() }\n",
	})
	_, err := build.Functions(t.Context(), modules(), build.Options{Root: root, Out: t.TempDir()})
	for _, want := range []string{"undefined: one", "undefined: two"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error = %v, want it to contain %q", err, want)
		}
	}
}

// The process of a compiler that hangs ends with the build.
func TestFunctions_Cancel(t *testing.T) {
	root, started := workspace(t, nil), filepath.Join(t.TempDir(), "pid")
	hang := filepath.Join(t.TempDir(), "hang")
	script := "#!/bin/sh\necho $$ > " + started + ".new && mv " + started + ".new " + started + "\nexec sleep 600\n"
	if err := os.WriteFile(hang, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOFLAGS", "-toolexec="+hang)

	stop := errors.New("stop pressed")
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := build.Functions(ctx, modules(), build.Options{Root: root, Out: t.TempDir()})
		ended <- err
	}()
	var compiler int
	testenv.Eventually(t, "the start of the compiler", func() bool {
		content, err := os.ReadFile(started)
		if err != nil {
			return false
		}
		compiler, err = strconv.Atoi(strings.TrimSpace(string(content)))
		return err == nil
	})
	cancel(stop)
	if err := <-ended; !errors.Is(err, stop) {
		t.Errorf("error = %v, want %v", err, stop)
	}
	testenv.Eventually(t, "the end of the compiler", func() bool { return errors.Is(syscall.Kill(compiler, 0), syscall.ESRCH) })
}

func TestLink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	executable, link := filepath.Join(dir, "executable"), filepath.Join(dir, "link")
	if err := build.Link(executable, link); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("link to a missing file: error = %v, want %v", err, fs.ErrNotExist)
	}
	if err := os.WriteFile(executable, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := build.Link(executable, link); err != nil {
		t.Fatal(err)
	}
	first, errFirst := os.Stat(executable)
	second, errSecond := os.Stat(link)
	if err := errors.Join(errFirst, errSecond); err != nil || !os.SameFile(first, second) {
		t.Errorf("got another file than %s, %v, want a hard link", executable, err)
	}
	if err := build.Link(executable, link); !errors.Is(err, fs.ErrExist) {
		t.Errorf("link that exists: error = %v, want %v", err, fs.ErrExist)
	}
}

func TestLink_Copies(t *testing.T) {
	t.Parallel()
	const self = "/proc/self/exe" // on another file system: link(2) fails with EXDEV
	want, err := os.ReadFile(self)
	if err != nil {
		t.Skip("needs /proc")
	}
	linked := filepath.Join(t.TempDir(), "linked")
	if err := build.Link(self, linked); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(linked)
	if err != nil || !info.Mode().IsRegular() || info.Mode()&0o100 == 0 {
		t.Errorf("got %v, %v, want an executable file", info, err)
	}
	if !bytes.Equal(read(t, linked), want) {
		t.Error("the copy differs from the original")
	}
}

func TestParseTarget(t *testing.T) {
	t.Parallel()
	want := build.Target{OS: "linux", Arch: "arm64"}
	if got, err := build.ParseTarget(want.String()); err != nil || got != want {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	for _, s := range []string{"", "linux", "/arm64", "linux/"} {
		t.Run(strconv.Quote(s), func(t *testing.T) {
			t.Parallel()
			if got, err := build.ParseTarget(s); err == nil {
				t.Errorf("got %v, want an error", got)
			}
		})
	}
}

func TestLambda(t *testing.T) {
	t.Parallel()
	for architecture, want := range map[string]string{"arm64": "linux/arm64", "x86_64": "linux/amd64"} {
		t.Run(architecture, func(t *testing.T) {
			t.Parallel()
			if got, err := build.Lambda(architecture); err != nil || got.String() != want {
				t.Errorf("got %v, %v, want %s", got, err, want)
			}
		})
	}
	if got, err := build.Lambda("amd64"); err == nil {
		t.Errorf("amd64: got %v, want an error", got)
	}
}

func TestFunctions_SameName(t *testing.T) {
	t.Parallel()
	functions := []build.Module{{Name: "get", Dir: "functions/get"}, {Name: "get", Dir: "functions/put"}}
	_, err := build.Functions(t.Context(), functions, build.Options{Root: workspace(t, nil), Out: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "duplicate name get") {
		t.Errorf("error = %v, want the duplicate name in it", err)
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	got, err := build.Find(filepath.Join("..", "testdata", "service"))
	if err != nil {
		t.Fatal(err)
	}
	var want []build.Module
	for id, name := range map[string]string{
		"GetFunction": "get", "PostFunction": "post", "PutFunction": "put", "DeleteFunction": "delete",
	} {
		want = append(want, build.Module{Name: name, Dir: filepath.Join("functions", name), LogicalID: id})
	}
	byID := cmpopts.SortSlices(func(a, b build.Module) bool { return a.LogicalID < b.LogicalID })
	if diff := cmp.Diff(want, got, byID); diff != "" {
		t.Errorf("functions of the template (-want +got):\n%s", diff)
	}
}

func TestFind_NoTemplate(t *testing.T) {
	t.Parallel()
	if _, err := build.Find(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error = %v, want %v", err, fs.ErrNotExist)
	}
}

func TestFunctions_MissingFolder(t *testing.T) {
	t.Parallel()
	_, err := build.Functions(t.Context(), []build.Module{{Name: "get", Dir: "functions/renamed"}},
		build.Options{Root: workspace(t, nil), Out: t.TempDir()})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error = %v, want %v", err, fs.ErrNotExist)
	}
	for _, want := range []string{"build get: the folder of the function is missing: ", "functions/renamed"} {
		if !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("error = %v, want %q in it", err, want)
		}
	}
}
