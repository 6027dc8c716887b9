package release

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/userrequestapi/userdata/deploy/aws/changeset"
	"github.com/userrequestapi/userdata/deploy/build"
	"github.com/userrequestapi/userdata/deploy/release/exitcode"
	"github.com/userrequestapi/userdata/deploy/release/smoke"
	"github.com/userrequestapi/userdata/deploy/release/stage"
	"github.com/userrequestapi/userdata/deploy/template"
)

// Plan shows what [Deploy] would change. It does not change the stage, but stores the template in the bucket, which it
// creates if necessary.
func Plan(ctx context.Context, settings Settings) error {
	return run(ctx, settings, planTarget, plan)
}

func plan(ctx context.Context, s *session) error {
	now, err := s.Release(ctx)
	if err != nil {
		return err
	}
	if err := s.openBucket(ctx); err != nil {
		return err
	}
	packages, err := s.allPackages(ctx)
	if err != nil {
		return err
	}
	rendered, err := s.render(ctx, now, packages)
	if err != nil {
		return err
	}
	s.Printer.Stepf("Changes to the stack %s", s.StackName())
	if !now.Serves() { // nothing to compare with
		all, err := s.planNewStack(ctx, rendered)
		if err != nil {
			return err
		}
		s.Printer.Plan(all)
		return s.printFixed(nil, rendered)
	}
	if now.InProgress() {
		return fmt.Errorf("a deployment is under way (%s): wait for it with %s, or plan again when it has ended",
			now.Status, s.Command(deployTarget))
	}
	next := nextRecord(now, "")
	next.Key = "plans/" + s.StackName() + ".json"
	if err := s.setRecord(rendered, next); err != nil {
		return err
	}
	if _, err := s.bucket.Ensure(ctx); err != nil {
		return err
	}
	planned, err := s.changeSet(ctx, now, rendered)
	if err != nil {
		return err
	}
	if err := s.markImports(ctx, rendered.NewTables(now.Template), planned); err != nil {
		return errors.Join(err, s.Stack.Discard(ctx, planned))
	}
	s.Printer.Plan(planned)
	if err := s.Stack.Discard(ctx, planned); err != nil {
		return err
	}
	if len(planned.Changes) > 0 {
		return s.printFixed(now.Template, rendered)
	}
	drifts, err := s.findDrift(ctx)
	if len(drifts) > 0 {
		s.Printer.Notef("the stage was changed outside of a deployment:\n%s%s shows how to revert it",
			formatDrift(drifts), s.Command(planTarget, revertDriftSetting+"=1"))
	}
	return err
}

// planNewStack returns the plan for a stack that does not exist.
func (s *session) planNewStack(ctx context.Context, rendered *template.Rendered) (*changeset.Plan, error) {
	resources, err := rendered.Resources()
	if err != nil {
		return nil, err
	}
	plan := &changeset.Plan{New: true}
	for _, id := range slices.Sorted(maps.Keys(resources)) {
		plan.Changes = append(plan.Changes, changeset.Change{Action: "Add", LogicalID: id, Type: resources[id]})
	}
	return plan, s.markImports(ctx, rendered.OwnTables(), plan)
}

// markImports changes the additions of existing tables to imports, because a deployment imports these tables. It
// returns an error for a table that cannot be imported.
func (s *session) markImports(ctx context.Context, tables []template.Table, plan *changeset.Plan) error {
	client := dynamodb.NewFromConfig(s.Account.Config)
	for _, table := range tables {
		found, err := describeTable(ctx, client, table.Name)
		if err == nil && found != nil {
			err = checkTable(table, found)
		}
		if err != nil {
			return err
		}
		for i, change := range plan.Changes {
			if found != nil && change.LogicalID == table.LogicalID && change.Action == "Add" {
				plan.Changes[i].Action = "Import"
			}
		}
	}
	return nil
}

// Function deploys only the code of one function, named by its folder.
func Function(ctx context.Context, settings Settings, name string) error {
	return run(ctx, settings, functionTarget+" "+name, func(ctx context.Context, s *session) error {
		return function(ctx, s, name)
	})
}

func function(ctx context.Context, s *session, name string) error {
	functions, err := s.functions()
	if err != nil {
		return err
	}
	modules := build.FromTemplate(functions)
	i := slices.IndexFunc(modules, func(m build.Module) bool { return m.Name == name })
	if i < 0 {
		return exitcode.Errorf(exitcode.Settings, "there is no function %q: want one of %s", name, names(modules))
	}
	f := functions[i]
	now, err := s.Deployed(ctx)
	if err != nil {
		return err
	}
	if err := s.openBucket(ctx); err != nil {
		return err
	}
	// The source may have changed the architecture since the deployment.
	packages, err := s.packages(ctx, modules[i:i+1], now.Parameters[architectureParameter])
	if err != nil {
		return err
	}
	if err := s.upload(ctx, packages); err != nil {
		return err
	}
	s.Printer.Stepf("Changing the function %s", f.Name)
	_, err = s.change(ctx, func(now *stage.Release) (*template.Rendered, error) {
		if now == nil || now.Template == nil {
			return nil, fmt.Errorf("the stack of stage %s was deleted: deploy it with %s", s.Name, s.Command(deployTarget))
		}
		// Other changes of the source are not deployed.
		parameters := maps.Clone(now.Parameters)
		if s.AtOnce {
			parameters[preferenceParameter] = allAtOnce
		}
		rendered, err := template.Open(now.Template.JSON(), parameters)
		if err != nil {
			return nil, err
		}
		if err := rendered.SetCode(f.LogicalID, packages[f.LogicalID].Key); err != nil {
			return nil, err
		}
		return rendered, s.setRecord(rendered, nextRecord(now, s.commit(ctx)))
	})
	if err != nil {
		return err
	}
	s.Printer.Result(map[string]string{"function": f.Name, "key": packages[f.LogicalID].Key},
		"\nFunction "+f.Name+" is deployed.")
	return nil
}

// Rollback deploys the previous release again: code, API and parameters. It does not change data. Called again, it
// goes back one more release. It shifts all traffic at once, because an alarm that is active would stop a gradual
// deployment.
func Rollback(ctx context.Context, settings Settings) error {
	return run(ctx, settings, rollbackTarget, rollback)
}

func rollback(ctx context.Context, s *session) error {
	now, err := s.Deployed(ctx) // fails early, before waitForStack cleans up
	if err == nil && !now.InProgress() {
		err = s.checkPrevious(now)
	}
	if err != nil {
		return err
	}
	if err := s.openBucket(ctx); err != nil {
		return err
	}
	s.Printer.Stepf("Rolling back stage %s", s.Name)
	from := 0
	now, err = s.change(ctx, func(now *stage.Release) (*template.Rendered, error) {
		if err := s.checkPrevious(now); err != nil {
			return nil, err
		}
		if from != 0 && from != now.Record.Number {
			return nil, fmt.Errorf("release %d was deployed in the meantime: check whether to roll it back, and retry",
				now.Record.Number)
		}
		from = now.Record.Number
		return s.previousRelease(ctx, now)
	})
	if err != nil {
		return err
	}
	s.Printer.Result(now.Outputs, s.describe(now))
	return nil
}

// checkPrevious returns an error if there is no previous release.
func (s *session) checkPrevious(now *stage.Release) error {
	switch {
	case now == nil || now.Record.Number == 0:
		return exitcode.Errorf(exitcode.Settings, "stage %s is not deployed: there is no release to roll back", s.Name)
	case now.Record.Previous == "":
		return exitcode.Errorf(exitcode.Settings, "release %d of stage %s is the first: there is no previous release",
			now.Record.Number, s.Name)
	default:
		return nil
	}
}

// previousRelease returns the template of the previous release with its parameters.
func (s *session) previousRelease(ctx context.Context, now *stage.Release) (*template.Rendered, error) {
	document, err := s.bucket.Get(ctx, now.Record.Previous)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf(
			"the previous release is no longer in the bucket %s: check out its source, and deploy it with %s",
			s.bucket.Name(),
			s.Command(deployTarget),
		)
	}
	if err != nil {
		return nil, err
	}
	previous, err := template.Open(document, nil)
	if err != nil {
		return nil, fmt.Errorf("read the previous release: %w", err)
	}
	r := stage.ReadRecord(previous)
	parameters := maps.Clone(r.Parameters)
	if _, ok := parameters[preferenceParameter]; ok {
		parameters[preferenceParameter] = allAtOnce
	}
	if previous, err = template.Open(document, parameters); err != nil {
		return nil, fmt.Errorf("read the previous release: %w", err)
	}
	s.Printer.Notef("from release %d to release %d", now.Record.Number, r.Number)
	return previous, nil
}

// Smoke runs the smoke test on the deployed stage: in each collection of the API document, it creates, reads, replaces
// and deletes an item.
func Smoke(ctx context.Context, settings Settings) error {
	return run(ctx, settings, "", func(ctx context.Context, s *session) error {
		now, err := s.Deployed(ctx)
		if err != nil {
			return err
		}
		if s.lacksToken(now) {
			return exitcode.Errorf(exitcode.Settings, "stage %s requires an ID token of its user pool: set TOKEN", s.Name)
		}
		return s.smoke(ctx, now)
	})
}

// lacksToken reports whether the stage requires a token and the settings have none.
func (s *session) lacksToken(now *stage.Release) bool {
	return now.Parameters[authorizationParameter] == template.AuthorizationCognito && s.Token == ""
}

func (s *session) smoke(ctx context.Context, now *stage.Release) error {
	c, err := s.Caller(ctx, now, s.Token)
	if err != nil {
		return err
	}
	target := smoke.Target{
		URL:      s.invokeURL(now),
		Document: s.Source.Contract(),
		Caller:   c,
		Client:   s.Account.Config.HTTPClient,
		Progress: func(step string) { s.Printer.Notef("%s", step) },
	}
	s.Printer.Stepf("Testing %s", target.URL)
	return smoke.Run(ctx, target)
}

// Template writes the template that CloudFormation receives to out, as JSON. It needs no account, because the bucket is
// a parameter.
func Template(ctx context.Context, settings Settings, out io.Writer) error {
	return stage.Finish(ctx, settings.Settings, printTemplate(ctx, settings, out))
}

func printTemplate(ctx context.Context, settings Settings, out io.Writer) error {
	loaded, err := stage.Load(settings.Settings)
	if err != nil {
		return err
	}
	s, err := newSession(settings, loaded, "")
	if err != nil {
		return err
	}
	defer s.close()
	packages, err := s.allPackages(ctx)
	if err != nil {
		return err
	}
	rendered, err := s.Source.Render(template.Options{Parameters: s.parameters(), Code: keys(packages)})
	if err != nil {
		return err
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, rendered.JSON(), "", "  "); err != nil {
		return fmt.Errorf("print the template: %w", err)
	}
	indented.WriteByte('\n')
	if _, err := indented.WriteTo(out); err != nil {
		return fmt.Errorf("print the template: %w", err)
	}
	return nil
}
