package loopback_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/userrequestapi/userdata/deploy/host/loopback"
)

func TestGuard(t *testing.T) {
	t.Parallel()
	handler := loopback.Guard(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	for _, test := range []struct {
		name, method, host, site, origin string
		status                           int
	}{
		{"program", "POST", "127.0.0.1:3000", "", "", 204},
		{"same origin", "POST", "localhost:3000", "same-origin", "http://localhost:3000", 204},
		{"entered address", "GET", "[::1]:3000", "none", "", 204},
		{"address without a port", "GET", "[::1]", "none", "", 204},
		{"name without a port", "GET", "LOCALHOST", "none", "", 204},
		{"name in brackets", "GET", "[localhost]:3000", "none", "", 421},
		{"IPv4 in brackets", "GET", "[127.0.0.1]:3000", "none", "", 421},
		{"IPv6 without brackets", "GET", "::1", "none", "", 421},
		{"unbalanced bracket", "GET", "127.0.0.1]", "none", "", 421},
		{"name with the prefix localhost", "GET", "localhost.evil.example:3000", "none", "", 421},
		{"DNS rebinding", "GET", "evil.example:3000", "same-origin", "", 421},
		{"private address", "GET", "10.0.0.1", "", "", 421},
		{"cross-site", "POST", "127.0.0.1:3000", "cross-site", "https://evil.example", 403},
		{"same site, other port", "POST", "127.0.0.1:3000", "same-site", "http://127.0.0.1:1", 403},
		{"browser without Sec-Fetch-Site", "DELETE", "127.0.0.1:3000", "", "https://evil.example", 403},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequestWithContext(t.Context(), test.method, "/", http.NoBody)
			r.Host = test.host
			r.Header.Set("Sec-Fetch-Site", test.site)
			r.Header.Set("Origin", test.origin)
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			if w.Code != test.status {
				t.Errorf("got %d %s, want %d", w.Code, w.Body, test.status)
			}
			if got := w.Header().Get("Content-Type"); test.status >= 400 && got != "application/problem+json" {
				t.Errorf("content type = %s, want application/problem+json", got)
			}
			for _, name := range []string{"Content-Security-Policy", "Cross-Origin-Resource-Policy", "X-Content-Type-Options"} {
				if w.Header().Get(name) == "" {
					t.Errorf("missing header %s", name)
				}
			}
		})
	}
}

// TestGuardHost checks that only the Host counts: pages of other origins may call the API (CORS).
func TestGuardHost(t *testing.T) {
	t.Parallel()
	handler := loopback.GuardHost(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	}))
	for host, status := range map[string]int{
		"127.0.0.1:3000": 204, "localhost": 204, "[::1]:3000": 204, "evil.example:3000": 421, "": 421,
	} {
		t.Run("Host: "+host, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequestWithContext(t.Context(), http.MethodDelete, "/", http.NoBody)
			r.Host = host
			r.Header.Set("Sec-Fetch-Site", "cross-site")
			r.Header.Set("Origin", "https://app.example")
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			if w.Code != status {
				t.Errorf("got %d %s, want %d", w.Code, w.Body, status)
			}
		})
	}
}

func TestAcceptsHTML(t *testing.T) {
	t.Parallel()
	for accept, want := range map[string]bool{
		"": false, "*/*": false, "text/html": true, "application/xhtml+xml, text/html;q=0.9": true, "text/html;q=0, application/json": false,
		"text/html;q=x": true, "text/plain": false,
	} {
		t.Run("Accept: "+accept, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
			r.Header.Set("Accept", accept)
			if got := loopback.AcceptsHTML(r); got != want {
				t.Errorf("AcceptsHTML = %t, want %t", got, want)
			}
		})
	}
}
