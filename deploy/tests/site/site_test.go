// Package site_test tests the static site in Chromium, from a web server and from the disk, without other network.
package site_test

import (
	"bytes"
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
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/contract"
	"github.com/userrequestapi/userdata/deploy/docs/site"
	"github.com/userrequestapi/userdata/deploy/tests/chromium"
)

// Expressions for the state of a page.
const (
	fragment = "location.hash"
	// heading is the heading of a loaded page, without the link to itself.
	heading = `document.readyState === "complete" && document.querySelector("h1").firstChild.textContent`
	// drawn is the number of diagrams, each in a closed shadow root.
	drawn  = `[...document.querySelectorAll("div.mermaid")].filter((it) => it.clientHeight > 100).length`
	scheme = "document.body.dataset.mdColorScheme"
)

const workspace = "../../.."

// Headings of pages that the tests open.
const (
	overviewTitle  = "UserRequestAPI"
	decisionsTitle = "Decisions"
	decisionTitle  = "Revisions, not locks"
	operateTitle   = "Operating a stage"
	foundTitle     = "Who can reach the stack" // by the search
)

// headings returns the headings by their pages.
func headings() map[string]string {
	return map[string]string{
		"README.md": overviewTitle, "docs/decisions/README.md": decisionsTitle, "docs/decisions/0004-revisions.md": decisionTitle,
		"docs/operate.md": operateTitle, "docs/run.md": foundTitle,
	}
}

func TestSite(t *testing.T) {
	testenv.SkipUnlessAll(t)
	t.Parallel()
	if testing.Short() {
		t.Skip("needs Python, npm and the network")
	}
	for page, title := range headings() {
		if source, err := os.ReadFile(filepath.Join(workspace, page)); err != nil || !strings.Contains(string(source), "# "+title+"\n") {
			t.Fatalf("%s: error %v, want the heading %q: change it in headings, which the tests look for", page, err, title)
		}
	}
	dir := filepath.Join(t.TempDir(), "site")
	write(t, workspace, dir)
	server := httptest.NewServer(http.StripPrefix("/some/folder/", http.FileServerFS(os.DirFS(dir))))
	t.Cleanup(server.Close)
	document, err := contract.Read(os.DirFS(filepath.Join(workspace, "deploy")))
	if err != nil {
		t.Fatal(err)
	}
	item := document.Collections()[0].Item
	s := published{
		server.URL + "/some/folder/",
		"file://" + filepath.ToSlash(dir) + "/",
		pages(t, dir),
		document.Routes(),
		item,
		document.Paths.Value(item).Get,
	}
	t.Run("as on GitHub", func(t *testing.T) { t.Parallel(); asOnGitHub(t, dir) })
	t.Run("guides", func(t *testing.T) { t.Parallel(); s.guides(t) })
	t.Run("reference", func(t *testing.T) { t.Parallel(); s.reference(t) })
	t.Run("try", func(t *testing.T) { t.Parallel(); s.try(t) })
	t.Run("disk", func(t *testing.T) { t.Parallel(); s.fromDisk(t) })
	t.Run("search", func(t *testing.T) { t.Parallel(); s.search(t, s.served) })
	t.Run("search from disk", func(t *testing.T) { t.Parallel(); s.search(t, s.disk) })
	t.Run("scheme", func(t *testing.T) { t.Parallel(); s.schemeIsChosen(t) })
}

// write writes a site. Without Python or npm it skips the test, except in CI.
func write(t *testing.T, root, dir string) {
	t.Helper()
	err := site.Write(t.Context(), site.Options{Root: root, Out: dir, Progress: func(step string) { t.Log(step) }})
	testenv.SkipAbsent(t, err)
}

// published is a written site.
type published struct {
	served, disk string // its URLs, with a trailing slash
	pages        []string
	routes       []contract.Route
	item         string              // the path of an item of the API's collection
	get          *openapi3.Operation // of an item
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

// asOnGitHub checks that each guide has as many items, rows and code blocks as in GitHub Flavored Markdown, which
// needs less indentation and fewer empty lines than the generator.
func asOnGitHub(t *testing.T, dir string) {
	t.Helper()
	sources, err := fs.Glob(os.DirFS(workspace), "docs/*.md")
	nested, err2 := fs.Glob(os.DirFS(workspace), "docs/*/*.md")
	if err := errors.Join(err, err2); err != nil || sources == nil {
		t.Fatalf("no guides: %v", err)
	}
	for _, source := range append(append(sources, nested...), "README.md") {
		markdown, err := os.ReadFile(filepath.Join(workspace, source))
		if err != nil {
			t.Fatal(err)
		}
		var want bytes.Buffer
		if err := goldmark.New(goldmark.WithExtensions(extension.GFM)).Convert(markdown, &want); err != nil {
			t.Fatal(err)
		}
		name := strings.NewReplacer("README.md", "index.html", ".md", ".html").Replace(source)
		written, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		_, article, _ := strings.Cut(string(written), "<article")
		article, _, _ = strings.Cut(article, "</article>")
		for _, element := range []string{"<li>", "<tr>", "<pre", "<blockquote"} {
			if got, want := strings.Count(article, element), strings.Count(want.String(), element); got != want {
				t.Errorf("%s: got %d times %s, want %d: indent blocks in ordered lists by three spaces, "+
					"and put an empty line before and after them", source, got, element, want)
			}
		}
	}
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
			for preferred, want := range schemes() {
				p.Scheme(preferred)
				p.Do(chromedp.EmulateViewport(width, 900), chromedp.Navigate(s.served+name))
				p.Want(scheme, want)
				p.Want(`document.querySelectorAll("pre.mermaid").length`, "0") // all are drawn
				if name == "docs/architecture.html" {
					p.Want(drawn, "1")
				}
				p.Looks(
					fmt.Sprintf("site-%s-%d-%s", strings.ReplaceAll(strings.TrimSuffix(name, ".html"), "/", "-"), width, preferred),
				)
			}
		}
	}
}

// schemes returns the names of the theme by the preferred color schemes.
func schemes() map[string]string { return map[string]string{"light": "default", "dark": "slate"} }

// search checks that the search finds a heading and opens its page.
func (s published) search(t *testing.T, base string) {
	t.Helper()
	p := chromium.Open(t, base, "docs/decisions/0004-revisions.html")
	p.Click(".md-search__button")
	p.Want("document.activeElement.shadowRoot?.activeElement.role", "combobox")
	p.Insert(strings.ToLower(foundTitle))
	p.Want(`document.activeElement.shadowRoot.querySelector("li").textContent.includes("`+foundTitle+`")`, "true")
	p.Picture("site-search")
	p.Keys("\r")
	p.Want("document.title", "Running the local stack · "+overviewTitle)
}

// schemeIsChosen checks the button for the color scheme, whose choice is kept.
func (s published) schemeIsChosen(t *testing.T) {
	t.Helper()
	p := chromium.Open(t, s.served, "index.html")
	p.Scheme("light")
	p.Want(scheme, "default")
	p.Click(`label[for="__palette_1"]`)
	p.Click(`label[for="__palette_2"]`)
	p.Want(scheme, "slate")
	p.Do(chromedp.Navigate(s.served + "docs/run.html"))
	p.Want(scheme, "slate")
}

// reference checks the API reference in Redoc, which is rendered again when the color scheme changes.
func (s published) reference(t *testing.T) {
	t.Helper()
	p := chromium.Open(t, s.served, "reference/index.html")
	for _, route := range s.routes {
		p.Sees("#redoc h2", route.Operation.Summary)
	}
	place := "#tag/" + s.get.Tags[0] + "/operation/" + s.get.OperationID
	p.Click(`a[href="` + place + `"]`)
	p.Want(fragment, place)
	for _, language := range []string{"curl", "Go", "TypeScript", "Python"} {
		p.Sees("#redoc [role=tab]", language)
	}
	p.Sees("#redoc code, #redoc pre", "curl --aws-sigv4")
	for preferred, ground := range map[string]string{"dark": "rgb(21, 27, 34)", "light": "rgb(255, 255, 255)"} {
		p.Scheme(preferred)
		p.Want(`getComputedStyle(document.querySelector(".menu-content")).backgroundColor`, ground)
		p.Want(fragment, place) // the position is kept
		for _, width := range []int64{1280, 400} {
			p.Do(chromedp.EmulateViewport(width, 900))
			p.Looks(fmt.Sprintf("site-reference-%d-%s", width, preferred))
		}
		p.Do(chromedp.EmulateViewport(1280, 900))
	}
}

// try checks each operation in Swagger UI, whose appearance is tested in package reference.
func (s published) try(t *testing.T) {
	t.Helper()
	p := chromium.Open(t, s.served, "try/index.html")
	for _, route := range s.routes {
		p.Sees("main .opblock-summary", route.Operation.Summary)
	}
	p.Sees(".note", "sigv4")
	p.Picture("site-try")
	p.Click(`.opblock-summary-path[data-path="` + s.item + `"]`)
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
	p.Want(heading, overviewTitle)
	p.Click(`article a[href="docs/decisions/index.html"]`)
	p.Want(heading, decisionsTitle)
	p.Click(`article a[href$="0004-revisions.html"]`)
	p.Want(heading, decisionTitle)
	p.Click(`.md-tabs a[href$="index.html"]`)
	p.Want(heading, overviewTitle)
	p.Click(`.md-sidebar--primary a[href$="docs/operate.html"]`)
	p.Want(heading, operateTitle)
	p.Click(`.md-sidebar--secondary a[href^="#"]`)
	p.Want(`document.querySelector(":target").tagName`, "H2")
	p.Click(`.md-tabs a[href$="reference/index.html"]`)
	p.Sees("#redoc h2", s.get.Summary)
	p.Click(`.md-tabs a[href$="try/index.html"]`)
	p.Sees("main .opblock-summary", s.get.Summary)
	p.Click(`.bar a[href$="../index.html"]`)
	p.Want(heading, overviewTitle)
}
