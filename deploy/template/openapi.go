package template

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

const (
	functionKey = "x-function"

	exposeHeaders = "Access-Control-Expose-Headers"
)

// indexPath is the path of the index: what the API is and where to go from here. The contract has GET and HEAD of it
// without x-function.
const indexPath = "/"

// openAPI is the contract of the API, checked against what API Gateway can import
// ("Amazon API Gateway important notes", REST APIs).
type openAPI struct {
	document object
	schemas  object  // all that the contract says of them
	routes   []route // which functions serve
	index    []route // GET and HEAD of the index, which the gateway answers itself; none without an index
	items    []pathItem
	exposed  string        // the response headers that pages of other origins may read
	said     documentation // by the contract alone
}

// pathItem is an address of the API.
type pathItem struct {
	path       string
	methods    []string // in upper case, OPTIONS among them: what Allow says
	parameters []any    // of the path itself
	content    object   // all that the contract says of the path itself: summary, description, parameters
}

// route is a method of an address, which a function serves.
type route struct {
	path        string
	method      string // in upper case
	operationID string
	function    string // the logical id; "" of the index
	content     object // all that the contract says of it, with the parameters of its path
	operation   object // what API Gateway imports of that, but for its integration
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
	if err := only(document, "",
		"openapi", "info", "externalDocs", "servers", "tags", "security", "paths", "components"); err != nil {
		return nil, err
	}
	if err := only(member(document, "components"), "components",
		"examples", "headers", "parameters", "requestBodies", "responses", "schemas", "securitySchemes"); err != nil {
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
	exposed := member(member(member(member(document, "components"), "headers"), exposeHeaders), "schema")["enum"]
	values, _ := exposed.([]any) // none is none
	if len(values) != 1 {
		return nil, fmt.Errorf("components.headers.%s.schema.enum: want one value, that of every response", exposeHeaders)
	}
	api := &openAPI{document: document}
	api.exposed, _ = scalarText(values[0])
	if api.version() == "" {
		return nil, errors.New("info.version: it is missing; the version of the documentation begins with it")
	}
	schemas, err := api.resolve("schemas", member(member(document, "components"), "schemas"))
	if err != nil {
		return nil, fmt.Errorf("components.schemas: %w", err)
	}
	api.schemas = schemas.(object) // a mapping stays one
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
		if path == indexPath {
			api.index = routes
			continue
		}
		api.routes = append(api.routes, routes...)
	}
	if len(api.routes) == 0 {
		return nil, errors.New("paths: there is no operation")
	}
	api.said = api.documented()
	return api, nil
}

// version is that of the API.
func (a *openAPI) version() string {
	version, _ := scalarText(member(a.document, "info")["version"]) // checked when read
	return version
}

func (a *openAPI) pathItem(path string, content object) (pathItem, []route, error) {
	if err := checkPath(path); err != nil {
		return pathItem{}, nil, err
	}
	allowed := methods()
	if path == indexPath {
		allowed = []string{"GET", "HEAD"}
		if member(content, "get") == nil {
			return pathItem{}, nil, errors.New(": get is missing")
		}
	}
	known := []string{"parameters", "summary", "description"}
	for _, method := range allowed {
		known = append(known, strings.ToLower(method))
	}
	if err := only(content, "", known...); err != nil {
		return pathItem{}, nil, fmt.Errorf(": %w (OPTIONS is rendered)", err)
	}
	item := pathItem{path: path, content: object{}}
	for _, key := range known[:3] {
		if value, ok := content[key]; ok {
			resolved, err := a.resolve("", value)
			if err != nil {
				return pathItem{}, nil, fmt.Errorf(".%s: %w", key, err)
			}
			item.content[key] = resolved
		}
	}
	item.parameters, _ = importable("", item.content["parameters"]).([]any) // none is none
	var routes []route
	for _, method := range allowed {
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
	if path == indexPath {
		return nil
	}
	if !strings.HasPrefix(path, "/") {
		return errors.New(": a path begins with /")
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
	r.function, ok = operation[functionKey].(string)
	switch {
	case item.path == indexPath && operation[functionKey] != nil:
		return route{}, fmt.Errorf(".%s: leave it out, the gateway itself answers with the index", functionKey)
	case item.path != indexPath && !ok:
		return route{}, fmt.Errorf(": %s is missing: name the function of %s that serves it", functionKey, templateFile)
	}
	if r.operationID, ok = operation["operationId"].(string); !ok || !alphanumeric.MatchString(r.operationID) {
		return route{}, errors.New(".operationId: it must be there and have letters and digits only")
	}
	if _, ok := operation["security"]; ok {
		return route{}, errors.New(".security: leave it out: which authorization an operation asks for is the stage's")
	}
	content := object{}
	for key, value := range operation {
		if key != functionKey {
			content[key] = value
		}
	}
	resolved, err := a.resolve("", content)
	if err != nil {
		return route{}, fmt.Errorf(": %w", err)
	}
	r.content = resolved.(object)                   // a mapping stays one
	shared, _ := item.content["parameters"].([]any) // none is none
	own, _ := r.content["parameters"].([]any)
	parameters := slices.Concat(shared, own)
	if err := checkParameters(item.path, parameters); err != nil {
		return route{}, fmt.Errorf(".parameters: %w", err)
	}
	if len(parameters) > 0 {
		r.content["parameters"] = parameters
	}
	r.operation = structure(r.content)
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

// structure returns what API Gateway imports of an operation. What else there is to say of it is documentation.
func structure(content object) object {
	o := importable("", pick(content, "operationId", "parameters", "requestBody", "responses")).(object) // a mapping stays one
	parameters, _ := o["parameters"].([]any)                                                             // none is none
	for i, p := range parameters {
		parameters[i] = pick(p.(object), "name", "in", "required", "schema") // checked before
	}
	if body := member(o, "requestBody"); body != nil {
		o["requestBody"] = pick(body, "required", "content")
	}
	responses := member(o, "responses")
	for status := range responses {
		headers := member(member(responses, status), "headers")
		for name := range headers {
			headers[name] = object{"schema": object{"type": "string"}}
		}
	}
	return o
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

// resolve returns a part of the document with references replaced by what they refer to, but for those to schemas, which become
// models. It refuses extensions.
func (a *openAPI) resolve(parent string, value any, references ...string) (any, error) {
	switch v := value.(type) {
	case object:
		if reference, ok := v["$ref"].(string); ok {
			return a.dereference(reference, v, parent, references)
		}
		result := object{}
		for _, key := range sortedKeys(v) {
			inner := key
			if namesAnything(parent) { // a name, which says nothing of what is below
				inner = ""
			} else if strings.HasPrefix(key, "x-") {
				return nil, fmt.Errorf("%s: extensions do not belong in the contract", key)
			}
			if isData(inner) {
				result[key] = v[key]
				continue
			}
			element, err := a.resolve(inner, v[key], references...)
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
			if result[i], err = a.resolve("", element, references...); err != nil {
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
	return a.resolve(parent, target, append(references, reference)...)
}

// importable returns a resolved part as API Gateway can import it: without what its models do not know.
func importable(parent string, value any) any {
	switch v := value.(type) {
	case object:
		result := object{}
		for key, element := range v {
			switch {
			case namesAnything(parent): // a name, which says nothing of what is below
				result[key] = importable("", element)
			case unknownToModels(key):
			case isData(key):
				result[key] = element
			default:
				result[key] = importable(key, element)
			}
		}
		return result
	case []any:
		result := make([]any, len(v))
		for i, element := range v {
			result[i] = importable("", element)
		}
		return result
	default:
		return value
	}
}

// namesAnything tells the keys below which there are names that people chose.
func namesAnything(key string) bool {
	switch key {
	case "properties", "schemas", "headers", "responses", "content", "examples":
		return true
	}
	return false
}

// isData tells the keys below which there is data, not description.
func isData(key string) bool {
	switch key {
	case "default", "enum", "example", "value":
		return true
	}
	return false
}

// unknownToModels tells the keys that API Gateway does not support ("Amazon API Gateway important notes", REST APIs).
func unknownToModels(key string) bool {
	switch key {
	case "example", "examples", "readOnly", "anyOf", "oneOf":
		return true
	}
	return false
}
