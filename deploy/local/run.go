package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/userrequestapi/userdata/deploy/host/ansi"
	"github.com/userrequestapi/userdata/deploy/host/environment"
	"github.com/userrequestapi/userdata/deploy/local/apigateway"
	"github.com/userrequestapi/userdata/deploy/local/datadir"
	"github.com/userrequestapi/userdata/deploy/local/lambda"
	"github.com/userrequestapi/userdata/deploy/template"
)

const (
	defaultPort = 3000
	// Enough for a load test on one machine; the quota of a new AWS account is 10, of an older one 1000.
	defaultEnvironments = 100
	defaultStage        = "prod"
	// Lambda's is not documented; 5 to 15 minutes have been observed.
	defaultIdleTimeout = 5 * time.Minute
	// GOGC for a heap that is mostly traces, up to 10,000. Near a memory limit, the collector would run all the time.
	gcPercent = 15
)

// Run runs the local stack until ctx ends. It writes progress and the startup message to stderr, the logs of the
// functions and the gateway to a file, and one line for each request to stdout. With LOG=all, stdout gets all lines: as
// text if it is a terminal, and as JSON otherwise. The settings are environment variables: PORT, STAGE, AUTH, LOG,
// CAPTURE, RESET, WATCH, CONCURRENCY, IDLE_TIMEOUT, DATA_DIR, DYNAMODB_ENDPOINT, AWS_XRAY_DAEMON_ADDRESS and NO_COLOR.
func Run(ctx context.Context, root string) error {
	cfg, err := configure(root, os.Getenv)
	if err != nil {
		return err
	}
	return run(ctx, cfg, "")
}

// run is [Run] with the settings cfg. note is appended to the startup message.
func run(ctx context.Context, cfg Config, note string) (err error) {
	debug.SetGCPercent(gcPercent)
	cfg.Traces, cfg.LogFile = datadir.Traces(cfg.DataDir), datadir.Log(cfg.DataDir)
	log, err := openLog(cfg.LogFile, os.Stdout, cfg.LogAll)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.close()) }()
	cfg.Log = func(event lambda.Event) { log.add(entry{event: event}) }
	cfg.AccessLog = func(line string, record apigateway.Record) { log.add(entry{access: line, record: &record}) }
	steps := &steps{
		began: time.Now(), terminal: term.IsTerminal(int(os.Stderr.Fd())), color: ansi.Color(os.Stderr, os.Getenv),
	}
	cfg.Progress = steps.show

	signal.Ignore(syscall.SIGPIPE) // by default, writing to a closed stdout ends the process
	stack, err := Start(ctx, cfg)
	if err != nil && ctx.Err() != nil {
		say("Stopped.")
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stack.Close()) }()
	steps.started.Store(true)
	// After Start, which returns an error if another stack uses the data folder and may write to the file.
	if err := log.file.Truncate(0); err != nil {
		return fmt.Errorf("truncate the log: %w", err)
	}
	if stack.TablesCreated {
		if err := stack.createExample(ctx); err != nil && ctx.Err() == nil {
			say(err.Error())
		}
	}
	if ctx.Err() == nil {
		description, err := stack.description()
		if err != nil {
			return err
		}
		say(description + note + "\nPress Ctrl-C to stop.\n")
	}
	select {
	case <-ctx.Done():
		say("Stopping…")
		return nil
	case <-stack.databaseDone():
		return fmt.Errorf("%w\nrestart the local stack with `go tool mage run`", stack.database.Err())
	}
}

// configure reads the settings of [Run].
func configure(root string, getenv func(string) string) (Config, error) {
	env := environment.New(getenv)
	cfg := Config{
		Root:              root,
		DataDir:           datadir.Of(root, getenv),
		Parameters:        map[string]string{"StageName": cmp.Or(getenv("STAGE"), defaultStage)},
		Port:              env.Number("PORT", defaultPort, 0, 65535),
		Environments:      env.Number("CONCURRENCY", defaultEnvironments, 1, 1000),
		IdleTimeout:       env.Duration("IDLE_TIMEOUT", defaultIdleTimeout),
		Watch:             env.Flag("WATCH", true),
		Capture:           env.Flag("CAPTURE", true),
		Reset:             env.Flag("RESET", false),
		DynamoDBEndpoint:  strings.TrimSuffix(getenv("DYNAMODB_ENDPOINT"), "/"),
		XRayDaemonAddress: getenv("AWS_XRAY_DAEMON_ADDRESS"),
	}
	switch log := getenv("LOG"); log {
	case "", "requests":
	case "all":
		cfg.LogAll = true
	default:
		env.Faultf("LOG", "want requests or all")
	}
	switch authorization := getenv("AUTH"); authorization {
	case "":
	case template.AuthorizationIAM, template.AuthorizationCognito,
		template.AuthorizationAPIKey, template.AuthorizationNone:
		cfg.Parameters[template.AuthorizationParameter] = authorization
	default:
		env.Faultf("AUTH", "want %s, %s, %s or %s", template.AuthorizationIAM, template.AuthorizationCognito,
			template.AuthorizationAPIKey, template.AuthorizationNone)
	}
	if u, err := url.Parse(cfg.DynamoDBEndpoint); cfg.DynamoDBEndpoint != "" &&
		(err != nil || u.Host == "" || u.Scheme == "") {
		env.Faultf("DYNAMODB_ENDPOINT", "want a URL such as http://127.0.0.1:8000")
	}
	if cfg.Reset && cfg.DynamoDBEndpoint != "" {
		env.Faultf("RESET", "want it unset with DYNAMODB_ENDPOINT, as it deletes only the local stack's own data")
	}
	return cfg, env.Err()
}

// steps prints the steps of the start, on a terminal with the elapsed seconds.
type steps struct {
	began    time.Time
	terminal bool
	color    bool
	started  atomic.Bool // steps after the start have no time
}

func (s *steps) show(step string) { say(s.line(step, time.Since(s.began))) }

// line returns the line for a step.
func (s *steps) line(step string, elapsed time.Duration) string {
	if !s.terminal || s.started.Load() {
		return step
	}
	return ansi.Faint.Paint(s.color, fmt.Sprintf("%5.1f s", elapsed.Seconds())) + "  " + step
}

// say prints a progress line.
func say(line string) { fmt.Fprintln(os.Stderr, line) }

// description returns the startup message: the addresses, and commands to try.
func (s *Instance) description() (string, error) {
	lines, err := s.curl()
	if err != nil {
		return "", err
	}
	data := s.Database
	if names := tableNames(s.Tables()); len(names) > 0 {
		data += ", " + describeTables(names)
	}
	if s.database != nil {
		data += " (kept in " + filepath.Join(s.cfg.DataDir, "dynamodb") + "; RESET=1 deletes all tables)"
	}
	return fmt.Sprintf(`
%s is at %s

  %s

  Pages   %s
  Docs    %s_local/docs/
  Traces  %s_local/traces
  Data    %s
  Logs    %s (LOG=all prints all lines here, too)
`, s.resources.Load().API().Document.Name(), s.URL, strings.Join(lines, "\n  "),
		s.Console, s.Console, s.Console, data, s.cfg.LogFile), nil
}
