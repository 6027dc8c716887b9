// Package project_test makes a project from this one, changes it as a team does, and tests it.
package project_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
)

func TestMain(m *testing.M) { stacktest.Main(m, stacktest.Database) }

// task is a change that a team makes in its own project.
type task struct {
	name string

	functions [][]string // the arguments of new:function

	patch           string // in the folder testdata of the guides, instead of functions
	files, newLines int    // the limits of what the patch changes

	unaffected string // folders of packages whose tests read nothing that the task changes, as for EXCEPT
}

// tasks returns the tasks in an order in which each can be done.
func tasks() []task {
	return []task{
		{name: "A route with its own function", functions: [][]string{
			{"orders", "GET", "/users/{userId}/orders"}, {"add-order", "POST", "/users/{userId}/orders"},
			{"change", "PATCH", "/users/{userId}"},
			{"remove-order", "DELETE", "/teams/{teamId}/orders/{orderId}"},
		}},
		{name: "A second table", patch: "add-table.patch", files: 1, newLines: 25,
			unaffected: "./shared/... ./functions/..."}, // it changes only the template
		{name: "A required attribute", patch: "require-attribute.patch", files: 3, newLines: 35},
		{name: "An index, and a query by it", patch: "query-by-email.patch", files: 8, newLines: 60},
	}
}

// do does the task in a project named PeopleAPI.
func (task task) do(t *testing.T, dir string) {
	t.Helper()
	for _, function := range task.functions {
		goCommand(t, dir, append([]string{"tool", "mage", "new:function"}, function...)...)
	}
	if task.patch == "" {
		summarizef(t, "%s: 1 command", task.name)
		return
	}
	source, err := os.ReadFile(filepath.Join("..", "guides", "testdata", task.patch))
	if err != nil {
		t.Fatal(err)
	}
	names := strings.NewReplacer("github.com/userrequestapi/userdata/", "example.com/acme/people/", "UserData", "PeopleData")
	patch := filepath.Join(testenv.Folder(t, map[string]string{task.patch: names.Replace(string(source))}), task.patch)
	run(t, dir, "git", "apply", patch)
	files, newLines := 0, 0
	for line := range strings.Lines(run(t, dir, "git", "apply", "--numstat", patch)) {
		added, err := strconv.Atoi(strings.Fields(line)[0])
		if err != nil {
			t.Fatal(err)
		}
		files, newLines = files+1, newLines+added
	}
	summarizef(t, "%s: %d files, %d lines", task.name, files, newLines)
	if files > task.files || newLines > task.newLines {
		t.Errorf("want at most %d files and %d lines", task.files, task.newLines)
	}
	goCommand(t, dir, "tool", "mage", "generate")
}

// summarizef appends a line to the summary of all tests.
func summarizef(t *testing.T, format string, args ...any) {
	t.Helper()
	line := fmt.Sprintf(format, args...)
	t.Log(line)
	path := os.Getenv(testenv.SummaryVariable)
	if path == "" {
		return
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if _, err := fmt.Fprintln(file, line); err != nil {
		t.Fatal(err)
	}
}

// run runs a program, which must succeed, and returns its standard output.
func run(t *testing.T, dir string, args ...string) string {
	t.Helper()
	var stderr strings.Builder
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Dir, cmd.Stderr = dir, &stderr
	start := time.Now()
	output, err := cmd.Output()
	t.Logf("%6.1f s  %s", time.Since(start).Seconds(), strings.Join(args, " "))
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(args, " "), err, output, stderr.String())
	}
	return string(output)
}
