package apigateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/local/apigateway"
)

func newGateway(doc object, change ...func(*apigateway.Config)) (*apigateway.Gateway, error) {
	body, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	cfg := apigateway.Config{Body: body, Stage: "prod", Invoker: respondWith(`{}`)}
	for _, f := range change {
		f(&cfg)
	}
	return apigateway.New(cfg)
}

func TestGatewayResponses(t *testing.T) {
	t.Parallel()
	doc := document(object{"/users/{id}": object{"get": operation(proxy())}}, object{
		"x-amazon-apigateway-gateway-responses": object{
			"MISSING_AUTHENTICATION_TOKEN": object{
				"statusCode": "404",
				"responseParameters": object{
					"gatewayresponse.header.Content-Type":                "'application/problem+json'",
					"gatewayresponse.header.Access-Control-Allow-Origin": "'*'",
					"gatewayresponse.header.X-Id":                        "context.requestId",
					"gatewayresponse.header.X-Echo":                      "method.request.header.x-echo",
					"gatewayresponse.header.X-Query":                     "method.request.querystring.q",
					"gatewayresponse.header.X-Path":                      "method.request.path.id",
					"gatewayresponse.header.X-Stage":                     "stageVariables.color",
					"gatewayresponse.header.X-Type":                      "context.error.responseType",
					"gatewayresponse.header.X-Not-Set":                   "method.request.header.nothing",
				},
				"responseTemplates": object{"application/json": `{"status":404,"detail":$context.error.messageString,` +
					`"raw":"$context.error.message","type":"$context.error.responseType","instance":"$context.path",` +
					`"resource":"$context.resourcePath","errors":"$context.error.validationErrorString",` +
					`"stage":"${stageVariables.color}","requestId":"${context.requestId}"}`},
			},
		},
	})
	s := serve(t, doc, respondWith(`{}`), func(c *apigateway.Config) { c.StageVariables = map[string]string{"color": "blue"} })
	got := s.do("POST", "/users/7?q=1", "", "X-Echo", "echo")
	id := got.header.Get("x-amzn-RequestId")
	header := map[string]string{}
	for _, name := range []string{"Content-Type", "Access-Control-Allow-Origin", "X-Id", "X-Echo", "X-Query", "X-Path",
		"X-Stage", "X-Type", "x-amzn-ErrorType", "X-Amzn-Trace-Id"} {
		header[name] = got.header.Get(name)
	}
	var body map[string]any
	if err := json.Unmarshal([]byte(got.body), &body); err != nil {
		t.Fatalf("body %q: %v", got.body, err)
	}
	if diff := cmp.Diff(map[string]string{
		"Content-Type": "application/problem+json", "Access-Control-Allow-Origin": "*", "X-Id": id, "X-Echo": "echo",
		"X-Query": "1", "X-Path": "7", "X-Stage": "blue", "X-Type": "MISSING_AUTHENTICATION_TOKEN",
		"x-amzn-ErrorType": "MissingAuthenticationTokenException", "X-Amzn-Trace-Id": "",
	}, header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]any{
		"status": 404.0, "detail": "Missing Authentication Token", "raw": "Missing Authentication Token",
		"type": "MISSING_AUTHENTICATION_TOKEN", "instance": "/prod/users/7", "resource": "/users/{id}", "errors": "",
		"stage": "blue", "requestId": id,
	}, body); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	if _, ok := got.header["X-Not-Set"]; ok || got.status != 404 || !uuid.MatchString(id) {
		t.Errorf("response = %+v", got)
	}
	// Without a resource, there are no path parameters.
	if got := s.do("GET", "/nowhere", ""); got.status != 404 || got.header.Get("X-Path") != "" {
		t.Errorf("response = %+v", got)
	}
}

func TestGatewayResponseFallbacks(t *testing.T) {
	t.Parallel()
	failing := invokerFunc(func(context.Context, string, string, []byte) ([]byte, string, error) {
		return nil, "", errors.New("rejected")
	})
	malformed := respondWith(`[]`)
	text := func(s string) object { return object{"application/json": s} }
	for name, test := range map[string]struct {
		responses object
		invoker   apigateway.Invoker
		method    string
		status    int
		body      string
	}{
		"DEFAULT_4XX": {object{"DEFAULT_4XX": object{"responseTemplates": text("four $context.error.responseType")}},
			failing, "POST", 403, "four MISSING_AUTHENTICATION_TOKEN"},
		"DEFAULT_4XX with a status code": {object{"DEFAULT_4XX": object{"statusCode": 400}},
			failing, "POST", 400, `{"message":"Missing Authentication Token"}`},
		"the type takes precedence": {object{
			"DEFAULT_4XX": object{"statusCode": 400}, "MISSING_AUTHENTICATION_TOKEN": object{"responseTemplates": text("own")}},
			failing, "POST", 403, "own"},
		"DEFAULT_4XX not used for 5xx": {object{"DEFAULT_4XX": object{"statusCode": 400}},
			failing, "GET", 500, `{"message":"Internal server error"}`},
		"DEFAULT_5XX, invoke error": {object{
			"DEFAULT_5XX": object{"responseTemplates": text("five $context.error.responseType")}},
			failing, "GET", 500, "five DEFAULT_5XX"},
		"DEFAULT_5XX, malformed response": {object{"DEFAULT_5XX": object{"responseTemplates": text("five")}},
			malformed, "GET", 502, "five"},
		"DEFAULT_5XX with a status code": {object{"DEFAULT_5XX": object{"statusCode": "503"}},
			malformed, "GET", 503, `{"message":"Internal server error"}`},
		"template by Accept": {object{
			"DEFAULT_5XX": object{"responseTemplates": object{"application/json": "json", "text/html": "html"}}},
			malformed, "GET", 502, "html"},
		"other types": {object{
			"ACCESS_DENIED": object{}, "WAF_FILTERED": object{}, "UNAUTHORIZED": object{"statusCode": 418}},
			malformed, "GET", 502, `{"message":"Internal server error"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			doc := document(object{"/": object{"get": operation(proxy())}},
				object{"x-amazon-apigateway-gateway-responses": test.responses})
			got := serve(t, doc, test.invoker).do(test.method, "/", "", "Accept", "text/html")
			if got.status != test.status || got.body != test.body {
				t.Errorf("response = %d %q, want %d %q", got.status, got.body, test.status, test.body)
			}
			if want := "text/html"; test.body == "html" && got.header.Get("Content-Type") != want {
				t.Errorf("Content-Type = %q, want %q", got.header.Get("Content-Type"), want)
			}
		})
	}
}
