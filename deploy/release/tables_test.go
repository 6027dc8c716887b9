package release_test

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/release"
	"github.com/userrequestapi/userdata/deploy/release/exitcode"
)

const ordersName = "Orders-test"

// orders returns a second table for the template with global secondary indexes, whose keys are the strings of the same
// names.
func orders(indexes ...string) string {
	var text strings.Builder
	text.WriteString(`
  OrdersTable:
    Type: AWS::DynamoDB::Table
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
    Properties:
      TableName: !Sub "Orders-$${StageName}"
      BillingMode: PAY_PER_REQUEST
      KeySchema: [{AttributeName: orderId, KeyType: HASH}]
      AttributeDefinitions:
        - {AttributeName: orderId, AttributeType: S}
`)
	for _, index := range indexes {
		text.WriteString("        - {AttributeName: " + index + ", AttributeType: S}\n")
	}
	if len(indexes) > 0 {
		text.WriteString("      GlobalSecondaryIndexes:\n")
	}
	for _, index := range indexes {
		text.WriteString("        - IndexName: " + index + "\n          KeySchema: [{AttributeName: " + index +
			", KeyType: HASH}]\n          Projection: {ProjectionType: ALL}\n")
	}
	return text.String()
}

// setOrders adds the second table to the template of the fixture; "" for none.
func setOrders(t *testing.T, root, table string) {
	t.Helper()
	copyFile(t, filepath.Join(fixture, "template.yaml"), filepath.Join(root, "deploy", "template.yaml"))
	if table != "" {
		setTemplate(t, root, `(?m)^Outputs:$`, table+"\nOutputs:")
	}
}

// existingOrders returns the second table as it is in DynamoDB.
func existingOrders(indexes map[string]string) *table {
	return &table{key: "orderId", keyType: "S", indexes: indexes, statuses: []string{"ACTIVE"}}
}

// replaceTables returns settings that allow tables to be replaced or removed.
func replaceTables(names ...string) func(*release.Settings) {
	return func(s *release.Settings) { s.ReplaceTables = names }
}

// A second table is added, gets an index, is guarded, leaves the stack, and returns with its data.
func TestSecondTable(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.succeed(t, release.Deploy)
	setOrders(t, a.root, orders())
	contains(t, a.succeed(t, release.Plan), "+ OrdersTable ")
	a.succeed(t, release.Deploy)
	if got := a.Resources(stackName)["OrdersTable"]; got != ordersName {
		t.Fatalf("table %q, want %s", got, ordersName)
	}
	a.set(func(a *account) { a.tables[tableName], a.tables[ordersName] = users("ACTIVE"), existingOrders(nil) })

	setOrders(t, a.root, orders("buyer", "status"))
	for _, do := range []target{release.Plan, release.Deploy} {
		a.fail(t, do, exitcode.Settings, []string{"the table " + ordersName, "one global secondary index in an update",
			"create buyer, create status"})
	}
	setOrders(t, a.root, orders("buyer"))
	out := a.succeed(t, release.Plan)
	contains(t, out, "~ OrdersTable ", "(AttributeDefinitions, GlobalSecondaryIndexes)")
	if strings.Contains(out, "REPLACED") {
		t.Errorf("the plan replaces a table:\n%s", out)
	}
	a.succeed(t, release.Deploy)
	setOrders(t, a.root, strings.ReplaceAll(orders("seller"), "IndexName: seller", "IndexName: buyer"))
	a.fail(t, release.Deploy, exitcode.Settings, []string{"delete buyer, create buyer", "another name"})

	setOrders(t, a.root, strings.Replace(orders("buyer"), "Orders-", "Purchases-", 1))
	a.fail(t, release.Deploy, exitcode.Refused,
		[]string{"replaces the table " + ordersName, "it changes TableName", "REPLACE_TABLE=" + ordersName + " "})
	setOrders(t, a.root, strings.Replace(orders("buyer"), "OrdersTable", "PurchasesTable", 1)) // another logical id
	a.fail(t, release.Deploy, exitcode.Refused, []string{"removes the table " + ordersName})
	setOrders(t, a.root, "")
	setStage(t, a.root, "ExistingTableName: Others")
	removed := []string{"removes the table " + ordersName, "removes the table " + tableName}
	both := "REPLACE_TABLE=" + ordersName + "," + tableName + " "
	a.fail(t, release.Deploy, exitcode.Refused, append(removed, both))
	a.fail(t, release.Deploy, exitcode.Refused, []string{removed[0], both}, replaceTables(tableName))
	setStage(t, a.root, "LogLevel: INFO")
	a.succeed(t, release.Deploy, replaceTables(ordersName))

	// The table has lost its index in the meantime.
	a.takeCalls()
	setOrders(t, a.root, orders("buyer"))
	contains(t, a.succeed(t, release.Plan), "+ OrdersTable ", "imported: it exists already")
	contains(t, a.succeed(t, release.Deploy), "the table "+ordersName+" exists already: importing it with all its data",
		"~ OrdersTable ", "(AttributeDefinitions, GlobalSecondaryIndexes)")
	if got := a.Resources(stackName)["OrdersTable"]; got != ordersName {
		t.Errorf("table %q, want %s", got, ordersName)
	}
	if found := a.tables[ordersName]; !found.protected || !found.recoverable {
		t.Errorf("deletion protection = %t, point-in-time recovery = %t, want both", found.protected, found.recoverable)
	}
	now := a.deployed(t)
	if now.Status != "UPDATE_COMPLETE" || now.Number != 5 {
		t.Errorf("release %d, stack %s, want release 5, UPDATE_COMPLETE", now.Number, now.Status)
	}
	contains(t, a.succeed(t, release.Deploy), "nothing to change")

	// A rollback to a release without the table removes it, too.
	a.fail(t, release.Rollback, exitcode.Refused, []string{"removes the table " + ordersName, "mage rollback"})
}

// A first deployment imports all tables that exist.
func TestExistingTables(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		found   *table
		refused string
		updated bool // whether an update creates the index
	}{
		{name: "with the index", found: existingOrders(map[string]string{"buyer": "buyer"})},
		{name: "without the index", found: existingOrders(nil), updated: true},
		{name: "with another index", found: existingOrders(map[string]string{"status": "status"}), updated: true},
		{name: "another key", found: users("ACTIVE"), refused: "its key is userId (S): want orderId (S)"},
		{
			name: "another key of the index", found: existingOrders(map[string]string{"buyer": "seller"}),
			refused: "the key of its index buyer is seller (S): want buyer (S), as in deploy/template.yaml",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t)
			setOrders(t, a.root, orders("buyer"))
			a.tables[tableName], a.tables[ordersName] = users("ACTIVE"), tt.found
			if tt.refused != "" {
				for _, do := range []target{release.Plan, release.Deploy} {
					a.fail(t, do, exitcode.Refused, []string{"the table " + ordersName + " exists, but " + tt.refused})
				}
				a.WantStatus(t, stackName, "")
				if calls := a.takeCalls("dynamodb Up"); len(calls) > 0 {
					t.Errorf("calls that change a table = %q, want none", calls)
				}
				return
			}
			out := a.succeed(t, release.Deploy)
			a.deployed(t).is(t, 1, "", "UPDATE_COMPLETE")
			if updated := strings.Contains(out, "~ OrdersTable "); updated != tt.updated {
				t.Errorf("an update changes the table: %t, want %t\n%s", updated, tt.updated, out)
			}
			resources := a.Resources(stackName)
			want := map[string]string{"Table": tableName, "OrdersTable": ordersName}
			maps.DeleteFunc(resources, func(id, _ string) bool { return want[id] == "" })
			if diff := cmp.Diff(want, resources); diff != "" {
				t.Errorf("tables (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDestroy_Tables(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		deleted []string
		want    []string // in the output
	}{
		{"all are retained", nil, []string{
			"the table " + ordersName + " is retained", "the table " + tableName + " is retained",
			"to delete what is retained: DELETE_TABLE=" + ordersName + "," + tableName + " ",
		}},
		{"one is deleted", []string{ordersName}, []string{
			"the table " + tableName + " is retained", "to delete what is retained: DELETE_TABLE=" + tableName + " ",
		}},
		{"all are deleted", []string{tableName, ordersName}, []string{"the bucket of packages is retained"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t)
			setOrders(t, a.root, orders())
			a.succeed(t, release.Deploy)
			a.set(func(a *account) { a.tables[tableName], a.tables[ordersName] = users("ACTIVE"), existingOrders(nil) })
			contains(t, a.succeed(t, release.Destroy, func(s *release.Settings) {
				s.Confirm, s.DeleteTables = "test", tt.deleted
			}), tt.want...)
			for name, table := range a.tables {
				if deleted := table.statuses[0] == ""; deleted != slices.Contains(tt.deleted, name) {
					t.Errorf("table %s is deleted: %t, want %t", name, deleted, !deleted)
				}
			}
		})
	}
	t.Run("another table", func(t *testing.T) {
		t.Parallel()
		a := newAccount(t)
		setOrders(t, a.root, orders())
		a.fail(t, release.Destroy, exitcode.Settings, []string{
			"DELETE_TABLE: Orders is not a table", "want tables of " + ordersName + "," + tableName,
		}, func(s *release.Settings) { s.Confirm, s.DeleteTables = "test", []string{tableName, "Orders"} })
	})
}
