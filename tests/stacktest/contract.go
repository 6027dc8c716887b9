package stacktest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/userrequestapi/userdata/shared/problem"
)

// Contract is the API document, as answers are held to it.
type Contract struct{ document *openapi3.T }

// LoadContract reads the API document of the workspace in the folder root, and sees that it is valid, its examples too.
func LoadContract(ctx context.Context, root string) (*Contract, error) {
	file := filepath.Join(root, "deploy", "openapi.yaml")
	document, err := openapi3.NewLoader().LoadFromFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the API document %s: %w", file, err)
	}
	if err := document.Validate(ctx, openapi3.EnableExamplesValidation()); err != nil {
		return nil, fmt.Errorf("the API document %s: %w", file, err)
	}
	return &Contract{document}, nil
}

// Document is the whole document. What is changed in it, answers are held to.
func (c *Contract) Document() *openapi3.T { return c.document }

// Check tells all that is not documented of an answer to a request for path, which follows the invoke URL: an unknown status, header,
// media type, member or code of a problem, a header or member that is missing, and any value that its schema does not allow. An answer
// to a request that is no operation must be the answer to OPTIONS, or a problem document that says so.
func (c *Contract) Check(method, path string, answer Response) error {
	operation, known := c.operation(method, path)
	switch {
	case operation != nil:
		documented := operation.Responses.Status(answer.Status)
		if documented == nil {
			return fmt.Errorf("%s does not document the status %d", operation.OperationID, answer.Status)
		}
		if err := errors.Join(check(documented.Value, answer), checkCode(*documented.Value.Description, answer)); err != nil {
			return fmt.Errorf("%s, status %d: %w", operation.OperationID, answer.Status, err)
		}
		return nil
	case method == http.MethodOptions && answer.Status == http.StatusNoContent:
		return check(preflight(), answer)
	}
	documented := c.refusal(answer.Status, known)
	if documented == nil {
		return fmt.Errorf("it is no operation, but has the status %d", answer.Status)
	}
	if method == http.MethodHead {
		documented.Content = nil
	}
	return check(documented, answer)
}

// preflight is the answer to OPTIONS, the one method that each address has and that is no operation.
func preflight() *openapi3.Response {
	return &openapi3.Response{Headers: headers("Allow", "Access-Control-Allow-Origin", "Access-Control-Allow-Methods",
		"Access-Control-Allow-Headers", "Access-Control-Max-Age", "Cache-Control", "X-Amzn-Requestid")}
}

// refusal is the answer to a request that is no operation, by its status; nil where there is none. known tells that the address has
// operations.
func (c *Contract) refusal(status int, known bool) *openapi3.Response {
	switch status {
	case http.StatusMethodNotAllowed, http.StatusNotFound:
		if known != (status == http.StatusMethodNotAllowed) {
			return nil
		}
	case http.StatusUnsupportedMediaType, http.StatusTooManyRequests:
	default:
		return nil
	}
	answer := &openapi3.Response{
		Headers: headers("Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Cache-Control", "X-Amzn-Requestid",
			"X-Content-Type-Options"),
		Content: openapi3.Content{problem.MediaType: {Schema: c.document.Components.Schemas["Problem"]}},
	}
	switch status {
	case http.StatusMethodNotAllowed:
		maps.Copy(answer.Headers, headers("Allow"))
	case http.StatusTooManyRequests:
		maps.Copy(answer.Headers, headers("Retry-After"))
	}
	return answer
}

// headers are headers that must be there.
func headers(names ...string) openapi3.Headers {
	all := openapi3.Headers{}
	for _, name := range names {
		all[name] = &openapi3.HeaderRef{Value: &openapi3.Header{
			Parameter: openapi3.Parameter{Required: true, Schema: openapi3.NewStringSchema().NewRef()},
		}}
	}
	return all
}

// operation returns the operation that serves a request, nil where there is none, and whether the address has others.
func (c *Contract) operation(method, path string) (operation *openapi3.Operation, known bool) {
	path, _, _ = strings.Cut(path, "?")
	segments := strings.Split("/"+strings.Trim(path, "/"), "/")   // API Gateway ignores slashes at both ends
	for _, template := range c.document.Paths.InMatchingOrder() { // literal ones before those with parameters
		if slices.EqualFunc(strings.Split("/"+strings.Trim(template, "/"), "/"), segments, matches) {
			return c.document.Paths.Value(template).GetOperation(method), true
		}
	}
	return nil, false
}

func matches(template, segment string) bool {
	return template == segment || strings.HasPrefix(template, "{") && segment != ""
}

// everywhere are the headers of any answer that the platform makes, and that need no documenting.
func everywhere(name string) bool {
	switch name {
	case "Date", "Content-Length", "Content-Type", "Connection", "X-Amz-Apigw-Id", "X-Amzn-Trace-Id", "X-Amzn-Errortype":
		return true
	}
	return strings.HasPrefix(name, "X-Amzn-Remapped-")
}

// check compares an answer with the documented one.
func check(documented *openapi3.Response, answer Response) error {
	return errors.Join(checkHeaders(documented.Headers, answer), checkBody(documented.Content, answer))
}

func checkHeaders(documented openapi3.Headers, answer Response) error {
	var faults []error
	names := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(documented)) {
		names[http.CanonicalHeaderKey(name)] = true
		values, header := answer.Header.Values(name), documented[name].Value
		switch {
		case len(values) == 0 && header.Required:
			faults = append(faults, fmt.Errorf("the header %s is missing", name))
		case len(values) > 1:
			faults = append(faults, fmt.Errorf("the header %s comes %d times", name, len(values)))
		case len(values) == 1:
			if err := visit(header.Schema, headerValue(header.Schema.Value, values[0])); err != nil {
				faults = append(faults, fmt.Errorf("the header %s: %w", name, err))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(answer.Header)) {
		if !names[name] && !everywhere(name) {
			faults = append(faults, fmt.Errorf("the header %s is not documented", name))
		}
	}
	return errors.Join(faults...)
}

// headerValue is the value that the text stands for in a header of this type ("style: simple" of the OpenAPI Specification).
func headerValue(schema *openapi3.Schema, text string) any {
	if schema.Type.Is(openapi3.TypeInteger) || schema.Type.Is(openapi3.TypeNumber) {
		if number, err := strconv.ParseFloat(text, 64); err == nil {
			return number
		}
	}
	return text
}

func checkBody(documented openapi3.Content, answer Response) error {
	if len(answer.Body) == 0 && len(documented) == 0 {
		return nil
	}
	mediaType, _, err := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	if err != nil {
		return fmt.Errorf("the header Content-Type: %w", err)
	}
	content, ok := documented[mediaType]
	if !ok {
		return fmt.Errorf("a body of %s is not documented: %.500s", mediaType, answer.Body)
	}
	var value any
	decoder := json.NewDecoder(bytes.NewReader(answer.Body))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		return fmt.Errorf("the body: %w: %.500s", err, answer.Body)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("the body: something follows: %.500s", answer.Body)
	}
	if err := visit(content.Schema, value); err != nil {
		return fmt.Errorf("the body: %w: %.500s", err, answer.Body)
	}
	return nil
}

// checkCode sees that the description of a response names the code of a problem, as it does with all that there can be.
func checkCode(description string, answer Response) error {
	var document struct {
		Code string `json:"code"`
	}
	if len(answer.Body) == 0 || answer.Header.Get("Content-Type") != problem.MediaType {
		return nil
	}
	if err := json.Unmarshal(answer.Body, &document); err != nil {
		return fmt.Errorf("the problem: %w", err)
	}
	if !strings.Contains(description, "`"+document.Code+"`") {
		return fmt.Errorf("the code %s is not documented", document.Code)
	}
	return nil
}

func visit(schema *openapi3.SchemaRef, value any) error {
	if schema == nil {
		return nil
	}
	return schema.Value.VisitJSON(value, openapi3.VisitAsResponse(), openapi3.MultiErrors(), openapi3.EnableFormatValidation(),
		openapi3.WithStringFormatValidators(map[string]openapi3.StringFormatValidator{
			"uri":           openapi3.NewCallbackValidator(func(text string) error { return reference(text, true) }),
			"uri-reference": openapi3.NewCallbackValidator(func(text string) error { return reference(text, false) }),
		}))
}

// reference tells why text is no URI reference (RFC 3986 §4.1), or no absolute one.
func reference(text string, absolute bool) error {
	parsed, err := url.Parse(text)
	if err == nil && absolute && !parsed.IsAbs() {
		err = fmt.Errorf("%q has no scheme", text)
	}
	return err
}
