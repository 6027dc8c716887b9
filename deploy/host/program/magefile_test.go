package program_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMagefile checks that the targets of the magefile are those of the programs.
func TestMagefile(t *testing.T) {
	t.Parallel()
	started := map[string]map[string]bool{} // targets by program
	inspect(t, filepath.Join("..", "..", "..", "magefile.go"), func(call *ast.CallExpr) {
		if f, ok := call.Fun.(*ast.SelectorExpr); !ok || f.Sel.Name != "Start" || len(call.Args) < 2 {
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
		if len(targets) > 0 { // not mage itself
			offered[filepath.Base(filepath.Dir(file))] = targets
		}
	}
	if diff := cmp.Diff(offered, started); diff != "" {
		t.Errorf("targets (-of deploy/cmd +of magefile.go)\n%s", diff)
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
