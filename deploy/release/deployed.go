package release

import (
	"context"

	cftypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"github.com/userrequestapi/userdata/deploy/account"
)

// Deployed is a stage that is on AWS.
type Deployed struct {
	Account *account.Account
	Stack   string            // its name, which its resources' names begin with
	Outputs map[string]string // of the stack
	// LogGroups are the names of the stage's log groups by the logical ids that the template gives them.
	LogGroups map[string]string
	// Command returns what a person types for a target of mage on this stage.
	Command func(target string) string
}

// Look does something with a stage that is deployed, other than to change it. Its error has the code to exit with.
func Look(ctx context.Context, settings Settings, do func(context.Context, *Deployed) error) error {
	return finish(ctx, settings, look(ctx, settings, do))
}

func look(ctx context.Context, settings Settings, do func(context.Context, *Deployed) error) error {
	s, err := open(ctx, settings)
	if err != nil {
		return err
	}
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
	}
	for _, r := range resources {
		if r.Type == logGroupType && r.Status != cftypes.ResourceStatusDeleteComplete && r.PhysicalID != "" {
			d.LogGroups[r.LogicalID] = r.PhysicalID
		}
	}
	return do(ctx, d)
}
