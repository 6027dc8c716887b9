package apigateway_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/local/apigateway"
)

func TestResponseMapping(t *testing.T) {
	t.Parallel()
	type summary struct {
		Status int
		Body   string
		Header http.Header // without those of every response
	}
	with := func(header http.Header) http.Header {
		header.Set("Content-Type", "application/json")
		return header
	}
	json := with(http.Header{})
	for name, test := range map[string]struct {
		function string
		want     summary
	}{
		"empty object":       {`{}`, summary{200, "", json}},
		"numeric status":     {`{"statusCode":201,"body":"b"}`, summary{201, "b", json}},
		"status as a string": {`{"statusCode":"201"}`, summary{201, "", json}},
		"no status":          {`{"body":"b"}`, summary{200, "b", json}},
		"nulls": {
			`{"headers":null,"multiValueHeaders":null,"body":null,"isBase64Encoded":null}`,
			summary{200, "", json},
		},
		"own content type": {
			`{"headers":{"content-type":"text/plain"}}`,
			summary{200, "", http.Header{"Content-Type": {"text/plain"}}},
		},
		"no content": {`{"statusCode":204}`, summary{204, "", json}},
		"not modified": {
			`{"statusCode":304,"headers":{"ETag":"\"1\""}}`,
			summary{304, "", http.Header{"Etag": {`"1"`}}},
		},
		"boolean value": {
			`{"headers":{"X-A":true,"X-B":false}}`,
			summary{200, "", with(http.Header{"X-A": {"true"}, "X-B": {"false"}})},
		},
		"several values": {
			`{"multiValueHeaders":{"Set-Cookie":["a=1","b=2","a=1"]}}`,
			summary{200, "", with(http.Header{"Set-Cookie": {"a=1", "b=2", "a=1"}})},
		},
		"empty list": {`{"multiValueHeaders":{"X-A":[]}}`, summary{200, "", json}},
		"both header maps": {
			`{"headers":{"x-a":"1","X-B":"b","x-c":"3"},"multiValueHeaders":{"X-A":["2"],"X-C":["3","4"]}}`,
			summary{200, "", with(http.Header{"X-A": {"2", "1"}, "X-B": {"b"}, "X-C": {"3", "4"}})},
		},
		"remapped headers": {
			`{"headers":{"Connection":"close","content-length":"9","Date":"d","Server":"s","Transfer-Encoding":"chunked"}}`,
			summary{200, "", with(http.Header{
				"X-Amzn-Remapped-Connection": {"close"}, "X-Amzn-Remapped-Content-Length": {"9"},
				"X-Amzn-Remapped-Date": {"d"}, "X-Amzn-Remapped-Server": {"s"},
			})},
		},
		"ids are the gateway's": {
			`{"headers":{"X-Amzn-RequestId":"mine","X-Amz-Apigw-Id":"mine","x-amzn-trace-id":"mine"}}`,
			summary{200, "", json},
		},
		"base64": {`{"isBase64Encoded":true,"body":"Yf8="}`, summary{200, "Yf8=", json}}, // without binary media types
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, catchAll(), respondWith(test.function))
			got := s.do("GET", "/", "")
			if !uuid.MatchString(got.header.Get("x-amzn-RequestId")) ||
				!extendedID.MatchString(got.header.Get("x-amz-apigw-id")) ||
				!fullTrace.MatchString(got.header.Get("X-Amzn-Trace-Id")) || got.header.Get("x-amzn-ErrorType") != "" {
				t.Errorf("header = %v, want the ids and the trace, and no error type", got.header)
			}
			for _, name := range []string{"X-Amzn-Requestid", "X-Amz-Apigw-Id", "X-Amzn-Trace-Id"} {
				if len(got.header[name]) != 1 {
					t.Errorf("%s = %q, want one value", name, got.header[name])
				}
				got.header.Del(name)
			}
			got.header.Del("Date")
			got.header.Del("Content-Length")
			if diff := cmp.Diff(test.want, summary{got.status, got.body, got.header}); diff != "" {
				t.Errorf("response (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMalformedResponse(t *testing.T) {
	t.Parallel()
	for name, function := range map[string]string{
		"unknown key":              `{"statusCode":200,"cookies":[]}`,
		"wrong case":               `{"StatusCode":200}`,
		"error object":             `{"errorMessage":"x","errorType":"y"}`,
		"empty":                    ``,
		"not JSON":                 `hello`,
		"trailing data":            `{} {}`,
		"null":                     `null`,
		"string":                   `"hello"`,
		"number":                   `200`,
		"list":                     `[]`,
		"status not a number":      `{"statusCode":"abc"}`,
		"status null":              `{"statusCode":null}`,
		"status an object":         `{"statusCode":{}}`,
		"status a fraction":        `{"statusCode":200.5}`,
		"status too low":           `{"statusCode":99}`,
		"status too high":          `{"statusCode":600}`,
		"body an object":           `{"body":{}}`,
		"body a number":            `{"body":1}`,
		"headers a list":           `{"headers":[]}`,
		"header value a list":      `{"headers":{"a":["b"]}}`,
		"header value null":        `{"headers":{"a":null}}`,
		"multi value not a list":   `{"multiValueHeaders":{"a":"b"}}`,
		"multi value null":         `{"multiValueHeaders":{"a":null}}`,
		"multi value with null":    `{"multiValueHeaders":{"a":[null]}}`,
		"isBase64Encoded not bool": `{"isBase64Encoded":"true"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, catchAll(), respondWith(function))
			s.do("GET", "/", "").wantError(t, 502, "InternalServerErrorException", "Internal server error")
			if got := s.record(); !strings.HasPrefix(got.IntegrationError, "malformed Lambda proxy response: ") ||
				got.ErrorType != "DEFAULT_5XX" {
				t.Errorf("record = %+v, want DEFAULT_5XX and a malformed response", got)
			}
		})
	}
}

func TestInvocationFailures(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		invoker invokerFunc
		status  int
		errType string
		want    string // IntegrationError
	}{
		"function error": {func(context.Context, string, string, []byte) ([]byte, string, error) {
			return []byte(`{"statusCode":200}`), "Unhandled", nil
		}, 502, "InternalServerErrorException", "function error: Unhandled"},
		"invoke error": {func(context.Context, string, string, []byte) ([]byte, string, error) {
			return nil, "", errors.New("Rate Exceeded")
		}, 500, "InternalServerErrorException", "invoke: Rate Exceeded"},
		"response over 10 MB": {respondWith(`{"body":"` + strings.Repeat("a", 10<<20) + `"}`),
			500, "InternalServerErrorException", "function response: want at most 10485760 bytes, got 10485771"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, catchAll(), test.invoker)
			s.do("GET", "/", "").wantError(t, test.status, test.errType, "Internal server error")
			if got := s.record().IntegrationError; got != test.want {
				t.Errorf("IntegrationError %q, want %q", got, test.want)
			}
		})
	}
}

func TestResponseHeaderCasing(t *testing.T) {
	t.Parallel()
	s := serve(t, catchAll(), respondWith(`{"headers":{"ETag":"1","x-custom":"2","content-type":"text/plain"},"body":"b"}`))
	// net/http's client does not preserve the casing.
	w := s.rawResponse("GET", "/prod/")
	for _, want := range []string{"\r\nETag: 1\r\n", "\r\nx-custom: 2\r\n", "\r\nContent-Type: text/plain\r\n",
		"\r\nx-amzn-RequestId: ", "\r\nx-amz-apigw-id: ", "\r\nX-Amzn-Trace-Id: Root="} {
		if !strings.Contains(w, want) {
			t.Errorf("response:\n%s\nwant %q in it", w, want)
		}
	}
	if strings.Count(strings.ToLower(w), "content-type:") != 1 {
		t.Errorf("response:\n%s\nwant exactly one Content-Type", w)
	}
}

func TestHead(t *testing.T) {
	t.Parallel()
	doc := document(object{"/users": object{"head": operation(proxy())}})
	s := serve(t, doc, respondWith(`{"statusCode":200,"body":"hello"}`))
	got := s.rawResponse("HEAD", "/prod/users")
	if !strings.HasSuffix(got, "\r\n\r\n") || !strings.Contains(got, "\r\nContent-Length: 5\r\n") {
		t.Errorf("response:\n%s\nwant Content-Length: 5 and no body", got)
	}
	got = s.rawResponse("HEAD", "/prod/nowhere")
	if !strings.HasPrefix(got, "HTTP/1.1 403 ") || !strings.HasSuffix(got, "\r\n\r\n") {
		t.Errorf("response:\n%s\nwant status 403 and no body", got)
	}
}

func TestIntegrationTimeout(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	ended := make(chan error, 1)
	doc := document(object{"/slow": object{"get": operation(proxy(object{"timeoutInMillis": 50}))}})
	s := serve(t, doc, invokerFunc(func(ctx context.Context, _, _ string, _ []byte) ([]byte, string, error) {
		<-release
		ended <- ctx.Err()
		return []byte(`{}`), "", nil
	}))
	s.do("GET", "/slow", "").wantError(t, 504, "InternalServerErrorException", "Endpoint request timed out")
	got := s.record()
	if got.ErrorType != "INTEGRATION_TIMEOUT" || got.IntegrationError != "no response from the function within 50ms" ||
		got.IntegrationLatency < 50*time.Millisecond {
		t.Errorf("record = %+v, want INTEGRATION_TIMEOUT after at least 50 ms", got)
	}
	close(release)
	if err := <-ended; err != nil {
		t.Errorf("context of the invocation after the timeout: error = %v, want none", err)
	}
}

func TestClientDisconnects(t *testing.T) {
	t.Parallel()
	started, release := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	s := serve(t, catchAll(), invokerFunc(func(ctx context.Context, _, _ string, _ []byte) ([]byte, string, error) {
		close(started)
		<-release
		ended <- ctx.Err()
		return []byte(`{}`), "", nil
	}))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-started
		cancel()
	}()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if response, err := s.server.Client().Do(r); err == nil {
		_ = response.Body.Close()
		t.Fatal("the request succeeded, want it canceled")
	}
	close(release)
	if err := <-ended; err != nil {
		t.Errorf("context of the invocation after the client disconnected: error = %v, want none", err)
	}
	if got := s.record(); got.Status != 200 {
		t.Errorf("record = %+v, want status 200", got)
	}
}

func TestWait(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	var ended bool
	g, err := apigateway.New(apigateway.Config{
		Stage: "prod",
		Body: []byte(`{"openapi":"3.0.1","paths":{"/":{"get":{"x-amazon-apigateway-integration":{"type":"aws_proxy",
			"httpMethod":"POST","timeoutInMillis":50,"uri":"arn:aws-cn:apigateway:cn-north-1:lambda:path/2015-03-31/` +
			`functions/arn:aws-cn:lambda:cn-north-1:123456789012:function:f/invocations"}}}}}`),
		Invoker: invokerFunc(func(context.Context, string, string, []byte) ([]byte, string, error) {
			<-release
			ended = true
			return nil, "", nil
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	g.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/prod", http.NoBody))
	if w.Code != 504 {
		t.Errorf("response = %+v, want status 504", w)
	}
	close(release)
	g.Wait()
	if !ended {
		t.Error("Wait returned, want it to wait for the end of the invocation")
	}
}

// rawResponse sends a request and returns the bytes of the response.
func (s *testServer) rawResponse(method, path string) string {
	s.t.Helper()
	response := s.rawConnection(method + " " + path + " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	b, err := io.ReadAll(response)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(b)
}
