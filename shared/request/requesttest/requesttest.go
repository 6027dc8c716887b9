// Package requesttest creates events as API Gateway sends them to a function, for tests.
package requesttest

import (
	"net/url"
	"strings"

	"github.com/aws/aws-lambda-go/events"
)

// The values in every event.
const (
	RequestID = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"
	Stage     = "prod"
)

// Event returns the event of a request for target, an encoded path and query such as "/users/a%40b?limit=1", at the
// route of the users or of one user. headers are alternating names and values; a name may occur more than once.
//
// It panics if target is at another route.
func Event(method, target, body string, headers ...string) events.APIGatewayProxyRequest {
	path, _, _ := strings.Cut(target, "?")
	switch path := strings.TrimRight(path, "/"); {
	case path == "/users":
		return EventAt("/users", method, target, body, headers...)
	case strings.HasPrefix(path, "/users/"):
		return EventAt("/users/{userId}", method, target, body, headers...)
	default:
		panic("no route for " + target)
	}
}

// EventAt returns the event of a request for target at a route of the API document, such as "/users/{userId}/orders".
// It panics if target is not at the route.
func EventAt(route, method, target, body string, headers ...string) events.APIGatewayProxyRequest {
	path, rawQuery, _ := strings.Cut(target, "?")
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		panic(err)
	}
	event := events.APIGatewayProxyRequest{
		Resource:       route,
		Path:           path,
		HTTPMethod:     method,
		Body:           body,
		PathParameters: parameters(route, path),
		RequestContext: events.APIGatewayProxyRequestContext{
			RequestID:    RequestID,
			Stage:        Stage,
			Path:         "/" + Stage + path,
			HTTPMethod:   method,
			ResourcePath: route,
		},
	}
	event.QueryStringParameters, event.MultiValueQueryStringParameters = maps(query)
	fields := map[string][]string{}
	for i := 0; i < len(headers); i += 2 {
		fields[headers[i]] = append(fields[headers[i]], headers[i+1])
	}
	event.Headers, event.MultiValueHeaders = maps(fields)
	return event
}

// parameters returns the path parameters, which API Gateway does not decode, or nil if the route has none.
func parameters(route, path string) map[string]string {
	names, values := strings.Split(route, "/"), strings.Split(strings.TrimRight(path, "/"), "/")
	if len(names) != len(values) {
		panic(path + " is not at " + route)
	}
	var found map[string]string
	for i, name := range names {
		switch {
		case strings.HasPrefix(name, "{"):
			if found == nil {
				found = map[string]string{}
			}
			found[strings.Trim(name, "{}")] = values[i]
		case name != values[i]:
			panic(path + " is not at " + route)
		}
	}
	return found
}

// maps returns the single-value and multi-value maps of an event. The single value is the last one. Without values,
// both maps are nil.
func maps(values map[string][]string) (single map[string]string, multi map[string][]string) {
	if len(values) == 0 {
		return nil, nil
	}
	single = map[string]string{}
	for name, v := range values {
		single[name] = v[len(v)-1]
	}
	return single, values
}
