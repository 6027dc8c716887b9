// Package requesttest makes the events of requests as API Gateway hands them to a function, for tests.
package requesttest

import (
	"net/url"
	"strings"

	"github.com/aws/aws-lambda-go/events"
)

// What every event has.
const (
	RequestID = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"
	Stage     = "prod"
)

// Event returns the event of a request for target, a path and query as a client writes them: "/users/a%40b?limit=1". The headers
// are names and values in turn, and can repeat a name.
//
// It panics where target is not one of the API's.
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
	switch id, below := strings.CutPrefix(trimmed, "/users/"); {
	case below:
		event.Resource = "/users/{userId}"
		event.PathParameters = map[string]string{"userId": id} // not decoded
	case trimmed != "/users":
		panic("no such resource: " + path)
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

// maps returns the two maps of an event, of which the one with single values keeps the last. Without any, both are nil.
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
