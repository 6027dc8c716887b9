package console

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

// protect sets what all answers have. Pages may use what the console serves, no inline script or style, and no markup that a
// script makes of text; nobody may frame them.
func protect(header http.Header) {
	header.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "+
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'")
	header.Set("Cache-Control", "no-store")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Content-Type-Options", "nosniff")
}

// checkHost refuses names that are not this machine's own: a site whose name was made to mean 127.0.0.1 could read what is served
// here ("DNS rebinding").
func checkHost(host string) error {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.Trim(name, "[]")
	if address, err := netip.ParseAddr(name); strings.EqualFold(name, "localhost") || err == nil && address.IsLoopback() {
		return nil
	}
	return errors.New("the pages of this stack are served by the names 127.0.0.1, localhost and [::1] only: use one of them")
}

// acceptsHTML tells a browser from a client of the API that missed the stage.
func acceptsHTML(r *http.Request) bool {
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

// writeProblem answers with a problem document (RFC 9457), as the API does.
func writeProblem(w http.ResponseWriter, status int, code, detail string) {
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
