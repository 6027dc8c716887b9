// Package local runs the local stack: the API in package apigateway, the functions' real binaries in package lambda,
// and DynamoDB Local in package dynamodb. It reads the resources from the rendered template that CloudFormation
// deploys.
package local

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/sync/errgroup"

	"github.com/userrequestapi/userdata/deploy/host/process"
	"github.com/userrequestapi/userdata/deploy/local/apigateway"
	"github.com/userrequestapi/userdata/deploy/local/capture"
	"github.com/userrequestapi/userdata/deploy/local/console"
	"github.com/userrequestapi/userdata/deploy/local/dynamodb"
	"github.com/userrequestapi/userdata/deploy/local/lambda"
	"github.com/userrequestapi/userdata/deploy/local/watch"
	"github.com/userrequestapi/userdata/deploy/local/xray"
	"github.com/userrequestapi/userdata/deploy/template"
)

// Config configures an [Instance]. Root and DataDir must be set; the other fields may be zero.
type Config struct {
	// Root is the workspace: the folder that contains deploy and functions.
	Root string
	// Parameters are the template parameters. StageName is the stage. The default of Authorization is NONE, that of
	// UserPoolArn a local user pool, and that of TracingSamplingRate 1.
	Parameters map[string]string
	// Port is the port on 127.0.0.1; 0: a free port.
	Port int
	// DataDir is the folder that keeps the built functions, the tables, the log of the database, the access key and the
	// key of the user pool between runs.
	DataDir string
	// Reset deletes all tables in DataDir, those of other stages too.
	Reset bool
	// DynamoDBEndpoint is a running DynamoDB. If it is empty, the stack starts and stops DynamoDB Local.
	DynamoDBEndpoint string
	// Bootstraps are executables to run instead of building them, by logical ID of the function.
	Bootstraps map[string]string
	// Environments is the maximum number of execution environments per function.
	Environments int
	// IdleTimeout is the IdleTimeout of [lambda.Options]; 0: idle environments are kept until the stack is closed.
	IdleTimeout time.Duration
	// Traces is the folder that keeps the traces between runs; empty: they are lost.
	Traces string
	// XRayDaemonAddress is the address, host:port, of an X-Ray daemon that receives a copy of each segment document.
	XRayDaemonAddress string
	// Watch turns on hot reload: sources that change on disk are applied.
	Watch bool
	// Debug is the logical ID of the function that runs under Debugger, the command of [lambda.Configuration], without
	// time limits; empty: none.
	Debug    string
	Debugger []string
	// Log is called with each event of the functions' logs, one call at a time.
	Log func(lambda.Event)
	// CheckTraces also checks the segment documents of API Gateway and Lambda against X-Ray's rules, as tests do.
	CheckTraces bool
	MaxTraces   int // maximum number of traces in memory; 0: 10,000
	// LogFile is the file that Log and AccessLog write to; the pages display its path.
	LogFile string
	// Capture keeps recent requests and responses in memory, for the pages.
	Capture bool
	// LogAll makes [Run] print all lines, not one for each request.
	LogAll bool
	// AccessLog is called once for each request, concurrently. line is "" if the stage has no access log.
	AccessLog func(line string, r apigateway.Record)
	// Progress is called before each step that takes time.
	Progress func(step string)
}

// Instance is a running local stack.
type Instance struct {
	// URL is the invoke URL with the stage, without a trailing slash. Console is the URL of the pages.
	URL, Console string
	// Database is the endpoint of DynamoDB.
	Database string
	// TablesCreated reports whether none of the tables existed before Start.
	TablesCreated bool
	// Host runs the functions. Functions maps their logical IDs to their names.
	Host      *lambda.Host
	Functions map[string]string
	// Collector keeps recent traces and log lines.
	Collector *xray.Collector

	captured      *capture.Store // nil without Config.Capture
	cfg           Config
	bootstraps    map[string]bootstrap // by logical ID of the function
	installed     string               // folder of the executables built by this run; deleted when the stack stops
	installedLock *flock.Flock         // keeps other runs from deleting that folder
	authorization authorization
	resources     atomic.Pointer[template.Resources]
	gateway       atomic.Pointer[apigateway.Gateway]
	failures      failures
	invocations   invocationTimes

	server   *http.Server
	served   chan error
	database *dynamodb.Server // nil if Config.DynamoDBEndpoint is set
	watcher  *watch.Watcher   // nil without Config.Watch
	pages    *console.Console
	ready    chan struct{} // closed when everything has started

	gateways []*apigateway.Gateway // the current and all replaced ones; modified only by Start and the watcher

	close func() error // called once
}

// Start builds the functions and starts the stack. ctx limits only the start.
func Start(ctx context.Context, cfg Config) (_ *Instance, err error) {
	if !process.Groups {
		return nil, errors.New("the local stack runs on Linux and macOS: on Windows, use WSL 2 (see docs/run.md)")
	}
	var captured *capture.Store
	if cfg.Capture {
		captured = &capture.Store{}
	}
	if cfg.Progress == nil {
		cfg.Progress = func(string) {}
	}
	resources, err := load(cfg)
	if err != nil {
		return nil, err
	}
	// A used port is the quickest error to detect.
	listener, err := listen(ctx, cfg.Port, "PORT")
	if err != nil {
		return nil, err
	}
	s := &Instance{
		captured: captured, cfg: cfg, served: make(chan error, 1), ready: make(chan struct{}), Functions: map[string]string{},
	}
	s.close = sync.OnceValue(s.stop)
	for _, f := range resources.Functions() {
		s.Functions[f.LogicalID] = f.Name
	}
	s.resources.Store(resources)
	defer func() {
		if err != nil {
			err = errors.Join(err, listener.Close(), s.Close())
		}
	}()
	s.Collector, err = xray.Listen(xray.Options{
		Capacity:   cfg.MaxTraces,
		Forward:    cfg.XRayDaemonAddress,
		Dir:        cfg.Traces,
		CheckAdded: cfg.CheckTraces,
		Refused:    func(err error) { cfg.Progress("X-Ray would reject a document: " + err.Error()) },
		Failed:     func(err error) { cfg.Progress("The traces of this run will be lost: " + err.Error()) },
	})
	if err != nil {
		return nil, err
	}
	s.Console = "http://" + listener.Addr().String() + "/"
	s.URL = s.Console + resources.API().Stage
	var g *apigateway.Gateway
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.startDatabase(groupCtx) })
	group.Go(func() error {
		if cfg.Watch { // before the build, so that a file saved during the build is built again
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
		g, err = s.newGateway(resources)
		return err
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	// Last, because tables created by a failed start would prevent TablesCreated in the next.
	created, err := s.ensureTables(ctx, resources.Tables())
	if err != nil {
		return nil, err
	}
	s.TablesCreated = len(created) > 0 && len(created) == len(resources.Tables())
	if err := s.startFunctions(resources); err != nil {
		return nil, err
	}
	s.setGateway(g)
	s.server = apigateway.NewServer(s.routes(), requestTimeout)
	s.server.RegisterOnShutdown(s.pages.Close)
	go func() { s.served <- s.server.Serve(listener) }()
	close(s.ready)
	return s, nil
}

// Close stops the components in reverse order of their start. It takes a few seconds at most and leaves no process
// behind. Later calls return the result of the first.
func (s *Instance) Close() error { return s.close() }

// listen listens on the port of 127.0.0.1. variable is the setting that selects the port.
func listen(ctx context.Context, port int, variable string) (net.Listener, error) {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("port %d is in use by another program: stop that program or choose another port, "+
			"such as %s=%d", port, variable, port%65535+1)
	}
	if err != nil {
		return nil, fmt.Errorf("listen for requests: %w", err)
	}
	return listener, nil
}

// The account and Region of the local stack. DynamoDB Local has one set of tables for all Regions.
const (
	accountID = "000000000000"
	region    = "us-east-1"
)

// load reads the template and resolves its resources for the local stack.
func load(cfg Config) (*template.Resources, error) {
	source, err := template.Load(os.DirFS(filepath.Join(cfg.Root, "deploy")))
	if err != nil {
		return nil, err
	}
	rendered, err := source.Render(template.Options{Parameters: withDefaults(cfg.Parameters)})
	if err != nil {
		return nil, err
	}
	return rendered.Resolve(template.PseudoParameters{Region: region, AccountID: accountID})
}

// startDatabase starts DynamoDB Local unless the configuration has an endpoint.
func (s *Instance) startDatabase(ctx context.Context) (err error) {
	s.Database = s.cfg.DynamoDBEndpoint
	if s.Database != "" {
		return nil
	}
	logFile := filepath.Join(s.cfg.DataDir, "logs", "dynamodb.log")
	if err := os.MkdirAll(filepath.Dir(logFile), 0o750); err != nil {
		return fmt.Errorf("create the folder of logs: %w", err)
	}
	s.database, err = dynamodb.Start(ctx, dynamodb.Config{
		DataDir:  filepath.Join(s.cfg.DataDir, "dynamodb"),
		Reset:    s.cfg.Reset,
		LogFile:  logFile,
		Progress: s.cfg.Progress,
	})
	if err != nil {
		return err
	}
	s.Database = s.database.Endpoint()
	s.cfg.Progress("DynamoDB Local is ready.")
	return nil
}

func (s *Instance) newGateway(resources *template.Resources) (*apigateway.Gateway, error) {
	api := resources.API()
	if len(api.StageVariables) > 0 {
		return nil, errors.New("deploy/template.yaml: Variables of the stage are not supported in the local stack")
	}
	cfg := apigateway.Config{
		Body:            api.Body,
		Stage:           api.Stage,
		AccountID:       accountID,
		Region:          region,
		APIID:           api.ID,
		DeploymentID:    api.DeploymentID,
		Invoker:         newInvoker(s, resources.Functions()),
		Throttle:        apigateway.Throttle{Rate: api.ThrottlingRateLimit, Burst: api.ThrottlingBurstLimit},
		AccessLogFormat: api.AccessLogFormat,
		AccessLog:       func(line string, r apigateway.Record) { s.recordRequest(line, r, api) },
		NoTimeLimit:     s.cfg.Debug != "",
	}
	if s.captured != nil {
		secrets := capture.NewSecrets(api.Document)
		cfg.Exchange = func(r apigateway.Record, content apigateway.Content) {
			if r.Trace.Sampled { // the pages show no other requests
				s.captured.Add(secrets.Exchange(r, content))
			}
		}
	}
	if api.Tracing {
		cfg.Sample = apigateway.NewSampler(api.Sampling.ReservoirSize, api.Sampling.FixedRate)
	}
	s.authorization.configure(&cfg)
	return apigateway.New(cfg)
}

// requestTimeout is the timeout for reading the header of a request, and again for its body. It equals API Gateway's
// integration timeout.
const requestTimeout = 29 * time.Second

// setGateway makes g the gateway for new requests. Requests in progress keep the previous gateway.
func (s *Instance) setGateway(g *apigateway.Gateway) {
	s.gateways = append(s.gateways, g)
	s.gateway.Store(g)
}

// shutdownTime is the time that requests in progress have when the stack stops.
const shutdownTime = 2 * time.Second

func (s *Instance) stop() error {
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

// databaseDone returns a channel that is closed when DynamoDB Local has ended, or nil if the stack did not start it.
func (s *Instance) databaseDone() <-chan struct{} {
	if s.database == nil {
		return nil
	}
	return s.database.Done()
}
