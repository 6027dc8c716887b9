package contract_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/contract"
)

// expected is a response that a test must produce: an example of the document, or "" for a response without a body.
type expected struct {
	operation string // operationId
	status    int
	example   string
}

// request is a request to a stage.
type request struct {
	method, path, body string
	headers            stacktest.Headers
}

// coverage has the examples of the document, and those that a request has produced.
type coverage struct {
	operations []operation // in the order of the document's paths and HTTP's methods
	wanted     map[expected]any
	items      contract.Collection // the first collection; its path is "" if there is none

	mu      sync.Mutex
	made    map[expected]bool
	nearest map[expected]string // the smallest difference of a response with the status code from the example
}

// operation is an operation of the document.
type operation struct {
	*openapi3.Operation

	method, path string
	function     string              // "" if API Gateway itself responds
	parameters   openapi3.Parameters // including those of the path
}

// newCoverage returns the coverage of a document.
func newCoverage(document *contract.Document) *coverage {
	c := &coverage{wanted: map[expected]any{}, made: map[expected]bool{}, nearest: map[expected]string{}}
	if collections := document.Collections(); len(collections) > 0 {
		c.items = collections[0]
	}
	for _, r := range document.Routes() {
		o := operation{r.Operation, r.Method, r.Path, r.Function, r.Parameters}
		c.operations = append(c.operations, o)
		for code, response := range o.Responses.Map() {
			status, err := strconv.Atoi(code)
			if err != nil {
				status = 0 // for example default, which no request produces
			}
			for name, example := range examples(response.Value.Content) {
				c.wanted[expected{o.OperationID, status, name}] = example
			}
		}
	}
	return c
}

// has reports whether an operation has an example. HEAD has the examples of GET, although its responses have no body.
func (c *coverage) has(o operation, status int, example string) bool {
	_, ok := c.wanted[expected{o.OperationID, status, example}]
	if o.method != http.MethodHead {
		return ok
	}
	return slices.ContainsFunc(c.operations, func(get operation) bool {
		return get.path == o.path && get.method == http.MethodGet && c.has(get, status, example)
	})
}

// examples returns the examples of a body by name. Without a body, it returns a nil example without a name.
func examples(content openapi3.Content) map[string]any {
	all := map[string]any{}
	for _, body := range content {
		if len(body.Examples) == 0 {
			all[""] = body.Example
		}
		for name, example := range body.Examples {
			all[name] = example.Value.Value
		}
	}
	if len(content) == 0 {
		all[""] = nil
	}
	return all
}

func (c *coverage) operation(t *testing.T, id string) operation {
	t.Helper()
	i := slices.IndexFunc(c.operations, func(o operation) bool { return o.OperationID == id })
	if i < 0 {
		t.Fatalf("want the operation %s in the document, got none", id)
	}
	return c.operations[i]
}

// request returns a request from the examples of an operation: the required parameters, and the body with the given
// name or else the first one by name.
func (o operation) request(t *testing.T, body string) request {
	t.Helper()
	r := request{method: o.method, path: o.path}
	for _, p := range o.parameters {
		if p.Value.Required {
			r = r.with(t, p.Value)
		}
	}
	if o.RequestBody == nil {
		return r
	}
	all := examples(o.RequestBody.Value.Content)
	r.body = string(encode(t, all[cmp.Or(body, slices.Min(slices.Collect(maps.Keys(all))))]))
	return r
}

// encode returns an example as JSON.
func encode(t *testing.T, example any) []byte {
	t.Helper()
	encoded, err := json.Marshal(example)
	if err != nil {
		t.Error(err)
	}
	return encoded
}

// with returns the request with the example of a parameter.
func (r request) with(t *testing.T, p *openapi3.Parameter) request {
	t.Helper()
	if p.Example == nil {
		t.Fatalf("parameter %s: want an example, got none", p.Name)
	}
	return r.withValue(p, fmt.Sprint(p.Example))
}

// withValue returns the request with a value of a parameter.
func (r request) withValue(p *openapi3.Parameter, value string) request {
	switch p.In {
	case openapi3.ParameterInPath:
		r.path = strings.ReplaceAll(r.path, "{"+p.Name+"}", value)
	case openapi3.ParameterInQuery:
		separator := "?"
		if strings.Contains(r.path, separator) {
			separator = "&"
		}
		r.path += separator + p.Name + "=" + value
	case openapi3.ParameterInHeader:
		having(p.Name, value)(&r)
	}
	return r
}

// miss records that a response with the status code of an example differs from it.
func (c *coverage) miss(e expected, diff string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if least, ok := c.nearest[e]; !ok || len(diff) < len(least) {
		c.nearest[e] = diff
	}
}

// record records that a request has produced an example.
func (c *coverage) record(e expected) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.made[e] = true
}

// report prints a table of the covered examples, with a row for each operation and a column for each status code. It
// fails the test if a request is missing for an example.
func (c *coverage) report(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	var statuses []int
	for e := range c.wanted {
		statuses = append(statuses, e.status)
	}
	slices.Sort(statuses)
	statuses = slices.Compact(statuses)
	var table strings.Builder
	row := func(title string, cell func(status int) string) {
		table.WriteString(title + "\t")
		for _, status := range statuses {
			table.WriteString(cell(status) + "\t")
		}
		table.WriteString("\n")
	}
	row("", strconv.Itoa)
	for _, o := range c.operations {
		row(o.OperationID, func(status int) string {
			made, all := 0, 0
			for e := range c.wanted {
				if e.operation == o.OperationID && e.status == status {
					all++
					if c.made[e] {
						made++
					}
				}
			}
			if all == 0 {
				return ""
			}
			return fmt.Sprintf("%d/%d", made, all)
		})
	}
	summary := io.Discard
	if name := os.Getenv(testenv.SummaryVariable); name != "" { // printed even if the tests pass
		file, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = file.Close() }() // flushed before
		summary = file
	}
	out := tabwriter.NewWriter(io.MultiWriter(t.Output(), summary), 0, 0, 1, ' ', tabwriter.AlignRight)
	_, err := io.WriteString(out, "\nExamples of responses in deploy/openapi.yaml: produced by the tests/all\n"+table.String())
	if err := errors.Join(err, out.Flush()); err != nil {
		t.Error(err)
	}
	missing := slices.DeleteFunc(slices.Collect(maps.Keys(c.wanted)), func(e expected) bool { return c.made[e] })
	slices.SortFunc(missing, func(a, b expected) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	for _, e := range missing {
		difference := "No request got this status code."
		if diff := c.nearest[e]; diff != "" {
			difference = "Correct the example if this response should equal it (-example +got):\n" + diff
		}
		t.Errorf("%s %d: no request gets the example %q. %s\nOr add the request that gets it to the function samples in "+
			"tests/contract/samples_test.go:\n\t\t{%q, %d, %q, at(%q)},",
			e.operation, e.status, e.example, difference, e.operation, e.status, e.example, c.pathOf(e))
	}
	t.Logf("requests have produced %d of %d examples of the document", len(c.made), len(c.wanted))
}

// pathOf returns the path of a request that could get an example.
func (c *coverage) pathOf(e expected) string {
	for _, o := range c.operations {
		if o.OperationID != e.operation {
			continue
		}
		path := o.path
		if problem, ok := c.wanted[e].(map[string]any); ok {
			path = cmp.Or(instance(problem), path)
		}
		return path
	}
	return ""
}
