package template_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/template"
)

// service returns the documents of the fixture, with a text of template.yaml replaced by another.
func service(t *testing.T, edits ...string) *template.Template {
	t.Helper()
	files := fstest.MapFS{}
	for _, name := range []string{"openapi.yaml", "template.yaml"} {
		content, err := os.ReadFile(filepath.Join("..", "testdata", "service", "deploy", name))
		if err != nil {
			t.Fatal(err)
		}
		if name == "template.yaml" {
			for i := 0; i < len(edits); i += 2 {
				if strings.Count(string(content), edits[i]) != 1 {
					t.Fatalf("the fixture does not have %q once", edits[i])
				}
				content = []byte(strings.Replace(string(content), edits[i], edits[i+1], 1))
			}
		}
		files[name] = &fstest.MapFile{Data: content}
	}
	loaded, err := template.Load(files)
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

const ordersTable = `
  OrdersTable:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: !If [IsProd, Orders, !Sub "Orders-${StageName}"]
      AttributeDefinitions:
        - {AttributeName: orderId, AttributeType: S}
        - {AttributeName: userId, AttributeType: S}
        - {AttributeName: placed, AttributeType: N}
      KeySchema:
        - {AttributeName: orderId, KeyType: HASH}
      BillingMode: PAY_PER_REQUEST
      GlobalSecondaryIndexes:
        - IndexName: by-user
          KeySchema:
            - {AttributeName: placed, KeyType: RANGE}
            - {AttributeName: userId, KeyType: HASH}
          Projection: {ProjectionType: ALL}

Outputs:
`

// TestTables checks the tables of a template with two.
func TestTables(t *testing.T) {
	t.Parallel()
	loaded := service(t, "\nOutputs:\n", ordersTable)
	type table struct {
		ID, Name, ARN, Billing string
		Key                    []template.KeyAttribute
		Indexes                []template.Index
	}
	userID := []template.KeyAttribute{{Name: "userId", Type: "S", Role: "HASH"}}
	orders := func(name string) table {
		return table{
			"OrdersTable", name, "arn:aws:dynamodb:us-east-1:000000000000:table/" + name, "PAY_PER_REQUEST",
			[]template.KeyAttribute{{Name: "orderId", Type: "S", Role: "HASH"}},
			[]template.Index{{Name: "by-user", Key: []template.KeyAttribute{
				{Name: "userId", Type: "S", Role: "HASH"}, {Name: "placed", Type: "N", Role: "RANGE"},
			}}},
		}
	}
	users := func(id, name string) table {
		return table{id, name, "arn:aws:dynamodb:us-east-1:000000000000:table/" + name, "PAY_PER_REQUEST", userID, nil}
	}
	for _, test := range []struct {
		name       string
		parameters map[string]string
		want       []table
	}{
		{"prod", nil, []table{orders("Orders"), users("Table", "UserData")}},
		{"dev", map[string]string{"StageName": "dev"}, []table{orders("Orders-dev"), users("Table", "UserData-dev")}},
		{"existing", map[string]string{"ExistingTableName": "People"}, []table{users("", "People"), orders("Orders")}},
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
					found.LogicalID, found.Name, found.ARN, found.BillingMode(), found.Key(), found.Indexes(),
				})
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("Tables (-want +got):\n%s", diff)
			}
		})
	}
}

// TestTablesOnly checks the templates for the import of tables.
func TestTablesOnly(t *testing.T) {
	t.Parallel()
	loaded := service(t, "\nOutputs:\n", ordersTable)
	rendered, err := loaded.Render(template.Options{Parameters: map[string]string{"StageName": "dev"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ ids, want []string }{
		{[]string{"OrdersTable", "Table"}, []string{"OrdersTable Orders-dev", "Table UserData-dev"}},
		{[]string{"OrdersTable"}, []string{"OrdersTable Orders-dev"}},
	} {
		only := rendered.TablesOnly(test.ids...)
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
		for _, id := range test.ids {
			want[id] = "AWS::DynamoDB::Table"
		}
		if diff := cmp.Diff(want, resources); diff != "" {
			t.Errorf("Resources (-want +got):\n%s", diff)
		}
	}
}
