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

// maxAnnotations is the number of indexed annotations per trace ("AWS X-Ray endpoints and quotas").
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

// ParseValid parses a document as [Parse] does, and checks it against "AWS X-Ray segment documents" in the X-Ray
// developer guide: the fields, their formats and lengths, the required fields, and the size. The error lists all
// violations.
func ParseValid(data []byte) (Document, error) {
	if len(data) > MaxSize {
		return Document{}, fmt.Errorf(
			"validate segment document: want at most %d bytes, got %d: send subsegments independently", MaxSize, len(data))
	}
	if !utf8.Valid(data) {
		return Document{}, errors.New("validate segment document: want UTF-8")
	}
	// Numbers are float64, as in X-Ray, which bounds the cost of comparisons.
	var instance any
	if err := json.Unmarshal(data, &instance); err != nil {
		return Document{}, fmt.Errorf("validate segment document: %w", err)
	}
	if err := schema().Validate(instance); err != nil {
		return Document{}, fmt.Errorf("validate segment document %s: %w", nameOf(instance), flatten(err))
	}
	d, err := decode(data)
	if err != nil {
		return d, err
	}
	c := check{traceID: d.TraceID, ids: map[string]bool{}}
	c.document(d, "")
	if c.annotations > maxAnnotations {
		c.failf("", "want at most %d annotations, got %d", maxAnnotations, c.annotations)
	}
	if err := errors.Join(c.failures...); err != nil {
		return d, fmt.Errorf("validate segment document %q: %w", d.Name, err)
	}
	return d, nil
}

// nameOf returns the name of a document in quotes.
func nameOf(instance any) string {
	members, _ := instance.(map[string]any)
	name, _ := members["name"].(string)
	return fmt.Sprintf("%q", name)
}

// flatten lists the violations of the schema with their JSON pointers.
func flatten(err error) error {
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

// check checks rules that involve several parts of a document, which the schema cannot express.
type check struct {
	traceID     string
	ids         map[string]bool // of segments and exceptions
	annotations int
	failures    []error
}

// failf records a violation at a JSON pointer.
func (c *check) failf(pointer, format string, arguments ...any) {
	c.failures = append(c.failures, fmt.Errorf("%s/: %s", pointer, fmt.Sprintf(format, arguments...)))
}

// unique checks that an ID is unique in the document.
func (c *check) unique(pointer, id string) {
	id = strings.ToLower(id)
	if c.ids[id] {
		c.failf(pointer, "want a unique id, got %s again", id)
	}
	c.ids[id] = true
}

func (c *check) document(d Document, pointer string) {
	c.unique(pointer, d.ID)
	if strings.EqualFold(d.ID, d.ParentID) {
		c.failf(pointer, "want the parent_id of another segment, got its own id")
	}
	if d.TraceID != "" && d.TraceID != c.traceID {
		c.failf(pointer, "want the trace_id of the enclosing segment %s, got %s", c.traceID, d.TraceID)
	}
	if !d.InProgress && d.EndTime < d.StartTime {
		c.failf(pointer, "want an end_time that is not before start_time")
	}
	if d.Cause != nil {
		for i, exception := range d.Cause.Exceptions {
			c.unique(fmt.Sprintf("%s/cause/exceptions/%d", pointer, i), exception.ID)
		}
	}
	c.annotations += len(d.Annotations)
	for i, embedded := range d.Subsegments {
		c.document(embedded, fmt.Sprintf("%s/subsegments/%d", pointer, i))
	}
}
