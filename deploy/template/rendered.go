package template

import (
	"bytes"
	"fmt"
	"maps"
	"sync"

	"github.com/userrequestapi/userdata/deploy/cfn"
	"github.com/userrequestapi/userdata/deploy/contract"
)

// releaseKey is the key of the release in the template's Metadata.
const releaseKey = "Release"

// Rendered is the template for CloudFormation with its parameters. It is safe for concurrent use, except for the Set
// methods, which change it.
type Rendered struct {
	document   object
	values     map[string]string  // of the parameters, for CloudFormation
	parameters map[string]any     // the values of Ref
	json       func() []byte      // the result of JSON
	contract   *contract.Document // nil if the template was opened
	ownTables  []Table            // see OwnTables
}

// Open reads a rendered template, for example that of a deployed stack (GetTemplate with TemplateStage Original),
// with the parameters of the stack.
func Open(document []byte, parameters map[string]string) (*Rendered, error) {
	o, err := cfn.ParseJSON(document)
	if err != nil {
		return nil, fmt.Errorf("open the template: %w", err)
	}
	r, err := newRendered(o, parameters)
	if err != nil {
		return nil, fmt.Errorf("open the template: %w", err)
	}
	return r, nil
}

// newRendered takes ownership of document.
func newRendered(document object, given map[string]string) (*Rendered, error) {
	section := cfn.Mapping(document, "Parameters")
	parameters, err := cfn.ParseParameters(section)
	if err != nil {
		return nil, err
	}
	values, faults := parameters.Values(given, bucketParameter)
	if len(faults) > 0 {
		return nil, joinFaults(faults, noPlace)
	}
	r := &Rendered{document: document, values: values, parameters: cfn.Refs(section, values)}
	if err := r.findTables(); err != nil {
		return nil, err
	}
	r.invalidate()
	return r, nil
}

// JSON returns the template in JSON and ASCII. The same files and options give the same bytes. CloudFormation accepts
// more than 51,200 bytes only by TemplateURL ("CloudFormation quotas").
func (r *Rendered) JSON() []byte { return bytes.Clone(r.json()) }

// invalidate discards the encoded document, so that JSON encodes the current one.
func (r *Rendered) invalidate() {
	r.json = sync.OnceValue(func() []byte { return escapeUnicode(mustEncodeJSON(r.document)) })
}

// Parameters returns the values of all parameters for CloudFormation, including defaults. It has ArtifactBucket only
// if a value was given.
func (r *Rendered) Parameters() map[string]string { return maps.Clone(r.values) }

// Metadata returns the value of the key Release in the template's Metadata, or nil.
func (r *Rendered) Metadata() map[string]any {
	return cfn.Clone(cfn.Mapping(r.document, "Metadata", releaseKey))
}

// SetMetadata replaces the value that Metadata returns. It must be encodable as a JSON object, without null.
func (r *Rendered) SetMetadata(release any) error {
	const path = "Metadata." + releaseKey
	encoded, err := encodeJSON(release)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	value, err := cfn.ParseJSON(encoded)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := checkNull(path, value); err != nil {
		return err
	}
	section(r.document, "Metadata")[releaseKey] = value
	r.invalidate()
	return nil
}

// Resources returns the types of the resources that exist under the conditions, by logical id.
func (r *Rendered) Resources() (map[string]string, error) {
	e := r.symbolic()
	resources := map[string]string{}
	for id, resource := range cfn.Mapping(r.document, "Resources") {
		if e.Exists("Resources", id) {
			resources[id] = cfn.Text(resource, "Type")
		}
	}
	return resources, e.Err()
}

// Dependencies returns, for each resource, the logical ids of the resources that it refers to in any branch of a
// condition. CloudFormation creates them first.
func (r *Rendered) Dependencies() map[string][]string { return cfn.Dependencies(r.document) }

// symbolic returns an evaluator with the values of the parameters and symbolic pseudo parameters. References to
// resources become symbolic, too, and contain the names whose change replaces the resource.
func (r *Rendered) symbolic() *cfn.Evaluator {
	values := cfn.SymbolicPseudoParameters()
	maps.Copy(values, r.parameters)
	return cfn.NewEvaluator(r.document, values, func(e *cfn.Evaluator, id, attribute string) (any, error) {
		var ref any = "${" + id + "}"
		resourceType := e.Resource(id)["Type"]
		if property := nameProperty(resourceType); property != "" {
			if name := e.Property(id, property); cfn.IsScalar(name) {
				ref = name
			}
		}
		if resourceType == aliasType {
			ref = fmt.Sprintf("${%s %v %v}", id, e.Property(id, "FunctionName"), e.Property(id, "Name"))
		}
		if attribute == "" {
			return ref, nil
		}
		return fmt.Sprintf("${%s.%s %v}", id, attribute, ref), nil
	})
}

// onlyOne returns the id of the only resource of a type, or "" after a fault.
func onlyOne(e *cfn.Evaluator, resourceType string) string {
	ids := e.All(resourceType)
	if len(ids) != 1 {
		e.Failf(templateFile+": Resources", "want one %s, got %d", resourceType, len(ids))
		return ""
	}
	return ids[0]
}

// section returns the mapping at a key, which it creates if it is absent.
func section(document object, key string) object {
	s := cfn.Mapping(document, key)
	if s == nil {
		s = object{}
		document[key] = s
	}
	return s
}
