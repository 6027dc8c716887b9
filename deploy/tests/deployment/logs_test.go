package deployment_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
)

const poll = 100 * time.Millisecond

// checkLogs checks that the logs target finds the lines of the stage's requests, and those of one request by its id.
func (c *checkout) checkLogs(api string) {
	c.t.Helper()
	status, _, body := c.call(api, http.MethodGet, "/users/nobody", "")
	if status != http.StatusNotFound {
		c.t.Fatalf("GET of an unknown user: got %d %s, want 404", status, body)
	}
	ctx, cancel := testenv.WithDeadline(c.t.Context(), c.t)
	defer cancel()
	// The account writes a function's lines some time after the response.
	for ; ; time.Sleep(poll) {
		r := c.must([]string{"FUNCTION=get", "LIMIT=50"}, "logs")
		for line := range strings.Lines(r.stdout) {
			var l struct{ ErrorCode, RequestID, LambdaRequestID string }
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				c.t.Fatalf("%v in %s", err, line)
			}
			if l.ErrorCode != "UserNotFound" {
				continue
			}
			// Lambda's own lines have only Lambda's request id.
			one := c.must([]string{"REQUEST=" + l.RequestID}, "logs").stdout
			if n := strings.Count(one, "\n"); n != strings.Count(one, l.LambdaRequestID) ||
				!strings.Contains(one, "END RequestId: "+l.LambdaRequestID) {
				c.t.Errorf("request %s: want only its lines, up to END, got\n%s", l.RequestID, one)
			}
			return
		}
		if ctx.Err() != nil {
			c.t.Fatalf("want a line about an unknown user, got\n%s", r)
		}
	}
}
