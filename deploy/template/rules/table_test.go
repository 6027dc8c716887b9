package rules_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/template"
	"github.com/userrequestapi/userdata/deploy/template/rules"
	"github.com/userrequestapi/userdata/deploy/template/templatetest"
)

// TestTables checks the messages for mistakes in a template with two tables and an index.
func TestTables(t *testing.T) {
	t.Parallel()
	const (
		actions   = "      OrdersTableActions: [dynamodb:GetItem]\n"
		indexes   = "      OrdersTableIndexes: [by-user]\n"
		entry     = "Variable: ORDERS_TABLE_NAME, Indexes: [by-user]}"
		resources = "\nResources:\n"
		role      = "Resources.GetRole.Properties.Policies.0.PolicyDocument.Statement."
	)
	policy := func(statement string) string {
		return resources + "  Extra:\n    Type: AWS::IAM::RolePolicy\n    Properties:\n      PolicyName: Extra\n" +
			"      RoleName: !Ref PutRole\n      PolicyDocument: {Statement: [" + statement + "]}\n"
	}
	for _, test := range []struct {
		name  string
		edits []string
		want  []string
	}{
		{"no mistake", nil, nil},
		{"only an index", []string{actions, ""}, nil},
		{"table without permissions", []string{actions + indexes, ""}, []string{
			"Resources.GetFunction.Properties.Environment.Variables.ORDERS_TABLE_NAME: GetFunction may not access the table: " +
				"list OrdersTableActions or OrdersTableIndexes in the entry Get of the mapping Functions, or remove OrdersTable " +
				"from its Tables (role-scope)",
		}},
		{"equal labels", []string{"Label: orders", "Label: table"}, []string{
			"Resources.Table: its alarms have the names of those of OrdersTable: change its Label in the mapping Tables " +
				"(alarm-name)",
		}},
		{"condition of another table", []string{"Condition: OwnsOrdersTable", "Condition: OwnsTable"}, []string{
			"Resources.OrdersTable.Condition: with ExistingOrdersTableName, the table would be created all the same: set it to " +
				"OwnsOrdersTable (table-condition)",
		}},
		{"unknown index", []string{indexes, "      OrdersTableIndexes: [by-usr]\n"}, []string{
			role + "2.Resource: GetFunction may access ${OrdersTable.Arn}/index/by-usr by dynamodb:Query: the table has no " +
				"index by-usr: add it to GlobalSecondaryIndexes of OrdersTable, or correct OrdersTableIndexes in the entry Get " +
				"of the mapping Functions (role-scope)",
		}},
		{"more than items", []string{actions, "      OrdersTableActions: [dynamodb:DeleteTable]\n"}, []string{
			role + "1.Resource: GetFunction may access ${OrdersTable.Arn} by dynamodb:DeleteTable: a function reads and writes " +
				"items only: BatchGetItem, BatchWriteItem, DeleteItem, GetItem, PutItem, Query, Scan, UpdateItem (role-scope)",
		}},
		{"operation without an alarm", []string{actions, "      OrdersTableActions: [dynamodb:UpdateItem]\n"}, []string{
			"Resources.OrdersTable: no alarm on SystemErrors of UpdateItem, which GetFunction may call: add UpdateItem to the " +
				"mapping Operations, to Names and as an entry with the id of its metric (alarm)",
		}},
		{"index without alarms", []string{entry, "Variable: ORDERS_TABLE_NAME}"}, []string{
			"Resources.OrdersTable: no alarm on ReadThrottleEvents of its index by-user: add the index to Indexes in the " +
				"entry OrdersTable of the mapping Tables (alarm)",
			"Resources.OrdersTable: no alarm on WriteThrottleEvents of its index by-user: add the index to Indexes in the " +
				"entry OrdersTable of the mapping Tables (alarm)",
		}},
		{"alarms on an unknown index", []string{entry, "Variable: ORDERS_TABLE_NAME, Indexes: [by-user, old]}"}, []string{
			"Resources.OrdersTableoldReadThrottlesAlarm.Properties.Metrics.1.MetricStat.Metric: its dimensions map[GlobalSecondaryIndexName:old " +
				"TableName:${OrdersTable}] match no resource of this template (alarm-metric)",
			"Resources.OrdersTableoldWriteThrottlesAlarm.Properties.Metrics.1.MetricStat.Metric: its dimensions map[GlobalSecondaryIndexName:old " +
				"TableName:${OrdersTable}] match no resource of this template (alarm-metric)",
		}},
		{"permission that no entry lists", []string{resources, policy(
			`{Effect: Allow, Action: dynamodb:PutItem, Resource: !GetAtt OrdersTable.Arn}`)}, []string{
			"Resources.Extra.Properties.PolicyDocument.Statement.0.Resource: PutFunction may access ${OrdersTable.Arn} by " +
				"dynamodb:PutItem: list it in the entry Put of the mapping Functions, from which its role is rendered (role-scope)",
		}},
		{"write to an index", []string{
			"                                Action: dynamodb:Query\n", "                                Action: dynamodb:PutItem\n",
		}, []string{
			role + "2.Resource: GetFunction may access ${OrdersTable.Arn}/index/by-user by dynamodb:PutItem: an index supports " +
				"only dynamodb:Query and dynamodb:Scan (role-scope)",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, violation := range checkOrders(t, full(), test.edits...) {
				if violation.Rule != "dashboard-metric" { // which repeats those of the alarms
					got = append(got, violation.String())
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("violations (-want +got):\n%s", diff)
			}
		})
	}
}

// TestExistingTables checks that the rules accept an existing table in place of each table of the stage.
func TestExistingTables(t *testing.T) {
	t.Parallel()
	for _, parameters := range []map[string]string{
		{"ExistingTableName": "People"},
		{"ExistingOrdersTableName": "Purchases"},
		{"ExistingTableName": "People", "ExistingOrdersTableName": "Purchases", "StageName": "dev"},
	} {
		for _, violation := range checkOrders(t, with(parameters)) {
			t.Errorf("%v: %v", parameters, violation)
		}
	}
}

// checkOrders returns the violations of the template with a second table.
func checkOrders(t *testing.T, parameters map[string]string, edits ...string) []rules.Violation {
	t.Helper()
	loaded, err := template.Load(templatetest.Orders(t, "../../testdata/service/deploy", edits...))
	if err != nil {
		t.Fatal(err)
	}
	rendered, err := loaded.Render(template.Options{Parameters: parameters})
	if err != nil {
		t.Fatal(err)
	}
	violations, err := rules.Check(rendered.JSON(), rendered.Parameters())
	if err != nil {
		t.Fatal(err)
	}
	return violations
}
