// Package chromium lets tests use pages in Chromium with mouse and keyboard. SCREENSHOTS is a folder for the
// screenshots of the tests.
package chromium

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
)

// executable returns the path of Chromium or Chrome. Without one, it skips the test, or fails it in CI.
func executable(tb testing.TB) string {
	tb.Helper()
	for _, name := range []string{
		"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge",
		"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome", "/Applications/Chromium.app/Contents/MacOS/Chromium",
	} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	const missing = "needs Chromium or Chrome: install one, such as the package chromium"
	if os.Getenv("CI") != "" {
		tb.Fatal(missing)
	}
	tb.Skip(missing)
	return ""
}

// Page is a page in its own browser. The test fails if the page logs a message to the console, or if the page or one of
// its workers sends a request to another server.
type Page struct {
	t   testing.TB
	ctx context.Context //nolint:containedctx // the page is one: chromedp keeps its state in it

	mu       sync.Mutex
	allowed  string   // substring of allowed console messages; "" allows none
	messages []string // of the console, without allowed ones
	foreign  []string // URLs of requests to other servers
}

// Open starts a browser and opens the URL base+address, for example with the address "_local/traces". All requests of
// the page must be below base. The window is 1280 pixels wide and 900 high. The browser is closed after the test.
func Open(tb testing.TB, base, address string) *Page {
	tb.Helper()
	p := &Page{t: tb}
	elsewhere := httptest.NewServer(http.HandlerFunc(p.refuse))
	tb.Cleanup(elsewhere.Close)
	flags := append([]chromedp.ExecAllocatorOption{}, chromedp.DefaultExecAllocatorOptions[:]...)
	flags = append(flags, chromedp.ExecPath(executable(tb)),
		chromedp.NoSandbox, // not available in containers, and not needed for these pages
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"),
		chromedp.DisableGPU, chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-features", "Translate,AutofillServerCommunication"), // send data of the page to their servers
		chromedp.WSURLReadTimeout(time.Hour))                                       // the test's own deadline comes first
	allocator, stop := chromedp.NewExecAllocator(context.WithoutCancel(tb.Context()), flags...)
	browser, cancel := chromedp.NewContext(allocator)
	tb.Cleanup(func() {
		defer stop()
		defer cancel()
		closing, cancel := testenv.WithDeadline(browser, tb)
		defer cancel()
		if err := chromedp.Cancel(closing); err != nil {
			tb.Errorf("close the browser: %v", err)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, message := range p.messages {
			tb.Errorf("got the console message %q, want none", message)
		}
		for _, url := range p.foreign {
			tb.Errorf("got a request to another server, %s, want none", url)
		}
	})
	if err := chromedp.ListenBrowser(browser, func(any) {}); err != nil {
		tb.Fatalf("start the browser: %v", err)
	}
	// A separate context, because the browser itself sends requests to its vendor.
	p.ctx, _ = chromedp.NewContext(browser, chromedp.WithNewBrowserContext(
		func(params *target.CreateBrowserContextParams) { params.ProxyServer = elsewhere.URL }))
	if err := chromedp.Listen(p.ctx, func(event any) { p.record(base, event) }); err != nil {
		tb.Fatalf("open a page: %v", err)
	}
	p.focus()
	p.Do(chromedp.EmulateViewport(1280, 900), chromedp.Navigate(base+address))
	return p
}

// Hold returns a handler that holds back the responses of next to paths that end with suffix until released is closed.
func Hold(next http.Handler, suffix string, released <-chan struct{}) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, suffix) {
			select {
			case <-released:
			case <-r.Context().Done():
			}
		}
		next.ServeHTTP(w, r)
	})
}

// refuse is a proxy that rejects and records all requests to other machines, also those of workers.
func (p *Page) refuse(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.foreign = append(p.foreign, r.RequestURI)
	w.WriteHeader(http.StatusForbidden)
}

// record records console messages and foreign requests.
func (p *Page) record(base string, event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch event := event.(type) {
	case *runtime.EventExceptionThrown:
		p.addMessage((&chromedp.ExceptionError{ExceptionDetails: event.ExceptionDetails}).Error())
	case *runtime.EventConsoleAPICalled:
		var words []string
		for _, arg := range event.Args {
			words = append(words, string(arg.Value)+arg.Description)
		}
		p.addMessage(strings.Join(words, " "))
	case *log.EventEntryAdded:
		p.addMessage(event.Entry.Text + " " + event.Entry.URL)
	case *network.EventRequestWillBeSent:
		url := event.Request.URL
		if !strings.HasPrefix(url, base) && !strings.HasPrefix(url, "data:") && !strings.HasPrefix(url, "blob:") { // not sent
			p.foreign = append(p.foreign, url)
		}
	}
}

// addMessage records a console message unless it is allowed.
func (p *Page) addMessage(message string) {
	if p.allowed == "" || !strings.Contains(message, p.allowed) {
		p.messages = append(p.messages, message)
	}
}

// Allow allows console messages that contain part, such as "status of 404", instead of those of an earlier call.
func (p *Page) Allow(part string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.allowed = part
}

// focus emulates that the page has the focus.
func (p *Page) focus() {
	p.t.Helper()
	focus := emulation.SetFocusEmulationEnabledParams{Enabled: true}
	if _, err := chromedp.Call(p.ctx, emulation.SetFocusEmulationEnabled, focus); err != nil {
		p.t.Fatalf("focus the page: %v", err)
	}
}

// Scheme emulates the preferred color scheme, dark or light.
func (p *Page) Scheme(name string) {
	p.t.Helper()
	_, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: name}, {Name: "prefers-reduced-motion", Value: "reduce"},
		}})
	if err != nil {
		p.t.Fatalf("emulate color scheme %s: %v", name, err)
	}
}

// Do performs actions in the browser.
func (p *Page) Do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := testenv.WithDeadline(p.ctx, p.t)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.t.Fatal(err)
	}
}

func (p *Page) evaluate(ctx context.Context, expression string) (string, error) {
	return chromedp.Run(ctx, chromedp.Evaluate[string]("String("+expression+")"))
}

// Text evaluates a JavaScript expression and returns the result as a string.
func (p *Page) Text(expression string) string {
	p.t.Helper()
	ctx, cancel := testenv.WithDeadline(p.ctx, p.t)
	defer cancel()
	result, err := p.evaluate(ctx, expression)
	if err != nil {
		p.t.Fatalf("evaluate %s: %v", expression, err)
	}
	return result
}

// Want waits until a JavaScript expression evaluates to want. Errors are ignored, as they occur during navigation.
func (p *Page) Want(expression, want string) {
	p.t.Helper()
	ctx, cancel := testenv.WithDeadline(p.ctx, p.t)
	defer cancel()
	for ; ; time.Sleep(20 * time.Millisecond) {
		got, err := p.evaluate(ctx, expression)
		if err == nil && got == want {
			return
		}
		if ctx.Err() != nil {
			page, _ := p.evaluate(p.ctx, "document.body.innerText")
			p.t.Fatalf("%s: got %q, error %v, want %q; the page:\n%s", expression, got, err, want, page)
		}
	}
}

// Sees waits until an element that matches the CSS selector is visible and contains the text.
func (p *Page) Sees(selector, text string) {
	p.t.Helper()
	p.Want(fmt.Sprintf("[...document.querySelectorAll(%s)].some("+
		"(it) => it.checkVisibility() && it.textContent.includes(%s))",
		strconv.Quote(selector), strconv.Quote(text)), "true")
}

// Click clicks the first element that matches the CSS selector, as soon as it exists, has stopped moving and is not
// covered: the click goes to coordinates, which must still be inside the element.
func (p *Page) Click(selector string) {
	p.t.Helper()
	p.Want(fmt.Sprintf(`(() => {
		const it = document.querySelector(%s);
		if (!it) return false;
		it.scrollIntoView({ block: "nearest", behavior: "instant" });
		const { x, y, width, height } = it.getBoundingClientRect(), now = [x, y, width, height].join();
		const still = it.lastRectangle === now;
		it.lastRectangle = now;
		return still && it.contains(document.elementFromPoint(x + width / 2, y + height / 2));
	})()`, strconv.Quote(selector)), "true")
	p.Do(chromedp.Click(chromedp.CSS(selector)))
}

// Keys presses keys one after the other.
func (p *Page) Keys(keys string) {
	p.t.Helper()
	for _, r := range keys {
		events := kb.Encode(r)
		down, up := *events[0], *events[len(events)-1]
		if len(events) > 2 { // sent with the key, so the page can prevent the input
			down.Text, down.UnmodifiedText = events[1].Text, events[1].UnmodifiedText
		}
		for _, event := range []input.DispatchKeyEventParams{down, up} {
			if _, err := chromedp.Call(p.ctx, input.DispatchKeyEvent, event); err != nil {
				p.t.Fatalf("press %q: %v", r, err)
			}
		}
	}
}

// Insert inserts text at the focus, as if it was pasted.
func (p *Page) Insert(text string) {
	p.t.Helper()
	if _, err := chromedp.Call(p.ctx, input.InsertText, input.InsertTextParams{Text: text}); err != nil {
		p.t.Fatalf("insert %q: %v", text, err)
	}
}

// Looks takes a screenshot of the page. It marks the test as failed if [TooWide], [LowContrast], [Inaccessible] or
// [Covered] finds something.
func (p *Page) Looks(picture string) {
	p.t.Helper()
	p.Picture(picture)
	for what, expression := range map[string]string{
		"pixels wider than the window": TooWide, "low contrast": LowContrast, "inaccessible": Inaccessible,
		"covered controls": Covered,
	} {
		if got := p.Text(expression); got != "" && got != "0" {
			p.t.Errorf("%s: %s: got %s, want none", picture, what, got)
		}
	}
}

// LooksEverywhere is [Page.Looks] for the current state of the page in both color schemes and two widths. After that,
// the window is 1280 pixels wide, and the color scheme is light.
func (p *Page) LooksEverywhere(picture string) {
	p.t.Helper()
	for _, scheme := range []string{"dark", "light"} {
		p.Scheme(scheme)
		for _, width := range []int64{400, 1280} {
			p.Do(chromedp.EmulateViewport(width, 900))
			p.Looks(fmt.Sprintf("%s-%d-%s", picture, width, scheme))
		}
	}
}

// Picture takes a screenshot if SCREENSHOTS is set.
func (p *Page) Picture(name string) {
	p.t.Helper()
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	picture, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o600)
	}
	if err != nil {
		p.t.Errorf("take a screenshot: %v", err)
	}
}
