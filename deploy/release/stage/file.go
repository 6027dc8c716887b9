package stage

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/userrequestapi/userdata/deploy/host/nearest"
)

const (
	folder    = "stages"
	extension = ".yaml"
)

// nameParameter is the parameter that is set to the file's name.
const nameParameter = "StageName"

// File is the content of stages/<name>.yaml.
type File struct {
	Name       string
	Region     string            // the only Region that it may be deployed to; "" allows any
	Account    string            // the only account that it may be deployed to, 12 digits; "" allows any
	Parameters map[string]string // of the template, including StageName

	file   string
	places map[string]string // of the parameters' values, as file:line:column
}

// Place returns where the value of a parameter is set, as file:line:column, or the file if it is not set.
func (f File) Place(parameter string) string { return cmp.Or(f.places[parameter], f.file) }

// filePath returns the path of the file of a stage in a workspace.
func filePath(root, name string) string { return filepath.Join(root, "deploy", folder, name+extension) }

// local is the value of STAGE that means the local stack.
const local = "local"

// IsLocal reports whether the name of a stage means the local stack. A deployed stage may have the same name.
func IsLocal(root, name string) bool {
	if name != local {
		return false
	}
	_, err := os.Stat(filePath(root, local))
	return errors.Is(err, fs.ErrNotExist)
}

// ReadFile reads the file of the stage in files, the folder of template.yaml. parameters are the names of the
// template's parameters; ReadFile does not check their values. The error joins all errors in the file, each with its
// position. For an unknown stage it names the stages that exist.
func ReadFile(files fs.FS, name string, parameters []string) (File, error) {
	names, err := stages(files)
	if err != nil {
		return File{}, err
	}
	if !slices.Contains(names, name) {
		return File{}, unknownStage(name, names)
	}
	file := path.Join(folder, name+extension)
	data, err := fs.ReadFile(files, file)
	if err != nil {
		return File{}, fmt.Errorf("read the stage: %w", err)
	}
	r := reader{file: file, known: parameters, stage: File{
		Name: name, Parameters: map[string]string{nameParameter: name}, file: file, places: map[string]string{},
	}}
	r.read(data)
	if len(r.errs) > 0 {
		return File{}, errors.Join(r.errs...)
	}
	return r.stage, nil
}

// stages returns the names of the stages that have a file.
func stages(files fs.FS) ([]string, error) {
	found, err := fs.Glob(files, path.Join(folder, "*"+extension))
	if err != nil {
		return nil, fmt.Errorf("list the stages: %w", err)
	}
	for i, file := range found {
		found[i] = strings.TrimSuffix(path.Base(file), extension)
	}
	return found, nil
}

func unknownStage(name string, names []string) error {
	if name == local {
		return fmt.Errorf("STAGE=%s is the local stack, want a deployed stage: set STAGE to one of %s", local,
			cmp.Or(strings.Join(names, ", "), "deploy/"+folder))
	}
	hint := "."
	if near, ok := nearest.Name(name, names); ok {
		hint = "; did you mean STAGE=" + near + "?"
	}
	return fmt.Errorf(
		"there is no stage %q (stages: %s)%s To add it, copy one of deploy/%s to deploy/%[4]s/%s%s and edit it",
		name,
		cmp.Or(strings.Join(names, ", "), "none"),
		hint,
		folder,
		cmp.Or(name, "NAME"),
		extension,
	)
}

// reader reads one file and collects all errors in it.
type reader struct {
	file  string
	known []string
	stage File
	errs  []error
}

func (r *reader) failf(node *yaml.Node, format string, args ...any) {
	place := r.file
	if node != nil {
		place = r.place(node)
	}
	r.errs = append(r.errs, fmt.Errorf("%s: %w", place, fmt.Errorf(format, args...)))
}

func (r *reader) place(node *yaml.Node) string {
	return fmt.Sprintf("%s:%d:%d", r.file, node.Line, node.Column)
}

// accountID matches the ID of an account.
var accountID = regexp.MustCompile(`^\d{12}$`)

func (r *reader) read(data []byte) {
	var document, second yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return // an empty file sets nothing
	} else if err != nil {
		r.failf(nil, "%w", err)
		return
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		r.failf(nil, "want one YAML document")
		return
	}
	keys := []string{"account", "parameters", "region"}
	for key, value := range r.pairs(document.Content[0], "the stage", keys) {
		switch key.Value {
		case "region":
			r.stage.Region, _ = r.scalar(key, value)
		case "account":
			var ok bool
			if r.stage.Account, ok = r.scalar(key, value); ok && !accountID.MatchString(r.stage.Account) {
				r.failf(value, "account: want 12 digits, got %q", r.stage.Account)
			}
		case "parameters":
			if value.ShortTag() == "!!null" { // all parameters are commented out
				continue
			}
			for name, value := range r.pairs(value, "parameters", r.known) {
				if name.Value == nameParameter {
					r.failf(name, "%s: remove it, the name of the file sets it", name.Value)
				} else if scalar, ok := r.scalar(name, value); ok {
					r.stage.Parameters[name.Value], r.stage.places[name.Value] = scalar, r.place(value)
				}
			}
		}
	}
}

// pairs yields the keys and values of a mapping, except for unknown and duplicate keys, which are errors.
func (r *reader) pairs(node *yaml.Node, what string, known []string) func(yield func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		if node.Kind != yaml.MappingNode {
			r.failf(node, "%s: want a mapping of names to values", what)
			return
		}
		seen := map[string]bool{}
		for i := 0; i < len(node.Content); i += 2 {
			key, value := node.Content[i], node.Content[i+1]
			switch near, ok := nearest.Name(key.Value, known); {
			case seen[key.Value]:
				r.failf(key, "%s: duplicate key", key.Value)
			case slices.Contains(known, key.Value):
				if !yield(key, value) {
					return
				}
			case ok:
				r.failf(key, "%s: unknown name in %s; did you mean %s?", key.Value, what, near)
			default:
				r.failf(key, "%s: unknown name in %s: want one of %s", key.Value, what, strings.Join(known, ", "))
			}
			seen[key.Value] = true
		}
	}
}

// scalar returns the scalar of a key as it is written, to keep leading zeros of an account and all digits of a number.
// If there is none, it adds an error and ok is false.
func (r *reader) scalar(key, value *yaml.Node) (_ string, ok bool) {
	switch value.ShortTag() {
	case "!!str", "!!int", "!!float":
		if value.Kind == yaml.ScalarNode {
			return value.Value, true
		}
	case "!!bool": // YAML accepts True, CloudFormation only true
		var b bool
		if err := value.Decode(&b); err == nil {
			return strconv.FormatBool(b), true
		}
	case "!!null":
		r.failf(value, `%s: no value; write "" for an empty string, or remove the key for the default`, key.Value)
		return "", false
	}
	r.failf(value, "%s: want a string, a number, true or false", key.Value)
	return "", false
}
