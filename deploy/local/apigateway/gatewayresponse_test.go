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
	cfg := apigateway.Config{Body: body, Stage: "prod", Invoker: answering(`{}`)}
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
	s := serve(t, doc, answering(`{}`), func(c *apigateway.Config) { c.StageVariables = map[string]string{"color": "blue"} })
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
		t.Errorf("answer %+v", got)
	}
	// The path is not that of any resource here.
	if got := s.do("GET", "/nowhere", ""); got.status != 404 || got.header.Get("X-Path") != "" {
		t.Errorf("answer %+v", got)
	}
}

func TestGatewayResponseFallbacks(t *testing.T) {
	t.Parallel()
	failing := invokerFunc(func(context.Context, string, string, []byte) ([]byte, string, error) {
		return nil, "", errors.New("no")
	})
	malformed := answering(`[]`)
	text := func(s string) object { return object{"application/json": s} }
	for name, test := range map[string]struct {
		responses object
		invoker   apigateway.Invoker
		method    string
		status    int
		body      string
	}{
		"4xx falls back": {object{"DEFAULT_4XX": object{"responseTemplates": text("four $context.error.responseType")}},
			failing, "POST", 403, "four MISSING_AUTHENTICATION_TOKEN"},
		"4xx with a status": {object{"DEFAULT_4XX": object{"statusCode": 400}},
			failing, "POST", 400, `{"message":"Missing Authentication Token"}`},
		"the type goes first": {object{
			"DEFAULT_4XX": object{"statusCode": 400}, "MISSING_AUTHENTICATION_TOKEN": object{"responseTemplates": text("own")}},
			failing, "POST", 403, "own"},
		"4xx is not for 5xx": {object{"DEFAULT_4XX": object{"statusCode": 400}},
			failing, "GET", 500, `{"message":"Internal server error"}`},
		"5xx, refused by Lambda": {object{
			"DEFAULT_5XX": object{"responseTemplates": text("five $context.error.responseType")}},
			failing, "GET", 500, "five DEFAULT_5XX"},
		"5xx, malformed": {object{"DEFAULT_5XX": object{"responseTemplates": text("five")}},
			malformed, "GET", 502, "five"},
		"5xx with a status": {object{"DEFAULT_5XX": object{"statusCode": "503"}},
			malformed, "GET", 503, `{"message":"Internal server error"}`},
		"by Accept": {object{
			"DEFAULT_5XX": object{"responseTemplates": object{"application/json": "json", "text/html": "html"}}},
			malformed, "GET", 502, "html"},
		"types that never come": {object{
			"ACCESS_DENIED": object{}, "WAF_FILTERED": object{}, "UNAUTHORIZED": object{"statusCode": 418}},
			malformed, "GET", 502, `{"message":"Internal server error"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			doc := document(object{"/": object{"get": operation(proxy())}},
				object{"x-amazon-apigateway-gateway-responses": test.responses})
			got := serve(t, doc, test.invoker).do(test.method, "/", "", "Accept", "text/html")
			if got.status != test.status || got.body != test.body {
				t.Errorf("%d %q, want %d %q", got.status, got.body, test.status, test.body)
			}
			if want := "text/html"; test.body == "html" && got.header.Get("Content-Type") != want {
				t.Errorf("Content-Type %q, want %q", got.header.Get("Content-Type"), want)
			}
		})
	}
}
