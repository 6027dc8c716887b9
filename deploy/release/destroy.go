package release

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/userrequestapi/userdata/deploy/aws/changeset"
	awserrors "github.com/userrequestapi/userdata/deploy/aws/errors"
	"github.com/userrequestapi/userdata/deploy/release/exitcode"
)

// Destroy deletes the stage after the user has confirmed with its name. The table of users is retained unless
// DeleteTable names it.
func Destroy(ctx context.Context, settings Settings) error {
	return run(ctx, settings, destroyTarget, destroy)
}

func destroy(ctx context.Context, s *session) error {
	table, owned := s.ownTable()
	if s.DeleteTable != "" && (s.DeleteTable != table || !owned) {
		return exitcode.Errorf(exitcode.Settings, "DELETE_TABLE: %s is not the table that stage %s created",
			s.DeleteTable, s.Name)
	}
	if err := s.confirm(table); err != nil {
		return err
	}
	s.Printer.Stepf("Deleting the stack %s", s.StackName())
	now, err := s.Release(ctx) // fails for a foreign stack
	if err != nil {
		return err
	}
	if now == nil {
		s.Printer.Notef("there is no stack")
	} else if err := s.delete(ctx); err != nil {
		return err
	}
	if s.DeleteTable != "" {
		return s.deleteTable(ctx, table)
	}
	if owned {
		s.Printer.Notef("the table %s is retained with all users; the next deployment imports it (to delete it: %s)",
			table, s.retryCommand(deleteTableSetting+"="+table))
	}
	s.Printer.Notef("the bucket of packages is retained: other stages may use it (docs/deploy.md says how to delete it)")
	return nil
}

// ownTable returns the name of the stage's table, and reports whether the stage created it.
func (s *session) ownTable() (name string, owned bool) {
	if name := s.Parameters[tableParameter]; name != "" {
		return name, false
	}
	_, _, name, owned = s.unpackaged.TableOnly()
	return name, owned
}

// confirm returns nil if the user has confirmed with the stage's name.
func (s *session) confirm(table string) error {
	reply := s.Confirm
	if reply == "" && s.Ask != nil {
		what := "The table " + table + " is retained."
		if s.DeleteTable != "" {
			what = "The table " + table + " is deleted too, with ALL USERS in it."
		}
		var err error
		reply, err = s.Ask(
			fmt.Sprintf("This deletes the stage %s in account %s, %s: its API, functions, logs and alarms. %s\n"+
				"Type the stage's name to continue: ",
				s.Name, s.Account.ID, s.Account.Region, what),
		)
		if err != nil {
			return exitcode.With(exitcode.Refused, err)
		}
	}
	if reply == s.Name {
		return nil
	}
	if reply == "" {
		return exitcode.Errorf(exitcode.Refused, "nothing was deleted: confirm with the stage's name, as %s",
			s.retryCommand(confirmSetting+"="+s.Name))
	}
	return exitcode.Errorf(exitcode.Refused, "nothing was deleted: want the stage's name %s, got %s", s.Name, reply)
}

func (s *session) delete(ctx context.Context) error {
	resources, err := s.Stack.Resources(ctx)
	if err != nil {
		return err
	}
	var changes []changeset.Change
	for _, r := range resources {
		changes = append(changes, changeset.Change{Action: "Remove", LogicalID: r.LogicalID, Type: r.Type})
	}
	defer s.Printer.Watch(changes, nil)()
	return s.Stack.Delete(ctx)
}

func (s *session) deleteTable(ctx context.Context, name string) error {
	s.Printer.Stepf("Deleting the table %s", name)
	client := dynamodb.NewFromConfig(s.Account.Config)
	table, err := describeTable(ctx, client, name)
	if err != nil {
		return err
	}
	if table == nil {
		s.Printer.Notef("there is no table")
		return nil
	}
	if aws.ToBool(table.DeletionProtectionEnabled) && table.TableStatus != dbtypes.TableStatusDeleting {
		err = setDeletionProtection(ctx, client, name, false)
	}
	if err == nil && table.TableStatus != dbtypes.TableStatusDeleting {
		_, err = client.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &name})
	}
	if err == nil {
		err = dynamodb.NewTableNotExistsWaiter(client).Wait(ctx, &dynamodb.DescribeTableInput{TableName: &name}, tableTimeout)
	}
	if err != nil {
		return fmt.Errorf("delete the table %s: %w", name, awserrors.Explain(err))
	}
	return nil
}
