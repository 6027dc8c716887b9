package contract

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// plain returns a copy of a node without comments and with aliases resolved. It returns an error for tags that JSON
// does not have.
func plain(node *yaml.Node) (*yaml.Node, error) {
	if node.Kind == yaml.AliasNode {
		return plain(node.Alias)
	}
	if strings.HasPrefix(node.Tag, "!") && !strings.HasPrefix(node.Tag, "!!") || node.ShortTag() == "!!merge" {
		return nil, fmt.Errorf("line %d, column %d: the tag %s is not supported", node.Line, node.Column, node.ShortTag())
	}
	copied := &yaml.Node{Kind: node.Kind, Style: node.Style, Tag: node.Tag, Value: node.Value}
	for _, content := range node.Content {
		element, err := plain(content)
		if err != nil {
			return nil, err
		}
		copied.Content = append(copied.Content, element)
	}
	return copied, nil
}

var (
	// functionOfOperation matches the place of the extension FunctionKey.
	functionOfOperation = regexp.MustCompile(
		`^paths\..+\.(get|head|post|put|patch|delete|options|trace)\.` + FunctionKey + `$`)

	// component matches a reference to a component of the same document.
	component = regexp.MustCompile(`^#/components/[A-Za-z]+/[A-Za-z0-9._-]+$`)
)

// removeExtensions removes extensions, and returns an error for each that is not the function of an operation, and for
// references that are not to a component. If named is set, the keys of node are names chosen by an author, such as
// headers, which may begin with x-. Examples are not changed.
func removeExtensions(path string, node *yaml.Node, named bool) (faults []error) {
	if node.Kind == yaml.SequenceNode {
		for i, element := range node.Content {
			faults = append(faults, removeExtensions(fmt.Sprintf("%s.%d", path, i), element, false)...)
		}
	}
	if node.Kind != yaml.MappingNode {
		return faults
	}
	var kept []*yaml.Node
	for i := 0; i < len(node.Content); i += 2 {
		key, content := node.Content[i], node.Content[i+1]
		inner := strings.TrimPrefix(path+"."+key.Value, ".")
		switch {
		case named:
			faults = append(faults, removeExtensions(inner, content, false)...)
		case strings.HasPrefix(key.Value, "x-"):
			if !functionOfOperation.MatchString(inner) {
				faults = append(faults, fmt.Errorf("%s: extensions are not supported", inner))
			}
			continue
		case key.Value == "$ref" && (len(node.Content) > 2 || !component.MatchString(content.Value)):
			faults = append(faults, fmt.Errorf(
				"%s: $ref %s: want a reference to a component of this document, and no other key", path, content.Value))
		case !isData(key.Value):
			faults = append(faults, removeExtensions(inner, content, hasNames(key.Value))...)
		}
		kept = append(kept, key, content)
	}
	node.Content = kept
	return faults
}

// isData reports whether a key holds data, not a description of it.
func isData(key string) bool {
	switch key {
	case "default", "enum", "example", "value":
		return true
	}
	return false
}

// hasNames reports whether the keys of a mapping are names chosen by an author.
func hasNames(key string) bool {
	switch key {
	case "callbacks", "content", "examples", "headers", "links", "mapping", "parameters", "properties", "requestBodies",
		"responses", "schemas", schemesKey, "variables":
		return true
	}
	return false
}

// writeJSON writes a node that plain has returned.
func writeJSON(out *bytes.Buffer, node *yaml.Node) {
	switch node.Kind {
	case yaml.MappingNode:
		out.WriteByte('{')
		for i := 0; i < len(node.Content); i += 2 {
			if i > 0 {
				out.WriteByte(',')
			}
			writeString(out, node.Content[i].Value)
			out.WriteByte(':')
			writeJSON(out, node.Content[i+1])
		}
		out.WriteByte('}')
	case yaml.SequenceNode:
		out.WriteByte('[')
		for i, element := range node.Content {
			if i > 0 {
				out.WriteByte(',')
			}
			writeJSON(out, element)
		}
		out.WriteByte(']')
	default:
		literal := strings.ToLower(node.Value) // such as True; numbers keep their digits
		switch tag := node.ShortTag(); {
		case tag == "!!null":
			out.WriteString("null")
		case tag != "!!str" && json.Valid([]byte(literal)):
			out.WriteString(literal)
		default: // a string, or a value without a JSON equivalent, such as a date
			writeString(out, node.Value)
		}
	}
}

func writeString(out *bytes.Buffer, value string) {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil { // impossible for a string
		panic(err)
	}
	out.Truncate(out.Len() - 1) // the newline
}
