// Package project_test adds functions to copies of this project, and makes new projects from it, which require the tools
// as a released module.
package project_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
)

// TestNewFunction adds functions to a copy of this project, and checks the copy without any further edit.
func TestNewFunction(t *testing.T) {
	t.Parallel()
	testenv.SkipUnlessAll(t)
	dir := checkout(t)
	functions := map[string][]string{
		"orders":       {"GET", "/users/{userId}/orders"},
		"add-order":    {"POST", "/users/{userId}/orders"},
		"rename":       {"PATCH", "/users/{userId}"},
		"remove-order": {"DELETE", "/teams/{teamId}/orders/{orderId}"},
	}
	for name, route := range functions {
		run(t, dir, nil, append([]string{"go", "tool", "mage", "new:function", name}, route...)...)
	}
	for name := range functions {
		folder, alone := filepath.Join(dir, "functions", name), []string{"GOWORK=off"}
		run(t, folder, alone, "go", "mod", "tidy", "-diff")
		run(t, folder, alone, "go", "test", "./...")
	}
	run(t, dir, []string{"ONLY=gofmt,house rules,generated files"}, "go", "tool", "mage", "lint")
	run(t, dir, nil, "go", "test", "-run", "TestContract$", "./tests/contract/")
	template := run(t, dir, nil, "go", "tool", "mage", "template")
	for _, id := range []string{"Orders", "AddOrder", "Rename", "RemoveOrder"} {
		if !strings.Contains(template, `"`+id+`Function": {`) {
			t.Errorf("got a template without %sFunction, want one", id)
		}
	}
}

// checkout returns a copy of the project with its uncommitted files.
func checkout(t *testing.T) (dir string) {
	t.Helper()
	root, dir := testenv.Root(t), t.TempDir()
	listed := run(t, root, nil, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	for name := range strings.SplitSeq(strings.TrimRight(listed, "\x00"), "\x00") {
		info, err := os.Lstat(filepath.Join(root, name))
		if err != nil || !info.Mode().IsRegular() { // deleted, not committed yet
			continue
		}
		content, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		testenv.WriteFile(t, filepath.Join(dir, name), string(content))
	}
	return dir
}

// run runs a program, which must succeed, and returns its standard output.
func run(t *testing.T, dir string, env []string, args ...string) string {
	t.Helper()
	var stderr strings.Builder
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Dir, cmd.Stderr, cmd.Env = dir, &stderr, append(os.Environ(), env...)
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(args, " "), err, output, stderr.String())
	}
	return string(output)
}
