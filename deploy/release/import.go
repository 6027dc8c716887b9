package release

import (
	"context"
	"errors"
	"fmt"
	"strings"
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

// importTables imports the tables of the template that the stack does not have and that exist: destroy retains tables,
// and so do a deployment that fails after it has created them and one that removes them from the stack. stack is the
// template of the stack, nil for none. importTables reports whether there was such a table.
func (s *session) importTables(ctx context.Context, stack, rendered *template.Rendered) (imported bool, err error) {
	client := dynamodb.NewFromConfig(s.Account.Config)
	indexes := map[string][]string{}
	var names []string
	input := changeset.Input{}
	for _, table := range rendered.NewTables(stack) {
		found, err := s.importableTable(ctx, client, table)
		if err != nil {
			return false, err
		}
		if found == nil {
			continue
		}
		indexes[table.LogicalID] = globalIndexes(found)
		names = append(names, table.Name)
		input.Import = append(input.Import, cftypes.ResourceToImport{
			LogicalResourceId:  &table.LogicalID,
			ResourceType:       aws.String("AWS::DynamoDB::Table"),
			ResourceIdentifier: map[string]string{"TableName": table.Name},
		})
	}
	if len(names) == 0 {
		return false, nil
	}
	for _, name := range names {
		s.Printer.Notef("the table %s exists already: importing it with all its data", name)
		if err := protectTable(ctx, client, name); err != nil {
			return false, fmt.Errorf("protect the table %s: %w", name, awserrors.Explain(err))
		}
	}
	importing := rendered.Importing(stack, indexes)
	if stack == nil {
		// The record marks the stack as created by this tool, even if the deployment ends here.
		err = s.setRecord(importing, stage.Record{Source: stage.ReadRecord(rendered).Source})
		input.TemplateBody = importing.JSON()
	} else {
		key := "plans/" + s.StackName() + "-import.json"
		_, err = s.bucket.Upload(ctx, key, importing.JSON())
		input.TemplateURL = s.bucket.URL(key)
	}
	if err != nil {
		return false, err
	}
	input.Parameters, input.Description = importing.Parameters(), "Import of "+strings.Join(names, ", ")
	plan, err := s.Stack.Plan(ctx, input)
	if err != nil {
		return false, err
	}
	return true, s.execute(ctx, plan, importing)
}

// importableTable returns the existing table of that name, once it is neither being created nor deleted, or nil if
// there is none. It returns an error for a table that [checkTable] rejects.
func (s *session) importableTable(
	ctx context.Context, client *dynamodb.Client, table template.Table,
) (*dbtypes.TableDescription, error) {
	name := table.Name
	found, err := describeTable(ctx, client, name)
	if err != nil || found == nil {
		return nil, err
	}
	input := &dynamodb.DescribeTableInput{TableName: &name}
	if found.TableStatus == dbtypes.TableStatusDeleting {
		s.Printer.Notef("waiting for the table %s to be deleted", name)
		if err := dynamodb.NewTableNotExistsWaiter(client).Wait(ctx, input, tableTimeout); err != nil {
			return nil, fmt.Errorf("wait for the deletion of the table %s: %w", name, awserrors.Explain(err))
		}
		return nil, nil
	}
	if found.TableStatus != dbtypes.TableStatusActive {
		s.Printer.Notef("the table %s is %s: waiting for it to be ACTIVE", name, found.TableStatus)
		if err := dynamodb.NewTableExistsWaiter(client).Wait(ctx, input, tableTimeout); err != nil {
			return nil, fmt.Errorf("wait for the table %s: %w", name, awserrors.Explain(err))
		}
	}
	return found, checkTable(table, found)
}

// checkTable returns an error if an existing table cannot become a table of the template: a key of the table or of an
// index differs, or a local secondary index is missing. Missing global secondary indexes can be created later.
func checkTable(table template.Table, found *dbtypes.TableDescription) error {
	refuse := func(format string, args ...any) error {
		return exitcode.Errorf(exitcode.Refused, "the table %s exists, but %s; use another stage, or remove the table",
			table.Name, fmt.Sprintf(format, args...))
	}
	if got, want := foundKey(found, found.KeySchema), formatKey(table.Key()); got != want {
		return refuse("its key is %s: want %s, as in deploy/template.yaml", got, want)
	}
	keys := map[string]string{} // of the existing indexes
	for _, index := range found.GlobalSecondaryIndexes {
		keys[aws.ToString(index.IndexName)] = foundKey(found, index.KeySchema)
	}
	for _, index := range found.LocalSecondaryIndexes {
		keys[aws.ToString(index.IndexName)] = foundKey(found, index.KeySchema)
	}
	for _, index := range table.Indexes() {
		switch got, ok := keys[index.Name]; {
		case ok && got != formatKey(index.Key):
			return refuse("the key of its index %s is %s: want %s, as in deploy/template.yaml",
				index.Name, got, formatKey(index.Key))
		case !ok && index.Local:
			return refuse("it lacks the local secondary index %s, which only a new table can get", index.Name)
		}
	}
	return nil
}

// globalIndexes returns the names of the global secondary indexes of a table.
func globalIndexes(found *dbtypes.TableDescription) []string {
	var names []string
	for _, index := range found.GlobalSecondaryIndexes {
		names = append(names, aws.ToString(index.IndexName))
	}
	return names
}

// foundKey renders the key of an existing table or index as formatKey does.
func foundKey(found *dbtypes.TableDescription, schema []dbtypes.KeySchemaElement) string {
	key := make([]template.KeyAttribute, len(schema)) // the partition key is first
	for i, element := range schema {
		key[i].Name = aws.ToString(element.AttributeName)
		for _, definition := range found.AttributeDefinitions {
			if aws.ToString(definition.AttributeName) == key[i].Name {
				key[i].Type = string(definition.AttributeType)
			}
		}
	}
	return formatKey(key)
}

// formatKey renders a key, such as "userId (S)", the partition key first.
func formatKey(key []template.KeyAttribute) string {
	var attributes []string
	for _, attribute := range key {
		attributes = append(attributes, fmt.Sprintf("%s (%s)", attribute.Name, attribute.Type))
	}
	return strings.Join(attributes, " and ")
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
