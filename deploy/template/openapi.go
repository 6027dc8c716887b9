package template

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/userrequestapi/userdata/deploy/cfn"
	"github.com/userrequestapi/userdata/deploy/contract"
)

const exposeHeaders = "Access-Control-Expose-Headers"

// indexPath is the path of the index. Its GET and HEAD have no x-function: API Gateway creates the response.
const indexPath = "/"

// openAPI is the contract of the API, as a JSON object from which the Body is rendered. API Gateway can import all of
// it ("Amazon API Gateway important notes", REST APIs).
type openAPI struct {
	document object // with references resolved, except for references to schemas, which become models
	schemas  object
	contract *contract.Document
	routes   []route    // with a function
	index    []route    // GET and HEAD of the index; nil without an index
	items    []pathItem // sorted by path
	exposed  string     // the value of Access-Control-Expose-Headers

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
	contract.Route
	content  object // the operation in the contract, with the parameters of its path
	imported object // the part that API Gateway imports, without the integration
}

var (
	alphanumeric = regexp.MustCompile(`^[A-Za-z0-9]+$`)
	segment      = regexp.MustCompile(`^(?:[A-Za-z0-9_.,:-]+|\{[A-Za-z0-9_.-]+\})$`)
	inBraces     = regexp.MustCompile(`\{([^}]*)\}`)
)

// newOpenAPI prepares the contract. It returns an error for what OpenAPI allows, but API Gateway or Render does not.
func newOpenAPI(source *contract.Document) (*openAPI, error) {
	if !source.IsOpenAPI30() {
		return nil, errors.New("openapi: want version 3.0, such as 3.0.3, which API Gateway imports")
	}
	a := &openAPI{contract: source}
	if encoded, err := source.MarshalJSON(); err != nil {
		return nil, fmt.Errorf("encode the document: %w", err)
	} else if err := json.Unmarshal(encoded, &a.document); err != nil {
		return nil, fmt.Errorf("decode the document: %w", err)
	}
	components := cfn.Mapping(a.document, "components")
	resolveReferences(components, a.document)
	if err := checkKeys(components, "components",
		"examples", "headers", "parameters", "requestBodies", "responses", "schemas", "securitySchemes"); err != nil {
		return nil, err
	}
	a.schemas = cfn.Mapping(components, "schemas")
	for name := range a.schemas {
		if !alphanumeric.MatchString(name) {
			return nil, fmt.Errorf("components.schemas.%s: want only letters and digits in the name of a model", name)
		}
	}
	if a.schemas[problemSchema] == nil {
		return nil, fmt.Errorf("components.schemas.%s: missing, and API Gateway's problem documents use it", problemSchema)
	}
	if source.ExternalDocs == nil {
		return nil, errors.New("externalDocs.url: missing, and the response for an unknown route has it")
	}
	exposed, _ := cfn.At(components, "headers", exposeHeaders, "schema", "enum").([]any) // nil if absent
	if len(exposed) != 1 {
		return nil, fmt.Errorf("components.headers.%s.schema.enum: want one value, that of every response", exposeHeaders)
	}
	a.exposed = fmt.Sprint(exposed[0])
	for _, path := range source.Paths.Keys() {
		if err := a.addPath(path); err != nil {
			return nil, fmt.Errorf("paths.%s%w", path, err)
		}
	}
	if len(a.routes) == 0 {
		return nil, errors.New("paths: no operation")
	}
	a.documentationParts = a.staticDocumentation()
	return a, nil
}

// checkKeys returns an error if o has another key than these. path is the path of o.
func checkKeys(o object, path string, keys ...string) error {
	for _, key := range slices.Sorted(maps.Keys(o)) {
		if !slices.Contains(keys, key) {
			return fmt.Errorf("%s is not supported; the supported keys are %s",
				strings.TrimPrefix(path+"."+key, "."), strings.Join(keys, ", "))
		}
	}
	return nil
}

// resolveReferences replaces the references in a part of the document, except for references to schemas. Package
// contract has checked that all are to components that exist.
func resolveReferences(components object, value any) any {
	switch v := value.(type) {
	case object:
		if reference, ok := v["$ref"].(string); ok && !strings.HasPrefix(reference, schemaPrefix) {
			kind, name, _ := strings.Cut(strings.TrimPrefix(reference, "#/components/"), "/")
			if target := cfn.At(components, kind, name); target != nil { // nil in an example with such a key
				return resolveReferences(components, target)
			}
		}
		for key, element := range v {
			v[key] = resolveReferences(components, element)
		}
	case []any:
		for i, element := range v {
			v[i] = resolveReferences(components, element)
		}
	}
	return value
}

// addPath adds a path with its routes. Errors begin with the rest of their path.
func (a *openAPI) addPath(path string) error {
	if err := checkPath(path); err != nil {
		return err
	}
	content := cfn.Mapping(a.document, "paths", path)
	known := []string{"parameters", "summary", "description", "get", "head"}
	switch {
	case path != indexPath:
		for _, method := range contract.Methods()[2:] {
			known = append(known, strings.ToLower(method))
		}
	case content["get"] == nil:
		return errors.New(": get is missing")
	}
	if err := checkKeys(content, "", known...); err != nil {
		return fmt.Errorf(": %w (OPTIONS is rendered)", err)
	}
	item := pathItem{path: path, content: pick(content, "parameters", "summary", "description")}
	item.parameters, _ = importable(content["parameters"], false).([]any) // nil if absent
	for _, r := range a.contract.Routes() {
		if r.Path != path {
			continue
		}
		method := strings.ToLower(r.Method)
		added, err := newRoute(r, elements(content["parameters"]), cfn.Mapping(content, method))
		if err != nil {
			return fmt.Errorf(".%s%w", method, err)
		}
		item.methods = append(item.methods, r.Method)
		if path == indexPath {
			a.index = append(a.index, added)
		} else {
			a.routes = append(a.routes, added)
		}
	}
	item.methods = append(item.methods, "OPTIONS")
	a.items = append(a.items, item)
	return nil
}

func checkPath(path string) error {
	if path == "/ping" || path == "/sping" {
		return errors.New(": API Gateway reserves this path for health checks")
	}
	if path == indexPath {
		return nil
	}
	for s := range strings.SplitSeq(path[1:], "/") {
		if !segment.MatchString(s) {
			return fmt.Errorf(": API Gateway does not allow the segment %q", s)
		}
	}
	return nil
}

func newRoute(source contract.Route, shared []any, operation object) (route, error) {
	switch {
	case source.Path == indexPath && operation[contract.FunctionKey] != nil:
		return route{}, fmt.Errorf(".%s: omit it, API Gateway creates the response of the index", contract.FunctionKey)
	case source.Path != indexPath && source.Function == "":
		return route{}, fmt.Errorf(": %s is missing: set it to a function of %s", contract.FunctionKey, templateFile)
	case !alphanumeric.MatchString(source.Operation.OperationID):
		return route{}, errors.New(".operationId: want letters and digits only")
	case source.Operation.Security != nil:
		return route{}, errors.New(".security: omit it: each stage configures its own authorization")
	}
	for i, p := range source.Parameters {
		if in := p.Value.In; in != "path" && in != "query" && in != "header" {
			return route{}, fmt.Errorf(".parameters: %d: want a parameter in path, query or header, got %q", i, in)
		}
	}
	for status := range source.Operation.Responses.Map() {
		if len(status) != 3 || status < "100" || status > "599" {
			return route{}, fmt.Errorf(".responses.%s: want a status code, which API Gateway requires", status)
		}
	}
	delete(operation, contract.FunctionKey)
	if parameters := slices.Concat(shared, elements(operation["parameters"])); len(parameters) > 0 {
		operation["parameters"] = parameters
	}
	return route{source, operation, importedPart(operation)}, nil
}

// importedPart returns the part of an operation that API Gateway imports. The rest becomes documentation.
func importedPart(content object) object {
	o := importable(pick(content, "operationId", "parameters", "requestBody", "responses"), false).(object)
	for i, p := range elements(o["parameters"]) {
		elements(o["parameters"])[i] = pick(p.(object), "name", "in", "required", "schema")
	}
	if body := cfn.Mapping(o, "requestBody"); body != nil {
		o["requestBody"] = pick(body, "required", "content")
	}
	responses := cfn.Mapping(o, "responses")
	for status := range responses {
		headers := cfn.Mapping(responses, status, "headers")
		for name := range headers {
			headers[name] = object{"schema": object{"type": "string"}}
		}
	}
	return o
}

const schemaPrefix = "#/components/schemas/"

// importable returns a part of the document without the keywords that API Gateway does not support ("Amazon API
// Gateway important notes", REST APIs). If named is set, the keys of value are names chosen by an author.
func importable(value any, named bool) any {
	switch v := value.(type) {
	case object:
		result := object{}
		for key, element := range v {
			if named {
				result[key] = importable(element, false)
				continue
			}
			switch key {
			case "example", "examples", "readOnly", "anyOf", "oneOf":
			case "default", "enum": // data
				result[key] = element
			default:
				names := slices.Contains([]string{"properties", "headers", "responses", "content"}, key)
				result[key] = importable(element, names)
			}
		}
		return result
	case []any:
		result := make([]any, len(v))
		for i, element := range v {
			result[i] = importable(element, false)
		}
		return result
	default:
		return value
	}
}

func elements(value any) []any {
	v, _ := value.([]any) // nil if absent
	return v
}
