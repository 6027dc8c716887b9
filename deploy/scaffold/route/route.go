package route

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"go/token"
	"maps"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"go.yaml.in/yaml/v3"

	"github.com/userrequestapi/userdata/deploy/cfn"
	"github.com/userrequestapi/userdata/deploy/contract"
)

// functionsFolder is the folder of the functions in a project.
const functionsFolder = "functions"

// The limits of the number in the body of a request to a new function.
const (
	minimum      = 1
	maximum      = 100
	exampleValue = 2
)

// route is a function to add, with what its files need.
type route struct {
	Function

	ID         string // begins the logical ids of the function's resources, such as Orders
	Module     string // path of the project's root module
	parameters []parameter
	collection *contract.Collection // of the items that the function reads; nil if it reads none
	table      string               // with the items; "" if it reads none
	stage      string               // of the examples
	exists     bool                 // whether the API has the path
	unknown    string               // the id of an item that does not exist, encoded
	malformed  string               // an id that no item can have, encoded
}

// parameter is a parameter of a path.
type parameter struct {
	name    string
	example string
	known   *openapi3.Parameter // of another path; nil if there is none
}

var (
	functionName  = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	literal       = regexp.MustCompile(`^[A-Za-z0-9_.:-]*[A-Za-z0-9_:-][A-Za-z0-9_.:-]*$`) // not . and ..
	parameterName = regexp.MustCompile(`^\{[A-Za-z][A-Za-z0-9]*\}$`)
)

// maxFunctionName is the maximum length of the name of a Lambda function; maxStage is that of a stage.
const (
	maxFunctionName = 64
	maxStage        = 17
)

// route checks the function, and returns it with what follows from the project.
func (p *project) route(f Function) (*route, error) {
	f.Method = strings.ToUpper(f.Method)
	r := &route{Function: f, Module: p.module, stage: stage(p.document)}
	if err := p.checkName(r); err != nil {
		return nil, err
	}
	if err := p.checkMethod(f.Method); err != nil {
		return nil, err
	}
	if err := p.checkPath(r); err != nil {
		return nil, err
	}
	for _, o := range p.document.Routes() {
		id := o.Operation.OperationID
		if slices.ContainsFunc(r.methods(), func(m string) bool { return strings.EqualFold(r.operationID(m), id) }) {
			return nil, fmt.Errorf("name %s: %s %s has the operationId %s already: choose another name",
				f.Name, o.Method, o.Path, id)
		}
	}
	if err := p.checkResources(r); err != nil {
		return nil, err
	}
	for _, c := range p.document.Collections() {
		if table := p.tableOf(c); table != "" && slices.Contains(r.names(), c.Key) {
			r.collection, r.table = &c, table
			r.unknown, r.malformed = p.ids(c, r.example(c.Key))
			break
		}
	}
	return r, nil
}

// stage returns the stage of the examples.
func stage(document *contract.Document) string {
	for _, server := range document.Servers {
		if variable := server.Variables["stage"]; variable != nil {
			return variable.Default
		}
	}
	return "prod"
}

func (p *project) checkName(r *route) error {
	name := r.Name
	longest := maxFunctionName - len(p.document.Name()+"--") - maxStage
	switch {
	case !functionName.MatchString(name):
		return fmt.Errorf("name: want lower-case letters, digits and hyphens, such as orders, got %q", name)
	case token.IsKeyword(name), name == "main": // main.go is another file
		return fmt.Errorf("name %s: has a meaning in Go: choose another name", name)
	case strings.EqualFold(name, allEntry):
		return fmt.Errorf("name %s: has a meaning in the mapping %s: choose another name", name, functionsMapping)
	case len(name) > longest:
		return fmt.Errorf("name %s: want at most %d characters, because Lambda's limit is %d with the API's name and a stage",
			name, longest, maxFunctionName)
	}
	for word := range strings.SplitSeq(name, "-") {
		r.ID += upperFirst(word)
	}
	present, err := exists(filepath.Join(p.root, functionsFolder, name))
	if err != nil {
		return err
	}
	if _, entry := find(p.template.root, "Mappings", functionsMapping, r.ID); present || entry != nil {
		return fmt.Errorf("name %s: the project has this function already: choose another name", name)
	}
	return nil
}

// checkResources returns an error if the template has a logical id that one of the function's resources would have. The
// resources are those that every function has.
func (p *project) checkResources(r *route) error {
	document, err := cfn.ParseYAML([]byte(p.template.text))
	if err == nil {
		err = cfn.ExpandLoops(document)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", templateFile, err)
	}
	resources := cfn.Mapping(document, "Resources")
	_, entries := find(p.template.root, "Mappings", functionsMapping, allEntry, functionIDs)
	for _, id := range slices.Sorted(maps.Keys(resources)) {
		suffix, ok := strings.CutPrefix(id, r.ID)
		if ok && entries != nil && !slices.ContainsFunc(entries.Content, func(entry *yaml.Node) bool {
			return resources[entry.Value+suffix] == nil
		}) {
			return fmt.Errorf("name %s: %s has a resource %s already: choose another name", r.Name, templateFile, id)
		}
	}
	return nil
}

func (p *project) checkMethod(method string) error {
	methods := slices.DeleteFunc(contract.Methods(), func(m string) bool { return m == http.MethodHead })
	switch {
	case method == http.MethodHead:
		return errors.New("method: want GET instead of HEAD: it adds HEAD, too")
	case !slices.Contains(methods, method):
		return fmt.Errorf("method: want one of %s, got %q", strings.Join(methods, ", "), method)
	}
	return nil
}

// checkPath checks the path of the route, and sets its parameters.
func (p *project) checkPath(r *route) error {
	fault := func(format string, args ...any) error {
		return fmt.Errorf("path %s: %s", r.Path, fmt.Sprintf(format, args...))
	}
	switch {
	case !strings.HasPrefix(r.Path, "/"):
		return fmt.Errorf("path: want a path such as /users/{userId}/orders, got %q", r.Path)
	case r.Path == "/":
		return fault("API Gateway itself serves the index: choose a path below it")
	case strings.HasSuffix(r.Path, "/"):
		return fault("want no slash at the end: %s", strings.TrimRight(r.Path, "/"))
	case r.Path == "/ping", r.Path == "/sping":
		return fault("API Gateway reserves this path for health checks")
	}
	for i, segment := range segments(r.Path) {
		name, isParameter := "", parameterName.MatchString(segment)
		if isParameter {
			name = strings.Trim(segment, "{}")
		}
		switch {
		case !isParameter && strings.ContainsAny(segment, "{}"):
			return fault("want a parameter such as {orderId}, of letters and digits, got %s", segment)
		case !isParameter && !literal.MatchString(segment):
			return fault("want segments of letters, digits and _ . : -, got %q", segment)
		case isParameter && i == 0:
			return fault("want a literal first segment: API Gateway serves unknown paths with a parameter there")
		case isParameter && slices.Contains(r.names(), name):
			return fault("it has the parameter %s twice", name)
		case isParameter:
			r.parameters = append(r.parameters, p.parameter(name))
		}
	}
	for _, o := range p.document.Routes() {
		if o.Path == r.Path {
			r.exists = true
			if o.Method == r.Method {
				return fmt.Errorf("%s %s: %s serves it already: choose another method or path", r.Method, r.Path, o.Function)
			}
			continue
		}
		if theirs, ours, differ := differentParameters(o.Path, r.Path); differ {
			return fault("%s has the parameter %s where this path has %s: use the same name, which API Gateway requires",
				o.Path, theirs, ours)
		}
	}
	return nil
}

func segments(path string) []string { return strings.Split(path[1:], "/") }

// differentParameters returns the parameters of two paths with different names in the same position.
func differentParameters(a, b string) (inA, inB string, differ bool) {
	theirs, ours := segments(a), segments(b)
	for i := range min(len(theirs), len(ours)) {
		if theirs[i] == ours[i] {
			continue
		}
		return theirs[i], ours[i], strings.HasPrefix(theirs[i], "{") && strings.HasPrefix(ours[i], "{")
	}
	return "", "", false
}

// parameter returns the parameter with this name, as other paths have it.
func (p *project) parameter(name string) parameter {
	for _, o := range p.document.Routes() {
		for _, known := range o.Parameters {
			if v := known.Value; v.In == openapi3.ParameterInPath && v.Name == name && v.Example != nil {
				return parameter{name, fmt.Sprint(v.Example), v}
			}
		}
	}
	return parameter{name, "1", nil}
}

// ids returns an id in the path of an item that does not exist, and one that no item can have, from the examples of the
// responses to the reading of an item. known is the id of the example item. An id without an example is "".
func (p *project) ids(c contract.Collection, known string) (unknown, malformed string) {
	read := p.document.Paths.Value(c.Item).Get
	for status, id := range map[int]*string{http.StatusNotFound: &unknown, http.StatusBadRequest: &malformed} {
		for _, e := range problems(read, status) {
			prefix, last, _ := cutLast(e.text("instance"), "/")
			if strings.HasSuffix(prefix, c.Path) && last != known {
				*id = cmp.Or(*id, last)
			}
		}
	}
	return unknown, malformed
}

func cutLast(s, separator string) (before, after string, found bool) {
	i := strings.LastIndex(s, separator)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(separator):], true
}

func (r *route) folder() string { return functionsFolder + "/" + r.Name }

// methods returns the methods that the function serves.
func (r *route) methods() []string {
	if r.Method == http.MethodGet {
		return []string{http.MethodGet, http.MethodHead}
	}
	return []string{r.Method}
}

func (r *route) operationID(method string) string { return strings.ToLower(method) + r.ID }

// OperationID returns the operationId of the route.
func (r *route) OperationID() string { return r.operationID(r.Method) }

// names returns the names of the path's parameters.
func (r *route) names() []string {
	var names []string
	for _, p := range r.parameters {
		names = append(names, p.name)
	}
	return names
}

// example returns the example of a path parameter.
func (r *route) example(name string) string {
	i := slices.Index(r.names(), name)
	return r.parameters[i].example
}

// Key returns the name of the path's parameter with the id of an item, or "".
func (r *route) Key() string {
	if r.collection == nil {
		return ""
	}
	return r.collection.Key
}

// KeyExample returns the id of the example item.
func (r *route) KeyExample() string { return r.example(r.Key()) }

// Others returns the names of the path's parameters other than Key.
func (r *route) Others() []string {
	return slices.DeleteFunc(r.names(), func(name string) bool { return name == r.Key() })
}

// HasBody reports whether requests have a body.
func (r *route) HasBody() bool {
	return r.Method == http.MethodPost || r.Method == http.MethodPut || r.Method == http.MethodPatch
}

// IsEmpty reports whether a successful response has no body.
func (r *route) IsEmpty() bool { return r.Method == http.MethodDelete }

// ReadsRequest reports whether the handler reads the request.
func (r *route) ReadsRequest() bool { return len(r.parameters) > 0 || r.HasBody() || !r.IsEmpty() }

// Member returns the name of the member of the request body.
func (r *route) Member() string {
	member := "value"
	for slices.Contains(r.names(), member) {
		member += "2"
	}
	return member
}

// Minimum returns the least value of Member.
func (*route) Minimum() int { return minimum }

// Maximum returns the greatest value of Member.
func (*route) Maximum() int { return maximum }

// InvalidValue returns the detail of the problem of an invalid Member.
func (r *route) InvalidValue() string {
	return fmt.Sprintf("%s is a whole number from %d to %d.", r.Member(), minimum, maximum)
}

// Status returns the status code of a successful response.
func (r *route) Status() int {
	switch {
	case r.Method == http.MethodPost:
		return http.StatusCreated
	case r.IsEmpty():
		return http.StatusNoContent
	default:
		return http.StatusOK
	}
}

// StatusName returns the Go constant of Status.
func (r *route) StatusName() string {
	return "http.Status" + strings.ReplaceAll(http.StatusText(r.Status()), " ", "")
}

// member is a member of a response, with the Go expression and the example of its value.
type member struct {
	Name, Code string
	example    any
}

// Results returns the members of a response that the handler sets at once.
func (r *route) Results() []member {
	var members []member
	if r.Key() != "" {
		members = append(members, member{r.Key(), "id", r.KeyExample()})
	}
	if r.HasBody() {
		members = append(members, member{r.Member(), "sent.Value", exampleValue})
	}
	if len(r.parameters) == 0 && !r.HasBody() {
		members = append(members, member{"path", "req.Path()", "/" + r.stage + r.Path})
	}
	return members
}

// result returns the example of a response.
func (r *route) result() []member {
	members := r.Results()
	for _, name := range r.Others() {
		members = append(members, member{Name: name, example: r.example(name)})
	}
	return members
}

// Target returns the path of the example request.
func (r *route) Target() string { return r.target("", "") }

// target returns the path of the example request, with another value of one parameter.
func (r *route) target(name, value string) string {
	path := r.Path
	for _, p := range r.parameters {
		example := p.example
		if p.name == name {
			example = value
		}
		path = strings.ReplaceAll(path, "{"+p.name+"}", example)
	}
	return path
}

// Sent returns the body of the example request.
func (r *route) Sent() string {
	if !r.HasBody() {
		return ""
	}
	return fmt.Sprintf(`{%q:%d}`, r.Member(), exampleValue)
}

// Received returns the body of the response to the example request.
func (r *route) Received() string {
	if r.IsEmpty() {
		return ""
	}
	object := map[string]any{}
	for _, m := range r.result() {
		object[m.Name] = m.example
	}
	encoded, err := json.Marshal(object)
	if err != nil { // impossible for strings and numbers
		panic(err)
	}
	return string(encoded)
}

// refusal is a request that the function rejects. Code is a Go expression.
type refusal struct {
	Name, Target, Body string
	Status             int
	Code               string
}

// Refusals returns requests that the function rejects.
func (r *route) Refusals() []refusal {
	refusals := []refusal{{
		"query parameter in other letters", r.Target() + "?LIMIT=1", r.Sent(), http.StatusBadRequest,
		"request.InvalidParameter",
	}}
	if r.unknown != "" {
		refusals = append(refusals, refusal{
			"unknown " + r.Key(), r.target(r.Key(), r.unknown), r.Sent(), http.StatusNotFound, "user.NotFound",
		})
	}
	if r.malformed != "" {
		refusals = append(refusals, refusal{
			"malformed " + r.Key(), r.target(r.Key(), r.malformed), r.Sent(), http.StatusBadRequest, "user.InvalidUserID",
		})
	}
	for _, name := range r.Others() {
		refusals = append(refusals, refusal{
			"malformed " + name, r.target(name, malformedParameter), r.Sent(), http.StatusBadRequest, "request.InvalidParameter",
		})
	}
	if r.HasBody() {
		for name, body := range map[string]string{"no value": `{}`, "no JSON": `{`} {
			refusals = append(refusals, refusal{name, r.Target(), body, http.StatusBadRequest, "user.InvalidBody"})
		}
	}
	slices.SortFunc(refusals, func(a, b refusal) int { return strings.Compare(a.Name, b.Name) })
	return refusals
}

// malformedParameter is a value that is not valid for a path parameter, percent-encoded.
const malformedParameter = "%FF"

// Backquoted returns a string literal.
func (*route) Backquoted(s string) string {
	if s == "" {
		return `""`
	}
	return "`" + s + "`"
}

func upperFirst(word string) string { return strings.ToUpper(word[:1]) + word[1:] }
