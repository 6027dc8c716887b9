// Package loopback keeps what is served on this machine, for the person before it, from the pages of other sites, which a browser
// lets send requests here too.
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

// Guard serves requests that are made by a name of this machine, and not by a page of another origin. Others get a problem document.
// Its headers keep what is served from being kept, framed, or read by such pages, as far as next does not set others.
func Guard(next http.Handler) http.Handler {
	origins := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		w.Header().Set("Cross-Origin-Opener-Policy", "same-origin")
		w.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
		w.Header().Set("Referrer-Policy", "no-referrer")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if err := checkHost(r.Host); err != nil {
			WriteProblem(w, http.StatusMisdirectedRequest, "HostRefused", err.Error())
			return
		}
		if err := origins.Check(r); err != nil {
			WriteProblem(w, http.StatusForbidden, "OriginRefused", "Only the pages that are served here may do that: "+err.Error()+".")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// checkHost refuses names that are not this machine's own: a site whose name was made to mean 127.0.0.1 could read what is served
// here ("DNS rebinding").
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
