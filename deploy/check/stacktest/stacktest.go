// Package stacktest starts the local stack for tests that send requests: the gateway, the functions' real binaries and
// DynamoDB Local.
//
// [Main] starts one database and builds the functions once for all tests of a package. Each stack has its own stage,
// and therefore its own tables, so tests can run in parallel.
package stacktest

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/userrequestapi/userdata/deploy/build"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/host/program"
	"github.com/userrequestapi/userdata/deploy/local"
	"github.com/userrequestapi/userdata/deploy/local/apigateway"
	"github.com/userrequestapi/userdata/deploy/local/dynamodb"
	"github.com/userrequestapi/userdata/deploy/local/lambda"
	"github.com/userrequestapi/userdata/deploy/template"
)

// Fixture starts something that all tests of a package share. stop is called after the last test.
type Fixture func(ctx context.Context) (stop func() error, err error)

// Main runs the tests of a package; TestMain calls it. It starts the fixtures, by default [Database] and [Functions],
// runs the tests, stops the fixtures, and fails if goroutines are left. With -short it starts no fixtures.
func Main(m *testing.M, fixtures ...Fixture) {
	flag.Parse()
	if len(fixtures) == 0 {
		fixtures = []Fixture{Database, Functions}
	}
	if testing.Short() {
		fixtures = nil
	}
	goleak.VerifyTestMain(runner{m, fixtures})
}

// runner runs the tests with the fixtures.
type runner struct {
	tests    *testing.M
	fixtures []Fixture
}

// Run implements [goleak.TestingM].
func (r runner) Run() (exitCode int) {
	var stops []func() error
	defer func() {
		for _, stop := range slices.Backward(stops) {
			if err := stop(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				exitCode = 1
			}
		}
	}()
	for _, fixture := range r.fixtures {
		stop, err := fixture(context.Background())
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		stops = append(stops, stop)
	}
	return r.tests.Run()
}

func noStop() error { return nil }

// Database starts DynamoDB Local in memory, unless [testenv.EndpointVariable] is set.
func Database(ctx context.Context) (stop func() error, err error) {
	if os.Getenv(testenv.EndpointVariable) != "" {
		return noStop, nil
	}
	server, err := dynamodb.Start(ctx, dynamodb.Config{Progress: func(step string) { fmt.Fprintln(os.Stderr, step) }})
	if err != nil {
		return nil, err
	}
	return server.Close, os.Setenv(testenv.EndpointVariable, server.Endpoint())
}

// Functions builds the functions as for a deployment, unless [testenv.FunctionsVariable] is set to a folder that
// contains them.
func Functions(ctx context.Context) (stop func() error, err error) {
	root, err := program.FindRoot()
	if err != nil {
		return nil, err
	}
	return testenv.Functions(ctx, root)
}

// FixtureFunctions returns a fixture that builds the functions of another workspace, at root, as
// [testenv.FixtureFunctions] does. Stacks of the package need this Root.
func FixtureFunctions(root string) Fixture {
	return func(ctx context.Context) (stop func() error, err error) {
		return noStop, testenv.FixtureFunctions(ctx, root)
	}
}

// Endpoint returns the endpoint of the shared database. It skips the test with -short.
func Endpoint(tb testing.TB) string {
	tb.Helper()
	if testing.Short() {
		tb.Skip("needs DynamoDB Local, which needs Java: skipped with -short")
	}
	endpoint := os.Getenv(testenv.EndpointVariable)
	if endpoint == "" {
		tb.Fatal("no database: TestMain must call stacktest.Main")
	}
	return endpoint
}

// Bootstraps returns the functions' executables by logical ID, such as GetFunction.
func Bootstraps(tb testing.TB) map[string]string {
	tb.Helper()
	dir := os.Getenv(testenv.FunctionsVariable)
	if dir == "" {
		tb.Fatal("no functions: TestMain must call stacktest.Main")
	}
	functions, err := os.ReadDir(dir)
	if err != nil {
		tb.Fatal(err)
	}
	bootstraps := map[string]string{}
	for _, f := range functions {
		bootstraps[f.Name()] = filepath.Join(dir, f.Name(), build.Executable)
	}
	return bootstraps
}

// Resolve resolves the template with the parameters for the local stack.
func Resolve(tb testing.TB, parameters map[string]string) *template.Resources {
	tb.Helper()
	stack, err := resolve(testenv.Root(tb), parameters)
	if err != nil {
		tb.Fatal(err)
	}
	return stack
}

// resolve resolves the template with the parameters. DynamoDB Local ignores the Region and the account.
func resolve(root string, parameters map[string]string) (*template.Resources, error) {
	source, err := template.Load(os.DirFS(filepath.Join(root, "deploy")))
	if err != nil {
		return nil, err
	}
	rendered, err := source.Render(template.Options{Parameters: parameters})
	if err != nil {
		return nil, err
	}
	return rendered.Resolve(template.PseudoParameters{})
}

// StageName returns a new stage name, which results in a new table.
func StageName() string { return "t" + strings.ToLower(rand.Text()[:12]) }

// TestStack is a local stack for one test. Its responses are checked against the API document. Its methods are safe for
// concurrent use.
type TestStack struct {
	*local.Instance
	*Client
	Items
	DataDir string // has the local credentials

	stop sync.Once

	mu     sync.Mutex
	events []lambda.Event
	access []string
}

// Start starts a stack on a free port, and stops it after the test. The default, which configure may change, is a new
// stage in the shared database, the functions of [Bootstraps], a new data folder, 10 execution environments per
// function, and a throttling limit that tests do not reach. Start skips the test with -short.
func Start(tb testing.TB, configure ...func(*local.Config)) *TestStack {
	tb.Helper()
	endpoint := Endpoint(tb)
	s := &TestStack{}
	cfg := local.Config{
		Root:             testenv.Root(tb),
		DataDir:          tb.TempDir(),
		DynamoDBEndpoint: endpoint,
		Parameters: map[string]string{
			"StageName":            StageName(),
			"ThrottlingRateLimit":  "10000",
			"ThrottlingBurstLimit": "5000",
		},
		Bootstraps: Bootstraps(tb),
		Log:        s.collect,
		AccessLog:  s.collectAccess,

		CheckTraces: true,
		Progress: func(step string) {
			if strings.HasPrefix(step, "X-Ray would reject") {
				tb.Error(step)
			}
		},
	}
	for _, change := range configure {
		change(&cfg)
	}
	stack, err := local.Start(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	s.Instance, s.DataDir = stack, cfg.DataDir
	if cfg.DynamoDBEndpoint == "" { // the stack started its own database
		endpoint = s.Database
	}
	s.Client = NewClient(tb, s.URL, LoadContract(tb, cfg.Root))
	s.Items = newItems(tb, endpoint, mainTable(s.Tables()))
	tb.Cleanup(func() {
		if cfg.DynamoDBEndpoint != "" {
			for _, table := range s.Tables() {
				s.deleteTable(tb, table.Name)
			}
		}
		s.Stop(tb)
		if tb.Failed() {
			s.logFailures(tb)
		}
	})
	return s
}

// Parameters returns a function for [Start] that sets parameters of the template.
func Parameters(parameters map[string]string) func(*local.Config) {
	return func(cfg *local.Config) { maps.Copy(cfg.Parameters, parameters) }
}

// Stage returns the name of the stage, the last segment of the invoke URL.
func (s *TestStack) Stage() string { return path.Base(s.URL) }

// Stop stops the stack before the end of the test. After that, [TestStack.Events] is complete.
func (s *TestStack) Stop(tb testing.TB) {
	tb.Helper()
	s.stop.Do(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("stop the stack: %v", err)
		}
	})
}

func (s *TestStack) collect(event lambda.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, event)
}

func (s *TestStack) collectAccess(line string, _ apigateway.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.access = append(s.access, line)
}

// AccessLog returns the current lines of the access log.
func (s *TestStack) AccessLog() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.access)
}

// Events returns the current events of the functions' logs.
func (s *TestStack) Events() []lambda.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]lambda.Event(nil), s.events...)
}

// Lines returns the current lines that the functions themselves have logged.
func (s *TestStack) Lines() []string {
	var lines []string
	for _, event := range s.Events() {
		if line, ok := event.Record.(lambda.Line); ok {
			lines = append(lines, string(line))
		}
	}
	return lines
}

// Environment is an execution environment of a function.
type Environment struct {
	PID  int
	Busy bool // whether it serves an invocation
}

// Environments returns the running execution environments of a function that have received an invocation. function is
// its name.
func (s *TestStack) Environments(function string) []Environment {
	busy := map[int]bool{}
	for _, event := range s.Events() {
		if event.Function != function {
			continue
		}
		switch event.Record.(type) {
		case lambda.InvocationStart:
			busy[event.PID] = true
		case lambda.Report:
			busy[event.PID] = false
		}
	}
	var running []Environment
	for _, pid := range slices.Sorted(maps.Keys(busy)) {
		// Signal 0 only checks that the process exists.
		if process, err := os.FindProcess(pid); err == nil && process.Signal(syscall.Signal(0)) == nil {
			running = append(running, Environment{PID: pid, Busy: busy[pid]})
		}
	}
	return running
}

// logFailures logs the functions' errors for a failed test.
func (s *TestStack) logFailures(tb testing.TB) {
	tb.Helper()
	for _, event := range s.Events() {
		switch record := event.Record.(type) {
		case lambda.Fault, lambda.InitReport:
		case lambda.Line:
			if strings.Contains(string(record), `"level":"INFO"`) {
				continue
			}
		default:
			continue
		}
		tb.Logf("%s %s", event.Function, event.Text())
	}
}
