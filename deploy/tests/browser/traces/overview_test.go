// Package traces_test uses the pages of traces in Chromium, with made-up traces instead of a local stack. SCREENSHOTS is a
// folder for a screenshot of each page, with TEST_ALL=1 in both color schemes and two widths.
package traces_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/userrequestapi/userdata/deploy/aws/trace"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/local/console"
	"github.com/userrequestapi/userdata/deploy/local/xray"
	"github.com/userrequestapi/userdata/deploy/tests/chromium"
)

// began is the start of the first made-up trace, 10 min ago.
func began() time.Time { return time.Now().Add(-10 * time.Minute).Truncate(time.Second) }

// request returns the documents of made-up trace n: of API Gateway and of the function.
func request(n int, start time.Time, lasting time.Duration, operation string, status int, code string) []trace.Document {
	stage := trace.Document{
		Name: "API/prod", ID: fmt.Sprintf("%015x1", n), TraceID: traceID(n), Origin: "AWS::ApiGateway::Stage",
		StartTime: trace.Seconds(start), EndTime: trace.Seconds(start.Add(lasting)),
		Error: status/100 == 4, Fault: status/100 == 5,
		HTTP: &trace.HTTP{
			Request:  &trace.HTTPRequest{Method: "GET", URL: "http://127.0.0.1/prod/things/{thingId}"},
			Response: &trace.HTTPResponse{Status: status},
		},
	}
	function := trace.Document{
		Name: operation, ID: fmt.Sprintf("%015x2", n), ParentID: stage.ID, TraceID: stage.TraceID, Type: "subsegment",
		StartTime: stage.StartTime, EndTime: stage.EndTime,
		Annotations: map[string]any{"Operation": operation, "Version": strconv.Itoa(1 + n%2), "ErrorCode": code},
	}
	if status == http.StatusOK {
		function.Subsegments = []trace.Document{{
			Name: "DynamoDB", ID: fmt.Sprintf("%015x3", n), Namespace: "aws", StartTime: stage.StartTime, EndTime: stage.EndTime,
			AWS: map[string]any{"operation": "GetItem", "table_name": "Things"},
		}}
	}
	return []trace.Document{stage, function}
}

// serveTraces serves the pages with made-up traces, and returns their URL.
func serveTraces(t *testing.T, documents ...[]trace.Document) string {
	t.Helper()
	return serve(t, func(pages http.Handler) http.Handler { return pages }, documents...)
}

// serve is serveTraces with a handler before the pages.
func serve(t *testing.T, before func(pages http.Handler) http.Handler, documents ...[]trace.Document) string {
	t.Helper()
	c, err := xray.Listen(xray.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range documents {
		c.Add(d...)
	}
	pages := console.New(console.Config{
		Collector: c,
		Stack: func() console.Overview {
			return console.Overview{Name: "API", Stage: "prod", URL: "http://127.0.0.1/prod"}
		},
		Docs: func(*http.ServeMux, string) {},
	})
	server := httptest.NewServer(before(pages))
	t.Cleanup(func() {
		pages.Close()
		server.Close()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return server.URL + "/"
}

func traceID(n int) string { return fmt.Sprintf("1-5759e988-%024x", n) }

// choose selects an option.
func choose(p *chromium.Page, name, value string) {
	p.Text(fmt.Sprintf(`(() => {
		const select = document.querySelector("select[name=%s]");
		select.value = %q;
		select.dispatchEvent(new Event("input", { bubbles: true }));
	})()`, name, value))
}

// look is a way to display a page.
type look struct {
	width  int64 // of the window, in pixels
	scheme string
}

// traffic returns the documents of n requests in 10 minutes: most are fast, some fail, and some are slow.
func traffic(n int) [][]trace.Document {
	random, start := rand.New(rand.NewPCG(1, 2)), began()
	var all [][]trace.Document
	for i := range n {
		operation, status, code := "getThing", 200, ""
		lasting := time.Duration(math.Exp(random.NormFloat64()*0.5+1.5) * float64(time.Millisecond))
		switch k := random.IntN(100); {
		case k < 2:
			operation, status, code, lasting = "putThing", 500, "StoreUnavailable", lasting*40
		case k < 8:
			status, code = 404, "ThingNotFound"
		case k < 30:
			operation, status, lasting = "createThing", 201, lasting*3
		}
		all = append(all, request(i+1, start.Add(time.Duration(i)*10*time.Minute/time.Duration(n)), lasting, operation, status, code))
	}
	return all
}

// Expressions for the content of the page.
const (
	statuses = `[...document.querySelectorAll("#traces .status")].map((it) => it.textContent).join(" ")`
	heading  = `document.getElementById("trace-title")?.checkVisibility() ? document.getElementById("trace-title").textContent : ""`
	address  = `location.pathname + location.search`
	count    = `document.getElementById("count").textContent`
	groups   = `[...document.querySelectorAll("#groups tbody tr")].map((it) => it.innerText.split("\t").slice(0, 2).join(" ").trim()).join(", ")`
	bars     = `document.querySelectorAll("#bars button:enabled").length`
	points   = `document.querySelectorAll("#cells circle").length`
)

// few are four requests: two of getThing, one that is not found, and a slow fault.
func few(start time.Time) [][]trace.Document {
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	return [][]trace.Document{
		request(1, at(0), 2500*time.Microsecond, "getThing", 200, ""),
		request(2, at(10), 4*time.Millisecond, "getThing", 200, ""),
		request(3, at(20), 2600*time.Microsecond, "getThing", 404, "ThingNotFound"),
		request(4, at(60), 3500*time.Millisecond, "putThing", 500, "StoreUnavailable"),
	}
}

// TestOverview selects traces with the groups, the histogram, the scatter and the time range, with mouse and keyboard.
func TestOverview(t *testing.T) {
	t.Parallel()
	start := began()
	p := chromium.Open(t, serveTraces(t, few(start)...), "_local/traces")
	p.Want(count, "4 traces")
	p.Want(groups, "500 1, 200 2, 404 1") // faults first
	p.Want(bars, "3")
	p.Want(points, "4")

	p.Click("#bars button:enabled") // 2 to 3 ms
	p.Want(statuses, "404 200")
	p.Want(address, "/_local/traces?min=2ms&max=2.999999ms")
	p.Sees("#criteria button", "< 3.0 ms")
	p.Want(`document.querySelector("#bars button:enabled").ariaPressed`, "true")
	p.Keys(kb.Enter) // the bar still has the focus
	p.Want(address, "/_local/traces")
	p.Want(statuses, "500 404 200 200")
	p.Keys(kb.ArrowRight + kb.ArrowRight + " ")
	p.Want(statuses, "500")
	p.Click("#criteria button")
	p.Click("#filters [type=reset]")
	p.Want(statuses, "500 404 200 200")

	choose(p, "by", "operation")
	p.Want(groups, "putThing 1, getThing 3")
	p.Click("#groups tr:last-child button")
	p.Want(address, "/_local/traces?operation=getThing&by=operation")
	p.Want(statuses, "404 200 200")
	choose(p, "by", "code")
	p.Want(groups, "no error code 2, ThingNotFound 1")
	p.Click("#groups button")
	p.Want(statuses, "404")
	p.Sees("#criteria", "ThingNotFound")
	p.Click("#filters [type=reset]")
	choose(p, "by", "version")
	p.Want(groups, "1 2, 2 2")
	p.Text(`document.querySelector("#groups button").focus()`)
	p.Keys(kb.Enter)
	p.Want(statuses, "500 200")
	p.Keys(kb.Enter) // the button keeps the focus
	p.Want(statuses, "500 404 200 200")

	p.Text(`document.querySelector("#cells circle").focus()`)
	p.Keys(kb.ArrowRight + kb.ArrowRight + kb.ArrowUp + kb.ArrowUp) // to the third, 4 ms, 3.5 s
	p.Want(`document.activeElement.ariaLabel.includes("3.50 s")`, "true")
	p.Keys(kb.Enter) // a single trace
	p.Want(address, "/_local/traces/"+traceID(4)+"?by=version")
	p.Keys(kb.Escape)
	p.Want(heading, "")

	p.Do(chromedp.Navigate(p.Text(`location.origin`) + "/_local/traces?since=" + start.Add(5*time.Second).UTC().Format(time.RFC3339) +
		"&until=" + start.Add(30*time.Second).UTC().Format(time.RFC3339)))
	p.Want(statuses, "404 200")
	p.Want(`document.getElementById("range").value + document.getElementById("custom-range").checkVisibility()`, "customtrue")
	p.Want(`new Date(document.getElementById("from").value).getTime()`, strconv.FormatInt(start.Add(5*time.Second).UnixMilli(), 10))
	p.Text(`(() => {
		const range = document.getElementById("range");
		range.value = "1m";
		range.dispatchEvent(new Event("input", { bubbles: true }));
	})()`)
	p.Want(address, "/_local/traces?since=1m")
	p.Sees("#empty", "No traces match the filter")
}

// Before the traces are loaded, the page does not say that there are none.
func TestTraces_Loading(t *testing.T) {
	t.Parallel()
	loaded := make(chan struct{})
	url := serve(t, func(pages http.Handler) http.Handler {
		return chromium.Hold(pages, "/_local/api/overview", loaded)
	}, traffic(3)...)
	p := chromium.Open(t, url, "_local/traces")
	p.Want(`document.getElementById("empty").checkVisibility() + document.getElementById("count").textContent`, "false")
	close(loaded)
	p.Want(`document.getElementById("count").textContent`, "3 traces")
}

// TestOverview_Drag selects a period in the scatter with the mouse.
func TestOverview_Drag(t *testing.T) {
	t.Parallel()
	p := chromium.Open(t, serveTraces(t, few(began())...), "_local/traces")
	p.Want(points, "4")
	p.Text(`(() => {
		const chart = document.getElementById("cells"), { left, top, right } = chart.getBoundingClientRect();
		const middle = (left + right) / 2;
		const event = (name, x) => chart.dispatchEvent(new PointerEvent(name, { clientX: x, clientY: top + 20, bubbles: true, pointerType: "mouse" }));
		event("pointerdown", middle);
		event("pointermove", right);
		event("pointerup", right);
	})()`)
	p.Want(statuses, "500")
	p.Want(`document.getElementById("range").value`, "custom")
}

// TestCompare chooses two traces, and compares their spans.
func TestCompare(t *testing.T) {
	t.Parallel()
	p := chromium.Open(t, serveTraces(t, few(began())...), "_local/traces")
	p.Want(statuses, "500 404 200 200")
	p.Want(`document.getElementById("compare").checkVisibility()`, "false")
	p.Keys("jx")
	p.Want(`document.querySelectorAll(".pick:checked").length`, "1")
	p.Click("#traces li:last-child .pick")
	p.Sees("#compare", "Compare")
	p.Keys("c")
	p.Want(address, "/_local/compare?a="+traceID(4)+"&b="+traceID(1))
	p.Want(`[...document.querySelectorAll("#spans tbody tr")].map((it) => it.innerText.replaceAll(/\s+/g, " ").trim()).join("; ")`,
		"API/prod API Gateway 3.50 s 2.5 ms −3.50 s; putThing 3.50 s – only A; getThing – 2.5 ms only B; DynamoDB GetItem · Things – 2.5 ms only B")
	p.Sees("#facts", "StoreUnavailable")
	p.Keys("jj")
	p.Want(`document.activeElement.rowIndex`, "2")
	p.LooksEverywhere("compare-fault")
	p.Keys(kb.Escape)
	p.Want(address, "/_local/traces")

	p.Do(chromedp.Navigate(p.Text(`location.origin`) + "/_local/compare?a=1"))
	p.Sees("#empty", "Choose two traces")
	p.Allow("status of 404")
	p.Do(chromedp.Navigate(p.Text(`location.origin`) + "/_local/compare?a=1&b=2"))
	p.Sees("#empty", "Trace not found")
	p.LooksEverywhere("compare-missing")
	p.Keys(kb.Escape)
	p.Want(address, "/_local/traces")
}

// TestOverview_Looks checks the traces with the overview, and the comparison, in both color schemes and two widths.
func TestOverview_Looks(t *testing.T) {
	t.Parallel()
	url := serveTraces(t, traffic(300)...)
	p := chromium.Open(t, url, "")
	looks := []look{{1280, "light"}, {400, "dark"}}
	if testenv.All() {
		looks = append(looks, look{1280, "dark"}, look{400, "light"})
	}
	for name, path := range map[string]string{
		"overview": "_local/traces", "overview-operation": "_local/traces?by=operation&since=2020-01-01T00:00:00Z",
		"compare": "_local/compare?a=" + traceID(1) + "&b=" + traceID(2),
	} {
		for _, l := range looks {
			p.Scheme(l.scheme)
			p.Do(chromedp.EmulateViewport(l.width, 900), chromedp.Navigate(url+path))
			p.Sees("#traces li, #spans tr", "")
			p.Looks(fmt.Sprintf("%s-%d-%s", name, l.width, l.scheme))
			// Both traces are visible, without scrolling to the side.
			p.Want(`[...document.querySelectorAll("main .scroll:has(#facts, #spans)")].every((it) => it.scrollWidth <= it.clientWidth)`, "true")
		}
	}
}
