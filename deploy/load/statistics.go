package load

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// statistics collects the results. Its methods are safe for concurrent use.
type statistics struct {
	options Options
	began   time.Time

	mu         sync.Mutex
	ended      time.Time
	requests   int
	operations map[string]*operationStatistics
	order      []string // of operations, as they began
	all        vegeta.LatencyMetrics
	histogram  vegeta.Histogram
	status     map[string]int // by status code, or the reason that there is no response
	failures   map[Failure]int
}

// operationStatistics are the results of one operation. Latencies are those of successful requests only: a request that
// is throttled fails fast.
type operationStatistics struct {
	requests, failed int
	latencies        vegeta.LatencyMetrics
}

func newStatistics(options Options) *statistics {
	return &statistics{
		options: options, began: time.Now(),
		operations: map[string]*operationStatistics{}, status: map[string]int{}, failures: map[Failure]int{},
		histogram: vegeta.Histogram{Buckets: buckets()},
	}
}

// buckets returns the lower bounds of the histogram's buckets.
func buckets() vegeta.Buckets {
	bounds := vegeta.Buckets{0}
	for decade := time.Millisecond; decade <= 10*time.Second; decade *= 10 {
		bounds = append(bounds, decade, 2*decade, 5*decade)
	}
	return bounds
}

// add adds a result.
func (s *statistics) add(c call, result *vegeta.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := c.operation()
	operation := s.operations[name]
	if operation == nil {
		operation = &operationStatistics{}
		s.operations[name], s.order = operation, append(s.order, name)
	}
	s.requests++
	operation.requests++
	status := int(result.Code)
	key := strconv.Itoa(status)
	if status == 0 {
		key = noResponse(result.Error)
	}
	s.status[key]++
	if isSuccess(status) {
		operation.latencies.Add(result.Latency)
		s.all.Add(result.Latency)
		s.histogram.Add(result)
		return
	}
	operation.failed++
	failure := Failure{Operation: name, Status: status, Code: key}
	if status != 0 {
		failure.Code = code(result)
	}
	s.failures[failure]++
}

// isSuccess reports whether a status code, 0 for no response, means success.
func isSuccess(status int) bool {
	return status >= http.StatusOK && status < http.StatusMultipleChoices
}

// code returns the code of a problem document, or else API Gateway's error type, or "".
func code(result *vegeta.Result) string {
	var problem struct{ Code string }
	if json.Unmarshal(result.Body, &problem) == nil && problem.Code != "" {
		return problem.Code
	}
	return result.Headers.Get("X-Amzn-Errortype")
}

// Why a request has no response. vegeta keeps only the text of an error.
const (
	timedOut     = "timeout"
	refused      = "connection refused"
	noAddress    = "unknown host"
	disconnected = "connection closed"
	exhausted    = "no free port or file"
	unsigned     = "not signed"
	untrusted    = "untrusted certificate"
	interrupted  = "interrupted"
	otherError   = "no response"
)

// noResponse returns the reason for an error.
func noResponse(message string) string {
	for _, cause := range []struct{ part, reason string }{
		{"deadline exceeded", timedOut},
		{"timeout", timedOut},
		{"connection refused", refused},
		{"no such host", noAddress},
		{"cannot assign requested address", exhausted},
		{"too many open files", exhausted},
		{"connection reset", disconnected},
		{"broken pipe", disconnected},
		{"EOF", disconnected},
		{"sign: ", unsigned},
		{"x509: ", untrusted},
		{"context canceled", interrupted},
	} {
		if strings.Contains(message, cause.part) {
			return cause.reason
		}
	}
	return otherError
}

// unsent reports whether a request without a response for this reason has had no effect.
func unsent(reason string) bool {
	return slices.Contains([]string{refused, noAddress, exhausted, unsigned, untrusted}, reason)
}

// end records the end of the load.
func (s *statistics) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = time.Now()
}

// lines describes the current state.
func (s *statistics) lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	elapsed := time.Since(s.began)
	line := fmt.Sprintf("    %v of %v: %d requests, %.0f a second", min(elapsed, s.options.Duration).Round(time.Second),
		s.options.Duration, s.requests, float64(s.requests)/elapsed.Seconds())
	if s.all.Max > 0 {
		line += fmt.Sprintf(", p50 %s, p99 %s", milliseconds(s.all.Quantile(0.5)), milliseconds(s.all.Quantile(0.99)))
	}
	if failed := s.requests - s.succeeded(); failed > 0 {
		line += fmt.Sprintf(", %d failed", failed)
	}
	return []string{line}
}

// report returns the result of the load.
func (s *statistics) report(target Target, m *mix) *Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &Report{
		URL: target.URL, Rate: s.options.Rate, Began: s.began.UTC(), Seconds: s.ended.Sub(s.began).Seconds(),
		Requests: s.requests, StatusCodes: s.status, Failures: []Failure{},
	}
	m.mu.Lock()
	r.Iterations = m.iterations
	m.mu.Unlock()
	// A request is sent at the beginning of its interval, the last one an interval before the end.
	if sending := min(r.Seconds, s.options.Duration.Seconds()); sending > 0 {
		r.AchievedRate = float64(s.requests) / sending
	}
	for _, name := range s.order {
		o := s.operations[name]
		r.Operations = append(r.Operations, Operation{
			Name: name, Requests: o.requests, Failed: o.failed, Latency: latency(&o.latencies, o.requests-o.failed),
		})
	}
	r.Latency = latency(&s.all, s.succeeded())
	for i, n := range s.histogram.Counts {
		bucket := Bucket{FromMs: inMilliseconds(s.histogram.Buckets[i]), Requests: int(n)} //nolint:gosec // of the same run
		if i+1 < len(s.histogram.Buckets) {
			bucket.ToMs = inMilliseconds(s.histogram.Buckets[i+1])
		}
		r.Histogram = append(r.Histogram, bucket)
	}
	for f, n := range s.failures {
		f.Requests, f.Advice = n, advice(f, target)
		r.Failures = append(r.Failures, f)
		if f.Throttled() {
			r.Throttled += n
		}
	}
	slices.SortFunc(r.Failures, func(a, b Failure) int {
		return cmp.Or(b.Requests-a.Requests, a.Status-b.Status, cmp.Compare(a.Code, b.Code),
			cmp.Compare(a.Operation, b.Operation))
	})
	return r
}

func (s *statistics) succeeded() int {
	n := 0
	for o := range maps.Values(s.operations) {
		n += o.requests - o.failed
	}
	return n
}

// latency returns the percentiles, or nil without requests.
func latency(m *vegeta.LatencyMetrics, requests int) *Latency {
	if requests == 0 {
		return nil
	}
	return &Latency{
		P50: inMilliseconds(m.Quantile(0.5)), P90: inMilliseconds(m.Quantile(0.9)),
		P99: inMilliseconds(m.Quantile(0.99)), Max: inMilliseconds(m.Max),
	}
}

func inMilliseconds(d time.Duration) float64 {
	return float64(d.Round(10*time.Microsecond)) / float64(time.Millisecond)
}
