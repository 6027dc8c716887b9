package template

import (
	"fmt"
	"maps"
	"slices"
	"strings"
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
	info := member(a.document, "info")
	type links struct {
		Self          string `json:"self"`
		Users         string `json:"users"`
		Documentation any    `json:"documentation"`
	}
	stage := links{stagePath, strings.TrimSuffix(stagePath, "/") + usersPath, member(a.document, "externalDocs")["url"]}
	document, err := encodeJSON(struct {
		Name    any   `json:"name"`
		Version any   `json:"version"`
		Links   links `json:"links"`
	}{info["title"], info["version"], stage})
	if err != nil {
		return nil, fmt.Errorf("paths.%s: %w", indexPath, err)
	}
	if err := checkVelocity(strings.ReplaceAll(string(document), stagePath, "")); err != nil {
		return nil, err
	}
	mock := mockMethod(nil, 200, string(document), a.documentHeaders("application/json"))
	operation := clone(r.imported).(object) // clone keeps the type
	// API Gateway requires a declaration of each mapped header. The rest of the contract's response is kept.
	responses := member(mock, "responses")
	for status := range responses {
		response := member(member(operation, "responses"), status)
		if response == nil {
			return nil, fmt.Errorf("paths.%s.%s.responses.%s: missing, and the index has this status code",
				indexPath, strings.ToLower(r.Method), status)
		}
		headers := object{}
		maps.Copy(headers, member(member(responses, status), "headers"))
		maps.Copy(headers, member(response, "headers"))
		response["headers"] = headers
	}
	operation[IntegrationKey] = mock[IntegrationKey]
	authorization.secure(operation)
	return operation, nil
}
