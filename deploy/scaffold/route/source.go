package route

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// source is a YAML file to which text is added. The rest keeps its layout and its comments.
type source struct {
	name  string
	text  string
	lines []string // without line breaks
	root  *yaml.Node
	edits []edit
}

// edit is text to insert at an offset of a file.
type edit struct {
	offset int
	text   string
}

func parseSource(name string, content []byte) (*source, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(content, &document); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(document.Content) != 1 {
		return nil, fmt.Errorf("%s: want a mapping", name)
	}
	text := string(content)
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return &source{name: name, text: text, lines: strings.Split(text, "\n"), root: document.Content[0]}, nil
}

// find returns the key and the value at a path of keys, or nil.
func find(root *yaml.Node, keys ...string) (key, value *yaml.Node) {
	value = root
	for _, name := range keys {
		if value != nil && value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		if value == nil || value.Kind != yaml.MappingNode {
			return nil, nil
		}
		var next *yaml.Node
		for i := 0; i < len(value.Content); i += 2 {
			if value.Content[i].Value == name {
				key, next = value.Content[i], value.Content[i+1]
			}
		}
		value = next
	}
	if value == nil {
		return nil, nil
	}
	return key, value
}

// mapping returns a mapping in block style with at least one key.
func (s *source) mapping(keys ...string) (*yaml.Node, error) {
	_, value := find(s.root, keys...)
	if value == nil || value.Kind != yaml.MappingNode || value.Style&yaml.FlowStyle != 0 || len(value.Content) == 0 {
		return nil, fmt.Errorf("%s: %s: want a mapping with one key a line", s.name, strings.Join(keys, "."))
	}
	return value, nil
}

// last returns the last key of a mapping.
func last(mapping *yaml.Node) *yaml.Node { return mapping.Content[len(mapping.Content)-2] }

// after inserts text after a key of a mapping in block style and its value, indented as the key.
func (s *source) after(key *yaml.Node, text string) {
	end := key.Line // the number of lines before the inserted text
	for n := key.Line; n < len(s.lines); n++ {
		content := strings.TrimLeft(s.lines[n], " ")
		indent := len(s.lines[n]) - len(content)
		// The elements of a list may have the indentation of its key.
		if content != "" && indent < key.Column && (indent != key.Column-1 || !strings.HasPrefix(content, "- ")) {
			break
		}
		if content != "" {
			end = n + 1
		}
	}
	s.edits = append(s.edits, edit{s.offset(end+1, 1), indented(text, key.Column-1)})
}

// before inserts text before an element of a list in block style, indented as the element.
func (s *source) before(element *yaml.Node, text string) {
	column := element.Column - len("- ")
	s.edits = append(s.edits, edit{s.offset(element.Line, 1), indented(text, column-1)})
}

// appendTo inserts a scalar at the end of a list.
func (s *source) appendTo(list *yaml.Node, scalar string) error {
	if list == nil || list.Kind != yaml.SequenceNode || len(list.Content) == 0 {
		return fmt.Errorf("%s: want a list with at least one element", s.name)
	}
	end := list.Content[len(list.Content)-1]
	line := s.lines[end.Line-1]
	switch {
	case list.Style&yaml.FlowStyle == 0:
		s.edits = append(s.edits, edit{s.offset(end.Line+1, 1), strings.Repeat(" ", end.Column-3) + "- " + scalar + "\n"})
	case end.Style != 0:
		return fmt.Errorf("%s, line %d: want the elements of the list without quotation marks", s.name, end.Line)
	case len(line)+len(", "+scalar) > maxLine:
		text := ",\n" + strings.Repeat(" ", len(line)-len(strings.TrimLeft(line, " "))) + scalar
		s.edits = append(s.edits, edit{s.offset(end.Line, end.Column+len(end.Value)), text})
	default:
		s.edits = append(s.edits, edit{s.offset(end.Line, end.Column+len(end.Value)), ", " + scalar})
	}
	return nil
}

// maxLine is the length of a line from which on a list is continued on the next line.
const maxLine = 120

// offset returns the offset of a position, as in yaml.Node.
func (s *source) offset(line, column int) int {
	offset := 0
	for _, before := range s.lines[:line-1] {
		offset += len(before) + len("\n")
	}
	for range column - 1 {
		_, size := utf8.DecodeRuneInString(s.text[offset:])
		offset += size
	}
	return min(offset, len(s.text))
}

// edited returns the file with the edits.
func (s *source) edited() []byte {
	edits := slices.Clone(s.edits)
	slices.SortStableFunc(edits, func(a, b edit) int { return a.offset - b.offset })
	var out bytes.Buffer
	copied := 0
	for _, e := range edits {
		out.WriteString(s.text[copied:e.offset] + e.text)
		copied = e.offset
	}
	out.WriteString(s.text[copied:])
	return out.Bytes()
}

// indented returns text with each line that is not empty indented by n spaces.
func indented(text string, n int) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		if line != "\n" {
			out.WriteString(strings.Repeat(" ", n))
		}
		out.WriteString(line)
	}
	return out.String()
}

// entry is a key of an object with its value.
type entry struct {
	key   string
	value any
}

// object is a mapping to encode, in this order.
type object []entry

// inline is a value to encode in flow style.
type inline struct{ value any }

// reference returns a reference of the API document.
func reference(to string) inline { return inline{object{{"$ref", quoted(to)}}} }

// quoted is a string to encode in quotation marks.
type quoted string

// alias is the name of an anchor.
type alias string

// encode returns a value as YAML, with line breaks.
func encode(value any) string {
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(node(value)); err != nil { // impossible for the values of this package
		panic(err)
	}
	return out.String()
}

func node(value any) *yaml.Node {
	switch v := value.(type) {
	case *yaml.Node:
		return v
	case object:
		n := &yaml.Node{Kind: yaml.MappingNode}
		for _, e := range v {
			n.Content = append(n.Content, node(e.key), node(e.value))
		}
		return n
	case []any:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		for _, element := range v {
			n.Content = append(n.Content, node(element))
		}
		return n
	case inline:
		n := node(v.value)
		n.Style |= yaml.FlowStyle
		return n
	case quoted:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.DoubleQuotedStyle, Value: string(v)}
	case alias:
		return &yaml.Node{Kind: yaml.AliasNode, Value: string(v)}
	default:
		n := &yaml.Node{}
		if err := n.Encode(v); err != nil { // impossible for the values of this package
			panic(err)
		}
		return n
	}
}
