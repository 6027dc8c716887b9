package load

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/userrequestapi/userdata/deploy/contract"
	"github.com/userrequestapi/userdata/deploy/contract/sample"
)

// purpose is what the items are for; their ids begin with load-test-.
const purpose = "load test"

// listEvery is the number of iterations of which one reads a list; each of the others creates, reads and deletes an
// item. AWS's serverless samples, such as aws-samples/serverless-go-demo, publish results of this mix.
const listEvery = 5

// requestsPerIteration is the average.
const requestsPerIteration = (3*(listEvery-1) + 1.0) / listEvery

// call is one request of an iteration.
type call struct {
	route  contract.Route
	path   string // relative to the invoke URL
	body   []byte // nil for none
	header http.Header
	item   *item // nil if the request concerns no single item
}

// operation returns the method and the route.
func (c call) operation() string { return c.route.Method + " " + c.route.Path }

// item is an item that the test creates.
type item struct {
	resource *sample.Resource
	id       string
	named    bool // whether the test chooses the id
}

func (i *item) path() string { return i.resource.ItemPath(i.id) }

// mix chooses the requests. Its methods are safe for concurrent use.
type mix struct {
	url       string
	resources []sample.Resource // that have items which can be deleted again
	lists     []contract.Route  // that need no parameter

	mu         sync.Mutex
	iterations int
	ready      []call          // the next requests of iterations whose previous request has ended
	calls      map[string]call // sent, by fragment of the URL
	sent       int
	items      map[*item]bool // may exist
	lost       int            // items that may exist with an id that the service has chosen
}

func newMix(url string, document *contract.Document) (*mix, error) {
	m := &mix{url: url, calls: map[string]call{}, items: map[*item]bool{}}
	m.resources = sample.Resources(document, purpose)
	for _, r := range m.resources {
		if sample.NeedsNothing(r.List) {
			m.lists = append(m.lists, r.List)
		}
	}
	if len(m.resources) > 0 {
		return m, nil
	}
	for _, route := range document.Routes() {
		if route.Method == http.MethodGet && sample.NeedsNothing(route) {
			m.lists = append(m.lists, route)
		}
	}
	if len(m.lists) == 0 {
		return nil, fmt.Errorf("deploy/%s: want a collection whose items have GET and DELETE, "+
			"or a GET that requires no parameter, got neither", contract.File)
	}
	return m, nil
}

// target implements [vegeta.Targeter].
func (m *mix) target(t *vegeta.Target) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.ready) == 0 {
		next, err := m.begin()
		if err != nil {
			return err
		}
		m.ready = append(m.ready, next)
	}
	next := m.ready[0]
	m.ready = m.ready[1:]
	m.sent++
	fragment := strconv.Itoa(m.sent)
	m.calls[fragment] = next
	// A fragment is not sent. It identifies the call in the result.
	*t = vegeta.Target{
		Method: next.route.Method, URL: m.url + next.path + "#" + fragment, Body: next.body, Header: next.header,
	}
	return nil
}

// begin returns the first request of the next iteration.
func (m *mix) begin() (call, error) {
	n := m.iterations
	m.iterations++
	round := n / listEvery
	if len(m.resources) == 0 || n%listEvery == listEvery-1 && len(m.lists) > 0 {
		if len(m.resources) == 0 {
			round = n
		}
		route := m.lists[round%len(m.lists)]
		return call{route: route, path: route.Path}, nil
	}
	r := &m.resources[n%len(m.resources)]
	created := &item{resource: r, id: r.NewID()}
	value := r.Body(r.Create, created.id, "created")
	_, created.named = value[r.Key]
	body, err := json.Marshal(value)
	if err != nil {
		return call{}, fmt.Errorf("encode an item: %w", err)
	}
	m.items[created] = true
	return call{
		route: r.Create, path: r.Path, body: body, item: created,
		header: http.Header{"Content-Type": {contract.JSONMediaType}},
	}, nil
}

// done records the response of a call, and returns the call.
func (m *mix) done(result *vegeta.Result) (call, error) {
	_, fragment, _ := strings.Cut(result.URL, "#")
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := m.calls[fragment]
	if !ok {
		return call{}, errors.New(result.Error) // target has failed
	}
	delete(m.calls, fragment)
	if c.item == nil {
		return c, nil
	}
	status := int(result.Code)
	success := isSuccess(status)
	switch c.route.Method {
	case http.MethodPost:
		switch {
		case success && (c.item.named || c.item.identify(result.Body)):
			m.ready = append(m.ready, call{route: c.item.resource.Read, path: c.item.path(), item: c.item})
		case status >= http.StatusBadRequest && status < http.StatusInternalServerError,
			status == 0 && unsent(noResponse(result.Error)):
			delete(m.items, c.item)
		case !c.item.named:
			delete(m.items, c.item)
			m.lost++
		}
	case http.MethodGet:
		m.ready = append(m.ready, c.item.remove())
	case http.MethodDelete:
		if success || status == http.StatusNotFound {
			delete(m.items, c.item)
		}
	}
	return c, nil
}

// identify sets the id that the service has chosen, and reports whether the response has one.
func (i *item) identify(body []byte) bool {
	var created map[string]any
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if decoder.Decode(&created) != nil || created[i.resource.Key] == nil {
		return false
	}
	i.id = fmt.Sprint(created[i.resource.Key])
	return true
}

// remove returns the request that deletes the item in any state.
func (i *item) remove() call {
	c := call{route: i.resource.Remove, path: i.path(), item: i}
	if sample.Accepts(c.route, openapi3.ParameterInHeader, "If-Match") {
		c.header = http.Header{"If-Match": {"*"}}
	}
	return c
}

// left returns the items that may exist, and the number of those whose ids are unknown.
func (m *mix) left() (items []*item, lost int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Keys(m.items)), m.lost
}

// forget records that an item does not exist.
func (m *mix) forget(i *item) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.items, i)
}
