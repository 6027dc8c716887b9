package rules

import (
	"regexp"
	"slices"
	"strings"
)

const (
	functionType = "AWS::Lambda::Function"
	versionType  = "AWS::Lambda::Version"
	aliasType    = "AWS::Lambda::Alias"
	logGroupType = "AWS::Logs::LogGroup"
	alarmType    = "AWS::CloudWatch::Alarm"
	groupType    = "AWS::CodeDeploy::DeploymentGroup"
)

// function returns the function that a value names, by its name or its ARN.
func (s *stack) function(value any) (resource, bool) {
	return s.referred(value, functionType, "", "Arn")
}

func functionTracing(s *stack, report report) {
	for _, f := range s.all(functionType) {
		if at(f.properties, "TracingConfig", "Mode") != "Active" {
			report(f.path("TracingConfig", "Mode"), "X-Ray would not see its calls: set it to Active")
		}
	}
}

// logGroup returns the log group that a function writes to.
func (s *stack) logGroup(function resource) (resource, bool) {
	return s.referred(at(function.properties, "LoggingConfig", "LogGroup"), logGroupType)
}

// functionLog sees that each function has a log group to itself: one that Lambda makes keeps its lines for ever.
func functionLog(s *stack, report report) {
	owners := map[string]string{}
	for _, f := range s.all(functionType) {
		path := f.path("LoggingConfig")
		group, ok := s.logGroup(f)
		switch owner := owners[group.id]; {
		case !ok:
			report(path, "it has no log group of this template: set LogGroup to the Ref of one")
		case owner != "":
			report(path, "%s is the log group of %s: give it its own", group.id, owner)
		default:
			owners[group.id] = f.id
		}
		if at(f.properties, "LoggingConfig", "LogFormat") != "JSON" {
			report(path, "queries need JSON: set LogFormat to it")
		}
	}
}

// versions returns the versions of a function.
func (s *stack) versions(function resource) []resource {
	return slices.DeleteFunc(s.all(versionType), func(version resource) bool {
		of, ok := s.function(version.properties["FunctionName"])
		return !ok || of.id != function.id
	})
}

func functionVersion(s *stack, report report) {
	for _, f := range s.all(functionType) {
		if n := len(s.versions(f)); n != 1 {
			report("Resources."+f.id, "it has %d versions in the template: there must be one AWS::Lambda::Version of it", n)
		}
	}
}

// functionAlias sees that each function is called by an alias that leads to its version, so that a release can shift.
func functionAlias(s *stack, report report) {
	aliased := map[string]bool{}
	for _, alias := range s.all(aliasType) {
		function, ok := s.function(alias.properties["FunctionName"])
		if !ok {
			report(alias.path("FunctionName"), "it must be the Ref of a function")
			continue
		}
		aliased[function.id] = true
		version, ok := s.referred(alias.properties["FunctionVersion"], versionType, "Version")
		if !ok || !slices.ContainsFunc(s.versions(function), func(v resource) bool { return v.id == version.id }) {
			report(alias.path("FunctionVersion"), "it is %q; it must be the attribute Version of the version of %s",
				text(alias.properties["FunctionVersion"]), function.id)
		}
	}
	for _, f := range s.all(functionType) {
		if !aliased[f.id] {
			report("Resources."+f.id, "no alias leads to it: add an AWS::Lambda::Alias")
		}
	}
}

// gradualRelease sees that a release that shifts gradually goes back when an alarm of the function rings.
func gradualRelease(s *stack, report report) {
	switch s.parameters["DeploymentPreference"] {
	case "", "AllAtOnce":
		return
	}
	for _, alias := range s.all(aliasType) {
		path := "Resources." + alias.id + ".UpdatePolicy.CodeDeployLambdaAliasUpdate"
		update := at(alias.attributes, "UpdatePolicy", "CodeDeployLambdaAliasUpdate")
		group, ok := s.referred(at(update, "DeploymentGroupName"), groupType)
		_, hasApplication := s.referred(at(update, "ApplicationName"), "AWS::CodeDeploy::Application")
		if !ok || !hasApplication {
			report(path, "its version would change at once: name an application and a deployment group of this template")
			continue
		}
		events := list(at(group.properties, "AutoRollbackConfiguration", "Events"))
		if text(at(group.properties, "AutoRollbackConfiguration", "Enabled")) != "true" ||
			!slices.Contains(events, any("DEPLOYMENT_STOP_ON_ALARM")) || !slices.Contains(events, any("DEPLOYMENT_FAILURE")) {
			report(group.path("AutoRollbackConfiguration"), "enable it for DEPLOYMENT_FAILURE and DEPLOYMENT_STOP_ON_ALARM")
		}
		function, _ := s.function(alias.properties["FunctionName"]) // function-alias
		if text(at(group.properties, "AlarmConfiguration", "Enabled")) != "true" || !s.watches(group, function) {
			report(group.path("AlarmConfiguration"), "nothing would stop a bad release: enable it and name an alarm of %s", function.id)
		}
	}
}

// watches tells whether one of the alarms of a deployment group is about a function.
func (s *stack) watches(group, function resource) bool {
	for _, named := range list(at(group.properties, "AlarmConfiguration", "Alarms")) {
		for _, alarm := range s.all(alarmType) {
			if name := text(at(named, "Name")); name != "${"+alarm.id+"}" && name != text(alarm.properties["AlarmName"]) {
				continue
			}
			for _, m := range metrics(alarm) {
				if of, ok := s.function(m.dimensions["FunctionName"]); ok && of.id == function.id {
					return true
				}
			}
		}
	}
	return false
}

// alarm sees that what fails rings: each resource that serves has an alarm on each metric that tells of its failures.
func alarm(s *stack, report report) {
	if s.parameters["Monitoring"] != "true" {
		return
	}
	watched := map[string]bool{} // such as GetFunction Errors
	for _, a := range s.all(alarmType) {
		for _, m := range metrics(a) {
			if r, ok := s.subject(m); ok {
				watched[r.id+" "+m.name] = true
			}
		}
	}
	for _, kind := range []string{functionType, restAPIType, tableType} {
		for _, r := range s.all(kind) {
			for _, alternatives := range telling(kind) {
				if !slices.ContainsFunc(alternatives, func(name string) bool { return watched[r.id+" "+name] }) {
					report("Resources."+r.id, "no alarm is on its metric %s: add one", strings.Join(alternatives, " or "))
				}
			}
		}
	}
}

// telling returns the metrics that tell of a resource's failures, each with those that tell the same.
func telling(kind string) [][]string {
	switch kind {
	case functionType:
		return [][]string{{"Errors"}, {"Throttles"}, {"Duration"}}
	case restAPIType:
		return [][]string{{"5XXError"}, {"Latency"}}
	default:
		return [][]string{{"ReadThrottleEvents", "ThrottledRequests"}, {"WriteThrottleEvents", "ThrottledRequests"}, {"SystemErrors"}}
	}
}

// alarmMetric sees that each alarm is on a metric that there is: one on any other stays silent for ever.
func alarmMetric(s *stack, report report) {
	for _, a := range s.all(alarmType) {
		found := metrics(a)
		if len(found) == 0 {
			report("Resources."+a.id, "it watches no metric")
		}
		for _, m := range found {
			s.checkMetric(m, report)
		}
	}
}

// alarmThreshold sees that a function's alarm on Duration can ring: none lasts longer than its Timeout.
func alarmThreshold(s *stack, report report) {
	for _, a := range s.all(alarmType) {
		for _, m := range metrics(a) {
			f, ok := s.subject(m)
			threshold, given := number(a.properties["Threshold"])
			if timeout, _ := number(f.properties["Timeout"]); ok && given && m.name == "Duration" && threshold >= timeout*1000 {
				report(a.path("Threshold"), "it is %v ms and can never be reached: the Timeout of %s is %v s", threshold, f.id, timeout)
			}
		}
	}
}

var alarmTerm = regexp.MustCompile(`^ALARM\("([^"]+)"\)$`)

// alarmComposite sees that all alarms are under the composite one, which is where people are told: any of them sets
// it off.
func alarmComposite(s *stack, report report) {
	var told []string // names, ARNs and references
	for _, composite := range s.all("AWS::CloudWatch::CompositeAlarm") {
		for term := range strings.SplitSeq(text(composite.properties["AlarmRule"]), " OR ") {
			if match := alarmTerm.FindStringSubmatch(term); match != nil {
				told = append(told, match[1])
			} else {
				report(composite.path("AlarmRule"), `%q is in it; join terms such as ALARM("name") by OR, and nothing else`, term)
			}
		}
	}
	for _, a := range s.all(alarmType) {
		if !slices.ContainsFunc([]string{"${" + a.id + "}", "${" + a.id + ".Arn}", text(a.properties["AlarmName"])}, func(name string) bool {
			return slices.Contains(told, name)
		}) {
			report("Resources."+a.id, "nobody is told of it: name it in the AlarmRule of a composite alarm")
		}
	}
}
