package rules

import (
	"slices"
	"strconv"
	"strings"

	"github.com/userrequestapi/userdata/deploy/cfn"
)

const (
	roleType = "AWS::IAM::Role"
	keyType  = "AWS::KMS::Key"
)

// assumeRole checks that exactly the service that uses a role may assume it. A wrong service principal fails only at
// run time.
func assumeRole(s *checkedTemplate, report report) {
	services := map[string][]string{} // by id of the role
	for kind, use := range map[string]struct{ property, service string }{
		functionType: {"Role", "lambda.amazonaws.com"},
		groupType:    {"ServiceRoleArn", "codedeploy.amazonaws.com"},
		accountType:  {"CloudWatchRoleArn", "apigateway.amazonaws.com"},
	} {
		for _, user := range s.all(kind) {
			role, ok := s.referred(user.properties[use.property], roleType, "Arn")
			if !ok {
				report(user.path(use.property), "want the ARN of a role of this template")
				continue
			}
			services[role.id] = append(services[role.id], use.service)
		}
	}
	for _, role := range s.all(roleType) {
		path := role.path("AssumeRolePolicyDocument")
		slices.Sort(services[role.id])
		users := slices.Compact(services[role.id])
		if len(users) != 1 {
			report(path, "want a role that one service uses, got %d services", len(users))
			continue
		}
		for _, statement := range list(cfn.At(role.properties, "AssumeRolePolicyDocument", "Statement")) {
			principal := cfn.Mapping(statement, "Principal")
			assumed := list(principal["Service"])
			actions := list(cfn.At(statement, "Action"))
			if len(principal) != 1 || len(assumed) != 1 || assumed[0] != users[0] ||
				len(actions) != 1 || actions[0] != "sts:AssumeRole" {
				report(path, "the service that uses it is %s: allow sts:AssumeRole for this service only", users[0])
			}
		}
	}
}

// sharedRole checks that no functions share a role.
func sharedRole(s *checkedTemplate, report report) {
	owners := map[string]string{}
	for _, f := range s.all(functionType) {
		role, ok := s.role(f)
		if !ok {
			continue // assume-role
		}
		if owner := owners[role.id]; owner != "" {
			report(f.path("Role"), "%s is the role of %s: use a separate role", role.id, owner)
			continue
		}
		owners[role.id] = f.id
	}
}

// statement is a policy statement.
type statement struct {
	path    string
	in      resource
	content object
	trust   bool // part of a trust policy
}

// identity reports whether the statement is part of an identity-based policy.
func (st statement) identity() bool { return strings.HasPrefix(st.in.kind, "AWS::IAM::") && !st.trust }

func (st statement) allows() bool { return st.content["Effect"] == "Allow" }

// findStatements returns the statements of all policies in all resources.
func (s *checkedTemplate) findStatements() []statement {
	var found []statement
	for _, r := range s.resources {
		cfn.Walk(r.path(), r.properties, func(path string, o object) {
			for i, content := range list(o["Statement"]) {
				if cfn.Mapping(content)["Effect"] != nil {
					found = append(found, statement{
						path: path + ".Statement." + strconv.Itoa(i), in: r, content: cfn.Mapping(content),
						trust: strings.HasSuffix(path, ".AssumeRolePolicyDocument"),
					})
				}
			}
		})
	}
	return found
}

func wildcardAction(s *checkedTemplate, report report) {
	for _, st := range s.statements {
		if !st.allows() {
			continue
		}
		if st.content["NotAction"] != nil {
			report(st.path+".NotAction", "it allows all other actions: list the required actions")
		}
		for _, action := range list(st.content["Action"]) {
			if strings.Contains(cfn.Text(action), "*") && !isDocumentedKeyStatement(st, cfn.Text(action)) {
				report(st.path+".Action", "%v allows more than necessary: list the required actions", action)
			}
		}
	}
	for _, role := range s.all(roleType) {
		for _, arn := range list(role.properties["ManagedPolicyArns"]) {
			name := strings.TrimPrefix(cfn.Text(arn), "arn:${AWS::Partition}:iam::aws:policy/service-role/")
			if !slices.Contains(managedPolicies(), name) {
				report(role.path("ManagedPolicyArns"), "AWS can change %v: list the required actions in a policy of the role", arn)
			}
		}
	}
}

// managedPolicies returns the allowed AWS managed policies, which AWS requires for API Gateway and CodeDeploy.
func managedPolicies() []string {
	return []string{"AmazonAPIGatewayPushToCloudWatchLogs", "AWSCodeDeployRoleForLambdaLimited"}
}

// isDocumentedKeyStatement reports whether AWS documents the statement of a key policy with a wildcard: the one for the
// account ("Default key policy"), and the one for a service ("Managing Amazon SNS encryption keys and costs").
func isDocumentedKeyStatement(st statement, action string) bool {
	return st.in.kind == keyType && (action == "kms:GenerateDataKey*" ||
		action == "kms:*" && cfn.At(st.content, "Principal", "AWS") == "arn:${AWS::Partition}:iam::${AWS::AccountId}:root")
}

// withoutResource returns the actions that do not support resource-level permissions, or that list all resources
// ("Service Authorization Reference").
func withoutResource() []string {
	return []string{
		"cloudwatch:DescribeAlarms",
		"xray:GetSamplingRules", "xray:GetSamplingStatisticSummaries", "xray:GetSamplingTargets",
		"xray:PutTelemetryRecords", "xray:PutTraceSegments",
	}
}

func wildcardResource(s *checkedTemplate, report report) {
	for _, st := range s.statements {
		if !st.allows() || st.trust || st.in.kind == keyType { // in a key policy, * is the key
			continue
		}
		if st.content["NotResource"] != nil {
			report(st.path+".NotResource", "it allows all other resources: list the required resources")
		}
		limitable := slices.DeleteFunc(slices.Clone(list(st.content["Action"])), func(action any) bool {
			return slices.Contains(withoutResource(), cfn.Text(action))
		})
		for _, r := range list(st.content["Resource"]) {
			if strings.Contains(cfn.Text(r), "*") && len(limitable) > 0 {
				report(st.path+".Resource", "%v is more than necessary for %v: list the required resources", r, limitable)
			}
		}
	}
}

// principal checks that no policy allows all principals.
func principal(s *checkedTemplate, report report) {
	for _, st := range s.statements {
		if st.content["NotPrincipal"] != nil {
			report(st.path+".NotPrincipal", "it allows all other principals: list the allowed principals")
		}
		open := st.content["Principal"] == "*"
		for _, names := range cfn.Mapping(st.content["Principal"]) {
			open = open || slices.Contains(list(names), any("*"))
		}
		if open && st.allows() {
			report(st.path+".Principal", "it allows all principals: list the allowed principals")
		}
	}
	for _, p := range s.all("AWS::Lambda::Permission") {
		if p.properties["Principal"] == "*" {
			report(p.path("Principal"), "it allows all principals: list the allowed principals")
		}
	}
}

// roleScope reports permissions of a function's role on anything but its tables and their indexes, its log group, X-Ray
// and the customer managed key of the stage. It also reports tables of a function without a permission.
func roleScope(s *checkedTemplate, report report) {
	owners := s.roleOwners()
	for _, st := range s.statements {
		f, ok := s.grantee(st, owners)
		if !ok || !st.identity() || !st.allows() {
			continue
		}
		for _, action := range list(st.content["Action"]) {
			for _, r := range list(st.content["Resource"]) {
				if strings.Contains(cfn.Text(r)+cfn.Text(action), "*") {
					continue // wildcard-resource, wildcard-action
				}
				if fault := s.checkAccess(st, f, cfn.Text(action), cfn.Text(r)); fault != "" {
					report(st.path+".Resource", "%s may access %v by %v: %s", f.id, r, action, fault)
				}
			}
		}
	}
	s.unusedTables(owners, report)
}

// roleOwners returns the functions by the ids of their roles.
func (s *checkedTemplate) roleOwners() map[string]resource {
	owners := map[string]resource{}
	for _, f := range s.all(functionType) {
		if role, ok := s.role(f); ok {
			owners[role.id] = f
		}
	}
	return owners
}

// grantee returns the function whose role gets the permissions of a statement: the role that contains the statement, or
// the one that the policy is attached to (AWS::IAM::RolePolicy, AWS::IAM::Policy, AWS::IAM::ManagedPolicy).
func (s *checkedTemplate) grantee(st statement, owners map[string]resource) (resource, bool) {
	if f, ok := owners[st.in.id]; ok {
		return f, true
	}
	for _, name := range append(list(st.in.properties["RoleName"]), list(st.in.properties["Roles"])...) {
		if role, ok := s.referred(name, roleType); ok && owners[role.id].id != "" {
			return owners[role.id], true
		}
	}
	return resource{}, false
}

// checkAccess returns why a function must not access a resource by an action, or "" if it may.
func (s *checkedTemplate) checkAccess(st statement, function resource, action, arn string) string {
	const other = "allow only its tables, its log group, X-Ray and the key"
	allowed := false
	switch service, operation, _ := strings.Cut(action, ":"); service {
	case "dynamodb":
		if t, index, ok := s.tableOf(arn); ok {
			return t.checkAccess(st, function, operation, index)
		}
	case "logs":
		group, ok := s.logGroup(function)
		allowed = !ok || arn == "${"+group.id+".Arn}" // otherwise function-log
	case "kms":
		allowed = arn == s.parameters[kmsKeyParameter]
	case "xray":
		allowed = true
	}
	if allowed {
		return ""
	}
	return other
}
