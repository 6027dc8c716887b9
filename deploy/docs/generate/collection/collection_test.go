package collection_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/contract"
	"github.com/userrequestapi/userdata/deploy/docs/generate/collection"
)

// shelf is an API whose paths are not in the order in which a book is created, read and deleted.
const shelf = `
openapi: 3.0.3
info: {title: Shelf, version: 2.0.0, description: Books.}
servers:
  - {url: "https://{host}/shelf", variables: {host: {default: example.com}}}
  - {url: "http://127.0.0.1:8000/shelf"}
paths:
  /books/{isbn}:
    parameters:
      - {name: isbn, in: path, required: true, description: '#1 of what a book has.', schema: {type: string}, example: "1"}
    delete:
      summary: Take a book away
      parameters: [{name: reason, in: query, required: true, schema: {type: string}, example: lost}]
      responses: {"204": {description: It is gone.}, "404": {description: There is none.}}
    get:
      summary: Look at a book
      parameters: [{name: page, in: query, schema: {type: integer}, example: 7}, {name: If-None-Match, in: header, schema: {type: string}, example: '"a"'}]
      responses:
        "202": {description: Come again., content: {text/plain: {examples: {Later: {value: later}}}}}
        "404": {description: There is none.}
        "200":
          description: The book.
          content:
            text/plain: {schema: {type: string}, examples: {Text: {value: A & B}}}
            application/json: {schema: {type: object}, examples: {Book: {value: {isbn: "2", title: "<A & B>"}}}}
  /books:
    post:
      summary: Put a book there
      description: >-
        The isbn is that of the book, which should not be on the shelf already, since no two books can stand there with one
        @isbn.
      x-function: Put
      requestBody:
        content:
          text/plain: {schema: {type: string}}
          application/book+json:
            schema: {type: object}
            examples: {Anonymous: {value: {title: A}}, Named: {value: {title: B, isbn: "2"}}}
      responses: {"201": {description: It is there.}}
components:
  securitySchemes:
    token: {type: http, scheme: bearer, description: A token.}
    key: {type: apiKey, in: header, name: X-Key, description: A key.}
`

func shelfCollection(t *testing.T) *collection.Collection {
	t.Helper()
	document, err := contract.Parse([]byte(shelf))
	if err != nil {
		t.Fatal(err)
	}
	return collection.New(document)
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	const want = `# Shelf 2.0.0. Generated from the API document: edit only the values of the variables.
#
# Send the requests one by one, or all in order: they delete what they create.
# Add the authorization that the stage requires, if any:
# - X-Key: A key.
# - Authorization: A token.

# The invoke URL of a stage
@baseUrl = http://127.0.0.1:8000/shelf
# ... #1 of what a book has.
@isbn = made-by-this-collection

### Put a book there
# The isbn is that of the book, which should not be on the shelf already, since no two books can stand there with one
# ... @isbn.
POST {{baseUrl}}/books
Content-Type: application/book+json

{
  "isbn": "{{isbn}}",
  "title": "B"
}

### Put a book there
# The isbn is that of the book, which should not be on the shelf already, since no two books can stand there with one
# ... @isbn.
POST {{baseUrl}}/books
Content-Type: application/book+json

{
  "isbn": "{{isbn}}",
  "title": "B"
}

### Look at a book
# Optional in the query: page=7
# Optional header: If-None-Match: "a"
GET {{baseUrl}}/books/{{isbn}}

### Take a book away
DELETE {{baseUrl}}/books/{{isbn}}?reason=lost
`
	if d := cmp.Diff(strings.Split(want, "\n"), strings.Split(string(shelfCollection(t).HTTP()), "\n")); d != "" {
		t.Errorf("HTTP (-want +got):\n%s", d)
	}
}

func TestPostman(t *testing.T) {
	t.Parallel()
	type response struct{ Name, Status, Body string }
	type item struct {
		Name     string
		Event    []map[string]any
		Request  map[string]any
		Response []response
	}
	var got struct {
		Item []struct {
			Name string
			Item []item
		}
	}
	if err := json.Unmarshal(shelfCollection(t).Postman(), &got); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range got.Item {
		for _, item := range f.Item {
			names = append(names, f.Name+": "+item.Name)
		}
	}
	want := []string{
		"/books: Put a book there",
		"/books/{isbn}: Put a book there",
		"/books/{isbn}: Look at a book",
		"/books/{isbn}: Take a book away",
	}
	if d := cmp.Diff(want, names); d != "" {
		t.Fatalf("requests (-want +got):\n%s", d)
	}
	look := got.Item[1].Item[1]
	request := map[string]any{
		"method": "GET",
		"header": []any{map[string]any{"key": "If-None-Match", "value": `"a"`, "disabled": true}},
		"url": map[string]any{
			"raw": "{{baseUrl}}/books/{{isbn}}", "host": []any{"{{baseUrl}}"}, "path": []any{"books", "{{isbn}}"},
			"query": []any{map[string]any{"key": "page", "value": "7", "disabled": true}},
		},
	}
	if d := cmp.Diff(request, look.Request); d != "" {
		t.Errorf("request (-want +got):\n%s", d)
	}
	responses := []response{
		{"Book", "OK", "{\n  \"isbn\": \"2\",\n  \"title\": \"<A & B>\"\n}"},
		{"Text", "OK", `"A & B"`},
	}
	if d := cmp.Diff(responses, look.Response); d != "" {
		t.Errorf("responses (-want +got):\n%s", d)
	}
	for i, want := range []string{"isbn", "isbn", "", ""} {
		events := fmt.Sprint(slices.Concat(got.Item[0].Item, got.Item[1].Item)[i].Event)
		newID := "set('" + want + "', pm.variables.replaceIn('{{$guid}}'))"
		if strings.Contains(events, "prerequest") != (want != "") || want != "" && !strings.Contains(events, newID) {
			t.Errorf("request %d: got events %s, want a new %q", i, events, want)
		}
	}
	url := fmt.Sprint(got.Item[1].Item[2].Request["url"])
	if want := "{{baseUrl}}/books/{{isbn}}?reason=lost"; !strings.Contains(url, want) {
		t.Errorf("got %s, want %s with the required query parameter", url, want)
	}
}
