package apigateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/userrequestapi/userdata/deploy/local/apigateway"
)

// withServer serves the gateway with NewServer.
func (s *testServer) withServer(timeout time.Duration) *testServer {
	s.t.Helper()
	server := httptest.NewUnstartedServer(nil)
	server.Config = apigateway.NewServer(s.server.Config.Handler, timeout)
	server.Start()
	s.server.Close()
	s.server, s.url = server, server.URL+"/prod"
	s.t.Cleanup(server.Close)
	return s
}

// next reads the next response from a connection. ok reports whether there is one before the connection closes.
func (s *testServer) next(responses *bufio.Reader) (_ reply, ok bool) {
	s.t.Helper()
	response, err := http.ReadResponse(responses, nil)
	if err != nil {
		return reply{}, false
	}
	defer func() { _ = response.Body.Close() }()
	return s.read(response), true
}

// The server closes the connection if a client does not complete its request.
func TestReadTimeout(t *testing.T) {
	t.Parallel()
	const timeout = 50 * time.Millisecond
	for name, test := range map[string]struct {
		request string
		status  int // 0: the connection closes without a response
	}{
		"no request":        {"", 0},
		"incomplete header": {"POST /prod/ HTTP/1.1\r\nHost: h\r\n", 0},
		"incomplete body":   {"POST /prod/ HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n{", 408},
		"no body":           {"POST /prod/ HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n", 408},
		"incomplete chunk":  {"POST /prod/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\na\r\n{", 408},
		"outside the stage": {"POST /other/ HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n{", 403},
		"second request":    {"GET /prod/ HTTP/1.1\r\nHost: h\r\n\r\nPOST /prod/", 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, catchAll(), respondWith(`{}`)).withServer(timeout)
			connection := s.rawConnection(test.request)
			got, ok := s.next(bufio.NewReader(connection))
			if test.status == 0 {
				if ok {
					t.Errorf("response = %+v, want none", got)
				}
				return
			}
			if got.status != test.status {
				t.Errorf("response = %+v, want status %d", got, test.status)
			}
			if test.status == 408 {
				got.wantError(t, 408, "BadRequestException", "The body did not arrive in time")
			}
			if _, err := io.Copy(io.Discard, connection); err != nil { // ends when the server closes the connection
				t.Error(err)
			}
		})
	}
}

// The read timeout does not end a long response.
func TestLongResponse(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	server := httptest.NewUnstartedServer(nil)
	server.Config = apigateway.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-release
		_, _ = fmt.Fprint(w, r.Context().Err())
	}), 50*time.Millisecond)
	server.Start()
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	// Wait for the read timeout: that of another connection begins later.
	var dialer net.Dialer
	late, err := dialer.DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = late.Close() }()
	if _, err := io.Copy(io.Discard, late); err != nil {
		t.Fatal(err)
	}
	close(release)
	if body, err := io.ReadAll(response.Body); err != nil || string(body) != "<nil>" {
		t.Errorf("got %q, %v, want the whole response", body, err)
	}
}

// The server closes the connection after requests with an ambiguous length (RFC 9112, section 6.1).
func TestConnections(t *testing.T) {
	t.Parallel()
	const (
		second  = "GET /prod/ HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
		post    = "POST /prod/ HTTP/1.1\r\nHost: h\r\n"
		chunked = "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
	)
	for name, test := range map[string]struct {
		request  string
		statuses []int
	}{
		"length":               {post + "Content-Length: 2\r\n\r\n{}", []int{200, 200}},
		"chunked":              {post + chunked, []int{200}},
		"chunked and a length": {post + "Content-Length: 2\r\n" + chunked, []int{200}},
		"two lengths":          {post + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ", []int{400}},
		"OPTIONS *":            {"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", []int{403, 200}},
		// Rejected by net/http, as listed in the package comment.
		"malformed percent-encoding": {"GET /prod/users/100% HTTP/1.1\r\nHost: h\r\n\r\n", []int{400}},
		"no host":                    {"GET /prod/ HTTP/1.1\r\n\r\n", []int{400}},
		"two hosts":                  {"GET /prod/ HTTP/1.1\r\nHost: h\r\nHost: g\r\n\r\n", []int{400}},
		"malformed header":           {"GET /prod/ HTTP/1.1\r\nHost: h\r\nA B: c\r\n\r\n", []int{400}},
		"other transfer coding":      {post + "Transfer-Encoding: gzip\r\n\r\n", []int{501}},
		"other version":              {"GET /prod/ HTTP/3.0\r\nHost: h\r\n\r\n", []int{505}},
		"huge header":                {post + "A: " + strings.Repeat("a", 1<<20+8<<10) + "\r\n\r\n", []int{431}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, catchAll(), respondWith(`{}`)).withServer(time.Minute)
			responses := bufio.NewReader(s.rawConnection(test.request + second))
			for _, status := range test.statuses {
				got, _ := s.next(responses)
				if got.status != status {
					t.Errorf("response = %+v, want status %d", got, status)
				}
				if own := got.header.Get("x-amzn-RequestId") != ""; own != (status < 400 || status == 403) {
					t.Errorf("header with status %d = %v, want x-amzn-RequestId only from the gateway", status, got.header)
				}
			}
			if got, ok := s.next(responses); ok {
				t.Errorf("response = %+v, want the connection closed", got)
			}
		})
	}
}
