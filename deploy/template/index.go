package template

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"strings"

	"github.com/userrequestapi/userdata/deploy/cfn"
)

// stagePath is the path of the stage in a mapping template.
const stagePath = "/$context.stage/"

// indexMethod returns the method of the index, which has the name, version and links of the API: to itself, to each
// collection by the last segment of its path, and to the documentation.
func (a *openAPI) indexMethod(r route, authorization securityScheme) (object, error) {
	var links []string
	link := func(name, target string) {
		links = append(links, fmt.Sprintf("%s:%s", mustEncodeJSON(name), mustEncodeJSON(target)))
	}
	link("self", stagePath)
	for _, collection := range a.contract.Collections() {
		link(path.Base(collection.Path), strings.TrimSuffix(stagePath, "/")+collection.Path)
	}
	link("documentation", a.contract.ExternalDocs.URL)
	document, err := encodeJSON(struct {
		Name    string          `json:"name"`
		Version string          `json:"version"`
		Links   json.RawMessage `json:"links"`
	}{a.contract.Info.Title, a.contract.Info.Version, json.RawMessage("{" + strings.Join(links, ",") + "}")})
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
