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

// checkExport sees that what API Gateway exports is the document that was imported:
//
//   - as it is, without vendor extensions, it equals the document but for what API Gateway has no place for (see [reduce]);
//   - with the parts of its documentation, which hold just that, it equals the whole document, but for what is the stage's own: the
//     version of OpenAPI, the server, and how requests are authorized.
//
// What was $ref is in its place, but for schemas. Both exports are those that mage docs writes. The emulator by itself keeps no models,
// parts or versions: ministack.py adds them by AWS's documentation, and which fields AWS exports of a part was not met. It has no methods
// for any verb. So this sees that nothing of the document is lost on its way through the Body, not how AWS spells its export.
func (c *checkout) checkExport(apiID string) {
	c.t.Helper()
	document, err := contract.Read(os.DirFS(filepath.Join(c.dir, "deploy")))
	if err != nil {
		c.t.Fatal(err)
	}
	want := inPlace(c.t, decode(c.t, document.Public().JSON()))
	exported, extended := c.export(apiID, nil), c.export(apiID, map[string]string{"extensions": "apigateway"})
	parts := parts(c.t, decode(c.t, extended))

	plain := public(decode(c.t, exported))
	if title := member(plain, "info")["title"]; title != "UserRequestAPI-"+stageName {
		c.t.Errorf("the export is of %v", title)
	}
	member(plain, "info")["title"] = member(want, "info")["title"] // that of the API is the stack's
	if diff := gocmp.Diff(reduce(inPlace(c.t, decode(c.t, document.Public().JSON()))), plain); diff != "" {
		c.t.Errorf("the export (-want +got):\n%s", diff)
	}
	c.must([]string{"SERVE=0"}, "docs")
	for file, export := range map[string][]byte{stageName + ".json": exported, stageName + ".apigateway.json": extended} {
		if diff := gocmp.Diff(decode(c.t, export), decode(c.t, []byte(c.read("docs/api/"+file)))); diff != "" {
			c.t.Errorf("%s (-export +file):\n%s", file, diff)
		}
	}
	if diff := gocmp.Diff(want, restore(public(decode(c.t, extended)), parts)); diff != "" {
		c.t.Errorf("the export with its documentation (-want +got):\n%s", diff)
	}
}

// export returns the document of the stage as API Gateway exports it.
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

// checkIndex sees that the stage says what it is.
func (c *checkout) checkIndex(apiID string) {
	c.t.Helper()
	status, _, body := c.call(apiID, http.MethodGet, "/", "")
	index := decode(c.t, []byte(body))
	if status != http.StatusOK || index["name"] != "UserRequestAPI" || index["version"] == nil || member(index, "links")["users"] == nil {
		c.t.Errorf("GET /: %d %s", status, body)
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

// member returns nil, which reads as an empty mapping, for what is none.
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

// inPlace returns a document with what it refers to in its place, the parameters of paths with their operations, and without what
// is the stage's own.
func inPlace(t *testing.T, document object) object {
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
					t.Fatalf("there is no %s", reference)
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
	return ordered(ofAll(whole))
}

// public returns an export without vendor extensions, what they alone are about, and OPTIONS, of which the document tells in words.
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
				if member(p)["required"] == false { // as where it is left out
					delete(member(p), "required")
				}
			}
			for _, response := range member(operation, "responses") { // to be ignored (OpenAPI 3.0, Response Object), but mapped
				delete(member(response, "headers"), "Content-Type")
			}
		}
	}
	return ordered(ofAll(export))
}

// ofAll returns a document without what is a stage's own.
func ofAll(document object) object {
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

// ordered returns a document with the parameters of its operations in the order of their names.
func ordered(document object) object {
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

// reduce takes from a document what API Gateway has no place for, in the parts of an API or in its documentation as far as that is
// exported as what it is about ("Amazon API Gateway important notes", REST APIs): examples; the schemas of parameters and headers but
// that they are texts; whether headers and bodies are required; and what models of JSON Schema's draft 4 do not know.
func reduce(document object) object {
	asText := object{"type": "string"}
	var examples func(value any)
	examples = func(value any) {
		for key, element := range member(value) {
			if key == "example" || key == "examples" {
				delete(member(value), key)
			}
			examples(element)
		}
	}
	for _, item := range member(document, "paths") {
		for _, operation := range member(item) {
			for _, p := range list(member(operation)["parameters"]) {
				member(p)["schema"] = asText
				examples(p)
			}
			delete(member(operation, "requestBody"), "required")
			examples(member(operation, "requestBody"))
			for _, response := range member(operation, "responses") {
				for _, header := range member(response, "headers") {
					member(header)["schema"] = asText
					delete(member(header), "required")
				}
				examples(response)
			}
		}
	}
	var unknown func(value any, names bool)
	unknown = func(value any, names bool) {
		for key, element := range member(value) {
			switch {
			case !names && slices.Contains([]string{"example", "readOnly", "anyOf", "oneOf"}, key):
				delete(member(value), key)
			default:
				unknown(element, !names && key == "properties")
			}
		}
	}
	unknown(member(document, "components", "schemas"), true)
	return document
}

// part is one of a documentation.
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

// restore puts all that the documentation says into an export, as a tool can that reads the parts.
func restore(export object, parts []part) object {
	said := func(kind, path, method, status, name string) object {
		best, longest := object(nil), -1
		for _, p := range parts {
			l := p.Location
			above := cmp.Or(l.Path, "/")
			if l.Type != kind || l.Name != name || path != above && !strings.HasPrefix(path, strings.TrimSuffix(above, "/")+"/") ||
				l.Method != "" && l.Method != method || l.StatusCode != "" && l.StatusCode != status {
				continue
			}
			if length := 10*len(above) + len(l.Method+l.StatusCode); length > longest {
				best, longest = p.Properties, length
			}
		}
		return best
	}
	merge(export, said("API", "/", "", "", ""))
	for name, schema := range member(export, "components", "schemas") {
		merge(member(schema), said("MODEL", "/", "", "", name))
	}
	places := map[any]string{"path": "PATH_PARAMETER", "query": "QUERY_PARAMETER", "header": "REQUEST_HEADER"}
	for path, item := range member(export, "paths") {
		for key, operation := range member(item) {
			o, method := member(operation), strings.ToUpper(key)
			merge(o, said("METHOD", path, method, "", ""))
			for _, p := range list(o["parameters"]) {
				merge(member(p), said(places[member(p)["in"]], path, method, "", fmt.Sprint(member(p)["name"])))
			}
			if body := member(o, "requestBody"); body != nil {
				merge(body, said("REQUEST_BODY", path, method, "", ""))
			}
			for status, response := range member(o, "responses") {
				r := member(response)
				merge(r, said("RESPONSE", path, method, status, ""))
				if r["content"] != nil {
					merge(r, said("RESPONSE_BODY", path, method, status, ""))
				}
				for name, header := range member(r, "headers") {
					merge(member(header), said("RESPONSE_HEADER", path, method, status, name))
				}
			}
		}
	}
	return export
}

// merge puts what is said into what it is said of.
func merge(into, said object) {
	for key, value := range said {
		below, isMapping := value.(object)
		if inner := member(into[key]); isMapping && inner != nil && below["$ref"] == nil {
			merge(inner, below)
			continue
		}
		into[key] = value
	}
}
