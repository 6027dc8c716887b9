package load_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/load"
)

func TestReport_Text(t *testing.T) {
	t.Parallel()
	report := load.Report{
		Seconds: 10.02, Rate: 100, AchievedRate: 80.4, Requests: 804, Iterations: 310, Throttled: 4,
		Latency: &load.Latency{P50: 2.5, P90: 5, P99: 12.34, Max: 100},
		Operations: []load.Operation{
			{Name: "POST /things", Requests: 600, Failed: 4, Latency: &load.Latency{P50: 3, P90: 6, P99: 20, Max: 100}},
			{Name: "GET /things", Requests: 204, Latency: &load.Latency{P50: 2, P90: 3, P99: 4, Max: 5}},
		},
		Histogram: []load.Bucket{
			{ToMs: 1}, {FromMs: 1, ToMs: 2, Requests: 400}, {FromMs: 2, ToMs: 5}, {FromMs: 5, ToMs: 10, Requests: 8}, {FromMs: 10},
		},
		StatusCodes: map[string]int{"200": 800, "429": 4},
		Failures: []load.Failure{
			{Operation: "POST /things", Status: 429, Code: "Throttled", Requests: 3, Advice: "lower RATE"},
			{Operation: "POST /things", Code: "timeout", Requests: 1},
		},
		Functions: []load.Function{
			{Name: "things-post", Cold: true, Invocations: 3, Latency: load.Latency{P50: 30, P90: 40, P99: 41, Max: 41}},
			{Name: "things-post", Invocations: 597, Latency: load.Latency{P50: 2, P90: 3, P99: 9, Max: 12}},
		},
	}
	const want = `
804 requests in 10.0 s, 80 of 100 a second: 310 iterations, 4 failed, 4 throttled
The rate was not reached: this machine has no more CPU, or 500 requests were in flight. Lower RATE, or run the load on a larger machine.

As the caller sees it  requests  failed    p50 ms    p90 ms    p99 ms    max ms
POST /things                600       4       3.0       6.0      20.0     100.0
GET /things                 204       0       2.0       3.0       4.0       5.0
all                         804       4       2.5       5.0      12.3     100.0

In Lambda                 calls   start    p50 ms    p90 ms    p99 ms    max ms
things-post                   3    cold      30.0      40.0      41.0      41.0
things-post                 597    warm       2.0       3.0       9.0      12.0

         Latency  requests
       1 to 2 ms       400 ##################################################
       2 to 5 ms         0
      5 to 10 ms         8 #

Status codes  200: 800, 429: 4

Failures
        3  POST /things: 429 Throttled
           lower RATE
        1  POST /things: timeout`
	if diff := cmp.Diff(want, report.Text()); diff != "" {
		t.Errorf("Text (-want +got):\n%s", diff)
	}
}
