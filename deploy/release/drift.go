package release

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/userrequestapi/userdata/deploy/aws/changeset"
)

// errResourcesDeleted means that resources of the stage were deleted outside of a deployment.
var errResourcesDeleted = errors.New("the stage does not match the source")

// reportUnchanged ends a target that has nothing to change. Unless the settings disable it, reportUnchanged detects and
// prints drift. It returns an error if a resource was deleted.
func (s *session) reportUnchanged(ctx context.Context) error {
	drifts, err := s.findDrift(ctx)
	if err != nil {
		return err
	}
	if len(drifts) == 0 {
		s.Printer.Notef("nothing to change")
		return nil
	}
	repair := s.RepairCommand()
	s.Printer.Notef("the source has not changed, but the stage was changed outside of a deployment:\n%s%s reverts it",
		formatDrift(drifts), repair)
	var missing []string
	for _, d := range drifts {
		if d.Deleted() {
			missing = append(missing, d.LogicalID)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s was deleted; %s creates it again", errResourcesDeleted, strings.Join(missing, ", "), repair)
}

// findDrift returns the drift of the stage. If some resources cannot be compared, it prints the error and returns the
// drift of the others.
func (s *session) findDrift(ctx context.Context) ([]changeset.Drift, error) {
	if !s.Drift || s.revertsDrift() { // a change set that reverts drift already contains it
		return nil, nil
	}
	drifts, err := s.detectDrift(ctx)
	if ctx.Err() != nil {
		return nil, err
	}
	if err != nil {
		s.Printer.Notef("some resources could not be compared: %v", err)
	}
	return drifts, nil
}

// detectDrift runs drift detection on the stack.
func (s *session) detectDrift(ctx context.Context) ([]changeset.Drift, error) {
	s.Printer.Notef("comparing the stage with its template (DRIFT=0 skips this)…")
	return s.Stack.Drift(ctx)
}

// formatDrift renders a line for each resource that has drifted.
func formatDrift(drifts []changeset.Drift) string {
	var b strings.Builder
	for _, d := range drifts {
		line := fmt.Sprintf("  %-9s %s (%s) %s", d.Status, d.LogicalID, d.Type, strings.Join(d.Properties, ", "))
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

// revertsDrift reports whether the running target reverts drift.
func (s *session) revertsDrift() bool {
	return s.RevertDrift && slices.Contains([]string{deployTarget, planTarget}, s.target)
}
