package guides_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/host/process"
)

// stopTimeout limits how long the program in a terminal may take to end.
const stopTimeout = time.Minute

// terminal is a bash process into which lines are pasted.
type terminal struct {
	process *process.Process
	input   io.WriteCloser
	screen  *screen
	prompts int
}

// screen is the output so far.
type screen struct {
	mu      sync.Mutex
	printed bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.printed.Write(p)
}

func (s *screen) from(start int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.printed.Bytes()[start:])
}

// logLines matches the many lines of the stack's log.
var logLines = regexp.MustCompile(`(?m)^\{"(time|level|requestId)".*\n`)

// open opens a terminal in a folder. Its environment is that of this process, without the variables that would change
// what a new user sees, and with the given variables.
func open(t *testing.T, dir string, variables ...string) *terminal {
	t.Helper()
	cmd := exec.Command("bash", "--noprofile", "--norc", "-s")
	cmd.Dir = dir
	for _, variable := range os.Environ() {
		switch name, _, _ := strings.Cut(variable, "="); name {
		case testenv.EndpointVariable, testenv.SummaryVariable, testenv.AllVariable, testenv.FunctionsVariable, "STAGE", "AUTH",
			"DATA_DIR", "GOWORK", "GOFLAGS", "PWD", "OLDPWD", "CI", "SHORT", "ONLY", "FUZZTIME", "RESET", "WATCH", "CONCURRENCY", "LOG",
			"SCHEMATHESIS_SEED", "AWS_XRAY_DAEMON_ADDRESS", "OUT":
		default:
			cmd.Env = append(cmd.Env, variable)
		}
	}
	// The stack uses a free port and opens no browser. The magefile is compiled into a separate folder, because it may be
	// running this test.
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, ".curlrc"), []byte("no-progress-meter\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(cmd.Env, "PORT=0", "BROWSER=none", "NO_COLOR=1", "CURL_HOME="+home, "MAGEFILE_CACHE="+home)
	cmd.Env = append(cmd.Env, variables...)
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	shown := &screen{}
	cmd.Stdout, cmd.Stderr = shown, shown
	running, err := process.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	terminal := &terminal{process: running, input: input, screen: shown}
	t.Cleanup(func() {
		_ = input.Close()
		_ = running.Stop(stopTimeout)
		if t.Failed() {
			t.Logf("output of the terminal:\n%s", logLines.ReplaceAllString(shown.from(0), ""))
		}
	})
	terminal.paste(t, `set -o pipefail; trap 'failed="$BASH_COMMAND"' ERR; trap : INT`)
	return terminal
}

// paste pastes lines and returns their output when the last one has ended. The test fails if a command does.
func (c *terminal) paste(t *testing.T, lines string) string {
	t.Helper()
	pasted := c.begin(t, lines)
	pasted.wait(t)
	return pasted.printed()
}

// pasted is a set of lines that may still run.
type pasted struct {
	terminal *terminal
	lines    string
	start    int    // offset of their output on the screen
	prompt   string // printed after they have ended
}

const endOfPrompt = "\x02"

// begin pastes lines without waiting.
func (c *terminal) begin(t *testing.T, lines string) pasted {
	t.Helper()
	c.prompts++
	p := pasted{c, lines, len(c.screen.from(0)), fmt.Sprintf("\x01prompt %d ", c.prompts)}
	_, err := fmt.Fprintf(
		c.input,
		"%s\nprintf '\\x01prompt %d %%s\\x02' \"$failed\"; failed=\n",
		strings.TrimSuffix(lines, "\n"),
		c.prompts,
	)
	if err != nil {
		t.Fatalf("paste %q: %v", lines, err)
	}
	return p
}

// printed returns the output of the lines so far.
func (p pasted) printed() string {
	output, _, _ := strings.Cut(p.terminal.screen.from(p.start), p.prompt)
	return output
}

// ended reports whether all lines have ended, and returns the last one that failed, or "".
func (p pasted) ended() (failed string, ended bool) {
	_, failed, _ = strings.Cut(p.terminal.screen.from(p.start), p.prompt)
	return strings.CutSuffix(failed, endOfPrompt)
}

// wait waits until all lines have ended.
func (p pasted) wait(t *testing.T) {
	t.Helper()
	p.until(t, func() bool { return false })
	if failed, _ := p.ended(); failed != "" {
		t.Fatalf("want no failed command, got\n%s\nOutput:\n%s", failed, p.printed())
	}
}

// until waits until done returns true or the lines have ended.
func (p pasted) until(t *testing.T, done func() bool) {
	t.Helper()
	testenv.Eventually(t, "the end of:\n"+p.lines, func() bool {
		select {
		case <-p.terminal.process.Done():
			t.Fatalf("want the terminal to run on, but it ended during:\n%s", p.lines)
		default:
		}
		_, ended := p.ended()
		return ended || done()
	})
}

// interrupt presses Ctrl-C, which ends programs but not the shell.
func (c *terminal) interrupt(t *testing.T) {
	t.Helper()
	if err := c.process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
}

// elision marks parts of the output in a page that differ each time.
const elision = "…"

// shows reports whether the output is the one in a page, except for elisions and surrounding whitespace.
func shows(shown, printed string) bool {
	var pattern strings.Builder
	pattern.WriteString(`(?s)^\s*`)
	for i, part := range strings.Split(strings.TrimSpace(shown), elision) {
		if i > 0 {
			pattern.WriteString(".*?")
		}
		pattern.WriteString(regexp.QuoteMeta(part))
	}
	pattern.WriteString(`\s*$`)
	return regexp.MustCompile(pattern.String()).MatchString(strings.ReplaceAll(printed, "\r\n", "\n"))
}
