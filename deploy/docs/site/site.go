// Package site writes a static site with the guides and the API document: as a reference, and as a page to try it out.
// Any web server or bucket can serve the site, and it works from the disk. It loads nothing from other sites.
package site

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/userrequestapi/userdata/deploy/contract"
	"github.com/userrequestapi/userdata/deploy/docs/reference"
	"github.com/userrequestapi/userdata/deploy/host/tools"
)

var (
	//go:embed package.json
	packages []byte
	//go:embed package-lock.json
	lock []byte
	//go:embed assets pages
	embedded embed.FS
)

// Options configure [Write].
type Options struct {
	Root     string       // the checkout of the repository
	Out      string       // the folder to write; replaces what the site has at the top level and keeps everything else
	Progress func(string) // receives the steps that take long; must be set
}

// Write writes the site: README.md and the Markdown files in docs as pages, the images in docs and the collections of
// requests unchanged, the public API document as openapi.json and openapi.yaml, its reference, and a page to try it
// out. The output depends only on the checkout.
//
// The error names the dead links in the guides, the API document and the output. It wraps [tools.ErrAbsent] if npm,
// which installs two scripts of the pages, is missing. Write returns an error for a folder that contains other files
// and no site, except for names that begin with a dot, such as .git.
func Write(ctx context.Context, options Options) (err error) {
	if err := checkReplaceable(options.Out); err != nil {
		return err
	}
	modules, err := tools.Node(ctx, packages, lock, options.Progress)
	if err != nil {
		return fmt.Errorf("install the scripts of the site: %w", err)
	}
	if err := os.MkdirAll(options.Out, 0o755); err != nil {
		return fmt.Errorf("write the site: %w", err)
	}
	fresh, err := os.MkdirTemp(options.Out, ".new-") // an earlier site stays unchanged until everything has succeeded
	if err != nil {
		return fmt.Errorf("write the site: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(fresh)) }()
	if err := build(fresh, os.DirFS(options.Root), os.DirFS(modules.Path())); err != nil {
		return err
	}
	return replace(options.Out, fresh)
}

// replace moves the entries of the folder fresh into dir, and replaces those with the same names.
func replace(dir, fresh string) error {
	entries, err := os.ReadDir(fresh)
	if err != nil {
		return fmt.Errorf("put the new site in place: %w", err)
	}
	for _, entry := range entries {
		place := filepath.Join(dir, entry.Name())
		err := os.RemoveAll(place)
		if err == nil {
			err = os.Rename(filepath.Join(fresh, entry.Name()), place)
		}
		if err != nil {
			return fmt.Errorf("put the new site in place: %w", err)
		}
	}
	return nil
}

// scripts adds the files from npm: Mermaid, which draws diagrams, and Redoc.
func scripts(files map[string][]byte, modules fs.FS) error {
	for name, source := range map[string]string{
		"assets/mermaid.js":                      "@mermaid-js/tiny/dist/mermaid.tiny.js",
		"assets/mermaid.LICENSE.txt":             "@mermaid-js/tiny/LICENSE",
		"assets/redoc.js":                        "redoc/bundles/redoc.standalone.js",
		"assets/redoc.LICENSE.txt":               "redoc/LICENSE",
		"assets/redoc.standalone.js.LICENSE.txt": "redoc/bundles/redoc.standalone.js.LICENSE.txt", // of its dependencies
	} {
		content, err := fs.ReadFile(modules, source)
		if err != nil {
			return fmt.Errorf("read a script of the site: %w", err)
		}
		files[name] = content
	}
	// Redoc loads the logo of its maker from elsewhere: replace it by an empty image.
	logo := []byte("https://cdn.redoc.ly/redoc/logo-mini.svg")
	if !bytes.Contains(files["assets/redoc.js"], logo) {
		return errors.New(
			"this version of Redoc does not contain the URL of its maker's logo: check what it loads from other sites",
		)
	}
	files["assets/redoc.js"] = bytes.ReplaceAll(files["assets/redoc.js"], logo,
		[]byte("data:image/svg+xml,%3Csvg%20xmlns=%22http://www.w3.org/2000/svg%22%20width=%221%22%20height=%221%22/%3E"))
	return nil
}

// build writes the site into a folder. root is the checkout, modules the folder node_modules.
func build(dir string, root, modules fs.FS) error {
	source, err := fs.Sub(root, "deploy")
	if err != nil {
		return fmt.Errorf("find the API document: %w", err)
	}
	loaded, err := contract.Read(source)
	if err != nil {
		return err
	}
	document := loaded.Public()
	home, err := repositoryURL(document)
	if err != nil {
		return err
	}
	files := map[string][]byte{contract.File: document.YAML(), "openapi.json": document.JSON()}
	if err := errors.Join(scripts(files, modules), assets(files, root), checkDescriptions(document)); err != nil {
		return err
	}
	r := &repository{files: root, url: home, api: document.Title, published: map[string]string{}}
	guides, err := r.read(files)
	if err != nil {
		return err
	}
	var published []string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if path.Dir(name) == folder+"/api" {
			published = append(published, name)
		}
	}
	layout, err := template.New("").Funcs(template.FuncMap{"base": path.Base}).ParseFS(embedded, "pages/*.html")
	if err != nil {
		return fmt.Errorf("read the layout of the site: %w", err)
	}
	pages := []page{
		{Path: referencePath, Title: "API reference", Document: json.RawMessage(document.JSON()), layout: "reference.html"},
	}
	for _, guide := range guides {
		pages = append(pages, page{Path: guide.Path, Title: guide.Title, Guide: guide, guides: guides, layout: "guide.html"})
	}
	for _, page := range pages {
		page.Name, page.Version, page.Repository, page.Files = document.Title, document.Version, r.url, published
		var content bytes.Buffer
		if err := layout.ExecuteTemplate(&content, page.layout, page); err != nil {
			return fmt.Errorf("write %s: %w", page.Path, err)
		}
		files[page.Path] = content.Bytes()
	}
	if err := write(dir, files); err != nil {
		return err
	}
	if err := reference.Write(filepath.Join(dir, "try"), reference.Page{
		Document: document,
		Links: []reference.Link{
			{Text: "Guides", URL: "../index.html"},
			{Text: "Reference", URL: "../" + referencePath},
			{Text: "Try it"},
		},
		Note: "A browser cannot sign requests (sigv4): for a stage that requires it, " +
			"use the page that go tool mage docs serves.",
		CrossOrigin: true,
	}); err != nil {
		return err
	}
	return check(os.DirFS(dir))
}

// repositoryURL returns the URL of the repository's web page, without a trailing slash.
func repositoryURL(document *contract.Public) (string, error) {
	var about struct {
		ExternalDocs struct{ URL string }
	}
	err := json.Unmarshal(document.JSON(), &about)
	if err == nil {
		var address *url.URL
		if address, err = url.Parse(about.ExternalDocs.URL); err == nil {
			err = wellFormed(address)
		}
	}
	if err != nil {
		return "", fmt.Errorf("read the URL of the repository from externalDocs of the API document: %w", err)
	}
	return strings.TrimSuffix(about.ExternalDocs.URL, "/"), nil
}

// assets adds the style sheet, the scripts and the icon of the pages.
func assets(files map[string][]byte, root fs.FS) (err error) {
	if files["assets/icon.svg"], err = fs.ReadFile(root, "deploy/local/console/assets/icon.svg"); err != nil {
		return fmt.Errorf("read the icon: %w", err)
	}
	return fs.WalkDir(embedded, "assets", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files[name], err = embedded.ReadFile(name)
		}
		return err
	})
}

// generator marks the first page of a site that this package wrote.
const generator = `<meta name="generator" content="mage docs:site">`

// checkReplaceable returns an error for a folder that contains other files and no site. It ignores names that begin
// with a dot, such as .git.
func checkReplaceable(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("check for an earlier site: %w", err)
	}
	if !slices.ContainsFunc(entries, func(entry fs.DirEntry) bool { return !strings.HasPrefix(entry.Name(), ".") }) {
		return nil
	}
	first, err := os.ReadFile(filepath.Join(dir, "index.html"))
	if err != nil || !bytes.Contains(first, []byte(generator)) {
		return fmt.Errorf("%s is not empty and contains no generated site: choose another folder, or empty it", dir)
	}
	return nil
}

func write(dir string, files map[string][]byte) error {
	for name, content := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		err := os.MkdirAll(filepath.Dir(file), 0o755)
		if err == nil {
			err = os.WriteFile(file, content, 0o644) //nolint:gosec // for web servers to read
		}
		if err != nil {
			return fmt.Errorf("write the site: %w", err)
		}
	}
	return nil
}
