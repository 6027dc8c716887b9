package release

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cftypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/userrequestapi/userdata/deploy/aws/changeset"
	awserrors "github.com/userrequestapi/userdata/deploy/aws/errors"
	"github.com/userrequestapi/userdata/deploy/release/exitcode"
	"github.com/userrequestapi/userdata/deploy/release/stage"
	"github.com/userrequestapi/userdata/deploy/template"
)

// tableTimeout limits how long DynamoDB may take to create or delete a table.
const tableTimeout = 10 * time.Minute

// importTable imports the stage's table into a new stack if the table exists: destroy retains it, and so does a first
// deployment that fails. It reports whether there was a table.
func (s *session) importTable(ctx context.Context, rendered *template.Rendered) (imported bool, err error) {
	tableOnly, logicalID, name, ok := rendered.TableOnly()
	if !ok {
		return false, nil
	}
	client := dynamodb.NewFromConfig(s.Account.Config)
	found, err := s.importableTable(ctx, client, name)
	if err != nil || !found {
		return false, err
	}
	s.Printer.Notef("the table %s exists already: importing it with all its users", name)
	if err := protectTable(ctx, client, name); err != nil {
		return false, fmt.Errorf("protect the table %s: %w", name, awserrors.Explain(err))
	}
	// The record marks the stack as created by this tool, even if the deployment ends here.
	if err := s.setRecord(tableOnly, stage.Record{Source: stage.ReadRecord(rendered).Source}); err != nil {
		return false, err
	}
	plan, err := s.Stack.Plan(ctx, changeset.Input{
		TemplateBody: tableOnly.JSON(),
		Parameters:   tableOnly.Parameters(),
		Description:  "Import the table " + name,
		Import: []cftypes.ResourceToImport{{
			LogicalResourceId:  &logicalID,
			ResourceType:       aws.String(tableType),
			ResourceIdentifier: map[string]string{"TableName": name},
		}},
	})
	if err != nil {
		return false, err
	}
	return true, s.execute(ctx, plan, tableOnly)
}

// importableTable reports whether a table of that name exists, once it is neither being created nor deleted. It returns
// an error for a table whose key does not match.
func (s *session) importableTable(ctx context.Context, client *dynamodb.Client, name string) (bool, error) {
	table, err := describeTable(ctx, client, name)
	if err != nil || table == nil {
		return false, err
	}
	input := &dynamodb.DescribeTableInput{TableName: &name}
	if table.TableStatus == dbtypes.TableStatusDeleting {
		s.Printer.Notef("waiting for the table %s to be deleted", name)
		if err := dynamodb.NewTableNotExistsWaiter(client).Wait(ctx, input, tableTimeout); err != nil {
			return false, fmt.Errorf("wait for the deletion of the table %s: %w", name, awserrors.Explain(err))
		}
		return false, nil
	}
	if table.TableStatus != dbtypes.TableStatusActive {
		s.Printer.Notef("the table %s is %s: waiting for it to be ACTIVE", name, table.TableStatus)
		if err := dynamodb.NewTableExistsWaiter(client).Wait(ctx, input, tableTimeout); err != nil {
			return false, fmt.Errorf("wait for the table %s: %w", name, awserrors.Explain(err))
		}
	}
	keyMatches := len(table.KeySchema) == 1 && aws.ToString(table.KeySchema[0].AttributeName) == userIDAttribute
	for _, attribute := range table.AttributeDefinitions {
		if aws.ToString(attribute.AttributeName) == userIDAttribute &&
			attribute.AttributeType != dbtypes.ScalarAttributeTypeS {
			keyMatches = false
		}
	}
	if !keyMatches {
		return false, exitcode.Errorf(exitcode.Refused, "the table %s exists, but cannot store users: "+
			"want the string userId as its only key; rename the stage, or remove the table", name)
	}
	return true, nil
}

// describeTable returns nil if there is no such table.
func describeTable(ctx context.Context, client *dynamodb.Client, name string) (*dbtypes.TableDescription, error) {
	described, err := client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &name})
	if _, missing := errors.AsType[*dbtypes.ResourceNotFoundException](err); missing {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("describe the table %s: %w", name, awserrors.Explain(err))
	}
	return described.Table, nil
}

// protectTable enables point-in-time recovery and deletion protection, because an import does not apply the properties
// of the template.
func protectTable(ctx context.Context, client *dynamodb.Client, name string) error {
	_, err := client.UpdateContinuousBackups(ctx, &dynamodb.UpdateContinuousBackupsInput{
		TableName: &name,
		PointInTimeRecoverySpecification: &dbtypes.PointInTimeRecoverySpecification{
			PointInTimeRecoveryEnabled: aws.Bool(true),
		},
	})
	if err != nil {
		return err
	}
	table, err := describeTable(ctx, client, name)
	if err != nil || table == nil || aws.ToBool(table.DeletionProtectionEnabled) {
		return err
	}
	return setDeletionProtection(ctx, client, name, true)
}

// setDeletionProtection turns the deletion protection of a table on or off, and waits until that is done.
func setDeletionProtection(ctx context.Context, client *dynamodb.Client, name string, on bool) error {
	_, err := client.UpdateTable(ctx, &dynamodb.UpdateTableInput{TableName: &name, DeletionProtectionEnabled: &on})
	if err != nil {
		return err
	}
	return dynamodb.NewTableExistsWaiter(client).Wait(ctx, &dynamodb.DescribeTableInput{TableName: &name}, tableTimeout)
}
