package stacktest

import (
	"bytes"
	"context"
	"math/big"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	localdynamodb "github.com/userrequestapi/userdata/deploy/local/dynamodb"
	"github.com/userrequestapi/userdata/deploy/template"
)

// Item is an item of the table.
type Item = map[string]types.AttributeValue

// Items accesses the items of a table, whose key is a string, without the API.
type Items struct {
	DynamoDB  *dynamodb.Client // connected to the database directly
	TableName string

	key string // name of the partition key
}

// NewTable creates the main table of the template, and deletes it after the test. It skips the test with -short.
func NewTable(tb testing.TB) Items {
	tb.Helper()
	table := mainTable(Resolve(tb, map[string]string{"StageName": StageName()}).Tables())
	items := newItems(tb, Endpoint(tb), table)
	_, err := localdynamodb.EnsureTables(tb.Context(), items.DynamoDB, []map[string]any{table.Properties}, func(string) {})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { items.deleteTable(tb, items.TableName) })
	return items
}

func newItems(tb testing.TB, endpoint string, table template.Table) Items {
	tb.Helper()
	items := Items{DynamoDB: Connect(tb, endpoint), TableName: table.Name}
	if key := table.Key(); len(key) > 0 {
		items.key = key[0].Name
	}
	return items
}

// mainTable returns the table with the logical id Table, or an existing table in its place.
func mainTable(tables []template.Table) template.Table {
	for _, id := range []string{"Table", ""} {
		i := slices.IndexFunc(tables, func(table template.Table) bool { return table.LogicalID == id })
		if i >= 0 {
			return tables[i]
		}
	}
	return template.Table{}
}

func (i Items) deleteTable(tb testing.TB, name string) {
	tb.Helper()
	// The test's context has ended.
	_, err := i.DynamoDB.DeleteTable(context.WithoutCancel(tb.Context()),
		&dynamodb.DeleteTableInput{TableName: &name})
	if err != nil {
		tb.Errorf("delete the table %s: %v", name, err)
	}
}

// PutItem puts an item into the table.
func (i Items) PutItem(tb testing.TB, item Item) {
	tb.Helper()
	_, err := i.DynamoDB.PutItem(tb.Context(), &dynamodb.PutItemInput{TableName: &i.TableName, Item: item})
	if err != nil {
		tb.Errorf("put item: %v", err)
	}
}

// Item returns the item with this key, or nil.
func (i Items) Item(tb testing.TB, id string) Item {
	tb.Helper()
	out, err := i.DynamoDB.GetItem(tb.Context(), &dynamodb.GetItemInput{
		TableName:      &i.TableName,
		Key:            Item{i.key: &types.AttributeValueMemberS{Value: id}},
		ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		tb.Errorf("get item: %v", err)
		return nil
	}
	return out.Item
}

// Clear deletes all items.
func (i Items) Clear(tb testing.TB) {
	tb.Helper()
	for id := range i.AllItems(tb) {
		_, err := i.DynamoDB.DeleteItem(tb.Context(), &dynamodb.DeleteItemInput{
			TableName: &i.TableName, Key: Item{i.key: &types.AttributeValueMemberS{Value: id}},
		})
		if err != nil {
			tb.Errorf("delete item: %v", err)
		}
	}
}

// AllItems returns all items as [Comparable], by their keys.
func (i Items) AllItems(tb testing.TB) map[string]any {
	tb.Helper()
	items := map[string]any{}
	pages := dynamodb.NewScanPaginator(i.DynamoDB,
		&dynamodb.ScanInput{TableName: &i.TableName, ConsistentRead: aws.Bool(true)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(tb.Context())
		if err != nil {
			tb.Errorf("scan: %v", err)
			return nil
		}
		for _, item := range page.Items {
			id, ok := item[i.key].(*types.AttributeValueMemberS)
			if !ok {
				tb.Errorf("got item %v, want the key %s", Comparable(item), i.key)
				continue
			}
			items[id.Value] = Comparable(item)
		}
	}
	return items
}

// Comparable returns an item in DynamoDB JSON ({"S": "text"}). The result is the same for items of equal value,
// whatever the order of sets and the notation of numbers.
func Comparable(item Item) map[string]any {
	members := make(map[string]any, len(item))
	for name, value := range item {
		members[name] = attribute(value)
	}
	return members
}

func attribute(value types.AttributeValue) map[string]any {
	switch v := value.(type) {
	case *types.AttributeValueMemberS:
		return map[string]any{"S": v.Value}
	case *types.AttributeValueMemberN:
		return map[string]any{"N": Rational(v.Value)}
	case *types.AttributeValueMemberB:
		return map[string]any{"B": string(v.Value)}
	case *types.AttributeValueMemberBOOL:
		return map[string]any{"BOOL": v.Value}
	case *types.AttributeValueMemberNULL:
		return map[string]any{"NULL": v.Value}
	case *types.AttributeValueMemberM:
		return map[string]any{"M": Comparable(v.Value)}
	case *types.AttributeValueMemberL:
		list := make([]any, len(v.Value))
		for i, element := range v.Value {
			list[i] = attribute(element)
		}
		return map[string]any{"L": list}
	case *types.AttributeValueMemberSS:
		return map[string]any{"SS": slices.Sorted(slices.Values(v.Value))}
	case *types.AttributeValueMemberNS:
		set := make([]string, len(v.Value))
		for i, number := range v.Value {
			set[i] = Rational(number)
		}
		slices.Sort(set)
		return map[string]any{"NS": set}
	case *types.AttributeValueMemberBS:
		return map[string]any{"BS": slices.SortedFunc(slices.Values(v.Value), bytes.Compare)}
	default:
		return map[string]any{"unknown": v}
	}
}

// Rational returns the same string for decimal numbers of equal value. It returns other strings unchanged.
func Rational(number string) string {
	value, ok := new(big.Rat).SetString(number)
	if !ok {
		return number
	}
	return value.RatString()
}
