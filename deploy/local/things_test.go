package local_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/local"
)

// thingsTemplate is the template of an API with one function. FUNCTION_RESPONSE and TABLES are replaced.
const thingsTemplate = `
Parameters:
  StageName: {Type: String, Default: prod}
  Authorization: {Type: String, Default: NONE}
  UserPoolArn: {Type: String, Default: ""}
  TracingSamplingRate: {Type: Number, Default: 1}
  CorsAllowOrigin: {Type: String, Default: "*"}
Resources:
TABLES
  Function:
    Type: AWS::Lambda::Function
    Properties:
      FunctionName: ThingsAPI-things
      Code: ../functions/things
      Runtime: provided.al2023
      Handler: bootstrap
      Timeout: 10
      Environment: {Variables: {RESPONSE: 'FUNCTION_RESPONSE'}}
  Version: {Type: AWS::Lambda::Version, Properties: {FunctionName: !Ref Function}}
  Alias:
    Type: AWS::Lambda::Alias
    Properties: {FunctionName: !Ref Function, FunctionVersion: !GetAtt Version.Version, Name: live}
  Api: {Type: AWS::ApiGateway::RestApi, Properties: {Name: ThingsAPI}}
  Deployment: {Type: AWS::ApiGateway::Deployment, Properties: {RestApiId: !Ref Api}}
  Documentation: {Type: AWS::ApiGateway::DocumentationVersion, Properties: {RestApiId: !Ref Api}}
  Stage:
    Type: AWS::ApiGateway::Stage
    DependsOn: Documentation
    Properties: {RestApiId: !Ref Api, DeploymentId: !Ref Deployment, StageName: !Ref StageName}
`

// thingsDocument is the API document of thingsTemplate. PATHS is replaced.
const thingsDocument = `
openapi: 3.0.3
info: {title: ThingsAPI, version: 1.0.0, description: An API of things.}
externalDocs: {url: "https://example.org"}
paths:
PATHS
components:
  headers:
    Access-Control-Expose-Headers: {schema: {type: string, enum: [ETag]}}
  schemas:
    Problem: {type: object}
`

// thingsBootstrap responds to every invocation with $RESPONSE.
const thingsBootstrap = `#!/bin/sh
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
while headers=$(curl -sS -o "$(dirname "$0")/event" -D - "$api/next" | tr -d '\r'); do
  id=$(printf '%s\n' "$headers" | awk 'tolower($1) == "lambda-runtime-aws-request-id:" { print $2 }')
  curl -sS -o /dev/null -d "$RESPONSE" "$api/$id/response"
done
`

// thingsConfig returns the configuration of a stack with the given tables of the template and paths of the API document.
// Its function responds to every invocation with response, and keeps the last event in the file event.
func thingsConfig(t *testing.T, tables, paths, response string) (cfg local.Config, event string) {
	t.Helper()
	dir := testenv.Folder(t, map[string]string{
		"deploy/template.yaml":       strings.NewReplacer("TABLES", tables, "FUNCTION_RESPONSE", response).Replace(thingsTemplate),
		"deploy/openapi.yaml":        strings.Replace(thingsDocument, "PATHS", paths, 1),
		"functions/things/go.mod":    "module example.org/things\n\ngo 1.26\n",
		"functions/things/main.go":   "package main\n\nfunc main() {}\n",
		"functions/things/bootstrap": thingsBootstrap,
	})
	bootstrap := filepath.Join(dir, "functions", "things", "bootstrap")
	if err := os.Chmod(bootstrap, 0o700); err != nil {
		t.Fatal(err)
	}
	return local.Config{
		Root: dir, DataDir: t.TempDir(), Bootstraps: map[string]string{"Function": bootstrap}, LogFile: "stack.jsonl",
	}, filepath.Join(filepath.Dir(bootstrap), "event")
}

// startThings starts a stack and stops it after the test.
func startThings(t *testing.T, cfg local.Config) *local.Instance {
	t.Helper()
	stack, err := local.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stack.Close(); err != nil {
			t.Error(err)
		}
	})
	return stack
}
