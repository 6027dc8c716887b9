package release

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	cftypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"github.com/userrequestapi/userdata/deploy/aws/changeset"
	"github.com/userrequestapi/userdata/deploy/release/exitcode"
	"github.com/userrequestapi/userdata/deploy/release/stage"
	"github.com/userrequestapi/userdata/deploy/template"
)

// maxAttempts limits how often a change is planned, in case other deployments change the stack in the meantime.
const maxAttempts = 5

// change updates the stack to the template that render returns for the current stack, which is nil if there is none,
// and returns the new state. It calls render again if another deployment has changed the stack in the meantime.
func (s *session) change(
	ctx context.Context, render func(now *stage.Release) (*template.Rendered, error),
) (*stage.Release, error) {
	for attempt := 1; ; attempt++ {
		err := s.attempt(ctx, render)
		if err == nil {
			return s.Deployed(ctx)
		}
		if !errors.Is(err, changeset.ErrStale) || attempt == maxAttempts {
			return nil, err
		}
		s.Printer.Notef("another deployment has changed the stack: planning again")
	}
}

func (s *session) attempt(ctx context.Context, render func(now *stage.Release) (*template.Rendered, error)) error {
	now, err := s.waitForStack(ctx)
	if err != nil {
		return err
	}
	rendered, err := render(now)
	if err != nil {
		return err
	}
	imported, err := s.importTables(ctx, now.Deployed(), rendered)
	if err != nil {
		return err
	}
	if imported {
		if now, err = s.Release(ctx); err != nil {
			return err
		}
	}
	// An unchanged template needs no change set, except after a failed operation: then only CloudFormation can compare.
	steady := now != nil &&
		(now.Status == cftypes.StackStatusCreateComplete || now.Status == cftypes.StackStatusUpdateComplete)
	next := stage.ReadRecord(rendered)
	same := steady && now.Record.Digest == next.Digest && maps.Equal(now.Parameters, next.Parameters)
	switch {
	case same && s.revertsDrift():
		rendered = now.Template // the same release: only the drift changes
	case same:
		return s.reportUnchanged(ctx)
	}
	plan, err := s.changeSet(ctx, now, rendered)
	if err != nil {
		return err
	}
	if plan.Empty() {
		return s.reportUnchanged(ctx)
	}
	s.Printer.Plan(plan)
	if err := s.checkTables(now.Deployed(), rendered, plan); err != nil {
		return errors.Join(err, s.Stack.Discard(ctx, plan))
	}
	return s.execute(ctx, plan, rendered)
}

// changeSet uploads the template, which exceeds the size limit of TemplateBody, and creates a change set. It returns
// [changeset.ErrStale] if another deployment has changed the stack since now. If one changes it later, CloudFormation
// does not execute the change set.
func (s *session) changeSet(
	ctx context.Context, now *stage.Release, rendered *template.Rendered,
) (*changeset.Plan, error) {
	if err := checkIndexes(now.Deployed(), rendered); err != nil {
		return nil, err
	}
	r := stage.ReadRecord(rendered)
	if _, err := s.bucket.Upload(ctx, r.Key, rendered.JSON()); err != nil {
		return nil, err
	}
	plan, err := s.Stack.Plan(ctx, changeset.Input{
		TemplateURL: s.bucket.URL(r.Key),
		Parameters:  rendered.Parameters(),
		Description: strings.TrimSpace(fmt.Sprintf("Release %d %s", r.Number, r.Source)),
		RevertDrift: s.revertsDrift(),
	})
	if err != nil || plan.Empty() {
		return plan, err
	}
	after, err := s.Stack.Describe(ctx)
	if err == nil && changed(now, after) {
		err = changeset.ErrStale
	}
	if err != nil {
		return nil, errors.Join(err, s.Stack.Discard(ctx, plan))
	}
	return plan, nil
}

// changed reports whether another deployment has changed the stack between before and after. It reports false if the
// stack had only change sets before, because CloudFormation executes only the first of them.
func changed(before *stage.Release, after *changeset.Description) bool {
	if before == nil || before.Status == cftypes.StackStatusReviewInProgress {
		return false
	}
	return after.ID != before.ID || !after.Updated.Equal(before.Updated) || after.Status != before.Status
}

func (s *session) execute(ctx context.Context, plan *changeset.Plan, rendered *template.Rendered) error {
	defer s.Printer.Watch(plan.Changes, rendered.Dependencies())()
	return s.Stack.Apply(ctx, plan)
}

// checkTables returns an error if the change would replace or remove a table of the stack, unless the settings name the
// table. It also compares the templates, because a change set alone does not always show the removal. before is the
// template of the stack, nil for none.
func (s *session) checkTables(before, rendered *template.Rendered, plan *changeset.Plan) error {
	if before == nil {
		return nil
	}
	var reasons, affected []string
	for _, table := range before.OwnTables() {
		switch reason := tableLoss(table, rendered, plan); {
		case reason == "":
			continue
		case slices.Contains(s.ReplaceTables, table.Name):
			s.Printer.Notef("the table %s may be replaced or removed, as REPLACE_TABLE says", table.Name)
		default:
			reasons = append(reasons, reason)
		}
		affected = append(affected, table.Name)
	}
	if len(reasons) == 0 {
		return nil
	}
	return exitcode.Errorf(exitcode.Refused, "refused, the stage was not changed: %s. To do it anyway: %s",
		strings.Join(reasons, "; "), s.retryCommand(replaceTableSetting+"="+strings.Join(affected, ",")))
}

// tableLoss returns why the stage would lose the data of a table, or "".
func tableLoss(table template.Table, rendered *template.Rendered, plan *changeset.Plan) string {
	reason := ""
	if !slices.ContainsFunc(rendered.OwnTables(), func(after template.Table) bool {
		return after.LogicalID == table.LogicalID && after.Name == table.Name
	}) {
		reason = fmt.Sprintf("the change removes the table %s, which has data of the stage, from the stack", table.Name)
	}
	for _, change := range plan.Changes {
		switch {
		case change.LogicalID != table.LogicalID:
		case change.Drift == string(cftypes.StackResourceDriftStatusDeleted):
			reason = fmt.Sprintf("the table %s was deleted outside of a deployment, and an empty one would replace it: "+
				"restore a backup under that name first", table.Name)
		case change.Action == "Modify" && change.Replacement != "" && change.Replacement != "False":
			reason = fmt.Sprintf("the change replaces the table %s, which has data of the stage, because it changes %s",
				table.Name, strings.Join(change.Properties, ", "))
		}
	}
	return reason
}

// checkIndexes returns an error if the change would create or delete more than one global secondary index of a table:
// CloudFormation cannot do that in one update, and would fail in the middle of it. before is the template of the stack,
// nil for none.
func checkIndexes(before, rendered *template.Rendered) error {
	if before == nil {
		return nil
	}
	var faults []error
	for _, after := range rendered.OwnTables() {
		for _, table := range before.OwnTables() {
			if table.LogicalID != after.LogicalID || table.Name != after.Name {
				continue
			}
			changes := slices.Concat(
				missingIndexes("delete", table.Indexes(), after.Indexes()),
				missingIndexes("create", after.Indexes(), table.Indexes()),
			)
			if len(changes) > 1 {
				faults = append(faults, exitcode.Errorf(exitcode.Settings, "the table %s: CloudFormation creates or deletes one "+
					"global secondary index in an update, and the change would %s: deploy the indexes one after another, "+
					"and give an index with another key another name", table.Name, strings.Join(changes, ", ")))
			}
		}
	}
	return errors.Join(faults...)
}

// missingIndexes returns the global secondary indexes that other does not have with the same key, each after what to
// do.
func missingIndexes(what string, indexes, other []template.Index) []string {
	var missing []string
	for _, index := range indexes {
		if !index.Local && !slices.ContainsFunc(other, func(o template.Index) bool {
			return o.Name == index.Name && slices.Equal(o.Key, index.Key)
		}) {
			missing = append(missing, what+" "+index.Name)
		}
	}
	return missing
}

// nextRecord returns the record of the release after now, which may be nil.
func nextRecord(now *stage.Release, source string) stage.Record {
	if now == nil || now.Record.Number == 0 { // no stack, or only an imported table
		return stage.Record{Number: 1, Source: source}
	}
	return stage.Record{Number: now.Record.Number + 1, Previous: now.Record.Key, Source: source}
}

// setRecord writes the record into the template, with the key, digest and parameters set.
func (s *session) setRecord(rendered *template.Rendered, r stage.Record) error {
	// The digest must not include the record of an earlier release.
	if err := rendered.SetMetadata(map[string]any{}); err != nil {
		return err
	}
	digest := sha256.Sum256(rendered.JSON())
	r.Digest = hex.EncodeToString(digest[:])
	if r.Key == "" {
		r.Key = fmt.Sprintf("templates/%s/%06d-%.16s.json", s.StackName(), r.Number, r.Digest)
	}
	r.Parameters = rendered.Parameters()
	return rendered.SetMetadata(r)
}
