package apigateway

import (
	"net/http"
	"time"
)

// NewServer returns a server whose clients have timeout to send the header of a request, and again for its body. A late
// body is a read error to handler; a [Gateway] responds with 408.
//
// The server closes the connection after a chunked request: one that has a Content-Length as well must not be followed
// by another (RFC 9112 §6.1), and net/http does not report which had both.
func NewServer(handler http.Handler, timeout time.Duration) *http.Server {
	return &http.Server{
		ReadHeaderTimeout:            timeout,
		DisableGeneralOptionsHandler: true, // which would answer "OPTIONS *" instead of handler
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			// Without a body, a deadline would end the context of a long response, such as a stream of events.
			if r.Body != http.NoBody {
				// It fails for a closed connection only, which ends the request anyway.
				_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(timeout))
			}
			if len(r.TransferEncoding) > 0 {
				w.Header().Set("Connection", "close")
			}
			handler.ServeHTTP(w, r)
		}),
	}
}
