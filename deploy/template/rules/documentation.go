package rules

import (
	"cmp"
	"fmt"
	"maps"
	"strconv"
	"strings"
)

const (
	documentationKey = "x-amazon-apigateway-documentation"

	// partLimit is the most parts of documentation that an API may have ("Amazon API Gateway quotas").
	partLimit = 2000
)

// documentationParts sees that each part of an API's documentation is about something that the API has, and only one
// about each: API Gateway shows nobody the others.
func documentationParts(s *stack, report report) {
	for _, api := range s.all(restAPIType) {
		parts := list(at(api.properties, "Body", documentationKey, "documentationParts"))
		if len(parts) > partLimit {
			report(api.path("Body", documentationKey), "it has %d parts; API Gateway keeps %d", len(parts), partLimit)
		}
		seen := map[string]bool{}
		for i, part := range parts {
			path := api.path("Body", documentationKey, "documentationParts", strconv.Itoa(i))
			l := normalized(mapping(at(part, "location")))
			place := fmt.Sprint(l)
			switch {
			case seen[place]:
				report(path+".location", "another part is about the same")
			case !isLocated(api, l):
				report(path+".location", "the API has nothing that it is about")
			case mapping(at(part, "properties")) == nil:
				report(path+".properties", "it must be a mapping")
			}
			seen[place] = true
		}
	}
}

// normalized returns a location without what stands for all, which may be left out (DocumentationPartLocation).
func normalized(location object) object {
	l := maps.Clone(location)
	maps.DeleteFunc(l, func(key string, value any) bool {
		return (key == "method" || key == "statusCode") && value == "*" || key == "path" && value == "/"
	})
	return l
}

// isLocated tells whether an API has something that a part of its documentation is about (DocumentationPartLocation).
func isLocated(api resource, l object) bool {
	body := mapping(api.properties["Body"])
	name := text(l["name"])
	switch text(l["type"]) {
	case "API":
		return true
	case "MODEL":
		return at(body, "components", "schemas", name) != nil
	case "AUTHORIZER":
		return at(body, "components", "securitySchemes", name, "x-amazon-apigateway-authorizer") != nil
	case "RESOURCE":
		return at(body, "paths", cmp.Or(text(l["path"]), "/")) != nil
	}
	for _, o := range operations(api) {
		// What is left out stands for all; what is said of a path, for all below it too.
		isBelow := o.route == l["path"] || strings.HasPrefix(o.route, text(l["path"])+"/")
		if isBelow && (l["method"] == nil || l["method"] == o.method) && hasPart(o, l) {
			return true
		}
	}
	return false
}

// hasPart tells whether an operation has something of the type, the status and the name of a location.
func hasPart(o operation, l object) bool {
	name := text(l["name"])
	parameter := func(in string) bool {
		for _, p := range list(o.content["parameters"]) {
			if at(p, "in") == in && at(p, "name") == name {
				return true
			}
		}
		return false
	}
	response := func(keys ...string) bool {
		for status, r := range mapping(o.content["responses"]) {
			if (l["statusCode"] == nil || l["statusCode"] == status) && at(r, keys...) != nil {
				return true
			}
		}
		return false
	}
	switch text(l["type"]) {
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

// documentationVersion sees that a stage shows the documentation of its API as it is. A version is the documentation
// at the time when it is made, under a name that is made once.
func documentationVersion(s *stack, report report) {
	for _, stage := range s.all(stageType) {
		name := text(stage.properties["DocumentationVersion"])
		found := false
		for _, version := range s.all("AWS::ApiGateway::DocumentationVersion") {
			if name == "" || text(version.properties["DocumentationVersion"]) != name {
				continue
			}
			found = true
			api, ok := s.referred(version.properties["RestApiId"], restAPIType)
			if of, isAPI := s.referred(stage.properties["RestApiId"], restAPIType); !ok || !isAPI || api.id != of.id {
				report(version.path("RestApiId"), "it must be the Ref of the API of the stage %s", stage.id)
			}
			if !stage.after(version) {
				report("Resources."+stage.id+".DependsOn", "it would be made before its documentation: add %s", version.id)
			}
			if digest := name[strings.LastIndex(name, "-")+1:]; !strings.HasSuffix(version.id, digest) {
				report("Resources."+version.id, "its id must change with its version, as in %s", version.id+digest)
			}
		}
		if !found {
			report(stage.path("DocumentationVersion"), "it is %q; name an AWS::ApiGateway::DocumentationVersion of this template", name)
		}
	}
}
