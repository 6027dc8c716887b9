package local_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Paths of API documents.
const (
	listPath = `
  /things:
    get:
      {operationId: listThings, summary: s, description: d, x-function: Function, responses: {"200": {description: OK}}}
`
	createOperation = `
    post:
      operationId: createThing
      summary: s
      description: d
      x-function: Function
      requestBody: {content: {application/json: {schema: {type: object}REQUESTS}}}
      responses: {"201": {description: OK}}
`
	itemPath = `
  /things/{id}:
    parameters: [{name: id, in: path, required: true, description: d, schema: {type: string}}]
    get:
      operationId: getThing
      summary: s
      description: d
      x-function: Function
      responses: {"200": {description: OK, content: {application/json: {schema: {type: object}EXAMPLES}}}}
`
)

// paths returns a collection with the examples of its items and of its requests.
func paths(examples, requests string) string {
	return strings.NewReplacer("EXAMPLES", examples, "REQUESTS", requests).Replace(listPath + createOperation + itemPath)
}

const ada = `, examples: {A: {value: {id: "a/1", size: 2}}, B: {value: {id: "2"}}}`

// TestCreateExample checks the request that the first start sends, and what a person learns if it fails.
func TestCreateExample(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("needs curl")
	}
	const place = "the first example of the response 200 to GET /things/{id} in deploy/openapi.yaml"
	tests := []struct {
		name, paths, response string
		want                  string // the error
		body                  string // of the request; "" if there is none
	}{
		{"created", paths(ada, ""), `{"statusCode": 201, "body": "{}"}`, "", `{"id":"a/1","size":2}`},
		{
			"rejected", paths(ada, ""),
			`{"statusCode": 422, "body": "{\"detail\": \"Invalid.\", \"errors\": [{\"pointer\": \"#/color\", \"detail\": \"Missing.\"}, {\"detail\": \"Other.\"}]}"}`,
			"the example item was not created: POST /things returned 422: #/color Missing, Other: correct " + place,
			`{"id":"a/1","size":2}`,
		},
		{
			"rejected without a problem document", paths(ada, ""), `{"statusCode": 400, "body": "no\nway"}`,
			"the example item was not created: POST /things returned 400: no way: correct " + place, `{"id":"a/1","size":2}`,
		},
		{
			"failure", paths(ada, ""), `{"statusCode": 500, "body": "{\"detail\": \"Panic.\"}"}`,
			"the example item was not created: POST /things returned 500: Panic: see the log stack.jsonl", `{"id":"a/1","size":2}`,
		},
		{"no example", paths("", ""), "", "/things has no example item: add " + place, ""},
		{"no collection", listPath, "", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg, event := thingsConfig(t, "", tt.paths, tt.response)
			cfg.DynamoDBEndpoint = emptyDatabase(t)
			stack := startThings(t, cfg)
			got := ""
			if err := stack.CreateExample(t.Context()); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("error = %q, want %q", got, tt.want)
			}
			sent, err := os.ReadFile(event)
			if os.IsNotExist(err) && tt.body == "" {
				return
			}
			var request struct{ HTTPMethod, Path, Body string }
			if err := json.Unmarshal(sent, &request); err != nil {
				t.Fatalf("the event %s: %v", sent, err)
			}
			if request.HTTPMethod != "POST" || request.Path != "/things" || request.Body != tt.body {
				t.Errorf("request = %+v, want POST /things with %s", request, tt.body)
			}
		})
	}
}

// TestDescription checks the startup message: the name of the API, the commands and the tables.
func TestDescription(t *testing.T) {
	t.Parallel()
	const post = ` -X POST 'URL/things' -H 'Content-Type: application/json' -d `
	tests := []struct {
		name, paths string
		want        []string // the commands
	}{
		{
			"requests without an id first", paths(ada, `, examples: {A: {value: {id: "2"}}, B: {value: {size: 1, text: <it's>}}}`),
			[]string{"curl 'URL/things/a%2F1'", "curl" + post + `'{"size":1,"text":"<it'\''s>"}'`, "curl 'URL/things'"},
		},
		{
			"request with an id", paths(ada, `, example: {id: "3"}`),
			[]string{"curl 'URL/things/a%2F1'", "curl" + post + `'{"id":"3"}'`, "curl 'URL/things'"},
		},
		{
			"no example of a request", paths(ada, ""),
			[]string{"curl 'URL/things/a%2F1'", "curl" + post + `'{"id":"a/1","size":2}'`, "curl 'URL/things'"},
		},
		{"no example", paths("", ""), []string{"curl 'URL/things'"}},
		{"no collection", listPath, []string{"curl 'URL/things'"}},
		{"no list", strings.Replace(itemPath, "EXAMPLES", "", 1), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg, _ := thingsConfig(t, thingsTable+othersTable, tt.paths, "")
			cfg.DynamoDBEndpoint = emptyDatabase(t)
			stack := startThings(t, cfg)
			description, err := stack.Description()
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"ThingsAPI is at " + stack.URL, ", tables Others and Things\n"} {
				if !strings.Contains(description, want) {
					t.Errorf("description = %s\nwant %q in it", description, want)
				}
			}
			var commands []string
			for line := range strings.Lines(description) {
				if command := strings.TrimSpace(line); strings.HasPrefix(command, "curl") {
					commands = append(commands, strings.ReplaceAll(command, stack.URL, "URL"))
				}
			}
			if diff := cmp.Diff(tt.want, commands); diff != "" {
				t.Errorf("commands (-want +got):\n%s", diff)
			}
		})
	}
}
