package rules

import (
	"regexp"
	"slices"
	"strings"

	"github.com/userrequestapi/userdata/deploy/cfn"
	"github.com/userrequestapi/userdata/deploy/template"
)

const (
	functionType = "AWS::Lambda::Function"
	versionType  = "AWS::Lambda::Version"
	aliasType    = "AWS::Lambda::Alias"
	logGroupType = "AWS::Logs::LogGroup"
	alarmType    = "AWS::CloudWatch::Alarm"
	groupType    = "AWS::CodeDeploy::DeploymentGroup"
)

// function returns the function that a value refers to by name or ARN.
func (s *checkedTemplate) function(value any) (resource, bool) {
	return s.referred(value, functionType, "", "Arn")
}

func functionTracing(s *checkedTemplate, report report) {
	for _, f := range s.all(functionType) {
		if cfn.At(f.properties, "TracingConfig", "Mode") != "Active" {
			report(f.path("TracingConfig", "Mode"), "its invocations are not traced: set it to Active")
		}
	}
}

// functionVariable checks that Lambda accepts the names of environment variables ("Using Lambda environment
// variables").
func functionVariable(s *checkedTemplate, report report) {
	for _, f := range s.all(functionType) {
		for name := range cfn.Mapping(f.properties, "Environment", "Variables") {
			path := f.path("Environment", "Variables", name)
			switch {
			case template.IsReservedVariable(name):
				report(path, "Lambda reserves the name: use another")
			case !variableName.MatchString(name):
				report(path, "Lambda rejects the name: begin it with a letter, and use only letters, digits and _, at least two")
			}
		}
	}
}

var variableName = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_]+$`)

// logGroup returns the log group of a function.
func (s *checkedTemplate) logGroup(function resource) (resource, bool) {
	return s.referred(cfn.At(function.properties, "LoggingConfig", "LogGroup"), logGroupType)
}

// functionLog checks that each function has its own log group. A log group that Lambda creates has no retention.
func functionLog(s *checkedTemplate, report report) {
	owners := map[string]string{}
	for _, f := range s.all(functionType) {
		path := f.path("LoggingConfig")
		group, ok := s.logGroup(f)
		switch owner := owners[group.id]; {
		case !ok:
			report(path, "no log group of this template: set LogGroup to the Ref of one")
		case owner != "":
			report(path, "%s is the log group of %s: use a separate log group", group.id, owner)
		default:
			owners[group.id] = f.id
		}
		if cfn.At(f.properties, "LoggingConfig", "LogFormat") != "JSON" {
			report(path, "queries need JSON: set LogFormat to JSON")
		}
	}
}

// role returns the role of a function.
func (s *checkedTemplate) role(function resource) (resource, bool) {
	return s.referred(function.properties["Role"], roleType, "Arn")
}

// versions returns the versions of a function.
func (s *checkedTemplate) versions(function resource) []resource {
	return slices.DeleteFunc(s.all(versionType), func(version resource) bool {
		of, ok := s.function(version.properties["FunctionName"])
		return !ok || of.id != function.id
	})
}

func functionVersion(s *checkedTemplate, report report) {
	for _, f := range s.all(functionType) {
		if n := len(s.versions(f)); n != 1 {
			report("Resources."+f.id, "want one AWS::Lambda::Version of it, got %d", n)
		}
	}
}

// functionAlias checks that each function has an alias of its version, which gradual releases need.
func functionAlias(s *checkedTemplate, report report) {
	aliased := map[string]bool{}
	for _, alias := range s.all(aliasType) {
		function, ok := s.function(alias.properties["FunctionName"])
		if !ok {
			report(alias.path("FunctionName"), "want the Ref of a function")
			continue
		}
		aliased[function.id] = true
		version, ok := s.referred(alias.properties["FunctionVersion"], versionType, "Version")
		if !ok || !slices.ContainsFunc(s.versions(function), func(v resource) bool { return v.id == version.id }) {
			report(alias.path("FunctionVersion"), "got %q, want the attribute Version of the version of %s",
				cfn.Text(alias.properties["FunctionVersion"]), function.id)
		}
	}
	for _, f := range s.all(functionType) {
		if !aliased[f.id] {
			report("Resources."+f.id, "no alias: add an AWS::Lambda::Alias")
		}
	}
}

// gradualRelease checks that a gradual release rolls back if an alarm of the function goes off.
func gradualRelease(s *checkedTemplate, report report) {
	switch s.parameters["DeploymentPreference"] {
	case "", "AllAtOnce":
		return
	}
	for _, alias := range s.all(aliasType) {
		path := "Resources." + alias.id + ".UpdatePolicy.CodeDeployLambdaAliasUpdate"
		update := cfn.At(alias.attributes, "UpdatePolicy", "CodeDeployLambdaAliasUpdate")
		group, ok := s.referred(cfn.At(update, "DeploymentGroupName"), groupType)
		_, hasApplication := s.referred(cfn.At(update, "ApplicationName"), "AWS::CodeDeploy::Application")
		if !ok || !hasApplication {
			report(path, "traffic would shift all at once: set an application and a deployment group of this template")
			continue
		}
		events := list(cfn.At(group.properties, "AutoRollbackConfiguration", "Events"))
		if cfn.Text(group.properties, "AutoRollbackConfiguration", "Enabled") != "true" ||
			!slices.Contains(events, any("DEPLOYMENT_STOP_ON_ALARM")) || !slices.Contains(events, any("DEPLOYMENT_FAILURE")) {
			report(group.path("AutoRollbackConfiguration"), "enable it for DEPLOYMENT_FAILURE and DEPLOYMENT_STOP_ON_ALARM")
		}
		function, _ := s.function(alias.properties["FunctionName"]) // function-alias
		if cfn.Text(group.properties, "AlarmConfiguration", "Enabled") != "true" || !s.watches(group, function) {
			report(group.path("AlarmConfiguration"), "no alarm stops a bad release: enable it and add an alarm of %s",
				function.id)
		}
	}
}

// watches reports whether a deployment group has an alarm on a metric of a function.
func (s *checkedTemplate) watches(group, function resource) bool {
	for _, named := range list(cfn.At(group.properties, "AlarmConfiguration", "Alarms")) {
		for _, alarm := range s.all(alarmType) {
			if name := cfn.Text(named, "Name"); name != "${"+alarm.id+"}" && name != cfn.Text(alarm.properties["AlarmName"]) {
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

// alarm checks that functions, APIs and tables have an alarm on each metric of failures.
func alarm(s *checkedTemplate, report report) {
	if s.parameters["Monitoring"] != "true" {
		return
	}
	watched := map[string]bool{} // such as GetFunction Errors
	for _, a := range s.all(alarmType) {
		for _, m := range metrics(a) {
			if r, ok := s.subject(m); ok && m.dimensions[indexDimension] == "" { // otherwise tableAlarms
				watched[r.id+" "+m.name] = true
			}
		}
	}
	for _, kind := range []string{functionType, restAPIType, tableType} {
		for _, r := range s.all(kind) {
			for _, alternatives := range failureMetrics(kind) {
				if !slices.ContainsFunc(alternatives, func(name string) bool { return watched[r.id+" "+name] }) {
					report("Resources."+r.id, "no alarm on its metric %s: add one", strings.Join(alternatives, " or "))
				}
			}
		}
	}
	tableAlarms(s, report)
}

// failureMetrics returns the metrics of failures of a resource type. Each element lists alternatives.
func failureMetrics(kind string) [][]string {
	switch kind {
	case functionType:
		return [][]string{{"Errors"}, {"Throttles"}, {"Duration"}}
	case restAPIType:
		return [][]string{{"5XXError"}, {"Latency"}}
	default:
		return [][]string{
			{"ReadThrottleEvents", "ThrottledRequests"}, {"WriteThrottleEvents", "ThrottledRequests"}, {"SystemErrors"},
		}
	}
}

// mostMetrics is a quota that AWS does not raise ("Limits that apply to alarms based on metric math expressions").
const mostMetrics = 10

// alarmMetric checks that the metrics of each alarm exist, because an alarm on any other metric never goes off, and
// that CloudWatch accepts their number.
func alarmMetric(s *checkedTemplate, report report) {
	for _, a := range s.all(alarmType) {
		found := metrics(a)
		if len(found) == 0 {
			report("Resources."+a.id, "want a metric")
		}
		if len(found) > mostMetrics {
			report(a.path("Metrics"), "got %d metrics, want at most %d: split the alarm", len(found), mostMetrics)
		}
		for _, m := range found {
			s.checkMetric(m, report)
		}
	}
}

// alarmThreshold checks that an alarm on Duration can go off: its threshold must be less than the function's timeout.
func alarmThreshold(s *checkedTemplate, report report) {
	for _, a := range s.all(alarmType) {
		for _, m := range metrics(a) {
			f, ok := s.subject(m)
			if !ok || m.name != "Duration" {
				continue
			}
			path, limit := a.path("Threshold"), cfn.Text(a.properties["Threshold"])
			if m.stat != "" { // the threshold is a share of the invocations: 8000 is the limit in PR(8000:) and PR(:8000)
				path, limit = m.path, strings.Trim(m.stat, "PR(:)")
			}
			threshold, given := number(limit)
			if timeout, _ := number(f.properties["Timeout"]); given && threshold >= timeout*1000 {
				report(path, "got %v ms, want less than the Timeout of %s, %v s", threshold, f.id, timeout)
			}
		}
	}
}

var alarmTerm = regexp.MustCompile(`^ALARM\("([^"]+)"\)$`)

// alarmComposite checks that each alarm is in the rule of a composite alarm, which sends the notifications.
func alarmComposite(s *checkedTemplate, report report) {
	var included []string // names, ARNs and references
	for _, composite := range s.all("AWS::CloudWatch::CompositeAlarm") {
		for term := range strings.SplitSeq(cfn.Text(composite.properties["AlarmRule"]), " OR ") {
			if match := alarmTerm.FindStringSubmatch(term); match != nil {
				included = append(included, match[1])
			} else {
				report(composite.path("AlarmRule"), `got %q, want terms such as ALARM("name"), joined by OR`, term)
			}
		}
	}
	for _, a := range s.all(alarmType) {
		names := []string{"${" + a.id + "}", "${" + a.id + ".Arn}", cfn.Text(a.properties["AlarmName"])}
		if !slices.ContainsFunc(names, func(name string) bool { return slices.Contains(included, name) }) {
			report("Resources."+a.id, "it notifies nobody: add it to the AlarmRule of a composite alarm")
		}
	}
}
