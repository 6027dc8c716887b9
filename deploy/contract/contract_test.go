package contract_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/contract"
)

const source = `# a comment
openapi: 3.0.3
info: {title: Things, version: "1.0"}
servers: [{url: "https://example.org/{stage}", variables: {stage: {default: prod}}}]
security: [{sigv4: []}, {apiKey: []}]
paths:
  /things: # another
    get:
      operationId: getThings
      x-function: GetFunction
      responses:
        "200": &ok
          description: OK
          headers: {x-amzn-RequestId: {schema: {type: string}}}
          content:
            application/json:
              schema: {$ref: "#/components/schemas/Thing"}
              examples: {x-ray: {value: {x-real: yes it is, when: 2026-01-02, n: 1.50, big: 123456789012345678901234567890}}}
    post: {operationId: createThing, responses: {"200": *ok}}
components:
  securitySchemes:
    sigv4: {type: apiKey, name: Authorization, in: header}
    apiKey: {type: apiKey, name: X-Api-Key, in: header}
  schemas:
    Thing: {type: object, properties: {x-size: {type: integer}, properties: {type: object}}}
`

const (
	info = `"openapi":"3.0.3","info":{"title":"Things","version":"1.0"}`
	ok   = `{"description":"OK","headers":{"x-amzn-RequestId":{"schema":{"type":"string"}}},"content":{"application/json":` +
		`{"schema":{"$ref":"#/components/schemas/Thing"},"examples":{"x-ray":{"value":{"x-real":"yes it is","when":"2026-01-02",` +
		`"n":1.50,"big":123456789012345678901234567890}}}}}}`
	paths = `"paths":{"/things":{"get":{"operationId":"getThings","responses":{"200":` + ok + `}},` +
		`"post":{"operationId":"createThing","responses":{"200":` + ok + `}}}}`
	schemas = `"schemas":{"Thing":{"type":"object","properties":{"x-size":{"type":"integer"},"properties":{"type":"object"}}}}`
	sigv4   = `"sigv4":{"type":"apiKey","name":"Authorization","in":"header"}`
	apiKey  = `"apiKey":{"type":"apiKey","name":"X-Api-Key","in":"header"}` //nolint:gosec // a description
	server  = `"servers":[{"url":"http://127.0.0.1:3000/prod","description":"Here"}]`
)

func TestDocument(t *testing.T) {
	t.Parallel()
	document, err := contract.Parse([]byte(source))
	if err != nil {
		t.Fatal(err)
	}
	stage := func(scheme string) *contract.Public {
		return document.Public().ForStage("http://127.0.0.1:3000/prod", "Here", scheme)
	}
	for name, test := range map[string]struct {
		got  *contract.Public
		want string
	}{
		"public": {document.Public(), info + `,"servers":[{"url":"https://example.org/{stage}","variables":{"stage":{"default":"prod"}}}],` +
			`"security":[{"sigv4":[]},{"apiKey":[]}],` + paths + `,"components":{"securitySchemes":{` + sigv4 + `,` + apiKey + `},` + schemas + `}`},
		"signed": {stage("sigv4"), info + `,` + server + `,"security":[{"sigv4":[]}],` + paths +
			`,"components":{"securitySchemes":{` + sigv4 + `},` + schemas + `}`},
		"with a key": {stage("apiKey"), info + `,` + server + `,"security":[{"apiKey":[]}],` + paths +
			`,"components":{"securitySchemes":{` + apiKey + `},` + schemas + `}`},
		"open": {stage(""), info + `,` + server + `,"security":[],` + paths + `,"components":{` + schemas + `}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(indent(t, "{"+test.want+"}"), string(test.got.JSON())); diff != "" {
				t.Errorf("JSON (-want +got):\n%s", diff)
			}
			again, err := contract.ParsePublic(test.got.YAML())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(test.got.JSON()), string(again.JSON())); diff != "" {
				t.Errorf("JSON of the YAML (-want +got):\n%s", diff)
			}
			if strings.Contains(string(test.got.YAML()), "comment") {
				t.Errorf("YAML = %s\nwant no comments of its source", test.got.YAML())
			}
		})
	}
	if got, want := document.Public().Title+" "+document.Public().Version, "Things 1.0"; got != want {
		t.Errorf("title and version = %q, want %q", got, want)
	}
}

func indent(t *testing.T, document string) string {
	t.Helper()
	var out strings.Builder
	var raw json.RawMessage = []byte(document)
	encoder := json.NewEncoder(&out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(raw); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestParse_Refused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ old, new, want string }{
		"nothing":       {source, "", "openapi is missing"},
		"a list":        {source, "[]", "cannot unmarshal !!seq"},
		"no YAML":       {source, "{", "read an OpenAPI document: yaml: line 1"},
		"without paths": {source, "openapi: 3.0.3\ninfo: {}\n", "paths is missing"},
		"duplicate key": {"version: ", "title: x, version: ", "line 3: mapping key \"title\" already defined at line 3"},
		"tag":           {`version: "1.0"`, "version: !Ref Version", "line 3, column 32: the tag !Ref is not supported"},
		"merged keys":   {"version: ", "<<: {}, version: ", "the tag !!merge is not supported"},
		"invalid":       {"description: OK\n", "description: OK\n          summary: OK\n", "extra sibling fields: [summary]"},
		"extension":     {"version: ", "x-owner: us, version: ", "info.x-owner: extensions are not supported"},
		"function of a path": {"    get:\n", "    x-function: A\n    get:\n",
			"paths./things.x-function: extensions are not supported"},
		"unknown component": {"schemas/Thing", "schemas/Other", `map key "Other" not found`},
		"reference elsewhere": {"#/components/schemas/Thing", "things.yaml", "paths./things.get.responses.200.content." +
			"application/json.schema: $ref things.yaml: want a reference to a component of this document"},
		"key beside a reference": {"{$ref: ", "{description: x, $ref: ", "and no other key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := contract.Parse([]byte(strings.Replace(source, test.old, test.new, 1)))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want one that contains %q", err, test.want)
			}
		})
	}
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	document, err := contract.Parse([]byte(source))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range document.Routes() {
		got = append(got, strings.Join([]string{r.Method, r.Path, r.Function, r.Operation.OperationID}, " "))
	}
	want := []string{"GET /things GetFunction getThings", "POST /things  createThing"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	document, err := contract.Read(fstest.MapFS{contract.File: {Data: []byte(source)}})
	if err != nil || document.Name() != "Things" {
		t.Errorf("got %v, error %v, want the document Things", document, err)
	}
	if _, err := contract.Read(fstest.MapFS{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a document: error = %v, want %v", err, fs.ErrNotExist)
	}
}

func TestReread(t *testing.T) {
	t.Parallel()
	folder := fstest.MapFS{contract.File: {Data: []byte(source)}}
	document, err := contract.Read(folder)
	if err != nil {
		t.Fatal(err)
	}
	if same, err := document.Reread(folder); same != document || err != nil {
		t.Errorf("unchanged: got %p, error %v, want %p", same, err, document)
	}
	folder[contract.File] = &fstest.MapFile{Data: []byte(strings.Replace(source, "Things", "Items", 1))}
	if changed, err := document.Reread(folder); err != nil || changed.Name() != "Items" {
		t.Errorf("changed: got %v, error %v, want the document Items", changed, err)
	}
	if _, err := document.Reread(fstest.MapFS{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a document: error = %v, want %v", err, fs.ErrNotExist)
	}
}

func TestCollections(t *testing.T) {
	t.Parallel()
	const collections = `openapi: 3.0.3
info: {title: Things, version: "1.0"}
paths:
  /things:
    post:
      requestBody: {content: {application/json: {schema: {properties: {id: {type: string}, size: {type: integer}}}}}}
      responses: {"201": &created {description: Created}}
  /things/{id}:
    parameters: [&id {name: id, in: path, required: true, schema: {type: string}}]
    get:
      responses:
        "200":
          description: OK
          content:
            application/json:
              schema: {properties: {id: {type: string}, size: {type: integer}, since: {type: string}}}
              examples: {b: {value: {id: "2"}}, a: {value: {id: "1", size: 2, since: now, other: [x]}}}
  /things/{id}/parts: {parameters: [*id], get: {responses: {"200": &ok {description: OK}}}}
  /empty: {post: {responses: {"201": *created}}}
  /empty/{id}: {parameters: [*id], get: {responses: {"200": *ok}}}
  /numbers:
    post:
      requestBody: &number {content: {application/json: {schema: {properties: {value: {type: integer}}}}}}
      responses:
        "201": {description: Created, content: {application/json: {schema: {properties: {value: {type: integer}}}}}}
  /numbers/{id}: {parameters: [*id], get: {responses: {"200": *ok}}}
  /located:
    post:
      requestBody: *number
      responses: {"201": {description: Created, headers: {Location: {schema: {type: string}}}}}
  /located/{id}: {parameters: [*id], get: {responses: {"200": *ok}}}
  /a-last: {post: {requestBody: {content: {text/plain: {}}}, responses: {"201": *created}}}
  /a-last/{id}: {parameters: [*id], get: {responses: {"200": *ok}}}
`
	document, err := contract.Parse([]byte(collections))
	if err != nil {
		t.Fatal(err)
	}
	want := []contract.Collection{
		{"/things", "/things/{id}", "id", map[string]any{"id": "1", "size": 2.0, "other": []any{"x"}}},
		{"/located", "/located/{id}", "id", nil},
		{"/a-last", "/a-last/{id}", "id", nil},
	}
	if diff := cmp.Diff(want, document.Collections()); diff != "" {
		t.Errorf("collections (-want +got):\n%s", diff)
	}
	if got := document.Name(); got != "Things" {
		t.Errorf("name = %q, want Things", got)
	}
}
