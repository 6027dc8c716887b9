package cfn

import (
	"maps"
	"slices"
	"strings"
)

// Dependencies returns, for each resource, the logical ids of the resources that it refers to in any branch of a
// condition. CloudFormation creates them first.
func Dependencies(document Object) map[string][]string {
	resources := Mapping(document, "Resources")
	dependencies := map[string][]string{}
	for id, resource := range resources {
		found := map[string]bool{}
		add := func(_, name string) {
			name, _, _ = strings.Cut(name, ".")
			if _, ok := resources[name]; ok && name != id {
				found[name] = true
			}
		}
		References("", resource, add)
		for _, name := range DependsOn(resource) {
			add("", name)
		}
		dependencies[id] = slices.Sorted(maps.Keys(found))
	}
	return dependencies
}

// DependsOn returns the logical ids in the attribute DependsOn of a resource.
func DependsOn(resource any) []string {
	var ids []string
	switch v := At(resource, "DependsOn").(type) {
	case string:
		ids = append(ids, v)
	case []any:
		for _, id := range v {
			ids = append(ids, Text(id))
		}
	}
	return ids
}

// References calls found for each name in Ref, Fn::GetAtt (such as Table.Arn) and Fn::Sub of a value, in any branch of
// a condition, with the path of the function. The name is "" if the argument cannot have one.
func References(path string, value any, found func(path, name string)) {
	Walk(path, value, func(path string, o Object) {
		if argument, ok := o["Ref"]; ok {
			found(path+".Ref", Text(argument))
		}
		if argument, ok := o["Fn::GetAtt"]; ok {
			name, attribute := getAtt(argument)
			if isLeaf(attribute) { // not a function that returns its name
				name += "." + Text(attribute)
			}
			found(path+".Fn::GetAtt", name)
		}
		if argument, ok := o["Fn::Sub"]; ok {
			str, own, ok := subArguments(argument)
			if !ok {
				found(path+".Fn::Sub", "")
			}
			for _, match := range variable.FindAllStringSubmatch(str, -1) {
				if _, isOwn := own[match[2]]; !isOwn && match[1] == "" { // not ${!Literal}
					found(path+".Fn::Sub", match[2])
				}
			}
		}
	})
}

// Rename changes the logical id of a resource and all references to it.
func Rename(document Object, from, to string) {
	if from == to {
		return
	}
	resources := Mapping(document, "Resources")
	resources[to] = resources[from]
	delete(resources, from)
	for _, resource := range resources {
		r, _ := resource.(Object) // a nil map has no dependencies
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
	renameReferences(document, from, to, substitute)
}

func renameReferences(value any, from, to string, substitute *strings.Replacer) {
	switch v := value.(type) {
	case Object:
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
				if str, ok := element.(string); ok {
					argument[i] = substitute.Replace(str)
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
