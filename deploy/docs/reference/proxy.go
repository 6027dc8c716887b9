package reference

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"

	"github.com/userrequestapi/userdata/deploy/host/loopback"
)

const (
	// pageHeader is a header that the page sends with each request to the proxy. A page of another origin cannot send it,
	// not even with GET: the browser's preflight request fails.
	pageHeader = "X-Requested-With"
	// maxBody is API Gateway's limit for the body of a request, in bytes ("Amazon API Gateway quotas"). The proxy enforces
	// it itself, because API Gateway closes the connection while such a body is still being sent.
	maxBody = 10 << 20
)

// Proxy returns a handler that forwards the page's requests to a stage. It appends the request path to the stage's URL.
// authorize adds the authorization that the stage requires, such as a signature, and can read the body with GetBody; if
// it is nil, requests are not authorized. The page never has AWS credentials, but its requests have the permissions of
// authorize: serve the handler within [loopback.Guard].
func Proxy(stage *url.URL, authorize func(*http.Request) error, transport http.RoundTripper) http.Handler {
	rewrite := func(r *httputil.ProxyRequest) {
		r.SetURL(stage)
		for name := range r.Out.Header { // headers in which a browser describes itself and the page
			if strings.HasPrefix(name, "Sec-") {
				r.Out.Header.Del(name)
			}
		}
		for _, name := range []string{pageHeader, "Cookie", "Origin", "Referer"} {
			r.Out.Header.Del(name)
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(pageHeader) == "" {
			loopback.WriteProblem(w, http.StatusForbidden, "OriginRefused",
				"Only the page that is served here may send this request.")
			return
		}
		if err := checkURL(r.URL); err != nil {
			loopback.WriteProblem(w, http.StatusBadRequest, "AddressRefused", err.Error())
			return
		}
		body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
		if err != nil {
			loopback.WriteProblem(w, http.StatusBadRequest, "InvalidBody", "The body ended early.")
			return
		}
		if len(body) > maxBody {
			_, _ = io.Copy(io.Discard, r.Body) // a browser that is still sending would not read the response
			loopback.WriteProblem(w, http.StatusRequestEntityTooLarge, "ContentTooLarge",
				"The body is larger than 10 MB, the limit of API Gateway.")
			return
		}
		forward := &httputil.ReverseProxy{
			Rewrite:   rewrite,
			Transport: authorizing{authorize, transport},
			ModifyResponse: func(res *http.Response) error {
				clear(w.Header()) // the headers are the stage's, except for those that could change this site
				res.Header.Del("Set-Cookie")
				res.Header.Set("X-Content-Type-Options", "nosniff")
				return nil
			},
			ErrorHandler: writeFailure,
		}
		forward.ServeHTTP(w, withBody(r, body))
	})
}

// withBody returns a copy of a request with the body, which GetBody can read again.
func withBody(r *http.Request, body []byte) *http.Request {
	r = r.Clone(r.Context())
	r.Body, r.ContentLength, r.TransferEncoding = http.NoBody, int64(len(body)), nil
	if len(body) > 0 {
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		r.Body, _ = r.GetBody()
	}
	return r
}

// checkURL returns an error for a URL that would not reach the stage as the page sent it: with a query that
// [httputil.ReverseProxy] would change, or a path that leads out of the stage.
func checkURL(u *url.URL) error {
	if _, err := url.ParseQuery(u.RawQuery); err != nil {
		return fmt.Errorf("the query cannot be forwarded unchanged: %w; escape %% as %%25 and ; as %%3B", err)
	}
	for segment := range strings.SplitSeq(u.Path, "/") { // decoded, as another server may decode it
		if segment == "." || segment == ".." {
			return fmt.Errorf("the path has the segment %q, which could lead out of the stage", segment)
		}
	}
	return nil
}

// writeFailure writes a problem document for a request to the stage that has failed with err.
func writeFailure(w http.ResponseWriter, r *http.Request, err error) {
	const notSent = "The request was not sent: "
	outcome := "."
	if r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodOptions {
		outcome = ", so its outcome is unknown: read the item to see whether the request took effect."
	}
	timeout, _ := errors.AsType[net.Error](err)
	if refused, ok := errors.AsType[*authorizationError](err); ok {
		loopback.WriteProblem(w, http.StatusBadGateway, "AuthorizationFailed", notSent+refused.Error())
	} else if cause := unreachable(err); cause != "" {
		loopback.WriteProblem(w, http.StatusBadGateway, "StageUnreachable", notSent+cause)
	} else if timeout != nil && timeout.Timeout() {
		loopback.WriteProblem(w, http.StatusGatewayTimeout, "StageTimeout", "The stage did not respond in time"+outcome)
	} else {
		loopback.WriteProblem(w, http.StatusBadGateway, "ConnectionLost",
			"The connection to the stage ended without a valid response"+outcome)
	}
}

// unreachable returns why no connection could be established, or "" for any other error.
func unreachable(err error) string {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return fmt.Sprintf("the host name %s of the stage cannot be resolved; check the network.", dns.Name)
	}
	if certificate, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Sprintf("the certificate of the stage is not trusted (%v); check AWS_CA_BUNDLE.", certificate.Err)
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && (op.Op == "dial" || op.Op == "proxyconnect") {
		return "no connection to the stage can be established; check that it is running, the network, and HTTPS_PROXY."
	}
	return ""
}

// authorizing is a transport that authorizes requests before it sends them.
type authorizing struct {
	authorize func(*http.Request) error
	transport http.RoundTripper
}

// authorizationError means that a request could not be authorized.
type authorizationError struct{ error }

// Unwrap returns the error of the function that authorizes requests.
func (e *authorizationError) Unwrap() error { return e.error }

// RoundTrip implements [http.RoundTripper].
func (a authorizing) RoundTrip(r *http.Request) (*http.Response, error) {
	if a.authorize != nil {
		r = r.Clone(r.Context())
		if err := a.authorize(r); err != nil {
			return nil, &authorizationError{err}
		}
	}
	return a.transport.RoundTrip(r)
}
