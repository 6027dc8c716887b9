package guides_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
)

// followed reports whether a test pastes all blocks of a page, and so compares its text blocks.
func followed(p page) bool { return p.name == "docs/getting-started.md" || p.name == "docs/call.md" }

// drawings returns, by page, the first words of the text blocks that are no output and that no test compares.
func drawings() map[string][]string {
	return map[string][]string{
		"README.md":       {"┌──────────────┐"},
		"docs/operate.md": {"UserRequestAPI/prod", "# Outcomes and latency of each operation"},
	}
}

// TestBlocks checks every block of every page by its language.
func TestBlocks(t *testing.T) {
	t.Parallel()
	tools, targets, variables := tools(t), targets(t), variables(t)
	for _, p := range pages(t) {
		for i, b := range p.blocks {
			t.Run(fmt.Sprintf("%s:%d", p.name, b.line), func(t *testing.T) {
				t.Parallel()
				switch b.language {
				case "sh":
					parse(t, b.text)
					names(t, commands(b.text), tools, targets, variables)
				case "json":
					if !json.Valid([]byte(b.text)) {
						t.Errorf("got %s, want valid JSON", b.text)
					}
				case "go", "ts", "python":
					if p.name != "docs/call.md" || !slices.Contains(programs(), b.section) {
						t.Error("want no program except those in docs/call.md, which package clients_test runs")
					}
				case "mermaid":
					if first, _, _ := strings.Cut(b.text, "\n"); p.name != "docs/architecture.md" || first != "flowchart LR" {
						t.Error("want no diagram except the flowchart in docs/architecture.md, which the static site renders")
					}
				case "text":
					isOutput := followed(p) && i > 0 && p.blocks[i-1].language == "sh"
					isDrawing := slices.ContainsFunc(drawings()[p.name], func(words string) bool {
						return strings.HasPrefix(strings.TrimSpace(b.text), words)
					})
					if !isOutput && !isDrawing {
						t.Error(
							"want a text block that is the output of the block above it on a page that a test follows, or a known drawing",
						)
					}
				default:
					t.Errorf("got a block of %q, want a language with a rule: add one here that runs or checks it", b.language)
				}
			})
		}
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			for _, span := range p.spans {
				if strings.Contains(span, "go tool ") {
					names(t, span, tools, targets, variables)
				}
			}
			for _, r := range p.rows {
				if r.columns[0] != "variable" && r.columns[0] != "setting" {
					continue
				}
				for _, span := range r.cells[0] {
					if name, _, _ := strings.Cut(span, "="); !variables[name] && !ofAWS(name) {
						t.Errorf("%s: no program reads the variable %s", r.section, name)
					}
				}
			}
		})
	}
}

// parse parses a script with bash without running it.
func parse(t *testing.T, script string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-n")
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("bash: %v\n%s", err, out)
	}
}

var heredoc = regexp.MustCompile(`<<'(\w+)'`)

// commands returns a script without here-documents and comments.
func commands(script string) string {
	var kept []string
	end := ""
	for line := range strings.Lines(script) {
		switch marker := heredoc.FindStringSubmatch(line); {
		case end != "":
			if strings.TrimSpace(line) == end {
				end = ""
			}
			continue
		case marker != nil:
			end = marker[1]
		}
		line, _, _ = strings.Cut(line, " # ")
		kept = append(kept, strings.TrimSuffix(line, "\n"))
	}
	return strings.Join(kept, "\n")
}

var (
	tool       = regexp.MustCompile(`\bgo tool ([a-z]\S*)(?: +([A-Za-z:]+))?`)
	assignment = regexp.MustCompile(`(?:^|[\s;&|(])([A-Z][A-Z0-9_]*)=`)
)

// names checks that the tools, targets and variables in commands exist.
func names(t *testing.T, commands string, tools, targets, variables map[string]bool) {
	t.Helper()
	for _, found := range tool.FindAllStringSubmatch(commands, -1) {
		switch {
		case !tools[found[1]]:
			t.Errorf("got go tool %s, want a tool of Go or of the root go.mod", found[1])
		case found[1] == "mage" && found[2] != "" && !targets[found[2]]:
			t.Errorf("got go tool mage %s, want a target of magefile.go", found[2])
		}
	}
	for _, found := range assignment.FindAllStringSubmatch(commands, -1) {
		ofGo := found[1] == "GOWORK" || found[1] == "TMPDIR"
		if !variables[found[1]] && !ofAWS(found[1]) && !ofGo {
			t.Errorf("no program reads the variable %s", found[1])
		}
	}
}

// ofAWS reports whether the AWS SDK reads a variable ("Environment variables", AWS SDKs and Tools Reference Guide).
func ofAWS(name string) bool {
	return slices.Contains([]string{
		"AWS_REGION", "AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
	}, name)
}

// tools returns the names of the tools of go tool: Go's own and those of the modules. It builds none.
func tools(t *testing.T) map[string]bool {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "tool")
	cmd.Dir = testenv.Root(t)
	listed, err := cmd.Output()
	if err != nil {
		t.Fatalf("go tool: %v", err)
	}
	found := map[string]bool{}
	for name := range strings.FieldsSeq(string(listed)) {
		found[path.Base(name)] = true
	}
	return found
}

// targets returns the targets of magefile.go as mage names them: the first letter is lower case, and a method has its
// type as a prefix.
func targets(t *testing.T) map[string]bool {
	t.Helper()
	file, err := parser.ParseFile(
		token.NewFileSet(),
		filepath.Join(testenv.Root(t), "magefile.go"),
		nil,
		parser.SkipObjectResolution,
	)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, declaration := range file.Decls {
		if variables, ok := declaration.(*ast.GenDecl); ok && variables.Tok == token.VAR {
			addAliases(variables, found)
		}
		f, ok := declaration.(*ast.FuncDecl)
		if !ok || !f.Name.IsExported() {
			continue
		}
		name := lowered(f.Name.Name)
		if f.Recv != nil {
			if of, ok := f.Recv.List[0].Type.(*ast.Ident); ok {
				name = lowered(of.Name) + ":" + name
			}
		}
		found[name] = true
	}
	return found
}

// addAliases adds the keys of the map Aliases, which are targets too.
func addAliases(variables *ast.GenDecl, found map[string]bool) {
	for _, spec := range variables.Specs {
		value, ok := spec.(*ast.ValueSpec)
		if !ok || value.Names[0].Name != "Aliases" {
			continue
		}
		ast.Inspect(value, func(node ast.Node) bool {
			if pair, ok := node.(*ast.KeyValueExpr); ok {
				if literal, ok := pair.Key.(*ast.BasicLit); ok {
					if name, err := strconv.Unquote(literal.Value); err == nil {
						found[name] = true
					}
				}
			}
			return true
		})
	}
}

func lowered(name string) string {
	letters := []rune(name)
	letters[0] = unicode.ToLower(letters[0])
	return string(letters)
}

var variable = regexp.MustCompile(`^[A-Z][A-Z0-9_]+$`)

// variables returns the names of environment variables in the source: string literals that are a name.
func variables(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, file := range sources(t) {
		ast.Inspect(file, func(node ast.Node) bool {
			if literal, ok := node.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				if name, err := strconv.Unquote(literal.Value); err == nil && variable.MatchString(name) {
					found[name] = true
				}
			}
			return true
		})
	}
	return found
}

// sources returns the Go files of the tools, the functions and the packages that they use.
func sources(t *testing.T) []*ast.File {
	t.Helper()
	return sourcesBelow(t, "deploy", "functions", "shared")
}

// sourcesBelow returns the magefile and the Go files below folders of the workspace.
func sourcesBelow(t *testing.T, folders ...string) []*ast.File {
	t.Helper()
	workspace := testenv.Root(t)
	names := []string{filepath.Join(workspace, "magefile.go")}
	files := os.DirFS(workspace)
	for _, folder := range folders {
		err := fs.WalkDir(files, folder, func(name string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
			case entry.Name() == "testdata", name == "deploy/tests":
				return fs.SkipDir
			case strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go"):
				names = append(names, filepath.Join(workspace, name))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return parseFiles(t, names)
}

func parseFiles(t *testing.T, names []string) []*ast.File {
	t.Helper()
	var parsed []*ast.File
	for _, name := range names {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, file)
	}
	return parsed
}

// TestSettingsAreDocumented checks that a page documents every environment variable that the tools read.
func TestSettingsAreDocumented(t *testing.T) {
	t.Parallel()
	readers := []string{"Getenv", "LookupEnv", "getenv", "env", "Flag", "Number", "Duration"}
	notOurs := []string{"GOFLAGS", "GOGC", "TERM"} // of the go command and the terminal
	var written strings.Builder
	for _, p := range pages(t) {
		for _, span := range p.spans {
			written.WriteString(span + "\n")
		}
		for _, b := range p.blocks {
			written.WriteString(b.text)
		}
	}
	for _, file := range sourcesBelow(t, "deploy") { // the template sets those of the functions
		ast.Inspect(file, func(node ast.Node) bool {
			call, ok := node.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 || !slices.Contains(readers, called(call)) {
				return true
			}
			literal, ok := call.Args[0].(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING {
				return true
			}
			name, err := strconv.Unquote(literal.Value)
			if err != nil || !variable.MatchString(name) || slices.Contains(notOurs, name) {
				return true
			}
			if !regexp.MustCompile(`\b` + name + `\b`).MatchString(written.String()) {
				t.Errorf("no page documents the variable %s: add it to a table of settings", name)
			}
			return true
		})
	}
}

func called(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}
