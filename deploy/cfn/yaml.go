package cfn

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ParseYAML parses one YAML document. It converts the short forms of intrinsic functions (!Ref) to the long ones
// ({"Ref": …}).
func ParseYAML(data []byte) (Object, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		return nil, fmt.Errorf("read YAML: %w", err)
	}
	if len(document.Content) != 1 {
		return nil, errors.New("read YAML: no document")
	}
	decoded, err := parse(document.Content[0])
	if err != nil {
		return nil, err
	}
	o, ok := decoded.(Object)
	if !ok {
		return nil, errors.New("want a mapping")
	}
	return o, nil
}

func parse(node *yaml.Node) (any, error) {
	if strings.HasPrefix(node.Tag, "!") && !strings.HasPrefix(node.Tag, "!!") {
		return parseIntrinsic(node)
	}
	switch node.Kind {
	case yaml.AliasNode:
		return parse(node.Alias)
	case yaml.MappingNode:
		return parseMapping(node)
	case yaml.SequenceNode:
		list := make([]any, len(node.Content))
		for i, element := range node.Content {
			var err error
			if list[i], err = parse(element); err != nil {
				return nil, err
			}
		}
		return list, nil
	default:
		return scalar(node)
	}
}

func parseMapping(node *yaml.Node) (any, error) {
	m := Object{}
	var merged Object
	for i := 0; i < len(node.Content); i += 2 {
		key := node.Content[i]
		if key.Kind != yaml.ScalarNode {
			return nil, errorAt(key, "want a scalar as key")
		}
		if key.ShortTag() == "!!merge" {
			value, err := parse(node.Content[i+1])
			if err != nil {
				return nil, err
			}
			var ok bool
			if merged, ok = value.(Object); !ok {
				return nil, errorAt(key, "want one mapping to merge")
			}
			continue
		}
		if _, ok := m[key.Value]; ok {
			return nil, errorAt(key, "duplicate key %s", key.Value)
		}
		value, err := parse(node.Content[i+1])
		if err != nil {
			return nil, err
		}
		m[key.Value] = value
	}
	for key, value := range merged { // the mapping's own keys take precedence
		if _, ok := m[key]; !ok {
			m[key] = value
		}
	}
	return m, nil
}

func scalar(node *yaml.Node) (any, error) {
	switch tag := node.ShortTag(); tag {
	case "!!str", "!!timestamp": // CloudFormation has times only as strings
		return node.Value, nil
	case "!!null":
		return nil, nil
	case "!!bool":
		return decode[bool](node)
	case "!!int":
		return decode[int64](node)
	case "!!float":
		value, err := decode[float64](node)
		if f, ok := value.(float64); ok && (math.IsInf(f, 0) || math.IsNaN(f)) {
			return nil, errorAt(node, "JSON cannot represent %s", node.Value)
		}
		return value, err
	default:
		return nil, errorAt(node, "values of the type %s are not supported", tag)
	}
}

func decode[T any](node *yaml.Node) (any, error) {
	var v T
	if err := node.Decode(&v); err != nil {
		return nil, errorAt(node, "%v", err)
	}
	return v, nil
}

// parseIntrinsic converts a short form to the long form ("Intrinsic function reference").
func parseIntrinsic(node *yaml.Node) (any, error) {
	name := strings.TrimPrefix(node.Tag, "!")
	plain := *node
	plain.Tag = ""
	if node.Kind == yaml.ScalarNode {
		plain.Tag = "!!str"
	}
	argument, err := parse(&plain)
	if err != nil {
		return nil, err
	}
	switch name {
	case "Ref", "Condition":
		return Object{name: argument}, nil
	case "GetAtt":
		if name, ok := argument.(string); ok {
			resource, attribute, found := strings.Cut(name, ".")
			if !found {
				return nil, errorAt(node, "!GetAtt %s: want Resource.Attribute", name)
			}
			argument = []any{resource, attribute}
		}
		return Object{"Fn::GetAtt": argument}, nil
	case "Sub", "If", "Equals", "Not", "And", "Or", "Join", "Select", "Split", "FindInMap", "Base64", "Cidr", "GetAZs",
		"ImportValue":
		return Object{"Fn::" + name: argument}, nil
	default:
		return nil, errorAt(node, "the tag !%s is not an intrinsic function", name)
	}
}

func errorAt(node *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("line %d, column %d: %s", node.Line, node.Column, fmt.Sprintf(format, args...))
}

// ParseJSON parses JSON into the types of [Object].
func ParseJSON(data []byte) (Object, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, fmt.Errorf("read JSON: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("read JSON: unexpected data after the document")
	}
	value, err := numbers(value)
	if err != nil {
		return nil, err
	}
	o, ok := value.(Object)
	if !ok {
		return nil, errors.New("want a JSON object")
	}
	return o, nil
}

// numbers converts the numbers of a document to int64 if possible, otherwise to float64.
func numbers(value any) (_ any, err error) {
	switch v := value.(type) {
	case Object:
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
