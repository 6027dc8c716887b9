package site_test

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/docs/site"
	"github.com/userrequestapi/userdata/deploy/host/tools"
)

const source = "https://github.com/userrequestapi/userdata"

// repository returns a repository with guides and files with the given names.
func repository(names ...string) fstest.MapFS {
	tree := fstest.MapFS{}
	for _, name := range append(names, "README.md", "docs/run.md", "docs/decisions/README.md", "docs/flow.png",
		"functions/go.go") {
		tree[name] = &fstest.MapFile{Data: []byte("# A page\n")}
	}
	return tree
}

func content(t *testing.T, files fs.FS, name string) string {
	t.Helper()
	read, err := fs.ReadFile(files, name)
	if err != nil {
		t.Fatal(err)
	}
	return string(read)
}

func TestLinks(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ page, markdown, want string }{
		{"README.md", "[it](docs/run.md)", "[it](docs/run.md)"},
		{"README.md", "[it](docs/run.md#what-its-like)", "[it](docs/run.md#what-its-like)"},
		{"README.md", "[it](#users)", "[it](#users)"},
		{"README.md", "![it](docs/flow.png)", "![it](docs/flow.png)"},
		{"README.md", "[it](docs/decisions)", "[it](docs/decisions/README.md)"},
		{"README.md", "[it](docs/decisions/#records)", "[it](docs/decisions/README.md#records)"},
		{"README.md", "[it](docs)", "[it](" + source + "/tree/main/docs)"},
		{"README.md", "[`functions/`](functions/)", "[`functions/`](" + source + "/tree/main/functions)"},
		{"README.md", "[it](functions/go.go#L1)", "[it](" + source + "/blob/main/functions/go.go#L1)"},
		{"README.md", "[it][1]\n\n[1]: functions/go.go", "[it][1]\n\n[1]: " + source + "/blob/main/functions/go.go"},
		{"README.md", "[it](https://example.com/a?b=c)", "[it](https://example.com/a?b=c)"},
		{"README.md", "[it](mailto:ada@example.org)", "[it](mailto:ada@example.org)"},
		{"README.md", "`[no](link)`\n\n```sh\n[no](link)\n```\n", "`[no](link)`\n\n```sh\n[no](link)\n```\n"},
		{"README.md", "- a\n\n  ```sh\n  [no](link)\n  ```\n", "- a\n\n  ```sh\n  [no](link)\n  ```\n"},
		{"docs/call.md", "[it](../README.md#users)", "[it](../README.md#users)"},
		{"docs/call.md", "[it](../functions/go.go)", "[it](" + source + "/blob/main/functions/go.go)"},
	} {
		t.Run(test.page+" "+test.markdown, func(t *testing.T) {
			t.Parallel()
			got, err := site.Resolve(repository(), test.page, []byte(test.markdown))
			if err != nil || string(got) != test.want {
				t.Errorf("got %s, %v, want %s", got, err, test.want)
			}
		})
	}
}

func TestDeadLinks(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ page, markdown, want string }{
		{"README.md", "[it](docs/walk.md)", "README.md: dead link docs/walk.md: there is no docs/walk.md"},
		{"docs/call.md", "[it](../functions/gone.go)", "docs/call.md: dead link ../functions/gone.go: there is no functions/gone.go"},
		{"docs/call.md", "![it](flow.svg)", "docs/call.md: dead link flow.svg: there is no docs/flow.svg"},
		{"docs/call.md", "[it](../../elsewhere)", "docs/call.md: dead link ../../elsewhere: there is no ../elsewhere"},
		{"docs/call.md", "[it](/docs/run.md)", "docs/call.md: dead link /docs/run.md: there is no docs/docs/run.md"},
		{"docs/call.md", "[it][1]\n\n[1]: gone", "docs/call.md: dead link gone: there is no docs/gone"},
		{"docs/call.md", "[a](gone) [b](lost)", "dead link gone: there is no docs/gone\ndocs/call.md: dead link lost: "},
	} {
		t.Run(test.page+" "+test.markdown, func(t *testing.T) {
			t.Parallel()
			_, err := site.Resolve(repository(), test.page, []byte(test.markdown))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// Files that are not meant for readers are not published.
func TestPublished(t *testing.T) {
	t.Parallel()
	files, err := site.Guides(repository(
		"docs/.env", "docs/.run.md.swp", "docs/.#run.md", "docs/run.md~", "docs/notes.txt", "docs/.hidden/page.md",
		"docs/.hidden/flow.svg", "docs/api/prod.json", "docs/api/prod.apigateway.json", "docs/api/Users.http~", "docs/Users.http",
		"docs/flow.svg", "docs/api/Users.http", "docs/api/Users.postman_collection.json", "docs/new.md"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"README.md",
		"assets/icon.svg",
		"docs/api/Users.http",
		"docs/api/Users.postman_collection.json",
		"docs/decisions/README.md",
		"docs/flow.png",
		"docs/flow.svg",
		"docs/new.md",
		"docs/run.md",
	}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(files))); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
}

// write writes the site of a checkout into the folder out. Without Python or npm it skips the test, except in CI.
func write(t *testing.T, checkout, out string) error {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Python, npm and the network")
	}
	err := site.Write(t.Context(), site.Options{Root: checkout, Out: out, Progress: func(step string) { t.Log(step) }})
	if errors.Is(err, tools.ErrAbsent) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	return err
}

// checkout returns a folder with the pages of the menu, an API document, and the page docs/new.md.
func checkout(t *testing.T, markdown string) string {
	t.Helper()
	document, err := os.ReadFile("../../testdata/service/deploy/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"deploy/openapi.yaml": string(document), "docs/new.md": markdown,
		"docs/api/UserRequestAPI.http": "", "docs/api/UserRequestAPI.postman_collection.json": "{}",
	}
	for _, page := range []string{
		"README", "docs/getting-started", "docs/run", "docs/call", "docs/change", "docs/deploy", "docs/operate",
		"docs/architecture", "docs/api/README", "docs/decisions/README",
	} {
		files[page+".md"] = "# A page\n\n## Settings\n"
	}
	return testenv.Folder(t, files)
}

// The generator's findings, and only those, are the error. An earlier site stays.
func TestDeadAnchors(t *testing.T) {
	t.Parallel()
	out := t.TempDir()
	page := "# New\n\n[no](run.md#walk), [yes](run.md#settings),\n[no](#gone)\n"
	err := write(t, checkout(t, page), out)
	const want = "docs/new.md:3:13: anchor does not exist\ndocs/new.md:4:7: anchor does not exist"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if left, err := os.ReadDir(out); len(left) > 0 || err != nil {
		t.Errorf("got %v, %v, want an empty folder", left, err)
	}
}

// Anchors equal those of GitHub, which strips and keeps parts of headings, and a new guide is in the menu.
func TestAnchors(t *testing.T) {
	t.Parallel()
	out := t.TempDir()
	if err := write(t, checkout(t, `# Anchors
## The deployer's permissions
## `+"`mage traces` and `mage logs`"+`
## Metrics (parameter `+"`Metrics`"+`, default false)
## AUTH=AWS_IAM
## See [the *other*](run.md) page
## Größe – 1.5

[1](#the-deployers-permissions) [2](#mage-traces-and-mage-logs) [3](#metrics-parameter-metrics-default-false)
[4](#authaws_iam) [5](#see-the-other-page) [6](#größe--15)
`), out); err != nil {
		t.Fatal(err)
	}
	if got := content(t, os.DirFS(out), "docs/run.html"); !strings.Contains(got, `new.html" class="md-nav__link"`) {
		t.Error("docs/run.html has no link to docs/new.html in its menu")
	}
}

// TestWrite writes a site twice. Other entries of the folder are kept.
func TestWrite(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	out := filepath.Join(parent, "site")
	root := checkout(t, "# New\n")
	mine := []string{".git", "CNAME"} // as in a published folder
	if err := os.Mkdir(out, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(out, mine[0]), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	files := func() map[string]string {
		if err := write(t, root, out); err != nil {
			t.Fatal(err)
		}
		files := map[string]string{}
		err := fs.WalkDir(os.DirFS(parent), ".", func(name string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() {
				files[name] = content(t, os.DirFS(parent), name)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return files
	}
	first := files()
	for name, want := range map[string]string{
		"index.html":           "<title>Overview · UserRequestAPI</title>",
		"docs/run.html":        "<title>Running the local stack · UserRequestAPI</title>",
		"docs/call.html":       "Content-Security-Policy",
		"openapi.json":         `"openapi"`,
		"openapi.yaml":         "openapi: 3",
		"assets/openapi.js":    `"label":"Python"`,
		"reference/index.html": `id="redoc"`,
		"try/index.html":       `use the page that go tool mage docs serves.</p>`,
		"assets/icon.svg":      "<svg",
	} {
		if !strings.Contains(first["site/"+name], want) {
			t.Errorf("%s does not contain %s", name, want)
		}
		if strings.Contains(first["site/"+name], "x-function:") {
			t.Errorf("%s contains extensions of the API document", name)
		}
	}
	for _, name := range []string{"openapi.json", "openapi.yaml"} {
		if strings.Contains(first["site/"+name], "x-codeSamples") {
			t.Errorf("%s contains code samples", name)
		}
	}
	if err := os.WriteFile(filepath.Join(out, mine[1]), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	first["site/"+mine[1]] = ""
	if err := os.WriteFile(filepath.Join(out, "docs", "stale.html"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, files()); diff != "" {
		t.Errorf("second run (-first +second):\n%s", diff)
	}
}

func TestWriteRefused(t *testing.T) {
	t.Setenv("PATH", t.TempDir()) // without Python and npm
	mine := filepath.Join(t.TempDir(), "mine")
	if err := os.Mkdir(mine, 0o700); err != nil {
		t.Fatal(err)
	}
	options := site.Options{Root: checkout(t, "# New\n"), Out: mine, Progress: func(string) {}}
	if err := site.Write(t.Context(), options); !errors.Is(err, tools.ErrAbsent) {
		t.Errorf("without Python: got %v, want %v", err, tools.ErrAbsent)
	}
	if err := os.WriteFile(filepath.Join(mine, "index.html"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := site.Write(t.Context(), options); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("folder with other files: got error %v", err)
	}
	if got := content(t, os.DirFS(mine), "index.html"); got != "mine" {
		t.Errorf("other files are now %q", got)
	}
}
