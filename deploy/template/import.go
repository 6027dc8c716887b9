package template

import (
	"maps"
	"slices"

	"github.com/userrequestapi/userdata/deploy/cfn"
)

// NewTables returns the tables of OwnTables that the template of a stack, nil for none, does not have: neither their
// logical ids nor their names.
func (r *Rendered) NewTables(stack *Rendered) []Table {
	if stack == nil {
		return r.OwnTables()
	}
	return slices.DeleteFunc(r.OwnTables(), func(table Table) bool {
		_, sameID := cfn.Mapping(stack.document, "Resources")[table.LogicalID]
		return sameID || slices.ContainsFunc(stack.ownTables, func(other Table) bool { return other.Name == table.Name })
	})
}

// Importing returns the template of a change set that imports tables of OwnTables into a stack with the template stack;
// nil for a new stack. It changes nothing else, as CloudFormation requires. indexes has the names of the global
// secondary indexes that each table has, by logical id: a later update creates the others, because a template without
// them describes the table as it is.
func (r *Rendered) Importing(stack *Rendered, indexes map[string][]string) *Rendered {
	result := r.tablesOnly(slices.Collect(maps.Keys(indexes))...)
	for i, table := range result.ownTables {
		properties := section(cfn.Mapping(result.document, "Resources", table.LogicalID), "Properties")
		table.Properties = withIndexes(table, indexes[table.LogicalID])
		for _, property := range []string{"GlobalSecondaryIndexes", "AttributeDefinitions"} {
			delete(properties, property)
			if value, ok := table.Properties[property]; ok {
				properties[property] = value
			}
		}
		result.ownTables[i] = table
	}
	if stack == nil {
		result.invalidate()
		return result
	}
	document := cfn.Clone(stack.document)
	for name, content := range result.document {
		if added, ok := content.(object); ok {
			merged := section(document, name)
			maps.Copy(added, merged) // what the stack has does not change
			document[name] = added
		}
	}
	result.document = document
	maps.Copy(result.values, stack.values)
	result.parameters = maps.Clone(r.parameters)
	maps.Copy(result.parameters, stack.parameters)
	result.ownTables = slices.Concat(stack.ownTables, result.ownTables)
	result.invalidate()
	return result
}

// withIndexes returns the properties of a table with only the global secondary indexes of the given names, and the
// definitions of the attributes of the remaining keys: DynamoDB allows no others.
func withIndexes(table Table, names []string) object {
	const property = "GlobalSecondaryIndexes"
	properties := maps.Clone(table.Properties)
	kept := slices.DeleteFunc(slices.Clone(elements(properties[property])), func(index any) bool {
		return !slices.Contains(names, cfn.Text(index, "IndexName"))
	})
	delete(properties, property)
	if len(kept) > 0 {
		properties[property] = kept
	}
	table.Properties = properties
	used := map[string]bool{}
	for _, attribute := range table.Key() {
		used[attribute.Name] = true
	}
	for _, index := range table.Indexes() {
		for _, attribute := range index.Key {
			used[attribute.Name] = true
		}
	}
	properties["AttributeDefinitions"] = slices.DeleteFunc(
		slices.Clone(elements(properties["AttributeDefinitions"])),
		func(definition any) bool { return !used[cfn.Text(definition, "AttributeName")] },
	)
	return properties
}
