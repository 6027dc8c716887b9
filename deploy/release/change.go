package release

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
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
	if now == nil || now.Template == nil {
		imported, err := s.importTable(ctx, rendered)
		if err != nil {
			return err
		}
		if imported {
			if now, err = s.Release(ctx); err != nil {
				return err
			}
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
	if err := s.checkTable(now, rendered, plan); err != nil {
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

// checkTable returns an error if the change would replace or remove the table, unless the settings name the table. It
// also compares the templates, because a change set alone does not always show the removal.
func (s *session) checkTable(now *stage.Release, rendered *template.Rendered, plan *changeset.Plan) error {
	if now == nil || now.Template == nil {
		return nil
	}
	_, id, name, ok := now.Template.TableOnly()
	if !ok {
		return nil
	}
	reason := ""
	if _, idAfter, nameAfter, ok := rendered.TableOnly(); !ok || nameAfter != name || idAfter != id {
		reason = fmt.Sprintf("the change removes the table %s, which stores the users, from the stack", name)
	}
	for _, change := range plan.Changes {
		switch {
		case change.LogicalID != id:
		case change.Drift == string(cftypes.StackResourceDriftStatusDeleted):
			reason = fmt.Sprintf("the table %s was deleted outside of a deployment, and an empty one would replace it: "+
				"restore a backup under that name first", name)
		case change.Action == "Modify" && change.Replacement != "" && change.Replacement != "False":
			reason = fmt.Sprintf("the change replaces the table %s, which stores the users, because it changes %s",
				name, strings.Join(change.Properties, ", "))
		}
	}
	if reason == "" {
		return nil
	}
	if s.ReplaceTable == name {
		s.Printer.Notef("the table %s may be replaced or removed, as REPLACE_TABLE says", name)
		return nil
	}
	return exitcode.Errorf(exitcode.Refused, "refused, the stage was not changed: %s. To do it anyway: %s",
		reason, s.retryCommand(replaceTableSetting+"="+name))
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
