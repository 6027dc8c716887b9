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

	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/tests/stacktest"
)

// answer is what a test has to make: an example of the document, "" where an answer has none for want of a body.
type answer struct {
	operation string // operationId
	status    int
	example   string
}

// request is a request to a stage.
type request struct {
	method, path, body string
	headers            stacktest.Headers
}

// coverage is the document, and what of it was made.
type coverage struct {
	operations []operation // in the order of the document's paths and HTTP's methods
	wanted     map[answer]any

	mu   sync.Mutex
	made map[answer]bool
}

// operation is one of the document's.
type operation struct {
	*openapi3.Operation

	method, path string
	parameters   []*openapi3.Parameter // those of the path too
}

// newCoverage reads the document.
func newCoverage(document *openapi3.T) *coverage {
	c := &coverage{wanted: map[answer]any{}, made: map[answer]bool{}}
	methods := []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete}
	for _, path := range slices.Sorted(maps.Keys(document.Paths.Map())) {
		item := document.Paths.Value(path)
		for _, method := range slices.SortedFunc(maps.Keys(item.Operations()), func(a, b string) int {
			return cmp.Compare(slices.Index(methods, a), slices.Index(methods, b))
		}) {
			o := operation{Operation: item.GetOperation(method), method: method, path: path}
			for _, p := range slices.Concat(item.Parameters, o.Parameters) {
				o.parameters = append(o.parameters, p.Value)
			}
			c.operations = append(c.operations, o)
			for code, response := range o.Responses.Map() {
				status, err := strconv.Atoi(code)
				if err != nil {
					status = 0 // such as default, which nothing makes
				}
				for name, example := range examples(response.Value.Content) {
					c.wanted[answer{o.OperationID, status, name}] = example
				}
			}
		}
	}
	return c
}

// examples are those of a body, by name; without a body, one that is nothing and has no name.
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
		t.Fatalf("the document has no operation %s", id)
	}
	return c.operations[i]
}

// request is the request of an operation that its examples make: the parameters that it must have, and the body of this name, or else
// the first by name.
func (o operation) request(t *testing.T, body string) request {
	t.Helper()
	r := request{method: o.method, path: o.path}
	for _, p := range o.parameters {
		if p.Required {
			r = r.with(t, p)
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
	text, err := json.Marshal(example)
	if err != nil {
		t.Error(err)
	}
	return text
}

// with adds a parameter, with the value that is its example.
func (r request) with(t *testing.T, p *openapi3.Parameter) request {
	t.Helper()
	if p.Example == nil {
		t.Fatalf("the parameter %s has no example", p.Name)
	}
	value := fmt.Sprint(p.Example)
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

// note keeps that a request was answered as wanted.
func (c *coverage) note(a answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.made[a] = true
}

// report shows what was made of the document: a row for each operation, a column for each status. It fails the test where something
// was not.
func (c *coverage) report(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	var statuses []int
	for a := range c.wanted {
		statuses = append(statuses, a.status)
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
			for a := range c.wanted {
				if a.operation == o.OperationID && a.status == status {
					all++
					if c.made[a] {
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
	if name := os.Getenv(testenv.SummaryVariable); name != "" { // which is shown where the tests pass, too
		file, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = file.Close() }() // flushed by then
		summary = file
	}
	out := tabwriter.NewWriter(io.MultiWriter(t.Output(), summary), 0, 0, 1, ' ', tabwriter.AlignRight)
	_, err := io.WriteString(out, "\nAnswers that deploy/openapi.yaml has an example of: made by the tests/all\n"+table.String())
	if err := errors.Join(err, out.Flush()); err != nil {
		t.Error(err)
	}
	var missing []string
	for a := range c.wanted {
		if !c.made[a] {
			missing = append(missing, fmt.Sprintf("%s %d %s", a.operation, a.status, a.example))
		}
	}
	slices.Sort(missing)
	for _, m := range missing {
		t.Errorf("no request has made %s", m)
	}
	t.Logf("%d of %d examples of the document are made by a request", len(c.made), len(c.wanted))
}
