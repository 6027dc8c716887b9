package chromium_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/userrequestapi/userdata/deploy/tests/chromium"
)

// failing records the errors of a test.
type failing struct {
	testing.TB

	errors []string
}

func (f *failing) Errorf(format string, args ...any) {
	f.errors = append(f.errors, fmt.Sprintf(format, args...))
}

// TestOpen_RecordsForeignRequests checks that requests of a page and of its worker to other servers are reported.
func TestOpen_RecordsForeignRequests(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a browser")
	}
	const ask = `fetch("http://elsewhere.test/asked").catch(() => 0).then(() => fetch("https://elsewhere.test/"))`
	for name, test := range map[string]struct {
		script string
		want   []string // substring of each error; none: no error
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
			t.Cleanup(func() { // after the browser is closed
				reported := strings.Join(f.errors, "\n")
				for _, want := range test.want {
					if !strings.Contains(reported, "request to another server, "+want) {
						t.Errorf("got errors %s, want one about %s", reported, want)
					}
				}
				if test.want == nil && reported != "" {
					t.Errorf("got errors %s, want none", reported)
				}
			})
			chromium.Open(f, server.URL+"/", "").Want("document.title", "done")
		})
	}
}
