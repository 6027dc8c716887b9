package dynamodb_test

import (
	"encoding/json"
	"maps"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsdynamodb "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/userrequestapi/userdata/deploy/local/dynamodb"
)

const orders = `{
	"TableName": "Orders",
	"AttributeDefinitions": [
		{"AttributeName": "customer", "AttributeType": "S"},
		{"AttributeName": "number", "AttributeType": "N"},
		{"AttributeName": "state", "AttributeType": "S"}
	],
	"KeySchema": [{"AttributeName": "customer", "KeyType": "HASH"}, {"AttributeName": "number", "KeyType": "RANGE"}],
	"BillingMode": "PROVISIONED",
	"ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": "6"},
	"GlobalSecondaryIndexes": [{
		"IndexName": "by-state",
		"KeySchema": [{"AttributeName": "state", "KeyType": "HASH"}],
		"Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["total"]},
		"ProvisionedThroughput": {"ReadCapacityUnits": "7", "WriteCapacityUnits": 8},
		"ContributorInsightsSpecification": {"Enabled": true}
	}],
	"LocalSecondaryIndexes": [{
		"IndexName": "by-customer-and-state",
		"KeySchema": [{"AttributeName": "customer", "KeyType": "HASH"}, {"AttributeName": "state", "KeyType": "RANGE"}],
		"Projection": {"ProjectionType": "KEYS_ONLY"}
	}],
	"StreamSpecification": {"StreamViewType": "NEW_AND_OLD_IMAGES"},
	"PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": true},
	"SSESpecification": {"SSEEnabled": true, "SSEType": "KMS"},
	"DeletionProtectionEnabled": true,
	"TableClass": "STANDARD",
	"Tags": [{"Key": "a", "Value": "b"}]
}`

func TestCreateTable(t *testing.T) {
	t.Parallel()
	client := connect(t, start(t, dynamodb.Config{}))
	for i, want := range []bool{true, false} {
		created, err := dynamodb.CreateTable(t.Context(), client, properties(t, orders))
		if err != nil || created != want {
			t.Fatalf("call %d: created = %v, error = %v, want %v", i+1, created, err, want)
		}
	}
	described, err := client.DescribeTable(t.Context(), &awsdynamodb.DescribeTableInput{TableName: aws.String("Orders")})
	if err != nil {
		t.Fatal(err)
	}
	got := described.Table
	hash := func(name string) types.KeySchemaElement {
		return types.KeySchemaElement{AttributeName: aws.String(name), KeyType: types.KeyTypeHash}
	}
	sorted := func(name string) types.KeySchemaElement {
		return types.KeySchemaElement{AttributeName: aws.String(name), KeyType: types.KeyTypeRange}
	}
	want := &types.TableDescription{
		TableName:   aws.String("Orders"),
		TableStatus: types.TableStatusActive,
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String("customer"), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String("number"), AttributeType: types.ScalarAttributeTypeN},
			{AttributeName: aws.String("state"), AttributeType: types.ScalarAttributeTypeS},
		},
		KeySchema: []types.KeySchemaElement{hash("customer"), sorted("number")},
		ProvisionedThroughput: &types.ProvisionedThroughputDescription{
			ReadCapacityUnits: aws.Int64(5), WriteCapacityUnits: aws.Int64(6),
		},
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndexDescription{{
			IndexName: aws.String("by-state"),
			KeySchema: []types.KeySchemaElement{hash("state")},
			Projection: &types.Projection{
				ProjectionType: types.ProjectionTypeInclude, NonKeyAttributes: []string{"total"},
			},
			ProvisionedThroughput: &types.ProvisionedThroughputDescription{
				ReadCapacityUnits: aws.Int64(7), WriteCapacityUnits: aws.Int64(8),
			},
		}},
		LocalSecondaryIndexes: []types.LocalSecondaryIndexDescription{{
			IndexName:  aws.String("by-customer-and-state"),
			KeySchema:  []types.KeySchemaElement{hash("customer"), sorted("state")},
			Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly},
		}},
		StreamSpecification: &types.StreamSpecification{
			StreamEnabled: aws.Bool(true), StreamViewType: types.StreamViewTypeNewAndOldImages,
		},
	}
	// Only the properties of the template are compared.
	said := cmp.Options{
		cmpopts.IgnoreUnexported(types.TableDescription{}, types.AttributeDefinition{}, types.KeySchemaElement{}, types.Projection{},
			types.ProvisionedThroughputDescription{}, types.GlobalSecondaryIndexDescription{},
			types.LocalSecondaryIndexDescription{}, types.StreamSpecification{}),
		cmpopts.IgnoreFields(types.TableDescription{}, "CreationDateTime", "DeletionProtectionEnabled", "ItemCount",
			"LatestStreamArn", "LatestStreamLabel", "TableArn", "TableId", "TableSizeBytes", "BillingModeSummary"),
		cmpopts.IgnoreFields(types.ProvisionedThroughputDescription{}, "LastDecreaseDateTime", "LastIncreaseDateTime",
			"NumberOfDecreasesToday"),
		cmpopts.IgnoreFields(types.GlobalSecondaryIndexDescription{}, "IndexArn", "IndexSizeBytes", "IndexStatus", "ItemCount"),
		cmpopts.IgnoreFields(types.LocalSecondaryIndexDescription{}, "IndexArn", "IndexSizeBytes", "ItemCount"),
		cmpopts.SortSlices(func(a, b types.AttributeDefinition) bool { return *a.AttributeName < *b.AttributeName }),
	}
	if diff := cmp.Diff(want, got, said); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

func TestCreateTable_Refuses(t *testing.T) {
	t.Parallel()
	client := connect(t, start(t, dynamodb.Config{}))
	if _, err := dynamodb.CreateTable(t.Context(), client, properties(t, orders)); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		change string // merged into the properties of the existing table Orders
		want   []string
	}{
		{
			"other key", `{"LocalSecondaryIndexes": null,
				"KeySchema": [{"AttributeName": "number", "KeyType": "HASH"}, {"AttributeName": "customer", "KeyType": "RANGE"}]}`,
			[]string{"key (customer S HASH, number N RANGE)", "key (customer S RANGE, number N HASH)", "RESET=1"},
		},
		{
			"other type of key", `{"AttributeDefinitions": [
				{"AttributeName": "customer", "AttributeType": "B"},
				{"AttributeName": "number", "AttributeType": "N"},
				{"AttributeName": "state", "AttributeType": "S"}]}`,
			[]string{"customer S HASH", "customer B HASH", "RESET=1"},
		},
		{"missing index", `{"LocalSecondaryIndexes": null}`, []string{"index by-customer-and-state", "RESET=1"}},
		{
			"unknown properties", `{"Zeal": 1, "Colour": "red", "keySchema": []}`,
			[]string{"unknown properties: Colour, Zeal, keySchema"},
		},
		{"unknown nested property", `{"StreamSpecification": {"StreamViewTyp": "KEYS_ONLY"}}`, []string{"StreamViewTyp"}},
		{"intrinsic function", `{"TableName": {"Fn::Sub": "x"}}`, []string{"TableName"}},
		{"no name", `{"TableName": null}`, []string{"TableName is missing"}},
		{
			"throughput not a number", `{"ProvisionedThroughput": {"ReadCapacityUnits": "five", "WriteCapacityUnits": 5}}`,
			[]string{"five"},
		},
		{
			"rejected by DynamoDB", `{"TableName": "Other", "KeySchema": [{"AttributeName": "unheard", "KeyType": "HASH"}]}`,
			[]string{"create table Other", "ValidationException"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			changed := properties(t, orders)
			maps.Copy(changed, properties(t, tt.change))
			created, err := dynamodb.CreateTable(t.Context(), client, changed)
			if created {
				t.Error("created = true, want false")
			}
			wantMessage(t, err, tt.want...)
		})
	}
}

func properties(t *testing.T, document string) map[string]any {
	t.Helper()
	var properties map[string]any
	if err := json.Unmarshal([]byte(document), &properties); err != nil {
		t.Fatal(err)
	}
	return properties
}
