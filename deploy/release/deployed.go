package release

import (
	"context"

	"github.com/userrequestapi/userdata/deploy/aws/account"
)

// Deployed describes a deployed stage.
type Deployed struct {
	Account *account.Account
	Stack   string            // its name, the prefix of its resources' names
	Outputs map[string]string // of the stack
	// LogGroups are the names of the stage's log groups by logical ID.
	LogGroups map[string]string
	// Command returns the command for a target of mage on this stage. settings, each NAME=value, apply to this command
	// only.
	Command func(target string, settings ...string) string
	// LogsProblem returns why API Gateway writes no logs and how to fix it, or "" if no problem is found.
	LogsProblem func(context.Context) (string, error)
}

// Look calls do with a deployed stage, which do must not change. It returns the error with its exit code.
func Look(ctx context.Context, settings CommonSettings, do func(context.Context, *Deployed) error) error {
	return run(ctx, Settings{CommonSettings: settings}, "", func(ctx context.Context, s *session) error {
		return inspect(ctx, s, do)
	})
}

func inspect(ctx context.Context, s *session, do func(context.Context, *Deployed) error) error {
	now, err := s.deployed(ctx)
	if err != nil {
		return err
	}
	resources, err := s.resources(ctx)
	if err != nil {
		return err
	}
	d := &Deployed{
		Account: s.account, Stack: s.stackName(), Outputs: now.Outputs, LogGroups: map[string]string{}, Command: s.command,
		LogsProblem: func(ctx context.Context) (string, error) { return s.logsProblem(ctx, now) },
	}
	for _, r := range resources {
		if r.Type == logGroupType {
			d.LogGroups[r.LogicalID] = r.PhysicalID
		}
	}
	return do(ctx, d)
}
