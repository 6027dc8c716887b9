package template

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"sync"
)

// releaseKey is the key of the release in the template's Metadata.
const releaseKey = "Release"

// Rendered is the template for CloudFormation with its parameters. It is safe for concurrent use, except for the Set
// methods, which change it.
type Rendered struct {
	document   object
	values     map[string]string // of the parameters, for CloudFormation
	parameters map[string]any    // the values of Ref
	json       func() []byte     // the result of JSON
	tableID    string            // "" if the table is not a resource of the stack
	tableName  string
}

// Open reads a rendered template, for example that of a deployed stack (GetTemplate with TemplateStage Original),
// with the parameters of the stack.
func Open(document []byte, parameters map[string]string) (*Rendered, error) {
	value, err := parseJSON(document)
	if err != nil {
		return nil, fmt.Errorf("open the template: %w", err)
	}
	o, ok := value.(object)
	if !ok {
		return nil, errors.New("open the template: want a JSON object")
	}
	r, err := newRendered(o, parameters)
	if err != nil {
		return nil, fmt.Errorf("open the template: %w", err)
	}
	return r, nil
}

// newRendered takes ownership of document.
func newRendered(document object, given map[string]string) (*Rendered, error) {
	parameters, err := parseParameters(member(document, "Parameters"))
	if err != nil {
		return nil, err
	}
	values, faults := parameterValues(parameters, given)
	if len(faults) > 0 {
		return nil, joinFaults(faults, nowhere)
	}
	r := &Rendered{document: document, values: values, parameters: referred(parameters, values)}
	if err := r.findTable(); err != nil {
		return nil, err
	}
	r.changed()
	return r, nil
}

// JSON returns the template in JSON and ASCII. The same files and options give the same bytes. CloudFormation accepts
// more than 51,200 bytes only by TemplateURL ("CloudFormation quotas").
func (r *Rendered) JSON() []byte { return bytes.Clone(r.json()) }

// changed discards the encoded document, so that JSON encodes the current one.
func (r *Rendered) changed() {
	r.json = sync.OnceValue(func() []byte { return escapeUnicode(mustEncodeJSON(r.document)) })
}

// Parameters returns the values of all parameters for CloudFormation, including defaults. It has ArtifactBucket only
// if a value was given.
func (r *Rendered) Parameters() map[string]string { return maps.Clone(r.values) }

// Metadata returns the value of the key Release in the template's Metadata, or nil.
func (r *Rendered) Metadata() map[string]any {
	release := member(member(r.document, "Metadata"), releaseKey)
	if release == nil {
		return nil
	}
	return clone(release).(object) // clone keeps the type
}

// SetMetadata replaces the value that Metadata returns. It must be encodable as a JSON object, without null.
func (r *Rendered) SetMetadata(release any) error {
	const path = "Metadata." + releaseKey
	encoded, err := encodeJSON(release)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	value, err := parseJSON(encoded)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := refuseNull(path, value); err != nil {
		return err
	}
	metadata := member(r.document, "Metadata")
	if metadata == nil {
		metadata = object{}
		r.document["Metadata"] = metadata
	}
	metadata[releaseKey] = value
	r.changed()
	return nil
}

func (r *Rendered) findTable() error {
	e := r.symbolic()
	ids, err := e.all(tableType)
	if err != nil || len(ids) == 0 {
		return err
	}
	name, err := e.property(ids[0], "TableName")
	if err != nil {
		return err
	}
	r.tableID = ids[0]
	r.tableName, _ = scalarText(name) // "" if CloudFormation generates it
	return nil
}

// TableOnly returns a template that has only the table, with its logical id and name. It is for the import of a
// retained table: an import change set must not create other resources. ok is false if the table is not a resource of
// the stack, or if CloudFormation generates its name.
func (r *Rendered) TableOnly() (alone *Rendered, logicalID, name string, ok bool) {
	if r.tableID == "" || r.tableName == "" {
		return nil, "", "", false
	}
	document := object{"Resources": object{r.tableID: clone(r.symbolic().resource(r.tableID))}}
	for _, section := range []string{"AWSTemplateFormatVersion", "Description", "Parameters", "Mappings", "Conditions"} {
		if content, ok := r.document[section]; ok {
			document[section] = clone(content)
		}
	}
	alone = &Rendered{
		document: document, values: maps.Clone(r.values), parameters: r.parameters,
		tableID: r.tableID, tableName: r.tableName,
	}
	alone.changed()
	return alone, r.tableID, r.tableName, true
}

// parseJSON parses JSON into the types of parseYAML.
func parseJSON(data []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, fmt.Errorf("read JSON: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("read JSON: unexpected data after the document")
	}
	return numbers(value)
}

// numbers converts the numbers of a document to int64 if possible, otherwise to float64.
func numbers(value any) (_ any, err error) {
	switch v := value.(type) {
	case object:
		for key, element := range v {
			if v[key], err = numbers(element); err != nil {
				return nil, err
			}
		}
	case []any:
		for i, element := range v {
			if v[i], err = numbers(element); err != nil {
				return nil, err
			}
		}
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n, nil
		}
		n, err := v.Float64()
		if err != nil {
			return nil, fmt.Errorf("read JSON: %w", err)
		}
		return n, nil
	}
	return value, nil
}
