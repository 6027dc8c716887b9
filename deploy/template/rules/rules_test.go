package rules_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/cfn"
	"github.com/userrequestapi/userdata/deploy/template"
	"github.com/userrequestapi/userdata/deploy/template/rules"
)

type object = map[string]any

// full returns parameters with which nearly all resources exist.
func full() map[string]string {
	return map[string]string{
		"Authorization": "AWS_IAM", "Monitoring": "true", "DeploymentPreference": "Canary10Percent5Minutes",
		"AlarmEmail": "alarms@example.org", "ApiGatewayLogsRole": "Create",
	}
}

func with(changes map[string]string) map[string]string {
	parameters := full()
	maps.Copy(parameters, changes)
	return parameters
}

// project returns a function that renders the fixture's template with packages for the functions. It reads the template
// once.
//
//nolint:gochecknoglobals // read once, never changed
var project = sync.OnceValue(func() func(map[string]string) (*template.Rendered, error) {
	fail := func(err error) func(map[string]string) (*template.Rendered, error) {
		return func(map[string]string) (*template.Rendered, error) { return nil, err }
	}
	loaded, err := template.Load(os.DirFS("../../testdata/service/deploy"))
	if err != nil {
		return fail(err)
	}
	plain, err := loaded.Render(template.Options{})
	if err != nil {
		return fail(err)
	}
	stack, err := plain.Resolve(template.PseudoParameters{Region: "eu-central-1", AccountID: "123456789012", StackName: "users"})
	if err != nil {
		return fail(err)
	}
	code := map[string]string{}
	for _, f := range stack.Functions() {
		code[f.LogicalID] = "functions/" + f.LogicalID + ".zip"
	}
	return func(parameters map[string]string) (*template.Rendered, error) {
		return loaded.Render(template.Options{Parameters: parameters, Code: code})
	}
})

// render returns the rendered template in JSON and all of its parameters.
func render(t *testing.T, parameters map[string]string) ([]byte, map[string]string) {
	t.Helper()
	rendered, err := project()(parameters)
	if err != nil {
		t.Fatal(err)
	}
	return rendered.JSON(), rendered.Parameters()
}

// decoded is a decoded rendered template.
type decoded struct {
	document   object
	parameters map[string]string
}

// documents caches the decoded templates of the mutations by parameters.
var documents sync.Map //nolint:gochecknoglobals // rendered once, never changed

// document returns a copy of the rendered template, which the caller may change.
func document(t *testing.T, given map[string]string) decoded {
	t.Helper()
	once, _ := documents.LoadOrStore(fmt.Sprint(given), sync.OnceValues(func() (decoded, error) {
		rendered, err := project()(given)
		if err != nil {
			return decoded{}, err
		}
		d := decoded{parameters: rendered.Parameters()}
		return d, json.Unmarshal(rendered.JSON(), &d.document)
	}))
	d, err := once.(func() (decoded, error))()
	if err != nil {
		t.Fatal(err)
	}
	return decoded{cfn.Clone(d.document), d.parameters}
}

func check(t *testing.T, document []byte, parameters map[string]string) []rules.Violation {
	t.Helper()
	violations, err := rules.Check(document, parameters)
	if err != nil {
		t.Fatal(err)
	}
	return violations
}

// TestNoViolation checks that the rules allow the fixture, which the mutations change.
func TestNoViolation(t *testing.T) {
	t.Parallel()
	for _, parameters := range append(rules.Variants(), nil, full()) {
		t.Run(strings.ReplaceAll(fmt.Sprint(parameters), " ", ","), func(t *testing.T) {
			t.Parallel()
			document, parameters := render(t, parameters)
			for _, violation := range check(t, document, parameters) {
				t.Error(violation)
			}
		})
	}
}

// place is a path of keys and indices in a document. The first key after Resources may be a prefix of a logical ID.
type place []string

func at(words string) place { return strings.Split(words, " ") }

// in returns the parent of the place and its last key.
func (p place) in(t *testing.T, document object) (holder any, key string) {
	t.Helper()
	holder = document
	for i, key := range p[:len(p)-1] {
		switch v := holder.(type) {
		case object:
			if i == 1 {
				key = logicalID(t, v, key)
			}
			holder = v[key]
		case []any:
			index, err := strconv.Atoi(key)
			if err != nil {
				t.Fatal(err)
			}
			holder = v[index]
		}
		if holder == nil {
			t.Fatalf("%v: no key %s", p, key)
		}
	}
	key = p[len(p)-1]
	if o, ok := holder.(object); ok && len(p) == 2 && o[key] == nil {
		if matches := slices.DeleteFunc(slices.Collect(maps.Keys(o)), func(id string) bool { return !strings.HasPrefix(id, key) }); len(matches) == 1 {
			key = matches[0]
		}
	}
	return holder, key
}

// logicalID returns the logical ID that begins with prefix: IDs of versions and deployments end in a digest.
func logicalID(t *testing.T, resources object, prefix string) string {
	t.Helper()
	if resources[prefix] != nil {
		return prefix
	}
	for id := range resources {
		if strings.HasPrefix(id, prefix) {
			return id
		}
	}
	t.Fatalf("no logical ID begins with %s", prefix)
	return ""
}

// change changes a document.
type change func(t *testing.T, document object)

func set(where string, value any) change {
	return func(t *testing.T, document object) {
		t.Helper()
		value := asJSON(t, value)
		switch holder, key := at(where).in(t, document); h := holder.(type) {
		case object:
			h[key] = value
		case []any:
			index, err := strconv.Atoi(key)
			if err != nil {
				t.Fatal(err)
			}
			h[index] = value
		}
	}
}

// asJSON returns a value after encoding and decoding it as JSON.
func asJSON(t *testing.T, value any) (read any) {
	t.Helper()
	encoded, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(encoded, &read); err != nil {
		t.Fatal(err)
	}
	return read
}

func drop(where string) change {
	return func(t *testing.T, document object) {
		t.Helper()
		holder, key := at(where).in(t, document)
		o, ok := holder.(object)
		if _, there := o[key]; !ok || !there {
			t.Fatalf("%s: nothing to drop", where)
		}
		delete(o, key)
	}
}

// replace replaces a substring of a string, which must contain it.
func replace(where, old, replacement string) change {
	return func(t *testing.T, document object) {
		t.Helper()
		holder, key := at(where).in(t, document)
		var value string
		switch h := holder.(type) {
		case object:
			value, _ = h[key].(string)
		case []any:
			index, err := strconv.Atoi(key)
			if err != nil {
				t.Fatal(err)
			}
			value, _ = h[index].(string)
		}
		if !strings.Contains(value, old) {
			t.Fatalf("%s is %q, want it to contain %q", where, value, old)
		}
		set(where, strings.ReplaceAll(value, old, replacement))(t, document)
	}
}

// all applies several changes.
func all(changes ...change) change {
	return func(t *testing.T, document object) {
		t.Helper()
		for _, c := range changes {
			c(t, document)
		}
	}
}

func ref(name string) object { return object{"Ref": name} }

func getAtt(id, attribute string) object { return object{"Fn::GetAtt": []any{id, attribute}} }

const (
	paths       = "Resources Api Properties Body paths"
	post        = paths + " /users post"
	integration = post + " x-amazon-apigateway-integration"
	parts       = "Resources Api Properties Body x-amazon-apigateway-documentation documentationParts "
	getPolicy   = "Resources GetRole Properties Policies 0 PolicyDocument Statement "
	schemes     = "Resources Api Properties Body components securitySchemes "
	variables   = "Resources GetFunction Properties Environment Variables "
	settings    = "Resources ApiStage Properties MethodSettings 0 "
)

func index(name, projection string, attributes ...string) object {
	return object{"IndexName": name, "Projection": object{"ProjectionType": projection, "NonKeyAttributes": attributes}}
}

// mutation is a mistake and the rules that it violates.
type mutation struct {
	name       string
	parameters map[string]string // nil: full
	change     change
	rules      string // all violated rules
	path       string // prefix of the path of a violation
}

func mutations() []mutation {
	key := with(map[string]string{"Authorization": "API_KEY"})
	cognito := with(map[string]string{
		"Authorization": "COGNITO_USER_POOLS", "UserPoolArn": "arn:aws:cognito-idp:eu-central-1:123456789012:userpool/eu-central-1_A",
	})
	none := with(map[string]string{"Authorization": "NONE"})
	const kmsKey = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
	guarded := with(map[string]string{
		"WebAclArn": "arn:aws:wafv2:eu-central-1:123456789012:regional/webacl/users/1234abcd",
	})
	encrypted := with(map[string]string{"KmsKeyArn": kmsKey})
	api := "Resources.Api.Properties.Body"
	throughput := object{"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}
	return []mutation{
		{"Ref", nil, set(variables+"TABLE_NAME", ref("Tabel")), "reference role-scope", "Resources.GetFunction.Properties.Environment.Variables.TABLE_NAME.Ref"},
		{"Fn::GetAtt", nil, set("Outputs ApiId Value", getAtt("Apis", "RestApiId")), "reference", "Outputs.ApiId.Value.Fn::GetAtt"},
		{"short Fn::GetAtt", nil, set("Outputs ApiId Value", object{"Fn::GetAtt": "Apis.RestApiId"}), "reference", "Outputs.ApiId.Value.Fn::GetAtt"},
		{"Fn::GetAtt without an attribute", nil, set("Outputs ApiId Value", object{"Fn::GetAtt": "Api"}), "reference", "Outputs.ApiId.Value.Fn::GetAtt"},
		{"Fn::Sub", nil, set("Outputs ApiId Value", object{"Fn::Sub": "${Apis}"}), "reference", "Outputs.ApiId.Value.Fn::Sub"},
		{"Fn::Sub with variables", nil, set("Outputs ApiId Value", object{"Fn::Sub": []any{"${A}${Apis.Id}", object{"A": "a"}}}), "reference", "Outputs.ApiId.Value.Fn::Sub"},
		{"Fn::Sub without a string", nil, set("Outputs ApiId Value", object{"Fn::Sub": []any{}}), "reference", "Outputs.ApiId.Value.Fn::Sub"},
		{"pseudo parameter", nil, set("Outputs ApiId Value", ref("AWS::Regio")), "reference", "Outputs.ApiId.Value.Ref"},
		{"DependsOn", nil, set("Resources ApiStage DependsOn 0", "Apis"), "reference stage-execution-log", "Resources.ApiStage.DependsOn"},
		{"Condition", nil, set("Outputs ApiId Condition", "Maybe"), "reference", "Outputs.ApiId.Condition"},
		{"Condition of a condition", nil, set("Conditions Other", object{"Fn::Not": []any{object{"Condition": "Maybe"}}}), "reference", "Conditions.Other.Fn::Not.0.Condition"},
		{"parameter of a condition", nil, set("Conditions Other", object{"Fn::Equals": []any{ref("StageNames"), "prod"}}), "reference", "Conditions.Other.Fn::Equals.0.Ref"},
		{"Fn::If", nil, set(variables+"TABLE_NAME Fn::If 0", "OwnTable"), "reference", "Resources.GetFunction.Properties.Environment.Variables.TABLE_NAME.Fn::If.0"},
		{"Fn::If without a branch", nil, set(variables+"LOG_LEVEL", object{"Fn::If": []any{"IsProd", "INFO"}}), "reference", "Resources.GetFunction.Properties.Environment.Variables.LOG_LEVEL.Fn::If"},
		{"unknown name in the other branch", nil, set(variables+"TABLE_NAME Fn::If 2", ref("Tabel")), "reference", "Resources.GetFunction.Properties.Environment.Variables.TABLE_NAME.Fn::If.2.Ref"},
		{"condition with one operand", nil, set("Conditions IsProd", object{"Fn::Equals": []any{ref("StageName")}}), "reference", "Conditions.IsProd"},
		{"condition of two functions", nil, set("Conditions IsProd", object{"Fn::Not": []any{object{"Condition": "OwnsTable"}}, "Condition": "OwnsTable"}), "reference", "Conditions.IsProd"},
		{"condition of a list", nil, set("Conditions IsProd", object{"Fn::Equals": []any{ref("StageName"), []any{"prod"}}}), "reference", "Conditions.IsProd.Fn::Equals.1"},
		{"condition that depends on itself", nil, set("Conditions Other", object{"Fn::Not": []any{object{"Condition": "Other"}}}), "reference", "Conditions.Other.Fn::Not.0.Condition"},
		{"condition that nothing uses", nil, set("Conditions Other", object{"Fn::Contains": []any{"a", "b"}}), "reference", "Conditions.Other"},
		{"condition with more than a name", nil, set("Outputs ApiId Condition", object{"Condition": "IsProd"}), "reference", "Outputs.ApiId.Condition"},
		{"unknown intrinsic function", nil, set("Outputs ApiId Value", object{"Fn::ImportValue": "Api"}), "reference", "Outputs.ApiId.Value.Fn::ImportValue"},
		{"Fn::Join of a string", nil, set("Outputs ApiId Value", object{"Fn::Join": []any{"-", "a"}}), "reference", "Outputs.ApiId.Value.Fn::Join"},
		{"Fn::Join of lists", nil, set("Outputs ApiId Value", object{"Fn::Join": []any{"-", []any{"a", []any{"b"}}}}), "reference", "Outputs.ApiId.Value.Fn::Join.1.1"},
		{"Fn::Sub of a list", nil, set("Outputs ApiId Value", object{"Fn::Sub": []any{"${A}", object{"A": []any{"b"}}}}), "reference", "Outputs.ApiId.Value"},
		{"Fn::FindInMap of an unknown key", nil, set("Outputs ApiId Value", object{"Fn::FindInMap": []any{"Partitions", "aws", "Bucket"}}), "reference", "Outputs.ApiId.Value.Fn::FindInMap"},
		{"Fn::FindInMap of an unknown partition", nil, set("Outputs ApiId Value", object{"Fn::FindInMap": []any{"Partitions", "aws-moon", "Console"}}), "reference", "Outputs.ApiId.Value.Fn::FindInMap"},
		{"Fn::FindInMap of an existing value", nil, set("Outputs ApiId Value", object{"Fn::FindInMap": []any{"Partitions", "aws", "Console"}}), "", ""},
		{"Fn::FindInMap of a value that one partition lacks", nil, drop("Mappings Partitions aws-cn Console"), "reference", "Outputs.TracesConsole.Value"},
		{"resource that does not exist", nil, drop("Outputs ApiKeyId Condition"), "reference", "Outputs.ApiKeyId.Value"},

		{"integration by GET", nil, set(integration+" httpMethod", "GET"), "integration-method", api + ".paths./users.post.x-amazon-apigateway-integration.httpMethod"},
		{"integration without httpMethod", nil, drop(integration + " httpMethod"), "integration-method", api + ".paths./users.post.x-amazon-apigateway-integration.httpMethod"},
		{"integration without uri", nil, drop(integration + " uri"), "integration-uri permission", api + ".paths./users.post.x-amazon-apigateway-integration.uri"},
		{"integration of the function itself", nil, set(integration+" uri", object{"Fn::Sub": "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${PostFunction.Arn}/invocations"}), "integration-uri permission", api + ".paths./users.post.x-amazon-apigateway-integration.uri"},
		{"integration of another function", nil, set(integration+" uri", object{"Fn::Sub": "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${GetAlias}/invocations"}), "permission", api + ".paths./users.post"},
		{"integration timeout too long", nil, set(integration+" timeoutInMillis", 30000), "integration-timeout", api + ".paths./users.post.x-amazon-apigateway-integration.timeoutInMillis"},
		{"integration timeout too short", nil, set(integration+" timeoutInMillis", 10000), "integration-timeout", "Resources.PostFunction.Properties.Timeout"},
		{"function timeout too long", nil, all(drop(integration+" timeoutInMillis"), set("Resources PostFunction Properties Timeout", 29)), "integration-timeout", "Resources.PostFunction.Properties.Timeout"},
		{"operation without integration", nil, drop("Resources Api Properties Body paths /users options x-amazon-apigateway-integration"), "integration-missing", api + ".paths./users.options.x-amazon-apigateway-integration.type"},
		{"API without operations", none, all(set("Resources Api Properties Body paths", object{})), "documentation-parts integration-missing permission", api},
		{"GET without HEAD", nil, drop(paths + " / head"), "documentation-parts head", api + ".paths./"},
		{"HEAD with another integration than GET", nil, set(paths+" /users head x-amazon-apigateway-integration timeoutInMillis", 28000),
			"head", api + ".paths./users"},
		{"$ref", nil, set(post+" requestBody", object{"$ref": "#/components/schemas/Nobody"}), "body-reference", api + ".paths./users.post.requestBody.$ref"},
		{"$ref to a file", nil, set(post+" requestBody", object{"$ref": "openapi.yaml#/components/schemas/User"}), "body-reference", api + ".paths./users.post.requestBody.$ref"},
		{"validator", nil, set("Resources Api Properties Body x-amazon-apigateway-request-validator", "all"), "request-validator", api + ".x-amazon-apigateway-request-validator"},
		{"validator of an operation", nil, set(post+" x-amazon-apigateway-request-validator", "all"), "request-validator", api + ".paths./users.post.x-amazon-apigateway-request-validator"},

		{"operation without security", nil, drop(post + " security"), "authorization", api + ".paths./users.post.security"},
		{"operation with an empty requirement", nil, set(post+" security", []any{object{}}), "authorization", api + ".paths./users.post.security"},
		{"operation with two requirements", nil, set(post+" security", []any{object{"sigv4": []any{}}, object{}}), "authorization", api + ".paths./users.post.security"},
		{"index without security", nil, drop("Resources Api Properties Body paths / get security"), "authorization", api + ".paths./.get.security"},
		{"unknown security scheme", nil, set(post+" security", []any{object{"sigv2": []any{}}}), "authorization", api + ".paths./users.post.security"},
		{"security at the root", nil, set("Resources Api Properties Body security", []any{object{"sigv4": []any{}}}), "authorization", api + ".security"},
		{"IAM without its type", nil, drop(schemes + "sigv4 x-amazon-apigateway-authtype"), "authorization", api + ".paths./users.post.security"},
		{"API key instead of IAM", key, set("Parameters Authorization Default", "AWS_IAM"), "", ""}, // the parameter that is given counts
		{"user pool without its type", cognito, set(schemes+"userPool x-amazon-apigateway-authorizer type", "request"), "authorization", api + ".paths./users.post.security"},
		{"another user pool", cognito, set(schemes+"userPool x-amazon-apigateway-authorizer providerARNs", []any{ref("UserPoolArn"), "arn:aws:cognito-idp:eu-central-1:123456789012:userpool/eu-central-1_B"}), "authorization", api + ".paths./users.post.security"},
		{"key in another header", key, set(schemes+"apiKey name", "x-key"), "authorization", api + ".paths./users.post.security"},
		{"security with NONE", none, set(post+" security", []any{object{"sigv4": []any{}}}), "authorization", api + ".paths./users.post.security"},
		{"preflight with security", nil, set("Resources Api Properties Body paths /users options security", []any{object{"sigv4": []any{}}}), "preflight", api + ".paths./users.options.security"},

		{"permission for another method", nil, replace("Resources CreateUserPermission Properties SourceArn Fn::Sub 0", "/POST/", "/PUT/"), "permission", "Resources.CreateUserPermission.Properties.SourceArn"},
		{"permission for another path", nil, replace("Resources CreateUserPermission Properties SourceArn Fn::Sub 0", "/users", "/user"), "permission", "Resources.Api.Properties.Body.paths./users.post"},
		{"permission for all routes", nil, set("Resources CreateUserPermission Properties SourceArn", object{"Fn::Sub": "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/*/*"}), "permission", "Resources.CreateUserPermission.Properties.SourceArn"},
		{"permission for everything", nil, drop("Resources CreateUserPermission Properties SourceArn"), "permission", "Resources.CreateUserPermission.Properties.SourceArn"},
		{"permission for the function itself", nil, set("Resources CreateUserPermission Properties FunctionName", ref("PostFunction")), "permission", api + ".paths./users.post"},
		{"permission for all principals", nil, set("Resources CreateUserPermission Properties Principal", "*"), "permission principal", "Resources.CreateUserPermission.Properties.Principal"},
		{"route without permission", nil, drop("Resources CreateUserPermission"), "permission", api + ".paths./users.post"},

		{"unknown deployment", nil, set("Resources ApiStage Properties DeploymentId", ref("Api")), "deployment", "Resources.ApiStage.Properties.DeploymentId"},
		{"deployment of another API", nil, set("Resources ApiDeployment Properties RestApiId", "a1b2c3d4e5"), "deployment", "Resources.ApiDeployment"},
		{"stage of another API", nil, set("Resources ApiStage Properties RestApiId", "a1b2c3d4e5"), "deployment documentation-version permission stage-execution-log", "Resources.ApiStage.Properties.RestApiId"},
		{"documentation of an unknown path", nil, set(parts+"1 location path", "/nothing"), "documentation-parts", api + ".x-amazon-apigateway-documentation.documentationParts.1.location"},
		{"documentation of an unknown type", nil, set(parts+"1 location type", "THING"), "documentation-parts", api + ".x-amazon-apigateway-documentation.documentationParts.1.location"},
		{"documentation of an unknown model", nil, set(parts+"1 location", object{"type": "MODEL", "name": "Nobody"}), "documentation-parts", api + ".x-amazon-apigateway-documentation.documentationParts.1.location"},
		{"documentation of an unknown authorizer", nil, set(parts+"1 location", object{"type": "AUTHORIZER", "name": "sigv4"}), "documentation-parts", api + ".x-amazon-apigateway-documentation.documentationParts.1.location"},
		{"documentation of an unknown status code", nil, set(parts+"1 location", object{"type": "RESPONSE", "path": "/users", "method": "POST", "statusCode": "299"}), "documentation-parts", api + ".x-amazon-apigateway-documentation.documentationParts.1.location"},
		{"documentation of an unknown header", nil, set(parts+"1 location", object{"type": "RESPONSE_HEADER", "name": "X"}), "documentation-parts", api + ".x-amazon-apigateway-documentation.documentationParts.1.location"},
		{"documentation of a parameter of another kind", nil, set(parts+"1 location", object{"type": "PATH_PARAMETER", "name": "limit"}), "documentation-parts", api + ".x-amazon-apigateway-documentation.documentationParts.1.location"},
		{"documentation of a resource", nil, set(parts+"1 location", object{"type": "RESOURCE", "path": "/users"}), "", ""},
		{"duplicate documentation", nil, set(parts+"1 location", object{"type": "API"}), "documentation-parts", api + ".x-amazon-apigateway-documentation.documentationParts.1.location"},
		{"duplicate documentation with default values", nil, all(set(parts+"1 location", object{"type": "METHOD"}), set(parts+"2 location", object{"type": "METHOD", "path": "/", "method": "*", "statusCode": "*"})), "documentation-parts", api + ".x-amazon-apigateway-documentation.documentationParts.2.location"},
		{"documentation of the paths below", nil, set(parts+"1 location", object{"type": "RESPONSE", "path": "/users", "method": "PUT", "statusCode": "200"}), "", ""},
		{"documentation of a path with the same prefix", nil, set(parts+"1 location", object{"type": "RESPONSE", "path": "/use", "method": "PUT"}), "documentation-parts", api + ".x-amazon-apigateway-documentation.documentationParts.1.location"},
		{"documentation that is a string", nil, set(parts+"1 properties", "text"), "documentation-parts", api + ".x-amazon-apigateway-documentation.documentationParts.1.properties"},
		{"too many documentation parts", nil, set(strings.TrimSpace(parts), slices.Repeat([]any{object{"location": object{"type": "API"}, "properties": object{}}}, 2001)), "documentation-parts", api + ".x-amazon-apigateway-documentation"},
		{"stage without documentation", nil, drop("Resources ApiStage Properties DocumentationVersion"), "documentation-version", "Resources.ApiStage.Properties.DocumentationVersion"},
		{"stage with other documentation", nil, set("Resources ApiStage Properties DocumentationVersion", "1.0.0"), "documentation-version", "Resources.ApiStage.Properties.DocumentationVersion"},
		{"documentation of another API", nil, set("Resources ApiDocumentation Properties RestApiId", "a1b2c3d4e5"), "documentation-version", "Resources.ApiDocumentation"},
		{"stage before its documentation", nil, set("Resources ApiStage DependsOn 1", "Api"), "documentation-version", "Resources.ApiStage.DependsOn"},
		{"documentation that never changes", nil, all(set("Resources ApiDocumentation Properties DocumentationVersion", "1.0.0"), set("Resources ApiStage Properties DocumentationVersion", "1.0.0")), "documentation-version", "Resources.ApiDocumentation"},
		{"plan without DependsOn", key, set("Resources UsagePlan Properties ApiStages 0 Stage", ref("StageName")), "usage-plan", "Resources.UsagePlan.Properties.ApiStages.0"},
		{"plan with DependsOn", key, all(set("Resources UsagePlan Properties ApiStages 0 Stage", ref("StageName")), set("Resources UsagePlan DependsOn", "ApiStage")), "", ""},
		{"plan without a stage", key, drop("Resources UsagePlan Properties ApiStages"), "usage-plan", "Resources.ApiStage"},
		{"plan of another API", key, set("Resources UsagePlan Properties ApiStages 0 ApiId", "a1b2c3d4e5"), "usage-plan", "Resources.ApiStage"},
		{"plan without a key", key, drop("Resources UsagePlanKey"), "usage-plan", "Resources.UsagePlan"},

		{"stage without tracing", nil, set("Resources ApiStage Properties TracingEnabled", false), "stage-tracing", "Resources.ApiStage.Properties.TracingEnabled"},
		{"stage without access log", nil, drop("Resources ApiStage Properties AccessLogSetting"), "stage-log", "Resources.ApiStage.Properties.AccessLogSetting.DestinationArn"},
		{"access log in another log group", nil, set("Resources ApiStage Properties AccessLogSetting DestinationArn", object{"Fn::Sub": "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:other"}), "stage-log", "Resources.ApiStage.Properties.AccessLogSetting.DestinationArn"},
		{"access log by Fn::GetAtt", nil, set("Resources ApiStage Properties AccessLogSetting DestinationArn", getAtt("ApiAccessLogGroup", "Arn")), "", ""},
		{"access log without request id", nil, replace("Resources ApiStage Properties AccessLogSetting Format", "$context.requestId", "-"), "stage-log", "Resources.ApiStage.Properties.AccessLogSetting.Format"},
		{"metrics by method that nothing uses", nil, set(settings+"MetricsEnabled", true), "stage-metrics", "Resources.ApiStage.Properties.MethodSettings"},
		{"stage without throttle", nil, drop(settings + "ThrottlingBurstLimit"), "stage-throttle", "Resources.ApiStage.Properties.MethodSettings"},
		{"settings of one method only", nil, set(settings+"HttpMethod", "GET"), "stage-throttle", "Resources.ApiStage.Properties.MethodSettings"},
		{"data trace", nil, set(settings+"DataTraceEnabled", true), "data-trace", "Resources.ApiStage.Properties.MethodSettings.0.DataTraceEnabled"},

		{"execution log without a group", nil, drop("Resources ApiExecutionLogGroup"), "reference stage-execution-log", "Resources.ApiStage"},
		{"execution log of another name", nil, set("Resources ApiExecutionLogGroup Properties LogGroupName", object{"Fn::Sub": "API-Gateway-Execution-Logs/${Api}/${StageName}"}), "stage-execution-log", "Resources.ApiStage.DependsOn"},
		{"execution log before its group", nil, set("Resources ApiStage DependsOn 0", "Api"), "stage-execution-log", "Resources.ApiStage.DependsOn"},
		{"execution log of single methods before its group", nil, all(set("Resources ApiStage DependsOn 0", "Api"), set(settings+"LoggingLevel", "OFF"),
			set("Resources ApiStage Properties MethodSettings", []any{
				object{"HttpMethod": "*", "ResourcePath": "/*", "ThrottlingRateLimit": 1, "ThrottlingBurstLimit": 1},
				object{"HttpMethod": "GET", "ResourcePath": "/users", "LoggingLevel": "INFO"},
			})), "stage-execution-log", "Resources.ApiStage.DependsOn"},
		{"no execution log", nil, all(set("Resources ApiStage DependsOn 0", "Api"), drop("Resources ApiStage Properties Description"), set(settings+"LoggingLevel", "OFF")), "", ""},
		{"execution log without retention", nil, drop("Resources ApiExecutionLogGroup Properties RetentionInDays"), "retention", "Resources.ApiExecutionLogGroup.Properties.RetentionInDays"},
		{"execution log before the account's role", nil, drop("Resources ApiStage Properties Description"), "stage-execution-log", "Resources.ApiStage"},
		{"execution log with an existing role", with(map[string]string{"ApiGatewayLogsRole": "Existing"}), drop("Resources ApiStage Properties Description"), "", ""},
		{"role for an account without APIs", nil, drop("Resources ApiAccount DependsOn"), "account-role", "Resources.ApiAccount.DependsOn"},
		{"function without tracing", nil, drop("Resources GetFunction Properties TracingConfig"), "function-tracing", "Resources.GetFunction.Properties.TracingConfig.Mode"},
		{"function without log group", nil, drop("Resources GetFunction Properties LoggingConfig LogGroup"), "function-log", "Resources.GetFunction.Properties.LoggingConfig"},
		{"function with text logs", nil, set("Resources GetFunction Properties LoggingConfig LogFormat", "Text"), "function-log", "Resources.GetFunction.Properties.LoggingConfig"},
		{"function with another's log group", nil, set("Resources PostFunction Properties LoggingConfig LogGroup", ref("GetLogGroup")), "function-log role-scope", "Resources.PostFunction.Properties.LoggingConfig"},
		{"function without version", nil, set("Resources GetVersion Properties FunctionName", ref("PostFunction")), "function-alias function-version", "Resources.GetFunction"},
		{"alias without a version", nil, set("Resources GetAlias Properties FunctionVersion", "$LATEST"), "function-alias", "Resources.GetAlias.Properties.FunctionVersion"},
		{"alias of another version", nil, func(t *testing.T, document object) {
			t.Helper()
			version := logicalID(t, document["Resources"].(object), "PostVersion")
			set("Resources GetAlias Properties FunctionVersion", getAtt(version, "Version"))(t, document)
		}, "function-alias", "Resources.GetAlias.Properties.FunctionVersion"},
		{"alias by the name of the function", nil, set("Resources GetAlias Properties FunctionName", "UserRequestAPI-get"), "function-alias gradual-release", "Resources.GetFunction"},
		{"release without a deployment group", nil, drop("Resources GetAlias UpdatePolicy"), "gradual-release", "Resources.GetAlias.UpdatePolicy"},
		{"release without rollback", nil, set("Resources GetRelease Properties AutoRollbackConfiguration Enabled", false), "gradual-release", "Resources.GetRelease.Properties.AutoRollbackConfiguration"},
		{"release without rollback on alarms", nil, set("Resources GetRelease Properties AutoRollbackConfiguration Events", []any{"DEPLOYMENT_FAILURE"}), "gradual-release", "Resources.GetRelease.Properties.AutoRollbackConfiguration"},
		{"release by another function's alarms", nil, set("Resources GetRelease Properties AlarmConfiguration Alarms", []any{object{"Name": ref("PostErrorsAlarm")}}), "gradual-release", "Resources.GetRelease.Properties.AlarmConfiguration"},

		{"role that another service assumes", nil, set("Resources GetRole Properties AssumeRolePolicyDocument Statement 0 Principal Service", "apigateway.amazonaws.com"), "assume-role", "Resources.GetRole.Properties.AssumeRolePolicyDocument"},
		{"role that two services assume", nil, set("Resources GetRole Properties AssumeRolePolicyDocument Statement 0 Principal Service", []any{"lambda.amazonaws.com", "ec2.amazonaws.com"}), "assume-role", "Resources.GetRole.Properties.AssumeRolePolicyDocument"},
		{"role that the account assumes", nil, set("Resources ReleaseRole Properties AssumeRolePolicyDocument Statement 0 Principal", object{"AWS": ref("AWS::AccountId")}), "assume-role", "Resources.ReleaseRole.Properties.AssumeRolePolicyDocument"},
		{"unused role", nil, set("Resources ApiAccount Properties CloudWatchRoleArn", "arn:aws:iam::123456789012:role/logs"), "assume-role", "Resources.ApiLogsRole.Properties.AssumeRolePolicyDocument"},
		{"role of two functions", nil, set("Resources PostFunction Properties Role", getAtt("GetRole", "Arn")), "assume-role role-scope shared-role", "Resources.PostFunction.Properties.Role"},
		{"all actions", nil, set(getPolicy+"0 Action", "dynamodb:*"), "wildcard-action", "Resources.GetRole.Properties.Policies.0.PolicyDocument.Statement.0.Action"},
		{"all actions but one", nil, all(drop(getPolicy+"0 Action"), set(getPolicy+"0 NotAction", "dynamodb:DeleteTable")), "wildcard-action", "Resources.GetRole.Properties.Policies.0.PolicyDocument.Statement.0.NotAction"},
		{"managed policy", nil, set("Resources GetRole Properties ManagedPolicyArns", []any{object{"Fn::Sub": "arn:${AWS::Partition}:iam::aws:policy/AmazonDynamoDBFullAccess"}}), "wildcard-action", "Resources.GetRole.Properties.ManagedPolicyArns"},
		{"key policy that allows all actions", nil, set("Resources AlarmKey Properties KeyPolicy Statement 1 Action", "kms:*"), "wildcard-action", "Resources.AlarmKey.Properties.KeyPolicy.Statement.1.Action"},
		{"all resources", nil, set(getPolicy+"0 Resource", "*"), "wildcard-resource", "Resources.GetRole.Properties.Policies.0.PolicyDocument.Statement.0.Resource"},
		{"all tables", nil, set(getPolicy+"0 Resource", object{"Fn::Sub": "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/*"}), "wildcard-resource", "Resources.GetRole.Properties.Policies.0.PolicyDocument.Statement.0.Resource"},
		{"all resources but one", nil, all(drop(getPolicy+"0 Resource"), set(getPolicy+"0 NotResource", getAtt("Table", "Arn"))), "wildcard-resource", "Resources.GetRole.Properties.Policies.0.PolicyDocument.Statement.0.NotResource"},
		{"one action too many on all resources", nil, set(getPolicy+"2 Action", []any{"xray:PutTraceSegments", "dynamodb:GetItem"}), "wildcard-resource", "Resources.GetRole.Properties.Policies.0.PolicyDocument.Statement.2.Resource"},
		{"all resources in the true branch", nil, set(getPolicy+"0 Resource Fn::If 1", "*"), "wildcard-resource", "Resources.GetRole.Properties.Policies.0.PolicyDocument.Statement.0.Resource"},
		{"all resources in the false branch", with(map[string]string{"ExistingTableName": "People"}), set(getPolicy+"0 Resource Fn::If 2", "*"), "wildcard-resource", "Resources.GetRole.Properties.Policies.0.PolicyDocument.Statement.0.Resource"},
		{"topic for all principals", nil, set("Resources AlarmTopicPolicy Properties PolicyDocument Statement 0 Principal", "*"), "principal", "Resources.AlarmTopicPolicy.Properties.PolicyDocument.Statement.0.Principal"},
		{"topic for all accounts", nil, set("Resources AlarmTopicPolicy Properties PolicyDocument Statement 0 Principal", object{"AWS": []any{"*"}}), "principal", "Resources.AlarmTopicPolicy.Properties.PolicyDocument.Statement.0.Principal"},
		{"topic for all but one", nil, all(drop("Resources AlarmTopicPolicy Properties PolicyDocument Statement 0 Principal"), set("Resources AlarmTopicPolicy Properties PolicyDocument Statement 0 NotPrincipal", object{"AWS": "123456789012"})), "principal", "Resources.AlarmTopicPolicy.Properties.PolicyDocument.Statement.0.NotPrincipal"},
		{"another service", nil, set(getPolicy+"0 Action", "s3:GetObject"), "role-scope", "Resources.GetRole.Properties.Policies.0.PolicyDocument.Statement.0.Resource"},
		{"another table", nil, set(getPolicy+"0 Resource", object{"Fn::Sub": "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/Other"}), "role-scope", "Resources.GetRole.Properties.Policies.0.PolicyDocument.Statement.0.Resource"},
		{"another function's log group", nil, set(getPolicy+"1 Resource", getAtt("PostLogGroup", "Arn")), "role-scope", "Resources.GetRole.Properties.Policies.0.PolicyDocument.Statement.1.Resource"},

		{"policy beside the role", nil, set("Resources Extra", object{"Type": "AWS::IAM::RolePolicy", "Properties": object{
			"RoleName": ref("GetRole"), "PolicyName": "Extra", "PolicyDocument": object{"Statement": []any{object{
				"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bucket/key"}}}}}), "role-scope", "Resources.Extra.Properties.PolicyDocument.Statement.0.Resource"},
		{"managed policy of the template", nil, set("Resources Extra", object{"Type": "AWS::IAM::ManagedPolicy", "Properties": object{
			"Roles": []any{ref("GetRole")}, "PolicyDocument": object{"Statement": []any{object{
				"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bucket/key"}}}}}), "role-scope", "Resources.Extra.Properties.PolicyDocument.Statement.0.Resource"},

		{"function without alarm", nil, set("Resources GetErrorsAlarm Properties Metrics 1 MetricStat Metric Dimensions 0 Value", ref("PostFunction")), "alarm", "Resources.GetFunction"},
		{"API without alarm", nil, set("Resources ApiServerErrorsAlarm Properties Metrics 1 MetricStat Metric MetricName", "4XXError"), "alarm", "Resources.Api"},
		{"table without alarm", nil, set("Resources TableReadThrottlesAlarm Properties Metrics 1 MetricStat Metric MetricName", "ConsumedReadCapacityUnits"), "alarm", "Resources.Table"},
		{"alarm on a metric of another name", nil, set("Resources GetErrorsAlarm Properties Metrics 1 MetricStat Metric MetricName", "Error"), "alarm alarm-metric", "Resources.GetErrorsAlarm.Properties"},
		{"alarm on a metric of another service", nil, set("Resources GetErrorsAlarm Properties Metrics 1 MetricStat Metric Namespace", "AWS/ApiGateway"), "alarm alarm-metric", "Resources.GetErrorsAlarm.Properties"},
		{"alarm on the id of the API", nil, set("Resources ApiLatencyAlarm Properties Metrics 1 MetricStat Metric Dimensions 0 Value", ref("Api")), "alarm alarm-metric", "Resources.ApiLatencyAlarm.Properties"},
		{"alarm on another stage", nil, set("Resources ApiLatencyAlarm Properties Metrics 1 MetricStat Metric Dimensions 1 Value", "live"), "alarm alarm-metric", "Resources.ApiLatencyAlarm.Properties"},
		{"alarm on the alias", nil, set("Resources GetErrorsAlarm Properties Metrics 1 MetricStat Metric Dimensions", []any{object{"Name": "FunctionName", "Value": ref("GetFunction")}, object{"Name": "Resource", "Value": object{"Fn::Sub": "${GetFunction}:live"}}}), "", ""},
		{"alarm on another alias", nil, set("Resources GetErrorsAlarm Properties Metrics 1 MetricStat Metric Dimensions", []any{object{"Name": "FunctionName", "Value": ref("GetFunction")}, object{"Name": "Resource", "Value": object{"Fn::Sub": "${GetFunction}:alive"}}}), "alarm alarm-metric", "Resources.GetErrorsAlarm.Properties"},
		{"alarm without a dimension", nil, set("Resources TableErrorsAlarm Properties Metrics 3 MetricStat Metric Dimensions", []any{object{"Name": "TableName", "Value": ref("Table")}}), "alarm alarm-metric", "Resources.TableErrorsAlarm.Properties.Metrics.3.MetricStat.Metric"},
		{"alarm on another table than the existing one", with(map[string]string{"ExistingTableName": "People"}), set("Resources TableReadThrottlesAlarm Properties Metrics 1 MetricStat Metric Dimensions 0 Value", "Persons"), "alarm-metric", "Resources.TableReadThrottlesAlarm.Properties"},
		{"alarm on too many metrics", nil, set("Resources GetErrorsAlarm Properties Metrics", slices.Repeat([]any{object{"MetricStat": object{"Metric": object{
			"Namespace": "AWS/Lambda", "MetricName": "Errors", "Dimensions": []any{object{"Name": "FunctionName", "Value": ref("GetFunction")}}}}}}, 11)), "alarm-metric", "Resources.GetErrorsAlarm.Properties.Metrics"},
		{"alarm without a metric", nil, drop("Resources TableErrorsAlarm Properties Metrics"), "alarm alarm-metric", "Resources.TableErrorsAlarm"},
		{
			"alarm that cannot go off", nil,
			set("Resources GetDurationAlarm Properties Metrics 1 MetricStat Stat", "PR(10000:)"),
			"alarm-threshold", "Resources.GetDurationAlarm.Properties.Metrics.1",
		},
		{
			"alarm on a share below a limit that cannot go off", nil,
			set("Resources GetDurationAlarm Properties Metrics 1 MetricStat Stat", "PR(:10000)"),
			"alarm-threshold", "Resources.GetDurationAlarm.Properties.Metrics.1",
		},
		{"alarm on a maximum that cannot go off", nil, set("Resources GetDurationAlarm Properties", object{"Namespace": "AWS/Lambda", "MetricName": "Duration", "Dimensions": []any{object{"Name": "FunctionName", "Value": ref("GetFunction")}}, "Statistic": "Maximum", "Threshold": 10000}), "alarm-threshold", "Resources.GetDurationAlarm.Properties.Threshold"},
		{"alarm outside the composite alarm", nil, set("Resources Alarm Properties AlarmRule", object{"Fn::Sub": `ALARM("${ApiLatencyAlarm}")`}), "alarm-composite", "Resources.GetErrorsAlarm"},
		{"negated alarm", nil, replace("Resources Alarm Properties AlarmRule Fn::Join 1 2 Fn::Sub", "ALARM", "NOT ALARM"), "alarm-composite", "Resources.GetErrorsAlarm"},
		{"alarm joined by AND", nil, set("Resources Alarm Properties AlarmRule Fn::Join 0", " AND "), "alarm-composite", "Resources.Alarm.Properties.AlarmRule"},
		{"alarm whose reference has a suffix", nil, set("Resources Alarm Properties AlarmRule Fn::Join 1 2", object{"Fn::Sub": `ALARM("${GetErrorsAlarm}s")`}), "alarm-composite", "Resources.GetErrorsAlarm"},
		{"alarm by a name with a suffix", nil, set("Resources Alarm Properties AlarmRule Fn::Join 1 2", `ALARM("UserRequestAPI/get-errors-too")`), "alarm-composite", "Resources.GetErrorsAlarm"},
		{"alarm by its name", nil, set("Resources Alarm Properties AlarmRule Fn::Join 1 2", `ALARM("UserRequestAPI/get-errors")`), "", ""},
		{"alarm by its ARN", nil, set("Resources Alarm Properties AlarmRule Fn::Join 1 2", object{"Fn::Sub": `ALARM("${GetErrorsAlarm.Arn}")`}), "", ""},
		{"unknown metric", nil, replace("Resources Dashboard Properties DashboardBody Fn::Sub 1 Invocations Fn::Join 1 0 Fn::Sub", `"Invocations"`, `"Calls"`), "dashboard-metric", "Resources.Dashboard.Properties.DashboardBody"},
		{"dimension without a value", nil, set("Resources Dashboard Properties DashboardBody", `{"widgets": [{"properties": {"metrics": [["AWS/Lambda", "Errors", "FunctionName"]]}}]}`), "dashboard-metric", "Resources.Dashboard.Properties.DashboardBody.widgets.0.properties.metrics.0"},
		{"abbreviated metrics", nil, set("Resources Dashboard Properties DashboardBody", object{"Fn::Sub": `{"widgets": [{"properties": {"metrics": [
			["AWS/Lambda", "Errors", "FunctionName", "${GetFunction}", {"stat": "Sum"}], [".", "Throttles", ".", "."], ["...", "${PutFunction}"], [{"expression": "m1"}]]}}]}`}), "", ""},
		{"abbreviated unknown dimension", nil, set("Resources Dashboard Properties DashboardBody", object{"Fn::Sub": `{"widgets": [{"properties": {"metrics": [
			["AWS/Lambda", "Errors", "FunctionName", "${GetFunction}"], ["...", "${PutRole}"]]}}]}`}), "dashboard-metric", "Resources.Dashboard.Properties.DashboardBody.widgets.0.properties.metrics.1"},
		{"dashboard that is not JSON", nil, set("Resources Dashboard Properties DashboardBody", "{"), "dashboard-metric", "Resources.Dashboard.Properties.DashboardBody"},

		{"table that is deleted with the stack", nil, set("Resources Table DeletionPolicy", "Delete"), "retention", "Resources.Table.DeletionPolicy"},
		{"table that is deleted on replacement", nil, drop("Resources Table UpdateReplacePolicy"), "retention", "Resources.Table.UpdateReplacePolicy"},
		{"log group without UpdateReplacePolicy", nil, drop("Resources GetLogGroup UpdateReplacePolicy"), "retention", "Resources.GetLogGroup.UpdateReplacePolicy"},
		{"log group without retention", nil, drop("Resources GetLogGroup Properties RetentionInDays"), "retention", "Resources.GetLogGroup.Properties.RetentionInDays"},
		{"version that is deleted", nil, set("Resources GetVersion DeletionPolicy", "Delete"), "retention", "Resources.GetVersion"},
		{"version of a failed deployment that is retained", nil, set("Resources GetVersion DeletionPolicy", "Retain"), "retention", "Resources.GetVersion"},
		{"version that is deleted on replacement", nil, drop("Resources GetVersion UpdateReplacePolicy"), "retention", "Resources.GetVersion"},
		{"table without recovery", nil, set("Resources Table Properties PointInTimeRecoverySpecification PointInTimeRecoveryEnabled", false), "table", "Resources.Table.Properties.PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled"},
		{"table without encryption", nil, drop("Resources Table Properties SSESpecification"), "table", "Resources.Table.Properties.SSESpecification.SSEEnabled"},
		{"table that can be deleted", nil, drop("Resources Table Properties DeletionProtectionEnabled"), "table", "Resources.Table.Properties.DeletionProtectionEnabled"},
		{"table without tags", nil, drop("Resources Table Properties Tags"), "table", "Resources.Table.Properties.Tags"},
		{"stage without the web ACL", guarded, drop("Resources ApiWebAclAssociation"), "stage-web-acl", "Resources.ApiStage"},
		{"web ACL of the API", guarded, set("Resources ApiWebAclAssociation Properties ResourceArn", object{"Fn::Sub": "arn:${AWS::Partition}:apigateway:${AWS::Region}::/restapis/${Api}"}), "stage-web-acl", "Resources.ApiStage"},
		{"web ACL of a stage without a reference", guarded, set("Resources ApiWebAclAssociation Properties ResourceArn", object{"Fn::Sub": "arn:${AWS::Partition}:apigateway:${AWS::Region}::/restapis/${Api}/stages/${StageName}"}), "stage-web-acl", "Resources.ApiStage"},
		{"another web ACL", guarded, set("Resources ApiWebAclAssociation Properties WebACLArn", "users"), "stage-web-acl", "Resources.ApiWebAclAssociation.Properties.WebACLArn"},
		{"table without the stage's key", encrypted, drop("Resources Table Properties SSESpecification KMSMasterKeyId"), "kms-key", "Resources.Table.Properties.SSESpecification.KMSMasterKeyId"},
		{"table with a key without SSEType", encrypted, drop("Resources Table Properties SSESpecification SSEType"), "kms-key", "Resources.Table.Properties.SSESpecification.SSEType"},
		{"log group without the stage's key", encrypted, drop("Resources ApiAccessLogGroup Properties KmsKeyId"), "kms-key", "Resources.ApiAccessLogGroup.Properties.KmsKeyId"},
		{"function without the stage's key", encrypted, drop("Resources PutFunction Properties KmsKeyArn"), "kms-key", "Resources.PutFunction.Properties.KmsKeyArn"},
		{"table that the stage has in place of an existing one", nil, drop("Resources Table Condition"), "table-condition", "Resources.Table.Condition"},
		{"provisioned table without a throughput", nil, drop("Resources Table Properties BillingMode"), "table-throughput", "Resources.Table.Properties.ProvisionedThroughput"},
		{"on-demand table with a throughput", nil, set("Resources Table Properties ProvisionedThroughput", throughput), "table-throughput", "Resources.Table.Properties.ProvisionedThroughput"},
		{"provisioned index without a throughput", nil, all(
			set("Resources Table Properties BillingMode", "PROVISIONED"), set("Resources Table Properties ProvisionedThroughput", throughput),
			set("Resources Table Properties GlobalSecondaryIndexes", []object{index("a", "KEYS_ONLY")}),
		), "alarm table-throughput", "Resources.Table.Properties.GlobalSecondaryIndexes.0.ProvisionedThroughput"},
		{"indexes whose names differ in case", nil, set("Resources Table Properties LocalSecondaryIndexes", []object{
			index("by-name", "ALL"), index("By-Name", "ALL"),
		}), "index-name", "Resources.Table.Properties.LocalSecondaryIndexes.1.IndexName"},
		{"index with no attributes to include", nil, set("Resources Table Properties LocalSecondaryIndexes", []object{index("a", "INCLUDE")}), "index-projection", "Resources.Table.Properties.LocalSecondaryIndexes.0.Projection.NonKeyAttributes"},
		{"index without a projection", nil, set("Resources Table Properties LocalSecondaryIndexes", []object{{"IndexName": "a"}}), "index-projection", "Resources.Table.Properties.LocalSecondaryIndexes.0.Projection.ProjectionType"},
		{"index of all attributes with a list", nil, set("Resources Table Properties LocalSecondaryIndexes", []object{
			index("a", "ALL", "name"),
		}), "index-projection", "Resources.Table.Properties.LocalSecondaryIndexes.0.Projection.NonKeyAttributes"},
		{"alarms of one name", nil, all(
			set("Resources GetErrorsAlarm Properties AlarmName", "a"), set("Resources PutErrorsAlarm Properties AlarmName", "a"),
		), "alarm-name", "Resources.PutErrorsAlarm.Properties.AlarmName"},
		{"reserved variable", nil, set(variables+"AWS_REGION", "x"), "function-variable", "Resources.GetFunction.Properties.Environment.Variables.AWS_REGION"},
		{"invalid variable", nil, set(variables+"TABLE-NAME", "x"), "function-variable", "Resources.GetFunction.Properties.Environment.Variables.TABLE-NAME"},
		{"key that no parameter names", nil, set("Resources GetLogGroup Properties KmsKeyId", kmsKey), "kms-key", "Resources.GetLogGroup.Properties.KmsKeyId"},
		{"role without the stage's key", encrypted, set(getPolicy+"3", ref("AWS::NoValue")), "kms-key", "Resources.GetRole.Properties.Policies"},
		{"role with another key", encrypted, set(getPolicy+"3 Fn::If 1 Resource", kmsKey+"0"), "kms-key role-scope", "Resources.GetRole.Properties.Policies"},
		{"role with a key where the stage has none", nil, set(getPolicy+"3", object{"Effect": "Allow", "Action": "kms:Decrypt", "Resource": kmsKey}), "role-scope", "Resources.GetRole.Properties.Policies"},
		{"output of a secret", nil, set("Outputs ApiKeyValue", object{"Value": ref("Api")}), "secret", "Outputs.ApiKeyValue"},
		{"output with a dynamic reference to a secret", nil, set("Outputs ApiId Value", "{{resolve:secretsmanager:users:SecretString:key}}"), "secret", "Outputs.ApiId"},
		{"secret in the environment", nil, set(variables+"DB_PASSWORD", "x"), "secret", "Resources.GetFunction.Properties.Environment.Variables.DB_PASSWORD"},
		{"credentials in the environment", nil, set(variables+"OWNER", "AKIAIOSFODNN7EXAMPLE"), "secret", "Resources.GetFunction.Properties.Environment.Variables.OWNER"},
		{"hidden parameter in the environment", with(map[string]string{"ServiceName": "hush"}), set("Parameters ServiceName NoEcho", true), "secret", "Resources.GetFunction.Properties.Environment.Variables.SERVICE_NAME"},
		{"API key in the template", key, set("Resources ApiKey Properties Value", "0123456789abcdefghij"), "secret", "Resources.ApiKey.Properties.Value"},
	}
}

// TestMutations checks that each mistake violates exactly the intended rules at the intended path.
func TestMutations(t *testing.T) {
	t.Parallel()
	for _, m := range mutations() {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			given := m.parameters
			if given == nil {
				given = full()
			}
			d := document(t, given)
			m.change(t, d.document)
			violations, err := rules.CheckDocument(d.document, d.parameters)
			if err != nil {
				t.Fatal(err)
			}
			var broken []string
			found := m.path == ""
			for _, v := range violations {
				if !slices.Contains(broken, v.Rule) {
					broken = append(broken, v.Rule)
				}
				found = found || strings.HasPrefix(v.Path, m.path)
			}
			slices.Sort(broken)
			if got := strings.Join(broken, " "); got != m.rules || !found {
				t.Errorf("violated rules = %q, want %q at %s; violations:\n%v", got, m.rules, m.path, violations)
			}
		})
	}
}

func TestEachRuleHasMutation(t *testing.T) {
	t.Parallel()
	var violated []string
	for _, m := range mutations() {
		violated = append(violated, strings.Fields(m.rules)...)
	}
	slices.Sort(violated)
	want := slices.Sorted(slices.Values(rules.Names()))
	if diff := cmp.Diff(want, slices.Compact(violated)); diff != "" {
		t.Errorf("rules that the mutations violate (-want +got):\n%s", diff)
	}
}

func TestCheck_InvalidTemplate(t *testing.T) {
	t.Parallel()
	for _, document := range []string{"", "Resources: {}", "[]", `{"AWSTemplateFormatVersion": "2010-09-09"}`} {
		t.Run(strconv.Quote(document), func(t *testing.T) {
			t.Parallel()
			if violations, err := rules.Check([]byte(document), nil); err == nil {
				t.Errorf("error = nil, violations = %v, want an error", violations)
			}
		})
	}
}

func TestViolation_String(t *testing.T) {
	t.Parallel()
	violation := rules.Violation{Rule: "table", Path: "Resources.Table.Properties.Tags", Message: "no tags: add them"}
	if got, want := violation.String(), "Resources.Table.Properties.Tags: no tags: add them (table)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
