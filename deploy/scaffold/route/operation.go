package route

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"go.yaml.in/yaml/v3"

	"github.com/userrequestapi/userdata/deploy/contract"
)

const (
	schemaPrefix     = "#/components/schemas/"
	responsePrefix   = "#/components/responses/"
	problemSchema    = "Problem"
	instanceKey      = "instance"
	invalidParameter = "InvalidParameter" // the code of a problem
	invalidBody      = "InvalidBody"      // the code of a problem
)

// problem is an example of a problem document.
type problem struct {
	name   string
	anchor string // of the same example in the document, or ""
	value  map[string]any
}

func (p problem) text(member string) string {
	s, _ := p.value[member].(string)
	return s
}

// at returns the problem for a request with this path, and this detail if it is not "".
func (p problem) at(instance, detail string) problem {
	value := maps.Clone(p.value)
	delete(value, "errors")
	value[instanceKey] = instance
	value["detail"] = cmp.Or(detail, p.text("detail"))
	return problem{p.name, "", value}
}

// problems returns the examples of the problem documents of a response, sorted by name.
func problems(operation *openapi3.Operation, status int) []problem {
	if operation == nil || operation.Responses.Status(status) == nil {
		return nil
	}
	var found []problem
	content := operation.Responses.Status(status).Value.Content[contract.ProblemMediaType]
	if content == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(content.Examples)) {
		if value, ok := content.Examples[name].Value.Value.(map[string]any); ok {
			found = append(found, problem{name, "", value})
		}
	}
	return found
}

// withCode returns the first example in the document of a problem with this code.
func (p *project) withCode(code string) (problem, error) {
	for _, o := range p.document.Routes() {
		for status := range http.StatusInternalServerError {
			for _, e := range problems(o.Operation, status) {
				if e.text("code") == code {
					return e, nil
				}
			}
		}
	}
	return problem{}, fmt.Errorf("%s: want an example of a problem with the code %s for the new route, got none",
		contractFile, code)
}

// shared returns a reference to the response with this status of another operation, which has no example with a path.
// Responses to HEAD have no body.
func (p *project) shared(status int, head bool) (string, error) {
	for _, o := range p.functionRoutes() {
		response := o.Operation.Responses.Status(status)
		if response == nil || response.Ref == "" || head != (o.Method == http.MethodHead) {
			continue
		}
		if !slices.ContainsFunc(problems(o.Operation, status), func(e problem) bool { return e.text(instanceKey) != "" }) {
			return response.Ref, nil
		}
	}
	return "", fmt.Errorf("%s: want a response %d without an instance in components.responses for the new route, got none",
		contractFile, status)
}

// functionRoutes returns the operations of the document, those with a function first.
func (p *project) functionRoutes() []contract.Route {
	routes := p.document.Routes()
	slices.SortStableFunc(routes, func(a, b contract.Route) int {
		return strings.Compare(strconv.FormatBool(a.Function == ""), strconv.FormatBool(b.Function == ""))
	})
	return routes
}

// headersOf returns the headers of a shared response: its anchor, or the headers themselves.
func (p *project) headersOf(ref string) (any, error) {
	name := strings.TrimPrefix(ref, responsePrefix)
	_, headers := find(p.contract.root, "components", "responses", name, "headers")
	switch {
	case headers == nil:
		return nil, fmt.Errorf("%s: components.responses.%s: want headers, got none", contractFile, name)
	case headers.Kind == yaml.AliasNode:
		return alias(headers.Value), nil
	case headers.Anchor != "":
		return alias(headers.Anchor), nil
	default:
		return headers, nil
	}
}

// ownResponse is a response of the function.
type ownResponse struct {
	status      int
	name        string // of the component
	description string
	problems    []problem
	ownHeaders  bool // those of another response with this status, not the headers of every response
}

// ownResponses returns the responses of the function other than those of success and of API Gateway.
func (p *project) ownResponses(r *route) ([]ownResponse, error) {
	invalid, err := p.invalidRequests(r)
	if err != nil {
		return nil, err
	}
	responses := []ownResponse{{
		status: http.StatusBadRequest, name: "BadRequest", description: "The request is invalid", problems: invalid,
	}}
	own := "/" + r.stage + r.Target()
	copied := func(operation *openapi3.Operation, status int, instance string) (found []problem) {
		for _, e := range problems(operation, status) {
			if e.text(instanceKey) != "" {
				e = e.at(instance, "")
			} else {
				e.anchor = p.anchor(operation.Responses.Status(status).Ref, e.name)
			}
			found = append(found, e)
		}
		return found
	}
	var read *openapi3.Operation // of an item
	if r.collection != nil {
		read = p.document.Paths.Value(r.collection.Item).Get
		responses = append(responses,
			ownResponse{status: http.StatusNotFound, name: "NotFound", description: "There is no such item",
				problems: copied(read, http.StatusNotFound, "/"+r.stage+r.target(r.Key(), r.unknown))},
			ownResponse{status: http.StatusServiceUnavailable, name: "ServiceUnavailable", ownHeaders: true,
				description: "The database throttled the request", problems: copied(read, http.StatusServiceUnavailable, own)},
		)
	}
	if r.HasBody() {
		for _, o := range p.functionRoutes() {
			found := copied(o.Operation, http.StatusUnsupportedMediaType, own)
			if o.Operation.RequestBody != nil && len(found) > 0 {
				responses = append(responses, ownResponse{
					status: http.StatusUnsupportedMediaType, name: "UnsupportedMediaType", ownHeaders: true,
					description: "The body is not JSON in UTF-8, or is encoded", problems: found,
				})
				break
			}
		}
	}
	failures := copied(read, http.StatusInternalServerError, own)
	for _, o := range p.functionRoutes() { // without a database, only API Gateway's own
		if len(failures) > 0 {
			break
		}
		failures = slices.DeleteFunc(copied(o.Operation, http.StatusInternalServerError, own), func(e problem) bool {
			return e.text(instanceKey) != ""
		})
	}
	responses = append(responses, ownResponse{status: http.StatusInternalServerError, name: "InternalServerError",
		description: "The service failed", problems: failures})
	responses = slices.DeleteFunc(responses, func(own ownResponse) bool { return len(own.problems) == 0 })
	slices.SortFunc(responses, func(a, b ownResponse) int { return a.status - b.status })
	return responses, nil
}

// invalidRequests returns the problems of invalid requests to the route.
func (p *project) invalidRequests(r *route) ([]problem, error) {
	var found []problem
	own := "/" + r.stage + r.Target()
	if r.malformed != "" {
		for _, e := range problems(p.document.Paths.Value(r.collection.Item).Get, http.StatusBadRequest) {
			if strings.HasSuffix(e.text(instanceKey), "/"+r.malformed) {
				found = append(found, e.at("/"+r.stage+r.target(r.Key(), r.malformed), ""))
			}
		}
	}
	e, err := p.withCode(invalidParameter)
	if err != nil {
		return nil, err
	}
	if others := r.Others(); len(others) > 0 {
		instance := "/" + r.stage + r.target(others[0], malformedParameter)
		detail := others[0] + ` has 1 to 128 of the characters A-Z a-z 0-9 . _ ~ - (and is not "." or "..").`
		found = append(found, e.at(instance, detail))
	} else {
		found = append(found, e.at(own, "The query parameter is named limit, and names are case-sensitive."))
	}
	if r.HasBody() {
		e, err := p.withCode(invalidBody)
		if err != nil {
			return nil, err
		}
		found = append(found, e.at(own, r.InvalidValue()))
	}
	for i := range found { // named after their codes
		found[i].name = found[i].text("code")
	}
	return found, nil
}

// anchor returns the anchor of an example of a response, or "".
func (p *project) anchor(ref, example string) string {
	name := strings.TrimPrefix(ref, responsePrefix)
	_, node := find(p.contract.root,
		"components", "responses", name, "content", contract.ProblemMediaType, "examples", example)
	switch {
	case node == nil:
		return ""
	case node.Kind == yaml.AliasNode:
		return node.Value
	default:
		return node.Anchor
	}
}

// content returns the content of a response with problem documents.
func content(problems []problem) object {
	var examples object
	for _, e := range problems {
		if e.anchor != "" {
			examples = append(examples, entry{e.name, alias(e.anchor)})
			continue
		}
		var value object
		for _, member := range []string{"type", "title", "status", "detail", instanceKey, "code", "requestId"} {
			if v, ok := e.value[member]; ok {
				value = append(value, entry{member, v})
			}
		}
		examples = append(examples, entry{e.name, object{{"value", value}}})
	}
	return object{{contract.ProblemMediaType, object{
		{"schema", reference(schemaPrefix + problemSchema)}, {"examples", examples},
	}}}
}

// addRoute adds the route to the API document: its operation, and HEAD beside GET, its responses and schemas.
func (p *project) addRoute(r *route) error {
	own, err := p.ownResponses(r)
	if err != nil {
		return err
	}
	operations, err := p.operations(r, own)
	if err != nil {
		return err
	}
	if err := p.addResponses(r, own); err != nil {
		return err
	}
	if err := p.addSchemas(r); err != nil {
		return err
	}
	paths, err := p.contract.mapping("paths")
	if err != nil {
		return err
	}
	if r.exists {
		item, err := p.contract.mapping("paths", r.Path)
		if err != nil {
			return err
		}
		p.contract.after(last(item), encode(operations))
		return nil
	}
	place := last(paths)
	for i := 0; i < len(paths.Content); i += 2 { // beside the paths with the same beginning
		if segments(paths.Content[i].Value)[0] == segments(r.Path)[0] {
			place = paths.Content[i]
		}
	}
	var item object
	if len(r.parameters) > 0 {
		item = object{{"parameters", r.pathParameters(r.names())}}
	}
	p.contract.after(place, "\n"+encode(object{{r.Path, append(item, operations...)}}))
	return nil
}

// operations returns the operations by method.
func (p *project) operations(r *route, own []ownResponse) (object, error) {
	tag, err := p.tag(r)
	if err != nil {
		return nil, err
	}
	var operations object
	for _, method := range r.methods() {
		responses, err := p.responses(r, own, method == http.MethodHead)
		if err != nil {
			return nil, err
		}
		what := fmt.Sprintf("Serve %s %s", method, r.Path)
		operation := object{
			{"operationId", r.operationID(method)},
			{contract.FunctionKey, r.ID + "Function"},
			{"tags", inline{[]any{tag}}},
			{"summary", what},
			{"description", map[bool]string{
				false: "Returns what follows from the request.", true: "Same as GET, without the body.",
			}[method == http.MethodHead]},
		}
		if missing := p.missingParameters(r); len(missing) > 0 {
			operation = append(operation, entry{"parameters", r.pathParameters(missing)})
		}
		if r.HasBody() {
			operation = append(operation, entry{"requestBody", object{
				{"required", true},
				{"description", "A number."},
				{"content", object{{contract.JSONMediaType, object{
					{"schema", reference(schemaPrefix + r.ID + "Input")},
					{"examples", object{{r.ID, object{{"value", object{{r.Member(), exampleValue}}}}}}},
				}}}},
			}})
		}
		operations = append(operations, entry{strings.ToLower(method), append(operation, entry{"responses", responses})})
	}
	return operations, nil
}

// responses returns the responses of an operation: those of the function, and those of API Gateway, which other
// operations have, too.
func (p *project) responses(r *route, own []ownResponse, head bool) (object, error) {
	found := map[int]string{}
	for _, status := range []int{
		http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestEntityTooLarge, http.StatusTooManyRequests,
		http.StatusRequestHeaderFieldsTooLarge, http.StatusBadGateway, http.StatusGatewayTimeout,
	} {
		ref, err := p.shared(status, head)
		if err != nil {
			return nil, err
		}
		found[status] = ref
	}
	found[r.Status()] = responsePrefix + r.ID
	if head {
		found[r.Status()] += "Head"
	}
	for _, response := range own {
		found[response.status] = responsePrefix + response.name + r.ID
		if head {
			var err error
			if found[response.status], err = p.shared(response.status, head); err != nil {
				return nil, err
			}
		}
	}
	var responses object
	for _, status := range slices.Sorted(maps.Keys(found)) {
		responses = append(responses, entry{strconv.Itoa(status), reference(found[status])})
	}
	return responses, nil
}

// missingParameters returns the path's parameters that an existing path does not declare for all its operations.
func (p *project) missingParameters(r *route) []string {
	if !r.exists {
		return nil
	}
	declared := p.document.Paths.Value(r.Path).Parameters
	return slices.DeleteFunc(r.names(), func(name string) bool {
		return declared.GetByInAndName(openapi3.ParameterInPath, name) != nil
	})
}

// pathParameters returns the declarations of path parameters.
func (r *route) pathParameters(names []string) []any {
	var declared []any
	for _, p := range r.parameters {
		if !slices.Contains(names, p.name) {
			continue
		}
		description := "Identifies the resource."
		if p.known != nil {
			description = p.known.Description
		}
		declared = append(declared, object{
			{"name", p.name}, {"in", "path"}, {"required", true}, {"description", description},
			{"schema", p.schema()}, {"example", quoted(p.example)},
		})
	}
	return declared
}

// schema returns the schema of a parameter: that of other paths, or else the rule of request.PathParameter.
func (p parameter) schema() any {
	if p.known == nil {
		return object{
			{"type", "string"}, {"minLength", 1}, {"maxLength", 128},
			{"pattern", `^(\.?[A-Za-z0-9_~-]|\.\.[A-Za-z0-9._~-])[A-Za-z0-9._~-]*$`},
		}
	}
	if p.known.Schema.Ref != "" {
		return reference(p.known.Schema.Ref)
	}
	encoded, err := json.Marshal(p.known.Schema.Value)
	if err != nil { // impossible: it was decoded from JSON
		panic(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(encoded, &schema); err != nil {
		panic(err)
	}
	return schema
}

// addResponses adds the responses of the function to the components.
func (p *project) addResponses(r *route, own []ownResponse) error {
	ref, err := p.shared(http.StatusUnauthorized, false)
	if err != nil {
		return err
	}
	common, err := p.headersOf(ref) // those of every response
	if err != nil {
		return err
	}
	success := object{{"description", "The request succeeded."}, {"headers", common}}
	if !r.IsEmpty() {
		var example object
		for _, m := range r.result() {
			example = append(example, entry{m.Name, m.example})
		}
		success = append(success, entry{"content", object{{contract.JSONMediaType, object{
			{"schema", reference(schemaPrefix + r.ID)},
			{"examples", object{{r.ID, object{{"value", example}}}}},
		}}}})
	}
	responses := object{{r.ID, success}}
	if r.Method == http.MethodGet {
		responses = append(responses, entry{r.ID + "Head", object{
			{"description", "GET succeeds."}, {"headers", common},
		}})
	}
	for _, response := range own {
		headers := common
		if response.ownHeaders {
			if headers, err = p.headersLike(response.status); err != nil {
				return err
			}
		}
		var codes []string
		for _, e := range response.problems {
			codes = append(codes, "`"+e.text("code")+"`")
		}
		responses = append(responses, entry{response.name + r.ID, object{
			{"description", response.description + " (" + strings.Join(codes, ", ") + ")."},
			{"headers", headers},
			{"content", content(response.problems)},
		}})
	}
	return p.addComponents(r, "responses", responses)
}

// headersLike returns the headers of the response with this status of another operation.
func (p *project) headersLike(status int) (any, error) {
	for _, o := range p.functionRoutes() {
		response := o.Operation.Responses.Status(status)
		if response != nil && response.Ref != "" && len(problems(o.Operation, status)) > 0 {
			return p.headersOf(response.Ref)
		}
	}
	return nil, fmt.Errorf("%s: want a response %d in components.responses, whose headers the new route has, got none",
		contractFile, status)
}

// addSchemas adds the schemas of the bodies to the components.
func (p *project) addSchemas(r *route) error {
	number := object{
		{"type", "integer"}, {"format", "int32"}, {"description", "A number."}, {"minimum", minimum}, {"maximum", maximum},
	}
	var schemas object
	add := func(name, description string, required []any, properties object) {
		schemas = append(schemas, entry{name, object{
			{"type", "object"}, {"description", description}, {"required", inline{required}},
			{"additionalProperties", false}, {"properties", properties},
		}})
	}
	if !r.IsEmpty() {
		var required []any
		var properties object
		for _, m := range r.result() {
			required = append(required, m.Name)
			var schema any
			switch i := slices.Index(r.names(), m.Name); {
			case i >= 0:
				schema = r.parameters[i].property()
			case r.HasBody():
				schema = number
			default:
				schema = object{
					{"type", "string"}, {"format", "uri-reference"}, {"description", "The path of the request."},
					{"maxLength", 8192}, {"pattern", "^/[!-~]*$"},
				}
			}
			properties = append(properties, entry{m.Name, schema})
		}
		add(r.ID, fmt.Sprintf("The response to %s %s.", r.Method, r.Path), required, properties)
	}
	if r.HasBody() {
		description := fmt.Sprintf("The body of %s %s.", r.Method, r.Path)
		add(r.ID+"Input", description, []any{r.Member()}, object{{r.Member(), number}})
	}
	if len(schemas) == 0 {
		return nil
	}
	return p.addComponents(r, "schemas", schemas)
}

// property returns the schema of a parameter as a member of a response, which needs a description.
func (p parameter) property() any {
	schema := p.schema()
	if o, ok := schema.(object); ok {
		return append(object{o[0], {"description", "As in the path."}}, o[1:]...)
	}
	return schema
}

// addComponents adds components of one kind.
func (p *project) addComponents(r *route, kind string, components object) error {
	known, err := p.contract.mapping("components", kind)
	if err != nil {
		return err
	}
	for _, c := range components {
		if _, taken := find(known, c.key); taken != nil {
			return fmt.Errorf("name %s: %s has components.%s.%s already: choose another name",
				r.Name, contractFile, kind, c.key)
		}
	}
	p.contract.after(last(known), encode(components))
	return nil
}

// tag returns the tag of the operations: that of the paths with the same beginning, or else a new one.
func (p *project) tag(r *route) (string, error) {
	first := segments(r.Path)[0]
	for _, o := range p.functionRoutes() {
		if segments(o.Path)[0] == first && len(o.Operation.Tags) > 0 {
			return o.Operation.Tags[0], nil
		}
	}
	tag := upperFirst(first)
	if p.document.Tags.Get(tag) != nil {
		return tag, nil
	}
	_, tags := find(p.contract.root, "tags")
	if tags == nil || tags.Kind != yaml.SequenceNode || tags.Style&yaml.FlowStyle != 0 || len(tags.Content) == 0 {
		return "", fmt.Errorf("%s: tags: want a list with one tag a line", contractFile)
	}
	text := encode([]any{object{{"name", tag}, {"description", "Operations on /" + first + "."}}})
	for _, known := range tags.Content { // sorted
		if _, name := find(known, "name"); name != nil && name.Value > tag {
			p.contract.before(known, text)
			return tag, nil
		}
	}
	key, _ := find(p.contract.root, "tags")
	p.contract.after(key, indented(text, tags.Column-key.Column))
	return tag, nil
}
