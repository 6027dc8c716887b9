package deployment_test

import (
	"bufio"
	"encoding/json"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/template"
	"github.com/userrequestapi/userdata/deploy/tests/emulator"
)

// policy is the content of the deployer's policies.
type policy struct {
	actions    []string // allowed actions, with IAM's wildcards
	everywhere []string // actions that are allowed on all resources
}

// deployerPolicy returns the policy of every deployer.
func deployerPolicy(t *testing.T) string {
	t.Helper()
	return original(t, "deploy/policy.json")
}

// optionsPolicy returns the additional policy of deployers that set KmsKeyArn or WebAclArn.
func optionsPolicy(t *testing.T) string {
	t.Helper()
	return original(t, "deploy/policy-options.json")
}

func readPolicy(t *testing.T) policy {
	t.Helper()
	var document struct {
		Statement []struct {
			Effect           string
			Action, Resource any
		}
	}
	if err := json.Unmarshal([]byte(deployerPolicy(t)), &document); err != nil {
		t.Fatal(err)
	}
	var p policy
	for _, s := range document.Statement {
		if s.Effect != "Allow" {
			t.Errorf("got the effect %s, want only Allow: the test does not support others", s.Effect)
		}
		actions := oneOrMore(s.Action)
		p.actions = append(p.actions, actions...)
		if s.Resource == "*" {
			p.everywhere = append(p.everywhere, actions...)
		}
	}
	return p
}

// oneOrMore returns the strings of a field that is a string or a list.
func oneOrMore(field any) []string {
	if one, ok := field.(string); ok {
		return []string{one}
	}
	var all []string
	for _, member := range field.([]any) {
		all = append(all, member.(string))
	}
	return all
}

// withoutResource returns the actions that do not support resource-level permissions ("Actions, resources, and
// condition keys for AWS services"; for PutCompositeAlarm its API reference).
func withoutResource() []string {
	return []string{
		"cloudformation:DescribeStackDriftDetectionStatus", "cloudwatch:DescribeAlarms", "cloudwatch:PutCompositeAlarm",
		"kms:CreateKey", "logs:DescribeLogGroups", "logs:DescribeQueryDefinitions", "logs:PutQueryDefinition",
		"logs:DeleteQueryDefinition", "logs:GetQueryResults", "sns:Unsubscribe", "xray:BatchGetTraces", "xray:GetGroups",
		"xray:GetSamplingRules", "xray:GetTraceSegmentDestination", "xray:GetTraceSummaries",
	}
}

func (p policy) allows(action string) bool {
	patterns := p.actions
	if slices.Contains(withoutResource(), action) {
		patterns = p.everywhere
	}
	for _, pattern := range patterns {
		// IAM has the wildcards * and ? and ignores case. Actions have no other special characters of patterns.
		if ok, err := path.Match(strings.ToLower(pattern), strings.ToLower(action)); err == nil && ok {
			return true
		}
	}
	return false
}

// action returns the IAM action of an SDK operation ("Actions, resources, and condition keys for AWS services").
func action(call string) string {
	service, operation, _ := strings.Cut(call, ".")
	switch service {
	case "S3":
		switch operation {
		case "HeadBucket":
			operation = "ListBucket"
		case "HeadObject":
			operation = "GetObject"
		case "GetBucketLifecycleConfiguration",
			"PutBucketLifecycleConfiguration",
			"GetBucketEncryption",
			"PutBucketEncryption":
			operation = strings.NewReplacer("Bucket", "", "Encryption", "EncryptionConfiguration").Replace(operation)
		case "GetPublicAccessBlock", "PutPublicAccessBlock":
			operation = strings.ReplaceAll(operation, "Public", "BucketPublic")
		}
	case "API Gateway":
		return "apigateway:GET" // the tool itself only reads
	case "CloudWatch Logs":
		return "logs:" + operation
	case "STS":
		return "" // GetCallerIdentity needs no permission
	}
	return strings.ReplaceAll(strings.ToLower(service), " ", "") + ":" + operation
}

// checkCalls checks that the policy allows every recorded call.
func (p policy) checkCalls(t *testing.T, file string) {
	t.Helper()
	calls, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = calls.Close() }()
	seen := map[string]bool{}
	for scanner := bufio.NewScanner(calls); scanner.Scan(); {
		call := scanner.Text()
		if a := action(call); a != "" && !seen[call] && !p.allows(a) {
			t.Errorf("deploy/policy.json does not allow %s, which the tool needs for %s", a, call)
		}
		seen[call] = true
	}
	for _, call := range []string{"S3.PutObject", "CloudFormation.ExecuteChangeSet", "Lambda.GetAlias", "API Gateway.GetAccount", "DynamoDB.DescribeTable",
		"CloudWatch Logs.FilterLogEvents"} {
		if !seen[call] {
			t.Errorf("got no recorded call %s, want one", call)
		}
	}
}

// Resources of the stage dev, and others in the account.
const (
	accountARN      = "arn:aws:apigateway:eu-central-1::/account"
	apiARN          = "arn:aws:apigateway:eu-central-1::/restapis/a1b2c3"
	callerKeyARN    = "arn:aws:apigateway:eu-central-1::/apikeys/k1"
	usagePlanARN    = "arn:aws:apigateway:eu-central-1::/usageplans/u1"
	tagsARN         = "arn:aws:apigateway:eu-central-1::/tags/arn%3Aaws%3Aapigateway%3Aeu-central-1%3A%3A%2F"
	dashboardARN    = "arn:aws:cloudwatch::123456789012:dashboard/UserRequestAPI-dev"
	alarmARN        = "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:UserRequestAPI-dev/latency"
	applicationARN  = "arn:aws:codedeploy:eu-central-1:123456789012:application:UserRequestAPI-dev"
	releaseGroupARN = "arn:aws:codedeploy:eu-central-1:123456789012:deploymentgroup:UserRequestAPI-dev/get"
	tableARN        = "arn:aws:dynamodb:eu-central-1:123456789012:table/UserData-dev"
	roleARN         = "arn:aws:iam::123456789012:role/UserRequestAPI-dev-GetRole-1A2B3C"
	keyARN          = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
	functionARN     = "arn:aws:lambda:eu-central-1:123456789012:function:UserRequestAPI-dev-get"
	logGroupARN     = "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/UserRequestAPI-dev-get"
	executionLogARN = "arn:aws:logs:eu-central-1:123456789012:log-group:API-Gateway-Execution-Logs_a1b2c3/dev"
	objectARN       = "arn:aws:s3:::userrequestapi-artifacts-123456789012-eu-central-1/functions/get.zip"
	webACLARN       = "arn:aws:wafv2:eu-central-1:123456789012:regional/webacl/users/1234abcd"
	samplingRuleARN = "arn:aws:xray:eu-central-1:123456789012:sampling-rule/UserRequestAPI-dev"
	traceGroupARN   = "arn:aws:xray:eu-central-1:123456789012:group/UserRequestAPI-dev/1"
	topicARN        = "arn:aws:sns:eu-central-1:123456789012:UserRequestAPI-dev"
	stackARN        = "arn:aws:cloudformation:eu-central-1:123456789012:stack/UserRequestAPI-dev/1"
	everything      = "*"
)

// conditions are the values of condition keys.
type conditions map[string]any

// byCloudFormation returns the context of a request that CloudFormation sends for the deployer.
func byCloudFormation(more conditions) conditions {
	c := conditions{"aws:CalledVia": []string{"cloudformation.amazonaws.com"}}
	maps.Copy(c, more)
	return c
}

// tagged returns the context of a request for a resource that CloudFormation created in a stack.
func tagged(stack string) conditions {
	return conditions{"aws:ResourceTag/aws:cloudformation:stack-name": stack}
}

// via returns the context of a request that a service sends to AWS KMS.
func via(service string) conditions {
	return conditions{"kms:ViaService": service + ".eu-central-1.amazonaws.com"}
}

func passedTo(service string) conditions { return conditions{"iam:PassedToService": service} }

// need is a set of requests that CloudFormation sends for one resource with the deployer's permissions.
type need struct {
	resource string
	context  conditions // in addition to aws:CalledVia
	actions  string     // a service and its actions
}

func (n need) requests() []emulator.Call {
	service, actions, _ := strings.Cut(n.actions, ": ")
	var requests []emulator.Call
	for action := range strings.FieldsSeq(actions) {
		requests = append(requests, emulator.Call{
			Action: service + ":" + action, Resource: n.resource, Context: byCloudFormation(n.context),
		})
	}
	return requests
}

// needs returns the requests with which CloudFormation creates, updates, reads and deletes each type of resource
// ("Resource type schemas", handlers). Tags at creation need the permission to tag.
func needs() map[string][]need {
	ours := tagged("UserRequestAPI-dev")
	return map[string][]need{
		"AWS::ApiGateway::Account": {
			{accountARN, nil, "apigateway: GET PATCH"},
			{roleARN, passedTo("apigateway.amazonaws.com"), "iam: GetRole PassRole"},
		},
		"AWS::ApiGateway::ApiKey": {
			{"arn:aws:apigateway:eu-central-1::/apikeys", nil, "apigateway: POST"},
			{callerKeyARN, ours, "apigateway: GET PATCH PUT DELETE"},
			{callerKeyARN, nil, "apigateway: GET"}, // after the deletion
			{tagsARN + "apikeys%2Fk1", nil, "apigateway: GET PUT DELETE"},
		},
		"AWS::ApiGateway::Deployment": {
			{apiARN + "/deployments", ours, "apigateway: POST"},
			{apiARN + "/deployments/d1", ours, "apigateway: GET PATCH DELETE"},
		},
		"AWS::ApiGateway::DocumentationVersion": {
			{apiARN + "/documentation/versions", ours, "apigateway: POST"},
			{apiARN + "/documentation/versions/v1", ours, "apigateway: GET PATCH DELETE"},
		},
		"AWS::ApiGateway::RestApi": {
			{"arn:aws:apigateway:eu-central-1::/restapis", nil, "apigateway: POST"},
			{apiARN, ours, "apigateway: GET PUT PATCH DELETE"},
			{apiARN, nil, "apigateway: GET"}, // after the deletion
			{apiARN + "/resources", ours, "apigateway: GET"},
			{tagsARN + "restapis%2Fa1b2c3", nil, "apigateway: GET PUT DELETE"},
		},
		"AWS::ApiGateway::Stage": {
			{apiARN + "/stages", ours, "apigateway: POST"},
			{apiARN + "/stages/dev", ours, "apigateway: GET PUT PATCH DELETE"},
			{tagsARN + "restapis%2Fa1b2c3%2Fstages%2Fdev", nil, "apigateway: GET PUT DELETE"},
			{
				"arn:aws:iam::123456789012:role/aws-service-role/ops.apigateway.amazonaws.com/AWSServiceRole",
				conditions{"iam:AWSServiceName": "ops.apigateway.amazonaws.com"}, "iam: CreateServiceLinkedRole",
			},
		},
		"AWS::ApiGateway::UsagePlan": {
			{"arn:aws:apigateway:eu-central-1::/usageplans", nil, "apigateway: POST"},
			{usagePlanARN, ours, "apigateway: GET PUT PATCH DELETE"},
			{usagePlanARN, nil, "apigateway: GET"}, // after the deletion
		},
		"AWS::ApiGateway::UsagePlanKey": {
			{usagePlanARN + "/keys", ours, "apigateway: POST"},
			{usagePlanARN + "/keys/k1", ours, "apigateway: GET DELETE"},
		},
		"AWS::CloudWatch::Alarm": {
			{alarmARN, nil, "cloudwatch: PutMetricAlarm DeleteAlarms TagResource UntagResource ListTagsForResource"},
			{everything, nil, "cloudwatch: DescribeAlarms"},
		},
		"AWS::CloudWatch::CompositeAlarm": {
			{alarmARN, nil, "cloudwatch: DeleteAlarms TagResource UntagResource ListTagsForResource"},
			{everything, nil, "cloudwatch: DescribeAlarms PutCompositeAlarm"},
		},
		"AWS::CloudWatch::Dashboard": {
			{dashboardARN, nil, "cloudwatch: PutDashboard GetDashboard DeleteDashboards"},
		},
		"AWS::CodeDeploy::Application": {
			{applicationARN, nil, "codedeploy: CreateApplication GetApplication UpdateApplication DeleteApplication"},
			{applicationARN, nil, "codedeploy: TagResource"},
		},
		"AWS::CodeDeploy::DeploymentGroup": {
			{releaseGroupARN, nil, "codedeploy: CreateDeploymentGroup CreateDeployment GetDeployment StopDeployment"},
			{releaseGroupARN, nil, "codedeploy: DeleteDeploymentGroup"},
			{roleARN, passedTo("codedeploy.amazonaws.com"), "iam: PassRole"},
		},
		"AWS::DynamoDB::Table": {
			{keyARN, via("dynamodb"), "kms: CreateGrant Decrypt DescribeKey Encrypt GenerateDataKey ReEncryptFrom"},
			{keyARN, via("dynamodb"), "kms: ReEncryptTo"},
			{tableARN, nil, "dynamodb: CreateTable DescribeTable UpdateTable DescribeContinuousBackups"},
			{tableARN, nil, "dynamodb: UpdateContinuousBackups TagResource UntagResource ListTagsOfResource"},
			{tableARN, nil, "dynamodb: GetResourcePolicy"},
		},
		"AWS::IAM::Role": {
			{roleARN, nil, "iam: CreateRole GetRole DeleteRole PutRolePolicy GetRolePolicy DeleteRolePolicy"},
			{roleARN, nil, "iam: ListRolePolicies AttachRolePolicy DetachRolePolicy"},
			{roleARN, nil, "iam: ListAttachedRolePolicies UpdateAssumeRolePolicy UpdateRole TagRole UntagRole"},
		},
		"AWS::KMS::Key": {
			{everything, nil, "kms: CreateKey"},
			{keyARN, nil, "kms: DescribeKey EnableKeyRotation PutKeyPolicy GetKeyPolicy ScheduleKeyDeletion"},
			{keyARN, nil, "kms: TagResource UpdateKeyDescription"},
		},
		"AWS::Lambda::Alias": {{functionARN, nil, "lambda: CreateAlias GetAlias UpdateAlias DeleteAlias"}},
		"AWS::Lambda::Function": {
			{functionARN, nil, "lambda: CreateFunction GetFunction GetFunctionConfiguration UpdateFunctionCode"},
			{functionARN, nil, "lambda: UpdateFunctionConfiguration DeleteFunction"},
			{functionARN, nil, "lambda: PutFunctionConcurrency DeleteFunctionConcurrency TagResource UntagResource"},
			{functionARN, nil, "lambda: ListTags"},
			{roleARN, passedTo("lambda.amazonaws.com"), "iam: PassRole"},
			{objectARN, nil, "s3: GetObject"},
			{keyARN, via("lambda"), "kms: CreateGrant Decrypt DescribeKey Encrypt GenerateDataKey"},
		},
		"AWS::Lambda::Permission": {{functionARN, nil, "lambda: AddPermission GetPolicy RemovePermission"}},
		"AWS::Lambda::Version": {
			{functionARN, nil, "lambda: PublishVersion GetFunctionConfiguration ListVersionsByFunction DeleteFunction"},
		},
		"AWS::Logs::LogGroup": {
			{everything, nil, "logs: DescribeLogGroups"},
			{logGroupARN, nil, "logs: CreateLogGroup PutRetentionPolicy DeleteLogGroup TagResource UntagResource"},
			{logGroupARN, nil, "logs: ListTagsForResource"},
			{executionLogARN, nil, "logs: CreateLogGroup TagResource"},
			{logGroupARN, nil, "logs: AssociateKmsKey DisassociateKmsKey"},
			{executionLogARN, nil, "logs: AssociateKmsKey DisassociateKmsKey"},
			{keyARN, via("logs"), "kms: DescribeKey"},
			{executionLogARN, ours, "logs: PutRetentionPolicy DeleteLogGroup TagResource UntagResource"},
			{executionLogARN, ours, "logs: ListTagsForResource"},
		},
		"AWS::Logs::QueryDefinition": {
			{everything, nil, "logs: PutQueryDefinition DescribeQueryDefinitions DeleteQueryDefinition"},
		},
		"AWS::SNS::Topic": {
			{topicARN, nil, "sns: CreateTopic GetTopicAttributes SetTopicAttributes Subscribe"},
			{topicARN, nil, "sns: ListSubscriptionsByTopic ListTagsForResource TagResource DeleteTopic"},
			{everything, nil, "sns: Unsubscribe"},
			{keyARN, nil, "kms: DescribeKey"},
		},
		"AWS::SNS::TopicPolicy": {{topicARN, nil, "sns: SetTopicAttributes"}},
		"AWS::WAFv2::WebACLAssociation": {
			{apiARN + "/stages/dev", ours, "apigateway: SetWebACL"},
			{apiARN + "/stages/dev", nil, "wafv2: AssociateWebACL DisassociateWebACL GetWebACLForResource"},
			{webACLARN, nil, "wafv2: AssociateWebACL GetWebACL GetWebACLForResource"},
		},
		"AWS::XRay::Group": {
			{traceGroupARN, nil, "xray: CreateGroup GetGroup UpdateGroup DeleteGroup"},
			{traceGroupARN, nil, "xray: TagResource UntagResource ListTagsForResource"},
		},
		"AWS::XRay::SamplingRule": {
			{everything, nil, "xray: GetSamplingRules"},
			{samplingRuleARN, nil, "xray: CreateSamplingRule UpdateSamplingRule DeleteSamplingRule"},
			{samplingRuleARN, nil, "xray: TagResource UntagResource ListTagsForResource"},
		},
	}
}

// types returns the types of all resources of the template.
func types(t *testing.T) []string {
	t.Helper()
	source, err := template.Load(os.DirFS(service + "/deploy"))
	if err != nil {
		t.Fatal(err)
	}
	rendered, err := source.Render(template.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Resources map[string]struct{ Type string }
	}
	if err := json.Unmarshal(rendered.JSON(), &document); err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, resource := range document.Resources {
		used[resource.Type] = true
	}
	return slices.Sorted(maps.Keys(used))
}

// TestPolicyAllowsDeployment checks that CloudFormation may manage each type of resource of the template.
func TestPolicyAllowsDeployment(t *testing.T) {
	t.Parallel()
	needs := needs()
	if diff := cmp.Diff(types(t), slices.Sorted(maps.Keys(needs))); diff != "" {
		t.Errorf("types with known needs (-template +needs):\n%s", diff)
	}
	var requests []emulator.Call
	for _, ofType := range needs {
		for _, n := range ofType {
			requests = append(requests, n.requests()...)
		}
	}
	for i, allowed := range emulator.Allows(t, requests, deployerPolicy(t), optionsPolicy(t)) {
		if r := requests[i]; !allowed {
			t.Errorf("the deployer's policies do not allow %s on %s with %v, which CloudFormation needs",
				r.Action, r.Resource, r.Context)
		}
	}
}

// TestPolicyLimits checks that the policies exclude resources of others in the account, and actions that only
// CloudFormation may call for the deployer.
func TestPolicyLimits(t *testing.T) {
	t.Parallel()
	ours, others := tagged("UserRequestAPI-dev"), tagged("Shop")
	otherTable := strings.ReplaceAll(tableARN, "UserData", "Orders")
	const otherRole = "arn:aws:iam::123456789012:role/service-role/logs"
	imports := func(types ...string) conditions { return conditions{"cloudformation:ImportResourceTypes": types} }
	tests := []struct {
		name     string
		actions  string
		resource string
		context  conditions
		want     bool
	}{
		{"own API", "apigateway: GET PUT PATCH DELETE", apiARN, ours, true},
		{"export of the own API", "apigateway: GET", apiARN + "/stages/dev/exports/oas30", ours, true},
		{"value of the own API key", "apigateway: GET", callerKeyARN, ours, true},
		{"settings of the account", "apigateway: GET", accountARN, nil, true},
		{"settings of the account, changed", "apigateway: PATCH", accountARN, nil, false},
		{"API of another stack", "apigateway: GET PUT PATCH DELETE POST", apiARN, others, false},
		{
			"API of another stack, by CloudFormation", "apigateway: PUT PATCH DELETE POST",
			apiARN, byCloudFormation(others), false,
		},
		{
			"stage of another stack, by CloudFormation", "apigateway: PUT PATCH DELETE SetWebACL",
			apiARN + "/stages/dev", byCloudFormation(others), false,
		},
		{
			"deployment of another stack, by CloudFormation", "apigateway: POST",
			apiARN + "/deployments", byCloudFormation(others), false,
		},
		{"API without tags", "apigateway: GET PUT PATCH DELETE POST", apiARN, nil, false},
		{
			"API without tags, by CloudFormation", "apigateway: PUT PATCH DELETE POST",
			apiARN, byCloudFormation(nil), false,
		},
		{
			"API with a tag that anybody may set", "apigateway: DELETE",
			apiARN, conditions{"aws:ResourceTag/Service": "UserRequestAPI"}, false,
		},
		{"API key of another stack", "apigateway: GET PATCH DELETE", callerKeyARN, others, false},
		{"API keys", "apigateway: GET POST", "arn:aws:apigateway:eu-central-1::/apikeys", nil, false},
		{"usage plan of another stack", "apigateway: PATCH DELETE", usagePlanARN, others, false},
		{
			"key of another usage plan, by CloudFormation", "apigateway: POST",
			usagePlanARN + "/keys", byCloudFormation(others), false,
		},
		{"new API", "apigateway: POST", "arn:aws:apigateway:eu-central-1::/restapis", nil, false},
		{"tags", "apigateway: PUT DELETE", tagsARN + "restapis%2Fa1b2c3", nil, false},
		{
			"domain names", "apigateway: GET POST DELETE",
			"arn:aws:apigateway:eu-central-1::/domainnames/example.org", byCloudFormation(nil), false,
		},

		{
			"users", "execute-api: Invoke",
			"arn:aws:execute-api:eu-central-1:123456789012:a1b2c3/dev/POST/users", nil, true,
		},
		{
			"user", "execute-api: Invoke",
			"arn:aws:execute-api:eu-central-1:123456789012:a1b2c3/dev/DELETE/users/1", nil, true,
		},
		{"index", "execute-api: Invoke", "arn:aws:execute-api:eu-central-1:123456789012:a1b2c3/dev/GET/", nil, true},
		{
			"another API", "execute-api: Invoke",
			"arn:aws:execute-api:eu-central-1:123456789012:a1b2c3/dev/POST/orders", nil, false,
		},

		{"own log", "logs: FilterLogEvents", logGroupARN, nil, true},
		{"own execution log", "logs: FilterLogEvents DeleteLogGroup", executionLogARN, ours, true},
		{
			"execution log of another API", "logs: FilterLogEvents PutRetentionPolicy DeleteLogGroup",
			executionLogARN, others, false,
		},
		{"execution log without tags", "logs: FilterLogEvents DeleteLogGroup TagResource", executionLogARN, nil, false},
		{
			"execution log of another API, by CloudFormation", "logs: PutRetentionPolicy DeleteLogGroup",
			executionLogARN, byCloudFormation(others), false,
		},
		{
			"another log", "logs: FilterLogEvents DeleteLogGroup",
			strings.ReplaceAll(logGroupARN, "UserRequestAPI", "Shop"), nil, false,
		},
		{"queries", "logs: PutQueryDefinition DeleteQueryDefinition", everything, nil, false},

		{"plan", "cloudformation: CreateChangeSet", stackARN, nil, true},
		{
			"plan that imports a table", "cloudformation: CreateChangeSet",
			stackARN, imports("AWS::DynamoDB::Table"), true,
		},
		{
			"plan that imports an API", "cloudformation: CreateChangeSet",
			stackARN, imports("AWS::ApiGateway::RestApi"), false,
		},
		{
			"plan that imports a table and a key", "cloudformation: CreateChangeSet",
			stackARN, imports("AWS::DynamoDB::Table", "AWS::KMS::Key"), false,
		},
		{
			"plan of another stack", "cloudformation: CreateChangeSet DeleteStack",
			strings.ReplaceAll(stackARN, "UserRequestAPI", "Shop"), nil, false,
		},

		{"key", "kms: PutKeyPolicy ScheduleKeyDeletion DisableKey", keyARN, nil, false},
		{"encrypted log", "kms: Decrypt", keyARN, via("logs"), true},
		{"what the key encrypts", "kms: Decrypt Encrypt GenerateDataKey CreateGrant", keyARN, nil, false},
		{"secret", "kms: Decrypt", keyARN, via("secretsmanager"), false},
		{"web ACL", "wafv2: UpdateWebACL DeleteWebACL", webACLARN, byCloudFormation(nil), false},
		{"web ACL of a stage", "wafv2: AssociateWebACL DisassociateWebACL", apiARN + "/stages/dev", ours, false},
		{"new key", "kms: CreateKey", everything, nil, false},
		{"composite alarm", "cloudwatch: PutCompositeAlarm", everything, nil, false},
		{"subscription", "sns: Unsubscribe SetSubscriptionAttributes", everything, nil, false},
		{
			"another table, by CloudFormation", "dynamodb: DeleteTable UpdateTable",
			otherTable, byCloudFormation(nil), false,
		},
		{"users, in the table", "dynamodb: GetItem Scan PutItem DeleteItem", tableARN, nil, false},
		{"logs role of the account", "iam: GetRole", otherRole, nil, true}, // which may have any name
		{"another role", "iam: DeleteRole PutRolePolicy UpdateRole", otherRole, nil, false},
		{"role for another service", "iam: PassRole", roleARN, passedTo("ec2.amazonaws.com"), false},
		{
			"another role, by CloudFormation", "iam: PutRolePolicy",
			otherRole, byCloudFormation(nil), false,
		},
	}
	var requests []emulator.Call
	var rows []int // by request, the index of its test
	for i, test := range tests {
		for _, r := range (need{test.resource, nil, test.actions}).requests() {
			r.Context = test.context
			requests, rows = append(requests, r), append(rows, i)
		}
	}
	for i, got := range emulator.Allows(t, requests, deployerPolicy(t), optionsPolicy(t)) {
		if test := tests[rows[i]]; got != test.want {
			t.Errorf("%s: %s on %s with %v: allowed = %t, want %t",
				test.name, requests[i].Action, test.resource, test.context, got, test.want)
		}
	}
}

// TestPolicyWithoutOptions checks that the deployer's policy alone allows neither a customer managed key nor a web ACL.
func TestPolicyWithoutOptions(t *testing.T) {
	t.Parallel()
	var requests []emulator.Call
	for _, n := range []need{
		{keyARN, via("dynamodb"), "kms: Decrypt Encrypt GenerateDataKey"},
		{logGroupARN, nil, "logs: AssociateKmsKey"},
		{webACLARN, nil, "wafv2: AssociateWebACL"},
	} {
		requests = append(requests, n.requests()...)
	}
	for i, allowed := range emulator.Allows(t, requests, deployerPolicy(t)) {
		if allowed {
			t.Errorf("deploy/policy.json allows %s, want it only in policy-options.json", requests[i].Action)
		}
	}
}

// TestPolicy checks the permissions for X-Ray and Logs Insights, and the size of the policy.
func TestPolicy(t *testing.T) {
	t.Parallel()
	p := readPolicy(t)
	// The emulated account has neither.
	for _, a := range []string{
		"logs:GetQueryResults", "logs:StartQuery",
		"xray:BatchGetTraces", "xray:GetTraceSegmentDestination", "xray:GetTraceSummaries",
	} {
		if !p.allows(a) {
			t.Errorf("deploy/policy.json does not allow %s, which the tool needs to show traces or latencies", a)
		}
	}
	var compact strings.Builder
	for field := range strings.FieldsSeq(deployerPolicy(t)) {
		compact.WriteString(field)
	}
	const quota = 6144 // characters of a managed policy without whitespace ("IAM and AWS STS quotas")
	if compact.Len() > quota {
		t.Errorf("deploy/policy.json has %d characters, want at most %d", compact.Len(), quota)
	}
}

// callsFile returns the file in which the checkout's targets record their calls.
func (c *checkout) callsFile() string { return filepath.Join(c.dir, "calls") }
