package release

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/userrequestapi/userdata/deploy/aws/bucket"
	"github.com/userrequestapi/userdata/deploy/build"
	"github.com/userrequestapi/userdata/deploy/release/exitcode"
	"github.com/userrequestapi/userdata/deploy/release/stage"
	"github.com/userrequestapi/userdata/deploy/template"
)

// Targets of mage and settings that messages suggest.
const (
	deployTarget   = "deploy"
	destroyTarget  = "destroy"
	functionTarget = "deployFunction"
	planTarget     = "plan"
	rollbackTarget = "rollback"

	atOnceSetting       = "AT_ONCE"
	revertDriftSetting  = "REVERT_DRIFT"
	replaceTableSetting = "REPLACE_TABLE"
	deleteTableSetting  = "DELETE_TABLE"
	confirmSetting      = "CONFIRM"
)

// Names in the template.
const (
	aliasName    = "live"
	tableType    = "AWS::DynamoDB::Table"
	functionType = "AWS::Lambda::Function"

	userIDAttribute = "userId" // the key of the table

	preferenceParameter   = "DeploymentPreference"
	allAtOnce             = "AllAtOnce"
	architectureParameter = "Architecture"

	tableParameter         = "ExistingTableName"
	authorizationParameter = "Authorization"

	bucketParameter = "ArtifactBucket" // set by this package, not by the stage's file
)

// session holds the state of a running target.
type session struct {
	Settings
	*stage.Stage
	unpackaged *template.Rendered // the source, with the folders of the functions instead of packages
	bucket     *bucket.Bucket     // nil before openBucket

	target     string // the running target with its argument; "" for one that changes nothing
	roleChoice string // the value of the parameter ApiGatewayLogsRole; "" if not chosen yet
}

// run opens the stage and runs a target. name is its command, such as "deployFunction get"; "" for a target that
// changes nothing. It returns the error with the exit code.
func run(ctx context.Context, settings Settings, name string, target func(context.Context, *session) error) error {
	return stage.Run(ctx, settings.Settings, func(ctx context.Context, opened *stage.Stage) error {
		s, err := newSession(settings, opened, name)
		if err != nil {
			return err
		}
		return target(ctx, s)
	})
}

// newSession renders the template, which finds faults before anything is built or changed. A deployment renders it
// again when it has the packages, because they are part of the IDs of versions.
func newSession(settings Settings, loaded *stage.Stage, target string) (_ *session, err error) {
	s := &session{Settings: settings, Stage: loaded, target: target}
	s.Resume = s.resumeHint
	s.unpackaged, err = s.Source.Render(template.Options{Parameters: s.parameters()})
	return s, exitcode.With(exitcode.Settings, err)
}

// openBucket sets the bucket of packages and templates, which need not exist.
func (s *session) openBucket(ctx context.Context) (err error) {
	s.bucket, err = bucket.Open(ctx, s.Account)
	return err
}

// parameters returns the template's parameters that do not depend on the account.
func (s *session) parameters() map[string]string {
	parameters := maps.Clone(s.Parameters)
	if s.AtOnce {
		parameters[preferenceParameter] = allAtOnce
	}
	return parameters
}

// functions returns the functions of the template by the names of their folders.
func (s *session) functions() (map[string]template.Function, error) {
	resources, err := s.unpackaged.Resolve(template.PseudoParameters{StackName: s.StackName()})
	if err != nil {
		return nil, err
	}
	functions := map[string]template.Function{}
	for _, f := range resources.Functions() {
		functions[filepath.Base(f.Source)] = f
	}
	return functions, nil
}

// allPackages builds and packages all functions of the template. The caller calls remove when it is done with the
// packages.
func (s *session) allPackages(ctx context.Context) (_ map[string]build.Package, remove func(), err error) {
	functions, err := s.functions()
	if err != nil {
		return nil, nil, err
	}
	// One parameter sets the architecture of all functions.
	architecture := functions[slices.Min(slices.Collect(maps.Keys(functions)))].Architecture
	return s.packages(ctx, functions, architecture)
}

// packages builds and packages functions for an architecture, and returns the packages by logical ID. The caller calls
// remove when it is done with them.
func (s *session) packages(
	ctx context.Context, functions map[string]template.Function, architecture string,
) (_ map[string]build.Package, remove func(), err error) {
	dir, err := os.MkdirTemp("", "userrequestapi-build-")
	if err != nil {
		return nil, nil, fmt.Errorf("build: %w; set TMPDIR to a writable folder (now %s)", err, os.TempDir())
	}
	clean := func() { _ = os.RemoveAll(dir) }
	defer func() {
		if err != nil {
			clean()
		}
	}()
	names := slices.Sorted(maps.Keys(functions))
	target, err := build.Lambda(architecture)
	if err != nil {
		return nil, nil, err
	}
	var sources []template.Function
	for _, name := range names {
		sources = append(sources, functions[name])
	}
	s.Printer.Stepf("Building %s for %s", strings.Join(names, ", "), target)
	executables, err := build.Functions(ctx, build.FromTemplate(sources),
		build.Options{Root: s.Root, Out: dir, Target: target})
	if err != nil {
		return nil, nil, err
	}
	packages := map[string]build.Package{}
	for _, artifact := range executables {
		p, err := build.PackageFunction(artifact)
		if err != nil {
			return nil, nil, err
		}
		packages[functions[artifact.Name].LogicalID] = p
		s.Printer.Notef("%s: %.1f MB, %.12s", p.Name, float64(p.Size)/1e6, p.SHA256)
	}
	return packages, clean, nil
}

// upload uploads the packages that the bucket does not have.
func (s *session) upload(ctx context.Context, packages map[string]build.Package) error {
	s.Printer.Stepf("Uploading to the bucket %s", s.bucket.Name())
	created, err := s.bucket.Ensure(ctx)
	if err != nil {
		return err
	}
	if created {
		s.Printer.Notef("the bucket is created")
	}
	for _, id := range slices.Sorted(maps.Keys(packages)) {
		p := packages[id]
		content, err := os.ReadFile(p.Path)
		if err != nil {
			return fmt.Errorf("upload %s: %w", p.Name, err)
		}
		uploaded, err := s.bucket.Upload(ctx, p.Key, content)
		if err != nil {
			return err
		}
		if uploaded {
			s.Printer.Notef("%s is uploaded", p.Name)
		} else {
			s.Printer.Notef("%s is unchanged", p.Name)
		}
	}
	return nil
}

// waitForStack waits or cleans up until the stack can be updated, and returns it, or nil if there is none.
func (s *session) waitForStack(ctx context.Context) (*stage.Release, error) {
	if _, err := s.Release(ctx); err != nil { // fails for a foreign stack
		return nil, err
	}
	stop := s.Printer.Watch(nil, nil)
	err := s.Stack.Settle(ctx, func(text string) { s.Printer.Notef("%s", text) })
	stop()
	if err != nil {
		return nil, err
	}
	return s.Release(ctx)
}

// retryCommand returns the command for the running target with its current settings and further ones.
func (s *session) retryCommand(settings ...string) string {
	add := func(given bool, name, value string) {
		isNamed := func(setting string) bool { return strings.HasPrefix(setting, name+"=") }
		if given && !slices.ContainsFunc(settings, isNamed) {
			settings = append(settings, name+"="+value)
		}
	}
	switch s.target {
	case deployTarget:
		add(s.AtOnce, atOnceSetting, "1")
		add(s.RevertDrift, revertDriftSetting, "1")
		add(!s.Smoke, "SMOKE", "0")
		add(!s.Drift, "DRIFT", "0")
		add(s.ReplaceTable != "", replaceTableSetting, s.ReplaceTable)
	case destroyTarget:
		add(s.DeleteTable != "", deleteTableSetting, s.DeleteTable)
	default:
		add(s.AtOnce, atOnceSetting, "1")
		add(s.ReplaceTable != "", replaceTableSetting, s.ReplaceTable)
	}
	return s.Command(s.target, settings...)
}

// resumeHint says what to run after the running target was interrupted. A second rollback would go back one more
// release.
func (s *session) resumeHint() string {
	switch s.target {
	case "", planTarget, rollbackTarget:
		return s.Command("status") + " shows the outcome"
	default:
		return s.retryCommand() + " waits for it and continues"
	}
}

// commit returns git describe of the source, or "" if git fails.
func (s *session) commit(ctx context.Context) string {
	cmd := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--tags")
	cmd.Dir = s.Root
	output, err := cmd.Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(output))
}
