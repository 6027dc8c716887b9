package template_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/userrequestapi/userdata/deploy/template"
)

type object = map[string]any

const (
	kmsKey = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
	webACL = "arn:aws:wafv2:eu-central-1:123456789012:regional/webacl/users/1234abcd-12ab-34cd-56ef-1234567890ab"
)

func place() template.PseudoParameters {
	return template.PseudoParameters{Region: "eu-central-1", AccountID: "123456789012", StackName: "users"}
}

// fixture is the folder of the template and the API document that these tests read. It does not follow the API of this
// repository.
const fixture = "../testdata/service/deploy"

// files returns the fixture's template.yaml and openapi.yaml.
func files(t *testing.T) fstest.MapFS {
	t.Helper()
	result := fstest.MapFS{}
	for _, name := range []string{"template.yaml", "openapi.yaml"} {
		data, err := os.ReadFile(path.Join(fixture, name))
		if err != nil {
			t.Fatal(err)
		}
		result[name] = &fstest.MapFile{Data: data}
	}
	return result
}

// edit replaces a string in a file, which must contain it.
func edit(t *testing.T, in fstest.MapFS, name, old, replacement string) {
	t.Helper()
	content := string(in[name].Data)
	if !strings.Contains(content, old) {
		t.Fatalf("%s has no %q to replace", name, old)
	}
	in[name] = &fstest.MapFile{Data: []byte(strings.Replace(content, old, replacement, 1))}
}

// load returns the fixture's template, which is read once.
func load(t *testing.T) *template.Template {
	t.Helper()
	loaded, err := loadOnce()
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

//nolint:gochecknoglobals // read once, never changed
var loadOnce = sync.OnceValues(func() (*template.Template, error) { return template.Load(os.DirFS(fixture)) })

// renderings has the rendered templates of the fixture by parameters.
var renderings sync.Map //nolint:gochecknoglobals // rendered once, never changed

// project returns the fixture's template rendered with parameters. Tests share it and must not change it.
func project(t *testing.T, parameters map[string]string) *template.Rendered {
	t.Helper()
	loaded := load(t)
	render, _ := renderings.LoadOrStore(fmt.Sprint(parameters), sync.OnceValues(func() (*template.Rendered, error) {
		return loaded.Render(template.Options{Parameters: parameters})
	}))
	rendered, err := render.(func() (*template.Rendered, error))()
	if err != nil {
		t.Fatal(err)
	}
	return rendered
}

func render(t *testing.T, in fstest.MapFS, parameters map[string]string) *template.Rendered {
	t.Helper()
	loaded, err := template.Load(in)
	if err != nil {
		t.Fatal(err)
	}
	rendered, err := loaded.Render(template.Options{Parameters: parameters})
	if err != nil {
		t.Fatal(err)
	}
	return rendered
}

func resolve(t *testing.T, parameters map[string]string) *template.Resources {
	t.Helper()
	stack, err := project(t, parameters).Resolve(place())
	if err != nil {
		t.Fatal(err)
	}
	return stack
}

func decode(t *testing.T, data []byte) object {
	t.Helper()
	var document object
	if err := json.Unmarshal(data, &document); err != nil {
		t.Fatal(err)
	}
	return document
}

// at returns the value at a path of keys.
func at(t *testing.T, document any, keys ...string) any {
	t.Helper()
	for _, key := range keys {
		mapping, ok := document.(object)
		if !ok {
			t.Fatalf("%v: the parent of %s is not a mapping", keys, key)
		}
		if document, ok = mapping[key]; !ok {
			t.Fatalf("%v: no key %s, only %v", keys, key, slices.Sorted(maps.Keys(mapping)))
		}
	}
	return document
}

func TestFunctions(t *testing.T) {
	t.Parallel()
	stack := resolve(t, map[string]string{"StageName": "dev", "Architecture": "x86_64", "RequireIfMatch": "true", "LogLevel": "DEBUG"})
	var want []template.Function
	for _, f := range []struct{ id, name string }{
		{"DeleteFunction", "delete"}, {"GetFunction", "get"}, {"PostFunction", "post"}, {"PutFunction", "put"},
	} {
		want = append(want, template.Function{
			LogicalID:    f.id,
			Name:         "UserRequestAPI-dev-" + f.name,
			ARN:          "arn:aws:lambda:eu-central-1:123456789012:function:UserRequestAPI-dev-" + f.name + ":live",
			Source:       "../functions/" + f.name,
			Runtime:      "provided.al2023",
			Handler:      "bootstrap",
			Architecture: "x86_64",
			MemoryMB:     256,
			Timeout:      10 * time.Second,
			Environment: map[string]string{
				"TABLE_NAME": "UserData-dev", "LOG_LEVEL": "DEBUG", "SERVICE_NAME": "UserRequestAPI", "STAGE": "dev",
				"REQUIRE_IF_MATCH": "true", "CORS_ALLOW_ORIGIN": "*", "GOGC": "400", "GOMAXPROCS": "1",
			},
			Tracing: true,
			Logging: template.Logging{Group: "/aws/lambda/UserRequestAPI-dev-" + f.name, Format: "JSON", ApplicationLevel: "DEBUG"},
		})
	}
	if diff := cmp.Diff(want, stack.Functions()); diff != "" {
		t.Errorf("Functions (-want +got):\n%s", diff)
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	table := resolve(t, nil).Tables()[0]
	want := template.Table{
		LogicalID: "Table",
		Name:      "UserData",
		ARN:       "arn:aws:dynamodb:eu-central-1:123456789012:table/UserData",
		Properties: object{
			"TableName":                        "UserData",
			"AttributeDefinitions":             []any{object{"AttributeName": "userId", "AttributeType": "S"}},
			"KeySchema":                        []any{object{"AttributeName": "userId", "KeyType": "HASH"}},
			"BillingMode":                      "PAY_PER_REQUEST",
			"DeletionProtectionEnabled":        true,
			"PointInTimeRecoverySpecification": object{"PointInTimeRecoveryEnabled": true},
			"SSESpecification":                 object{"SSEEnabled": true},
			"Tags": []any{
				object{"Key": "Service", "Value": "UserRequestAPI"}, object{"Key": "Stage", "Value": "prod"},
			},
		},
	}
	if diff := cmp.Diff(want, table); diff != "" {
		t.Errorf("Table (-want +got):\n%s", diff)
	}
}

func TestAPI(t *testing.T) {
	t.Parallel()
	api := resolve(t, map[string]string{"StageName": "dev", "ThrottlingRateLimit": "7.5", "ThrottlingBurstLimit": "9"}).API()
	if len(api.ID) != 10 || len(api.DeploymentID) != 6 {
		t.Errorf("ID = %q, DeploymentID = %q, want 10 and 6 characters", api.ID, api.DeploymentID)
	}
	if title := at(t, decode(t, api.Body), "info", "title"); title != "UserRequestAPI-dev" {
		t.Errorf("title = %v, which becomes the name of the API", title)
	}
	if want := at(t, decode(t, project(t, nil).JSON()), "Resources", "ApiStage", "Properties", "AccessLogSetting", "Format"); api.AccessLogFormat != want {
		t.Errorf("AccessLogFormat = %s, want %s", api.AccessLogFormat, want)
	}
	api.ID, api.DeploymentID, api.Body, api.Document, api.AccessLogFormat = "", "", nil, nil, ""
	want := template.API{
		Name: "UserRequestAPI-dev", Stage: "dev", StageVariables: map[string]string{}, Tracing: true,
		Sampling:            template.Sampling{ReservoirSize: 1, FixedRate: 0.05},
		ThrottlingRateLimit: 7.5, ThrottlingBurstLimit: 9,
	}
	if diff := cmp.Diff(want, api); diff != "" {
		t.Errorf("API (-want +got):\n%s", diff)
	}
}

// TestSampling checks that the sampling rule has the values of the parameters, even if the stack does not create it.
func TestSampling(t *testing.T) {
	t.Parallel()
	for _, monitoring := range []string{"true", "false"} {
		parameters := map[string]string{"TracingReservoir": "7", "TracingSamplingRate": "0.125", "Monitoring": monitoring}
		want := template.Sampling{ReservoirSize: 7, FixedRate: 0.125}
		if got := resolve(t, parameters).API().Sampling; got != want {
			t.Errorf("Monitoring %s: %+v, want %+v", monitoring, got, want)
		}
	}
}

func TestRenderingIsReproducible(t *testing.T) {
	t.Parallel()
	first, second := render(t, files(t), nil), render(t, files(t), nil)
	if !bytes.Equal(first.JSON(), second.JSON()) {
		t.Error("the second rendering differs, want the same JSON")
	}
	one, err := first.Resolve(place())
	if err != nil {
		t.Fatal(err)
	}
	two, err := first.Resolve(place())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(one, two, cmp.AllowUnexported(template.Resources{}), cmpopts.IgnoreFields(template.API{}, "Document")); diff != "" {
		t.Errorf("the second stack differs (-first +second):\n%s", diff)
	}
}

// only returns the logical id of the only resource of a type.
func only(t *testing.T, document object, resourceType string) string {
	t.Helper()
	var ids []string
	for id, resource := range at(t, document, "Resources").(object) {
		if at(t, resource, "Type") == resourceType {
			ids = append(ids, id)
		}
	}
	if len(ids) != 1 {
		t.Fatalf("got %[2]v, want one %[1]s", resourceType, ids)
	}
	return ids[0]
}

// deployment returns the logical id of the API's deployment, and checks that the stage refers to it.
func deployment(t *testing.T, rendered *template.Rendered) string {
	t.Helper()
	document := decode(t, rendered.JSON())
	id := only(t, document, "AWS::ApiGateway::Deployment")
	if ref := at(t, document, "Resources", "ApiStage", "Properties", "DeploymentId", "Ref"); ref != id {
		t.Errorf("the stage has the deployment %v, want %s", ref, id)
	}
	return id
}

// documentation returns the logical id of the documentation version, and checks that the stage refers to it and depends
// on it.
func documentation(t *testing.T, rendered *template.Rendered) string {
	t.Helper()
	document := decode(t, rendered.JSON())
	id := only(t, document, "AWS::ApiGateway::DocumentationVersion")
	version := at(t, document, "Resources", id, "Properties", "DocumentationVersion").(string)
	stage := at(t, document, "Resources", "ApiStage")
	if shown := at(t, stage, "Properties", "DocumentationVersion"); shown != version {
		t.Errorf("the stage has the documentation %v, want %s", shown, version)
	}
	if !slices.Contains(at(t, stage, "DependsOn").([]any), any(id)) {
		t.Errorf("the stage does not depend on %s", id)
	}
	if digest := strings.TrimPrefix(id, "ApiDocumentation"); version != "1.0.0-"+digest {
		t.Errorf("%s has the version %s, want the same digest", id, version)
	}
	return id
}

func TestDeploymentFollowsTheAPI(t *testing.T) {
	t.Parallel()
	plain := project(t, nil)
	for _, test := range []struct {
		name       string
		file       string
		old, new   string
		parameters map[string]string
		changes    bool // the deployment
		documents  bool // the documentation
	}{
		{name: "nothing"},
		{name: "a description in the contract", file: "openapi.yaml", old: "summary: Create a user", new: "summary: Make a user", documents: true},
		{name: "a status", file: "openapi.yaml", old: `        "504":`, new: `        "505":`, changes: true, documents: true},
		{name: "a parameter of the Body", parameters: map[string]string{"CorsAllowOrigin": "https://app.example.org"}, changes: true},
		{name: "other parameters", parameters: map[string]string{"LogLevel": "WARN", "ThrottlingRateLimit": "3"}},
		{name: "a function's memory", file: "template.yaml", old: "{DefaultValue: !Ref MemorySize}", new: "{DefaultValue: 512}"},
		{name: "a comment", file: "openapi.yaml", old: "openapi: 3.0.3", new: "openapi: 3.0.3 # as it is"},
		{name: "an example, which is documentation only", file: "openapi.yaml", old: "name: Ada King", new: "name: Ada Byron", documents: true},
		{name: "the authorization", parameters: map[string]string{"Authorization": "NONE"}, changes: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			changed := project(t, test.parameters)
			if test.file != "" {
				in := files(t)
				edit(t, in, test.file, test.old, test.new)
				changed = render(t, in, test.parameters)
			}
			if was, is := deployment(t, plain), deployment(t, changed); (is != was) != test.changes {
				t.Errorf("got deployment %s, before the change %s; want changed = %t", is, was, test.changes)
			}
			if was, is := documentation(t, plain), documentation(t, changed); (is != was) != test.documents {
				t.Errorf("got documentation %s, before the change %s; want changed = %t", is, was, test.documents)
			}
		})
	}
}

func TestReferencesToRenamedDeployment(t *testing.T) {
	t.Parallel()
	in := files(t)
	edit(t, in, "template.yaml", "DependsOn: [ApiExecutionLogGroup, ", "DependsOn: [Api, ApiDeployment, ")
	edit(t, in, "template.yaml", "    Value: !Ref Api\n", `    Value: !Join ["", [!GetAtt ApiDeployment.DeploymentId, !Sub "${ApiDeployment}", !Sub ["${ApiDeployment.DeploymentId}", {}]]]`+"\n")
	rendered := render(t, in, nil)
	id := deployment(t, rendered)
	document := decode(t, rendered.JSON())
	if got := at(t, document, "Resources", "ApiStage", "DependsOn").([]any); len(got) != 3 || !cmp.Equal(got[:2], []any{"Api", id}) {
		t.Errorf("DependsOn = %v, want Api, %s and one more", got, id)
	}
	want := any([]any{"", []any{
		object{"Fn::GetAtt": []any{id, "DeploymentId"}},
		object{"Fn::Sub": "${" + id + "}"},
		object{"Fn::Sub": []any{"${" + id + ".DeploymentId}", object{}}},
	}})
	if diff := cmp.Diff(want, at(t, document, "Outputs", "ApiId", "Value", "Fn::Join")); diff != "" {
		t.Errorf("references (-want +got):\n%s", diff)
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	loaded := load(t)
	want := project(t, nil).JSON()
	results := make(chan []byte)
	for range 4 {
		go func() {
			rendered, err := loaded.Render(template.Options{})
			if err == nil {
				_, err = rendered.Resolve(place())
			}
			if err != nil {
				results <- []byte(err.Error())
				return
			}
			results <- rendered.JSON()
		}()
	}
	for range 4 {
		if got := <-results; !bytes.Equal(got, want) {
			t.Errorf("concurrent rendering differs: %.200s", got)
		}
	}
}
