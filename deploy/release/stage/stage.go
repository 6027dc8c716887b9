// Package stage reads what is particular to a stage: where it is deployed, and the values of the template's parameters.
package stage

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The files of the stages.
const (
	folder    = "stages"
	extension = ".yaml"
)

// nameParameter is the template's parameter that the file's name gives.
const nameParameter = "StageName"

// Stage is what stages/<name>.yaml says.
type Stage struct {
	Name       string
	Region     string            // the only one that the stage may be deployed to; empty: any
	Account    string            // the only one that the stage may be deployed to, 12 digits; empty: any
	Parameters map[string]string // of the template, by name; StageName is among them

	file   string
	places map[string]string // of the parameters' values, as file:line:column
}

// Place returns where the value of a parameter is set, as file:line:column; the file alone if it does not set the
// parameter.
func (s Stage) Place(parameter string) string { return cmp.Or(s.places[parameter], s.file) }

// Load reads the file of the stage below files, the folder of template.yaml, where parameters are those that the
// template has. Whether their values are allowed is for the template to check. The error joins all faults, each with
// its place; one about a stage that has no file tells which stages there are.
func Load(files fs.FS, name string, parameters []string) (Stage, error) {
	names, err := stages(files)
	if err != nil {
		return Stage{}, err
	}
	if !slices.Contains(names, name) {
		return Stage{}, absent(name, names)
	}
	file := path.Join(folder, name+extension)
	data, err := fs.ReadFile(files, file)
	if err != nil {
		return Stage{}, fmt.Errorf("read the stage: %w", err)
	}
	r := reader{file: file, known: parameters, stage: Stage{
		Name: name, Parameters: map[string]string{nameParameter: name}, file: file, places: map[string]string{},
	}}
	r.read(data)
	if len(r.faults) > 0 {
		return Stage{}, errors.Join(r.faults...)
	}
	return r.stage, nil
}

// stages returns the names of the stages that have a file.
func stages(files fs.FS) ([]string, error) {
	found, err := fs.Glob(files, path.Join(folder, "*"+extension))
	if err != nil {
		return nil, fmt.Errorf("look for stages: %w", err)
	}
	for i, file := range found {
		found[i] = strings.TrimSuffix(path.Base(file), extension)
	}
	return found, nil
}

func absent(name string, names []string) error {
	hint := "."
	if near, ok := nearest(name, names); ok {
		hint = "; did you mean STAGE=" + near + "?"
	}
	return fmt.Errorf("there is no stage %q, but %s%s To add it, copy one of deploy/%s to deploy/%[4]s/%s%s and edit it",
		name, cmp.Or(strings.Join(names, ", "), "none at all"), hint, folder, cmp.Or(name, "NAME"), extension)
}

// reader reads one file, and keeps all faults of it.
type reader struct {
	file   string
	known  []string
	stage  Stage
	faults []error
}

func (r *reader) failf(node *yaml.Node, format string, args ...any) {
	place := r.file
	if node != nil {
		place = r.place(node)
	}
	r.faults = append(r.faults, fmt.Errorf("%s: %w", place, fmt.Errorf(format, args...)))
}

func (r *reader) place(node *yaml.Node) string {
	return fmt.Sprintf("%s:%d:%d", r.file, node.Line, node.Column)
}

// twelveDigits is an account's id.
var twelveDigits = regexp.MustCompile(`^\d{12}$`)

func (r *reader) read(data []byte) {
	var document, second yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return // a stage of defaults
	} else if err != nil {
		r.failf(nil, "%w", err)
		return
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		r.failf(nil, "it must hold one YAML document")
		return
	}
	keys := []string{"account", "parameters", "region"}
	for key, value := range r.pairs(document.Content[0], "the stage", keys) {
		switch key.Value {
		case "region":
			r.stage.Region, _ = r.text(key, value)
		case "account":
			var ok bool
			if r.stage.Account, ok = r.text(key, value); ok && !twelveDigits.MatchString(r.stage.Account) {
				r.failf(value, "account: %q is not the 12 digits of an account", r.stage.Account)
			}
		case "parameters":
			if value.ShortTag() == "!!null" { // all of them are commented out
				continue
			}
			for name, value := range r.pairs(value, "parameters", r.known) {
				if name.Value == nameParameter {
					r.failf(name, "%s: leave it out, it is the file's name", name.Value)
				} else if text, ok := r.text(name, value); ok {
					r.stage.Parameters[name.Value], r.stage.places[name.Value] = text, r.place(value)
				}
			}
		}
	}
}

// pairs returns the keys of a mapping and their values, but for keys that are unknown or there twice.
func (r *reader) pairs(node *yaml.Node, what string, known []string) func(yield func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		if node.Kind != yaml.MappingNode {
			r.failf(node, "%s must be a mapping of names to values", what)
			return
		}
		seen := map[string]bool{}
		for i := 0; i < len(node.Content); i += 2 {
			key, value := node.Content[i], node.Content[i+1]
			switch near, ok := nearest(key.Value, known); {
			case seen[key.Value]:
				r.failf(key, "%s: it is there twice", key.Value)
			case slices.Contains(known, key.Value):
				if !yield(key, value) {
					return
				}
			case ok:
				r.failf(key, "%s: %s has no such name; did you mean %s?", key.Value, what, near)
			default:
				r.failf(key, "%s: %s has no such name, but %s", key.Value, what, strings.Join(known, ", "))
			}
			seen[key.Value] = true
		}
	}
}

// text returns a scalar as it is written, which keeps the zeros of an account and all digits of a number.
func (r *reader) text(key, value *yaml.Node) (string, bool) {
	switch value.ShortTag() {
	case "!!str", "!!int", "!!float":
		if value.Kind == yaml.ScalarNode {
			return value.Value, true
		}
	case "!!bool": // True in YAML is true to CloudFormation
		var b bool
		if err := value.Decode(&b); err == nil {
			return strconv.FormatBool(b), true
		}
	case "!!null":
		r.failf(value, `%s: it has no value; write "" for an empty one, or leave it out for its default`, key.Value)
		return "", false
	}
	r.failf(value, "%s: it must be a text, a number, true or false", key.Value)
	return "", false
}
