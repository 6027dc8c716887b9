package local

import (
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"slices"
	"strings"

	"github.com/userrequestapi/userdata/deploy/local/dynamodb"
	"github.com/userrequestapi/userdata/deploy/template"
)

// Tables returns the tables of the template: existing ones (parameters such as ExistingTableName) first, the others
// sorted by logical id.
func (s *Instance) Tables() []template.Table { return s.resources.Load().Tables() }

// describeTables returns "table A", "tables A and B" or "tables A, B and C".
func describeTables(names []string) string {
	last := len(names) - 1
	if last < 1 {
		return "table " + strings.Join(names, "")
	}
	return "tables " + strings.Join(names[:last], ", ") + " and " + names[last]
}

func tableNames(tables []template.Table) []string {
	names := make([]string, len(tables))
	for i, table := range tables {
		names[i] = table.Name
	}
	return names
}

// ensureTables creates the tables that do not exist, and returns their names. The others get the indexes of the
// template. If the key of one has changed, no existing table is changed, and the error says what to do.
func (s *Instance) ensureTables(ctx context.Context, tables []template.Table) (created []string, err error) {
	definitions := make([]map[string]any, len(tables))
	for i, table := range tables {
		definitions[i] = table.Properties
	}
	created, err = dynamodb.EnsureTables(ctx, dynamodb.Connect(s.Database), definitions, s.cfg.Progress)
	var (
		refused  *net.OpError
		keyError *dynamodb.KeyError
		inactive *dynamodb.InactiveError
	)
	switch {
	case err == nil:
		return created, nil
	case errors.As(err, &keyError):
		return nil, s.suggestReset(err, keyError.Table)
	case errors.As(err, &inactive):
		return nil, s.suggestReset(err, inactive.Table)
	case s.cfg.DynamoDBEndpoint != "" && errors.As(err, &refused):
		return nil, fmt.Errorf("no DynamoDB at DYNAMODB_ENDPOINT=%s (%w): start it, or unset DYNAMODB_ENDPOINT",
			s.Database, refused)
	}
	return nil, fmt.Errorf("the DynamoDB at %s: %w", s.Database, err)
}

// suggestReset adds to an error what the user can do about a table that cannot be used.
func (s *Instance) suggestReset(err error, table string) error {
	remedy := "`RESET=1 go tool mage run` creates the tables again and deletes the data of all of them"
	if s.cfg.DynamoDBEndpoint != "" {
		remedy = fmt.Sprintf("`AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local aws dynamodb delete-table "+
			"--region %s --endpoint-url %s --table-name %s` deletes the table with its data", region, s.Database, table)
	}
	return fmt.Errorf("%w\n%s; or revert the change in deploy/template.yaml, or choose another STAGE, which has "+
		"tables of its own", err, remedy)
}

// updateTables applies a change of the template to the tables. Tables that are no longer in the template are kept.
func (s *Instance) updateTables(ctx context.Context, changed []template.Table) error {
	current := s.Tables()
	if reflect.DeepEqual(changed, current) {
		return nil
	}
	created, err := s.ensureTables(ctx, changed)
	if err != nil {
		return err
	}
	if len(created) > 0 {
		s.cfg.Progress("Created the " + describeTables(created) + ".")
	}
	removed := slices.DeleteFunc(slices.Clone(current), func(table template.Table) bool {
		return slices.ContainsFunc(changed, func(other template.Table) bool { return other.Name == table.Name })
	})
	if len(removed) > 0 {
		s.cfg.Progress("No longer in the template, but kept: " + describeTables(tableNames(removed)) + ".")
	}
	return nil
}
