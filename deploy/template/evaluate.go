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

// evaluator works out values of a template by CloudFormation's rules ("Intrinsic function reference").
type evaluator struct {
	document   object
	parameters map[string]any
	pseudo     map[string]any // the values of pseudo parameters, by names such as AWS::Region
	physical   physical

	evaluating []string // what is being worked out, to tell what refers to itself
}

// physical tells what Ref and Fn::GetAtt give for a resource.
type physical interface {
	ref(e *evaluator, id string) (any, error)
	attribute(e *evaluator, id, name string) (any, error)
}

// absent is the value of AWS::NoValue: it takes away what it is the value of.
type absent struct{}

// symbols stand for what only CloudFormation knows: each resource and attribute is its own reference, with the names that
// it is made anew for when they change.
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

// symbolic returns an evaluator that knows the parameters, and leaves open what depends on the place of the stack.
func (r *Rendered) symbolic() *evaluator {
	pseudo := map[string]any{"AWS::NoValue": absent{}}
	for _, name := range []string{
		"AWS::Region", "AWS::AccountId", "AWS::Partition", "AWS::URLSuffix", "AWS::StackName", "AWS::StackId",
	} {
		pseudo[name] = "${" + name + "}"
	}
	return &evaluator{document: r.document, parameters: r.parameters, pseudo: pseudo, physical: symbols{}}
}

func (e *evaluator) resource(id string) object { return member(member(e.document, "Resources"), id) }

// written returns a resource's properties as they are written, to be completed.
func (e *evaluator) written(id string) object {
	properties := member(e.resource(id), "Properties")
	if properties == nil {
		properties = object{}
		e.resource(id)["Properties"] = properties
	}
	return properties
}

// properties returns the value of a resource's properties.
func (e *evaluator) properties(id string) (object, error) {
	value, err := e.value("Resources."+id+".Properties", e.resource(id)["Properties"])
	if err != nil {
		return nil, err
	}
	properties, _ := value.(object) // none is none
	return properties, nil
}

// property returns the value of one property, absent{} where it has none.
func (e *evaluator) property(id, name string) (any, error) {
	value, ok := member(e.resource(id), "Properties")[name]
	if !ok {
		return absent{}, nil
	}
	return e.value("Resources."+id+".Properties."+name, value)
}

// all returns the ids of the resources of a type that the parameters do not exclude.
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
		return "", fmt.Errorf("%s: Resources: there must be one %s, not %d", templateFile, resourceType, len(ids))
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

// value works out a value and all that it contains.
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
			if isScalar(element) { // spared the path, which most values are never asked for
				result[key] = element
				continue
			}
			element, err := e.value(join(path, key), element)
			if err != nil {
				return nil, err
			}
			if element != (absent{}) {
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
			if element != (absent{}) {
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

// intrinsic returns the name of the function that an object calls.
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
			return nil, fmt.Errorf("%s: it takes a name", path)
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
		separator, elements, err := e.textAndValue(path, argument)
		if err != nil {
			return nil, err
		}
		parts, err := texts(path, elements)
		return strings.Join(parts, separator), err
	case "Fn::Split":
		separator, value, err := e.textAndValue(path, argument)
		if err != nil {
			return nil, err
		}
		whole, ok := scalarText(value)
		if !ok || separator == "" {
			return nil, fmt.Errorf("%s: it takes a separator and a text", path)
		}
		parts := []any{}
		for part := range strings.SplitSeq(whole, separator) {
			parts = append(parts, part)
		}
		return parts, nil
	case "Fn::Select":
		index, value, err := e.textAndValue(path, argument)
		if err != nil {
			return nil, err
		}
		elements, ok := value.([]any)
		i, notNumber := strconv.Atoi(index)
		if !ok || notNumber != nil || i < 0 || i >= len(elements) {
			return nil, fmt.Errorf("%s: there is no element %s to select", path, index)
		}
		return elements[i], nil
	default:
		return nil, fmt.Errorf("%s: this intrinsic function cannot be worked out here", path)
	}
}

// list checks that an argument is a list of so many elements.
func list(path string, argument any, length int) ([]any, error) {
	arguments, ok := argument.([]any)
	if !ok || len(arguments) != length {
		return nil, fmt.Errorf("%s: it takes a list of %d", path, length)
	}
	return arguments, nil
}

// textAndValue works out the arguments of the functions that take a text and something else.
func (e *evaluator) textAndValue(path string, argument any) (string, any, error) {
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
		return "", nil, fmt.Errorf("%s.0: it must be a text", path)
	}
	second, err := e.value(join(path, "1"), arguments[1])
	return text, second, err
}

func texts(path string, value any) ([]string, error) {
	elements, ok := value.([]any)
	if !ok {
		return nil, fmt.Errorf("%s: it takes a list of texts", path)
	}
	result := make([]string, len(elements))
	for i, element := range elements {
		if result[i], ok = scalarText(element); !ok {
			return nil, fmt.Errorf("%s.1.%d: it must be a text", path, i)
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
	return e.of(path, id, func() (any, error) { return e.physical.ref(e, id) })
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
		return nil, errors.Join(fmt.Errorf("%s: it takes a resource and the name of an attribute", path), err)
	}
	return e.of(path, id, func() (any, error) { return e.physical.attribute(e, id, name) })
}

// of asks about a resource, which must be there and not depend on itself.
func (e *evaluator) of(path, id string, ask func() (any, error)) (any, error) {
	if e.resource(id) == nil {
		return nil, fmt.Errorf("%s: there is no parameter or resource %s", path, id)
	}
	exists, err := e.exists(id)
	if err != nil {
		return nil, err
	}
	if !exists {
		return nil, fmt.Errorf("%s: with these parameters there is no resource %s", path, id)
	}
	var value any
	err = e.once(path, "Resources."+id, func() error {
		value, err = ask()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return value, nil
}

// once works out a thing, unless that is being done already: then it depends on itself.
func (e *evaluator) once(path, thing string, do func() error) error {
	if slices.Contains(e.evaluating, thing) {
		return fmt.Errorf("%s: %s depends on itself", path, thing)
	}
	e.evaluating = append(e.evaluating, thing)
	defer func() { e.evaluating = e.evaluating[:len(e.evaluating)-1] }()
	return do()
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
			return nil, fmt.Errorf("%s: it takes a text, or a text and a mapping of variables", path)
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
			faults = append(faults, fmt.Errorf("%s: ${%s} is no text", path, parts[2]))
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
		mapping, _ := found.(object) // none has no entries
		if found = mapping[name]; found == nil {
			return nil, fmt.Errorf("%s: Mappings has no entry %q", path, name)
		}
	}
	return found, nil
}

// condition works out whether a condition holds: the name of one, or a function of conditions.
func (e *evaluator) condition(path string, expression any) (bool, error) {
	o, _ := expression.(object) // refused below
	if len(o) != 1 {
		return false, fmt.Errorf("%s: it must be a condition", path)
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
					return false, fmt.Errorf("%s.%d: it must be a text", path, i)
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
			arguments, _ := argument.([]any) // refused below
			if len(arguments) < 2 || len(arguments) > 10 {
				return false, fmt.Errorf("%s: it takes a list of 2 to 10 conditions", path)
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
	return false, fmt.Errorf("%s: it must be a condition", path)
}

func (e *evaluator) namedCondition(path string, argument any) (bool, error) {
	name, _ := argument.(string) // refused below
	expression, ok := member(e.document, "Conditions")[name]
	if !ok {
		return false, fmt.Errorf("%s: there is no condition %v", path, argument)
	}
	var holds bool
	err := e.once(path, "Conditions."+name, func() (err error) {
		holds, err = e.condition("Conditions."+name, expression)
		return err
	})
	return holds, err
}

// digestLength is how many characters a digest has.
const digestLength = 10

// digest returns a short text that changes with the value and with the parameters that it depends on.
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

// rename gives a resource another id, and all that refer to it the new one.
func (e *evaluator) rename(from, to string) {
	if from == to {
		return
	}
	resources := member(e.document, "Resources")
	resources[to] = resources[from]
	delete(resources, from)
	for _, resource := range resources {
		r, _ := resource.(object) // none has no dependencies
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
