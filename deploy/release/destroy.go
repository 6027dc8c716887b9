package release

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/userrequestapi/userdata/deploy/aws/changeset"
	awserrors "github.com/userrequestapi/userdata/deploy/aws/errors"
	"github.com/userrequestapi/userdata/deploy/release/exitcode"
	"github.com/userrequestapi/userdata/deploy/template"
)

// Destroy deletes the stage after the user has confirmed with its name. Tables are retained unless
// DeleteTables names them.
func Destroy(ctx context.Context, settings Settings) error {
	return run(ctx, settings, destroyTarget, destroy)
}

func destroy(ctx context.Context, s *session) error {
	own := tableNames(s.unpackaged.OwnTables())
	for _, name := range s.DeleteTables {
		if !slices.Contains(own, name) {
			return exitcode.Errorf(exitcode.Settings, "DELETE_TABLE: %s is not a table that stage %s created: "+
				"want tables of %s, separated by commas", name, s.Name, cmp.Or(strings.Join(own, ","), "it, which has none"))
		}
	}
	retained := slices.DeleteFunc(own, func(name string) bool { return slices.Contains(s.DeleteTables, name) })
	if err := s.confirm(ctx, retained); err != nil {
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
	for _, name := range s.DeleteTables {
		if err := s.deleteTable(ctx, name); err != nil {
			return err
		}
	}
	for _, name := range retained {
		s.Printer.Notef("the table %s is retained with all its data; the next deployment imports it", name)
	}
	if len(retained) > 0 {
		s.Printer.Notef("to delete what is retained: %s",
			s.retryCommand(deleteTableSetting+"="+strings.Join(retained, ",")))
	}
	s.Printer.Notef("the bucket of packages is retained: other stages may use it (docs/deploy.md says how to delete it)")
	return nil
}

func tableNames(tables []template.Table) []string {
	var names []string
	for _, table := range tables {
		names = append(names, table.Name)
	}
	return names
}

// confirm returns nil if the user has confirmed with the stage's name. retained are the tables that are not deleted.
func (s *session) confirm(ctx context.Context, retained []string) error {
	reply := s.Confirm
	if reply == "" && s.Ask != nil {
		what := ""
		if len(retained) > 0 {
			what = " Retained: " + strings.Join(retained, ", ") + "."
		}
		if len(s.DeleteTables) > 0 {
			what += " Deleted too, with ALL DATA: " + strings.Join(s.DeleteTables, ", ") + "."
		}
		var err error
		reply, err = s.Ask(ctx,
			fmt.Sprintf("This deletes the stage %s in account %s, %s: its API, functions, logs and alarms.%s\n"+
				"Type the stage's name to continue: ",
				s.Name, s.Account.ID, s.Account.Region, what),
		)
		if err != nil {
			return err
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
