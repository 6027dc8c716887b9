// Package reference renders the interactive page of an API document with Swagger UI. The document is part of the page
// and Swagger UI is embedded, so the page needs only the files beside it.
package reference

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"github.com/swaggest/swgui/v5/static"

	"github.com/userrequestapi/userdata/deploy/contract"
	"github.com/userrequestapi/userdata/deploy/docs/icon"
	"github.com/userrequestapi/userdata/deploy/docs/webpage"
	"github.com/userrequestapi/userdata/deploy/host/loopback"
)

//go:embed assets
var assets embed.FS

// Page configures the page and how its "Try it out" sends requests.
type Page struct {
	// Document is the document to show. It must be set.
	Document *contract.Public
	// Stage is the name of the stage beside the title; "" for none.
	Stage string
	// Home is the URL of the home page; "" for none.
	Home string
	// Links are the links of the header; the page's own link has no URL.
	Links []webpage.Link
	// Note is a sentence above the document; "" for none.
	Note string
	// Credentials preset the values of security schemes by name. The schemes must be API keys or bearer tokens.
	Credentials map[string]string
	// Curl contains the options with which curl authorizes requests as the page's [Proxy] does. If it is set, the page
	// shows them instead of a login. It is empty without a proxy that authorizes requests.
	Curl string
	// TraceURL is the URL of the trace of a request without its request id, which follows; "" if there are no traces.
	TraceURL string
	// RequestURL is the URL of a request as JSON without its request id, which follows. The page fills in the form of the
	// request in its query parameter request. "" if requests are not kept.
	RequestURL string
	// CrossOrigin allows requests to other origins than the page's own, such as the document's servers.
	CrossOrigin bool
}

// Paths relative to the page.
const (
	indexName = "index.html"
	jsonName  = "openapi.json"
	yamlName  = "openapi.yaml"
	proxyName = "stage"
)

// Write writes the page and the document into a folder for any web server. All URLs are relative, so the folder can be
// moved, and index.html also works from the disk.
func Write(dir string, page Page) error {
	index, err := page.render(page.policy(), "", new(sampleCache))
	if err != nil {
		return err
	}
	files := map[string][]byte{indexName: index, jsonName: page.Document.JSON(), yamlName: page.Document.YAML()}
	for name, content := range contents() {
		files[filepath.Join("assets", name)] = content()
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

// Handle registers the page and the document with mux, below a prefix such as /docs/. It calls page for each request,
// because the page may depend on the Host header. Requests of the page to the document's first server go through proxy
// (see [Proxy]); if it is nil, the page sends them to the server. On this machine, wrap mux in [loopback.Guard].
func Handle(mux *http.ServeMux, prefix string, page func(*http.Request) (Page, error), proxy http.Handler) {
	var proxyPath string
	if proxy != nil {
		proxyPath = proxyName
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
	var samples sampleCache
	serve("{$}", func(w http.ResponseWriter, _ *http.Request, p Page) error {
		index, err := p.render("", proxyPath, &samples)
		if err != nil {
			return err
		}
		w.Header().Set("Content-Security-Policy", p.policy()+"; frame-ancestors 'none'")
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(index) // the client may have disconnected
		return nil
	})
	serve(jsonName, func(w http.ResponseWriter, _ *http.Request, p Page) error {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(p.Document.JSON())
		return nil
	})
	serve(yamlName, func(w http.ResponseWriter, r *http.Request, p Page) error {
		w.Header().Set("Content-Type", "application/yaml") // RFC 9512; browsers download it
		w.Header().Set("Vary", "Accept")
		if loopback.AcceptsHTML(r) {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		}
		_, _ = w.Write(p.Document.YAML())
		return nil
	})
	for name, content := range contents() {
		mux.Handle("GET "+prefix+"assets/"+name, handler(mediaType(name), content))
	}
}

// policy returns the page's Content Security Policy (Level 3), which allows only files beside the page, and no inline
// scripts or styles. The icons of Swagger UI are data: URLs.
func (p Page) policy() string {
	connect := "'self'"
	if p.CrossOrigin {
		connect += " https: http://127.0.0.1:* http://localhost:*"
	}
	return "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src " + connect +
		"; base-uri 'none'; form-action 'none'"
}

// render renders the page as HTML. policy is written into the page; it is empty if a header contains it. proxy is the
// path, relative to the page, of the proxy to the document's first server; it is empty if there is none.
func (p Page) render(policy, proxy string, samples *sampleCache) ([]byte, error) {
	page, err := webpage.Parse(assets, "assets/page.html")
	if err != nil {
		return nil, fmt.Errorf("render the reference: %w", err)
	}
	data := struct {
		Document    json.RawMessage     `json:"document"`
		Credentials map[string]string   `json:"credentials,omitempty"`
		Proxy       string              `json:"proxy,omitempty"`
		Curl        string              `json:"curl,omitempty"`
		TraceURL    string              `json:"traceURL,omitempty"`
		RequestURL  string              `json:"requestURL,omitempty"`
		Samples     map[string][]Sample `json:"samples,omitempty"`
	}{p.Document.JSON(), p.Credentials, proxy, p.Curl, p.TraceURL, p.RequestURL, nil}
	// The page is useful without samples, for example of an exported document that a strict reader rejects.
	data.Samples, _ = samples.get(p.Document, data.Document, p.Curl)
	listed, err := newOutline(p.Document, data.Samples)
	if err != nil {
		return nil, fmt.Errorf("render the reference: %w", err)
	}
	var html bytes.Buffer
	err = page.ExecuteTemplate(&html, "page.html", struct {
		Page
		Header  webpage.Header
		Policy  string
		Outline outline
		Data    any
	}{p, p.header(), policy, listed, data})
	if err != nil {
		return nil, fmt.Errorf("render the reference: %w", err)
	}
	return html.Bytes(), nil
}

func (p Page) header() webpage.Header {
	return webpage.Header{Name: p.Document.Title, Stage: p.Stage, Home: p.Home, Assets: "assets/", Links: p.Links}
}

// contents returns the files that the page loads, by name in the folder assets. Each function reads its file, which can
// take milliseconds: call it when the file is needed.
func contents() map[string]func() []byte {
	style := func() []byte { return decompress("swagger-ui.css.gz") }
	files := map[string]func() []byte{
		"swagger-ui-bundle.js": func() []byte { return decompress("swagger-ui-bundle.js.gz") },
		"swagger-ui.css":       style,
		"outline.css":          func() []byte { return outlineStyle(style()) },
	}
	for _, name := range []string{"layout.js", "reference.js", "reference.css"} {
		files[name] = func() []byte { return read(assets, "assets/"+name) }
	}
	for name, shared := range map[string][]byte{
		"icon.svg": icon.SVG, "page.css": webpage.CSS, "indent.js": webpage.Indent, "keys.js": webpage.Keys,
	} {
		files[name] = func() []byte { return shared }
	}
	return files
}

var (
	// styleRule matches a rule of a style sheet, which may contain rules, such as @media.
	styleRule = regexp.MustCompile(`[^{}]*\{(?:[^{}]|\{[^{}]*\})*\}`)
	// ofOutline matches selectors of elements and classes in the outline of the page.
	ofOutline = regexp.MustCompile(`\.swagger-ui(?:,|\{| (?:` +
		`a|code|div|h\d|input|label|p|section|select|small|svg|table|td)\b)|\.(?:authorization__btn|auth-wrapper|` +
		`btn|expand-operation|no-margin|nostyle|opblock|renderedMarkdown|scheme|servers|wrapper)\b`)
)

// outlineStyle returns the rules of Swagger UI's style sheet that the outline needs: the whole sheet would delay the
// first paint.
func outlineStyle(sheet []byte) []byte {
	var style []byte
	for _, rule := range styleRule.FindAll(sheet, -1) {
		selectors := rule[:bytes.IndexByte(rule, '{')+1]
		if bytes.HasPrefix(rule, []byte("@media")) {
			selectors = rule
		}
		if ofOutline.Match(selectors) {
			style = append(style, rule...)
		}
	}
	return style
}

func mediaType(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	default:
		return "image/svg+xml"
	}
}

func read(files fs.FS, name string) []byte {
	file, err := fs.ReadFile(files, name)
	if err != nil { // embedded
		panic(err)
	}
	return file
}

// decompress returns a file of Swagger UI.
func decompress(name string) []byte {
	reader, err := gzip.NewReader(bytes.NewReader(read(static.FS, name)))
	if err == nil {
		var plain []byte
		if plain, err = io.ReadAll(reader); err == nil {
			return plain
		}
	}
	panic(err) // embedded
}

// handler serves a file uncompressed, because it does not leave this machine. The first request calls content.
func handler(mediaType string, content func() []byte) http.Handler {
	load := sync.OnceValues(func() (plain []byte, etag string) {
		plain = content()
		sum := sha256.Sum256(plain)
		return plain, `"` + hex.EncodeToString(sum[:8]) + `"`
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		plain, etag := load()
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("Content-Type", mediaType)
		w.Header().Set("ETag", etag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(plain))
	})
}
