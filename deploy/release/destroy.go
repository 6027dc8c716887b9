package release

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/userrequestapi/userdata/deploy/aws/changeset"
	awserrors "github.com/userrequestapi/userdata/deploy/aws/errors"
)

// Destroy removes the stage after the user has given its name. The table with the users stays, unless it is named too.
func Destroy(ctx context.Context, settings Settings) error {
	return run(ctx, settings, destroyTarget, destroy)
}

func destroy(ctx context.Context, s *session) error {
	table, ours := s.ownTable()
	if s.DeleteTable != "" && (s.DeleteTable != table || !ours) {
		return WithCode(CodeSettings, fmt.Errorf("DELETE_TABLE is %s, which is not the table that stage %s has made",
			s.DeleteTable, s.stage.Name))
	}
	if err := s.confirm(table); err != nil {
		return err
	}
	s.Printer.Stepf("Deleting the stack %s", s.stackName())
	now, err := s.look(ctx) // refuses a stack that is somebody else's
	if err != nil {
		return err
	}
	if now == nil {
		s.Printer.Notef("there is none")
	} else if err := s.delete(ctx); err != nil {
		return err
	}
	if s.DeleteTable != "" {
		return s.deleteTable(ctx, table)
	}
	if ours {
		s.Printer.Notef("the table %s stays, with all users; the next deployment takes it up again (to delete it too: %s)",
			table, s.again(deleteTableSetting+"="+table))
	}
	s.Printer.Notef("the bucket of packages stays: other stages may use it (docs/deploy.md says how to remove it)")
	return nil
}

// ownTable returns the name of the stage's table, and whether it is one that the stage has made.
func (s *session) ownTable() (name string, ours bool) {
	if name := s.stage.Parameters[tableParameter]; name != "" {
		return name, false
	}
	_, _, name, ours = s.unpackaged.TableOnly()
	return name, ours
}

// confirm has the user give the stage's name.
func (s *session) confirm(table string) error {
	answer := s.Confirm
	if answer == "" && s.Ask != nil {
		what := "The table " + table + " stays."
		if s.DeleteTable != "" {
			what = "The table " + table + " is deleted too, with ALL USERS in it."
		}
		var err error
		answer, err = s.Ask(fmt.Sprintf("This deletes the stage %s in account %s, %s: its API, functions, logs and alarms. %s\n"+
			"Type the stage's name to go on: ",
			s.stage.Name, s.account.ID, s.account.Region, what))
		if err != nil {
			return WithCode(CodeRefused, err)
		}
	}
	if answer == s.stage.Name {
		return nil
	}
	if answer == "" {
		return WithCode(CodeRefused, fmt.Errorf("nothing was deleted: confirm with the stage's name, as %s",
			s.again(confirmSetting+"="+s.stage.Name)))
	}
	return WithCode(CodeRefused, fmt.Errorf("nothing was deleted: the stage is called %s, not %s", s.stage.Name, answer))
}

func (s *session) delete(ctx context.Context) error {
	resources, err := s.stack.Resources(ctx)
	if err != nil {
		return err
	}
	var changes []changeset.Change
	for _, r := range resources {
		changes = append(changes, changeset.Change{Action: "Remove", LogicalID: r.LogicalID, Type: r.Type})
	}
	s.watch = s.Printer.Watch(changes, nil)
	defer func() {
		s.watch.Close()
		s.watch = nil
	}()
	return s.stack.Delete(ctx)
}

func (s *session) deleteTable(ctx context.Context, name string) error {
	s.Printer.Stepf("Deleting the table %s", name)
	client := dynamodb.NewFromConfig(s.account.Config)
	table, err := describeTable(ctx, client, name)
	if err != nil {
		return err
	}
	if table == nil {
		s.Printer.Notef("there is none")
		return nil
	}
	input := &dynamodb.DescribeTableInput{TableName: &name}
	if aws.ToBool(table.DeletionProtectionEnabled) && table.TableStatus != dbtypes.TableStatusDeleting {
		_, err = client.UpdateTable(ctx, &dynamodb.UpdateTableInput{TableName: &name, DeletionProtectionEnabled: aws.Bool(false)})
		if err == nil {
			err = dynamodb.NewTableExistsWaiter(client).Wait(ctx, input, tableTime)
		}
	}
	if err == nil && table.TableStatus != dbtypes.TableStatusDeleting {
		_, err = client.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &name})
	}
	if err == nil {
		err = dynamodb.NewTableNotExistsWaiter(client).Wait(ctx, input, tableTime)
	}
	if err != nil {
		return fmt.Errorf("delete the table %s: %w", name, awserrors.Explain(err))
	}
	return nil
}
