package e2e_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/shared/user/usertest"
)

// TestRoutes checks unknown paths and methods, and unusual forms of known paths.
func TestRoutes(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	stage := "/" + s.Stage()
	s.Do(t, "POST", "/users", usertest.Body(t, `{"userId": "ada"}`)).Want(t, 201)
	for _, path := range []string{"", "/", "/users", "/users/", "/users/ada"} {
		allow, others := s.Allow(path)
		for _, method := range others {
			t.Run(method+" "+path, func(t *testing.T) {
				t.Parallel()
				r := s.Do(t, method, path, "")
				p := r.Problem(t, 405, "MethodNotAllowed")
				wantHeaders(t, r, stacktest.Headers{"Allow": allow, "Cache-Control": "no-store"})
				if !strings.Contains(p.Detail, allow) {
					t.Errorf("detail = %q, want %s in it", p.Detail, allow)
				}
			})
		}
	}
	for _, path := range []string{
		"/user", "/Users", "/users/ada/roles", "/users/ada/roles/1?userId=ada", "/users//ada", "/favicon.ico",
	} {
		for _, method := range []string{"GET", "POST", "PUT", "DELETE", "PATCH"} {
			t.Run(method+" "+path, func(t *testing.T) {
				t.Parallel()
				p := s.Do(t, method, path, "").Problem(t, 404, "RouteNotFound")
				for _, want := range []string{"/users", "/users/{userId}", "https://"} {
					if !strings.Contains(p.Detail, want) {
						t.Errorf("detail = %q, want %s in it", p.Detail, want)
					}
				}
			})
		}
	}
	t.Run("index", func(t *testing.T) {
		t.Parallel()
		for _, path := range []string{"", "/"} {
			r := s.Do(t, "GET", path, "").Want(t, 200)
			if links, _ := r.JSON(t)["links"].(map[string]any); links["self"] != stage+"/" || links["users"] != stage+"/users" {
				t.Errorf("links of the index = %v, want URLs of the stage %s", links, stage)
			}
		}
	})
	t.Run("HEAD", func(t *testing.T) {
		t.Parallel()
		for path, status := range map[string]int{
			"": 200, "/": 200, "/nothing": 404, "/users/eve": 404, "/users/a%40b": 404, "/users/%ff": 400,
			"/users?limit=0": 400, "/users?userId=": 400,
		} {
			t.Run(path, func(t *testing.T) {
				t.Parallel()
				head, read := s.Do(t, "HEAD", path, "").Want(t, status), s.Do(t, "GET", path, "")
				// The body, and therefore its length, depends only on the path.
				if d := gocmp.Diff(lasting(read.Header), lasting(head.Header)); d != "" || len(head.Body) != 0 {
					t.Errorf("HEAD: body of %d bytes, header (-GET +HEAD):\n%s", len(head.Body), d)
				}
			})
		}
	})
	t.Run("trailing slash", func(t *testing.T) {
		t.Parallel()
		for _, path := range []string{"/users/ada/", "/users/ada//", "/users/?userId=ada", "/users//?userId=ada"} {
			r := s.Do(t, "GET", path, "").Want(t, 200)
			if got := userPath(t, r); got != "/users/ada" {
				t.Errorf("%s: path of the user = %s, want /users/ada", path, got)
			}
		}
		created := s.Do(t, "POST", "/users//", usertest.Body(t, `{"userId": "grace"}`)).Want(t, 201)
		for _, name := range []string{"Location", "Content-Location"} {
			if got, want := created.Header.Get(name), stage+"/users/grace"; got != want {
				t.Errorf("%s = %s, want %s", name, got, want)
			}
		}
		s.Do(t, "GET", userPath(t, created), "").Want(t, 200)
		link := s.Do(t, "GET", "/users//?limit=1", "").Want(t, 200).Header.Get("Link")
		if !strings.HasPrefix(link, "<"+stage+"/users?") {
			t.Errorf("Link = %s, want the path %s/users", link, stage)
		}
		p := s.Do(t, "GET", "/users/nobody//", "").Problem(t, 404, "UserNotFound")
		if !strings.HasSuffix(p.Instance, "/users/nobody") {
			t.Errorf("instance = %s, want it without empty segments", p.Instance)
		}
	})
	t.Run("leading slashes", func(t *testing.T) { // a base URL with a trailing slash
		t.Parallel()
		origin := stacktest.NewClient(t, strings.TrimSuffix(s.URL, stage), nil)
		for _, base := range []string{stage + "/", stage + "//", "/" + stage} {
			for path, status := range map[string]int{"/users": 200, "/users?userId=ada": 200, "/users/ada": 200, "/": 200, "/nothing": 404} {
				origin.Do(t, "GET", base+path, "").Want(t, status)
			}
			// The URL in the response works.
			origin.Do(t, "GET", origin.Do(t, "GET", base+"/users/ada", "").Header.Get("Content-Location"), "").Want(t, 200)
		}
		s.Do(t, "GET", "//users/ada", "").Want(t, 200)
	})
	t.Run("content types", func(t *testing.T) { // ignored by requests that no function handles
		t.Parallel()
		ofUsers, ofUser := s.Unsupported(t, "/users"), s.Unsupported(t, "/users/ada")
		for _, contentType := range []string{"text/csv", "image/png", "application/cbor", "multipart/form-data; boundary=x", "text/plain;charset=UTF-8"} {
			for _, request := range []struct {
				method, path string
				status       int
			}{
				{"OPTIONS", "", 204}, {"OPTIONS", "/users", 204}, {"OPTIONS", "/users/ada", 204}, {"OPTIONS", "/nothing", 204},
				{"GET", "/nothing", 404}, {"POST", "/nothing", 404}, {ofUsers, "/users", 405}, {ofUser, "/users/ada", 405},
				{"GET", "/", 200}, {"HEAD", "/", 200},
			} {
				for _, body := range []string{"", "x"} {
					if body == "" || request.method != "GET" && request.method != "HEAD" {
						s.Do(t, request.method, request.path, body, stacktest.Headers{"Content-Type": contentType}).Want(t, request.status)
					}
				}
			}
		}
		s.Do(t, ofUsers, "/users", "x", stacktest.Headers{"Content-Type": "application/x-unheard-of"}).Problem(t, 415, "UnsupportedMediaType")
	})
	t.Run("foreign host", func(t *testing.T) { // a site whose name resolves to 127.0.0.1
		t.Parallel()
		plain := stacktest.NewClient(t, s.URL, nil)
		for host, status := range map[string]int{"evil.example": 421, "localhost.evil.example:3000": 421, "localhost": 200, "[::1]:1": 200} {
			t.Run(host, func(t *testing.T) {
				t.Parallel()
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/users", http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				req.Host = host
				plain.Send(t, req).Want(t, status)
			})
		}
	})
	t.Run("outside the stage", func(t *testing.T) {
		t.Parallel()
		outside := stacktest.NewClient(t, strings.TrimSuffix(s.URL, stage), nil)
		for _, path := range []string{"/users", "/other/users", "/prodigal"} {
			outside.Do(t, "GET", path, "").Want(t, http.StatusForbidden)
		}
		// The pages of the stack are not part of the API.
		r := outside.Do(t, "GET", "/", "", stacktest.Headers{"Accept": "application/json"}).Want(t, http.StatusNotFound)
		if code := r.JSON(t)["code"]; code != "RouteNotFound" || r.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("/: body = %s, want the problem RouteNotFound", r.Body)
		}
	})
}

// TestTooLarge checks bodies that exceed the limits of API Gateway and Lambda.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	const mega = 1 << 20
	for name, body := range map[string]string{
		"above API Gateway's limit":            `{"x": "` + strings.Repeat("x", 11*mega) + `"}`,
		"above Lambda's limit":                 `{"x": "` + strings.Repeat("x", 7*mega) + `"}`,
		"above Lambda's limit, escaped quotes": `{"x": "` + strings.Repeat(`\"`, 2*mega) + `"}`,
		"above Lambda's limit, backslashes":    strings.Repeat(`\`, 4*mega),
		"above Lambda's limit, control bytes":  strings.Repeat("\x01", 2*mega),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// API Gateway's own response, which cannot be customized.
			r := s.Do(t, "POST", "/users", body).Want(t, 413)
			if got := string(r.Body); got != `{"message":"Request Too Long"}` {
				t.Errorf("body = %s, want API Gateway's message", got)
			}
			if items := s.AllItems(t); len(items) > 0 {
				t.Errorf("items = %v, want none", items)
			}
		})
	}
}

// TestCrossOrigin checks the CORS headers for pages of another origin.
func TestCrossOrigin(t *testing.T) {
	t.Parallel()
	const origin = "https://app.example.org"
	s := stacktest.Start(t, stacktest.Parameters(map[string]string{"CorsAllowOrigin": origin}))
	sent := stacktest.Headers{"Origin": origin}
	for _, path := range []string{"/users", "/users/ada", "/users?userId=ada"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			allow, _ := s.Allow(path)
			r := s.Do(t, "OPTIONS", path, "", sent, stacktest.Headers{
				"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "authorization, content-type, if-match, x-amz-date",
			}).Want(t, 204)
			wantHeaders(t, r, stacktest.Headers{
				"Allow": allow, "Access-Control-Allow-Methods": allow, "Access-Control-Allow-Origin": origin, "Vary": "",
			})
			allowed := strings.ToLower(r.Header.Get("Access-Control-Allow-Headers"))
			for _, name := range []string{
				"content-type", "if-match", "if-none-match", "idempotency-key", "authorization", "x-api-key",
				"x-amz-content-sha256", "x-amz-date", "x-amz-security-token", "x-amz-user-agent", "amz-sdk-invocation-id", "amz-sdk-request",
				"traceparent", "tracestate", "baggage", "x-amzn-trace-id",
			} {
				if !slices.Contains(strings.Split(allowed, ", "), name) {
					t.Errorf("allowed = %s, want %s in it", allowed, name)
				}
			}
			if len(r.Body) != 0 {
				t.Errorf("204: body = %q, want none", r.Body)
			}
		})
	}
	for name, test := range map[string]struct {
		method, path, body string
		status             int
		exposed            []string
	}{
		"POST":          {"POST", "/users", usertest.Body(t, `{}`), 201, []string{"ETag", "Location", "Idempotent-Replayed", "x-amzn-RequestId"}},
		"list":          {"GET", "/users", "", 200, []string{"Link", "x-amzn-RequestId"}},
		"problem":       {"GET", "/users/eve", "", 404, []string{"Retry-After", "x-amzn-RequestId"}},
		"unknown route": {"GET", "/nothing", "", 404, []string{"x-amzn-RequestId"}},
		"wrong method":  {s.Unsupported(t, "/users"), "/users", "", 405, []string{"Allow", "x-amzn-RequestId"}},
		"gateway's own": {"DELETE", "/users", "", 400, []string{"x-amzn-RequestId"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := s.Do(t, test.method, test.path, test.body, sent).Want(t, test.status)
			wantHeaders(t, r, stacktest.Headers{"Access-Control-Allow-Origin": origin})
			exposed := r.Header.Get("Access-Control-Expose-Headers")
			test.exposed = append(test.exposed, "Date", "x-amzn-ErrorType", "X-Amzn-Trace-Id")
			for _, header := range test.exposed {
				if !strings.Contains(exposed, header) {
					t.Errorf("exposed = %q, want %s in it", exposed, header)
				}
			}
		})
	}
}
