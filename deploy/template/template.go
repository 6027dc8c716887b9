// Package template renders template.yaml and openapi.yaml into the one template that CloudFormation is given, and works out
// from that same template what the stack on this machine needs: the functions, the table and the API.
//
// openapi.yaml alone says which routes there are and which function serves each (x-function). Rendering turns it into the
// Body of the REST API with API Gateway's extensions, the index that the gateway answers itself, the API's documentation and the
// stage's authorization, adds a permission for each route, names the functions' packages, and gives the functions' versions, the
// deployment of the API and the version of its documentation ids that change with their content: CloudFormation makes each of
// these once for an id.
package template

import (
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

// Parameters returns the names of the template's parameters that a stage may set, sorted.
func (t *Template) Parameters() []string { return sortedKeys(t.parameters) }

// CheckParameters returns an error that joins all faults in the values of parameters. place returns where the value of
// a parameter is set, such as file:line:column, with which the fault begins; "" if that is unknown.
func (t *Template) CheckParameters(given map[string]string, place func(parameter string) string) error {
	values, faults := parameterValues(t.parameters, given)
	if len(faults) == 0 {
		faults = checkTogether(values)
	}
	return joinFaults(faults, place)
}

// Options say what the template is rendered for.
type Options struct {
	// Parameters are values of the template's parameters by name; one that is left out has its default. They matter because
	// ids of resources must change with what they are made of, and because Authorization is written into the API's Body.
	Parameters map[string]string
	// Code is the S3 key of each function's package by the function's logical id, in the bucket that the parameter
	// ArtifactBucket names. Nil: Code stays the folder of the function's source, for the stack on this machine and linters.
	Code map[string]string
	// Metadata is put into the template's Metadata under the key Release.
	Metadata map[string]any
}

// Render completes the template. The errors tell every parameter that is unknown, missing or not allowed, what parameters
// contradict each other, or the place in the files that cannot be rendered.
func (t *Template) Render(options Options) (*Rendered, error) {
	r, err := t.render(options)
	if err != nil {
		return nil, fmt.Errorf("render: %w", err)
	}
	return r, nil
}

func (t *Template) render(options Options) (*Rendered, error) {
	document := clone(t.document).(object) // a mapping stays one
	if options.Code != nil {
		if err := setPackages(document, options.Code); err != nil {
			return nil, err
		}
	}
	r, err := newRendered(document, options.Parameters)
	if err != nil {
		return nil, err
	}
	if faults := checkTogether(r.values); len(faults) > 0 {
		return nil, joinFaults(faults, nowhere)
	}
	if err := r.complete(t.openAPI); err != nil {
		return nil, err
	}
	if options.Metadata != nil {
		if err := r.setMetadata(options.Metadata); err != nil {
			return nil, err
		}
	}
	if err := refuseNull("", r.document); err != nil {
		return nil, err
	}
	r.changed()
	return r, nil
}

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
	functions, err := e.checkFunctions(contract.routes)
	if err != nil {
		return err
	}
	aliases, err := e.nameVersions(functions)
	if err != nil {
		return err
	}
	authorization, err := r.pinAuthorization()
	if err != nil {
		return err
	}
	properties := e.written(api)
	if _, ok := properties["Body"]; ok {
		return fmt.Errorf("%s: Resources.%s.Properties.Body: leave it out, it is rendered from %s",
			templateFile, api, openAPIFile)
	}
	body, err := contract.body(properties["Name"], aliases, authorization)
	if err != nil {
		return err
	}
	if err := e.permit(contract.routes, aliases, api); err != nil {
		return err
	}
	digest, err := e.digest("Resources."+api+".Properties.Body", body)
	if err != nil {
		return err
	}
	e.rename(deployment, deployment+digest)
	documentation := contract.documentation(member(body, "paths"), authorization)
	if err := e.nameDocumentation(api, contract.version(), documentation); err != nil {
		return err
	}
	body[documentationKey] = documentation
	properties["Body"] = body // last: it refers to nothing that is renamed, and is long
	return nil
}

// member returns the mapping under a key; nil where there is none, which reads as an empty one.
func member(o object, key string) object {
	m, _ := o[key].(object) // absent is empty
	return m
}

func sortedKeys[V any](m map[string]V) []string {
	keys := slices.AppendSeq(make([]string, 0, len(m)), maps.Keys(m))
	slices.Sort(keys)
	return keys
}

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
			if holdsNull(v[key]) {
				return refuseNull(join(path, key), v[key])
			}
		}
	case []any:
		for i, e := range v {
			if holdsNull(e) {
				return refuseNull(join(path, strconv.Itoa(i)), e)
			}
		}
	}
	return nil
}

func holdsNull(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case object:
		for _, e := range v {
			if holdsNull(e) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, holdsNull)
	}
	return false
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
