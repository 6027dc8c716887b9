package guides_test

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	tableast "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/text"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
)

// page is a guide, parsed as GitHub does.
type page struct {
	name   string // relative to the workspace, such as docs/run.md
	blocks []block
	spans  []string // inline code
	links  []string
	rows   []row
	steps  map[string][]string // by section: the inline code with which each numbered item begins
}

// block is a fenced or indented block of code.
type block struct {
	section  string // the heading above it
	language string // the info string's first word, or ""
	text     string
	line     int // of its first line, in the page
}

// row is a row of a table.
type row struct {
	section string
	columns []string   // headings
	cells   [][]string // inline code of each cell
}

// pages returns README.md and all pages in docs.
func pages(t *testing.T) []page {
	t.Helper()
	files := os.DirFS(testenv.Root(t))
	names := []string{"README.md"}
	err := fs.WalkDir(files, "docs", func(name string, _ fs.DirEntry, err error) error {
		if err == nil && path.Ext(name) == ".md" {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var found []page
	for _, name := range names {
		source, err := fs.ReadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, read(t, name, source))
	}
	return found
}

// guide returns the page with this name.
func guide(t *testing.T, name string) page {
	t.Helper()
	all := pages(t)
	i := slices.IndexFunc(all, func(p page) bool { return p.name == name })
	if i < 0 {
		t.Fatalf("want the page %s, got none", name)
	}
	return all[i]
}

func read(t *testing.T, name string, source []byte) page {
	t.Helper()
	p := page{name: name, steps: map[string][]string{}}
	section := ""
	var columns []string
	parsed := goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser().Parse(text.NewReader(source))
	err := ast.Walk(parsed, func(node ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := node.(type) {
		case *ast.Heading:
			section = plain(n, source)
		case *ast.FencedCodeBlock:
			p.blocks = append(p.blocks, newBlock(section, string(n.Language(source)), n.Lines(), source))
		case *ast.CodeBlock:
			p.blocks = append(p.blocks, newBlock(section, "", n.Lines(), source))
		case *ast.CodeSpan:
			p.spans = append(p.spans, plain(n, source))
		case *ast.ListItem:
			if list, ok := n.Parent().(*ast.List); ok && list.IsOrdered() {
				p.steps[section] = append(p.steps[section], firstCode(n, source))
			}
		case *ast.Link:
			p.links = append(p.links, string(n.Destination))
		case *ast.AutoLink:
			p.links = append(p.links, string(n.URL(source)))
		case *tableast.TableHeader:
			columns = nil
			for cell := n.FirstChild(); cell != nil; cell = cell.NextSibling() {
				columns = append(columns, plain(cell, source))
			}
		case *tableast.TableRow:
			r := row{section: section, columns: columns}
			for cell := n.FirstChild(); cell != nil; cell = cell.NextSibling() {
				r.cells = append(r.cells, codes(cell, source))
			}
			p.rows = append(p.rows, r)
		}
		return ast.WalkContinue, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func newBlock(section, language string, lines *text.Segments, source []byte) block {
	b := block{section: section, language: language, text: string(lines.Value(source))}
	if lines.Len() > 0 {
		b.line = bytes.Count(source[:lines.At(0).Start], []byte("\n")) + 1
	}
	return b
}

// plain returns the text of a node and its descendants.
func plain(node ast.Node, source []byte) string {
	var words strings.Builder
	for child := node.FirstChild(); child != nil; child = child.NextSibling() {
		if written, ok := child.(*ast.Text); ok {
			words.Write(written.Value(source))
			continue
		}
		words.WriteString(plain(child, source))
	}
	return words.String()
}

// firstCode returns the inline code with which a node begins, or "".
func firstCode(node ast.Node, source []byte) string {
	for ; node != nil; node = node.FirstChild() {
		if span, ok := node.(*ast.CodeSpan); ok {
			return plain(span, source)
		}
	}
	return ""
}

// codes returns the inline code of a node.
func codes(node ast.Node, source []byte) []string {
	var found []string
	for child := node.FirstChild(); child != nil; child = child.NextSibling() {
		if span, ok := child.(*ast.CodeSpan); ok {
			found = append(found, plain(span, source))
		}
	}
	return found
}
