package smoke

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"

	"github.com/userrequestapi/userdata/deploy/contract"
)

// idPrefix marks the ids of the test's items, in case one could not be deleted.
const idPrefix = "smoke-test-"

// resource is a collection of the API document, and the item that the test creates in it. The Operation of a route that
// the document does not have is nil.
type resource struct {
	contract.Collection
	list, create, replaceByQuery, removeByQuery contract.Route // of the collection
	read, replace, remove                       contract.Route // of an item

	id      string // of the test's item
	extra   bool   // whether the item has the members purpose and state
	changed string // the member of the example that has the state instead; "" for none
}

// resources returns the collections of the document in which the test can create an item and delete it again: an item
// has DELETE, and its key may be an id of the test.
func resources(document *contract.Document) []resource {
	routes := map[string]contract.Route{}
	for _, route := range document.Routes() {
		routes[route.Method+" "+route.Path] = route
	}
	var found []resource
	for _, c := range document.Collections() {
		r := resource{
			Collection: c,
			list:       routes["GET "+c.Path], create: routes["POST "+c.Path],
			replaceByQuery: routes["PUT "+c.Path], removeByQuery: routes["DELETE "+c.Path],
			read: routes["GET "+c.Item], replace: routes["PUT "+c.Item], remove: routes["DELETE "+c.Item],
		}
		unique := uuid.NewString()
		for _, id := range []string{idPrefix + unique, unique} {
			if r.id == "" && valid(parameter(r.read, openapi3.ParameterInPath, c.Key).Schema, id) {
				r.id = id
			}
		}
		if r.remove.Operation == nil || r.id == "" {
			continue
		}
		if !accepts(r.replaceByQuery, openapi3.ParameterInQuery, c.Key) {
			r.replaceByQuery = contract.Route{}
		}
		if !accepts(r.removeByQuery, openapi3.ParameterInQuery, c.Key) {
			r.removeByQuery = contract.Route{}
		}
		r.chooseState()
		found = append(found, r)
	}
	return found
}

// chooseState sets extra and changed. The schemas of the requests decide: an item has members of the test's own if they
// allow them; otherwise a string of the example changes.
func (r *resource) chooseState() {
	r.extra = true
	if r.bodiesAreValid() {
		return
	}
	r.extra = false
	for _, name := range slices.Sorted(maps.Keys(r.Example)) {
		_, isString := r.Example[name].(string)
		if r.changed = name; isString && name != r.Key && r.bodiesAreValid() {
			return
		}
	}
	r.changed = ""
}

func (r *resource) bodiesAreValid() bool {
	const longest = "replaced" // of the states
	return valid(bodySchema(r.create), r.body(r.create, longest)) &&
		valid(bodySchema(r.replace), r.body(r.replace, longest))
}

// itemPath returns the path of the item.
func (r *resource) itemPath() string { return strings.Replace(r.Item, "{"+r.Key+"}", r.id, 1) }

// state returns the members that identify the item and its state.
func (r *resource) state(state string) map[string]any {
	item := map[string]any{r.Key: r.id}
	switch {
	case r.extra:
		item["purpose"], item["state"] = "smoke test", state
	case r.changed != "":
		item[r.changed] = fmt.Sprint(r.Example[r.changed], " ", state)
	}
	return item
}

// body returns the item as the body of a request: the example of the document in a state. It has no personal data. It
// has the id unless the schema rejects it.
func (r *resource) body(route contract.Route, state string) map[string]any {
	item := maps.Clone(r.Example)
	if item == nil {
		item = map[string]any{}
	}
	maps.Copy(item, r.state(state))
	unnamed := maps.Clone(item)
	delete(unnamed, r.Key)
	if schema := bodySchema(route); !valid(schema, item) && valid(schema, unnamed) {
		return unnamed
	}
	return item
}

// ok is the response with the item in a state.
func (r *resource) ok(route contract.Route, state string, etag func(string) bool) want {
	w := want{status: success(route)}
	if w.status == 0 {
		return w
	}
	response := route.Operation.Responses.Status(w.status).Value
	if response.Content.Get(contract.JSONMediaType) != nil {
		w.item = r.state(state)
	}
	for name := range response.Headers {
		if http.CanonicalHeaderKey(name) == "Etag" {
			w.etag = etag
		}
	}
	return w
}

// bodySchema returns the schema of the body of a request, or nil.
func bodySchema(route contract.Route) *openapi3.SchemaRef {
	if route.Operation == nil || route.Operation.RequestBody == nil {
		return nil
	}
	if content := route.Operation.RequestBody.Value.Content.Get(contract.JSONMediaType); content != nil {
		return content.Schema
	}
	return nil
}

// valid reports whether the schema, nil for any, allows a value in a request.
func valid(schema *openapi3.SchemaRef, value any) bool {
	return schema == nil || schema.Value.VisitJSON(value, openapi3.VisitAsRequest()) == nil
}

// parameter returns a parameter of an operation, or the zero value.
func parameter(route contract.Route, in, name string) openapi3.Parameter {
	for _, p := range route.Parameters {
		isHeader := in == openapi3.ParameterInHeader && strings.EqualFold(p.Value.Name, name)
		if p.Value.In == in && (p.Value.Name == name || isHeader) {
			return *p.Value
		}
	}
	return openapi3.Parameter{}
}

// accepts reports whether an operation has the parameter.
func accepts(route contract.Route, in, name string) bool {
	return parameter(route, in, name).Name != ""
}

// needsNothing reports whether the operation exists and requires no parameter.
func needsNothing(route contract.Route) bool {
	return route.Operation != nil && !route.RequiresParameter()
}

// documents reports whether the operation exists and has a response with the status code.
func documents(route contract.Route, status int) bool {
	return route.Operation != nil && route.Operation.Responses.Status(status) != nil
}

// success returns the first status code of the operation that means success, or 0.
func success(route contract.Route) int {
	for status := http.StatusOK; status < http.StatusMultipleChoices; status++ {
		if documents(route, status) {
			return status
		}
	}
	return 0
}

// refusal is the response with a status code, and with a problem document if the operation has one.
func refusal(route contract.Route, status int) want {
	return want{
		status:  status,
		problem: route.Operation.Responses.Status(status).Value.Content.Get(contract.ProblemMediaType) != nil,
	}
}

// missing is the response for an item that does not exist.
func missing(route contract.Route) want {
	if !documents(route, http.StatusNotFound) {
		return want{}
	}
	return refusal(route, http.StatusNotFound)
}

// lists returns the names of the arrays, one of which a page of the list has; "" is the body itself.
func lists(route contract.Route) []string {
	if !documents(route, http.StatusOK) {
		return nil
	}
	content := route.Operation.Responses.Status(http.StatusOK).Value.Content.Get(contract.JSONMediaType)
	if content == nil {
		return nil
	}
	return arrays(content.Schema)
}

func arrays(ref *openapi3.SchemaRef) []string {
	if ref == nil {
		return nil
	}
	var names []string
	if ref.Value.Type.Is(openapi3.TypeArray) {
		names = append(names, "")
	}
	for name, property := range ref.Value.Properties {
		if property.Value.Type.Is(openapi3.TypeArray) {
			names = append(names, name)
		}
	}
	for _, alternative := range slices.Concat(ref.Value.OneOf, ref.Value.AnyOf, ref.Value.AllOf) {
		names = append(names, arrays(alternative)...)
	}
	return names
}
