package template

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

const (
	// stagePath is the address of the stage in a mapping template.
	stagePath = "/$context.stage/"

	// usersPath is the address that the index links to.
	usersPath = "/users"
)

// indexMethod returns the method that responds with the index: what the API is, and where to go from here.
func (a *openAPI) indexMethod(r route, authorization securityScheme) (object, error) {
	if !slices.ContainsFunc(a.items, func(item pathItem) bool { return item.path == usersPath }) {
		return nil, fmt.Errorf("paths.%s: it is missing; the index links to it", usersPath)
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
	answer := mockMethod(nil, 200, string(document), object{
		"Content-Type":                  literal("application/json"),
		"Cache-Control":                 literal("no-store"),
		"X-Content-Type-Options":        literal("nosniff"),
		"Access-Control-Allow-Origin":   origin(),
		"Access-Control-Expose-Headers": literal(a.exposed),
	})
	operation := clone(r.operation).(object) // a mapping stays one
	// What is mapped must be declared; what else the contract says of the answer stays.
	responses := member(answer, "responses")
	for status := range responses {
		said := member(member(operation, "responses"), status)
		if said == nil {
			return nil, fmt.Errorf("paths.%s.%s.responses.%s: it is missing; the index is such",
				indexPath, strings.ToLower(r.method), status)
		}
		headers := object{}
		maps.Copy(headers, member(member(responses, status), "headers"))
		maps.Copy(headers, member(said, "headers"))
		said["headers"] = headers
	}
	operation[integrationKey] = answer[integrationKey]
	authorization.secure(operation)
	return operation, nil
}
