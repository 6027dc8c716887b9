package deploy_test

import (
	"bytes"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/userrequestapi/userdata/deploy"

// TestImports checks that imports in the tools go down the table in docs/architecture.md, and that the tools import no
// package of the project that they work on. Tests may import what they test with.
func TestImports(t *testing.T) {
	t.Parallel()
	folders := []string{ // the topmost first
		"cmd", "scaffold", "check", "bench", "load", "observe", "release", "local", "docs", "build", "template", "aws", "cfn", "host", "contract",
	}
	listed, err := exec.CommandContext(t.Context(), "go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(listed) {
		paths := strings.Fields(string(line))
		if paths[0] == module {
			continue // this test
		}
		importer, _ := folder(paths[0])
		height := slices.Index(folders, importer)
		if height < 0 {
			t.Errorf("%s: add the folder %q to the list in this test and to docs/architecture.md", paths[0], importer)
		}
		for _, path := range paths[1:] {
			imported, ok := folder(path)
			switch {
			case !ok && strings.HasPrefix(path, strings.TrimSuffix(module, "deploy")):
				t.Errorf("%s imports %s, which is not a package of the tools", paths[0], path)
			case ok && slices.Index(folders, imported) < height:
				t.Errorf("%s imports %s: imports go down the list %s", paths[0], path, strings.Join(folders, ", "))
			case importer == "observe" && path == module+"/release":
				t.Errorf("%s imports %s: what observe and release need is in release/stage", paths[0], path)
			}
		}
	}
}

// folder returns the folder of a package in the tools. ok is false for other packages.
func folder(path string) (name string, ok bool) {
	below, ok := strings.CutPrefix(path, module+"/")
	name, _, _ = strings.Cut(below, "/")
	return name, ok
}
