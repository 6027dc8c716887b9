package rules

import (
	"regexp"
	"slices"
	"strings"
)

const (
	tableType       = "AWS::DynamoDB::Table"
	kmsKeyParameter = "KmsKeyArn"
)

// retention sees that data is kept when its resource goes or is replaced, logs for a time that was chosen, and
// versions to go back to: all but that of a deployment that fails, which Lambda would not publish again.
func retention(s *stack, report report) {
	for _, id := range sortedKeys(s.resources) {
		r := s.resources[id]
		for _, key := range []string{"DeletionPolicy", "UpdateReplacePolicy"} {
			policy := r.attributes[key]
			switch r.kind {
			case tableType, "AWS::S3::Bucket":
				if policy != "Retain" {
					report("Resources."+id+"."+key, "its data would go with it: set it to Retain")
				}
			case versionType:
				want := map[string]string{"DeletionPolicy": "RetainExceptOnCreate", "UpdateReplacePolicy": "Retain"}[key]
				if policy != want {
					report("Resources."+id+"."+key, "versions are kept, but for one that a failed deployment made: set it to %s", want)
				}
			case logGroupType, keyType:
				if policy == nil {
					report("Resources."+id+"."+key, "say what is to become of it: without it, it is deleted")
				}
			}
		}
		if _, ok := number(r.properties["RetentionInDays"]); r.kind == logGroupType && !ok {
			report(r.path("RetentionInDays"), "its lines would be kept for ever: set it")
		}
	}
}

// table sees that a table can be recovered, is encrypted, and is not deleted by mistake.
func table(s *stack, report report) {
	for _, t := range s.all(tableType) {
		for _, keys := range [][]string{
			{"PointInTimeRecoverySpecification", "PointInTimeRecoveryEnabled"},
			{"SSESpecification", "SSEEnabled"},
			{"DeletionProtectionEnabled"},
		} {
			if text(at(t.properties, keys...)) != "true" {
				report(t.path(keys...), "set it to true")
			}
		}
		if len(list(t.properties["Tags"])) == 0 {
			report(t.path("Tags"), "tag it with what it belongs to")
		}
	}
}

// kmsKey reports a table, log group or function that does not use the customer managed key of the stage, and one that
// uses any other key. Without the parameter, AWS's own keys are used.
func kmsKey(s *stack, report report) {
	want := s.parameters[kmsKeyParameter]
	for kind, keys := range map[string][]string{
		tableType:    {"SSESpecification", "KMSMasterKeyId"},
		logGroupType: {"KmsKeyId"},
		functionType: {"KmsKeyArn"},
	} {
		for _, r := range s.all(kind) {
			if got := text(at(r.properties, keys...)); got != want {
				report(r.path(keys...), "it is %q; it must be the parameter %s, which is %q",
					got, kmsKeyParameter, want)
			}
		}
	}
	for _, t := range s.all(tableType) {
		if want != "" && at(t.properties, "SSESpecification", "SSEType") != "KMS" {
			report(t.path("SSESpecification", "SSEType"), "DynamoDB takes a key only with the type KMS: set it")
		}
	}
	if want != "" {
		kmsKeyOfRoles(s, want, report)
	}
}

// kmsKeyOfRoles reports a function's role that may not use the key: its requests to the table would fail at run time.
func kmsKeyOfRoles(s *stack, key string, report report) {
	for _, f := range s.all(functionType) {
		role, ok := s.referred(f.properties["Role"], roleType, "Arn")
		if !ok {
			continue // assume-role
		}
		if !slices.ContainsFunc(s.statements, func(st statement) bool {
			return st.in.id == role.id && st.identity() && st.allows() &&
				slices.Contains(list(st.content["Action"]), any("kms:Decrypt")) &&
				slices.Contains(list(st.content["Resource"]), any(key))
		}) {
			report(role.path("Policies"), "%s cannot read what is encrypted: allow kms:Decrypt on the parameter %s",
				f.id, kmsKeyParameter)
		}
	}
}

var (
	secretName  = regexp.MustCompile(`(?i)(secret|passwo?r?d|token|credential|private_?key|access_?key|api_?key(_?value)?$)`)
	secretValue = regexp.MustCompile(`\{\{resolve:(secretsmanager|ssm-secure):|\b(AKIA|ASIA)[A-Z0-9]{16}\b|-----BEGIN`)
)

// secret keeps secrets out of what anyone who may read the stack or a function's configuration sees.
func secret(s *stack, report report) {
	suspicious := func(name string, value any) bool {
		return secretName.MatchString(name) || secretValue.MatchString(text(value)) || s.hidden(text(value))
	}
	for _, id := range sortedKeys(s.outputs) {
		if suspicious(id, at(s.outputs[id], "Value")) {
			report("Outputs."+id, "it looks like a secret, which an output shows to all who may see the stack: put out its id")
		}
	}
	for _, f := range s.all(functionType) {
		variables := mapping(at(f.properties, "Environment", "Variables"))
		for _, name := range sortedKeys(variables) {
			if suspicious(name, variables[name]) {
				report(f.path("Environment", "Variables", name),
					"it looks like a secret, which the function's configuration shows: let the function read it where it is kept")
			}
		}
	}
	for _, key := range s.all("AWS::ApiGateway::ApiKey") {
		if _, ok := key.properties["Value"]; ok {
			report(key.path("Value"), "it is in the template for all to see: let API Gateway make it")
		}
	}
}

// hidden tells whether a value holds that of a parameter that is not to be shown.
func (s *stack) hidden(value string) bool {
	return slices.ContainsFunc(sortedKeys(mapping(s.document["Parameters"])), func(name string) bool {
		return text(at(s.document, "Parameters", name, "NoEcho")) == "true" && s.parameters[name] != "" &&
			strings.Contains(value, s.parameters[name])
	})
}
