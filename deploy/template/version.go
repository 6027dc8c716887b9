package template

import (
	"fmt"
	"path"
	"strings"
)

// bucketParameter is the parameter that has the name of the bucket of packages. It is added with the packages, so that the
// template is the same in every account.
const bucketParameter = "ArtifactBucket"

// packaged is the Code of a function whose package is in the bucket.
func packaged(key string) object {
	return object{"S3Bucket": object{"Ref": bucketParameter}, "S3Key": key}
}

// setPackages replaces the folders of all functions by their packages.
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
			return fmt.Errorf("the package %s is for %s, which is no function of %s", code[id], id, templateFile)
		}
	}
	parameters := member(document, "Parameters")
	if parameters == nil {
		parameters = object{}
		document["Parameters"] = parameters
	}
	if _, ok := parameters[bucketParameter]; ok {
		return fmt.Errorf("%s: Parameters.%s: leave it out, it is rendered", templateFile, bucketParameter)
	}
	parameters[bucketParameter] = object{
		"Type":           "String",
		"AllowedPattern": "[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
		"Description":    "The bucket that has the packages of the functions.",
	}
	// What it ignores is right of a template with folders and aliases only.
	delete(member(document, "Metadata"), "cfn-lint")
	return nil
}

// Code returns the S3 key of each function's package by the function's logical id. It is empty where the functions are not
// packaged.
func (r *Rendered) Code() map[string]string {
	keys := map[string]string{}
	resources := member(r.document, "Resources")
	for id := range resources {
		resource := member(resources, id)
		if key, ok := member(member(resource, "Properties"), "Code")["S3Key"].(string); ok && resource["Type"] == functionType {
			keys[id] = key
		}
	}
	return keys
}

// SetCode gives a function another package. It changes the function's Code, the logical id of its version, so that a new one is
// published, and the version that its alias refers to; nothing else.
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
		return fmt.Errorf("there is no such function with a package, but %s", strings.Join(sortedKeys(packages), ", "))
	}
	version, err := e.referring(versionType, function)
	if err != nil {
		return err
	}
	if len(version) <= digestLength {
		return fmt.Errorf("%s: Resources.%s: it has no rendered id", templateFile, version)
	}
	member(resource, "Properties")["Code"] = packaged(key)
	return e.nameVersion(function, version, version[:len(version)-digestLength])
}

// referring returns the one resource of a type whose FunctionName refers to the function.
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
		return "", fmt.Errorf("%s: Resources.%s: there must be one %s whose FunctionName refers to it, not %d",
			templateFile, function, resourceType, len(found))
	}
	return found[0], nil
}

// nameVersions gives the version of each function its id, and returns the functions' aliases by the functions' ids.
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

// nameVersion gives a function's version an id that begins with base and changes when a new version must be published: a
// version cannot be changed, and Lambda publishes none where nothing has changed since the last.
func (e *evaluator) nameVersion(function, version, base string) error {
	content := object{}
	for name, value := range member(e.resource(function), "Properties") {
		switch name {
		case "Description", "ReservedConcurrentExecutions", "RecursiveLoop", "Tags": // the function's, not a version's
		case "Code": // the folder, here or in the bucket, says where the package is; its name is a digest and says what
			if code, ok := value.(object); ok {
				key, _ := code["S3Key"].(string) // rendered so
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
