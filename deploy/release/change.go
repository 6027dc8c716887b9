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
	"github.com/userrequestapi/userdata/deploy/template"
)

// attempts is how often a change is planned anew because another deployment came in between.
const attempts = 5

// change makes the stack what render says, given what the stack is (nil: there is none), and returns what it has become. render is
// asked again where another deployment has come in between: what it makes must follow from what it is given.
func (s *session) change(ctx context.Context, render func(now *current) (*template.Rendered, error)) (*current, error) {
	for attempt := 1; ; attempt++ {
		err := s.attempt(ctx, render)
		if err == nil {
			return s.deployed(ctx)
		}
		if !errors.Is(err, changeset.ErrStale) || attempt == attempts {
			return nil, err
		}
		s.Printer.Notef("another deployment has come in between: planning anew")
	}
}

func (s *session) attempt(ctx context.Context, render func(now *current) (*template.Rendered, error)) error {
	now, err := s.settle(ctx)
	if err != nil {
		return err
	}
	rendered, err := render(now)
	if err != nil {
		return err
	}
	if now == nil || now.template == nil {
		adopted, err := s.adopt(ctx, rendered)
		if err != nil {
			return err
		}
		if adopted {
			if now, err = s.look(ctx); err != nil {
				return err
			}
		}
	}
	// CloudFormation says the same of a plan without changes, but takes its time for it. After a failure it must have its say.
	steady := now != nil && (now.Status == cftypes.StackStatusCreateComplete || now.Status == cftypes.StackStatusUpdateComplete)
	next := recordOf(rendered)
	same := steady && now.record.Digest == next.Digest && maps.Equal(now.Parameters, next.Parameters)
	switch {
	case same && s.revertsDrift():
		rendered = now.template // the same release: only what has drifted changes
	case same:
		return s.upToDate(ctx)
	}
	plan, err := s.plan(ctx, now, rendered)
	if err != nil {
		return err
	}
	if plan.Empty() {
		return s.upToDate(ctx)
	}
	s.Printer.Plan(plan)
	if err := s.guard(now, rendered, plan); err != nil {
		return errors.Join(err, s.stack.Discard(ctx, plan))
	}
	return s.execute(ctx, plan, rendered)
}

// plan uploads the template, which is too long to be sent along, and has CloudFormation compare it with the stack. The plan fits the
// stack as it is known here: another deployment after that makes it obsolete for CloudFormation, and one before is found out.
func (s *session) plan(ctx context.Context, now *current, rendered *template.Rendered) (*changeset.Plan, error) {
	r := recordOf(rendered)
	if _, err := s.bucket.Upload(ctx, r.Key, rendered.JSON()); err != nil {
		return nil, err
	}
	plan, err := s.stack.Plan(ctx, changeset.Input{
		TemplateURL: s.bucket.URL(r.Key),
		Parameters:  rendered.Parameters(),
		Description: strings.TrimSpace(fmt.Sprintf("Release %d %s", r.Number, r.Source)),
		RevertDrift: s.revertsDrift(),
	})
	if err != nil || plan.Empty() {
		return plan, err
	}
	after, err := s.stack.Describe(ctx)
	if err == nil && now.differs(after) {
		err = changeset.ErrStale
	}
	if err != nil {
		return nil, errors.Join(err, s.stack.Discard(ctx, plan))
	}
	return plan, nil
}

func (s *session) execute(ctx context.Context, plan *changeset.Plan, rendered *template.Rendered) error {
	s.watch = s.Printer.Watch(plan.Changes, rendered.Dependencies())
	defer func() {
		s.watch.Close()
		s.watch = nil
	}()
	return s.stack.Apply(ctx, plan)
}

// guard refuses what would replace the table or take it away, unless that was asked for by the table's name. It does not rely on the
// plan alone: by its template, the stack has a table of its own or not.
func (s *session) guard(now *current, rendered *template.Rendered, plan *changeset.Plan) error {
	if now == nil || now.template == nil {
		return nil
	}
	_, id, name, ok := now.template.TableOnly()
	if !ok {
		return nil
	}
	reason := ""
	if _, idAfter, nameAfter, ok := rendered.TableOnly(); !ok || nameAfter != name || idAfter != id {
		reason = fmt.Sprintf("the change takes out of the stack the table %s, which has the users", name)
	}
	for _, change := range plan.Changes {
		switch {
		case change.LogicalID != id:
		case change.Drift == string(cftypes.StackResourceDriftStatusDeleted):
			reason = fmt.Sprintf("the table %s was deleted by other means than a deployment, and an empty one would take "+
				"its name. Restore a backup under that name first", name)
		case change.Action == "Modify" && change.Replacement != "" && change.Replacement != "False":
			reason = fmt.Sprintf("the change replaces the table %s, which has the users, by changing %s",
				name, strings.Join(change.Properties, ", "))
		}
	}
	if reason == "" {
		return nil
	}
	if s.ReplaceTable == name {
		s.Printer.Notef("the table %s may go, as REPLACE_TABLE says", name)
		return nil
	}
	return WithCode(CodeRefused, fmt.Errorf("refused, the stage was not changed: %s. If you want it all the same: %s",
		reason, s.again(replaceTableSetting+"="+name)))
}

// sign writes the record into the template, completed by what follows from that.
func (s *session) sign(rendered *template.Rendered, r record) error {
	if err := rendered.SetMetadata(map[string]any{}); err != nil { // that of an earlier release must not count
		return err
	}
	digest := sha256.Sum256(rendered.JSON())
	r.Digest = hex.EncodeToString(digest[:])
	if r.Key == "" {
		r.Key = fmt.Sprintf("templates/%s/%06d-%.16s.json", s.stackName(), r.Number, r.Digest)
	}
	r.Parameters = rendered.Parameters()
	return rendered.SetMetadata(r.metadata())
}
