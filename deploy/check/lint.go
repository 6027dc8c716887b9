package check

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/userrequestapi/userdata/deploy/docs/generate"
	"github.com/userrequestapi/userdata/deploy/host/ansi"
	"github.com/userrequestapi/userdata/deploy/host/tools"
)

const (
	vulnerabilities = "https://vuln.go.dev"
	probeTimeout    = 10 * time.Second
)

// errUnreachable means that a linter cannot run because its database is unreachable.
var errUnreachable = errors.New("cannot be reached")

// LintOptions configure [Lint].
type LintOptions struct {
	Root            string   // the workspace; the tool directives of its root module include the linters
	Only            []string // names of the linters to run; empty: all
	Vulnerabilities string   // URL of the vulnerability database; empty: https://vuln.go.dev
	Color           bool
	Out             io.Writer
}

// Lint runs all linters and prints their findings at the end. The error lists the linters with findings. Lint does not
// change the workspace. It skips a linter if the vulnerability database is unreachable, or if Python or Node.js is
// missing. If the environment variable CI is set, as on build servers, missing Python or Node.js is an error.
func Lint(ctx context.Context, options LintOptions) error {
	dirs, err := modules(ctx, options.Root)
	if err != nil {
		return err
	}
	linters, err := selected(linters(options, dirs), options.Only)
	if err != nil {
		return err
	}
	var failed []string
	var findings strings.Builder
	for _, linter := range linters {
		start := time.Now()
		found, err := linter.run(ctx)
		if ctx.Err() != nil {
			return fmt.Errorf("lint: %w", context.Cause(ctx))
		}
		took := time.Since(start).Round(100 * time.Millisecond)
		switch {
		case errors.Is(err, errUnreachable) || errors.Is(err, tools.ErrAbsent) && os.Getenv("CI") == "":
			_, _ = fmt.Fprintf(options.Out, "%s  %s: %v\n", ansi.Yellow.Paint(options.Color, "skip"), linter.name, err)
		case err != nil:
			_, _ = fmt.Fprintf(options.Out, "%s  %s (%v)\n", ansi.Red.Paint(options.Color, "FAIL"), linter.name, took)
			heading := ansi.Bold.Paint(options.Color, "== "+linter.name)
			_, _ = fmt.Fprintf(&findings, "\n%s\n%s\n%v\n", heading, strings.TrimSpace(found), err)
			failed = append(failed, linter.name)
		default:
			_, _ = fmt.Fprintf(options.Out, "%s    %s (%v)\n", ansi.Green.Paint(options.Color, "ok"), linter.name, took)
		}
	}
	if failed == nil {
		return nil
	}
	_, _ = fmt.Fprintln(options.Out, findings.String())
	return fmt.Errorf("lint: failed: %s", strings.Join(failed, ", "))
}

// linter has a function that returns the findings, and an error if the linter fails.
type linter struct {
	name string
	run  func(context.Context) (string, error)
}

// linters returns all linters, the fast ones first.
func linters(options LintOptions, dirs []string) []linter {
	color := "never"
	if options.Color {
		color = "always"
	}
	packages := make([]string, len(dirs))
	for i, dir := range dirs {
		packages[i] = filepath.Join(dir, "...")
		if filepath.IsLocal(dir) {
			packages[i] = "./" + packages[i] // not an import path
		}
	}
	tool := func(name string, args ...string) func(context.Context) (string, error) {
		return command{dir: options.Root, args: append([]string{"go", name}, args...)}.findings
	}
	return []linter{
		{"gofmt", func(ctx context.Context) (string, error) { return gofmt(ctx, options.Root) }},
		{"go mod tidy", func(ctx context.Context) (string, error) { return tidy(ctx, options.Root, dirs) }},
		{"go work sync", func(ctx context.Context) (string, error) { return synced(ctx, options.Root) }},
		{"go vet", tool("vet", "-tags=mage", everything)},
		{"staticcheck", tool("tool", "staticcheck", "-tags=mage", everything)},
		{"golangci-lint", tool("tool", append([]string{
			"golangci-lint", "run", "--allow-parallel-runners", "--color=" + color,
		}, packages...)...)},
		{"other systems", func(ctx context.Context) (string, error) { return compiles(ctx, options.Root) }},
		{"house rules", func(context.Context) (string, error) { return houseRules(options.Root) }},
		{"cfn-lint", func(ctx context.Context) (string, error) { return cfnLint(ctx, options) }},
		{"OpenAPI", func(ctx context.Context) (string, error) { return openAPI(ctx, options) }},
		{"Spectral", func(ctx context.Context) (string, error) { return spectral(ctx, options) }},
		{"generated files", func(ctx context.Context) (string, error) { return generated(ctx, options.Root) }},
		{"govulncheck", func(ctx context.Context) (string, error) { return govulncheck(ctx, options, dirs) }},
	}
}

// selected returns the linters with the given names, or all if there are none.
func selected(linters []linter, names []string) ([]linter, error) {
	if len(names) == 0 {
		return linters, nil
	}
	var known []string
	for _, linter := range linters {
		known = append(known, linter.name)
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("lint: no linter %q: choose from %s", name, strings.Join(known, ", "))
		}
	}
	return slices.DeleteFunc(linters, func(l linter) bool { return !slices.Contains(names, l.name) }), nil
}

// findings returns the standard output and standard error of the program.
func (c command) findings(ctx context.Context) (string, error) {
	var output bytes.Buffer
	err := c.run(ctx, &output, &output)
	return output.String(), err
}

func gofmt(ctx context.Context, root string) (string, error) {
	entries, err := os.ReadDir(root)
	if err != nil {
		return "", fmt.Errorf("gofmt: %w", err)
	}
	args := []string{"gofmt", "-l"}
	for _, entry := range entries {
		if entry.IsDir() && !hidden(entry) || filepath.Ext(entry.Name()) == ".go" {
			args = append(args, entry.Name())
		}
	}
	files, err := command{dir: root, args: args}.findings(ctx)
	if err == nil && files != "" {
		err = errors.New("these files are not formatted: run gofmt -w on them")
	}
	return files, err
}

// tidy checks each module without the workspace, as the build of the functions does.
func tidy(ctx context.Context, root string, dirs []string) (string, error) {
	var found strings.Builder
	var untidy []string
	for _, dir := range dirs {
		diff, err := command{
			dir:  filepath.Join(root, dir),
			env:  []string{"GOWORK=off"},
			args: []string{"go", "mod", "tidy", "-diff"},
		}.findings(ctx)
		if err != nil {
			_, _ = fmt.Fprintf(&found, "%s:\n%s", dir, diff)
			untidy = append(untidy, dir)
		}
	}
	if untidy != nil {
		return found.String(), fmt.Errorf("run GOWORK=off go mod tidy in %s", strings.Join(untidy, ", "))
	}
	return "", nil
}

// synced runs go work sync on a copy of its input, because it has no dry run.
func synced(ctx context.Context, dir string) (found string, err error) {
	copied, err := os.MkdirTemp("", "go-work-sync-")
	if err != nil {
		return "", fmt.Errorf("go work sync: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(copied)) }()
	original := os.DirFS(dir)
	requirements, err := copySources(copied, original)
	if err != nil {
		return "", fmt.Errorf("go work sync: copy the workspace: %w", err)
	}
	found, err = command{dir: copied, args: []string{"go", "work", "sync"}}.findings(ctx)
	if err != nil {
		return found, err
	}
	var changed []string
	for path, before := range requirements {
		after, err := os.ReadFile(filepath.Join(copied, path))
		if err != nil {
			return "", fmt.Errorf("go work sync: %w", err)
		}
		if !bytes.Equal(before, after) {
			changed = append(changed, path)
		}
	}
	if changed != nil {
		slices.Sort(changed)
		return strings.Join(changed, "\n"), errors.New("the modules of the workspace disagree on versions: run go work sync")
	}
	return "", nil
}

// generated checks that the generated files are up to date.
func generated(ctx context.Context, root string) (string, error) {
	stale, err := generate.Stale(ctx, root)
	if err != nil {
		return "", err
	}
	if stale != nil {
		return strings.Join(stale, "\n"),
			fmt.Errorf("these files are out of date with %s: run go tool mage generate", contract)
	}
	return "", nil
}

// copySources copies the files that determine versions, and returns the go.mod and go.work files by path.
func copySources(dir string, original fs.FS) (requirements map[string][]byte, err error) {
	target, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	requirements = make(map[string][]byte)
	err = fs.WalkDir(original, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if path != "." && hidden(entry) {
				return fs.SkipDir
			}
			return nil
		}
		name := entry.Name()
		requires := name == "go.mod" || name == "go.work"
		if !requires && name != "go.sum" && name != "go.work.sum" && filepath.Ext(name) != ".go" {
			return nil
		}
		content, err := fs.ReadFile(original, path)
		if err != nil {
			return err
		}
		if requires {
			requirements[path] = content
		}
		if err := target.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			return err
		}
		return target.WriteFile(path, content, 0o600)
	})
	return requirements, err
}

// govulncheck checks each module with the versions in its own go.mod, with which its executables are built.
func govulncheck(ctx context.Context, options LintOptions, dirs []string) (string, error) {
	database := options.Vulnerabilities
	if database == "" {
		database = vulnerabilities
	}
	if err := reach(ctx, database); err != nil {
		return "", fmt.Errorf("%s %w: %w", database, errUnreachable, err)
	}
	// Without the workspace, the modules have no such tool: build it in the workspace.
	tool, err := command{dir: options.Root, args: []string{"go", "tool", "-n", "govulncheck"}}.output(ctx)
	if err != nil {
		return "", err
	}
	var found strings.Builder
	var failures []error
	for _, dir := range dirs {
		text, err := command{
			dir:  filepath.Join(options.Root, dir),
			env:  []string{"GOWORK=off"},
			args: []string{strings.TrimSpace(tool), "-tags=mage", "-db=" + database, "./..."},
		}.findings(ctx)
		if err != nil {
			_, _ = fmt.Fprintf(&found, "%s:\n%s\n", dir, text)
			failures = append(failures, fmt.Errorf("%s: %w", dir, err))
		}
	}
	return found.String(), errors.Join(failures...)
}

// reach requests the smallest file of the database. Any status code but 200, such as a proxy's, is an error.
func reach(ctx context.Context, database string) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, database+"/index/db.json", http.NoBody)
	if err != nil {
		return err
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s responds %s", request.URL, response.Status)
	}
	return nil
}

// hidden reports whether the go command ignores the file or folder.
func hidden(entry fs.DirEntry) bool {
	return strings.HasPrefix(entry.Name(), ".") || strings.HasPrefix(entry.Name(), "_")
}
