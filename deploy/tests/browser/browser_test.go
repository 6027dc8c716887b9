// Package browser_test uses the pages of a local stack in Chromium, with mouse and keyboard. SCREENSHOTS is a folder
// for a screenshot of each page, with TEST_ALL=1 in both color schemes and two widths.
package browser_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/userrequestapi/userdata/deploy/aws/trace"
	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/local"
	"github.com/userrequestapi/userdata/deploy/local/xray"
	"github.com/userrequestapi/userdata/deploy/tests/chromium"
)

// service is the workspace whose stack the tests start.
const service = "../../testdata/service"

func TestMain(m *testing.M) {
	stacktest.Main(m, stacktest.Database, stacktest.FixtureFunctions(service))
}

func start(t *testing.T, configure ...func(*local.Config)) *stacktest.TestStack {
	t.Helper()
	return stacktest.Start(t, append(configure, func(cfg *local.Config) { cfg.Root = service })...)
}

// open opens a page of a stack, such as "_local/traces".
func open(t *testing.T, s *stacktest.TestStack, address string) *chromium.Page {
	t.Helper()
	return chromium.Open(t, s.Console, address)
}

// choose selects an option of a filter.
func choose(p *chromium.Page, name, value string) {
	p.Text(fmt.Sprintf(`(() => {
		const select = document.querySelector("select[name=%s]");
		select.value = %s;
		select.dispatchEvent(new Event("input", { bubbles: true }));
	})()`, name, strconv.Quote(value)))
}

// sampled returns the header that adds a sampled request to trace n.
func sampled(n int) stacktest.Headers {
	return stacktest.Headers{"X-Amzn-Trace-Id": fmt.Sprintf("Root=%s;Sampled=1", traceID(n))}
}

func traceID(n int) string { return fmt.Sprintf("1-5759e988-%024x", n) }

// use sends one request of each kind, with traces 1 to 5.
func use(t *testing.T, s *stacktest.TestStack) {
	t.Helper()
	s.Do(t, "POST", "/users", `{"userId": "ada", "name": "Ada Lovelace"}`, sampled(1)).Want(t, 201)
	s.Do(t, "GET", "/users/ada", "", sampled(2)).Want(t, 200)
	s.Do(t, "GET", "/users/nobody", "", sampled(3)).Want(t, 404)
	s.Do(t, "PUT", "/users/ada", `{"name": "Ada"}`, sampled(4), stacktest.Headers{"If-Match": `"other"`}).Want(t, 412)
	s.Do(t, "DELETE", "/users/ada", "", sampled(5)).Want(t, 204)
}

// Expressions for the content of a page.
const (
	statuses = `[...document.querySelectorAll("#traces .status")].map((it) => it.textContent).join(" ")`
	focused  = `document.activeElement.textContent`
	heading  = `document.getElementById("trace-title")?.checkVisibility() ? document.getElementById("trace-title").textContent : ""`
	selected = `document.querySelector("[role=treeitem][aria-selected=true]")?.dataset.name`
	address  = `location.pathname + location.search`

	// clipped is the number of tables of which a part is visible only after scrolling.
	clipped = `[...document.querySelectorAll(".scroll:has(table)")].filter((it) => it.scrollWidth > it.clientWidth).length`
)

// TestViewer goes from the list of traces to a request's call of DynamoDB and to its log lines.
func TestViewer(t *testing.T) {
	t.Parallel()
	s := start(t)
	use(t, s)
	p := open(t, s, "_local/traces")
	p.Want(statuses, "204 412 404 200 201") // newest first
	p.Sees("#traces li:last-child .badge", "cold start")
	p.Sees("#traces li:nth-child(3) .badge", "UserNotFound")

	choose(p, "status", "4xx")
	p.Want(statuses, "412 404")
	p.Want(address, "/_local/traces?status=4xx")
	choose(p, "operation", "getUser")
	p.Want(statuses, "404")
	p.Click("#filters [type=reset]")
	p.Want(statuses, "204 412 404 200 201")
	p.Click(".chip.error")
	p.Want(statuses, "412 404")
	p.Click(".chip.error")
	p.Keys("/PreconditionFailed")
	p.Want(statuses, "412")
	p.Click("#filters [type=reset]")
	p.Want(statuses, "204 412 404 200 201")

	p.Click("#traces li:last-child a")
	p.Want(address, "/_local/traces/"+traceID(1))
	p.Sees("#trace-title", "POST /users")
	p.Sees("[data-name=Initialization].cold", "Initialization")
	p.Sees(".badge.cold", "cold start")
	p.Want(`[...document.querySelectorAll("[role=treeitem]")].slice(0, 4).map((it) => it.getAttribute("aria-level")).join("")`, "1234")
	p.Sees("[data-name=DynamoDB]", "PutItem · "+s.TableName)
	p.Click("[data-name=DynamoDB]")
	p.Want(selected, "DynamoDB")
	p.Sees("#span-title", "DynamoDB")
	p.Sees(".facts-of-span", s.TableName)
	p.Sees(".line.related", "POST /users 201")
	p.Sees(".line", "access log")

	p.Click(".line.related summary") // from the line to its span
	p.Click(".line.related .to-span")
	p.Want(selected, "createUser")
	p.Sees(".facts-of-span", "Success")
	p.Click(".of-span .actions button:last-child") // and back
	p.Want(`document.activeElement.closest(".line")?.classList.contains("related")`, "true")
	p.Click(".of-span .actions button")
	p.Sees(".raw details[open] pre", `"trace_id": "`+traceID(1)+`"`)
	p.Click(".more-link")
	p.Want(address, "/_local/logs?trace="+traceID(1))
	p.Sees(".line", "POST /users 201")
	p.Do(chromedp.NavigateBack())
	p.Want(heading, "201 POST /userscold start")

	p.Do(chromedp.Navigate(s.Console + "_local/traces/" + traceID(3))) // a link from another page
	p.Sees("#trace-title", "GET /users/{userId}")
	p.Sees(".verdict.error", "UserNotFound")
}

func TestKeyboard(t *testing.T) {
	t.Parallel()
	s := start(t)
	use(t, s)
	p := open(t, s, "_local/traces")
	p.Want(statuses, "204 412 404 200 201")
	p.Keys("j")
	p.Want(focused+`.includes("204")`, "true")
	p.Keys("jjk")
	p.Want(focused+`.includes("412")`, "true")
	p.Keys(kb.Enter)
	p.Want(address, "/_local/traces/"+traceID(4))
	p.Want(`document.activeElement.getAttribute("role")`, "treeitem")
	p.Keys(kb.Home)
	p.Want(selected+`.endsWith("/`+s.Stage()+`")`, "true")
	p.Keys("j")
	p.Want(selected, "Lambda")
	p.Keys(kb.ArrowUp + kb.End)
	p.Want(selected+` === [...document.querySelectorAll("[role=treeitem]")].at(-1).dataset.name`, "true")
	p.Keys(kb.Escape)
	p.Want(address, "/_local/traces")
	p.Want(heading, "")
	p.Want(focused+`.includes("412")`, "true") // where it was before
	p.Do(chromedp.NavigateBack())
	p.Want(`document.activeElement.getAttribute("role")`, "treeitem")
	p.Do(chromedp.NavigateForward())
	p.Want(heading, "")
	p.Want(focused+`.includes("412")`, "true")
	// The trace follows the list in the order of the Tab key.
	p.Do(chromedp.Navigate(s.Console + "_local/traces/" + traceID(4)))
	p.Sees("#trace-title", "412")
	p.Text(`document.querySelector(".skip").focus()`)
	p.Keys(kb.Enter)
	p.Want(`document.activeElement.getAttribute("role")`, "treeitem")
	p.Keys(kb.Escape + "?")
	p.Sees("dialog[open]", "Keyboard")
	p.Keys(kb.Escape)
	p.Want(`document.querySelector("dialog[open]")`, "null")
	p.Keys("/")
	p.Want("document.activeElement.name", "text")
	p.Keys("getUser" + kb.Escape)
	p.Want(statuses, "404 200")
	p.Keys("gl")
	p.Want(address, "/_local/logs")
	p.Sees(".line", "POST /users 201")
	p.Keys("j" + kb.Enter)
	p.Want(`document.activeElement.closest("details")?.open`, "true")
	p.Keys("gm")
	p.Want(address, "/_local/map")
	p.Sees("#nodes th", s.TableName)
	p.Keys("gh")
	p.Want(address, "/")
}

// TestReturn returns to a trace with keys and with the browser's history, and selects a span with a URL.
func TestReturn(t *testing.T) {
	t.Parallel()
	testenv.SkipUnlessAll(t)
	s := start(t)
	use(t, s)
	const role = `document.activeElement.getAttribute("role")`
	const title = `document.title.split(" · ")[0]`
	p := open(t, s, "_local/traces?status=2xx&nothing=1")
	p.Want(address, "/_local/traces?status=2xx")
	p.Want(statuses, "204 200 201")
	p.Keys("j" + kb.Enter)
	p.Want(title, "DELETE /users/{userId}")
	p.Want(role, "treeitem")
	p.Keys(kb.Escape)
	p.Want(title, "Traces")
	p.Keys(kb.Enter)
	p.Want(title, "DELETE /users/{userId}")
	p.Want(role, "treeitem")
	p.Keys(kb.End)
	p.Want(selected, "Overhead")
	p.Text(`location.hash = document.querySelector("[data-name=Lambda]").dataset.id`)
	p.Want(selected, "Lambda")
	p.Keys(kb.End)
	p.Want(selected, "Overhead")
	p.Keys(kb.Enter + kb.Enter) // to its document
	p.Sees(".raw details[open] summary", "")
	p.Keys(kb.Escape)
	p.Want(`document.querySelectorAll(".raw details[open]").length`, "0")
	p.Want(title, "DELETE /users/{userId}")
	p.Keys(kb.Escape)
	p.Want(title, "Traces")
	p.Do(chromedp.NavigateBack())
	p.Want(title, "DELETE /users/{userId}")
	p.Allow("status of 404")
	s.Collector.Clear()
	p.Sees(".trace-head", "no longer kept")
	p.Sees("[data-name=DynamoDB]", "DeleteItem")
	p.Want(title, "DELETE /users/{userId}")
}

// TestInvalidFilter checks the message for an invalid filter.
func TestInvalidFilter(t *testing.T) {
	t.Parallel()
	testenv.SkipUnlessAll(t)
	s := start(t)
	use(t, s)
	p := open(t, s, "_local/map")
	p.Sees("#nodes th", s.TableName)
	p.Allow("status of 400")
	for _, name := range []string{"map", "traces"} {
		p.Do(chromedp.Navigate(s.Console + "_local/" + name + "?min=much"))
		p.Sees("#empty", "min=much")
	}
	p.Click("#filters [type=reset]")
	p.Want(statuses, "204 412 404 200 201")
	p.Want(`document.getElementById("empty").checkVisibility()`, "false")
}

// TestReading checks that an open log line stays in place while new lines are logged.
func TestReading(t *testing.T) {
	t.Parallel()
	testenv.SkipUnlessAll(t)
	s := start(t)
	logged := 0
	log := func(n int) {
		for range n {
			logged++
			s.Collector.Log(xray.Line{Source: "test", Type: "function", Text: fmt.Sprintf("line %d", logged)})
		}
	}
	const place = `document.querySelector("details[open]").getBoundingClientRect().top`
	const newest = `document.querySelector("#lines .text").textContent.trim()`
	log(100)
	p := open(t, s, "_local/logs")
	p.Want(newest, "line 100")
	p.Keys("jjj" + kb.Enter)
	p.Sees("details[open] pre", "line 98")
	p.Text(`document.activeElement.blur()`) // the line stays open
	want := p.Text(place)
	for _, n := range []int{1, 30} {
		log(n)
		p.Want(newest, fmt.Sprintf("line %d", logged))
		p.Want(fmt.Sprintf("Math.abs(%s - %s) < 10", place, want), "true") // tolerance: less than the height of a line
	}
	log(600) // more than the page shows: the open line becomes the last
	p.Want(newest, fmt.Sprintf("line %d", logged))
	p.Want(`document.querySelectorAll("#lines li").length`, "501")
	p.Sees("#lines li:last-child details[open] pre", "line 98")
	p.Want(fmt.Sprintf("%s > 0 && %[1]s < innerHeight", place), "true")
}

// TestLive checks that open pages show new requests.
func TestLive(t *testing.T) {
	t.Parallel()
	s := start(t)
	p := open(t, s, "_local/traces")
	p.Sees("#empty", "No traces yet")
	s.Do(t, "POST", "/users", `{"userId": "ada"}`, sampled(1)).Want(t, 201)
	p.Want(statuses, "201")
	p.Click("#traces a")
	p.Sees("[data-name=DynamoDB]", "PutItem")
	p.Click("[data-name=DynamoDB]")
	s.Do(t, "GET", "/users/ada", "", sampled(2)).Want(t, 200)
	p.Want(statuses, "200 201")
	p.Want(selected, "DynamoDB") // the open span does not change
	p.Keys("p")
	p.Sees("#live", "Paused")
	s.Do(t, "GET", "/users/nobody", "", sampled(3)).Want(t, 404)
	p.Keys("p")
	p.Want(statuses, "404 200 201")
	p.Allow("status of 404") // of the open trace, which no longer exists
	p.Text(`document.getElementById("clear").focus()`)
	p.Keys(kb.Enter)
	p.Sees("dialog[open]", "Delete all traces and log lines?")
	p.Want(focused, "Cancel")
	p.LooksEverywhere("clear")
	p.Keys(kb.Enter)
	p.Want(`document.querySelector("dialog[open]")`, "null")
	p.Want(statuses, "404 200 201")
	p.Want(focused, "Clear all") // where it was before
	p.Keys(kb.Enter)
	p.Sees("dialog[open]", "Delete all traces and log lines?")
	p.Keys(kb.Tab + kb.Enter)
	p.Sees("#empty", "No traces yet")
	p.Want(focused, "Clear all")
}

// TestMap checks the services on the map, and its filters.
func TestMap(t *testing.T) {
	t.Parallel()
	s := start(t)
	use(t, s)
	p := open(t, s, "_local/map")
	p.Want(`document.querySelectorAll("#map a").length`, "11") // client, stage, 4 functions with a node of Lambda each, table
	for _, name := range []string{s.TableName, s.Functions["GetFunction"], s.Functions["PutFunction"]} {
		p.Sees("#nodes th", name)
		p.Want(fmt.Sprintf(`[...document.querySelectorAll("#map a")].some((it) => it.getAttribute("aria-label").startsWith(%q))`, name+", "), "true")
	}
	p.Sees("#nodes td", "DynamoDB table")
	p.Sees("#edges th", s.Functions["GetFunction"])
	choose(p, "status", "4xx")
	p.Want(`document.querySelectorAll("#map a").length`, "7")
	choose(p, "status", "5xx")
	p.Sees("#empty", "No traces match the filter")
}

// TestLogs filters the log lines, and goes from a line to its trace.
func TestLogs(t *testing.T) {
	t.Parallel()
	s := start(t)
	use(t, s)
	p := open(t, s, "_local/logs")
	p.Sees(".line .source", "access log")
	choose(p, "source", s.Functions["GetFunction"])
	p.Want(`new Set([...document.querySelectorAll(".line .source")].map((it) => it.textContent)).size`, "1")
	p.Keys("/UserNotFound")
	p.Want(`[...document.querySelectorAll(".line")].map((it) => it.querySelector(".badge")?.textContent).join()`, "UserNotFound")
	p.Click(".line summary")
	p.Sees(".whole pre", `"errorCode": "UserNotFound"`)
	p.Click(".whole a")
	p.Want(address, "/_local/traces/"+traceID(3))
	p.Want(heading, "404 GET /users/{userId}UserNotFound")
}

// TestNumbers checks that numbers which JavaScript cannot represent are displayed unchanged in log lines and documents.
func TestNumbers(t *testing.T) {
	t.Parallel()
	const number = "12345678901234567890.12"
	s := start(t)
	s.Collector.Add(trace.Document{
		Name: "numbers", ID: "00000000000000aa", TraceID: traceID(1), StartTime: 1764460800, EndTime: 1764460801.5,
		Annotations: map[string]any{"Balance": json.Number(number)},
		Metadata:    map[string]json.RawMessage{"default": json.RawMessage(`{"balance": ` + number + `}`)},
	})
	s.Collector.Log(xray.Line{
		Source: "test", Type: "function", TraceID: traceID(1),
		Text: `{"level": "INFO", "message": "numbers", "balance": ` + number + `, "rate": 1.50}`,
	})
	p := open(t, s, "_local/logs")
	p.Sees(".line .more", "balance="+number+" rate=1.50")
	p.Click(".line summary")
	p.Sees(".whole pre", `"balance": `+number)
	p.Do(chromedp.Navigate(s.Console + "_local/traces/" + traceID(1)))
	p.Sees(".facts-of-span", "Balance"+number)
	p.Sees(".facts-of-span", "default.balance"+number)
	p.Click(".of-span .actions button")
	p.Sees(".raw details[open] pre", `"balance": `+number)
	p.Sees(".raw details[open] pre", `"Balance": `+number)
	p.Picture("trace-numbers")
}

// TestHomePage checks the content of the home page.
func TestHomePage(t *testing.T) {
	t.Parallel()
	s := start(t)
	use(t, s)
	p := open(t, s, "")
	p.Sees("#url", s.URL)
	p.Sees("#curl li", s.URL+"/users")
	p.Sees("#routes tr", s.Functions["DeleteFunction"])
	p.Sees("#routes td", "Create a user")
	p.Sees("#data", s.TableName)
	p.Want(`document.querySelector(".card:last-child").pathname`, "/_local/docs/")
	p.Want(statuses, "204 412 404 200 201")
	p.Click("#traces a")
	p.Want(heading, "204 DELETE /users/{userId}cold start")
}

// look is a way to display a page.
type look struct {
	width  int64 // of the window, in pixels
	scheme string
}

// TestPages checks each page in a wide window with the light color scheme, and in a narrow one with the dark scheme.
func TestPages(t *testing.T) {
	t.Parallel()
	testPages(t, look{1280, "light"}, look{400, "dark"})
}

// TestPages_OtherLooks checks the pages in the other combinations of width and color scheme.
func TestPages_OtherLooks(t *testing.T) {
	t.Parallel()
	testenv.SkipUnlessAll(t)
	testPages(t, look{1280, "dark"}, look{400, "light"})
}

func testPages(t *testing.T, looks ...look) {
	t.Helper()
	s := start(t, capturing)
	use(t, s)
	p := open(t, s, "")
	for name, path := range map[string]string{
		"home":   "",
		"traces": "_local/traces",
		"trace":  "_local/traces/" + traceID(1),
		"failed": "_local/traces/" + traceID(3),
		"map":    "_local/map",
		"logs":   "_local/logs",
	} {
		for _, l := range looks {
			p.Scheme(l.scheme)
			p.Do(chromedp.EmulateViewport(l.width, 900), chromedp.Navigate(s.Console+path))
			p.Sees("#traces li, #nodes tr, #lines li, #detail h2", "")
			p.Looks(fmt.Sprintf("%s-%d-%s", name, l.width, l.scheme))
			if got := p.Text(clipped); l.width == 400 && got != "0" {
				t.Errorf("%s: got %s tables that are partly visible, want none", name, got)
			}
		}
	}
}
