package browser_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/local"
	"github.com/userrequestapi/userdata/deploy/local/datadir"
	"github.com/userrequestapi/userdata/deploy/local/xray"
	"github.com/userrequestapi/userdata/deploy/tests/chromium"
)

// capturing keeps requests and responses, as the stack does by default.
func capturing(cfg *local.Config) { cfg.Capture = true }

// copies replaces the clipboard, which a test cannot read, by the variable copied.
func copies(p *chromium.Page) {
	p.Text(`navigator.clipboard.writeText = async (text) => { window.copied = text; }`)
}

// shell runs a command of a page, and returns the status code of the response.
func shell(t *testing.T, command string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "sh", "-c", command+` -sS -o /dev/null -w '%{http_code}'`).Output()
	if err != nil {
		t.Errorf("%s: %v", command, err)
	}
	return string(out)
}

// TestExchange explains a rejected request, and sends it again.
func TestExchange(t *testing.T) {
	t.Parallel()
	const big = `"big": 12345678901234567890.12`
	s := start(t, capturing)
	body := `{"userId": 7.0, ` + big + `, "note": "it's"}`
	s.Do(t, "POST", "/users", body, sampled(1)).Want(t, 400)
	s.Do(t, "GET", "/users/a%20b?limit=2&name=%5Ba%5D", "", sampled(2), stacktest.Headers{"X-Empty": ""}).Want(t, 404)

	p := open(t, s, "_local/traces/"+traceID(1))
	copies(p)
	p.Sees(".verdict .errors", "#/userId InvalidUserId")
	p.Sees(".verdict .errors", "Sent: 7.0")
	p.LooksEverywhere("refusal")
	p.Sees(".trace-head .facts dt", "Request")
	p.Sees(".exchange .address", "POST /"+s.Stage()+"/users")
	p.Sees(".message:first-child pre", "  "+big+",\n")
	p.Sees(".message:last-child pre", `"pointer": "#/userId"`)
	p.Text(`document.querySelector(".message summary").focus()`)
	p.Keys(kb.Enter)
	p.Sees(".message details[open] dd", "application/json")
	p.LooksEverywhere("refusal-headers")
	p.Keys(kb.Escape)
	p.Want(`document.querySelector(".message details[open]")`, "null")

	p.Click(".exchange .actions button")
	p.Want(`window.copied?.startsWith("curl -X POST ")`, "true")
	if got := shell(t, p.Text("window.copied")); got != "400" {
		t.Errorf("%s: got %s, want 400", p.Text("window.copied"), got)
	}
	p.Do(chromedp.Navigate(s.Console + "_local/traces"))
	p.Want(statuses, "400 404 400")
	p.Do(chromedp.Navigate(s.Console + "_local/traces/" + traceID(2)))
	copies(p)
	p.Click(".exchange .actions button")
	p.Want("window.copied", "curl '"+s.URL+"/users/a%20b?limit=2&name=%5Ba%5D' -H 'X-Empty;'")
}

// TestAgain edits the request of a trace in the form of the reference, sends it, and goes to the trace of the new one.
func TestAgain(t *testing.T) {
	t.Parallel()
	const big = `"big": 12345678901234567890.12`
	s := start(t, capturing)
	s.Do(t, "POST", "/users", `{"userId": 7, `+big+`}`, sampled(1)).Want(t, 400)
	s.Do(t, "GET", "/users/a%20b", "", sampled(2), stacktest.Headers{"If-None-Match": `"x"`}).Want(t, 404)
	p := open(t, s, "_local/traces/"+traceID(1))
	p.Sees(".exchange a", "Edit and send")
	p.Text(`document.querySelector(".exchange a").focus()`)
	p.Keys(kb.Enter)
	p.Want(fmt.Sprintf("document.querySelector(%q)?.value", operation("createUser", "textarea.body-param__text")), `{"userId": 7, `+big+`}`)
	try(p, "createUser", map[string]string{"body": `{"userId": "seven", ` + big + `}`}, 201)
	s.Do(t, "GET", "/users/seven", "").Want(t, 200)
	p.Click(operation("createUser", ".trace a"))
	p.Sees("#trace-title", "201 POST /users")
	p.Sees(".message:first-child pre", big)

	p.Do(chromedp.Navigate(s.Console + "_local/traces/" + traceID(2)))
	p.Click(".exchange a")
	field := func(in, name string) string {
		return operation("getUser", fmt.Sprintf("tr[data-param-in=%s][data-param-name=%q] input", in, name))
	}
	p.Want(fmt.Sprintf("document.querySelector(%q)?.value", field("path", "userId")), "a b")
	p.Want(fmt.Sprintf("document.querySelector(%q)?.value", field("header", "If-None-Match")), `"x"`)
	p.Picture("again")
}

// TestExchange_Off checks that nothing is kept with CAPTURE=0.
func TestExchange_Off(t *testing.T) {
	t.Parallel()
	testenv.SkipUnlessAll(t)
	s := start(t)
	s.Do(t, "POST", "/users", `{"userId": "marker-in-a-body"`, sampled(1)).Want(t, 400)
	p := open(t, s, "_local/traces/"+traceID(1))
	p.Sees(".exchanges", "CAPTURE is 0")
	p.Text(`fetch("/_local/api/traces/` + traceID(1) + `").then((it) => it.text()).then((it) => { window.all = it; })`)
	p.Want(`window.all?.includes("marker-in-a-body")`, "false")
}

// TestExchange_Secrets checks that no page, response or file has the credentials of a request, and that bodies are only
// in memory.
func TestExchange_Secrets(t *testing.T) {
	t.Parallel()
	const marker = "marker-5d1f0c"
	dir := t.TempDir()
	s := start(t, capturing, stacktest.Parameters(map[string]string{"Authorization": "AWS_IAM"}), func(cfg *local.Config) {
		cfg.DataDir, cfg.LogFile = dir, datadir.Log(dir)
		cfg.Traces = datadir.Traces(dir)
	})
	signed, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/users",
		strings.NewReader(`{"userId": "`+marker+`", "name": "`+marker+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	signed.Header.Set("Content-Type", "application/json")
	signed.Header.Set("X-Amzn-Trace-Id", "Root="+traceID(1))
	if err := s.Authorize(signed); err != nil {
		t.Fatal(err)
	}
	created := s.Send(t, signed).Want(t, 201)
	query := "?X-Amz-Signature=signature-" + marker + "&access_token=query-" + marker
	refused := s.Do(t, "GET", "/users"+query, "", stacktest.Headers{
		"X-Amz-Security-Token": "token-" + marker, "Cookie": "session=cookie-" + marker,
		"X-Amzn-Trace-Id": "Root=" + traceID(2),
	}).Want(t, 403)
	caller, err := local.Caller("AWS_IAM", dir)
	if err != nil {
		t.Fatal(err)
	}
	key, err := caller.Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, signature, _ := strings.Cut(signed.Header.Get("Authorization"), "Signature=")
	if key.SecretAccessKey == "" || signature == "" {
		t.Fatalf("got the key %q and the signature %q, want both", key.SecretAccessKey, signature)
	}
	secrets := []string{
		key.SecretAccessKey, signature, "token-" + marker, "cookie-" + marker, "signature-" + marker, "query-" + marker,
		", Signature=", "Credential=",
	}
	hides := func(what, content string) {
		t.Helper()
		for _, secret := range secrets {
			if strings.Contains(content, secret) {
				t.Errorf("%s has %s", what, secret)
			}
		}
	}

	p := open(t, s, "_local/traces/"+traceID(1))
	for n := 1; n <= 2; n++ {
		p.Do(chromedp.Navigate(s.Console + "_local/traces/" + traceID(n)))
		copies(p)
		p.Click(".message summary")
		p.Sees(".message dd", "hidden")
		p.Click(".exchange .actions button")
		p.Want(`window.copied?.includes(" --config '`+datadir.CurlConfig(dir)+`'")`, "true")
		hides(fmt.Sprintf("the page of trace %d", n), p.Text(`document.documentElement.outerHTML + window.copied`))
	}
	for path, selector := range map[string]string{
		"": "#curl code", "_local/traces": "#traces li", "_local/logs": "#lines li", "_local/map": "#nodes tr",
		"_local/compare?a=" + traceID(1) + "&b=" + traceID(2): "#spans tr", "_local/data/users": "#items a",
		"_local/docs/": ".opblock",
	} {
		p.Do(chromedp.Navigate(s.Console + path))
		p.Sees(selector, "")
		hides("the page /"+path, p.Text(`document.documentElement.outerHTML`))
	}
	pages := stacktest.NewClient(t, strings.TrimSuffix(s.Console, "/"), nil)
	for _, path := range []string{
		"/_local/api/stack", "/_local/api/traces", "/_local/api/overview", "/_local/api/map", "/_local/api/logs",
		"/_local/api/traces/" + traceID(1), "/_local/api/traces/" + traceID(2),
		"/_local/api/requests/" + created.Header.Get("X-Amzn-Requestid"),
		"/_local/api/requests/" + refused.Header.Get("X-Amzn-Requestid"),
		"/_local/docs/", "/_local/docs/openapi.json", "/_local/docs/openapi.yaml",
	} {
		hides("the response of "+path, string(pages.Do(t, http.MethodGet, path, "").Want(t, http.StatusOK).Body))
	}
	if traces := s.Collector.Traces(xray.Filter{}); len(traces) < 2 {
		t.Errorf("got %d traces, want at least 2", len(traces))
	}
	for n := 1; n <= 2; n++ {
		detail, _ := s.Collector.Trace(traceID(n))
		if encoded, err := json.Marshal(detail); err != nil || bytes.Contains(encoded, []byte(marker)) {
			t.Errorf("the documents and lines of trace %d have the body, or error %v: %s", n, err, encoded)
		}
	}

	p.Do(chromedp.Navigate("about:blank")) // it would report that the stack does not respond
	s.Stop(t)                              // which writes all traces to the disk
	for _, line := range append(s.AccessLog(), s.Lines()...) {
		hides("the log", line)
		if strings.Contains(line, marker) {
			t.Errorf("the log has the body: %s", line)
		}
	}
	files := os.DirFS(dir)
	err = fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if name := filepath.Join(dir, path); name == datadir.Credentials(dir) || name == datadir.CurlConfig(dir) {
			info, err := entry.Info()
			if err == nil && info.Mode().Perm() != 0o600 {
				t.Errorf("%s has the mode %v, want 0600", path, info.Mode())
			}
			return err
		}
		content, err := fs.ReadFile(files, path)
		hides(path, string(content))
		if bytes.Contains(content, []byte(marker)) {
			t.Errorf("%s has the body", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
