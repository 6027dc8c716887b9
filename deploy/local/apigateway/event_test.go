package apigateway_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/local/apigateway"
)

// normalize checks the format of the values that differ between requests and replaces them by their key.
func normalize(t *testing.T, event object) object {
	t.Helper()
	context := event["requestContext"].(object)
	for key, form := range map[string]interface{ MatchString(string) bool }{
		"requestId": uuid, "extendedRequestId": extendedID,
	} {
		if value, _ := context[key].(string); !form.MatchString(value) {
			t.Errorf("%s: %v", key, context[key])
		}
		context[key] = key
	}
	clf, _ := context["requestTime"].(string)
	at, err := time.Parse("02/Jan/2006:15:04:05 -0700", clf)
	if epoch, _ := context["requestTimeEpoch"].(float64); err != nil || !strings.HasSuffix(clf, " +0000") ||
		at.Unix() != int64(epoch)/1000 || time.Since(at) > time.Hour {
		t.Errorf("requestTime %q, requestTimeEpoch %v: %v", clf, context["requestTimeEpoch"], err)
	}
	context["requestTime"], context["requestTimeEpoch"] = "requestTime", "requestTimeEpoch"
	if id, _ := context["resourceId"].(string); len(id) != 6 {
		t.Errorf("resourceId %v", context["resourceId"])
	}
	context["resourceId"] = "resourceId"
	headers, all := event["headers"].(object), event["multiValueHeaders"].(object)
	trace, _ := headers["X-Amzn-Trace-Id"].(string)
	if list, _ := all["X-Amzn-Trace-Id"].([]any); !root.MatchString(trace) || len(list) != 1 || list[0] != trace {
		t.Errorf("X-Amzn-Trace-Id: %v, %v", headers["X-Amzn-Trace-Id"], all["X-Amzn-Trace-Id"])
	}
	delete(headers, "X-Amzn-Trace-Id")
	delete(all, "X-Amzn-Trace-Id")
	return event
}

// anonymousIdentity returns the identity of a request without authorization.
func anonymousIdentity(userAgent any) object {
	return object{
		"accessKey": nil, "accountId": nil, "caller": nil, "cognitoAuthenticationProvider": nil,
		"cognitoAuthenticationType": nil, "cognitoIdentityId": nil, "cognitoIdentityPoolId": nil, "principalOrgId": nil,
		"sourceIp": "127.0.0.1", "user": nil, "userAgent": userAgent, "userArn": nil,
	}
}

func TestEvent(t *testing.T) {
	t.Parallel()
	doc := document(object{"/users/{userId}": object{"put": operation(proxy(), object{"operationId": "putUser"})}})
	function := &recorder{}
	s := serve(t, doc, function)
	_, port, err := net.SplitHostPort(s.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}

	got := s.do("PUT", "/users/a%2Fb%20c/?x=1&x=2+3&y=%C3%A9&z&x=%zz", `{"a":"<é>"}`,
		"Host", "api.example.com:3000", "Content-Type", "application/json", "User-Agent", "test/1", "X-Custom", "one",
		"X-Custom", "two", "X-Forwarded-For", "10.0.0.1", "X-Forwarded-Proto", "gopher", "Accept-Encoding", "identity")
	if got.status != 200 {
		t.Fatalf("resp: %+v", got)
	}

	want := object{
		"resource":   "/users/{userId}",
		"path":       "/users/a%2Fb%20c/",
		"httpMethod": "PUT",
		"headers": object{
			"Accept-Encoding": "identity", "Content-Type": "application/json", "Host": "api.example.com:3000",
			"User-Agent": "test/1", "X-Custom": "two", "X-Forwarded-For": "10.0.0.1, 127.0.0.1", "X-Forwarded-Port": port,
			"X-Forwarded-Proto": "http",
		},
		"multiValueHeaders": object{
			"Accept-Encoding": []any{"identity"}, "Content-Type": []any{"application/json"},
			"Host": []any{"api.example.com:3000"}, "User-Agent": []any{"test/1"}, "X-Custom": []any{"one", "two"},
			"X-Forwarded-For": []any{"10.0.0.1, 127.0.0.1"}, "X-Forwarded-Port": []any{port},
			"X-Forwarded-Proto": []any{"http"},
		},
		"queryStringParameters":           object{"x": "%zz", "y": "é", "z": ""},
		"multiValueQueryStringParameters": object{"x": []any{"1", "2 3", "%zz"}, "y": []any{"é"}, "z": []any{""}},
		"pathParameters":                  object{"userId": "a%2Fb%20c"},
		"stageVariables":                  nil,
		"requestContext": object{
			"resourceId": "resourceId", "resourcePath": "/users/{userId}", "operationName": "putUser", "httpMethod": "PUT",
			"extendedRequestId": "extendedRequestId", "requestTime": "requestTime", "path": "/prod/users/a%2Fb%20c/",
			"accountId": "123456789012", "protocol": "HTTP/1.1", "stage": "prod", "domainPrefix": "api",
			"requestTimeEpoch": "requestTimeEpoch", "requestId": "requestId", "identity": anonymousIdentity("test/1"),
			"domainName": "api.example.com", "deploymentId": "dep123", "apiId": "a1b2c3d4e5",
		},
		"body":            `{"a":"<é>"}`,
		"isBase64Encoded": false,
	}
	if diff := cmp.Diff(want, normalize(t, function.event(t))); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	if function.arn != functionARN {
		t.Errorf("function %q, want %q", function.arn, functionARN)
	}
}

// rawConnection opens a connection, writes the request and returns the connection.
func (s *testServer) rawConnection(request string) net.Conn {
	s.t.Helper()
	var dialer net.Dialer
	connection, err := dialer.DialContext(s.t.Context(), "tcp", s.server.Listener.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = connection.Close() })
	if _, err := fmt.Fprint(connection, request); err != nil {
		s.t.Fatal(err)
	}
	return connection
}

// raw sends the request on its own connection and returns the response.
func (s *testServer) raw(request string) reply {
	s.t.Helper()
	connection := s.rawConnection(request)
	method, _, _ := strings.Cut(request, " ")
	reader := bufio.NewReader(connection)
	response, err := http.ReadResponse(reader, &http.Request{Method: method})
	for err == nil && response.StatusCode < http.StatusOK { // 100 Continue
		response, err = http.ReadResponse(reader, &http.Request{Method: method})
	}
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	return s.read(response)
}

func TestEventMinimalRequest(t *testing.T) {
	t.Parallel()
	function := &recorder{}
	s := serve(t, catchAll(), function)
	_, port, err := net.SplitHostPort(s.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if got := s.raw("GET /prod HTTP/1.1\r\nHost: h\r\n\r\n"); got.status != 200 {
		t.Fatalf("status %d", got.status)
	}
	want := object{
		"resource": "/", "path": "/", "httpMethod": "GET",
		"headers": object{
			"Host": "h", "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Port": port, "X-Forwarded-Proto": "http",
		},
		"multiValueHeaders": object{
			"Host": []any{"h"}, "X-Forwarded-For": []any{"127.0.0.1"}, "X-Forwarded-Port": []any{port},
			"X-Forwarded-Proto": []any{"http"},
		},
		"queryStringParameters": nil, "multiValueQueryStringParameters": nil, "pathParameters": nil,
		"stageVariables": nil, "body": nil, "isBase64Encoded": false,
		"requestContext": object{
			"resourceId": "resourceId", "resourcePath": "/", "httpMethod": "GET", "extendedRequestId": "extendedRequestId",
			"requestTime": "requestTime", "path": "/prod", "accountId": "123456789012", "protocol": "HTTP/1.1",
			"stage": "prod", "domainPrefix": "h", "requestTimeEpoch": "requestTimeEpoch", "requestId": "requestId",
			"identity": anonymousIdentity(nil), "domainName": "h", "deploymentId": "dep123", "apiId": "a1b2c3d4e5",
		},
	}
	if diff := cmp.Diff(want, normalize(t, function.event(t))); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
}

func TestDroppedHeaders(t *testing.T) {
	t.Parallel()
	function := &recorder{}
	s := serve(t, catchAll(), function)
	s.raw("POST /prod/x HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\nContent-Length: 1\r\nContent-MD5: a\r\n" +
		"Expect: 100-continue\r\nMax-Forwards: 1\r\nProxy-Authenticate: a\r\nServer: a\r\nTE: trailers\r\nUpgrade: h2c\r\n" +
		"WWW-Authenticate: a\r\nKept: yes\r\n\r\nx")
	var got []string
	event := function.event(t)
	for name := range event["headers"].(object) {
		got = append(got, name)
	}
	want := []string{"Host", "Kept", "X-Amzn-Trace-Id", "X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Proto"}
	if diff := cmp.Diff(want, sorted(got)); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	s.raw("POST /prod/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n" +
		"1\r\nx\r\n0\r\nA: b\r\n\r\n")
	event = function.event(t)
	for _, name := range []string{"Transfer-Encoding", "Trailer", "A"} {
		if value, ok := event["headers"].(object)[name]; ok {
			t.Errorf("%s: %v", name, value)
		}
	}
	if event["body"] != "x" {
		t.Errorf("body %v", event["body"])
	}
}

func TestQuery(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]object{
		"?":                {},
		"?&&":              {},
		"?a":               {"a": []any{""}},
		"?a=":              {"a": []any{""}},
		"?a=b=c":           {"a": []any{"b=c"}},
		"?A=1&a=2":         {"A": []any{"1"}, "a": []any{"2"}},
		"?a=1;b=2":         {"a": []any{"1"}, "b": []any{"2"}},
		"?a%20b=%26+%2B":   {"a b": []any{"& +"}},
		"?userId=a%40b.de": {"userId": []any{"a@b.de"}},
	} {
		t.Run(raw, func(t *testing.T) {
			t.Parallel()
			function := &recorder{}
			s := serve(t, catchAll(), function)
			s.do("GET", "/"+raw, "")
			got, _ := function.event(t)["multiValueQueryStringParameters"].(object)
			if len(want) == 0 {
				want = nil
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestBody(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		contentType, body string
		want              any
	}{
		"empty":         {"application/json", "", nil},
		"text":          {"text/plain", "a\x00\"\u2028</b>", "a\x00\"\u2028</b>"},
		"invalid UTF-8": {"image/png", "a\xff\xfeb", "a\ufffd\ufffdb"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			function := &recorder{}
			serve(t, catchAll(), function).do("POST", "/x", test.body, "Content-Type", test.contentType)
			event := function.event(t)
			if event["body"] != test.want || event["isBase64Encoded"] != false {
				t.Errorf("body = %q, isBase64Encoded = %v, want %q, false", event["body"], event["isBase64Encoded"], test.want)
			}
		})
	}
}

var segmentID = regexp.MustCompile(`^[0-9a-f]{16}$`)

func TestTrace(t *testing.T) {
	t.Parallel()
	const rootID, parent = "1-5759e988-bd862e3fe1be46a994272793", "53995c3f42cd8ad8"
	for name, test := range map[string]struct {
		header    string
		tracing   bool
		continued bool
		caller    string
		sampled   bool
	}{
		"new":                       {"", true, false, "", true},
		"new, tracing off":          {"", false, false, "", false},
		"continued":                 {"Root=" + rootID, true, true, "", true},
		"sampled by the caller":     {"Root=" + rootID + ";Parent=" + parent + ";Sampled=1", false, true, parent, true},
		"not sampled by the caller": {"Root=" + rootID + "; Parent=" + parent + "; Sampled=0", true, true, parent, false},
		"other fields":              {"Self=1-2;Root=" + rootID + ";Lineage=a:1", true, true, "", true},
		"decision requested":        {"Root=" + rootID + ";Sampled=?", true, true, "", true},
		"not a trace id":            {"Root=1-5759e988-bd86;Parent=" + parent + ";Sampled=0", true, false, "", true},
		"trace id in upper case":    {"Root=1-5759E988-bd862e3fe1be46a994272793", true, false, "", true},
		"no root":                   {"Parent=" + parent + ";Sampled=0", true, false, "", true},
		"malformed":                 {"nonsense", false, false, "", false},
		"parent not an id":          {"Root=" + rootID + ";Parent=xyz", false, true, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			function := &recorder{}
			s := serve(t, catchAll(), function, func(c *apigateway.Config) {
				if test.tracing {
					c.Sample = func() bool { return true }
				}
			})
			var headers []string
			if test.header != "" {
				headers = []string{"X-Amzn-Trace-Id", test.header}
			}
			resp := s.do("GET", "/", "", headers...)
			got := s.record().Trace
			if !fullTrace.MatchString(function.trace) || function.trace != got.Header() ||
				resp.header.Get("X-Amzn-Trace-Id") != function.trace {
				t.Errorf("trace header of the function %q, record %q, response %q: want the same",
					function.trace, got.Header(), resp.header)
			}
			if inEvent := function.event(t)["headers"].(object)["X-Amzn-Trace-Id"]; inEvent != "Root="+got.Root {
				t.Errorf("event: %v", inEvent)
			}
			if (got.Root == rootID) != test.continued || got.Caller != test.caller || got.Sampled != test.sampled ||
				got.Parent == parent || !segmentID.MatchString(got.Segment) || got.Segment == got.Parent {
				t.Errorf("trace %+v", got)
			}
		})
	}
}

// The paths in events are those recorded from API Gateway.
func TestEventSlashes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ sent, path, contextPath string }{
		{"/prod/users", "/users", "/prod/users"},
		{"/prod/users/", "/users/", "/prod/users/"},
		{"/prod//users", "/users", "/prod//users"},
		{"//prod/users", "/users", "/prod/users"},
		// Not recorded.
		{"/prod///users", "/users", "/prod///users"},
		{"///prod//users", "/users", "/prod//users"},
		{"/prod/users//", "/users//", "/prod/users//"},
	} {
		t.Run(test.sent, func(t *testing.T) {
			t.Parallel()
			function := &recorder{}
			s := serve(t, document(object{"/users": object{"get": operation(proxy())}}), function)
			if got := s.raw("GET " + test.sent + " HTTP/1.1\r\nHost: h\r\n\r\n"); got.status != 200 {
				t.Fatalf("%+v", got)
			}
			event := function.event(t)
			got := []any{event["path"], event["requestContext"].(object)["path"]}
			if diff := cmp.Diff([]any{test.path, test.contextPath}, got); diff != "" {
				t.Errorf("paths (-want +got):\n%s", diff)
			}
		})
	}
}
