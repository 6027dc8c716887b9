package template

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// evaluator evaluates values of a template as CloudFormation does ("Intrinsic function reference").
type evaluator struct {
	document   object
	parameters map[string]any
	pseudo     map[string]any // the values of pseudo parameters, by names such as AWS::Region
	physical   physical

	evaluating []string // the paths in evaluation, to detect cycles
}

// physical returns the values of Ref and Fn::GetAtt for a resource.
type physical interface {
	ref(e *evaluator, id string) (any, error)
	attribute(e *evaluator, id, name string) (any, error)
}

// noValue is the value of AWS::NoValue. It removes the property or element that has it.
type noValue struct{}

// symbols returns a symbolic string for each resource and attribute whose value only CloudFormation knows. The string
// contains the names whose change replaces the resource.
type symbols struct{}

func (symbols) ref(e *evaluator, id string) (any, error) {
	if property := nameProperty(e.resource(id)["Type"]); property != "" {
		name, err := e.property(id, property)
		if _, ok := scalarText(name); ok || err != nil {
			return name, err
		}
	}
	if e.resource(id)["Type"] != aliasType {
		return "${" + id + "}", nil
	}
	function, err := e.property(id, "FunctionName")
	if err != nil {
		return nil, err
	}
	name, err := e.property(id, "Name")
	return fmt.Sprintf("${%s %v %v}", id, function, name), err
}

func (s symbols) attribute(e *evaluator, id, name string) (any, error) {
	ref, err := s.ref(e, id)
	return fmt.Sprintf("${%s.%s %v}", id, name, ref), err
}

// symbolic returns an evaluator with the values of the parameters and symbolic pseudo parameters.
func (r *Rendered) symbolic() *evaluator {
	pseudo := map[string]any{"AWS::NoValue": noValue{}}
	for _, name := range []string{
		"AWS::Region", "AWS::AccountId", "AWS::Partition", "AWS::URLSuffix", "AWS::StackName", "AWS::StackId",
	} {
		pseudo[name] = "${" + name + "}"
	}
	return &evaluator{document: r.document, parameters: r.parameters, pseudo: pseudo, physical: symbols{}}
}

func (e *evaluator) resource(id string) object { return member(member(e.document, "Resources"), id) }

// written returns the unevaluated properties of a resource, which the caller may change.
func (e *evaluator) written(id string) object {
	properties := member(e.resource(id), "Properties")
	if properties == nil {
		properties = object{}
		e.resource(id)["Properties"] = properties
	}
	return properties
}

// properties evaluates the properties of a resource.
func (e *evaluator) properties(id string) (object, error) {
	value, err := e.value("Resources."+id+".Properties", e.resource(id)["Properties"])
	if err != nil {
		return nil, err
	}
	properties, _ := value.(object) // nil if absent
	return properties, nil
}

// property evaluates one property; it returns noValue{} if the property is absent.
func (e *evaluator) property(id, name string) (any, error) {
	value, ok := member(e.resource(id), "Properties")[name]
	if !ok {
		return noValue{}, nil
	}
	return e.value("Resources."+id+".Properties."+name, value)
}

// all returns the ids of the resources of a type that exist under the conditions.
func (e *evaluator) all(resourceType string) ([]string, error) {
	var ids []string
	for _, id := range sortedKeys(member(e.document, "Resources")) {
		if e.resource(id)["Type"] != resourceType {
			continue
		}
		exists, err := e.exists(id)
		if err != nil {
			return nil, err
		}
		if exists {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func (e *evaluator) only(resourceType string) (string, error) {
	ids, err := e.all(resourceType)
	if err != nil {
		return "", err
	}
	if len(ids) != 1 {
		return "", fmt.Errorf("%s: Resources: want one %s, got %d", templateFile, resourceType, len(ids))
	}
	return ids[0], nil
}

func (e *evaluator) exists(id string) (bool, error) {
	condition, ok := e.resource(id)["Condition"]
	if !ok {
		return true, nil
	}
	return e.condition("Resources."+id+".Condition", object{"Condition": condition})
}

// value evaluates a value and everything that it contains.
func (e *evaluator) value(path string, value any) (any, error) {
	switch v := value.(type) {
	case object:
		if name, ok := intrinsic(v); ok {
			return e.call(path, name, v[name])
		}
		result := make(object, len(v))
		for _, key := range sortedKeys(v) {
			if isIntrinsic(key) {
				return nil, fmt.Errorf("%s: %s must be the only key", path, key)
			}
			element := v[key]
			if isScalar(element) { // most values are scalars: do not build a path for them
				result[key] = element
				continue
			}
			element, err := e.value(join(path, key), element)
			if err != nil {
				return nil, err
			}
			if element != (noValue{}) {
				result[key] = element
			}
		}
		return result, nil
	case []any:
		result := []any{}
		for i, element := range v {
			element, err := e.value(join(path, strconv.Itoa(i)), element)
			if err != nil {
				return nil, err
			}
			if element != (noValue{}) {
				result = append(result, element)
			}
		}
		return result, nil
	default:
		return value, nil
	}
}

func isScalar(value any) bool {
	switch value.(type) {
	case object, []any:
		return false
	}
	return true
}

// intrinsic returns the name of the intrinsic function that an object calls.
func intrinsic(o object) (string, bool) {
	for key := range o {
		return key, len(o) == 1 && isIntrinsic(key)
	}
	return "", false
}

func isIntrinsic(key string) bool { return key == "Ref" || strings.HasPrefix(key, "Fn::") }

func (e *evaluator) call(path, name string, argument any) (any, error) {
	path = join(path, name)
	switch name {
	case "Ref":
		id, ok := argument.(string)
		if !ok {
			return nil, fmt.Errorf("%s: want a name", path)
		}
		return e.ref(path, id)
	case "Fn::GetAtt":
		return e.getAtt(path, argument)
	case "Fn::Sub":
		return e.sub(path, argument)
	case "Fn::If":
		arguments, err := list(path, argument, 3)
		if err != nil {
			return nil, err
		}
		holds, err := e.condition(join(path, "0"), object{"Condition": arguments[0]})
		if err != nil {
			return nil, err
		}
		if holds {
			return e.value(join(path, "1"), arguments[1])
		}
		return e.value(join(path, "2"), arguments[2])
	case "Fn::FindInMap":
		return e.findInMap(path, argument)
	case "Fn::Join":
		separator, elements, err := e.stringAndValue(path, argument)
		if err != nil {
			return nil, err
		}
		parts, err := stringList(path, elements)
		return strings.Join(parts, separator), err
	case "Fn::Split":
		separator, value, err := e.stringAndValue(path, argument)
		if err != nil {
			return nil, err
		}
		whole, ok := scalarText(value)
		if !ok || separator == "" {
			return nil, fmt.Errorf("%s: want a separator and a string", path)
		}
		parts := []any{}
		for part := range strings.SplitSeq(whole, separator) {
			parts = append(parts, part)
		}
		return parts, nil
	case "Fn::Select":
		index, value, err := e.stringAndValue(path, argument)
		if err != nil {
			return nil, err
		}
		elements, ok := value.([]any)
		i, notNumber := strconv.Atoi(index)
		if !ok || notNumber != nil || i < 0 || i >= len(elements) {
			return nil, fmt.Errorf("%s: the list has no element %s", path, index)
		}
		return elements[i], nil
	default:
		return nil, fmt.Errorf("%s: this intrinsic function is not supported", path)
	}
}

// list returns the elements of argument, which must be a list of the given length.
func list(path string, argument any, length int) ([]any, error) {
	arguments, ok := argument.([]any)
	if !ok || len(arguments) != length {
		return nil, fmt.Errorf("%s: want a list of %d", path, length)
	}
	return arguments, nil
}

// stringAndValue evaluates the arguments of the functions that take a string and another value.
func (e *evaluator) stringAndValue(path string, argument any) (string, any, error) {
	arguments, err := list(path, argument, 2)
	if err != nil {
		return "", nil, err
	}
	first, err := e.value(join(path, "0"), arguments[0])
	if err != nil {
		return "", nil, err
	}
	text, ok := scalarText(first)
	if !ok {
		return "", nil, fmt.Errorf("%s.0: want a string", path)
	}
	second, err := e.value(join(path, "1"), arguments[1])
	return text, second, err
}

func stringList(path string, value any) ([]string, error) {
	elements, ok := value.([]any)
	if !ok {
		return nil, fmt.Errorf("%s: want a list of strings", path)
	}
	result := make([]string, len(elements))
	for i, element := range elements {
		if result[i], ok = scalarText(element); !ok {
			return nil, fmt.Errorf("%s.1.%d: want a string", path, i)
		}
	}
	return result, nil
}

func (e *evaluator) ref(path, id string) (any, error) {
	if value, ok := e.parameters[id]; ok {
		return value, nil
	}
	if value, ok := e.pseudo[id]; ok {
		return value, nil
	}
	return e.resolve(path, id, func() (any, error) { return e.physical.ref(e, id) })
}

func (e *evaluator) getAtt(path string, argument any) (any, error) {
	arguments, err := list(path, argument, 2)
	if err != nil {
		return nil, err
	}
	id, isName := arguments[0].(string)
	attribute, err := e.value(join(path, "1"), arguments[1])
	name, isText := attribute.(string)
	if err != nil || !isName || !isText {
		return nil, errors.Join(fmt.Errorf("%s: want a resource and the name of an attribute", path), err)
	}
	return e.resolve(path, id, func() (any, error) { return e.physical.attribute(e, id, name) })
}

// resolve returns the result of get for a resource. It returns an error if the resource does not exist under the
// conditions or refers to itself.
func (e *evaluator) resolve(path, id string, get func() (any, error)) (any, error) {
	if e.resource(id) == nil {
		return nil, fmt.Errorf("%s: there is no parameter or resource %s", path, id)
	}
	exists, err := e.exists(id)
	if err != nil {
		return nil, err
	}
	if !exists {
		return nil, fmt.Errorf("%s: the resource %s does not exist with these parameters", path, id)
	}
	var value any
	err = e.detectCycle(path, "Resources."+id, func() error {
		value, err = get()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return value, nil
}

// detectCycle calls evaluate for the resource or condition at target. It returns an error if target is already in
// evaluation.
func (e *evaluator) detectCycle(path, target string, evaluate func() error) error {
	if slices.Contains(e.evaluating, target) {
		return fmt.Errorf("%s: %s depends on itself", path, target)
	}
	e.evaluating = append(e.evaluating, target)
	defer func() { e.evaluating = e.evaluating[:len(e.evaluating)-1] }()
	return evaluate()
}

var variable = regexp.MustCompile(`\$\{(!?)([^}]*)\}`)

func (e *evaluator) sub(path string, argument any) (any, error) {
	text, ok := argument.(string)
	own := object{}
	if !ok {
		arguments, err := list(path, argument, 2)
		if err != nil {
			return nil, err
		}
		var isMap bool
		text, ok = arguments[0].(string)
		if own, isMap = arguments[1].(object); !ok || !isMap {
			return nil, fmt.Errorf("%s: want a string, or a string and a mapping of variables", path)
		}
	}
	var faults []error
	result := variable.ReplaceAllStringFunc(text, func(match string) string {
		parts := variable.FindStringSubmatch(match)
		if parts[1] == "!" {
			return "${" + parts[2] + "}"
		}
		value, err := e.variable(path, parts[2], own)
		if err != nil {
			faults = append(faults, err)
			return ""
		}
		text, ok := scalarText(value)
		if !ok {
			faults = append(faults, fmt.Errorf("%s: ${%s} is not a string", path, parts[2]))
		}
		return text
	})
	return result, errors.Join(faults...)
}

func (e *evaluator) variable(path, name string, own object) (any, error) {
	if value, ok := own[name]; ok {
		return e.value(join(path, "1."+name), value)
	}
	if id, attribute, ok := strings.Cut(name, "."); ok {
		return e.getAtt(path, []any{id, attribute})
	}
	return e.ref(path, name)
}

func (e *evaluator) findInMap(path string, argument any) (any, error) {
	arguments, err := list(path, argument, 3)
	if err != nil {
		return nil, err
	}
	var found any = member(e.document, "Mappings")
	for i, key := range arguments {
		value, err := e.value(join(path, strconv.Itoa(i)), key)
		if err != nil {
			return nil, err
		}
		name, _ := scalarText(value)
		mapping, _ := found.(object) // a nil map has no entries
		if found = mapping[name]; found == nil {
			return nil, fmt.Errorf("%s: Mappings has no entry %q", path, name)
		}
	}
	return found, nil
}

// condition evaluates a condition: the name of one, or a condition function.
func (e *evaluator) condition(path string, expression any) (bool, error) {
	o, _ := expression.(object) // nil is rejected below
	if len(o) != 1 {
		return false, fmt.Errorf("%s: want a condition", path)
	}
	for name, argument := range o {
		path := join(path, name)
		switch name {
		case "Condition":
			return e.namedCondition(path, argument)
		case "Fn::Equals":
			arguments, err := list(path, argument, 2)
			if err != nil {
				return false, err
			}
			var sides [2]string
			for i := range sides {
				value, err := e.value(join(path, strconv.Itoa(i)), arguments[i])
				if err != nil {
					return false, err
				}
				var ok bool
				if sides[i], ok = scalarText(value); !ok {
					return false, fmt.Errorf("%s.%d: want a string", path, i)
				}
			}
			return sides[0] == sides[1], nil
		case "Fn::Not":
			arguments, err := list(path, argument, 1)
			if err != nil {
				return false, err
			}
			holds, err := e.condition(join(path, "0"), arguments[0])
			return !holds, err
		case "Fn::And", "Fn::Or":
			arguments, _ := argument.([]any) // nil is rejected below
			if len(arguments) < 2 || len(arguments) > 10 {
				return false, fmt.Errorf("%s: want a list of 2 to 10 conditions", path)
			}
			result := name == "Fn::And"
			for i, a := range arguments {
				holds, err := e.condition(join(path, strconv.Itoa(i)), a)
				if err != nil {
					return false, err
				}
				if name == "Fn::And" {
					result = result && holds
				} else {
					result = result || holds
				}
			}
			return result, nil
		}
	}
	return false, fmt.Errorf("%s: want a condition", path)
}

func (e *evaluator) namedCondition(path string, argument any) (bool, error) {
	name, _ := argument.(string) // "" is rejected below
	expression, ok := member(e.document, "Conditions")[name]
	if !ok {
		return false, fmt.Errorf("%s: there is no condition %v", path, argument)
	}
	var holds bool
	err := e.detectCycle(path, "Conditions."+name, func() (err error) {
		holds, err = e.condition("Conditions."+name, expression)
		return err
	})
	return holds, err
}

// digestLength is the number of characters of a digest.
const digestLength = 10

// digest returns a short hexadecimal digest of the evaluated value.
func (e *evaluator) digest(path string, value any) (string, error) {
	value, err := e.value(path, value)
	if err != nil {
		return "", err
	}
	encoded, err := encodeJSON(value)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(encoded)
	return hex.EncodeToString(sum[:digestLength/2]), nil
}

// rename changes the id of a resource and all references to it.
func (e *evaluator) rename(from, to string) {
	if from == to {
		return
	}
	resources := member(e.document, "Resources")
	resources[to] = resources[from]
	delete(resources, from)
	for _, resource := range resources {
		r, _ := resource.(object) // a nil map has no dependencies
		switch dependencies := r["DependsOn"].(type) {
		case string:
			if dependencies == from {
				r["DependsOn"] = to
			}
		case []any:
			replaceElement(dependencies, from, to)
		}
	}
	substitute := strings.NewReplacer("${"+from+"}", "${"+to+"}", "${"+from+".", "${"+to+".")
	renameReferences(e.document, from, to, substitute)
}

func renameReferences(value any, from, to string, substitute *strings.Replacer) {
	switch v := value.(type) {
	case object:
		if v["Ref"] == from {
			v["Ref"] = to
		}
		if arguments, ok := v["Fn::GetAtt"].([]any); ok && len(arguments) > 0 {
			replaceElement(arguments[:1], from, to)
		}
		switch argument := v["Fn::Sub"].(type) {
		case string:
			v["Fn::Sub"] = substitute.Replace(argument)
		case []any:
			for i, element := range argument {
				if text, ok := element.(string); ok {
					argument[i] = substitute.Replace(text)
				}
			}
		}
		for _, element := range v {
			renameReferences(element, from, to, substitute)
		}
	case []any:
		for _, element := range v {
			renameReferences(element, from, to, substitute)
		}
	}
}

func replaceElement(elements []any, from, to string) {
	for i := range elements {
		if elements[i] == from {
			elements[i] = to
		}
	}
}
