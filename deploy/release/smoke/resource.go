package smoke

import (
	"net/http"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/userrequestapi/userdata/deploy/contract"
	"github.com/userrequestapi/userdata/deploy/contract/sample"
)

// resource is a collection of the API document, and the item that the test creates in it.
type resource struct {
	sample.Resource

	id string // of the test's item
}

// resources returns the collections of the document in which the test can create an item and delete it again.
func resources(document *contract.Document) []resource {
	var found []resource
	for _, r := range sample.Resources(document, "smoke test") {
		found = append(found, resource{r, r.NewID()})
	}
	return found
}

// itemPath returns the path of the item.
func (r *resource) itemPath() string { return r.ItemPath(r.id) }

// ok is the response with the item in a state.
func (r *resource) ok(route contract.Route, state string, etag func(string) bool) want {
	w := want{status: sample.Success(route)}
	if w.status == 0 {
		return w
	}
	response := route.Operation.Responses.Status(w.status).Value
	if response.Content.Get(contract.JSONMediaType) != nil {
		w.item = r.State(r.id, state)
	}
	for name := range response.Headers {
		if http.CanonicalHeaderKey(name) == "Etag" {
			w.etag = etag
		}
	}
	return w
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
	if !sample.Documents(route, http.StatusNotFound) {
		return want{}
	}
	return refusal(route, http.StatusNotFound)
}

// lists returns the names of the arrays, one of which a page of the list has; "" is the body itself.
func lists(route contract.Route) []string {
	if !sample.Documents(route, http.StatusOK) {
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
