// Package reference makes the interactive page of an API document: Swagger UI, which is embedded, with the document in the page
// itself, so that the page needs nothing but the files beside it.
package reference

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/swaggest/swgui/v5/static"

	"github.com/userrequestapi/userdata/deploy/contract"
	"github.com/userrequestapi/userdata/deploy/host/loopback"
)

//go:embed assets
var assets embed.FS

// Page is what the page shows, and how its "Try it out" sends requests.
type Page struct {
	// Document is for readers (see [contract.Document.ForStage]). It must be set.
	Document *contract.Document
	// Links lead to other pages; that of the page itself has no URL.
	Links []Link
	// Note is a sentence for readers above the document; empty: none.
	Note string
	// Credentials are filled in by the names of the document's security schemes, which must be API keys or bearer tokens.
	Credentials map[string]string
	// Curl has the options by which curl authorizes requests as the page's [Proxy] does: the page shows them, and asks nobody for
	// anything. Empty: the proxy, if any, does no such thing.
	Curl string
	// CrossOrigin allows requests to other origins than the page's own, as to those of the document's servers.
	CrossOrigin bool
}

// Link leads to a page.
type Link struct{ Text, URL string }

// contents are what the page needs beside it and the document, by their names in the folder assets.
func contents() map[string]content {
	files := map[string]content{}
	for _, name := range []string{"swagger-ui-bundle.js.gz", "swagger-ui.css.gz", "favicon-32x32.png"} {
		plain := strings.TrimSuffix(name, ".gz")
		files[plain] = content{read(static.FS, name), plain != name, mediaType(plain)}
	}
	for _, name := range []string{"reference.js", "reference.css"} {
		files[name] = content{read(assets, "assets/"+name), false, mediaType(name)}
	}
	return files
}

// content is a file as it is embedded, perhaps compressed.
type content struct {
	bytes     []byte
	gzip      bool
	mediaType string
}

func mediaType(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	default:
		return "image/png"
	}
}

func read(files fs.FS, name string) []byte {
	file, err := fs.ReadFile(files, name)
	if err != nil { // what is embedded is there
		panic(err)
	}
	return file
}

func (c content) plain() []byte {
	if !c.gzip {
		return c.bytes
	}
	reader, err := gzip.NewReader(bytes.NewReader(c.bytes))
	if err == nil {
		var plain []byte
		if plain, err = io.ReadAll(reader); err == nil {
			return plain
		}
	}
	panic(err) // it is embedded
}

// policy is what the page may do ("Content Security Policy Level 3"): run and show what is beside it, without inline scripts or
// styles. Swagger UI has its icons as data: URLs.
func (p Page) policy() string {
	connect := "'self'"
	if p.CrossOrigin {
		connect += " https: http://127.0.0.1:* http://localhost:*"
	}
	return "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src " + connect +
		"; base-uri 'none'; form-action 'none'"
}

// render writes the page as HTML. policy goes into the page; empty: it comes with the page. proxy is where, relative to the page, its
// server takes requests to the document's first server; empty: they go there themselves.
func (p Page) render(policy, proxy string) ([]byte, error) {
	page, err := template.ParseFS(assets, "assets/page.html")
	if err != nil {
		return nil, fmt.Errorf("render the reference: %w", err)
	}
	var text bytes.Buffer
	err = page.ExecuteTemplate(&text, "page.html", struct {
		Page
		Title, Version, Policy string
		Data                   any
	}{p, p.Document.Title(), p.Document.Version(), policy, struct {
		Document    json.RawMessage   `json:"document"`
		Credentials map[string]string `json:"credentials,omitempty"`
		Proxy       string            `json:"proxy,omitempty"`
		Curl        string            `json:"curl,omitempty"`
	}{p.Document.JSON(), p.Credentials, proxy, p.Curl}})
	if err != nil {
		return nil, fmt.Errorf("render the reference: %w", err)
	}
	return text.Bytes(), nil
}

// The names of what is below the page's address.
const (
	indexName = "index.html"
	jsonName  = "openapi.json"
	yamlName  = "openapi.yaml"
	proxyName = "stage"
)

// Write writes the page into a folder for any web server, with the document beside it. All addresses are relative, so that the
// folder can be moved; browsers show index.html from a disk too.
func Write(dir string, page Page) error {
	index, err := page.render(page.policy(), "")
	if err != nil {
		return err
	}
	files := map[string][]byte{indexName: index, jsonName: page.Document.JSON(), yamlName: page.Document.YAML()}
	for name, content := range contents() {
		files[filepath.Join("assets", name)] = content.plain()
	}
	if err := os.MkdirAll(filepath.Join(dir, "assets"), 0o755); err != nil {
		return fmt.Errorf("write the reference: %w", err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil { //nolint:gosec // it is published
			return fmt.Errorf("write the reference: %w", err)
		}
	}
	return nil
}

// Handle adds the page to what mux serves, below a prefix such as /docs/, and the document beside it. It asks for the page at each
// request, which may tell it by which name the server was asked. The page's requests to the document's first server go through proxy
// (see [Proxy]); nil: they go there themselves. Wrap mux in [loopback.Guard] where it is served on this machine.
func Handle(mux *http.ServeMux, prefix string, page func(*http.Request) (Page, error), proxy http.Handler) {
	var proxied string
	if proxy != nil {
		proxied = proxyName
		mux.Handle(prefix+proxyName+"/", http.StripPrefix(prefix+proxyName, proxy))
	}
	serve := func(name string, write func(http.ResponseWriter, *http.Request, Page) error) {
		mux.HandleFunc("GET "+prefix+name, func(w http.ResponseWriter, r *http.Request) {
			p, err := page(r)
			if err == nil {
				err = write(w, r, p)
			}
			if err != nil {
				loopback.WriteProblem(w, http.StatusInternalServerError, "DocumentUnavailable", err.Error())
			}
		})
	}
	serve("{$}", func(w http.ResponseWriter, _ *http.Request, p Page) error {
		index, err := p.render("", proxied)
		if err != nil {
			return err
		}
		w.Header().Set("Content-Security-Policy", p.policy()+"; frame-ancestors 'none'")
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(index) // a client that has gone
		return nil
	})
	serve(jsonName, func(w http.ResponseWriter, _ *http.Request, p Page) error {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(p.Document.JSON())
		return nil
	})
	serve(yamlName, func(w http.ResponseWriter, r *http.Request, p Page) error {
		w.Header().Set("Content-Type", "application/yaml") // RFC 9512, which browsers save instead of showing it
		w.Header().Set("Vary", "Accept")
		if loopback.AcceptsHTML(r) {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		}
		_, _ = w.Write(p.Document.YAML())
		return nil
	})
	for name, content := range contents() {
		mux.Handle("GET "+prefix+"assets/"+name, content.handler())
	}
}

// handler serves the file, which does not go far: it is not worth to be compressed.
func (c content) handler() http.Handler {
	sum := sha256.Sum256(c.bytes)
	etag := `"` + hex.EncodeToString(sum[:8]) + `"`
	plain := sync.OnceValue(c.plain) // when it is asked for first, for it takes time
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("Content-Type", c.mediaType)
		w.Header().Set("ETag", etag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(plain()))
	})
}
