package browser_test

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/userrequestapi/userdata/deploy/local"
	"github.com/userrequestapi/userdata/tests/chromium"
	"github.com/userrequestapi/userdata/tests/stacktest"
)

// operation returns the CSS selector of something in an operation of the reference.
func operation(id, part string) string {
	return fmt.Sprintf(".opblock[id^=operations-][id$=-%s] %s", id, part)
}

// try opens an operation of the reference, fills its form, sends the request, and waits for the answer's status.
func try(p *chromium.Page, id string, form map[string]string, status int) {
	if !there(p, operation(id, ".opblock-body")) {
		p.Click(operation(id, ".opblock-summary-control"))
	}
	for name, value := range form {
		field := operation(id, fmt.Sprintf("tr[data-param-in=path][data-param-name=%q] input", name))
		if name == "body" {
			field = operation(id, "textarea.body-param__text")
		}
		p.Do(chromedp.Focus(chromedp.CSS(field)))
		p.Text("document.activeElement.select()")
		p.Keys(value)
	}
	if there(p, operation(id, ".btn-clear")) {
		p.Click(operation(id, ".btn-clear")) // of the answer before
	}
	p.Click(operation(id, ".btn.execute"))
	p.Sees(operation(id, ".live-responses-table .response-col_status"), strconv.Itoa(status))
	p.Do(chromedp.ScrollIntoView(chromedp.CSS(operation(id, ".live-responses-table")))) // for a picture
}

func there(p *chromium.Page, selector string) bool {
	return p.Text(fmt.Sprintf("document.querySelector(%q) !== null", selector)) == "true"
}

// TestReference does with a user what can be done, in the forms of the reference.
func TestReference(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	p := open(t, s, "_local/docs/")
	p.Sees(".info .title", "UserRequestAPI")
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
		t.Errorf("got %s, want what was sent", body)
	}

	try(p, "deleteUser", map[string]string{"userId": "grace"}, 204)
	s.Do(t, "GET", "/users/grace", "").Want(t, 404)

	p.Allow("status of 404")
	try(p, "getUser", map[string]string{"userId": "grace"}, 404)
	p.Sees(operation("getUser", ".live-responses-table .highlight-code"), `"code": "UserNotFound"`)
	p.Picture("reference-refused")

	p.Click(`.bar a[href="/_local/traces"]`)
	p.Want(statuses, "404 404 204 200 200 200 200 201")
}

// TestReference_Authorization finds that requests are authorized as each stage demands it, without anybody's doing.
func TestReference_Authorization(t *testing.T) {
	t.Parallel()
	for _, authorization := range []string{"AWS_IAM", "COGNITO_USER_POOLS", "API_KEY"} {
		t.Run(authorization, func(t *testing.T) {
			t.Parallel()
			s := stacktest.Start(t, stacktest.Parameters(map[string]string{"Authorization": authorization}), func(cfg *local.Config) {
				cfg.DataDir = t.TempDir() // gets the key of the user pool
			})
			p := open(t, s, "_local/docs/")
			try(p, "createUser", map[string]string{"body": `{"userId": "grace"}`}, 201)
			try(p, "getUser", map[string]string{"userId": "grace"}, 200)
			p.Sees(operation("getUser", ".request-url"), s.URL+"/users/grace")
			shows := p.Text(fmt.Sprintf("document.querySelector(%q).innerText", operation("getUser", ".curl")))
			if out, err := exec.CommandContext(t.Context(), "sh", "-c", shows+" -sS --fail").Output(); err != nil || !strings.Contains(string(out), `"grace"`) {
				t.Errorf("%s\n%s %v", shows, out, err)
			}
			buttons := p.Text(`document.querySelectorAll(".btn.authorize").length`)
			if signed := authorization == "AWS_IAM"; signed != (buttons == "0") {
				t.Errorf("%s buttons to authorize requests", buttons)
			}
			p.Picture("reference-" + strings.ToLower(authorization))
		})
	}
}

// TestReference_Looks looks at the reference in both colour schemes and in two widths.
func TestReference_Looks(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	p := open(t, s, "")
	p.Allow("status of 404")
	for _, width := range []int64{1280, 400} {
		for _, scheme := range []string{"light", "dark"} {
			p.Scheme(scheme)
			p.Do(chromedp.EmulateViewport(width, 900), chromedp.Navigate(s.Console+"_local/docs/"))
			p.Sees(".info .title", "UserRequestAPI")
			where := fmt.Sprintf("reference-%d-%s", width, scheme)
			p.Looks(where)
			try(p, "getUser", map[string]string{"userId": "nobody"}, 404)
			p.Looks(where + "-tried")
		}
	}
}
