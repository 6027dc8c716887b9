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
	"github.com/userrequestapi/userdata/deploy/host/node"
	"github.com/userrequestapi/userdata/deploy/host/python"
)

const (
	vulnerabilities = "https://vuln.go.dev"
	probeTimeout    = 10 * time.Second
)

// errOutOfReach is the verdict of a linter that cannot run here and now.
var errOutOfReach = errors.New("cannot be reached")

// LintOptions say how to lint.
type LintOptions struct {
	Root            string   // the workspace; its root module names the linters as tools
	Only            []string // the linters to run, by the names that Lint prints; none: all
	Vulnerabilities string   // URL of the vulnerability database; empty: https://vuln.go.dev
	Color           bool
	Out             io.Writer
}

// Lint runs every linter, even after one has failed, and prints what they found at the end. The error names those that found
// something. Nothing in the workspace is changed. When the vulnerability database is out of reach, or there is no Python or
// Node.js for the linters that are written for it, one line says so, and that is no failure; without Python or Node.js it is one
// where the environment variable CI is set, as on build servers.
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
		case errors.Is(err, errOutOfReach) || absent(err) && os.Getenv("CI") == "":
			_, _ = fmt.Fprintf(options.Out, "%s  %s: %v\n", options.paint(ansi.Yellow, "skip"), linter.name, err)
		case err != nil:
			_, _ = fmt.Fprintf(options.Out, "%s  %s (%v)\n", options.paint(ansi.Red, "FAIL"), linter.name, took)
			_, _ = fmt.Fprintf(&findings, "\n%s\n%s\n", options.paint(ansi.Bold, "== "+linter.name), strings.TrimSpace(found))
			_, _ = fmt.Fprintln(&findings, err)
			failed = append(failed, linter.name)
		default:
			_, _ = fmt.Fprintf(options.Out, "%s    %s (%v)\n", options.paint(ansi.Green, "ok"), linter.name, took)
		}
	}
	if failed == nil {
		return nil
	}
	_, _ = fmt.Fprintln(options.Out, findings.String())
	return fmt.Errorf("lint: failed: %s", strings.Join(failed, ", "))
}

// linter returns what it found, and an error if that is a failure.
type linter struct {
	name string
	run  func(context.Context) (string, error)
}

// linters returns all of them, the quick ones first.
func linters(options LintOptions, dirs []string) []linter {
	color := "never"
	if options.Color {
		color = "always"
	}
	packages := make([]string, len(dirs))
	for i, dir := range dirs {
		packages[i] = filepath.Join(dir, "...")
		if filepath.IsLocal(dir) {
			packages[i] = "./" + packages[i] // or it would be an import path
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
		{"golangci-lint", tool("tool", append([]string{"golangci-lint", "run", "--allow-parallel-runners", "--color=" + color}, packages...)...)},
		{"other systems", func(ctx context.Context) (string, error) { return compiles(ctx, options.Root) }},
		{"house rules", func(context.Context) (string, error) { return houseRules(options.Root) }},
		{"cfn-lint", func(ctx context.Context) (string, error) { return cfnLint(ctx, options) }},
		{"OpenAPI", func(ctx context.Context) (string, error) { return openAPI(ctx, options) }},
		{"Spectral", func(ctx context.Context) (string, error) { return spectral(ctx, options) }},
		{"generated files", func(ctx context.Context) (string, error) { return generated(ctx, options.Root) }},
		{"govulncheck", func(ctx context.Context) (string, error) { return govulncheck(ctx, options, dirs) }},
	}
}

// selected returns the linters with these names.
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

// absent tells whether a linter cannot run for want of Python or Node.js.
func absent(err error) bool {
	return errors.Is(err, python.ErrAbsent) || errors.Is(err, node.ErrAbsent)
}

// findings returns all that the program prints.
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

// tidy looks at each module by itself, as the build of the functions does.
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

// synced runs go work sync, which has no dry run, on a copy of all that it reads.
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

// generated sees that the files that follow from the contract do.
func generated(ctx context.Context, root string) (string, error) {
	stale, err := generate.Stale(ctx, root)
	if err != nil {
		return "", err
	}
	if stale != nil {
		return strings.Join(stale, "\n"), fmt.Errorf("these files are not what %s makes: run go tool mage generate", contract)
	}
	return "", nil
}

// copySources copies what decides on versions, and returns the files in which they are written down.
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

// govulncheck looks at each module with the versions in its own go.mod, which are those that its executables hold.
func govulncheck(ctx context.Context, options LintOptions, dirs []string) (string, error) {
	database := options.Vulnerabilities
	if database == "" {
		database = vulnerabilities
	}
	if err := reach(ctx, database); err != nil {
		return "", fmt.Errorf("%s %w: %w", database, errOutOfReach, err)
	}
	// Outside of the workspace, the modules do not know the tool: build it here and run it there.
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

// reach asks the database for its smallest file. It is out of reach if there is no answer, or only that of a proxy.
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
		return fmt.Errorf("%s answers %s", request.URL, response.Status)
	}
	return nil
}

// hidden reports whether the go command overlooks the file or folder.
func hidden(entry fs.DirEntry) bool {
	return strings.HasPrefix(entry.Name(), ".") || strings.HasPrefix(entry.Name(), "_")
}

func (o LintOptions) paint(style ansi.Style, text string) string {
	if !o.Color {
		return text
	}
	return style.Paint(text)
}
