package dynamodb_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

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
	"TimeToLiveSpecification": {"AttributeName": "expires", "Enabled": true},
	"TableClass": "STANDARD",
	"Tags": [{"Key": "a", "Value": "b"}]
}`

const customers = `{
	"TableName": "Customers",
	"AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}, {"AttributeName": "city", "AttributeType": "S"}],
	"KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
	"BillingMode": "PAY_PER_REQUEST",
	"GlobalSecondaryIndexes": [{
		"IndexName": "by-city", "KeySchema": [{"AttributeName": "city", "KeyType": "HASH"}], "Projection": {"ProjectionType": "ALL"}
	}]
}`

const things = `{
	"TableName": "Things",
	"AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
	"KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
	"BillingMode": "PAY_PER_REQUEST"
}`

func TestEnsureTables(t *testing.T) {
	t.Parallel()
	client := connect(t, start(t, dynamodb.Config{}))
	for i, want := range [][]string{{"Orders", "Customers"}, nil} {
		created, err := ensure(t, client, properties(t, orders), properties(t, customers))
		if diff := cmp.Diff(want, created); diff != "" || err != nil {
			t.Fatalf("call %d: error = %v, created (-want +got):\n%s", i+1, err, diff)
		}
	}
	got := describe(t, client, "Orders")
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

func TestEnsureTables_Refuses(t *testing.T) {
	t.Parallel()
	client := connect(t, start(t, dynamodb.Config{}))
	if _, err := ensure(t, client, properties(t, orders)); err != nil {
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
			[]string{
				"table Orders has key (customer S HASH, number N RANGE), local index by-customer-and-state",
				"defines key (number N HASH, customer S RANGE): DynamoDB can change neither",
			},
		},
		{
			"other type of key", `{"AttributeDefinitions": [
				{"AttributeName": "customer", "AttributeType": "B"},
				{"AttributeName": "number", "AttributeType": "N"},
				{"AttributeName": "state", "AttributeType": "S"}]}`,
			[]string{"customer S HASH", "customer B HASH"},
		},
		{
			"missing local index", `{"LocalSecondaryIndexes": null}`,
			[]string{"local index by-customer-and-state (customer S HASH, state S RANGE) KEYS_ONLY, but the template defines key"},
		},
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
			"indexes whose names differ in case", `{"LocalSecondaryIndexes": [{"IndexName": "By-State"}]}`,
			[]string{"table Orders has two indexes by-state (DynamoDB Local ignores the case): change an IndexName"},
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
			created, err := ensure(t, client, changed)
			if created != nil {
				t.Errorf("created = %q, want none", created)
			}
			wantMessage(t, err, tt.want...)
		})
	}
}

// TestEnsureTables_KeyErrors checks that the error has all tables that cannot be changed, and that no other has changed.
func TestEnsureTables_KeyErrors(t *testing.T) {
	t.Parallel()
	client := connect(t, start(t, dynamodb.Config{}))
	if _, err := ensure(t, client, properties(t, customers), properties(t, orders), properties(t, things)); err != nil {
		t.Fatal(err)
	}
	changed := properties(t, things) // without the index
	changed["TableName"] = "Customers"
	key := properties(t, `{
		"AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "N"}],
		"KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
		"GlobalSecondaryIndexes": null, "LocalSecondaryIndexes": null
	}`)
	otherOrders, otherThings := properties(t, orders), properties(t, things)
	maps.Copy(otherOrders, key)
	maps.Copy(otherThings, key)
	_, err := ensure(t, client, changed, otherOrders, otherThings)
	wantMessage(t, err, "table Orders has key (customer S HASH", "table Things has key (id S HASH), ", "defines key (id N HASH)")
	keyError, ok := errors.AsType[*dynamodb.KeyError](err)
	if !ok || keyError.Table != "Orders" {
		t.Errorf("error = %v, want a KeyError of the table Orders", err)
	}
	if got := indexes(describe(t, client, "Customers")); len(got) != 1 {
		t.Errorf("indexes of Customers = %q, want one", got)
	}
}

// TestEnsureTables_Indexes changes the indexes of a table step by step.
func TestEnsureTables_Indexes(t *testing.T) {
	t.Parallel()
	client := connect(t, start(t, dynamodb.Config{}))
	const (
		email = `{"IndexName": "email", "KeySchema": [{"AttributeName": "email", "KeyType": "HASH"}],
			"Projection": {"ProjectionType": "ALL"}}`
		age = `{"IndexName": "age", "KeySchema": [{"AttributeName": "age", "KeyType": "HASH"},
			{"AttributeName": "email", "KeyType": "RANGE"}], "Projection": {"ProjectionType": "KEYS_ONLY"}}`
	)
	steps := []struct {
		name    string
		types   map[string]string // of the attributes other than id
		indexes []string
		want    []string // the indexes
		steps   []string
	}{
		{name: "none"},
		{
			"one", map[string]string{"email": "S"}, []string{email}, []string{"email (email S HASH) ALL"},
			[]string{"Adding the index email (email S HASH) ALL to the table Things…"},
		},
		{"the same", map[string]string{"email": "S"}, []string{email}, []string{"email (email S HASH) ALL"}, nil},
		{
			"the case of its name", map[string]string{"email": "S"}, []string{strings.Replace(email, "email", "EMail", 1)},
			[]string{"EMail (email S HASH) ALL"},
			[]string{
				"Deleting the index email (email S HASH) ALL of the table Things…",
				"Adding the index EMail (email S HASH) ALL to the table Things…",
			},
		},
		{
			"the name again", map[string]string{"email": "S"}, []string{email}, []string{"email (email S HASH) ALL"},
			[]string{
				"Deleting the index EMail (email S HASH) ALL of the table Things…",
				"Adding the index email (email S HASH) ALL to the table Things…",
			},
		},
		{
			"two, of which one changes its projection", map[string]string{"email": "S", "age": "N"},
			[]string{age, strings.Replace(email, `"ALL"`, `"INCLUDE", "NonKeyAttributes": ["name", "age"]`, 1)},
			[]string{"age (age N HASH, email S RANGE) KEYS_ONLY", "email (email S HASH) INCLUDE age name"},
			[]string{
				"Deleting the index email (email S HASH) ALL of the table Things…",
				"Adding the index age (age N HASH, email S RANGE) KEYS_ONLY to the table Things…",
				"Adding the index email (email S HASH) INCLUDE age name to the table Things…",
			},
		},
		{
			"the type of an attribute of both", map[string]string{"email": "B", "age": "N"}, []string{age, email},
			[]string{"age (age N HASH, email B RANGE) KEYS_ONLY", "email (email B HASH) ALL"},
			[]string{
				"Deleting the index age (age N HASH, email S RANGE) KEYS_ONLY of the table Things…",
				"Deleting the index email (email S HASH) INCLUDE age name of the table Things…",
				"Adding the index age (age N HASH, email B RANGE) KEYS_ONLY to the table Things…",
				"Adding the index email (email B HASH) ALL to the table Things…",
			},
		},
		{
			name: "none again",
			steps: []string{
				"Deleting the index age (age N HASH, email B RANGE) KEYS_ONLY of the table Things…",
				"Deleting the index email (email B HASH) ALL of the table Things…",
			},
		},
	}
	for i, step := range steps { // each continues with the table of the one before
		definition := properties(t, things)
		attributes := []any{map[string]any{"AttributeName": "id", "AttributeType": "S"}}
		for name, kind := range step.types {
			attributes = append(attributes, map[string]any{"AttributeName": name, "AttributeType": kind})
		}
		definition["AttributeDefinitions"] = attributes
		if len(step.indexes) > 0 {
			definition["GlobalSecondaryIndexes"] = json.RawMessage("[" + strings.Join(step.indexes, ",") + "]")
		}
		var steps []string
		created, err := dynamodb.EnsureTables(t.Context(), client, []map[string]any{definition}, func(step string) {
			steps = append(steps, step)
		})
		if err != nil || (created != nil) != (i == 0) {
			t.Fatalf("%s: created = %q, error = %v; want it created by the first call only", step.name, created, err)
		}
		if diff := cmp.Diff(step.steps, steps); diff != "" {
			t.Errorf("%s: steps (-want +got):\n%s", step.name, diff)
		}
		if diff := cmp.Diff(step.want, indexes(describe(t, client, "Things"))); diff != "" {
			t.Errorf("%s: indexes (-want +got):\n%s", step.name, diff)
		}
		if i == 0 {
			putItem(t, client, "Things", map[string]types.AttributeValue{
				"id": &types.AttributeValueMemberS{Value: "1"}, "email": &types.AttributeValueMemberS{Value: "ada@example.org"},
			})
		}
		if step.name == "one" { // the index has the items from before
			found, err := client.Query(t.Context(), &awsdynamodb.QueryInput{
				TableName: aws.String("Things"), IndexName: aws.String("email"), KeyConditionExpression: aws.String("email = :email"),
				ExpressionAttributeValues: map[string]types.AttributeValue{
					":email": &types.AttributeValueMemberS{Value: "ada@example.org"},
				},
			})
			if err != nil || len(found.Items) != 1 {
				t.Errorf("query = %v, error = %v; want the item", found, err)
			}
		}
	}
}

// TestEnsureTables_BillingMode checks that a provisioned table gets an index without a throughput.
func TestEnsureTables_BillingMode(t *testing.T) {
	t.Parallel()
	client := connect(t, start(t, dynamodb.Config{}))
	provisioned := properties(t, things)
	maps.Copy(provisioned, properties(t, `{
		"TableName": "Customers", "BillingMode": "PROVISIONED",
		"ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}
	}`))
	if _, err := ensure(t, client, provisioned); err != nil {
		t.Fatal(err)
	}
	if _, err := ensure(t, client, properties(t, customers)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"by-city (city S HASH) ALL"}, indexes(describe(t, client, "Customers"))); diff != "" {
		t.Errorf("indexes (-want +got):\n%s", diff)
	}
}

// TestEnsureTables_Cancel checks that waiting for an index ends with the context.
func TestEnsureTables_Cancel(t *testing.T) {
	t.Parallel()
	described := make(chan struct{}, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".DescribeTable") {
			select {
			case described <- struct{}{}:
			default:
			}
		}
		_, _ = w.Write([]byte(`{"Table": {"TableStatus": "ACTIVE", "GlobalSecondaryIndexes": [{"IndexStatus": "CREATING"}]}}`))
	}))
	t.Cleanup(server.Close)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-described
		cancel()
	}()
	_, err := dynamodb.EnsureTables(ctx, dynamodb.Connect(server.URL), []map[string]any{properties(t, customers)}, func(string) {})
	wantMessage(t, err, "wait for table Customers: context canceled")
}

// TestEnsureTables_Inactive checks the progress and the error while an index does not become active.
func TestEnsureTables_Inactive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := dynamodb.Connect("http://database.example", func(options *awsdynamodb.Options) {
			options.HTTPClient = doer(func(*http.Request) (*http.Response, error) {
				const body = `{"Table": {"TableStatus": "ACTIVE", "GlobalSecondaryIndexes": [
					{"IndexName": "by-city", "IndexStatus": "CREATING"}]}}`
				return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(body))}, nil
			})
		})
		var steps []string
		_, err := dynamodb.EnsureTables(t.Context(), client, []map[string]any{properties(t, customers)}, func(step string) {
			steps = append(steps, step)
		})
		wantMessage(t, err, "table Customers cannot be used: its index by-city is CREATING after 10m0s")
		var want []string
		for _, after := range []string{"2s", "4s", "8s", "16s", "32s", "1m4s", "2m8s", "4m16s", "8m32s"} {
			want = append(want, "Waiting for the table Customers: its index by-city is CREATING after "+after+"…")
		}
		if diff := cmp.Diff(want, steps); diff != "" {
			t.Errorf("progress (-want +got):\n%s", diff)
		}
	})
}

type doer func(*http.Request) (*http.Response, error)

func (d doer) Do(r *http.Request) (*http.Response, error) { return d(r) }

// ensure calls EnsureTables without progress.
func ensure(t *testing.T, client *awsdynamodb.Client, definitions ...map[string]any) (created []string, err error) {
	t.Helper()
	return dynamodb.EnsureTables(t.Context(), client, definitions, func(string) {})
}

func describe(t *testing.T, client *awsdynamodb.Client, table string) *types.TableDescription {
	t.Helper()
	described, err := client.DescribeTable(t.Context(), &awsdynamodb.DescribeTableInput{TableName: &table})
	if err != nil {
		t.Fatal(err)
	}
	return described.Table
}

// indexes formats the global secondary indexes of a table, sorted.
func indexes(table *types.TableDescription) []string {
	kinds := map[string]types.ScalarAttributeType{}
	for _, a := range table.AttributeDefinitions {
		kinds[*a.AttributeName] = a.AttributeType
	}
	var formatted []string
	for _, index := range table.GlobalSecondaryIndexes {
		var key []string
		for _, e := range index.KeySchema {
			key = append(key, fmt.Sprint(*e.AttributeName, " ", kinds[*e.AttributeName], " ", e.KeyType))
		}
		words := []string{*index.IndexName, "(" + strings.Join(key, ", ") + ")", string(index.Projection.ProjectionType)}
		words = append(words, slices.Sorted(slices.Values(index.Projection.NonKeyAttributes))...)
		formatted = append(formatted, strings.Join(words, " "))
	}
	slices.Sort(formatted)
	return formatted
}

func putItem(t *testing.T, client *awsdynamodb.Client, table string, item map[string]types.AttributeValue) {
	t.Helper()
	if _, err := client.PutItem(t.Context(), &awsdynamodb.PutItemInput{TableName: &table, Item: item}); err != nil {
		t.Fatal(err)
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
