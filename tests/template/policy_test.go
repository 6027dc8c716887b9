package template_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/userrequestapi/userdata/deploy/cfn"
)

// creation is the action that creates a resource, and the format of the resource's ARN ("Service Authorization Reference").
type creation struct{ action, arn string }

func creations() map[string]creation {
	return map[string]creation{
		"AWS::CloudFormation::Stack": {"cloudformation:CreateChangeSet", "arn:aws:cloudformation:%s:%s:stack/%s"},
		"AWS::DynamoDB::Table":       {"dynamodb:CreateTable", "arn:aws:dynamodb:%s:%s:table/%s"},
		"AWS::Lambda::Function":      {"lambda:CreateFunction", "arn:aws:lambda:%s:%s:function:%s"},
		"AWS::Logs::LogGroup":        {"logs:CreateLogGroup", "arn:aws:logs:%s:%s:log-group:%s"},
	}
}

// TestPolicy checks that the deployer's policy allows the names of a stage's stack, tables, functions and log groups.
func TestPolicy(t *testing.T) {
	t.Parallel()
	const file = "policy.json"
	content, err := os.ReadFile(filepath.Join(documents, file))
	if err != nil {
		t.Fatal(err)
	}
	policy, err := cfn.ParseJSON(content)
	if err != nil {
		t.Fatal(err)
	}
	for stage, suffix := range map[string]string{"prod": "", "dev": "-dev"} {
		t.Run(stage, func(t *testing.T) {
			t.Parallel()
			stack := name{id: "the stack", kind: "AWS::CloudFormation::Stack", value: apiDocument(t).Name() + suffix}
			for _, n := range append(names(t, stage), stack) {
				create, ok := creations()[n.kind]
				if !ok || allows(policy, create.action, fmt.Sprintf(create.arn, region, account, n.value)) {
					continue
				}
				t.Errorf("deploy/%s does not allow the name of %s, %s: add %q to the resources of the statement with %s",
					file, n.id, n.value, fmt.Sprintf(create.arn, "*", "*", strings.TrimSuffix(n.value, suffix)+"*"), create.action)
			}
		})
	}
}

// allows reports whether a statement of a policy has the action and the resource, whatever its conditions.
func allows(policy cfn.Object, action, arn string) bool {
	statements, _ := policy["Statement"].([]any)
	for _, statement := range statements {
		if matches(cfn.At(statement, "Action"), action) && matches(cfn.At(statement, "Resource"), arn) {
			return true
		}
	}
	return false
}

// matches reports whether one of the patterns, with IAM's wildcards, matches a value. One pattern need not be in a list.
func matches(patterns any, value string) bool {
	if list, ok := patterns.([]any); ok {
		for _, pattern := range list {
			if matches(pattern, value) {
				return true
			}
		}
		return false
	}
	pattern := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(cfn.Text(patterns)))
	return regexp.MustCompile("^(?:" + pattern + ")$").MatchString(value)
}
