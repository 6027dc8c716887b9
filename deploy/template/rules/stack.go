package rules

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// object is a mapping of JSON.
type object = map[string]any

// stack is a template evaluated for given parameters.
type stack struct {
	document   object
	parameters map[string]string
	resources  map[string]resource // that exist
	outputs    object              // that exist
	faults     map[string]string   // evaluation errors by path, which the rule reference reports
	deciding   []string            // the conditions in evaluation, to detect cycles
	statements []statement         // of all policies
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
	found := slices.Contains(list(r.attributes["DependsOn"]), any(other.id))
	visitStrings(r.properties, func(value string) {
		found = found || strings.Contains(value, "${"+other.id+"}") || strings.Contains(value, "${"+other.id+".")
	})
	return found
}

// noValue is the value of AWS::NoValue. It removes the property or element that has it.
type noValue struct{}

func newStack(document object, given map[string]string) *stack {
	s := &stack{
		document:   document,
		parameters: map[string]string{},
		resources:  map[string]resource{},
		outputs:    object{},
		faults:     map[string]string{},
	}
	for name, p := range mapping(document["Parameters"]) {
		s.parameters[name] = text(mapping(p)["Default"])
		if value, ok := given[name]; ok {
			s.parameters[name] = value
		}
	}
	for name := range mapping(document["Conditions"]) {
		s.condition("Conditions."+name, name)
	}
	for _, id := range sortedKeys(mapping(document["Resources"])) {
		raw := mapping(mapping(document["Resources"])[id])
		if !s.exists("Resources."+id, raw) {
			continue
		}
		attributes := mapping(s.value("Resources."+id, raw))
		s.resources[id] = resource{
			id: id, kind: text(raw["Type"]), properties: mapping(attributes["Properties"]), attributes: attributes,
		}
	}
	for id, output := range mapping(document["Outputs"]) {
		if s.exists("Outputs."+id, mapping(output)) {
			s.outputs[id] = s.value("Outputs."+id, output)
		}
	}
	s.statements = s.findStatements()
	return s
}

// exists reports whether a resource or an output exists under the conditions.
func (s *stack) exists(path string, o object) bool {
	name, ok := o["Condition"]
	return !ok || s.condition(path+".Condition", name)
}

// condition reports whether a named condition is true. A condition that cannot be evaluated is a fault and counts as
// true, so that the rules check what depends on it.
func (s *stack) condition(path string, name any) bool {
	expression, ok := mapping(s.document["Conditions"])[text(name)]
	switch {
	case !ok:
		s.faults[path] = fmt.Sprintf("there is no condition %v", name)
		return true
	case slices.Contains(s.deciding, text(name)):
		s.faults[path] = fmt.Sprintf("the condition %v depends on itself", name)
		return true
	}
	s.deciding = append(s.deciding, text(name))
	defer func() { s.deciding = s.deciding[:len(s.deciding)-1] }()
	return s.holds("Conditions."+text(name), expression)
}

func (s *stack) holds(path string, expression any) bool {
	o := mapping(expression)
	for name, argument := range o {
		path, arguments := path+"."+name, list(argument)
		anyIs := func(want bool) bool {
			found := false
			for i, a := range arguments { // evaluates all, to find their faults
				found = s.holds(fmt.Sprintf("%s.%d", path, i), a) == want || found
			}
			return found
		}
		switch {
		case len(o) != 1:
		case name == "Condition":
			return s.condition(path, argument)
		case name == "Fn::Equals" && len(arguments) == 2:
			return s.text(path+".0", arguments[0]) == s.text(path+".1", arguments[1])
		case name == "Fn::Not" && len(arguments) == 1:
			return anyIs(false)
		case name == "Fn::And" && len(arguments) > 1:
			return !anyIs(false)
		case name == "Fn::Or" && len(arguments) > 1:
			return anyIs(true)
		}
	}
	s.faults[path] = "want a condition of supported functions"
	return true
}

// text evaluates a value that must be a string.
func (s *stack) text(path string, value any) string {
	value = s.value(path, value)
	if !scalar(value) {
		s.faults[path] = "want a string"
	}
	return text(value)
}

// value evaluates a value. Parameters have their values, and references that only CloudFormation can resolve become
// strings such as ${Table.Arn}.
func (s *stack) value(path string, value any) any {
	switch v := value.(type) {
	case object:
		if len(v) == 1 {
			for name, argument := range v {
				if name == "Ref" || strings.HasPrefix(name, "Fn::") {
					return s.call(path, name, argument)
				}
			}
		}
		result := object{}
		for key, element := range v {
			if !leaf(element) { // a leaf needs no path
				element = s.value(path+"."+key, element)
			}
			if element != (noValue{}) {
				result[key] = element
			}
		}
		return result
	case []any:
		result := []any{}
		for i, element := range v {
			if element = s.value(path+"."+strconv.Itoa(i), element); element != (noValue{}) {
				result = append(result, element)
			}
		}
		return result
	default:
		return value
	}
}

func (s *stack) call(path, name string, argument any) any {
	arguments := list(argument)
	switch {
	case name == "Ref":
		return s.ref(path, text(argument))
	case name == "Fn::GetAtt":
		return s.ref(path, attribute(argument))
	case name == "Fn::Sub":
		return s.sub(path, arguments)
	case name == "Fn::If" && len(arguments) == 3:
		branch := 2
		if s.condition(path+".Fn::If.0", arguments[0]) {
			branch = 1
		}
		return s.value(fmt.Sprintf("%s.Fn::If.%d", path, branch), arguments[branch])
	case name == "Fn::Join" && len(arguments) == 2:
		parts, ok := s.value(path, arguments[1]).([]any)
		if !ok {
			break
		}
		texts := make([]string, len(parts))
		for i, part := range parts {
			texts[i] = s.text(fmt.Sprintf("%s.Fn::Join.1.%d", path, i), part)
		}
		return strings.Join(texts, s.text(path+".Fn::Join.0", arguments[0]))
	case name == "Fn::FindInMap" && len(arguments) == 3:
		return s.findInMap(path+"."+name, arguments)
	}
	s.faults[path+"."+name] = "this use of the function is not supported"
	return object{name: s.value(path+"."+name, argument)}
}

// findInMap returns a value of Mappings. If the second key is a pseudo parameter, all entries must have a scalar at the
// last key, and the result is a symbolic reference.
func (s *stack) findInMap(path string, arguments []any) any {
	var keys [3]string
	for i := range keys {
		keys[i] = s.text(fmt.Sprintf("%s.%d", path, i), arguments[i])
	}
	entries := mapping(at(s.document, "Mappings", keys[0]))
	if entry, ok := entries[keys[1]]; ok || !strings.HasPrefix(keys[1], "${AWS::") {
		entries = object{keys[1]: entry}
	}
	var found any
	for _, entry := range entries {
		if found = at(entry, keys[2]); !scalar(found) {
			break
		}
	}
	switch {
	case !scalar(found):
		s.faults[path] = "Mappings has no " + strings.Join(keys[:], ".") + " for each case"
		return ""
	case len(entries) > 1:
		return "${" + strings.Join(keys[:], ".") + "}"
	default:
		return found
	}
}

// attribute returns the argument of Fn::GetAtt in short form, such as Table.Arn.
func attribute(argument any) string {
	var parts []string
	for _, part := range list(argument) {
		parts = append(parts, text(part))
	}
	return strings.Join(parts, ".")
}

// ref returns the value of a name in Ref, Fn::GetAtt or Fn::Sub.
func (s *stack) ref(path, name string) any {
	if value, ok := s.parameters[name]; ok {
		return value
	}
	if name == "AWS::NoValue" {
		return noValue{}
	}
	id, _, _ := strings.Cut(name, ".")
	if raw, ok := mapping(s.document["Resources"])[id]; ok && !s.exists("Resources."+id, mapping(raw)) {
		s.faults[path] = "it refers to " + id +
			", which does not exist with these parameters: use the same condition for both"
	}
	return "${" + name + "}"
}

// variable matches a variable of Fn::Sub, but not ${!Literal}.
var variable = regexp.MustCompile(`\$\{([^!}][^}]*)\}`)

func (s *stack) sub(path string, arguments []any) any {
	if len(arguments) == 0 {
		return ""
	}
	var own object
	if len(arguments) > 1 {
		own = mapping(s.value(path, arguments[1]))
	}
	return variable.ReplaceAllStringFunc(text(arguments[0]), func(match string) string {
		name := variable.FindStringSubmatch(match)[1]
		value, ok := own[name]
		if !ok {
			value = s.ref(path, name)
		}
		if !scalar(value) {
			s.faults[path] = match + " is not a string"
		}
		return text(value)
	})
}

// all returns the existing resources of a type, sorted by id.
func (s *stack) all(kind string) []resource {
	var found []resource
	for _, id := range sortedKeys(s.resources) {
		if r := s.resources[id]; r.kind == kind {
			found = append(found, r)
		}
	}
	return found
}

// referred returns the resource of a type that a value refers to by one of attributes, or by Ref if there are none.
func (s *stack) referred(value any, kind string, attributes ...string) (resource, bool) {
	name := text(value)
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

// at returns the value at a path of keys, or nil.
func at(value any, keys ...string) any {
	for _, key := range keys {
		value = mapping(value)[key]
	}
	return value
}

// mapping returns value as a mapping, or nil, which can be read as an empty one.
func mapping(value any) object {
	o, _ := value.(object) // nil otherwise
	return o
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

// text returns a scalar as a string, as CloudFormation does, and "" for other values.
func text(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case bool:
		return strconv.FormatBool(v)
	default:
		return ""
	}
}

// scalar reports whether value is a scalar.
func scalar(value any) bool {
	switch value.(type) {
	case string, float64, bool:
		return true
	default:
		return false
	}
}

func number(value any) (float64, bool) {
	n, err := strconv.ParseFloat(text(value), 64)
	return n, err == nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := slices.AppendSeq(make([]string, 0, len(m)), maps.Keys(m))
	slices.Sort(keys)
	return keys
}

// visitStrings calls visit for each string in a value.
func visitStrings(value any, visit func(string)) {
	switch v := value.(type) {
	case object:
		for _, element := range v {
			visitStrings(element, visit)
		}
	case []any:
		for _, element := range v {
			visitStrings(element, visit)
		}
	case string:
		visit(v)
	}
}

// walk calls visit for each mapping in a value and its path.
func walk(path string, value any, visit func(path string, o object)) {
	switch v := value.(type) {
	case object:
		visit(path, v)
		for _, key := range sortedKeys(v) {
			if !leaf(v[key]) {
				walk(path+"."+key, v[key], visit)
			}
		}
	case []any:
		for i, element := range v {
			if !leaf(element) {
				walk(path+"."+strconv.Itoa(i), element, visit)
			}
		}
	}
}

// leaf reports whether a value is not a mapping or list.
func leaf(value any) bool {
	switch value.(type) {
	case object, []any:
		return false
	default:
		return true
	}
}
