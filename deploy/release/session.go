package release

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cftypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"github.com/userrequestapi/userdata/deploy/aws/account"
	"github.com/userrequestapi/userdata/deploy/aws/bucket"
	"github.com/userrequestapi/userdata/deploy/aws/changeset"
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
	accountType  = "AWS::ApiGateway::Account"
	logGroupType = "AWS::Logs::LogGroup"
	functionType = "AWS::Lambda::Function"

	userIDAttribute = "userId" // the key of the table

	preferenceParameter   = "DeploymentPreference"
	allAtOnce             = "AllAtOnce"
	architectureParameter = "Architecture"

	tableParameter         = "ExistingTableName"
	authorizationParameter = "Authorization"

	// Set by this package, not by the stage's file.
	stageNameParameter = "StageName"
	bucketParameter    = "ArtifactBucket"
	logsRoleParameter  = "ApiGatewayLogsRole"
	logsRoleCreate     = "Create"
	logsRoleExisting   = "Existing"
)

// session holds the state of a running target.
type session struct {
	Settings
	stage      stage.Stage
	source     *template.Template
	unpackaged *template.Rendered // the source, with the folders of the functions instead of packages
	account    *account.Account
	stack      *changeset.Stack
	bucket     *bucket.Bucket // nil before openBucket

	target     string      // the running target with its argument; "" for one that changes nothing
	changed    atomic.Bool // whether a call may have changed the account
	roleChoice string      // the value of the parameter ApiGatewayLogsRole; "" if not chosen yet
}

// open reads the stage's settings and the caller's identity, so that errors in either are found before anything
// changes.
func open(ctx context.Context, settings Settings) (*session, error) {
	s := &session{Settings: settings}
	if s.Line.Stage == "" && s.Stage != defaultStage {
		s.Line.Stage = s.Stage
	}
	if err := s.load(); err != nil {
		return nil, exitcode.With(exitcode.Settings, err)
	}
	var err error
	s.account, err = account.Open(ctx, account.Options{
		Region: s.stage.Region, Endpoint: s.Endpoint, Ask: s.Ask, Line: s.Line,
		Waiting: func(text string) { s.Printer.Notef("%s", text) },
	})
	if err != nil {
		return nil, err
	}
	s.Line.Region = s.account.Region
	s.Printer.Stepf(
		"Stage %s in account %s, %s, as %s",
		s.stage.Name,
		s.account.ID,
		s.account.Region,
		stripSession(s.account.ARN),
	)
	if s.account.Endpoint != "" {
		s.Printer.Notef("endpoint %s", s.account.Endpoint)
	}
	if s.stage.Account != "" && s.stage.Account != s.account.ID {
		return nil, exitcode.With(exitcode.Account, fmt.Errorf(
			"stage %s belongs to account %s (deploy/stages/%s.yaml), the credentials to %s: use others, such as AWS_PROFILE",
			s.stage.Name,
			s.stage.Account,
			s.stage.Name,
			s.account.ID,
		))
	}
	if s.stage.Region != "" && s.stage.Region != s.account.Region {
		return nil, exitcode.With(exitcode.Account, fmt.Errorf(
			"stage %s belongs to %s (deploy/stages/%s.yaml), the AWS settings to %s: unset AWS_REGION, or set it to %[2]s",
			s.stage.Name, s.stage.Region, s.stage.Name, s.account.Region))
	}
	if s.CallsFile != "" {
		recordCalls(&s.account.Config, s.CallsFile)
	}
	noteChanges(&s.account.Config, &s.changed)
	s.stack = changeset.New(cloudformation.NewFromConfig(s.account.Config), s.stackName(), changeset.Options{
		Progress: s.Printer.Event, Poll: s.Poll, Line: s.Line, Resume: s.resumeHint,
	})
	return s, nil
}

// openBucket sets the bucket of packages and templates, which need not exist.
func (s *session) openBucket(ctx context.Context) (err error) {
	s.bucket, err = bucket.Open(ctx, s.account)
	return err
}

// stripSession removes the session name from the ARN of an assumed role, because it can be a person's email address.
func stripSession(arn string) string {
	if parts := strings.SplitN(arn, "/", 3); strings.Contains(parts[0], ":assumed-role") && len(parts) == 3 {
		return parts[0] + "/" + parts[1]
	}
	return arn
}

// load reads the template and the stage's file.
func (s *session) load() error {
	files := os.DirFS(filepath.Join(s.Root, "deploy"))
	var err error
	if s.source, err = template.Load(files); err != nil {
		return err
	}
	if s.stage, err = stage.Load(files, s.Stage, s.source.Parameters()); err != nil {
		return err
	}
	if err := s.source.CheckParameters(s.parameters(), s.stage.Place); err != nil {
		return err
	}
	// Finds faults before anything is built or changed. A deployment renders again when it has the packages, because they
	// are part of the IDs of versions.
	s.unpackaged, err = s.source.Render(template.Options{Parameters: s.parameters()})
	return err
}

// parameters returns the template's parameters that do not depend on the account.
func (s *session) parameters() map[string]string {
	parameters := maps.Clone(s.stage.Parameters)
	if parameters == nil {
		parameters = map[string]string{}
	}
	parameters[stageNameParameter] = s.stage.Name
	if s.AtOnce {
		parameters[preferenceParameter] = allAtOnce
	}
	return parameters
}

// stackName returns the name of the stage's stack.
func (s *session) stackName() string {
	if s.stage.Name == defaultStage {
		return "UserRequestAPI"
	}
	return "UserRequestAPI-" + s.stage.Name
}

// functions returns the functions of the template by the names of their folders.
func (s *session) functions() (map[string]template.Function, error) {
	resources, err := s.unpackaged.Resolve(template.PseudoParameters{StackName: s.stackName()})
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
		return nil, nil, fmt.Errorf("build: %w; set TMPDIR to a writable folder (now %s)",
			err, os.TempDir())
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
	executables, err := build.Functions(
		ctx,
		build.FromTemplate(sources),
		build.Options{Root: s.Root, Out: dir, Target: target},
	)
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

// record describes a release. It is stored in the Metadata of the stack's template.
type record struct {
	Number     int               // the first release is 1
	Key        string            // object key of the template
	Previous   string            // object key of the previous release's template; "" for the first release
	Digest     string            // SHA-256 of the template without this record, in hexadecimal
	Source     string            // git describe of the source; "" if unknown
	Parameters map[string]string // of the template
}

func (r record) metadata() map[string]any {
	encoded, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	var metadata map[string]any
	if err := json.Unmarshal(encoded, &metadata); err != nil {
		panic(err)
	}
	return metadata
}

func readRecord(r *template.Rendered) record {
	var result record
	encoded, err := json.Marshal(r.Metadata())
	if err == nil {
		err = json.Unmarshal(encoded, &result)
	}
	if err != nil { // written by something else
		return record{}
	}
	return result
}

// current is the current stack and its release.
type current struct {
	*changeset.Description
	template *template.Rendered // nil if it has none, as during an import
	record   record
}

// serves reports whether the stack has a release that is deployed completely.
func (c *current) serves() bool {
	return c != nil && c.record.Number > 0 && c.Outputs["ApiId"] != ""
}

// changedSince reports whether another deployment has changed the stack, which is now after. If c has only change sets,
// it reports false: CloudFormation accepts only the first of them.
func (c *current) changedSince(after *changeset.Description) bool {
	if c == nil || c.Status == cftypes.StackStatusReviewInProgress {
		return false
	}
	return after.ID != c.ID || !after.Updated.Equal(c.Updated) || after.Status != c.Status
}

// next returns the record of the release after this one.
func (c *current) next(source string) record {
	if c == nil || c.record.Number == 0 { // no stack, or only an imported table
		return record{Number: 1, Source: source}
	}
	return record{Number: c.record.Number + 1, Previous: c.record.Key, Source: source}
}

// waitForStack waits or cleans up until the stack can be updated, and returns it, or nil if there is none.
func (s *session) waitForStack(ctx context.Context) (*current, error) {
	if _, err := s.readStack(ctx); err != nil { // fails for a foreign stack
		return nil, err
	}
	stop := s.Printer.Watch(nil, nil)
	err := s.stack.Settle(ctx, func(text string) { s.Printer.Notef("%s", text) })
	stop()
	if err != nil {
		return nil, err
	}
	return s.readStack(ctx)
}

// readStack returns the current stack, or nil if there is none. It returns an error for a stack that this tool did not
// create.
func (s *session) readStack(ctx context.Context) (*current, error) {
	description, err := s.stack.Describe(ctx)
	if errors.Is(err, changeset.ErrAbsent) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c := &current{Description: description}
	if c.Status == cftypes.StackStatusReviewInProgress { // a change set that was never executed: no resources yet
		return c, nil
	}
	document, err := s.stack.Template(ctx)
	if err != nil {
		return nil, err
	}
	if len(document) == 0 {
		return c, nil
	}
	if c.template, err = template.Open(document, description.Parameters); err != nil || c.template.Metadata() == nil {
		return nil, exitcode.With(exitcode.Settings, fmt.Errorf("the stack %s in account %s, %s, was not created by this tool: "+
			"delete it, rename it, or choose another stage", s.stackName(), s.account.ID, s.account.Region))
	}
	c.record = readRecord(c.template)
	return c, nil
}

// errNotDeployed means that the stage has no deployed release.
var errNotDeployed = errors.New("is not deployed")

// deployed returns the current stack of a deployed stage. The error wraps [errNotDeployed] if the stage is not
// deployed.
func (s *session) deployed(ctx context.Context) (*current, error) {
	c, err := s.readStack(ctx)
	if err == nil && !c.serves() {
		err = s.notDeployed(c)
	}
	return c, err
}

// notDeployed returns the error for a stage that is not deployed. c is its current stack, or nil if there is none.
func (s *session) notDeployed(c *current) error {
	status := "there is no stack " + s.stackName()
	if c != nil {
		status = fmt.Sprintf("its stack is in %s", c.Status)
	}
	return exitcode.With(exitcode.Settings, fmt.Errorf("stage %s %w in account %s, %s (%s): deploy it with %s",
		s.stage.Name, errNotDeployed, s.account.ID, s.account.Region, status, s.command(deployTarget)))
}

// resources returns the stack's resources without those that are deleted or not created yet.
func (s *session) resources(ctx context.Context) ([]changeset.Resource, error) {
	resources, err := s.stack.Resources(ctx)
	return slices.DeleteFunc(resources, func(r changeset.Resource) bool {
		return r.Status == cftypes.ResourceStatusDeleteComplete || r.PhysicalID == ""
	}), err
}

// command returns the command for a target on this stage. settings, each NAME=value, apply to this command only.
func (s *session) command(target string, settings ...string) string {
	return s.Line.Mage(target, settings...)
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
	return s.command(s.target, settings...)
}

// resumeHint says what to run after the running target was interrupted. A second rollback would go back one more
// release.
func (s *session) resumeHint() string {
	switch s.target {
	case "", planTarget, rollbackTarget:
		return s.command("status") + " shows the outcome"
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
