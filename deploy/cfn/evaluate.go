package cfn

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Evaluator evaluates values of a template as CloudFormation does ("Intrinsic function reference"). Create it with
// [NewEvaluator]. It is not safe for concurrent use.
//
// It continues after a fault: a condition counts as true, a reference becomes a string such as ${Table.Arn}, and any
// other function remains. A caller that stops at the first fault calls Err before it uses a value; one that collects
// all calls Faults at the end.
type Evaluator struct {
	Document Object

	values     map[string]any
	resolve    Resolver
	faults     []EvaluationError
	evaluating []string // the resources and conditions in evaluation, to detect cycles
}

// Resolver returns the value of Ref (attribute is "") or of Fn::GetAtt for an existing resource.
type Resolver func(e *Evaluator, id, attribute string) (any, error)

// EvaluationError is a fault at a path of the template, such as Resources.Table.Properties.TableName.Ref.
type EvaluationError struct{ Path, Message string }

// Error implements error.
func (e EvaluationError) Error() string { return e.Path + ": " + e.Message }

// NewEvaluator returns an evaluator. The values are those of parameters and pseudo parameters by name. resolve may be
// nil: references to resources are then symbolic.
func NewEvaluator(document Object, values map[string]any, resolve Resolver) *Evaluator {
	if resolve == nil {
		resolve = func(_ *Evaluator, id, attribute string) (any, error) { return symbol(id, attribute), nil }
	}
	return &Evaluator{Document: document, values: values, resolve: resolve}
}

// symbol returns the symbolic value of a reference, such as ${Table.Arn}.
func symbol(id, attribute string) string {
	if attribute != "" {
		id += "." + attribute
	}
	return "${" + id + "}"
}

// SymbolicPseudoParameters returns the pseudo parameters with symbolic values such as ${AWS::Region} ("Pseudo
// parameters reference").
func SymbolicPseudoParameters() map[string]any {
	values := map[string]any{}
	for _, name := range []string{
		"AWS::AccountId", "AWS::NotificationARNs", "AWS::Partition", "AWS::Region", "AWS::StackId", "AWS::StackName",
		"AWS::URLSuffix",
	} {
		values[name] = symbol(name, "")
	}
	return values
}

// Failf adds a fault.
func (e *Evaluator) Failf(path, format string, args ...any) {
	e.faults = append(e.faults, EvaluationError{path, fmt.Sprintf(format, args...)})
}

// Err returns the first of Faults, or nil.
func (e *Evaluator) Err() error {
	if len(e.faults) == 0 {
		return nil
	}
	return e.Faults()[0]
}

// Faults returns all faults in the order of their paths. A fault of a value that was evaluated several times is
// repeated.
func (e *Evaluator) Faults() []EvaluationError {
	slices.SortStableFunc(e.faults, func(a, b EvaluationError) int { return strings.Compare(a.Path, b.Path) })
	return e.faults
}

// Resource returns the unevaluated resource, or nil.
func (e *Evaluator) Resource(id string) Object { return Mapping(e.Document, "Resources", id) }

// Defines reports whether a name in Ref, or one such as Table.Arn, is that of a parameter or a resource.
func (e *Evaluator) Defines(name string) bool {
	id, _, _ := strings.Cut(name, ".")
	_, isParameter := e.values[name]
	return isParameter || name == "AWS::NoValue" || e.Resource(id) != nil
}

// All returns the ids of the resources of a type that exist under the conditions, sorted.
func (e *Evaluator) All(resourceType string) []string {
	var ids []string
	for _, id := range slices.Sorted(maps.Keys(Mapping(e.Document, "Resources"))) {
		if e.Resource(id)["Type"] == resourceType && e.Exists("Resources", id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// Exists reports whether a member of Resources or Outputs exists under the conditions.
func (e *Evaluator) Exists(section, id string) bool {
	name, ok := Mapping(e.Document, section, id)["Condition"]
	return !ok || e.Condition(section+"."+id+".Condition", name)
}

// Properties evaluates the properties of a resource. It returns nil if there are none.
func (e *Evaluator) Properties(id string) Object {
	properties, _ := e.Value("Resources."+id+".Properties", e.Resource(id)["Properties"]).(Object) // nil if absent
	return properties
}

// Property evaluates one property of a resource. It returns nil if the property is absent.
func (e *Evaluator) Property(id, name string) any {
	value := e.Value("Resources."+id+".Properties."+name, At(e.Resource(id), "Properties", name))
	if value == (noValue{}) {
		return nil
	}
	return value
}

// Ref evaluates a reference to a resource.
func (e *Evaluator) Ref(id string) any { return e.reference("Resources."+id, id, "") }

// Attribute evaluates an attribute of a resource.
func (e *Evaluator) Attribute(id, name string) any { return e.reference("Resources."+id, id, name) }

// Condition evaluates the condition with a name.
func (e *Evaluator) Condition(path string, name any) bool {
	key, _ := name.(string) // "" is rejected below
	expression, ok := Mapping(e.Document, "Conditions")[key]
	if !ok {
		e.Failf(path, "there is no condition %v", name)
		return true
	}
	holds := true
	e.detectCycle(path, "Conditions."+key, func() { holds = e.condition("Conditions."+key, expression) })
	return holds
}

// Value evaluates a value and everything that it contains.
func (e *Evaluator) Value(path string, value any) any {
	switch v := value.(type) {
	case Object:
		for name, argument := range v {
			if len(v) == 1 && isIntrinsic(name) {
				return e.call(path+"."+name, name, argument)
			}
		}
		result := make(Object, len(v))
		for key, element := range v { // in any order: Faults sorts
			if isIntrinsic(key) {
				e.Failf(path, "%s must be the only key", key)
			}
			if !isLeaf(element) {
				element = e.Value(path+"."+key, element)
			}
			if element != (noValue{}) {
				result[key] = element
			}
		}
		return result
	case []any:
		result := make([]any, 0, len(v))
		for i, element := range v {
			if !isLeaf(element) {
				element = e.Value(path+"."+strconv.Itoa(i), element)
			}
			if element != (noValue{}) {
				result = append(result, element)
			}
		}
		return result
	}
	return value
}

// detectCycle calls evaluate for the resource or condition at target, unless it is already in evaluation.
func (e *Evaluator) detectCycle(path, target string, evaluate func()) {
	if slices.Contains(e.evaluating, target) {
		e.Failf(path, "%s depends on itself", target)
		return
	}
	e.evaluating = append(e.evaluating, target)
	evaluate()
	e.evaluating = e.evaluating[:len(e.evaluating)-1]
}

// condition evaluates a condition function.
func (e *Evaluator) condition(path string, expression any) bool {
	o, _ := expression.(Object) // nil is rejected below
	for name, argument := range o {
		if len(o) != 1 {
			break
		}
		path := path + "." + name
		switch name {
		case "Condition":
			return e.Condition(path, argument)
		case "Fn::Equals":
			if sides := e.list(path, argument, 2, 2); sides != nil {
				return e.scalar(path+".0", sides[0]) == e.scalar(path+".1", sides[1])
			}
			return true
		case "Fn::Not":
			if negated := e.list(path, argument, 1, 1); negated != nil {
				return !e.condition(path+".0", negated[0])
			}
			return true
		case "Fn::And", "Fn::Or":
			operands := e.list(path, argument, 2, 10)
			holds := name == "Fn::And" || operands == nil
			for i, operand := range operands { // evaluates all, to find their faults
				if e.condition(path+"."+strconv.Itoa(i), operand) != (name == "Fn::And") {
					holds = name != "Fn::And"
				}
			}
			return holds
		}
	}
	e.Failf(path, "want a condition of supported functions")
	return true
}

// list returns the elements of an argument, or nil after a fault.
func (e *Evaluator) list(path string, argument any, least, most int) []any {
	elements, ok := argument.([]any)
	switch {
	case ok && least <= len(elements) && len(elements) <= most:
		return elements
	case least == most:
		e.Failf(path, "want a list of %d", least)
	default:
		e.Failf(path, "want a list of %d to %d", least, most)
	}
	return nil
}

// scalar evaluates a value that must be a scalar.
func (e *Evaluator) scalar(path string, value any) string {
	value = e.Value(path, value)
	if !IsScalar(value) {
		e.Failf(path, "want a string")
	}
	return Text(value)
}

// noValue is the value of AWS::NoValue. It removes the property or element that has it.
type noValue struct{}

func isIntrinsic(key string) bool { return key == "Ref" || strings.HasPrefix(key, "Fn::") }

// call evaluates a call of an intrinsic function. After a fault it returns the call.
func (e *Evaluator) call(path, name string, argument any) any {
	switch name {
	case "Ref":
		if id, ok := argument.(string); ok {
			return e.ref(path, id)
		}
		e.Failf(path, "want a name")
	case "Fn::GetAtt":
		id, attribute := getAtt(argument)
		if name, ok := e.Value(path+".1", attribute).(string); ok && id != "" && name != "" {
			return e.reference(path, id, name)
		}
		e.Failf(path, "want a resource and the name of an attribute")
	case "Fn::Sub":
		return e.sub(path, argument)
	case "Fn::If":
		if arguments := e.list(path, argument, 3, 3); arguments != nil {
			branch := 2
			if e.Condition(path+".0", arguments[0]) {
				branch = 1
			}
			return e.Value(path+"."+strconv.Itoa(branch), arguments[branch])
		}
	case "Fn::FindInMap":
		if arguments := e.list(path, argument, 3, 3); arguments != nil {
			return e.findInMap(path, arguments)
		}
	case "Fn::Join", "Fn::Split", "Fn::Select":
		if arguments := e.list(path, argument, 2, 2); arguments != nil {
			first, second := e.scalar(path+".0", arguments[0]), e.Value(path+".1", arguments[1])
			switch name {
			case "Fn::Join":
				return e.join(path, first, second)
			case "Fn::Split":
				return e.split(path, first, second)
			}
			return e.selectElement(path, first, second)
		}
	default:
		e.Failf(path, "this intrinsic function is not supported")
	}
	return Object{name: argument}
}

func (e *Evaluator) ref(path, id string) any {
	if value, ok := e.values[id]; ok {
		return value
	}
	if id == "AWS::NoValue" {
		return noValue{}
	}
	return e.reference(path, id, "")
}

// reference returns the value of an existing resource or of its attribute.
func (e *Evaluator) reference(path, id, attribute string) any {
	var value any = symbol(id, attribute)
	switch {
	case e.Resource(id) == nil:
		e.Failf(path, "there is no parameter or resource %s", id)
	case !e.Exists("Resources", id):
		e.Failf(path, "the resource %s does not exist with these parameters: use the same condition for both", id)
	default:
		e.detectCycle(path, "Resources."+id, func() {
			resolved, err := e.resolve(e, id, attribute)
			if err != nil {
				e.Failf(path, "%v", err)
				return
			}
			value = resolved
		})
	}
	return value
}

// getAtt returns the resource and the attribute of Fn::GetAtt, which has a list or, in YAML, Resource.Attribute.
func getAtt(argument any) (id string, attribute any) {
	switch v := argument.(type) {
	case string:
		id, attribute, _ := strings.Cut(v, ".")
		return id, attribute
	case []any:
		if len(v) == 2 {
			return Text(v[0]), v[1]
		}
	}
	return "", nil
}

var variable = regexp.MustCompile(`\$\{(!?)([^}]*)\}`)

func (e *Evaluator) sub(path string, argument any) any {
	str, own, ok := subArguments(argument)
	if !ok {
		e.Failf(path, "want a list of 2, a string and a mapping of variables, or only a string")
		return Object{"Fn::Sub": argument}
	}
	return variable.ReplaceAllStringFunc(str, func(match string) string {
		parts := variable.FindStringSubmatch(match)
		name := parts[2]
		if parts[1] == "!" {
			return "${" + name + "}"
		}
		var value any
		if element, ok := own[name]; ok {
			value = e.Value(path+".1."+name, element)
		} else if id, attribute, ok := strings.Cut(name, "."); ok {
			value = e.reference(path, id, attribute)
		} else {
			value = e.ref(path, name)
		}
		if !IsScalar(value) {
			e.Failf(path, "%s is not a string", match)
		}
		return Text(value)
	})
}

// subArguments returns the string of Fn::Sub and its own variables.
func subArguments(argument any) (str string, own Object, ok bool) {
	if arguments, isList := argument.([]any); isList && len(arguments) == 2 {
		if own, ok = arguments[1].(Object); !ok {
			return "", nil, false
		}
		argument = arguments[0]
	}
	str, ok = argument.(string)
	return str, own, ok
}

// findInMap returns a value of Mappings. If the second key is symbolic, all entries must have a value, and the result
// is symbolic.
func (e *Evaluator) findInMap(path string, arguments []any) any {
	var keys [3]string
	for i := range keys {
		keys[i] = e.scalar(path+"."+strconv.Itoa(i), arguments[i])
	}
	entries := Mapping(e.Document, "Mappings", keys[0])
	if entry, ok := entries[keys[1]]; ok || !strings.HasPrefix(keys[1], "${") {
		entries = Object{keys[1]: entry}
	}
	name := strings.Join(keys[:], ".")
	var found any
	for _, entry := range entries {
		if found = At(entry, keys[2]); found == nil {
			break
		}
	}
	switch {
	case found == nil:
		e.Failf(path, "Mappings has no entry %q", name)
		return ""
	case len(entries) > 1:
		return symbol(name, "")
	}
	return found
}

func (e *Evaluator) join(path, separator string, value any) any {
	elements, ok := value.([]any)
	if !ok {
		e.Failf(path, "want a list of strings")
	}
	strs := make([]string, len(elements))
	for i, element := range elements {
		strs[i] = e.scalar(path+".1."+strconv.Itoa(i), element)
	}
	return strings.Join(strs, separator)
}

func (e *Evaluator) split(path, separator string, value any) any {
	if separator == "" || !IsScalar(value) {
		e.Failf(path, "want a separator and a string")
		return []any{}
	}
	parts := []any{}
	for part := range strings.SplitSeq(Text(value), separator) {
		parts = append(parts, part)
	}
	return parts
}

func (e *Evaluator) selectElement(path, index string, value any) any {
	elements, _ := value.([]any) // nil has no elements
	i, err := strconv.Atoi(index)
	if err != nil || i < 0 || i >= len(elements) {
		e.Failf(path, "the list has no element %s", index)
		return ""
	}
	return elements[i]
}
