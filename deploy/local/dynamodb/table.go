package dynamodb

import (
	"bytes"
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

const activeTimeout = time.Minute

// attemptTimeout is the timeout of a request: the endpoint may be another kind of server, which never responds.
const attemptTimeout = 10 * time.Second

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

// table has the properties of AWS::DynamoDB::Table that CreateTable uses. It ignores those of type ignored, which
// DynamoDB Local does not support.
type table struct {
	TableName              string
	AttributeDefinitions   []types.AttributeDefinition
	KeySchema              []types.KeySchemaElement
	BillingMode            types.BillingMode
	ProvisionedThroughput  *throughput
	GlobalSecondaryIndexes []globalIndex
	LocalSecondaryIndexes  []types.LocalSecondaryIndex
	StreamSpecification    *stream

	ContributorInsightsSpecification, DeletionProtectionEnabled, KinesisStreamSpecification, OnDemandThroughput,
	PointInTimeRecoverySpecification, ResourcePolicy, SSESpecification, TableClass, Tags, WarmThroughput ignored
}

type globalIndex struct {
	IndexName             string
	KeySchema             []types.KeySchemaElement
	Projection            *types.Projection
	ProvisionedThroughput *throughput

	ContributorInsightsSpecification, OnDemandThroughput, WarmThroughput ignored
}

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
	if t.TableName == "" {
		return nil, errors.New("TableName is missing")
	}
	input := &dynamodb.CreateTableInput{
		TableName:             aws.String(t.TableName),
		AttributeDefinitions:  t.AttributeDefinitions,
		KeySchema:             t.KeySchema,
		BillingMode:           t.BillingMode,
		LocalSecondaryIndexes: t.LocalSecondaryIndexes,
	}
	if input.ProvisionedThroughput, err = t.ProvisionedThroughput.convert(); err != nil {
		return nil, err
	}
	for _, index := range t.GlobalSecondaryIndexes {
		throughput, err := index.ProvisionedThroughput.convert()
		if err != nil {
			return nil, fmt.Errorf("index %s: %w", index.IndexName, err)
		}
		input.GlobalSecondaryIndexes = append(input.GlobalSecondaryIndexes, types.GlobalSecondaryIndex{
			IndexName:             aws.String(index.IndexName),
			KeySchema:             index.KeySchema,
			Projection:            index.Projection,
			ProvisionedThroughput: throughput,
		})
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
	found := described.Table
	got := map[string]string{"": keys(found.KeySchema, found.AttributeDefinitions)}
	for _, index := range found.GlobalSecondaryIndexes {
		got[aws.ToString(index.IndexName)] = keys(index.KeySchema, found.AttributeDefinitions)
	}
	for _, index := range found.LocalSecondaryIndexes {
		got[aws.ToString(index.IndexName)] = keys(index.KeySchema, found.AttributeDefinitions)
	}
	want := map[string]string{"": keys(input.KeySchema, input.AttributeDefinitions)}
	for _, index := range input.GlobalSecondaryIndexes {
		want[aws.ToString(index.IndexName)] = keys(index.KeySchema, input.AttributeDefinitions)
	}
	for _, index := range input.LocalSecondaryIndexes {
		want[aws.ToString(index.IndexName)] = keys(index.KeySchema, input.AttributeDefinitions)
	}
	if !maps.Equal(got, want) {
		return fmt.Errorf("table %s exists with %s, but the template defines %s: delete the data with RESET=1, "+
			"choose another STAGE, or revert the change", name, describe(got), describe(want))
	}
	return nil
}

// keys formats a key schema, such as "userId S HASH, at N RANGE".
func keys(schema []types.KeySchemaElement, definitions []types.AttributeDefinition) string {
	var parts []string
	for _, key := range schema {
		kind := "?"
		for _, definition := range definitions {
			if aws.ToString(definition.AttributeName) == aws.ToString(key.AttributeName) {
				kind = string(definition.AttributeType)
			}
		}
		parts = append(parts, fmt.Sprintf("%s %s %s", aws.ToString(key.AttributeName), kind, key.KeyType))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

func describe(keysByIndex map[string]string) string {
	var parts []string
	for _, index := range slices.Sorted(maps.Keys(keysByIndex)) {
		if index == "" {
			parts = append(parts, "key ("+keysByIndex[index]+")")
			continue
		}
		parts = append(parts, "index "+index+" ("+keysByIndex[index]+")")
	}
	return strings.Join(parts, ", ")
}
