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

// Event returns the event of a request for target, an encoded path and query such as "/users/a%40b?limit=1". headers
// are alternating names and values; a name may occur more than once.
//
// It panics if the API has no such route.
func Event(method, target, body string, headers ...string) events.APIGatewayProxyRequest {
	path, rawQuery, _ := strings.Cut(target, "?")
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		panic(err)
	}
	event := events.APIGatewayProxyRequest{
		Resource:   "/users",
		Path:       path,
		HTTPMethod: method,
		Body:       body,
		RequestContext: events.APIGatewayProxyRequestContext{
			RequestID:  RequestID,
			Stage:      Stage,
			Path:       "/" + Stage + path,
			HTTPMethod: method,
		},
	}
	trimmed := strings.TrimRight(path, "/")
	switch id, ok := strings.CutPrefix(trimmed, "/users/"); {
	case ok:
		event.Resource = "/users/{userId}"
		event.PathParameters = map[string]string{"userId": id} // not decoded
	case trimmed != "/users":
		panic("no route for " + path)
	}
	event.RequestContext.ResourcePath = event.Resource
	event.QueryStringParameters, event.MultiValueQueryStringParameters = maps(query)
	fields := map[string][]string{}
	for i := 0; i < len(headers); i += 2 {
		fields[headers[i]] = append(fields[headers[i]], headers[i+1])
	}
	event.Headers, event.MultiValueHeaders = maps(fields)
	return event
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
