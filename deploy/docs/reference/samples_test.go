package reference_test

import (
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/contract"
	"github.com/userrequestapi/userdata/deploy/docs/reference"
)

// things is a document with a body that needs quoting, and with one security scheme.
const things = `{"openapi": "3.0.3", "info": {"title": "Things", "version": "1"},
	"servers": [{"url": "https://example.com/{stage}", "variables": {"stage": {"default": "prod"}}}],
	"security": [{"key": []}], "paths": {
	"/things/{id}": {
		"parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string", "example": "a b"}}],
		"post": {"requestBody": {"content": {"application/json": {"example": "\"\"\"a\\\"\""}}}, "responses": {"200": {"description": "One"}}},
		"get": {"parameters": [{"name": "If-None-Match", "in": "header", "example": "\"1\"", "schema": {"type": "string"}}],
			"responses": {"200": {"description": "One"}}},
		"head": {"security": [], "responses": {"200": {"description": "One"}}},
		"put": {"parameters": [{"name": "mode", "in": "query", "required": true, "schema": {"type": "string", "enum": ["all", "one"]}}],
			"requestBody": {"content": {
				"application/xml": {"example": "<thing/>"},
				"application/json": {"examples": {"b": {"value": {"it": "no"}}, "a": {"value": {"it": "isn't ${a} ` + "`" + `quote` + "`" + `\\\"\"\""}}}}}},
			"responses": {"200": {"description": "One"}}}}},
	"components": {"securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"}, "token": {"type": "http", "scheme": "bearer"}}}}`

func samples(t *testing.T, document, curl string) map[string]map[string]string {
	t.Helper()
	public, err := contract.ParsePublic([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	all, err := reference.Samples(public, curl)
	if err != nil {
		t.Fatal(err)
	}
	byLabel := map[string]map[string]string{}
	for operation, list := range all {
		byLabel[operation] = map[string]string{}
		for _, s := range list {
			byLabel[operation][s.Label] = s.Code
		}
	}
	return byLabel
}

func TestSamples(t *testing.T) {
	t.Parallel()
	got := samples(t, things, "")
	want := map[string]string{
		"GET /things/{id}":  `curl 'https://example.com/prod/things/a%20b' \` + "\n" + `  -H "X-Api-Key: $API_KEY"`,
		"HEAD /things/{id}": `curl --head 'https://example.com/prod/things/a%20b'`,
		"PUT /things/{id}": `curl -X PUT 'https://example.com/prod/things/a%20b?mode=all' \` + "\n" + `  -H "X-Api-Key: $API_KEY" \` + "\n" +
			`  -H 'Content-Type: application/json' \` + "\n" + `  -d '{` + "\n" + `  "it": "isn'\''t ${a} ` + "`quote`" + `\\\"\"\""` + "\n}'",
	}
	want["POST /things/{id}"] = `curl -X POST 'https://example.com/prod/things/a%20b' \` + "\n" + `  -H "X-Api-Key: $API_KEY" \` + "\n" +
		`  -H 'Content-Type: application/json' \` + "\n" + `  -d '"""a\""'`
	curl := map[string]string{}
	for operation, byLabel := range got {
		curl[operation] = byLabel["curl"]
	}
	if diff := cmp.Diff(want, curl); diff != "" {
		t.Errorf("curl (-want +got):\n%s", diff)
	}
	const typescript = "const response = await fetch(\"https://example.com/prod/things/a%20b\", {\n  headers: {\n" +
		"    \"X-Api-Key\": `${process.env.API_KEY}`,\n  },\n});\nconsole.log(response.status, await response.text());"
	if diff := cmp.Diff(typescript, got["GET /things/{id}"]["TypeScript"]); diff != "" {
		t.Errorf("TypeScript (-want +got):\n%s", diff)
	}

	signed := samples(t, things, `--config '/x'`)["GET /things/{id}"]
	if want := `curl --config '/x' 'https://example.com/prod/things/a%20b'`; signed["curl"] != want {
		t.Errorf("signed curl = %s, want %s", signed["curl"], want)
	}
	const key = `[{"key": []}]`
	required := samples(t, strings.Replace(things, key, `[{"sigv4": []}, {"key": []}]`, 1), "")["GET /things/{id}"]
	if want := `curl --aws-sigv4 "aws:amz:$AWS_REGION:execute-api" --user `; !strings.HasPrefix(required["curl"], want) {
		t.Errorf("curl, if the document requires a signature = %s, want %s", required["curl"], want)
	}
	both := samples(t, strings.Replace(things, key, `[{"absent": [], "key": []}]`, 1), "")["GET /things/{id}"]
	if got, want := both["curl"], samples(t, things, "")["GET /things/{id}"]["curl"]; got != want {
		t.Errorf("curl with two schemes = %s, want %s", got, want)
	}
	bearer := samples(t, strings.Replace(things, `[{"key": []}]`, `[{"token": []}]`, 1), "")["GET /things/{id}"]
	for label, want := range map[string]string{
		"curl": `-H "Authorization: Bearer $TOKEN"`, "Go": `"Bearer "+os.Getenv("TOKEN")`, "Python": `"Bearer " + os.environ["TOKEN"]`,
	} {
		if !strings.Contains(bearer[label], want) {
			t.Errorf("%s with a token = %s, want %s in it", label, bearer[label], want)
		}
	}
}

// TestSamples_Syntax checks that the samples are formatted Go and valid Python.
func TestSamples_Syntax(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var scripts []string
	for _, curl := range []string{"", "--aws-sigv4 x"} {
		for operation, byLabel := range samples(t, things, curl) {
			source := byLabel["Go"] + "\n"
			if _, err := parser.ParseFile(token.NewFileSet(), "", source, parser.AllErrors); err != nil {
				t.Errorf("%s: %v in\n%s", operation, err, source)
			}
			if formatted, err := format.Source([]byte(source)); err != nil || string(formatted) != source {
				t.Errorf("%s: want formatted Go, got\n%s", operation, source)
			}
			script := filepath.Join(dir, strings.NewReplacer("/", "-", " ", "").Replace(curl+operation)+".py")
			if err := os.WriteFile(script, []byte(byLabel["Python"]), 0o600); err != nil {
				t.Fatal(err)
			}
			scripts = append(scripts, script)
		}
	}
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("needs python3")
	}
	if out, err := exec.CommandContext(t.Context(), python, append([]string{"-m", "py_compile"}, scripts...)...).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
