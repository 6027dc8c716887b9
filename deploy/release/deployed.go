package release

import (
	"context"

	cftypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"github.com/userrequestapi/userdata/deploy/aws/account"
)

// Deployed is a stage that is on AWS.
type Deployed struct {
	Account *account.Account
	Stack   string            // its name, which its resources' names begin with
	Outputs map[string]string // of the stack
	// LogGroups are the names of the stage's log groups by the logical ids that the template gives them.
	LogGroups map[string]string
	// Command returns the command for a target of mage on this stage. settings, each NAME=value, apply to this command
	// only.
	Command func(target string, settings ...string) string
	// LogsProblem returns why API Gateway writes no logs, and what to do about it; "" if nothing is known to prevent
	// it. The error says why that could not be found out.
	LogsProblem func(context.Context) (string, error)
}

// Look does something with a stage that is deployed, other than to change it. Its error has the code to exit with.
func Look(ctx context.Context, settings Settings, do func(context.Context, *Deployed) error) error {
	return run(ctx, settings, "", func(ctx context.Context, s *session) error { return look(ctx, s, do) })
}

func look(ctx context.Context, s *session, do func(context.Context, *Deployed) error) error {
	now, err := s.deployed(ctx)
	if err != nil {
		return err
	}
	resources, err := s.stack.Resources(ctx)
	if err != nil {
		return err
	}
	d := &Deployed{
		Account: s.account, Stack: s.stackName(), Outputs: now.Outputs, LogGroups: map[string]string{}, Command: s.command,
		LogsProblem: func(ctx context.Context) (string, error) { return s.logsProblem(ctx, now) },
	}
	for _, r := range resources {
		if r.Type == logGroupType && r.Status != cftypes.ResourceStatusDeleteComplete && r.PhysicalID != "" {
			d.LogGroups[r.LogicalID] = r.PhysicalID
		}
	}
	return do(ctx, d)
}
