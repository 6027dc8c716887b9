// Package sample derives items for tests of a stage from the API document: the collections in which a client can
// create, read and delete an item of its own, and bodies that their schemas accept.
package sample

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

// Resource is a collection of the API document with its routes. The Operation of a route that the document does not
// have is nil.
type Resource struct {
	contract.Collection
	List, Create, ReplaceByQuery, RemoveByQuery contract.Route // of the collection
	Read, Replace, Remove                       contract.Route // of an item

	purpose string // what the items are for, such as "smoke test"
	prefix  string // of the ids
	extra   bool   // whether an item has the members purpose and state
	changed string // the member of the example that has the state instead; "" for none
}

// Resources returns the collections of the document in which a test can create an item and delete it again: an item
// has DELETE, and its key may be an id of the test. The ids begin with the purpose, such as "smoke test", if the
// document allows it, in case an item could not be deleted.
func Resources(document *contract.Document, purpose string) []Resource {
	routes := map[string]contract.Route{}
	for _, route := range document.Routes() {
		routes[route.Method+" "+route.Path] = route
	}
	var found []Resource
	for _, c := range document.Collections() {
		r := Resource{
			Collection: c, purpose: purpose,
			List: routes["GET "+c.Path], Create: routes["POST "+c.Path],
			ReplaceByQuery: routes["PUT "+c.Path], RemoveByQuery: routes["DELETE "+c.Path],
			Read: routes["GET "+c.Item], Replace: routes["PUT "+c.Item], Remove: routes["DELETE "+c.Item],
		}
		key := parameter(r.Read, openapi3.ParameterInPath, c.Key).Schema
		prefix := strings.ReplaceAll(purpose, " ", "-") + "-"
		switch unique := uuid.NewString(); {
		case r.Remove.Operation == nil:
			continue
		case valid(key, prefix+unique):
			r.prefix = prefix
		case !valid(key, unique):
			continue
		}
		if !Accepts(r.ReplaceByQuery, openapi3.ParameterInQuery, c.Key) {
			r.ReplaceByQuery = contract.Route{}
		}
		if !Accepts(r.RemoveByQuery, openapi3.ParameterInQuery, c.Key) {
			r.RemoveByQuery = contract.Route{}
		}
		r.chooseState()
		found = append(found, r)
	}
	return found
}

// NewID returns an id for a new item. If Body omits it, the service chooses another one.
func (r *Resource) NewID() string { return r.prefix + uuid.NewString() }

// chooseState sets extra and changed. The schemas of the requests decide: an item has members of the test's own if they
// allow them; otherwise a string of the example changes.
func (r *Resource) chooseState() {
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

func (r *Resource) bodiesAreValid() bool {
	const longest = "replaced" // of the states
	id := r.NewID()
	return valid(BodySchema(r.Create), r.Body(r.Create, id, longest)) &&
		valid(BodySchema(r.Replace), r.Body(r.Replace, id, longest))
}

// State returns the members that identify an item and its state, a word of up to 8 letters.
func (r *Resource) State(id, state string) map[string]any {
	item := map[string]any{r.Key: id}
	switch {
	case r.extra:
		item["purpose"], item["state"] = r.purpose, state
	case r.changed != "":
		item[r.changed] = fmt.Sprint(r.Example[r.changed], " ", state)
	}
	return item
}

// Body returns an item as the body of a request: the example of the document in a state. It has no personal data. It
// has the id unless the schema rejects it.
func (r *Resource) Body(route contract.Route, id, state string) map[string]any {
	item := maps.Clone(r.Example)
	if item == nil {
		item = map[string]any{}
	}
	maps.Copy(item, r.State(id, state))
	unnamed := maps.Clone(item)
	delete(unnamed, r.Key)
	if schema := BodySchema(route); !valid(schema, item) && valid(schema, unnamed) {
		return unnamed
	}
	return item
}

// BodySchema returns the schema of the body of a request, or nil.
func BodySchema(route contract.Route) *openapi3.SchemaRef {
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

// Accepts reports whether an operation has the parameter.
func Accepts(route contract.Route, in, name string) bool {
	return parameter(route, in, name).Name != ""
}

// NeedsNothing reports whether the operation exists and requires no parameter.
func NeedsNothing(route contract.Route) bool {
	return route.Operation != nil && !route.RequiresParameter()
}

// Documents reports whether the operation exists and has a response with the status code.
func Documents(route contract.Route, status int) bool {
	return route.Operation != nil && route.Operation.Responses.Status(status) != nil
}

// Success returns the first status code of the operation that means success, or 0.
func Success(route contract.Route) int {
	for status := http.StatusOK; status < http.StatusMultipleChoices; status++ {
		if Documents(route, status) {
			return status
		}
	}
	return 0
}
