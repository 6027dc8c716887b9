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
	activeTimeout = 10 * time.Minute // for a table and its indexes to become active: a new index is filled with the items
	activePause   = 50 * time.Millisecond
	// The time after which progress reports what is not active yet. It doubles after each report.
	activeProgress = 2 * time.Second
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
	PointInTimeRecoverySpecification, ResourcePolicy, SSESpecification, TableClass, Tags, TimeToLiveSpecification,
	WarmThroughput ignored
}

// globalIndex has the properties of a global secondary index.
type globalIndex struct {
	types.GlobalSecondaryIndex

	ProvisionedThroughput *throughput

	ContributorInsightsSpecification, OnDemandThroughput, WarmThroughput ignored
}

// ignored is a property without effect in the local stack.
type ignored = json.RawMessage

// throughput accepts numbers and strings: a resolved parameter is a string.
type throughput struct{ ReadCapacityUnits, WriteCapacityUnits json.Number }

type stream struct {
	StreamViewType types.StreamViewType
	ResourcePolicy ignored
}

// KeyError is the error for an existing table whose key or local secondary indexes differ from those of its definition.
// DynamoDB cannot change them.
type KeyError struct {
	Table             string
	Existing, Defined string // such as "key (userId S HASH)"
}

func (e *KeyError) Error() string {
	return fmt.Sprintf("table %s has %s, but the template defines %s: DynamoDB can change neither the key nor the local "+
		"secondary indexes of a table", e.Table, e.Existing, e.Defined)
}

// InactiveError is the error for a table that does not become active.
type InactiveError struct {
	Table string
	State string // such as "its index by-user is CREATING"
	After time.Duration
}

func (e *InactiveError) Error() string {
	return fmt.Sprintf("table %s cannot be used: %s after %v", e.Table, e.State, e.After)
}

// EnsureTables creates the tables that do not exist, adds, replaces and deletes the global secondary indexes of the
// others, and waits until all are active. It returns the names of the created tables. Each element of definitions has
// the Properties of an AWS::DynamoDB::Table resource (CloudFormation User Guide) with all intrinsic functions resolved.
// Properties without a local equivalent are ignored; unknown properties are errors. Of an existing table's other
// properties, only the billing mode PAY_PER_REQUEST is applied, which new indexes depend on. If there is a [KeyError],
// no existing table has changed. progress is called before each change, and while one takes long: the time to add an
// index grows with the number of items. An [InactiveError] says what does not become active within ten minutes.
func EnsureTables(
	ctx context.Context, client *dynamodb.Client, definitions []map[string]any, progress func(step string),
) (created []string, err error) {
	var inputs []*dynamodb.CreateTableInput
	names := map[string]bool{}
	for _, properties := range definitions {
		input, err := createTableInput(properties)
		if err != nil {
			return nil, fmt.Errorf("read the definition of table %v: %w", properties["TableName"], err)
		}
		if err := checkIndexNames(input); err != nil {
			return nil, err
		}
		name := aws.ToString(input.TableName)
		if names[name] {
			return nil, fmt.Errorf("two tables have the name %s: change a TableName in deploy/template.yaml", name)
		}
		names[name] = true
		inputs = append(inputs, input)
	}
	var (
		changes   []change
		keyErrors []error
	)
	for _, input := range inputs {
		name := aws.ToString(input.TableName)
		var exists *types.ResourceInUseException
		if _, err := client.CreateTable(ctx, input); err == nil {
			created = append(created, name)
		} else if !errors.As(err, &exists) {
			return created, fmt.Errorf("create table %s: %w", name, err)
		}
		table, err := waitActive(ctx, client, name, progress)
		if err != nil {
			return created, err
		}
		if exists == nil {
			continue
		}
		if found, err := compare(table, input); err != nil {
			keyErrors = append(keyErrors, err)
		} else {
			changes = append(changes, found...)
		}
	}
	if keyErrors != nil {
		return created, errors.Join(keyErrors...)
	}
	for _, c := range changes {
		progress(c.step)
		if _, err := client.UpdateTable(ctx, &c.update); err != nil {
			return created, fmt.Errorf("update table %s: %w", *c.update.TableName, err)
		}
		if _, err := waitActive(ctx, client, *c.update.TableName, progress); err != nil {
			return created, err
		}
	}
	return created, nil
}

// checkIndexNames returns an error for two indexes whose names differ at most in case: the second would never become
// active.
func checkIndexNames(input *dynamodb.CreateTableInput) error {
	var names []string
	for _, index := range input.LocalSecondaryIndexes {
		names = append(names, aws.ToString(index.IndexName))
	}
	for _, index := range input.GlobalSecondaryIndexes {
		names = append(names, aws.ToString(index.IndexName))
	}
	for i, name := range names {
		if slices.ContainsFunc(names[:i], func(other string) bool { return strings.EqualFold(name, other) }) {
			return fmt.Errorf("table %s has two indexes %s (DynamoDB Local ignores the case): change an IndexName in "+
				"deploy/template.yaml", aws.ToString(input.TableName), name)
		}
	}
	return nil
}

// waitActive waits until the table and its indexes are active, and returns its description.
func waitActive(
	ctx context.Context, client *dynamodb.Client, name string, progress func(string),
) (*types.TableDescription, error) {
	ticker := time.NewTicker(activePause)
	defer ticker.Stop()
	start, next := time.Now(), activeProgress
	for {
		out, err := client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &name})
		if ctx.Err() != nil {
			return nil, fmt.Errorf("wait for table %s: %w", name, context.Cause(ctx))
		}
		if err != nil {
			return nil, fmt.Errorf("describe table %s: %w", name, err)
		}
		state := inactive(out.Table)
		switch waited := time.Since(start); {
		case state == "":
			return out.Table, nil
		case waited >= activeTimeout:
			return nil, &InactiveError{name, state, activeTimeout}
		case waited >= next:
			progress(fmt.Sprintf("Waiting for the table %s: %s after %v…", name, state, waited.Truncate(time.Second)))
			next *= 2
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}

// inactive returns what is not active in a table, such as "its index by-user is CREATING", or "".
func inactive(table *types.TableDescription) string {
	if table.TableStatus != types.TableStatusActive {
		return fmt.Sprintf("it is %s", table.TableStatus)
	}
	for _, index := range table.GlobalSecondaryIndexes {
		if index.IndexStatus != types.IndexStatusActive {
			return fmt.Sprintf("its index %s is %s", aws.ToString(index.IndexName), index.IndexStatus)
		}
	}
	return ""
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

// change is one change of a table. DynamoDB accepts one change of an index per request, and the next when it is
// complete.
type change struct {
	step   string
	update dynamodb.UpdateTableInput
}

// compare returns the changes of the table's global secondary indexes that result in those of input: first the
// deletions, because all indexes of a table have one type per attribute. It returns a [KeyError] for other differences.
func compare(table *types.TableDescription, input *dynamodb.CreateTableInput) ([]change, error) {
	got, err := parseSchema(table)
	if err != nil {
		return nil, err
	}
	want, err := parseSchema(input)
	if err != nil {
		return nil, err
	}
	name := *input.TableName
	if existing, defined := got.fixed(), want.fixed(); existing != defined {
		return nil, &KeyError{name, existing, defined}
	}
	var changes []change
	add := func(step string, attributes []types.AttributeDefinition, index types.GlobalSecondaryIndexUpdate) {
		changes = append(changes, change{step, dynamodb.UpdateTableInput{
			TableName: input.TableName, AttributeDefinitions: attributes,
			GlobalSecondaryIndexUpdates: []types.GlobalSecondaryIndexUpdate{index},
		}})
	}
	// DynamoDB Local fails to add an index without a throughput to a provisioned table.
	if onDemand := types.BillingModePayPerRequest; input.BillingMode == onDemand &&
		(table.BillingModeSummary == nil || table.BillingModeSummary.BillingMode != onDemand) {
		changes = append(changes, change{
			fmt.Sprintf("Changing the billing mode of the table %s to %s…", name, onDemand),
			dynamodb.UpdateTableInput{TableName: input.TableName, BillingMode: onDemand},
		})
	}
	existing, defined := got.indexes(got.GlobalSecondaryIndexes), want.indexes(want.GlobalSecondaryIndexes)
	for _, index := range slices.Sorted(maps.Keys(existing)) {
		if existing[index] == defined[index] {
			continue
		}
		add(fmt.Sprintf("Deleting the index %s %s of the table %s…", index, existing[index], name), nil,
			types.GlobalSecondaryIndexUpdate{Delete: &types.DeleteGlobalSecondaryIndexAction{IndexName: &index}})
	}
	for _, index := range input.GlobalSecondaryIndexes {
		key := *index.IndexName
		if existing[key] == defined[key] {
			continue
		}
		add(fmt.Sprintf("Adding the index %s %s to the table %s…", key, defined[key], name), want.attributes(index.KeySchema),
			types.GlobalSecondaryIndexUpdate{Create: &types.CreateGlobalSecondaryIndexAction{
				IndexName: index.IndexName, KeySchema: index.KeySchema, Projection: index.Projection,
				ProvisionedThroughput: index.ProvisionedThroughput,
			}})
	}
	return changes, nil
}

// schema has the fields that a CreateTableInput and a TableDescription have in common.
type schema struct {
	AttributeDefinitions                          []types.AttributeDefinition
	KeySchema                                     []types.KeySchemaElement
	GlobalSecondaryIndexes, LocalSecondaryIndexes []index
}

type index struct {
	IndexName  string
	KeySchema  []types.KeySchemaElement
	Projection types.Projection
}

func parseSchema(table any) (s schema, err error) {
	document, err := json.Marshal(table)
	if err == nil {
		err = json.Unmarshal(document, &s)
	}
	return s, err
}

// fixed formats what DynamoDB cannot change.
func (s schema) fixed() string {
	parts := []string{"key " + s.key(s.KeySchema)}
	local := s.indexes(s.LocalSecondaryIndexes)
	for _, name := range slices.Sorted(maps.Keys(local)) {
		parts = append(parts, "local index "+name+" "+local[name])
	}
	return strings.Join(parts, ", ")
}

// indexes formats indexes, such as "(customer S HASH, state S RANGE) INCLUDE total", by name.
func (s schema) indexes(indexes []index) map[string]string {
	formatted := map[string]string{}
	for _, i := range indexes {
		words := []string{s.key(i.KeySchema), string(i.Projection.ProjectionType)}
		words = append(words, slices.Sorted(slices.Values(i.Projection.NonKeyAttributes))...)
		formatted[i.IndexName] = strings.Join(words, " ")
	}
	return formatted
}

// key formats a key, such as "(customer S HASH, number N RANGE)".
func (s schema) key(elements []types.KeySchemaElement) string {
	attributes := map[string]types.ScalarAttributeType{}
	for _, a := range s.AttributeDefinitions {
		attributes[aws.ToString(a.AttributeName)] = a.AttributeType
	}
	var formatted []string
	for _, e := range elements {
		name := aws.ToString(e.AttributeName)
		formatted = append(formatted, fmt.Sprintf("%s %s %s", name, cmp.Or(attributes[name], "?"), e.KeyType))
	}
	return "(" + strings.Join(formatted, ", ") + ")"
}

// attributes returns the definitions of the attributes of a key.
func (s schema) attributes(key []types.KeySchemaElement) []types.AttributeDefinition {
	var attributes []types.AttributeDefinition
	for _, a := range s.AttributeDefinitions {
		if slices.ContainsFunc(key, func(e types.KeySchemaElement) bool { return *e.AttributeName == *a.AttributeName }) {
			attributes = append(attributes, a)
		}
	}
	return attributes
}
