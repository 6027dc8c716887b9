package apigateway_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/local/apigateway"
)

func TestMockPreflight(t *testing.T) {
	t.Parallel()
	doc := document(object{"/users": object{"options": operation(mock(object{
		"responses": object{"default": object{
			"statusCode": "204",
			"responseParameters": object{
				"method.response.header.Allow":                        "'GET, HEAD, OPTIONS'",
				"method.response.header.Access-Control-Allow-Origin":  "stageVariables.origin",
				"method.response.header.Access-Control-Allow-Methods": "'it''s'",
				"method.response.header.X-Request":                    "context.requestId",
				"method.response.header.X-Missing":                    "integration.response.header.X",
				"method.response.header.X-Unset":                      "stageVariables.unset",
			},
		}},
	}))}})
	s := serve(t, doc, respondWith(`{}`), func(c *apigateway.Config) {
		c.StageVariables = map[string]string{"origin": "https://example.com"}
	})
	got := s.do("OPTIONS", "/users", "")
	id := got.header.Get("x-amzn-RequestId")
	if !uuid.MatchString(id) || !extendedID.MatchString(got.header.Get("x-amz-apigw-id")) ||
		!fullTrace.MatchString(got.header.Get("X-Amzn-Trace-Id")) {
		t.Errorf("header = %v, want the ids and the trace", got.header)
	}
	for _, name := range []string{"X-Amzn-RequestId", "X-Amz-Apigw-Id", "X-Amzn-Trace-Id", "Date"} {
		got.header.Del(name)
	}
	want := reply{204, http.Header{
		"Allow": {"GET, HEAD, OPTIONS"}, "Access-Control-Allow-Origin": {"https://example.com"},
		"Access-Control-Allow-Methods": {"it''s"}, "X-Request": {id}, "Content-Type": {"application/json"},
	}, ""}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(reply{})); diff != "" {
		t.Errorf("response (-want +got):\n%s", diff)
	}
	if got := s.record(); got.FunctionARN != "" || got.Status != 204 || got.ErrorType != "" {
		t.Errorf("record %+v", got)
	}
}

func TestMockResponseSelection(t *testing.T) {
	t.Parallel()
	m := mock(object{
		"requestTemplates": object{"application/json": `{"statusCode": $input.params('code')}`},
		"responses": object{
			"2\\d{2}": object{"statusCode": 200, "responseTemplates": object{"application/json": "two"}},
			"404|405": object{"statusCode": "404", "responseTemplates": object{"application/json": "four"}},
			"default": object{"statusCode": 500, "responseTemplates": object{"application/json": "other"}},
		},
	})
	without := mock(object{
		"requestTemplates": m["requestTemplates"],
		"responses":        object{"200": object{"statusCode": 200}},
	})
	doc := document(object{"/a": object{"get": operation(m)}, "/b": object{"get": operation(without)}})
	s := serve(t, doc, respondWith(`{}`))
	for code, want := range map[string]reply{
		"201": {status: 200, body: "two"}, "405": {status: 404, body: "four"}, "400": {status: 500, body: "other"},
		"2010": {status: 500, body: "other"}, // a pattern matches the whole status code
	} {
		if got := s.do("GET", "/a?code="+code, ""); got.status != want.status || got.body != want.body {
			t.Errorf("%s: %d %q, want %d %q", code, got.status, got.body, want.status, want.body)
		}
	}
	if got := s.do("GET", "/b?code=200", ""); got.status != 200 || got.body != "" {
		t.Errorf("%d %q", got.status, got.body)
	}
	s.do("GET", "/b?code=201", "").wantError(t, 500, "ApiConfigurationException", "Internal server error")
	s.do("GET", "/b?code=x", "").wantError(t, 500, "InternalServerErrorException", "Internal server error")
	s.do("GET", "/b", "").wantError(t, 500, "InternalServerErrorException", "Internal server error")
}

func TestMockPassthrough(t *testing.T) {
	t.Parallel()
	templates := object{"application/json": `{"statusCode": 200}`}
	for name, test := range map[string]struct {
		behavior    string
		templates   object
		contentType string
		body        string
		want        int
	}{
		"match":                           {"never", templates, "application/json; charset=utf-8", `{}`, 200},
		"match, no content type":          {"never", templates, "", "", 200},
		"never":                           {"never", templates, "text/xml", `{"statusCode":200}`, 415},
		"never, no templates":             {"never", object{}, "", `{"statusCode":200}`, 415},
		"when_no_templates":               {"when_no_templates", templates, "text/xml", `{"statusCode":200}`, 415},
		"when_no_templates, no templates": {"when_no_templates", object{}, "text/xml", `{"statusCode":200}`, 200},
		"when_no_match":                   {"when_no_match", templates, "text/xml", `{"statusCode":200}`, 200},
		"when_no_match, not JSON":         {"when_no_match", templates, "text/xml", `<a/>`, 500},
		"upper case":                      {"NEVER", templates, "text/xml", ``, 415},
		"default":                         {"", templates, "text/xml", `{"statusCode":200}`, 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := mock(object{"requestTemplates": test.templates, "passthroughBehavior": test.behavior})
			if test.behavior == "" {
				delete(m, "passthroughBehavior")
			}
			s := serve(t, document(object{"/": object{"post": operation(m)}}), respondWith(`{}`))
			var headers []string
			if test.contentType != "" {
				headers = []string{"Content-Type", test.contentType}
			}
			got := s.do("POST", "/", test.body, headers...)
			if got.status != test.want {
				t.Errorf("status %d, want %d", got.status, test.want)
			}
			if test.want == 415 {
				got.wantError(t, 415, "BadRequestException", "Unsupported Media Type")
			}
		})
	}
}

func TestMockTemplates(t *testing.T) {
	t.Parallel()
	text := `$context.stage|${context.httpMethod}|$stageVariables.color|${stageVariables.unset}|$context.path|` +
		`$context.resourcePath|$context.operationName|$context.apiId|$context.accountId|$context.deploymentId|` +
		`$context.domainName|$context.domainPrefix|$context.protocol|$context.identity.sourceIp|` +
		`$context.identity.userAgent|` +
		`$input.params('id')|$input.params("q")|${input.params('X-H')}|$input.params('no')|$5 # 1#a $`
	doc := document(object{"/users/{id}": object{"get": operation(mock(object{
		"responses": object{"default": object{"statusCode": 200, "responseTemplates": object{
			"application/json": "json", "text/plain": "plain", "text/html": text,
		}}},
	}), object{"operationId": "op"})}, "/first": object{"get": operation(mock(object{
		"responses": object{"default": object{
			"statusCode": 200, "responseTemplates": object{"text/b": "b", "text/a": "a"},
		}},
	}))}})
	s := serve(t, doc, respondWith(`{}`), func(c *apigateway.Config) { c.StageVariables = map[string]string{"color": "blue"} })
	want := "prod|GET|blue||/prod/users/7|/users/{id}|op|a1b2c3d4e5|123456789012|dep123|api.example.com|api|HTTP/1.1|" +
		"127.0.0.1|test/1|7|a b|h||$5 # 1#a $"
	got := s.do("GET", "/users/7?q=a%20b", "", "Accept", "text/html", "Host", "api.example.com", "User-Agent", "test/1",
		"X-H", "h")
	if got.body != want {
		t.Errorf("body\n%s, want\n%s", got.body, want)
	}
	for accept, want := range map[string]string{
		"text/plain": "plain", "TEXT/plain;q=1, text/html": "plain", "": "json", "*/*": "json", "image/png": "json",
	} {
		var headers []string
		if accept != "" {
			headers = []string{"Accept", accept}
		}
		if got := s.do("GET", "/users/7", "", headers...); got.body != want {
			t.Errorf("Accept %q: %q, want %q", accept, got.body, want)
		}
	}
	if got := s.do("GET", "/first", "", "Accept", "image/png"); got.body != "a" {
		t.Errorf("first template: %q", got.body)
	}
}
