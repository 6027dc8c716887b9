package stacktest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/contract"
	localdynamodb "github.com/userrequestapi/userdata/deploy/local/dynamodb"
)

// Connect returns a client of the DynamoDB Local at endpoint. Its connections are closed after the test.
func Connect(tb testing.TB, endpoint string) *dynamodb.Client {
	tb.Helper()
	client := &http.Client{Transport: newTransport(tb)}
	return localdynamodb.Connect(endpoint, func(o *dynamodb.Options) { o.HTTPClient = client })
}

// Client sends requests. Its methods are safe for concurrent use.
type Client struct {
	url      string // prefix of each path
	contract *Contract
	http     *http.Client
}

// NewClient returns a client of the stage with this invoke URL, which does not follow redirects. A response that
// violates the contract fails the test; nil disables this check.
func NewClient(tb testing.TB, invokeURL string, document *Contract) *Client {
	tb.Helper()
	return &Client{url: invokeURL, contract: document, http: &http.Client{
		Transport:     newTransport(tb),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Unsupported returns a method that the path, which is appended to the invoke URL, does not support. It skips the test
// if the path supports all methods.
func (c *Client) Unsupported(tb testing.TB, path string) string {
	tb.Helper()
	_, others := c.contract.Allow(path)
	if len(others) == 0 {
		tb.Skipf("%s supports every method", path)
	}
	return others[len(others)-1]
}

// Allow returns the value of the header Allow for a path, see [Contract.Allow].
func (c *Client) Allow(path string) (allow string, others []string) { return c.contract.Allow(path) }

// Headers are the header fields of a request.
type Headers map[string]string

// Response is a response with its body.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// Do sends a request. path begins with a slash and is appended to the invoke URL unchanged. The Content-Type of a body
// is application/json unless headers sets another one; "" omits it. Without a response, Do marks the test as failed and
// returns the zero Response.
func (c *Client) Do(tb testing.TB, method, path, body string, headers ...Headers) Response {
	tb.Helper()
	ctx, cancel := testenv.WithDeadline(tb.Context(), tb)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, strings.NewReader(body))
	if err != nil {
		tb.Errorf("%s %s: %v", method, path, err)
		return Response{}
	}
	if body != "" {
		req.Header.Set("Content-Type", contract.JSONMediaType)
	}
	for _, h := range headers {
		for name, value := range h {
			req.Header.Set(name, value)
		}
	}
	if req.Header.Get("Content-Type") == "" {
		req.Header.Del("Content-Type")
	}
	return c.Send(tb, req)
}

// Send sends req unchanged. Without a response, it marks the test as failed and returns the zero Response.
func (c *Client) Send(tb testing.TB, req *http.Request) Response {
	tb.Helper()
	res, err := c.http.Do(req)
	if err != nil {
		tb.Errorf("%s %s: %v", req.Method, req.URL, err)
		return Response{}
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		tb.Errorf("%s %s: read the response: %v", req.Method, req.URL, err)
		return Response{}
	}
	response := Response{Status: res.StatusCode, Header: res.Header, Body: body}
	if c.contract == nil {
		return response
	}
	path, ok := strings.CutPrefix(req.URL.String(), c.url)
	if !ok {
		tb.Errorf("%s %s: want a URL of the stage %s", req.Method, req.URL, c.url)
	} else if err := c.contract.Check(req.Method, path, response); err != nil {
		tb.Errorf("%s %s: the response violates the API document: %v", req.Method, path, err)
	}
	return response
}

// Want marks the test as failed unless the response has the status, and returns the response.
func (r Response) Want(tb testing.TB, status int) Response {
	tb.Helper()
	if r.Status != status {
		tb.Errorf("got status %d, want %d; body: %.2000s", r.Status, status, r.Body)
	}
	return r
}

// JSON returns the object in the body, with numbers as [json.Number].
func (r Response) JSON(tb testing.TB) map[string]any {
	tb.Helper()
	return Decode(tb, r.Body)
}

// Decode decodes exactly one object, with numbers as [json.Number].
func Decode(tb testing.TB, encoded []byte) map[string]any {
	tb.Helper()
	var object map[string]any
	decoder := json.NewDecoder(bytes.NewReader(encoded))
	decoder.UseNumber()
	if err := decoder.Decode(&object); err != nil {
		tb.Errorf("want a JSON object, got %.2000s: %v", encoded, err)
		return nil
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		tb.Errorf("want one JSON object, got %.2000s", encoded)
	}
	return object
}

// ProblemDocument is a problem document (RFC 9457) with the members of this API.
type ProblemDocument struct {
	Type, Title, Detail, Instance, Code, RequestID string

	Status int
	Errors []struct{ Pointer, Code, Detail string }
}

// Problem marks the test as failed unless the response is a complete problem document with the status and code, and
// returns it.
func (r Response) Problem(tb testing.TB, status int, code string) ProblemDocument {
	tb.Helper()
	var p ProblemDocument
	decoder := json.NewDecoder(bytes.NewReader(r.Body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil {
		tb.Errorf("got status %d, want a problem document: %v: %.2000s", r.Status, err, r.Body)
		return p
	}
	type facts struct {
		Status, Document    int
		Code, ContentType   string
		RequestID           string
		Type, Title, Detail bool // Type ends with the code; the document describes the rest of it
	}
	want := facts{
		Status: status, Document: status, Code: code,
		ContentType: contract.ProblemMediaType, RequestID: r.Header.Get("X-Amzn-Requestid"),
		Type: true, Title: true, Detail: true,
	}
	if code == "BadGateway" || code == "RequestRefused" {
		want.Document = 0 // one gateway response for several status codes
	}
	got := facts{
		Status: r.Status, Document: p.Status, Code: p.Code,
		ContentType: r.Header.Get("Content-Type"), RequestID: cmp.Or(p.RequestID, "none"),
		Type: strings.HasSuffix(p.Type, ":"+code), Title: p.Title != "", Detail: p.Detail != "",
	}
	if d := gocmp.Diff(want, got); d != "" {
		tb.Errorf("problem document (-want +got):\n%s\n%.2000s", d, r.Body)
	}
	for _, violation := range p.Errors {
		if violation.Code == "" || violation.Detail == "" {
			tb.Errorf("want a code and a detail in each element of errors, got %.2000s", r.Body)
		}
	}
	return p
}

// Names returns the sorted member names of an object.
func Names(object map[string]any) []string { return slices.Sorted(maps.Keys(object)) }

// newTransport returns a transport for many parallel requests. Its connections are closed after the test.
func newTransport(tb testing.TB) *http.Transport {
	tb.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	tb.Cleanup(transport.CloseIdleConnections)
	return transport
}
