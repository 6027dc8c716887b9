package local

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/userrequestapi/userdata/deploy/host/ansi"
	"github.com/userrequestapi/userdata/deploy/host/environment"
	"github.com/userrequestapi/userdata/deploy/local/apigateway"
	"github.com/userrequestapi/userdata/deploy/local/lambda"
	"github.com/userrequestapi/userdata/deploy/template"
)

const (
	defaultPort = 3000
	// As many clients at once as a person tries by hand or in a load test; a new AWS account has 10, an old one 1000.
	defaultEnvironments = 100
	defaultStage        = "prod"
	// Lambda's is not documented; environments are said to be kept for 5 to 15 minutes.
	defaultIdleTimeout = 5 * time.Minute
	dataFolder         = ".local"
)

// exampleUser is what the first run puts into the table.
const exampleUser = `{"userId": "1", "name": "Ada Lovelace", "email": "ada@example.org"}`

// Run runs the stack for a person at a terminal until ctx ends: progress and where everything is go to stderr, the logs of the
// functions and the gateway to stdout, as lines to read on a terminal and as JSON lines otherwise, and to a file. The settings are
// environment variables: PORT, STAGE, AUTH, RESET, WATCH, CONCURRENCY, IDLE_TIMEOUT, DATA_DIR, DYNAMODB_ENDPOINT,
// AWS_XRAY_DAEMON_ADDRESS and NO_COLOR.
func Run(ctx context.Context, root string) error {
	cfg, err := configure(root, os.Getenv)
	if err != nil {
		return err
	}
	return run(ctx, cfg, "")
}

// run is [Run] with settings. It tells a person of the note beside all else.
func run(ctx context.Context, cfg Config, note string) (err error) {
	cfg.LogFile = filepath.Join(cfg.DataDir, "logs", "stack.jsonl")
	log, err := openLog(cfg.LogFile, os.Stdout)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.close()) }()
	cfg.Log = log.write
	cfg.AccessLog = log.access
	steps := newSteps(os.Stderr, os.Getenv)
	cfg.Progress = steps.show

	signal.Ignore(syscall.SIGPIPE) // by default Go ends a process whose stdout nobody reads any more
	stack, err := Start(ctx, cfg)
	if err != nil && ctx.Err() != nil {
		say("Stopped.")
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stack.Close()) }()
	steps.over.Store(true)
	// Not before: another stack may be writing to it, which Start then tells.
	if err := log.file.Truncate(0); err != nil {
		return fmt.Errorf("empty the log: %w", err)
	}
	if stack.TableCreated {
		if err := stack.seed(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
	if ctx.Err() == nil {
		description, err := stack.description()
		if err != nil {
			return err
		}
		say(description + note + "\nCtrl-C stops it.\n")
	}
	select {
	case <-ctx.Done():
		say("Stopping…")
		return nil
	case <-stack.databaseDone():
		return fmt.Errorf("%w\nStart again with go tool mage run", stack.database.Err())
	}
}

// steps shows the steps of the start, on a terminal with the seconds that have elapsed.
type steps struct {
	began    time.Time
	terminal bool
	color    bool
	over     atomic.Bool // the start is
}

func newSteps(out *os.File, getenv func(string) string) *steps {
	return &steps{began: time.Now(), terminal: term.IsTerminal(int(out.Fd())), color: getenv("NO_COLOR") == ""}
}

func (s *steps) show(step string) { say(s.line(step, time.Since(s.began))) }

// line returns the line for a step that is shown after a time.
func (s *steps) line(step string, elapsed time.Duration) string {
	if !s.terminal || s.over.Load() {
		return step
	}
	seconds := fmt.Sprintf("%5.1f s", elapsed.Seconds())
	if s.color {
		seconds = ansi.Faint.Paint(seconds)
	}
	return seconds + "  " + step
}

func say(text string) {
	fmt.Fprintln(os.Stderr, text)
}

// configure reads the settings of [Run].
func configure(root string, getenv func(string) string) (Config, error) {
	env := environment.New(getenv)
	cfg := Config{
		Root:              root,
		DataDir:           cmp.Or(getenv("DATA_DIR"), filepath.Join(root, dataFolder)),
		Parameters:        map[string]string{"StageName": cmp.Or(getenv("STAGE"), defaultStage)},
		Port:              env.Number("PORT", defaultPort, 0, 65535),
		Environments:      env.Number("CONCURRENCY", defaultEnvironments, 1, 1000),
		IdleTimeout:       env.Duration("IDLE_TIMEOUT", defaultIdleTimeout),
		Watch:             env.Flag("WATCH", true),
		Reset:             env.Flag("RESET", false),
		DynamoDBEndpoint:  strings.TrimSuffix(getenv("DYNAMODB_ENDPOINT"), "/"),
		XRayDaemonAddress: getenv("AWS_XRAY_DAEMON_ADDRESS"),
	}
	switch authorization := getenv("AUTH"); authorization {
	case "":
	case template.AuthorizationIAM, template.AuthorizationCognito, template.AuthorizationAPIKey, template.AuthorizationNone:
		cfg.Parameters[authorizationParameter] = authorization
	default:
		env.Faultf("AUTH", "want %s, %s, %s or %s", template.AuthorizationIAM, template.AuthorizationCognito,
			template.AuthorizationAPIKey, template.AuthorizationNone)
	}
	if u, err := url.Parse(cfg.DynamoDBEndpoint); cfg.DynamoDBEndpoint != "" && (err != nil || u.Host == "" || u.Scheme == "") {
		env.Faultf("DYNAMODB_ENDPOINT", "want a URL such as http://127.0.0.1:8000")
	}
	if cfg.Reset && cfg.DynamoDBEndpoint != "" {
		env.Faultf("RESET", "want it unset with DYNAMODB_ENDPOINT, as it deletes only the local stack's own data")
	}
	return cfg, env.Err()
}

// eventLog writes the log to a file, and to stdout in the form that suits it.
type eventLog struct {
	file  *os.File
	mu    sync.Mutex // keeps lines of the file apart
	shown chan entry
	done  chan struct{} // closed when all was shown
}

// entry is an event of a function's log, or a line of the access log.
type entry struct {
	event  lambda.Event
	access string
	record apigateway.Record
}

// backlog is how many events wait for a stdout that nobody reads; more are in the file alone. The functions must not wait.
const backlog = 10_000

func openLog(path string, stdout *os.File) (*eventLog, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644) //nolint:gosec // a file for the user and their tools
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	log := &eventLog{file: file, shown: make(chan entry, backlog), done: make(chan struct{})}
	show := func(e entry) error { return writeJSON(stdout, e) }
	if term.IsTerminal(int(stdout.Fd())) {
		show = reader{out: stdout, color: os.Getenv("NO_COLOR") == ""}.write
	}
	go func() {
		defer close(log.done)
		for e := range log.shown {
			_ = show(e) // a closed pipe must not stop the functions
		}
	}()
	return log, nil
}

// write takes an event of a function's log.
func (l *eventLog) write(event lambda.Event) { l.take(entry{event: event}) }

// access takes a line of the access log.
func (l *eventLog) access(line string, record apigateway.Record) {
	l.take(entry{access: line, record: record})
}

func (l *eventLog) take(e entry) {
	l.mu.Lock() // so that both places have the lines in the same order
	defer l.mu.Unlock()
	_ = writeJSON(l.file, e) // nor must a full disk
	select {
	case l.shown <- e:
	default:
	}
}

// close returns when all is shown, or when nobody reads it.
func (l *eventLog) close() error {
	close(l.shown)
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	select {
	case <-l.done:
	case <-timer.C:
	}
	return l.file.Close()
}

// seed puts the example user in, as a client would.
func (s *Stack) seed(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/users", bytes.NewReader([]byte(exampleUser)))
	if err != nil {
		return fmt.Errorf("create the example user: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	if err := s.Authorize(req); err != nil {
		return fmt.Errorf("create the example user: %w", err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("create the example user: %w", err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusCreated {
		err = fmt.Errorf("status %d: %s", res.StatusCode, answer)
	}
	if err != nil {
		return fmt.Errorf("create the example user: %w", err)
	}
	return nil
}

// description tells a person where everything is, and what to do first.
func (s *Stack) description() (string, error) {
	lines, err := s.curl()
	if err != nil {
		return "", err
	}
	data := s.Database + ", table " + s.Table
	if s.database != nil {
		data += " (kept in " + filepath.Join(s.cfg.DataDir, "dynamodb") + "; RESET=1 starts clean)"
	}
	return fmt.Sprintf(`
UserRequestAPI is at %s

  %s

  Pages   %s
  Docs    %s_local/docs/
  Traces  %s_local/traces
  Data    %s
  Logs    %s
`, s.URL, strings.Join(lines, "\n  "), s.Console, s.Console, s.Console, data, s.cfg.LogFile), nil
}
