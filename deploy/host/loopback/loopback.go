// Package loopback protects local HTTP servers from DNS rebinding and cross-origin requests.
package loopback

import (
	"encoding/json"
	"errors"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"github.com/userrequestapi/userdata/deploy/contract"
)

// GuardHost responds with a problem document to requests whose Host is not localhost or a loopback address. Otherwise a
// site whose name resolves to 127.0.0.1 could read the responses (DNS rebinding).
func GuardHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := checkHost(r.Host); err != nil {
			WriteProblem(w, http.StatusMisdirectedRequest, "HostRefused", err.Error())
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Guard is [GuardHost] that also rejects cross-origin requests. Its response headers prevent caching, framing and
// cross-origin reads, unless next overrides them.
func Guard(next http.Handler) http.Handler {
	origins := http.NewCrossOriginProtection()
	sameOrigin := GuardHost(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := origins.Check(r); err != nil {
			WriteProblem(w, http.StatusForbidden, "OriginRefused",
				"Only pages of this server may send this request: "+err.Error()+".")
			return
		}
		next.ServeHTTP(w, r)
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		w.Header().Set("Cross-Origin-Opener-Policy", "same-origin")
		w.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
		w.Header().Set("Referrer-Policy", "no-referrer")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		sameOrigin.ServeHTTP(w, r)
	})
}

// checkHost returns an error unless host, with or without a port, is localhost or a loopback address.
func checkHost(host string) error {
	if _, _, err := net.SplitHostPort(host); err != nil {
		host += ":80"
	}
	address, err := netip.ParseAddrPort(host) // accepts brackets around IPv6 addresses only
	if name, _, _ := strings.Cut(host, ":"); strings.EqualFold(name, "localhost") ||
		err == nil && address.Addr().IsLoopback() {
		return nil
	}
	return errors.New("unknown host: use 127.0.0.1, localhost or [::1]")
}

// AcceptsHTML reports whether the header Accept names text/html, as a browser's does when it opens a page.
func AcceptsHTML(r *http.Request) bool {
	for _, value := range r.Header.Values("Accept") {
		for part := range strings.SplitSeq(value, ",") {
			mediaType, parameters, err := mime.ParseMediaType(part)
			if err != nil || mediaType != "text/html" {
				continue
			}
			q, err := strconv.ParseFloat(parameters["q"], 64)
			return err != nil || q > 0
		}
	}
	return false
}

// WriteProblem writes a response with a problem document (RFC 9457), which the status code and the code describe.
func WriteProblem(w http.ResponseWriter, status int, code, detail string) {
	body, err := json.Marshal(struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
		Code   string `json:"code"`
	}{"about:blank", http.StatusText(status), status, detail, code})
	if err != nil { // impossible for strings and a number
		panic(err)
	}
	w.Header().Set("Content-Type", contract.ProblemMediaType)
	w.WriteHeader(status)
	_, _ = w.Write(body) // fails if the client has disconnected
}
