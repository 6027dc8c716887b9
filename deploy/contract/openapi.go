// Package contract reads the API document, deploy/openapi.yaml, and adapts it for readers: without extensions, and with
// the server and the authorization of a stage.
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

// Document is an OpenAPI document (OpenAPI Specification 3.0). It is immutable.
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

// Parse parses a document from YAML or JSON. It only checks that the document is a mapping with openapi, info and
// paths.
func Parse(source []byte) (*Document, error) {
	var file yaml.Node
	if err := yaml.Unmarshal(source, &file); err != nil {
		return nil, fmt.Errorf("read an OpenAPI document: %w", err)
	}
	if len(file.Content) != 1 || file.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("read an OpenAPI document: want a mapping")
	}
	root := clone(file.Content[0])
	for _, key := range []string{"openapi", "info", "paths"} {
		if value(root, key) == nil {
			return nil, fmt.Errorf("read an OpenAPI document: %s is missing", key)
		}
	}
	return &Document{root}, nil
}

// Public returns the document without extensions, which are fields with names that begin with x-.
func (d *Document) Public() *Document {
	root := clone(d.root)
	removeExtensions(root, false)
	return &Document{root}
}

// ForStage returns the public document for clients of a stage, with the stage as its only server and one security
// scheme. authorization is a value of the template's parameter Authorization.
func (d *Document) ForStage(invokeURL, description, authorization string) *Document {
	stage := d.Public().WithServer(invokeURL, description)
	scheme := SecurityScheme(authorization)
	security := sequence()
	if scheme != "" {
		security = sequence(mapping(stringNode(scheme), sequence()))
	}
	set(stage.root, "security", security)
	if components := value(stage.root, "components"); components != nil {
		if definition := value(value(components, schemesKey), scheme); definition != nil {
			set(components, schemesKey, mapping(stringNode(scheme), definition))
		} else {
			remove(components, schemesKey)
		}
	}
	return stage
}

// WithServer returns the document with a single server.
func (d *Document) WithServer(url, description string) *Document {
	root := clone(d.root)
	set(
		root,
		"servers",
		sequence(mapping(stringNode("url"), stringNode(url), stringNode("description"), stringNode(description))),
	)
	return &Document{root}
}

const schemesKey = "securitySchemes"

// SecurityScheme returns the name of the document's security scheme for a value of the template's parameter
// Authorization, or "" for NONE.
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
	if err := errors.Join(encoder.Encode(d.root), encoder.Close()); err != nil { // it was parsed from YAML
		panic(err)
	}
	return text.Bytes()
}

// JSON returns the document in JSON, indented, in the order of its source.
func (d *Document) JSON() []byte {
	var compact, text bytes.Buffer
	writeJSON(&compact, d.root)
	if err := json.Indent(&text, compact.Bytes(), "", "  "); err != nil {
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
			out.Write(quoteJSON(node.Content[i].Value))
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

// writeScalar writes scalars without a JSON equivalent, such as dates, as strings.
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
		out.Write(quoteJSON(node.Value))
	}
}

func quoteJSON(value string) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic(err)
	}
	return bytes.TrimRight(out.Bytes(), "\n")
}

// removeExtensions removes extensions. If named is set, the keys of node are names chosen by an author, such as
// headers, which may begin with x-. Examples are not changed.
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
	case "callbacks",
		"content", "examples", "headers", "links", "mapping", "parameters", "properties", "requestBodies", "responses",
		"schemas", schemesKey,
		"variables":
		return true
	}
	return false
}

// clone copies a node without comments and with aliases resolved.
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

func set(node *yaml.Node, key string, content *yaml.Node) {
	if old := value(node, key); old != nil {
		*old = *content
		return
	}
	node.Content = append(node.Content, stringNode(key), content)
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

func stringNode(value string) *yaml.Node {
	node := &yaml.Node{}
	node.SetString(value)
	return node
}

func sequence(content ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: content}
}

// mapping returns a mapping of alternating keys and values.
func mapping(content ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: content}
}
