package template_test

import (
	"bytes"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/userrequestapi/userdata/deploy/template"
)

// packages returns S3 keys for all functions.
func packages(t *testing.T) map[string]string {
	t.Helper()
	keys := map[string]string{}
	for _, f := range resolve(t, nil).Functions() {
		keys[f.LogicalID] = "functions/" + path.Base(f.Source) + "/1.zip"
	}
	return keys
}

// packaged renders the fixture's template with packages.
func packaged(t *testing.T, parameters map[string]string) *template.Rendered {
	t.Helper()
	loaded := load(t)
	rendered, err := loaded.Render(template.Options{Parameters: parameters, Code: packages(t)})
	if err != nil {
		t.Fatal(err)
	}
	return rendered
}

// versions returns the logical id of each function's version, and checks that the function's alias refers to it.
func versions(t *testing.T, rendered *template.Rendered) map[string]string {
	t.Helper()
	result := map[string]string{}
	aliased := map[string]any{}
	for id, resource := range at(t, decode(t, rendered.JSON()), "Resources").(object) {
		switch at(t, resource, "Type") {
		case "AWS::Lambda::Version":
			result[at(t, resource, "Properties", "FunctionName", "Ref").(string)] = id
		case "AWS::Lambda::Alias":
			version := at(t, resource, "Properties", "FunctionVersion", "Fn::GetAtt").([]any)
			if version[1] != "Version" || at(t, resource, "Properties", "Name") != "live" {
				t.Errorf("%s: got %v, want the alias live of a version", id, resource)
			}
			aliased[at(t, resource, "Properties", "FunctionName", "Ref").(string)] = version[0]
		}
	}
	if want := len(packages(t)); len(result) != want || len(aliased) != want {
		t.Fatalf("got versions %v and aliases %v, want one of each for each function", result, aliased)
	}
	for function, version := range result {
		if aliased[function] != version {
			t.Errorf("the alias of %s refers to %v, want %s", function, aliased[function], version)
		}
	}
	return result
}

// TestVersionsFollowTheFunctions checks that the id of a version changes if and only if Lambda can publish a new
// version.
func TestVersionsFollowTheFunctions(t *testing.T) {
	t.Parallel()
	plain := versions(t, project(t, nil))
	none, all := []string(nil), slices.Sorted(maps.Keys(packages(t)))
	const file = "template.yaml"
	for _, test := range []struct {
		name       string
		old, new   string
		parameters map[string]string
		want       []string
	}{
		{name: "nothing", want: none},
		{name: "memory", parameters: map[string]string{"MemorySize": "512"}, want: all},
		{name: "architecture", parameters: map[string]string{"Architecture": "x86_64"}, want: all},
		{name: "log level, in environment and logging", parameters: map[string]string{"LogLevel": "WARN"}, want: all},
		{name: "environment", parameters: map[string]string{"RequireIfMatch": "true"}, want: all},
		{name: "the same value", parameters: map[string]string{"RequireIfMatch": "false"}, want: none},
		{name: "another table", parameters: map[string]string{"ExistingTableName": "Other"}, want: all},
		{name: "the same table, existing", parameters: map[string]string{"ExistingTableName": "UserData"}, want: none},
		{name: "the table's name", old: "[IsProd, UserData, ", new: "[IsProd, Users, ", want: all},
		{name: "the table's properties", old: "BillingMode: PAY_PER_REQUEST", new: "BillingMode: PROVISIONED", want: none},
		{name: "timeout", old: "{DefaultValue: 10}", new: "{DefaultValue: 12}", want: all},
		{name: "one function's timeout", old: "      Name: get\n", new: "      Name: get\n      Timeout: 12\n",
			want: []string{"GetFunction"}},
		{name: "one function's memory", old: "      Name: get\n", new: "      Name: get\n      MemorySize: 512\n",
			want: []string{"GetFunction"}},
		{name: "runtime", old: "Runtime: provided.al2023", new: "Runtime: provided.al2027", want: all},
		{name: "tracing", old: "Mode: Active", new: "Mode: PassThrough", want: all},
		{name: "source folders", old: `["../functions/${Function}"`, new: `["../functions2/${Function}"`, want: none},
		{name: "roles", old: `Role: !GetAtt "${Id}Role.Arn"`, new: "Role: arn:aws:iam::123456789012:role/x", want: all},
		{name: "layers", old: "Handler: bootstrap\n", new: "Layers: [a]\n          Handler: bootstrap\n", want: all},
		{name: "one function's name", old: "Name: get\n", new: "Name: read\n", want: []string{"GetFunction"}},
		{name: "log groups", old: "- /aws/lambda/${Name}", new: "- /lambda/${Name}", want: all},
		{name: "a role's policy", old: "[dynamodb:GetItem, dynamodb:Scan]", new: "[dynamodb:GetItem]", want: none},
		{name: "a description", old: "Description: Creates users", new: "Description: Makes users", want: none},
		{name: "tags", old: "- Key: Service\n", new: "- Key: Product\n", want: none},
		{name: "reserved concurrency", parameters: map[string]string{"ReservedConcurrency": "5"}, want: none},
		{name: "parameters of other resources", parameters: map[string]string{
			"ThrottlingRateLimit": "7", "LogRetentionDays": "7", "Authorization": "API_KEY", "Monitoring": "false",
		}, want: none},
		{name: "gradual release", parameters: map[string]string{"DeploymentPreference": "Canary10Percent5Minutes"}, want: none},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			rendered := project(t, test.parameters)
			if test.old != "" {
				in := files(t)
				edit(t, in, file, test.old, test.new)
				rendered = render(t, in, test.parameters)
			}
			var changed []string
			for function, id := range versions(t, rendered) {
				if id != plain[function] {
					changed = append(changed, function)
				}
			}
			slices.Sort(changed)
			if diff := cmp.Diff(test.want, changed); diff != "" {
				t.Errorf("new versions (-want +got):\n%s", diff)
			}
		})
	}
}

// TestVersionsFollowThePackages checks that the id of a version depends on a package's name, which is a digest, and
// not on its folder.
func TestVersionsFollowThePackages(t *testing.T) {
	t.Parallel()
	loaded := load(t)
	plain := versions(t, packaged(t, nil))
	for key, want := range map[string][]string{
		"functions/get/1.zip": nil, "functions/read/1.zip": nil, "1.zip": nil, "functions/get/2.zip": {"GetFunction"},
	} {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			code := packages(t)
			code["GetFunction"] = key
			rendered, err := loaded.Render(template.Options{Code: code})
			if err != nil {
				t.Fatal(err)
			}
			var changed []string
			for function, id := range versions(t, rendered) {
				if id != plain[function] {
					changed = append(changed, function)
				}
			}
			if diff := cmp.Diff(want, changed); diff != "" {
				t.Errorf("functions with a new version (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPackages(t *testing.T) {
	t.Parallel()
	rendered := packaged(t, nil)
	if diff := cmp.Diff(packages(t), rendered.Code()); diff != "" {
		t.Errorf("Code (-want +got):\n%s", diff)
	}
	if code := project(t, nil).Code(); len(code) != 0 {
		t.Errorf("Code = %v without packages, want none", code)
	}
	document := decode(t, rendered.JSON())
	want := object{"S3Bucket": object{"Ref": "ArtifactBucket"}, "S3Key": "functions/get/1.zip"}
	if diff := cmp.Diff(any(want), at(t, document, "Resources", "GetFunction", "Properties", "Code")); diff != "" {
		t.Errorf("the function's Code (-want +got):\n%s", diff)
	}
	if _, ok := rendered.Parameters()["ArtifactBucket"]; ok {
		t.Error("ArtifactBucket has a value, want none")
	}
	bucket := map[string]string{"ArtifactBucket": "the-bucket"}
	same := packaged(t, bucket)
	if same.Parameters()["ArtifactBucket"] != "the-bucket" || !bytes.Equal(same.JSON(), rendered.JSON()) {
		t.Error("got another template or bucket, want the bucket only as a parameter")
	}
	stack, err := rendered.Resolve(place())
	if err != nil {
		t.Fatal(err)
	}
	if f := stack.Functions()[1]; f.Source != "" || f.Name != "UserRequestAPI-get" {
		t.Errorf("got packaged function %+v, want UserRequestAPI-get without a source", f)
	}

	loaded := load(t)
	if slices.Contains(loaded.Parameters(), "ArtifactBucket") || !slices.Contains(loaded.Parameters(), "StageName") ||
		!slices.IsSorted(loaded.Parameters()) {
		t.Errorf("Parameters = %v, want them without ArtifactBucket", loaded.Parameters())
	}
	missing, unknown := packages(t), packages(t)
	delete(missing, "PutFunction")
	unknown["Table"] = "functions/table/1.zip"
	for want, options := range map[string]template.Options{
		"the function PutFunction has no package":                      {Code: missing},
		"functions/table/1.zip is for Table, which is not a function":  {Code: unknown},
		"parameter ArtifactBucket: \"A\" does not match":               {Code: packages(t), Parameters: map[string]string{"ArtifactBucket": "A"}},
		"parameter ArtifactBucket: the template has no such parameter": {Parameters: bucket},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			if _, err := loaded.Render(options); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error = %v\nwant one that contains %q", err, want)
			}
		})
	}
}

// differences returns the paths at which two documents differ.
func differences(where string, one, two any) []string {
	first, isFirst := one.(object)
	second, isSecond := two.(object)
	if !isFirst || !isSecond {
		if cmp.Equal(one, two) {
			return nil
		}
		return []string{where}
	}
	keys := map[string]bool{}
	for _, o := range []object{first, second} {
		for key := range o {
			keys[key] = true
		}
	}
	var result []string
	for key := range keys {
		result = append(result, differences(path.Join(where, key), first[key], second[key])...)
	}
	slices.Sort(result)
	return result
}

// TestSetCode checks that only the package of one function and the id of its version change.
func TestSetCode(t *testing.T) {
	t.Parallel()
	before := packaged(t, map[string]string{"ArtifactBucket": "the-bucket"})
	after, err := template.Open(before.JSON(), before.Parameters())
	if err != nil {
		t.Fatal(err)
	}
	if err := after.SetCode("GetFunction", "functions/get/2.zip"); err != nil {
		t.Fatal(err)
	}
	was, is := versions(t, before)["GetFunction"], versions(t, after)["GetFunction"]
	want := []string{
		"Resources/GetAlias/Properties/FunctionVersion/Fn::GetAtt",
		"Resources/GetFunction/Properties/Code/S3Key",
		"Resources/" + was,
		"Resources/" + is,
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, differences("", decode(t, before.JSON()), decode(t, after.JSON()))); diff != "" {
		t.Errorf("changed paths (-want +got):\n%s", diff)
	}
	// Rendering gives the same ids, so that the next deployment changes nothing.
	loaded := load(t)
	code := packages(t)
	code["GetFunction"] = "functions/get/2.zip"
	rendered, err := loaded.Render(template.Options{Code: code, Parameters: before.Parameters()})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(rendered.JSON(), after.JSON()) {
		t.Errorf("rendering with this package differs at %v", differences("", decode(t, rendered.JSON()), decode(t, after.JSON())))
	}
	for _, key := range []string{"functions/get/1.zip", "functions/get/1.zip"} { // the second call changes nothing
		if err := after.SetCode("GetFunction", key); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(after.JSON(), before.JSON()) {
			t.Errorf("SetCode with the first package differs from the first template at %v", differences("", decode(t, before.JSON()), decode(t, after.JSON())))
		}
	}
	wantErr := "no such function with a package: choose from DeleteFunction, GetFunction"
	if err := after.SetCode("Table", "x"); err == nil || !strings.Contains(err.Error(), wantErr) {
		t.Errorf("error = %v, want one that contains %q", err, wantErr)
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	rendered := packaged(t, map[string]string{"ArtifactBucket": "the-bucket", "StageName": "dev", "TracingSamplingRate": "0.125"})
	parameters := rendered.Parameters()
	for name, want := range map[string]string{
		"StageName": "dev", "TracingSamplingRate": "0.125", "LogLevel": "INFO", "AlarmEmail": "", "ThrottlingRateLimit": "2000",
	} {
		if got, ok := parameters[name]; got != want || !ok {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	opened, err := template.Open(rendered.JSON(), parameters)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(opened.JSON(), rendered.JSON()) {
		t.Error("the JSON of the opened template differs, want it unchanged")
	}
	for what, diff := range map[string]string{
		"Code":       cmp.Diff(rendered.Code(), opened.Code()),
		"Parameters": cmp.Diff(parameters, opened.Parameters()),
	} {
		if diff != "" {
			t.Errorf("%s of the opened template (-want +got):\n%s", what, diff)
		}
	}
	one, err := rendered.Resolve(place())
	if err != nil {
		t.Fatal(err)
	}
	two, err := opened.Resolve(place())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(one, two, cmp.AllowUnexported(template.Resources{}), cmpopts.IgnoreFields(template.API{}, "Document")); diff != "" {
		t.Errorf("stack of the opened template (-want +got):\n%s", diff)
	}
	for document, want := range map[string]string{
		"Resources: {}": "open the template: read JSON",
		"{} {}":         "unexpected data",
		"[]":            "want a JSON object",
		`{"Parameters": {"A": {"Type": "String"}}}`:                                                         "parameter A: it has no default",
		`{"Parameters": {"A": {"Type": "Strong"}}}`:                                                         "Parameters.A.Type",
		`{"Resources": {"T": {"Type": "AWS::DynamoDB::Table", "Properties": {"TableName": {"Ref": "A"}}}}}`: "there is no parameter or resource A",
	} {
		t.Run(document, func(t *testing.T) {
			t.Parallel()
			if _, err := template.Open([]byte(document), nil); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error = %v\nwant one that contains %q", err, want)
			}
		})
	}
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	loaded := load(t)
	type previous struct {
		Number int               `json:"number"`
		Code   map[string]string `json:"code"`
	}
	rendered, err := loaded.Render(template.Options{Code: packages(t)})
	if err == nil {
		err = rendered.SetMetadata(object{"commit": "abc", "previous": []previous{{Number: 1, Code: packages(t)}}})
	}
	if err != nil {
		t.Fatal(err)
	}
	code := object{}
	for id, key := range packages(t) {
		code[id] = key
	}
	want := object{"commit": "abc", "previous": []any{object{"number": int64(1), "code": code}}}
	opened, err := template.Open(rendered.JSON(), rendered.Parameters())
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]*template.Rendered{"rendered": rendered, "opened": opened} {
		if diff := cmp.Diff(want, r.Metadata()); diff != "" {
			t.Errorf("%s: Metadata (-want +got):\n%s", name, diff)
		}
		r.Metadata()["commit"] = "changed by the caller"
		if err := r.SetMetadata(object{"commit": "def"}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(any(object{"commit": "def"}), at(t, decode(t, r.JSON()), "Metadata", "Release")); diff != "" {
			t.Errorf("%s: Metadata in JSON (-want +got):\n%s", name, diff)
		}
		if err := r.SetMetadata(object{"commit": nil}); err == nil || !strings.Contains(err.Error(), "Metadata.Release.commit: CloudFormation allows no null") {
			t.Errorf("%s: error = %v, want the path of the null", name, err)
		}
		if err := r.SetMetadata(object{"commit": func() {}}); err == nil || r.Metadata()["commit"] != "def" {
			t.Errorf("%s: error = %v, Metadata = %v, want an error and no change", name, err, r.Metadata())
		}
	}
	if metadata := packaged(t, nil).Metadata(); metadata != nil {
		t.Errorf("Metadata = %v, want nil", metadata)
	}
}

// TestImporting_Document checks the content of the template for the import of a table.
func TestImporting_Document(t *testing.T) {
	t.Parallel()
	rendered := packaged(t, map[string]string{"StageName": "dev"})
	alone := rendered.Importing(nil, map[string][]string{"Table": nil})
	document, whole := decode(t, alone.JSON()), decode(t, rendered.JSON())
	if diff := cmp.Diff([]string{"AWSTemplateFormatVersion", "Conditions", "Description", "Mappings", "Parameters", "Resources"},
		slices.Sorted(maps.Keys(document))); diff != "" {
		t.Errorf("sections (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(any(object{"Table": at(t, whole, "Resources", "Table")}), document["Resources"]); diff != "" {
		t.Errorf("Resources (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(rendered.Parameters(), alone.Parameters()); diff != "" {
		t.Errorf("Parameters (-want +got):\n%s", diff)
	}
	if _, err := template.Open(alone.JSON(), alone.Parameters()); err != nil {
		t.Error(err)
	}
	if own := packaged(t, map[string]string{"ExistingTableName": "Other"}).OwnTables(); len(own) > 0 {
		t.Errorf("OwnTables = %v, want no existing table", own)
	}
}

// TestConditions checks which conditions are true with some parameters.
func TestConditions(t *testing.T) {
	t.Parallel()
	const pool = "arn:aws:cognito-idp:eu-central-1:123456789012:userpool/eu-central-1_AbCdEfGhI"
	document := decode(t, packaged(t, nil).JSON())
	// Environment variables of the functions have the values of conditions.
	var variables strings.Builder
	for condition := range at(t, document, "Conditions").(object) {
		fmt.Fprintf(&variables, "\n              Is%s: !If [%[1]s, yes, !Ref AWS::NoValue]", condition)
	}
	in := files(t)
	edit(t, in, "template.yaml", `GOMAXPROCS: "1"`, `GOMAXPROCS: "1"`+variables.String())
	for name, test := range map[string]struct {
		parameters map[string]string
		want       []string
	}{
		"defaults": {nil, []string{"IsMonitored", "IsProd", "OwnsTable"}},
		"no monitoring": {
			map[string]string{"StageName": "dev", "Monitoring": "false"}, []string{"OwnsTable"},
		},
		"existing table": {
			map[string]string{"StageName": "dev", "ExistingTableName": "Other"}, []string{"IsMonitored"},
		},
		"key and web ACL": {
			map[string]string{"StageName": "dev", "KmsKeyArn": kmsKey, "WebAclArn": webACL},
			[]string{"IsMonitored", "OwnsTable", "UsesKmsKey", "UsesWebAcl"},
		},
		"API key": {
			map[string]string{
				"StageName": "dev", "Authorization": "API_KEY", "ApiGatewayLogsRole": "Create", "ReservedConcurrency": "1",
			},
			[]string{"CreatesLogsRole", "IsMonitored", "OwnsTable", "ReservesConcurrency", "UsesApiKey"},
		},
		"user pool": {
			map[string]string{
				"StageName": "dev", "Authorization": "COGNITO_USER_POOLS", "UserPoolArn": pool, "AlarmEmail": "a@example.org",
			},
			[]string{"HasAlarmEmail", "IsMonitored", "OwnsTable", "UsesUserPool"},
		},
		"gradual": {
			map[string]string{"StageName": "dev", "DeploymentPreference": "Linear10PercentEvery1Minute"},
			[]string{"IsGradual", "IsMonitored", "OwnsTable"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stack, err := render(t, in, test.parameters).Resolve(place())
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for variable, value := range stack.Functions()[0].Environment {
				if condition, ok := strings.CutPrefix(variable, "Is"); ok && value == "yes" {
					got = append(got, condition)
				}
			}
			slices.Sort(got)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("conditions that are true (-want +got):\n%s", diff)
			}
		})
	}
}

func TestExistingTable(t *testing.T) {
	t.Parallel()
	stack := resolve(t, map[string]string{"ExistingTableName": "Other"})
	own := resolve(t, nil).Tables()[0]
	want := template.Table{Name: "Other", ARN: "arn:aws:dynamodb:eu-central-1:123456789012:table/Other", Properties: own.Properties}
	want.Properties["TableName"] = "Other"
	if diff := cmp.Diff(want, stack.Tables()[0]); diff != "" {
		t.Errorf("Table (-want +got):\n%s", diff)
	}
	if name := stack.Functions()[0].Environment["TABLE_NAME"]; name != "Other" {
		t.Errorf("TABLE_NAME = %q, want Other", name)
	}
}
