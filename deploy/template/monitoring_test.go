package template_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/template"
)

// resourcesOf returns the resources of a type by logical id.
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

// TestAlarms checks that each metric of failures has an alarm, and that only the composite alarm notifies.
func TestAlarms(t *testing.T) {
	t.Parallel()
	document := decode(t, project(t, nil).JSON())
	alarms := resourcesOf(t, document, "AWS::CloudWatch::Alarm")
	type alarmKey struct{ namespace, metric, statistic, of string }
	got := map[alarmKey]any{}
	var rule []any
	for _, id := range slices.Sorted(maps.Keys(alarms)) {
		properties := at(t, alarms[id], "Properties").(object)
		for _, action := range []string{"AlarmActions", "OKActions", "InsufficientDataActions"} {
			if properties[action] != nil {
				t.Errorf("%s has actions, want none", id)
			}
		}
		if properties["TreatMissingData"] != "notBreaching" || properties["ComparisonOperator"] != "GreaterThanThreshold" {
			t.Errorf("%s: got %v, want notBreaching and GreaterThanThreshold", id, properties)
		}
		description, _ := properties["AlarmDescription"].(string)
		if !strings.HasSuffix(description, " Runbook: https://github.com/userrequestapi/userdata/blob/main/docs/operate.md") {
			t.Errorf("%s: description = %q, want the runbook at its end", id, description)
		}
		rule = append(rule, object{"Fn::Sub": `ALARM("${` + id + `}")`})
		key := alarmKey{namespace: "metric math"}
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
	want := map[alarmKey]any{
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
		want[alarmKey{"AWS/Lambda", "Errors", "Sum", function}] = 0.0
		want[alarmKey{"AWS/Lambda", "Throttles", "Sum", function}] = 0.0
		want[alarmKey{"AWS/Lambda", "Duration", "Maximum", function}] = timeout * 80 / 100
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("alarms and their thresholds (-want +got):\n%s", diff)
	}

	composites := resourcesOf(t, document, "AWS::CloudWatch::CompositeAlarm")
	if len(composites) != 1 {
		t.Fatalf("got composite alarms %v, want one", composites)
	}
	joined := at(t, composites["Alarm"], "Properties", "AlarmRule", "Fn::Join").([]any)
	terms := joined[1].([]any)
	slices.SortFunc(terms, func(a, b any) int {
		return strings.Compare(a.(object)["Fn::Sub"].(string), b.(object)["Fn::Sub"].(string))
	})
	if diff := cmp.Diff(rule, terms); diff != "" || joined[0] != " OR " {
		t.Errorf("the rule (-want +got):\n%s", diff)
	}
	notify := any(object{"Fn::If": []any{"HasAlarmEmail", []any{object{"Ref": "AlarmTopic"}}, object{"Ref": "AWS::NoValue"}}})
	for _, action := range []string{"AlarmActions", "OKActions"} {
		if diff := cmp.Diff(notify, at(t, composites["Alarm"], "Properties", action)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", action, diff)
		}
	}
}

// TestAlarmTopic checks that CloudWatch can use the key for the alarms' topic only.
func TestAlarmTopic(t *testing.T) {
	t.Parallel()
	document := decode(t, project(t, nil).JSON())
	topic := at(t, document, "Resources", "AlarmTopic", "Properties")
	if diff := cmp.Diff(any(object{"Ref": "AlarmKey"}), at(t, topic, "KmsMasterKeyId")); diff != "" {
		t.Errorf("the topic's key (-want +got):\n%s", diff)
	}
	var conditions []any
	for _, statement := range at(t, document, "Resources", "AlarmKey", "Properties", "KeyPolicy", "Statement").([]any) {
		if cmp.Equal(at(t, statement, "Principal"), any(object{"Service": "cloudwatch.amazonaws.com"})) {
			conditions = append(conditions, at(t, statement, "Condition", "StringEquals", "kms:EncryptionContext:aws:sns:topicArn"))
		}
	}
	if len(conditions) != 1 {
		t.Fatalf("got %d statements for CloudWatch, want 1", len(conditions))
	}
	for _, stage := range []string{"prod", "dev"} {
		got := resolveValues(t, map[string]any{"ARN": conditions[0], "NAME": at(t, topic, "TopicName")},
			map[string]string{"StageName": stage}, place())
		if want := "arn:aws:sns:eu-central-1:123456789012:" + got["NAME"]; got["ARN"] != want {
			t.Errorf("%s: the key is for the topic %q, want %q", stage, got["ARN"], want)
		}
	}
}

// TestConsoles checks that console URLs are those of the partition.
func TestConsoles(t *testing.T) {
	t.Parallel()
	outputs := at(t, decode(t, project(t, nil).JSON()), "Outputs")
	traces := at(t, outputs, "TracesConsole", "Value")
	for partition, want := range map[string]string{
		"aws": "console.aws.amazon.com", "aws-cn": "console.amazonaws.cn", "aws-us-gov": "console.amazonaws-us-gov.com",
		"aws-eusc": "console.amazonaws-eusc.eu",
	} {
		t.Run(partition, func(t *testing.T) {
			t.Parallel()
			in := place()
			in.Partition, in.Region = partition, "there-1"
			got := resolveValues(t, map[string]any{"TRACES": traces}, nil, in)["TRACES"]
			if want := "https://there-1." + want + "/cloudwatch/home?region=there-1#xray:traces/query"; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
	dashboard := at(t, outputs, "DashboardConsole", "Value", "Fn::Sub").([]any)
	if diff := cmp.Diff(traces.(object)["Fn::Sub"].([]any)[1], dashboard[1]); diff != "" ||
		!strings.HasPrefix(dashboard[0].(string), "https://${AWS::Region}.${Console}/") {
		t.Errorf("got the URL %v of the dashboard, want one of the same console", dashboard)
	}
}

// TestReleaseGroups checks that each function rolls back on its own alarms and the API's.
func TestReleaseGroups(t *testing.T) {
	t.Parallel()
	document := decode(t, project(t, nil).JSON())
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
			t.Errorf("%s: got group %v, want a rollback and the configuration of DeploymentPreference", id, group)
		}
	}
}

// resolveValues evaluates values of the template. They are inserted as stage variables.
func resolveValues(t *testing.T, values map[string]any, parameters map[string]string, in template.PseudoParameters) map[string]string {
	t.Helper()
	return resolver(t, values)(parameters, in)
}

// resolver is resolveValues for several parameters and places.
func resolver(t *testing.T, values map[string]any) func(map[string]string, template.PseudoParameters) map[string]string {
	t.Helper()
	var lines strings.Builder
	for name, value := range values {
		encoded, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		lines.WriteString("        " + name + ": " + string(encoded) + "\n")
	}
	source := files(t)
	const before = "      TracingEnabled: true\n"
	edit(t, source, "template.yaml", before, before+"      Variables:\n"+lines.String())
	loaded, err := template.Load(source)
	if err != nil {
		t.Fatal(err)
	}
	return func(parameters map[string]string, in template.PseudoParameters) map[string]string {
		t.Helper()
		rendered, err := loaded.Render(template.Options{Parameters: parameters})
		if err != nil {
			t.Fatal(err)
		}
		stack, err := rendered.Resolve(in)
		if err != nil {
			t.Fatal(err)
		}
		return stack.API().StageVariables
	}
}

// TestDashboard checks that the dashboard is JSON, that no widgets overlap, and that it shows each alarm.
func TestDashboard(t *testing.T) {
	t.Parallel()
	for _, parameters := range []map[string]string{
		nil,
		{"ErrorRateAlarm": "0", "LatencyAlarmMilliseconds": "1", "StageName": "s"},
		{"ErrorRateAlarm": "1", "LatencyAlarmMilliseconds": "29000", "StageName": strings.Repeat("s", 17)},
		{"ErrorRateAlarm": "0.0001", "LatencyAlarmMilliseconds": "999.5", "ExistingTableName": "a.b-c_d", "ServiceName": "-_"},
	} {
		t.Run(fmt.Sprint(parameters), func(t *testing.T) {
			t.Parallel()
			wantDashboard(t, parameters)
		})
	}
}

func wantDashboard(t *testing.T, parameters map[string]string) {
	t.Helper()
	document := decode(t, project(t, nil).JSON())
	value := at(t, document, "Resources", "Dashboard", "Properties", "DashboardBody")
	encoded := resolveValues(t, map[string]any{"DASHBOARD": value}, parameters, place())["DASHBOARD"]
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
	if err := json.Unmarshal([]byte(encoded), &body); err != nil {
		t.Fatalf("dashboard = %s, want JSON: %v", encoded, err)
	}
	if strings.Contains(encoded, "${") {
		t.Errorf("dashboard = %s, want no unresolved variable", encoded)
	}
	taken := map[[2]int]string{}
	alarms := 0
	for _, w := range body.Widgets {
		alarms += len(w.Properties.Alarms)
		if w.Properties.Title == "" || w.X+w.Width > 24 {
			t.Errorf("got widget %+v, want a title and at most 24 columns", w)
		}
		for x := w.X; x < w.X+w.Width; x++ {
			for y := w.Y; y < w.Y+w.Height; y++ {
				if other, ok := taken[[2]int{x, y}]; ok {
					t.Fatalf("%q and %q overlap, want no overlap", w.Properties.Title, other)
				}
				taken[[2]int{x, y}] = w.Properties.Title
			}
		}
	}
	if want := len(resourcesOf(t, document, "AWS::CloudWatch::Alarm")); alarms != want || len(body.Widgets) < 10 {
		t.Errorf("%d widgets show %d alarms, want at least 10 that show %d", len(body.Widgets), alarms, want)
	}
}

// TestStage checks that the stage logs each request without its content.
func TestStage(t *testing.T) {
	t.Parallel()
	document := decode(t, project(t, nil).JSON())
	stage := at(t, document, "Resources", "ApiStage", "Properties").(object)
	settings := at(t, stage, "MethodSettings").([]any)[0].(object)
	if settings["MetricsEnabled"] != true || settings["DataTraceEnabled"] != false || stage["TracingEnabled"] != true {
		t.Errorf("got stage %v, want metrics and tracing without data trace", stage)
	}
	format := at(t, stage, "AccessLogSetting", "Format").(string)
	if strings.Contains(format, "\n") {
		t.Error("want the format of the access log in one line")
	}
	fields := map[string]string{}
	if err := json.Unmarshal([]byte(format), &fields); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"requestId", "extendedRequestId", "xrayTraceId", "requestTime", "ip", "caller", "userArn", "apiKeyId", "userPoolSub",
		"httpMethod", "resourcePath", "protocol", "status", "responseLength", "responseLatency", "integrationLatency",
		"integrationStatus", "functionStatus", "integrationRequestId", "integrationError", "errorResponseType",
	} {
		if !strings.HasPrefix(fields[name], "$context.") {
			t.Errorf("%s = %q, want a variable of $context", name, fields[name])
		}
		delete(fields, name)
	}
	if len(fields) > 0 {
		t.Errorf("further fields = %v, want none", fields)
	}
	// Fn::GetAtt returns an ARN that ends in :*, which a stage rejects.
	if diff := cmp.Diff(any(object{"Fn::Sub": "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:${ApiAccessLogGroup}"}),
		at(t, stage, "AccessLogSetting", "DestinationArn")); diff != "" {
		t.Errorf("DestinationArn (-want +got):\n%s", diff)
	}
	groups := resourcesOf(t, document, "AWS::Logs::LogGroup")
	if want := 6; len(groups) != want {
		t.Errorf("got %d log groups, want %d", len(groups), want)
	}
	for id, group := range groups {
		if !cmp.Equal(at(t, group, "Properties", "RetentionInDays"), any(object{"Ref": "LogRetentionDays"})) {
			t.Errorf("%s: got %v, want the retention LogRetentionDays", id, group)
		}
	}
}

// TestExecutionLog checks that the stage depends on its log group and on the account's role.
func TestExecutionLog(t *testing.T) {
	t.Parallel()
	for _, choice := range []string{"Create", "Existing"} {
		rendered := project(t, map[string]string{"ApiGatewayLogsRole": choice})
		dependencies := rendered.Dependencies()
		for _, pair := range [][2]string{
			{"ApiStage", "ApiExecutionLogGroup"}, {"ApiStage", "ApiAccount"}, {"ApiAccount", "Api"}, {"ApiAccount", "ApiLogsRole"},
		} {
			if !slices.Contains(dependencies[pair[0]], pair[1]) {
				t.Errorf("%s does not depend on %s, only on %v", pair[0], pair[1], dependencies[pair[0]])
			}
		}
		// Evaluation fails if the resource does not exist.
		description := at(t, decode(t, rendered.JSON()), "Resources", "ApiStage", "Properties", "Description")
		got := resolveValues(t, map[string]any{"STAGE": description}, map[string]string{"ApiGatewayLogsRole": choice}, place())["STAGE"]
		if refers := strings.Contains(got, place().AccountID); refers != (choice == "Create") {
			t.Errorf("%s: description of the stage = %q, want a reference to the account: %t", choice, got, !refers)
		}
	}
}

// TestNames checks that each stage has unique names within the quotas of the services.
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
	document := decode(t, project(t, nil).JSON())
	names, kinds := map[string]any{}, map[string]string{}
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
			kinds["N"+id], names["N"+id] = kind, properties[property]
		}
	}
	if len(kinds) < 40 {
		t.Errorf("got %d names, want at least 40", len(kinds))
	}
	resolve := resolver(t, names)
	seen := map[string]bool{}
	for _, stage := range []string{
		"prod", "dev", strings.Repeat("s", 17),
		// Suffixes of names of prod or another stage.
		"latency", "server-errors", "get-errors", "errors", "get-duration", "table-errors", "get", "latency-latency", "alarm",
	} {
		resolved := resolve(map[string]string{"StageName": stage}, place())
		for id, kind := range kinds {
			name := resolved[id]
			if len(name) > limits[kind] || name == "" {
				t.Errorf("%s, %s: name = %q, want 1 to %d characters", stage, kind, name, limits[kind])
			}
			if strings.Contains(name, stage) == (stage == "prod") {
				t.Errorf("%s, %s: name = %q, want the stage in it, except for prod", stage, kind, name)
			}
			// Metric and composite alarms share one namespace.
			if key := strings.Replace(kind, "CompositeAlarm", "Alarm", 1) + strconv.Quote(name); seen[key] {
				t.Errorf("%s, %s: name = %q, want a unique one", stage, kind, name)
			} else {
				seen[key] = true
			}
		}
	}
}
