package rules

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	restAPIType = "AWS::ApiGateway::RestApi"
	stageType   = "AWS::ApiGateway::Stage"
	accountType = "AWS::ApiGateway::Account"

	// gatewayLimit is the longest that a REST API waits for an integration, in milliseconds.
	gatewayLimit = 29_000

	integrationKey = "x-amazon-apigateway-integration"
	anyMethod      = "x-amazon-apigateway-any-method"
)

// operation is a method of a path in the Body of an API.
type operation struct {
	api         resource
	path        string // in the template
	route       string // such as /users/{userId}
	method      string // such as GET
	content     object
	integration object // nil where there is none
}

// operations returns all methods of an API in the order of their paths.
func operations(api resource) []operation {
	var found []operation
	paths := mapping(at(api.properties, "Body", "paths"))
	for _, route := range sortedKeys(paths) {
		item := mapping(paths[route])
		for _, key := range sortedKeys(item) {
			switch key {
			case "get", "put", "post", "delete", "options", "head", "patch", "trace", anyMethod:
				content := mapping(item[key])
				found = append(found, operation{
					api: api, path: api.path("Body", "paths", route, key), route: route, method: strings.ToUpper(key),
					content: content, integration: mapping(content[integrationKey]),
				})
			}
		}
	}
	return found
}

// routes returns the methods of all APIs that functions serve.
func (s *stack) routes() []operation {
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

// documented returns the methods of all APIs that readers are told of.
func (s *stack) documented() []operation {
	var found []operation
	for _, api := range s.all(restAPIType) {
		for _, o := range operations(api) {
			if o.method != "OPTIONS" && !strings.EqualFold(o.method, anyMethod) {
				found = append(found, o)
			}
		}
	}
	return found
}

func (o operation) at(key string) string { return o.path + "." + integrationKey + "." + key }

// Lambda's Invoke is a POST, whatever the method of the route; with any other, each call fails with a 500.
func integrationMethod(s *stack, report report) {
	for _, o := range s.routes() {
		if o.integration["httpMethod"] != "POST" {
			report(o.at("httpMethod"), "it is %v; API Gateway calls functions by POST", o.integration["httpMethod"])
		}
	}
}

var invocation = regexp.MustCompile(
	`^arn:\$\{AWS::Partition\}:apigateway:\$\{AWS::Region\}:lambda:path/2015-03-31/functions/(\$\{[^}]*\})/invocations$`)

// target returns the alias that an operation calls.
func (s *stack) target(o operation) (alias resource, ok bool) {
	match := invocation.FindStringSubmatch(text(o.integration["uri"]))
	if match == nil {
		return resource{}, false
	}
	return s.referred(match[1], aliasType, "", "AliasArn")
}

func integrationURI(s *stack, report report) {
	for _, o := range s.routes() {
		if _, ok := s.target(o); !ok {
			report(o.at("uri"), "it is %q; give Lambda's Invoke of the function's alias, "+
				"arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Alias}/invocations",
				text(o.integration["uri"]))
		}
	}
}

// A function that ends after the gateway stopped waiting has done what the client was told had failed.
func integrationTimeout(s *stack, report report) {
	for _, o := range s.routes() {
		limit, given := number(o.integration["timeoutInMillis"])
		if !given {
			limit = gatewayLimit
		}
		if limit > gatewayLimit {
			report(o.at("timeoutInMillis"), "it is %v; API Gateway waits for at most %d ms", limit, gatewayLimit)
		}
		alias, ok := s.target(o)
		if !ok {
			continue // integration-uri
		}
		function, ok := s.function(alias.properties["FunctionName"])
		if timeout, _ := number(function.properties["Timeout"]); ok && timeout*1000 >= limit {
			report(function.path("Timeout"), "it is %v s; a function must end before API Gateway stops waiting for it, after %v ms",
				timeout, limit)
		}
	}
}

func integrationMissing(s *stack, report report) {
	for _, api := range s.all(restAPIType) {
		found := operations(api)
		if len(found) == 0 {
			report(api.path("Body"), "it has no operation: render it from the contract")
		}
		for _, o := range found {
			if kind := text(o.integration["type"]); kind != "aws_proxy" && kind != "mock" {
				report(o.at("type"), "it is %q; an operation is served by a function, aws_proxy, or by the gateway itself, mock", kind)
			}
		}
	}
}

// head sees that HEAD is served as GET is, wherever GET is (RFC 9110 §9.1). API Gateway does not derive one from the
// other.
func head(s *stack, report report) {
	for _, api := range s.all(restAPIType) {
		paths := mapping(at(api.properties, "Body", "paths"))
		for _, route := range sortedKeys(paths) {
			get, head := at(paths, route, "get", integrationKey), at(paths, route, "head", integrationKey)
			if !reflect.DeepEqual(get, head) {
				report(api.path("Body", "paths", route), "HEAD is GET without the body: give both the same integration")
			}
		}
	}
}

// bodyReference sees to $ref, of which API Gateway imports only those within the document.
func bodyReference(s *stack, report report) {
	unescape := strings.NewReplacer("~1", "/", "~0", "~") // RFC 6901
	for _, api := range s.all(restAPIType) {
		body := api.properties["Body"]
		walk(api.path("Body"), body, func(path string, o object) {
			reference, ok := o["$ref"].(string)
			if !ok {
				return
			}
			pointer, local := strings.CutPrefix(reference, "#/")
			keys := strings.Split(pointer, "/")
			for i, key := range keys {
				keys[i] = unescape.Replace(key)
			}
			if !local || at(body, keys...) == nil {
				report(path+".$ref", "there is no %s in the Body", reference)
			}
		})
	}
}

// requestValidator sees that parameters are validated by a validator that there is.
func requestValidator(s *stack, report report) {
	const key, definitions = "x-amazon-apigateway-request-validator", "x-amazon-apigateway-request-validators"
	for _, o := range s.routes() {
		path, name := o.path+"."+key, o.content[key]
		if name == nil {
			path, name = o.api.path("Body", key), at(o.api.properties, "Body", key)
		}
		if at(o.api.properties, "Body", definitions, text(name), "validateRequestParameters") != true {
			report(path, "%q is no validator of parameters; define it in %s", text(name), definitions)
		}
	}
}

// authorization sees that each operation asks for what the parameter Authorization says, but for those that answer
// what there is not, and OPTIONS. API Gateway ignores what the Body says for all operations.
func authorization(s *stack, report report) {
	mode, ok := s.parameters["Authorization"]
	if !ok {
		mode = "AWS_IAM"
	}
	for _, api := range s.all(restAPIType) {
		if _, ok := at(api.properties, "Body", "security").([]any); ok {
			report(api.path("Body", "security"), "API Gateway ignores it here: say it for each operation")
		}
	}
	for _, o := range s.documented() {
		path, requirements := o.path+".security", list(o.content["security"])
		if mode == "NONE" {
			if len(requirements) > 0 {
				report(path, "it asks for authorization, but Authorization is NONE")
			}
			continue
		}
		if len(requirements) != 1 || len(mapping(requirements[0])) != 1 {
			report(path, "anyone can call it: it must name exactly one scheme, that of Authorization %s", mode)
			continue
		}
		for name := range mapping(requirements[0]) {
			scheme := mapping(at(o.api.properties, "Body", "components", "securitySchemes", name))
			if fault := s.fault(mode, scheme); fault != "" {
				report(path, "the scheme %s is not that of Authorization %s: %s", name, mode, fault)
			}
		}
	}
}

// fault tells what is wrong with a security scheme ("x-amazon-apigateway-authtype", "x-amazon-apigateway-authorizer").
func (s *stack) fault(mode string, scheme object) string {
	const typeKey, authorizerKey = "x-amazon-apigateway-authtype", "x-amazon-apigateway-authorizer"
	header, authType := "Authorization", ""
	switch mode {
	case "AWS_IAM":
		authType = "awsSigv4"
	case "COGNITO_USER_POOLS":
		authType = "cognito_user_pools"
		if kind := at(scheme, authorizerKey, "type"); kind != authType {
			return fmt.Sprintf("its authorizer's type is %v, not %s", kind, authType)
		}
		pools := list(at(scheme, authorizerKey, "providerARNs"))
		if len(pools) != 1 || text(pools[0]) == "" || text(pools[0]) != s.parameters["UserPoolArn"] {
			return "its providerARNs must be UserPoolArn alone"
		}
	case "API_KEY":
		header = "x-api-key"
	default:
		return "there is no such way to authorize"
	}
	switch {
	case scheme["type"] != "apiKey" || scheme["in"] != "header" || !strings.EqualFold(text(scheme["name"]), header):
		return fmt.Sprintf("it must be an apiKey in the header %s", header)
	case text(scheme[typeKey]) != authType:
		return fmt.Sprintf("its %s is %q, not %q", typeKey, text(scheme[typeKey]), authType)
	default:
		return ""
	}
}

// A browser sends no credentials with a preflight (Fetch, §3.2.2 HTTP requests).
func preflight(s *stack, report report) {
	for _, api := range s.all(restAPIType) {
		for _, o := range operations(api) {
			if o.method == "OPTIONS" && len(list(o.content["security"])) > 0 {
				report(o.path+".security", "browsers send preflights without credentials: leave OPTIONS open")
			}
		}
	}
}

var pathParameter = regexp.MustCompile(`\{[^}]*\}`)

// source returns the ARNs by which a call of an operation can be allowed ("Control access to a REST API", execute-api).
func (s *stack) sources(o operation) []string {
	var found []string
	for _, stage := range s.all(stageType) {
		if _, ok := s.referred(stage.properties["RestApiId"], restAPIType); !ok {
			continue
		}
		for _, name := range []string{text(stage.properties["StageName"]), "${" + stage.id + "}"} {
			found = append(found, "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${"+o.api.id+"}/"+name+"/"+
				o.method+pathParameter.ReplaceAllString(o.route, "*"))
		}
	}
	return found
}

// permission sees that API Gateway may call each function, by its alias, for exactly the routes that it serves.
func permission(s *stack, report report) {
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
			if isAlias && called.id == alias.id && slices.Contains(sources, text(p.properties["SourceArn"])) &&
				p.properties["Action"] == "lambda:InvokeFunction" && p.properties["Principal"] == "apigateway.amazonaws.com" {
				allowed, needed[p.id] = true, true
			}
		}
		if !allowed {
			report(o.path, "API Gateway may not call %s for it: add an AWS::Lambda::Permission with this alias and the SourceArn %s",
				alias.id, strings.Join(sources, " or "))
		}
	}
	for _, p := range s.all(permissionType) {
		if !needed[p.id] {
			report(p.path("SourceArn"), "it allows what no route needs: each permission is for one alias and exactly one route it serves")
		}
	}
}

// deployment sees that a stage serves a deployment of its own API.
func deployment(s *stack, report report) {
	for _, stage := range s.all(stageType) {
		api, ok := s.referred(stage.properties["RestApiId"], restAPIType)
		if !ok {
			report(stage.path("RestApiId"), "it must be the Ref of an API")
		}
		deployed, ok := s.referred(stage.properties["DeploymentId"], "AWS::ApiGateway::Deployment", "", "DeploymentId")
		if !ok {
			report(stage.path("DeploymentId"), "it is %q; it must be the Ref of an AWS::ApiGateway::Deployment",
				text(stage.properties["DeploymentId"]))
			continue
		}
		if of, ok := s.referred(deployed.properties["RestApiId"], restAPIType); !ok || of.id != api.id {
			report(deployed.path("RestApiId"), "it must be the Ref of the API of the stage, %s", api.id)
		}
	}
}

// usagePlan sees that keys are worth something where they are asked for: a key opens a stage only by a plan. A plan
// that names a stage by a text is made before it, which fails.
func usagePlan(s *stack, report report) {
	const planType = "AWS::ApiGateway::UsagePlan"
	planned := map[string]bool{} // the ids of stages
	for _, plan := range s.all(planType) {
		for i, of := range list(plan.properties["ApiStages"]) {
			for _, stage := range s.all(stageType) {
				_, byRef := s.referred(at(of, "Stage"), stageType)
				switch name := text(at(of, "Stage")); {
				case name != "${"+stage.id+"}" && name != text(stage.properties["StageName"]):
				case !byRef && !slices.Contains(list(plan.attributes["DependsOn"]), any(stage.id)):
					report(plan.path("ApiStages", strconv.Itoa(i)), "it is made before the stage that it names: add DependsOn %s", stage.id)
					planned[stage.id] = true
				default:
					planned[stage.id] = text(at(of, "ApiId")) == text(stage.properties["RestApiId"])
				}
			}
		}
		if !slices.ContainsFunc(s.all("AWS::ApiGateway::UsagePlanKey"), func(key resource) bool {
			of, ok := s.referred(key.properties["UsagePlanId"], planType, "", "Id")
			_, isKey := s.referred(key.properties["KeyId"], "AWS::ApiGateway::ApiKey", "", "APIKeyId")
			return ok && of.id == plan.id && isKey
		}) {
			report("Resources."+plan.id, "no key belongs to it: add an AWS::ApiGateway::UsagePlanKey")
		}
	}
	if s.parameters["Authorization"] != "API_KEY" {
		return
	}
	for _, stage := range s.all(stageType) {
		if !planned[stage.id] {
			report("Resources."+stage.id, "it asks for API keys, but none opens it: add it to the ApiStages of a usage plan")
		}
	}
}

func stageTracing(s *stack, report report) {
	for _, stage := range s.all(stageType) {
		if text(stage.properties["TracingEnabled"]) != "true" {
			report(stage.path("TracingEnabled"), "X-Ray would not see its requests: set it to true")
		}
	}
}

func stageLog(s *stack, report report) {
	for _, stage := range s.all(stageType) {
		settings := stage.properties["AccessLogSetting"]
		destination := strings.TrimSuffix(text(at(settings, "DestinationArn")), ":*")
		_, byAttribute := s.referred(destination, logGroupType, "Arn")
		if !byAttribute && !s.namesLogGroup(destination) {
			report(stage.path("AccessLogSetting", "DestinationArn"),
				"it is %q; requests must be logged: give the ARN of a log group of this template", destination)
		}
		if !strings.Contains(text(at(settings, "Format")), "$context.requestId") {
			report(stage.path("AccessLogSetting", "Format"), "without $context.requestId no line can be found by a client's report")
		}
	}
}

// stageExecutionLog sees that API Gateway finds what it logs to and with: it makes the log group, which would keep
// its lines for ever, when there is none of the name ("CloudWatch log formats for API Gateway"), and writes with the
// account's role.
func stageExecutionLog(s *stack, report report) {
	for _, stage := range s.all(stageType) {
		if !slices.ContainsFunc(list(stage.properties["MethodSettings"]), func(setting any) bool {
			level := text(at(setting, "LoggingLevel"))
			return level != "" && level != "OFF"
		}) {
			continue
		}
		name := "API-Gateway-Execution-Logs_" + text(stage.properties["RestApiId"]) + "/" + text(stage.properties["StageName"])
		if !slices.ContainsFunc(s.all(logGroupType), func(group resource) bool {
			return text(group.properties["LogGroupName"]) == name && stage.after(group)
		}) {
			report("Resources."+stage.id+".DependsOn", "its log group would be made without retention: let it depend on one that is named %s",
				name)
		}
		for _, account := range s.all(accountType) {
			if !stage.after(account) {
				report("Resources."+stage.id, "it logs before the account has a role to log with: let it refer to %s", account.id)
			}
		}
	}
}

// accountRole sees that an account has an API when it is given a role, which API Gateway demands of one that never
// had any.
func accountRole(s *stack, report report) {
	for _, account := range s.all(accountType) {
		if !slices.ContainsFunc(s.all(restAPIType), account.after) {
			report("Resources."+account.id+".DependsOn", "an account that never had an API takes no role: let it depend on the API")
		}
	}
}

// namesLogGroup tells whether an ARN ends in the name of a log group.
func (s *stack) namesLogGroup(arn string) bool {
	_, name, ok := strings.Cut(arn, ":log-group:")
	return ok && slices.ContainsFunc(s.all(logGroupType), func(group resource) bool {
		return name == "${"+group.id+"}" || name == text(group.properties["LogGroupName"])
	})
}

// settings returns what a stage says for all of its methods, nil where it says nothing.
func settings(stage resource) object {
	for _, setting := range list(stage.properties["MethodSettings"]) {
		if at(setting, "HttpMethod") == "*" && at(setting, "ResourcePath") == "/*" {
			return mapping(setting)
		}
	}
	return nil
}

func stageMetrics(s *stack, report report) {
	for _, stage := range s.all(stageType) {
		if text(settings(stage)["MetricsEnabled"]) != "true" {
			report(stage.path("MethodSettings"), "set MetricsEnabled for all methods, * and /*")
		}
	}
}

func stageThrottle(s *stack, report report) {
	for _, stage := range s.all(stageType) {
		for _, key := range []string{"ThrottlingRateLimit", "ThrottlingBurstLimit"} {
			if n, ok := number(settings(stage)[key]); !ok || n <= 0 {
				report(stage.path("MethodSettings"), "set %s for all methods, * and /*: without it one client can use up the account's",
					key)
			}
		}
	}
}

// stageWebACL reports a stage that is not associated with the web ACL of the parameter, by the form of ARN that AWS WAF
// takes (AssociateWebACL, ResourceArn). The association must refer to the stage itself: otherwise it may be created
// first, and fail.
func stageWebACL(s *stack, report report) {
	want := s.parameters["WebAclArn"]
	associations := s.all("AWS::WAFv2::WebACLAssociation")
	for _, a := range associations {
		if got := text(a.properties["WebACLArn"]); got != want {
			report(a.path("WebACLArn"), "it is %q; it must be the parameter WebAclArn, which is %q", got, want)
		}
	}
	for _, stage := range s.all(stageType) {
		arn := fmt.Sprintf("arn:${AWS::Partition}:apigateway:${AWS::Region}::/restapis/%s/stages/${%s}",
			text(stage.properties["RestApiId"]), stage.id)
		associated := slices.ContainsFunc(associations, func(a resource) bool {
			return a.properties["ResourceArn"] == arn
		})
		if want != "" && !associated {
			report("Resources."+stage.id, "it has no web ACL: associate %s", arn)
		}
	}
}

// dataTrace keeps bodies and headers, which are personal and hold credentials, out of the logs.
func dataTrace(s *stack, report report) {
	for _, stage := range s.all(stageType) {
		for i, setting := range list(stage.properties["MethodSettings"]) {
			if text(at(setting, "DataTraceEnabled")) == "true" {
				report(stage.path("MethodSettings", strconv.Itoa(i), "DataTraceEnabled"), "it logs bodies and credentials: set it to false")
			}
		}
	}
}
