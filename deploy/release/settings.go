// Package release deploys stages of the API to AWS and manages them there. Each function that takes [Settings]
// implements one target of mage.
package release

import (
	"bufio"
	"cmp"
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
	"github.com/userrequestapi/userdata/deploy/host/program"
	"github.com/userrequestapi/userdata/deploy/release/exitcode"
	"github.com/userrequestapi/userdata/deploy/release/progress"
)

const defaultStage = "prod"

// CommonSettings select a stage and configure how targets access it and report progress. The environment variables and
// files of the AWS SDK, such as AWS_REGION, AWS_PROFILE and AWS_ENDPOINT_URL, apply too.
type CommonSettings struct {
	Root  string // the workspace
	Stage string // the name of a file in deploy/stages, without .yaml
	// Poll is the polling interval; 0 means 2 s.
	Poll time.Duration

	CallsFile string // file to which the name of each AWS call is appended; "" disables it

	Line    command.Line // writes the commands in messages
	Printer *progress.Printer
	// Endpoint replaces the endpoints of AWS; the default is AWS_ENDPOINT_URL.
	Endpoint string
	// Ask asks the user a question; nil if there is no terminal.
	Ask func(question string) (string, error)
}

// Settings configure a target.
type Settings struct {
	CommonSettings

	Smoke bool // whether to run the smoke test after a deployment
	Drift bool // whether to detect drift, which takes a while
	// RevertDrift is whether [Deploy] also reverts drift.
	RevertDrift bool

	// InvokeURL is the URL of the stage, with the placeholders {ApiId} and {StageName}, for emulators that serve APIs at
	// other addresses than AWS. The default is the stack's output InvokeURL.
	InvokeURL string
	// Token is the ID token with which the smoke test authenticates to a user pool.
	Token string

	AtOnce bool // whether new code takes all traffic at once, whatever the stage's DeploymentPreference

	ReplaceTable string // the name of the table that may be replaced or removed from the stack
	DeleteTable  string // the name of the table that [Destroy] deletes with all its users
	Confirm      string // the stage's name, for which [Destroy] asks otherwise

	// Port is the port on 127.0.0.1 where [Docs] serves the reference; 0 selects a free one. If Serve is false, Docs only
	// writes the documents.
	Port  int
	Serve bool
	// Browse opens a URL in a browser and returns when ctx ends at the latest. nil opens none.
	Browse func(ctx context.Context, url string) error
}

// FromEnvironment reads the settings of a target from environment variables: STAGE, JSON, SMOKE, DRIFT, REVERT_DRIFT,
// AT_ONCE, INVOKE_URL, TOKEN, REPLACE_TABLE, DELETE_TABLE, CONFIRM, PORT, POLL, SERVE, BROWSER, AWS_CALLS and NO_COLOR,
// and those that select the account for the commands in messages. Progress is printed to out, as are errors with
// JSON=1. A browser is opened only if out is a terminal, and not with BROWSER=none or JSON=1.
func FromEnvironment(root string, out *os.File, getenv func(string) string) (Settings, error) {
	s := Settings{
		CommonSettings: CommonSettings{
			Root:      root,
			Stage:     cmp.Or(getenv("STAGE"), defaultStage),
			CallsFile: getenv("AWS_CALLS"),
			Line:      command.New(getenv),
		},
		InvokeURL:    getenv("INVOKE_URL"),
		Token:        getenv("TOKEN"),
		ReplaceTable: getenv("REPLACE_TABLE"),
		DeleteTable:  getenv("DELETE_TABLE"),
		Confirm:      getenv("CONFIRM"),
	}
	variables := environment.New(getenv)
	s.Smoke = variables.Flag("SMOKE", true)
	s.Drift = variables.Flag("DRIFT", true)
	s.RevertDrift = variables.Flag("REVERT_DRIFT", false)
	s.AtOnce = variables.Flag("AT_ONCE", false)
	s.Serve = variables.Flag("SERVE", true)
	s.Port = variables.Number("PORT", 0, 0, 65535)
	s.Poll = variables.Duration("POLL", 0)
	asJSON := variables.Flag("JSON", false)
	if term.IsTerminal(int(out.Fd())) && getenv("BROWSER") != "none" && !asJSON {
		s.Browse = browse
	}
	s.Printer = progress.Open(out, asJSON, getenv)
	if term.IsTerminal(int(os.Stdin.Fd())) {
		s.Ask = ask(os.Stdin, os.Stderr)
	}
	if err := variables.Err(); err != nil {
		s.Printer.Error(exitcode.Settings, err)
		return Settings{}, exitcode.With(exitcode.Settings, err)
	}
	return s, nil
}

// browse opens a URL in the user's browser. A browser that runs in the foreground is not closed when ctx ends.
func browse(ctx context.Context, url string) error {
	browser.Stdout = os.Stderr // stdout is for results
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
		_, _ = fmt.Fprint(out, question)
		line, err := bufio.NewReader(in).ReadString('\n')
		if err != nil {
			return "", fmt.Errorf("read the reply: %w", err)
		}
		return strings.TrimSpace(line), nil
	}
}

// run opens the stage and runs a target. name is its command, such as "deployFunction get"; "" for a target that
// changes nothing. It returns the error with the exit code.
func run(ctx context.Context, settings Settings, name string, target func(context.Context, *session) error) error {
	s, err := open(ctx, settings)
	if err == nil {
		s.target = name
		err = target(ctx, s)
	}
	if coded, ok := errors.AsType[*exitcode.Error](err); ok && coded.Code == exitcode.Settings && s != nil && s.changed.Load() {
		err = &exitcode.Error{Code: exitcode.Failed, Err: err} // Settings promises that nothing was changed
	}
	return finish(ctx, settings, err)
}

// finish returns err with its exit code as the outermost error, because mage looks at no other. It also prints the
// error as JSON if the settings say so.
func finish(ctx context.Context, settings Settings, err error) error {
	if err == nil {
		return nil
	}
	err = program.ExplainDiskFull(err)
	result := &exitcode.Error{Code: exitcode.Failed, Err: err}
	coded, ok := errors.AsType[*exitcode.Error](err)
	switch {
	case ctx.Err() != nil:
		result.Code = exitcode.Interrupted
	case ok:
		result.Code = coded.Code
	case slices.Contains(accountKinds(), awserrors.KindOf(err)), unauthorized(err):
		result.Code = exitcode.Account
	}
	settings.Printer.Error(result.Code, err)
	return result
}

// unauthorized reports whether CloudFormation failed because a permission is missing.
func unauthorized(err error) bool {
	failure, ok := errors.AsType[*changeset.Failure](err)
	return ok && failure.Unauthorized()
}

// accountKinds returns the kinds of errors that other credentials or permissions can fix.
func accountKinds() []awserrors.Kind {
	return []awserrors.Kind{
		awserrors.NoCredentials, awserrors.Expired, awserrors.Invalid, awserrors.Clock, awserrors.Denied, awserrors.Region,
	}
}
