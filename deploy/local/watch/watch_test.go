package watch_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"github.com/userrequestapi/userdata/deploy/build"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/local/watch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// workspace creates a workspace with two functions: both import shared/user, and only put imports shared/store.
func workspace(t *testing.T) string {
	t.Helper()
	return testenv.Folder(t, map[string]string{
		"deploy/openapi.yaml":      "openapi: 3.0.1\n",
		"deploy/template.yaml":     "Resources: {}\n",
		"deploy/policy.json":       "{}\n",
		"functions/get/go.mod":     module("get"),
		"functions/get/main.go":    get,
		"functions/put/go.mod":     module("put"),
		"functions/put/main.go":    put,
		"shared/go.mod":            "module example.com/shared\n\ngo 1.26.0\n",
		"shared/extra/extra.go":    "package extra\n\nconst Name = \"extra\"\n",
		"shared/store/store.go":    "package store\n\nimport _ \"embed\"\n\n//go:embed roots/*.pem\nvar Name string\n",
		"shared/store/roots/a.pem": "a",
		"shared/user/user.go":      "package user\n\nconst Name = \"user\"\n",
		"shared/user/user_test.go": "package user\n",
	})
}

func module(name string) string {
	return "module example.com/" + name + `

go 1.26.0

require example.com/shared v0.0.0

replace example.com/shared => ../../shared
`
}

const (
	get = "package main\n\nimport \"example.com/shared/user\"\n\nfunc main() { println(user.Name) }\n"
	put = "package main\n\nimport (\n\t\"example.com/shared/store\"\n\t\"example.com/shared/user\"\n)\n\n" +
		"func main() { println(user.Name, store.Name) }\n"
)

func write(t *testing.T, root, name, content string) {
	t.Helper()
	testenv.WriteFile(t, filepath.Join(root, filepath.FromSlash(name)), content)
}

func rename(t *testing.T, root, from, to string) {
	t.Helper()
	if err := os.Rename(filepath.Join(root, from), filepath.Join(root, to)); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, root, name string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(root, name)); err != nil {
		t.Fatal(err)
	}
}

func functions() []build.Module {
	return []build.Module{{Name: "get", Dir: "functions/get"}, {Name: "put", Dir: "functions/put"}}
}

func start(t *testing.T, config watch.Config) *watch.Watcher {
	t.Helper()
	config.Functions = functions()
	config.Failed = func(err error) { t.Error(err) }
	w, err := watch.Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// step is an edit with the expected change.
type step struct {
	edit func(*testing.T, string)
	want watch.Change
}

func writes(name, content string) func(*testing.T, string) {
	return func(t *testing.T, root string) { t.Helper(); write(t, root, name, content) }
}

func TestWatcher(t *testing.T) {
	t.Parallel()
	var (
		nothing watch.Change
		both    = []string{"get", "put"}
		one     = []string{"get"}
		other   = []string{"put"}
	)
	const user, edited = "shared/user/user.go", "package user\n\nconst Name = \"edited\"\n"
	tests := []struct {
		name  string
		steps []step
	}{
		{"file of a function", []step{
			{writes("functions/get/main.go", get+"// edited\n"), watch.Change{Functions: one, Files: []string{"functions/get/main.go"}}},
		}},
		{"package imported by all", []step{{writes(user, edited), watch.Change{Functions: both, Files: []string{user}}}}},
		{"package imported by one", []step{
			{writes("shared/store/store.go", "package store\n\nvar Name string\n"),
				watch.Change{Functions: other, Files: []string{"shared/store/roots/a.pem", "shared/store/store.go"}}},
			{writes("shared/store/roots/a.pem", "it is not embedded any more"), nothing},
		}},
		{"package imported by none", []step{{writes("shared/extra/extra.go", "package extra\n"), nothing}}},
		{"test file", []step{
			{writes("shared/user/user_test.go", "package user\n\nimport \"testing\"\n"), nothing},
			{writes("functions/get/main_test.go", "what is no Go"), nothing},
		}},
		{"build constraints", []step{
			{writes("functions/get/main_windows.go", "package main\n"), nothing},
			{writes("functions/get/main_s390x.go", "package main\n"), nothing},
			{writes("functions/get/tool.go", "//go:build ignore\n\npackage main\n"), nothing},
			{writes("functions/get/rpc.go", "//go:build !lambda.norpc\n\npackage main\n"), nothing},
			{writes("functions/get/norpc.go", "//go:build lambda.norpc\n\npackage main\n"),
				watch.Change{Functions: one, Files: []string{"functions/get/norpc.go"}}},
			{writes("functions/get/norpc.go", "//go:build ignore\n\npackage main\n"),
				watch.Change{Functions: one, Files: []string{"functions/get/norpc.go"}}},
		}},
		{"modules", []step{
			{writes("functions/get/go.mod", module("get")+"\n// comment\n"),
				watch.Change{Functions: one, Files: []string{"functions/get/go.mod"}}},
			{writes("functions/put/go.sum", "example.com/a v1.0.0 h1:\n"),
				watch.Change{Functions: other, Files: []string{"functions/put/go.sum"}}},
			{writes("shared/go.mod", "module example.com/shared\n\ngo 1.26.1\n"),
				watch.Change{Functions: both, Files: []string{"shared/go.mod"}}},
			{writes("shared/go.sum", "is that of the main module alone"), nothing},
		}},
		{"replaced by rename", []step{
			{func(t *testing.T, root string) {
				t.Helper()
				write(t, root, "shared/user/user.go~", edited)
				rename(t, root, "shared/user/user.go~", user)
			}, watch.Change{Functions: both, Files: []string{user}}},
		}},
		{"moved to a backup and created", []step{
			{func(t *testing.T, root string) {
				t.Helper()
				rename(t, root, user, user+".bak")
				write(t, root, user, edited)
				remove(t, root, user+".bak")
			}, watch.Change{Functions: both, Files: []string{user}}},
		}},
		{"deleted and created", []step{
			{func(t *testing.T, root string) { t.Helper(); remove(t, root, user); write(t, root, user, edited) },
				watch.Change{Functions: both, Files: []string{user}}},
		}},
		{"deleted", []step{
			{func(t *testing.T, root string) { t.Helper(); remove(t, root, user) },
				watch.Change{Functions: both, Files: []string{user}}},
			{writes(user, edited), watch.Change{Functions: both, Files: []string{user}}},
		}},
		{"saved unchanged", []step{
			{func(t *testing.T, root string) {
				t.Helper()
				file := filepath.Join(root, user)
				content, err := os.ReadFile(file)
				if err == nil {
					// Not in place: truncating and writing would be two changes.
					write(t, root, "shared/user/user.go~", string(content))
					rename(t, root, "shared/user/user.go~", user)
					err = errors.Join(os.Chmod(file, 0o644), os.Chtimes(file, time.Time{}, time.Unix(1e9, 0)))
				}
				if err != nil {
					t.Fatal(err)
				}
			}, nothing},
		}},
		{"files of an editor", []step{
			{writes("functions/get/.main.go.swp", "b0VIM"), nothing},
			{writes("functions/get/4913", ""), nothing},
			{writes("functions/get/main.go~", "package main"), nothing},
			{writes("functions/get/.#main.go", "package main"), nothing},
		}},
		{"new file", []step{
			{writes("shared/user/more.go", "package user\n"), watch.Change{Functions: both, Files: []string{"shared/user/more.go"}}},
			{writes("shared/user/more.s", ""), watch.Change{Functions: both, Files: []string{"shared/user/more.s"}}},
		}},
		{"syntax error", []step{
			{writes("functions/get/main.go", "package main\n\nimport (\n"),
				watch.Change{Functions: one, Files: []string{"functions/get/main.go"}}},
			{writes("functions/get/main.go", "no package"),
				watch.Change{Functions: one, Files: []string{"functions/get/main.go"}}},
			{writes("functions/get/main.go", get),
				watch.Change{Functions: one, Files: []string{"functions/get/main.go"}}},
			{writes(user, edited), watch.Change{Functions: both, Files: []string{user}}},
		}},
		{"embedded files", []step{
			{writes("shared/store/roots/a.pem", "another"), watch.Change{Functions: other, Files: []string{"shared/store/roots/a.pem"}}},
			{writes("shared/store/roots/b.pem", "new"), watch.Change{Functions: other, Files: []string{"shared/store/roots/b.pem"}}},
			{writes("shared/store/roots/b.txt", "new"), nothing},
		}},
		{"new import", []step{
			{writes("functions/get/more.go", "package main\n\nimport _ \"example.com/shared/extra\"\n"),
				watch.Change{Functions: one, Files: []string{"functions/get/more.go", "shared/extra/extra.go"}}},
			{writes("shared/extra/extra.go", "package extra\n"),
				watch.Change{Functions: one, Files: []string{"shared/extra/extra.go"}}},
		}},
		{"import created later", []step{
			{writes(user, "package user\n\nimport _ \"example.com/shared/a/b\"\n"), watch.Change{Functions: both, Files: []string{user}}},
			{writes("shared/a/b/b.go", "package b\n"), watch.Change{Functions: both, Files: []string{"shared/a/b/b.go"}}},
			{writes("shared/a/b/b.go", "package b\n\nfunc B() {}\n"),
				watch.Change{Functions: both, Files: []string{"shared/a/b/b.go"}}},
		}},
		{"folder moved away and back", []step{
			{func(t *testing.T, root string) { t.Helper(); rename(t, root, "shared/user", "shared/old") },
				watch.Change{Functions: both, Files: []string{user}}},
			{func(t *testing.T, root string) { t.Helper(); rename(t, root, "shared/old", "shared/user") },
				watch.Change{Functions: both, Files: []string{user}}},
			{writes(user, edited), watch.Change{Functions: both, Files: []string{user}}},
		}},
		{"folder replaced", []step{
			{func(t *testing.T, root string) {
				t.Helper()
				write(t, root, "shared/new/user.go", edited)
				rename(t, root, "shared/user", "shared/old")
				rename(t, root, "shared/new", "shared/user")
			}, watch.Change{Functions: both, Files: []string{user}}},
			{writes(user, "package user\n"), watch.Change{Functions: both, Files: []string{user}}},
			{writes("shared/old/user.go", "package user\n"), nothing},
		}},
		{"module created later", []step{
			{writes("functions/get/go.mod", module("get")+"\nreplace example.com/own => ../own\n"),
				watch.Change{Functions: one, Files: []string{"functions/get/go.mod"}}},
			{writes("functions/get/own.go", "package main\n\nimport _ \"example.com/own\"\n"),
				watch.Change{Functions: one, Files: []string{"functions/get/own.go"}}},
			{writes("functions/own/own.go", "package own\n"),
				watch.Change{Functions: one, Files: []string{"functions/own/own.go"}}},
			{writes("functions/own/go.mod", "module example.com/own\n"),
				watch.Change{Functions: one, Files: []string{"functions/own/go.mod"}}},
		}},
		{"temporarily invalid go.mod", []step{
			{writes("functions/get/go.mod", "nonsense\n"), watch.Change{Functions: one, Files: []string{"functions/get/go.mod"}}},
			{writes(user, edited), watch.Change{Functions: both, Files: []string{user}}},
			{writes("functions/get/go.mod", module("get")), watch.Change{Functions: one, Files: []string{"functions/get/go.mod"}}},
		}},
		{"API", []step{
			{writes("deploy/template.yaml", "Resources: {A: {}}\n"), watch.Change{API: true, Files: []string{"deploy/template.yaml"}}},
			{writes("deploy/policy.json", "[]\n"), nothing},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			root := workspace(t)
			changes := make(chan watch.Change)
			w := start(t, watch.Config{Root: root, Changed: func(_ context.Context, c watch.Change) { changes <- c }})
			for i, step := range tt.steps {
				step.edit(t, root)
				// An edit without a change has no event to wait for, so a marker is saved after it.
				const last = "deploy/openapi.yaml"
				write(t, root, last, fmt.Sprintln("openapi:", i))
				want := step.want
				want.API, want.Files = true, append([]string{last}, want.Files...)
				slices.Sort(want.Files)
				if diff := cmp.Diff(want, until(t, changes, last), cmpopts.EquateEmpty()); diff != "" {
					t.Fatalf("edit %d (-want +got):\n%s", i, diff)
				}
			}
			if err := w.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// until merges the changes up to one of file.
func until(t *testing.T, changes <-chan watch.Change, file string) watch.Change {
	t.Helper()
	ctx, cancel := testenv.WithDeadline(t.Context(), t)
	defer cancel()
	var merged watch.Change
	for !slices.Contains(merged.Files, file) {
		select {
		case c := <-changes:
			merged.API = merged.API || c.API
			merged.Files = append(merged.Files, c.Files...)
			merged.Functions = append(merged.Functions, c.Functions...)
		case <-ctx.Done():
			t.Fatalf("changes = %+v, want one of %s", merged, file)
		}
	}
	slices.Sort(merged.Files)
	slices.Sort(merged.Functions)
	merged.Files, merged.Functions = slices.Compact(merged.Files), slices.Compact(merged.Functions)
	return merged
}

// TestWatcher_ChangedDuringCall saves files while Changed runs, as during a build.
func TestWatcher_ChangedDuringCall(t *testing.T) {
	t.Parallel()
	deadline, cancel := testenv.WithDeadline(t.Context(), t)
	defer cancel()
	root := workspace(t)
	calls, ended := make(chan watch.Change), make(chan error, 3)
	start(t, watch.Config{Root: root, Changed: func(ctx context.Context, c watch.Change) {
		calls <- c
		<-ctx.Done()
		ended <- context.Cause(ctx)
	}})
	receive := func(want watch.Change) {
		t.Helper()
		select {
		case got := <-calls:
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("change (-want +got):\n%s", diff)
			}
		case <-deadline.Done():
			t.Fatalf("no call with %+v", want)
		}
	}
	rename := func(name, content string) { // atomically, for one change
		t.Helper()
		write(t, root, "new", content)
		rename(t, root, "new", name)
	}
	rename("functions/put/main.go", put+"// edited\n")
	receive(watch.Change{Functions: []string{"put"}, Files: []string{"functions/put/main.go"}})
	rename("deploy/template.yaml", "Resources: {A: {}}\n")
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("cause of the first context = %v, want context.Canceled", err)
	}
	receive(watch.Change{
		Functions: []string{"put"}, API: true, Files: []string{"deploy/template.yaml", "functions/put/main.go"},
	})
	rename("functions/get/main.go", get+"// edited\n")
	receive(watch.Change{
		Functions: []string{"get", "put"}, API: true,
		Files: []string{"deploy/template.yaml", "functions/get/main.go", "functions/put/main.go"},
	})
}

func TestWatcher_CloseWaits(t *testing.T) {
	t.Parallel()
	root := workspace(t)
	began := make(chan struct{})
	returned := false
	w := start(t, watch.Config{Root: root, Changed: func(ctx context.Context, _ watch.Change) {
		close(began)
		<-ctx.Done()
		returned = true // happens before the return of Close
	}})
	write(t, root, "deploy/openapi.yaml", "openapi: 3.1.0\n")
	<-began
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if !returned {
		t.Error("Close returned during a call of Changed, want it to wait")
	}
}

// TestSources compares the sources with those that the go command compiles.
func TestSources(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs(filepath.Join("..", "..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	functions, err := build.Find(root)
	if err != nil {
		t.Fatal(err)
	}
	got, err := watch.Sources(watch.Config{Root: root, Functions: functions})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{}
	for _, f := range functions {
		want[f.Name] = listed(t, filepath.Join(root, f.Dir))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sources (-want from go list +got):\n%s", diff)
	}
}

// listed returns the sorted files of the workspace that the go command compiles into the function in dir.
func listed(t *testing.T, dir string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json", "-tags", "lambda.norpc,grpcnotrace", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	output, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]bool{filepath.Join(dir, "go.sum"): true}
	type module struct {
		Version string // "" for a folder
		GoMod   string
		Main    bool
		Replace *module
	}
	for decoder := json.NewDecoder(strings.NewReader(string(output))); ; {
		var p struct {
			Dir                                            string
			Module                                         *module
			GoFiles, SFiles, HFiles, SysoFiles, EmbedFiles []string
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if p.Module == nil || !p.Module.Main && (p.Module.Replace == nil || p.Module.Replace.Version != "") {
			continue
		}
		for _, name := range slices.Concat(p.GoFiles, p.SFiles, p.HFiles, p.SysoFiles, p.EmbedFiles) {
			files[filepath.Join(p.Dir, name)] = true
		}
		files[p.Module.GoMod] = true
	}
	return slices.Sorted(maps.Keys(files))
}

func TestStart_NoFolder(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "absent")
	_, err := watch.Start(t.Context(), watch.Config{Root: root, Functions: functions()})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error = %v, want %v", err, fs.ErrNotExist)
	}
}
