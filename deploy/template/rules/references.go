package rules

import (
	"slices"
	"strings"
)

// references sees that all names in the template, on branches that are not taken too, are those of a parameter, a
// resource or a condition, and that what exists refers to what exists.
func references(s *stack, report report) {
	for path, fault := range s.faults {
		report(path, "%s", fault)
	}
	for _, section := range []string{"Resources", "Outputs"} {
		for _, id := range sortedKeys(mapping(s.document[section])) {
			path, o := section+"."+id, mapping(mapping(s.document[section])[id])
			s.conditionName(path+".Condition", o["Condition"], report)
			for _, dependency := range list(o["DependsOn"]) {
				if _, ok := mapping(s.document["Resources"])[text(dependency)]; !ok {
					report(path+".DependsOn", "there is no resource %v", dependency)
				}
			}
			s.names(path, o, report)
		}
	}
	for _, name := range sortedKeys(mapping(s.document["Conditions"])) {
		expression := mapping(s.document["Conditions"])[name]
		walk("Conditions."+name, expression, func(path string, o object) {
			s.conditionName(path+".Condition", o["Condition"], report)
		})
		s.names("Conditions."+name, expression, report)
	}
}

// names sees to the arguments of intrinsic functions in a value.
func (s *stack) names(path string, value any, report report) {
	walk(path, value, func(path string, o object) {
		if argument, ok := o["Ref"]; ok {
			s.name(path+".Ref", text(argument), report)
		}
		if argument, ok := o["Fn::GetAtt"]; ok {
			if name := attribute(argument); strings.Contains(name, ".") {
				s.name(path+".Fn::GetAtt", name, report)
			} else {
				report(path+".Fn::GetAtt", "it names no attribute of %s", name)
			}
		}
		if argument, ok := o["Fn::Sub"]; ok {
			s.variables(path+".Fn::Sub", list(argument), report)
		}
		if argument, ok := o["Fn::If"]; ok {
			if arguments := list(argument); len(arguments) == 3 {
				s.conditionName(path+".Fn::If.0", arguments[0], report)
			} else {
				report(path+".Fn::If", "it takes a condition and two values")
			}
		}
	})
}

func (s *stack) variables(path string, arguments []any, report report) {
	if len(arguments) == 0 {
		report(path, "it takes a text")
		return
	}
	var own object
	if len(arguments) > 1 {
		own = mapping(arguments[1])
	}
	for _, match := range variable.FindAllStringSubmatch(text(arguments[0]), -1) {
		if _, ok := own[match[1]]; !ok {
			s.name(path, match[1], report)
		}
	}
}

// name sees that a name is that of a parameter or a resource, or with a dot of an attribute of a resource.
func (s *stack) name(path, name string, report report) {
	id, _, isAttribute := strings.Cut(name, ".")
	if _, ok := mapping(s.document["Resources"])[id]; ok {
		return
	}
	if _, ok := s.parameters[name]; ok || !isAttribute && slices.Contains(pseudoParameters(), name) {
		return
	}
	report(path, "there is no parameter or resource %s", id)
}

func (s *stack) conditionName(path string, value any, report report) {
	name, ok := value.(string)
	if _, known := mapping(s.document["Conditions"])[name]; ok && !known {
		report(path, "there is no condition %s", name)
	}
}

// pseudoParameters are CloudFormation's own ("Pseudo parameters reference").
func pseudoParameters() []string {
	return []string{
		"AWS::AccountId", "AWS::NoValue", "AWS::NotificationARNs", "AWS::Partition", "AWS::Region", "AWS::StackId",
		"AWS::StackName", "AWS::URLSuffix",
	}
}
