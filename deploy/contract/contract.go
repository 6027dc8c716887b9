// Package contract reads the API document, deploy/openapi.yaml, for the rest of deploy and for the tests. It also
// adapts the document for readers: without extensions, and with the server and the authorization of a stage.
package contract

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

const (
	// File is the name of the API document in the folder deploy.
	File = "openapi.yaml"

	// FunctionKey is the only extension of the API document: the function of an operation, a logical id of the template.
	FunctionKey = "x-function"

	// JSONMediaType is the media type of the bodies of requests, and of responses other than problem documents.
	JSONMediaType = "application/json"

	// ProblemMediaType is the media type of a problem document.
	ProblemMediaType = "application/problem+json"
)

// Document is an OpenAPI document (OpenAPI Specification 3.0) with its references resolved. It must not be changed.
type Document struct {
	*openapi3.T
	public *Public
	digest [sha256.Size]byte // of the source
}

// Read reads the API document in the folder deploy.
func Read(deploy fs.FS) (*Document, error) {
	source, err := fs.ReadFile(deploy, File)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", File, err)
	}
	document, err := Parse(source)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", File, err)
	}
	return document, nil
}

// Reread returns d if the API document in the folder deploy is unchanged, and otherwise what [Read] returns. It avoids
// parsing the document again, which is slow.
func (d *Document) Reread(deploy fs.FS) (*Document, error) {
	source, err := fs.ReadFile(deploy, File)
	if err == nil && sha256.Sum256(source) == d.digest {
		return d, nil
	}
	return Read(deploy)
}

// Parse parses a document from YAML or JSON. It returns an error if the document violates the OpenAPI Specification,
// refers to other documents, or has an extension other than FunctionKey. It does not check examples.
func Parse(source []byte) (*Document, error) {
	public, err := ParsePublic(source)
	if err != nil {
		return nil, err
	}
	encoded := public.compact() // still with extensions
	if err := errors.Join(removeExtensions("", public.root, false)...); err != nil {
		return nil, err
	}
	d := &Document{&openapi3.T{}, public, sha256.Sum256(source)}
	if err := json.Unmarshal(encoded, d.T); err != nil {
		return nil, fmt.Errorf("read an OpenAPI document: %w", err)
	}
	if err := openapi3.NewLoader().ResolveRefsIn(d.T, nil); err != nil {
		return nil, fmt.Errorf("resolve the references: %w", err)
	}
	if err := d.Validate(context.Background(), openapi3.DisableExamplesValidation()); err != nil {
		return nil, err
	}
	return d, nil
}

// Name returns the name of the API, the title of the document. The stack, the functions and what else a stage has are
// named after it.
func (d *Document) Name() string { return d.Info.Title }

// ProblemType returns the type of a problem document (RFC 9457) with the code.
func (d *Document) ProblemType(code string) string {
	return "urn:problem-type:" + strings.ToLower(d.Name()) + ":" + code
}

// Public returns the document without extensions.
func (d *Document) Public() *Public { return d.public }

// Route is an operation of the document.
type Route struct {
	Path       string
	Method     string // in upper case
	Function   string // the value of FunctionKey; "" if absent
	Operation  *openapi3.Operation
	Parameters openapi3.Parameters // those of the path, then those of the operation
}

// Routes returns the operations, sorted by path, and by method in the order of [Methods].
func (d *Document) Routes() []Route {
	var routes []Route
	for _, path := range d.Paths.Keys() {
		item := d.Paths.Value(path)
		for _, method := range Methods() {
			operation := item.GetOperation(method)
			if operation == nil {
				continue
			}
			function, _ := operation.Extensions[FunctionKey].(string) // "" if absent
			routes = append(routes, Route{
				path, method, function, operation, slices.Concat(item.Parameters, operation.Parameters),
			})
		}
	}
	return routes
}

// RequiresParameter reports whether a request to the route must have a parameter.
func (r Route) RequiresParameter() bool {
	return slices.ContainsFunc(r.Parameters, func(p *openapi3.ParameterRef) bool { return p.Value.Required })
}

// Methods returns the methods that a route can have. API Gateway does not support TRACE, and OPTIONS is rendered.
func Methods() []string {
	return []string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
	}
}
