// Package template_test checks what the house rules do not: the names, the limits and the monitoring of the rendered
// template, the deployer's policy, and the examples of the API document. Its cases follow from these documents.
package template_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/userrequestapi/userdata/deploy/cfn"
	"github.com/userrequestapi/userdata/deploy/contract"
	"github.com/userrequestapi/userdata/deploy/template"
)

const (
	documents = "../../deploy" // the folder of the template and the API document

	region  = "eu-central-1"
	account = "123456789012"
)

// apiDocument returns the API document.
func apiDocument(t *testing.T) *contract.Document {
	t.Helper()
	document, err := contract.Read(os.DirFS(documents))
	if err != nil {
		t.Fatal(err)
	}
	return document
}

// load returns the template, which is read once.
//
//nolint:gochecknoglobals // read once, never changed
var load = sync.OnceValues(func() (*template.Template, error) { return template.Load(os.DirFS(documents)) })

// render returns the template rendered with parameters.
func render(t *testing.T, parameters map[string]string) *template.Rendered {
	t.Helper()
	loaded, err := load()
	if err != nil {
		t.Fatal(err)
	}
	rendered, err := loaded.Render(template.Options{Parameters: parameters})
	if err != nil {
		t.Fatal(err)
	}
	return rendered
}

// evaluate returns an evaluator of the template for parameters and pseudo parameters. References to resources become
// strings such as ${Table.Arn}.
func evaluate(t *testing.T, changes map[string]string) *cfn.Evaluator {
	t.Helper()
	rendered := render(t, nil)
	document, err := cfn.ParseJSON(rendered.JSON())
	if err != nil {
		t.Fatal(err)
	}
	parameters, values := rendered.Parameters(), cfn.SymbolicPseudoParameters()
	pseudo := map[string]string{"AWS::Region": region, "AWS::AccountId": account, "AWS::Partition": "aws"}
	for name, value := range changes {
		if strings.HasPrefix(name, "AWS::") {
			pseudo[name] = value
		} else {
			parameters[name] = value
		}
	}
	for name, value := range pseudo {
		values[name] = value
	}
	maps.Copy(values, cfn.Refs(cfn.Mapping(document, "Parameters"), parameters))
	return cfn.NewEvaluator(document, values, nil)
}

// limits returns the maximum length of names by the type and the property that has them, from the services' quotas.
func limits() map[string]map[string]int {
	return map[string]map[string]int{
		"AWS::XRay::Group":                 {"GroupName": 32},
		"AWS::XRay::SamplingRule":          {"SamplingRule.RuleName": 32},
		"AWS::Lambda::Function":            {"FunctionName": 64},
		"AWS::CodeDeploy::Application":     {"ApplicationName": 100},
		"AWS::CodeDeploy::DeploymentGroup": {"DeploymentGroupName": 100},
		"AWS::CloudWatch::Alarm":           {"AlarmName": 255},
		"AWS::CloudWatch::CompositeAlarm":  {"AlarmName": 255},
		"AWS::CloudWatch::Dashboard":       {"DashboardName": 255},
		"AWS::SNS::Topic":                  {"TopicName": 256},
		"AWS::Logs::LogGroup":              {"LogGroupName": 512},
		"AWS::Logs::QueryDefinition":       {"Name": 255},
		"AWS::DynamoDB::Table":             {"TableName": 255},
		"AWS::ApiGateway::RestApi":         {"Name": 1024},
		"AWS::ApiGateway::ApiKey":          {"Name": 1024},
		"AWS::ApiGateway::UsagePlan":       {"UsagePlanName": 1024},
	}
}

// name is the name of a resource.
type name struct {
	id, kind, value string
	limit           int // of its length
}

// names returns the names that a stage's resources have, whether they exist or not.
func names(t *testing.T, stage string) []name {
	t.Helper()
	e := evaluate(t, map[string]string{"StageName": stage})
	var found []name
	for _, id := range slices.Sorted(maps.Keys(cfn.Mapping(e.Document, "Resources"))) {
		kind := cfn.Text(e.Resource(id), "Type")
		for property, limit := range limits()[kind] {
			first, rest, nested := strings.Cut(property, ".")
			value := e.Property(id, first)
			if nested {
				value = cfn.At(value, rest)
			}
			// A name with the id of the API is unique.
			if text := cfn.Text(value); value != nil && !strings.Contains(text, "${") {
				found = append(found, name{id, kind, text, limit})
			}
		}
	}
	if err := e.Err(); err != nil {
		t.Error(err)
	}
	return found
}

// TestNames checks that each stage has names of its own within the quotas of the services, also if the name of the
// stage is the end of a name of prod.
func TestNames(t *testing.T) {
	t.Parallel()
	api := apiDocument(t).Name()
	allowed := regexp.MustCompile("^(?:" + cfn.Text(evaluate(t, nil).Document, "Parameters", "StageName", "AllowedPattern") + ")$")
	stages := map[string]bool{"prod": true, "dev": true, strings.Repeat("s", 17): true}
	for _, n := range names(t, "prod") {
		if _, suffix, ok := strings.Cut(n.value, api); ok && suffix != "" {
			for _, stage := range []string{suffix[1:], suffix[1:] + "-" + suffix[1:]} {
				if allowed.MatchString(stage) {
					stages[stage] = true
				}
			}
		}
	}
	seen := map[string]string{}
	for _, stage := range slices.Sorted(maps.Keys(stages)) {
		for _, n := range names(t, stage) {
			place := n.id + " of the stage " + stage
			if len(n.value) > n.limit || n.value == "" {
				t.Errorf("%s: name = %q, want 1 to %d characters", place, n.value, n.limit)
			}
			// Metric and composite alarms share one namespace.
			key := strings.Replace(n.kind, "CompositeAlarm", "Alarm", 1) + " " + n.value
			if other, ok := seen[key]; ok {
				t.Errorf("%s: name = %q, which %s has, too: want a unique one", place, n.value, other)
			}
			seen[key] = place
		}
	}
}

// TestMonitoring checks that a stage without monitoring uses none of the services that only serve monitoring and gradual
// releases, which emulators of AWS lack.
func TestMonitoring(t *testing.T) {
	t.Parallel()
	e := evaluate(t, map[string]string{"Monitoring": "false"})
	for id := range cfn.Mapping(e.Document, "Resources") {
		kind := cfn.Text(e.Resource(id), "Type")
		service := strings.Split(kind, "::")[1]
		if slices.Contains([]string{"CloudWatch", "XRay", "CodeDeploy", "SNS", "KMS"}, service) && e.Exists("Resources", id) {
			t.Errorf("Resources.%s: got %s with Monitoring=false: give it the condition IsMonitored", id, kind)
		}
	}
}

// TestSize checks CloudFormation's quotas for a template ("AWS CloudFormation quotas").
func TestSize(t *testing.T) {
	t.Parallel()
	rendered := render(t, nil)
	resources := len(cfn.Mapping(evaluate(t, nil).Document, "Resources"))
	if size := len(rendered.JSON()); size > 1_000_000 || resources > 500 {
		t.Errorf("the template has %d bytes and %d resources, want at most 1,000,000 and 500", size, resources)
	}
	t.Logf("%d bytes, %d resources", len(rendered.JSON()), resources)
}
