// Package template renders template.yaml and openapi.yaml into the one template that CloudFormation is given, and works out
// from that same template what the stack on this machine needs: the functions, the table and the API.
//
// openapi.yaml alone says which routes there are and which function serves each (x-function). Rendering turns it into the
// Body of the REST API with API Gateway's extensions, adds a permission for each route, and gives the deployment of the API
// an id that changes with the API.
package template

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
)

// The files that are rendered.
const (
	templateFile = "template.yaml"
	openAPIFile  = "openapi.yaml"
)

// object is a mapping of YAML and JSON.
type object = map[string]any

// Template is template.yaml and openapi.yaml, read but not rendered. It is safe for concurrent use.
type Template struct {
	document   object // template.yaml, with intrinsic functions in their long form
	parameters map[string]parameter
	openAPI    *openAPI
}

// Load reads template.yaml and openapi.yaml from the root of files. Its errors name the file and the place in it.
func Load(files fs.FS) (*Template, error) {
	document, err := load(files, templateFile, true)
	if err != nil {
		return nil, err
	}
	for section := range document {
		switch section {
		case "AWSTemplateFormatVersion", "Description", "Metadata", "Parameters", "Mappings", "Conditions", "Resources",
			"Outputs":
		default: // Transform and Rules among them
			return nil, fmt.Errorf("load %s: the section %s is not supported", templateFile, section)
		}
	}
	parameters, err := parseParameters(member(document, "Parameters"))
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", templateFile, err)
	}
	contract, err := load(files, openAPIFile, false)
	if err != nil {
		return nil, err
	}
	api, err := parseOpenAPI(contract)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", openAPIFile, err)
	}
	return &Template{document: document, parameters: parameters, openAPI: api}, nil
}

func load(files fs.FS, name string, intrinsics bool) (object, error) {
	data, err := fs.ReadFile(files, name)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", name, err)
	}
	value, err := parseYAML(data, intrinsics)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", name, err)
	}
	document, ok := value.(object)
	if !ok {
		return nil, fmt.Errorf("load %s: it is not a mapping", name)
	}
	return document, nil
}

// Rendered is the template as CloudFormation is given it, and the parameters it was rendered for. It is safe for concurrent
// use.
type Rendered struct {
	document   object
	parameters map[string]any
	json       []byte
}

// Render completes the template for these parameters; one that is left out has its default. The errors tell every parameter
// that is unknown, missing or not allowed, or the place in the files that cannot be rendered.
//
// The parameters matter because the id of the API's deployment must change with those that the API's Body refers to.
func (t *Template) Render(parameters map[string]string) (*Rendered, error) {
	values, err := parameterValues(t.parameters, parameters)
	if err != nil {
		return nil, fmt.Errorf("render: %w", err)
	}
	r := &Rendered{document: clone(t.document).(object), parameters: values}
	if err := r.complete(t.openAPI); err != nil {
		return nil, fmt.Errorf("render: %w", err)
	}
	if err := refuseNull("", r.document); err != nil {
		return nil, fmt.Errorf("render: %w", err)
	}
	if r.json, err = encodeJSON(r.document); err != nil {
		return nil, fmt.Errorf("render: %w", err)
	}
	return r, nil
}

// JSON returns the template as CloudFormation takes it, the same bytes for the same files and parameters. Where it is longer
// than the 51,200 bytes of TemplateBody it must be given by TemplateURL ("CloudFormation quotas").
func (r *Rendered) JSON() []byte { return bytes.Clone(r.json) }

// complete adds to the template what follows from the contract of the API.
func (r *Rendered) complete(contract *openAPI) error {
	e := r.symbolic()
	api, err := e.only("AWS::ApiGateway::RestApi")
	if err != nil {
		return err
	}
	deployment, err := e.only("AWS::ApiGateway::Deployment")
	if err != nil {
		return err
	}
	stage, err := e.only("AWS::ApiGateway::Stage")
	if err != nil {
		return err
	}
	if err := e.checkFunctions(contract.routes); err != nil {
		return err
	}
	properties := member(e.resource(api), "Properties")
	if properties == nil {
		properties = object{}
		e.resource(api)["Properties"] = properties
	}
	if _, ok := properties["Body"]; ok {
		return fmt.Errorf("%s: Resources.%s.Properties.Body: leave it out, it is rendered from %s",
			templateFile, api, openAPIFile)
	}
	body, err := contract.body(properties["Name"])
	if err != nil {
		return err
	}
	properties["Body"] = body

	resources := member(r.document, "Resources")
	for _, route := range contract.routes {
		id := route.permissionID()
		if _, ok := resources[id]; ok {
			return fmt.Errorf("%s: Resources.%s: the name is that of the permission for %s %s; call it otherwise",
				templateFile, id, route.method, route.path)
		}
		resources[id] = route.permission(api, member(e.resource(stage), "Properties")["StageName"])
	}
	digest, err := e.digest("Resources."+api+".Properties.Body", body)
	if err != nil {
		return err
	}
	e.rename(deployment, deployment+digest)
	return nil
}

// member returns the mapping under a key; nil where there is none, which reads as an empty one.
func member(o object, key string) object {
	m, _ := o[key].(object) // absent is empty
	return m
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func clone(value any) any {
	switch v := value.(type) {
	case object:
		c := make(object, len(v))
		for key, e := range v {
			c[key] = clone(e)
		}
		return c
	case []any:
		c := make([]any, len(v))
		for i, e := range v {
			c[i] = clone(e)
		}
		return c
	default:
		return value
	}
}

// refuseNull exists because CloudFormation refuses a template with a null anywhere, without saying where.
func refuseNull(path string, value any) error {
	switch v := value.(type) {
	case nil:
		return fmt.Errorf("%s: CloudFormation allows no null", path)
	case object:
		for _, key := range sortedKeys(v) {
			if err := refuseNull(join(path, key), v[key]); err != nil {
				return err
			}
		}
	case []any:
		for i, e := range v {
			if err := refuseNull(join(path, strconv.Itoa(i)), e); err != nil {
				return err
			}
		}
	}
	return nil
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func encodeJSON(value any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, fmt.Errorf("encode JSON: %w", err)
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}
