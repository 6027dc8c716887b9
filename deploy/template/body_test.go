package template_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/userrequestapi/userdata/deploy/contract"
	"github.com/userrequestapi/userdata/deploy/local/apigateway"
	"github.com/userrequestapi/userdata/deploy/template"
)

// routes returns the function of each route of the API.
func routes() map[string]string {
	return map[string]string{
		"GET /users": "get", "HEAD /users": "get", "POST /users": "post", "PUT /users": "put", "DELETE /users": "delete",
		"GET /users/{userId}": "get", "HEAD /users/{userId}": "get", "PUT /users/{userId}": "put", "DELETE /users/{userId}": "delete",
	}
}

// contractJSON returns the fixture's openapi.yaml as JSON.
func contractJSON(t *testing.T) []byte {
	t.Helper()
	document, err := contract.Read(os.DirFS(fixture))
	if err != nil {
		t.Fatal(err)
	}
	return document.Public().JSON()
}

// TestIsOpenAPI checks both documents against the OpenAPI Initiative's schema of OpenAPI 3.0.
func TestIsOpenAPI(t *testing.T) {
	t.Parallel()
	schema, err := jsonschema.NewCompiler().Compile("testdata/openapi-3.0.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"openapi.yaml": contractJSON(t), "Body": resolve(t, nil).API().Body} {
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(document); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRoutes checks that each route invokes its function, and that each permission is for one route only.
func TestRoutes(t *testing.T) {
	t.Parallel()
	const account = ":eu-central-1:123456789012:"
	stack := resolve(t, nil)
	body := decode(t, stack.API().Body)
	integrations := map[string]string{}
	for path, item := range at(t, body, "paths").(object) {
		for key, operation := range item.(object) {
			integration := at(t, operation, "x-amazon-apigateway-integration").(object)
			if integration["type"] == "mock" {
				continue
			}
			if integration["type"] != "aws_proxy" || integration["httpMethod"] != "POST" || integration["timeoutInMillis"] != 29000.0 {
				t.Errorf("%s %s: got integration %v, want aws_proxy with POST and 29,000 ms", key, path, integration)
			}
			integrations[strings.ToUpper(key)+" "+path] = fmt.Sprint(integration["uri"])
			if operation.(object)["x-function"] != nil {
				t.Errorf("%s %s: got x-function, want it removed", key, path)
			}
		}
	}
	wantIntegrations, wantPermissions := map[string]string{}, map[string][]string{}
	for route, function := range routes() {
		wantIntegrations[route] = "arn:aws:apigateway:eu-central-1:lambda:path/2015-03-31/functions/arn:aws:lambda" + account +
			"function:UserRequestAPI-" + function + ":live/invocations"
		method, path, _ := strings.Cut(route, " ")
		id := strings.ToUpper(function[:1]) + function[1:] + "Alias"
		wantPermissions[id] = append(wantPermissions[id], method+strings.ReplaceAll(path, "{userId}", "*"))
	}
	if diff := cmp.Diff(wantIntegrations, integrations); diff != "" {
		t.Errorf("integrations (-want +got):\n%s", diff)
	}

	permissions := map[string][]string{}
	prefix := "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/${Stage}/"
	for id, resource := range at(t, decode(t, project(t, nil).JSON()), "Resources").(object) {
		if at(t, resource, "Type") != "AWS::Lambda::Permission" {
			continue
		}
		properties := at(t, resource, "Properties").(object)
		if properties["Principal"] != "apigateway.amazonaws.com" || properties["Action"] != "lambda:InvokeFunction" {
			t.Errorf("%s: got %v, want lambda:InvokeFunction for API Gateway", id, properties)
		}
		source := at(t, properties, "SourceArn", "Fn::Sub").([]any)
		route, ok := strings.CutPrefix(source[0].(string), prefix)
		if !ok || !cmp.Equal(source[1], any(object{"Stage": object{"Ref": "StageName"}})) {
			t.Errorf("%s: got SourceArn %v, want a route of the stage", id, source)
		}
		alias := at(t, properties, "FunctionName", "Ref").(string)
		permissions[alias] = append(permissions[alias], route)
	}
	for _, lists := range []map[string][]string{permissions, wantPermissions} {
		for _, list := range lists {
			slices.Sort(list)
		}
	}
	if diff := cmp.Diff(wantPermissions, permissions); diff != "" {
		t.Errorf("permissions (-want +got):\n%s", diff)
	}
}

var mediaTypePattern = regexp.MustCompile(`^[a-z]+/[a-z0-9]+([.+-][a-z0-9]+)*$`)

// TestMocks checks that every path responds to OPTIONS and to any other method, and declares its response headers.
func TestMocks(t *testing.T) {
	t.Parallel()
	paths := at(t, decode(t, resolve(t, nil).API().Body), "paths").(object)
	if diff := cmp.Diff([]string{"/", "/users", "/users/{userId}", "/{proxy+}"}, slices.Sorted(maps.Keys(paths))); diff != "" {
		t.Errorf("paths (-want +got):\n%s", diff)
	}
	for path, item := range paths {
		for key, status := range map[string]string{"options": "204", "x-amazon-apigateway-any-method": ""} {
			method := at(t, item, key)
			if status == "" {
				status = map[bool]string{true: "404", false: "405"}[path == "/{proxy+}"]
			}
			integration := at(t, method, "x-amazon-apigateway-integration").(object)
			if integration["type"] != "mock" || integration["passthroughBehavior"] != "never" {
				t.Errorf("%s %s: got integration %v, want a mock that never passes bodies through", key, path, integration)
			}
			templates := at(t, integration, "requestTemplates").(object)
			for _, mediaType := range []string{"application/json", "application/x-amz-json-1.1", "image/png", "text/csv"} {
				if templates[mediaType] == nil {
					t.Errorf("%s %s: got no template for %s, want one", key, path, mediaType)
				}
			}
			for mediaType, document := range templates {
				if !mediaTypePattern.MatchString(mediaType) {
					t.Errorf("%s %s: got a template for %q, want a media type", key, path, mediaType)
				}
				if want := `{"statusCode": ` + status + `}`; document != want {
					t.Errorf("%s %s: the template for %s is %v, want %s", key, path, mediaType, document, want)
				}
			}
			response := at(t, integration, "responses", "default").(object)
			if response["statusCode"] != status {
				t.Errorf("%s %s: got status code %v, want %s", key, path, response["statusCode"], status)
			}
			declared := at(t, method, "responses", status, "headers").(object)
			for parameter := range at(t, response, "responseParameters").(object) {
				if name, _ := strings.CutPrefix(parameter, "method.response.header."); declared[name] == nil {
					t.Errorf("%s %s: %s is mapped but not declared", key, path, parameter)
				}
			}
			var want []any
			if name := regexp.MustCompile(`\{(\w+)\+?\}`).FindStringSubmatch(path); name != nil {
				want = []any{name[1]}
			}
			var got []any
			parameters, _ := method.(object)["parameters"].([]any)
			for _, p := range parameters {
				got = append(got, p.(object)["name"])
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s %s: parameters (-want +got):\n%s", key, path, diff)
			}
		}
	}
}

// TestBodyIsImportable checks that the Body has no keywords that API Gateway does not support.
func TestBodyIsImportable(t *testing.T) {
	t.Parallel()
	var walk func(path string, value any)
	walk = func(path string, value any) {
		switch v := value.(type) {
		case nil:
			t.Errorf("%s: got null, want it omitted", path)
		case []any:
			for i, element := range v {
				walk(fmt.Sprint(path, ".", i), element)
			}
		case object:
			if reference, ok := v["$ref"].(string); ok && !strings.HasPrefix(reference, "#/components/schemas/") {
				t.Errorf("%s: got a reference to %s, want it resolved", path, reference)
			}
			for key, element := range v {
				switch key {
				case "example", "examples", "readOnly", "oneOf", "anyOf", "x-function", "servers", "Ref", "Fn::Sub":
					t.Errorf("%s: got %s, want it removed", path, key)
				}
				walk(path+"."+key, element)
			}
		}
	}
	body := decode(t, resolve(t, nil).API().Body)
	undocumented := maps.Clone(body)
	delete(undocumented, "x-amazon-apigateway-documentation") // its parts can have any content
	walk("Body", undocumented)
	want := object{"parameters-only": object{"validateRequestParameters": true, "validateRequestBody": false}}
	if diff := cmp.Diff(any(want), body["x-amazon-apigateway-request-validators"]); diff != "" ||
		body["x-amazon-apigateway-request-validator"] != "parameters-only" {
		t.Errorf("validators (-want +got):\n%s", diff)
	}
	if description := fmt.Sprint(at(t, body, "info", "description")); len(description) > 1024 ||
		!strings.Contains(description, "manages user data retrieval and manipulation") {
		t.Errorf("description = %q, want the first paragraph, at most 1,024 characters", description)
	}
}

// exposed returns the value of Access-Control-Expose-Headers in the contract.
func exposed(t *testing.T) string {
	t.Helper()
	header := at(t, decode(t, contractJSON(t)), "components", "headers", "Access-Control-Expose-Headers")
	return fmt.Sprint(at(t, header, "schema", "enum").([]any)[0])
}

// TestGatewayResponses checks that every gateway response is a problem document of the contract.
func TestGatewayResponses(t *testing.T) {
	t.Parallel()
	stack := resolve(t, map[string]string{"CorsAllowOrigin": "https://app.example.org"})
	responses := at(t, decode(t, stack.API().Body), "x-amazon-apigateway-gateway-responses").(object)
	statuses := map[string]any{
		"DEFAULT_4XX": nil, "DEFAULT_5XX": nil, "INTEGRATION_FAILURE": nil,
		"BAD_REQUEST_PARAMETERS": "400", "BAD_REQUEST_BODY": "400", "UNAUTHORIZED": "401",
		"ACCESS_DENIED": "403", "WAF_FILTERED": "403", "EXPIRED_TOKEN": "403", "INVALID_API_KEY": "403", "INVALID_SIGNATURE": "403",
		"MISSING_AUTHENTICATION_TOKEN": "403", "RESOURCE_NOT_FOUND": "404", "UNSUPPORTED_MEDIA_TYPE": "415",
		"THROTTLED": "429", "QUOTA_EXCEEDED": "429",
		"API_CONFIGURATION_ERROR": "500", "AUTHORIZER_CONFIGURATION_ERROR": "500", "AUTHORIZER_FAILURE": "500", "INTEGRATION_TIMEOUT": "504",
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(statuses)), slices.Sorted(maps.Keys(responses))); diff != "" {
		t.Fatalf("types (-want +got):\n%s", diff)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(contractJSON(t)))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft4)
	if err := compiler.AddResource("https://example.org/openapi.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("https://example.org/openapi.json#/components/schemas/Problem")
	if err != nil {
		t.Fatal(err)
	}
	codes := fmt.Sprint(at(t, document, "info", "description"))
	const requestID = "7d9f8a52-6f3c-4b0e-9d39-2f1c1f6a7b10"
	variables := strings.NewReplacer("$context.requestId", requestID, "$context.error.messageString", `"a \"message\""`)
	for name, response := range responses {
		r := response.(object)
		if r["statusCode"] != statuses[name] {
			t.Errorf("%s: got status code %v, want %v", name, r["statusCode"], statuses[name])
		}
		problem := decode(t, []byte(variables.Replace(at(t, r, "responseTemplates", "application/json").(string))))
		if err := schema.Validate(any(problem)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if r["statusCode"] != nil && fmt.Sprint(problem["status"]) != r["statusCode"] || r["statusCode"] == nil && problem["status"] != nil {
			t.Errorf("%s: got status %v in the document, want %v", name, problem["status"], r["statusCode"])
		}
		if problem["requestId"] != requestID || problem["type"] != fmt.Sprint("urn:problem-type:userrequestapi:", problem["code"]) {
			t.Errorf("%s: got document %v, want the request id and the type of its code", name, problem)
		}
		if !strings.Contains(codes, fmt.Sprintf("`%v`", problem["code"])) {
			t.Errorf("%s: got code %v, want one that the contract describes", name, problem["code"])
		}
		want := object{
			"gatewayresponse.header.Content-Type":                  "'application/problem+json'",
			"gatewayresponse.header.Cache-Control":                 "'no-store'",
			"gatewayresponse.header.X-Content-Type-Options":        "'nosniff'",
			"gatewayresponse.header.Access-Control-Allow-Origin":   "'https://app.example.org'",
			"gatewayresponse.header.Access-Control-Expose-Headers": "'" + exposed(t) + "'",
		}
		if name == "THROTTLED" {
			want["gatewayresponse.header.Retry-After"] = "'1'"
		}
		if diff := cmp.Diff(want, r["responseParameters"]); diff != "" {
			t.Errorf("%s: headers (-want +got):\n%s", name, diff)
		}
	}
}

// nothing is an invoker that fails the test when it is called.
type nothing struct{ t *testing.T }

func (n nothing) Invoke(_ context.Context, arn, _ string, _ []byte) (apigateway.InvokeOutput, error) {
	n.t.Errorf("%s was invoked", arn)
	return apigateway.InvokeOutput{}, nil
}

// TestIndex checks that the index equals the example of the contract on each stage, and requires authorization.
func TestIndex(t *testing.T) {
	t.Parallel()
	document := decode(t, contractJSON(t))
	info := at(t, document, "info")
	for stage, authorization := range map[string]string{"prod": template.AuthorizationNone, "dev": template.AuthorizationIAM} {
		api := resolve(t, map[string]string{"Authorization": authorization, "StageName": stage}).API()
		g, err := apigateway.New(apigateway.Config{
			Body: api.Body, Stage: api.Stage, AccountID: "123456789012", Region: "eu-central-1", APIID: api.ID, Invoker: nothing{t},
		})
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		g.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/"+stage, http.NoBody))
		if authorization == template.AuthorizationIAM {
			if w.Code != http.StatusForbidden {
				t.Errorf("without a signature: got %d %s, want %d", w.Code, w.Body, http.StatusForbidden)
			}
			continue
		}
		want := object{"name": at(t, info, "title"), "version": at(t, info, "version"), "links": object{
			"self": "/" + stage + "/", "users": "/" + stage + "/users", "documentation": at(t, document, "externalDocs", "url"),
		}}
		if diff := cmp.Diff(want, decode(t, w.Body.Bytes())); diff != "" || w.Code != http.StatusOK {
			t.Errorf("index: status %d, want %d (-want +got):\n%s", w.Code, http.StatusOK, diff)
		}
		headers := map[string]string{
			"Content-Type": "application/json", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
			"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": exposed(t),
		}
		for name, value := range headers {
			if got := w.Header().Get(name); got != value {
				t.Errorf("%s = %q, want %q", name, got, value)
			}
		}
	}
}

// TestGatewayServes sends requests that invoke no function to the local gateway.
func TestGatewayServes(t *testing.T) {
	t.Parallel()
	api := resolve(t, map[string]string{"Authorization": template.AuthorizationNone}).API()
	g, err := apigateway.New(apigateway.Config{
		Body: api.Body, Stage: api.Stage, AccountID: "123456789012", Region: "eu-central-1", APIID: api.ID, Invoker: nothing{t},
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	const users, user, all = "GET, HEAD, POST, PUT, DELETE, OPTIONS", "GET, HEAD, PUT, DELETE, OPTIONS", "DELETE, GET, HEAD, OPTIONS, POST, PUT"
	for _, test := range []struct {
		method, path, contentType string
		status                    int
		code                      string
		headers                   map[string]string
		detail                    []string
	}{
		{method: "PATCH", path: "/users", status: 405, code: "MethodNotAllowed", headers: map[string]string{"Allow": users}},
		{method: "PATCH", path: "/users", contentType: "application/merge-patch+json; charset=utf-8", status: 405, code: "MethodNotAllowed"},
		{method: "PATCH", path: "/users", contentType: "image/png", status: 405, code: "MethodNotAllowed"},
		{method: "PATCH", path: "/users", contentType: "application/x-new", status: 415, code: "UnsupportedMediaType"},
		{method: "DELETE", path: "/nothing", contentType: "application/cbor", status: 404, code: "RouteNotFound"},
		{method: "OPTIONS", path: "/users", contentType: "text/csv", status: 204},
		{method: "OPTIONS", path: "/users/1", contentType: "image/png", status: 204},
		{method: "OPTIONS", path: "/nothing", contentType: "application/cbor", status: 204},
		{method: "OPTIONS", path: "/", contentType: "APPLICATION/XML; charset=utf-8", status: 204},
		{method: "POST", path: "/users/1", status: 405, code: "MethodNotAllowed", headers: map[string]string{"Allow": user}},
		{method: "GET", path: "/nothing", status: 404, code: "RouteNotFound", detail: []string{
			"GET, HEAD / and GET, HEAD, POST, PUT, DELETE /users and GET, HEAD, PUT, DELETE /users/{userId}",
			"https://github.com/userrequestapi/userdata",
		}},
		{method: "POST", path: "/a/b/c", contentType: "text/plain", status: 404, code: "RouteNotFound"},
		{method: "POST", path: "/", status: 405, code: "MethodNotAllowed", headers: map[string]string{
			"Allow": "GET, HEAD, OPTIONS",
		}},
		{method: "DELETE", path: "/users", status: 400, code: "InvalidParameter", detail: []string{"userId"}},
		{method: "DELETE", path: "/users?userId=", status: 400, code: "InvalidParameter", detail: []string{"userId"}},
		{method: "OPTIONS", path: "/users", status: 204, headers: map[string]string{
			"Allow": users, "Access-Control-Allow-Methods": users, "Access-Control-Max-Age": "7200",
			"Access-Control-Allow-Headers": "Amz-Sdk-Invocation-Id, Amz-Sdk-Request, Authorization, Baggage, " +
				"Content-Type, Idempotency-Key, If-Match, If-None-Match, Traceparent, Tracestate, " +
				"X-Amz-Content-Sha256, X-Amz-Date, X-Amz-Security-Token, X-Amz-User-Agent, X-Amzn-Trace-Id, X-Api-Key",
		}},
		{method: "OPTIONS", path: "/users/1", status: 204, headers: map[string]string{"Allow": user, "Access-Control-Allow-Methods": user}},
		{method: "OPTIONS", path: "/nothing", status: 204, headers: map[string]string{"Allow": "OPTIONS", "Access-Control-Allow-Methods": all}},
		{method: "OPTIONS", path: "/", status: 204, headers: map[string]string{
			"Allow": "GET, HEAD, OPTIONS", "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
		}},
	} {
		t.Run(test.method+" "+test.path+" "+test.contentType, func(t *testing.T) {
			t.Parallel()
			var content io.Reader
			if test.contentType != "" {
				content = strings.NewReader(`{"statusCode": 200}`)
			}
			request, err := http.NewRequestWithContext(t.Context(), test.method, server.URL+"/prod"+test.path, content)
			if err != nil {
				t.Fatal(err)
			}
			if test.contentType != "" {
				request.Header.Set("Content-Type", test.contentType)
			}
			response, err := server.Client().Do(request)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(response.Body)
			if err := response.Body.Close(); err != nil {
				t.Error(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != test.status {
				t.Fatalf("got status code %d, want %d: %s", response.StatusCode, test.status, body)
			}
			want := map[string]string{"Access-Control-Allow-Origin": "*", "Cache-Control": "no-store"}
			maps.Copy(want, test.headers)
			if test.code == "" {
				if len(body) > 0 {
					t.Errorf("got body %s, want none", body)
				}
			} else {
				want["Content-Type"], want["X-Content-Type-Options"] = "application/problem+json", "nosniff"
				problem := decode(t, body)
				if problem["code"] != test.code || problem["status"] != float64(test.status) ||
					problem["requestId"] != response.Header.Get("x-amzn-RequestId") || problem["requestId"] == "" {
					t.Errorf("got problem %s, want code %s, status %d and the request id", body, test.code, test.status)
				}
				for _, part := range test.detail {
					if !strings.Contains(fmt.Sprint(problem["detail"]), part) {
						t.Errorf("detail = %q, want it to contain %q", problem["detail"], part)
					}
				}
			}
			for name, value := range want {
				if got := response.Header.Get(name); got != value {
					t.Errorf("%s = %q, want %q", name, got, value)
				}
			}
		})
	}
}
