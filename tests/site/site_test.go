// Package site_test tests the static site in Chromium, from a web server and from the disk, without other network.
package site_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/getkin/kin-openapi/openapi3"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/docs/site"
	"github.com/userrequestapi/userdata/deploy/host/tools"
	"github.com/userrequestapi/userdata/tests/chromium"
)

// Expressions for the state of a page.
const (
	fragment = "location.hash"
	heading  = `document.querySelector("h1").textContent`
	drawn    = `[...document.querySelectorAll(".diagram > svg")].filter((it) => it.querySelectorAll(".node, .actor, .state").length > 1).length`
)

func TestSite(t *testing.T) {
	testenv.SkipUnlessAll(t)
	t.Parallel()
	if testing.Short() {
		t.Skip("the site takes two scripts from npm")
	}
	dir := filepath.Join(t.TempDir(), "site")
	write(t, "../..", dir)
	server := httptest.NewServer(http.StripPrefix("/some/folder/", http.FileServerFS(os.DirFS(dir))))
	t.Cleanup(server.Close)
	s := published{
		server.URL + "/some/folder/",
		"file://" + filepath.ToSlash(dir) + "/",
		pages(t, dir),
		operations(t, dir),
	}
	t.Run("guides", func(t *testing.T) { t.Parallel(); s.guides(t) })
	t.Run("reference", func(t *testing.T) { t.Parallel(); s.reference(t) })
	t.Run("try", func(t *testing.T) { t.Parallel(); s.try(t) })
	t.Run("disk", func(t *testing.T) { t.Parallel(); s.fromDisk(t) })
}

// write writes a site. Without npm it skips the test, except in CI.
func write(t *testing.T, root, dir string) {
	t.Helper()
	err := site.Write(t.Context(), site.Options{Root: root, Out: dir, Progress: func(step string) { t.Log(step) }})
	if errors.Is(err, tools.ErrAbsent) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A diagram that cannot be drawn does not prevent the next one.
func TestDiagrams(t *testing.T) {
	testenv.SkipUnlessAll(t)
	t.Parallel()
	if testing.Short() {
		t.Skip("the site takes two scripts from npm")
	}
	root := t.TempDir()
	for name, content := range map[string]string{
		"README.md":                            "# Users\n\n```mermaid\nno diagram\n```\n\n```mermaid\nflowchart LR\n  a --> b\n```\n",
		"docs/run.md":                          "# Run\n",
		"deploy/openapi.yaml":                  "openapi: 3.0.3\ninfo: {title: Users, version: 1.2.3}\nexternalDocs: {url: https://example.org/}\npaths: {}\n",
		"deploy/local/console/assets/icon.svg": `<svg xmlns="http://www.w3.org/2000/svg"/>`,
	} {
		file := filepath.Join(root, name)
		if err := errors.Join(
			os.MkdirAll(filepath.Dir(file), 0o700),
			os.WriteFile(file, []byte(content), 0o600),
		); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(t.TempDir(), "site")
	write(t, root, dir)
	p := chromium.Open(t, "file://"+filepath.ToSlash(dir)+"/", "docs/run.html")
	p.Allow("No diagram type detected")
	p.Do(chromedp.Navigate("file://" + filepath.ToSlash(dir) + "/index.html"))
	p.Want(drawn, "1")
	p.Sees("code.language-mermaid", "no diagram")
}

// published is a written site.
type published struct {
	served, disk string // its URLs, with a trailing slash
	pages        []string
	operations   map[string]string // summaries by operationId
}

func pages(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, _ fs.DirEntry, err error) error {
		if path.Ext(name) == ".html" {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// operations returns the summaries of the operations in the site's document.
func operations(t *testing.T, dir string) map[string]string {
	t.Helper()
	source, err := os.ReadFile(filepath.Join(dir, "openapi.json"))
	if err != nil {
		t.Fatal(err)
	}
	document, err := openapi3.NewLoader().LoadFromData(source)
	if err != nil {
		t.Fatal(err)
	}
	summaries := map[string]string{}
	for _, item := range document.Paths.Map() {
		for _, operation := range item.Operations() {
			summaries[operation.OperationID] = operation.Summary
		}
	}
	if summaries["getUser"] == "" {
		t.Fatalf("no summary of getUser in %v", summaries)
	}
	return summaries
}

// guides checks each guide in both color schemes and two widths.
func (s published) guides(t *testing.T) {
	t.Helper()
	p := chromium.Open(t, s.served, "index.html")
	for _, name := range s.pages {
		if name == "reference/index.html" || name == "try/index.html" {
			continue
		}
		for _, width := range []int64{1280, 400} {
			for _, scheme := range []string{"light", "dark"} {
				p.Scheme(scheme)
				p.Do(chromedp.EmulateViewport(width, 900), chromedp.Navigate(s.served+name))
				p.Sees(`.menu a[aria-current="page"]`, "")
				p.Want(`document.querySelectorAll("code.language-mermaid").length`, "0") // all are drawn
				p.Want(drawn, p.Text(`document.querySelectorAll(".diagram").length`))
				if name == "docs/architecture.html" {
					p.Want(drawn+" > 0", "true")
				}
				p.Looks(
					fmt.Sprintf("site-%s-%d-%s", strings.ReplaceAll(strings.TrimSuffix(name, ".html"), "/", "-"), width, scheme),
				)
			}
		}
	}
}

// reference checks the API reference in Redoc, which is rendered again when the color scheme changes.
func (s published) reference(t *testing.T) {
	t.Helper()
	p := chromium.Open(t, s.served, "reference/index.html")
	for _, summary := range s.operations {
		p.Sees("main h2", summary)
	}
	p.Click(`a[href="#tag/Users/operation/getUser"]`)
	p.Want(fragment, "#tag/Users/operation/getUser")
	for scheme, ground := range map[string]string{"dark": "rgb(21, 27, 34)", "light": "rgb(255, 255, 255)"} {
		p.Scheme(scheme)
		p.Want(`getComputedStyle(document.querySelector(".menu-content")).backgroundColor`, ground)
		p.Want(fragment, "#tag/Users/operation/getUser") // the position is kept
		for _, width := range []int64{1280, 400} {
			p.Do(chromedp.EmulateViewport(width, 900))
			p.Looks(fmt.Sprintf("site-reference-%d-%s", width, scheme))
		}
		p.Do(chromedp.EmulateViewport(1280, 900))
	}
}

// try checks each operation in Swagger UI, whose appearance is tested in package reference.
func (s published) try(t *testing.T) {
	t.Helper()
	p := chromium.Open(t, s.served, "try/index.html")
	for _, summary := range s.operations {
		p.Sees("main .opblock-summary", summary)
	}
	p.Sees(".note", "sigv4")
	p.Picture("site-try")
	p.Click(`.opblock-summary-path[data-path="/users/{userId}"]`)
	for _, width := range []int64{1280, 400} {
		for _, scheme := range []string{"light", "dark"} {
			p.Scheme(scheme)
			p.Do(chromedp.EmulateViewport(width, 900))
			p.Want(chromium.TooWide, "0")
			p.Picture(fmt.Sprintf("site-try-%d-%s", width, scheme))
		}
	}
}

// fromDisk checks the site without a web server.
func (s published) fromDisk(t *testing.T) {
	t.Helper()
	p := chromium.Open(t, s.disk, "index.html")
	p.Want(heading, "UserRequestAPI")
	p.Click(`.menu a[href="docs/decisions/index.html"]`)
	p.Want(heading, "Decisions")
	p.Click(`main a[href$="0004-revisions.html"]`)
	p.Want(heading, "Revisions, not locks")
	p.Click(`.menu a[href$="docs/operate.html"]`)
	p.Click(`.menu a[href^="#"]`)
	p.Want(`document.querySelector(":target").tagName`, "H2")
	p.Click(`.bar a[href$="reference/index.html"]`)
	p.Sees("main h2", s.operations["getUser"])
	p.Click(`.bar a[href$="try/index.html"]`)
	p.Sees("main .opblock-summary", s.operations["getUser"])
	p.Click(`.bar a[href$="../index.html"]`)
	p.Want(heading, "UserRequestAPI")
}
