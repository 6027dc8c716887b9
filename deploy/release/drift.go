package release

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/userrequestapi/userdata/deploy/aws/changeset"
)

// errMissing means that resources of the stage were deleted by other means than a deployment.
var errMissing = errors.New("the stage is not what the source says")

// upToDate ends a change for which there is nothing to do. It has AWS compare the stage with its template, unless the
// settings say otherwise, and returns an error if something is missing.
func (s *session) upToDate(ctx context.Context) error {
	drifts, err := s.findDrift(ctx)
	if err != nil {
		return err
	}
	if len(drifts) == 0 {
		s.Printer.Notef("nothing to change")
		return nil
	}
	repair := s.command(deployTarget, revertDriftSetting+"=1")
	s.Printer.Notef("the source has not changed, but the stage has, by other means than a deployment:\n%s%s undoes that",
		driftText(drifts), repair)
	var missing []string
	for _, d := range drifts {
		if d.Deleted() {
			missing = append(missing, d.LogicalID)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("%w: somebody has deleted %s; %s creates it again", errMissing, strings.Join(missing, ", "), repair)
}

// findDrift returns what was changed by other means than a deployment, as far as AWS can tell.
func (s *session) findDrift(ctx context.Context) ([]changeset.Drift, error) {
	if !s.Drift || s.revertsDrift() { // a plan that reverts drift has found what there is
		return nil, nil
	}
	drifts, err := s.compare(ctx)
	if ctx.Err() != nil {
		return nil, err
	}
	if err != nil {
		s.Printer.Notef("not everything could be compared: %v", err)
	}
	return drifts, nil
}

// compare has AWS compare the stage with its template.
func (s *session) compare(ctx context.Context) ([]changeset.Drift, error) {
	s.Printer.Notef("comparing the stage with its template (DRIFT=0 skips this)…")
	return s.stack.Drift(ctx)
}

// driftText returns a line for each resource that has drifted.
func driftText(drifts []changeset.Drift) string {
	var b strings.Builder
	for _, d := range drifts {
		line := fmt.Sprintf("  %-9s %s (%s) %s", d.Status, d.LogicalID, d.Type, strings.Join(d.Properties, ", "))
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

// revertsDrift reports whether the running target undoes drift.
func (s *session) revertsDrift() bool {
	return s.RevertDrift && slices.Contains([]string{deployTarget, planTarget}, s.target)
}
