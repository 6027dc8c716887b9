package stage

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/userrequestapi/userdata/deploy/host/command"
	"github.com/userrequestapi/userdata/deploy/host/environment"
	"github.com/userrequestapi/userdata/deploy/release/exitcode"
	"github.com/userrequestapi/userdata/deploy/release/progress"
)

const defaultStage = "prod"

// Settings select a stage and configure how targets access it and report progress. The environment variables and files
// of the AWS SDK, such as AWS_REGION, AWS_PROFILE and AWS_ENDPOINT_URL, apply too.
type Settings struct {
	Root  string // the workspace
	Stage string // the name of a file in deploy/stages, without .yaml
	// Poll is the polling interval; 0 means 2 s.
	Poll time.Duration

	CallsFile string // file to which the name of each AWS call is appended; "" disables it

	Line    command.Line // formats the commands in messages
	Printer *progress.Printer
	// Endpoint replaces the endpoints of AWS; the default is AWS_ENDPOINT_URL.
	Endpoint string
	// Ask is nil if there is no terminal.
	Ask AskFunc
}

// AskFunc asks the user a question and returns the reply. It returns the cause of ctx as soon as ctx ends.
type AskFunc func(ctx context.Context, question string) (string, error)

// FromEnvironment reads the settings from environment variables: STAGE, JSON, POLL, AWS_CALLS and NO_COLOR, and those
// that select the account for the commands in messages. Progress is printed to out, as are errors with JSON=1. The
// caller reads its own variables with the reader, and then calls [Settings.Check].
func FromEnvironment(root string, out *os.File, getenv func(string) string) (Settings, *environment.Reader) {
	variables := environment.New(getenv)
	s := Settings{
		Root:      root,
		Stage:     cmp.Or(getenv("STAGE"), defaultStage),
		Poll:      variables.Duration("POLL", 0),
		CallsFile: getenv("AWS_CALLS"),
		Line:      command.New(getenv),
		Printer:   progress.Open(out, variables.Flag("JSON", false), getenv),
	}
	if term.IsTerminal(int(os.Stdin.Fd())) {
		s.Ask = ask(os.Stdin, os.Stderr)
	}
	return s, variables
}

// ask returns a function that prints a question and reads the line that follows. The read itself cannot be interrupted.
func ask(in io.Reader, out io.Writer) AskFunc {
	return func(ctx context.Context, question string) (string, error) {
		_, _ = fmt.Fprint(out, question)
		type reply struct {
			line string
			err  error
		}
		replies := make(chan reply, 1)
		go func() {
			line, err := bufio.NewReader(in).ReadString('\n')
			replies <- reply{line, err}
		}()
		select {
		case r := <-replies:
			if r.err != nil {
				return "", exitcode.With(exitcode.Refused, fmt.Errorf("read the reply: %w", r.err))
			}
			return strings.TrimSpace(r.line), nil
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
}

// Check returns the faults in variables as an error, and prints it as JSON if the settings say so.
func (s Settings) Check(variables *environment.Reader) error {
	err := variables.Err()
	if err != nil {
		s.Printer.Error(exitcode.Settings, err)
	}
	return exitcode.With(exitcode.Settings, err)
}
