package trace

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// maxAnnotations is how many annotations of a trace X-Ray indexes ("AWS X-Ray endpoints and quotas").
const maxAnnotations = 50

//go:embed segment.schema.json
var schemaDocument []byte

//nolint:gochecknoglobals // compiled once, never changed
var schema = sync.OnceValue(func() *jsonschema.Schema {
	const url = "embed:///segment.schema.json"
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(schemaDocument))
	if err != nil {
		panic(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(url, document); err != nil {
		panic(err)
	}
	return compiler.MustCompile(url)
})

// Validate checks a document, without the header that goes before it in UDP, against the rules of "AWS X-Ray segment
// documents" in the X-Ray developer guide: the published fields, their forms and lengths, which of them a segment and a
// subsegment must have, and the size. The error lists all that is wrong.
func Validate(data []byte) error {
	if len(data) > MaxSize {
		return fmt.Errorf("validate segment document: it has %d bytes, more than %d: send subsegments by themselves", len(data), MaxSize)
	}
	if !utf8.Valid(data) {
		return errors.New("validate segment document: it is not UTF-8")
	}
	// Numbers become float64, as X-Ray's are, so that none is too long to be compared.
	var instance any
	if err := json.Unmarshal(data, &instance); err != nil {
		return fmt.Errorf("validate segment document: %w", err)
	}
	if err := schema().Validate(instance); err != nil {
		return fmt.Errorf("validate segment document %s: %w", nameOf(instance), readable(err))
	}
	d, err := Parse(data)
	if err != nil {
		return err
	}
	c := check{traceID: d.TraceID, ids: map[string]bool{}}
	c.document(d, "")
	if c.annotations > maxAnnotations {
		c.failf("", "has %d annotations, of which X-Ray takes %d in a trace", c.annotations, maxAnnotations)
	}
	if err := errors.Join(c.failures...); err != nil {
		return fmt.Errorf("validate segment document %q: %w", d.Name, err)
	}
	return nil
}

// nameOf returns the quoted name of a document that may be none.
func nameOf(instance any) string {
	members, _ := instance.(map[string]any)
	name, _ := members["name"].(string)
	return fmt.Sprintf("%q", name)
}

// readable lists what a schema found, each with its place.
func readable(err error) error {
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return err
	}
	var list []error
	var gather func(*jsonschema.ValidationError)
	gather = func(e *jsonschema.ValidationError) {
		for _, cause := range e.Causes {
			gather(cause)
		}
		if len(e.Causes) == 0 {
			list = append(list, fmt.Errorf("/%s: %s", strings.Join(e.InstanceLocation, "/"), e.BasicOutput().Error))
		}
	}
	gather(invalid)
	return errors.Join(list...)
}

// check is what the schema cannot say: how the parts of a document go together.
type check struct {
	traceID     string
	ids         map[string]bool // of segments and exceptions
	annotations int
	failures    []error
}

func (c *check) failf(place, format string, arguments ...any) {
	c.failures = append(c.failures, fmt.Errorf("%s/: %s", place, fmt.Sprintf(format, arguments...)))
}

// unique takes an id, which is to be unique among the segments of a trace.
func (c *check) unique(place, id string) {
	id = strings.ToLower(id)
	if c.ids[id] {
		c.failf(place, "the id %s is there twice", id)
	}
	c.ids[id] = true
}

func (c *check) document(d Document, place string) {
	c.unique(place, d.ID)
	if strings.EqualFold(d.ID, d.ParentID) {
		c.failf(place, "it is its own parent")
	}
	if d.TraceID != "" && d.TraceID != c.traceID {
		c.failf(place, "it is of another trace than what it is embedded in")
	}
	if !d.InProgress && d.EndTime < d.StartTime {
		c.failf(place, "it ends before it starts")
	}
	if d.Cause != nil {
		for i, exception := range d.Cause.Exceptions {
			c.unique(fmt.Sprintf("%s/cause/exceptions/%d", place, i), exception.ID)
		}
	}
	c.annotations += len(d.Annotations)
	for i, embedded := range d.Subsegments {
		c.document(embedded, fmt.Sprintf("%s/subsegments/%d", place, i))
	}
}
