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

// loads finds what a style sheet loads, by url() or @import ("CSS Values and Units Module Level 4").
var loads = regexp.MustCompile(`(?i)url\(\s*(?:"([^"]*)"|'([^']*)'|([^\s"')]+))|@import\s*(?:"([^"]*)"|'([^']*)')`)

// use is what an element of a page refers to.
type use struct {
	target string
	loaded bool // by the browser itself, not where the reader clicks
}

// check follows every link of every page and style sheet. The error names each that is dead, and each that has the browser load something
// from elsewhere. Whether there is something at addresses outside the site is not asked.
func check(site fs.FS) error {
	anchors := map[string]map[string]bool{}
	references := map[string][]use{}
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
			references[name] = styleUses(string(content))
			return nil
		}
		document, err := html.Parse(bytes.NewReader(content))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		anchors[name] = map[string]bool{"": true}
		for node := range document.Descendants() {
			references[name] = append(references[name], uses(node)...)
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
			if err := follow(anchors, name, it); err != nil {
				dead = append(dead, fmt.Errorf("%s: dead link %s: %w", name, it.target, err))
			}
		}
	}
	return errors.Join(dead...)
}

// checkDescriptions checks the links in the Markdown of the API document. The error names those that are no whole addresses: people
// read the document in many places, from where others lead elsewhere.
func checkDescriptions(document *contract.Document) error {
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
		for _, it := range uses(node) {
			err := follow(nil, contract.File, it)
			if target, failed := url.Parse(it.target); failed == nil && !target.IsAbs() {
				err = errors.New("the document is read in many places, and only a whole address leads there from each")
			}
			if err != nil {
				dead = append(dead, fmt.Errorf("%s: dead link %s: %w", contract.File, it.target, err))
			}
		}
	}
	return errors.Join(dead...)
}

// descriptions returns the texts of that name in a part of the API document.
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

// uses returns what an element refers to by itself.
func uses(node *html.Node) (all []use) {
	if node.Type == html.TextNode && node.Parent.Data == "style" {
		return styleUses(node.Data)
	}
	clicked := node.Data == "a" || node.Data == "area"
	for _, attribute := range node.Attr {
		switch attribute.Key {
		case "href":
			all = append(all, use{attribute.Val, !clicked})
		case "src", "poster", "data":
			all = append(all, use{attribute.Val, true})
		case "action", "formaction":
			all = append(all, use{attribute.Val, false})
		case "srcset":
			for candidate := range strings.SplitSeq(attribute.Val, ",") {
				if fields := strings.Fields(candidate); len(fields) > 0 {
					all = append(all, use{fields[0], true})
				}
			}
		case "style":
			all = append(all, styleUses(attribute.Val)...)
		case "content": // of <meta http-equiv="refresh">, such as 0; url=other.html
			if _, target, ok := strings.Cut(attribute.Val, "url="); ok && refreshes(node) {
				all = append(all, use{target, true})
			}
		}
	}
	return all
}

// refreshes tells whether an element has the browser go elsewhere.
func refreshes(node *html.Node) bool {
	return slices.ContainsFunc(node.Attr, func(it html.Attribute) bool {
		return it.Key == "http-equiv" && strings.EqualFold(it.Val, "refresh")
	})
}

// styleUses returns what a style sheet refers to.
func styleUses(css string) (all []use) {
	for _, match := range loads.FindAllStringSubmatch(css, -1) {
		all = append(all, use{cmp.Or(match[1:]...), true})
	}
	return all
}

// follow tells what is wrong with a reference. anchors are the ids of each page, and nil for other files.
func follow(anchors map[string]map[string]bool, from string, it use) error {
	if it.loaded && strings.HasPrefix(it.target, "data:") {
		return nil
	}
	target, err := url.Parse(it.target)
	switch {
	case err != nil:
		return err
	case target.Scheme != "" || target.Host != "":
		if it.loaded {
			return errors.New("a page loads nothing from outside the site")
		}
		return wellFormed(target)
	case path.IsAbs(target.Path):
		return errors.New("it is no relative address, and the site works in any folder")
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

// wellFormed checks an address outside the site.
func wellFormed(address *url.URL) error {
	switch address.Scheme {
	case "http", "https":
		if address.Host == "" || address.Hostname() == "" {
			return errors.New("it names no host")
		}
	case "mailto":
		if !strings.Contains(address.Opaque, "@") {
			return errors.New("it names no mailbox")
		}
	default:
		return errors.New("it is neither http, https, nor mailto")
	}
	return nil
}

// up returns the way from a file of the site to its first folder, such as ../ from docs/run.html.
func up(from string) string { return strings.Repeat("../", strings.Count(from, "/")) }

// relative returns the address of a file of the site for a page in it.
func relative(from, to string) string {
	if path.Dir(from) == path.Dir(to) {
		return path.Base(to)
	}
	return up(from) + to
}
