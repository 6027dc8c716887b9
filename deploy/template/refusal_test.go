package template_test

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/userrequestapi/userdata/deploy/template"
)

// TestRefusals sees that each mistake is told with its place.
func TestRefusals(t *testing.T) {
	t.Parallel()
	const contract, resources = "openapi.yaml", "template.yaml"
	for _, test := range []struct {
		name, file, old, new string
		want                 string
	}{
		{"unknown function", contract, "x-function: PostFunction", "x-function: CreateFunction",
			"POST /users: x-function CreateFunction is no function of template.yaml"},
		{"a resource that is no function", contract, "x-function: PostFunction", "x-function: Table", "x-function Table is no function"},
		{"function without a route", contract, "x-function: PostFunction", "x-function: PutFunction", "Resources.PostFunction: no route"},
		{"no function", contract, "      x-function: PostFunction\n", "", "paths./users.post: x-function is missing"},
		{"other extension", contract, "      summary: Create a user", "      x-internal: true\n      summary: Create a user",
			"paths./users.post: x-internal: extensions do not belong"},
		{"same operationId", contract, "operationId: headUsers", "operationId: getUsers", "operationId: getUsers is that of GET /users"},
		{"strange operationId", contract, "operationId: headUsers", "operationId: head-users", "letters and digits only"},
		{"OPTIONS in the contract", contract, "    post:\n", "    options:\n", "options is not supported"},
		{"security of an operation", contract, "      x-function: PostFunction\n", "      x-function: PostFunction\n      security: []\n",
			"paths./users.post.security: leave it out"},
		{"default response", contract, `        "201":`, "        default:", "responses.default: API Gateway takes only numbers"},
		{"model name", contract, "\n    UserPage:", "\n    User_Page:", "components.schemas.User_Page"},
		{"broken reference", contract, "/responses/Created", "/responses/Made", "$ref #/components/responses/Made: there is no Made"},
		{"broken schema reference", contract, `items: {$ref: "#/components/schemas/User"}`, `items: {$ref: "#/components/schemas/Person"}`,
			"there is no Person"},
		{"reference to a file", contract, "#/components/responses/Created", "responses.yaml#/Created", "another place in this document"},
		{"reference with company", contract, `"201": {$ref`, `"201": {description: x, $ref`, "it must be the only key"},
		{"reference to itself", contract, "    Deleted:\n", "    Deleted: {$ref: \"#/components/responses/Deleted\"}\n    Gone:\n",
			"#/components/responses/Deleted: it must refer to another place"},
		{"no problem schema", contract, "\n    Problem:\n", "\n    Trouble:\n", "components.schemas.Problem: it is missing"},
		{"path parameter missing", contract, "      - name: userId\n        in: path", "      - name: id\n        in: path", "must be required and in the path"},
		{"cookie", contract, "      name: If-Match\n      in: header", "      name: If-Match\n      in: cookie", "not in \"cookie\""},
		{"no exposed headers", contract,
			"        enum:\n          - &exposedHeaders", "        default:\n          &exposedHeaders",
			"components.headers.Access-Control-Expose-Headers.schema.enum: want one value"},
		{"index with a function", contract, "operationId: getIndex", "operationId: getIndex\n      x-function: GetFunction", "paths./.get.x-function: leave it out"},
		{"index of another method", contract, "  /:\n    get:", "  /:\n    post: {}\n    get:", "paths./: post is not supported"},
		{"index without GET", contract, "  /:\n    get:", "  /: {}\n  /other:\n    get:", "paths./: get is missing"},
		{"index of a contract without users", contract, "  /users:\n", "  /people:\n", "paths./users: it is missing; the index links to it"},
		{"index without its answer", contract, `        "200": {$ref: "#/components/responses/Index"}`, `        "202": {$ref: "#/components/responses/Index"}`,
			"paths./.get.responses.200: it is missing"},
		{"Velocity in the title", contract, "title: UserRequestAPI\n", "title: User$RequestAPI\n", "neither $ nor #"},
		{"no version", contract, "  version: 1.0.0\n", "", "info.version: it is missing"},
		{"path that the gateway keeps", contract, "  /users/{userId}:", "  /ping:", "keeps this path"},
		{"path segment", contract, "  /users/{userId}:", "  /users/x{userId}:", "allows no segment"},
		{"Velocity in the documentation's address", contract, "url: https://github.com/userrequestapi/userdata\n",
			"url: https://github.com/userrequestapi/userdata#readme\n", "neither $ nor #"},
		{"version", contract, "openapi: 3.0.3", "openapi: 3.1.0", "API Gateway imports version 3.0"},
		{"tag in the contract", contract, "version: 1.0.0", "version: !Ref Version", "line 7, column 12: the tag !Ref is CloudFormation's"},
		{"key twice", resources, "  LogLevel:\n", "  StageName:\n", "the key StageName is there twice"},
		{"unknown tag", resources, "!GetAtt GetRole.Arn", "!GetAt GetRole.Arn", "the tag !GetAt is no intrinsic function"},
		{"GetAtt without attribute", resources, "!GetAtt GetRole.Arn", "!GetAtt GetRole", "write Resource.Attribute"},
		{"null", resources, "      Description: Creates users", "      Description:", "Resources.PostFunction.Properties.Description: CloudFormation allows no null"},
		{"merged text", resources, "      <<: *function\n", "      <<: text\n", "only one mapping can be merged"},
		{"merged list", resources, "      <<: *function\n", "      <<: [*function]\n", "only one mapping can be merged"},
		{"Transform", resources, "Metadata:\n", "Transform: AWS::Serverless-2016-10-31\nMetadata:\n", "the section Transform is not supported"},
		{"broken YAML", resources, "Conditions:\n", "Conditions: [\n", "load template.yaml: read YAML"},
		{"timeout", resources, "Timeout: 10 ", "Timeout: 29 ", "Resources.DeleteFunction.Properties.Timeout: it must be 1 to 28 seconds"},
		{"own body", resources, "        Types: [REGIONAL]\n", "        Types: [REGIONAL]\n      Body: {}\n", "Resources.Api.Properties.Body: leave it out"},
		{"name of a permission", resources, "  ApiDeployment:", "  CreateUserPermission: {Type: \"AWS::SNS::Topic\"}\n  ApiDeployment:",
			"Resources.CreateUserPermission: the name is that of the permission for POST /users"},
		{"version of the documentation", resources, "      TracingEnabled: true", "      TracingEnabled: true\n      DocumentationVersion: x",
			"Resources.ApiStage.Properties.DocumentationVersion: leave it out"},
		{"two APIs", resources, "  ApiDeployment:", "  Other: {Type: \"AWS::ApiGateway::RestApi\"}\n  ApiDeployment:",
			"there must be one AWS::ApiGateway::RestApi, not 2"},
		{"parameter that the Body needs", resources, "  CorsAllowOrigin:\n", "  Origin:\n", "there is no parameter or resource CorsAllowOrigin"},
		{"parameter type", resources, "Type: Number", "Type: AWS::EC2::VPC::Id", "Parameters.LogRetentionDays.Type: the type AWS::EC2::VPC::Id is not supported"},
		{"parameter attribute", resources, "    MinValue: 128", "    Minimum: 128", "Parameters.MemorySize.Minimum: there is no such attribute"},
		{"parameter default", resources, "    Default: arm64", "    Default: arm", `Parameters.Architecture.Default: "arm" is none of arm64, x86_64`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			in := files(t)
			edit(t, in, test.file, test.old, test.new)
			_, err := renderError(in)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v\nwant one with %q", err, test.want)
			}
		})
	}
}

func renderError(in fs.FS) (*template.Rendered, error) {
	loaded, err := template.Load(in)
	if err != nil {
		return nil, err
	}
	return loaded.Render(template.Options{})
}

func TestMissingFile(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"template.yaml", "openapi.yaml"} {
		in := files(t)
		delete(in, name)
		if _, err := template.Load(in); err == nil || !strings.Contains(err.Error(), "load "+name) {
			t.Errorf("without %s: the error is %v", name, err)
		}
		for _, text := range []string{"", "- a list"} {
			in[name] = &fstest.MapFile{Data: []byte(text)}
			if _, err := template.Load(in); err == nil || !strings.Contains(err.Error(), "load "+name) {
				t.Errorf("%s with %q: the error is %v", name, text, err)
			}
		}
	}
}

func TestParameters(t *testing.T) {
	t.Parallel()
	loaded := load(t)
	for _, test := range []struct{ name, value, want string }{
		{"Stage", "dev", "parameter Stage: the template has none of this name, but AlarmEmail,"},
		{"StageName", "Dev", "parameter StageName: \"Dev\" does not match"},
		{"StageName", "dev/1", "a stage name has 1 to 17"},
		{"StageName", "", "parameter StageName"},
		{"Architecture", "x86", `parameter Architecture: "x86" is none of arm64, x86_64`},
		{"RequireIfMatch", "yes", "parameter RequireIfMatch"},
		{"LogRetentionDays", "2", "parameter LogRetentionDays"},
		{"ThrottlingRateLimit", "0", "parameter ThrottlingRateLimit: 0 is less than 1"},
		{"ThrottlingRateLimit", "10001", "10001 is more than 10000"},
		{"ThrottlingRateLimit", "many", `"many" is no number`},
		{"ThrottlingRateLimit", "NaN", `"NaN" is no number`},
		{"ThrottlingRateLimit", "Inf", `"Inf" is no number`},
		{"ErrorRateAlarm", ".01", `".01" is no number such as 12 or 0.5`},
		{"ErrorRateAlarm", "0.", `"0." is no number`},
		{"ErrorRateAlarm", "00.5", `"00.5" is no number`},
		{"ErrorRateAlarm", "+0.5", `"+0.5" is no number`},
		{"ErrorRateAlarm", " 0.5", `" 0.5" is no number`},
		{"LatencyAlarmMilliseconds", "1e3", `"1e3" is no number`},
		{"LatencyAlarmMilliseconds", "0x10", `"0x10" is no number`},
		{"LatencyAlarmMilliseconds", "1_000", `"1_000" is no number`},
		{"LatencyAlarmMilliseconds", "-5.25", `-5.25 is less than 1`},
		{"MemorySize", "256.0", "parameter MemorySize: 256.0 is no whole number"},
		{"CorsAllowOrigin", "https://a.example/'", "parameter CorsAllowOrigin"},
		{"CorsAllowOrigin", "https://a.example\n*", "parameter CorsAllowOrigin"},
		{"KmsKeyArn", "alias/users", "an ARN such as arn:aws:kms:"},
		{"KmsKeyArn", "arn:aws:kms:eu-central-1:123456789012:alias/users", "an ARN such as arn:aws:kms:"},
		{"KmsKeyArn", kmsKey + " ", "an ARN such as arn:aws:kms:"},
		{"WebAclArn", "users", "the ARN of a regional web ACL such as"},
		{"WebAclArn", strings.Replace(webACL, "regional", "global", 1), "the ARN of a regional web ACL such as"},
		{"WebAclArn", strings.Replace(webACL, ":wafv2:", ":waf-regional:", 1), "the ARN of a regional web ACL such as"},
	} {
		_, err := loaded.Render(template.Options{Parameters: map[string]string{test.name: test.value}})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s=%q: the error is %v\nwant one with %q", test.name, test.value, err, test.want)
		}
	}
	_, err := loaded.Render(template.Options{
		Parameters: map[string]string{"Stage": "dev", "Architecture": "x86", "LogLevel": "LOUD"},
	})
	for _, want := range []string{"parameter Stage:", "parameter Architecture:", "parameter LogLevel:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("of several faults %q is not told: %v", want, err)
		}
	}
}
