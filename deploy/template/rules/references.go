package rules

import (
	"slices"
	"strings"
)

// references checks that each name in the template refers to a parameter, resource or condition, in all branches, and
// that existing resources refer only to existing resources.
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

// names checks the names in the arguments of intrinsic functions of a value.
func (s *stack) names(path string, value any, report report) {
	walk(path, value, func(path string, o object) {
		if argument, ok := o["Ref"]; ok {
			s.name(path+".Ref", text(argument), report)
		}
		if argument, ok := o["Fn::GetAtt"]; ok {
			if name := attribute(argument); strings.Contains(name, ".") {
				s.name(path+".Fn::GetAtt", name, report)
			} else {
				report(path+".Fn::GetAtt", "want an attribute of %s", name)
			}
		}
		if argument, ok := o["Fn::Sub"]; ok {
			s.variables(path+".Fn::Sub", list(argument), report)
		}
		if argument, ok := o["Fn::If"]; ok {
			if arguments := list(argument); len(arguments) == 3 {
				s.conditionName(path+".Fn::If.0", arguments[0], report)
			} else {
				report(path+".Fn::If", "want a condition and two values")
			}
		}
	})
}

func (s *stack) variables(path string, arguments []any, report report) {
	if len(arguments) == 0 {
		report(path, "want a string")
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

// name checks that a name is that of a parameter or resource, or Resource.Attribute.
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

// pseudoParameters returns the pseudo parameters of CloudFormation ("Pseudo parameters reference").
func pseudoParameters() []string {
	return []string{
		"AWS::AccountId", "AWS::NoValue", "AWS::NotificationARNs", "AWS::Partition", "AWS::Region", "AWS::StackId",
		"AWS::StackName", "AWS::URLSuffix",
	}
}
