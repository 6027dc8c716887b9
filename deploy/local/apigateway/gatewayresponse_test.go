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
				},
				"responseTemplates": object{"application/json": `{"status":404,"detail":$context.error.messageString,` +
					`"requestId":"$context.requestId"}`},
			},
		},
	})
	got := serve(t, doc, respondWith(`{}`)).do("POST", "/users/7", "", "Accept", "text/html")
	header := map[string]string{}
	for _, name := range []string{"Content-Type", "Access-Control-Allow-Origin", "x-amzn-ErrorType", "X-Amzn-Trace-Id"} {
		header[name] = got.header.Get(name)
	}
	if diff := cmp.Diff(map[string]string{
		"Content-Type": "application/problem+json", "Access-Control-Allow-Origin": "*",
		"x-amzn-ErrorType": "MissingAuthenticationTokenException", "X-Amzn-Trace-Id": "",
	}, header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	id := got.header.Get("x-amzn-RequestId")
	want := `{"status":404,"detail":"Missing Authentication Token","requestId":"` + id + `"}`
	if got.status != 404 || got.body != want || !uuid.MatchString(id) {
		t.Errorf("response = %+v, want %s", got, want)
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
		"DEFAULT_4XX": {object{"DEFAULT_4XX": object{"responseTemplates": text("four $context.error.messageString")}},
			failing, "POST", 403, `four "Missing Authentication Token"`},
		"DEFAULT_4XX with a status code": {object{"DEFAULT_4XX": object{"statusCode": 400}},
			failing, "POST", 400, `{"message":"Missing Authentication Token"}`},
		"the type takes precedence": {object{
			"DEFAULT_4XX": object{"statusCode": 400}, "MISSING_AUTHENTICATION_TOKEN": object{"responseTemplates": text("own")}},
			failing, "POST", 403, "own"},
		"DEFAULT_4XX not used for 5xx": {object{"DEFAULT_4XX": object{"statusCode": 400}},
			failing, "GET", 500, `{"message":"Internal server error"}`},
		"DEFAULT_5XX, invoke error": {object{
			"DEFAULT_5XX": object{"responseTemplates": text("five $context.error.messageString")}},
			failing, "GET", 500, `five "Internal server error"`},
		"DEFAULT_5XX, malformed response": {object{"DEFAULT_5XX": object{"responseTemplates": text("five")}},
			malformed, "GET", 502, "five"},
		"DEFAULT_5XX with a status code": {object{"DEFAULT_5XX": object{"statusCode": "503"}},
			malformed, "GET", 503, `{"message":"Internal server error"}`},
		"other types": {object{
			"ACCESS_DENIED": object{}, "WAF_FILTERED": object{}, "UNAUTHORIZED": object{"statusCode": 418}},
			malformed, "GET", 502, `{"message":"Internal server error"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			doc := document(object{"/": object{"get": operation(proxy())}},
				object{"x-amazon-apigateway-gateway-responses": test.responses})
			got := serve(t, doc, test.invoker).do(test.method, "/", "")
			if got.status != test.status || got.body != test.body {
				t.Errorf("response = %d %q, want %d %q", got.status, got.body, test.status, test.body)
			}
		})
	}
}
