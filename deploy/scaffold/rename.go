package scaffold

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"golang.org/x/mod/modfile"
)

// word is a part of an identity as it is written in files.
type word struct {
	old, new string
	open     bool // whether letters or digits may follow
}

// renamer replaces the identity of one project by that of another.
type renamer struct {
	from, to identity
	words    []word                 // the longest first
	pattern  *regexp.Regexp         // matches one of them
	travels  func(name string) bool // reports whether a file of the old project belongs to the new one
}

func newRenamer(from, to identity, travels func(name string) bool) renamer {
	r := renamer{from: from, to: to, travels: travels, words: []word{
		{old: toolsModule, new: toolsModule}, // has the path of its repository in it
		{old: from.repository, new: to.repository},
		{old: from.module, new: to.module},
		{old: from.name, new: to.name},
	}}
	for i, table := range from.tables {
		r.words = append(r.words, word{old: table, new: to.tables[i]})
	}
	if from.owner != "" {
		r.words = append(r.words, word{old: from.owner, new: to.owner})
	}
	// In lower or upper case, the name may be a word of the language, so that only ids and variables are renamed.
	for _, id := range []string{"urn:problem-type:%s:", "_%s_", "%s-artifacts-"} {
		r.words = append(r.words, word{
			fmt.Sprintf(id, strings.ToLower(from.name)), fmt.Sprintf(id, strings.ToLower(to.name)), true,
		})
	}
	r.words = append(r.words, word{strings.ToUpper(from.name) + "_", strings.ToUpper(to.name) + "_", true})
	for _, name := range []string{to.repository, to.module, to.name, to.owner} { // may contain old ones
		r.words = append(r.words, word{old: name, new: name})
	}
	slices.SortStableFunc(r.words, func(a, b word) int { return len(b.old) - len(a.old) })
	var alternatives []string
	for _, w := range r.words {
		alternatives = append(alternatives, regexp.QuoteMeta(w.old))
	}
	r.pattern = regexp.MustCompile(strings.Join(alternatives, "|"))
	return r
}

// text renames the words in a text.
func (r renamer) text(text string) string {
	var renamed strings.Builder
	rest := 0
	r.each(text, func(start, end int, w word) {
		renamed.WriteString(text[rest:start] + w.new)
		rest = end
	})
	return renamed.String() + text[rest:]
}

// each calls found for each word in a text, except in links to the tools' repository.
func (r renamer) each(text string, found func(start, end int, w word)) {
	links := toolsLink.FindAllStringIndex(text, -1)
	for _, match := range r.pattern.FindAllStringIndex(text, -1) {
		start, end := match[0], match[1]
		if slices.ContainsFunc(links, func(link []int) bool { return link[0] <= start && end <= link[1] }) {
			continue
		}
		i := slices.IndexFunc(r.words, func(w word) bool { return w.old == text[start:end] })
		if start > 0 && isAlphanumeric(text[start-1]) && isAlphanumeric(text[start]) {
			continue // the end of another word
		}
		if !r.words[i].open && end < len(text) && continues(r.words[i].old, text[end:]) {
			continue // the beginning of another word
		}
		found(start, end, r.words[i])
	}
}

// continues reports whether rest continues a word: a name with a letter or digit, a path of a module also with other
// characters that its last element may have.
func continues(word, rest string) bool {
	if strings.Contains(word, "/") {
		after := strings.TrimLeft(rest, ".-_~")
		return after != "" && isAlphanumeric(after[0])
	}
	return isAlphanumeric(rest[0])
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

// toolsLink matches the links to the tools' repository that a new project has.
var toolsLink = regexp.MustCompile(
	regexp.QuoteMeta(toolsRepository()) + `/(blob|tree)/(main|deploy/v[^/]+)/(deploy|docs/decisions)\b`)

// left returns a word of the old identity that a line of the new project still contains, or "".
func (r renamer) left(line string) (old string) {
	r.each(line, func(_, _ int, w word) {
		if w.old != w.new {
			old = w.old
		}
	})
	return old
}

// file returns the renamed content of a file.
func (r renamer) file(name string, content []byte) ([]byte, error) {
	switch base := path.Base(name); {
	case isBinary(content), base == "go.sum", base == "go.work.sum":
		return content, nil
	case base == "go.mod":
		return r.goMod(name, content)
	case base == "go.work":
		return r.goWork(name, content)
	case path.Ext(name) == ".go":
		return r.goSource(name, content)
	case path.Ext(name) == ".yaml", path.Ext(name) == ".yml":
		return r.yaml(content)
	}
	text := r.text(string(content))
	if path.Ext(name) == ".md" {
		var err error
		if text, err = dropMarked(text); err != nil {
			return nil, err
		}
	}
	return []byte(text), nil
}

// dropMarked removes the lines of a page that are not true of new projects: from a line with the mark begin to one with
// the mark end, with the empty line after it.
func dropMarked(page string) (string, error) {
	const begin, end = "<!-- begin: not in new projects -->", "<!-- end: not in new projects -->"
	var kept strings.Builder
	inside, ended := false, false
	for line := range strings.Lines(page) {
		text := strings.TrimSpace(line)
		switch {
		case text == begin && !inside:
			inside = true
		case text == end && inside:
			inside, ended = false, true
		case text == begin || text == end:
			return "", fmt.Errorf("want pairs of the lines %s and %s", begin, end)
		case !inside && (!ended || text != ""):
			kept.WriteString(line)
			ended = false
		}
	}
	if inside {
		return "", fmt.Errorf("want a line %s", end)
	}
	return kept.String(), nil
}

// isBinary reports whether content has a NUL byte, which git regards as the sign of a binary file.
func isBinary(content []byte) bool { return bytes.IndexByte(content, 0) >= 0 }

// path renames the path of a module or package.
func (r renamer) path(old string) string {
	if !contains(r.from.module, old) || contains(toolsModule, old) {
		return old
	}
	return r.to.module + strings.TrimPrefix(old, r.from.module)
}

// goMod renames the modules in a go.mod file.
func (r renamer) goMod(name string, content []byte) ([]byte, error) {
	file, err := modfile.Parse(name, content, nil)
	if err != nil {
		return nil, err
	}
	if err := file.AddModuleStmt(r.path(file.Module.Mod.Path)); err != nil {
		return nil, err
	}
	for _, required := range file.Require {
		r.line(required.Syntax)
	}
	for _, replaced := range file.Replace {
		r.line(replaced.Syntax)
	}
	for _, tool := range file.Tool {
		r.line(tool.Syntax)
	}
	file.SortBlocks()
	return file.Format()
}

// line renames the path in a line of a go.mod file, which follows the verb if there is one.
func (r renamer) line(line *modfile.Line) {
	i := 0
	if !line.InBlock {
		i = 1
	}
	line.Token[i] = modfile.AutoQuote(r.path(line.Token[i]))
}

// goWork removes the modules that a project does not contain from a go.work file.
func (r renamer) goWork(name string, content []byte) ([]byte, error) {
	file, err := modfile.ParseWork(name, content, nil)
	if err != nil {
		return nil, err
	}
	for _, use := range slices.Clone(file.Use) {
		if !r.travels(path.Join(path.Clean(use.Path), "go.mod")) {
			if err := file.DropUse(use.Path); err != nil {
				return nil, err
			}
		}
	}
	file.Cleanup()
	return modfile.Format(file.Syntax), nil
}

// goSource renames import paths, and the words in strings and comments.
func (r renamer) goSource(name string, content []byte) ([]byte, error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, content, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	type edit struct {
		start, end int
		text       string
	}
	var edits []edit
	replace := func(node ast.Node, text string) {
		edits = append(edits, edit{files.Position(node.Pos()).Offset, files.Position(node.End()).Offset, text})
	}
	paths := map[*ast.BasicLit]bool{}
	for _, spec := range file.Imports {
		old, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		paths[spec.Path] = true
		replace(spec.Path, strconv.Quote(r.path(old)))
	}
	ast.Inspect(file, func(node ast.Node) bool {
		if literal, ok := node.(*ast.BasicLit); ok && literal.Kind == token.STRING && !paths[literal] {
			replace(literal, r.text(literal.Value))
		}
		return true
	})
	for _, group := range file.Comments {
		for _, comment := range group.List {
			replace(comment, r.text(comment.Text))
		}
	}
	slices.SortFunc(edits, func(a, b edit) int { return a.start - b.start })
	var renamed bytes.Buffer
	rest := 0
	for _, e := range edits {
		renamed.Write(content[rest:e.start])
		renamed.WriteString(e.text)
		rest = e.end
	}
	renamed.Write(content[rest:])
	return format.Source(renamed.Bytes()) // the order of imports follows from their paths
}

// yaml renames the words in a YAML file. It returns an error if anything but the text of scalars and comments changes.
func (r renamer) yaml(content []byte) ([]byte, error) {
	renamed := []byte(r.text(string(content)))
	before, err := scalars(content)
	if err != nil {
		return nil, err
	}
	after, err := scalars(renamed)
	if err != nil {
		return nil, err
	}
	for i, scalar := range before {
		before[i] = r.text(scalar)
	}
	if !slices.Equal(before, after) {
		return nil, fmt.Errorf("renaming %s to %s changes the structure of the document", r.from.name, r.to.name)
	}
	return renamed, nil
}

// dropAbsent removes the elements of lists in a YAML file, each on a line of its own, that name folders which do not
// exist, such as /deploy/tests.
func dropAbsent(content []byte, exists func(pattern string) bool) ([]byte, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(content, &document); err != nil {
		return nil, err
	}
	absent := map[int]bool{} // line numbers
	var visit func(*yaml.Node)
	visit = func(node *yaml.Node) {
		for _, child := range node.Content {
			if node.Kind == yaml.SequenceNode && strings.HasPrefix(child.Value, "/") && !exists(child.Value) {
				absent[child.Line] = true
			}
			visit(child)
		}
	}
	visit(&document)
	var kept []byte
	number := 0
	for line := range bytes.Lines(content) {
		number++
		if !absent[number] {
			kept = append(kept, line...)
		}
	}
	return kept, nil
}

// scalars returns the kinds and values of the nodes of a YAML document.
func scalars(content []byte) ([]string, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(content, &document); err != nil {
		return nil, err
	}
	var values []string
	var visit func(*yaml.Node)
	visit = func(node *yaml.Node) {
		values = append(values, fmt.Sprintf("%d %s %s", node.Kind, node.Tag, node.Value))
		for _, child := range node.Content {
			visit(child)
		}
	}
	visit(&document)
	return values, nil
}
