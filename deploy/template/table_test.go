package template_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/cfn"
	"github.com/userrequestapi/userdata/deploy/template"
	"github.com/userrequestapi/userdata/deploy/template/templatetest"
)

// orders returns the fixture with a second table.
func orders(t *testing.T) *template.Template {
	t.Helper()
	loaded, err := template.Load(templatetest.Orders(t, fixture))
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

// TestTables checks the tables of a template with two.
func TestTables(t *testing.T) {
	t.Parallel()
	loaded := orders(t)
	type table struct {
		ID, Name, ARN, Billing string
		Key                    []template.KeyAttribute
		Indexes                []template.Index
	}
	userID := []template.KeyAttribute{{Name: "userId", Type: "S", Role: "HASH"}}
	ordersTable := func(name string) table {
		return table{
			"OrdersTable", name, "arn:aws:dynamodb:us-east-1:000000000000:table/" + name, "PAY_PER_REQUEST",
			[]template.KeyAttribute{{Name: "orderId", Type: "S", Role: "HASH"}},
			[]template.Index{{Name: "by-user", Key: []template.KeyAttribute{
				{Name: "userId", Type: "S", Role: "HASH"},
			}}},
		}
	}
	users := func(id, name string) table {
		return table{id, name, "arn:aws:dynamodb:us-east-1:000000000000:table/" + name, "PAY_PER_REQUEST", userID, nil}
	}
	existingOrders := ordersTable("Purchases")
	existingOrders.ID = ""
	for _, test := range []struct {
		name       string
		parameters map[string]string
		want       []table
	}{
		{"prod", nil, []table{ordersTable("UserRequestAPI-orders"), users("Table", "UserData")}},
		{"dev", map[string]string{"StageName": "dev"}, []table{ordersTable("UserRequestAPI-orders-dev"), users("Table", "UserData-dev")}},
		{
			"existing", map[string]string{"ExistingTableName": "People"},
			[]table{users("", "People"), ordersTable("UserRequestAPI-orders")},
		},
		{
			"all existing", map[string]string{"ExistingTableName": "People", "ExistingOrdersTableName": "Purchases"},
			[]table{existingOrders, users("", "People")},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			rendered, err := loaded.Render(template.Options{Parameters: test.parameters})
			if err != nil {
				t.Fatal(err)
			}
			resources, err := rendered.Resolve(template.PseudoParameters{})
			if err != nil {
				t.Fatal(err)
			}
			var got []table
			for _, found := range resources.Tables() {
				got = append(got, table{
					found.LogicalID, found.Name, found.ARN, cfn.Text(found.Properties, "BillingMode"), found.Key(), found.Indexes(),
				})
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("Tables (-want +got):\n%s", diff)
			}
		})
	}
}

// TestImporting_New checks the resources of the templates that import tables into a new stack.
func TestImporting_New(t *testing.T) {
	t.Parallel()
	loaded := orders(t)
	rendered, err := loaded.Render(template.Options{Parameters: map[string]string{"StageName": "dev"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		indexes map[string][]string
		want    []string
	}{
		{
			map[string][]string{"OrdersTable": {"by-user"}, "Table": nil},
			[]string{"OrdersTable UserRequestAPI-orders-dev", "Table UserData-dev"},
		},
		{map[string][]string{"OrdersTable": nil}, []string{"OrdersTable UserRequestAPI-orders-dev"}},
	} {
		only := rendered.Importing(nil, test.indexes)
		var got []string
		for _, table := range only.OwnTables() {
			got = append(got, table.LogicalID+" "+table.Name)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("OwnTables (-want +got):\n%s", diff)
		}
		resources, err := only.Resources()
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{}
		for id := range test.indexes {
			want[id] = "AWS::DynamoDB::Table"
		}
		if diff := cmp.Diff(want, resources); diff != "" {
			t.Errorf("Resources (-want +got):\n%s", diff)
		}
	}
}

// TestFunctionTables checks what a function with two tables gets.
func TestFunctionTables(t *testing.T) {
	t.Parallel()
	rendered, err := orders(t).Render(template.Options{Parameters: map[string]string{"ExistingOrdersTableName": "Purchases"}})
	if err != nil {
		t.Fatal(err)
	}
	stack, err := rendered.Resolve(template.PseudoParameters{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][2]string{}
	for _, f := range stack.Functions() {
		got[f.Name] = [2]string{f.Environment["TABLE_NAME"], f.Environment["ORDERS_TABLE_NAME"]}
	}
	want := map[string][2]string{
		"UserRequestAPI-get": {"UserData", "Purchases"}, "UserRequestAPI-post": {"UserData", ""},
		"UserRequestAPI-put": {"UserData", ""}, "UserRequestAPI-delete": {"UserData", ""},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names of tables (-want +got):\n%s", diff)
	}
	statements := at(t, decode(t, rendered.JSON()), "Resources", "GetRole", "Properties", "Policies").([]any)[0]
	statements = at(t, statements, "PolicyDocument", "Statement").([]any)[:3]
	owned := func(suffix string) object {
		arn := any(object{"Fn::GetAtt": []any{"OrdersTable", "Arn"}})
		existing := "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/${ExistingOrdersTableName}"
		arn = object{"Fn::If": []any{"OwnsOrdersTable", arn, object{"Fn::Sub": existing}}}
		if suffix != "" {
			arn = object{"Fn::Sub": []any{"${Table}" + suffix, object{"Table": arn}}}
		}
		return arn.(object)
	}
	wantStatements := []any{
		object{"Effect": "Allow", "Action": []any{"dynamodb:GetItem"}, "Resource": owned("")},
		object{"Effect": "Allow", "Action": "dynamodb:Query", "Resource": owned("/index/by-user")},
	}
	if diff := cmp.Diff(wantStatements, statements.([]any)[1:]); diff != "" {
		t.Errorf("permissions (-want +got):\n%s", diff)
	}
}
