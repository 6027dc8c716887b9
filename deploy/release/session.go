package release

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

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
	functionType = "AWS::Lambda::Function"

	preferenceParameter   = "DeploymentPreference"
	allAtOnce             = "AllAtOnce"
	architectureParameter = "Architecture"

	authorizationParameter = template.AuthorizationParameter

	bucketParameter = "ArtifactBucket" // set by this package, not by the stage's file
)

// session holds the state of a running target.
type session struct {
	Settings
	*stage.Stage
	unpackaged *template.Rendered // the source, with the folders of the functions instead of packages
	bucket     *bucket.Bucket     // nil before openBucket
	builds     string             // the folder of the packages; "" before packages

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
		defer s.close()
		return target(ctx, s)
	})
}

// newSession renders the template, which finds faults before anything is built or changed. A deployment renders it
// again when it has the packages, because they are part of the IDs of versions.
func newSession(settings Settings, loaded *stage.Stage, target string) (_ *session, err error) {
	s := &session{Settings: settings, Stage: loaded, target: target}
	if !slices.Contains([]string{"", planTarget, rollbackTarget}, target) { // a second rollback would go back further
		s.Resume = func() string { return s.retryCommand() + " waits for it and continues" }
	}
	s.unpackaged, err = s.Source.Render(template.Options{Parameters: s.parameters()})
	return s, exitcode.With(exitcode.Settings, err)
}

// openBucket sets the bucket of packages and templates, which need not exist.
func (s *session) openBucket(ctx context.Context) (err error) {
	s.bucket, err = bucket.Open(ctx, s.Account, s.Source.Contract().Name())
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

// functions returns the functions of the template, sorted by logical ID.
func (s *session) functions() ([]template.Function, error) {
	resources, err := s.unpackaged.Resolve(template.PseudoParameters{StackName: s.StackName()})
	if err != nil {
		return nil, err
	}
	return resources.Functions(), nil
}

// allPackages builds and packages all functions of the template.
func (s *session) allPackages(ctx context.Context) (map[string]build.Package, error) {
	functions, err := s.functions()
	if err != nil {
		return nil, err
	}
	// One parameter sets the architecture of all functions.
	return s.packages(ctx, build.FromTemplate(functions), functions[0].Architecture)
}

// packages builds and packages functions for an architecture, and returns the packages by logical ID.
func (s *session) packages(
	ctx context.Context, functions []build.Module, architecture string,
) (map[string]build.Package, error) {
	target, err := build.Lambda(architecture)
	if err != nil {
		return nil, err
	}
	if s.builds, err = os.MkdirTemp("", "functions-build-"); err != nil {
		return nil, fmt.Errorf("build: %w; set TMPDIR to a writable folder (now %s)", err, os.TempDir())
	}
	s.Printer.Stepf("Building %s for %s", names(functions), target)
	executables, err := build.Functions(ctx, functions, build.Options{Root: s.Root, Out: s.builds, Target: target})
	if err != nil {
		return nil, err
	}
	packed := make([]build.Package, len(executables))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, executable := range executables {
		group.Go(func() (err error) {
			packed[i], err = build.PackageFunction(executable)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	packages := map[string]build.Package{}
	for i, p := range packed {
		packages[functions[i].LogicalID] = p
		s.Printer.Notef("%s: %.1f MB, %.12s", p.Name, float64(p.Size)/1e6, p.SHA256)
	}
	return packages, nil
}

// names joins the names of functions with commas.
func names(functions []build.Module) string {
	var names []string
	for _, f := range functions {
		names = append(names, f.Name)
	}
	return strings.Join(names, ", ")
}

// close deletes the packages.
func (s *session) close() { _ = os.RemoveAll(s.builds) }

// upload uploads the packages that the bucket does not have.
func (s *session) upload(ctx context.Context, packages map[string]build.Package) error {
	s.Printer.Stepf("Uploading to the bucket %s", s.bucket.Name())
	created, err := s.bucket.Ensure(ctx)
	if err != nil {
		return err
	}
	if created {
		s.Printer.Notef("created the bucket")
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
		state := "unchanged"
		if uploaded {
			state = "uploaded"
		}
		s.Printer.Notef("%s is %s", p.Name, state)
	}
	return nil
}

// waitForStack waits for the stack or cleans it up until it can be updated, and returns it, or nil if there is none.
func (s *session) waitForStack(ctx context.Context) (*stage.Release, error) {
	if _, err := s.Release(ctx); err != nil { // fails for a foreign stack
		return nil, err
	}
	stop := s.Printer.Watch(nil, nil)
	err := s.Stack.Prepare(ctx, func(step string) { s.Printer.Notef("%s", step) })
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
		add(len(s.ReplaceTables) > 0, replaceTableSetting, strings.Join(s.ReplaceTables, ","))
	case destroyTarget:
		add(len(s.DeleteTables) > 0, deleteTableSetting, strings.Join(s.DeleteTables, ","))
	default:
		add(s.AtOnce, atOnceSetting, "1")
		add(len(s.ReplaceTables) > 0, replaceTableSetting, strings.Join(s.ReplaceTables, ","))
	}
	return s.Command(s.target, settings...)
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
