package contract

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// Collection is a path whose POST creates the items that a path below it reads.
type Collection struct {
	Path    string         // such as /users
	Item    string         // the path of an item, such as /users/{userId}
	Key     string         // the parameter of Item, and the member of an item with its id, such as userId
	Example map[string]any // an item as a client sends it; must not be changed
}

// ItemPath returns the path of the item with an id, escaped.
func (c Collection) ItemPath(id string) string {
	return strings.Replace(c.Item, "{"+c.Key+"}", url.PathEscape(id), 1)
}

// Collections returns the collections in the order of the document, except for those that belong to an item, and those
// whose POST has the id of the item neither in the request nor in the response. The example of an item is the first
// one, by name, of the response 200 to GET. It lacks the members that the schema of POST does not have: the service
// sets them.
func (d *Document) Collections() []Collection {
	var collections []Collection
	paths := value(d.public.root, "paths").Content // kin-openapi does not keep the order
	for i := 0; i < len(paths); i += 2 {
		path := paths[i].Value
		create := d.Paths.Value(path).Post
		if create == nil || create.RequestBody == nil || strings.Contains(path, "{") {
			continue
		}
		for _, item := range d.Paths.Keys() {
			rest, below := strings.CutPrefix(item, path+"/{")
			key, isParameter := strings.CutSuffix(rest, "}")
			read := d.Paths.Value(item).Get
			if !below || !isParameter || strings.Contains(key, "/") || read == nil || read.Responses.Status(200) == nil ||
				!namesItem(create, key) {
				continue
			}
			collections = append(collections, Collection{path, item, key, example(
				read.Responses.Status(200).Value.Content.Get(JSONMediaType), create.RequestBody.Value.Content.Get(JSONMediaType),
			)})
		}
	}
	return collections
}

// namesItem reports whether the request or the response of an operation that creates an item has its id. A body whose
// members the document leaves open may have it.
func namesItem(create *openapi3.Operation, key string) bool {
	mayDeclare := func(content *openapi3.MediaType) bool {
		return content == nil || content.Schema == nil || len(content.Schema.Value.Properties) == 0 || declares(content, key)
	}
	if mayDeclare(create.RequestBody.Value.Content.Get(JSONMediaType)) {
		return true
	}
	for status, response := range create.Responses.Map() {
		if strings.HasPrefix(status, "2") && (response.Value.Headers["Location"] != nil ||
			mayDeclare(response.Value.Content.Get(JSONMediaType))) {
			return true
		}
	}
	return false
}

// example returns the example of a response as a request may have it, or nil.
func example(response, request *openapi3.MediaType) map[string]any {
	if response == nil || request == nil {
		return nil
	}
	value := response.Example
	if names := slices.Sorted(maps.Keys(response.Examples)); len(names) > 0 {
		value = response.Examples[names[0]].Value.Value
	}
	item, _ := value.(map[string]any)
	item = maps.Clone(item)
	maps.DeleteFunc(item, func(name string, _ any) bool {
		return declares(response, name) && !declares(request, name)
	})
	return item
}

func declares(content *openapi3.MediaType, name string) bool {
	return content.Schema != nil && content.Schema.Value.Properties[name] != nil
}
