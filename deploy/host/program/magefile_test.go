package program_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
)

// TestMagefile checks that the targets of the magefile are those of the programs.
func TestMagefile(t *testing.T) {
	t.Parallel()
	started := map[string]map[string]bool{} // targets by program
	inspect(t, filepath.Join("..", "..", "..", "magefile.go"), func(call *ast.CallExpr) {
		if f, ok := call.Fun.(*ast.Ident); !ok || f.Name != "start" || len(call.Args) < 2 {
			return
		}
		name := unquote(t, call.Args[0])
		if started[name] == nil {
			started[name] = map[string]bool{}
		}
		started[name][unquote(t, call.Args[1])] = true
	})
	programs, err := filepath.Glob(filepath.Join("..", "..", "cmd", "*", "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	offered := map[string]map[string]bool{}
	for _, file := range programs {
		targets := map[string]bool{}
		inspect(t, file, func(call *ast.CallExpr) {
			if f, ok := call.Fun.(*ast.SelectorExpr); !ok || f.Sel.Name != "Main" {
				return
			}
			for _, element := range call.Args[0].(*ast.CompositeLit).Elts {
				targets[unquote(t, element.(*ast.KeyValueExpr).Key)] = true
			}
		})
		offered[filepath.Base(filepath.Dir(file))] = targets
	}
	if diff := cmp.Diff(offered, started); diff != "" {
		t.Errorf("targets (-of deploy/cmd +of magefile.go)\n%s", diff)
	}
}

// TestMagefile_Arguments checks that mage rejects arguments that it cannot use, and runs no target.
func TestMagefile_Arguments(t *testing.T) {
	t.Parallel()
	testenv.SkipUnlessAll(t) // it compiles the magefile
	dir := t.TempDir()
	executable := filepath.Join(dir, "mage")
	compile := exec.CommandContext(t.Context(), "go", "tool", "mage", "-compile", executable)
	compile.Dir = testenv.Root(t)
	if output, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	for _, tt := range []struct{ args, want string }{
		{"status plan", "want one target at a time, got status plan: run go tool mage status"},
		{"clean plan", "want one target at a time, got clean plan: run go tool mage clean"},
		{"deployFunction get put", "want one target at a time, got deployFunction get put: run go tool mage deployFunction get"},
		{"dosc", "unknown target dosc: did you mean go tool mage docs?"},
		{"tests all", "unknown target tests: did you mean go tool mage test?"},
		{"run PORT=3001", "settings come before the command: PORT=3001 go tool mage run"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), executable, strings.Fields(tt.args)...)
			cmd.Dir = dir // where no target finds anything to change
			output, err := cmd.CombinedOutput()
			if want := "Error: " + tt.want + "\n"; string(output) != want || cmd.ProcessState.ExitCode() != 2 {
				t.Errorf("%v\ngot  %s\nwant %s", err, output, want)
			}
		})
	}
}

// inspect calls visit for each call in a Go file.
func inspect(t *testing.T, file string, visit func(*ast.CallExpr)) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(parsed, func(node ast.Node) bool {
		if call, ok := node.(*ast.CallExpr); ok {
			visit(call)
		}
		return true
	})
}

func unquote(t *testing.T, expression ast.Expr) string {
	t.Helper()
	literal, ok := expression.(*ast.BasicLit)
	if !ok {
		t.Fatalf("got %T, want a string literal", expression)
	}
	value, err := strconv.Unquote(literal.Value)
	if err != nil {
		t.Fatal(err)
	}
	return value
}
