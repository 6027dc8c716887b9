// Package chromium opens pages in a browser, for tests that use them as people do. SCREENSHOTS names a folder that gets the pictures
// which tests take.
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

// executable returns the path of a browser. Without one it skips the test, but not in CI, which must have one.
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
	const missing = "no Chromium or Chrome was found: install one, such as the package chromium, to run the tests of the pages"
	if os.Getenv("CI") != "" {
		tb.Fatal(missing)
	}
	tb.Skip(missing)
	return ""
}

// Page is a page in a browser of its own, in which nothing is wrong: the test fails where the page complains in the console, or
// anything that it starts, asks anything but its own server.
type Page struct {
	t   testing.TB
	ctx context.Context //nolint:containedctx // the page is one: chromedp keeps its state in it

	mu         sync.Mutex
	allowed    string // what the browser may complain of: part of its words
	complaints []string
	foreign    []string
}

// Open starts a browser at an address, such as "_local/traces", below base, where all that the page asks for must be. The window is
// 1280 pixels wide and 900 high. The browser is closed when the test ends.
func Open(tb testing.TB, base, address string) *Page {
	tb.Helper()
	p := &Page{t: tb}
	elsewhere := httptest.NewServer(http.HandlerFunc(p.refuse))
	tb.Cleanup(elsewhere.Close)
	flags := append([]chromedp.ExecAllocatorOption{}, chromedp.DefaultExecAllocatorOptions[:]...)
	flags = append(flags, chromedp.ExecPath(executable(tb)),
		chromedp.NoSandbox, // which containers do not allow, and which pages of our own do not need
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"), // for the browser itself
		chromedp.DisableGPU, chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-features", "Translate,AutofillServerCommunication"), // which would tell others of the page's fields
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
		for _, complaint := range p.complaints {
			tb.Errorf("in the console: %s", complaint)
		}
		for _, url := range p.foreign {
			tb.Errorf("the page asked %s", url)
		}
	})
	if err := chromedp.ListenBrowser(browser, func(any) {}); err != nil {
		tb.Fatalf("start the browser: %v", err)
	}
	// A context of its own, as what the browser itself asks its maker for is none of the page's.
	p.ctx, _ = chromedp.NewContext(browser, chromedp.WithNewBrowserContext(
		func(params *target.CreateBrowserContextParams) { params.ProxyServer = elsewhere.URL }))
	if err := chromedp.Listen(p.ctx, func(event any) { p.heard(base, event) }); err != nil {
		tb.Fatalf("open a page: %v", err)
	}
	p.focus()
	p.Do(chromedp.EmulateViewport(1280, 900), chromedp.Navigate(base+address))
	return p
}

// refuse is a proxy that leaves the browser nothing but this machine, and keeps what it asks for. It hears of what workers ask too.
func (p *Page) refuse(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.foreign = append(p.foreign, r.RequestURI)
	w.WriteHeader(http.StatusForbidden)
}

// heard keeps what is wrong.
func (p *Page) heard(base string, event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch event := event.(type) {
	case *runtime.EventExceptionThrown:
		p.complain((&chromedp.ExceptionError{ExceptionDetails: event.ExceptionDetails}).Error())
	case *runtime.EventConsoleAPICalled:
		var words []string
		for _, arg := range event.Args {
			words = append(words, string(arg.Value)+arg.Description)
		}
		p.complain(strings.Join(words, " "))
	case *log.EventEntryAdded:
		p.complain(event.Entry.Text + " " + event.Entry.URL)
	case *network.EventRequestWillBeSent:
		url := event.Request.URL
		if !strings.HasPrefix(url, base) && !strings.HasPrefix(url, "data:") && !strings.HasPrefix(url, "blob:") { // which ask nobody
			p.foreign = append(p.foreign, url)
		}
	}
}

// complain keeps a complaint, but for what the test is about.
func (p *Page) complain(complaint string) {
	if p.allowed == "" || !strings.Contains(complaint, p.allowed) {
		p.complaints = append(p.complaints, complaint)
	}
}

// Allow has the page complain of what the test is about, such as "status of 404".
func (p *Page) Allow(complaint string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.allowed = complaint
}

// focus has the page behave as that in front of the user.
func (p *Page) focus() {
	p.t.Helper()
	focus := emulation.SetFocusEmulationEnabledParams{Enabled: true}
	if _, err := chromedp.Call(p.ctx, emulation.SetFocusEmulationEnabled, focus); err != nil {
		p.t.Fatalf("focus the page: %v", err)
	}
}

// Scheme has the page prefer the colour scheme dark or light.
func (p *Page) Scheme(name string) {
	p.t.Helper()
	_, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: name}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
	if err != nil {
		p.t.Fatalf("prefer %s: %v", name, err)
	}
}

// Do has the browser do things.
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

// Text returns what a JavaScript expression says as a string.
func (p *Page) Text(expression string) string {
	p.t.Helper()
	ctx, cancel := testenv.WithDeadline(p.ctx, p.t)
	defer cancel()
	text, err := p.evaluate(ctx, expression)
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return text
}

// Want waits until a JavaScript expression says what it should. On the way from one page to the next there is nobody to ask.
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
			p.t.Fatalf("%s is\n%s (%v), want\n%s; on the page:\n%s", expression, got, err, want, page)
		}
	}
}

// Sees waits until an element that the CSS selector finds is in sight and has the text.
func (p *Page) Sees(selector, text string) {
	p.t.Helper()
	p.Want(fmt.Sprintf("[...document.querySelectorAll(%s)].some((it) => it.checkVisibility() && it.textContent.includes(%s))",
		strconv.Quote(selector), strconv.Quote(text)), "true")
}

// Click clicks the first element that the CSS selector finds, once it is there, has stopped moving, and nothing covers it: the browser is
// given a point, which must still be in the element when it comes to the click.
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

// Keys presses keys one after the other, wherever the focus is.
func (p *Page) Keys(keys string) {
	p.t.Helper()
	for _, r := range keys {
		events := kb.Encode(r)
		down, up := *events[0], *events[len(events)-1]
		if len(events) > 2 { // the text goes with the key, so that none is entered where the page takes the key for itself
			down.Text, down.UnmodifiedText = events[1].Text, events[1].UnmodifiedText
		}
		for _, event := range []input.DispatchKeyEventParams{down, up} {
			if _, err := chromedp.Call(p.ctx, input.DispatchKeyEvent, event); err != nil {
				p.t.Fatalf("press %q: %v", r, err)
			}
		}
	}
}

// Insert enters a text where the focus is, all at once, as when it is pasted.
func (p *Page) Insert(text string) {
	p.t.Helper()
	if _, err := chromedp.Call(p.ctx, input.InsertText, input.InsertTextParams{Text: text}); err != nil {
		p.t.Fatalf("insert %q: %v", text, err)
	}
}

// Looks writes a picture of the page for people to look at, and fails the test where the page is wider than its window, where a text
// is too pale, or where a control has no name.
func (p *Page) Looks(picture string) {
	p.t.Helper()
	p.Picture(picture)
	for what, expression := range map[string]string{"beyond the window": TooWide, "pale": Pale, "nameless": Nameless} {
		if got := p.Text(expression); got != "" && got != "0" {
			p.t.Errorf("%s: %s: %s", picture, what, got)
		}
	}
}

// Picture writes a picture of the page for people to look at.
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
		p.t.Errorf("take a picture: %v", err)
	}
}
