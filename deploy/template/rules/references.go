package rules

import (
	"strings"

	"github.com/userrequestapi/userdata/deploy/cfn"
)

// references checks that each name in the template refers to a parameter, resource or condition, in all branches, and
// that existing resources refer only to existing resources.
func references(s *checkedTemplate, report report) {
	for _, fault := range s.evaluator.Faults() {
		report(fault.Path, "%s", fault.Message)
	}
	for _, section := range []string{"Resources", "Outputs"} {
		for id, o := range cfn.Mapping(s.document, section) {
			path := section + "." + id
			s.checkConditionName(path+".Condition", cfn.At(o, "Condition"), report)
			for _, dependency := range list(cfn.At(o, "DependsOn")) {
				if s.evaluator.Resource(cfn.Text(dependency)) == nil {
					report(path+".DependsOn", "there is no resource %v", dependency)
				}
			}
			s.checkNames(path, o, report)
		}
	}
	for name, expression := range cfn.Mapping(s.document, "Conditions") {
		cfn.Walk("Conditions."+name, expression, func(path string, o object) {
			s.checkConditionName(path+".Condition", o["Condition"], report)
		})
		s.checkNames("Conditions."+name, expression, report)
	}
}

// checkNames checks the names in the arguments of intrinsic functions of a value.
func (s *checkedTemplate) checkNames(path string, value any, report report) {
	cfn.References(path, value, func(path, name string) {
		switch id, attribute, ok := strings.Cut(name, "."); {
		case name == "":
			report(path, "want a string")
		case ok && attribute == "":
			report(path, "want an attribute of %s", id)
		case !s.evaluator.Defines(name):
			report(path, "there is no parameter or resource %s", id)
		}
	})
	cfn.Walk(path, value, func(path string, o object) {
		switch arguments, ok := o["Fn::If"].([]any); {
		case ok && len(arguments) == 3:
			s.checkConditionName(path+".Fn::If.0", arguments[0], report)
		case o["Fn::If"] != nil:
			report(path+".Fn::If", "want a condition and two values")
		}
	})
}

func (s *checkedTemplate) checkConditionName(path string, value any, report report) {
	name, ok := value.(string)
	if _, known := cfn.Mapping(s.document, "Conditions")[name]; ok && !known {
		report(path, "there is no condition %s", name)
	}
}
