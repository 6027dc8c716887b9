package template

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/userrequestapi/userdata/deploy/cfn"
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
	resources := cfn.Mapping(document, "Resources")
	for _, id := range slices.Sorted(maps.Keys(resources)) {
		if cfn.At(resources, id, "Type") != functionType {
			continue
		}
		if code[id] == "" {
			return fmt.Errorf("the function %s has no package", id)
		}
		cfn.Mapping(resources, id, "Properties")["Code"] = packaged(code[id])
	}
	for _, id := range slices.Sorted(maps.Keys(code)) {
		if cfn.At(resources, id, "Type") != functionType {
			return fmt.Errorf("the package %s is for %s, which is not a function of %s", code[id], id, templateFile)
		}
	}
	parameters := section(document, "Parameters")
	if _, ok := parameters[bucketParameter]; ok {
		return fmt.Errorf("%s: Parameters.%s: omit it, it is rendered", templateFile, bucketParameter)
	}
	parameters[bucketParameter] = object{
		"Type":           "String",
		"AllowedPattern": "[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
		"Description":    "The bucket of the functions' packages.",
	}
	// The ignored checks apply only to templates with source folders and YAML aliases.
	delete(cfn.Mapping(document, "Metadata"), "cfn-lint")
	return nil
}

// Code returns the S3 keys of the functions' packages by logical id. It is empty if the functions are not packaged.
func (r *Rendered) Code() map[string]string {
	keys := map[string]string{}
	for id, resource := range cfn.Mapping(r.document, "Resources") {
		key, ok := cfn.At(resource, "Properties", "Code", "S3Key").(string)
		if ok && cfn.At(resource, "Type") == functionType {
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
	r.invalidate()
	return nil
}

func (r *Rendered) setCode(function, key string) error {
	if packages := r.Code(); packages[function] == "" {
		return fmt.Errorf("no such function with a package: choose from %s",
			strings.Join(slices.Sorted(maps.Keys(packages)), ", "))
	}
	e := r.symbolic()
	version := referring(e, versionType, function)
	if err := e.Err(); err != nil {
		return err
	}
	if len(version) <= digestLength {
		return fmt.Errorf("%s: Resources.%s: its id has no digest", templateFile, version)
	}
	section(e.Resource(function), "Properties")["Code"] = packaged(key)
	nameVersion(e, function, version, version[:len(version)-digestLength])
	return e.Err()
}

// referring returns the only resource of a type whose FunctionName refers to the function, or "" after a fault.
func referring(e *cfn.Evaluator, resourceType, function string) string {
	found := slices.DeleteFunc(e.All(resourceType), func(id string) bool {
		name := cfn.Mapping(e.Resource(id), "Properties", "FunctionName")
		return len(name) != 1 || name["Ref"] != function
	})
	if len(found) != 1 {
		e.Failf(templateFile+": Resources."+function, "want one %s whose FunctionName refers to it, got %d",
			resourceType, len(found))
		return ""
	}
	return found[0]
}

// nameVersions renames the version of each function, and returns the ids of the aliases by those of the functions.
func nameVersions(e *cfn.Evaluator, functions []string) map[string]string {
	aliases := map[string]string{}
	for _, f := range functions {
		version := referring(e, versionType, f)
		nameVersion(e, f, version, version)
		aliases[f] = referring(e, aliasType, f)
	}
	return aliases
}

// nameVersion renames the version of a function to base and a digest of everything that requires a new version.
// Versions are immutable, and Lambda publishes none if nothing has changed since the last.
func nameVersion(e *cfn.Evaluator, function, version, base string) {
	content := object{}
	for name, value := range cfn.Mapping(e.Resource(function), "Properties") {
		switch name {
		case "Description", "ReservedConcurrentExecutions", "RecursiveLoop", "Tags": // not part of a version
		case "Code": // only the name of the package, which is a digest of its content, not its folder
			if key := cfn.At(value, "S3Key"); key != nil {
				content[name] = path.Base(cfn.Text(key))
			}
		default:
			content[name] = value
		}
	}
	rename(e, version, base+digest(e, "Resources."+function+".Properties", content))
}

// digestLength is the number of characters of a digest.
const digestLength = 10

// digest returns a short hexadecimal digest of the evaluated value.
func digest(e *cfn.Evaluator, valuePath string, value any) string {
	sum := sha256.Sum256(mustEncodeJSON(e.Value(valuePath, value)))
	return hex.EncodeToString(sum[:digestLength/2])
}

// rename changes the id of a resource and all references to it, unless there was a fault.
func rename(e *cfn.Evaluator, from, to string) {
	if e.Err() == nil {
		cfn.Rename(e.Document, from, to)
	}
}
