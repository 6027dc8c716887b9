package local

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/userrequestapi/userdata/deploy/contract"
	"github.com/userrequestapi/userdata/deploy/host/command"
)

// createExample creates the example item of the first collection of the API document through the API. It does nothing
// if the API has no collection. The error is for the terminal: it says what to correct.
func (s *Instance) createExample(ctx context.Context) error {
	collections := s.resources.Load().API().Document.Collections()
	if len(collections) == 0 {
		return nil
	}
	collection := collections[0]
	place := fmt.Sprintf("the first example of the response 200 to GET %s in deploy/%s", collection.Item, contract.File)
	if collection.Example == nil {
		return fmt.Errorf("%s has no example item: add %s", collection.Path, place)
	}
	status, response, err := s.post(ctx, collection.Path, collection.Example)
	if err != nil {
		return fmt.Errorf("create the example item: %w", err)
	}
	if status/100 == 2 {
		return nil
	}
	remedy := "see the log " + s.cfg.LogFile
	if status < http.StatusInternalServerError {
		remedy = "correct " + place
	}
	return fmt.Errorf("the example item was not created: POST %s returned %d: %s: %s",
		collection.Path, status, faults(response), remedy)
}

// post sends a request with a JSON body to a path of the API.
func (s *Instance) post(ctx context.Context, path string, item any) (status int, response []byte, err error) {
	body, err := encode(item)
	if err != nil {
		return 0, nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", contract.JSONMediaType)
	if err := s.Authorize(req); err != nil {
		return 0, nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	response, err = io.ReadAll(res.Body)
	return res.StatusCode, response, err
}

// faults formats the errors of a problem document, or else its detail, in one line. Other responses are returned as
// they are.
func faults(response []byte) string {
	var problem struct {
		Detail string
		Errors []struct{ Pointer, Detail string }
	}
	if err := json.Unmarshal(response, &problem); err != nil || problem.Detail == "" {
		return strings.Join(strings.Fields(string(response)), " ")
	}
	if len(problem.Errors) == 0 {
		return strings.TrimSuffix(problem.Detail, ".")
	}
	lines := make([]string, len(problem.Errors))
	for i, e := range problem.Errors {
		lines[i] = strings.TrimSpace(e.Pointer + " " + strings.TrimSuffix(e.Detail, "."))
	}
	return strings.Join(lines, ", ")
}

// curl returns shell commands that call the API: they read, create and list items of the first collection. If the API
// has none, the command is the first GET without parameters in the path, such as that of the index.
func (s *Instance) curl() ([]string, error) {
	before, curl, err := s.authorization.curl()
	if err != nil {
		return nil, err
	}
	var lines []string
	if before != "" {
		lines = append(lines, before)
	}
	document := s.resources.Load().API().Document
	collections := document.Collections()
	if len(collections) == 0 {
		for _, route := range document.Routes() {
			if route.Method == http.MethodGet && !strings.Contains(route.Path, "{") {
				return append(lines, curl+" "+command.SingleQuote(s.URL+route.Path)), nil
			}
		}
		return lines, nil
	}
	collection := collections[0]
	operations := document.Paths.Value(collection.Path)
	if id, ok := collection.Example[collection.Key]; ok {
		lines = append(lines, curl+" "+command.SingleQuote(s.URL+collection.ItemPath(fmt.Sprint(id))))
	}
	if item := requestExample(operations.Post, collection); item != nil {
		body, err := encode(item)
		if err != nil {
			return nil, fmt.Errorf("encode the example of POST %s: %w", collection.Path, err)
		}
		lines = append(lines, fmt.Sprintf("%s -X POST %s -H 'Content-Type: %s' -d %s",
			curl, command.SingleQuote(s.URL+collection.Path), contract.JSONMediaType, command.SingleQuote(string(body))))
	}
	if operations.Get != nil {
		lines = append(lines, curl+" "+command.SingleQuote(s.URL+collection.Path))
	}
	return lines, nil
}

// requestExample returns the body of an example request that creates an item, or nil. It prefers one without an id: the
// service generates the id, and the request can be repeated.
func requestExample(create *openapi3.Operation, collection contract.Collection) any {
	content := create.RequestBody.Value.Content.Get(contract.JSONMediaType)
	if content == nil {
		return nil
	}
	first := content.Example
	for _, name := range slices.Sorted(maps.Keys(content.Examples)) {
		value := content.Examples[name].Value.Value
		item, _ := value.(map[string]any)
		if _, hasID := item[collection.Key]; item != nil && !hasID {
			return item
		}
		if first == nil {
			first = value
		}
	}
	if first == nil && collection.Example != nil {
		return collection.Example
	}
	return first
}

// encode encodes an example as JSON, readable in a terminal.
func encode(example any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(example)
	return bytes.TrimSpace(b.Bytes()), err
}
