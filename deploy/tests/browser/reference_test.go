package browser_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/contract"
	"github.com/userrequestapi/userdata/deploy/docs/reference"
	"github.com/userrequestapi/userdata/deploy/host/loopback"
	"github.com/userrequestapi/userdata/deploy/local"
	"github.com/userrequestapi/userdata/deploy/tests/chromium"
)

// operation returns the CSS selector of a part of an operation.
func operation(id, part string) string {
	return fmt.Sprintf(".opblock[id^=operations-][id$=-%s] %s", id, part)
}

// try opens an operation, fills in its form, sends the request, and waits for the status code of the response.
func try(p *chromium.Page, id string, form map[string]string, status int) {
	if !exists(p, operation(id, ".opblock-body")) {
		p.Click(operation(id, ".opblock-summary-control"))
	}
	for name, value := range form {
		field := operation(id, fmt.Sprintf("tr[data-param-in=path][data-param-name=%q] input", name))
		if name == "body" {
			field = operation(id, "textarea.body-param__text")
		}
		p.Do(chromedp.Focus(chromedp.CSS(field)))
		p.Text("document.activeElement.select()")
		p.Insert(value) // at once, because the page renders all operations for each key
	}
	if exists(p, operation(id, ".btn-clear")) {
		p.Click(operation(id, ".btn-clear")) // of the previous response
	}
	p.Click(operation(id, ".btn.execute"))
	p.Sees(operation(id, ".live-responses-table .response-col_status"), strconv.Itoa(status))
	p.Do(chromedp.ScrollIntoView(chromedp.CSS(operation(id, ".live-responses-table")))) // for a picture
}

func exists(p *chromium.Page, selector string) bool {
	return p.Text(fmt.Sprintf("document.querySelector(%q) !== null", selector)) == "true"
}

// TestReference creates, reads, replaces and deletes a user with the forms of the reference.
func TestReference(t *testing.T) {
	t.Parallel()
	testenv.SkipUnlessAll(t)
	s := start(t)
	p := open(t, s, "_local/docs/")
	p.Sees(".head .title", "UserRequestAPI")
	p.Sees(".servers select", s.URL)

	try(p, "createUser", map[string]string{"body": `{"userId": "grace", "name": "Grace Hopper"}`}, 201)
	p.Sees(operation("createUser", ".live-responses-table .headerline"), "location: ")
	p.Sees(operation("createUser", ".request-url"), s.URL+"/users")
	p.Picture("reference-created")
	s.Do(t, "GET", "/users/grace", "").Want(t, 200)

	try(p, "getUser", map[string]string{"userId": "grace"}, 200)
	p.Sees(operation("getUser", ".live-responses-table .highlight-code"), `"name": "Grace Hopper"`)

	try(p, "replaceUser", map[string]string{"userId": "grace", "body": `{"name": "Rear Admiral Hopper"}`}, 200)
	p.Sees(operation("replaceUser", ".live-responses-table .highlight-code"), `"name": "Rear Admiral Hopper"`)
	if body := string(s.Do(t, "GET", "/users/grace", "").Body); !strings.Contains(body, "Rear Admiral") {
		t.Errorf("user = %s, want the new name", body)
	}

	try(p, "deleteUser", map[string]string{"userId": "grace"}, 204)
	s.Do(t, "GET", "/users/grace", "").Want(t, 404)

	p.Allow("status of 404 (Not Found) " + s.URL + "/users/grace")
	try(p, "getUser", map[string]string{"userId": "grace"}, 404)
	p.Sees(operation("getUser", ".live-responses-table .highlight-code"), `"code": "UserNotFound"`)
	p.Picture("reference-refused")

	p.Click(`.bar a[href="/_local/traces"]`)
	p.Want(statuses, "404 404 204 200 200 200 200 201")
}

// TestReference_Numbers checks that numbers which JavaScript cannot represent are sent, displayed, copied and
// downloaded unchanged.
func TestReference_Numbers(t *testing.T) {
	t.Parallel()
	const balance, big = `"balance": 12345678901234567890.12`, `"big": 9007199254740993`
	const shown = `document.querySelector("[id$=-createUser] .live-responses-table .highlight-code code").textContent`
	s := start(t)
	p := open(t, s, "_local/docs/")
	try(p, "createUser", map[string]string{"body": `{"userId": "ada", ` + balance + ", " + big + "}"}, 201)
	stored := compact(t, s.Do(t, "GET", "/users/ada", "").Body)
	for _, number := range []string{balance, big} {
		if !strings.Contains(stored, strings.ReplaceAll(number, " ", "")) {
			t.Errorf("the user is %s, want %s in it", stored, number)
		}
		p.Sees(operation("createUser", ".curl"), number)
		p.Sees(operation("createUser", ".live-responses-table .highlight-code"), number)
	}
	displayed := p.Text(shown)
	if got := compact(t, []byte(displayed)); got != stored {
		t.Errorf("the page shows %s, want %s", got, stored)
	}
	if !strings.HasPrefix(displayed, "{\n  \"balance\"") {
		t.Errorf("the page shows %s, want it indented", displayed)
	}
	p.Picture("reference-numbers")

	p.Text(`(() => {
		document.addEventListener("copy", () => { window.copied = getSelection().toString(); }, true);
		const create = URL.createObjectURL;
		URL.createObjectURL = (blob) => (blob.text().then((it) => { window.downloaded = it; }), create(blob));
	})()`)
	p.Click(operation("createUser", ".live-responses-table .copy-to-clipboard button"))
	p.Want(`window.copied === `+shown, "true")
	p.Click(operation("createUser", ".live-responses-table .download-contents"))
	p.Want(`window.downloaded === `+shown, "true")
}

// compact returns JSON without insignificant white space.
func compact(t *testing.T, encoded []byte) string {
	t.Helper()
	var out bytes.Buffer
	if err := json.Compact(&out, encoded); err != nil {
		t.Fatalf("%v: %s", err, encoded)
	}
	return out.String()
}

// TestReference_Authorization checks that requests are authorized automatically, with each type of authorization.
func TestReference_Authorization(t *testing.T) {
	t.Parallel()
	for _, authorization := range []string{"AWS_IAM", "COGNITO_USER_POOLS", "API_KEY"} {
		t.Run(authorization, func(t *testing.T) {
			t.Parallel()
			if authorization != "AWS_IAM" {
				testenv.SkipUnlessAll(t)
			}
			s := start(t, stacktest.Parameters(map[string]string{"Authorization": authorization}), func(cfg *local.Config) {
				cfg.DataDir = t.TempDir() // for the key of the user pool
			})
			p := open(t, s, "_local/docs/")
			try(p, "createUser", map[string]string{"body": `{"userId": "grace"}`}, 201)
			try(p, "getUser", map[string]string{"userId": "grace"}, 200)
			p.Sees(operation("getUser", ".request-url"), s.URL+"/users/grace")
			shows := p.Text(fmt.Sprintf("document.querySelector(%q).innerText", operation("getUser", ".curl")))
			if out, err := exec.CommandContext(t.Context(), "sh", "-c", shows+" -sS --fail").Output(); err != nil || !strings.Contains(string(out), `"grace"`) {
				t.Errorf("%s\ngot %s, error %v, want the user grace", shows, out, err)
			}
			buttons := p.Text(`document.querySelectorAll(".btn.authorize").length`)
			if signed := authorization == "AWS_IAM"; signed != (buttons == "0") {
				t.Errorf("got %s buttons for authorization, want some: %t", buttons, !signed)
			}
			p.Picture("reference-" + strings.ToLower(authorization))
		})
	}
}

// TestReference_Looks checks the reference in a wide window with the light color scheme, and in a narrow one with the
// dark scheme.
func TestReference_Looks(t *testing.T) {
	t.Parallel()
	testReferenceLooks(t, look{1280, "light"}, look{400, "dark"})
}

// TestReference_OtherLooks checks the reference in the other combinations of width and color scheme.
func TestReference_OtherLooks(t *testing.T) {
	t.Parallel()
	testenv.SkipUnlessAll(t)
	testReferenceLooks(t, look{1280, "dark"}, look{400, "light"})
}

// testReferenceLooks opens the form of POST with the request of a trace, sends it, and goes to the new trace, all with
// keys. It looks at the page after each step.
func testReferenceLooks(t *testing.T, looks ...look) {
	t.Helper()
	s := start(t, capturing)
	s.Do(t, "POST", "/users", `{"userId": 7, "name": "Grace Hopper"}`, sampled(1)).Want(t, 400)
	p := open(t, s, "")
	p.Allow("status of 400")
	post := func(part string) string { return operation("createUser", part) }
	for _, l := range looks {
		shows := func(selector, picture string) {
			t.Helper()
			p.Text(fmt.Sprintf("document.querySelector(%q).scrollIntoView({ behavior: 'instant' })", selector))
			p.Looks(fmt.Sprintf("reference-%d-%s-%s", l.width, l.scheme, picture))
		}
		press := func(selector string) {
			t.Helper()
			p.Text(fmt.Sprintf("document.querySelector(%q).focus()", selector))
			p.Keys(kb.Enter)
		}
		p.Scheme(l.scheme)
		p.Do(chromedp.EmulateViewport(l.width, 900), chromedp.Navigate(s.Console+"_local/traces/"+traceID(1)))
		p.Sees(".exchange a", "Edit and send")
		press(".exchange a")
		body := fmt.Sprintf("document.querySelector(%q)?.value", post("textarea.body-param__text"))
		p.Want(body, `{"userId": 7, "name": "Grace Hopper"}`)
		shows(post(".opblock-summary"), "post")
		shows(post("textarea.body-param__text"), "filled")

		press(post(".btn.execute"))
		p.Sees(post(".trace a"), "Trace of this request")
		shows(post(".trace"), "executed")
		for n, code := range []string{"curl", "http.NewRequest", "await fetch", "requests.post"} {
			press(post(fmt.Sprintf(".languages button:nth-child(%d)", n+1)))
			p.Sees(post(".samples code"), code)
			p.Sees(post(".languages [aria-pressed=true]"), []string{"curl", "Go", "TypeScript", "Python"}[n])
			shows(post(".samples"), fmt.Sprintf("sample%d", n+1))
		}
		shows(post(".responses-table:not(.live-responses-table)"), "responses")
		press(post(".trace a"))
		p.Sees("#trace-title", "400 POST /users")
	}
}

// TestReference_Signs checks that the proxy signs ids in each encoding, and rejects bodies above API Gateway's limit.
func TestReference_Signs(t *testing.T) {
	t.Parallel()
	s := start(t, stacktest.Parameters(map[string]string{"Authorization": "AWS_IAM"}))
	send := func(t *testing.T, method, path, body string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, s.Console+"_local/docs/stage/users"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Requested-With", "reference")
		res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		content, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(content)
	}
	for id, paths := range map[string][]string{
		"...":     {"/...", "/%2E%2e.", "?userId=..."},
		"~a_b-c.": {"/~a_b-c.", "/%7Ea%5Fb%2dc%2E", "?userId=%7ea_b-c.", "?limit=1&userId=~a_b-c."},
	} {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			if status, response := send(t, "POST", "", fmt.Sprintf(`{"userId": %q}`, id)); status != http.StatusCreated {
				t.Errorf("create: got %d %s, want 201", status, response)
			}
			for _, path := range paths {
				status, response := send(t, "GET", path, "")
				if status != http.StatusOK || !strings.Contains(response, strconv.Quote(id)) {
					t.Errorf("%s: got %d %s, want 200 and the user", path, status, response)
				}
			}
		})
	}
	for _, size := range []int{10<<20 + 1, 12 << 20, 16 << 20} {
		t.Run(fmt.Sprintf("%d bytes", size), func(t *testing.T) {
			t.Parallel()
			status, response := send(t, "POST", "", strings.Repeat(" ", size))
			if status != http.StatusRequestEntityTooLarge || !strings.Contains(response, "ContentTooLarge") {
				t.Errorf("got %d %s, want 413 and ContentTooLarge", status, response)
			}
		})
	}
	// The stage verifies the signature before the function looks for the user.
	for path, want := range map[string]int{
		"/a%2Fb": 404, "/a%20b": 404, "/a%2Bb": 404, "/%C3%A9%25": 404, "?userId=a%20b": 404,
		"?userId=a+b&limit=%C3%A9": 400, "?userId=": 400,
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			if status, response := send(t, "GET", path, ""); status != want {
				t.Errorf("got %d %s, want %d", status, response, want)
			}
		})
	}
}

// TestReference_Parameters checks what the API document does not contain: a reference with escapes, and a parameter
// with content.
func TestReference_Parameters(t *testing.T) {
	t.Parallel()
	testenv.SkipUnlessAll(t)
	document, err := contract.ParsePublic([]byte(`{"openapi": "3.0.3", "info": {"title": "Things", "version": "1"}, "paths": {
		"/things": {"parameters": [{"$ref": "#/components/parameters/a~1b~0c%25"}], "get": {
			"operationId": "getThings", "tags": ["Things"], "responses": {"200": {"description": "All"}}, "parameters": [
				{"name": "filter", "in": "query", "example": "{}", "content": {"application/json": {"schema": {"type": "object"}}}}]}}},
		"components": {"parameters": {"a/b~c%": {
			"name": "limit", "in": "query", "description": "Pages.", "example": 2, "schema": {"type": "integer", "example": 3}}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	reference.Handle(mux, "/", func(*http.Request) (reference.Page, error) { return reference.Page{Document: document}, nil }, nil)
	server := httptest.NewServer(loopback.Guard(mux))
	t.Cleanup(server.Close)
	p := chromium.Open(t, server.URL, "/")
	p.Click(operation("getThings", ".opblock-summary-control"))
	p.Sees(operation("getThings", "tr[data-param-name=limit]"), "Pages. For example 2.")
	p.Sees(operation("getThings", "tr[data-param-name=filter]"), "For example {}.")
}
