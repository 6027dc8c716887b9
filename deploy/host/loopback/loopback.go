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
)

// GuardHost refuses requests whose Host is not a name of this machine, with a problem document. Otherwise a site whose
// name was made to resolve to 127.0.0.1 could read what is served here ("DNS rebinding").
func GuardHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := checkHost(r.Host); err != nil {
			WriteProblem(w, http.StatusMisdirectedRequest, "HostRefused", err.Error())
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Guard is [GuardHost] that also refuses requests from pages of another origin. Its response headers prevent caching,
// framing and reading by such pages, unless next overrides them.
func Guard(next http.Handler) http.Handler {
	origins := http.NewCrossOriginProtection()
	sameOrigin := GuardHost(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := origins.Check(r); err != nil {
			WriteProblem(w, http.StatusForbidden, "OriginRefused", "Only the pages that are served here may do that: "+err.Error()+".")
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
		host += ":80" // as it is without a port
	}
	address, err := netip.ParseAddrPort(host) // which has brackets around IPv6, and nothing else
	if name, _, _ := strings.Cut(host, ":"); strings.EqualFold(name, "localhost") || err == nil && address.Addr().IsLoopback() {
		return nil
	}
	return errors.New("this is served by the names 127.0.0.1, localhost and [::1] only: use one of them")
}

// AcceptsHTML tells a browser that shows what it gets from a program, by the header Accept.
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

// WriteProblem answers with a problem document (RFC 9457) in the form of the API's own.
func WriteProblem(w http.ResponseWriter, status int, code, detail string) {
	body, err := json.Marshal(struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
		Code   string `json:"code"`
	}{"urn:problem-type:userrequestapi:" + code, http.StatusText(status), status, detail, code})
	if err != nil { // texts and a number only
		panic(err)
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that has gone
}
