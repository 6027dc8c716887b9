package rules

import (
	"cmp"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/userrequestapi/userdata/deploy/template"

	"github.com/userrequestapi/userdata/deploy/cfn"
)

// partLimit is the maximum number of documentation parts of an API ("Amazon API Gateway quotas").
const partLimit = 2000

// documentationParts checks that each documentation part has a unique location that exists in the API. API Gateway
// does not show others.
func documentationParts(s *checkedTemplate, report report) {
	for _, api := range s.all(restAPIType) {
		parts := list(cfn.At(api.properties, "Body", template.DocumentationKey, "documentationParts"))
		if len(parts) > partLimit {
			report(api.path("Body", template.DocumentationKey), "got %d parts, want at most %d", len(parts), partLimit)
		}
		seen := map[string]bool{}
		for i, part := range parts {
			path := api.path("Body", template.DocumentationKey, "documentationParts", strconv.Itoa(i))
			l := normalized(cfn.Mapping(part, "location"))
			place := fmt.Sprint(l)
			switch {
			case seen[place]:
				report(path+".location", "another part has the same location")
			case !isLocated(api, l):
				report(path+".location", "the API has no such location")
			case cfn.Mapping(part, "properties") == nil:
				report(path+".properties", "want a mapping")
			}
			seen[place] = true
		}
	}
}

// normalized returns a location without default values (DocumentationPartLocation).
func normalized(location object) object {
	l := maps.Clone(location)
	maps.DeleteFunc(l, func(key string, value any) bool {
		return (key == "method" || key == "statusCode") && value == "*" || key == "path" && value == "/"
	})
	return l
}

// isLocated reports whether the location of a documentation part exists in an API (DocumentationPartLocation).
func isLocated(api resource, l object) bool {
	body := cfn.Mapping(api.properties["Body"])
	name := cfn.Text(l["name"])
	switch cfn.Text(l["type"]) {
	case "API":
		return true
	case "MODEL":
		return cfn.At(body, "components", "schemas", name) != nil
	case "AUTHORIZER":
		return cfn.At(body, "components", "securitySchemes", name, template.AuthorizerKey) != nil
	case "RESOURCE":
		return cfn.At(body, "paths", cmp.Or(cfn.Text(l["path"]), "/")) != nil
	}
	for _, o := range operations(api) {
		// A missing key matches all values; a path also matches the paths below it.
		isBelow := o.route == l["path"] || strings.HasPrefix(o.route, cfn.Text(l["path"])+"/")
		if isBelow && (l["method"] == nil || l["method"] == o.method) && hasPart(o, l) {
			return true
		}
	}
	return false
}

// hasPart reports whether an operation has an element with the type, status code and name of a location.
func hasPart(o operation, l object) bool {
	name := cfn.Text(l["name"])
	parameter := func(in string) bool {
		for _, p := range list(o.content["parameters"]) {
			if cfn.At(p, "in") == in && cfn.At(p, "name") == name {
				return true
			}
		}
		return false
	}
	response := func(keys ...string) bool {
		for status, r := range cfn.Mapping(o.content["responses"]) {
			if (l["statusCode"] == nil || l["statusCode"] == status) && cfn.At(r, keys...) != nil {
				return true
			}
		}
		return false
	}
	switch cfn.Text(l["type"]) {
	case "METHOD":
		return true
	case "PATH_PARAMETER":
		return parameter("path")
	case "QUERY_PARAMETER":
		return parameter("query")
	case "REQUEST_HEADER":
		return parameter("header")
	case "REQUEST_BODY":
		return o.content["requestBody"] != nil
	case "RESPONSE":
		return response()
	case "RESPONSE_BODY":
		return response("content")
	case "RESPONSE_HEADER":
		return response("headers", name)
	default:
		return false
	}
}

// documentationVersion checks that a stage has the current documentation of its API. A version is a snapshot, and
// CloudFormation creates it once per name.
func documentationVersion(s *checkedTemplate, report report) {
	for _, stage := range s.all(stageType) {
		name := cfn.Text(stage.properties["DocumentationVersion"])
		found := false
		for _, version := range s.all("AWS::ApiGateway::DocumentationVersion") {
			if name == "" || cfn.Text(version.properties["DocumentationVersion"]) != name {
				continue
			}
			found = true
			api, ok := s.referred(version.properties["RestApiId"], restAPIType)
			if of, isAPI := s.referred(stage.properties["RestApiId"], restAPIType); !ok || !isAPI || api.id != of.id {
				report(version.path("RestApiId"), "want the Ref of the API of the stage %s", stage.id)
			}
			if !stage.after(version) {
				report("Resources."+stage.id+".DependsOn", "it would be created before its documentation: add %s", version.id)
			}
			if digest := name[strings.LastIndex(name, "-")+1:]; !strings.HasSuffix(version.id, digest) {
				report("Resources."+version.id, "want an id that changes with the version, such as %s", version.id+digest)
			}
		}
		if !found {
			report(stage.path("DocumentationVersion"),
				"got %q, want an AWS::ApiGateway::DocumentationVersion of this template", name)
		}
	}
}
