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

// stack is a template as its conditions make it for given parameters. What cannot be worked out stays as it is: that is for
// the rule reference, and for cfn-lint, to tell.
type stack struct {
	document   object
	parameters map[string]string
	resources  map[string]resource // that exist
	outputs    object              // that exist
	missing    map[string]string   // what exists refers to resources that do not: their ids by path
	deciding   []string            // the conditions that are being worked out
}

// resource is one that exists, its values worked out.
type resource struct {
	id         string
	kind       string // such as AWS::Lambda::Function
	properties object
	attributes object // DependsOn, DeletionPolicy, UpdatePolicy and the like
}

// path returns the place of one of its properties.
func (r resource) path(keys ...string) string {
	return strings.Join(append([]string{"Resources", r.id, "Properties"}, keys...), ".")
}

// absent is the value of AWS::NoValue: it takes away what it is the value of.
type absent struct{}

func newStack(document object, given map[string]string) *stack {
	s := &stack{
		document:   document,
		parameters: map[string]string{},
		resources:  map[string]resource{},
		outputs:    object{},
		missing:    map[string]string{},
	}
	for name, p := range mapping(document["Parameters"]) {
		s.parameters[name] = text(mapping(p)["Default"])
		if value, ok := given[name]; ok {
			s.parameters[name] = value
		}
	}
	for _, id := range sortedKeys(mapping(document["Resources"])) {
		raw := mapping(mapping(document["Resources"])[id])
		if !s.exists(raw) {
			continue
		}
		attributes := mapping(s.value("Resources."+id, raw))
		s.resources[id] = resource{
			id: id, kind: text(raw["Type"]), properties: mapping(attributes["Properties"]), attributes: attributes,
		}
	}
	for id, output := range mapping(document["Outputs"]) {
		if s.exists(mapping(output)) {
			s.outputs[id] = s.value("Outputs."+id, output)
		}
	}
	return s
}

// exists tells whether a resource or an output is there under the conditions.
func (s *stack) exists(o object) bool {
	name, ok := o["Condition"].(string)
	return !ok || s.condition(name)
}

// condition tells whether a named condition holds.
func (s *stack) condition(name string) bool {
	expression, ok := mapping(s.document["Conditions"])[name]
	if !ok || slices.Contains(s.deciding, name) {
		return true // a violation, or for cfn-lint
	}
	s.deciding = append(s.deciding, name)
	defer func() { s.deciding = s.deciding[:len(s.deciding)-1] }()
	return s.holds(expression)
}

func (s *stack) holds(expression any) bool {
	for name, argument := range mapping(expression) {
		arguments := list(argument)
		switch {
		case name == "Condition":
			return s.condition(text(argument))
		case name == "Fn::Equals" && len(arguments) == 2:
			return text(s.value("", arguments[0])) == text(s.value("", arguments[1]))
		case name == "Fn::Not" && len(arguments) == 1:
			return !s.holds(arguments[0])
		case name == "Fn::And":
			return !slices.ContainsFunc(arguments, func(a any) bool { return !s.holds(a) })
		case name == "Fn::Or":
			return slices.ContainsFunc(arguments, s.holds)
		}
	}
	return true
}

// value works out a value: parameters by their values, and what only CloudFormation knows as text such as ${Table.Arn}.
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
			if element = s.value(path+"."+key, element); element != (absent{}) {
				result[key] = element
			}
		}
		return result
	case []any:
		result := []any{}
		for i, element := range v {
			if element = s.value(path+"."+strconv.Itoa(i), element); element != (absent{}) {
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
		if s.condition(text(arguments[0])) {
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
			texts[i] = text(part)
		}
		return strings.Join(texts, text(arguments[0]))
	}
	return object{name: s.value(path+"."+name, argument)}
}

// attribute returns the argument of Fn::GetAtt in its short form, such as Table.Arn.
func attribute(argument any) string {
	var parts []string
	for _, part := range list(argument) {
		parts = append(parts, text(part))
	}
	return strings.Join(parts, ".")
}

// ref returns what a name stands for.
func (s *stack) ref(path, name string) any {
	if value, ok := s.parameters[name]; ok {
		return value
	}
	if name == "AWS::NoValue" {
		return absent{}
	}
	id, _, _ := strings.Cut(name, ".")
	if raw, ok := mapping(s.document["Resources"])[id]; ok && !s.exists(mapping(raw)) {
		s.missing[path] = id
	}
	return "${" + name + "}"
}

// variable is one in the text of Fn::Sub; ${!Literal} is none.
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
		if value, ok := own[name]; ok {
			return text(value)
		}
		return text(s.ref(path, name))
	})
}

// all returns the resources of a type that exist, in the order of their ids.
func (s *stack) all(kind string) []resource {
	var found []resource
	for _, id := range sortedKeys(s.resources) {
		if r := s.resources[id]; r.kind == kind {
			found = append(found, r)
		}
	}
	return found
}

// referred returns the resource of a type that a value refers to by Ref, or by one of its attributes where one is named.
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

// at follows keys down a value; nil where there is nothing.
func at(value any, keys ...string) any {
	for _, key := range keys {
		value = mapping(value)[key]
	}
	return value
}

// mapping returns nil, which reads as an empty one, for what is none.
func mapping(value any) object {
	o, _ := value.(object) // none is empty
	return o
}

// list returns a single value as a list of one, as IAM does, and none as an empty one.
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

// text returns a scalar as CloudFormation does, and "" for what is none.
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

func number(value any) (float64, bool) {
	n, err := strconv.ParseFloat(text(value), 64)
	return n, err == nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// walk calls visit with each mapping in a value and its path.
func walk(path string, value any, visit func(path string, o object)) {
	switch v := value.(type) {
	case object:
		visit(path, v)
		for _, key := range sortedKeys(v) {
			walk(path+"."+key, v[key], visit)
		}
	case []any:
		for i, element := range v {
			walk(path+"."+strconv.Itoa(i), element, visit)
		}
	}
}
