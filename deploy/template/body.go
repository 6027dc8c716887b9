package template

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

const (
	// integrationTimeout is the longest that a REST API waits, in milliseconds. Each function must end before: Lambda ends a
	// call without counting its cold start and tells why, the gateway does not.
	integrationTimeout = 29_000

	problemSchema = "Problem"
	corsParameter = "CorsAllowOrigin" // the parameter of the template that has the origin

	integrationKey = "x-amazon-apigateway-integration"
	anyMethodKey   = "x-amazon-apigateway-any-method"

	documentType = "'application/problem+json'"
)

// permissionID is the logical id of the permission that lets the API call the route's function.
func (r route) permissionID() string {
	return strings.ToUpper(r.operationID[:1]) + r.operationID[1:] + "Permission"
}

// permission lets the API call the route's function, by its alias, for the route alone
// ("Control access to a REST API", ARN format of execute-api).
func (r route) permission(alias, api string, stage any) object {
	path := inBraces.ReplaceAllString(r.path, "*")
	arn := "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${" + api + "}/${Stage}/" + r.method + path
	return object{
		"Type": "AWS::Lambda::Permission",
		"Properties": object{
			"Action":       "lambda:InvokeFunction",
			"FunctionName": object{"Ref": alias},
			"Principal":    "apigateway.amazonaws.com",
			"SourceArn":    object{"Fn::Sub": []any{arn, object{"Stage": clone(stage)}}},
		},
	}
}

// permit adds a permission for each route.
func (e *evaluator) permit(routes []route, aliases map[string]string, api string) error {
	stage, err := e.only("AWS::ApiGateway::Stage")
	if err != nil {
		return err
	}
	resources := member(e.document, "Resources")
	for _, r := range routes {
		id := r.permissionID()
		if _, ok := resources[id]; ok {
			return fmt.Errorf("%s: Resources.%s: the name is that of the permission for %s %s; call it otherwise",
				templateFile, id, r.method, r.path)
		}
		resources[id] = r.permission(aliases[r.function], api, member(e.resource(stage), "Properties")["StageName"])
	}
	return nil
}

// checkFunctions sees that each route has a function, each function a route, and none takes longer than the gateway waits. It
// returns the functions.
func (e *evaluator) checkFunctions(routes []route) ([]string, error) {
	functions, err := e.all(functionType)
	if err != nil {
		return nil, err
	}
	unused := slices.Clone(functions)
	for _, r := range routes {
		if !slices.Contains(functions, r.function) {
			return nil, fmt.Errorf("%s: %s %s: %s %s is no function of %s; there are %s", openAPIFile, r.method, r.path,
				functionKey, r.function, templateFile, strings.Join(functions, ", "))
		}
		unused = slices.DeleteFunc(unused, func(id string) bool { return id == r.function })
	}
	if len(unused) > 0 {
		return nil, fmt.Errorf("%s: Resources.%s: no route of %s is served by it", templateFile, unused[0], openAPIFile)
	}
	for _, id := range functions {
		timeout, err := e.property(id, "Timeout")
		if err != nil {
			return nil, err
		}
		if seconds, err := parseNumber(timeout); err != nil || seconds < 1 || seconds*1000 >= integrationTimeout {
			return nil, fmt.Errorf("%s: Resources.%s.Properties.Timeout: it must be 1 to 28 seconds: API Gateway waits for 29",
				templateFile, id)
		}
	}
	return functions, nil
}

// body renders the contract into what API Gateway imports ("OpenAPI extensions for API Gateway").
//
// aliases are those of the functions, by the functions' ids.
func (a *openAPI) body(name any, aliases map[string]string, authorization securityScheme) (object, error) {
	info := clone(member(a.document, "info")).(object) // a mapping stays one
	// The description of a REST API is short; what follows its first paragraph is for readers of the contract.
	if description, ok := info["description"].(string); ok {
		first, _, _ := strings.Cut(strings.TrimSpace(description), "\n\n")
		info["description"] = strings.Join(strings.Fields(first), " ")
	}
	if name != nil {
		info["title"] = clone(name) // the name that the API gets by importing
	}
	components := object{"schemas": importable("schemas", a.schemas)}
	if authorization.name != "" {
		components["securitySchemes"] = object{authorization.name: authorization.definition}
	}
	paths, err := a.paths(aliases, authorization)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", openAPIFile, err)
	}
	return object{
		"openapi":      a.document["openapi"],
		"info":         info,
		"externalDocs": clone(a.document["externalDocs"]),
		"paths":        paths,
		"components":   components,

		// Bodies are validated by the functions: their problem documents point at each fault, the gateway's could not.
		"x-amazon-apigateway-request-validators": object{
			"parameters-only": object{"validateRequestParameters": true, "validateRequestBody": false},
		},
		"x-amazon-apigateway-request-validator": "parameters-only",
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
	notFound := problem{
		Status: 404, Code: "RouteNotFound",
		Detail: fmt.Sprintf("There is no such route, but %s. The documentation is at %s.",
			strings.Join(known, " and "), member(a.document, "externalDocs")["url"]),
	}
	for _, item := range a.items {
		allow := strings.Join(item.methods, ", ")
		notAllowed, err := a.mock(item.parameters, problem{
			Status: 405, Code: "MethodNotAllowed", Detail: fmt.Sprintf("This address allows %s.", allow),
		}, object{"Allow": literal(allow)})
		if err != nil {
			return nil, err
		}
		paths[item.path] = object{
			"options":    options(item.parameters, item.methods, item.methods, a.requestHeaders()),
			anyMethodKey: notAllowed,
		}
	}
	for _, r := range a.routes {
		operation := clone(r.operation).(object) // a mapping stays one
		operation[integrationKey] = object{
			"type":       "aws_proxy",
			"httpMethod": "POST", // Lambda's Invoke, whatever the method of the route
			"uri": object{"Fn::Sub": "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${" +
				aliases[r.function] + "}/invocations"}, // Ref of an alias is its ARN
			"timeoutInMillis": integrationTimeout,
		}
		authorization.secure(operation)
		member(paths, r.path)[strings.ToLower(r.method)] = operation
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
		member(paths, indexPath)[strings.ToLower(r.method)] = index
	}
	// Any other address. A preflight allows all methods, so that a page in a browser gets to see the 404.
	for path, parameters := range unrouted {
		unknown, err := a.mock(parameters, notFound, object{})
		if err != nil {
			return nil, err
		}
		paths[path] = object{
			"options":    options(parameters, []string{"OPTIONS"}, all, a.requestHeaders()),
			anyMethodKey: unknown,
		}
	}
	return paths, nil
}

// requestHeaders returns the headers that pages of other origins may send: the contract's, those of API Gateway's ways
// to authenticate, those that AWS's SDKs and signers for browsers add, and those of W3C Trace Context and Baggage. A
// browser rejects the whole request if one that it carries is missing here.
func (a *openAPI) requestHeaders() []string {
	headers := []string{
		"Authorization", "Content-Type", "X-Api-Key",
		"Amz-Sdk-Invocation-Id", "Amz-Sdk-Request",
		"X-Amz-Content-Sha256", "X-Amz-Date", "X-Amz-Security-Token", "X-Amz-User-Agent",
		"Baggage", "Traceparent", "Tracestate", "X-Amzn-Trace-Id",
	}
	for _, r := range a.routes {
		parameters, _ := r.operation["parameters"].([]any) // none is none
		for _, p := range parameters {
			p, _ := p.(object) // checked when read
			if name, _ := scalarText(p["name"]); p["in"] == "header" && !slices.Contains(headers, name) {
				headers = append(headers, name)
			}
		}
	}
	slices.Sort(headers)
	return headers
}

// literal is a header's value in a mapping, which is a text in single quotes.
func literal(value string) string { return "'" + value + "'" }

// origin is the value of Access-Control-Allow-Origin in a mapping.
func origin() object { return object{"Fn::Sub": literal("${" + corsParameter + "}")} }

// options answers OPTIONS of an address, the preflight of a browser among them (Fetch, §3.2.2 HTTP requests).
func options(parameters []any, allow, corsAllow, headers []string) object {
	return mockMethod(parameters, 204, "", object{
		"Allow":                        literal(strings.Join(allow, ", ")),
		"Access-Control-Allow-Origin":  origin(),
		"Access-Control-Allow-Methods": literal(strings.Join(corsAllow, ", ")),
		"Access-Control-Allow-Headers": literal(strings.Join(headers, ", ")),
		"Access-Control-Max-Age":       literal("7200"), // seconds; browsers keep it no longer
		"Cache-Control":                literal("no-store"),
	})
}

// mock returns a method that responds with a problem document.
func (a *openAPI) mock(parameters []any, p problem, headers object) (object, error) {
	document := p.document()
	if err := checkVelocity(strings.ReplaceAll(document, requestID, "")); err != nil {
		return nil, err
	}
	maps.Copy(headers, a.problemHeaders())
	return mockMethod(parameters, p.Status, document, headers), nil
}

// checkVelocity refuses what begins a reference or a directive in a mapping template; nothing escapes them everywhere.
func checkVelocity(text string) error {
	if strings.ContainsAny(text, "$#") {
		return errors.New("info, paths and externalDocs.url must have neither $ nor #, which mean something in a mapping template")
	}
	return nil
}

// mockMethod is a method that the gateway answers itself. What is mapped must be declared as a response of the method.
func mockMethod(parameters []any, status int, document string, headers object) object {
	declared, mapped := object{}, object{}
	for name, value := range headers {
		declared[name] = object{"schema": object{"type": "string"}}
		mapped["method.response.header."+name] = value
	}
	response := object{"description": "Answered by the gateway", "headers": declared}
	integrated := object{"statusCode": strconv.Itoa(status), "responseParameters": mapped}
	if document != "" {
		response["content"] = object{"application/problem+json": object{"schema": object{"$ref": schemaPrefix + problemSchema}}}
		integrated["responseTemplates"] = object{"application/json": document}
	}
	// A mock integration takes its status from the request template for the Content-Type of the request, with or without a
	// body, and API Gateway has no template for all types. Others get 415 (never): otherwise the body would be used in the
	// place of a template, and without a status the response is 500.
	requests := object{}
	for _, mediaType := range mediaTypes() {
		requests[mediaType] = fmt.Sprintf(`{"statusCode": %d}`, status)
	}
	method := object{
		"responses": object{strconv.Itoa(status): response},
		integrationKey: object{
			"type":                "mock",
			"passthroughBehavior": "never",
			"requestTemplates":    requests,
			"responses":           object{"default": integrated},
		},
	}
	if len(parameters) > 0 {
		method["parameters"] = clone(parameters)
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
