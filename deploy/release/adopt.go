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
	"github.com/userrequestapi/userdata/deploy/template"
)

// tableTime is how long DynamoDB may take to make or delete a table.
const tableTime = 10 * time.Minute

// adopt takes the stage's table into a new stack where there is one already: that of a stage that was destroyed, for its table stays,
// or of a first deployment that failed.
func (s *session) adopt(ctx context.Context, rendered *template.Rendered) (adopted bool, err error) {
	alone, logicalID, name, ok := rendered.TableOnly()
	if !ok {
		return false, nil
	}
	client := dynamodb.NewFromConfig(s.account.Config)
	found, err := s.adoptable(ctx, client, name)
	if err != nil || !found {
		return false, err
	}
	s.Printer.Notef("the table %s is there already: it is taken into the stack with all that is in it", name)
	if err := protect(ctx, client, name); err != nil {
		return false, fmt.Errorf("protect the table %s: %w", name, awserrors.Explain(err))
	}
	// It tells whose the stack is, should this be as far as it gets.
	if err := s.sign(alone, record{Source: recordOf(rendered).Source}); err != nil {
		return false, err
	}
	plan, err := s.stack.Plan(ctx, changeset.Input{
		TemplateBody: alone.JSON(),
		Parameters:   alone.Parameters(),
		Description:  "Take in the table " + name,
		Import: []cftypes.ResourceToImport{{
			LogicalResourceId:  &logicalID,
			ResourceType:       aws.String(tableType),
			ResourceIdentifier: map[string]string{"TableName": name},
		}},
	})
	if err != nil {
		return false, err
	}
	return true, s.execute(ctx, plan, alone)
}

// adoptable tells whether there is a table of that name, once it is neither being made nor being deleted, and refuses one that cannot
// keep the users.
func (s *session) adoptable(ctx context.Context, client *dynamodb.Client, name string) (bool, error) {
	table, err := describeTable(ctx, client, name)
	if err != nil || table == nil {
		return false, err
	}
	input := &dynamodb.DescribeTableInput{TableName: &name}
	if table.TableStatus == dbtypes.TableStatusDeleting {
		s.Printer.Notef("the table %s is being deleted: waiting for that", name)
		if err := dynamodb.NewTableNotExistsWaiter(client).Wait(ctx, input, tableTime); err != nil {
			return false, fmt.Errorf("wait for the deletion of the table %s: %w", name, awserrors.Explain(err))
		}
		return false, nil
	}
	if table.TableStatus != dbtypes.TableStatusActive {
		s.Printer.Notef("the table %s is %s: waiting for that to end", name, table.TableStatus)
		if err := dynamodb.NewTableExistsWaiter(client).Wait(ctx, input, tableTime); err != nil {
			return false, fmt.Errorf("wait for the table %s: %w", name, awserrors.Explain(err))
		}
	}
	key := len(table.KeySchema) == 1 && aws.ToString(table.KeySchema[0].AttributeName) == userIDAttribute
	for _, attribute := range table.AttributeDefinitions {
		if aws.ToString(attribute.AttributeName) == userIDAttribute && attribute.AttributeType != dbtypes.ScalarAttributeTypeS {
			key = false
		}
	}
	if !key {
		return false, WithCode(CodeRefused, fmt.Errorf("there is a table %s already, whose key is not the string userId alone: "+
			"it cannot keep the users. Rename the stage, or move that table away", name))
	}
	return true, nil
}

// describeTable returns nil where there is no such table.
func describeTable(ctx context.Context, client *dynamodb.Client, name string) (*dbtypes.TableDescription, error) {
	described, err := client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &name})
	if _, absent := errors.AsType[*dbtypes.ResourceNotFoundException](err); absent {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for the table %s: %w", name, awserrors.Explain(err))
	}
	return described.Table, nil
}

// protect switches on what the template says of the table: an import takes a table as it is, and believes the template.
func protect(ctx context.Context, client *dynamodb.Client, name string) error {
	_, err := client.UpdateContinuousBackups(ctx, &dynamodb.UpdateContinuousBackupsInput{
		TableName:                        &name,
		PointInTimeRecoverySpecification: &dbtypes.PointInTimeRecoverySpecification{PointInTimeRecoveryEnabled: aws.Bool(true)},
	})
	if err != nil {
		return err
	}
	table, err := describeTable(ctx, client, name)
	if err != nil || table == nil || aws.ToBool(table.DeletionProtectionEnabled) {
		return err
	}
	_, err = client.UpdateTable(ctx, &dynamodb.UpdateTableInput{TableName: &name, DeletionProtectionEnabled: aws.Bool(true)})
	if err != nil {
		return err
	}
	return dynamodb.NewTableExistsWaiter(client).Wait(ctx, &dynamodb.DescribeTableInput{TableName: &name}, tableTime)
}
