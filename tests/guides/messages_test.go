package guides_test

import (
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestMessages sees that the messages on the page about them are those of the programs.
func TestMessages(t *testing.T) {
	t.Parallel()
	said := messages(t)
	count := 0
	for _, r := range guide(t, "docs/troubleshooting.md").rows {
		if r.columns[0] != "message" {
			continue
		}
		if len(r.cells[0]) == 0 {
			t.Errorf("%s: a row without a message", r.section)
		}
		for _, message := range r.cells[0] {
			count++
			if !slices.ContainsFunc(said, func(text string) bool { return contains(text, message) }) {
				t.Errorf("%s: no program says %q", r.section, message)
			}
		}
	}
	if count < 30 {
		t.Errorf("there are %d messages on the page", count)
	}
}

// contains tells whether a text has all parts of a message, in their order.
func contains(text, message string) bool {
	for part := range strings.SplitSeq(message, elision) {
		_, rest, found := strings.Cut(text, strings.TrimSpace(part))
		if !found {
			return false
		}
		text = rest
	}
	return true
}

func TestContains(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]bool{
		"port … is in use": true, "is in use": true, "port 1 is in use": false, "is in use … port": false, "ports … is in use": false,
	} {
		if got := contains("port … is in use by another", message); got != want {
			t.Errorf("%q: got %t, want %t", message, got, want)
		}
	}
}

var verb = regexp.MustCompile(`%[-+# 0]*(\[\d+\])?[0-9.*]*[a-zA-Z]`)

// messages are the texts in the source, those that are added up as one, with elisions for all that is put in.
func messages(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, file := range sources(t) {
		ast.Inspect(file, func(node ast.Node) bool {
			expression, ok := node.(ast.Expr)
			if !ok {
				return true
			}
			text, ok := said(expression)
			if ok {
				found = append(found, verb.ReplaceAllString(text, elision))
			}
			return !ok
		})
	}
	return found
}

// said is the text of a literal or a sum that has one.
func said(expression ast.Expr) (string, bool) {
	switch e := expression.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, e.Kind == token.STRING && err == nil
	case *ast.BinaryExpr:
		if e.Op != token.ADD {
			return "", false
		}
		left, leftOK := said(e.X)
		right, rightOK := said(e.Y)
		if !leftOK {
			left = elision
		}
		if !rightOK {
			right = elision
		}
		return left + right, leftOK || rightOK
	}
	return "", false
}
