package site

import (
	"html/template"
	"path"
)

// referencePath is the path of the API reference.
const referencePath = "reference/index.html"

// page is the data of a layout.
type page struct {
	Name, Version string // of the API
	Repository    string // its URL
	Path          string // of the page in the site
	Title         string
	Guide         *guide   // nil if the page is not a guide
	Document      any      // the API document, for the reference
	Files         []string // paths of the published files in docs/api

	guides []*guide // all guides
	layout string   // file name of the layout
}

// Up returns the relative path to the root of the site.
func (p page) Up() string { return toRoot(p.Path) }

// Generator returns the element that names the generator.
func (page) Generator() template.HTML { return generator }

// Source returns the URL of the source of a guide.
func (p page) Source() string { return p.Repository + "/blob/" + branch + "/" + p.Guide.Source }

// entry is an entry of the menu.
type entry struct {
	*guide

	Name    string
	Current bool
	Nested  bool
}

// Menu returns the entries for all guides. Of a folder in docs that the current page is not in, it has only the first
// page.
func (p page) Menu() []entry {
	var entries []entry
	for _, guide := range p.guides {
		nested := guide.nested()
		if nested && path.Dir(guide.Source) != path.Dir(p.Guide.Source) {
			continue
		}
		name := guide.Title
		if guide.Source == first { // its title is the name of the API
			name = "Overview"
		}
		entries = append(entries, entry{guide, name, guide == p.Guide, nested})
	}
	return entries
}
