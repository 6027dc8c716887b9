// Package rules checks a rendered template against the house rules of this project. The rules find mistakes that
// linters miss because they concern several resources, or the behavior of AWS.
//
// A rule checks the template for given parameters: the resources that exist under the conditions, with Fn::If evaluated
// and parameters replaced by their values. Other references become strings such as ${GetFunction.Arn}. To check a whole
// template, call Check for each combination of [Variants].
//
// References remain visible, because most rules are about them, and evaluation continues after an error. A value that
// cannot be evaluated is a violation of the rule reference.
package rules

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/userrequestapi/userdata/deploy/cfn"
	"github.com/userrequestapi/userdata/deploy/template"
)

// Violation is a violation of a rule at a path of a template.
type Violation struct {
	Rule    string // one of [Names]
	Path    string // such as Resources.GetFunction.Properties.Role
	Message string // what is wrong and what to do
}

// String returns the violation in one line.
func (v Violation) String() string { return fmt.Sprintf("%s: %s (%s)", v.Path, v.Message, v.Rule) }

// Check returns the violations of a rendered template in JSON for the given parameters, sorted by path. Omitted
// parameters have their defaults. It returns an error if document is not a template.
func Check(document []byte, parameters map[string]string) ([]Violation, error) {
	decoded, err := cfn.ParseJSON(document)
	if err != nil {
		return nil, fmt.Errorf("check the template: %w", err)
	}
	return check(decoded, parameters)
}

func check(document object, parameters map[string]string) ([]Violation, error) {
	if cfn.Mapping(document, "Resources") == nil {
		return nil, errors.New("check the template: no Resources")
	}
	s := newCheckedTemplate(document, parameters)
	var violations []Violation
	for _, rule := range all() {
		rule.check(s, func(path, format string, args ...any) {
			violations = append(violations, Violation{Rule: rule.name, Path: path, Message: fmt.Sprintf(format, args...)})
		})
	}
	slices.SortFunc(violations, func(a, b Violation) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Message, b.Message))
	})
	return slices.Compact(violations), nil
}

// report reports a violation at a path.
type report func(path, format string, args ...any)

type rule struct {
	name  string
	check func(*checkedTemplate, report)
}

func all() []rule {
	return []rule{
		{"reference", references},

		{"integration-method", integrationMethod},
		{"integration-uri", integrationURI},
		{"integration-timeout", integrationTimeout},
		{"integration-missing", integrationMissing},
		{"head", head},
		{"body-reference", bodyReference},
		{"request-validator", requestValidator},
		{"authorization", authorization},
		{"preflight", preflight},
		{"permission", permission},
		{"deployment", deployment},
		{"documentation-parts", documentationParts},
		{"documentation-version", documentationVersion},
		{"usage-plan", usagePlan},
		{"stage-tracing", stageTracing},
		{"stage-log", stageLog},
		{"stage-execution-log", stageExecutionLog},
		{"account-role", accountRole},
		{"stage-metrics", stageMetrics},
		{"stage-throttle", stageThrottle},
		{"stage-web-acl", stageWebACL},
		{"data-trace", dataTrace},

		{"function-tracing", functionTracing},
		{"function-variable", functionVariable},
		{"function-log", functionLog},
		{"function-version", functionVersion},
		{"function-alias", functionAlias},
		{"gradual-release", gradualRelease},

		{"assume-role", assumeRole},
		{"shared-role", sharedRole},
		{"wildcard-action", wildcardAction},
		{"wildcard-resource", wildcardResource},
		{"principal", principal},
		{"role-scope", roleScope},

		{"alarm", alarm},
		{"alarm-name", alarmName},
		{"alarm-metric", alarmMetric},
		{"alarm-threshold", alarmThreshold},
		{"alarm-composite", alarmComposite},
		{"dashboard-metric", dashboardMetric},

		{"retention", retention},
		{"table", table},
		{"table-condition", tableCondition},
		{"table-throughput", tableThroughput},
		{"index-name", indexName},
		{"index-projection", indexProjection},
		{"kms-key", kmsKey},
		{"secret", secret},
	}
}

// Variants returns combinations of parameters that cover the conditions of the project's template and the variants of
// its rendering. The stage is prod in some and not in others.
func Variants() []map[string]string {
	var variants []map[string]string
	for _, authorization := range []map[string]string{
		{template.AuthorizationParameter: template.AuthorizationIAM},
		{
			template.AuthorizationParameter: template.AuthorizationCognito,
			"UserPoolArn":                   "arn:aws:cognito-idp:eu-central-1:123456789012:userpool/eu-central-1_Ab1Cd2Ef3",
		},
		{template.AuthorizationParameter: template.AuthorizationAPIKey},
		{template.AuthorizationParameter: template.AuthorizationNone},
	} {
		for _, monitoring := range []map[string]string{
			{"Monitoring": "false"},
			{"Monitoring": "true", "DeploymentPreference": "AllAtOnce"},
			{"Monitoring": "true", "DeploymentPreference": "Canary10Percent5Minutes", "AlarmEmail": "alarms@example.org"},
			{"Monitoring": "true", "DeploymentPreference": "Linear10PercentEvery1Minute"},
		} {
			for _, place := range []map[string]string{
				{"StageName": "prod", "ApiGatewayLogsRole": "Existing"},
				{
					"StageName": "dev", "ApiGatewayLogsRole": "Create", "ReservedConcurrency": "5",
					"KmsKeyArn": "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
					"WebAclArn": "arn:aws:wafv2:eu-central-1:123456789012:regional/webacl/users/1234abcd",
				},
				{"StageName": "dev", "ExistingTableName": "People"},
			} {
				variant := map[string]string{}
				for _, part := range []map[string]string{authorization, monitoring, place} {
					maps.Copy(variant, part)
				}
				variants = append(variants, variant)
			}
		}
	}
	return variants
}
