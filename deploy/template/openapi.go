package template

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/userrequestapi/userdata/deploy/cfn"
)

const (
	functionKey = "x-function"

	exposeHeaders = "Access-Control-Expose-Headers"
)

// indexPath is the path of the index. Its GET and HEAD have no x-function: API Gateway creates the response.
const indexPath = "/"

// openAPI is the contract of the API. API Gateway can import all of it ("Amazon API Gateway important notes", REST
// APIs).
type openAPI struct {
	document object
	schemas  object  // of the contract, with references resolved
	routes   []route // with a function
	index    []route // GET and HEAD of the index; nil without an index
	items    []pathItem
	exposed  string // the value of Access-Control-Expose-Headers

	documentationParts documentation // that do not depend on parameters
}

// pathItem is a path of the API.
type pathItem struct {
	path       string
	methods    []string // in upper case, with OPTIONS: the value of Allow
	parameters []any    // of the path itself
	content    object   // summary, description and parameters of the path itself
}

// route is a method of a path.
type route struct {
	path        string
	method      string // in upper case
	operationID string
	function    string // the logical id; "" for the index
	content     object // the operation in the contract, with the parameters of its path
	operation   object // the part that API Gateway imports, without the integration
}

// methods returns the methods that a route can have, in the order of Allow. API Gateway does not support TRACE, and
// OPTIONS is rendered.
func methods() []string { return []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} }

var (
	alphanumeric = regexp.MustCompile(`^[A-Za-z0-9]+$`)
	segment      = regexp.MustCompile(`^(?:[A-Za-z0-9_.,:-]+|\{[A-Za-z0-9_.-]+\})$`)
	inBraces     = regexp.MustCompile(`\{([^}]*)\}`)
)

func parseOpenAPI(document object) (*openAPI, error) {
	if version, ok := document["openapi"].(string); !ok || !strings.HasPrefix(version, "3.0.") {
		return nil, errors.New("openapi: want version 3.0, such as 3.0.3, which API Gateway imports")
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
			return nil, fmt.Errorf("components.schemas.%s: want only letters and digits in the name of a model", name)
		}
	}
	if member(member(document, "components"), "schemas")[problemSchema] == nil {
		return nil, fmt.Errorf("components.schemas.%s: missing, and API Gateway's problem documents use it", problemSchema)
	}
	if url, ok := member(document, "externalDocs")["url"].(string); !ok || url == "" {
		return nil, errors.New("externalDocs.url: missing, and the response for an unknown route has it")
	}
	exposed := member(member(member(member(document, "components"), "headers"), exposeHeaders), "schema")["enum"]
	values, _ := exposed.([]any) // nil if absent
	if len(values) != 1 {
		return nil, fmt.Errorf("components.headers.%s.schema.enum: want one value, that of every response", exposeHeaders)
	}
	api := &openAPI{document: document}
	api.exposed = cfn.Text(values[0])
	if api.version() == "" {
		return nil, errors.New("info.version: missing, and the version of the documentation begins with it")
	}
	schemas, err := api.resolve("schemas", member(member(document, "components"), "schemas"))
	if err != nil {
		return nil, fmt.Errorf("components.schemas: %w", err)
	}
	api.schemas = schemas.(object) // clone keeps the type
	operations := map[string]string{}
	for _, path := range sortedKeys(member(document, "paths")) {
		item, routes, err := api.pathItem(path, member(member(document, "paths"), path))
		if err != nil {
			return nil, fmt.Errorf("paths.%s%w", path, err)
		}
		for _, r := range routes {
			if other, ok := operations[r.operationID]; ok {
				return nil, fmt.Errorf("paths.%s.%s.operationId: %s is already used by %s", path, r.method, r.operationID, other)
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
		return nil, errors.New("paths: no operation")
	}
	api.documentationParts = api.documented()
	return api, nil
}

// version returns the version of the API.
func (a *openAPI) version() string {
	return cfn.Text(a.document, "info", "version") // checked by parseOpenAPI
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
	item.parameters, _ = importable("", item.content["parameters"]).([]any) // nil if absent
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
		return errors.New(": API Gateway reserves this path for health checks")
	}
	if path == indexPath {
		return nil
	}
	if !strings.HasPrefix(path, "/") {
		return errors.New(": want a path that begins with /")
	}
	for s := range strings.SplitSeq(path[1:], "/") {
		if !segment.MatchString(s) {
			return fmt.Errorf(": API Gateway does not allow the segment %q", s)
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
		return route{}, fmt.Errorf(".%s: omit it, API Gateway creates the response of the index", functionKey)
	case item.path != indexPath && !ok:
		return route{}, fmt.Errorf(": %s is missing: set it to a function of %s", functionKey, templateFile)
	}
	if r.operationID, ok = operation["operationId"].(string); !ok || !alphanumeric.MatchString(r.operationID) {
		return route{}, errors.New(".operationId: want letters and digits only")
	}
	if _, ok := operation["security"]; ok {
		return route{}, errors.New(".security: omit it: each stage configures its own authorization")
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
	r.content = resolved.(object)                   // clone keeps the type
	shared, _ := item.content["parameters"].([]any) // nil if absent
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
		return route{}, errors.New(".responses: want at least one")
	}
	for status := range responses {
		if len(status) != 3 || status < "100" || status > "599" {
			return route{}, fmt.Errorf(".responses.%s: want a status code, which API Gateway requires", status)
		}
	}
	return r, nil
}

// structure returns the part of an operation that API Gateway imports. The rest becomes documentation.
func structure(content object) object {
	imported := pick(content, "operationId", "parameters", "requestBody", "responses")
	o := importable("", imported).(object)   // the type remains
	parameters, _ := o["parameters"].([]any) // nil if absent
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

// checkParameters returns an error unless names are unique and the path parameters are those in the path.
func checkParameters(path string, parameters []any) error {
	seen := map[string]bool{}
	for i, p := range parameters {
		p, _ := p.(object) // nil is rejected below
		in := cfn.Text(p, "in")
		name := cfn.Text(p, "name")
		switch {
		case in != "path" && in != "query" && in != "header":
			return fmt.Errorf("%d: want a parameter in path, query or header, got %q", i, in)
		case name == "" || seen[in+" "+name]:
			return fmt.Errorf("%d: its name is missing or duplicate", i)
		case in == "path" && (p["required"] != true || !strings.Contains(path, "{"+name+"}")):
			return fmt.Errorf("%d: %s must be required and in the path", i, name)
		}
		seen[in+" "+name] = true
	}
	for _, match := range inBraces.FindAllStringSubmatch(path, -1) {
		if !seen["path "+match[1]] {
			return fmt.Errorf("the path parameter {%s} is missing", match[1])
		}
	}
	return nil
}

func only(o object, path string, keys ...string) error {
	for _, key := range sortedKeys(o) {
		if !slices.Contains(keys, key) {
			return fmt.Errorf("%s is not supported; the supported keys are %s", join(path, key), strings.Join(keys, ", "))
		}
	}
	return nil
}

const schemaPrefix = "#/components/schemas/"

// resolve returns a part of the document with its references resolved, except references to schemas, which become
// models. It returns an error for extensions.
func (a *openAPI) resolve(parent string, value any, references ...string) (any, error) {
	switch v := value.(type) {
	case object:
		if reference, ok := v["$ref"].(string); ok {
			return a.dereference(reference, v, parent, references)
		}
		result := object{}
		for _, key := range sortedKeys(v) {
			inner := key
			if namesAnything(parent) { // an arbitrary name, not a keyword
				inner = ""
			} else if strings.HasPrefix(key, "x-") {
				return nil, fmt.Errorf("%s: extensions are not supported", key)
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
		return nil, fmt.Errorf("$ref %s: want no other key", reference)
	}
	path, ok := strings.CutPrefix(reference, "#/")
	if !ok || slices.Contains(references, reference) {
		return nil, fmt.Errorf("$ref %s: want a reference to another part of this document", reference)
	}
	var target any = a.document
	for key := range strings.SplitSeq(path, "/") {
		mapping, _ := target.(object) // a nil map has no keys
		if target, ok = mapping[key]; !ok {
			return nil, fmt.Errorf("$ref %s: %s not found", reference, key)
		}
	}
	if strings.HasPrefix(reference, schemaPrefix) {
		return object{"$ref": reference}, nil
	}
	return a.resolve(parent, target, append(references, reference)...)
}

// importable returns a resolved part without the keywords that API Gateway does not support.
func importable(parent string, value any) any {
	switch v := value.(type) {
	case object:
		result := object{}
		for key, element := range v {
			switch {
			case namesAnything(parent): // an arbitrary name, not a keyword
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

// namesAnything reports whether the keys of the mapping at key are arbitrary names.
func namesAnything(key string) bool {
	switch key {
	case "properties", "schemas", "headers", "responses", "content", "examples":
		return true
	}
	return false
}

// isData reports whether the value at key is data, not a schema.
func isData(key string) bool {
	switch key {
	case "default", "enum", "example", "value":
		return true
	}
	return false
}

// unknownToModels reports whether API Gateway does not support key ("Amazon API Gateway important notes", REST APIs).
func unknownToModels(key string) bool {
	switch key {
	case "example", "examples", "readOnly", "anyOf", "oneOf":
		return true
	}
	return false
}
