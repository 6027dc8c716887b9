package check

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/userrequestapi/userdata/deploy/build"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/local/dynamodb"
)

const (
	// Limits for one package on a busy machine. They end before a build server's, so that a test that hangs prints its
	// goroutines.
	testTimeout    = "10m"
	testAllTimeout = "30m"

	// slowest is the number of slowest packages that Test prints.
	slowest = 10
)

// TestOptions configure [Test].
type TestOptions struct {
	Root     string   // the workspace
	All      bool     // include slow tests, and use the race detector for all packages
	Short    bool     // skip tests that need Java, npm or the network
	Packages []string // folders of packages to test, such as ./deploy, or ./deploy/... with subfolders; none means all
	Except   []string // folders of packages to exclude
	// Race has the folders of packages to test with the race detector; none means all. A folder that a workspace does not
	// have is ignored.
	Race     []string
	Endpoint string // URL of DynamoDB; if empty and not Short, Test runs DynamoDB Local in memory
	Out      io.Writer
}

// Test runs the tests of all modules in random order, with the race detector for the packages in options. It builds the
// functions and starts DynamoDB Local once, and passes both to the tests in the variables of [testenv]. At the end it
// prints the slowest packages and the content that tests have appended to the file [testenv.SummaryVariable]. Without
// a C compiler, it prints a line and tests without the race detector.
func Test(ctx context.Context, options TestOptions) (err error) {
	runs, err := plan(ctx, options)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "test-")
	if err != nil {
		return fmt.Errorf("test: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	env, stop, err := prepare(ctx, options, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	summary := filepath.Join(dir, "summary")
	if err := os.WriteFile(summary, nil, 0o600); err != nil {
		return fmt.Errorf("test: %w", err)
	}
	timeout, all := testTimeout, ""
	if options.All {
		timeout, all = testAllTimeout, "1"
	}
	env = append(env, testenv.SummaryVariable+"="+summary, testenv.AllVariable+"="+all)
	args := []string{"go", "test", "-shuffle=on", "-timeout=" + timeout}
	if options.Short {
		args = append(args, "-short")
	}
	var output bytes.Buffer
	var failures []error
	for _, r := range runs {
		err := command{
			dir:  options.Root,
			env:  slices.Concat(env, r.env),
			args: slices.Concat(args, r.flags, r.packages),
		}.run(ctx, io.MultiWriter(options.Out, &output), options.Out)
		if failures = append(failures, err); ctx.Err() != nil {
			break
		}
	}
	printSlowest(options.Out, output.Bytes())
	content, err := os.ReadFile(summary)
	_, _ = options.Out.Write(content)
	return errors.Join(append(failures, err)...)
}

// goTest is a run of go test.
type goTest struct {
	env, flags, packages []string
}

// plan returns the runs of go test, with and without the race detector.
func plan(ctx context.Context, options TestOptions) ([]goTest, error) {
	all, err := list(ctx, options.Root, "-f", "{{.Dir}}\t{{.ImportPath}}", everything)
	if err != nil {
		return nil, err
	}
	if len(options.Packages) == 0 {
		options.Packages = []string{"./..."}
	}
	packages, err := match(all, options.Packages)
	if err != nil {
		return nil, err
	}
	except, err := match(all, options.Except)
	if err != nil {
		return nil, err
	}
	packages = slices.DeleteFunc(packages, func(path string) bool { return slices.Contains(except, path) })
	if len(packages) == 0 {
		return nil, fmt.Errorf("all packages of %s are excluded by %s",
			strings.Join(options.Packages, " "), strings.Join(options.Except, " "))
	}
	// Without a C compiler, go test -race exits with 0 unless CGO_ENABLED is set.
	cgo, err := command{dir: options.Root, args: []string{"go", "env", "CGO_ENABLED"}}.output(ctx)
	if err != nil {
		return nil, err
	}
	racing := packages
	switch {
	case strings.TrimSpace(cgo) != "1":
		_, _ = fmt.Fprintln(options.Out, "Testing without the race detector: it needs cgo and a C compiler such as gcc.")
		racing = nil
	case len(options.Race) > 0 && !options.All:
		racing = nil
		for _, pattern := range options.Race {
			if matched, err := match(all, []string{pattern}); err == nil {
				racing = append(racing, matched...)
			}
		}
		racing = slices.DeleteFunc(racing, func(path string) bool { return !slices.Contains(packages, path) })
	}
	others := slices.DeleteFunc(slices.Clone(packages), func(path string) bool { return slices.Contains(racing, path) })
	runs := []goTest{
		{flags: []string{"-race"}, packages: racing},
		// The flags of the build of programs and functions, so that the build cache is shared.
		{flags: []string{"-trimpath"}, env: []string{"CGO_ENABLED=0"}, packages: others},
	}
	return slices.DeleteFunc(runs, func(r goTest) bool { return len(r.packages) == 0 }), nil
}

// match returns the sorted import paths of the packages whose folders match the patterns, such as ./deploy and
// ./deploy/... Patterns of the go command do not match below a folder without a module, such as functions.
func match(packages []listed, patterns []string) ([]string, error) {
	var matched []string
	for _, pattern := range patterns {
		dir, below := strings.CutSuffix(pattern, "/...")
		before := len(matched)
		for _, p := range packages {
			folder := "./" + filepath.ToSlash(p.dir)
			if folder == dir || folder == dir+"/." || below && strings.HasPrefix(folder, dir+"/") {
				matched = append(matched, p.path)
			}
		}
		if len(matched) == before {
			return nil, fmt.Errorf("no package matches %s: want a folder, such as ./deploy/... or ./deploy", pattern)
		}
	}
	slices.Sort(matched)
	return slices.Compact(matched), nil
}

// prepare builds the functions below dir and starts DynamoDB Local unless options have an endpoint, concurrently. It
// returns the environment variables for the tests.
func prepare(ctx context.Context, options TestOptions, dir string) (env []string, stop func() error, err error) {
	env = []string{testenv.EndpointVariable + "=" + options.Endpoint}
	stop = func() error { return nil }
	if options.Short {
		return env, stop, nil
	}
	var (
		mu      sync.Mutex
		server  *dynamodb.Server
		folders []string
	)
	progress := func(step string) {
		mu.Lock()
		defer mu.Unlock()
		_, _ = fmt.Fprintln(options.Out, step)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		var err error
		folders, err = functions(ctx, options.Root, filepath.Join(dir, "functions"), progress)
		return err
	})
	if options.Endpoint == "" {
		group.Go(func() (err error) {
			server, err = dynamodb.Start(ctx, dynamodb.Config{Progress: progress})
			return err
		})
	}
	err = group.Wait()
	if server != nil {
		stop = server.Close
		env[0] = testenv.EndpointVariable + "=" + server.Endpoint()
	}
	if err != nil {
		return nil, nil, errors.Join(err, stop())
	}
	return append(env, folders...), stop, nil
}

// functions builds the functions as for a deployment, and returns the variable with their folder. It returns none in a
// workspace without a template.
func functions(ctx context.Context, root, dir string, progress func(string)) ([]string, error) {
	found, err := build.Find(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	progress(fmt.Sprintf("Building %d functions…", len(found)))
	if err := testenv.BuildFunctions(ctx, found, build.Options{Root: root, Out: dir}); err != nil {
		return nil, err
	}
	return []string{testenv.FunctionsVariable + "=" + dir}, nil
}

// packageResult is the line that go test prints after the tests of a package (see go help test).
var packageResult = regexp.MustCompile(`(?m)^(?:ok {2}|FAIL)\t(\S+)\t([0-9.]+)s`)

// printSlowest prints the slowest packages in the output of go test.
func printSlowest(out io.Writer, output []byte) {
	type result struct {
		path    string
		seconds float64
	}
	var results []result
	for _, match := range packageResult.FindAllSubmatch(output, -1) {
		if seconds, err := strconv.ParseFloat(string(match[2]), 64); err == nil {
			results = append(results, result{string(match[1]), seconds})
		}
	}
	if results == nil {
		return
	}
	slices.SortFunc(results, func(a, b result) int {
		return cmp.Or(cmp.Compare(b.seconds, a.seconds), cmp.Compare(a.path, b.path))
	})
	_, _ = fmt.Fprintln(out, "Slowest packages:")
	for _, r := range results[:min(slowest, len(results))] {
		_, _ = fmt.Fprintf(out, "%8.1fs  %s\n", r.seconds, r.path)
	}
}
