package deployment_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

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
func TestIndex(t *testing.T) {
	t.Parallel()
	c := newCheckout(t, emulator.Start(t)) // the deployer's policy does not allow tables with this name
	run := func(target, table string) result {
		t.Helper()
		template := original(t, "deploy/template.yaml")
		c.write("deploy/template.yaml", strings.Replace(template, "\nOutputs:\n", table+"\nOutputs:\n", 1))
		return c.must([]string{"SMOKE=0", "DRIFT=0"}, target)
	}
	run("deploy", ordersTable)
	for _, target := range []string{"plan", "deploy"} {
		r := run(target, ordersTable+buyerIndex)
		if !r.contains("~ OrdersTable ") || !r.contains("GlobalSecondaryIndexes") || r.contains("REPLACED") {
			t.Errorf("%s: want an update of the table without a replacement, got\n%s", target, r)
		}
	}
	name := "Orders-" + stageName
	found, err := dynamodb.NewFromConfig(c.account.Config()).
		DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: &name})
	if err != nil {
		t.Fatal(err)
	}
	if got := len(found.Table.GlobalSecondaryIndexes); got != 1 {
		t.Errorf("the table has %d indexes, want 1", got)
	}
}
