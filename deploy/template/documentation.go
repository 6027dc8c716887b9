package template

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

const (
	documentationKey  = "x-amazon-apigateway-documentation"
	documentationType = "AWS::ApiGateway::DocumentationVersion"

	// versionProperty is the name of a version of the documentation, of the version itself and of the stage that shows it.
	versionProperty = "DocumentationVersion"
)

// location says what a part of the documentation is about (DocumentationPartLocation). An empty member stands for all. A part is
// also about what is below its path, and of several the one with the longest path holds.
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

// general is the location of what is of the same kind and name everywhere. Others say by themselves what there is to say of them.
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

// documentation is what the contract says of each part of the API besides what API Gateway imports, by the part's own location.
type documentation map[location]part

// part is what is said of a part of the API.
type part struct {
	content object
	text    string // the same in JSON, by which parts are compared
}

func (d documentation) add(l location, content object) {
	d[l] = part{content, string(mustEncodeJSON(content))}
}

// documented returns what the contract says by itself, however it is rendered.
func (a *openAPI) documented() documentation {
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
	imported := importable("schemas", a.schemas).(object) // a mapping stays one
	for name := range a.schemas {
		schema := member(a.schemas, name)
		content := pick(schema, "title", "description") // models have them too, but the console shows these
		maps.Copy(content, difference(schema, member(imported, name)))
		if len(content) > 0 {
			d.add(location{kind: "MODEL", name: name}, content)
		}
	}
	return d
}

// documentation returns the documentation of the API ("Representation of API documentation in API Gateway"). It has all that API
// Gateway cannot keep otherwise, so that nothing of the contract is lost: descriptions and tags, and besides what the console and
// exports show as such, the schemas of parameters and headers, examples, and what models do not know.
//
// paths are the rendered ones: OPTIONS is documented too.
func (a *openAPI) documentation(paths object, authorization securityScheme) object {
	d := maps.Clone(a.said)
	for path := range paths {
		responses := member(member(member(paths, path), "options"), "responses")
		for status := range responses {
			d.add(location{"RESPONSE", path, "OPTIONS", status, ""}, pick(member(responses, status), "description"))
		}
	}
	if authorization.definition[authorizerKey] != nil {
		schemes := member(member(a.document, "components"), "securitySchemes")
		if content := pick(member(schemes, authorization.name), "description"); len(content) > 0 {
			d.add(location{kind: "AUTHORIZER", name: authorization.name}, content)
		}
	}
	return object{"documentationParts": d.parts(ownStatuses(paths))}
}

// ownStatuses are those of the gateway's own answers to any method. They are of no operation, and what operations say of the same
// status is not true of them.
func ownStatuses(paths object) map[string]bool {
	statuses := map[string]bool{}
	for path := range paths {
		for status := range member(member(member(paths, path), anyMethodKey), "responses") {
			statuses[status] = true
		}
	}
	return statuses
}

func (d documentation) addOperation(r route) {
	add := func(kind, status, name string, content object) {
		d.add(location{kind, r.path, r.method, status, name}, content)
	}
	add("METHOD", "", "", pick(r.content, "tags", "summary", "description", "externalDocs", "deprecated"))
	parameters, _ := r.content["parameters"].([]any) // none is none
	for _, p := range parameters {
		p := p.(object) // checked when read
		kind := map[any]string{"path": "PATH_PARAMETER", "query": "QUERY_PARAMETER", "header": "REQUEST_HEADER"}[p["in"]]
		name, _ := scalarText(p["name"])
		add(kind, "", name, beyondText(p, "in", "name", "required"))
	}
	if body := member(r.content, "requestBody"); body != nil {
		content := beyondText(body, "content")
		maps.Copy(content, examples(body))
		add("REQUEST_BODY", "", "", content)
	}
	responses := member(r.content, "responses")
	for status := range responses {
		response := member(responses, status)
		add("RESPONSE", status, "", pick(response, "description"))
		if response["content"] != nil {
			add("RESPONSE_BODY", status, "", examples(response))
		}
		headers := member(response, "headers")
		for name := range headers {
			add("RESPONSE_HEADER", status, name, beyondText(member(headers, name)))
		}
	}
}

// examples is what is said of each type of content besides its model.
func examples(o object) object {
	content, found := member(o, "content"), object{}
	for mediaType := range content {
		said := member(content, mediaType)
		if said = difference(said, pick(said, "schema")); len(said) > 0 {
			found[mediaType] = said
		}
	}
	if len(found) == 0 {
		return found
	}
	return object{"content": found}
}

// beyondText is what is said of a parameter, but for some keys, and that it is a text: API Gateway knows no others.
func beyondText(o object, but ...string) object {
	return difference(o, pick(o, but...), object{"schema": object{"type": "string"}})
}

// parts returns the documentation with what is said the same of many said once, but for answers of the statuses own.
func (d documentation) parts(own map[string]bool) []any {
	said := documentation{}
	for general, counts := range d.count() {
		if own[general.status] {
			continue
		}
		// Of those said as often the first in the order of their texts, so that rendering gives the same each time.
		most := slices.MaxFunc(sortedKeys(counts), func(a, b string) int { return cmp.Compare(len(counts[a]), len(counts[b])) })
		if len(counts[most]) > 1 {
			said[general] = counts[most][0]
		}
	}
	for _, l := range slices.SortedFunc(maps.Keys(d), location.compare) { // shorter paths first
		if inherited, ok := said.inherit(l); !ok || inherited.text != d[l].text {
			said[l] = d[l]
		}
	}
	var parts []any
	for _, l := range slices.SortedFunc(maps.Keys(said), location.compare) {
		parts = append(parts, object{"location": l.document(), "properties": clone(said[l].content)})
	}
	return parts
}

// count returns, for each general location, the parts that are about it, by what they say.
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
		counts[general][p.text] = append(counts[general][p.text], p)
	}
	return counts
}

// inherit returns what is said of a location by the part of the longest path, else in general.
func (d documentation) inherit(l location) (part, bool) {
	general, ok := l.general()
	if !ok {
		return part{}, false
	}
	for above := l; ; above.path = above.path[:max(1, strings.LastIndex(above.path, "/"))] {
		if p, ok := d[above]; ok {
			return p, true
		}
		if above.path == indexPath {
			p, ok := d[general]
			return p, ok
		}
	}
}

// pick returns those of the keys that are there, with their values.
func pick(o object, keys ...string) object {
	picked := object{}
	for _, key := range keys {
		if value, ok := o[key]; ok {
			picked[key] = value
		}
	}
	return picked
}

// difference returns what an object has and none of the others has, at whatever depth.
func difference(o object, others ...object) object {
	left := object{}
	for key, value := range o {
		var below []object
		known := false
		for _, other := range others {
			same, ok := other[key]
			// Numbers of different types are taken to differ: then a part says what the import keeps too, and nothing is lost.
			known = known || ok && reflect.DeepEqual(value, same)
			if mapping, isMapping := same.(object); isMapping {
				below = append(below, mapping)
			}
		}
		if known {
			continue
		}
		if mapping, ok := value.(object); ok && len(below) > 0 {
			value = difference(mapping, below...)
		}
		left[key] = value
	}
	return left
}

// nameDocumentation names the version of the documentation and its resource by what it says, so that each change of it reaches
// the stage.
func (e *evaluator) nameDocumentation(api, version string, content object) error {
	id, err := e.only(documentationType)
	if err != nil {
		return err
	}
	stage, err := e.only("AWS::ApiGateway::Stage")
	if err != nil {
		return err
	}
	digest, err := e.digest("Resources."+api+".Properties.Body."+documentationKey, content)
	if err != nil {
		return err
	}
	if _, ok := e.written(stage)[versionProperty]; ok {
		return fmt.Errorf("%s: Resources.%s.Properties.%s: leave it out, it is rendered from %s",
			templateFile, stage, versionProperty, openAPIFile)
	}
	for _, resource := range []string{id, stage} {
		e.written(resource)[versionProperty] = version + "-" + digest
	}
	e.rename(id, id+digest)
	return nil
}
