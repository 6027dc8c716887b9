// Package templatetest has a template with a second table.
package templatetest

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

// Orders returns the documents in a folder, the fixture's, with a table for orders and its index by-user. The function
// Get reads orders and queries the index. edits are pairs of a text of template.yaml that it has once, and its
// replacement.
func Orders(tb testing.TB, folder string, edits ...string) fs.FS {
	tb.Helper()
	files := fstest.MapFS{}
	for _, name := range []string{"openapi.yaml", "template.yaml"} {
		content, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			tb.Fatal(err)
		}
		files[name] = &fstest.MapFile{Data: content}
	}
	source := string(files["template.yaml"].Data)
	for edits = append(orders(), edits...); len(edits) > 1; edits = edits[2:] {
		if n := strings.Count(source, edits[0]); n != 1 {
			tb.Fatalf("template.yaml has %q %d times, want it once", edits[0], n)
		}
		source = strings.Replace(source, edits[0], edits[1], 1)
	}
	files["template.yaml"].Data = []byte(source)
	return files
}

// orders returns the edits that add the table.
func orders() []string {
	return []string{
		"      Tables: [Table]\n      TableActions: [dynamodb:GetItem, dynamodb:Scan]\n",
		`      Tables: [Table, OrdersTable]
      TableActions: [dynamodb:GetItem, dynamodb:Scan]
      OrdersTableActions: [dynamodb:GetItem]
      OrdersTableIndexes: [by-user]
`,
		"      Ids: [Table]\n",
		`      Ids: [Table, OrdersTable]
    OrdersTable: {Label: orders, Variable: ORDERS_TABLE_NAME, Indexes: [by-user]}
`,
		"      Names: [GetItem, Scan, ", "      Names: [Query, GetItem, Scan, ",
		"    GetItem: {Metric: getItem}\n", "    GetItem: {Metric: getItem}\n    Query: {Metric: query}\n",
		"  # The resources of each function.", `  OrdersTable:
    <<: *table
    Condition: OwnsOrdersTable
    Properties:
      <<: *tableProperties
      TableName: !If [IsProd, UserRequestAPI-orders, !Sub "UserRequestAPI-orders-${StageName}"]
      AttributeDefinitions:
        - {AttributeName: orderId, AttributeType: S}
        - {AttributeName: userId, AttributeType: S}
      KeySchema:
        - {AttributeName: orderId, KeyType: HASH}
      GlobalSecondaryIndexes:
        - IndexName: by-user
          KeySchema: [{AttributeName: userId, KeyType: HASH}]
          Projection: {ProjectionType: ALL}

  # The resources of each function.`,
	}
}
