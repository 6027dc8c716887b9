package release_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// literal matches a command that package command must write instead, with the settings that select the stage and the
// account.
var literal = regexp.MustCompile(
	`\bgo tool mage\b|\bmage \w+|\baws (?:apigateway|cloudformation|configure|iam|lambda|login|logs|s3|sso|sts)\b`,
)

// A command written out in a message lacks settings, and would run on another stage if pasted. So no string of these
// packages contains one. The tests of this package also check the output of all commands.
func TestCommandsInMessages(t *testing.T) {
	t.Parallel()
	root := os.DirFS("..")
	for _, dir := range []string{
		"aws/account", "aws/bucket", "aws/changeset", "aws/errors", "load", "observe", "release", "release/progress",
		"release/smoke", "release/stage",
	} {
		files, err := fs.Glob(root, dir+"/*.go")
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: files %q, error %v", dir, files, err)
		}
		for _, file := range files {
			if !strings.HasSuffix(file, "_test.go") {
				for _, found := range commandsIn(t, filepath.Join("..", file)) {
					t.Errorf("%s: write this command with command.Line", found)
				}
			}
		}
	}
}

// commandsIn returns the strings in a file that contain a command, with their positions.
func commandsIn(t *testing.T, path string) []string {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.BasicLit); ok && s.Kind == token.STRING && literal.MatchString(s.Value) {
			found = append(found, files.Position(s.Pos()).String()+": "+s.Value)
		}
		return true
	})
	return found
}

// named matches the targets of mage in messages: in a call, in a constant, or in braces in a hint.
var named = regexp.MustCompile(`\b(?:[Cc]ommand|Mage)\("(\w+)"|\w+Target += "(\w+)"|"[^"\n]*\{(?:\w+=1 )?([a-z]\w+)\}`)

// Each target in a message exists.
func TestTargetsInMessages(t *testing.T) {
	t.Parallel()
	magefile, err := os.ReadFile(filepath.Join("..", "..", "magefile.go"))
	if err != nil {
		t.Fatal(err)
	}
	targets := regexp.MustCompile(`program\.Start\("\w+", "(\w+)"`).FindAllStringSubmatch(string(magefile), -1)
	for _, dir := range []string{"release", "aws/changeset", "load", "observe"} {
		sources, err := filepath.Glob("../" + dir + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, path := range sources {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			source, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, found := range named.FindAllStringSubmatch(string(source), -1) {
				n++
				name := found[1] + found[2] + found[3]
				if !slices.ContainsFunc(targets, func(target []string) bool { return target[1] == name }) {
					t.Errorf("%s: mage has no target %s", path, name)
				}
			}
		}
		if n == 0 {
			t.Errorf("no message of %s names a target", dir)
		}
	}
}
