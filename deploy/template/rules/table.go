package rules

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/userrequestapi/userdata/deploy/cfn"
	"github.com/userrequestapi/userdata/deploy/template"
)

// indexDimension is the dimension of the metrics of an index.
const indexDimension = "GlobalSecondaryIndexName"

// usedTable is a table of the stage, or an existing one that replaces it.
type usedTable struct {
	id      string
	name    string // as functions and metrics refer to it, such as ${Table}
	arn     string
	global  []string // the names of its global secondary indexes
	indexes []string // the names of all of its indexes
}

// findTables returns the tables that the functions use, sorted by id.
func (s *checkedTemplate) findTables() []usedTable {
	var tables []usedTable
	for _, id := range slices.Sorted(maps.Keys(cfn.Mapping(s.document, "Resources"))) {
		if s.evaluator.Resource(id)["Type"] != tableType {
			continue
		}
		t := usedTable{id: id, name: "${" + id + "}", arn: "${" + id + ".Arn}"}
		if existing := s.parameters[template.ExistingTableParameter(id)]; existing != "" {
			t.name = existing
			t.arn = "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/" + existing
		} else if !s.evaluator.Exists("Resources", id) {
			continue
		}
		names := func(kind string) (names []string) {
			for _, index := range list(s.evaluator.Property(id, kind)) {
				names = append(names, cfn.Text(index, "IndexName"))
			}
			return names
		}
		t.global = names("GlobalSecondaryIndexes")
		t.indexes = append(names("LocalSecondaryIndexes"), t.global...)
		tables = append(tables, t)
	}
	return tables
}

// tableOf returns the table with an ARN, and the name of the index if it is the ARN of one.
func (s *checkedTemplate) tableOf(arn string) (t usedTable, index string, ok bool) {
	for _, t := range s.tables {
		if arn == t.arn {
			return t, "", true
		}
		if index, ok := strings.CutPrefix(arn, t.arn+"/index/"); ok {
			return t, index, true
		}
	}
	return usedTable{}, "", false
}

// tableOfMetric returns the table of a metric that DynamoDB publishes for it or for one of its indexes.
func (s *checkedTemplate) tableOfMetric(m metric) (usedTable, bool) {
	for _, t := range s.tables {
		if name := m.dimensions["TableName"]; name == t.name || name == cfn.Text(s.resources[t.id].properties["TableName"]) {
			index, ok := m.dimensions[indexDimension]
			return t, name != "" && (!ok || slices.Contains(t.global, index))
		}
	}
	return usedTable{}, false
}

// itemOperations returns the operations on items that a policy can allow. AWS publishes metrics for each of them
// ("DynamoDB metrics and dimensions").
func itemOperations() []string {
	return []string{
		"BatchGetItem", "BatchWriteItem", "DeleteItem", "GetItem", "PutItem", "Query", "Scan", "UpdateItem",
	}
}

// checkAccess returns why the entry of a function cannot be the source of a permission on the table or on one of its
// indexes, or "".
func (t usedTable) checkAccess(st statement, function resource, operation, index string) string {
	entry := strings.TrimSuffix(function.id, "Function")
	variables := cfn.Mapping(function.properties, "Environment", "Variables")
	switch {
	case st.in.kind != roleType:
		return fmt.Sprintf("list it in the entry %s of the mapping Functions, from which its role is rendered", entry)
	case !slices.Contains(slices.Collect(maps.Values(variables)), any(t.name)):
		return fmt.Sprintf("no environment variable has the name of the table: add %s to Tables in the entry %s of the "+
			"mapping Functions", t.id, entry)
	case index != "" && !slices.Contains(t.indexes, index):
		return fmt.Sprintf("the table has no index %s: add it to GlobalSecondaryIndexes of %s, or correct %sIndexes in "+
			"the entry %s of the mapping Functions", index, t.id, t.id, entry)
	case index != "" && operation != "Query" && operation != "Scan":
		return "an index supports only dynamodb:Query and dynamodb:Scan"
	case !slices.Contains(itemOperations(), operation) && operation != "ConditionCheckItem":
		return "a function reads and writes items only: " + strings.Join(itemOperations(), ", ")
	}
	return ""
}

// tableAlarms checks that tables have alarms on the throughput of their indexes, and on the errors of each operation
// that a function may call.
func tableAlarms(s *checkedTemplate, report report) {
	watched := map[string]bool{} // such as Table SystemErrors Query, and Table ReadThrottleEvents by-user
	for _, a := range s.all(alarmType) {
		for _, m := range metrics(a) {
			if t, ok := s.tableOfMetric(m); ok {
				watched[t.id+" "+m.name+" "+m.dimensions["Operation"]+m.dimensions[indexDimension]] = true
			}
		}
	}
	for _, t := range s.tables {
		for _, index := range t.global {
			for _, name := range []string{"ReadThrottleEvents", "WriteThrottleEvents"} {
				if !watched[t.id+" "+name+" "+index] {
					report("Resources."+t.id, "no alarm on %s of its index %s: add the index to Indexes in the entry %s of "+
						"the mapping Tables", name, index, t.id)
				}
			}
		}
	}
	owners := s.roleOwners()
	for _, st := range s.statements {
		f, ok := owners[st.in.id]
		if !ok || !st.identity() || !st.allows() {
			continue
		}
		for _, r := range list(st.content["Resource"]) {
			t, _, ok := s.tableOf(cfn.Text(r))
			for _, action := range list(st.content["Action"]) {
				operation := strings.TrimPrefix(cfn.Text(action), "dynamodb:")
				if ok && slices.Contains(itemOperations(), operation) && !watched[t.id+" SystemErrors "+operation] {
					report("Resources."+t.id, "no alarm on SystemErrors of %s, which %s may call: add %s to the mapping "+
						"Operations, to Names and as an entry with the id of its metric", operation, f.id, operation)
				}
			}
		}
	}
}
