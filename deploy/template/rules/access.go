package rules

import (
	"slices"
	"strconv"
	"strings"
)

const (
	roleType = "AWS::IAM::Role"
	keyType  = "AWS::KMS::Key"
)

// assumeRole sees that each role is assumed by the service that uses it, and by no other: with a wrong one, what uses
// it is refused only when it runs.
func assumeRole(s *stack, report report) {
	users := map[string][]string{} // services by ids of roles
	for kind, use := range map[string]struct{ property, service string }{
		functionType: {"Role", "lambda.amazonaws.com"},
		groupType:    {"ServiceRoleArn", "codedeploy.amazonaws.com"},
		accountType:  {"CloudWatchRoleArn", "apigateway.amazonaws.com"},
	} {
		for _, user := range s.all(kind) {
			role, ok := s.referred(user.properties[use.property], roleType, "Arn")
			if !ok {
				report(user.path(use.property), "it must be the ARN of a role of this template")
				continue
			}
			users[role.id] = append(users[role.id], use.service)
		}
	}
	for _, role := range s.all(roleType) {
		path := role.path("AssumeRolePolicyDocument")
		slices.Sort(users[role.id])
		services := slices.Compact(users[role.id])
		if len(services) != 1 {
			report(path, "it must be used by one service, not by %d: a role is for one purpose", len(services))
			continue
		}
		for _, statement := range list(at(role.properties, "AssumeRolePolicyDocument", "Statement")) {
			principal := mapping(at(statement, "Principal"))
			assumed := list(principal["Service"])
			actions := list(at(statement, "Action"))
			if len(principal) != 1 || len(assumed) != 1 || assumed[0] != services[0] ||
				len(actions) != 1 || actions[0] != "sts:AssumeRole" {
				report(path, "it is used by %s: allow sts:AssumeRole to that service alone", services[0])
			}
		}
	}
}

// sharedRole keeps what one function may do from the others.
func sharedRole(s *stack, report report) {
	owners := map[string]string{}
	for _, f := range s.all(functionType) {
		role, ok := s.referred(f.properties["Role"], roleType, "Arn")
		if !ok {
			continue // assume-role
		}
		if owner := owners[role.id]; owner != "" {
			report(f.path("Role"), "%s is the role of %s: give it its own", role.id, owner)
			continue
		}
		owners[role.id] = f.id
	}
}

// statement is one of a policy.
type statement struct {
	path    string
	in      resource
	content object
	trust   bool // of the policy that says who may assume a role
}

// identity tells whether the statement says what a role may do, rather than who may use a resource.
func (st statement) identity() bool { return strings.HasPrefix(st.in.kind, "AWS::IAM::") && !st.trust }

func (st statement) allows() bool { return st.content["Effect"] == "Allow" }

// findStatements returns those of all policies, wherever a resource has one.
func (s *stack) findStatements() []statement {
	var found []statement
	for _, id := range sortedKeys(s.resources) {
		r := s.resources[id]
		walk(r.path(), r.properties, func(path string, o object) {
			for i, content := range list(o["Statement"]) {
				if mapping(content)["Effect"] != nil {
					found = append(found, statement{
						path: path + ".Statement." + strconv.Itoa(i), in: r, content: mapping(content),
						trust: strings.HasSuffix(path, ".AssumeRolePolicyDocument"),
					})
				}
			}
		})
	}
	return found
}

func wildcardAction(s *stack, report report) {
	for _, st := range s.statements {
		if !st.allows() {
			continue
		}
		if st.content["NotAction"] != nil {
			report(st.path+".NotAction", "it allows all the rest: name the actions that are needed")
		}
		for _, action := range list(st.content["Action"]) {
			if strings.Contains(text(action), "*") && !ofKey(st, text(action)) {
				report(st.path+".Action", "%v allows more than is needed: name the actions", action)
			}
		}
	}
	for _, role := range s.all(roleType) {
		for _, arn := range list(role.properties["ManagedPolicyArns"]) {
			if !slices.Contains(managedPolicies(), strings.TrimPrefix(text(arn), "arn:${AWS::Partition}:iam::aws:policy/service-role/")) {
				report(role.path("ManagedPolicyArns"), "%v allows what AWS chooses: name the actions that are needed", arn)
			}
		}
	}
}

// managedPolicies are those that AWS keeps for its own services' work in an account; what they do cannot be narrowed
// sensibly.
func managedPolicies() []string {
	return []string{"AmazonAPIGatewayPushToCloudWatchLogs", "AWSCodeDeployRoleForLambdaLimited"}
}

// ofKey tells whether a statement of a key's policy is one that AWS documents with a wildcard: that by which the
// account manages the key at all ("Default key policy"), or that by which a service uses it ("Managing Amazon SNS
// encryption keys and costs").
func ofKey(st statement, action string) bool {
	return st.in.kind == keyType && (action == "kms:GenerateDataKey*" ||
		action == "kms:*" && at(st.content, "Principal", "AWS") == "arn:${AWS::Partition}:iam::${AWS::AccountId}:root")
}

// withoutResource are the actions that cannot be limited to a resource, or list all there are ("Service Authorization
// Reference").
func withoutResource() []string {
	return []string{
		"cloudwatch:DescribeAlarms",
		"xray:GetSamplingRules", "xray:GetSamplingStatisticSummaries", "xray:GetSamplingTargets",
		"xray:PutTelemetryRecords", "xray:PutTraceSegments",
	}
}

func wildcardResource(s *stack, report report) {
	for _, st := range s.statements {
		if !st.allows() || st.trust || st.in.kind == keyType { // where * is the key itself
			continue
		}
		if st.content["NotResource"] != nil {
			report(st.path+".NotResource", "it allows all the rest: name the resources that are needed")
		}
		needless := slices.DeleteFunc(slices.Clone(list(st.content["Action"])), func(action any) bool {
			return slices.Contains(withoutResource(), text(action))
		})
		for _, r := range list(st.content["Resource"]) {
			if strings.Contains(text(r), "*") && len(needless) > 0 {
				report(st.path+".Resource", "%v is more than %v needs: name the resource", r, needless)
			}
		}
	}
}

// principal sees that no policy opens a resource to everybody.
func principal(s *stack, report report) {
	for _, st := range s.statements {
		if st.content["NotPrincipal"] != nil {
			report(st.path+".NotPrincipal", "it means all others: name who may")
		}
		open := st.content["Principal"] == "*"
		for _, names := range mapping(st.content["Principal"]) {
			open = open || slices.Contains(list(names), any("*"))
		}
		if open && st.allows() {
			report(st.path+".Principal", "it is everybody: name who may")
		}
	}
	for _, p := range s.all("AWS::Lambda::Permission") {
		if p.properties["Principal"] == "*" {
			report(p.path("Principal"), "it is everybody: name who may")
		}
	}
}

// roleScope reports permissions of a function's role on anything but the table, the function's own log group, X-Ray and
// the customer managed key of the stage.
func roleScope(s *stack, report report) {
	owners := map[string]resource{} // functions by ids of roles
	for _, f := range s.all(functionType) {
		if role, ok := s.referred(f.properties["Role"], roleType, "Arn"); ok {
			owners[role.id] = f
		}
	}
	for _, st := range s.statements {
		f, ok := owners[st.in.id]
		if !ok || !st.identity() || !st.allows() {
			continue
		}
		for _, action := range list(st.content["Action"]) {
			service, _, _ := strings.Cut(text(action), ":")
			for _, r := range list(st.content["Resource"]) {
				if !strings.Contains(text(r), "*") && !s.within(service, text(r), f) { // else wildcard-resource
					report(st.path+".Resource",
						"%s reaches %v by %v: a function has the table, its own log group, X-Ray and the key only",
						f.id, r, action)
				}
			}
		}
	}
}

// within tells whether a resource is one that a function may reach by a service.
func (s *stack) within(service, arn string, function resource) bool {
	switch service {
	case "dynamodb":
		if _, ok := s.referred(arn, tableType, "Arn"); ok {
			return true
		}
		name := s.parameters["ExistingTableName"]
		return name != "" && arn == "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/"+name
	case "logs":
		group, ok := s.logGroup(function)
		return !ok || arn == "${"+group.id+".Arn}" // else function-log
	case "kms":
		return arn == s.parameters[kmsKeyParameter]
	case "xray":
		return true
	default:
		return false
	}
}
