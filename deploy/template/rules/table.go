package rules

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
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

// unusedTables reports tables whose names functions have, but which they may not access.
func (s *checkedTemplate) unusedTables(owners map[string]resource, report report) {
	for _, f := range s.all(functionType) {
		entry := strings.TrimSuffix(f.id, "Function")
		for name, value := range cfn.Mapping(f.properties, "Environment", "Variables") {
			i := slices.IndexFunc(s.tables, func(t usedTable) bool { return value == t.name })
			if i >= 0 && !slices.ContainsFunc(s.statements, func(st statement) bool {
				grantee, ok := s.grantee(st, owners)
				return ok && grantee.id == f.id && s.mayAccess(st, s.tables[i])
			}) {
				t := s.tables[i].id
				report(f.path("Environment", "Variables", name), "%s may not access the table: list %sActions or %sIndexes in "+
					"the entry %s of the mapping Functions, or remove %s from its Tables", f.id, t, t, entry, t)
			}
		}
	}
}

// mayAccess reports whether a statement allows access to a table, perhaps among others.
func (s *checkedTemplate) mayAccess(st statement, t usedTable) bool {
	ofTables := func(action any) bool { return !strings.HasPrefix(cfn.Text(action), "xray:") } // with the resource *
	return st.allows() && (st.content["NotAction"] != nil || st.content["NotResource"] != nil ||
		slices.ContainsFunc(list(st.content["Action"]), ofTables) &&
			slices.ContainsFunc(list(st.content["Resource"]), func(r any) bool {
				found, _, ok := s.tableOf(cfn.Text(r))
				return ok && found.id == t.id || strings.Contains(cfn.Text(r), "*") // wildcard-resource
			}))
}

// tableCondition checks that a table does not exist if the stage uses an existing one instead.
func tableCondition(s *checkedTemplate, report report) {
	for _, t := range s.all(tableType) {
		parameter, want := template.ExistingTableParameter(t.id), "Owns"+t.id
		if _, ok := s.parameters[parameter]; ok && t.attributes["Condition"] != want {
			report("Resources."+t.id+".Condition", "with %s, the table would be created all the same: set it to %s",
				parameter, want)
		}
	}
}

// tableThroughput checks that provisioned tables and their indexes have a throughput, and on-demand ones have none
// ("CreateTable").
func tableThroughput(s *checkedTemplate, report report) {
	const key = "ProvisionedThroughput"
	for _, t := range s.all(tableType) {
		onDemand := t.properties["BillingMode"] == "PAY_PER_REQUEST"
		check := func(path string, properties object) {
			switch throughput := cfn.Mapping(properties, key); {
			case onDemand && throughput != nil:
				report(path+"."+key, "the table has the BillingMode PAY_PER_REQUEST: remove it")
			case !onDemand && (throughput["ReadCapacityUnits"] == nil || throughput["WriteCapacityUnits"] == nil):
				report(path+"."+key, "the table has the BillingMode PROVISIONED: set ReadCapacityUnits and WriteCapacityUnits, or "+
					"set BillingMode to PAY_PER_REQUEST")
			}
		}
		check(t.path(), t.properties)
		for i, index := range list(t.properties["GlobalSecondaryIndexes"]) {
			check(t.path("GlobalSecondaryIndexes", strconv.Itoa(i)), cfn.Mapping(index))
		}
	}
}

// eachIndex calls check with the path and the properties of each secondary index.
func (s *checkedTemplate) eachIndex(check func(t resource, path string, index object)) {
	for _, t := range s.all(tableType) {
		for _, kind := range []string{"LocalSecondaryIndexes", "GlobalSecondaryIndexes"} {
			for i, index := range list(t.properties[kind]) {
				check(t, t.path(kind, strconv.Itoa(i)), cfn.Mapping(index))
			}
		}
	}
}

// indexName checks that the indexes of a table have different names, also for DynamoDB Local, which ignores the case.
func indexName(s *checkedTemplate, report report) {
	names := map[string]string{} // by table and name in lower case
	s.eachIndex(func(t resource, path string, index object) {
		name := cfn.Text(index, "IndexName")
		key := t.id + " " + strings.ToLower(name)
		if other, ok := names[key]; ok {
			report(path+".IndexName", "%s has an index %s already (DynamoDB Local ignores the case): choose another name",
				t.id, other)
		}
		names[key] = name
	})
}

// indexProjection checks the attributes that are copied to an index ("Projection" of CreateTable).
func indexProjection(s *checkedTemplate, report report) {
	s.eachIndex(func(_ resource, path string, index object) {
		attributes := list(cfn.At(index, "Projection", "NonKeyAttributes"))
		switch kind := cfn.Text(index, "Projection", "ProjectionType"); {
		case kind != "ALL" && kind != "KEYS_ONLY" && kind != "INCLUDE":
			report(path+".Projection.ProjectionType", "got %q, want ALL, KEYS_ONLY or INCLUDE", kind)
		case kind == "INCLUDE" && len(attributes) == 0:
			report(path+".Projection.NonKeyAttributes", "INCLUDE needs the attributes: list them, or use KEYS_ONLY or ALL")
		case kind != "INCLUDE" && len(attributes) > 0:
			report(path+".Projection.NonKeyAttributes", "only INCLUDE has attributes: remove them, or use INCLUDE")
		}
	})
}

// alarmName checks that alarms have different names: CloudFormation fails to create the second.
func alarmName(s *checkedTemplate, report report) {
	owners := map[string]resource{}
	for _, a := range s.all(alarmType) {
		name := cfn.Text(a.properties["AlarmName"])
		owner, ok := owners[name]
		if !ok {
			owners[name] = a
			continue
		}
		table, other := s.tableOfAlarm(a), s.tableOfAlarm(owner)
		switch {
		case name == "":
		case table != "" && other != "" && table != other:
			report("Resources."+table, "its alarms have the names of those of %s: change its Label in the mapping Tables", other)
		default:
			report(a.path("AlarmName"), "it is that of %s: choose another name", owner.id)
		}
	}
}

// tableOfAlarm returns the id of the table whose metrics an alarm watches, or "".
func (s *checkedTemplate) tableOfAlarm(alarm resource) string {
	for _, m := range metrics(alarm) {
		if t, ok := s.tableOfMetric(m); ok {
			return t.id
		}
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
