package template

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/userrequestapi/userdata/deploy/cfn"
)

const (
	// stagePath is the path of the stage in a mapping template.
	stagePath = "/$context.stage/"

	// usersPath is the path of the list of users, which the index links to.
	usersPath = "/users"
)

// indexMethod returns the method of the index, which has the name, version and links of the API.
func (a *openAPI) indexMethod(r route, authorization securityScheme) (object, error) {
	if !slices.ContainsFunc(a.items, func(item pathItem) bool { return item.path == usersPath }) {
		return nil, fmt.Errorf("paths.%s: missing, and the index links to it", usersPath)
	}
	type links struct {
		Self          string `json:"self"`
		Users         string `json:"users"`
		Documentation string `json:"documentation"`
	}
	stage := links{stagePath, strings.TrimSuffix(stagePath, "/") + usersPath, a.contract.ExternalDocs.URL}
	document, err := encodeJSON(struct {
		Name    string `json:"name"`
		Version string `json:"version"`
		Links   links  `json:"links"`
	}{a.contract.Info.Title, a.contract.Info.Version, stage})
	if err != nil {
		return nil, fmt.Errorf("paths.%s: %w", indexPath, err)
	}
	if err := checkVelocity(strings.ReplaceAll(string(document), stagePath, "")); err != nil {
		return nil, err
	}
	mock := mockMethod(nil, 200, string(document), a.documentHeaders("application/json"))
	operation := cfn.Clone(r.imported)
	// API Gateway requires a declaration of each mapped header. The rest of the contract's response is kept.
	responses := cfn.Mapping(mock, "responses")
	for status := range responses {
		response := cfn.Mapping(operation, "responses", status)
		if response == nil {
			return nil, fmt.Errorf("paths.%s.%s.responses.%s: missing, and the index has this status code",
				indexPath, strings.ToLower(r.Method), status)
		}
		headers := object{}
		maps.Copy(headers, cfn.Mapping(responses, status, "headers"))
		maps.Copy(headers, cfn.Mapping(response, "headers"))
		response["headers"] = headers
	}
	operation[IntegrationKey] = mock[IntegrationKey]
	authorization.secure(operation)
	return operation, nil
}
