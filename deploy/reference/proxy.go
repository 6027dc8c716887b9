package reference

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"

	"github.com/userrequestapi/userdata/deploy/loopback"
)

const (
	// pageHeader is what the page sends with requests for the proxy. A page of another origin cannot send it, not even with GET, as
	// no such request passes the browser's preflight.
	pageHeader = "X-Requested-With"
	// maxBody is more than API Gateway takes (10 MB), so that it can say so itself.
	maxBody = 16 << 20
)

// Proxy takes the page's requests to a stage and sends them there, at the same path below the stage's. authorize, where it is not
// nil, changes each as the stage demands, such as by a signature; it can read the body by GetBody. So the page never has any
// credentials, but its requests have what they allow: serve it within [loopback.Guard].
func Proxy(stage *url.URL, authorize func(*http.Request) error, transport http.RoundTripper) http.Handler {
	rewrite := func(r *httputil.ProxyRequest) {
		r.SetURL(stage)
		for name := range r.Out.Header { // what a browser tells of itself and of the page
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
			loopback.WriteProblem(w, http.StatusForbidden, "OriginRefused", "Only the page that is served here may ask for that.")
			return
		}
		if err := forwardable(r.URL); err != nil {
			loopback.WriteProblem(w, http.StatusBadRequest, "AddressRefused", err.Error())
			return
		}
		forward := &httputil.ReverseProxy{
			Rewrite:   rewrite,
			Transport: authorizing{authorize, transport},
			ModifyResponse: func(res *http.Response) error {
				clear(w.Header()) // the headers are the stage's, but for what could change this site
				res.Header.Del("Set-Cookie")
				res.Header.Set("X-Content-Type-Options", "nosniff")
				return nil
			},
			ErrorHandler: unreachable,
		}
		http.MaxBytesHandler(forward, maxBody).ServeHTTP(w, r)
	})
}

// forwardable refuses what would not reach the stage as the page sent it: a query that [httputil.ReverseProxy] would mend, and a path
// that leads out of the stage.
func forwardable(address *url.URL) error {
	if _, err := url.ParseQuery(address.RawQuery); err != nil {
		return fmt.Errorf("the query cannot be sent on as it is: %w; escape %% as %%25 and ; as %%3B", err)
	}
	for segment := range strings.SplitSeq(address.Path, "/") { // which is decoded: another server may decode it too
		if segment == "." || segment == ".." {
			return fmt.Errorf("the path has the segment %q, which could lead out of the stage", segment)
		}
	}
	return nil
}

// unreachable tells the page that the stage has not answered.
func unreachable(w http.ResponseWriter, _ *http.Request, err error) {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		loopback.WriteProblem(w, http.StatusRequestEntityTooLarge, "ContentTooLarge", "The body is larger than the 10 MB that API Gateway takes.")
		return
	}
	loopback.WriteProblem(w, http.StatusBadGateway, "StageUnreachable", "The stage could not be asked: "+err.Error())
}

// authorizing authorizes requests on their way.
type authorizing struct {
	authorize func(*http.Request) error
	transport http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (a authorizing) RoundTrip(r *http.Request) (*http.Response, error) {
	if a.authorize == nil {
		return a.transport.RoundTrip(r)
	}
	r = r.Clone(r.Context())
	if r.Body != nil && r.Body != http.NoBody {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r.ContentLength = int64(len(body))
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		r.Body, _ = r.GetBody()
	}
	if err := a.authorize(r); err != nil {
		return nil, err
	}
	return a.transport.RoundTrip(r)
}
