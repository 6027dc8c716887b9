package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Public is a document for readers. It is immutable.
//
// It keeps the order of the source, so that pages show GET before DELETE and examples as they were written. kin-openapi
// cannot write this order: it decodes paths, responses and examples into Go maps and sorts their keys. Its Origin has
// the lines of OpenAPI's elements, but not those of the keys of an example.
type Public struct {
	Title, Version string // of the API
	root           *yaml.Node
}

// ParsePublic parses a document for readers, such as an export of API Gateway, from YAML or JSON. It only checks that
// the document is a mapping with openapi, info and paths.
func ParsePublic(source []byte) (*Public, error) {
	var file yaml.Node
	var keys map[string]any
	err := yaml.Unmarshal(source, &file)
	if err == nil {
		err = file.Decode(&keys) // finds duplicate keys
	}
	if err != nil {
		return nil, fmt.Errorf("read an OpenAPI document: %w", err)
	}
	for _, key := range []string{"openapi", "info", "paths"} {
		if keys[key] == nil {
			return nil, fmt.Errorf("read an OpenAPI document: %s is missing", key)
		}
	}
	root, err := plain(file.Content[0])
	if err != nil {
		return nil, err
	}
	info := value(root, "info")
	return &Public{scalar(value(info, "title")), scalar(value(info, "version")), root}, nil
}

// ForStage returns the document for clients of a stage, with the stage as its only server and at most one security
// scheme, "" for none.
func (p *Public) ForStage(invokeURL, description, scheme string) *Public {
	root := p.WithServer(invokeURL, description).root
	var definitions *yaml.Node
	components, security := value(root, "components"), encode([]any{})
	if definition := value(value(components, schemesKey), scheme); definition != nil {
		definitions = encode(map[string]*yaml.Node{scheme: definition})
	}
	if components != nil {
		root = with(root, "components", with(components, schemesKey, definitions))
	}
	if scheme != "" {
		security = encode([]map[string][]string{{scheme: {}}})
	}
	return &Public{p.Title, p.Version, with(root, "security", security)}
}

// WithServer returns the document with a single server.
func (p *Public) WithServer(url, description string) *Public {
	type server struct{ URL, Description string } // encoded in lower case
	return &Public{p.Title, p.Version, with(p.root, "servers", encode([]server{{url, description}}))}
}

const schemesKey = "securitySchemes"

// YAML returns the document in YAML, in the order of its source.
func (p *Public) YAML() []byte {
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := errors.Join(encoder.Encode(p.root), encoder.Close()); err != nil { // it was parsed from YAML
		panic(err)
	}
	return out.Bytes()
}

// Decode decodes the document as [yaml.Node.Decode] does. A field of type yaml.Node keeps the order of a mapping.
func (p *Public) Decode(into any) error { return p.root.Decode(into) }

// JSON returns the document in JSON, indented, in the order of its source.
func (p *Public) JSON() []byte {
	var out bytes.Buffer
	if err := json.Indent(&out, p.compact(), "", "  "); err != nil {
		panic(err)
	}
	out.WriteByte('\n')
	return out.Bytes()
}

func (p *Public) compact() []byte {
	var out bytes.Buffer
	writeJSON(&out, p.root)
	return out.Bytes()
}

// value returns the value of a key of a mapping, or nil.
func value(node *yaml.Node, key string) *yaml.Node {
	if node == nil || node.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i+1]
		}
	}
	return nil
}

// with returns a copy of a mapping in which key has the given value, or is absent if it is nil.
func with(node *yaml.Node, key string, content *yaml.Node) *yaml.Node {
	changed := *node
	changed.Content = slices.Clone(node.Content)
	for i := 0; i < len(changed.Content); i += 2 {
		if changed.Content[i].Value != key {
			continue
		}
		if content == nil {
			changed.Content = slices.Delete(changed.Content, i, i+2)
		} else {
			changed.Content[i+1] = content
		}
		return &changed
	}
	if content != nil {
		changed.Content = append(changed.Content, encode(key), content)
	}
	return &changed
}

func scalar(node *yaml.Node) string {
	if node == nil {
		return ""
	}
	return node.Value
}

func encode(value any) *yaml.Node {
	node := &yaml.Node{}
	if err := node.Encode(value); err != nil { // impossible for the values of this package
		panic(err)
	}
	return node
}
