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

// guide is a page made of Markdown.
type guide struct {
	Source   string // where it is in the repository, such as docs/run.md
	Path     string // where it is in the site, such as docs/run.html
	Title    string // its first heading
	Summary  string // its first paragraph, as plain text
	Sections []section
	Content  template.HTML
	Diagrams bool     // it has Mermaid diagrams
	Links    []string // repository paths that it leads to, in their order
}

// nested tells whether the page is one of a folder below docs, other than its first.
func (g *guide) nested() bool {
	dir, name := path.Split(g.Source)
	return dir != "" && dir != folder+"/" && name != first
}

// section is a heading of the second level.
type section struct{ ID, Title string }

// newMarkdown makes what reads Markdown as GitHub does (GitHub Flavored Markdown Spec). HTML in it stays, as all of it is our own.
func newMarkdown() goldmark.Markdown {
	return goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithRendererOptions(html.WithUnsafe()))
}

// read makes a guide of Markdown as GitHub knows it, with the same anchors. resolve tells where a link of
// the source leads in the site, and for one within the repository, the path there.
func read(source string, markdown []byte, resolve func(link string) (address, path string, err error)) (*guide, error) {
	converter := newMarkdown()
	document := converter.Parser().Parse(text.NewReader(markdown))
	page := &guide{Source: source, Path: address(source)}
	anchors := map[string]int{}
	var dead []error
	lead := func(destination []byte) []byte {
		address, path, err := resolve(string(destination))
		if err != nil {
			dead = append(dead, fmt.Errorf("%s: dead link %s: %w", source, destination, err))
		}
		if path != "" {
			page.Links = append(page.Links, path)
		}
		return []byte(address)
	}
	_ = ast.Walk(document, func(node ast.Node, entering bool) (ast.WalkStatus, error) { // which alone could fail
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
			node.Destination = lead(node.Destination)
		case *ast.Image:
			node.Destination = lead(node.Destination)
		case *ast.AutoLink:
			if node.AutoLinkType == ast.AutoLinkURL {
				lead(node.URL(markdown))
			}
		case *ast.FencedCodeBlock:
			page.Diagrams = page.Diagrams || string(node.Language(markdown)) == "mermaid"
		}
		return ast.WalkContinue, nil
	})
	if page.Title == "" {
		dead = append(dead, fmt.Errorf("%s: a page begins with a heading of the first level (# Title)", source))
	}
	if dead != nil {
		return nil, errors.Join(dead...)
	}
	var content bytes.Buffer
	if err := converter.Renderer().Render(&content, markdown, document); err != nil {
		return nil, fmt.Errorf("render %s: %w", source, err)
	}
	page.Content = template.HTML(content.String()) //nolint:gosec // the renderer escapes, and what it leaves is our own
	return page, nil
}

// plain returns the text of a node without its markup.
func plain(node ast.Node, source []byte) string {
	var words strings.Builder
	_ = ast.Walk(node, func(node ast.Node, entering bool) (ast.WalkStatus, error) { // which alone could fail
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

// anchor makes the id of a heading as GitHub does: in lower case, without punctuation, with hyphens for spaces, and with the next number
// that makes it another than those before. taken has the last number by each id.
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
