// Package collection generates collections of requests from the API document, to try out the API: one for Postman, and
// one for editors that send requests from .http files.
//
// The requests can be sent one by one or in order: a collection deletes what it creates.
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
	// baseURL is the variable for the invoke URL of the stage.
	baseURL = "baseUrl"

	// ownID is the id of the resources that a collection creates, replaces and deletes. It cannot clash with others.
	ownID = "made-by-this-collection"
)

// Collection is a collection of requests.
type Collection struct {
	title, version, description string
	authorizations              []value // the security schemes of stages
	variables                   []value
	folders                     []folder
}

// folder contains the requests of a path.
type folder struct {
	name     string
	requests []request
}

type request struct {
	name, description string
	method, path      string // the path has variables, such as /users/{{userId}}
	query, header     []parameter
	body              string   // "" for none
	creates           []string // the variables with the ids of resources that the request creates
	status            int      // the expected status code
	examples          []example
}

type parameter struct {
	value
	required bool
}

// example is a documented response.
type example struct {
	name, mediaType, body string
}

type value struct{ name, value, description string }

// New returns the collection of the requests that the document describes.
func New(api *contract.Document) *Collection {
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
	isItem := func(address string) bool { // that a request creates, and another one deletes
		item, parent := paths[address], paths[path.Dir(address)]
		return item.Delete != nil && item.Post == nil && parent != nil && parent.Post != nil
	}
	last := func(address string) string { // the requests below an item precede its DELETE
		if isItem(address) {
			address += "/\xff"
		}
		return address
	}
	slices.SortFunc(addresses, func(a, b string) int { return strings.Compare(last(a), last(b)) })
	created := map[string]bool{}
	for _, address := range addresses {
		f := folder{name: address}
		for _, item := range slices.Sorted(maps.Keys(paths)) {
			if !created[item] && isItem(item) && strings.HasPrefix(address+"/", item+"/") {
				parent := path.Dir(item)
				f.requests = append(f.requests, c.request(parent, http.MethodPost, paths[parent].Parameters, paths[parent].Post))
				created[item] = true
			}
		}
		for _, method := range []string{
			http.MethodPost, http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPatch, http.MethodDelete,
		} {
			if operation := paths[address].GetOperation(method); operation != nil {
				f.requests = append(f.requests, c.request(address, method, paths[address].Parameters, operation))
			}
		}
		c.folders = append(c.folders, f)
	}
	return c
}

// server returns the URL of the first server without variables.
func server(servers openapi3.Servers) string {
	for _, s := range servers {
		if len(s.Variables) == 0 {
			return s.URL
		}
	}
	return ""
}

// addVariables adds a variable for each path parameter.
func (c *Collection) addVariables(parameters openapi3.Parameters) {
	for _, p := range parameters {
		if p.Value.In == openapi3.ParameterInPath && c.variable(p.Value.Name) == "" {
			c.variables = append(c.variables, value{p.Value.Name, ownID, p.Value.Description})
		}
	}
}

// variable returns the reference to a variable, or "" if it does not exist.
func (c *Collection) variable(name string) string {
	if slices.ContainsFunc(c.variables, func(v value) bool { return v.name == name }) {
		return "{{" + name + "}}"
	}
	return ""
}

func (c *Collection) request(
	address, method string, shared openapi3.Parameters, operation *openapi3.Operation,
) request {
	r := request{
		name: operation.Summary, description: operation.Description,
		method: method, path: strings.NewReplacer("{", "{{", "}", "}}").Replace(address),
	}
	for _, p := range slices.Concat(shared, operation.Parameters) {
		sent := parameter{
			value{p.Value.Name, exampleValue(p.Value.Example), strings.TrimSpace(p.Value.Description)}, p.Value.Required,
		}
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
		r.body = formatJSON(body)
		r.header = append(r.header, parameter{value{name: "Content-Type", value: mediaType}, true})
		for name := range body {
			if method == http.MethodPost && c.variable(name) != "" {
				r.creates = append(r.creates, name)
			}
		}
		slices.Sort(r.creates)
	}
	r.status, r.examples = success(operation)
	return r
}

// bodies returns the examples of a request body in its first media type, sorted by name.
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

// body returns the first example that has a member named as a variable, or else the first, with these members set to
// the variables.
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

// success returns the first 2xx status code of the responses and its examples.
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
				examples = append(examples, example{name, mediaType, formatJSON(named[name].Value.Value)})
			}
		}
		return status, examples
	}
	return 0, nil
}

// exampleValue returns the example of a parameter as it is sent.
func exampleValue(example any) string {
	if example == nil {
		return ""
	}
	return fmt.Sprint(example)
}

// formatJSON returns an example as indented JSON.
func formatJSON(example any) string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(example); err != nil { // it was parsed from JSON
		panic(err)
	}
	return strings.TrimSpace(out.String())
}
