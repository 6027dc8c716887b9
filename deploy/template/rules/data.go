package rules

import (
	"regexp"
	"slices"
	"strings"

	"github.com/userrequestapi/userdata/deploy/cfn"
)

const (
	tableType       = "AWS::DynamoDB::Table"
	kmsKeyParameter = "KmsKeyArn"
)

// retention checks that data is retained when its resource is deleted or replaced, that log groups have a retention,
// and that versions are retained for a rollback, except those of a failed deployment, which Lambda would not publish
// again.
func retention(s *checkedTemplate, report report) {
	for id, r := range s.resources {
		for _, key := range []string{"DeletionPolicy", "UpdateReplacePolicy"} {
			policy := r.attributes[key]
			switch r.kind {
			case tableType, "AWS::S3::Bucket":
				if policy != "Retain" {
					report("Resources."+id+"."+key, "its data would be deleted with it: set it to Retain")
				}
			case versionType:
				want := map[string]string{"DeletionPolicy": "RetainExceptOnCreate", "UpdateReplacePolicy": "Retain"}[key]
				if policy != want {
					report("Resources."+id+"."+key, "versions are retained, except those of a failed deployment: set it to %s", want)
				}
			case logGroupType, keyType:
				if policy == nil {
					report("Resources."+id+"."+key, "missing, so that it would be deleted: set it")
				}
			}
		}
		if _, ok := number(r.properties["RetentionInDays"]); r.kind == logGroupType && !ok {
			report(r.path("RetentionInDays"), "its lines would never expire: set it")
		}
	}
}

// table checks that tables have point-in-time recovery, encryption, deletion protection and tags.
func table(s *checkedTemplate, report report) {
	for _, t := range s.all(tableType) {
		for _, keys := range [][]string{
			{"PointInTimeRecoverySpecification", "PointInTimeRecoveryEnabled"},
			{"SSESpecification", "SSEEnabled"},
			{"DeletionProtectionEnabled"},
		} {
			if cfn.Text(t.properties, keys...) != "true" {
				report(t.path(keys...), "set it to true")
			}
		}
		if len(list(t.properties["Tags"])) == 0 {
			report(t.path("Tags"), "no tags: add them")
		}
	}
}

// kmsKey reports a table, log group or function that does not use the customer managed key of the stage, and one that
// uses any other key. Without the parameter, AWS's own keys are used.
func kmsKey(s *checkedTemplate, report report) {
	want := s.parameters[kmsKeyParameter]
	for kind, keys := range map[string][]string{
		tableType:    {"SSESpecification", "KMSMasterKeyId"},
		logGroupType: {"KmsKeyId"},
		functionType: {"KmsKeyArn"},
	} {
		for _, r := range s.all(kind) {
			if got := cfn.Text(r.properties, keys...); got != want {
				report(r.path(keys...), "got %q, want the parameter %s, %q",
					got, kmsKeyParameter, want)
			}
		}
	}
	if want == "" {
		return
	}
	for _, t := range s.all(tableType) {
		if cfn.At(t.properties, "SSESpecification", "SSEType") != "KMS" {
			report(t.path("SSESpecification", "SSEType"), "DynamoDB uses a key only with the type KMS: set it")
		}
	}
	kmsKeyOfRoles(s, want, report)
}

// kmsKeyOfRoles reports a function's role that may not use the key: its requests to tables would fail at run time.
func kmsKeyOfRoles(s *checkedTemplate, key string, report report) {
	for _, f := range s.all(functionType) {
		role, ok := s.role(f)
		if !ok {
			continue // assume-role
		}
		if !slices.ContainsFunc(s.statements, func(st statement) bool {
			return st.in.id == role.id && st.identity() && st.allows() &&
				slices.Contains(list(st.content["Action"]), any("kms:Decrypt")) &&
				slices.Contains(list(st.content["Resource"]), any(key))
		}) {
			report(role.path("Policies"), "%s cannot decrypt the table: allow kms:Decrypt on the parameter %s",
				f.id, kmsKeyParameter)
		}
	}
}

var (
	secretName = regexp.MustCompile(
		`(?i)(secret|passwo?r?d|token|credential|private_?key|access_?key|api_?key(_?value)?$)`)
	secretValue = regexp.MustCompile(`\{\{resolve:(secretsmanager|ssm-secure):|\b(AKIA|ASIA)[A-Z0-9]{16}\b|-----BEGIN`)
)

// secret checks that outputs, environment variables and API keys have no secrets: everyone who may read the stack or a
// function's configuration can read them.
func secret(s *checkedTemplate, report report) {
	suspicious := func(name string, value any) bool {
		return secretName.MatchString(name) || secretValue.MatchString(cfn.Text(value)) || s.hidden(cfn.Text(value))
	}
	for id, output := range s.outputs {
		if suspicious(id, cfn.At(output, "Value")) {
			report("Outputs."+id, "it looks like a secret, and everyone who may read the stack can read it: output its id")
		}
	}
	for _, f := range s.all(functionType) {
		variables := cfn.Mapping(f.properties, "Environment", "Variables")
		for name, value := range variables {
			if suspicious(name, value) {
				report(f.path("Environment", "Variables", name),
					"it looks like a secret, and the function's configuration shows it: let the function read it from its store")
			}
		}
	}
	for _, key := range s.all("AWS::ApiGateway::ApiKey") {
		if _, ok := key.properties["Value"]; ok {
			report(key.path("Value"), "the template shows it: let API Gateway generate it")
		}
	}
}

// hidden reports whether a value contains the value of a NoEcho parameter.
func (s *checkedTemplate) hidden(value string) bool {
	for name, hidden := range s.parameters {
		noEcho := cfn.Text(s.document, "Parameters", name, "NoEcho")
		if noEcho == "true" && hidden != "" && strings.Contains(value, hidden) {
			return true
		}
	}
	return false
}
