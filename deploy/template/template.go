// Package template renders template.yaml and openapi.yaml as one template for CloudFormation, and evaluates it for
// the local stack, which needs the functions, the tables and the API.
//
// openapi.yaml defines the routes and the function of each (x-function). Render creates from it the Body of the REST
// API with API Gateway's extensions, the index, the documentation and the authorization of the stage. It adds a
// permission for each route and the packages of the functions. CloudFormation creates versions of functions,
// deployments of an API and versions of documentation only once per logical id, so that Render appends a digest of
// their content to these ids.
package template

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/userrequestapi/userdata/deploy/cfn"
	"github.com/userrequestapi/userdata/deploy/contract"
)

const templateFile = "template.yaml"

// object is a mapping of YAML and JSON.
type object = map[string]any

// Template has the parsed template.yaml and openapi.yaml. It is safe for concurrent use.
type Template struct {
	document   object // template.yaml, with intrinsic functions in their long form
	parameters cfn.Parameters
	openAPI    *openAPI
}

// Load reads template.yaml and openapi.yaml from the root of files. Errors have the file and the path in it.
func Load(files fs.FS) (*Template, error) {
	data, err := fs.ReadFile(files, templateFile)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", templateFile, err)
	}
	document, err := cfn.ParseYAML(data)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", templateFile, err)
	}
	for section := range document {
		switch section {
		case "AWSTemplateFormatVersion", "Description", "Metadata", "Parameters", "Mappings", "Conditions", "Resources",
			"Outputs":
		default: // for example Transform and Rules
			return nil, fmt.Errorf("load %s: the section %s is not supported", templateFile, section)
		}
	}
	if err := cfn.ExpandLoops(document); err != nil {
		return nil, fmt.Errorf("load %s: %w", templateFile, err)
	}
	dropEmptyStatements(document)
	source, err := contract.Read(files)
	if err != nil {
		return nil, err
	}
	api, err := newOpenAPI(source)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", contract.File, err)
	}
	setRepository(document, source.ExternalDocs.URL)
	parameters, err := cfn.ParseParameters(cfn.Mapping(document, "Parameters"))
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", templateFile, err)
	}
	return &Template{document: document, parameters: parameters, openAPI: api}, nil
}

// dropEmptyStatements removes the policy statements without actions, which IAM rejects. The loops generate one for a
// function that only queries an index of a table.
func dropEmptyStatements(document object) {
	cfn.Walk("Resources", document["Resources"], func(_ string, o object) {
		if statements, ok := o["Statement"].([]any); ok {
			o["Statement"] = slices.DeleteFunc(statements, func(statement any) bool {
				actions, ok := cfn.At(statement, "Action").([]any)
				return ok && len(actions) == 0
			})
		}
	})
}

// setRepository sets the default of the parameter Repository, if it is empty, to the project's URL.
func setRepository(document object, url string) {
	parameter := cfn.Mapping(document, "Parameters", "Repository")
	if parameter != nil && cfn.Text(parameter, "Default") == "" {
		parameter["Default"] = strings.TrimSuffix(url, "/")
	}
}

// Contract returns the API document.
func (t *Template) Contract() *contract.Document { return t.openAPI.contract }

// Parameters returns the names of the template's parameters that a stage may set, sorted.
func (t *Template) Parameters() []string { return slices.Sorted(maps.Keys(t.parameters)) }

// CheckParameters returns an error that joins all faults in the values of parameters. place returns the position of the
// value of a parameter, such as file:line:column, or "" if it is unknown. The message of a fault begins with it.
func (t *Template) CheckParameters(given map[string]string, place func(parameter string) string) error {
	values, faults := t.parameters.Values(given)
	if len(faults) == 0 {
		faults = checkValues(values)
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

// joinFaults joins the faults. place returns the position of the value of a parameter, such as file:line:column, or
// "" if it is unknown.
func joinFaults(faults []cfn.ParameterError, place func(parameter string) string) error {
	errs := make([]error, len(faults))
	for i, f := range faults {
		label := "parameter"
		if p := place(f.Parameter); p != "" {
			label = p + ":"
		}
		errs[i] = fmt.Errorf("%s %s: %w", label, f.Parameter, f.Err)
	}
	return errors.Join(errs...)
}

// noPlace is the place function for values that come from no file.
func noPlace(string) string { return "" }

// checkValues returns the faults that the declarations of the parameters cannot express: values that contradict each
// other, and fractions in place of whole numbers.
func checkValues(values map[string]string) []cfn.ParameterError {
	const monitoring, preference, email = "Monitoring", "DeploymentPreference", "AlarmEmail"
	var faults []cfn.ParameterError
	refuse := func(parameter, format string, args ...any) {
		faults = append(faults, cfn.ParameterError{Parameter: parameter, Err: fmt.Errorf(format, args...)})
	}
	for _, name := range []string{"MemorySize", "ReservedConcurrency", "ThrottlingBurstLimit", "TracingReservoir"} {
		if strings.Contains(values[name], ".") {
			refuse(name, "want a whole number, got %s", values[name])
		}
	}
	switch authorization, pool := values[AuthorizationParameter], values[userPoolParameter]; {
	case authorization == AuthorizationCognito && pool == "":
		refuse(userPoolParameter, "%s=%s needs the ARN of the user pool whose tokens the API accepts",
			AuthorizationParameter, authorization)
	case authorization != AuthorizationCognito && pool != "":
		refuse(userPoolParameter, "%s=%s uses no user pool: omit the parameter, or use %s",
			AuthorizationParameter, authorization, AuthorizationCognito)
	}
	if values[monitoring] == "false" {
		if p := values[preference]; p != "" && p != "AllAtOnce" {
			refuse(preference, "%s rolls back if an alarm goes off, and with %s=false there is no alarm", p, monitoring)
		}
		if values[email] != "" {
			refuse(email, "with %s=false there is no alarm to notify about", monitoring)
		}
	}
	return faults
}

func (t *Template) render(options Options) (*Rendered, error) {
	document := cfn.Clone(t.document)
	if options.Code != nil {
		if err := setPackages(document, options.Code); err != nil {
			return nil, err
		}
	}
	r, err := newRendered(document, options.Parameters)
	if err != nil {
		return nil, err
	}
	if faults := checkValues(r.values); len(faults) > 0 {
		return nil, joinFaults(faults, noPlace)
	}
	if err := r.complete(t.openAPI); err != nil {
		return nil, err
	}
	if err := checkNull("", r.document); err != nil {
		return nil, err
	}
	r.invalidate()
	return r, nil
}

// complete adds the parts that follow from the contract of the API.
func (r *Rendered) complete(source *openAPI) error {
	e := r.symbolic()
	api, deployment := onlyOne(e, restAPIType), onlyOne(e, deploymentType)
	functions, err := checkFunctions(e, source.routes)
	if err != nil {
		return err
	}
	aliases := nameVersions(e, functions)
	if err := e.Err(); err != nil {
		return err
	}
	authorization, err := r.pinAuthorization()
	if err != nil {
		return err
	}
	properties := section(e.Resource(api), "Properties")
	if _, ok := properties["Body"]; ok {
		return fmt.Errorf("%s: Resources.%s.Properties.Body: omit it, it is rendered from %s",
			templateFile, api, contract.File)
	}
	body, err := source.body(properties["Name"], aliases, authorization)
	if err != nil {
		return err
	}
	if err := addPermissions(e, source.routes, aliases, api); err != nil {
		return err
	}
	rename(e, deployment, deployment+digest(e, "Resources."+api+".Properties.Body", body))
	documentation := source.documentation(cfn.Mapping(body, "paths"), authorization)
	if err := nameDocumentation(e, api, source.contract.Info.Version, documentation); err != nil {
		return err
	}
	body[DocumentationKey] = documentation
	r.contract = source.contract
	properties["Body"] = body // last, because renaming would search it: it is long and has no renamed reference
	return e.Err()
}

// checkNull returns an error with the path of a null. CloudFormation rejects templates with null without a path.
func checkNull(path string, value any) error {
	if below, found := findNull(value); found {
		return fmt.Errorf("%s: CloudFormation allows no null", strings.TrimPrefix(path+below, "."))
	}
	return nil
}

// findNull returns the path of a null in a value, such as .Resources.Table.
func findNull(value any) (path string, found bool) {
	switch v := value.(type) {
	case nil:
		return "", true
	case object:
		for key, element := range v {
			if path, found = findNull(element); found {
				return "." + key + path, true
			}
		}
	case []any:
		for i, element := range v {
			if path, found = findNull(element); found {
				return "." + strconv.Itoa(i) + path, true
			}
		}
	}
	return "", false
}
