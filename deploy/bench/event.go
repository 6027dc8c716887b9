package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/userrequestapi/userdata/deploy/contract"
	"github.com/userrequestapi/userdata/deploy/contract/sample"
	"github.com/userrequestapi/userdata/deploy/local/apigateway"
)

// request is a request of the API document's examples.
type request struct {
	method, path string
	resource     string // path of the document
	function     string // logical id
	body         any    // nil for none
}

// String returns the method and the path in the document.
func (r request) String() string { return r.method + " " + r.resource }

// findRequest returns the request that a function is measured with: one to an item of a collection if there is one, or
// else to the collection, or else one that needs no parameter, or only the id of an item, such as GET
// /users/{userId}/orders. ok is false if there is none.
func findRequest(document *contract.Document, function string) (r request, ok bool) {
	var routes []contract.Route
	for _, route := range document.Routes() {
		if route.Function == function {
			routes = append(routes, route)
		}
	}
	// HEAD last: most functions that have it serve GET in the first place.
	slices.SortStableFunc(routes, func(a, b contract.Route) int {
		return head(a) - head(b)
	})
	collections := document.Collections()
	for _, c := range collections {
		for _, route := range routes {
			if route.Path == c.Item && c.Example[c.Key] != nil {
				return onItem(c, route), true
			}
		}
	}
	for _, c := range collections {
		for _, route := range routes {
			if route.Path == c.Path && route.Method == http.MethodPost && c.Example != nil {
				return onCollection(c, route), true
			}
		}
	}
	for _, route := range routes {
		body, documented := bodyExample(route)
		if sample.NeedsNothing(route) && documented {
			return request{route.Method, route.Path, route.Path, function, body}, true
		}
	}
	for _, c := range collections {
		for _, route := range routes {
			if strings.HasPrefix(route.Path, c.Item+"/") && c.Example[c.Key] != nil && needsOnly(route, c.Key) {
				return onItem(c, route), true
			}
		}
	}
	return request{}, false
}

// needsOnly reports whether a request needs the parameter with the name, and neither another one nor a body.
func needsOnly(route contract.Route, name string) bool {
	return sample.BodySchema(route) == nil && !slices.ContainsFunc(route.Parameters, func(p *openapi3.ParameterRef) bool {
		return p.Value.Required && p.Value.Name != name
	})
}

func head(route contract.Route) int {
	if route.Method == http.MethodHead {
		return 1
	}
	return 0
}

// onItem returns a request to the example item of a collection, or to a path below it.
func onItem(c contract.Collection, route contract.Route) request {
	id := url.PathEscape(fmt.Sprint(c.Example[c.Key]))
	r := request{route.Method, strings.Replace(route.Path, "{"+c.Key+"}", id, 1), route.Path, route.Function, nil}
	if sample.BodySchema(route) != nil {
		r.body = c.Example
	}
	return r
}

// onCollection returns a request that creates an item, which gets an id from the service if it may.
func onCollection(c contract.Collection, route contract.Route) request {
	unnamed := maps.Clone(c.Example)
	delete(unnamed, c.Key)
	r := request{route.Method, c.Path, c.Path, route.Function, unnamed}
	schema := sample.BodySchema(route)
	if schema == nil || schema.Value.VisitJSON(unnamed, openapi3.VisitAsRequest()) != nil {
		r.body = c.Example
	}
	return r
}

// createRequests returns the requests that create the example items of the collections. A collection without an example
// has none.
func createRequests(document *contract.Document) []request {
	routes := document.Routes()
	var requests []request
	for _, c := range document.Collections() {
		for _, route := range routes {
			if route.Path == c.Path && route.Method == http.MethodPost && c.Example != nil && route.Function != "" {
				requests = append(requests, request{route.Method, c.Path, c.Path, route.Function, c.Example})
			}
		}
	}
	return requests
}

// bodyExample returns the first example of the body of a request, by name, or nil if the operation has no body. ok is
// false if the body has no example.
func bodyExample(route contract.Route) (body any, ok bool) {
	if route.Operation.RequestBody == nil {
		return nil, true
	}
	content := route.Operation.RequestBody.Value.Content.Get(contract.JSONMediaType)
	if content == nil {
		return nil, false
	}
	if names := slices.Sorted(maps.Keys(content.Examples)); len(names) > 0 {
		return content.Examples[names[0]].Value.Value, true
	}
	return content.Example, content.Example != nil
}

// capture is an [apigateway.Invoker] that keeps the event.
type capture struct{ event []byte }

// Invoke implements [apigateway.Invoker].
func (c *capture) Invoke(_ context.Context, _, _ string, event []byte) (apigateway.InvokeOutput, error) {
	c.event = event
	return apigateway.InvokeOutput{Payload: []byte(`{"statusCode": 204}`)}, nil
}

// event returns the event that API Gateway sends to the function for a request.
func (p *project) event(ctx context.Context, r request) ([]byte, error) {
	api := p.resources.API()
	var invoker capture
	gateway, err := apigateway.New(apigateway.Config{
		Body: api.Body, Stage: api.Stage, AccountID: accountID, Region: region, APIID: api.ID,
		DeploymentID: api.DeploymentID, Invoker: &invoker,
	})
	if err != nil {
		return nil, err
	}
	var body []byte
	if r.body != nil {
		if body, err = json.Marshal(r.body); err != nil {
			return nil, fmt.Errorf("encode the example of %s: %w", r, err)
		}
	}
	sent := httptest.NewRequestWithContext(ctx, r.method, "/"+api.Stage+r.path, bytes.NewReader(body))
	sent.Host = api.ID + ".execute-api." + region + ".amazonaws.com"
	sent.Header = http.Header{
		"Accept": {contract.JSONMediaType}, "Accept-Encoding": {"gzip, deflate"}, "User-Agent": {"benchmark"},
	}
	if body != nil {
		sent.Header.Set("Content-Type", contract.JSONMediaType)
	}
	response := httptest.NewRecorder()
	gateway.ServeHTTP(response, sent)
	gateway.Wait()
	if invoker.event == nil {
		return nil, fmt.Errorf("%s with the example of deploy/%s: API Gateway responded %d: %s",
			r, contract.File, response.Code, response.Body)
	}
	return invoker.event, nil
}
