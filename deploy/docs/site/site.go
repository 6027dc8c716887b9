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
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"github.com/userrequestapi/userdata/deploy/contract"
	"github.com/userrequestapi/userdata/deploy/docs/reference"
	"github.com/userrequestapi/userdata/deploy/docs/webpage"
	"github.com/userrequestapi/userdata/deploy/host/process"
	"github.com/userrequestapi/userdata/deploy/host/tools"
)

var (
	//go:embed requirements.txt
	requirements []byte
	//go:embed package.json
	packages []byte
	//go:embed package-lock.json
	lock []byte
	//go:embed config
	config embed.FS // of the generator; its folder docs has further files of the site
)

// Options configure [Write].
type Options struct {
	Root     string       // the checkout of the repository
	Out      string       // the folder to write; replaces what the site has at the top level and keeps everything else
	Progress func(string) // receives the steps that take long, and the page to open; must be set
}

// Write writes the site with Zensical: README.md and the Markdown files in docs as pages, the images in docs and the
// collections of requests unchanged, the public API document as openapi.json and openapi.yaml, its reference, and a
// page to try it out. The output depends only on the checkout.
//
// The error names the dead links. It wraps [tools.ErrAbsent] if Python, which runs Zensical, or npm, which installs
// scripts of the pages, is missing. Write returns an error for a folder that contains other files and no site, except
// for names that begin with a dot, such as .git.
func Write(ctx context.Context, options Options) (err error) {
	if err := checkReplaceable(options.Out); err != nil {
		return err
	}
	python, err := tools.Python(ctx, requirements, options.Progress)
	if err != nil {
		return fmt.Errorf("install the generator of the site: %w", err)
	}
	modules, err := tools.Node(ctx, packages, lock, options.Progress)
	if err != nil {
		return fmt.Errorf("install the scripts of the site: %w", err)
	}
	_, absent := os.Stat(options.Out)
	if err := os.MkdirAll(options.Out, 0o755); err != nil {
		return fmt.Errorf("write the site: %w", err)
	}
	fresh, err := os.MkdirTemp(options.Out, ".new-") // an earlier site stays unchanged until everything has succeeded
	if err != nil {
		return fmt.Errorf("write the site: %w", err)
	}
	defer func() {
		err = errors.Join(err, os.RemoveAll(fresh))
		if err != nil && errors.Is(absent, fs.ErrNotExist) {
			err = errors.Join(err, os.Remove(options.Out))
		}
	}()
	if err := os.CopyFS(fresh, config); err != nil {
		return fmt.Errorf("write the configuration of the site: %w", err)
	}
	dir := filepath.Join(fresh, "config")
	if err := prepare(dir, options.Root, modules); err != nil {
		return err
	}
	if err := generate(ctx, python.Program("zensical"), dir); err != nil {
		return err
	}
	if err := replace(options.Out, filepath.Join(dir, "site")); err != nil {
		return err
	}
	options.Progress("Open " + filepath.Join(options.Out, "index.html") + " in a browser.")
	return nil
}

// prepare writes the files that the generator, whose configuration is in dir, reads or copies.
func prepare(dir, root string, modules *tools.Env) error {
	loaded, err := contract.Read(os.DirFS(filepath.Join(root, "deploy")))
	if err != nil {
		return err
	}
	if loaded.ExternalDocs == nil {
		return fmt.Errorf("deploy/%s: want externalDocs.url, the web page of the repository", contract.File)
	}
	document := loaded.Public()
	files, err := guides(os.DirFS(root), loaded.ExternalDocs.URL)
	if err != nil {
		return err
	}
	if err := configure(dir, loaded, files); err != nil {
		return err
	}
	dir = filepath.Join(dir, "docs")
	files[contract.File], files["openapi.json"] = document.YAML(), document.JSON()
	samples, err := reference.Samples(document, "")
	if err != nil {
		return err
	}
	encoded, err := json.Marshal(samples)
	if err != nil {
		return fmt.Errorf("write the code samples: %w", err)
	}
	files["assets/openapi.js"] = fmt.Appendf(nil, "const openapi = %s;\nconst samples = %s;\n", document.JSON(), encoded)
	if err := scripts(files, modules); err != nil {
		return err
	}
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
	return reference.Write(filepath.Join(dir, "try"), reference.Page{
		Document: document, Home: "../index.html",
		Links: []webpage.Link{
			{Text: "Guides", URL: "../index.html"},
			{Text: "Reference", URL: "../reference/index.html"},
			{Text: "Try it"},
		},
		Note: "A browser cannot sign requests (sigv4): for a stage that requires it, " +
			"use the page that go tool mage docs serves.",
		CrossOrigin: true,
	})
}

// guide matches a line of the menu for one guide.
var guide = regexp.MustCompile(`(?m)^ *- \[.*\]\(((?:docs/)?[^/*]+\.md)\)\n`)

// configure writes the configuration for the project: with the names in its API document, and a menu of its guides.
func configure(dir string, document *contract.Document, guides map[string][]byte) error {
	for _, name := range []string{"zensical.toml", "docs/SUMMARY.md", "docs/reference/index.md"} {
		parsed, err := template.ParseFS(config, "config/"+name)
		if err != nil {
			return fmt.Errorf("read the configuration of the site: %w", err)
		}
		var content bytes.Buffer
		data := struct{ Name, Web string }{document.Name(), document.ExternalDocs.URL}
		if err := parsed.Execute(&content, data); err != nil {
			return fmt.Errorf("write the configuration of the site: %w", err)
		}
		present := guide.ReplaceAllFunc(content.Bytes(), func(line []byte) []byte {
			if page := guide.FindSubmatch(line)[1]; guides[string(page)] == nil {
				return nil
			}
			return line
		})
		if err := os.WriteFile(filepath.Join(dir, filepath.FromSlash(name)), present, 0o600); err != nil {
			return fmt.Errorf("write the configuration of the site: %w", err)
		}
	}
	return nil
}

// scripts adds the files from npm: iframe-worker, with which the search works from the disk, Mermaid, which draws
// diagrams, and Redoc.
func scripts(files map[string][]byte, modules *tools.Env) (err error) {
	for name, source := range map[string]string{
		"assets/iframe-worker.js":                "iframe-worker/shim/index.js",
		"assets/iframe-worker.LICENSE.txt":       "iframe-worker/LICENSE",
		"assets/mermaid.js":                      "@mermaid-js/tiny/dist/mermaid.tiny.js",
		"assets/mermaid.LICENSE.txt":             "@mermaid-js/tiny/LICENSE",
		"assets/redoc.js":                        "redoc/bundles/redoc.standalone.js",
		"assets/redoc.LICENSE.txt":               "redoc/LICENSE",
		"assets/redoc.standalone.js.LICENSE.txt": "redoc/bundles/redoc.standalone.js.LICENSE.txt", // of its dependencies
	} {
		if files[name], err = os.ReadFile(modules.Path(filepath.FromSlash(source))); err != nil {
			return fmt.Errorf("read a script of the site: %w", err)
		}
	}
	// Redoc loads the logo of its maker from elsewhere: replace it by an empty image.
	files["assets/redoc.js"] = bytes.ReplaceAll(files["assets/redoc.js"],
		[]byte("https://cdn.redoc.ly/redoc/logo-mini.svg"),
		[]byte("data:image/svg+xml,%3Csvg%20xmlns=%22http://www.w3.org/2000/svg%22%20width=%221%22%20height=%221%22/%3E"))
	return nil
}

var (
	escapes  = regexp.MustCompile(`\x1b\[[0-9;]*m`)
	findings = regexp.MustCompile(`(?m)^Warning: (.*)\n\s*╭─\[ (\S+) \]`)
)

// generate runs the generator in dir. The error has a line for each of its findings.
func generate(ctx context.Context, zensical, dir string) error {
	cmd := exec.Command(zensical, "build", "--strict")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PYTHONPATH=.") // for indent.py
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := process.Run(ctx, cmd)
	if ctx.Err() != nil {
		return fmt.Errorf("generate the site: %w", err)
	}
	printed := escapes.ReplaceAllString(out.String(), "") // NO_COLOR does not prevent colors
	var found []string
	for _, finding := range findings.FindAllStringSubmatch(printed, -1) {
		found = append(found, finding[2]+": "+finding[1])
	}
	switch {
	case found != nil:
		return errors.New(strings.Join(found, "\n"))
	case err != nil:
		return fmt.Errorf("generate the site: %w: %s", err, strings.TrimSpace(printed))
	}
	for _, name := range []string{"404.html", "sitemap.xml"} { // they need a site at the root of a known host
		if err := os.Remove(filepath.Join(dir, "site", name)); err != nil {
			return fmt.Errorf("generate the site: %w", err)
		}
	}
	return nil
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

// generator matches the mark of a site's first page, also of one that an earlier version wrote.
var generator = regexp.MustCompile(`<meta name="generator" content="(zensical|mage docs:site)`)

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
	if err != nil || !generator.Match(first) {
		return fmt.Errorf("%s is not empty and contains no generated site: choose another folder, or empty it", dir)
	}
	return nil
}
