package chromium_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/userrequestapi/userdata/tests/chromium"
)

// failing keeps what a test would fail with.
type failing struct {
	testing.TB

	errors []string
}

func (f *failing) Errorf(format string, args ...any) {
	f.errors = append(f.errors, fmt.Sprintf(format, args...))
}

// TestOpen_HearsWhatIsAsked has pages ask others than their server: by themselves, and by a worker that they start.
func TestOpen_HearsWhatIsAsked(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a browser")
	}
	const ask = `fetch("http://elsewhere.test/asked").catch(() => 0).then(() => fetch("https://elsewhere.test/"))`
	for name, test := range map[string]struct {
		script string
		want   []string // part of each complaint; none: nothing is wrong
	}{
		"its own server": {`fetch("/asked").then(done)`, nil},
		"page":           {ask + `.catch(done)`, []string{"http://elsewhere.test/asked", "elsewhere.test:443"}},
		"worker": {
			"new Worker(URL.createObjectURL(new Blob([`" + ask + ".catch(() => postMessage(0))`]))).onmessage = done",
			[]string{"http://elsewhere.test/asked", "elsewhere.test:443"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html")
				_, _ = fmt.Fprintf(w, `<!doctype html><link rel="icon" href="data:,"><script>
					const done = () => { document.title = "done"; }
					%s
				</script>`, test.script)
			}))
			t.Cleanup(server.Close)
			f := &failing{TB: t}
			t.Cleanup(func() { // once the browser is closed
				told := strings.Join(f.errors, "\n")
				for _, want := range test.want {
					if !strings.Contains(told, "the page asked "+want) {
						t.Errorf("nothing is told of %s:\n%s", want, told)
					}
				}
				if test.want == nil && told != "" {
					t.Error(told)
				}
			})
			chromium.Open(f, server.URL+"/", "").Want("document.title", "done")
		})
	}
}
