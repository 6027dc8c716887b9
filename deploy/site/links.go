package site

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// use is what an element of a page refers to.
type use struct {
	target string
	loaded bool // by the browser itself, not where the reader clicks
}

// check follows every link of every page. The error names each that is dead, and each that has the browser load something from elsewhere.
// Whether there is something at addresses outside the site is not asked.
func check(site fs.FS) error {
	anchors := map[string]map[string]bool{}
	references := map[string][]use{}
	err := fs.WalkDir(site, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		anchors[name] = nil
		if path.Ext(name) != ".html" {
			return nil
		}
		content, err := fs.ReadFile(site, name)
		if err != nil {
			return err
		}
		document, err := html.Parse(bytes.NewReader(content))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		anchors[name] = map[string]bool{"": true}
		for node := range document.Descendants() {
			for _, attribute := range node.Attr {
				switch attribute.Key {
				case "id":
					anchors[name][attribute.Val] = true
				case "href":
					references[name] = append(references[name], use{attribute.Val, node.Data == "link"})
				case "src":
					references[name] = append(references[name], use{attribute.Val, true})
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

// follow tells what is wrong with a reference. anchors are the ids of each page, and nil for other files.
func follow(anchors map[string]map[string]bool, from string, it use) error {
	target, err := url.Parse(it.target)
	switch {
	case err != nil:
		return err
	case it.loaded && target.Scheme == "data":
		return nil
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
