package template

import (
	"maps"
	"slices"
	"strings"
)

// Resources returns the types of the resources that exist under the conditions, by logical id.
func (r *Rendered) Resources() (map[string]string, error) {
	e := r.symbolic()
	resources := map[string]string{}
	for id := range member(r.document, "Resources") {
		exists, err := e.exists(id)
		if err != nil {
			return nil, err
		}
		if exists {
			resources[id], _ = scalarText(e.resource(id)["Type"])
		}
	}
	return resources, nil
}

// Dependencies returns, for each resource, the logical ids of the resources that it refers to in any branch of a
// condition. CloudFormation creates them first.
func (r *Rendered) Dependencies() map[string][]string {
	resources := member(r.document, "Resources")
	dependencies := map[string][]string{}
	for id := range resources {
		found := map[string]bool{}
		references(resources[id], func(name string) {
			if _, ok := resources[name]; ok && name != id {
				found[name] = true
			}
		})
		dependencies[id] = slices.Sorted(maps.Keys(found))
	}
	return dependencies
}

// references calls found for each name in Ref, Fn::GetAtt, DependsOn and Fn::Sub of a value.
func references(value any, found func(name string)) {
	switch v := value.(type) {
	case object:
		for key, element := range v {
			switch key {
			case "Ref":
				each(element, found)
			case "Fn::GetAtt":
				if arguments, ok := element.([]any); ok && len(arguments) > 0 {
					each(arguments[0], found)
				}
			case "DependsOn":
				each(element, found)
			case "Fn::Sub":
				text := element
				if arguments, ok := element.([]any); ok && len(arguments) > 0 {
					text = arguments[0]
				}
				if text, ok := text.(string); ok {
					for _, match := range variable.FindAllStringSubmatch(text, -1) {
						if match[1] == "" { // not ${!Literal}
							name, _, _ := strings.Cut(match[2], ".")
							found(name)
						}
					}
				}
			}
			references(element, found)
		}
	case []any:
		for _, element := range v {
			references(element, found)
		}
	}
}

// each calls found for a name or for each name in a list.
func each(value any, found func(name string)) {
	switch v := value.(type) {
	case string:
		found(v)
	case []any:
		for _, element := range v {
			each(element, found)
		}
	}
}
