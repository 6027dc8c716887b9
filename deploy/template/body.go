package template

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/userrequestapi/userdata/deploy/cfn"
	"github.com/userrequestapi/userdata/deploy/contract"
)

// MaxIntegrationTimeout is the maximum integration timeout of a REST API, in milliseconds. The timeout of each function
// must be shorter: Lambda logs a timeout, and API Gateway does not.
const MaxIntegrationTimeout = 29_000

// Keys of the Body ("OpenAPI extensions for API Gateway").
const (
	AnyMethodKey     = "x-amazon-apigateway-any-method"
	AuthTypeKey      = "x-amazon-apigateway-authtype"
	AuthorizerKey    = "x-amazon-apigateway-authorizer"
	DocumentationKey = "x-amazon-apigateway-documentation"
	IntegrationKey   = "x-amazon-apigateway-integration"
	ValidatorKey     = "x-amazon-apigateway-request-validator"
	ValidatorsKey    = "x-amazon-apigateway-request-validators"
)

const (
	problemSchema = "Problem"
	corsParameter = "CorsAllowOrigin"
)

// permissionID returns the logical id of the permission of the route.
func (r route) permissionID() string {
	return strings.ToUpper(r.Operation.OperationID[:1]) + r.Operation.OperationID[1:] + "Permission"
}

// permission returns the permission to invoke the alias of the route's function for this route only
// ("Control access to a REST API", ARN format of execute-api).
func (r route) permission(alias, api string, stage any) object {
	path := inBraces.ReplaceAllString(r.Path, "*")
	arn := "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${" + api + "}/${Stage}/" + r.Method + path
	return object{
		"Type": "AWS::Lambda::Permission",
		"Properties": object{
			"Action":       "lambda:InvokeFunction",
			"FunctionName": object{"Ref": alias},
			"Principal":    "apigateway.amazonaws.com",
			"SourceArn":    object{"Fn::Sub": []any{arn, object{"Stage": cfn.Clone(stage)}}},
		},
	}
}

// addPermissions adds a permission for each route.
func addPermissions(e *cfn.Evaluator, routes []route, aliases map[string]string, api string) error {
	stage := e.Resource(onlyOne(e, stageType))
	resources := cfn.Mapping(e.Document, "Resources")
	for _, r := range routes {
		id := r.permissionID()
		if _, ok := resources[id]; ok {
			return fmt.Errorf("%s: Resources.%s: the name is reserved for the permission of %s %s: rename the resource",
				templateFile, id, r.Method, r.Path)
		}
		resources[id] = r.permission(aliases[r.Function], api, cfn.At(stage, "Properties", "StageName"))
	}
	return e.Err()
}

// checkFunctions returns the functions. It returns an error if a route has no function, a function has no route, or the
// timeout of a function is not shorter than MaxIntegrationTimeout.
func checkFunctions(e *cfn.Evaluator, routes []route) ([]string, error) {
	functions := e.All(functionType)
	unused := slices.Clone(functions)
	for _, r := range routes {
		if !slices.Contains(functions, r.Function) {
			return nil, fmt.Errorf("%s: %s %s: %s: want a function of %s, got %s; its functions are %s",
				contract.File, r.Method, r.Path, contract.FunctionKey, templateFile, r.Function, strings.Join(functions, ", "))
		}
		unused = slices.DeleteFunc(unused, func(id string) bool { return id == r.Function })
	}
	if len(unused) > 0 {
		return nil, fmt.Errorf("%s: Resources.%s: no route of %s has this function", templateFile, unused[0], contract.File)
	}
	for _, id := range functions {
		seconds, err := cfn.ParseNumber(e.Property(id, "Timeout"))
		if err != nil || seconds < 1 || seconds*1000 >= MaxIntegrationTimeout {
			return nil, fmt.Errorf("%s: Resources.%s.Properties.Timeout: want 1 to 28 seconds: API Gateway waits for 29",
				templateFile, id)
		}
	}
	return functions, e.Err()
}

// body renders the contract as the document that API Gateway imports ("OpenAPI extensions for API Gateway").
// aliases maps logical ids of functions to those of their aliases.
func (a *openAPI) body(name any, aliases map[string]string, authorization securityScheme) (object, error) {
	info := cfn.Clone(cfn.Mapping(a.document, "info"))
	// API Gateway limits the description of a REST API: only the first paragraph is imported.
	if description, ok := info["description"].(string); ok {
		first, _, _ := strings.Cut(strings.TrimSpace(description), "\n\n")
		info["description"] = strings.Join(strings.Fields(first), " ")
	}
	if name != nil {
		info["title"] = cfn.Clone(name) // becomes the name of the API
	}
	components := object{"schemas": importable(a.schemas, true)}
	if authorization.name != "" {
		components["securitySchemes"] = object{authorization.name: authorization.definition}
	}
	paths, err := a.paths(aliases, authorization)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", contract.File, err)
	}
	return object{
		"openapi":      a.document["openapi"],
		"info":         info,
		"externalDocs": cfn.Clone(a.document["externalDocs"]),
		"paths":        paths,
		"components":   components,

		// Functions validate the bodies: their problem documents list each fault, and API Gateway's cannot.
		ValidatorsKey: object{
			"parameters-only": object{"validateRequestParameters": true, "validateRequestBody": false},
		},
		ValidatorKey:                            "parameters-only",
		"x-amazon-apigateway-gateway-responses": a.gatewayResponses(),
	}, nil
}

func (a *openAPI) paths(aliases map[string]string, authorization securityScheme) (object, error) {
	paths := object{}
	all := []string{"OPTIONS"}
	var known []string
	for _, item := range a.items {
		known = append(known, strings.Join(item.methods[:len(item.methods)-1], ", ")+" "+item.path)
		for _, method := range item.methods {
			if !slices.Contains(all, method) {
				all = append(all, method)
			}
		}
	}
	slices.Sort(all)
	notFound := problemTemplate{
		Status: 404, Code: "RouteNotFound",
		Detail: fmt.Sprintf("The API has no such route. Its routes are %s. The documentation is at %s.",
			strings.Join(known, " and "), a.contract.ExternalDocs.URL),
	}
	for _, item := range a.items {
		allow := strings.Join(item.methods, ", ")
		notAllowed, err := a.mock(item.parameters, problemTemplate{
			Status: 405, Code: "MethodNotAllowed", Detail: fmt.Sprintf("The allowed methods are %s.", allow),
		}, object{"Allow": literal(allow)})
		if err != nil {
			return nil, err
		}
		paths[item.path] = object{
			"options":    options(item.parameters, item.methods, item.methods, a.requestHeaders()),
			AnyMethodKey: notAllowed,
		}
	}
	for _, r := range a.routes {
		operation := cfn.Clone(r.imported)
		operation[IntegrationKey] = object{
			"type":       "aws_proxy",
			"httpMethod": "POST", // of Lambda's Invoke, not of the route
			"uri": object{"Fn::Sub": "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${" +
				aliases[r.Function] + "}/invocations"}, // Ref of an alias is its ARN
			"timeoutInMillis": MaxIntegrationTimeout,
		}
		authorization.secure(operation)
		cfn.Mapping(paths, r.Path)[strings.ToLower(r.Method)] = operation
	}
	unrouted := map[string][]any{
		"/{proxy+}": {object{"name": "proxy", "in": "path", "required": true, "schema": object{"type": "string"}}},
	}
	if a.index == nil {
		unrouted[indexPath] = nil
	}
	for _, r := range a.index {
		index, err := a.indexMethod(r, authorization)
		if err != nil {
			return nil, err
		}
		cfn.Mapping(paths, indexPath)[strings.ToLower(r.Method)] = index
	}
	// All other paths. A preflight allows all methods, so that a page in a browser can read the 404 response.
	for path, parameters := range unrouted {
		unknown, err := a.mock(parameters, notFound, object{})
		if err != nil {
			return nil, err
		}
		paths[path] = object{
			"options":    options(parameters, []string{"OPTIONS"}, all, a.requestHeaders()),
			AnyMethodKey: unknown,
		}
	}
	return paths, nil
}

// requestHeaders returns the headers that pages of other origins may send: those of the contract, of API Gateway's
// authorization, of AWS SDKs and signers for browsers, and of W3C Trace Context and Baggage. A browser rejects a
// request with any other header.
func (a *openAPI) requestHeaders() []string {
	headers := []string{
		AuthorizationHeader, "Content-Type", "X-Api-Key",
		"Amz-Sdk-Invocation-Id", "Amz-Sdk-Request",
		"X-Amz-Content-Sha256", "X-Amz-Date", "X-Amz-Security-Token", "X-Amz-User-Agent",
		"Baggage", "Traceparent", "Tracestate", "X-Amzn-Trace-Id",
	}
	for _, r := range a.routes {
		for _, p := range r.Parameters {
			if p.Value.In == "header" && !slices.Contains(headers, p.Value.Name) {
				headers = append(headers, p.Value.Name)
			}
		}
	}
	slices.Sort(headers)
	return headers
}

// literal returns a static value of a parameter mapping, which is in single quotes.
func literal(value string) string { return "'" + value + "'" }

// origin returns the value of Access-Control-Allow-Origin in a parameter mapping.
func origin() object { return object{"Fn::Sub": literal("${" + corsParameter + "}")} }

// documentHeaders returns the parameter mappings for the headers of a response with a body of a media type.
func (a *openAPI) documentHeaders(mediaType string) object {
	return object{
		"Content-Type":                literal(mediaType),
		"Cache-Control":               literal("no-store"),
		"X-Content-Type-Options":      literal("nosniff"),
		"Access-Control-Allow-Origin": origin(),
		exposeHeaders:                 literal(a.exposed),
	}
}

// options returns the OPTIONS method of a path, which also responds to CORS preflights (Fetch, §3.2.2 HTTP requests).
func options(parameters []any, allow, corsAllow, headers []string) object {
	return mockMethod(parameters, 204, "", object{
		"Allow":                        literal(strings.Join(allow, ", ")),
		"Access-Control-Allow-Origin":  origin(),
		"Access-Control-Allow-Methods": literal(strings.Join(corsAllow, ", ")),
		"Access-Control-Allow-Headers": literal(strings.Join(headers, ", ")),
		"Access-Control-Max-Age":       literal("7200"), // seconds; the maximum of Chromium
		"Cache-Control":                literal("no-store"),
	})
}

// mock returns a method that responds with a problem document.
func (a *openAPI) mock(parameters []any, p problemTemplate, headers object) (object, error) {
	document := a.problemDocument(p)
	if err := checkVelocity(strings.ReplaceAll(document, requestID, "")); err != nil {
		return nil, err
	}
	maps.Copy(headers, a.problemHeaders())
	return mockMethod(parameters, p.Status, document, headers), nil
}

// checkVelocity returns an error if a document has a character that begins a Velocity reference or directive, because
// Velocity has no general escape for them.
func checkVelocity(document string) error {
	if strings.ContainsAny(document, "$#") {
		return errors.New("info, paths and externalDocs.url: want no $ and no #, which are special in mapping templates")
	}
	return nil
}

// mockMethod returns a method with a mock integration. API Gateway requires a method response with all mapped headers.
func mockMethod(parameters []any, status int, document string, headers object) object {
	declared, mapped := object{}, object{}
	for name, value := range headers {
		declared[name] = object{"schema": object{"type": "string"}}
		mapped["method.response.header."+name] = value
	}
	response := object{"description": "A response of API Gateway", "headers": declared}
	integrated := object{"statusCode": strconv.Itoa(status), "responseParameters": mapped}
	if document != "" {
		response["content"] = object{
			contract.ProblemMediaType: object{"schema": object{"$ref": schemaPrefix + problemSchema}},
		}
		integrated["responseTemplates"] = object{"application/json": document}
	}
	// A mock integration reads its status code from the request template for the Content-Type of the request, even
	// without a body. No template matches all types, so that others return 415 (never): with passthrough, the body
	// would replace the template, and without a status code the response is 500.
	requests := object{}
	for _, mediaType := range mediaTypes() {
		requests[mediaType] = fmt.Sprintf(`{"statusCode": %d}`, status)
	}
	method := object{
		"responses": object{strconv.Itoa(status): response},
		IntegrationKey: object{
			"type":                "mock",
			"passthroughBehavior": "never",
			"requestTemplates":    requests,
			"responses":           object{"default": integrated},
		},
	}
	if len(parameters) > 0 {
		method["parameters"] = cfn.Clone(parameters)
	}
	return method
}

// mediaTypes returns the media types that clients commonly send.
func mediaTypes() []string {
	var types []string
	for kind, names := range map[string]string{
		"application": "cbor csp-report geo+json graphql gzip javascript json json-patch+json json-seq jsonl ld+json " +
			"merge-patch+json msgpack octet-stream ocsp-request pdf problem+json protobuf reports+json rtf " +
			"scim+json soap+xml sparql-query sql toml vnd.api+json vnd.google.protobuf vnd.ms-excel " +
			"vnd.openxmlformats-officedocument.spreadsheetml.sheet wasm x-amz-cbor-1.1 x-amz-json-1.0 " +
			"x-amz-json-1.1 x-gzip x-msgpack x-ndjson x-protobuf x-tar x-www-form-urlencoded x-yaml xhtml+xml xml " +
			"yaml zip zstd",
		"audio":     "aac flac mpeg mp4 ogg wav webm",
		"font":      "otf ttf woff woff2",
		"image":     "avif bmp gif heic jpeg png svg+xml tiff webp x-icon",
		"multipart": "byteranges form-data mixed related",
		"text":      "calendar css csv html javascript markdown plain tab-separated-values vcard xml yaml",
		"video":     "mp4 mpeg ogg quicktime webm",
	} {
		for name := range strings.FieldsSeq(names) {
			types = append(types, kind+"/"+name)
		}
	}
	return types
}
