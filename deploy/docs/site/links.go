package site

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/html"

	"github.com/userrequestapi/userdata/deploy/contract"
)

// loads matches the URLs that a style sheet loads with url() or @import ("CSS Values and Units Module Level 4").
var loads = regexp.MustCompile(`(?i)url\(\s*(?:"([^"]*)"|'([^']*)'|([^\s"')]+))|@import\s*(?:"([^"]*)"|'([^']*)')`)

// link is a reference of an element or a style sheet.
type link struct {
	target string
	loaded bool // loaded by the browser itself, not when the reader clicks
}

// check checks every link of every page and style sheet. The error names each dead link and each resource that is
// loaded from another site. It does not request URLs outside the site.
func check(site fs.FS) error {
	anchors := map[string]map[string]bool{}
	references := map[string][]link{}
	err := fs.WalkDir(site, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		anchors[name] = nil
		extension := path.Ext(name)
		if extension != ".html" && extension != ".css" {
			return nil
		}
		content, err := fs.ReadFile(site, name)
		if err != nil {
			return err
		}
		if extension == ".css" {
			references[name] = styleLinks(string(content))
			return nil
		}
		document, err := html.Parse(bytes.NewReader(content))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		anchors[name] = map[string]bool{"": true}
		for node := range document.Descendants() {
			references[name] = append(references[name], linksOf(node)...)
			for _, attribute := range node.Attr {
				if attribute.Key == "id" {
					anchors[name][attribute.Val] = true
				}
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("check the links of the site: %w", err)
	}
	var dead []error
	for _, name := range slices.Sorted(maps.Keys(references)) {
		for _, it := range references[name] {
			if err := checkLink(anchors, name, it); err != nil {
				dead = append(dead, fmt.Errorf("%s: dead link %s: %w", name, it.target, err))
			}
		}
	}
	return errors.Join(dead...)
}

// checkDescriptions checks the links in the Markdown of the API document. They must be absolute, because the document
// is read in many places.
func checkDescriptions(document *contract.Public) error {
	var content any
	if err := json.Unmarshal(document.JSON(), &content); err != nil {
		return fmt.Errorf("check the links of the API document: %w", err)
	}
	var markdown bytes.Buffer
	if err := newMarkdown().Convert([]byte(strings.Join(descriptions(content), "\n\n")), &markdown); err != nil {
		return fmt.Errorf("check the links of the API document: %w", err)
	}
	rendered, err := html.Parse(&markdown)
	if err != nil {
		return fmt.Errorf("check the links of the API document: %w", err)
	}
	var dead []error
	for node := range rendered.Descendants() {
		for _, it := range linksOf(node) {
			err := checkLink(nil, contract.File, it)
			if target, failed := url.Parse(it.target); failed == nil && !target.IsAbs() {
				err = errors.New("want an absolute URL, because the document is read in many places")
			}
			if err != nil {
				dead = append(dead, fmt.Errorf("%s: dead link %s: %w", contract.File, it.target, err))
			}
		}
	}
	return errors.Join(dead...)
}

// descriptions returns all strings with the key description in a part of the API document.
func descriptions(content any) (texts []string) {
	switch content := content.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(content)) {
			if text, ok := content[key].(string); ok && key == "description" {
				texts = append(texts, text)
			}
			texts = append(texts, descriptions(content[key])...)
		}
	case []any:
		for _, it := range content {
			texts = append(texts, descriptions(it)...)
		}
	}
	return texts
}

// linksOf returns the links of an element, without those of its children.
func linksOf(node *html.Node) (all []link) {
	if node.Type == html.TextNode && node.Parent.Data == "style" {
		return styleLinks(node.Data)
	}
	clicked := node.Data == "a" || node.Data == "area"
	for _, attribute := range node.Attr {
		switch attribute.Key {
		case "href":
			all = append(all, link{attribute.Val, !clicked})
		case "src", "poster", "data":
			all = append(all, link{attribute.Val, true})
		case "action", "formaction":
			all = append(all, link{attribute.Val, false})
		case "srcset":
			for candidate := range strings.SplitSeq(attribute.Val, ",") {
				if fields := strings.Fields(candidate); len(fields) > 0 {
					all = append(all, link{fields[0], true})
				}
			}
		case "style":
			all = append(all, styleLinks(attribute.Val)...)
		case "content": // of <meta http-equiv="refresh">, such as 0; url=other.html
			if _, target, ok := strings.Cut(attribute.Val, "url="); ok && isRefresh(node) {
				all = append(all, link{target, true})
			}
		}
	}
	return all
}

// isRefresh reports whether an element redirects the browser.
func isRefresh(node *html.Node) bool {
	return slices.ContainsFunc(node.Attr, func(it html.Attribute) bool {
		return it.Key == "http-equiv" && strings.EqualFold(it.Val, "refresh")
	})
}

// styleLinks returns the links of a style sheet.
func styleLinks(css string) (all []link) {
	for _, match := range loads.FindAllStringSubmatch(css, -1) {
		all = append(all, link{cmp.Or(match[1:]...), true})
	}
	return all
}

// checkLink returns an error for a dead link. anchors has the ids of each page, and nil for other files.
func checkLink(anchors map[string]map[string]bool, from string, it link) error {
	if it.loaded && strings.HasPrefix(it.target, "data:") {
		return nil
	}
	target, err := url.Parse(it.target)
	switch {
	case err != nil:
		return err
	case target.Scheme != "" || target.Host != "":
		if it.loaded {
			return errors.New("a page must not load resources from outside the site")
		}
		return wellFormed(target)
	case path.IsAbs(target.Path):
		return errors.New("want a relative URL, because the site works in any folder")
	}
	to := from
	if target.Path != "" {
		to = path.Join(path.Dir(from), target.Path)
	}
	ids, ok := anchors[to]
	if !ok {
		return fmt.Errorf("the site has no file %s", to)
	}
	if ids != nil && !ids[target.Fragment] {
		return fmt.Errorf("%s has no heading or element with that id", to)
	}
	return nil
}

// wellFormed returns an error for a malformed URL outside the site.
func wellFormed(address *url.URL) error {
	switch address.Scheme {
	case "http", "https":
		if address.Host == "" || address.Hostname() == "" {
			return errors.New("no host")
		}
	case "mailto":
		if !strings.Contains(address.Opaque, "@") {
			return errors.New("no mailbox")
		}
	default:
		return errors.New("want http, https or mailto")
	}
	return nil
}

// toRoot returns the relative path from a file to the root of the site, such as ../ from docs/run.html.
func toRoot(from string) string { return strings.Repeat("../", strings.Count(from, "/")) }

// relative returns the relative URL from a page to a file of the site.
func relative(from, to string) string {
	if path.Dir(from) == path.Dir(to) {
		return path.Base(to)
	}
	return toRoot(from) + to
}
