// Package local runs the whole stack on this machine: the functions' real binaries in package lambdahost, before them the API in
// package gateway, behind them DynamoDB Local in package dynamodb. What there is to run is read from the same rendered template
// that CloudFormation is given.
package local

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	awsdynamodb "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/gofrs/flock"
	"golang.org/x/sync/errgroup"

	"github.com/userrequestapi/userdata/deploy/build"
	"github.com/userrequestapi/userdata/deploy/host/process"
	"github.com/userrequestapi/userdata/deploy/local/apigateway"
	"github.com/userrequestapi/userdata/deploy/local/console"
	"github.com/userrequestapi/userdata/deploy/local/dynamodb"
	"github.com/userrequestapi/userdata/deploy/local/lambda"
	"github.com/userrequestapi/userdata/deploy/local/watch"
	"github.com/userrequestapi/userdata/deploy/local/xray"
	"github.com/userrequestapi/userdata/deploy/template"
)

// Config says what to run, and where. Root and DataDir must be set; any other field has a default, its zero value.
type Config struct {
	// Root is the workspace: the folder that has deploy and functions in it.
	Root string
	// Parameters are the template's; StageName is the stage. Authorization is NONE by default, and UserPoolArn that of a pool
	// that exists here alone.
	Parameters map[string]string
	// Port on 127.0.0.1; 0 takes a free one.
	Port int
	// DataDir keeps the built functions, the tables, the database's log and the user pool's key between runs.
	DataDir string
	// Reset deletes the tables that DataDir has.
	Reset bool
	// DynamoDBEndpoint is a DynamoDB that runs already. Empty: DynamoDB Local is started, and stopped with the stack.
	DynamoDBEndpoint string
	// Bootstraps are binaries that are run as they are instead of built, by the function's logical id in the template.
	Bootstraps map[string]string
	// Environments is how many environments of a function there can be at once.
	Environments int
	// IdleTimeout is that of [lambda.Options]: how long an idle environment is kept; 0: until the stack is closed.
	IdleTimeout time.Duration
	// XRayDaemonAddress is another X-Ray daemon, host:port, that gets a copy of each segment document.
	XRayDaemonAddress string
	// Watch rebuilds and replaces what is changed on disk.
	Watch bool
	// Debug is the function, by its logical id, that runs under Debugger, the command of [lambda.Function]; there are no time
	// limits then. Empty: none does.
	Debug    string
	Debugger []string
	// Log gets what the functions log, and what Lambda logs of them, one call at a time.
	Log func(lambda.Event)
	// LogFile is where Log and AccessLog write, for the pages that tell it.
	LogFile string
	// AccessLog gets the lines of the gateway's access log, from several goroutines at once.
	AccessLog func(line string, r apigateway.Record)
	// Progress gets one line before each step that takes time.
	Progress func(step string)
}

// Stack is a running stack.
type Stack struct {
	// URL is the invoke URL, stage included, without a slash at its end, and Console that of the pages about the stack.
	URL, Console string
	// Table is the name of the table of users, and Database the address of the DynamoDB that has it.
	Table, Database string
	// TableCreated tells whether the table was not there before.
	TableCreated bool
	// Host runs the functions, whose names by their logical ids are in Functions.
	Host      *lambda.Host
	Functions map[string]string
	// Collector has the traces of the last requests, and the log.
	Collector *xray.Collector

	cfg           Config
	bootstraps    map[string]bootstrap // by the functions' logical ids
	installed     string               // the folder of those that were built here; deleted when the stack stops
	installedLock *flock.Flock         // keeps other runs from deleting that folder
	authorization authorization
	resources     atomic.Pointer[template.Stack]
	gateway       atomic.Pointer[apigateway.Gateway]
	failures      failures
	asked         requested

	server   *http.Server
	served   chan error
	database *dynamodb.Server // nil: it is not ours
	watcher  *watch.Watcher   // nil: nobody watches
	pages    *console.Console
	ready    chan struct{} // closed when everything has started

	gateways []*apigateway.Gateway // all there have been; changed by the start and the watcher only

	close    sync.Once
	closeErr error
}

// Start builds what must be built and starts everything. ctx ends only the start.
func Start(ctx context.Context, cfg Config) (_ *Stack, err error) {
	if !process.Groups {
		return nil, errors.New("the local stack runs on Linux and macOS: on Windows, use WSL 2 (see docs/run.md)")
	}
	if cfg.Progress == nil {
		cfg.Progress = func(string) {}
	}
	resources, err := load(cfg)
	if err != nil {
		return nil, err
	}
	// First of all, because it fails at once or never.
	listener, err := listen(ctx, cfg.Port, "PORT")
	if err != nil {
		return nil, err
	}
	s := &Stack{cfg: cfg, served: make(chan error, 1), ready: make(chan struct{}), Functions: map[string]string{}}
	for _, f := range resources.Functions() {
		s.Functions[f.LogicalID] = f.Name
	}
	s.resources.Store(resources)
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreClosed(listener.Close()), s.Close())
		}
	}()
	s.Collector, err = xray.Listen(xray.Options{
		Forward: cfg.XRayDaemonAddress,
		Refused: func(err error) { cfg.Progress("X-Ray would refuse a document: " + err.Error()) },
	})
	if err != nil {
		return nil, err
	}
	s.Console = "http://" + listener.Addr().String() + "/"
	s.URL = s.Console + resources.API().Stage
	var g *apigateway.Gateway
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.startDatabase(groupCtx, cfg) })
	group.Go(func() error {
		if cfg.Watch { // before the build: what is saved meanwhile is built again
			if err := s.watch(groupCtx); err != nil {
				return err
			}
		}
		return s.build(groupCtx, resources.Functions())
	})
	group.Go(func() (err error) {
		if s.authorization, err = newAuthorization(withDefaults(cfg.Parameters), cfg.DataDir); err != nil {
			return err
		}
		g, err = s.newGateway(resources.API())
		return err
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	// Only now: a table that was made by a start that failed would look like that of an earlier run.
	if err := s.createTable(ctx, cfg, resources.Table()); err != nil {
		return nil, err
	}
	if err := s.startFunctions(resources); err != nil {
		return nil, err
	}
	s.serve(g)
	s.server = apigateway.NewServer(s.routes(), requestTimeout)
	s.server.RegisterOnShutdown(s.pages.Close)
	go func() { s.served <- s.server.Serve(listener) }()
	close(s.ready)
	return s, nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// listen listens at the port, which the variable has named.
func listen(ctx context.Context, port int, variable string) (net.Listener, error) {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, &PortInUseError{Port: port, Variable: variable}
	}
	if err != nil {
		return nil, fmt.Errorf("listen for requests: %w", err)
	}
	return listener, nil
}

// PortInUseError says that another program listens on the port.
type PortInUseError struct {
	Port     int
	Variable string // by which another is chosen
}

// Error says how to choose another.
func (e *PortInUseError) Error() string {
	return fmt.Sprintf("port %d is in use by another program: stop that, or choose another port, such as %s=%d",
		e.Port, e.Variable, e.Port%65535+1)
}

// The account and region of the stack on this machine. DynamoDB Local keeps all regions in one.
const (
	accountID = "000000000000"
	region    = "us-east-1"
)

// load reads the template and works out what there is to run.
func load(cfg Config) (*template.Stack, error) {
	source, err := template.Load(os.DirFS(filepath.Join(cfg.Root, "deploy")))
	if err != nil {
		return nil, err
	}
	rendered, err := source.Render(template.Options{Parameters: withDefaults(cfg.Parameters)})
	if err != nil {
		return nil, err
	}
	return rendered.Resolve(template.PseudoParameters{Region: region, AccountID: accountID, StackName: "UserRequestAPI"})
}

// builds is the folder of the functions' binaries.
func (c Config) builds() string { return filepath.Join(c.DataDir, "functions") }

// bootstrap is the binary of a function.
type bootstrap struct {
	path     string
	revision string // that it differs from others by; "" for one that is not built here, and never changes
	before   string // the path of the one that this one has replaced, if that was built here too
}

// build makes each function's binary known by its logical id.
func (s *Stack) build(ctx context.Context, functions []template.Function) error {
	s.bootstraps = map[string]bootstrap{}
	var missing []template.Function
	for _, f := range functions {
		if path, ok := s.cfg.Bootstraps[f.LogicalID]; ok {
			s.bootstraps[f.LogicalID] = bootstrap{path: path}
			continue
		}
		missing = append(missing, f)
	}
	if len(missing) == 0 {
		return nil
	}
	s.cfg.Progress(fmt.Sprintf("Building %d functions…", len(missing)))
	artifacts, err := s.compile(ctx, missing, nil)
	if err != nil {
		return err
	}
	for i, a := range artifacts {
		if err := s.install(missing[i].LogicalID, a); err != nil {
			return err
		}
	}
	s.cfg.Progress(fmt.Sprintf("Built %d functions.", len(missing)))
	return nil
}

// compile brings the functions' executables up to date; progress is told of each that is.
func (s *Stack) compile(ctx context.Context, functions []template.Function, progress func(build.Artifact)) ([]build.Artifact, error) {
	return build.Functions(ctx, build.FromTemplate(functions), build.Options{
		Root: s.cfg.Root, Out: s.cfg.builds(), Update: true, Progress: progress,
	})
}

// attemptTimeout is how long the database may take to answer a request for the table: what listens at an address that the user
// has named may be no database at all.
const attemptTimeout = 10 * time.Second

// startDatabase makes sure that there is a database.
func (s *Stack) startDatabase(ctx context.Context, cfg Config) (err error) {
	s.Database = cfg.DynamoDBEndpoint
	if s.Database != "" {
		return nil
	}
	logFile := filepath.Join(cfg.DataDir, "logs", "dynamodb.log")
	if err := os.MkdirAll(filepath.Dir(logFile), 0o750); err != nil {
		return fmt.Errorf("make the folder of logs: %w", err)
	}
	s.database, err = dynamodb.Start(ctx, dynamodb.Config{
		DataDir:  filepath.Join(cfg.DataDir, "dynamodb"),
		Reset:    cfg.Reset,
		LogFile:  logFile,
		Progress: cfg.Progress,
	})
	if err != nil {
		return err
	}
	s.Database = s.database.Endpoint()
	cfg.Progress("DynamoDB Local is ready.")
	return nil
}

// createTable makes sure that the database has the table.
func (s *Stack) createTable(ctx context.Context, cfg Config, table template.Table) (err error) {
	s.Table = table.Name
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := dynamodb.Connect(s.Database, func(o *awsdynamodb.Options) {
		o.HTTPClient = &http.Client{Transport: transport, Timeout: attemptTimeout}
	})
	s.TableCreated, err = dynamodb.CreateTable(ctx, client, table.Properties)
	var refused *net.OpError
	switch {
	case err == nil:
		return nil
	case cfg.DynamoDBEndpoint != "" && errors.As(err, &refused):
		return fmt.Errorf("no DynamoDB answers at DYNAMODB_ENDPOINT=%s (%w): start it, or leave DYNAMODB_ENDPOINT out", s.Database, refused)
	}
	return fmt.Errorf("make the table %s in the DynamoDB at %s: %w", table.Name, s.Database, err)
}

func (s *Stack) startFunctions(resources *template.Stack) error {
	functions, err := s.lambdaFunctions(resources)
	if err != nil {
		return err
	}
	s.Host, err = lambda.Start(functions, lambda.Options{
		AccountID:         accountID,
		Region:            region,
		XRayDaemonAddress: s.Collector.Address(),
		MaxEnvironments:   s.cfg.Environments,
		IdleTimeout:       s.cfg.IdleTimeout,
		Log:               s.log,
		Trace:             s.trace,
	})
	return err
}

// lambdaFunctions are the functions as they are told to the host.
func (s *Stack) lambdaFunctions(resources *template.Stack) ([]lambda.Function, error) {
	var functions []lambda.Function
	for _, f := range resources.Functions() {
		if !strings.HasPrefix(f.Runtime, "provided.") {
			return nil, fmt.Errorf("function %s: its Runtime %s does not run here, only provided.* does", f.LogicalID, f.Runtime)
		}
		environment := maps.Clone(f.Environment)
		environment["DYNAMODB_ENDPOINT"] = s.Database
		function := lambda.Function{
			Name:        f.Name,
			Bootstrap:   s.bootstraps[f.LogicalID].path,
			Revision:    s.bootstraps[f.LogicalID].revision,
			Environment: environment,
			MemoryMB:    f.MemoryMB,
			Timeout:     f.Timeout,
			Concurrency: f.ReservedConcurrency,
			Handler:     f.Handler,
			Tracing:     f.Tracing,
			LogGroup:    f.Logging.Group,
			LogFormat:   f.Logging.Format,
			LogLevel:    f.Logging.ApplicationLevel,
		}
		if f.LogicalID == s.cfg.Debug {
			function.Debugger = s.cfg.Debugger
		}
		functions = append(functions, function)
	}
	return functions, nil
}

func (s *Stack) newGateway(api template.API) (*apigateway.Gateway, error) {
	cfg := apigateway.Config{
		Body:            api.Body,
		Stage:           api.Stage,
		StageVariables:  api.StageVariables,
		AccountID:       accountID,
		Region:          region,
		APIID:           api.ID,
		DeploymentID:    api.DeploymentID,
		Invoker:         invoker{s},
		Throttle:        apigateway.Throttle{Rate: api.ThrottlingRateLimit, Burst: api.ThrottlingBurstLimit},
		AccessLogFormat: api.AccessLogFormat,
		AccessLog:       func(line string, r apigateway.Record) { s.access(line, r, api) },
		NoTimeLimit:     s.cfg.Debug != "",
	}
	if api.Tracing {
		cfg.Sample = apigateway.NewSampler(api.Sampling.ReservoirSize, api.Sampling.FixedRate)
	}
	s.authorization.configure(&cfg)
	return apigateway.New(cfg)
}

// requestTimeout limits how long a client takes to send the header of a request, and again its body. API Gateway waits as
// long for an integration.
const requestTimeout = 29 * time.Second

// serve has a gateway answer requests from now on. Those under way end as they have begun.
func (s *Stack) serve(g *apigateway.Gateway) {
	s.gateways = append(s.gateways, g)
	s.gateway.Store(g)
}

// shutdownTime is how long requests under way may take when the stack stops.
const shutdownTime = 2 * time.Second

// Close stops everything, the last started first. It takes a few seconds at most, and nothing is left after it. Later calls
// return the result of the first.
func (s *Stack) Close() error {
	s.close.Do(func() { s.closeErr = s.stop() })
	return s.closeErr
}

func (s *Stack) stop() error {
	var errs []error
	if s.watcher != nil {
		errs = append(errs, s.watcher.Close())
	}
	if s.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
		defer cancel()
		if err := s.server.Shutdown(ctx); err != nil {
			errs = append(errs, s.server.Close())
		}
		if err := <-s.served; !errors.Is(err, http.ErrServerClosed) {
			errs = append(errs, fmt.Errorf("serve requests: %w", err))
		}
	}
	if s.Host != nil {
		errs = append(errs, s.Host.Close())
	}
	if s.installed != "" {
		errs = append(errs, os.RemoveAll(s.installed), s.installedLock.Close())
	}
	for _, g := range s.gateways {
		g.Wait()
	}
	if s.Collector != nil {
		errs = append(errs, s.Collector.Close())
	}
	if s.database != nil {
		errs = append(errs, s.database.Close())
	}
	return errors.Join(errs...)
}

// databaseDone is closed when the stack's own database has ended; never where it has none.
func (s *Stack) databaseDone() <-chan struct{} {
	if s.database == nil {
		return nil
	}
	return s.database.Done()
}
