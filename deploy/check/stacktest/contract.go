package stacktest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/userrequestapi/userdata/deploy/contract"
)

// Contract is the API document, which responses are checked against.
type Contract struct{ document *contract.Document }

// LoadContract reads and validates the API document, including its examples, of the workspace in the folder root.
func LoadContract(tb testing.TB, root string) *Contract {
	tb.Helper()
	document, err := contract.Read(os.DirFS(filepath.Join(root, "deploy")))
	if err == nil {
		err = document.Validate(tb.Context(), openapi3.EnableExamplesValidation())
	}
	if err != nil {
		tb.Fatalf("read the API document: %v", err)
	}
	return &Contract{document}
}

// Document returns the document. Changes in it affect Check.
func (c *Contract) Document() *contract.Document { return c.document }

// Check returns an error with all differences between a response and the document: an unknown status, header, media
// type, member or problem code, a missing header or member, and values that violate their schema. path follows the
// invoke URL. For a request without an operation, the response must be that to OPTIONS, or a problem document.
func (c *Contract) Check(method, path string, response Response) error {
	operation, known := c.operation(method, path)
	switch {
	case operation != nil:
		documented := operation.Responses.Status(response.Status)
		if documented == nil {
			return fmt.Errorf("%s does not document the status %d", operation.OperationID, response.Status)
		}
		err := errors.Join(check(documented.Value, response), checkCode(*documented.Value.Description, response))
		if err != nil {
			return fmt.Errorf("%s, status %d: %w", operation.OperationID, response.Status, err)
		}
		return nil
	case method == http.MethodOptions && response.Status == http.StatusNoContent:
		return check(preflight(), response)
	}
	documented := c.errorResponse(response.Status, known)
	if documented == nil {
		return fmt.Errorf("status %d without an operation", response.Status)
	}
	if method == http.MethodHead {
		documented.Content = nil
	}
	return check(documented, response)
}

// preflight returns the response to OPTIONS, which each path has without an operation.
func preflight() *openapi3.Response {
	return &openapi3.Response{Headers: headers("Allow", "Access-Control-Allow-Origin", "Access-Control-Allow-Methods",
		"Access-Control-Allow-Headers", "Access-Control-Max-Age", "Cache-Control", "X-Amzn-Requestid")}
}

// errorResponse returns the response with status to a request without an operation, or nil. known reports whether the
// path has operations.
func (c *Contract) errorResponse(status int, known bool) *openapi3.Response {
	switch status {
	case http.StatusMethodNotAllowed, http.StatusNotFound:
		if known != (status == http.StatusMethodNotAllowed) {
			return nil
		}
	case http.StatusUnsupportedMediaType, http.StatusTooManyRequests:
	default:
		return nil
	}
	response := &openapi3.Response{
		Headers: headers("Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Cache-Control", "X-Amzn-Requestid",
			"X-Content-Type-Options"),
		Content: openapi3.Content{contract.ProblemMediaType: {Schema: c.document.Components.Schemas["Problem"]}},
	}
	switch status {
	case http.StatusMethodNotAllowed:
		maps.Copy(response.Headers, headers("Allow"))
	case http.StatusTooManyRequests:
		maps.Copy(response.Headers, headers("Retry-After"))
	}
	return response
}

// headers returns required headers.
func headers(names ...string) openapi3.Headers {
	all := openapi3.Headers{}
	for _, name := range names {
		all[name] = &openapi3.HeaderRef{Value: &openapi3.Header{
			Parameter: openapi3.Parameter{Required: true, Schema: openapi3.NewStringSchema().NewRef()},
		}}
	}
	return all
}

// operation returns the operation of a request, or nil. known reports whether the path has operations.
func (c *Contract) operation(method, path string) (operation *openapi3.Operation, known bool) {
	if item := c.item(path); item != nil {
		return item.GetOperation(method), true
	}
	return nil, false
}

// Allow returns the value of the header Allow for a path, which is appended to the invoke URL, and the methods that the
// path does not support. HEAD is not one of them, because its responses have no body.
func (c *Contract) Allow(path string) (allow string, others []string) {
	var methods []string
	item := c.item(path)
	for _, method := range contract.Methods() {
		if item != nil && item.GetOperation(method) != nil {
			methods = append(methods, method)
		} else if method != http.MethodHead {
			others = append(others, method)
		}
	}
	return strings.Join(append(methods, http.MethodOptions), ", "), others
}

// item returns the path item (OpenAPI, "Path Item Object") of the path of a request, or nil.
func (c *Contract) item(path string) *openapi3.PathItem {
	path, _, _ = strings.Cut(path, "?")
	segments := strings.Split("/"+strings.Trim(path, "/"), "/")   // API Gateway ignores leading and trailing slashes
	for _, template := range c.document.Paths.InMatchingOrder() { // literal paths before those with parameters
		if slices.EqualFunc(strings.Split("/"+strings.Trim(template, "/"), "/"), segments, matches) {
			return c.document.Paths.Value(template)
		}
	}
	return nil
}

func matches(template, segment string) bool {
	return template == segment || strings.HasPrefix(template, "{") && segment != ""
}

// isPlatformHeader reports whether API Gateway adds the header to any response; such headers are not documented.
func isPlatformHeader(name string) bool {
	switch name {
	case "Date", "Content-Length", "Content-Type", "Connection", "X-Amz-Apigw-Id", "X-Amzn-Trace-Id", "X-Amzn-Errortype":
		return true
	}
	return strings.HasPrefix(name, "X-Amzn-Remapped-")
}

// check compares a response with the documented one.
func check(documented *openapi3.Response, response Response) error {
	return errors.Join(checkHeaders(documented.Headers, response), checkBody(documented.Content, response))
}

func checkHeaders(documented openapi3.Headers, response Response) error {
	var faults []error
	names := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(documented)) {
		names[http.CanonicalHeaderKey(name)] = true
		values, header := response.Header.Values(name), documented[name].Value
		switch {
		case len(values) == 0 && header.Required:
			faults = append(faults, fmt.Errorf("the header %s is missing", name))
		case len(values) > 1:
			faults = append(faults, fmt.Errorf("the header %s occurs %d times", name, len(values)))
		case len(values) == 1:
			if err := visit(header.Schema, headerValue(header.Schema.Value, values[0])); err != nil {
				faults = append(faults, fmt.Errorf("the header %s: %w", name, err))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(response.Header)) {
		if !names[name] && !isPlatformHeader(name) {
			faults = append(faults, fmt.Errorf("the header %s is not documented", name))
		}
	}
	return errors.Join(faults...)
}

// headerValue converts a header to the type of its schema ("style: simple" of the OpenAPI Specification).
func headerValue(schema *openapi3.Schema, value string) any {
	if schema.Type.Is(openapi3.TypeInteger) || schema.Type.Is(openapi3.TypeNumber) {
		if number, err := strconv.ParseFloat(value, 64); err == nil {
			return number
		}
	}
	return value
}

func checkBody(documented openapi3.Content, response Response) error {
	if len(response.Body) == 0 && len(documented) == 0 {
		return nil
	}
	mediaType, _, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if err != nil {
		return fmt.Errorf("the header Content-Type: %w", err)
	}
	content, ok := documented[mediaType]
	if !ok {
		return fmt.Errorf("body of %s is not documented: %.500s", mediaType, response.Body)
	}
	var value any
	decoder := json.NewDecoder(bytes.NewReader(response.Body))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		return fmt.Errorf("the body: %w: %.500s", err, response.Body)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("the body: trailing data: %.500s", response.Body)
	}
	if err := visit(content.Schema, value); err != nil {
		return fmt.Errorf("the body: %w: %.500s", err, response.Body)
	}
	return nil
}

// checkCode checks that the description of a response contains the code of the problem.
func checkCode(description string, response Response) error {
	var document struct {
		Code string `json:"code"`
	}
	if len(response.Body) == 0 || response.Header.Get("Content-Type") != contract.ProblemMediaType {
		return nil
	}
	if err := json.Unmarshal(response.Body, &document); err != nil {
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
	return schema.Value.VisitJSON(value, openapi3.VisitAsResponse(), openapi3.MultiErrors(),
		openapi3.EnableFormatValidation(),
		openapi3.WithStringFormatValidators(map[string]openapi3.StringFormatValidator{
			"uri":           openapi3.NewCallbackValidator(func(uri string) error { return checkReference(uri, true) }),
			"uri-reference": openapi3.NewCallbackValidator(func(uri string) error { return checkReference(uri, false) }),
		}))
}

// checkReference returns an error if reference is not a URI reference (RFC 3986 §4.1) or, if absolute, has no scheme.
func checkReference(reference string, absolute bool) error {
	parsed, err := url.Parse(reference)
	if err == nil && absolute && !parsed.IsAbs() {
		err = fmt.Errorf("%q has no scheme", reference)
	}
	return err
}
