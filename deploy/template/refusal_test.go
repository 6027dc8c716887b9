package template_test

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/userrequestapi/userdata/deploy/template"
)

// TestRefusals checks that the error for each mistake has its position.
func TestRefusals(t *testing.T) {
	t.Parallel()
	const contract, resources = "openapi.yaml", "template.yaml"
	for _, test := range []struct {
		name, file, old, new string
		want                 string
	}{
		{"unknown function", contract, "x-function: PostFunction", "x-function: CreateFunction",
			"POST /users: x-function: want a function of template.yaml, got CreateFunction"},
		{"a resource of another type", contract, "x-function: PostFunction", "x-function: Table", "got Table"},
		{"function without a route", contract, "x-function: PostFunction", "x-function: PutFunction", "Resources.PostFunction: no route"},
		{"no function", contract, "      x-function: PostFunction\n", "", "paths./users.post: x-function is missing"},
		{"other extension", contract, "      summary: Create a user", "      x-internal: true\n      summary: Create a user",
			"paths./users.post.x-internal: extensions are not supported"},
		{"same operationId", contract, "operationId: headUsers", "operationId: getUsers", `operations "GET /users" and "HEAD /users" have the same operation id "getUsers"`},
		{"hyphen in an operationId", contract, "operationId: headUsers", "operationId: head-users", "letters and digits only"},
		{"OPTIONS in the contract", contract, "    post:\n", "    options:\n", "options is not supported"},
		{"security of an operation", contract, "      x-function: PostFunction\n", "      x-function: PostFunction\n      security: []\n",
			"paths./users.post.security: omit it"},
		{"default response", contract, `        "201":`, "        default:", "responses.default: want a status code"},
		{"model name", contract, "\n    UserPage:", "\n    User_Page: {}\n    UserPage:", "components.schemas.User_Page"},
		{"broken reference", contract, "/responses/Created", "/responses/Made", `"#/components/responses/Made": map key "Made" not found`},
		{"broken schema reference", contract, `items: {$ref: "#/components/schemas/User"}`, `items: {$ref: "#/components/schemas/Person"}`,
			`"Person" not found`},
		{"reference to a file", contract, "#/components/responses/Created", "responses.yaml#/Created", "want a reference to a component of this document"},
		{"reference with another key", contract, `"201": {$ref`, `"201": {description: x, $ref`, "and no other key"},
		{"reference to itself", contract, "    Deleted:\n", "    Deleted: {$ref: \"#/components/responses/Deleted\"}\n    Gone:\n",
			`response "Deleted": found unresolved ref: "#/components/responses/Deleted"`},
		{"no problem schema", contract, "\n    Problem:\n", "\n    Trouble:\n", `"#/components/schemas/Problem": map key "Problem" not found`},
		{"path parameter missing", contract, "      - name: userId\n        in: path", "      - name: id\n        in: path", "must define exactly all path parameters"},
		{"cookie", contract, "      name: If-Match\n      in: header", "      name: If-Match\n      in: cookie", "got \"cookie\""},
		{"no exposed headers", contract,
			"        enum:\n          - &exposedHeaders", "        default:\n          &exposedHeaders",
			"components.headers.Access-Control-Expose-Headers.schema.enum: want one value"},
		{"index with a function", contract, "operationId: getIndex", "operationId: getIndex\n      x-function: GetFunction", "paths./.get.x-function: omit it"},
		{"index of another method", contract, "  /:\n    get:", "  /:\n    post: {responses: {\"200\": {description: x}}}\n    get:", "paths./: post is not supported"},
		{"index without GET", contract, "  /:\n    get:", "  /: {}\n  /other:\n    get:", "paths./: get is missing"},
		{"index without its response", contract, `        "200": {$ref: "#/components/responses/Index"}`, `        "202": {$ref: "#/components/responses/Index"}`,
			"paths./.get.responses.200: missing"},
		{"Velocity in the title", contract, "title: UserRequestAPI\n", "title: User$RequestAPI\n", "want no $ and no #"},
		{"no version", contract, "  version: 1.0.0\n", "", "invalid info: value of version must be a non-empty string"},
		{"reserved path", contract, "  /users:\n", "  /ping:\n", "reserves this path"},
		{"path segment", contract, "  /users/{userId}:", "  /users/x{userId}:", "does not allow the segment"},
		{"Velocity in the URL of the documentation", contract, "url: https://github.com/userrequestapi/userdata\n",
			"url: https://github.com/userrequestapi/userdata#readme\n", "want no $ and no #"},
		{"version", contract, "openapi: 3.0.3", "openapi: 3.1.0", "want version 3.0"},
		{"tag in the contract", contract, "version: 1.0.0", "version: !Ref Version", "line 7, column 12: the tag !Ref is not supported"},
		{"duplicate key", resources, "  LogLevel:\n", "  StageName:\n", "duplicate key StageName"},
		{"unknown tag", resources, "!GetAtt ReleaseRole.Arn", "!GetAt ReleaseRole.Arn", "the tag !GetAt is not an intrinsic function"},
		{"GetAtt without attribute", resources, "!GetAtt ReleaseRole.Arn", "!GetAtt ReleaseRole", "want Resource.Attribute"},
		{"null", resources, "      TracingEnabled: true\n", "      TracingEnabled:\n",
			"Resources.ApiStage.Properties.TracingEnabled: CloudFormation allows no null"},
		{"function without a name", resources, "      Name: get\n", "",
			"Mappings.Functions.Get has no Name: add it"},
		{"unknown function of a loop", resources, "Ids: [Get,", "Ids: [Patch, Get,",
			"Mappings.Functions has no Patch: add it"},
		{"function that is not listed", resources, "Ids: [Get,", "Ids: [", "Mappings.Functions.Get: no loop uses this entry"},
		{"unknown table of a function", resources, "      Tables: [Table]\n      TableActions: [dynamodb:GetItem, dynamodb:Scan]",
			"      Tables: [OrderTable]\n      OrderTableActions: [dynamodb:GetItem]",
			"Mappings.Tables has no OrderTable: add it, or use one of All, Table (Id=Get, TableId=OrderTable)"},
		{"misspelled actions", resources, "      TableActions: [dynamodb:GetItem, dynamodb:Scan]\n",
			"      TableAction: [dynamodb:GetItem, dynamodb:Scan]\n",
			"Mappings.Functions.Get.TableAction: no loop uses this value: correct its name, or remove it"},
		{"actions on a table that is not listed", resources, "      TableActions: [dynamodb:GetItem, dynamodb:Scan]\n",
			"      TableActions: [dynamodb:GetItem, dynamodb:Scan]\n      OrderTableActions: [dynamodb:GetItem]\n",
			"Mappings.Functions.Get.OrderTableActions: no loop uses this value: correct its name, or remove it"},
		{"merged string", resources, "<<: *alarm\n", "<<: text\n", "want one mapping to merge"},
		{"merged list", resources, "<<: *alarm\n", "<<: [*alarm]\n", "want one mapping to merge"},
		{"Transform", resources, "Metadata:\n", "Transform: AWS::Serverless-2016-10-31\nMetadata:\n", "the section Transform is not supported"},
		{"broken YAML", resources, "Conditions:\n", "Conditions: [\n", "load template.yaml: read YAML"},
		{"timeout", resources, "{DefaultValue: 10}", "{DefaultValue: 29}", "Function.Properties.Timeout: want 1 to 28 seconds"},
		{"own body", resources, "        Types: [REGIONAL]\n", "        Types: [REGIONAL]\n      Body: {}\n", "Resources.Api.Properties.Body: omit it"},
		{"name of a permission", resources, "  ApiDeployment:", "  CreateUserPermission: {Type: \"AWS::SNS::Topic\"}\n  ApiDeployment:",
			"Resources.CreateUserPermission: the name is reserved for the permission of POST /users"},
		{"version of the documentation", resources, "      TracingEnabled: true", "      TracingEnabled: true\n      DocumentationVersion: x",
			"Resources.ApiStage.Properties.DocumentationVersion: omit it"},
		{"two APIs", resources, "  ApiDeployment:", "  Other: {Type: \"AWS::ApiGateway::RestApi\"}\n  ApiDeployment:",
			"want one AWS::ApiGateway::RestApi, got 2"},
		{"parameter that the Body needs", resources, "  CorsAllowOrigin:\n", "  Origin:\n", "there is no parameter or resource CorsAllowOrigin"},
		{"parameter type", resources, "Type: Number", "Type: AWS::EC2::VPC::Id", "Parameters.LogRetentionDays.Type: the type AWS::EC2::VPC::Id is not supported"},
		{"parameter attribute", resources, "    MinValue: 128", "    Minimum: 128", "Parameters.MemorySize.Minimum: this attribute of a parameter is not supported"},
		{"parameter default", resources, "    Default: arm64", "    Default: arm", `Parameters.Architecture.Default: "arm" is none of arm64, x86_64`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			in := files(t)
			edit(t, in, test.file, test.old, test.new)
			_, err := renderError(in)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error = %v\nwant one that contains %q", err, test.want)
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
			t.Errorf("without %s: error = %v, want that of loading it", name, err)
		}
		for _, content := range []string{"", "- a list"} {
			in[name] = &fstest.MapFile{Data: []byte(content)}
			if _, err := template.Load(in); err == nil || !strings.Contains(err.Error(), "load "+name) {
				t.Errorf("%s with %q: error = %v, want that of loading it", name, content, err)
			}
		}
	}
}

func TestParameters(t *testing.T) {
	t.Parallel()
	loaded := load(t)
	for _, test := range []struct{ name, value, want string }{
		{"Stage", "dev", "parameter Stage: the template has no such parameter; its parameters are AlarmEmail,"},
		{"StageName", "Dev", "parameter StageName: \"Dev\" does not match"},
		{"StageName", "dev/1", "a stage name has 1 to 17"},
		{"StageName", "", "parameter StageName"},
		{"Architecture", "x86", `parameter Architecture: "x86" is none of arm64, x86_64`},
		{"RequireIfMatch", "yes", "parameter RequireIfMatch"},
		{"LogRetentionDays", "2", "parameter LogRetentionDays"},
		{"ThrottlingRateLimit", "0", "parameter ThrottlingRateLimit: 0 is less than 1"},
		{"ThrottlingRateLimit", "10001", "10001 is more than 10000"},
		{"ThrottlingRateLimit", "many", `want a number such as 12 or 0.5, got "many"`},
		{"ThrottlingRateLimit", "NaN", `want a number such as 12 or 0.5, got "NaN"`},
		{"ThrottlingRateLimit", "Inf", `want a number such as 12 or 0.5, got "Inf"`},
		{"ErrorRateAlarm", ".01", `want a number such as 12 or 0.5, got ".01"`},
		{"ErrorRateAlarm", "0.", `want a number such as 12 or 0.5, got "0."`},
		{"ErrorRateAlarm", "00.5", `want a number such as 12 or 0.5, got "00.5"`},
		{"ErrorRateAlarm", "+0.5", `want a number such as 12 or 0.5, got "+0.5"`},
		{"ErrorRateAlarm", " 0.5", `want a number such as 12 or 0.5, got " 0.5"`},
		{"LatencyAlarmMilliseconds", "1e3", `want a number such as 12 or 0.5, got "1e3"`},
		{"LatencyAlarmMilliseconds", "0x10", `want a number such as 12 or 0.5, got "0x10"`},
		{"LatencyAlarmMilliseconds", "1_000", `want a number such as 12 or 0.5, got "1_000"`},
		{"LatencyAlarmMilliseconds", "-5.25", `-5.25 is less than 1`},
		{"MemorySize", "256.0", "parameter MemorySize: want a whole number, got 256.0"},
		{"CorsAllowOrigin", "https://a.example/'", "parameter CorsAllowOrigin"},
		{"CorsAllowOrigin", "https://a.example\n*", "parameter CorsAllowOrigin"},
		{"KmsKeyArn", "alias/users", "an ARN such as arn:aws:kms:"},
		{"KmsKeyArn", "arn:aws:kms:eu-central-1:123456789012:alias/users", "an ARN such as arn:aws:kms:"},
		{"KmsKeyArn", kmsKey + " ", "an ARN such as arn:aws:kms:"},
		{"WebAclArn", "users", "the ARN of a regional web ACL such as"},
		{"WebAclArn", strings.Replace(webACL, "regional", "global", 1), "the ARN of a regional web ACL such as"},
		{"WebAclArn", strings.Replace(webACL, ":wafv2:", ":waf-regional:", 1), "the ARN of a regional web ACL such as"},
	} {
		t.Run(fmt.Sprintf("%s=%.50q", test.name, test.value), func(t *testing.T) {
			t.Parallel()
			_, err := loaded.Render(template.Options{Parameters: map[string]string{test.name: test.value}})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error = %v\nwant one that contains %q", err, test.want)
			}
		})
	}
	_, err := loaded.Render(template.Options{
		Parameters: map[string]string{"Stage": "dev", "Architecture": "x86", "LogLevel": "LOUD"},
	})
	for _, want := range []string{"parameter Stage:", "parameter Architecture:", "parameter LogLevel:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error = %[2]v, want one that contains %[1]q", want, err)
		}
	}
}
