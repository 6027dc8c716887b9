// Package contract gives readers the API document, deploy/openapi.yaml: without what only the deployment needs, and with the address and
// the authorization of a stage.
package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// File is the name of the API document in the folder deploy.
const File = "openapi.yaml"

// Document is an OpenAPI document (OpenAPI Specification 3.0). It is never changed: its methods return others.
type Document struct{ root *yaml.Node }

// Read reads the API document in the folder deploy.
func Read(deploy fs.FS) (*Document, error) {
	source, err := fs.ReadFile(deploy, File)
	if err != nil {
		return nil, fmt.Errorf("read the API document: %w", err)
	}
	document, err := Parse(source)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", File, err)
	}
	return document, nil
}

// Parse reads a document from YAML or JSON. It looks no further than that it is a mapping with openapi, info and paths.
func Parse(source []byte) (*Document, error) {
	var file yaml.Node
	if err := yaml.Unmarshal(source, &file); err != nil {
		return nil, fmt.Errorf("read an OpenAPI document: %w", err)
	}
	if len(file.Content) != 1 || file.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("read an OpenAPI document: it is not a mapping")
	}
	root := clone(file.Content[0])
	for _, key := range []string{"openapi", "info", "paths"} {
		if value(root, key) == nil {
			return nil, fmt.Errorf("read an OpenAPI document: %s is missing", key)
		}
	}
	return &Document{root}, nil
}

// Public returns the document without extensions (names that begin with x-).
func (d *Document) Public() *Document {
	root := clone(d.root)
	removeExtensions(root, false)
	return &Document{root}
}

// ForStage returns the document as clients of a stage need it: public, with the stage as its only server, and with the security of
// one authorization, a value of the template's parameter Authorization.
func (d *Document) ForStage(invokeURL, description, authorization string) *Document {
	stage := d.Public().WithServer(invokeURL, description)
	scheme := SecurityScheme(authorization)
	security := sequence()
	if scheme != "" {
		security = sequence(mapping(text(scheme), sequence()))
	}
	set(stage.root, "security", security)
	if components := value(stage.root, "components"); components != nil {
		if definition := value(value(components, schemesKey), scheme); definition != nil {
			set(components, schemesKey, mapping(text(scheme), definition))
		} else {
			remove(components, schemesKey)
		}
	}
	return stage
}

// WithServer returns the document with one server.
func (d *Document) WithServer(url, description string) *Document {
	root := clone(d.root)
	set(root, "servers", sequence(mapping(text("url"), text(url), text("description"), text(description))))
	return &Document{root}
}

const schemesKey = "securitySchemes"

// SecurityScheme returns the name that the document has for an authorization, a value of the template's parameter Authorization.
// Where anybody may call, NONE, it is empty.
func SecurityScheme(authorization string) string {
	switch authorization {
	case "AWS_IAM":
		return "sigv4"
	case "COGNITO_USER_POOLS":
		return "userPool"
	case "API_KEY":
		return "apiKey"
	default:
		return ""
	}
}

// Title returns the name of the API.
func (d *Document) Title() string { return scalar(value(value(d.root, "info"), "title")) }

// Version returns the version of the API.
func (d *Document) Version() string { return scalar(value(value(d.root, "info"), "version")) }

// YAML returns the document in YAML, in the order of its source.
func (d *Document) YAML() []byte {
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	if err := errors.Join(encoder.Encode(d.root), encoder.Close()); err != nil { // it was read from YAML
		panic(err)
	}
	return text.Bytes()
}

// JSON returns the document in JSON, indented, in the order of its source.
func (d *Document) JSON() []byte {
	var compact, text bytes.Buffer
	writeJSON(&compact, d.root)
	if err := json.Indent(&text, compact.Bytes(), "", "  "); err != nil { // written just before
		panic(err)
	}
	text.WriteByte('\n')
	return text.Bytes()
}

func writeJSON(out *bytes.Buffer, node *yaml.Node) {
	switch node.Kind {
	case yaml.MappingNode:
		out.WriteByte('{')
		for i := 0; i < len(node.Content); i += 2 {
			if i > 0 {
				out.WriteByte(',')
			}
			out.Write(quoted(node.Content[i].Value))
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
		writeScalar(out, node)
	}
}

// writeScalar writes what JSON has no other form for as a text, dates among it.
func writeScalar(out *bytes.Buffer, node *yaml.Node) {
	switch node.ShortTag() {
	case "!!null":
		out.WriteString("null")
	case "!!bool":
		out.WriteString(strconv.FormatBool(strings.EqualFold(node.Value, "true")))
	case "!!int", "!!float":
		if json.Valid([]byte(node.Value)) {
			out.WriteString(node.Value)
			return
		}
		fallthrough
	default:
		out.Write(quoted(node.Value))
	}
}

func quoted(value string) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil { // a text
		panic(err)
	}
	return bytes.TrimRight(out.Bytes(), "\n")
}

// removeExtensions leaves what people named as it is: headers may begin with x-, and so may anything in examples.
func removeExtensions(node *yaml.Node, named bool) {
	if node.Kind == yaml.SequenceNode {
		for _, element := range node.Content {
			removeExtensions(element, false)
		}
	}
	if node.Kind != yaml.MappingNode {
		return
	}
	var kept []*yaml.Node
	for i := 0; i < len(node.Content); i += 2 {
		key, content := node.Content[i], node.Content[i+1]
		switch {
		case named:
			removeExtensions(content, false)
		case strings.HasPrefix(key.Value, "x-"):
			continue
		case !isData(key.Value):
			removeExtensions(content, hasNames(key.Value))
		}
		kept = append(kept, key, content)
	}
	node.Content = kept
}

// isData tells the keys below which there is data, not description.
func isData(key string) bool {
	switch key {
	case "default", "enum", "example", "value":
		return true
	}
	return false
}

// hasNames tells the keys below which there are names that people chose.
func hasNames(key string) bool {
	switch key {
	case "callbacks", "content", "examples", "headers", "links", "mapping", "parameters", "properties", "requestBodies", "responses",
		"schemas", schemesKey, "variables":
		return true
	}
	return false
}

// clone copies a node without comments, and with what aliases stand for in their places.
func clone(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return clone(node.Alias)
	}
	copied := &yaml.Node{Kind: node.Kind, Style: node.Style, Tag: node.Tag, Value: node.Value}
	for _, content := range node.Content {
		copied.Content = append(copied.Content, clone(content))
	}
	return copied
}

// value returns what a mapping has under a key, nil where it has nothing.
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

func set(node *yaml.Node, key string, content *yaml.Node) {
	if old := value(node, key); old != nil {
		*old = *content
		return
	}
	node.Content = append(node.Content, text(key), content)
}

func remove(node *yaml.Node, key string) {
	for i := 0; i < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			node.Content = append(node.Content[:i:i], node.Content[i+2:]...)
			return
		}
	}
}

func scalar(node *yaml.Node) string {
	if node == nil {
		return ""
	}
	return node.Value
}

func text(value string) *yaml.Node {
	node := &yaml.Node{}
	node.SetString(value)
	return node
}

func sequence(content ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: content}
}

// mapping takes keys, each followed by its content.
func mapping(content ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: content}
}
