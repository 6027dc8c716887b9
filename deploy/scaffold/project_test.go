package scaffold_test

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/scaffold"
)

// source returns a project with the documents of the fixture, whose API is UserRequestAPI and whose table is UserData.
func source(t *testing.T) string {
	t.Helper()
	const tools = "github.com/userrequestapi/userdata/deploy"
	dir := testenv.Folder(t, map[string]string{
		"go.mod": "module github.com/old/service\n\ngo 1.26\n\nrequire " + tools + " v0.3.0\n\n" +
			"replace " + tools + " => ../tools // of this checkout\n",
		"go.work":        "go 1.26\n\nuse (\n\t.\n\t./shared\n)\n",
		"shared/go.mod":  "module github.com/old/service/shared // shared\n\ngo 1.26\n",
		"functions/a.go": "package a\n\nimport (\n\t\"github.com/other/b\"\n\t_ \"github.com/old/service/shared\" // used\n)\n\n// UserRequestAPI, not UserRequestAPIs.\nvar _, x = \"UserData-dev\", `github.com/old/service/x`\n",
		"docs/a.md": "# UserRequestAPI\n\n<!-- begin: not in new projects -->\n\nTests of the tools.\n\n" +
			"<!-- end: not in new projects -->\n\n[decision](decisions/0001.md#why), `[decision](decisions/0001.md)`\n",
		"docs/decisions/0001.md":       "# One\n",
		"docs/api/UserRequestAPI.http": "# UserRequestAPI\n",
		"README.md":                    "# UserRequestAPI\n",
		"CHANGELOG.md":                 "# Old\n",
		".github/CODEOWNERS":           "# owners\n* @old/team\n",
		".github/dependabot.yml":       "updates:\n  - directories:\n      - /shared\n      - /gone\n",
		"ignored/secret":               "old\n",
		".gitignore":                   "/ignored/\n",
		"run.sh":                       "echo urn:problem-type:userrequestapi:X _userrequestapi_rev userrequestapi-artifacts-1 userrequestapi\n",
	})
	if err := os.CopyFS(filepath.Join(dir, "deploy"), os.DirFS(filepath.Join("..", "testdata", "service", "deploy"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "run.sh"), 0o700); err != nil {
		t.Fatal(err)
	}
	git(t, dir, "init", "--quiet")
	git(t, dir, "add", "--all")
	return dir
}

func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
}

// options returns the options for a project in a new folder.
func options(t *testing.T, root string) scaffold.ProjectOptions {
	t.Helper()
	return scaffold.ProjectOptions{
		Root: root, Dir: filepath.Join(t.TempDir(), "people"), Module: "example.com/acme/people", Name: "PeopleAPI", Out: io.Discard,
	}
}

func TestProject(t *testing.T) {
	t.Parallel()
	root := source(t)
	o := options(t, root)
	if err := scaffold.Project(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	tools, err := filepath.Rel(o.Dir, filepath.Join(filepath.Dir(root), "tools"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"go.mod": "module example.com/acme/people\n\ngo 1.26\n\nrequire github.com/userrequestapi/userdata/deploy v0.0.0\n\n" +
			"replace github.com/userrequestapi/userdata/deploy => " + filepath.ToSlash(tools) + "\n",
		"go.work":       "go 1.26\n\nuse (\n\t.\n\t./shared\n)\n",
		"shared/go.mod": "module example.com/acme/people/shared // shared\n\ngo 1.26\n",
		"functions/a.go": "package a\n\nimport (\n\t_ \"example.com/acme/people/shared\" // used\n\t\"github.com/other/b\"\n)\n\n" +
			"// PeopleAPI, not UserRequestAPIs.\nvar _, x = \"PeopleData-dev\", `example.com/acme/people/x`\n",
		"docs/a.md": "# PeopleAPI\n\n[decision](https://github.com/userrequestapi/userdata/blob/main/docs/decisions/0001.md#why), " +
			"`[decision](decisions/0001.md)`\n",
		"docs/api/PeopleAPI.http": "# PeopleAPI\n",
		".github/CODEOWNERS":      "# owners\n* @acme\n",
		".github/dependabot.yml":  "updates:\n  - directories:\n      - /shared\n",
		"run.sh":                  "echo urn:problem-type:peopleapi:X _peopleapi_rev peopleapi-artifacts-1 userrequestapi\n",
	} {
		content, err := os.ReadFile(filepath.Join(o.Dir, name))
		if err != nil {
			t.Error(err)
		}
		if d := cmp.Diff(want, string(content)); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
	for _, name := range []string{"ignored", "docs/decisions/0001.md"} {
		if _, err := os.Stat(filepath.Join(o.Dir, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: got %v, want no such file", name, err)
		}
	}
	if info, err := os.Stat(filepath.Join(o.Dir, "run.sh")); err != nil || info.Mode()&0o100 == 0 {
		t.Errorf("run.sh: got %v, %v, want an executable file", info, err)
	}
	for name, lines := range map[string]int{"README.md": 60, "CHANGELOG.md": 10} {
		content, err := os.ReadFile(filepath.Join(o.Dir, name))
		if err != nil || strings.Count(string(content), "\n") > lines {
			t.Errorf("%s: got %v and %s, want at most %d lines", name, err, content, lines)
		}
	}
}

// TestProject_Files checks which files a new project has.
func TestProject_Files(t *testing.T) {
	t.Parallel()
	const picture = "\x00 of UserRequestAPI"
	for name, tt := range map[string]struct {
		change func(t *testing.T, root string)
		want   map[string]string // by name; "" for none
		output string            // a part
	}{
		"untracked": {
			func(t *testing.T, root string) {
				t.Helper()
				write(t, root, map[string]string{".env": "KEY=1\n", "docs/drafts/a.md": "a\n", "docs/drafts/b.md": "b\n"})
			},
			map[string]string{".env": "", "docs/drafts/a.md": "", "docs/a.md": "# PeopleAPI"},
			"Not copied, because git does not track them here: .env, docs/drafts/.\n",
		},
		"without git": {
			func(t *testing.T, root string) {
				t.Helper()
				if err := os.RemoveAll(filepath.Join(root, ".git")); err != nil {
					t.Fatal(err)
				}
			},
			map[string]string{"ignored/secret": "", "docs/a.md": "# PeopleAPI"},
			"Copying ",
		},
		"links": {
			func(t *testing.T, root string) {
				t.Helper()
				for name, target := range map[string]string{
					"docs/api.http": "api/UserRequestAPI.http", "docs/gone": "UserRequestAPI/gone", "docs/folder": "api",
				} {
					if err := os.Symlink(target, filepath.Join(root, filepath.FromSlash(name))); err != nil {
						t.Fatal(err)
					}
				}
				git(t, root, "add", "--all")
			},
			map[string]string{"docs/api.http": "link api/PeopleAPI.http", "docs/gone": "link PeopleAPI/gone", "docs/folder": "link api"},
			"Copying ",
		},
		"binary": {
			func(t *testing.T, root string) {
				t.Helper()
				write(t, root, map[string]string{"docs/a.png": picture})
				git(t, root, "add", "--all")
			},
			map[string]string{"docs/a.png": picture},
			"docs/a.png still contains UserRequestAPI: it is no text, and was copied unchanged.\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := source(t)
			tt.change(t, root)
			o := options(t, root)
			var out strings.Builder
			o.Out = &out
			if err := scaffold.Project(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			for name, want := range tt.want {
				file := filepath.Join(o.Dir, filepath.FromSlash(name))
				got, err := os.Readlink(file)
				if err == nil {
					got = "link " + got
				} else if content, err := os.ReadFile(file); err == nil {
					got, _, _ = strings.Cut(string(content), "\n")
				}
				if got != want {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
			if !strings.Contains(out.String(), tt.output) {
				t.Errorf("output = %q, want it to contain %q", out.String(), tt.output)
			}
		})
	}
}

// write writes files in a folder.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestProject_UntrackedModule checks that a project without one of its modules is refused.
func TestProject_UntrackedModule(t *testing.T) {
	t.Parallel()
	root := source(t)
	git(t, root, "rm", "--quiet", "--cached", "shared/go.mod")
	o := options(t, root)
	err := scaffold.Project(t.Context(), o)
	want := "new project: git does not track the module shared, which go.work lists: run git add shared, or remove it"
	if err == nil || err.Error() != want {
		t.Errorf("got error %v, want %s", err, want)
	}
	wantEmpty(t, filepath.Dir(o.Dir))
}

// TestProject_Contained checks that a new identity may contain the old one.
func TestProject_Contained(t *testing.T) {
	t.Parallel()
	o := options(t, source(t))
	o.Module, o.Owner = "github.com/old/service/people", "old/team-2"
	if err := scaffold.Project(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(o.Dir, ".github", "CODEOWNERS"))
	if want := "# owners\n* @old/team-2\n"; err != nil || string(content) != want {
		t.Errorf("got %q, %v, want %q", content, err, want)
	}
}

// link returns a symbolic link to path.
func link(t *testing.T, path string) string {
	t.Helper()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	return link
}

func TestProject_Refuses(t *testing.T) {
	t.Parallel()
	root := source(t)
	full := testenv.Folder(t, map[string]string{"a": ""})
	for name, tt := range map[string]struct {
		change func(*scaffold.ProjectOptions)
		want   string
	}{
		"no folder":        {func(o *scaffold.ProjectOptions) { o.Dir = "" }, "DIR: want the folder"},
		"full folder":      {func(o *scaffold.ProjectOptions) { o.Dir = full }, "contains a"},
		"inside":           {func(o *scaffold.ProjectOptions) { o.Dir = filepath.Join(root, "people") }, "want a folder outside of this project"},
		"inside by a link": {func(o *scaffold.ProjectOptions) { o.Dir = filepath.Join(link(t, root), "people") }, "outside of this project"},
		"module path":      {func(o *scaffold.ProjectOptions) { o.Module = "people" }, "MODULE: want a module path"},
		"same module":      {func(o *scaffold.ProjectOptions) { o.Module = "github.com/old/service" }, "MODULE: want another"},
		"tools' module":    {func(o *scaffold.ProjectOptions) { o.Module = "github.com/userrequestapi/userdata" }, "MODULE: want another"},
		"lower-case name":  {func(o *scaffold.ProjectOptions) { o.Name = "peopleAPI" }, "NAME: want 3 to 14 letters"},
		"long name":        {func(o *scaffold.ProjectOptions) { o.Name = "PeopleAndPlacesAPI" }, "NAME: want 3 to 14 letters"},
		"same name":        {func(o *scaffold.ProjectOptions) { o.Name = "UserRequestAPI" }, "NAME: want another"},
		"same table":       {func(o *scaffold.ProjectOptions) { o.Table = "UserData" }, "TABLE: want another"},
		"table":            {func(o *scaffold.ProjectOptions) { o.Table = "a b" }, "TABLE: want 3 to 200"},
		"owner":            {func(o *scaffold.ProjectOptions) { o.Owner = "a b" }, "OWNER: want a user or team"},
		"version of tools": {func(o *scaffold.ProjectOptions) { o.Tools = "latest" }, "TOOLS: want a version"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(t, root)
			parent := filepath.Dir(o.Dir)
			tt.change(&o)
			err := scaffold.Project(t.Context(), o)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got error %v, want one line with %q", err, tt.want)
			}
			wantEmpty(t, parent)
		})
	}
}

// TestProject_Interrupted checks that nothing is left behind.
func TestProject_Interrupted(t *testing.T) {
	t.Parallel()
	o := options(t, source(t))
	parent := filepath.Dir(o.Dir)
	o.Dir = filepath.Join(parent, "new", "people")
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped")
	o.Out = writer(func(string) { cancel(stopped) }) // at the first line of progress
	if err := scaffold.Project(ctx, o); !errors.Is(err, stopped) {
		t.Errorf("got error %v, want %v", err, stopped)
	}
	wantEmpty(t, parent)
}

type writer func(string)

// Write implements [io.Writer].
func (w writer) Write(content []byte) (int, error) {
	w(string(content))
	return len(content), nil
}

func wantEmpty(t *testing.T, dir string) {
	t.Helper()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind in %s: %v, %v", dir, left, err)
	}
}
