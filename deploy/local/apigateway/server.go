package apigateway

import (
	"net/http"
	"time"
)

// NewServer returns a server that limits the time for reading the header of a request to timeout, and again that for
// its body. After the timeout, reads of the body return an error; a [Gateway] responds with 408.
//
// The server closes the connection after each chunked request. A request that also has a Content-Length must be the
// last on its connection (RFC 9112, section 6.1), and net/http does not report which requests had both.
func NewServer(handler http.Handler, timeout time.Duration) *http.Server {
	return &http.Server{
		ReadHeaderTimeout:            timeout,
		DisableGeneralOptionsHandler: true, // handler serves "OPTIONS *"
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			// Without a body, a read deadline would cancel the context of a long response.
			if r.Body != http.NoBody {
				// SetReadDeadline fails only if the connection is closed.
				_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(timeout))
			}
			if len(r.TransferEncoding) > 0 {
				w.Header().Set("Connection", "close")
			}
			handler.ServeHTTP(w, r)
		}),
	}
}
