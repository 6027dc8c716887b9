package reference

import (
	"bytes"
	"cmp"
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	texttemplate "text/template"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/userrequestapi/userdata/deploy/aws/sigv4"
	"github.com/userrequestapi/userdata/deploy/contract"
	"github.com/userrequestapi/userdata/deploy/host/command"
	"github.com/userrequestapi/userdata/deploy/template"
)

//go:embed samples
var sampleFiles embed.FS

// Sample is the code of a request in a language.
type Sample struct {
	Label    string `json:"label"`
	Language string `json:"language"` // as the highlighter of Swagger UI names it
	Code     string `json:"code"`
}

// sampleRequest is a request of an operation, with the examples in the document.
type sampleRequest struct {
	Method, URL   string
	Headers       []sampleHeader
	Body          string // "" for none
	Authorization string // options with which curl signs requests; "" if requests are not signed
}

// sampleHeader is a header. Variable is the environment variable with the secret that follows Value, or "".
type sampleHeader struct{ Name, Value, Variable string }

// Variables reports whether a header needs an environment variable.
func (r sampleRequest) Variables() bool {
	return slices.ContainsFunc(r.Headers, func(h sampleHeader) bool { return h.Variable != "" })
}

// Samples returns code that sends a request of each operation to the first server of a document, by method and path,
// such as "GET /users". The values are the examples and defaults in the document. Credentials are read from the
// environment. curl contains the options with which curl signs requests; "" for those that the document requires.
func Samples(document *contract.Public, curl string) (map[string][]Sample, error) {
	api, err := openapi3.NewLoader().LoadFromData(document.JSON())
	if err != nil {
		return nil, fmt.Errorf("write code samples: %w", err)
	}
	parsed, err := texttemplate.New("").Funcs(texttemplate.FuncMap{
		"quote": strconv.Quote, "lower": strings.ToLower, "shell": command.SingleQuote, "raw": quoteRaw,
		"backticks": quoteTemplate, "triple": quoteTriple,
	}).ParseFS(sampleFiles, "samples/*.tmpl")
	if err != nil {
		return nil, fmt.Errorf("write code samples: %w", err)
	}
	all := map[string][]Sample{}
	for path, item := range api.Paths.Map() {
		for method, operation := range item.Operations() {
			request := newSampleRequest(api, path, method, item, operation)
			request.Authorization = curl
			signed := slices.Contains(schemes(api, operation), template.SecurityScheme(template.AuthorizationIAM))
			if curl == "" && signed {
				request.Authorization = sigv4.Curl("$AWS_REGION")
			}
			if request.Authorization != "" {
				request.Headers = slices.DeleteFunc(request.Headers, func(h sampleHeader) bool { return h.Variable != "" })
			}
			for _, s := range []Sample{
				{Label: "curl", Language: "bash"}, {Label: "Go", Language: "go"},
				{Label: "TypeScript", Language: "javascript"}, {Label: "Python", Language: "python"},
			} {
				var code bytes.Buffer
				if err := parsed.ExecuteTemplate(&code, strings.ToLower(s.Label)+".tmpl", request); err != nil {
					return nil, fmt.Errorf("write code samples: %w", err)
				}
				s.Code = strings.TrimSpace(code.String())
				all[method+" "+path] = append(all[method+" "+path], s)
			}
		}
	}
	return all, nil
}

// sampleCache keeps the samples of the last document, because generating them would delay each page.
type sampleCache struct {
	mu       sync.Mutex
	document []byte
	curl     string
	samples  map[string][]Sample
}

// get returns what [Samples] returns. source is the document in JSON, whose rendering takes milliseconds.
func (c *sampleCache) get(document *contract.Public, source []byte, curl string) (map[string][]Sample, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.samples != nil && c.curl == curl && bytes.Equal(c.document, source) {
		return c.samples, nil
	}
	samples, err := Samples(document, curl)
	if err != nil {
		return nil, err
	}
	c.document, c.curl, c.samples = source, curl, samples
	return samples, nil
}

func newSampleRequest(
	api *openapi3.T, path, method string, item *openapi3.PathItem, operation *openapi3.Operation,
) sampleRequest {
	r := sampleRequest{Method: method}
	query := url.Values{}
	for _, p := range slices.Concat(item.Parameters, operation.Parameters) {
		value := parameterExample(p.Value)
		switch {
		case p.Value.In == openapi3.ParameterInPath:
			path = strings.ReplaceAll(path, "{"+p.Value.Name+"}", url.PathEscape(value))
		case !p.Value.Required: // as the page, which sends optional parameters only if they are filled in
		case p.Value.In == openapi3.ParameterInQuery:
			query.Set(p.Value.Name, value)
		case p.Value.In == openapi3.ParameterInHeader:
			r.Headers = append(r.Headers, sampleHeader{Name: p.Value.Name, Value: value})
		}
	}
	if len(api.Servers) > 0 {
		r.URL = strings.TrimSuffix(api.Servers[0].URL, "/")
		for name, variable := range api.Servers[0].Variables {
			r.URL = strings.ReplaceAll(r.URL, "{"+name+"}", variable.Default)
		}
	}
	r.URL += path
	if len(query) > 0 {
		r.URL += "?" + query.Encode()
	}
	if header, ok := credentialHeader(api, operation); ok {
		r.Headers = append(r.Headers, header)
	}
	if mediaType, body := bodyExample(operation); body != "" {
		r.Headers = append(r.Headers, sampleHeader{Name: "Content-Type", Value: mediaType})
		r.Body = body
	}
	return r
}

// schemes returns the sorted names of the security schemes of an operation's first alternative; nil for none.
func schemes(api *openapi3.T, operation *openapi3.Operation) []string {
	security := api.Security
	if operation.Security != nil {
		security = *operation.Security
	}
	if len(security) == 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(security[0]))
}

// credentialHeader returns the header that authorizes the request. ok is false if it needs none.
func credentialHeader(api *openapi3.T, operation *openapi3.Operation) (header sampleHeader, ok bool) {
	if api.Components == nil {
		return sampleHeader{}, false
	}
	for _, name := range schemes(api, operation) {
		scheme := api.Components.SecuritySchemes[name]
		switch {
		case scheme == nil:
		case scheme.Value.Type == "http":
			return sampleHeader{Name: "Authorization", Value: "Bearer ", Variable: "TOKEN"}, true
		case scheme.Value.In == openapi3.ParameterInHeader:
			variable := strings.ToUpper(strings.TrimPrefix(strings.ReplaceAll(scheme.Value.Name, "-", "_"), "X_"))
			return sampleHeader{Name: scheme.Value.Name, Variable: variable}, true
		}
	}
	return sampleHeader{}, false
}

// parameterExample returns the example of a parameter as it is sent, or else its name.
func parameterExample(p *openapi3.Parameter) string {
	values := []any{p.Example}
	for _, name := range slices.Sorted(maps.Keys(p.Examples)) {
		values = append(values, p.Examples[name].Value.Value)
	}
	if p.Schema != nil {
		values = append(values, p.Schema.Value.Example, p.Schema.Value.Default)
		values = append(values, p.Schema.Value.Enum...)
	}
	for _, value := range values {
		if value != nil {
			return fmt.Sprint(value)
		}
	}
	return p.Name
}

// bodyExample returns the first example of a request body, or "". JSON is indented.
func bodyExample(operation *openapi3.Operation) (mediaType, body string) {
	if operation.RequestBody == nil {
		return "", ""
	}
	content := operation.RequestBody.Value.Content
	for _, mediaType := range slices.SortedFunc(maps.Keys(content), func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
	}) {
		values := []any{content[mediaType].Example}
		for _, name := range slices.Sorted(maps.Keys(content[mediaType].Examples)) {
			values = append(values, content[mediaType].Examples[name].Value.Value)
		}
		if content[mediaType].Schema != nil {
			values = append(values, content[mediaType].Schema.Value.Example)
		}
		for _, value := range values {
			if value != nil {
				return mediaType, encodeExample(value)
			}
		}
	}
	return "", ""
}

// rank orders media types: JSON first.
func rank(mediaType string) int { return len(strings.TrimPrefix(mediaType, contract.JSONMediaType)) }

func encodeExample(value any) string {
	if text, ok := value.(string); ok {
		return text
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil { // it was parsed from JSON
		panic(err)
	}
	return strings.TrimSpace(out.String())
}

// quoteRaw quotes a string for Go, over several lines if possible.
func quoteRaw(text string) string {
	if strconv.CanBackquote(strings.ReplaceAll(text, "\n", "")) {
		return "`" + text + "`"
	}
	return strconv.Quote(text)
}

// quoteTemplate quotes a string for TypeScript over several lines.
func quoteTemplate(text string) string {
	return "`" + strings.NewReplacer(`\`, `\\`, "`", "\\`", "${", `\${`).Replace(text) + "`"
}

// quoteTriple quotes a string for Python over several lines.
func quoteTriple(text string) string {
	quoted := strings.NewReplacer(`\`, `\\`, `"""`, `\"""`).Replace(text)
	if rest, ok := strings.CutSuffix(quoted, `"`); ok { // four quotes would end the string too early
		quoted = rest + `\"`
	}
	return `"""` + quoted + `"""`
}
