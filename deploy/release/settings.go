// Package release takes a stage of the API from its source to AWS, and looks after it there: each of mage's targets for that
// is one function of it.
package release

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/cli/browser"
	"golang.org/x/term"

	"github.com/userrequestapi/userdata/deploy/aws/changeset"
	awserrors "github.com/userrequestapi/userdata/deploy/aws/errors"
	"github.com/userrequestapi/userdata/deploy/host/command"
	"github.com/userrequestapi/userdata/deploy/host/environment"
	"github.com/userrequestapi/userdata/deploy/release/progress"
)

const defaultStage = "prod"

// Settings say what to work on, and how. AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL and whatever else the AWS SDK heeds
// apply too.
type Settings struct {
	Root  string // the workspace
	Stage string // deploy/stages has its parameters

	Smoke bool // whether to try the stage out after a deployment
	Drift bool // whether to have AWS compare the stage with its template, which takes a while
	// RevertDrift is whether [Deploy] also undoes what was changed by other means than a deployment.
	RevertDrift bool

	// InvokeURL is where the stage answers, with {ApiId} and {StageName} in it: for emulators, which serve APIs at other
	// addresses than AWS. Empty: the stack's output tells.
	InvokeURL string
	// Token is what the smoke test authenticates with where a user pool does it.
	Token string

	AtOnce bool // whether new code takes over at once, whatever the stage's DeploymentPreference is
	// Poll is the polling interval; 0 means 2 s.
	Poll time.Duration

	ReplaceTable string // the name of the table that may be replaced or taken out of the stack
	DeleteTable  string // the name of the table that [Destroy] deletes with all users in it
	Confirm      string // the stage's name, which [Destroy] would ask for otherwise

	// Port is where [Docs] serves the reference, on 127.0.0.1; 0 takes a free one. Serve is false where it only writes the documents.
	Port  int
	Serve bool
	// Browse opens an address in a browser, until ctx ends at the latest; nil: nobody looks.
	Browse func(ctx context.Context, url string) error

	CallsFile string // gets the name of each call to AWS; empty: none does

	Line    command.Line // writes the commands in messages
	Printer *progress.Printer
	// Endpoint is called instead of AWS's own; empty: AWS_ENDPOINT_URL, if that is set.
	Endpoint string
	// Ask asks a person; nil where there is none.
	Ask func(question string) (string, error)
}

// FromEnvironment reads the settings of a target from environment variables: STAGE, JSON, SMOKE, DRIFT, REVERT_DRIFT,
// AT_ONCE, INVOKE_URL, TOKEN, REPLACE_TABLE, DELETE_TABLE, CONFIRM, PORT, POLL, SERVE, BROWSER, AWS_CALLS and NO_COLOR,
// and those that select the account for the commands in messages. Progress is printed to out, an error for programs
// too. A browser is opened only from a terminal, and not with BROWSER=none or JSON.
func FromEnvironment(root string, out *os.File, getenv func(string) string) (Settings, error) {
	s := Settings{
		Root:         root,
		Stage:        defaultStage,
		InvokeURL:    getenv("INVOKE_URL"),
		Token:        getenv("TOKEN"),
		ReplaceTable: getenv("REPLACE_TABLE"),
		DeleteTable:  getenv("DELETE_TABLE"),
		Confirm:      getenv("CONFIRM"),
		CallsFile:    getenv("AWS_CALLS"),
		Line:         command.New(getenv),
	}
	if stage := getenv("STAGE"); stage != "" {
		s.Stage = stage
	}
	variables := environment.New(getenv)
	s.Smoke = variables.Flag("SMOKE", true)
	s.Drift = variables.Flag("DRIFT", true)
	s.RevertDrift = variables.Flag("REVERT_DRIFT", false)
	s.AtOnce = variables.Flag("AT_ONCE", false)
	s.Serve = variables.Flag("SERVE", true)
	s.Port = variables.Number("PORT", 0, 0, 65535)
	s.Poll = variables.Duration("POLL", 0)
	forPrograms := variables.Flag("JSON", false)
	if term.IsTerminal(int(out.Fd())) && getenv("BROWSER") != "none" && !forPrograms {
		s.Browse = browse
	}
	s.Printer = progress.Open(out, forPrograms, getenv)
	if term.IsTerminal(int(os.Stdin.Fd())) {
		s.Ask = ask(os.Stdin, os.Stderr)
	}
	if err := variables.Err(); err != nil {
		s.Printer.Error(CodeSettings, err)
		return Settings{}, WithCode(CodeSettings, err)
	}
	return s, nil
}

// browse opens an address in the user's browser. That may be a program that runs until it is closed: it is left alone when ctx ends.
func browse(ctx context.Context, url string) error {
	browser.Stdout = os.Stderr // stdout is for what was asked for
	opened := make(chan error, 1)
	go func() { opened <- browser.OpenURL(url) }()
	select {
	case err := <-opened:
		return err
	case <-ctx.Done():
		return nil
	}
}

func ask(in io.Reader, out io.Writer) func(string) (string, error) {
	return func(question string) (string, error) {
		_, _ = fmt.Fprint(out, question) // nobody answers what nobody sees
		line, err := bufio.NewReader(in).ReadString('\n')
		if err != nil {
			return "", fmt.Errorf("read the answer: %w", err)
		}
		return strings.TrimSpace(line), nil
	}
}

// The codes that mage exits with, besides 0.
const (
	CodeFailed      = 1   // AWS or the build could not do it; the stage is as it was, or as the message says
	CodeSettings    = 2   // a setting, a parameter or a file is wrong; nothing was done
	CodeAccount     = 3   // credentials, permissions or the region do not allow it
	CodeRefused     = 4   // it could lose data, and was not asked for by name
	CodeInterrupted = 130 // Ctrl-C
)

// Error is an error with the code to exit with.
type Error struct {
	code int
	err  error
}

// Error implements error.
func (e *Error) Error() string { return e.err.Error() }

// Unwrap returns what went wrong.
func (e *Error) Unwrap() error { return e.err }

// ExitStatus is what mage exits with.
func (e *Error) ExitStatus() int { return e.code }

// WithCode gives an error a code, unless it has one.
func WithCode(code int, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	return &Error{code, err}
}

// run opens the stage and carries out a target, which its command names, such as "deployFunction get". It returns the
// error with the code to exit with.
func run(ctx context.Context, settings Settings, name string, target func(context.Context, *session) error) error {
	s, err := open(ctx, settings)
	if err == nil {
		s.target = name
		err = target(ctx, s)
	}
	if coded, ok := errors.AsType[*Error](err); ok && coded.code == CodeSettings && s != nil && s.changed.Load() {
		err = &Error{CodeFailed, err} // CodeSettings promises that nothing was done
	}
	return finish(ctx, settings, err)
}

// finish returns the error of a target with the code to exit with, which must be the outermost: mage reads no other. It
// also prints the error for programs.
func finish(ctx context.Context, settings Settings, err error) error {
	if err == nil {
		return nil
	}
	err = environment.ExplainDiskFull(err)
	result := &Error{CodeFailed, err}
	coded, ok := errors.AsType[*Error](err)
	switch {
	case ctx.Err() != nil:
		result.code = CodeInterrupted
	case ok:
		result.code = coded.code
	case slices.Contains(accountKinds(), awserrors.KindOf(err)), unauthorized(err):
		result.code = CodeAccount
	}
	settings.Printer.Error(result.code, err)
	return result
}

// unauthorized reports whether CloudFormation failed for lack of a permission.
func unauthorized(err error) bool {
	failure, ok := errors.AsType[*changeset.Failure](err)
	return ok && failure.Unauthorized()
}

// accountKinds are the errors that other credentials or permissions would not have.
func accountKinds() []awserrors.Kind {
	return []awserrors.Kind{
		awserrors.NoCredentials, awserrors.Expired, awserrors.Invalid, awserrors.Clock, awserrors.Denied, awserrors.Region,
	}
}
