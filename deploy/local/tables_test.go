package local_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	awsdynamodb "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/local"
)

// Tables of templates.
const (
	thingsTable = `
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: Things
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
      KeySchema: [{AttributeName: id, KeyType: HASH}]
`
	indexedTable = `
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: Things
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}, {AttributeName: size, AttributeType: N}]
      KeySchema: [{AttributeName: id, KeyType: HASH}]
      GlobalSecondaryIndexes:
        - IndexName: size
          KeySchema: [{AttributeName: size, KeyType: HASH}]
          Projection: {ProjectionType: ALL}
`
	othersTable = `
  OthersTable:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: Others
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
      KeySchema: [{AttributeName: id, KeyType: HASH}]
`
)

// TestTables changes the template of a running stack, and between two runs.
func TestTables(t *testing.T) {
	t.Parallel()
	requireJava(t)
	cfg, _ := thingsConfig(t, thingsTable+othersTable, listPath, "")
	var printed buffer
	cfg.Watch, cfg.Progress = true, func(step string) { _, _ = printed.Write([]byte(step + "\n")) }
	stack := startThings(t, cfg)
	if !stack.TablesCreated {
		t.Error("TablesCreated = false after the first start, want true")
	}
	wantTables(t, stack, map[string][]string{"Things": nil, "Others": nil})

	file := filepath.Join(cfg.Root, "deploy", "template.yaml")
	current := thingsTable + othersTable
	change := func(tables string) {
		t.Helper()
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		testenv.WriteFile(t, file, strings.Replace(string(content), current, tables, 1))
		current = tables
	}
	reloaded := func(tables string, messages ...string) {
		t.Helper()
		before := len(printed.String())
		change(tables)
		for _, message := range messages {
			testenv.Eventually(t, message, func() bool { return strings.Contains(printed.String()[before:], message) })
		}
	}
	reloaded(indexedTable, "Adding the index size (size N HASH) ALL to the table Things…",
		"No longer in the template, but kept: table Others.", "Reloaded the API")
	wantTables(t, stack, map[string][]string{"Things": {"size"}, "Others": nil})
	reloaded(thingsTable+strings.ReplaceAll(othersTable, "Others", "New"),
		"Deleting the index size (size N HASH) ALL of the table Things…", "Created the table New.", "Reloaded the API")
	wantTables(t, stack, map[string][]string{"Things": nil, "Others": nil, "New": nil})

	// A changed key is not applied: the message has what it needs.
	otherKey := strings.ReplaceAll(thingsTable, "AttributeName: id", "AttributeName: key")
	fault := "table Things has key (id S HASH), but the template defines key (key S HASH)"
	reloaded(otherKey, "The change was not applied: "+fault, "`RESET=1 go tool mage run` creates the tables again and deletes the data of all")
	reloaded(thingsTable, "Reloaded the API")

	// The same with another database, which RESET=1 does not delete.
	change(otherKey + othersTable)
	second := cfg
	second.Watch, second.DataDir, second.DynamoDBEndpoint = false, t.TempDir(), stack.Database
	wantStartError(t, second, fault, "aws dynamodb delete-table --region us-east-1 --endpoint-url "+stack.Database+" --table-name Things`")
	if err := stack.Close(); err != nil {
		t.Fatal(err)
	}

	wantStartError(t, cfg, fault, "RESET=1 go tool mage run")
	change(indexedTable + othersTable)
	stack = startThings(t, cfg)
	if stack.TablesCreated {
		t.Error("TablesCreated = true after the second start, want false")
	}
	wantTables(t, stack, map[string][]string{"Things": {"size"}, "Others": nil, "New": nil})
	if err := stack.Close(); err != nil {
		t.Fatal(err)
	}

	change(otherKey)
	cfg.Reset = true
	stack = startThings(t, cfg)
	wantTables(t, stack, map[string][]string{"Things": nil})
}

// wantTables checks the names of the tables in the database and of their indexes.
func wantTables(t *testing.T, stack *local.Instance, want map[string][]string) {
	t.Helper()
	client, got := connect(t, stack), map[string][]string{}
	for name := range want {
		described, err := client.DescribeTable(t.Context(), &awsdynamodb.DescribeTableInput{TableName: &name})
		if err != nil {
			t.Fatal(err)
		}
		got[name] = nil
		for _, index := range described.Table.GlobalSecondaryIndexes {
			got[name] = append(got[name], *index.IndexName)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tables (-want +got):\n%s", diff)
	}
	listed, err := client.ListTables(t.Context(), &awsdynamodb.ListTablesInput{})
	if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), listed.TableNames); diff != "" || err != nil {
		t.Errorf("error = %v, tables (-want +got):\n%s", err, diff)
	}
}

func wantStartError(t *testing.T, cfg local.Config, wants ...string) {
	t.Helper()
	stack, err := local.Start(t.Context(), cfg)
	if err == nil {
		t.Fatalf("started, want an error; Close: %v", stack.Close())
	}
	for _, want := range wants {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error = %v, want %q in it", err, want)
		}
	}
}
