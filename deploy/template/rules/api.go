package rules

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/userrequestapi/userdata/deploy/template"

	"github.com/userrequestapi/userdata/deploy/cfn"
)

const (
	restAPIType = "AWS::ApiGateway::RestApi"
	stageType   = "AWS::ApiGateway::Stage"
	accountType = "AWS::ApiGateway::Account"
)

// operation is a method of a path in the Body of an API.
type operation struct {
	api         resource
	path        string // in the template
	route       string // such as /users/{userId}
	method      string // such as GET
	content     object
	integration object // nil if absent
}

// operations returns all methods of an API, sorted by path.
func operations(api resource) []operation {
	var found []operation
	paths := cfn.Mapping(api.properties, "Body", "paths")
	for _, route := range slices.Sorted(maps.Keys(paths)) {
		item := cfn.Mapping(paths[route])
		for _, key := range slices.Sorted(maps.Keys(item)) {
			switch key {
			case "get", "put", "post", "delete", "options", "head", "patch", "trace", template.AnyMethodKey:
				content := cfn.Mapping(item[key])
				found = append(found, operation{
					api: api, path: api.path("Body", "paths", route, key), route: route, method: strings.ToUpper(key),
					content: content, integration: cfn.Mapping(content[template.IntegrationKey]),
				})
			}
		}
	}
	return found
}

// routes returns the methods of all APIs that invoke a function.
func (s *checkedTemplate) routes() []operation {
	var found []operation
	for _, api := range s.all(restAPIType) {
		for _, o := range operations(api) {
			if o.integration["type"] == "aws_proxy" {
				found = append(found, o)
			}
		}
	}
	return found
}

// documented returns the methods of all APIs that the contract has, without OPTIONS and ANY.
func (s *checkedTemplate) documented() []operation {
	var found []operation
	for _, api := range s.all(restAPIType) {
		for _, o := range operations(api) {
			if o.method != "OPTIONS" && !strings.EqualFold(o.method, template.AnyMethodKey) {
				found = append(found, o)
			}
		}
	}
	return found
}

func (o operation) at(key string) string { return o.path + "." + template.IntegrationKey + "." + key }

// integrationMethod checks that integrations use POST, the method of Lambda's Invoke. With any other, each request
// fails with 500.
func integrationMethod(s *checkedTemplate, report report) {
	for _, o := range s.routes() {
		if o.integration["httpMethod"] != "POST" {
			report(o.at("httpMethod"), "want POST, which Lambda's Invoke requires, got %v", o.integration["httpMethod"])
		}
	}
}

var invocation = regexp.MustCompile(
	`^arn:\$\{AWS::Partition\}:apigateway:\$\{AWS::Region\}:lambda:path/2015-03-31/functions/(\$\{[^}]*\})/invocations$`)

// target returns the alias that an operation invokes.
func (s *checkedTemplate) target(o operation) (alias resource, ok bool) {
	match := invocation.FindStringSubmatch(cfn.Text(o.integration["uri"]))
	if match == nil {
		return resource{}, false
	}
	return s.referred(match[1], aliasType, "", "AliasArn")
}

func integrationURI(s *checkedTemplate, report report) {
	for _, o := range s.routes() {
		if _, ok := s.target(o); !ok {
			report(o.at("uri"), "got %q, want Lambda's Invoke of the function's alias, "+
				"arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Alias}/invocations",
				cfn.Text(o.integration["uri"]))
		}
	}
}

// integrationTimeout checks that a function times out before API Gateway does. Otherwise a write can take effect after
// the client has received an error.
func integrationTimeout(s *checkedTemplate, report report) {
	for _, o := range s.routes() {
		limit, given := number(o.integration["timeoutInMillis"])
		if !given {
			limit = template.MaxIntegrationTimeout
		}
		if limit > template.MaxIntegrationTimeout {
			report(o.at("timeoutInMillis"), "got %v, want at most %d ms, the maximum of API Gateway",
				limit, template.MaxIntegrationTimeout)
		}
		alias, ok := s.target(o)
		if !ok {
			continue // integration-uri
		}
		function, ok := s.function(alias.properties["FunctionName"])
		if timeout, _ := number(function.properties["Timeout"]); ok && timeout*1000 >= limit {
			report(function.path("Timeout"), "got %v s, want less than the integration timeout, %v ms",
				timeout, limit)
		}
	}
}

func integrationMissing(s *checkedTemplate, report report) {
	for _, api := range s.all(restAPIType) {
		found := operations(api)
		if len(found) == 0 {
			report(api.path("Body"), "no operation: render it from the contract")
		}
		for _, o := range found {
			if kind := cfn.Text(o.integration["type"]); kind != "aws_proxy" && kind != "mock" {
				report(o.at("type"), "got %q, want aws_proxy or mock", kind)
			}
		}
	}
}

// head checks that GET and HEAD have the same integration (RFC 9110 §9.1). API Gateway does not derive HEAD from GET.
func head(s *checkedTemplate, report report) {
	for _, api := range s.all(restAPIType) {
		paths := cfn.Mapping(api.properties, "Body", "paths")
		for _, route := range slices.Sorted(maps.Keys(paths)) {
			get := cfn.At(paths, route, "get", template.IntegrationKey)
			head := cfn.At(paths, route, "head", template.IntegrationKey)
			if !reflect.DeepEqual(get, head) {
				report(api.path("Body", "paths", route), "want the same integration for GET and HEAD")
			}
		}
	}
}

// bodyReference checks that each $ref refers to a part of the Body. API Gateway imports no others.
func bodyReference(s *checkedTemplate, report report) {
	unescape := strings.NewReplacer("~1", "/", "~0", "~") // RFC 6901
	for _, api := range s.all(restAPIType) {
		body := api.properties["Body"]
		cfn.Walk(api.path("Body"), body, func(path string, o object) {
			reference, ok := o["$ref"].(string)
			if !ok {
				return
			}
			pointer, local := strings.CutPrefix(reference, "#/")
			keys := strings.Split(pointer, "/")
			for i, key := range keys {
				keys[i] = unescape.Replace(key)
			}
			if !local || cfn.At(body, keys...) == nil {
				report(path+".$ref", "%s is not in the Body", reference)
			}
		})
	}
}

// requestValidator checks that a defined validator validates the parameters of each route.
func requestValidator(s *checkedTemplate, report report) {
	const key, definitions = template.ValidatorKey, template.ValidatorsKey
	for _, o := range s.routes() {
		path, name := o.path+"."+key, o.content[key]
		if name == nil {
			path, name = o.api.path("Body", key), cfn.At(o.api.properties, "Body", key)
		}
		if cfn.At(o.api.properties, "Body", definitions, cfn.Text(name), "validateRequestParameters") != true {
			report(path, "%q is not a validator of parameters: define it in %s", cfn.Text(name), definitions)
		}
	}
}

// authorization checks that each documented operation has the security scheme of the parameter Authorization. API
// Gateway ignores security at the root of the Body.
func authorization(s *checkedTemplate, report report) {
	mode, ok := s.parameters[template.AuthorizationParameter]
	if !ok {
		mode = template.AuthorizationIAM
	}
	for _, api := range s.all(restAPIType) {
		if _, ok := cfn.At(api.properties, "Body", "security").([]any); ok {
			report(api.path("Body", "security"), "API Gateway ignores it here: set it for each operation")
		}
	}
	for _, o := range s.documented() {
		path, requirements := o.path+".security", list(o.content["security"])
		if mode == template.AuthorizationNone {
			if len(requirements) > 0 {
				report(path, "want no authorization, because Authorization is NONE")
			}
			continue
		}
		if len(requirements) != 1 || len(cfn.Mapping(requirements[0])) != 1 {
			report(path, "want exactly one scheme, that of Authorization %s", mode)
			continue
		}
		for name := range cfn.Mapping(requirements[0]) {
			scheme := cfn.Mapping(o.api.properties, "Body", "components", "securitySchemes", name)
			if fault := s.fault(mode, scheme); fault != "" {
				report(path, "the scheme %s is not that of Authorization %s: %s", name, mode, fault)
			}
		}
	}
}

// fault describes what is wrong with a security scheme, or returns "" ("x-amazon-apigateway-authtype",
// "x-amazon-apigateway-authorizer").
func (s *checkedTemplate) fault(mode string, scheme object) string {
	const typeKey, authorizerKey = template.AuthTypeKey, template.AuthorizerKey
	header, authType := template.AuthorizationHeader, ""
	switch mode {
	case template.AuthorizationIAM:
		authType = "awsSigv4"
	case template.AuthorizationCognito:
		authType = "cognito_user_pools"
		if kind := cfn.At(scheme, authorizerKey, "type"); kind != authType {
			return fmt.Sprintf("the type of its authorizer is %v, want %s", kind, authType)
		}
		pools := list(cfn.At(scheme, authorizerKey, "providerARNs"))
		if len(pools) != 1 || cfn.Text(pools[0]) == "" || cfn.Text(pools[0]) != s.parameters["UserPoolArn"] {
			return "its providerARNs must have only UserPoolArn"
		}
	case template.AuthorizationAPIKey:
		header = template.APIKeyHeader
	default:
		return "the value of Authorization is unknown"
	}
	switch {
	case scheme["type"] != "apiKey" || scheme["in"] != "header" || !strings.EqualFold(cfn.Text(scheme["name"]), header):
		return fmt.Sprintf("want an apiKey in the header %s", header)
	case cfn.Text(scheme[typeKey]) != authType:
		return fmt.Sprintf("its %s is %q, want %q", typeKey, cfn.Text(scheme[typeKey]), authType)
	default:
		return ""
	}
}

// preflight checks that OPTIONS has no authorization. A browser sends no credentials with a preflight (Fetch, §3.2.2
// HTTP requests).
func preflight(s *checkedTemplate, report report) {
	for _, api := range s.all(restAPIType) {
		for _, o := range operations(api) {
			if o.method == "OPTIONS" && len(list(o.content["security"])) > 0 {
				report(o.path+".security", "browsers send preflights without credentials: remove the authorization of OPTIONS")
			}
		}
	}
}

var pathParameter = regexp.MustCompile(`\{[^}]*\}`)

// sources returns the source ARNs that allow requests to an operation ("Control access to a REST API", execute-api).
func (s *checkedTemplate) sources(o operation) []string {
	var found []string
	for _, stage := range s.all(stageType) {
		if _, ok := s.referred(stage.properties["RestApiId"], restAPIType); !ok {
			continue
		}
		for _, name := range []string{cfn.Text(stage.properties["StageName"]), "${" + stage.id + "}"} {
			found = append(found, "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${"+o.api.id+"}/"+name+"/"+
				o.method+pathParameter.ReplaceAllString(o.route, "*"))
		}
	}
	return found
}

// permission checks that API Gateway may invoke the alias of each function for exactly its routes.
func permission(s *checkedTemplate, report report) {
	const permissionType = "AWS::Lambda::Permission"
	needed := map[string]bool{} // the ids of permissions
	for _, o := range s.routes() {
		alias, ok := s.target(o)
		if !ok {
			continue // integration-uri
		}
		sources := s.sources(o)
		allowed := false
		for _, p := range s.all(permissionType) {
			called, isAlias := s.referred(p.properties["FunctionName"], aliasType, "", "AliasArn")
			if isAlias && called.id == alias.id && slices.Contains(sources, cfn.Text(p.properties["SourceArn"])) &&
				p.properties["Action"] == "lambda:InvokeFunction" && p.properties["Principal"] == "apigateway.amazonaws.com" {
				allowed, needed[p.id] = true, true
			}
		}
		if !allowed {
			report(o.path,
				"API Gateway may not invoke %s for it: add an AWS::Lambda::Permission with this alias and the SourceArn %s",
				alias.id, strings.Join(sources, " or "))
		}
	}
	for _, p := range s.all(permissionType) {
		if !needed[p.id] {
			report(p.path("SourceArn"), "no route needs it: want a permission for one alias and exactly one of its routes")
		}
	}
}

// deployment checks that a stage has a deployment of its own API.
func deployment(s *checkedTemplate, report report) {
	for _, stage := range s.all(stageType) {
		api, ok := s.referred(stage.properties["RestApiId"], restAPIType)
		if !ok {
			report(stage.path("RestApiId"), "want the Ref of an API")
		}
		deployed, ok := s.referred(stage.properties["DeploymentId"], "AWS::ApiGateway::Deployment", "", "DeploymentId")
		if !ok {
			report(stage.path("DeploymentId"), "got %q, want the Ref of an AWS::ApiGateway::Deployment",
				cfn.Text(stage.properties["DeploymentId"]))
			continue
		}
		if of, ok := s.referred(deployed.properties["RestApiId"], restAPIType); !ok || of.id != api.id {
			report(deployed.path("RestApiId"), "want the Ref of the API of the stage, %s", api.id)
		}
	}
}

// usagePlan checks that API keys belong to a usage plan with the stage, which API Gateway requires. A plan that
// refers to a stage by a plain string is created before the stage, and fails.
func usagePlan(s *checkedTemplate, report report) {
	const planType = "AWS::ApiGateway::UsagePlan"
	planned := map[string]bool{} // the ids of stages
	for _, plan := range s.all(planType) {
		for i, of := range list(plan.properties["ApiStages"]) {
			for _, stage := range s.all(stageType) {
				_, byRef := s.referred(cfn.At(of, "Stage"), stageType)
				switch name := cfn.Text(of, "Stage"); {
				case name != "${"+stage.id+"}" && name != cfn.Text(stage.properties["StageName"]):
				case !byRef && !slices.Contains(list(plan.attributes["DependsOn"]), any(stage.id)):
					report(plan.path("ApiStages", strconv.Itoa(i)), "it is created before its stage: add DependsOn %s", stage.id)
					planned[stage.id] = true
				default:
					planned[stage.id] = cfn.Text(of, "ApiId") == cfn.Text(stage.properties["RestApiId"])
				}
			}
		}
		if !slices.ContainsFunc(s.all("AWS::ApiGateway::UsagePlanKey"), func(key resource) bool {
			of, ok := s.referred(key.properties["UsagePlanId"], planType, "", "Id")
			_, isKey := s.referred(key.properties["KeyId"], "AWS::ApiGateway::ApiKey", "", "APIKeyId")
			return ok && of.id == plan.id && isKey
		}) {
			report("Resources."+plan.id, "it has no key: add an AWS::ApiGateway::UsagePlanKey")
		}
	}
	if s.parameters[template.AuthorizationParameter] != template.AuthorizationAPIKey {
		return
	}
	for _, stage := range s.all(stageType) {
		if !planned[stage.id] {
			report("Resources."+stage.id, "it requires API keys, but is in no usage plan: add it to the ApiStages of one")
		}
	}
}

func stageTracing(s *checkedTemplate, report report) {
	for _, stage := range s.all(stageType) {
		if cfn.Text(stage.properties["TracingEnabled"]) != "true" {
			report(stage.path("TracingEnabled"), "its requests are not traced: set it to true")
		}
	}
}

func stageLog(s *checkedTemplate, report report) {
	for _, stage := range s.all(stageType) {
		settings := stage.properties["AccessLogSetting"]
		destination := strings.TrimSuffix(cfn.Text(settings, "DestinationArn"), ":*")
		_, byAttribute := s.referred(destination, logGroupType, "Arn")
		if !byAttribute && !s.namesLogGroup(destination) {
			report(stage.path("AccessLogSetting", "DestinationArn"),
				"got %q, want the ARN of a log group of this template", destination)
		}
		if !strings.Contains(cfn.Text(settings, "Format"), "$context.requestId") {
			report(stage.path("AccessLogSetting", "Format"), "want $context.requestId, by which lines are found")
		}
	}
}

// stageExecutionLog checks that the stage depends on its log group and on the account's role. API Gateway creates a log
// group without retention if none has the name ("CloudWatch log formats for API Gateway").
func stageExecutionLog(s *checkedTemplate, report report) {
	for _, stage := range s.all(stageType) {
		if !slices.ContainsFunc(list(stage.properties["MethodSettings"]), func(setting any) bool {
			level := cfn.Text(setting, "LoggingLevel")
			return level != "" && level != "OFF"
		}) {
			continue
		}
		name := "API-Gateway-Execution-Logs_" + cfn.Text(stage.properties["RestApiId"]) + "/" +
			cfn.Text(stage.properties["StageName"])
		if !slices.ContainsFunc(s.all(logGroupType), func(group resource) bool {
			return cfn.Text(group.properties["LogGroupName"]) == name && stage.after(group)
		}) {
			report("Resources."+stage.id+".DependsOn",
				"API Gateway would create its log group without retention: add a dependency on one with the name %s",
				name)
		}
		for _, account := range s.all(accountType) {
			if !stage.after(account) {
				report("Resources."+stage.id, "it would log before the account has a role: add a reference to %s", account.id)
			}
		}
	}
}

// accountRole checks that the account's role is set after an API is created. API Gateway rejects the role of an account
// that never had an API.
func accountRole(s *checkedTemplate, report report) {
	for _, account := range s.all(accountType) {
		if !slices.ContainsFunc(s.all(restAPIType), account.after) {
			report("Resources."+account.id+".DependsOn",
				"an account that never had an API rejects the role: add a dependency on the API")
		}
	}
}

// namesLogGroup reports whether an ARN ends in the name of a log group of the template.
func (s *checkedTemplate) namesLogGroup(arn string) bool {
	_, name, ok := strings.Cut(arn, ":log-group:")
	return ok && slices.ContainsFunc(s.all(logGroupType), func(group resource) bool {
		return name == "${"+group.id+"}" || name == cfn.Text(group.properties["LogGroupName"])
	})
}

// settings returns the settings of a stage for all methods, or nil.
func settings(stage resource) object {
	for _, setting := range list(stage.properties["MethodSettings"]) {
		if cfn.At(setting, "HttpMethod") == "*" && cfn.At(setting, "ResourcePath") == "/*" {
			return cfn.Mapping(setting)
		}
	}
	return nil
}

// stageMetrics checks that the metrics by method, which are billed, are on only if they are used. API Gateway publishes
// those of the stage at no charge ("Amazon API Gateway dimensions and metrics").
func stageMetrics(s *checkedTemplate, report report) {
	byMethod := false
	for _, a := range s.all(alarmType) {
		byMethod = byMethod || slices.ContainsFunc(metrics(a), func(m metric) bool { return m.dimensions["Method"] != "" })
	}
	for _, dashboard := range s.all("AWS::CloudWatch::Dashboard") {
		byMethod = byMethod || strings.Contains(cfn.Text(dashboard.properties["DashboardBody"]), `"Method"`)
	}
	for _, stage := range s.all(stageType) {
		for i, setting := range list(stage.properties["MethodSettings"]) {
			if cfn.Text(setting, "MetricsEnabled") == "true" && !byMethod {
				report(stage.path("MethodSettings", strconv.Itoa(i), "MetricsEnabled"), "set it to false: no alarm and no "+
					"dashboard uses the metrics by method, and each of them is billed as a custom metric")
			}
		}
	}
}

func stageThrottle(s *checkedTemplate, report report) {
	for _, stage := range s.all(stageType) {
		for _, key := range []string{"ThrottlingRateLimit", "ThrottlingBurstLimit"} {
			if n, ok := number(settings(stage)[key]); !ok || n <= 0 {
				report(stage.path("MethodSettings"),
					"set %s for all methods, * and /*: otherwise one client can exhaust the account's limit", key)
			}
		}
	}
}

// stageWebACL checks that each stage is associated with the web ACL of the parameter (AssociateWebACL, ResourceArn).
// The association must refer to the stage, because CloudFormation may otherwise create it first, which fails.
func stageWebACL(s *checkedTemplate, report report) {
	want := s.parameters["WebAclArn"]
	associations := s.all("AWS::WAFv2::WebACLAssociation")
	for _, a := range associations {
		if got := cfn.Text(a.properties["WebACLArn"]); got != want {
			report(a.path("WebACLArn"), "got %q, want the parameter WebAclArn, %q", got, want)
		}
	}
	if want == "" {
		return
	}
	for _, stage := range s.all(stageType) {
		arn := fmt.Sprintf("arn:${AWS::Partition}:apigateway:${AWS::Region}::/restapis/%s/stages/${%s}",
			cfn.Text(stage.properties["RestApiId"]), stage.id)
		associated := slices.ContainsFunc(associations, func(a resource) bool {
			return a.properties["ResourceArn"] == arn
		})
		if !associated {
			report("Resources."+stage.id, "it has no web ACL: associate %s", arn)
		}
	}
}

// dataTrace checks that API Gateway does not log bodies and headers, which have personal data and credentials.
func dataTrace(s *checkedTemplate, report report) {
	for _, stage := range s.all(stageType) {
		for i, setting := range list(stage.properties["MethodSettings"]) {
			if cfn.Text(setting, "DataTraceEnabled") == "true" {
				report(stage.path("MethodSettings", strconv.Itoa(i), "DataTraceEnabled"),
					"it logs bodies and credentials: set it to false")
			}
		}
	}
}
