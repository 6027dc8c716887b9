package dynamodb

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

const (
	activeTimeout = time.Minute // for a new table to become active
	// The timeout of a request: the endpoint may be another kind of server, which never responds.
	attemptTimeout = 10 * time.Second
)

// Connect returns a client for the DynamoDB Local at endpoint. It signs with fixed credentials, which DynamoDB Local
// requires but does not check, and does not read the user's AWS settings. It keeps no idle connections.
func Connect(endpoint string, options ...func(*dynamodb.Options)) *dynamodb.Client {
	return dynamodb.New(dynamodb.Options{
		BaseEndpoint:          aws.String(endpoint),
		Region:                "us-east-1",
		AccountIDEndpointMode: aws.AccountIDEndpointModeDisabled,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"}, nil
		}),
		HTTPClient: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: attemptTimeout},
	}, options...)
}

// table has the properties of AWS::DynamoDB::Table: those of CreateTable, of which some have another form, and those of
// the type ignored.
type table struct {
	dynamodb.CreateTableInput

	ProvisionedThroughput  *throughput
	GlobalSecondaryIndexes []globalIndex
	StreamSpecification    *stream

	ContributorInsightsSpecification, DeletionProtectionEnabled, KinesisStreamSpecification, OnDemandThroughput,
	PointInTimeRecoverySpecification, ResourcePolicy, SSESpecification, TableClass, Tags, WarmThroughput ignored
}

// globalIndex has the properties of a global secondary index.
type globalIndex struct {
	types.GlobalSecondaryIndex

	ProvisionedThroughput *throughput

	ContributorInsightsSpecification, OnDemandThroughput, WarmThroughput ignored
}

// ignored is a property that DynamoDB Local does not support.
type ignored = json.RawMessage

// throughput accepts numbers and strings: a resolved parameter is a string.
type throughput struct{ ReadCapacityUnits, WriteCapacityUnits json.Number }

type stream struct {
	StreamViewType types.StreamViewType
	ResourcePolicy ignored
}

// CreateTable creates a table and waits until it is active. properties are the Properties of an AWS::DynamoDB::Table
// resource (CloudFormation User Guide) with all intrinsic functions resolved. Properties without a local equivalent are
// ignored; unknown properties are errors. If a table with the same keys and indexes exists, CreateTable does not change
// it and created is false; other keys or indexes are an error.
func CreateTable(ctx context.Context, client *dynamodb.Client, properties map[string]any) (created bool, err error) {
	input, err := createTableInput(properties)
	if err != nil {
		return false, fmt.Errorf("read the table definition: %w", err)
	}
	name := aws.ToString(input.TableName)
	var exists *types.ResourceInUseException
	if _, err = client.CreateTable(ctx, input); errors.As(err, &exists) {
		return false, checkTable(ctx, client, input)
	}
	if err != nil {
		return false, fmt.Errorf("create table %s: %w", name, err)
	}
	waiter := dynamodb.NewTableExistsWaiter(client, func(o *dynamodb.TableExistsWaiterOptions) {
		o.MinDelay, o.MaxDelay = 50*time.Millisecond, time.Second
	})
	if err := waiter.Wait(ctx, &dynamodb.DescribeTableInput{TableName: input.TableName}, activeTimeout); err != nil {
		return false, fmt.Errorf("wait for table %s: %w", name, err)
	}
	return true, nil
}

func createTableInput(properties map[string]any) (*dynamodb.CreateTableInput, error) {
	// The decoder would report only one unknown property, and ignore the case of names.
	var unknown []string
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		if _, ok := reflect.TypeFor[table]().FieldByName(name); !ok {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		return nil, fmt.Errorf("unknown properties: %s", strings.Join(unknown, ", "))
	}
	document, err := json.Marshal(properties)
	if err != nil {
		return nil, err
	}
	var t table
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&t); err != nil {
		return nil, err
	}
	input := &t.CreateTableInput
	if aws.ToString(input.TableName) == "" {
		return nil, errors.New("TableName is missing")
	}
	if input.ProvisionedThroughput, err = t.ProvisionedThroughput.convert(); err != nil {
		return nil, err
	}
	for _, index := range t.GlobalSecondaryIndexes {
		global := index.GlobalSecondaryIndex
		if global.ProvisionedThroughput, err = index.ProvisionedThroughput.convert(); err != nil {
			return nil, fmt.Errorf("index %s: %w", aws.ToString(index.IndexName), err)
		}
		input.GlobalSecondaryIndexes = append(input.GlobalSecondaryIndexes, global)
	}
	if t.StreamSpecification != nil {
		input.StreamSpecification = &types.StreamSpecification{
			StreamEnabled: aws.Bool(true), StreamViewType: t.StreamSpecification.StreamViewType,
		}
	}
	return input, nil
}

func (t *throughput) convert() (*types.ProvisionedThroughput, error) {
	if t == nil {
		return nil, nil
	}
	read, readErr := t.ReadCapacityUnits.Int64()
	write, writeErr := t.WriteCapacityUnits.Int64()
	if err := errors.Join(readErr, writeErr); err != nil {
		return nil, fmt.Errorf("ProvisionedThroughput: %w", err)
	}
	return &types.ProvisionedThroughput{ReadCapacityUnits: &read, WriteCapacityUnits: &write}, nil
}

// checkTable compares the keys of the existing table and of its indexes with those of input.
func checkTable(ctx context.Context, client *dynamodb.Client, input *dynamodb.CreateTableInput) error {
	name := aws.ToString(input.TableName)
	described, err := client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: input.TableName})
	if err != nil {
		return fmt.Errorf("describe table %s: %w", name, err)
	}
	got, gotErr := formatKeys(described.Table)
	want, wantErr := formatKeys(input)
	if err := errors.Join(gotErr, wantErr); err != nil {
		return fmt.Errorf("compare the keys of table %s: %w", name, err)
	}
	if got != want {
		return fmt.Errorf("table %s exists with %s, but the template defines %s: delete the data with RESET=1, "+
			"choose another STAGE, or revert the change", name, got, want)
	}
	return nil
}

// formatKeys formats the keys of a table and its indexes, such as "key (userId S HASH), index by-state (state S HASH)".
// table is a CreateTableInput or a TableDescription, whose fields have the same names.
func formatKeys(table any) (string, error) {
	var t struct {
		AttributeDefinitions                          []types.AttributeDefinition
		KeySchema                                     []types.KeySchemaElement
		GlobalSecondaryIndexes, LocalSecondaryIndexes []struct {
			IndexName string
			KeySchema []types.KeySchemaElement
		}
	}
	document, err := json.Marshal(table)
	if err == nil {
		err = json.Unmarshal(document, &t)
	}
	attributes := map[string]types.ScalarAttributeType{}
	for _, attribute := range t.AttributeDefinitions {
		attributes[aws.ToString(attribute.AttributeName)] = attribute.AttributeType
	}
	format := func(schema []types.KeySchemaElement) string {
		var keys []string
		for _, key := range schema {
			name := aws.ToString(key.AttributeName)
			keys = append(keys, fmt.Sprintf("%s %s %s", name, cmp.Or(attributes[name], "?"), key.KeyType))
		}
		slices.Sort(keys)
		return "(" + strings.Join(keys, ", ") + ")"
	}
	var indexes []string
	for _, index := range slices.Concat(t.GlobalSecondaryIndexes, t.LocalSecondaryIndexes) {
		indexes = append(indexes, ", index "+index.IndexName+" "+format(index.KeySchema))
	}
	slices.Sort(indexes)
	return "key " + format(t.KeySchema) + strings.Join(indexes, ""), err
}
