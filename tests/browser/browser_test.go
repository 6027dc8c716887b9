// Package browser_test uses the pages about a running stack as people do: in Chromium, with mouse and keyboard. SCREENSHOTS names
// a folder that gets a picture of each page, in both colour schemes and in two widths.
package browser_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/userrequestapi/userdata/deploy/local/collector"
	"github.com/userrequestapi/userdata/tests/stacktest"
)

func TestMain(m *testing.M) { stacktest.Main(m) }

// sampled has a request traced, whatever the stage's rate is. n tells the traces apart.
func sampled(n int) stacktest.Headers {
	return stacktest.Headers{"X-Amzn-Trace-Id": fmt.Sprintf("Root=%s;Sampled=1", traceID(n))}
}

func traceID(n int) string { return fmt.Sprintf("1-5759e988-%024x", n) }

// use sends one request of each kind: traces 1 to 5.
func use(t *testing.T, s *stacktest.Stack) {
	t.Helper()
	s.Do(t, "POST", "/users", `{"userId": "ada", "name": "Ada Lovelace"}`, sampled(1)).Want(t, 201)
	s.Do(t, "GET", "/users/ada", "", sampled(2)).Want(t, 200)
	s.Do(t, "GET", "/users/nobody", "", sampled(3)).Want(t, 404)
	s.Do(t, "PUT", "/users/ada", `{"name": "Ada"}`, sampled(4), stacktest.Headers{"If-Match": `"other"`}).Want(t, 412)
	s.Do(t, "DELETE", "/users/ada", "", sampled(5)).Want(t, 204)
}

// Expressions that say what a page shows.
const (
	statuses = `[...document.querySelectorAll("#traces .status")].map((it) => it.textContent).join(" ")`
	focused  = `document.activeElement.textContent`
	heading  = `document.getElementById("trace-title")?.checkVisibility() ? document.getElementById("trace-title").textContent : ""`
	selected = `document.querySelector("[role=treeitem][aria-selected=true]")?.dataset.name`
	address  = `location.pathname + location.search`
)

// TestViewer goes from the list of all requests to the call of the database that one of them made, and to what was logged then.
func TestViewer(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	use(t, s)
	p := open(t, s, "_local/traces")
	p.want(statuses, "204 412 404 200 201") // newest first
	p.sees("#traces li:last-child .badge", "cold start")
	p.sees("#traces li:nth-child(3) .badge", "UserNotFound")

	p.choose("status", "4xx")
	p.want(statuses, "412 404")
	p.want(address, "/_local/traces?status=4xx")
	p.choose("operation", "getUser")
	p.want(statuses, "404")
	p.click("#filters [type=reset]")
	p.want(statuses, "204 412 404 200 201")
	p.click(".chip.error")
	p.want(statuses, "412 404")
	p.click(".chip.error")
	p.keys("/PreconditionFailed")
	p.want(statuses, "412")
	p.click("#filters [type=reset]")
	p.want(statuses, "204 412 404 200 201")

	p.click("#traces li:last-child a")
	p.want(address, "/_local/traces/"+traceID(1))
	p.sees("#trace-title", "POST /users")
	p.sees("[data-name=Initialization].cold", "Initialization")
	p.sees(".badge.cold", "cold start")
	p.want(`[...document.querySelectorAll("[role=treeitem]")].slice(0, 4).map((it) => it.getAttribute("aria-level")).join("")`, "1234")
	p.sees("[data-name=DynamoDB]", "PutItem · "+s.TableName)
	p.click("[data-name=DynamoDB]")
	p.want(selected, "DynamoDB")
	p.sees("#span-title", "DynamoDB")
	p.sees(".facts-of-span", s.TableName)
	p.sees(".line.related", "POST /users 201")
	p.sees(".line", "access log")

	p.click(".line.related summary") // from the line to its span
	p.click(".line.related .to-span")
	p.want(selected, "createUser")
	p.sees(".facts-of-span", "Success")
	p.click(".of-span .actions button:last-child") // and back
	p.want(`document.activeElement.closest(".line")?.classList.contains("related")`, "true")
	p.click(".of-span .actions button")
	p.sees(".raw details[open] pre", `"trace_id": "`+traceID(1)+`"`)
	p.click(".more-link")
	p.want(address, "/_local/logs?trace="+traceID(1))
	p.sees(".line", "POST /users 201")
	p.do(chromedp.NavigateBack())
	p.want(heading, "201 POST /userscold start")

	p.do(chromedp.Navigate(s.Console + "_local/traces/" + traceID(3))) // a link from elsewhere
	p.sees("#trace-title", "GET /users/{userId}")
	p.sees(".verdict.error", "UserNotFound")
}

func TestKeyboard(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	use(t, s)
	p := open(t, s, "_local/traces")
	p.want(statuses, "204 412 404 200 201")
	p.keys("j")
	p.want(focused+`.includes("204")`, "true")
	p.keys("jjk")
	p.want(focused+`.includes("412")`, "true")
	p.keys(kb.Enter)
	p.want(address, "/_local/traces/"+traceID(4))
	p.want(`document.activeElement.getAttribute("role")`, "treeitem")
	p.keys(kb.Home)
	p.want(selected+`.endsWith("/`+s.URL[strings.LastIndexByte(s.URL, '/')+1:]+`")`, "true")
	p.keys("j")
	p.want(selected, "Lambda")
	p.keys(kb.ArrowUp + kb.End)
	p.want(selected+` === [...document.querySelectorAll("[role=treeitem]")].at(-1).dataset.name`, "true")
	p.keys(kb.Escape)
	p.want(address, "/_local/traces")
	p.want(heading, "")
	p.want(focused+`.includes("412")`, "true") // where it was before
	p.keys("?")
	p.sees("dialog[open]", "Keyboard")
	p.keys(kb.Escape)
	p.want(`document.querySelector("dialog[open]")`, "null")
	p.keys("/")
	p.want("document.activeElement.name", "text")
	p.keys("getUser" + kb.Escape)
	p.want(statuses, "404 200")
	p.keys("gl")
	p.want(address, "/_local/logs")
	p.sees(".line", "POST /users 201")
	p.keys("j" + kb.Enter)
	p.want(`document.activeElement.closest("details")?.open`, "true")
	p.keys("gm")
	p.want(address, "/_local/map")
	p.sees("#nodes th", s.TableName)
	p.keys("gh")
	p.want(address, "/")
}

// TestReturn comes back to a trace: by keys, by the history, and by the address of another of its spans.
func TestReturn(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	use(t, s)
	const role = `document.activeElement.getAttribute("role")`
	const title = `document.title.split(" · ")[0]`
	p := open(t, s, "_local/traces?status=2xx&nothing=1")
	p.want(address, "/_local/traces?status=2xx")
	p.want(statuses, "204 200 201")
	p.keys("j" + kb.Enter)
	p.want(title, "DELETE /users/{userId}")
	p.want(role, "treeitem")
	p.keys(kb.Escape)
	p.want(title, "Traces")
	p.keys(kb.Enter)
	p.want(title, "DELETE /users/{userId}")
	p.want(role, "treeitem")
	p.keys(kb.End)
	p.want(selected, "Overhead")
	p.text(`location.hash = document.querySelector("[data-name=Lambda]").dataset.id`)
	p.want(selected, "Lambda")
	p.keys(kb.End)
	p.want(selected, "Overhead")
	p.keys(kb.Enter + kb.Enter) // to its document
	p.sees(".raw details[open] summary", "")
	p.keys(kb.Escape)
	p.want(`document.querySelectorAll(".raw details[open]").length`, "0")
	p.want(title, "DELETE /users/{userId}")
	p.keys(kb.Escape)
	p.want(title, "Traces")
	p.do(chromedp.NavigateBack())
	p.want(title, "DELETE /users/{userId}")
	p.allow("status of 404")
	s.Collector.Clear()
	p.sees(".trace-head", "no longer kept")
	p.sees("[data-name=DynamoDB]", "DeleteItem")
	p.want(title, "DELETE /users/{userId}")
}

// TestRefusal shows what the stack says of a filter that is none.
func TestRefusal(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	use(t, s)
	p := open(t, s, "_local/map")
	p.sees("#nodes th", s.TableName)
	p.allow("status of 400")
	for _, name := range []string{"map", "traces"} {
		p.do(chromedp.Navigate(s.Console + "_local/" + name + "?min=much"))
		p.sees("#empty", "min=much")
	}
	p.click("#filters [type=reset]")
	p.want(statuses, "204 412 404 200 201")
	p.want(`document.getElementById("empty").checkVisibility()`, "false")
}

// TestReading has many lines come in while one is read.
func TestReading(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	logged := 0
	log := func(n int) {
		for range n {
			logged++
			s.Collector.Log(collector.Line{Source: "test", Type: "function", Text: fmt.Sprintf("line %d", logged)})
		}
	}
	const place = `document.querySelector("details[open]").getBoundingClientRect().top`
	const newest = `document.querySelector("#lines .text").textContent.trim()`
	log(100)
	p := open(t, s, "_local/logs")
	p.want(newest, "line 100")
	p.keys("jjj" + kb.Enter)
	p.sees("details[open] pre", "line 98")
	p.text(`document.activeElement.blur()`) // it is read all the same
	want := p.text(place)
	for _, n := range []int{1, 30} {
		log(n)
		p.want(newest, fmt.Sprintf("line %d", logged))
		p.want(fmt.Sprintf("Math.abs(%s - %s) < 10", place, want), "true") // a line is higher
	}
	log(600) // more than are shown: what is read is the last then
	p.want(newest, fmt.Sprintf("line %d", logged))
	p.want(`document.querySelectorAll("#lines li").length`, "501")
	p.sees("#lines li:last-child details[open] pre", "line 98")
	p.want(fmt.Sprintf("%s > 0 && %[1]s < innerHeight", place), "true")
}

// TestLive leaves pages open while requests come in.
func TestLive(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	p := open(t, s, "_local/traces")
	p.sees("#empty", "No trace yet")
	s.Do(t, "POST", "/users", `{"userId": "ada"}`, sampled(1)).Want(t, 201)
	p.want(statuses, "201")
	p.click("#traces a")
	p.sees("[data-name=DynamoDB]", "PutItem")
	p.click("[data-name=DynamoDB]")
	s.Do(t, "GET", "/users/ada", "", sampled(2)).Want(t, 200)
	p.want(statuses, "200 201")
	p.want(selected, "DynamoDB") // what is open stays as it is
	p.keys("p")
	p.sees("#live", "Paused")
	s.Do(t, "GET", "/users/nobody", "", sampled(3)).Want(t, 404)
	p.keys("p")
	p.want(statuses, "404 200 201")
	p.click("#clear")
	p.sees("#empty", "No trace yet")
}

// TestMap finds each service of the requests, and how it went.
func TestMap(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	use(t, s)
	p := open(t, s, "_local/map")
	p.want(`document.querySelectorAll("#map a").length`, "11") // client, stage, 4 functions with a node of Lambda each, table
	for _, name := range []string{s.TableName, s.Functions["GetFunction"], s.Functions["PutFunction"]} {
		p.sees("#nodes th", name)
		p.want(fmt.Sprintf(`[...document.querySelectorAll("#map a")].some((it) => it.getAttribute("aria-label").startsWith(%q))`, name+", "), "true")
	}
	p.sees("#nodes td", "DynamoDB table")
	p.sees("#edges th", s.Functions["GetFunction"])
	p.choose("status", "4xx")
	p.want(`document.querySelectorAll("#map a").length`, "7")
	p.choose("status", "5xx")
	p.sees("#empty", "No trace is like that")
}

// TestLogs filters what was logged, and goes from a line to its trace.
func TestLogs(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	use(t, s)
	p := open(t, s, "_local/logs")
	p.sees(".line .source", "access log")
	p.choose("source", s.Functions["GetFunction"])
	p.want(`new Set([...document.querySelectorAll(".line .source")].map((it) => it.textContent)).size`, "1")
	p.keys("/UserNotFound")
	p.want(`[...document.querySelectorAll(".line")].map((it) => it.querySelector(".badge")?.textContent).join()`, "UserNotFound")
	p.click(".line summary")
	p.sees(".whole pre", `"errorCode": "UserNotFound"`)
	p.click(".whole a")
	p.want(address, "/_local/traces/"+traceID(3))
	p.want(heading, "404 GET /users/{userId}UserNotFound")
}

// TestFirstPage reads what the stack says of itself.
func TestFirstPage(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	use(t, s)
	p := open(t, s, "")
	p.sees("#url", s.URL)
	p.sees("#curl li", s.URL+"/users")
	p.sees("#routes tr", s.Functions["DeleteFunction"])
	p.sees("#data", s.TableName)
	p.want(`document.querySelector(".card[href$='openapi.yaml']").pathname`, "/_local/docs/openapi.yaml")
	p.want(statuses, "204 412 404 200 201")
	p.click("#traces a")
	p.want(heading, "204 DELETE /users/{userId}cold start")
}

// tooWide says how much of a page is beyond its window.
const tooWide = `document.scrollingElement.scrollWidth - innerWidth`

// pale lists texts whose contrast with what is behind them is less than 4.5:1, as WCAG 2.2 asks of text ("1.4.3 Contrast
// (Minimum)"), by its formulas.
const pale = `(() => {
	const colour = (text) => text.match(/[\d.]+/g).map(Number);
	const luminance = ([r, g, b]) => [r, g, b].map((v) => v / 255)
		.map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
		.reduce((sum, v, n) => sum + v * [0.2126, 0.7152, 0.0722][n], 0);
	const behind = (element) => {
		for (let it = element; it; it = it.parentElement) {
			const [r, g, b, a = 1] = colour(getComputedStyle(it).backgroundColor);
			if (a === 1) return [r, g, b];
		}
		return [255, 255, 255];
	};
	const found = new Set();
	for (const element of document.querySelectorAll("body *:not(svg *, option, script)")) {
		const own = [...element.childNodes].some((it) => it.nodeType === Node.TEXT_NODE && it.data.trim());
		if (!own || !element.checkVisibility()) continue;
		const a = luminance(colour(getComputedStyle(element).color)), b = luminance(behind(element));
		const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
		if (ratio < 4.5) found.add(element.className + " " + element.textContent.slice(0, 40) + " " + ratio.toFixed(2));
	}
	return [...found].join("\n");
})()`

// nameless lists controls that a screen reader could not name, and ids that are there twice.
const nameless = `[
	...[...document.querySelectorAll("a[href], button, input, select, summary, [role=treeitem]")].filter((it) =>
		!(it.getAttribute("aria-label") || it.textContent.trim() || [...(it.labels ?? [])].some((label) => label.textContent.trim())))
		.map((it) => it.outerHTML),
	...[...document.querySelectorAll("[id]")].filter((it) => document.querySelectorAll("#" + CSS.escape(it.id)).length > 1).map((it) => it.id),
	...(document.querySelectorAll("h1").length === 1 ? [] : ["not one h1"]),
].join("\n")`

// TestPages looks at each page in both colour schemes and in two widths.
func TestPages(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	use(t, s)
	p := open(t, s, "")
	for name, path := range map[string]string{
		"first":  "",
		"traces": "_local/traces",
		"trace":  "_local/traces/" + traceID(1),
		"failed": "_local/traces/" + traceID(3),
		"map":    "_local/map",
		"logs":   "_local/logs",
	} {
		for _, width := range []int64{1280, 400} {
			for _, scheme := range []string{"light", "dark"} {
				p.scheme(scheme)
				p.do(chromedp.EmulateViewport(width, 900), chromedp.Navigate(s.Console+path))
				p.sees("#traces li, #nodes tr, #lines li, #detail h2", "")
				where := fmt.Sprintf("%s-%d-%s", name, width, scheme)
				p.picture(where)
				for what, expression := range map[string]string{"beyond the window": tooWide, "pale": pale, "nameless": nameless} {
					if got := p.text(expression); got != "" && got != "0" {
						t.Errorf("%s: %s: %s", where, what, got)
					}
				}
			}
		}
	}
}
