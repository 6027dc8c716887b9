package check

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/modfile"

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
	Only            []string // names of the linters to run; none means all
	Vulnerabilities string   // URL of the vulnerability database; "" means https://vuln.go.dev
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
	linters, err := selectLinters(linters(), options.Only)
	if err != nil {
		return err
	}
	var failed []string
	var findings strings.Builder
	for _, linter := range linters {
		start := time.Now()
		found, err := linter.run(ctx, target{options, dirs})
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

// linter is a linter. run returns its findings, and an error if there are any or the linter fails.
type linter struct {
	name string
	run  func(context.Context, target) (string, error)
}

// target is what the linters check.
type target struct {
	LintOptions

	dirs []string // of the modules, relative to Root
}

// linters returns all linters, the fast ones first.
func linters() []linter {
	return []linter{
		{"gofmt", gofmt},
		{"go mod tidy", tidy},
		{"go work sync", checkVersions},
		{"go vet", program("go", "vet", "-tags=mage", everything)},
		{"golangci-lint", golangci}, // includes staticcheck, with all of its checks
		{"other systems", checkSystems},
		{"house rules", houseRules},
		{"cfn-lint", cfnLint},
		{"OpenAPI", openAPI},
		{"Spectral", spectral},
		{"generated files", checkGenerated},
		{"govulncheck", govulncheck},
	}
}

// selectLinters returns the linters with the given names, or all if there are none.
func selectLinters(linters []linter, names []string) ([]linter, error) {
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

// program returns a linter that runs a program in the workspace.
func program(args ...string) func(context.Context, target) (string, error) {
	return func(ctx context.Context, t target) (string, error) {
		return command{dir: t.Root, args: args}.findings(ctx)
	}
}

// inModules runs a program in each module without the workspace, as the build of the functions does. It returns the
// findings and the errors by module.
func (t target) inModules(ctx context.Context, args ...string) (findings string, failed map[string]error) {
	var found strings.Builder
	failed = map[string]error{}
	for _, dir := range t.dirs {
		output, err := command{filepath.Join(t.Root, dir), []string{"GOWORK=off"}, args}.findings(ctx)
		if err != nil {
			_, _ = fmt.Fprintf(&found, "%s:\n%s\n", dir, output)
			failed[dir] = err
		}
	}
	return found.String(), failed
}

func gofmt(ctx context.Context, t target) (string, error) {
	entries, err := os.ReadDir(t.Root)
	if err != nil {
		return "", fmt.Errorf("gofmt: %w", err)
	}
	args := []string{"gofmt", "-l"}
	for _, entry := range entries {
		hidden := strings.HasPrefix(entry.Name(), ".") || strings.HasPrefix(entry.Name(), "_") // as for the go command
		if entry.IsDir() && !hidden || filepath.Ext(entry.Name()) == ".go" {
			args = append(args, entry.Name())
		}
	}
	files, err := program(args...)(ctx, t)
	if err == nil && files != "" {
		err = errors.New("these files are not formatted: run gofmt -w on them")
	}
	return files, err
}

func tidy(ctx context.Context, t target) (string, error) {
	found, failed := t.inModules(ctx, "go", "mod", "tidy", "-diff")
	if len(failed) == 0 {
		return "", nil
	}
	untidy := slices.Sorted(maps.Keys(failed))
	return found, fmt.Errorf("run GOWORK=off go mod tidy in %s", strings.Join(untidy, ", "))
}

// checkVersions checks that the modules require the versions that the workspace selects. go work sync, which writes
// them, has no dry run.
func checkVersions(ctx context.Context, t target) (string, error) {
	args := []string{"go", "list", "-m", "-f", "{{.Path}}@{{.Version}}", "all"}
	listed, err := command{dir: t.Root, args: args}.output(ctx)
	if err != nil {
		return "", err
	}
	versions := map[string]string{}
	for module := range strings.FieldsSeq(listed) {
		path, version, _ := strings.Cut(module, "@")
		versions[path] = version
	}
	var found strings.Builder
	for _, dir := range t.dirs {
		name := filepath.Join(dir, "go.mod")
		content, err := os.ReadFile(filepath.Join(t.Root, name))
		if err != nil {
			return "", fmt.Errorf("go work sync: %w", err)
		}
		file, err := modfile.Parse(name, content, nil)
		if err != nil {
			return "", fmt.Errorf("go work sync: %w", err)
		}
		for _, required := range file.Require {
			if version := versions[required.Mod.Path]; version != "" && version != required.Mod.Version {
				_, _ = fmt.Fprintf(&found, "%s: %s, want %s\n", name, required.Mod, version)
			}
		}
	}
	if found.Len() > 0 {
		return found.String(), errors.New("the modules of the workspace disagree on versions: run go work sync")
	}
	return "", nil
}

func golangci(ctx context.Context, t target) (string, error) {
	color := "never"
	if t.Color {
		color = "always"
	}
	args := []string{"go", "tool", "golangci-lint", "run", "--allow-parallel-runners", "--color=" + color}
	for _, dir := range t.dirs {
		packages := filepath.Join(dir, "...")
		if filepath.IsLocal(dir) {
			packages = "./" + packages // not an import path
		}
		args = append(args, packages)
	}
	return program(args...)(ctx, t)
}

// checkGenerated checks that the generated files are up to date.
func checkGenerated(ctx context.Context, t target) (string, error) {
	stale, err := generate.Stale(ctx, t.Root)
	if err == nil && stale != nil {
		err = fmt.Errorf("these files are out of date with %s: run go tool mage generate", contract)
	}
	return strings.Join(stale, "\n"), err
}

// govulncheck checks each module with the versions in its own go.mod, with which its executables are built.
func govulncheck(ctx context.Context, t target) (string, error) {
	database := cmp.Or(t.Vulnerabilities, vulnerabilities)
	if err := reach(ctx, database); err != nil {
		return "", fmt.Errorf("%s %w: %w", database, errUnreachable, err)
	}
	// Without the workspace, the modules have no such tool: build it in the workspace.
	tool, err := command{dir: t.Root, args: []string{"go", "tool", "-n", "govulncheck"}}.output(ctx)
	if err != nil {
		return "", err
	}
	found, failed := t.inModules(ctx, strings.TrimSpace(tool), "-tags=mage", "-db="+database, "./...")
	var failures []error
	for _, dir := range slices.Sorted(maps.Keys(failed)) {
		failures = append(failures, fmt.Errorf("%s: %w", dir, failed[dir]))
	}
	return found, errors.Join(failures...)
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
		return fmt.Errorf("%s: want status 200, got %s", request.URL, response.Status)
	}
	return nil
}
