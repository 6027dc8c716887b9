package rules

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/userrequestapi/userdata/deploy/cfn"
)

// object is a mapping of JSON.
type object = map[string]any

// checkedTemplate is a template evaluated for given parameters.
type checkedTemplate struct {
	document   object
	parameters map[string]string
	resources  map[string]resource // that exist
	outputs    object              // that exist
	tables     []usedTable
	evaluator  *cfn.Evaluator // the rule reference reports its faults
	statements []statement    // of all policies
}

// resource is an existing resource with evaluated values.
type resource struct {
	id         string
	kind       string // such as AWS::Lambda::Function
	properties object
	attributes object // DependsOn, DeletionPolicy, UpdatePolicy and the like
}

// path returns the path of a property.
func (r resource) path(keys ...string) string {
	return strings.Join(append([]string{"Resources", r.id, "Properties"}, keys...), ".")
}

// after reports whether r depends on other by DependsOn or a reference.
func (r resource) after(other resource) bool {
	properties := fmt.Sprint(r.properties)
	return slices.Contains(cfn.DependsOn(r.attributes), other.id) ||
		strings.Contains(properties, "${"+other.id+"}") || strings.Contains(properties, "${"+other.id+".")
}

func newCheckedTemplate(document object, given map[string]string) *checkedTemplate {
	s := &checkedTemplate{document: document, parameters: map[string]string{}, resources: map[string]resource{}}
	declared := cfn.Mapping(document, "Parameters")
	for name, p := range declared {
		s.parameters[name] = cfn.Text(p, "Default")
		if value, ok := given[name]; ok {
			s.parameters[name] = value
		}
	}
	values := cfn.SymbolicPseudoParameters()
	maps.Copy(values, cfn.Refs(declared, s.parameters))
	s.evaluator = cfn.NewEvaluator(document, values, nil)
	for name := range cfn.Mapping(document, "Conditions") {
		s.evaluator.Condition("Conditions."+name, name)
	}
	for id, content := range s.existing("Resources") {
		attributes := cfn.Mapping(content)
		s.resources[id] = resource{
			id: id, kind: cfn.Text(attributes["Type"]), properties: cfn.Mapping(attributes, "Properties"),
			attributes: attributes,
		}
	}
	s.outputs = s.existing("Outputs")
	s.tables = s.findTables()
	s.statements = s.findStatements()
	return s
}

// existing returns the evaluated members of a section that exist under the conditions.
func (s *checkedTemplate) existing(section string) object {
	found := object{}
	for id, content := range cfn.Mapping(s.document, section) {
		if s.evaluator.Exists(section, id) {
			found[id] = s.evaluator.Value(section+"."+id, content)
		}
	}
	return found
}

// all returns the existing resources of a type, sorted by id.
func (s *checkedTemplate) all(kind string) []resource {
	var found []resource
	for _, r := range s.resources {
		if r.kind == kind {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(a, b resource) int { return strings.Compare(a.id, b.id) })
	return found
}

// referred returns the resource of a type that a value refers to by one of attributes, or by Ref if there are none.
func (s *checkedTemplate) referred(value any, kind string, attributes ...string) (resource, bool) {
	name := cfn.Text(value)
	if !strings.HasPrefix(name, "${") || !strings.HasSuffix(name, "}") {
		return resource{}, false
	}
	id, attribute, _ := strings.Cut(name[2:len(name)-1], ".")
	r, ok := s.resources[id]
	if len(attributes) == 0 {
		attributes = []string{""}
	}
	return r, ok && r.kind == kind && slices.Contains(attributes, attribute)
}

// list returns a single value as a list of one element, as IAM does, and nil as an empty list.
func list(value any) []any {
	switch v := value.(type) {
	case nil:
		return nil
	case []any:
		return v
	default:
		return []any{v}
	}
}

func number(value any) (float64, bool) {
	n, err := strconv.ParseFloat(cfn.Text(value), 64)
	return n, err == nil
}
