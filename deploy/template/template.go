// Package template renders template.yaml and openapi.yaml as one template for CloudFormation, and evaluates it for
// the local stack, which needs the functions, the table and the API.
//
// openapi.yaml defines the routes and the function of each (x-function). Render creates from it the Body of the REST
// API with API Gateway's extensions, the index, the documentation and the authorization of the stage. It adds a
// permission for each route and the packages of the functions. CloudFormation creates versions of functions,
// deployments of an API and versions of documentation only once per logical id, so that Render appends a digest of
// their content to these ids.
package template

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
)

// The input files.
const (
	templateFile = "template.yaml"
	openAPIFile  = "openapi.yaml"
)

// object is a mapping of YAML and JSON.
type object = map[string]any

// Template has the parsed template.yaml and openapi.yaml. It is safe for concurrent use.
type Template struct {
	document   object // template.yaml, with intrinsic functions in their long form
	parameters map[string]parameter
	openAPI    *openAPI
}

// Load reads template.yaml and openapi.yaml from the root of files. Errors have the file and the path in it.
func Load(files fs.FS) (*Template, error) {
	document, err := load(files, templateFile, true)
	if err != nil {
		return nil, err
	}
	for section := range document {
		switch section {
		case "AWSTemplateFormatVersion", "Description", "Metadata", "Parameters", "Mappings", "Conditions", "Resources",
			"Outputs":
		default: // for example Transform and Rules
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
		return nil, fmt.Errorf("load %s: want a mapping", name)
	}
	return document, nil
}

// Parameters returns the names of the template's parameters that a stage may set, sorted.
func (t *Template) Parameters() []string { return sortedKeys(t.parameters) }

// CheckParameters returns an error that joins all faults in the values of parameters. place returns the position of the
// value of a parameter, such as file:line:column, or "" if it is unknown. The message of a fault begins with it.
func (t *Template) CheckParameters(given map[string]string, place func(parameter string) string) error {
	values, faults := parameterValues(t.parameters, given)
	if len(faults) == 0 {
		faults = checkTogether(values)
	}
	return joinFaults(faults, place)
}

// Functions returns the functions of the template for the default values of its parameters, sorted by logical id.
func (t *Template) Functions() ([]Function, error) {
	rendered, err := t.Render(Options{})
	if err != nil {
		return nil, err
	}
	resources, err := rendered.Resolve(PseudoParameters{})
	if err != nil {
		return nil, err
	}
	return resources.Functions(), nil
}

// Options configure [Template.Render].
type Options struct {
	// Parameters are values of the template's parameters by name; omitted ones have their defaults. Ids of resources
	// with digests and the authorization in the API's Body depend on them.
	Parameters map[string]string
	// Code maps the logical id of each function to the S3 key of its package in the bucket of the parameter
	// ArtifactBucket. If Code is nil, the property Code of functions remains the source folder, for the local stack
	// and linters.
	Code map[string]string
}

// Render completes the template. The error has all faults in the parameters, or the path of the part that cannot be
// rendered.
func (t *Template) Render(options Options) (*Rendered, error) {
	r, err := t.render(options)
	if err != nil {
		return nil, fmt.Errorf("render: %w", err)
	}
	return r, nil
}

func (t *Template) render(options Options) (*Rendered, error) {
	document := clone(t.document).(object) // clone keeps the type
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
	if err := refuseNull("", r.document); err != nil {
		return nil, err
	}
	r.changed()
	return r, nil
}

// complete adds the parts that follow from the contract of the API.
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
		return fmt.Errorf("%s: Resources.%s.Properties.Body: omit it, it is rendered from %s",
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
	properties["Body"] = body // last, because renaming would search it: it is long and has no renamed reference
	return nil
}

// member returns the mapping at a key, or nil, which can be read as an empty mapping.
func member(o object, key string) object {
	m, _ := o[key].(object) // nil if absent
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

// refuseNull returns an error with the path of a null. CloudFormation rejects templates with null without a path.
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
