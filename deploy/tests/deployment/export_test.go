package deployment_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/contract"
)

type object = map[string]any

const (
	documentationKey = "x-amazon-apigateway-documentation"
	schemaPrefix     = "#/components/schemas/"
)

// checkExport checks that API Gateway exports the document that was imported:
//
//   - without vendor extensions, the export equals the document except for what API Gateway does not store (see
//     [reduce]);
//   - with its documentation parts, which contain the rest, the export equals the document except for what belongs to
//     the stage: the OpenAPI version, the server and the authorization.
//
// References are resolved, except for schemas. Both exports are those that mage docs writes. The emulator itself stores
// no models, documentation parts or versions: ministack.py adds them according to AWS's documentation, and may export
// other fields of a part than AWS. It has no ANY methods. So the test finds what is lost in the Body, not how AWS
// formats its export.
func (c *checkout) checkExport(apiID string) {
	c.t.Helper()
	document, err := contract.Read(os.DirFS(filepath.Join(c.dir, "deploy")))
	if err != nil {
		c.t.Fatal(err)
	}
	want := resolveReferences(c.t, decode(c.t, document.Public().JSON()))
	exported, extended := c.export(apiID, nil), c.export(apiID, map[string]string{"extensions": "apigateway"})
	parts := parts(c.t, decode(c.t, extended))

	plain := public(decode(c.t, exported))
	if title := member(plain, "info")["title"]; title != "UserRequestAPI-"+stageName {
		c.t.Errorf("export: got title %v, want UserRequestAPI-%s", title, stageName)
	}
	member(plain, "info")["title"] = member(want, "info")["title"] // the title of the API is set by the stack
	if diff := gocmp.Diff(reduce(resolveReferences(c.t, decode(c.t, document.Public().JSON()))), plain); diff != "" {
		c.t.Errorf("export (-want +got):\n%s", diff)
	}
	c.must([]string{"SERVE=0"}, "docs")
	for file, export := range map[string][]byte{stageName + ".json": exported, stageName + ".apigateway.json": extended} {
		if diff := gocmp.Diff(decode(c.t, export), decode(c.t, []byte(c.read("docs/api/"+file)))); diff != "" {
			c.t.Errorf("%s (-export +file):\n%s", file, diff)
		}
	}
	if diff := gocmp.Diff(want, restore(public(decode(c.t, extended)), parts)); diff != "" {
		c.t.Errorf("export with its documentation (-want +got):\n%s", diff)
	}
}

// export returns the document of the stage that API Gateway exports.
func (c *checkout) export(apiID string, parameters map[string]string) []byte {
	c.t.Helper()
	exported, err := apigateway.NewFromConfig(c.account.Config()).GetExport(c.t.Context(), &apigateway.GetExportInput{
		RestApiId: aws.String(apiID), StageName: aws.String(stageName),
		ExportType: aws.String("oas30"), Accepts: aws.String("application/json"), Parameters: parameters,
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return exported.Body
}

// checkIndex checks the index of the stage.
func (c *checkout) checkIndex(apiID string) {
	c.t.Helper()
	status, _, body := c.call(apiID, http.MethodGet, "/", "")
	index := decode(c.t, []byte(body))
	if status != http.StatusOK || index["name"] != "UserRequestAPI" || index["version"] == nil ||
		member(index, "links")["users"] == nil {
		c.t.Errorf("GET /: got %d %s, want 200 and the index with name, version and links", status, body)
	}
}

func decode(t *testing.T, data []byte) object {
	t.Helper()
	var document object
	if err := json.Unmarshal(data, &document); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
	return document
}

// member returns a nested mapping; nil, which reads as an empty mapping, if a value is not one.
func member(value any, keys ...string) object {
	o, _ := value.(object)
	for _, key := range keys {
		o, _ = o[key].(object)
	}
	return o
}

func list(value any) []any {
	elements, _ := value.([]any)
	return elements
}

// resolveReferences returns a document with references resolved, the parameters of paths moved to their operations, and
// without what belongs to the stage.
func resolveReferences(t *testing.T, document object) object {
	t.Helper()
	var resolve func(value any) any
	resolve = func(value any) any {
		switch v := value.(type) {
		case object:
			reference, ok := v["$ref"].(string)
			if ok && !strings.HasPrefix(reference, schemaPrefix) {
				keys := strings.Split(strings.TrimPrefix(reference, "#/"), "/")
				target := member(document, keys...)
				if target == nil {
					t.Fatalf("want %s in the document, got none", reference)
				}
				return resolve(target)
			}
			resolved := object{}
			for key, element := range v {
				resolved[key] = resolve(element)
			}
			return resolved
		case []any:
			resolved := make([]any, len(v))
			for i, element := range v {
				resolved[i] = resolve(element)
			}
			return resolved
		default:
			return value
		}
	}
	whole := member(resolve(document))
	for _, item := range member(whole, "paths") {
		shared := list(member(item)["parameters"])
		delete(member(item), "parameters")
		for _, operation := range item.(object) {
			o := member(operation)
			if parameters := append(slices.Clone(shared), list(o["parameters"])...); len(parameters) > 0 {
				o["parameters"] = parameters
			}
		}
	}
	return sortParameters(withoutStage(whole))
}

// public returns an export without vendor extensions, what only they refer to, and OPTIONS, which the document
// describes in prose.
func public(export object) object {
	var strip func(value any)
	strip = func(value any) {
		for key, element := range member(value) {
			if strings.HasPrefix(key, "x-amazon-") {
				delete(member(value), key)
			}
			strip(element)
		}
	}
	strip(export)
	paths := member(export, "paths")
	for path, item := range paths {
		delete(member(item), "options")
		if len(member(item)) == 0 {
			delete(paths, path)
		}
		for _, operation := range member(item) {
			for _, p := range list(member(operation)["parameters"]) {
				if member(p)["required"] == false { // the default
					delete(member(p), "required")
				}
			}
			for _, response := range member(operation, "responses") { // ignored by OpenAPI 3.0 (Response Object), but mapped
				delete(member(response, "headers"), "Content-Type")
			}
		}
	}
	return sortParameters(withoutStage(export))
}

// withoutStage returns a document without what belongs to a stage.
func withoutStage(document object) object {
	for _, key := range []string{"openapi", "servers", "security"} {
		delete(document, key)
	}
	for _, item := range member(document, "paths") {
		for _, operation := range member(item) {
			delete(member(operation), "security")
		}
	}
	maps.DeleteFunc(member(document, "components"), func(key string, _ any) bool { return key != "schemas" })
	return document
}

// sortParameters returns a document with the parameters of operations sorted by name.
func sortParameters(document object) object {
	for _, item := range member(document, "paths") {
		for _, operation := range member(item) {
			slices.SortFunc(list(member(operation)["parameters"]), func(a, b any) int {
				name := func(p any) string { return fmt.Sprint(member(p)["in"], " ", member(p)["name"]) }
				return cmp.Compare(name(a), name(b))
			})
		}
	}
	return document
}

// reduce removes from a document what API Gateway does not store, either in the API or in documentation that is
// exported in place ("Amazon API Gateway important notes", REST APIs): examples; the schemas of parameters and headers
// except for the type string; whether headers and bodies are required; and what JSON Schema draft 4 models do not have.
func reduce(document object) object {
	stringSchema := object{"type": "string"}
	var removeExamples func(value any)
	removeExamples = func(value any) {
		for key, element := range member(value) {
			if key == "example" || key == "examples" {
				delete(member(value), key)
			}
			removeExamples(element)
		}
	}
	for _, item := range member(document, "paths") {
		for _, operation := range member(item) {
			for _, p := range list(member(operation)["parameters"]) {
				member(p)["schema"] = stringSchema
				removeExamples(p)
			}
			delete(member(operation, "requestBody"), "required")
			removeExamples(member(operation, "requestBody"))
			for _, response := range member(operation, "responses") {
				for _, header := range member(response, "headers") {
					member(header)["schema"] = stringSchema
					delete(member(header), "required")
				}
				removeExamples(response)
			}
		}
	}
	var removeUnsupported func(value any, names bool)
	removeUnsupported = func(value any, names bool) { // names: the keys are names of properties
		for key, element := range member(value) {
			switch {
			case !names && slices.Contains([]string{"example", "readOnly", "anyOf", "oneOf"}, key):
				delete(member(value), key)
			default:
				removeUnsupported(element, !names && key == "properties")
			}
		}
	}
	removeUnsupported(member(document, "components", "schemas"), true)
	return document
}

// part is a documentation part.
type part struct {
	Location   struct{ Type, Path, Method, StatusCode, Name string }
	Properties object
}

func parts(t *testing.T, export object) []part {
	t.Helper()
	encoded, err := json.Marshal(member(export, documentationKey)["documentationParts"])
	if err != nil {
		t.Fatal(err)
	}
	var found []part
	if err := json.Unmarshal(encoded, &found); err != nil {
		t.Fatal(err)
	}
	return found
}

// restore merges the documentation parts into an export. A part applies to the paths below its own, and the most
// specific part of an element applies.
func restore(export object, parts []part) object {
	content := func(kind, path, method, status, name string) object {
		best, longest := object(nil), -1
		for _, p := range parts {
			l := p.Location
			above := cmp.Or(l.Path, "/")
			if l.Type != kind || l.Name != name || path != above && !strings.HasPrefix(path, strings.TrimSuffix(above, "/")+"/") ||
				l.Method != "" && l.Method != method ||
				l.StatusCode != "" && l.StatusCode != status {
				continue
			}
			if length := 10*len(above) + len(l.Method+l.StatusCode); length > longest {
				best, longest = p.Properties, length
			}
		}
		return best
	}
	merge(export, content("API", "/", "", "", ""))
	for name, schema := range member(export, "components", "schemas") {
		merge(member(schema), content("MODEL", "/", "", "", name))
	}
	kinds := map[any]string{"path": "PATH_PARAMETER", "query": "QUERY_PARAMETER", "header": "REQUEST_HEADER"}
	for path, item := range member(export, "paths") {
		for key, operation := range member(item) {
			o, method := member(operation), strings.ToUpper(key)
			merge(o, content("METHOD", path, method, "", ""))
			for _, p := range list(o["parameters"]) {
				merge(member(p), content(kinds[member(p)["in"]], path, method, "", fmt.Sprint(member(p)["name"])))
			}
			if body := member(o, "requestBody"); body != nil {
				merge(body, content("REQUEST_BODY", path, method, "", ""))
			}
			for status, response := range member(o, "responses") {
				r := member(response)
				merge(r, content("RESPONSE", path, method, status, ""))
				if r["content"] != nil {
					merge(r, content("RESPONSE_BODY", path, method, status, ""))
				}
				for name, header := range member(r, "headers") {
					merge(member(header), content("RESPONSE_HEADER", path, method, status, name))
				}
			}
		}
	}
	return export
}

// merge adds a documentation part to the element that it describes.
func merge(into, content object) {
	for key, value := range content {
		added, isMapping := value.(object)
		if existing := member(into[key]); isMapping && existing != nil && added["$ref"] == nil {
			merge(existing, added)
			continue
		}
		into[key] = value
	}
}
