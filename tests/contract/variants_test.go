package contract_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
)

// withoutFaults sends requests to a stage without faults. Before each request, the table has only the known user.
func withoutFaults(t *testing.T, c *coverage) {
	s, stack := start(t, c)
	user := known(t, c)
	begin := func(items ...stacktest.Item) {
		t.Helper()
		stack.Clear(t)
		for _, item := range append(items, user) {
			stack.PutItem(t, item)
		}
	}
	for _, o := range c.operations {
		for _, r := range o.valid(t) {
			begin()
			got := s.send(r.request)
			if got.Status >= http.StatusBadRequest {
				t.Errorf("%s with the example of %s: got %d %s, want a success", o.OperationID, r.example, got.Status, got.Body)
			}
			s.match(o, got, o.generated(r.request)...)
		}
		for _, r := range o.variants(t, c) {
			begin()
			got := s.send(r)
			if got.Status >= http.StatusInternalServerError {
				t.Errorf("%s: %s %.200s: got %d %s, want no failure", o.OperationID, r.method, r.path, got.Status, got.Body)
			}
			s.match(o, got)
		}
	}
	for _, sample := range samples(t, c) {
		begin()
		s.want(sample.operation, sample.status, sample.example, sample.change)
	}
	sendSeries(t, c, s, begin)

	const mega = 1 << 20
	s.each(413, "RequestTooLong", sending(strings.Repeat(" ", 10*mega+1)))
	s.each(431, "RequestHeaderFieldsTooLarge", having("X-Large", strings.Repeat("x", 11<<10)))
	for _, o := range c.operations {
		if o.function != "" && c.has(o, 413, "RequestTooLong") { // more than Lambda accepts
			r := o.request(t, "")
			r.body = strings.Repeat(" ", 7*mega)
			s.compare(expected{o.OperationID, 413, "RequestTooLong"}, r, s.send(r))
		}
	}
}

// match records the examples of an operation that a response equals.
func (s testStage) match(o operation, got stacktest.Response, masked ...string) {
	s.t.Helper()
	for e, example := range s.c.wanted {
		if e.operation != o.OperationID || e.status != got.Status {
			continue
		}
		if diff := s.diff(example, got, masked...); diff != "" {
			s.c.miss(e, diff)
		} else {
			s.c.record(e)
		}
	}
}

// valid is a request that must succeed.
type valid struct {
	request

	example string // the examples in it, for messages
}

// valid returns the requests that must succeed: with each example of a body, with each parameter, and with all.
func (o operation) valid(t *testing.T) []valid {
	t.Helper()
	var requests []valid
	bodies := []string{""}
	if o.RequestBody != nil {
		bodies = slices.Sorted(maps.Keys(examples(o.RequestBody.Value.Content)))
	}
	for _, name := range bodies {
		requests = append(requests, valid{o.request(t, name), "the body " + name})
	}
	all := o.request(t, "")
	for _, p := range o.parameters {
		if !p.Value.Required {
			requests = append(requests, valid{o.request(t, "").with(t, p.Value), p.Value.Name})
			all = all.with(t, p.Value)
		}
	}
	return append(requests, valid{all, "all parameters"})
}

// generated returns the members of a response to a request that the service sets, and that differ from the example.
func (o operation) generated(r request) []string {
	switch {
	case o.method == http.MethodPost && !strings.Contains(r.body, `"userId"`):
		return []string{"userId", "createdAt", "updatedAt"}
	case o.method == http.MethodPost:
		return []string{"createdAt", "updatedAt"}
	case o.method == http.MethodPut:
		return []string{"updatedAt"}
	default:
		return nil
	}
}

// variants returns requests that can get the examples of errors: at the paths of the problem documents (instance), and
// with values of parameters and bodies that the document excludes, or that are unknown.
func (o operation) variants(t *testing.T, c *coverage) []request {
	t.Helper()
	var requests []request
	add := func(changes ...func(*request)) {
		r := o.request(t, "")
		both(changes...)(&r)
		requests = append(requests, r)
	}
	for _, problem := range c.problems(o) {
		if path := instance(problem); path != "" {
			add(at(path))
		}
		add(emptying(problem))
	}
	for _, p := range o.parameters {
		for _, value := range invalid(p.Value) {
			r := o.requestWithout(t, p.Value)
			requests = append(requests, r.withValue(p.Value, value))
		}
		if p.Value.Required && p.Value.In != openapi3.ParameterInPath {
			requests = append(requests, o.requestWithout(t, p.Value))
		}
	}
	for _, name := range c.queryNames() {
		r := o.request(t, "")
		requests = append(requests, r.withValue(&openapi3.Parameter{Name: swapCase(name), In: openapi3.ParameterInQuery}, "1"))
	}
	if o.Responses.Status(http.StatusUnsupportedMediaType) != nil {
		add(having("Content-Type", "text/plain"))
		add(having("Content-Type", "application/x-unheard-of"))
		add(having("Content-Encoding", "gzip"))
	}
	if o.RequestBody != nil {
		body := o.request(t, "").body
		for _, b := range append(twice(t, body), "{}", "[]", "{") {
			add(sending(b))
		}
	}
	return requests
}

// problems returns the examples of problem documents of an operation, or of GET for HEAD.
func (c *coverage) problems(o operation) []map[string]any {
	var found []map[string]any
	for _, other := range c.operations {
		if other.path != o.path || other.method != o.method && (o.method != http.MethodHead || other.method != http.MethodGet) {
			continue
		}
		for e, example := range c.wanted {
			if problem, ok := example.(map[string]any); ok && e.operation == other.OperationID && problem["type"] != nil {
				found = append(found, problem)
			}
		}
	}
	return found
}

// instance returns the path of the request for a problem document, without the stage, or "".
func instance(problem map[string]any) string {
	path, _ := problem["instance"].(string)
	if path == "" {
		return ""
	}
	_, path, _ = strings.Cut(path[1:], "/")
	return "/" + path
}

// emptying sets the members of the body that a problem document names to "".
func emptying(problem map[string]any) func(*request) {
	faults, _ := problem["errors"].([]any)
	members := map[string]any{}
	for _, fault := range faults {
		pointer, _ := fault.(map[string]any)["pointer"].(string)
		if name, ok := strings.CutPrefix(pointer, "#/"); ok {
			members[name] = ""
		}
	}
	if len(members) == 0 {
		return unchanged
	}
	return setting(members)
}

// invalid returns values of a parameter in the query or a header that are not valid, or not those of the example.
func invalid(p *openapi3.Parameter) []string {
	example := fmt.Sprint(p.Example)
	values := []string{example + "0"}
	switch p.In {
	case openapi3.ParameterInHeader:
		values = append(values, `"other"`, example[:len(example)-1])
	case openapi3.ParameterInQuery:
		values = append(values, "", "0")
		if longest := p.Schema.Value.MaxLength; longest != nil {
			values = append(values, strings.Repeat("x", int(*longest)+1)) //nolint:gosec // a small number
		}
	default:
		return nil // in the path: instance
	}
	return values
}

// requestWithout returns the example request without a parameter.
func (o operation) requestWithout(t *testing.T, without *openapi3.Parameter) request {
	t.Helper()
	o.parameters = slices.DeleteFunc(slices.Clone(o.parameters), func(p *openapi3.ParameterRef) bool {
		return p.Value == without
	})
	return o.request(t, "")
}

// queryNames returns the names of the query parameters of the document.
func (c *coverage) queryNames() []string {
	names := map[string]bool{}
	for _, o := range c.operations {
		for _, p := range o.parameters {
			if p.Value.In == openapi3.ParameterInQuery {
				names[p.Value.Name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// swapCase returns a name in other letters.
func swapCase(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsUpper(r) {
			return unicode.ToLower(r)
		}
		return unicode.ToUpper(r)
	}, name)
}

// twice returns a JSON object for each member, which has the member twice.
func twice(t *testing.T, body string) []string {
	t.Helper()
	var objects []string
	for name, value := range stacktest.Decode(t, []byte(body)) {
		member := fmt.Sprintf("%s:%s", encode(t, name), encode(t, value))
		objects = append(objects, "{"+member+","+member+"}")
	}
	return objects
}
