package template

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

const functionKey = "x-function"

// openAPI is the contract of the API, checked against what API Gateway can import
// ("Amazon API Gateway important notes", REST APIs).
type openAPI struct {
	document object
	routes   []route
	items    []pathItem
}

// pathItem is an address of the API.
type pathItem struct {
	path       string
	methods    []string // in upper case, OPTIONS among them: what Allow says
	parameters []any    // of the path itself
}

// route is a method of an address, which a function serves.
type route struct {
	path        string
	method      string // in upper case
	operationID string
	function    string // the logical id
	operation   object // as API Gateway imports it, but for its integration
}

// methods are those that a route can have, in the order in which Allow names them. API Gateway knows no TRACE, and OPTIONS
// is rendered.
func methods() []string { return []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} }

var (
	alphanumeric = regexp.MustCompile(`^[A-Za-z0-9]+$`)
	segment      = regexp.MustCompile(`^(?:[A-Za-z0-9_.,:-]+|\{[A-Za-z0-9_.-]+\})$`)
	inBraces     = regexp.MustCompile(`\{([^}]*)\}`)
)

func parseOpenAPI(document object) (*openAPI, error) {
	if version, ok := document["openapi"].(string); !ok || !strings.HasPrefix(version, "3.0.") {
		return nil, errors.New("openapi: API Gateway imports version 3.0, as 3.0.3")
	}
	if err := only(document, "", "openapi", "info", "externalDocs", "servers", "paths", "components"); err != nil {
		return nil, err
	}
	if err := only(member(document, "components"), "components",
		"examples", "headers", "parameters", "requestBodies", "responses", "schemas"); err != nil {
		return nil, err
	}
	for name := range member(member(document, "components"), "schemas") {
		if !alphanumeric.MatchString(name) {
			return nil, fmt.Errorf("components.schemas.%s: the name of a model has letters and digits only", name)
		}
	}
	if member(member(document, "components"), "schemas")[problemSchema] == nil {
		return nil, fmt.Errorf("components.schemas.%s: it is missing; errors that no function answers are such", problemSchema)
	}
	if url, ok := member(document, "externalDocs")["url"].(string); !ok || url == "" {
		return nil, errors.New("externalDocs.url: it is missing; the answer to an unknown route names it")
	}
	api := &openAPI{document: document}
	operations := map[string]string{}
	for _, path := range sortedKeys(member(document, "paths")) {
		item, routes, err := api.pathItem(path, member(member(document, "paths"), path))
		if err != nil {
			return nil, fmt.Errorf("paths.%s%w", path, err)
		}
		for _, r := range routes {
			if other, ok := operations[r.operationID]; ok {
				return nil, fmt.Errorf("paths.%s.%s.operationId: %s is that of %s", path, r.method, r.operationID, other)
			}
			operations[r.operationID] = r.method + " " + path
		}
		api.items = append(api.items, item)
		api.routes = append(api.routes, routes...)
	}
	if len(api.routes) == 0 {
		return nil, errors.New("paths: there is no operation")
	}
	return api, nil
}

func (a *openAPI) pathItem(path string, content object) (pathItem, []route, error) {
	if err := checkPath(path); err != nil {
		return pathItem{}, nil, err
	}
	known := []string{"parameters", "summary", "description"}
	for _, method := range methods() {
		known = append(known, strings.ToLower(method))
	}
	if err := only(content, "", known...); err != nil {
		return pathItem{}, nil, fmt.Errorf(": %w (OPTIONS is rendered)", err)
	}
	shared, err := a.importable("", content["parameters"])
	if err != nil {
		return pathItem{}, nil, fmt.Errorf(".parameters: %w", err)
	}
	item := pathItem{path: path}
	item.parameters, _ = shared.([]any) // none is none
	var routes []route
	for _, method := range methods() {
		operation, ok := content[strings.ToLower(method)].(object)
		if !ok {
			continue
		}
		r, err := a.route(item, method, operation)
		if err != nil {
			return pathItem{}, nil, fmt.Errorf(".%s%w", strings.ToLower(method), err)
		}
		routes = append(routes, r)
		item.methods = append(item.methods, method)
	}
	item.methods = append(item.methods, "OPTIONS")
	return item, routes, nil
}

func checkPath(path string) error {
	if path == "/ping" || path == "/sping" {
		return errors.New(": API Gateway keeps this path for its health checks")
	}
	if !strings.HasPrefix(path, "/") || path == "/" {
		return errors.New(": a path begins with / and has a segment")
	}
	for s := range strings.SplitSeq(path[1:], "/") {
		if !segment.MatchString(s) {
			return fmt.Errorf(": API Gateway allows no segment %q", s)
		}
	}
	return nil
}

func (a *openAPI) route(item pathItem, method string, operation object) (route, error) {
	r := route{path: item.path, method: method}
	var ok bool
	if r.function, ok = operation[functionKey].(string); !ok {
		return route{}, fmt.Errorf(": %s is missing: name the function of %s that serves it", functionKey, templateFile)
	}
	if r.operationID, ok = operation["operationId"].(string); !ok || !alphanumeric.MatchString(r.operationID) {
		return route{}, errors.New(".operationId: it must be there and have letters and digits only")
	}
	content := object{}
	for key, value := range operation {
		if key != functionKey {
			content[key] = value
		}
	}
	imported, err := a.importable("", content)
	if err != nil {
		return route{}, fmt.Errorf(": %w", err)
	}
	r.operation = imported.(object)             // a mapping stays one
	own, _ := r.operation["parameters"].([]any) // none is none
	parameters := slices.Concat(item.parameters, own)
	if err := checkParameters(item.path, parameters); err != nil {
		return route{}, fmt.Errorf(".parameters: %w", err)
	}
	if len(parameters) > 0 {
		r.operation["parameters"] = parameters
	}
	responses := member(r.operation, "responses")
	if len(responses) == 0 {
		return route{}, errors.New(".responses: there must be one")
	}
	for status := range responses {
		if len(status) != 3 || status < "100" || status > "599" {
			return route{}, fmt.Errorf(".responses.%s: API Gateway takes only numbers of statuses", status)
		}
	}
	return r, nil
}

// checkParameters sees that names are unique and that those of the path are the path's.
func checkParameters(path string, parameters []any) error {
	seen := map[string]bool{}
	for i, p := range parameters {
		p, _ := p.(object) // refused below
		in, _ := scalarText(p["in"])
		name, _ := scalarText(p["name"])
		switch {
		case in != "path" && in != "query" && in != "header":
			return fmt.Errorf("%d: API Gateway has parameters in path, query and header, not in %q", i, in)
		case name == "" || seen[in+" "+name]:
			return fmt.Errorf("%d: its name is missing, or there twice", i)
		case in == "path" && (p["required"] != true || !strings.Contains(path, "{"+name+"}")):
			return fmt.Errorf("%d: %s must be required and in the path", i, name)
		}
		seen[in+" "+name] = true
	}
	for _, match := range inBraces.FindAllStringSubmatch(path, -1) {
		if !seen["path "+match[1]] {
			return fmt.Errorf("{%s} of the path is not among them", match[1])
		}
	}
	return nil
}

func only(o object, path string, keys ...string) error {
	for _, key := range sortedKeys(o) {
		if !slices.Contains(keys, key) {
			return fmt.Errorf("%s is not supported; there may be %s", join(path, key), strings.Join(keys, ", "))
		}
	}
	return nil
}

const schemaPrefix = "#/components/schemas/"

// importable returns a part of the document as API Gateway can import it: without what its models do not know, and with
// references replaced by what they refer to, but for those to schemas, which become models. It refuses extensions.
func (a *openAPI) importable(parent string, value any, references ...string) (any, error) {
	switch v := value.(type) {
	case object:
		if reference, ok := v["$ref"].(string); ok {
			return a.dereference(reference, v, parent, references)
		}
		result := object{}
		for _, key := range sortedKeys(v) {
			if !namesAnything(parent) {
				if unknownToModels(key) {
					continue
				}
				if strings.HasPrefix(key, "x-") {
					return nil, fmt.Errorf("%s: extensions do not belong in the contract", key)
				}
			}
			inner := key
			if namesAnything(parent) { // a name, which says nothing of what is below
				inner = ""
			}
			if isData(inner) {
				result[key] = v[key]
				continue
			}
			element, err := a.importable(inner, v[key], references...)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
			result[key] = element
		}
		return result, nil
	case []any:
		result := make([]any, len(v))
		for i, element := range v {
			var err error
			if result[i], err = a.importable("", element, references...); err != nil {
				return nil, fmt.Errorf("%d: %w", i, err)
			}
		}
		return result, nil
	default:
		return value, nil
	}
}

func (a *openAPI) dereference(reference string, o object, parent string, references []string) (any, error) {
	if len(o) > 1 {
		return nil, fmt.Errorf("$ref %s: it must be the only key", reference)
	}
	path, ok := strings.CutPrefix(reference, "#/")
	if !ok || slices.Contains(references, reference) {
		return nil, fmt.Errorf("$ref %s: it must refer to another place in this document", reference)
	}
	var target any = a.document
	for key := range strings.SplitSeq(path, "/") {
		mapping, _ := target.(object) // none has no keys
		if target, ok = mapping[key]; !ok {
			return nil, fmt.Errorf("$ref %s: there is no %s", reference, key)
		}
	}
	if strings.HasPrefix(reference, schemaPrefix) {
		return object{"$ref": reference}, nil
	}
	return a.importable(parent, target, append(references, reference)...)
}

// namesAnything tells the keys below which there are names that people chose.
func namesAnything(key string) bool {
	switch key {
	case "properties", "schemas", "headers", "responses", "content":
		return true
	}
	return false
}

// isData tells the keys below which there is data, not description.
func isData(key string) bool { return key == "default" || key == "enum" }

// unknownToModels tells the keys that API Gateway does not support ("Amazon API Gateway important notes", REST APIs).
func unknownToModels(key string) bool {
	switch key {
	case "example", "examples", "readOnly", "anyOf", "oneOf":
		return true
	}
	return false
}
