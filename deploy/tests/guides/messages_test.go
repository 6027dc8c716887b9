package guides_test

import (
	"go/ast"
	"go/token"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestMessages checks that the messages in docs/troubleshooting.md exist in the source, or in that of mage.
func TestMessages(t *testing.T) {
	t.Parallel()
	printed := messages(t)
	count := 0
	for _, r := range guide(t, "docs/troubleshooting.md").rows {
		if r.columns[0] != "message" {
			continue
		}
		if len(r.cells[0]) == 0 {
			t.Errorf("%s: got a row without a message, want one in its first column", r.section)
		}
		for _, message := range r.cells[0] {
			count++
			if !slices.ContainsFunc(printed, func(str string) bool { return contains(str, message) }) {
				t.Errorf("%s: got the message %q, want one in the source", r.section, message)
			}
		}
	}
	if count < 30 {
		t.Errorf("got %d messages on the page, want at least 30", count)
	}
}

// contains reports whether a string contains all parts of a message, in order.
func contains(str, message string) bool {
	for part := range strings.SplitSeq(message, elision) {
		_, rest, found := strings.Cut(str, strings.TrimSpace(part))
		if !found {
			return false
		}
		str = rest
	}
	return true
}

func TestContains(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]bool{
		"port … is in use": true, "is in use": true, "port 1 is in use": false, "is in use … port": false, "ports … is in use": false,
	} {
		t.Run(message, func(t *testing.T) {
			t.Parallel()
			if got := contains("port … is in use by another", message); got != want {
				t.Errorf("got %t, want %t", got, want)
			}
		})
	}
}

var verb = regexp.MustCompile(`%[-+# 0]*(\[\d+\])?[0-9.*]*[a-zA-Z]`)

// messages returns the string literals of the source, concatenated and with an elision for each operand or verb.
func messages(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, file := range append(sources(t), mage(t)...) {
		ast.Inspect(file, func(node ast.Node) bool {
			expression, ok := node.(ast.Expr)
			if !ok {
				return true
			}
			str, ok := literal(expression)
			if ok {
				found = append(found, verb.ReplaceAllString(str, elision))
			}
			return !ok
		})
	}
	return found
}

// mage parses the package of mage that reads the magefile.
func mage(t *testing.T) []*ast.File {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.Dir}}", "github.com/magefile/mage/mage").Output()
	if err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(output)), "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	return parseFiles(t, slices.DeleteFunc(names, func(name string) bool { return strings.HasSuffix(name, "_test.go") }))
}

// literal returns the value of a string literal or of a concatenation that contains one.
func literal(expression ast.Expr) (string, bool) {
	switch e := expression.(type) {
	case *ast.BasicLit:
		str, err := strconv.Unquote(e.Value)
		return str, e.Kind == token.STRING && err == nil
	case *ast.BinaryExpr:
		if e.Op != token.ADD {
			return "", false
		}
		left, leftOK := literal(e.X)
		right, rightOK := literal(e.Y)
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
