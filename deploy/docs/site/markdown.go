package site

import (
	"bytes"
	"errors"
	"fmt"
	"html/template"
	"path"
	"strconv"
	"strings"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/renderer/html"
	"github.com/yuin/goldmark/text"
)

// guide is a page rendered from Markdown.
type guide struct {
	Source   string // path in the repository, such as docs/run.md
	Path     string // path in the site, such as docs/run.html
	Title    string // its first heading
	Summary  string // its first paragraph, as plain text
	Sections []section
	Content  template.HTML
	Diagrams bool     // whether it has Mermaid diagrams
	Links    []string // repository paths of its links, in order
}

// nested reports whether the page is in a folder of docs and is not its first page.
func (g *guide) nested() bool {
	dir, name := path.Split(g.Source)
	return dir != "" && dir != folder+"/" && name != first
}

// section is a heading of the second level.
type section struct{ ID, Title string }

// newMarkdown returns a parser and renderer of GitHub Flavored Markdown. HTML is kept, because all sources are the
// project's own.
func newMarkdown() goldmark.Markdown {
	return goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithRendererOptions(html.WithUnsafe()))
}

// read renders a guide from Markdown, with the same anchors as GitHub. resolve returns the URL of a link in the site
// and, for a link within the repository, the path there.
func read(source string, markdown []byte, resolve func(link string) (address, path string, err error)) (*guide, error) {
	converter := newMarkdown()
	document := converter.Parser().Parse(text.NewReader(markdown))
	page := &guide{Source: source, Path: address(source)}
	anchors := map[string]int{}
	var dead []error
	resolveLink := func(destination []byte) []byte {
		address, path, err := resolve(string(destination))
		if err != nil {
			dead = append(dead, fmt.Errorf("%s: dead link %s: %w", source, destination, err))
		}
		if path != "" {
			page.Links = append(page.Links, path)
		}
		return []byte(address)
	}
	_ = ast.Walk(document, func(node ast.Node, entering bool) (ast.WalkStatus, error) { // only the callback can fail
		if !entering {
			return ast.WalkContinue, nil
		}
		switch node := node.(type) {
		case *ast.Heading:
			title := plain(node, markdown)
			id := anchor(title, anchors)
			node.SetAttributeString("id", []byte(id))
			switch {
			case node.Level == 1 && page.Title == "":
				page.Title = title
			case node.Level == 2:
				page.Sections = append(page.Sections, section{id, title})
			}
		case *ast.Paragraph:
			if page.Summary == "" {
				page.Summary = plain(node, markdown)
			}
		case *ast.Link:
			node.Destination = resolveLink(node.Destination)
		case *ast.Image:
			node.Destination = resolveLink(node.Destination)
		case *ast.AutoLink:
			if node.AutoLinkType == ast.AutoLinkURL {
				resolveLink(node.URL(markdown))
			}
		case *ast.FencedCodeBlock:
			page.Diagrams = page.Diagrams || string(node.Language(markdown)) == "mermaid"
		}
		return ast.WalkContinue, nil
	})
	if page.Title == "" {
		dead = append(dead, fmt.Errorf("%s: want a page that begins with a heading of level 1 (# Title)", source))
	}
	if dead != nil {
		return nil, errors.Join(dead...)
	}
	var content bytes.Buffer
	if err := converter.Renderer().Render(&content, markdown, document); err != nil {
		return nil, fmt.Errorf("render %s: %w", source, err)
	}
	page.Content = template.HTML(content.String()) //nolint:gosec // escaped, and the sources are the project's own
	return page, nil
}

// plain returns the text of a node without markup.
func plain(node ast.Node, source []byte) string {
	var words strings.Builder
	_ = ast.Walk(node, func(node ast.Node, entering bool) (ast.WalkStatus, error) { // only the callback can fail
		if !entering {
			return ast.WalkContinue, nil
		}
		switch node := node.(type) {
		case *ast.Text:
			words.Write(node.Value(source))
			if node.SoftLineBreak() || node.HardLineBreak() {
				words.WriteByte(' ')
			}
		case *ast.String:
			words.Write(node.Value)
		case *ast.AutoLink:
			words.Write(node.Label(source))
		}
		return ast.WalkContinue, nil
	})
	return words.String()
}

// anchor returns the id of a heading as GitHub generates it: lower case, no punctuation, hyphens for spaces, and a
// number that makes it unique. taken has the last number by id.
func anchor(title string, taken map[string]int) string {
	id := strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-', unicode.In(r, unicode.Letter, unicode.Mark, unicode.Digit, unicode.Pc):
			return unicode.ToLower(r)
		default:
			return -1
		}
	}, title)
	unique := id
	for _, ok := taken[unique]; ok; _, ok = taken[unique] {
		taken[id]++
		unique = id + "-" + strconv.Itoa(taken[id])
	}
	taken[unique] = 0
	return unique
}
