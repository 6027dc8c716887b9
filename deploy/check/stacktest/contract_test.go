package stacktest_test

import (
	"net/http"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
)

const document = `
openapi: 3.0.3
info: {title: Things, version: 1.0.0}
paths:
  /things/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get:
      operationId: getThing
      responses:
        "200":
          description: The thing.
          headers:
            ETag: {required: true, schema: {type: string, pattern: '^"[0-9]+"$'}}
            Age: {schema: {type: integer}}
          content: {application/json: {schema: {$ref: "#/components/schemas/Thing"}}}
        "304":
          description: It is the same.
          headers: {ETag: {required: true, schema: {type: string}}}
        "404":
          description: There is none, ` + "`NoThing`" + `.
          content: {application/problem+json: {schema: {$ref: "#/components/schemas/Problem"}}}
    head:
      operationId: headThing
      responses: {"200": {description: As GET.}}
components:
  schemas:
    Thing: {type: object, required: [id], additionalProperties: false, properties: {id: {type: string}}}
    Problem: {type: object, required: [code], properties: {code: {type: string}}}
`

func TestContract(t *testing.T) {
	t.Parallel()
	root := testenv.Folder(t, map[string]string{"deploy/openapi.yaml": document})
	contract := stacktest.LoadContract(t, root)
	const (
		thing     = "Content-Type: application/json\nETag: \"1\""
		refused   = "Content-Type: application/problem+json"
		preflight = "Allow: GET\nCache-Control: no-store\nx-amzn-RequestId: 1\nAccess-Control-Allow-Origin: *\n" +
			"Access-Control-Allow-Methods: GET\nAccess-Control-Allow-Headers: ETag\nAccess-Control-Max-Age: 1"
		unknown = refused + "\nCache-Control: no-store\nx-amzn-RequestId: 1\nX-Content-Type-Options: nosniff\n" +
			"Access-Control-Allow-Origin: *\nAccess-Control-Expose-Headers: Allow"
	)
	for name, test := range map[string]struct {
		method, path, headers, body string
		status                      int
		want                        string // in the error; "": none
	}{
		"as documented":          {"GET", "/things/1", thing + "\nAge: 7\nDate: now", `{"id": "1"}`, 200, ""},
		"with a query":           {"GET", "/things/1?a=/b", thing, `{"id": "1"}`, 200, ""},
		"with a slash":           {"GET", "/things/1/", thing, `{"id": "1"}`, 200, ""},
		"status":                 {"GET", "/things/1", thing, `{"id": "1"}`, 201, "the status 201"},
		"header":                 {"GET", "/things/1", thing + "\nServer: x", `{"id": "1"}`, 200, "Server is not documented"},
		"missing header":         {"GET", "/things/1", "Content-Type: application/json", `{"id": "1"}`, 200, "ETag is missing"},
		"malformed header":       {"GET", "/things/1", "Content-Type: application/json\nETag: 1", `{"id": "1"}`, 200, "the header ETag"},
		"header not a number":    {"GET", "/things/1", thing + "\nAge: old", `{"id": "1"}`, 200, "the header Age"},
		"repeated header":        {"GET", "/things/1", thing + "\nAge: 1\nAge: 2", `{"id": "1"}`, 200, "Age occurs 2 times"},
		"member":                 {"GET", "/things/1", thing, `{"id": "1", "name": "x"}`, 200, `"name" is unsupported`},
		"missing member":         {"GET", "/things/1", thing, `{}`, 200, `"id" is missing`},
		"malformed member":       {"GET", "/things/1", thing, `{"id": 1}`, 200, "must be a string"},
		"media type":             {"GET", "/things/1", strings.Replace(thing, "json", "xml", 1), `<id/>`, 200, "application/xml is not documented"},
		"not JSON":               {"GET", "/things/1", thing, `{`, 200, "the body"},
		"no body":                {"GET", "/things/1", thing, ``, 200, "the body"},
		"not modified":           {"GET", "/things/1", `ETag: "1"`, ``, 304, ""},
		"not modified, no ETag":  {"GET", "/things/1", ``, ``, 304, "ETag is missing"},
		"body without a schema":  {"GET", "/things/1", thing, `{}`, 304, "body of application/json"},
		"problem":                {"GET", "/things/1", refused, `{"code": "NoThing"}`, 404, ""},
		"unknown problem code":   {"GET", "/things/1", refused, `{"code": "Nothing"}`, 404, "the code Nothing"},
		"HEAD":                   {"HEAD", "/things/1", "Content-Type: application/json", ``, 200, ""},
		"HEAD, header":           {"HEAD", "/things/1", thing, ``, 200, "Etag is not documented"},
		"HEAD, status":           {"HEAD", "/things/1", "", ``, 404, "the status 404"},
		"preflight":              {"OPTIONS", "/things/1", preflight, ``, 204, ""},
		"preflight, header":      {"OPTIONS", "/things/1", preflight + "\nServer: x", ``, 204, "Server is not documented"},
		"preflight, missing":     {"OPTIONS", "/things/1", "Allow: GET", ``, 204, "Cache-Control is missing"},
		"unknown address":        {"GET", "/others/1", unknown, `{"code": "RouteNotFound"}`, 404, ""},
		"unknown address, HEAD":  {"HEAD", "/others/1", unknown, ``, 404, ""},
		"unknown address, 405":   {"GET", "/others/1", unknown + "\nAllow: GET", `{"code": "MethodNotAllowed"}`, 405, "status 405"},
		"empty parameter":        {"GET", "/things/", unknown, `{"code": "RouteNotFound"}`, 404, ""},
		"wrong method":           {"PUT", "/things/1", unknown + "\nAllow: GET", `{"code": "MethodNotAllowed"}`, 405, ""},
		"wrong method, no Allow": {"PUT", "/things/1", unknown, `{"code": "MethodNotAllowed"}`, 405, "Allow is missing"},
		"wrong method, 404":      {"PUT", "/things/1", unknown, `{"code": "RouteNotFound"}`, 404, "status 404"},
		"wrong method, 200":      {"PUT", "/things/1", thing, `{"id": "1"}`, 200, "status 200"},
		"wrong method, no code":  {"PUT", "/things/1", unknown + "\nAllow: GET", `{}`, 405, `"code" is missing`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			header := http.Header{}
			for line := range strings.Lines(test.headers) {
				name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
				header.Add(name, value)
			}
			err := contract.Check(test.method, test.path, stacktest.Response{Status: test.status, Header: header, Body: []byte(test.body)})
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("error = %v, want %q", err, test.want)
			}
		})
	}
}

func TestContract_Allow(t *testing.T) {
	t.Parallel()
	root := testenv.Folder(t, map[string]string{"deploy/openapi.yaml": document})
	allow, others := stacktest.LoadContract(t, root).Allow("/things/1/?a=b")
	if diff := gocmp.Diff([]string{"POST", "PUT", "PATCH", "DELETE"}, others); diff != "" || allow != "GET, HEAD, OPTIONS" {
		t.Errorf("Allow = %s, want GET, HEAD, OPTIONS; other methods (-want +got):\n%s", allow, diff)
	}
}
