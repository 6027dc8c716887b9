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

// stack is a template as its conditions make it for given parameters.
type stack struct {
	document   object
	parameters map[string]string
	resources  map[string]resource // that exist
	outputs    object              // that exist
	faults     map[string]string   // what cannot be worked out, by path: the rule reference tells
	deciding   []string            // the conditions that are being worked out
	statements []statement         // of all policies
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

// after tells whether it is made after another, because it says so or refers to that.
func (r resource) after(other resource) bool {
	found := slices.Contains(list(r.attributes["DependsOn"]), any(other.id))
	visitTexts(r.properties, func(value string) {
		found = found || strings.Contains(value, "${"+other.id+"}") || strings.Contains(value, "${"+other.id+".")
	})
	return found
}

// absent is the value of AWS::NoValue: it takes away what it is the value of.
type absent struct{}

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

// exists tells whether a resource or an output is there under the conditions.
func (s *stack) exists(path string, o object) bool {
	name, ok := o["Condition"]
	return !ok || s.condition(path+".Condition", name)
}

// condition tells whether a named condition holds. One that cannot be decided does, besides being a fault: what it
// decides on is checked.
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
		each := func(want bool) bool { // whether one of the conditions is as wanted
			found := false
			for i, a := range arguments { // all of them, for their faults
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
			return each(false)
		case name == "Fn::And" && len(arguments) > 1:
			return !each(false)
		case name == "Fn::Or" && len(arguments) > 1:
			return each(true)
		}
	}
	s.faults[path] = "it is no condition that can be decided"
	return true
}

// text works out a value that must be a text.
func (s *stack) text(path string, value any) string {
	value = s.value(path, value)
	if !scalar(value) {
		s.faults[path] = "it must be a text"
	}
	return text(value)
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
			if !leaf(element) { // which has no use for a path
				element = s.value(path+"."+key, element)
			}
			if element != (absent{}) {
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
	s.faults[path+"."+name] = "it cannot be worked out here"
	return object{name: s.value(path+"."+name, argument)}
}

// findInMap returns what Mappings has. Where the place of the stack decides, all entries must have a text under the
// last key, for which a reference to it stands.
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
	if raw, ok := mapping(s.document["Resources"])[id]; ok && !s.exists("Resources."+id, mapping(raw)) {
		s.faults[path] = "it refers to " + id + ", which does not exist with these parameters: put both under one condition"
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
		value, ok := own[name]
		if !ok {
			value = s.ref(path, name)
		}
		if !scalar(value) {
			s.faults[path] = match + " is no text"
		}
		return text(value)
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

// referred returns the resource of a type that a value refers to by Ref, or by one of its attributes where one is
// named.
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

// scalar tells whether [text] is of something.
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

// visitTexts calls visit with each text in a value.
func visitTexts(value any, visit func(string)) {
	switch v := value.(type) {
	case object:
		for _, element := range v {
			visitTexts(element, visit)
		}
	case []any:
		for _, element := range v {
			visitTexts(element, visit)
		}
	case string:
		visit(v)
	}
}

// walk calls visit with each mapping in a value and its path.
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

// leaf reports whether a value contains no others.
func leaf(value any) bool {
	switch value.(type) {
	case object, []any:
		return false
	default:
		return true
	}
}
