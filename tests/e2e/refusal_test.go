package e2e_test

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/shared/user/usertest"
)

// refusal is an invalid request with the expected problem document.
type refusal struct {
	method  string // "" means POST
	path    string // "" means /users
	body    string
	headers stacktest.Headers
	status  int // 0 means 400
	code    string
	errors  []string // code and pointer of each
	detail  string   // substring
}

func post(body, code string, errors ...string) refusal {
	return refusal{body: body, code: code, errors: errors}
}

func put(path, body, code string, errors ...string) refusal {
	return refusal{method: http.MethodPut, path: path, body: body, code: code, errors: errors}
}

func get(path, code string) refusal {
	return refusal{method: http.MethodGet, path: path, code: code}
}

// saying sets a substring of the detail.
func (r refusal) saying(detail string) refusal {
	r.detail = detail
	return r
}

func (r refusal) at(path string) refusal {
	r.path = path
	return r
}

func (r refusal) with(headers stacktest.Headers) refusal {
	r.headers = headers
	return r
}

// as sets the status code.
func (r refusal) as(status int) refusal {
	r.status = status
	return r
}

func contentType(mediaType string) stacktest.Headers {
	return stacktest.Headers{"Content-Type": mediaType}
}

// TestRefusals checks that invalid requests get a problem document and do not change the table.
func TestRefusals(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	s.Do(t, "POST", "/users", usertest.Body(t, `{"userId": "ada"}`)).Want(t, 201)
	s.PutItem(t, foreign(t, "foreign"))
	const mega = 1 << 20
	nested := func(levels int) string { // including the user itself
		return strings.Repeat(`{"a":`, levels-1) + `{}` + strings.Repeat(`}`, levels-1)
	}
	cursor := base64.RawURLEncoding.EncodeToString
	refusals := map[string]refusal{
		// Bodies that are not one JSON object.
		"no body":            post(``, "InvalidBody", "Empty #"),
		"blank body":         post(" \n", "InvalidBody", "Empty #"),
		"not JSON":           post(`userId=1&name=Ada`, "InvalidBody", "InvalidJSON #"),
		"truncated":          post(`{"name": "Ada"`, "InvalidBody", "InvalidJSON #"),
		"single quotes":      post(`{'name': 'Ada'}`, "InvalidBody", "InvalidJSON #"),
		"trailing comma":     post(`{"name": "Ada",}`, "InvalidBody", "InvalidJSON #"),
		"not a number":       post(`{"n": NaN}`, "InvalidBody", "InvalidJSON #/n"),
		"leading zero":       post(`{"n": 01}`, "InvalidBody", "InvalidJSON #"),
		"control character":  post("{\"n\": \"\x01\"}", "InvalidBody", "InvalidJSON #/n"),
		"byte order mark":    post("\ufeff{}", "InvalidBody", "InvalidJSON #"),
		"array":              post(`[{"userId": "1"}]`, "InvalidBody", "NotAnObject #"),
		"string":             post(`"ada"`, "InvalidBody", "NotAnObject #"),
		"number":             post(`1`, "InvalidBody", "NotAnObject #"),
		"null":               post(`null`, "InvalidBody", "NotAnObject #"),
		"true":               post(`true`, "InvalidBody", "NotAnObject #"),
		"duplicate key":      post(`{"a": 1, "b": 2, "a": 3}`, "InvalidBody", "DuplicateName #/a"),
		"duplicate, escaped": post(`{"a": 1, "\u0061": 3}`, "InvalidBody", "DuplicateName #/a"),
		"nested duplicate":   post(`{"m": [{"x": 1, "x": 1}]}`, "InvalidBody", "DuplicateName #/m/0/x"),
		"trailing data":      post(`{"name": "Ada"} {"name": "Eve"}`, "InvalidBody", "TrailingData #"),
		"trailing bracket":   post(`{"name": "Ada"}]`, "InvalidBody", "TrailingData #"),
		"invalid UTF-8":      post("{\"name\": \"Ad\xe4\"}", "InvalidBody", "InvalidUTF8 #"),
		"overlong UTF-8":     post("{\"name\": \"\xc0\x80\"}", "InvalidBody", "InvalidUTF8 #"),
		"Latin-1 name":       post("{\"na\xefve\": 1}", "InvalidBody", "InvalidUTF8 #"),
		"unpaired surrogate": post(`{"name": "\ud83d"}`, "InvalidBody", "InvalidUTF8 #/name"),
		"base64":             post(base64.StdEncoding.EncodeToString([]byte(`{"name": "Ada"}`)), "InvalidBody", "Base64 #"),

		// Other content types.
		"plain text":  post(`{}`, "UnsupportedMediaType").with(contentType("text/plain")).as(415),
		"form":        post(`{}`, "UnsupportedMediaType").with(contentType("application/x-www-form-urlencoded")).as(415),
		"patch":       put("/users/ada", `{}`, "UnsupportedMediaType").with(contentType("application/merge-patch+json")).as(415),
		"Latin-1":     post(`{}`, "UnsupportedMediaType").with(contentType("application/json; charset=iso-8859-1")).as(415),
		"UTF-16":      post(`{}`, "UnsupportedMediaType").with(contentType("application/json; charset=utf-16")).as(415),
		"broken type": post(`{}`, "UnsupportedMediaType").with(contentType("application/json; charset")).as(415),

		// Bodies that are too large.
		"401 KB":         post(`{"x": "`+strings.Repeat("x", 401<<10)+`"}`, "BodyTooLarge").as(413).saying("409600"),
		"401 KB, PUT":    put("/users/ada", `{"x": "`+strings.Repeat("x", 401<<10)+`"}`, "BodyTooLarge").as(413).saying("409600"),
		"401 KB of list": post(`{"x": [`+strings.Repeat("0,", 140_000)+`0]}`, "BodyTooLarge").as(413).saying("409600"),
		"5 MB":           post(`{"x": "`+strings.Repeat("x", 5*mega)+`"}`, "BodyTooLarge").as(413).saying("409600"),

		// Invalid values.
		"_rev":                   post(`{"_rev": "x"}`, "InvalidUser", "ReservedName #/_rev"),
		"_rev, PUT":              put("/users/ada", `{"_rev": "x"}`, "InvalidUser", "ReservedName #/_rev"),
		"_idempotency":           put("/users/ada", `{"_idempotency": {"key": "", "body": ""}}`, "InvalidUser", "ReservedName #/_idempotency"),
		"underscore":             post(`{"_": 1}`, "InvalidUser", "ReservedName #/_"),
		"foreign underscore":     put("/users/foreign", `{"_legacy": "mine"}`, "InvalidUser", "ReservedName #/_legacy"),
		"createdAt":              post(`{"createdAt": "2026-01-02T03:04:05.678Z"}`, "InvalidUser", "ReadOnly #/createdAt"),
		"changed createdAt":      put("/users/ada", `{"createdAt": "2026-01-02T03:04:05.678Z"}`, "InvalidUser", "ReadOnly #/createdAt"),
		"createdAt is null":      put("/users/ada", `{"createdAt": null}`, "InvalidUser", "ReadOnly #/createdAt"),
		"createdAt of a foreign": put("/users/foreign", `{"createdAt": "2026-01-02T03:04:05.678Z"}`, "InvalidUser", "ReadOnly #/createdAt"),
		"changed updatedAt":      put("/users/ada", `{"updatedAt": "2100-01-02T03:04:05.678Z"}`, "InvalidUser", "ReadOnly #/updatedAt"),
		"name is empty":          post(`{"name": ""}`, "InvalidUser", "InvalidName #/name"),
		"name is a number":       post(`{"name": 1}`, "InvalidUser", "InvalidName #/name"),
		"name has 257":           post(`{"name": "`+strings.Repeat("é", 257)+`"}`, "InvalidUser", "InvalidName #/name"),
		"email":                  put("/users/ada", `{"email": "ada at example.org"}`, "InvalidUser", "InvalidEmail #/email"),
		"email of 255":           post(`{"email": "a@`+strings.Repeat("a.", 126)+`a"}`, "InvalidUser", "InvalidEmail #/email"),
		"several": post(`{"name": null, "email": "x", "_x": 1, "updatedAt": 1}`, "InvalidUser",
			"ReservedName #/_x", "InvalidEmail #/email", "InvalidName #/name", "ReadOnly #/updatedAt"),
		"userId is a number": post(`{"userId": 1}`, "InvalidUser", "InvalidUserId #/userId"),
		"userId is empty":    post(`{"userId": ""}`, "InvalidUser", "InvalidUserId #/userId"),
		"userId is null":     post(`{"userId": null}`, "InvalidUser", "InvalidUserId #/userId"),
		"depth 33":           post(nested(33), "InvalidUser", "TooDeep #").saying("32"),
		"depth 1000":         post(nested(1000), "InvalidUser", "TooDeep #").saying("32"),
		"lists of depth 33":  post(`{"a":`+strings.Repeat("[", 32)+strings.Repeat("]", 32)+`}`, "InvalidUser", "TooDeep #").saying("32"),
		"39 digits": post(`{"n": 123456789012345678901234567890123456789}`, "InvalidUser",
			"NumberPrecision #/n").saying("38 significant digits"),
		"39 decimals": put("/users/ada", `{"a": {"b": [1, 0.123456789012345678901234567890123456789]}}`, "InvalidUser",
			"NumberPrecision #/a/b/1").saying("38 significant digits"),
		"1e126":                post(`{"n": 1e126}`, "InvalidUser", "NumberRange #/n").saying("range"),
		"-1e126":               post(`{"n": -1e126}`, "InvalidUser", "NumberRange #/n").saying("range"),
		"1e-131":               post(`{"n": 1e-131}`, "InvalidUser", "NumberRange #/n").saying("range"),
		"1e999999999999":       post(`{"n": 1e999999999999}`, "InvalidUser", "NumberRange #/n").saying("range"),
		"39 digits in a set":   post(`{"n": {"$NS": [123456789012345678901234567890123456789]}}`, "InvalidUser", "NumberPrecision #/n/$NS/0"),
		"empty name":           post(`{"": 1}`, "InvalidUser", "EmptyName #/"),
		"empty set":            post(`{"s": {"$SS": []}}`, "InvalidUser", "InvalidTypedValue #/s"),
		"duplicate in a set":   post(`{"s": {"$NS": [1, 1.0]}}`, "InvalidUser", "InvalidTypedValue #/s"),
		"number among strings": post(`{"s": {"$SS": ["a", 1]}}`, "InvalidUser", "InvalidTypedValue #/s"),
		"not base64":           post(`{"s": {"$B": "a"}}`, "InvalidUser", "InvalidTypedValue #/s"),
		"base64url":            post(`{"s": {"$BS": ["-_-_"]}}`, "InvalidUser", "InvalidTypedValue #/s"),
		"name to be escaped":   post(`{"a/b~c %": {"é": 1e126}}`, "InvalidUser", "NumberRange #/a~1b~0c%20%25/%C3%A9"),

		// Missing, ambiguous or invalid IDs.
		"blank query":          get("/users?userId=", "InvalidUserId"),
		"query of spaces":      get("/users?userId=%20+", "InvalidUserId"),
		"query without value":  get("/users?userId", "InvalidUserId"),
		"query with a space":   get("/users?userId=a%20b", "UserNotFound").as(404),
		"repeated query":       get("/users?userId=ada&userId=ada", "InvalidParameter"),
		"path and query":       get("/users/ada?userId=eve", "InvalidParameter"),
		"path and blank query": get("/users/ada?userId=", "InvalidUserId"),
		"path and query, PUT":  put("/users/ada?userId=eve", `{}`, "InvalidParameter"),
		"path and body":        put("/users/ada", `{"userId": "eve"}`, "InvalidParameter"),
		"path and odd body":    put("/users/ada", `{"userId": 1}`, "InvalidParameter"),
		"query and body":       put("/users?userId=ada", `{"userId": "eve"}`, "InvalidParameter"),
		"no userId, PUT":       put("/users", `{"name": "Ada"}`, "InvalidParameter"),
		"userId in the query":  post(`{"userId": "eve"}`, "InvalidParameter").at("/users?userId=eve").saying("body"),
		"blank query, POST":    post(`{"userId": "eve"}`, "InvalidParameter").at("/users?userId=").saying("body"),
		"no userId, DELETE":    {method: http.MethodDelete, code: "InvalidParameter"},
		"blank, DELETE":        {method: http.MethodDelete, path: "/users?userId=", code: "InvalidParameter"},
		"repeated, DELETE":     {method: http.MethodDelete, path: "/users?userId=ada&userId=ada", code: "InvalidParameter"},
		"path, query, DELETE":  {method: http.MethodDelete, path: "/users/ada?userId=eve", code: "InvalidParameter"},

		// Parameters of the list.
		"limit=0":          get("/users?limit=0", "InvalidParameter").saying("1 to 100"),
		"limit=101":        get("/users?limit=101", "InvalidParameter").saying("1 to 100"),
		"limit=-1":         get("/users?limit=-1", "InvalidParameter").saying("1 to 100"),
		"limit=1.5":        get("/users?limit=1.5", "InvalidParameter").saying("1 to 100"),
		"limit=abc":        get("/users?limit=abc", "InvalidParameter").saying("1 to 100"),
		"limit=":           get("/users?limit=", "InvalidParameter").saying("1 to 100"),
		"limit, enormous":  get("/users?limit=99999999999999999999", "InvalidParameter").saying("1 to 100"),
		"limit=010":        get("/users?limit=010", "InvalidParameter").saying("1 to 100"),
		"limit=+5":         get("/users?limit=%2B5", "InvalidParameter").saying("1 to 100"),
		"limit, blank":     get("/users?limit=+5", "InvalidParameter").saying("1 to 100"),
		"limit=5.0":        get("/users?limit=5.0", "InvalidParameter").saying("1 to 100"),
		"limit twice":      get("/users?limit=1&limit=2", "InvalidParameter"),
		"empty cursor":     get("/users?cursor=", "InvalidParameter").saying("cursor"),
		"cursor of text":   get("/users?cursor=ada", "InvalidParameter").saying("cursor"),
		"cursor of JSON":   get("/users?cursor="+cursor([]byte(`{"userId":{"S":"ada"}}`)), "InvalidParameter").saying("cursor"),
		"cursor of no sum": get("/users?cursor="+cursor([]byte("\x0100000000ada")), "InvalidParameter").saying("cursor"),
		"cursor, padded":   get("/users?cursor=YWRh%3D%3D", "InvalidParameter").saying("cursor"),
		"cursor twice":     get("/users?cursor=a&cursor=b", "InvalidParameter"),

		// Conditions and idempotency keys.
		"If-Match bare":         put("/users/ada", `{}`, "InvalidParameter").with(ifMatch("bare")),
		"If-Match open":         put("/users/ada", `{}`, "InvalidParameter").with(ifMatch(`"open`)),
		"If-None-Match bare":    get("/users/ada", "InvalidParameter").with(ifNoneMatch("bare")),
		"If-None-Match, list":   get("/users", "InvalidParameter").with(ifNoneMatch("bare")),
		"If-None-Match of tags": post(`{}`, "InvalidParameter").with(ifNoneMatch(`"tag"`)),
		"blank key":             post(`{}`, "InvalidParameter").with(idempotencyKey(`""`)),
		"key of 256":            post(`{}`, "InvalidParameter").with(idempotencyKey(strings.Repeat("k", 256))),
		"key with one quote":    post(`{}`, "InvalidParameter").with(idempotencyKey(`"k`)),
		"key with é":            post(`{}`, "InvalidParameter").with(idempotencyKey("é")),

		// Existing and missing users.
		"exists":                post(`{"userId": "ada"}`, "UserExists").as(409),
		"exists, If-None-Match": post(`{"userId": "ada"}`, "UserExists").with(ifNoneMatch("*")).as(409),
		"exists, foreign":       post(`{"userId": "foreign"}`, "UserExists").as(409),
		"unknown":               get("/users?userId=eve", "UserNotFound").as(404),
		"unknown, PUT":          put("/users/eve", `{}`, "UserNotFound").as(404),
		"unknown, by body":      put("/users", `{"userId": "eve"}`, "UserNotFound").as(404),
		"unknown, DELETE":       {method: http.MethodDelete, path: "/users/eve", status: 404, code: "UserNotFound"},
		"changed since":         put("/users/ada", `{}`, "PreconditionFailed").with(ifMatch(`"old"`)).as(412),
	}
	for name, id := range map[string]string{
		"slash": "a%2Fb", "space": "a%20b", "129 characters": strings.Repeat("a", 129), "at sign": "ada%40example.org", "bare at sign": "a@b",
		"dot": "%2E", "two dots": "%2e%2E", "plus": "a+b", "é": "%C3%A9", "NUL": "%00", "encoded percent": "%2561",
		"colon": "a:b", "quote": "%22", "only spaces": "%20", "2048 bytes": strings.Repeat("%C3%A9", 1024),
	} {
		// Other applications may have created such users.
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
			r := refusal{method: method, path: "/users/" + id, status: 404, code: "UserNotFound"}
			if method == http.MethodPut {
				r.body = `{}`
			}
			refusals[fmt.Sprintf("id with %s, %s", name, method)] = r
		}
		decoded, err := url.PathUnescape(id)
		if err != nil {
			t.Fatal(err)
		}
		body := fmt.Sprintf(`{"userId": %s}`, quote(decoded))
		refusals["id in body with "+name] = post(body, "InvalidUser", "InvalidUserId #/userId")
	}
	for name, id := range map[string]string{"invalid UTF-8": "%ff", "2049 bytes": strings.Repeat("a", 2049)} {
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
			r := refusal{method: method, path: "/users/" + id, code: "InvalidUserId"}
			if method == http.MethodPut {
				r.body = `{}`
			}
			refusals[fmt.Sprintf("id with %s, %s", name, method)] = r
		}
	}
	for name, sent := range map[string]string{"userId": "userid=ada", "limit": "Limit=5", "cursor": "CURSOR=x"} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
			for _, path := range []string{"/users?userId=ada&", "/users/ada?"} {
				if method == http.MethodPost {
					path = "/users?"
				}
				r := refusal{method: method, path: path + sent, code: "InvalidParameter", detail: " " + name + ","}
				if method == http.MethodPost || method == http.MethodPut {
					r.body = `{"userId": "ada"}`
				}
				refusals[method+" "+r.path] = r
			}
		}
	}

	before := s.AllItems(t)
	for name, r := range refusals {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			switch r.code { // of a value, the size or the id: there must be no other fault
			case "InvalidUser", "BodyTooLarge", "UserExists":
				r.body = usertest.Body(t, r.body)
			}
			got := s.Do(t, cmp.Or(r.method, http.MethodPost), cmp.Or(r.path, "/users"), r.body, r.headers)
			p := got.Problem(t, cmp.Or(r.status, http.StatusBadRequest), r.code)
			wantHeaders(t, got, stacktest.Headers{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"})
			var errors []string
			for _, violation := range p.Errors {
				errors = append(errors, violation.Code+" "+violation.Pointer)
			}
			if d := gocmp.Diff(r.errors, errors); d != "" {
				t.Errorf("errors (-want +got):\n%s", d)
			}
			if !strings.Contains(p.Detail, r.detail) {
				t.Errorf("detail = %q, want %q in it", p.Detail, r.detail)
			}
			if d := gocmp.Diff(before, s.AllItems(t)); d != "" {
				t.Errorf("the table was changed (-want +got):\n%s", d)
			}
		})
	}
}

// TestContentEncoding sends bodies with content codings.
func TestContentEncoding(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	var compressed bytes.Buffer
	w := gzip.NewWriter(&compressed)
	_, err := w.Write([]byte(`{"userId": "ada"}`))
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	send := func(t *testing.T, method, path, body string, codings ...string) stacktest.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header["Content-Type"], req.Header["Content-Encoding"] = []string{"application/json"}, codings
		return s.Send(t, req)
	}
	for name, test := range map[string]struct {
		body    string
		codings []string
		named   string
	}{
		"gzip":             {compressed.String(), []string{"gzip"}, "gzip"},
		"gzip header only": {`{}`, []string{"gzip"}, "gzip"},
		"br":               {`{}`, []string{"br"}, "br"},
		"list":             {`{}`, []string{"identity, zstd"}, "zstd"},
		"two headers":      {`{}`, []string{"identity", "deflate"}, "deflate"},
		"aws-chunked":      {`{}`, []string{"aws-chunked"}, "aws-chunked"},
	} {
		for method, path := range map[string]string{http.MethodPost: "/users", http.MethodPut: "/users/ada"} {
			t.Run(method+" "+name, func(t *testing.T) {
				t.Parallel()
				r := send(t, method, path, test.body, test.codings...)
				p := r.Problem(t, 415, "UnsupportedContentEncoding")
				wantHeaders(t, r, stacktest.Headers{"Accept-Encoding": "identity", "Accept": ""})
				if !strings.Contains(p.Detail, " "+test.named+" ") {
					t.Errorf("detail = %q, want %s in it", p.Detail, test.named)
				}
			})
		}
	}
	t.Run("identity", func(t *testing.T) {
		t.Parallel()
		body := usertest.Body(t, `{}`)
		send(t, "POST", "/users", body, "identity").Want(t, 201)
		send(t, "POST", "/users", body, "Identity", "identity").Want(t, 201)
	})
	t.Run("media type", func(t *testing.T) {
		t.Parallel()
		r := s.Do(t, "POST", "/users", `{}`, contentType("text/plain"))
		r.Problem(t, 415, "UnsupportedMediaType")
		wantHeaders(t, r, stacktest.Headers{"Accept": "application/json", "Accept-Encoding": ""})
	})
}

// quote returns s as a JSON string, and keeps invalid UTF-8, unlike [json.Marshal].
func quote(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c < ' ' || c == '"' || c == '\\' {
			fmt.Fprintf(&b, `\u%04x`, c)
			continue
		}
		b.WriteByte(c)
	}
	return `"` + b.String() + `"`
}
