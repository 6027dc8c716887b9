package template

import (
	"maps"
	"slices"

	"github.com/userrequestapi/userdata/deploy/cfn"
)

const tableType = "AWS::DynamoDB::Table"

// ExistingTableParameter returns the parameter with the name of an existing table, which is used instead of the table
// with a logical id: ExistingTableName for Table, ExistingOrdersTableName for OrdersTable.
func ExistingTableParameter(logicalID string) string { return "Existing" + logicalID + "Name" }

// Table is a DynamoDB table.
type Table struct {
	LogicalID  string // "" for an existing table, see ExistingTableParameter
	Name       string
	ARN        string         // "" in the result of OwnTables
	Properties map[string]any // of AWS::DynamoDB::Table, a superset of the input of CreateTable
}

// KeyAttribute is an attribute of the key of a table or an index.
type KeyAttribute struct {
	Name string
	Type string // S, N or B; "" if AttributeDefinitions lacks it
	Role string // HASH or RANGE
}

// Index is a secondary index of a table.
type Index struct {
	Name  string
	Key   []KeyAttribute
	Local bool // a local secondary index, which only a new table can get
}

// Key returns the attributes of the key: the partition key, and the sort key if there is one.
func (t Table) Key() []KeyAttribute { return t.key(t.Properties) }

// key returns the KeySchema in the properties of the table or of an index.
func (t Table) key(properties object) []KeyAttribute {
	types := map[string]string{}
	for _, definition := range elements(t.Properties["AttributeDefinitions"]) {
		types[cfn.Text(definition, "AttributeName")] = cfn.Text(definition, "AttributeType")
	}
	var key []KeyAttribute
	for _, attribute := range elements(properties["KeySchema"]) {
		name := cfn.Text(attribute, "AttributeName")
		key = append(key, KeyAttribute{name, types[name], cfn.Text(attribute, "KeyType")})
	}
	return key
}

// Indexes returns the secondary indexes, the global ones first, in the order of the template.
func (t Table) Indexes() []Index {
	var indexes []Index
	for _, kind := range []string{"GlobalSecondaryIndexes", "LocalSecondaryIndexes"} {
		for _, index := range elements(t.Properties[kind]) {
			indexes = append(indexes, Index{
				Name: cfn.Text(index, "IndexName"), Key: t.key(cfn.Mapping(index)), Local: kind == "LocalSecondaryIndexes",
			})
		}
	}
	return indexes
}

// tables returns the tables that the functions use. An existing table has the properties of the table that it replaces.
func (r *Rendered) tables(e *cfn.Evaluator, pseudo PseudoParameters) []Table {
	var existing, own []Table
	for _, id := range slices.Sorted(maps.Keys(cfn.Mapping(r.document, "Resources"))) {
		name := cfn.Text(r.parameters, ExistingTableParameter(id)) // "" if there is no such parameter
		switch {
		case e.Resource(id)["Type"] != tableType:
		case name != "":
			t := Table{Name: name, ARN: pseudo.arn("dynamodb", "table/"+name), Properties: e.Properties(id)}
			if t.Properties != nil {
				t.Properties["TableName"] = name
			}
			existing = append(existing, t)
		case e.Exists("Resources", id):
			own = append(own, Table{
				LogicalID: id, Name: cfn.Text(e.Ref(id)), ARN: cfn.Text(e.Attribute(id, "Arn")), Properties: e.Properties(id),
			})
		}
	}
	return append(existing, own...)
}

func (r *Rendered) findTables() error {
	e := r.symbolic()
	for _, id := range e.All(tableType) {
		if name := cfn.Text(e.Property(id, "TableName")); name != "" {
			r.ownTables = append(r.ownTables, Table{LogicalID: id, Name: name, Properties: e.Properties(id)})
		}
	}
	return e.Err()
}

// OwnTables returns the tables that are resources of the stack, sorted by logical id. Tables whose names CloudFormation
// generates are omitted. Properties has symbolic values for references.
func (r *Rendered) OwnTables() []Table { return slices.Clone(r.ownTables) }

// tablesOnly returns a template that has only the tables of OwnTables with the given logical ids. It is for the import
// of retained tables: an import change set must not create other resources.
func (r *Rendered) tablesOnly(logicalIDs ...string) *Rendered {
	resources := object{}
	only := &Rendered{document: object{"Resources": resources}, values: maps.Clone(r.values), parameters: r.parameters}
	for _, table := range r.ownTables {
		if slices.Contains(logicalIDs, table.LogicalID) {
			resources[table.LogicalID] = cfn.Clone(cfn.Mapping(r.document, "Resources", table.LogicalID))
			only.ownTables = append(only.ownTables, table)
		}
	}
	for _, section := range []string{"AWSTemplateFormatVersion", "Description", "Parameters", "Mappings", "Conditions"} {
		if content, ok := r.document[section]; ok {
			only.document[section] = cfn.Clone(content)
		}
	}
	only.invalidate()
	return only
}
