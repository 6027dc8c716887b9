package site

import (
	"html/template"
	"path"
)

// referencePath is where the API document is, to read.
const referencePath = "reference/index.html"

// page is what the layout is filled with.
type page struct {
	Name, Version string // of the API
	Repository    string // its URL
	Path          string // of the page in the site
	Title         string
	Guide         *guide   // nil: the page is none
	Document      any      // the API document, for its reference
	Files         []string // paths of what is published of docs/api

	guides []*guide // all
	layout string   // the file of its layout
}

// Up returns the way to the first folder of the site.
func (p page) Up() string { return up(p.Path) }

// Generator returns the element that says what wrote the page.
func (page) Generator() template.HTML { return generator }

// Source returns where people see the source of a guide.
func (p page) Source() string { return p.Repository + "/blob/" + branch + "/" + p.Guide.Source }

// entry is a line of the menu.
type entry struct {
	*guide

	Name    string
	Current bool
	Nested  bool
}

// Menu returns all guides, but of a folder below docs only the first page where the reader is elsewhere.
func (p page) Menu() []entry {
	var entries []entry
	for _, guide := range p.guides {
		nested := guide.nested()
		if nested && path.Dir(guide.Source) != path.Dir(p.Guide.Source) {
			continue
		}
		name := guide.Title
		if guide.Source == first { // which has the name of the API
			name = "Overview"
		}
		entries = append(entries, entry{guide, name, guide == p.Guide, nested})
	}
	return entries
}
