package bench_test

import (
	"testing"

	"github.com/userrequestapi/userdata/deploy/bench"
	"github.com/userrequestapi/userdata/deploy/contract"
)

const document = `openapi: 3.0.3
info: {title: Things, version: "1.0"}
paths:
  /health: {get: {x-function: Health, responses: {"200": {description: OK}}}}
  /things:
    post:
      x-function: Create
      requestBody: {content: {application/json: {example: {id: a b, name: Ada}}}}
      responses: {"201": {description: Created}}
  /things/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get:
      x-function: Read
      responses: {"200": {description: OK, content: {application/json: {example: {id: a b, name: Ada}}}}}
  /things/{id}/parts:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get: {x-function: Parts, responses: {"200": {description: OK}}}
  /things/{id}/parts/{part}:
    parameters:
      - {name: id, in: path, required: true, schema: {type: string}}
      - {name: part, in: path, required: true, schema: {type: string}}
    get: {x-function: Part, responses: {"200": {description: OK}}}
`

func TestFindRequest(t *testing.T) {
	t.Parallel()
	parsed, err := contract.Parse([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	for function, want := range map[string]string{
		"Health": "GET /health",
		"Create": "POST /things",
		"Read":   "GET /things/a%20b",
		"Parts":  "GET /things/a%20b/parts",
		"Part":   "", // no example has the id of a part
	} {
		t.Run(function, func(t *testing.T) {
			t.Parallel()
			if got := bench.FindRequest(parsed, function); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}
