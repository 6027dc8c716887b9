// Package collection makes collections of requests from the API document, for people who try the API out: one for Postman, and one for
// editors that send requests from .http files.
//
// The requests of a collection can be sent one by one, and in their order: what a collection creates it also deletes.
package collection

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/userrequestapi/userdata/deploy/openapi"
)

// baseURL is the variable that has the invoke URL of the stage.
const baseURL = "baseUrl"

// Collection is a collection of requests.
type Collection struct {
	title, version, description string
	authorizations              []value // the ways in which stages authorize requests
	variables                   []value
	folders                     []folder
}

// folder has the requests of a path.
type folder struct {
	name     string
	requests []request
}

type request struct {
	name, description string
	method, path      string // the path with variables, such as /users/{{userId}}
	query, header     []parameter
	body              string // "" for none
	status            int    // of the answer where all goes well
	examples          []example
}

type parameter struct {
	value
	required bool
}

// example is an answer as documented.
type example struct {
	name, mediaType, body string
}

type value struct{ name, value, description string }

// New makes the collection of the requests that the document describes.
func New(document *openapi.Document) (*Collection, error) {
	api, err := openapi3.NewLoader().LoadFromData(document.Public().JSON())
	if err != nil {
		return nil, fmt.Errorf("make a collection of requests: %w", err)
	}
	c := &Collection{
		title: api.Info.Title, version: api.Info.Version, description: api.Info.Description,
		variables: []value{{name: baseURL, value: server(api.Servers), description: "The invoke URL of a stage"}},
	}
	for _, name := range slices.Sorted(maps.Keys(api.Components.SecuritySchemes)) {
		scheme := api.Components.SecuritySchemes[name].Value
		header := scheme.Name
		if scheme.Type == "http" {
			header = "Authorization"
		}
		c.authorizations = append(c.authorizations, value{name, header, scheme.Description})
	}
	paths := api.Paths.Map()
	addresses := slices.Sorted(maps.Keys(paths))
	for _, address := range addresses {
		c.addVariables(paths, address)
	}
	for _, address := range addresses {
		f := folder{name: address}
		operations := paths[address]
		if parent := paths[path.Dir(address)]; operations.Delete != nil && operations.Post == nil && parent != nil && parent.Post != nil {
			f.requests = append(f.requests, c.request(path.Dir(address), http.MethodPost, parent.Parameters, parent.Post))
		}
		for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete} {
			if operation := operations.GetOperation(method); operation != nil {
				f.requests = append(f.requests, c.request(address, method, operations.Parameters, operation))
			}
		}
		c.folders = append(c.folders, f)
	}
	return c, nil
}

// server returns the address of the first server that has no variables.
func server(servers openapi3.Servers) string {
	for _, s := range servers {
		if len(s.Variables) == 0 {
			return s.URL
		}
	}
	return ""
}

// addVariables makes a variable of each parameter of a path. Its value is that of what the parent's POST creates, so that it is there
// when it is asked for.
func (c *Collection) addVariables(paths map[string]*openapi3.PathItem, address string) {
	for _, p := range paths[address].Parameters {
		if p.Value.In != openapi3.ParameterInPath || c.variable(p.Value.Name) != "" {
			continue
		}
		v := value{p.Value.Name, text(p.Value.Example), p.Value.Description}
		if parent := paths[path.Dir(address)]; parent != nil && parent.Post != nil {
			for _, body := range bodies(parent.Post) {
				if member, ok := body[v.name]; ok {
					v.value = text(member)
					break
				}
			}
		}
		c.variables = append(c.variables, v)
	}
}

// variable returns what stands for the value of a variable, "" where there is no such variable.
func (c *Collection) variable(name string) string {
	if slices.ContainsFunc(c.variables, func(v value) bool { return v.name == name }) {
		return "{{" + name + "}}"
	}
	return ""
}

func (c *Collection) request(address, method string, shared openapi3.Parameters, operation *openapi3.Operation) request {
	r := request{
		name: operation.Summary, description: operation.Description,
		method: method, path: strings.NewReplacer("{", "{{", "}", "}}").Replace(address),
	}
	for _, p := range slices.Concat(shared, operation.Parameters) {
		sent := parameter{value{p.Value.Name, text(p.Value.Example), strings.TrimSpace(p.Value.Description)}, p.Value.Required}
		if variable := c.variable(p.Value.Name); variable != "" {
			sent.value.value = variable
		}
		switch p.Value.In {
		case openapi3.ParameterInQuery:
			r.query = append(r.query, sent)
		case openapi3.ParameterInHeader:
			r.header = append(r.header, sent)
		}
	}
	if content := bodies(operation); len(content) > 0 {
		r.body = c.body(content)
		r.header = append(r.header, parameter{value{name: "Content-Type", value: "application/json"}, true})
	}
	r.status, r.examples = success(operation)
	return r
}

// bodies returns the examples of a request's body, in the order of their names.
func bodies(operation *openapi3.Operation) []map[string]any {
	if operation.RequestBody == nil {
		return nil
	}
	var found []map[string]any
	for _, content := range operation.RequestBody.Value.Content {
		for _, name := range slices.Sorted(maps.Keys(content.Examples)) {
			if body, ok := content.Examples[name].Value.Value.(map[string]any); ok {
				found = append(found, body)
			}
		}
	}
	return found
}

// body returns the first of the bodies that has a variable, or else the first, with variables for members that are called as they are.
func (c *Collection) body(examples []map[string]any) string {
	named := func(body map[string]any) bool {
		for name := range body {
			if c.variable(name) != "" {
				return true
			}
		}
		return false
	}
	body := maps.Clone(examples[max(0, slices.IndexFunc(examples, named))])
	for name := range body {
		if variable := c.variable(name); variable != "" {
			body[name] = variable
		}
	}
	return indented(body)
}

// success returns the status of the answer where all goes well, and its examples.
func success(operation *openapi3.Operation) (status int, examples []example) {
	for code, response := range operation.Responses.Map() {
		number, err := strconv.Atoi(code)
		if err != nil || number < 200 || number > 299 {
			continue
		}
		status = number
		for mediaType, content := range response.Value.Content {
			for _, name := range slices.Sorted(maps.Keys(content.Examples)) {
				e := content.Examples[name].Value
				examples = append(examples, example{name, mediaType, indented(e.Value)})
			}
		}
	}
	return status, examples
}

// text returns an example of a parameter as it is in an address or a header.
func text(example any) string {
	if example == nil {
		return ""
	}
	return fmt.Sprint(example)
}

// indented returns an example as JSON for people.
func indented(example any) string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(example); err != nil { // it was read from JSON
		panic(err)
	}
	return strings.TrimSpace(out.String())
}
