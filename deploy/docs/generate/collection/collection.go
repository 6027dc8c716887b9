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

	"github.com/userrequestapi/userdata/deploy/contract"
)

const (
	// baseURL is the variable that has the invoke URL of the stage.
	baseURL = "baseUrl"

	// ownID is the id of what a collection makes, replaces and deletes. Nobody else has it, so that nothing of theirs is lost.
	ownID = "made-by-this-collection"
)

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
	body              string   // "" for none
	makes             []string // the variables with the ids of what it creates
	status            int      // of the answer where all goes well
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
func New(document *contract.Document) (*Collection, error) {
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
		c.addVariables(paths[address].Parameters)
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

// addVariables makes a variable of each parameter of a path.
func (c *Collection) addVariables(parameters openapi3.Parameters) {
	for _, p := range parameters {
		if p.Value.In == openapi3.ParameterInPath && c.variable(p.Value.Name) == "" {
			c.variables = append(c.variables, value{p.Value.Name, ownID, p.Value.Description})
		}
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
	if mediaType, content := bodies(operation); len(content) > 0 {
		body := c.body(content)
		r.body = indented(body)
		r.header = append(r.header, parameter{value{name: "Content-Type", value: mediaType}, true})
		for name := range body {
			if method == http.MethodPost && c.variable(name) != "" {
				r.makes = append(r.makes, name)
			}
		}
		slices.Sort(r.makes)
	}
	r.status, r.examples = success(operation)
	return r
}

// bodies returns the examples of a request's body in its first media type, in the order of their names.
func bodies(operation *openapi3.Operation) (mediaType string, found []map[string]any) {
	if operation.RequestBody == nil {
		return "", nil
	}
	content := operation.RequestBody.Value.Content
	for _, mediaType := range slices.Sorted(maps.Keys(content)) {
		examples := content[mediaType].Examples
		for _, name := range slices.Sorted(maps.Keys(examples)) {
			if body, ok := examples[name].Value.Value.(map[string]any); ok {
				found = append(found, body)
			}
		}
		if len(found) > 0 {
			return mediaType, found
		}
	}
	return "", nil
}

// body returns the first of the bodies that has a variable, or else the first, with variables for members that are called as they are.
func (c *Collection) body(examples []map[string]any) map[string]any {
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
	return body
}

// success returns the status of the answer where all goes well, the first there is, and its examples.
func success(operation *openapi3.Operation) (status int, examples []example) {
	responses := operation.Responses.Map()
	for _, code := range slices.Sorted(maps.Keys(responses)) {
		status, err := strconv.Atoi(code)
		if err != nil || status < 200 || status > 299 {
			continue
		}
		content := responses[code].Value.Content
		for _, mediaType := range slices.Sorted(maps.Keys(content)) {
			named := content[mediaType].Examples
			for _, name := range slices.Sorted(maps.Keys(named)) {
				examples = append(examples, example{name, mediaType, indented(named[name].Value.Value)})
			}
		}
		return status, examples
	}
	return 0, nil
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
