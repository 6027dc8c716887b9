package template

import (
	"fmt"
	"path"
	"strings"
)

// bucketParameter is the parameter with the name of the bucket of packages. The bucket is a parameter so that the
// template is the same in every account.
const bucketParameter = "ArtifactBucket"

// packaged returns the Code of a function whose package is in the bucket.
func packaged(key string) object {
	return object{"S3Bucket": object{"Ref": bucketParameter}, "S3Key": key}
}

// setPackages replaces the source folders of all functions with their packages.
func setPackages(document object, code map[string]string) error {
	resources := member(document, "Resources")
	for _, id := range sortedKeys(resources) {
		resource := member(resources, id)
		if resource["Type"] != functionType {
			continue
		}
		if code[id] == "" {
			return fmt.Errorf("the function %s has no package", id)
		}
		member(resource, "Properties")["Code"] = packaged(code[id])
	}
	for _, id := range sortedKeys(code) {
		if member(resources, id)["Type"] != functionType {
			return fmt.Errorf("the package %s is for %s, which is not a function of %s", code[id], id, templateFile)
		}
	}
	parameters := member(document, "Parameters")
	if parameters == nil {
		parameters = object{}
		document["Parameters"] = parameters
	}
	if _, ok := parameters[bucketParameter]; ok {
		return fmt.Errorf("%s: Parameters.%s: omit it, it is rendered", templateFile, bucketParameter)
	}
	parameters[bucketParameter] = object{
		"Type":           "String",
		"AllowedPattern": "[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
		"Description":    "The bucket of the functions' packages.",
	}
	// The ignored checks apply only to templates with source folders and YAML aliases.
	delete(member(document, "Metadata"), "cfn-lint")
	return nil
}

// Code returns the S3 keys of the functions' packages by logical id. It is empty if the functions are not packaged.
func (r *Rendered) Code() map[string]string {
	keys := map[string]string{}
	resources := member(r.document, "Resources")
	for id := range resources {
		resource := member(resources, id)
		key, ok := member(member(resource, "Properties"), "Code")["S3Key"].(string)
		if ok && resource["Type"] == functionType {
			keys[id] = key
		}
	}
	return keys
}

// SetCode replaces the package of a function. It changes only the function's Code, the logical id of its version, so
// that Lambda publishes a new one, and the alias's reference to the version.
func (r *Rendered) SetCode(logicalID, key string) error {
	if err := r.setCode(logicalID, key); err != nil {
		return fmt.Errorf("set the code of %s: %w", logicalID, err)
	}
	r.changed()
	return nil
}

func (r *Rendered) setCode(function, key string) error {
	e := r.symbolic()
	resource := e.resource(function)
	if packages := r.Code(); packages[function] == "" {
		return fmt.Errorf("no such function with a package: choose from %s", strings.Join(sortedKeys(packages), ", "))
	}
	version, err := e.referring(versionType, function)
	if err != nil {
		return err
	}
	if len(version) <= digestLength {
		return fmt.Errorf("%s: Resources.%s: its id has no digest", templateFile, version)
	}
	member(resource, "Properties")["Code"] = packaged(key)
	return e.nameVersion(function, version, version[:len(version)-digestLength])
}

// referring returns the only resource of a type whose FunctionName refers to the function.
func (e *evaluator) referring(resourceType, function string) (string, error) {
	ids, err := e.all(resourceType)
	if err != nil {
		return "", err
	}
	var found []string
	for _, id := range ids {
		if name := member(member(e.resource(id), "Properties"), "FunctionName"); len(name) == 1 && name["Ref"] == function {
			found = append(found, id)
		}
	}
	if len(found) != 1 {
		return "", fmt.Errorf("%s: Resources.%s: want one %s whose FunctionName refers to it, got %d",
			templateFile, function, resourceType, len(found))
	}
	return found[0], nil
}

// nameVersions renames the version of each function, and returns the ids of the aliases by those of the functions.
func (e *evaluator) nameVersions(functions []string) (map[string]string, error) {
	aliases := map[string]string{}
	for _, f := range functions {
		version, err := e.referring(versionType, f)
		if err != nil {
			return nil, err
		}
		if err := e.nameVersion(f, version, version); err != nil {
			return nil, err
		}
		if aliases[f], err = e.referring(aliasType, f); err != nil {
			return nil, err
		}
	}
	return aliases, nil
}

// nameVersion renames the version of a function to base and a digest of everything that requires a new version.
// Versions are immutable, and Lambda publishes none if nothing has changed since the last.
func (e *evaluator) nameVersion(function, version, base string) error {
	content := object{}
	for name, value := range member(e.resource(function), "Properties") {
		switch name {
		case "Description", "ReservedConcurrentExecutions", "RecursiveLoop", "Tags": // not part of a version
		case "Code": // only the name of the package, which is a digest of its content, not its folder
			if code, ok := value.(object); ok {
				key, _ := code["S3Key"].(string) // always a string, see packaged
				content[name] = path.Base(key)
			}
		default:
			content[name] = value
		}
	}
	digest, err := e.digest("Resources."+function+".Properties", content)
	if err != nil {
		return err
	}
	e.rename(version, base+digest)
	return nil
}
