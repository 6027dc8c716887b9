// Package stage finds the stage that a target of mage works on: its file, its account, its stack and its release.
package stage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cftypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"github.com/userrequestapi/userdata/deploy/aws/account"
	"github.com/userrequestapi/userdata/deploy/aws/changeset"
	awserrors "github.com/userrequestapi/userdata/deploy/aws/errors"
	"github.com/userrequestapi/userdata/deploy/contract"
	"github.com/userrequestapi/userdata/deploy/host/command"
	"github.com/userrequestapi/userdata/deploy/host/program"
	"github.com/userrequestapi/userdata/deploy/release/exitcode"
	"github.com/userrequestapi/userdata/deploy/template"
)

// Stage is a stage of the API and the account to which it is deployed, if it is.
type Stage struct {
	File
	Source  *template.Template
	Account *account.Account // nil before Open
	Stack   *changeset.Stack // nil before Open
	Line    command.Line     // formats the commands in messages
	Resume  func() string    // see [changeset.Options]

	settings Settings
	changed  atomic.Bool // whether a call may have changed the account
}

// Run opens the stage and calls do. It returns the error with its exit code.
func Run(ctx context.Context, settings Settings, do func(context.Context, *Stage) error) error {
	s, err := Load(settings)
	if err == nil {
		err = s.Open(ctx)
	}
	if err == nil {
		err = do(ctx, s)
	}
	if coded, ok := errors.AsType[*exitcode.Error](err); ok && coded.Code == exitcode.Settings && s.changed.Load() {
		err = &exitcode.Error{Code: exitcode.Failed, Err: err} // Settings promises that nothing was changed
	}
	return Finish(ctx, settings, err)
}

// Finish returns err with its exit code as the outermost error, because mage looks at no other. It also prints the
// error as JSON if the settings say so.
func Finish(ctx context.Context, settings Settings, err error) error {
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

// Load reads the template and the file of the stage. It needs no account.
func Load(settings Settings) (*Stage, error) {
	s := &Stage{settings: settings, Line: settings.Line}
	s.Resume = func() string { return s.Command("status") + " shows the outcome" }
	if s.Line.Stage == "" && settings.Stage != defaultStage {
		s.Line.Stage = settings.Stage
	}
	files := os.DirFS(filepath.Join(settings.Root, "deploy"))
	var err error
	if s.Source, err = template.Load(files); err == nil {
		err = checkName(s.Source.Contract().Name())
	}
	if err == nil {
		s.File, err = ReadFile(files, settings.Stage, s.Source.Parameters())
	}
	if err == nil {
		err = s.Source.CheckParameters(s.Parameters, s.Place)
	}
	return s, exitcode.With(exitcode.Settings, err)
}

// apiName matches the names of APIs that can begin the names of a stack ("CreateStack", CloudFormation API Reference)
// and, with account and Region, of a bucket, which has at most 63 characters.
var apiName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,21}$`)

func checkName(name string) error {
	if !apiName.MatchString(name) {
		return fmt.Errorf("deploy/%s: info.title: want a letter and up to 21 letters, digits and hyphens, got %q: "+
			"the stack and the bucket of packages are named after it", contract.File, name)
	}
	return nil
}

// Open finds out who the caller is, and returns an error if the stage belongs to another account or Region.
func (s *Stage) Open(ctx context.Context) error {
	printer := s.settings.Printer
	opened, err := account.Open(ctx, account.Options{
		Region: s.Region, Endpoint: s.settings.Endpoint, Ask: s.settings.Ask, Line: s.Line,
		Waiting: func(message string) { printer.Notef("%s", message) },
	})
	if err != nil {
		return err
	}
	s.Account, s.Line.Region = opened, opened.Region
	printer.Stepf("Stage %s in account %s, %s, as %s", s.Name, opened.ID, opened.Region, stripSession(opened.ARN))
	if opened.Endpoint != "" {
		printer.Notef("endpoint %s", opened.Endpoint)
	}
	if s.File.Account != "" && s.File.Account != opened.ID {
		return exitcode.Errorf(exitcode.Account, "stage %[1]s belongs to account %[2]s (deploy/stages/%[1]s.yaml), "+
			"the credentials to %[3]s: use other credentials, for example with AWS_PROFILE", s.Name, s.File.Account, opened.ID)
	}
	if s.Region != "" && s.Region != opened.Region {
		return exitcode.Errorf(exitcode.Account, "stage %[1]s belongs to %[2]s (deploy/stages/%[1]s.yaml), "+
			"the AWS settings to %[3]s: unset AWS_REGION, or set it to %[2]s", s.Name, s.Region, opened.Region)
	}
	if s.settings.CallsFile != "" {
		recordCalls(&opened.Config, s.settings.CallsFile)
	}
	noteChanges(&opened.Config, &s.changed)
	s.Stack = changeset.New(cloudformation.NewFromConfig(opened.Config), s.StackName(), changeset.Options{
		Progress: printer.Event, Poll: s.settings.Poll, Line: s.Line, Resume: func() string { return s.Resume() },
	})
	return nil
}

// stripSession removes the session name from the ARN of an assumed role, because it can be a person's email address.
func stripSession(arn string) string {
	if parts := strings.SplitN(arn, "/", 3); strings.Contains(parts[0], ":assumed-role") && len(parts) == 3 {
		return parts[0] + "/" + parts[1]
	}
	return arn
}

// StackName returns the name of the stage's stack, the prefix of the names of its resources.
func (s *Stage) StackName() string {
	name := s.Source.Contract().Name()
	if s.Name == defaultStage {
		return name
	}
	return name + "-" + s.Name
}

// Command returns the command for a target on this stage. settings, each NAME=value, apply to this command only.
func (s *Stage) Command(target string, settings ...string) string {
	return s.Line.Mage(target, settings...)
}

// RepairCommand returns the command that reverts what was changed outside of a deployment.
func (s *Stage) RepairCommand() string { return s.Command("deploy", "REVERT_DRIFT=1") }

// Resources returns the stack's resources without those that are deleted or not created yet.
func (s *Stage) Resources(ctx context.Context) ([]changeset.Resource, error) {
	resources, err := s.Stack.Resources(ctx)
	return slices.DeleteFunc(resources, func(r changeset.Resource) bool {
		return r.Status == cftypes.ResourceStatusDeleteComplete || r.PhysicalID == ""
	}), err
}
