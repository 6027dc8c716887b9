package deployment_test

import (
	"bufio"
	"encoding/json"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/userrequestapi/userdata/deploy/template"
)

// policy is the deployer's, deploy/policy.json.
type policy struct {
	actions    []string // that are allowed, with IAM's wildcards
	everywhere []string // those that are allowed for all resources
	grants     []grant
}

// grant is a statement.
type grant struct {
	actions, resources []string
	conditional        bool
}

func readPolicy(t *testing.T) policy {
	t.Helper()
	var document struct {
		Statement []struct {
			Effect           string
			Action, Resource any
			Condition        map[string]any
		}
	}
	if err := json.Unmarshal([]byte(original(t, "deploy/policy.json")), &document); err != nil {
		t.Fatal(err)
	}
	var p policy
	for _, s := range document.Statement {
		if s.Effect != "Allow" {
			t.Errorf("effect %s: the test does not know it", s.Effect)
		}
		actions := oneOrMore(s.Action)
		p.grants = append(p.grants, grant{actions: actions, resources: oneOrMore(s.Resource), conditional: len(s.Condition) > 0})
		p.actions = append(p.actions, actions...)
		if s.Resource == "*" {
			p.everywhere = append(p.everywhere, actions...)
		}
	}
	return p
}

// oneOrMore returns the strings of a field that may be one or several.
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

// withoutResource are the actions that IAM does not let anybody limit to resources ("Actions, resources, and condition keys for AWS
// services"; for PutCompositeAlarm its API reference).
func withoutResource() []string {
	return []string{
		"cloudformation:DescribeStackDriftDetectionStatus", "cloudwatch:DescribeAlarms", "cloudwatch:PutCompositeAlarm", "kms:CreateKey",
		"logs:DescribeLogGroups", "logs:DescribeQueryDefinitions", "logs:PutQueryDefinition", "logs:DeleteQueryDefinition",
		"sns:Unsubscribe", "xray:BatchGetTraces", "xray:GetGroups", "xray:GetSamplingRules", "xray:GetTraceSegmentDestination", "xray:GetTraceSummaries",
	}
}

func (p policy) allows(action string) bool {
	patterns := p.actions
	if slices.Contains(withoutResource(), action) {
		patterns = p.everywhere
	}
	for _, pattern := range patterns {
		// IAM knows * and ? only, and no letter's case; an action has none of the characters that mean more here.
		if ok, err := path.Match(strings.ToLower(pattern), strings.ToLower(action)); err == nil && ok {
			return true
		}
	}
	return false
}

// allowsOn reports whether an action is allowed on a resource by a statement without conditions.
func (p policy) allowsOn(action, resource string) bool {
	return slices.ContainsFunc(p.grants, func(g grant) bool {
		return !g.conditional && matches(g.actions, action) && matches(g.resources, resource)
	})
}

// matches reports whether a pattern of IAM matches a string. In IAM, * also matches slashes.
func matches(patterns []string, text string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		ok, err := path.Match(flat(pattern), flat(text))
		return err == nil && ok
	})
}

// flat returns a string without slashes, which path.Match treats as separators, in lower case.
func flat(text string) string { return strings.ReplaceAll(strings.ToLower(text), "/", "|") }

// action is what IAM calls an operation of the SDK ("Actions, resources, and condition keys for AWS services").
func action(call string) string {
	service, operation, _ := strings.Cut(call, ".")
	switch service {
	case "S3":
		switch operation {
		case "HeadBucket":
			operation = "ListBucket"
		case "HeadObject":
			operation = "GetObject"
		case "GetBucketLifecycleConfiguration", "PutBucketLifecycleConfiguration", "GetBucketEncryption", "PutBucketEncryption":
			operation = strings.NewReplacer("Bucket", "", "Encryption", "EncryptionConfiguration").Replace(operation)
		case "GetPublicAccessBlock", "PutPublicAccessBlock":
			operation = strings.ReplaceAll(operation, "Public", "BucketPublic")
		}
	case "API Gateway":
		return "apigateway:GET" // the tool itself only reads
	case "CloudWatch Logs":
		return "logs:" + operation
	case "STS":
		return "" // GetCallerIdentity is allowed to everybody
	}
	return strings.ReplaceAll(strings.ToLower(service), " ", "") + ":" + operation
}

// checkCalls sees that the policy allows every call that was recorded.
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
			t.Errorf("%s was not called: is everything recorded?", call)
		}
	}
}

// What CloudFormation calls with the deployer's permissions to make, change and delete each type of resource ("Resource type schemas", handlers).
func needed() map[string][]string {
	return map[string][]string{
		"AWS::ApiGateway::Account":              {"apigateway:GET", "apigateway:PATCH", "iam:PassRole"},
		"AWS::ApiGateway::ApiKey":               {"apigateway:GET", "apigateway:POST", "apigateway:PUT", "apigateway:PATCH", "apigateway:DELETE"},
		"AWS::ApiGateway::Deployment":           {"apigateway:GET", "apigateway:POST", "apigateway:PATCH", "apigateway:DELETE"},
		"AWS::ApiGateway::DocumentationVersion": {"apigateway:GET", "apigateway:POST", "apigateway:PATCH", "apigateway:DELETE"},
		"AWS::ApiGateway::RestApi":              {"apigateway:GET", "apigateway:POST", "apigateway:PUT", "apigateway:PATCH", "apigateway:DELETE"},
		"AWS::ApiGateway::Stage":                {"iam:CreateServiceLinkedRole", "apigateway:GET", "apigateway:POST", "apigateway:PUT", "apigateway:PATCH", "apigateway:DELETE"},
		"AWS::ApiGateway::UsagePlan":            {"apigateway:GET", "apigateway:POST", "apigateway:PUT", "apigateway:PATCH", "apigateway:DELETE"},
		"AWS::ApiGateway::UsagePlanKey":         {"apigateway:GET", "apigateway:POST", "apigateway:DELETE"},
		"AWS::CloudWatch::Alarm":                {"cloudwatch:PutMetricAlarm", "cloudwatch:DescribeAlarms", "cloudwatch:DeleteAlarms", "cloudwatch:TagResource", "cloudwatch:UntagResource", "cloudwatch:ListTagsForResource"},
		"AWS::CloudWatch::CompositeAlarm":       {"cloudwatch:PutCompositeAlarm", "cloudwatch:DescribeAlarms", "cloudwatch:DeleteAlarms", "cloudwatch:TagResource", "cloudwatch:UntagResource", "cloudwatch:ListTagsForResource"},
		"AWS::CloudWatch::Dashboard":            {"cloudwatch:PutDashboard", "cloudwatch:GetDashboard", "cloudwatch:DeleteDashboards"},
		"AWS::CodeDeploy::Application":          {"codedeploy:CreateApplication", "codedeploy:GetApplication", "codedeploy:UpdateApplication", "codedeploy:DeleteApplication", "codedeploy:TagResource"},
		"AWS::CodeDeploy::DeploymentGroup":      {"codedeploy:CreateDeploymentGroup", "codedeploy:CreateDeployment", "codedeploy:GetDeployment", "codedeploy:StopDeployment", "codedeploy:DeleteDeploymentGroup", "iam:PassRole"},
		"AWS::DynamoDB::Table":                  {"dynamodb:CreateTable", "dynamodb:DescribeTable", "dynamodb:UpdateTable", "dynamodb:DescribeContinuousBackups", "dynamodb:UpdateContinuousBackups", "dynamodb:TagResource", "dynamodb:UntagResource", "dynamodb:ListTagsOfResource", "dynamodb:GetResourcePolicy"},
		"AWS::IAM::Role":                        {"iam:CreateRole", "iam:GetRole", "iam:DeleteRole", "iam:PutRolePolicy", "iam:GetRolePolicy", "iam:DeleteRolePolicy", "iam:ListRolePolicies", "iam:AttachRolePolicy", "iam:DetachRolePolicy", "iam:ListAttachedRolePolicies", "iam:UpdateAssumeRolePolicy", "iam:UpdateRole", "iam:TagRole", "iam:UntagRole"},
		"AWS::KMS::Key":                         {"kms:CreateKey", "kms:DescribeKey", "kms:EnableKeyRotation", "kms:PutKeyPolicy", "kms:GetKeyPolicy", "kms:ScheduleKeyDeletion", "kms:TagResource", "kms:UpdateKeyDescription"},
		"AWS::Lambda::Alias":                    {"lambda:CreateAlias", "lambda:GetAlias", "lambda:UpdateAlias", "lambda:DeleteAlias"},
		"AWS::Lambda::Function":                 {"lambda:CreateFunction", "lambda:GetFunction", "lambda:GetFunctionConfiguration", "lambda:UpdateFunctionCode", "lambda:UpdateFunctionConfiguration", "lambda:DeleteFunction", "lambda:PutFunctionConcurrency", "lambda:DeleteFunctionConcurrency", "lambda:TagResource", "lambda:UntagResource", "lambda:ListTags", "iam:PassRole", "s3:GetObject"},
		"AWS::Lambda::Permission":               {"lambda:AddPermission", "lambda:GetPolicy", "lambda:RemovePermission"},
		"AWS::Lambda::Version":                  {"lambda:PublishVersion", "lambda:GetFunctionConfiguration", "lambda:ListVersionsByFunction", "lambda:DeleteFunction"},
		"AWS::Logs::LogGroup":                   {"logs:CreateLogGroup", "logs:DescribeLogGroups", "logs:PutRetentionPolicy", "logs:DeleteLogGroup", "logs:TagResource", "logs:UntagResource", "logs:ListTagsForResource"},
		"AWS::Logs::QueryDefinition":            {"logs:PutQueryDefinition", "logs:DescribeQueryDefinitions", "logs:DeleteQueryDefinition"},
		"AWS::SNS::Topic":                       {"sns:CreateTopic", "sns:GetTopicAttributes", "sns:SetTopicAttributes", "sns:Subscribe", "sns:Unsubscribe", "sns:ListSubscriptionsByTopic", "sns:ListTagsForResource", "sns:TagResource", "sns:DeleteTopic", "kms:DescribeKey"},
		"AWS::SNS::TopicPolicy":                 {"sns:SetTopicAttributes"},
		"AWS::XRay::Group":                      {"xray:CreateGroup", "xray:GetGroup", "xray:UpdateGroup", "xray:DeleteGroup", "xray:TagResource", "xray:UntagResource", "xray:ListTagsForResource"},
		"AWS::XRay::SamplingRule":               {"xray:CreateSamplingRule", "xray:GetSamplingRules", "xray:UpdateSamplingRule", "xray:DeleteSamplingRule", "xray:TagResource", "xray:UntagResource", "xray:ListTagsForResource"},
	}
}

// The policy covers every type of resource in the template, and fits into a managed policy.
func TestPolicy(t *testing.T) {
	t.Parallel()
	source, err := template.Load(os.DirFS("../../deploy"))
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
	p, needed := readPolicy(t), needed()
	for _, a := range []string{"xray:BatchGetTraces", "xray:GetTraceSegmentDestination", "xray:GetTraceSummaries"} { // the emulated account has no X-Ray
		if !p.allows(a) {
			t.Errorf("deploy/policy.json does not allow %s, which the tool needs to show traces", a)
		}
	}
	// The role that is set for the account may have any name. Nothing else may be done with it.
	for action, want := range map[string]bool{"iam:GetRole": true, "iam:DeleteRole": false, "iam:PutRolePolicy": false} {
		if role := "arn:aws:iam::123456789012:role/service-role/logs"; p.allowsOn(action, role) != want {
			t.Errorf("deploy/policy.json allows %s on %s: %t, want %t", action, role, !want, want)
		}
	}
	used := map[string]bool{}
	for id, resource := range document.Resources {
		used[resource.Type] = true
		if needed[resource.Type] == nil {
			t.Errorf("%s: what the type %s needs is not known here", id, resource.Type)
		}
		for _, a := range needed[resource.Type] {
			if !p.allows(a) {
				t.Errorf("deploy/policy.json does not allow %s, which CloudFormation needs for %s", a, resource.Type)
			}
		}
	}
	for resourceType := range needed {
		if !used[resourceType] {
			t.Errorf("%s is not in the template", resourceType)
		}
	}
	var compact strings.Builder
	for field := range strings.FieldsSeq(original(t, "deploy/policy.json")) {
		compact.WriteString(field)
	}
	const quota = 6144 // characters of a managed policy without white space ("IAM and AWS STS quotas")
	if compact.Len() > quota {
		t.Errorf("the policy has %d characters, more than %d", compact.Len(), quota)
	}
}

// callsFile returns the file that the checkout's targets record their calls in.
func (c *checkout) callsFile() string { return filepath.Join(c.dir, "calls") }
