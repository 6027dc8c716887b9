// Package reference_test uses the reference of a document in Chromium, without a stage. SCREENSHOTS is a folder for a
// screenshot of each page, with TEST_ALL=1 in both color schemes and two widths.
package reference_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/contract"
	"github.com/userrequestapi/userdata/deploy/docs/reference"
	"github.com/userrequestapi/userdata/deploy/docs/webpage"
	"github.com/userrequestapi/userdata/deploy/host/loopback"
	"github.com/userrequestapi/userdata/deploy/tests/chromium"
)

// serve serves the reference of the test service, and returns its URL.
func serve(t *testing.T) string {
	t.Helper()
	return servePage(t, page(ofStage(t)), func(handler http.Handler) http.Handler { return handler })
}

// document returns the document of the test service.
func document(t *testing.T) *contract.Public {
	t.Helper()
	document, err := contract.Read(os.DirFS("../../../testdata/service/deploy"))
	if err != nil {
		t.Fatal(err)
	}
	return document.Public()
}

// ofStage returns the document of a stage that requires an API key.
func ofStage(t *testing.T) *contract.Public {
	t.Helper()
	return document(t).ForStage("http://127.0.0.1:1/prod", "A stack that is not running", "apiKey")
}

func page(document *contract.Public) reference.Page {
	return reference.Page{
		Document: document, Stage: "prod", Home: "/?home",
		Links: []webpage.Link{{Text: "Home", URL: "/?home", Key: "h"}, {Text: "Reference", Key: "r"}},
	}
}

// servePage serves a page, within wrap.
func servePage(t *testing.T, page reference.Page, wrap func(http.Handler) http.Handler) string {
	t.Helper()
	mux := http.NewServeMux()
	reference.Handle(mux, "/", func(*http.Request) (reference.Page, error) { return page, nil }, nil)
	server := httptest.NewServer(wrap(loopback.Guard(mux)))
	t.Cleanup(server.Close)
	return server.URL + "/"
}

// place is the rectangle of an element.
type place struct {
	Class               string
	X, Y, Width, Height float64
}

// places returns the rectangles of the operations, of their parts and of what is above them.
func places(t *testing.T, p *chromium.Page) (all []place) {
	t.Helper()
	encoded := p.Text(`JSON.stringify([...document.querySelectorAll("main :is(.title, .servers select," +
		" .btn.authorize > span, .opblock-tag, .opblock, .arrow, .opblock-summary-method, .opblock-summary-path," +
		" .opblock-summary-description)")]
		.filter((it) => it.checkVisibility()).map((it) => {
			const { x, y, width, height } = it.getBoundingClientRect();
			return { class: it.getAttribute("class"), x, y, width, height };
		}))`)
	if err := json.Unmarshal([]byte(encoded), &all); err != nil || len(all) == 0 {
		t.Fatalf("places: %v in %s", err, encoded)
	}
	return all
}

// TestFirstContent checks that the operations are visible before Swagger UI is loaded, and stay where they are.
func TestFirstContent(t *testing.T) {
	t.Parallel()
	stage := ofStage(t)
	for width, shown := range map[int64]*contract.Public{
		1280: stage, 400: stage, 1700: document(t), // with a server that has variables
	} {
		t.Run(strconv.FormatInt(width, 10), func(t *testing.T) {
			t.Parallel()
			loaded := make(chan struct{})
			url := servePage(t, page(shown), func(next http.Handler) http.Handler {
				return chromium.Hold(next, "/swagger-ui-bundle.js", loaded)
			})
			p := chromium.Open(t, url, "")
			p.Do(chromedp.EmulateViewport(width, 900))
			p.Sees(".opblock", "POST")
			p.Want(`performance.getEntriesByName("first-contentful-paint").length`, "1")
			p.Looks(fmt.Sprintf("reference-%d-first", width))
			p.Text(`document.querySelector("[href$=createUser]").focus({ preventScroll: true })`)
			before := places(t, p)
			close(loaded)
			p.Sees("#ui .opblock", "POST")
			p.Picture(fmt.Sprintf("reference-%d-loaded", width))
			if diff := cmp.Diff(before, places(t, p), cmpopts.EquateApprox(0, 1)); diff != "" {
				t.Errorf("elements have moved (-before +after):\n%s", diff)
			}
			p.Keys(kb.Enter) // the focus is still on the operation
			p.Sees(".opblock[id$=-createUser] .opblock-body", "Idempotency-Key")
		})
	}
}

// TestFirstContent_Alone checks the page if Swagger UI cannot be loaded.
func TestFirstContent_Alone(t *testing.T) {
	t.Parallel()
	url := servePage(t, page(ofStage(t)), func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/swagger-ui-bundle.js") {
				w.Header().Set("Content-Type", "text/javascript")
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	p := chromium.Open(t, url, "openapi.json")
	p.Allow("status of 503")
	p.Do(chromedp.Navigate(url))
	p.Sees(".note", "cannot be loaded")
	p.Sees(".opblock", "POST")
}

// summary is the selector of the control that opens an operation.
func summary(id string) string { return operationPart(id, ".opblock-summary-control") }

// operationPart is the selector of a part of an operation.
func operationPart(id, part string) string { return fmt.Sprintf(".opblock[id$=-%s] %s", id, part) }

// TestLayout checks that operations come first, that their failures are folded, and that lines are short.
func TestLayout(t *testing.T) {
	t.Parallel()
	p := chromium.Open(t, serve(t), "")
	p.Sees("#ui .opblock", "GET")
	p.Want(`document.querySelector(".opblock").getBoundingClientRect().top < 400`, "true")
	p.Want(`document.querySelector("#guide").compareDocumentPosition(document.querySelector(".opblock")) & Node.DOCUMENT_POSITION_PRECEDING`, "2")

	p.Click(summary("createUser"))
	p.Sees(".opblock[id$=-createUser] .folded button", "")
	p.Want(`document.querySelector(".opblock[id$=-createUser]").offsetHeight < 4000`, "true")
	failures := p.Text(`document.querySelectorAll(".opblock[id$=-createUser] .folded").length`)
	p.Text(`document.querySelector(".opblock[id$=-createUser] .folded button").focus()`)
	p.Keys(kb.Enter)
	n, err := strconv.Atoi(failures)
	if err != nil || n < 2 {
		t.Fatalf("folded failures = %s (%v), want several", failures, err)
	}
	p.Want(`document.querySelectorAll(".opblock[id$=-createUser] .folded").length`, strconv.Itoa(n-1))

	p.Click(".head a[href='#guide']")
	p.Want(`(({ top }) => top >= 0 && top < innerHeight)(document.getElementById("guide").getBoundingClientRect())`, "true")
	if got := p.Text(longest); got != "ok" {
		t.Errorf("longest line: got %s, want 80 characters", got)
	}
}

// longest is "ok" if no line of a paragraph or list has more than 80 characters, otherwise the longest.
const longest = `(() => {
	let found = "";
	for (const element of document.querySelectorAll(":is(.guide, .markdown, .renderedMarkdown) :is(p, li)")) {
		if (element.closest("table") || element.querySelector("p, li, table")) continue;
		const range = document.createRange(), walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
		let line = "", middle = -Infinity;
		while (walker.nextNode()) {
			for (const word of walker.currentNode.data.matchAll(/\S+\s*/g)) {
				range.setStart(walker.currentNode, word.index);
				range.setEnd(walker.currentNode, word.index + word[0].trimEnd().length);
				const { top, bottom } = range.getBoundingClientRect(), text = word[0].replace(/\s+/, " ");
				line = (top + bottom) / 2 > middle + 8 ? text : line + text;
				middle = (top + bottom) / 2;
				if (line.trimEnd().length > found.length) found = line.trimEnd();
			}
		}
	}
	return found.length > 80 ? found.length + ": " + found : "ok";
})()`

// TestSamples shows the samples of an operation, and keeps the chosen language.
func TestSamples(t *testing.T) {
	t.Parallel()
	p := chromium.Open(t, serve(t), "")
	p.Click(summary("createUser"))
	p.Sees(".samples code", "curl -X POST 'http://127.0.0.1:1/prod/users'")
	p.Text(`document.querySelector(".samples .languages button:nth-child(2)").focus()`)
	p.Keys(kb.Enter)
	p.Sees(".samples code", `http.NewRequest("POST"`)
	p.Click(summary("getUser"))
	p.Sees(".opblock[id$=-getUser] .samples code", `http.NewRequest("GET"`)
	p.Click(".opblock[id$=-getUser] .languages button:nth-child(4)")
	p.Sees(".opblock[id$=-getUser] .samples code", "requests.get(")
}

// TestKeyboard uses the reference with keys, which are those that the list of keys names.
func TestKeyboard(t *testing.T) {
	t.Parallel()
	p := chromium.Open(t, serve(t), "")
	p.Sees("#ui .opblock", "GET")
	const focused = `document.activeElement.closest(".opblock")?.id`
	p.Keys("jj")
	p.Want(focused, "operations-Index-headIndex")
	p.Keys("k" + kb.Enter)
	p.Sees(operationPart("getIndex", ".opblock-body"), "Code")
	p.Keys(kb.Tab)
	p.Want(`document.activeElement.closest(".opblock-body, .opblock-control-arrow, .authorization__btn") !== null`, "true")
	p.Keys(kb.Escape)
	p.Want(`document.querySelector(".opblock-body")`, "null")
	p.Want(focused, "operations-Index-getIndex")
	p.Keys("?")
	p.Sees("dialog[open] dd", "next or previous operation")
	p.Sees("dialog[open] dd", "go to Home")
	p.Keys(kb.Escape)
	p.Want(`document.querySelector("dialog[open]")`, "null")
	p.Click(summary("getUser"))
	p.Click(operationPart("getUser", "input"))
	p.Keys("gh" + kb.Escape + "gh")
	p.Want("location.search", "?home")
}

// TestLooks checks the reference in both color schemes and two widths.
func TestLooks(t *testing.T) {
	t.Parallel()
	url := serve(t)
	p := chromium.Open(t, url, "")
	looks := []struct {
		width  int64
		scheme string
	}{{1280, "light"}, {400, "dark"}}
	if testenv.All() {
		looks = append(looks, []struct {
			width  int64
			scheme string
		}{{1280, "dark"}, {400, "light"}, {1700, "light"}}...)
	}
	for _, l := range looks {
		p.Scheme(l.scheme)
		p.Do(chromedp.EmulateViewport(l.width, 900), chromedp.Navigate(url))
		p.Sees("#ui .opblock", "GET")
		p.Looks(fmt.Sprintf("reference-%d-%s", l.width, l.scheme))
		p.Click(summary("getUser"))
		p.Sees(".samples code", "curl")
		p.Looks(fmt.Sprintf("reference-%d-%s-open", l.width, l.scheme))
		if got := p.Text(longest); got != "ok" {
			t.Errorf("%d pixels: longest line: got %s, want 80 characters", l.width, got)
		}
	}
}
