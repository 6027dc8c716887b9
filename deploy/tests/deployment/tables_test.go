package deployment_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/release"
	"github.com/userrequestapi/userdata/deploy/release/progress"
	"github.com/userrequestapi/userdata/deploy/release/stage"
	"github.com/userrequestapi/userdata/deploy/tests/emulator"
)

// ordersTable is a second table for the template of the fixture.
const ordersTable = `
  OrdersTable:
    Type: AWS::DynamoDB::Table
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
    Properties:
      TableName: !Sub "Orders-${StageName}"
      BillingMode: PAY_PER_REQUEST
      KeySchema: [{AttributeName: orderId, KeyType: HASH}]
      AttributeDefinitions:
        - {AttributeName: orderId, AttributeType: S}
`

// buyerIndex is a global secondary index of ordersTable.
const buyerIndex = `        - {AttributeName: buyer, AttributeType: S}
      GlobalSecondaryIndexes:
        - IndexName: buyer
          KeySchema: [{AttributeName: buyer, KeyType: HASH}]
          Projection: {ProjectionType: ALL}
`

// An index that is added to an existing table is an update without a replacement.
func TestIndex(t *testing.T) { //nolint:paralleltest // sets the environment
	account := emulator.Start(t)
	account.Setenv(t)
	root := t.TempDir()
	if err := os.CopyFS(root, os.DirFS(filepath.Join(testenv.Root(t), "deploy", "testdata", "service"))); err != nil {
		t.Fatal(err)
	}
	testenv.WriteFile(t, filepath.Join(root, "deploy", "stages", "test.yaml"),
		`parameters: {Authorization: NONE, Monitoring: "false"}`)
	file := filepath.Join(root, "deploy", "template.yaml")
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	run := func(do func(context.Context, release.Settings) error, table string) string {
		t.Helper()
		testenv.WriteFile(t, file, strings.Replace(string(content), "\nOutputs:\n", table+"\nOutputs:\n", 1))
		var out bytes.Buffer
		err := do(t.Context(), release.Settings{Settings: stage.Settings{
			Root: root, Stage: "test", Poll: 100 * time.Millisecond, Printer: progress.New(&out, progress.Options{}),
		}})
		if err != nil {
			t.Fatalf("%v\n%s", err, &out)
		}
		return out.String()
	}
	run(release.Deploy, ordersTable)
	for _, do := range []func(context.Context, release.Settings) error{release.Plan, release.Deploy} {
		out := run(do, ordersTable+buyerIndex)
		if !strings.Contains(out, "~ OrdersTable ") || !strings.Contains(out, "GlobalSecondaryIndexes") ||
			strings.Contains(out, "REPLACED") {
			t.Errorf("want an update of the table without a replacement, got\n%s", out)
		}
	}
	name := "Orders-test"
	found, err := dynamodb.NewFromConfig(account.Config()).
		DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: &name})
	if err != nil {
		t.Fatal(err)
	}
	if got := len(found.Table.GlobalSecondaryIndexes); got != 1 {
		t.Errorf("the table has %d indexes, want 1", got)
	}
}
