package scratch_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/userrequestapi/userdata/deploy/tests/chromium"
)

func TestShots(t *testing.T) {
	base := os.Getenv("BASE")
	p := chromium.Open(t, base, "")
	p.Allow("status of")
	for _, l := range []struct {
		w int64
		s string
	}{{400, "light"}, {1280, "dark"}} {
		for name, path := range map[string]string{"home": "", "traces": "_local/traces", "trace400": "_local/traces/" + os.Getenv("T1"), "items": "_local/data/users", "item": "_local/data/users#num38", "compare": "_local/compare?a=" + os.Getenv("T1") + "&b=" + os.Getenv("T2"), "map": "_local/map", "logs": "_local/logs", "docs": "_local/docs/", "bad": "_local/traces/1-00000000-000000000000000000000004"} {
			p.Scheme(l.s)
			p.Do(chromedp.EmulateViewport(l.w, 900), chromedp.Navigate(base+path))
			time.Sleep(700 * time.Millisecond)
			p.Looks(fmt.Sprintf("%s-%d", name, l.w))
			fmt.Println(name, l.w, p.Text(`document.documentElement.scrollWidth`), p.Text(`performance.getEntriesByName("first-contentful-paint")[0]?.startTime`))
		}
	}
}
