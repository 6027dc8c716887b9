package reference

import (
	"cmp"
	"fmt"
	"iter"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/userrequestapi/userdata/deploy/contract"
)

// outline is the part of a document that the page shows before Swagger UI has started, and without JavaScript.
type outline struct {
	Info struct {
		Description      string
		Contact, License webPage
	}
	Docs       webPage `yaml:"externalDocs"`
	Servers    []server
	Components struct {
		Schemes map[string]yaml.Node `yaml:"securitySchemes"`
	}
	Security []yaml.Node
	Paths    yaml.Node // a mapping of paths
	Tags     []*tag    // those of the document, in its order, then those that only operations have
}

// server is a server of the document.
type server struct {
	URL, Description string
	Variables        yaml.Node // a mapping of names
}

// Defaults returns the variables with their default values, in the order of the document.
func (s server) Defaults() (all []variable, err error) {
	for name, definition := range entries(&s.Variables) {
		v := variable{Name: name}
		if err := definition.Decode(&v); err != nil {
			return nil, fmt.Errorf("read the variables of the server %s: %w", s.URL, err)
		}
		all = append(all, v)
	}
	return all, nil
}

// Computed returns the URL with the default values.
func (s server) Computed() (string, error) {
	all, err := s.Defaults()
	address := s.URL
	for _, v := range all {
		address = strings.ReplaceAll(address, "{"+v.Name+"}", v.Default)
	}
	return address, err
}

// variable is a variable of a server.
type variable struct {
	Name    string `yaml:"-"`
	Default string
}

// webPage is a link of the document.
type webPage struct{ Name, Description, URL string }

// tag is a tag with its operations in the order of the document.
type tag struct {
	Name, Description string
	Operations        []operation `yaml:"-"`
}

// operation is an operation in the list of the page.
type operation struct {
	Method, Path, ID, Summary, Curl string
	Secured                         bool // requests need authorization
}

// Key is the method in lower case.
func (o operation) Key() string { return strings.ToLower(o.Method) }

// newOutline returns the outline of a document. samples is the result of [Samples], or nil.
func newOutline(document *contract.Public, samples map[string][]Sample) (outline, error) {
	var o outline
	if err := document.Decode(&o); err != nil {
		return outline{}, fmt.Errorf("read the operations of the document: %w", err)
	}
	tags := map[string]*tag{}
	for _, t := range o.Tags {
		tags[t.Name] = t
	}
	for path, item := range entries(&o.Paths) {
		for key, definition := range entries(item) {
			method := strings.ToUpper(key)
			if !isMethod(method) {
				continue
			}
			var source struct {
				ID       string `yaml:"operationId"`
				Summary  string
				Tags     []string
				Security *[]yaml.Node
			}
			if err := definition.Decode(&source); err != nil {
				return outline{}, fmt.Errorf("read the operation %s %s: %w", method, path, err)
			}
			shown := operation{Method: method, Path: path, ID: source.ID, Summary: source.Summary}
			shown.Secured = len(*cmp.Or(source.Security, &o.Security)) > 0
			if list := samples[method+" "+path]; len(list) > 0 {
				shown.Curl = list[0].Code
			}
			if len(source.Tags) == 0 {
				source.Tags = []string{"default"} // as Swagger UI names it
			}
			for _, name := range source.Tags {
				if tags[name] == nil {
					tags[name] = &tag{Name: name}
					o.Tags = append(o.Tags, tags[name])
				}
				tags[name].Operations = append(tags[name].Operations, shown)
			}
		}
	}
	return o, nil
}

// entries returns the keys and values of a mapping in the order of the document.
func entries(mapping *yaml.Node) iter.Seq2[string, *yaml.Node] {
	return func(yield func(string, *yaml.Node) bool) {
		for i := 0; i+1 < len(mapping.Content); i += 2 {
			if !yield(mapping.Content[i].Value, mapping.Content[i+1]) {
				return
			}
		}
	}
}

// isMethod reports whether a key of a path, in upper case, is a method ("OpenAPI Specification 3.0", Path Item Object).
func isMethod(key string) bool {
	switch key {
	case "GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE":
		return true
	}
	return false
}
