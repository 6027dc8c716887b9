package deployment_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

const (
	poll  = 100 * time.Millisecond
	grace = 10 * time.Second // of the time of the test, to clean up
)

// checkLogs sees that the lines of the stage's requests are found, those of one of them by its id too.
func (c *checkout) checkLogs(api string) {
	c.t.Helper()
	status, _, body := c.call(api, http.MethodGet, "/users/nobody", "")
	if status != http.StatusNotFound {
		c.t.Fatalf("GET of nobody: %d %s", status, body)
	}
	// The account writes a function's lines some time after its answer.
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
			// Lambda's own lines have Lambda's id alone.
			one := c.must([]string{"REQUEST=" + l.RequestID}, "logs").stdout
			if n := strings.Count(one, "\n"); n != strings.Count(one, l.LambdaRequestID) || !strings.Contains(one, "END RequestId: "+l.LambdaRequestID) {
				c.t.Errorf("lines of the request %s:\n%s", l.RequestID, one)
			}
			return
		}
		if deadline, ok := c.t.Deadline(); ok && time.Until(deadline) < grace {
			c.t.Fatalf("no line about a user that is not there in:\n%s", r)
		}
	}
}
