package apigateway_test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/local/apigateway"
)

const maxPayload = 10 << 20

func TestRequestPayloadLimit(t *testing.T) {
	t.Parallel()
	custom := object{"x-amazon-apigateway-gateway-responses": object{
		"REQUEST_TOO_LARGE": object{"statusCode": 418}, "DEFAULT_4XX": object{"statusCode": 418},
	}}
	function := &recorder{}
	s := serve(t, catchAll(custom), function)
	if got := s.do("POST", "/", strings.Repeat("a", maxPayload)); got.status != 200 {
		t.Errorf("10 MB: %d", got.status)
	}
	if got := len(function.event(t)["body"].(string)); got != maxPayload {
		t.Errorf("the function received %d bytes, want %d", got, maxPayload)
	}
	function.payload = []byte(`{}`)

	// With a Content-Length over the limit, the gateway does not read the body.
	got := s.raw(fmt.Sprintf("POST /prod/ HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", maxPayload+1))
	got.wantError(t, 413, "RequestTooLargeException", "Request Too Long")

	// Without a Content-Length, it reads up to the limit.
	endless := endlessReader{}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url, endless)
	if err != nil {
		t.Fatal(err)
	}
	response, err := s.server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	s.read(response).wantError(t, 413, "RequestTooLargeException", "Request Too Long")
	if len(function.event(t)) != 0 {
		t.Error("the function was invoked")
	}
}

// An event can be too large for Lambda although the request is within the limit of API Gateway.
func TestLambdaPayloadLimit(t *testing.T) {
	t.Parallel()
	custom := object{"x-amazon-apigateway-gateway-responses": object{"DEFAULT_4XX": object{"statusCode": 418}}}
	for status, want := range map[lambdaError]struct {
		status             int
		errorType, message string
		responseType       string
	}{
		413: {413, "BadRequestException", "Request Too Long", "REQUEST_TOO_LARGE"},
		429: {500, "InternalServerErrorException", "Internal server error", "DEFAULT_5XX"},
	} {
		t.Run(strconv.Itoa(int(status)), func(t *testing.T) {
			t.Parallel()
			lambda := func(context.Context, string, string, []byte) ([]byte, string, error) { return nil, "", status }
			s := serve(t, catchAll(custom), invokerFunc(lambda))
			s.do("POST", "/", "{}").wantError(t, want.status, want.errorType, want.message)
			r := s.record()
			got := []any{r.ErrorType, r.IntegrationStatus, r.FunctionStatus}
			if diff := cmp.Diff([]any{want.responseType, int(status), 0}, got); diff != "" {
				t.Errorf("response type and status codes (-want +got):\n%s", diff)
			}
		})
	}
}

// endlessReader is a reader without an end.
type endlessReader struct{}

func (endlessReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}

func TestHeaderLimit(t *testing.T) {
	t.Parallel()
	s := serve(t, catchAll(), respondWith(`{}`))
	host := strings.TrimPrefix(s.server.URL, "http://")
	others := len("GET /prod/ HTTP/1.1") + len(host) + len("test") + len("identity")
	for size, want := range map[int]int{10_240: 200, 10_241: 431} {
		t.Run(strconv.Itoa(size), func(t *testing.T) {
			t.Parallel()
			got := s.do("GET", "/", "", "User-Agent", "test", "Accept-Encoding", "identity",
				"X-Long", strings.Repeat("a", size-others))
			if got.status != want {
				t.Errorf("got status %d, want %d", got.status, want)
			}
			if want == 431 {
				got.wantError(t, 431, "BadRequestException", "Request Header Fields Too Large")
			}
		})
	}
}

func TestThrottle(t *testing.T) {
	t.Parallel()
	doc := document(object{"/": object{"get": operation(proxy())}})
	s := serve(t, doc, respondWith(`{}`), func(c *apigateway.Config) {
		c.Throttle = apigateway.Throttle{Rate: 1e-9, Burst: 2} // no refill during the test
	})
	s.do("GET", "/nowhere", "").wantError(t, 403, "MissingAuthenticationTokenException", "Missing Authentication Token")
	for range 2 {
		if got := s.do("GET", "/", ""); got.status != 200 {
			t.Errorf("within the burst: %d", got.status)
		}
	}
	s.do("GET", "/", "").wantError(t, 429, "TooManyRequestsException", "Too Many Requests")
	s.do("GET", "/nowhere", "").wantError(t, 403, "MissingAuthenticationTokenException", "Missing Authentication Token")
}
