package template_test

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// resourcesOf returns the resources of a type by their logical ids.
func resourcesOf(t *testing.T, document object, resourceType string) map[string]object {
	t.Helper()
	result := map[string]object{}
	for id, resource := range at(t, document, "Resources").(object) {
		if at(t, resource, "Type") == resourceType {
			result[id] = resource.(object)
		}
	}
	return result
}

// TestAlarms sees that everything that can go wrong has an alarm, and that one alarm tells of all.
func TestAlarms(t *testing.T) {
	t.Parallel()
	document := decode(t, render(t, files(t), nil).JSON())
	alarms := resourcesOf(t, document, "AWS::CloudWatch::Alarm")
	type what struct{ namespace, metric, statistic, of string }
	got := map[what]any{}
	var rule []any
	for _, id := range slices.Sorted(maps.Keys(alarms)) {
		properties := at(t, alarms[id], "Properties").(object)
		for _, action := range []string{"AlarmActions", "OKActions", "InsufficientDataActions"} {
			if properties[action] != nil {
				t.Errorf("%s tells by itself", id)
			}
		}
		if properties["TreatMissingData"] != "notBreaching" || properties["ComparisonOperator"] != "GreaterThanThreshold" {
			t.Errorf("%s is %v", id, properties)
		}
		description, _ := properties["AlarmDescription"].(string)
		if !strings.HasSuffix(description, " Runbook: https://github.com/userrequestapi/userdata/blob/main/docs/operate.md") {
			t.Errorf("%s: the description is %q", id, description)
		}
		rule = append(rule, object{"Fn::Sub": `ALARM("${` + id + `}")`})
		key := what{namespace: "metric math"}
		if metrics, ok := properties["Metrics"].([]any); ok {
			for _, m := range metrics {
				if stat, ok := m.(object)["MetricStat"]; ok {
					key.metric = at(t, stat, "Metric", "MetricName").(string)
					key.statistic = at(t, stat, "Stat").(string)
					dimensions := at(t, stat, "Metric", "Dimensions").([]any)
					key.of += at(t, dimensions[1], "Value").(string) + " "
				}
			}
		} else {
			key.namespace, key.metric = at(t, properties, "Namespace").(string), at(t, properties, "MetricName").(string)
			key.statistic, _ = properties["Statistic"].(string)
			if key.statistic == "" {
				key.statistic = at(t, properties, "ExtendedStatistic").(string)
			}
			dimension := at(t, properties, "Dimensions").([]any)[0]
			key.of = at(t, dimension, "Name").(string)
			if ref, ok := at(t, dimension, "Value").(object)["Ref"]; ok {
				key.of = ref.(string)
			}
		}
		got[key] = properties["Threshold"]
	}
	want := map[what]any{
		{"AWS/ApiGateway", "5XXError", "Average", "ApiName"}:                       object{"Ref": "ErrorRateAlarm"},
		{"AWS/ApiGateway", "Latency", "p99", "ApiName"}:                            object{"Ref": "LatencyAlarmMilliseconds"},
		{"AWS/DynamoDB", "ReadThrottleEvents", "Sum", "TableName"}:                 0.0,
		{"AWS/DynamoDB", "WriteThrottleEvents", "Sum", "TableName"}:                0.0,
		{"metric math", "SystemErrors", "Sum", "GetItem Scan PutItem DeleteItem "}: 0.0,
	}
	timeouts := map[string]float64{}
	for _, f := range resolve(t, nil).Functions() {
		timeouts[f.LogicalID] = float64(f.Timeout.Milliseconds())
	}
	for function, timeout := range timeouts {
		want[what{"AWS/Lambda", "Errors", "Sum", function}] = 0.0
		want[what{"AWS/Lambda", "Throttles", "Sum", function}] = 0.0
		want[what{"AWS/Lambda", "Duration", "Maximum", function}] = timeout * 80 / 100
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("alarms and their thresholds (-want +got):\n%s", diff)
	}

	composites := resourcesOf(t, document, "AWS::CloudWatch::CompositeAlarm")
	if len(composites) != 1 {
		t.Fatalf("there are the alarms over alarms %v", composites)
	}
	joined := at(t, composites["Alarm"], "Properties", "AlarmRule", "Fn::Join").([]any)
	terms := joined[1].([]any)
	slices.SortFunc(terms, func(a, b any) int {
		return strings.Compare(a.(object)["Fn::Sub"].(string), b.(object)["Fn::Sub"].(string))
	})
	if diff := cmp.Diff(rule, terms); diff != "" || joined[0] != " OR " {
		t.Errorf("the rule (-want +got):\n%s", diff)
	}
	tell := any(object{"Fn::If": []any{"HasAlarmEmail", []any{object{"Ref": "AlarmTopic"}}, object{"Ref": "AWS::NoValue"}}})
	for _, action := range []string{"AlarmActions", "OKActions"} {
		if diff := cmp.Diff(tell, at(t, composites["Alarm"], "Properties", action)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", action, diff)
		}
	}
}

// TestReleaseGroups sees that each function goes back on its own alarms and the API's.
func TestReleaseGroups(t *testing.T) {
	t.Parallel()
	document := decode(t, render(t, files(t), nil).JSON())
	for id, alias := range resourcesOf(t, document, "AWS::Lambda::Alias") {
		function := strings.TrimSuffix(id, "Alias")
		want := any(object{"Fn::If": []any{"IsGradual", object{"CodeDeployLambdaAliasUpdate": object{
			"ApplicationName": object{"Ref": "ReleaseApplication"}, "DeploymentGroupName": object{"Ref": function + "Release"},
		}}, object{"Ref": "AWS::NoValue"}}})
		if diff := cmp.Diff(want, alias["UpdatePolicy"]); diff != "" {
			t.Errorf("%s: UpdatePolicy (-want +got):\n%s", id, diff)
		}
		group := at(t, document, "Resources", function+"Release", "Properties")
		alarms := []any{object{"Name": object{"Ref": "ApiServerErrorsAlarm"}}}
		for _, kind := range []string{"Errors", "Throttles", "Duration"} {
			alarms = append(alarms, object{"Name": object{"Ref": function + kind + "Alarm"}})
		}
		if diff := cmp.Diff(any(object{"Enabled": true, "Alarms": alarms}), at(t, group, "AlarmConfiguration")); diff != "" {
			t.Errorf("%s: alarms (-want +got):\n%s", id, diff)
		}
		if at(t, group, "AutoRollbackConfiguration", "Enabled") != true ||
			!cmp.Equal(at(t, group, "DeploymentConfigName"), any(object{"Fn::Sub": "CodeDeployDefault.Lambda${DeploymentPreference}"})) {
			t.Errorf("%s: the group is %v", id, group)
		}
	}
}

var variables = regexp.MustCompile(`\$\{[^}]+\}`)

// TestDashboard sees that the dashboard is JSON, overlaps nowhere, and shows each alarm.
func TestDashboard(t *testing.T) {
	t.Parallel()
	document := decode(t, render(t, files(t), nil).JSON())
	text := at(t, document, "Resources", "Dashboard", "Properties", "DashboardBody", "Fn::Sub").([]any)[0].(string)
	var body struct {
		Widgets []struct {
			X, Y, Width, Height int
			Properties          struct {
				Title   string
				Metrics [][]any
				Alarms  []string
			}
		}
	}
	if err := json.Unmarshal([]byte(variables.ReplaceAllString(text, "1")), &body); err != nil {
		t.Fatal(err)
	}
	taken := map[[2]int]string{}
	alarms := 0
	for _, w := range body.Widgets {
		alarms += len(w.Properties.Alarms)
		if w.Properties.Title == "" || w.X+w.Width > 24 {
			t.Errorf("the widget %+v has no title, or no place", w)
		}
		for x := w.X; x < w.X+w.Width; x++ {
			for y := w.Y; y < w.Y+w.Height; y++ {
				if other, ok := taken[[2]int{x, y}]; ok {
					t.Fatalf("%q and %q overlap", w.Properties.Title, other)
				}
				taken[[2]int{x, y}] = w.Properties.Title
			}
		}
	}
	if want := len(resourcesOf(t, document, "AWS::CloudWatch::Alarm")); alarms != want || len(body.Widgets) < 10 {
		t.Errorf("%d widgets show %d alarms of %d", len(body.Widgets), alarms, want)
	}
}

// TestStage sees that the stage logs each request, and nothing of what is in it.
func TestStage(t *testing.T) {
	t.Parallel()
	document := decode(t, render(t, files(t), nil).JSON())
	stage := at(t, document, "Resources", "ApiStage", "Properties").(object)
	settings := at(t, stage, "MethodSettings").([]any)[0].(object)
	if settings["MetricsEnabled"] != true || settings["DataTraceEnabled"] != false || stage["TracingEnabled"] != true {
		t.Errorf("the stage is %v", stage)
	}
	format := at(t, stage, "AccessLogSetting", "Format").(string)
	if strings.Contains(format, "\n") {
		t.Error("an access log's format is one line")
	}
	fields := map[string]string{}
	if err := json.Unmarshal([]byte(format), &fields); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"requestId", "extendedRequestId", "xrayTraceId", "requestTime", "ip", "caller", "userArn", "httpMethod", "resourcePath",
		"protocol", "status", "responseLength", "responseLatency", "integrationLatency", "integrationStatus", "integrationRequestId",
		"integrationError", "errorResponseType",
	} {
		if !strings.HasPrefix(fields[name], "$context.") {
			t.Errorf("%s is %q", name, fields[name])
		}
		delete(fields, name)
	}
	if len(fields) > 0 {
		t.Errorf("there are also %v", fields)
	}
	// The ARN that Fn::GetAtt gives ends in :*, which a stage does not take.
	if diff := cmp.Diff(any(object{"Fn::Sub": "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:${ApiAccessLogGroup}"}),
		at(t, stage, "AccessLogSetting", "DestinationArn")); diff != "" {
		t.Errorf("DestinationArn (-want +got):\n%s", diff)
	}
	groups := resourcesOf(t, document, "AWS::Logs::LogGroup")
	if len(groups) != 6 {
		t.Errorf("there are %d log groups", len(groups))
	}
	for id, group := range groups {
		if !cmp.Equal(at(t, group, "Properties", "RetentionInDays"), any(object{"Ref": "LogRetentionDays"})) {
			t.Errorf("%s keeps its lines for ever", id)
		}
	}
}

// TestNames sees that every stage has names of its own, within the limits of their services ("quotas" of each).
func TestNames(t *testing.T) {
	t.Parallel()
	limits := map[string]int{
		"AWS::XRay::Group GroupName": 32, "AWS::XRay::SamplingRule RuleName": 32, "AWS::Lambda::Function FunctionName": 64,
		"AWS::CodeDeploy::Application ApplicationName": 100, "AWS::CodeDeploy::DeploymentGroup DeploymentGroupName": 100,
		"AWS::CloudWatch::Alarm AlarmName": 255, "AWS::CloudWatch::CompositeAlarm AlarmName": 255,
		"AWS::CloudWatch::Dashboard DashboardName": 255, "AWS::SNS::Topic TopicName": 256,
		"AWS::Logs::LogGroup LogGroupName": 512, "AWS::Logs::QueryDefinition Name": 255, "AWS::DynamoDB::Table TableName": 255,
		"AWS::ApiGateway::RestApi Name": 1024, "AWS::ApiGateway::ApiKey Name": 1024, "AWS::ApiGateway::UsagePlan UsagePlanName": 1024,
	}
	longest := strings.Repeat("s", 17)
	seen := map[string]bool{}
	for _, stage := range []string{"prod", "dev", longest} {
		in := files(t)
		document := decode(t, render(t, in, nil).JSON())
		// Names are worked out as values of a function's environment.
		var lines strings.Builder
		kinds := map[string]string{}
		for id, resource := range at(t, document, "Resources").(object) {
			properties, _ := resource.(object)["Properties"].(object)
			if rule, ok := properties["SamplingRule"].(object); ok {
				properties = rule
			}
			for _, property := range []string{
				"GroupName", "RuleName", "FunctionName", "ApplicationName", "DeploymentGroupName", "AlarmName", "DashboardName", "TopicName",
				"LogGroupName", "Name", "TableName", "UsagePlanName",
			} {
				kind := at(t, resource, "Type").(string) + " " + property
				value, err := json.Marshal(properties[property])
				if _, ok := limits[kind]; !ok || err != nil || strings.Contains(string(value), "${Api}") {
					continue
				}
				kinds["N"+id] = kind
				lines.WriteString("\n            N" + id + ": " + string(value))
			}
		}
		edit(t, in, "template.yaml", `GOMAXPROCS: "1"`, `GOMAXPROCS: "1"`+lines.String())
		stack, err := render(t, in, map[string]string{"StageName": stage}).Resolve(place())
		if err != nil {
			t.Fatal(err)
		}
		environment := stack.Functions()[0].Environment
		for id, kind := range kinds {
			name := environment[id]
			if len(name) > limits[kind] || name == "" {
				t.Errorf("%s, %s: the name %q is too long, or empty", stage, kind, name)
			}
			if strings.Contains(name, stage) == (stage == "prod") {
				t.Errorf("%s, %s: the name is %q", stage, kind, name)
			}
			if key := kind + strconv.Quote(name); seen[key] {
				t.Errorf("%s, %s: the name %q is taken", stage, kind, name)
			} else {
				seen[key] = true
			}
		}
		if len(kinds) < 40 {
			t.Errorf("only %d names were found", len(kinds))
		}
	}
}
