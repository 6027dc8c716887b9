// Package stacktest starts the stack for tests that know it from outside: requests to its gateway, the functions' real
// binaries behind it, and AWS's DynamoDB Local.
//
// One database and one build serve all tests of a package, which [Main] makes before they run. Each stack has a stage of its
// own, and with it a table of its own, so that tests run in parallel.
package stacktest

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/userrequestapi/userdata/deploy/build"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/local"
	"github.com/userrequestapi/userdata/deploy/local/apigateway"
	"github.com/userrequestapi/userdata/deploy/local/dynamodb"
	"github.com/userrequestapi/userdata/deploy/local/lambda"
	"github.com/userrequestapi/userdata/deploy/template"
)

// Fixture is something that all tests of a package share. It is stopped after the last of them.
type Fixture func(ctx context.Context) (stop func() error, err error)

// Main runs the tests of a package, to be called by its TestMain: it makes the fixtures, [Database] and [Functions] unless
// others are named, runs the tests, stops the fixtures, and fails where goroutines are left. With -short it makes none.
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

// runner runs the tests between making and stopping the fixtures.
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

func nothing() error { return nil }

// Database starts DynamoDB Local in memory, unless [testenv.EndpointVariable] names a DynamoDB that runs already.
func Database(ctx context.Context) (stop func() error, err error) {
	if os.Getenv(testenv.EndpointVariable) != "" {
		return nothing, nil
	}
	server, err := dynamodb.Start(ctx, dynamodb.Config{Progress: func(step string) { fmt.Fprintln(os.Stderr, step) }})
	if err != nil {
		return nil, err
	}
	return server.Close, os.Setenv(testenv.EndpointVariable, server.Endpoint())
}

// Functions builds the functions as they are deployed, unless [testenv.FunctionsVariable] names a folder that has them.
func Functions(ctx context.Context) (stop func() error, err error) {
	if os.Getenv(testenv.FunctionsVariable) != "" {
		return nothing, nil
	}
	root, err := Root()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "userdata-functions-")
	if err != nil {
		return nil, fmt.Errorf("build functions: %w", err)
	}
	remove := func() error { return os.RemoveAll(dir) }
	resources, err := resolve(root, map[string]string{"StageName": StageName()})
	if err == nil {
		var functions []build.Function
		for _, f := range resources.Functions() {
			functions = append(functions, build.Function{Name: f.LogicalID, Dir: filepath.Join(root, "deploy", f.Source)})
		}
		_, err = build.Functions(ctx, functions, build.Options{Root: root, Out: dir})
	}
	if err == nil {
		err = os.Setenv(testenv.FunctionsVariable, dir)
	}
	if err != nil {
		return nil, errors.Join(err, remove())
	}
	return remove, nil
}

// Endpoint is the address of the database that the tests of a package share. It skips the test with -short.
func Endpoint(tb testing.TB) string {
	tb.Helper()
	if testing.Short() {
		tb.Skip("needs DynamoDB Local, which needs Java: left out by -short")
	}
	endpoint := os.Getenv(testenv.EndpointVariable)
	if endpoint == "" {
		tb.Fatal("no database: TestMain must call stacktest.Main")
	}
	return endpoint
}

// Root is the folder of the workspace.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the workspace: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir, nil
		}
		if parent := filepath.Dir(dir); parent != dir {
			dir = parent
			continue
		}
		return "", errors.New("find the workspace: no go.work in this folder or above it")
	}
}

// Bootstraps are the functions' binaries by their logical ids in the template, such as GetFunction.
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

// resolve works out what a stage of the template is made of. DynamoDB Local has one region and one account for all.
func resolve(root string, parameters map[string]string) (*template.Stack, error) {
	source, err := template.Load(os.DirFS(filepath.Join(root, "deploy")))
	if err != nil {
		return nil, err
	}
	rendered, err := source.Render(template.Options{Parameters: parameters})
	if err != nil {
		return nil, err
	}
	return rendered.Resolve(template.PseudoParameters{
		Region: "us-east-1", AccountID: "000000000000", StackName: "UserRequestAPI",
	})
}

// Resolve works out what a stage of the template is made of on this machine.
func Resolve(tb testing.TB, parameters map[string]string) *template.Stack {
	tb.Helper()
	root, err := Root()
	if err != nil {
		tb.Fatal(err)
	}
	stack, err := resolve(root, parameters)
	if err != nil {
		tb.Fatal(err)
	}
	return stack
}

// StageName is a new name for a stage, which gives a table of its own.
func StageName() string { return "t" + strings.ToLower(rand.Text()[:12]) }

// Stack is a stack that runs for one test, whose answers are held to the API document that it was started with. Its methods may be
// called from several goroutines.
type Stack struct {
	*local.Stack
	*Client
	Items

	stop sync.Once

	mu     sync.Mutex
	events []lambda.Event
	access []string
}

// Start starts a stack on a free port, and stops it after the test, which fails where that fails. configure changes what is
// started: by default a stage of its own in the shared database, the functions as they are deployed, 10 environments of each,
// and no throttling to speak of. It skips the test with -short.
func Start(tb testing.TB, configure ...func(*local.Config)) *Stack {
	tb.Helper()
	endpoint := Endpoint(tb)
	root, err := Root()
	if err != nil {
		tb.Fatal(err)
	}
	s := &Stack{}
	cfg := local.Config{
		Root:             root,
		DynamoDBEndpoint: endpoint,
		Parameters: map[string]string{
			"StageName":            StageName(),
			"ThrottlingRateLimit":  "10000",
			"ThrottlingBurstLimit": "5000",
		},
		Bootstraps: Bootstraps(tb),
		Log:        s.collect,
		AccessLog:  s.collectAccess,
		Progress: func(step string) {
			if strings.HasPrefix(step, "X-Ray would refuse") {
				tb.Error(step)
			}
		},
	}
	for _, change := range configure {
		change(&cfg)
	}
	if s.Stack, err = local.Start(tb.Context(), cfg); err != nil {
		tb.Fatal(err)
	}
	if cfg.DynamoDBEndpoint == "" { // the stack has a database of its own, which ends with it
		endpoint = s.Database
	}
	contract, err := LoadContract(tb.Context(), cfg.Root)
	if err != nil {
		tb.Fatal(err)
	}
	s.Client = NewClient(tb, s.URL, contract)
	s.Items = Items{DynamoDB: Connect(tb, endpoint), TableName: s.Table}
	tb.Cleanup(func() {
		if cfg.DynamoDBEndpoint != "" {
			s.deleteTable(tb)
		}
		s.Stop(tb)
		if tb.Failed() {
			s.show(tb)
		}
	})
	return s
}

// Parameters returns what changes parameters of the template; the others are left as they are.
func Parameters(parameters map[string]string) func(*local.Config) {
	return func(cfg *local.Config) { maps.Copy(cfg.Parameters, parameters) }
}

// Stop stops the stack now, for a test of what it leaves: after it, [Stack.Events] has everything.
func (s *Stack) Stop(tb testing.TB) {
	tb.Helper()
	s.stop.Do(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("stop the stack: %v", err)
		}
	})
}

func (s *Stack) collect(event lambda.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, event)
}

func (s *Stack) collectAccess(line string, _ apigateway.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.access = append(s.access, line)
}

// AccessLog returns the lines of the gateway's access log so far.
func (s *Stack) AccessLog() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.access)
}

// Events returns what the functions, and Lambda about them, have logged so far.
func (s *Stack) Events() []lambda.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]lambda.Event(nil), s.events...)
}

// Lines returns the lines that the functions themselves have logged so far.
func (s *Stack) Lines() []string {
	var lines []string
	for _, event := range s.Events() {
		if line, ok := event.Record.(lambda.Line); ok {
			lines = append(lines, string(line))
		}
	}
	return lines
}

// show logs what went wrong in the functions, for whoever looks into a failure.
func (s *Stack) show(tb testing.TB) {
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
