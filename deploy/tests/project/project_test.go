package project_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/scaffold"
)

const tools = "github.com/userrequestapi/userdata/deploy"

// TestProject makes a project that requires a released version of the tools, does the tasks of a team there, upgrades
// the tools, and tests and lints it after each. From this project it makes another.
func TestProject(t *testing.T) {
	testenv.SkipUnlessAll(t)
	stacktest.Endpoint(t) // skips the test if DynamoDB Local cannot run
	before, after := release(t, "1"), release(t, "2")
	// The functions that the tests of this project share are not those of the new one.
	t.Setenv(testenv.FunctionsVariable, "")
	t.Setenv(testenv.AllVariable, "")
	t.Setenv("SHORT", "1")

	dir := filepath.Join(t.TempDir(), "people")
	create(t, testenv.Root(t), dir, scaffold.ProjectOptions{
		Module: "example.com/acme/people", Name: "PeopleAPI", Owner: "@acme/people", Tools: before,
	})
	files, lines := count(t, dir)
	summarizef(t, "A project of its own: 1 command; the project has %d files and %d lines", files, lines)
	wantNone(t, dir, regexp.MustCompile(`(?i:userrequestapi)|\bUserData\b`))
	wantVersion(t, dir, before)
	wantTested(t, dir, "")
	wantLinted(t, dir)

	for i, task := range tasks() {
		task.do(t, dir)
		if i < len(tasks())-1 { // the tests after the upgrade below include those after the last task
			wantTested(t, dir, task.unaffected)
		}
		wantLinted(t, dir)
	}

	goCommand(t, dir, "get", tools+"@"+after)
	goCommand(t, dir, "work", "sync")
	goCommand(t, dir, "mod", "tidy")
	goCommand(t, dir, "-C", "tests", "mod", "tidy")
	wantVersion(t, dir, after)
	t.Setenv("SHORT", "")
	// Without the tests of the store, which did not change.
	t.Setenv("EXCEPT", "./tests/conformance/... ./tests/faults/... ./tests/linearizability/...")
	goCommand(t, dir, "tool", "mage", "test")
	// Without the compilation for other systems: the code is that of this project.
	t.Setenv("ONLY", "go mod tidy,golangci-lint,house rules,cfn-lint,OpenAPI,Spectral,generated files")
	goCommand(t, dir, "tool", "mage", "lint")

	other := filepath.Join(filepath.Dir(dir), "pets")
	run(t, dir, "git", "add", "--all")
	create(t, dir, other, scaffold.ProjectOptions{Module: "github.com/acme/pets", Name: "PetsAPI", Table: "Animals"})
	wantNone(t, other, regexp.MustCompile(`(?i:PeopleAPI)|\bPeopleData\b|acme/people`))
	wantVersion(t, other, after)
	goCommand(t, other, "vet", "-tags=mage", "work")
	if _, err := os.Stat(filepath.Join(other, "functions", "orders", "orders.go")); err != nil {
		t.Error(err)
	}
}

// release publishes a version of the tools, as a module proxy serves it (https://go.dev/ref/mod#goproxy-protocol), which
// the go command uses until the test ends. The version is unique, because the module cache keeps its content.
func release(t *testing.T, number string) (version string) {
	t.Helper()
	version = fmt.Sprintf("v0.0.0-%d.%s", time.Now().UnixNano(), number)
	dir, proxy := filepath.Join(testenv.Root(t), "deploy"), t.TempDir()
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	if err := zip.CreateFromDir(&archive, module.Version{Path: tools, Version: version}, dir); err != nil {
		t.Fatal(err)
	}
	for extension, content := range map[string]string{
		".mod": string(mod), ".zip": archive.String(), ".info": fmt.Sprintf(`{"Version": %q}`, version),
	} {
		testenv.WriteFile(t, filepath.Join(proxy, filepath.FromSlash(tools), "@v", version+extension), content)
	}
	t.Setenv("GOPROXY", "file://"+filepath.ToSlash(proxy)+","+goCommand(t, ".", "env", "GOPROXY"))
	t.Setenv("GONOSUMDB", tools)
	cached := filepath.Join(goCommand(t, ".", "env", "GOMODCACHE"), filepath.FromSlash(tools)+"@"+version)
	t.Cleanup(func() {
		err := filepath.WalkDir(cached, func(path string, entry fs.DirEntry, err error) error {
			switch {
			case errors.Is(err, fs.ErrNotExist): // the test has failed before
				return nil
			case err == nil && entry.IsDir():
				return os.Chmod(path, 0o700) //nolint:gosec // a folder, which is deleted
			}
			return err
		})
		if err := errors.Join(err, os.RemoveAll(cached)); err != nil {
			t.Error(err)
		}
	})
	return version
}

func create(t *testing.T, from, dir string, options scaffold.ProjectOptions) {
	t.Helper()
	var out strings.Builder
	options.Root, options.Dir, options.Out = from, dir, &out
	if err := scaffold.Project(t.Context(), options); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	t.Log(out.String())
}

// wantTested tests a project, but for what needs Java, Python or npm. except has the packages not to test.
func wantTested(t *testing.T, dir, except string) {
	t.Helper()
	t.Setenv("EXCEPT", except)
	goCommand(t, dir, "tool", "mage", "test")
}

// wantLinted lints a project, but for what needs Python or npm.
func wantLinted(t *testing.T, dir string) {
	t.Helper()
	t.Setenv("ONLY", "gofmt,go mod tidy,go work sync,house rules,generated files")
	goCommand(t, dir, "tool", "mage", "lint")
}

// wantVersion checks the version of the tools that the modules of a project require.
func wantVersion(t *testing.T, dir, want string) {
	t.Helper()
	for _, name := range []string{"go.mod", "tests/go.mod"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		file, err := modfile.Parse(name, content, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, required := range file.Require {
			if required.Mod.Path == tools && required.Mod.Version != want {
				t.Errorf("%s requires %s, want %s", name, required.Mod, want)
			}
		}
	}
}

// wantNone checks that no file of a project, nor its name, matches old, except where it refers to the tools.
func wantNone(t *testing.T, dir string, old *regexp.Regexp) {
	t.Helper()
	reference := regexp.MustCompile(`https://github\.com/userrequestapi/userdata/(tree|blob)/\S+|` + regexp.QuoteMeta(tools))
	walk(t, dir, func(name string, content []byte) {
		for i, line := range bytes.Split(append([]byte(name+"\n"), content...), []byte("\n")) {
			if rest := reference.ReplaceAll(line, nil); old.Match(rest) {
				t.Errorf("%s:%d: %s", name, i, line)
			}
		}
	})
}

func count(t *testing.T, dir string) (files, lines int) {
	t.Helper()
	walk(t, dir, func(_ string, content []byte) {
		files++
		lines += bytes.Count(content, []byte("\n"))
	})
	return files, lines
}

// walk calls visit for each file of a project, except for git's.
func walk(t *testing.T, dir string, visit func(name string, content []byte)) {
	t.Helper()
	root := os.DirFS(dir)
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.Name() == ".git":
			return fs.SkipDir
		case entry.IsDir():
			return nil
		}
		content, err := fs.ReadFile(root, name)
		visit(name, content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// goCommand returns what the go command prints to standard output.
func goCommand(t *testing.T, dir string, args ...string) string {
	t.Helper()
	return strings.TrimSpace(run(t, dir, append([]string{"go"}, args...)...))
}
