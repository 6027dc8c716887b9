package cfn

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// ExpandLoops replaces the loops of a template (Fn::ForEach) by what they generate, as the transform
// AWS::LanguageExtensions does, so that CloudFormation needs no transform. A collection is a list of strings or a
// Fn::FindInMap: the values of parameters are not known yet. In addition to AWS's syntax, a loop may be an element of a
// list. Its third argument is then a list, too, whose elements it generates.
//
// Fn::FindInMap in a loop becomes its value, or its DefaultValue, if its keys are known. Mappings that only such calls
// use are removed. A value in them that no call uses is an error, because it is misspelled or not listed.
// The error is an [EvaluationError].
func ExpandLoops(document Object) error {
	x := expander{mappings: Mapping(document, "Mappings"), found: map[string]bool{}, used: map[string]bool{}}
	for _, section := range []string{"Parameters", "Conditions", "Resources", "Outputs"} {
		if content, ok := document[section]; ok {
			expanded, err := x.value(section, content, nil)
			if err != nil {
				return err
			}
			document[section] = expanded
		}
	}
	for _, name := range slices.Sorted(maps.Keys(x.mappings)) {
		if x.used[name] || x.used[""] || !x.found[name] {
			continue
		}
		if err := x.checkUnused(name); err != nil {
			return err
		}
		delete(x.mappings, name)
	}
	if x.mappings != nil && len(x.mappings) == 0 {
		delete(document, "Mappings")
	}
	return nil
}

type expander struct {
	mappings Object
	found    map[string]bool // mappings, entries and values of replaced calls of Fn::FindInMap, such as Functions.Get.Name
	used     map[string]bool // mappings of remaining calls; "" if not known yet
}

// checkUnused returns an error for an entry or value of a mapping that no call uses.
func (x *expander) checkUnused(mapping string) error {
	entries := Mapping(x.mappings, mapping)
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		entry := mapping + "." + name
		if !x.found[entry] {
			return EvaluationError{"Mappings." + entry, "no loop uses this entry: list it, or remove it"}
		}
		for _, key := range slices.Sorted(maps.Keys(Mapping(entries, name))) {
			if value := entry + "." + key; !x.found[value] {
				return EvaluationError{"Mappings." + value, "no loop uses this value: correct its name, or remove it"}
			}
		}
	}
	return nil
}

// iteration has the values of the identifiers of the enclosing loops.
type iteration map[string]string

// substitute replaces ${Identifier} by its value, and &{Identifier} by the letters and digits of its value.
func (it iteration) substitute(text string) string {
	for identifier, value := range it {
		text = strings.ReplaceAll(text, "${"+identifier+"}", value)
		text = strings.ReplaceAll(text, "&{"+identifier+"}", strings.Map(alphanumeric, value))
	}
	return text
}

// String returns the values in parentheses, such as " (Id=Get)", or "".
func (it iteration) String() string {
	var values []string
	for _, identifier := range slices.Sorted(maps.Keys(it)) {
		values = append(values, identifier+"="+it[identifier])
	}
	if len(values) == 0 {
		return ""
	}
	return " (" + strings.Join(values, ", ") + ")"
}

func alphanumeric(r rune) rune {
	if '0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' {
		return r
	}
	return -1
}

func (x *expander) value(path string, value any, it iteration) (any, error) {
	switch v := value.(type) {
	case string:
		return it.substitute(v), nil
	case []any:
		return x.list(path, v, it)
	case Object:
		expanded, err := x.object(path, v, it)
		if err != nil || len(v) != 1 {
			return expanded, err
		}
		for name, argument := range expanded {
			switch name {
			case "Ref":
				if value, ok := it[Text(argument)]; ok {
					return value, nil
				}
			case "Fn::FindInMap":
				return x.findInMap(path+"."+name, expanded, it)
			case "Fn::Sub":
				return foldSub(v[name], argument), nil
			}
		}
		return expanded, nil
	}
	return value, nil
}

func (x *expander) list(path string, list []any, it iteration) ([]any, error) {
	expanded := make([]any, 0, len(list))
	for i, element := range list {
		path := path + "." + strconv.Itoa(i)
		if name := elementLoop(element); name != "" {
			err := x.loop(path+"."+name, At(element, name), it, func(path string, output any, it iteration) error {
				elements, _ := output.([]any) // elementLoop
				generated, err := x.list(path, elements, it)
				expanded = append(expanded, generated...)
				return err
			})
			if err != nil {
				return nil, err
			}
			continue
		}
		value, err := x.value(path, element, it)
		if err != nil {
			return nil, err
		}
		expanded = append(expanded, value)
	}
	return expanded, nil
}

// elementLoop returns the name of a loop that generates elements of a list, or "".
func elementLoop(element any) string {
	o, _ := element.(Object) // a nil map has no keys
	for name, argument := range o {
		if arguments, _ := argument.([]any); len(o) == 1 && isLoop(name) && len(arguments) == 3 {
			if _, ok := arguments[2].([]any); ok {
				return name
			}
		}
	}
	return ""
}

func isLoop(key string) bool { return strings.HasPrefix(key, "Fn::ForEach::") }

func (x *expander) object(path string, o Object, it iteration) (Object, error) {
	expanded := Object{}
	add := func(path, key string, value any) error {
		if _, ok := expanded[key]; ok {
			return EvaluationError{path, "duplicate key " + key}
		}
		expanded[key] = value
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(o)) {
		path := path + "." + key
		if !isLoop(key) {
			value, err := x.value(path, o[key], it)
			if err == nil {
				err = add(path, it.substitute(key), value)
			}
			if err != nil {
				return nil, err
			}
			continue
		}
		err := x.loop(path, o[key], it, func(path string, output any, it iteration) error {
			entries, ok := output.(Object)
			if !ok {
				return EvaluationError{path, "want a mapping"}
			}
			generated, err := x.object(path, entries, it)
			for _, key := range slices.Sorted(maps.Keys(generated)) {
				if err == nil {
					err = add(path, key, generated[key])
				}
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return expanded, nil
}

// loop calls generate with the output of a loop for each string of its collection.
func (x *expander) loop(
	path string, argument any, outer iteration, generate func(path string, output any, it iteration) error,
) error {
	arguments, _ := argument.([]any) // rejected below
	if len(arguments) != 3 {
		return EvaluationError{path, "want a list of 3: an identifier, a collection and what to generate"}
	}
	identifier, _ := arguments[0].(string) // rejected below
	if _, ok := outer[identifier]; ok || identifier == "" {
		return EvaluationError{path + ".0", "want an identifier that no enclosing loop has"}
	}
	if outer == nil {
		outer = iteration{} // findInMap replaces calls in loops only
	}
	value, err := x.value(path+".1", arguments[1], outer)
	if err != nil {
		return err
	}
	collection, ok := value.([]any)
	if !ok {
		return EvaluationError{path + ".1", "want a list of strings"}
	}
	for i, element := range collection {
		text, ok := element.(string)
		if !ok {
			return EvaluationError{path + ".1." + strconv.Itoa(i), "want a string"}
		}
		it := iteration{identifier: text}
		maps.Copy(it, outer)
		if err := generate(path+".2", arguments[2], it); err != nil {
			return err
		}
	}
	return nil
}

// findInMap returns the value of a call of Fn::FindInMap in a loop, or the call if one of its keys is not known yet.
func (x *expander) findInMap(path string, call Object, it iteration) (any, error) {
	arguments, _ := call["Fn::FindInMap"].([]any) // rejected below
	if len(arguments) != 3 && len(arguments) != 4 {
		return nil, EvaluationError{path, "want a list of 3, or of 4 with a DefaultValue"}
	}
	var keys [3]string
	for i := range keys {
		if keys[i] = Text(arguments[i]); keys[i] == "" || it == nil {
			x.used[keys[0]] = true
			return call, nil
		}
	}
	name := strings.Join(keys[:], ".")
	x.found[keys[0]], x.found[keys[0]+"."+keys[1]], x.found[name] = true, true, true
	if value := At(x.mappings, keys[:]...); value != nil {
		return clone(value), nil
	}
	if value, ok := Mapping(arguments[len(arguments)-1])["DefaultValue"]; ok {
		return value, nil
	}
	return nil, EvaluationError{path, x.missing(keys) + it.String()}
}

// missing returns the message for a value that Mappings lacks.
func (x *expander) missing(keys [3]string) string {
	place, known := "Mappings", x.mappings
	for _, key := range keys {
		if known[key] == nil {
			names := strings.Join(slices.Sorted(maps.Keys(known)), ", ")
			return fmt.Sprintf("%s has no %s: add it, or use one of %s", place, key, cmp.Or(names, "none"))
		}
		place, known = place+"."+key, Mapping(known, key)
	}
	return place + " has no value"
}

// foldSub returns a call of Fn::Sub with the variables in its text that the loops have replaced by strings. Without
// other variables, it is a string.
func foldSub(original, argument any) any {
	before, variables, _ := subArguments(original)
	text, own, _ := subArguments(argument)
	for name, variable := range variables {
		if value, ok := own[name].(string); ok && !isLeaf(variable) {
			text = strings.ReplaceAll(text, "${"+name+"}", value)
			delete(own, name)
		}
	}
	switch {
	case text != before && !strings.Contains(text, "${"):
		return text
	case len(own) > 0:
		argument = []any{text, own}
	case text != before:
		argument = text
	}
	return Object{"Fn::Sub": argument}
}
