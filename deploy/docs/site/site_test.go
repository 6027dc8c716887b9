package site_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/docs/site"
	"github.com/userrequestapi/userdata/deploy/host/tools"
)

const source = "https://example.org/source"

// checkout returns a repository with the sources of a site and further files.
func checkout(files map[string]string) fstest.MapFS {
	tree := fstest.MapFS{}
	for name, content := range map[string]string{
		"README.md":       "# Users\n\nThe *first* page.\n",
		"docs/run.md":     "# Running it\n\n## What it's like\n",
		"functions/go.go": "package main\n",
		"deploy/openapi.yaml": "openapi: 3.0.3\ninfo: {title: Users, version: 1.2.3}\n" +
			"externalDocs: {url: " + source + "}\npaths: {}\n",
		"deploy/local/console/assets/icon.svg": "<svg/>",
	} {
		tree[name] = &fstest.MapFile{Data: []byte(content)}
	}
	for name, content := range files {
		tree[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return tree
}

// modules returns stubs of the scripts that the pages load.
func modules() fstest.MapFS {
	return fstest.MapFS{
		"@mermaid-js/tiny/dist/mermaid.tiny.js": {Data: []byte("mermaid")},
		"@mermaid-js/tiny/LICENSE":              {Data: []byte("MIT")},
		"redoc/bundles/redoc.standalone.js": {
			Data: []byte(`redoc src:"https://cdn.redoc.ly/redoc/logo-mini.svg"`),
		},
		"redoc/bundles/redoc.standalone.js.LICENSE.txt": {Data: []byte("MIT")},
		"redoc/LICENSE": {Data: []byte("MIT")},
	}
}

func build(t *testing.T, files map[string]string) (fs.FS, error) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "site")
	return os.DirFS(dir), site.Build(dir, checkout(files), modules())
}

func content(t *testing.T, built fs.FS, name string) string {
	t.Helper()
	text, err := fs.ReadFile(built, name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestLinks(t *testing.T) {
	t.Parallel()
	others := map[string]string{
		"docs/decisions/README.md": "# Decisions\n",
		"docs/decisions/0001-a.md": "# A\n",
		"docs/api/Users.http":      "GET /users\n",
		"docs/flow.svg":            "<svg/>",
		"CHANGELOG.md":             "# Changes\n",
		"docs/api/prod.json":       "{}",
	}
	for _, test := range []struct{ page, markdown, want string }{
		{"README.md", "[it](docs/run.md)", `<a href="docs/run.html">it</a>`},
		{"README.md", "[it](docs/run.md#what-its-like)", `<a href="docs/run.html#what-its-like">it</a>`},
		{"README.md", "[it](#users)", `<a href="#users">it</a>`},
		{"README.md", "[it][there]\n\n[there]: docs/run.md", `<a href="docs/run.html">it</a>`},
		{"README.md", "[it](docs/decisions)", `<a href="docs/decisions/index.html">it</a>`},
		{"README.md", "[it](docs/decisions/)", `<a href="docs/decisions/index.html">it</a>`},
		{"README.md", "[it](docs/decisions/README.md)", `<a href="docs/decisions/index.html">it</a>`},
		{"README.md", "[it](docs/api/Users.http)", `<a href="docs/api/Users.http">it</a>`},
		{"README.md", "[it](docs/api/prod.json)", `<a href="` + source + `/blob/main/docs/api/prod.json">it</a>`},
		{"README.md", "[it](docs)", `<a href="` + source + `/tree/main/docs">it</a>`},
		{"README.md", "[it](functions/go.go#L1)", `<a href="` + source + `/blob/main/functions/go.go#L1">it</a>`},
		{"README.md", "[it](CHANGELOG.md)", `<a href="` + source + `/blob/main/CHANGELOG.md">it</a>`},
		{"README.md", "![it](docs/flow.svg)", `<img src="docs/flow.svg" alt="it">`},
		{"README.md", "<https://example.com/a?b=c>", `<a href="https://example.com/a?b=c">https://example.com/a?b=c</a>`},
		{"README.md", "[it](mailto:ada@example.org)", `<a href="mailto:ada@example.org">it</a>`},
		{"README.md", `<a href="docs/run.html">it</a>`, `<a href="docs/run.html">it</a>`},
		{"docs/call.md", "[it](run.md)", `<a href="run.html">it</a>`},
		{"docs/call.md", "[it](../README.md#users)", `<a href="../index.html#users">it</a>`},
		{"docs/call.md", "[it](../functions)", `<a href="` + source + `/tree/main/functions">it</a>`},
		{"docs/call.md", "[it](..)", `<a href="` + source + `/tree/main">it</a>`},
		{"docs/decisions/0002-b.md", "[it](0001-a.md)", `<a href="0001-a.html">it</a>`},
	} {
		t.Run(test.page+" "+test.markdown, func(t *testing.T) {
			t.Parallel()
			files := maps.Clone(others)
			files[test.page] = "# Users\n\n" + test.markdown + "\n"
			built, err := build(t, files)
			if err != nil {
				t.Fatal(err)
			}
			name := strings.NewReplacer("README.md", "index.html", ".md", ".html").Replace(test.page)
			if got := content(t, built, name); !strings.Contains(got, test.want) {
				t.Errorf("%s does not contain %s:\n%s", name, test.want, got)
			}
		})
	}
}

func TestDeadLinks(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ page, markdown, want string }{
		{"README.md", "[it](docs/walk.md)", "README.md: dead link docs/walk.md: there is no docs/walk.md"},
		{"docs/call.md", "[it](../functions/gone.go)", "docs/call.md: dead link ../functions/gone.go: there is no functions/gone.go"},
		{"docs/call.md", "![it](flow.png)", "docs/call.md: dead link flow.png: there is no docs/flow.png"},
		{"docs/call.md", "[it](../../elsewhere)", "docs/call.md: dead link ../../elsewhere: the path leaves the repository"},
		{"docs/call.md", "[it](/docs/run.md)", "docs/call.md: dead link /docs/run.md: want a path relative to the page"},
		{"docs/call.md", "[it](run.md#walk)", "docs/call.html: dead link run.html#walk: docs/run.html has no heading or element with that id"},
		{"docs/call.md", "[it](#walk)", "docs/call.html: dead link #walk: docs/call.html has no heading or element with that id"},
		{"docs/call.md", "[it](http:///path)", "docs/call.md: dead link http:///path: no host"},
		{"docs/call.md", "[it](https://example.org:port)", "docs/call.md: dead link https://example.org:port: parse "},
		{"docs/call.md", "[it](mailto:ada)", "docs/call.md: dead link mailto:ada: no mailbox"},
		{"docs/call.md", "[it](ftp://example.org/)", "docs/call.md: dead link ftp://example.org/: want http, https or mailto"},
		{"docs/call.md", `<a href="run.md">it</a>`, "docs/call.html: dead link run.md: the site has no file docs/run.md"},
		{"docs/call.md", `<a href="/docs/run.html">it</a>`, "docs/call.html: dead link /docs/run.html: want a relative URL"},
		{"docs/call.md", "![it](https://example.org/a.png)", "docs/call.html: dead link https://example.org/a.png: a page must not load resources from outside the site"},
		{"docs/call.md", `<img srcset="../docs/run.html, https://example.org/2.png 2x">`, "dead link https://example.org/2.png: a page must not load resources"},
		{"docs/call.md", `<video poster="gone.png"></video>`, "dead link gone.png: the site has no file docs/gone.png"},
		{"docs/call.md", `<form action="gone.html"></form>`, "dead link gone.html: the site has no file docs/gone.html"},
		{"docs/call.md", `<meta http-equiv="Refresh" content="0; url=gone.html">`, "dead link gone.html: the site has no file docs/gone.html"},
		{"docs/call.md", `<p style="background: URL( 'gone.png' )">it</p>`, "dead link gone.png: the site has no file docs/gone.png"},
		{"docs/call.md", `<style>@import "gone.css";</style>`, "dead link gone.css: the site has no file docs/gone.css"},
		{"docs/call.md", `<style>a { background: url(https://example.org/a.png) }</style>`, "dead link https://example.org/a.png: a page must not load resources"},
		{"docs/call.md", "[a](gone) [b](lost)\n\n[it](gone.md)", "dead link lost: there is no docs/lost\ndocs/call.md: dead link gone.md: "},
		{"docs/call.md", "[a](#gone) [b](#lost)", "dead link #lost"},
	} {
		t.Run(test.page+" "+test.markdown, func(t *testing.T) {
			t.Parallel()
			_, err := build(t, map[string]string{test.page: "# Users\n\n" + test.markdown + "\n"})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// The links in the API document must be absolute, as it is read in other places than the site.
func TestDescriptions(t *testing.T) {
	t.Parallel()
	const relative = ": want an absolute URL, because the document is read in many places"
	for _, test := range []struct{ markdown, want string }{
		{"[it](https://example.org/a#b), <https://example.org>, https://example.org/c, and `[no](link)`", ""},
		{"[it](docs/run.md)", "openapi.yaml: dead link docs/run.md" + relative},
		{"[it](#section/Paging)", "openapi.yaml: dead link #section/Paging" + relative},
		{"<a href='../index.html'>it</a>", "openapi.yaml: dead link ../index.html" + relative},
		{"[it](http:///path)", "openapi.yaml: dead link http:///path: no host"},
		{"![it](https://example.org/a.png)", "openapi.yaml: dead link https://example.org/a.png: a page must not load resources from outside"},
	} {
		for _, place := range []string{
			"info: {title: Users, version: 1.2.3, description: %q}\npaths: {}\n",
			"info: {title: Users, version: 1.2.3}\ntags: [{name: Users, description: %q}]\npaths: {}\n",
			"info: {title: Users, version: 1.2.3}\npaths: {/users: {get: {responses: {'200': {description: %q}}}}}\n",
		} {
			t.Run(test.markdown, func(t *testing.T) {
				t.Parallel()
				document := "openapi: 3.0.3\nexternalDocs: {url: " + source + "}\n" + fmt.Sprintf(place, test.markdown)
				_, err := build(t, map[string]string{"deploy/openapi.yaml": document})
				if (err != nil) != (test.want != "") || err != nil && !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v, want %s", err, test.want)
				}
			})
		}
	}
}

// Files that are not meant for readers are not published.
func TestPublished(t *testing.T) {
	t.Parallel()
	files := map[string]string{}
	for _, name := range []string{
		"docs/.env", "docs/.run.md.swp", "docs/.#run.md", "docs/run.md~", "docs/notes.txt", "docs/.hidden/page.md", "docs/.hidden/flow.svg",
		"docs/api/prod.json", "docs/api/prod.apigateway.json", "docs/api/Users.http~", "docs/Users.http",
		"docs/flow.svg", "docs/flow.png", "docs/api/Users.http", "docs/api/Users.postman_collection.json", "docs/new.md",
	} {
		files[name] = "# A page\n"
	}
	built, err := build(t, files)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	err = fs.WalkDir(built, "docs", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			got = append(got, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"docs/api/Users.http",
		"docs/api/Users.postman_collection.json",
		"docs/flow.png",
		"docs/flow.svg",
		"docs/new.html",
		"docs/run.html",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
}

// Each page has a Content Security Policy.
func TestPolicy(t *testing.T) {
	t.Parallel()
	built, err := build(t, map[string]string{"docs/call.md": "# Calls\n\n```mermaid\nflowchart LR\n  a --> b\n```\n"})
	if err != nil {
		t.Fatal(err)
	}
	const (
		all = "default-src 'none'; img-src 'self' data:; script-src 'self'; style-src 'self'"
		end = "; base-uri 'none'; form-action 'none'\""
	)
	for name, want := range map[string]string{
		"docs/run.html":        all + end,
		"docs/call.html":       all + " 'unsafe-inline'" + end,
		"reference/index.html": all + " 'unsafe-inline'; worker-src blob:" + end,
	} {
		if got := content(t, built, name); !strings.Contains(got, want) {
			t.Errorf("%s does not contain %s:\n%s", name, want, got)
		}
	}
}

// Anchors equal those of GitHub, which numbers, strips and keeps parts of headings.
func TestAnchors(t *testing.T) {
	t.Parallel()
	built, err := build(t, map[string]string{"docs/call.md": `# Calls
## The deployer's permissions
## ` + "`mage traces` and `mage logs`" + `
## Metrics (parameter ` + "`Metrics`" + `, default false)
## AUTH=AWS_IAM
## See [the *other*](run.md) page
## Größe – 1.5
## Calls
### Calls
## Size
## Size-1
## Size
## Size
`})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, match := range regexp.MustCompile(`<h[123] id="([^"]*)"`).FindAllStringSubmatch(content(t, built, "docs/call.html"), -1) {
		got = append(got, match[1])
	}
	want := []string{
		"calls", "the-deployers-permissions", "mage-traces-and-mage-logs", "metrics-parameter-metrics-default-false",
		"authaws_iam", "see-the-other-page", "größe--15", "calls-1", "calls-2", "size", "size-1", "size-2", "size-3",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("anchors (-want +got):\n%s", diff)
	}
}

// The guides are in the order of the links of the first page.
func TestMenu(t *testing.T) {
	t.Parallel()
	built, err := build(t, map[string]string{
		"README.md":                "# Users\n\n[later](docs/z.md#z), [decisions](docs/decisions), [run](docs/run.md), [later](docs/z.md)\n",
		"docs/z.md":                "# Z\n\n## Part & parcel\n",
		"docs/b.md":                "# B\n",
		"docs/a.md":                "# A\n",
		"docs/decisions/0001-x.md": "# X\n",
		"docs/decisions/README.md": "# Decisions\n",
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]string{
		"index.html":                 {"Overview", "Z", "Decisions", "Running it", "A", "B"},
		"docs/z.html":                {"Overview", "Z", "Part &amp; parcel", "Decisions", "Running it", "A", "B"},
		"docs/decisions/index.html":  {"Overview", "Z", "Decisions", "X", "Running it", "A", "B"},
		"docs/decisions/0001-x.html": {"Overview", "Z", "Decisions", "X", "Running it", "A", "B"},
	} {
		_, menu, _ := strings.Cut(content(t, built, name), "<h2>Guides</h2>")
		menu, _, _ = strings.Cut(menu, "<h2>")
		var got []string
		for _, match := range regexp.MustCompile(`">([^<]*)</a>`).FindAllStringSubmatch(menu, -1) {
			got = append(got, match[1])
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("menu of %s (-want +got):\n%s", name, diff)
		}
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	built, err := build(t, map[string]string{
		"docs/call.md":        "# Calls\n\nHow to `call`\nit.\n\n```mermaid\nflowchart LR\n  a --> b\n```\n\n| | |\n|---|---|\n| a | b |\n",
		"docs/api/Users.http": "GET /users\n",
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"index.html":           `<title>Users</title>`,
		"docs/run.html":        `<title>Running it · Users</title>`,
		"docs/call.html":       `<meta name="description" content="How to call it.">`,
		"docs/api/Users.http":  "GET /users\n",
		"openapi.json":         `"version": "1.2.3"`,
		"openapi.yaml":         "version: 1.2.3",
		"reference/index.html": `"version":"1.2.3"`,
		"try/index.html":       `use the page that go tool mage docs serves.</p>`,
		"assets/redoc.js":      `redoc src:"data:image/svg+xml,%3Csvg%20xmlns=%22http://www.w3.org/2000/svg%22%20width=%221%22%20height=%221%22/%3E"`,
		"assets/mermaid.js":    "mermaid",
		"assets/icon.svg":      "<svg/>",
	} {
		got := content(t, built, name)
		if !strings.Contains(got, want) {
			t.Errorf("%s does not contain %s:\n%s", name, want, got)
		}
		if strings.Contains(got, "x-secret") {
			t.Errorf("%s contains private data", name)
		}
	}
	const drawing = `assets/mermaid.js"`
	if !strings.Contains(content(t, built, "docs/call.html"), drawing) ||
		strings.Contains(content(t, built, "docs/run.html"), drawing) {
		t.Error("want Mermaid on pages with a diagram only")
	}
}

func TestUnfit(t *testing.T) {
	t.Parallel()
	other := modules()
	other["redoc/bundles/redoc.standalone.js"] = &fstest.MapFile{Data: []byte("another Redoc")}
	for name, test := range map[string]struct {
		files   map[string]string
		modules fs.FS
		want    string
	}{
		"no title":          {map[string]string{"docs/a.md": "## A\n"}, modules(), "docs/a.md: want a page that begins with a heading of level 1"},
		"no document":       {map[string]string{"deploy/openapi.yaml": "openapi: 3.0.3\n"}, modules(), "openapi.yaml: "},
		"another Redoc":     {nil, other, "check what it loads from other sites"},
		"no script":         {nil, fstest.MapFS{}, "read a script of the site: "},
		"no repository URL": {map[string]string{"deploy/openapi.yaml": "openapi: 3.0.3\ninfo: {title: a, version: b}\npaths: {}\n"}, modules(), "externalDocs"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := site.Build(filepath.Join(t.TempDir(), "site"), checkout(test.files), test.modules)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// TestWrite writes the site of this checkout twice. Other entries of the folder are kept.
func TestWrite(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("the site takes two scripts from npm")
	}
	parent := t.TempDir()
	out := filepath.Join(parent, "site")
	mine := []string{".git", "CNAME"} // as in a published folder
	if err := os.Mkdir(out, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(out, mine[0]), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	write := func() map[string]string {
		err := site.Write(t.Context(), site.Options{Root: "../../..", Out: out, Progress: func(step string) { t.Log(step) }})
		if errors.Is(err, tools.ErrAbsent) && os.Getenv("CI") == "" {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		files := map[string]string{}
		err = fs.WalkDir(os.DirFS(parent), ".", func(name string, entry fs.DirEntry, err error) error {
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
	first := write()
	if err := os.WriteFile(filepath.Join(out, mine[1]), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	first["site/"+mine[1]] = ""
	if err := os.WriteFile(filepath.Join(out, "docs", "stale.html"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, write()); diff != "" {
		t.Errorf("second run (-first +second):\n%s", diff)
	}
}

func TestWriteRefused(t *testing.T) {
	t.Setenv("PATH", t.TempDir()) // without npm
	mine := filepath.Join(t.TempDir(), "mine")
	if err := os.Mkdir(mine, 0o700); err != nil {
		t.Fatal(err)
	}
	options := site.Options{Root: "../../..", Out: mine, Progress: func(string) {}}
	if err := site.Write(t.Context(), options); !errors.Is(err, tools.ErrAbsent) {
		t.Errorf("without npm: got %v, want %v", err, tools.ErrAbsent)
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
