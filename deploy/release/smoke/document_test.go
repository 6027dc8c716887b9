package smoke_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/contract"
	"github.com/userrequestapi/userdata/deploy/release/smoke"
	"github.com/userrequestapi/userdata/deploy/template/caller"
)

// things serves collections of items without ETags, and records the requests.
type things struct {
	items    map[string]map[string]any // by path
	requests []string                  // with ID for each id
}

var id = regexp.MustCompile(`(smoke-test-)?[0-9a-f]{8}-[0-9a-f-]{27}|made-by-service`)

func (s *things) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.requests = append(s.requests,
		id.ReplaceAllString(strings.TrimSpace(fmt.Sprint(r.Method, " ", r.URL, " ", string(body))), "ID"))
	var sent map[string]any
	_ = json.Unmarshal(body, &sent) // fails without a body
	item, exists := s.items[r.URL.Path]
	switch {
	case r.Method == http.MethodPost:
		if sent["id"] == nil {
			sent["id"] = "made-by-service"
		}
		s.items[fmt.Sprint(r.URL.Path, "/", sent["id"])] = sent
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(sent)
	case r.Method == http.MethodGet && r.URL.Path == "/health":
	case !exists:
		w.WriteHeader(http.StatusNotFound)
	case r.Method == http.MethodDelete:
		delete(s.items, r.URL.Path)
		w.WriteHeader(http.StatusNoContent)
	default:
		_ = json.NewEncoder(w).Encode(item)
	}
}

// Documents of other APIs than that of users.
const (
	noPaths = `openapi: 3.0.3
info: {title: Things, version: "1.0"}
paths:
`
	undeletable = noPaths + `  /things:
    post:
      requestBody: &body
        content:
          application/json:
            schema: &thing
              type: object
              required: [name]
              properties: {id: {type: string}, kind: {type: string, enum: [big]}, name: {type: string}, size: {type: integer}}
              additionalProperties: false
      responses: {"201": {description: Created, content: {application/json: {schema: *thing}}}}
  /things/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get:
      responses:
        "200":
          description: OK
          content: {application/json: {schema: *thing, example: {id: "1", kind: big, name: Table, size: 2}}}
        "404": {description: Not found}
`
	closed = undeletable + `    delete: {responses: {"204": {description: Deleted}, "404": {description: Not found}}}
`
	health = `  /health: {get: {responses: {"200": {description: OK}}}}
  /search: {get: {parameters: [{name: q, in: query, required: true, schema: {type: string}}], responses: {"200": {description: OK}}}}
`
)

func TestRun_OtherDocuments(t *testing.T) {
	t.Parallel()
	const created = `{"id":"ID","kind":"big","name":"Table created","size":2}`
	tests := []struct {
		name, document string
		want           []string // requests
		progress       string
	}{
		{
			"a closed schema, no PUT, no list, no ETag", closed + health,
			[]string{
				"GET /things/ID", "DELETE /things/ID", "POST /things " + created,
				"GET /things/ID", "GET /things/ID", "DELETE /things/ID", "GET /things/ID",
			},
			"created, read and deleted /things/ID",
		},
		{
			"the service chooses the id", strings.NewReplacer("properties: {id: {type: string}, ", "properties: {",
				"Created, content: {application/json: {schema: *thing}}", "Created").Replace(closed),
			[]string{
				"GET /things/ID", "DELETE /things/ID", "POST /things " + strings.Replace(created, `"id":"ID",`, "", 1),
				"GET /things/ID", "GET /things/ID", "DELETE /things/ID", "GET /things/ID",
			},
			"created, read and deleted /things/ID",
		},
		{
			"no collection", noPaths + health, []string{"GET /health"},
			"only read GET /health: the API document has no collection with POST whose items have GET and DELETE",
		},
		{
			"items that cannot be deleted", undeletable + health, []string{"GET /health"},
			"only read GET /health: the API document has no collection with POST whose items have GET and DELETE",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			document, err := contract.Parse([]byte(tt.document))
			if err != nil {
				t.Fatal(err)
			}
			s := &things{items: map[string]map[string]any{}}
			server := httptest.NewServer(s)
			defer server.Close()
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			target := smoke.Target{
				URL: server.URL, Document: document, Caller: caller.Caller{Authorization: "NONE"},
				Client: &http.Client{Transport: transport},
			}
			var progress []string
			target.Progress = func(line string) { progress = append(progress, id.ReplaceAllString(line, "ID")) }
			if err := smoke.Run(t.Context(), target); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, s.requests); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]string{tt.progress}, progress); diff != "" {
				t.Errorf("progress (-want +got):\n%s", diff)
			}
			if len(s.items) > 0 {
				t.Errorf("items = %v, want none left", s.items)
			}
		})
	}
}

// A body that the API rejects is that of the document.
func TestRun_ExampleIsRejected(t *testing.T) {
	t.Parallel()
	s, target := serve(t)
	s.before = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if r.Method != http.MethodPost {
			return false
		}
		problem(w, http.StatusBadRequest, "InvalidUser")
		return true
	}
	err := smoke.Run(t.Context(), target)
	const want = "the body is the example of the response 200 to GET /users/{userId} in deploy/openapi.yaml"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error = %v, want it to contain %q", err, want)
	}
}
