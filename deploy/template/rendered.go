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

// releaseKey is where the metadata of a release is in the template's Metadata.
const releaseKey = "Release"

// Rendered is the template as CloudFormation is given it, and the parameters it was rendered for. It is safe for concurrent
// use but for the methods that change it: Set….
type Rendered struct {
	document   object
	values     map[string]string // of the parameters, as CloudFormation is given them
	parameters map[string]any    // the same as Ref gives them
	json       func() []byte     // what JSON returns
	tableID    string            // "" where the table is not the stack's own
	tableName  string
}

// Open reads a template that was rendered before, such as that of a deployed stack (GetTemplate, stage Original), with the
// parameters of the stack.
func Open(document []byte, parameters map[string]string) (*Rendered, error) {
	value, err := parseJSON(document)
	if err != nil {
		return nil, fmt.Errorf("open the template: %w", err)
	}
	o, ok := value.(object)
	if !ok {
		return nil, errors.New("open the template: it is not an object")
	}
	r, err := newRendered(o, parameters)
	if err != nil {
		return nil, fmt.Errorf("open the template: %w", err)
	}
	return r, nil
}

// newRendered takes the document over.
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

// JSON returns the template as CloudFormation takes it, in ASCII, the same bytes for the same files and options. Where it is longer
// than the 51,200 bytes of TemplateBody it must be given by TemplateURL ("CloudFormation quotas").
func (r *Rendered) JSON() []byte { return bytes.Clone(r.json()) }

// changed has JSON encode the document as it is now, once it is called.
func (r *Rendered) changed() {
	r.json = sync.OnceValue(func() []byte { return escapeUnicode(mustEncodeJSON(r.document)) })
}

// Parameters returns the value of every parameter, those left to their defaults included: the full set that CloudFormation is
// to be given. ArtifactBucket is among them where it was given.
func (r *Rendered) Parameters() map[string]string { return maps.Clone(r.values) }

// Metadata returns what is in the template's Metadata under the key Release; nil where there is nothing.
func (r *Rendered) Metadata() map[string]any {
	release := member(member(r.document, "Metadata"), releaseKey)
	if release == nil {
		return nil
	}
	return clone(release).(object) // a mapping stays one
}

// SetMetadata replaces what Metadata returns. It must be what JSON can say, and without null.
func (r *Rendered) SetMetadata(release map[string]any) error {
	if err := r.setMetadata(release); err != nil {
		return err
	}
	r.changed()
	return nil
}

func (r *Rendered) setMetadata(release map[string]any) error {
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
	r.tableName, _ = scalarText(name) // none: CloudFormation makes it
	return nil
}

// TableOnly returns a template of the table alone, for the import of one that a stack has left behind (ImportExistingResources
// and its kin need a template in which everything new is imported), with the table's logical id and its name. ok is false where
// the stack has no table of its own, or one that CloudFormation names.
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
		document: document, values: maps.Clone(r.values), parameters: r.parameters, tableID: r.tableID, tableName: r.tableName,
	}
	alone.changed()
	return alone, r.tableID, r.tableName, true
}

// parseJSON reads a JSON text into the types of parseYAML.
func parseJSON(data []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, fmt.Errorf("read JSON: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("read JSON: something follows the document")
	}
	return numbers(value)
}

// numbers turns the numbers of a document into int64 where they are whole, else float64.
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
