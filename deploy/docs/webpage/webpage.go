// Package webpage has what the API reference and the pages of the local stack share: the header, the list of keys, and
// files that the pages load.
package webpage

import (
	"embed"
	"fmt"
	"html/template"
	"io/fs"
)

// CSS is the style sheet of colors, fonts, the header and the list of keys. It must not be changed.
//
//go:embed page.css
var CSS []byte

// Indent is the script that defines the function indentJSON. It must not be changed.
//
//go:embed indent.js
var Indent []byte

// Keys is the script that defines the functions bindKeys and moveFocus. It must not be changed.
//
//go:embed keys.js
var Keys []byte

//go:embed header.html
var templates embed.FS

// Header is the data of the template header.
type Header struct {
	Name    string // of the API
	Stage   string // "" for none
	Home    string // the URL of the home page; "" for none
	Assets  string // the URL of the folder with icon.svg, with a trailing slash
	Current string // the URL of the page among Links
	Links   []Link
	Live    bool // the page is updated live, and its script binds the button with the id live
}

// Link is a link of the header. Key opens it after g; "" for none.
type Link struct{ Text, URL, Key string }

// Parse parses the templates in files. They can use the template header, whose data is a [Header], and the template
// help, the list of keys, whose data has the field or method Header. For help, they must define the template shortcuts:
// the keys of the page.
func Parse(files fs.FS, names ...string) (*template.Template, error) {
	parsed, err := template.ParseFS(templates, "header.html")
	if err == nil {
		parsed, err = parsed.ParseFS(files, names...)
	}
	if err != nil {
		return nil, fmt.Errorf("parse a page: %w", err)
	}
	return parsed, nil
}
