package template

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/userrequestapi/userdata/deploy/cfn"
	"github.com/userrequestapi/userdata/deploy/contract"
)

const (
	documentationType = "AWS::ApiGateway::DocumentationVersion"

	// versionProperty is the property of both the documentation version and the stage.
	versionProperty = "DocumentationVersion"
)

// location is the location of a documentation part (DocumentationPartLocation). An empty field matches all values. A
// part also applies to the paths below its own; the part with the longest path takes precedence.
type location struct{ kind, path, method, status, name string }

func (l location) document() object {
	o := object{"type": l.kind}
	for key, value := range map[string]string{"path": l.path, "method": l.method, "statusCode": l.status, "name": l.name} {
		if value != "" {
			o[key] = value
		}
	}
	return o
}

// general returns the location without path and method. ok is false for kinds that never share their content.
func (l location) general() (_ location, ok bool) {
	switch l.kind {
	case "PATH_PARAMETER", "QUERY_PARAMETER", "REQUEST_HEADER", "RESPONSE", "RESPONSE_BODY":
		return location{kind: l.kind, status: l.status, name: l.name}, true
	case "RESPONSE_HEADER":
		return location{kind: l.kind, name: l.name}, true
	default:
		return location{}, false
	}
}

func (l location) compare(other location) int {
	return cmp.Or(cmp.Compare(l.kind, other.kind), cmp.Compare(l.path, other.path), cmp.Compare(l.method, other.method),
		cmp.Compare(l.status, other.status), cmp.Compare(l.name, other.name))
}

// documentation has the content of the contract that API Gateway does not import otherwise, by location.
type documentation map[location]part

// part is the content of a documentation part.
type part struct {
	content object
	json    string // content, to compare parts
}

func (d documentation) add(l location, content object) {
	d[l] = part{content, string(mustEncodeJSON(content))}
}

// staticDocumentation returns the documentation that does not depend on parameters.
func (a *openAPI) staticDocumentation() documentation {
	d := documentation{}
	d.add(location{kind: "API"}, pick(a.document, "info", "tags", "externalDocs"))
	for _, item := range a.items {
		if content := pick(item.content, "summary", "description"); len(content) > 0 {
			d.add(location{kind: "RESOURCE", path: item.path}, content)
		}
	}
	for _, r := range slices.Concat(a.routes, a.index) {
		d.addOperation(r)
	}
	imported := importable(a.schemas, true).(object) // clone keeps the type
	for name := range a.schemas {
		schema := cfn.Mapping(a.schemas, name)
		content := pick(schema, "title", "description") // models have them, too, but the console shows the part
		maps.Copy(content, difference(schema, cfn.Mapping(imported, name)))
		if len(content) > 0 {
			d.add(location{kind: "MODEL", name: name}, content)
		}
	}
	return d
}

// documentation returns the documentation of the API ("Representation of API documentation in API Gateway"). It has all
// content of the contract that an import into API Gateway drops: descriptions, tags, schemas of parameters and headers,
// examples, and schema keywords that models do not support. paths are the rendered paths, with OPTIONS.
func (a *openAPI) documentation(paths object, authorization securityScheme) object {
	d := maps.Clone(a.documentationParts)
	for path := range paths {
		responses := cfn.Mapping(paths, path, "options", "responses")
		for status := range responses {
			d.add(location{"RESPONSE", path, "OPTIONS", status, ""}, pick(cfn.Mapping(responses, status), "description"))
		}
	}
	if authorization.definition[AuthorizerKey] != nil {
		schemes := cfn.Mapping(a.document, "components", "securitySchemes")
		if content := pick(cfn.Mapping(schemes, authorization.name), "description"); len(content) > 0 {
			d.add(location{kind: "AUTHORIZER", name: authorization.name}, content)
		}
	}
	return object{"documentationParts": d.parts(gatewayStatuses(paths))}
}

// gatewayStatuses returns the status codes of API Gateway's responses to unsupported methods and unknown routes. What
// operations document for the same status codes does not apply to them.
func gatewayStatuses(paths object) map[string]bool {
	statuses := map[string]bool{}
	for path := range paths {
		for status := range cfn.Mapping(paths, path, AnyMethodKey, "responses") {
			statuses[status] = true
		}
	}
	return statuses
}

func (d documentation) addOperation(r route) {
	add := func(kind, status, name string, content object) {
		d.add(location{kind, r.Path, r.Method, status, name}, content)
	}
	add("METHOD", "", "", pick(r.content, "tags", "summary", "description", "externalDocs", "deprecated"))
	for i, p := range elements(r.content["parameters"]) {
		kinds := map[string]string{"path": "PATH_PARAMETER", "query": "QUERY_PARAMETER", "header": "REQUEST_HEADER"}
		parameter := r.Parameters[i].Value
		add(kinds[parameter.In], "", parameter.Name, withoutImported(p.(object), "in", "name", "required"))
	}
	if body := cfn.Mapping(r.content, "requestBody"); body != nil {
		content := withoutImported(body, "content")
		maps.Copy(content, examples(body))
		add("REQUEST_BODY", "", "", content)
	}
	responses := cfn.Mapping(r.content, "responses")
	for status := range responses {
		response := cfn.Mapping(responses, status)
		add("RESPONSE", status, "", pick(response, "description"))
		if response["content"] != nil {
			add("RESPONSE_BODY", status, "", examples(response))
		}
		headers := cfn.Mapping(response, "headers")
		for name := range headers {
			add("RESPONSE_HEADER", status, name, withoutImported(cfn.Mapping(headers, name)))
		}
	}
}

// examples returns the content of each media type without its schema.
func examples(o object) object {
	content, found := cfn.Mapping(o, "content"), object{}
	for mediaType := range content {
		o := cfn.Mapping(content, mediaType)
		if rest := difference(o, pick(o, "schema")); len(rest) > 0 {
			found[mediaType] = rest
		}
	}
	if len(found) == 0 {
		return found
	}
	return object{"content": found}
}

// withoutImported returns a parameter or header without the given keys, and without the type string, which API Gateway
// imports.
func withoutImported(o object, keys ...string) object {
	return difference(o, pick(o, keys...), object{"schema": object{"type": "string"}})
}

// parts returns the documentation parts. Content that several locations share becomes one general part, except for
// responses with a status code in excluded.
func (d documentation) parts(excluded map[string]bool) []any {
	merged := documentation{}
	for general, counts := range d.count() {
		if excluded[general.status] {
			continue
		}
		// Sorting makes the choice among equally frequent contents deterministic.
		most := slices.MaxFunc(slices.Sorted(maps.Keys(counts)), func(a, b string) int {
			return cmp.Compare(len(counts[a]), len(counts[b]))
		})
		if len(counts[most]) > 1 {
			merged[general] = counts[most][0]
		}
	}
	for _, l := range slices.SortedFunc(maps.Keys(d), location.compare) { // shorter paths first
		if inherited, ok := merged.inherit(l); !ok || inherited.json != d[l].json {
			merged[l] = d[l]
		}
	}
	var parts []any
	for _, l := range slices.SortedFunc(maps.Keys(merged), location.compare) {
		parts = append(parts, object{"location": l.document(), "properties": cfn.Clone(merged[l].content)})
	}
	return parts
}

// count groups the parts by general location and content.
func (d documentation) count() map[location]map[string][]part {
	counts := map[location]map[string][]part{}
	for l, p := range d {
		general, ok := l.general()
		if !ok {
			continue
		}
		if counts[general] == nil {
			counts[general] = map[string][]part{}
		}
		counts[general][p.json] = append(counts[general][p.json], p)
	}
	return counts
}

// inherit returns the part that applies to a location: the one with the longest path, or else the general one.
func (d documentation) inherit(l location) (part, bool) {
	general, ok := l.general()
	if !ok {
		return part{}, false
	}
	for ancestor := l; ; ancestor.path = ancestor.path[:max(1, strings.LastIndex(ancestor.path, "/"))] {
		if p, ok := d[ancestor]; ok {
			return p, true
		}
		if ancestor.path == indexPath {
			p, ok := d[general]
			return p, ok
		}
	}
}

// pick returns the entries of o with the given keys.
func pick(o object, keys ...string) object {
	picked := object{}
	for _, key := range keys {
		if value, ok := o[key]; ok {
			picked[key] = value
		}
	}
	return picked
}

// difference returns the entries of o that none of the others has, recursively.
func difference(o object, others ...object) object {
	left := object{}
	for key, value := range o {
		var nested []object
		known := false
		for _, other := range others {
			same, ok := other[key]
			known = known || ok && reflect.DeepEqual(value, same)
			if mapping, isMapping := same.(object); isMapping {
				nested = append(nested, mapping)
			}
		}
		if known {
			continue
		}
		if mapping, ok := value.(object); ok && len(nested) > 0 {
			value = difference(mapping, nested...)
		}
		left[key] = value
	}
	return left
}

// nameDocumentation appends a digest of the content to the version of the documentation and to the id of its
// resource, so that each change reaches the stage.
func nameDocumentation(e *cfn.Evaluator, api, version string, content object) error {
	id, stage := onlyOne(e, documentationType), onlyOne(e, stageType)
	digest := digest(e, "Resources."+api+".Properties.Body."+DocumentationKey, content)
	if err := e.Err(); err != nil {
		return err
	}
	if cfn.At(e.Resource(stage), "Properties", versionProperty) != nil {
		return fmt.Errorf("%s: Resources.%s.Properties.%s: omit it, it is rendered from %s",
			templateFile, stage, versionProperty, contract.File)
	}
	for _, resource := range []string{id, stage} {
		section(e.Resource(resource), "Properties")[versionProperty] = version + "-" + digest
	}
	rename(e, id, id+digest)
	return nil
}
