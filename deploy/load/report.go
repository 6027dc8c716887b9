package load

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/userrequestapi/userdata/deploy/template"
	"github.com/userrequestapi/userdata/deploy/template/caller"
)

// Report is the result of a load.
type Report struct {
	URL          string    `json:"url"`
	Began        time.Time `json:"began"`
	Seconds      float64   `json:"seconds"` // until the last response
	Rate         int       `json:"rate"`    // requested, in requests per second
	AchievedRate float64   `json:"achievedRate"`
	Requests     int       `json:"requests"`
	Iterations   int       `json:"iterations"`
	Throttled    int       `json:"throttled"`
	CleanedUp    bool      `json:"cleanedUp"` // whether everything that the load created is deleted

	// Latencies are in milliseconds, of successful requests, from sending a request to the end of its response.
	Latency     *Latency       `json:"latency"` // nil if no request was successful
	Operations  []Operation    `json:"operations"`
	Histogram   []Bucket       `json:"histogram"`
	StatusCodes map[string]int `json:"statusCodes"` // also by the reason that there is no response
	Failures    []Failure      `json:"failures"`    // the most frequent first

	Functions []Function `json:"functions,omitempty"` // of a deployed stage, according to Lambda
}

// Latency has percentiles in milliseconds.
type Latency struct {
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// Operation has the results of one operation.
type Operation struct {
	Name     string   `json:"name"` // method and route
	Requests int      `json:"requests"`
	Failed   int      `json:"failed"`
	Latency  *Latency `json:"latency"` // nil if no request was successful
}

// Bucket is a range of latencies, FromMs ≤ latency < ToMs.
type Bucket struct {
	FromMs   float64 `json:"fromMs"`
	ToMs     float64 `json:"toMs,omitempty"` // 0 for no limit
	Requests int     `json:"requests"`
}

// Failure is a kind of unsuccessful request.
type Failure struct {
	Operation string `json:"operation"`
	Status    int    `json:"status"` // 0 if there is no response
	Code      string `json:"code"`   // of the problem document or of API Gateway, or why there is no response
	Requests  int    `json:"requests"`
	Advice    string `json:"advice"` // what it means and what to change
}

// Throttled reports whether the request was rejected because of its rate.
func (f Failure) Throttled() bool {
	return f.Status == http.StatusTooManyRequests || f.Status == http.StatusServiceUnavailable && f.Code != ""
}

// kind returns the status code, if there is one, and the code.
func (f Failure) kind() string {
	if f.Status == 0 {
		return f.Code
	}
	return strings.TrimSpace(fmt.Sprint(f.Status, " ", f.Code))
}

// Function has the durations of a function's invocations in milliseconds, according to Lambda.
type Function struct {
	Name        string  `json:"name"`
	Cold        bool    `json:"cold"` // with the initialization
	Invocations int     `json:"invocations"`
	Latency     Latency `json:"latency"`
}

// Text returns the report as text for people, without colors.
func (r *Report) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%d requests in %.1f s, %.0f of %d a second: %d iterations, %d failed, %d throttled\n",
		r.Requests, r.Seconds, r.AchievedRate, r.Rate, r.Iterations, r.failed(), r.Throttled)
	const accepted = 0.95 // of the rate
	if r.AchievedRate < accepted*float64(r.Rate) && r.Requests > 0 {
		fmt.Fprintf(&b, "The rate was not reached: this machine has no more CPU, or %d requests were in flight. "+
			"Lower RATE, or run the load on a larger machine.\n", maxInFlight)
	}
	r.writeOperations(&b)
	r.writeFunctions(&b)
	r.writeHistogram(&b)
	var codes []string
	for _, status := range slices.Sorted(maps.Keys(r.StatusCodes)) {
		codes = append(codes, fmt.Sprintf("%s: %d", status, r.StatusCodes[status]))
	}
	b.WriteString("\nStatus codes  " + strings.Join(codes, ", ") + "\n")
	r.writeFailures(&b)
	return strings.TrimRight(b.String(), "\n")
}

func (r *Report) failed() int {
	n := 0
	for _, o := range r.Operations {
		n += o.Failed
	}
	return n
}

// tableWidth is the least width of the first column.
const tableWidth = len("As the caller sees it")

// heading is the head of the tables with percentiles.
func heading(b *strings.Builder, width int, name, count, failed string) {
	fmt.Fprintf(b, "\n%-*s %9s %7s %9s %9s %9s %9s\n", width, name, count, failed, "p50 ms", "p90 ms", "p99 ms", "max ms")
}

func row(b *strings.Builder, width int, name string, count int, failed string, l *Latency) {
	fmt.Fprintf(b, "%-*s %9d %7s", width, name, count, failed)
	if l != nil {
		fmt.Fprintf(b, " %9.1f %9.1f %9.1f %9.1f", l.P50, l.P90, l.P99, l.Max)
	}
	b.WriteString("\n")
}

func (r *Report) writeOperations(b *strings.Builder) {
	const all = "all"
	width := tableWidth
	for _, o := range r.Operations {
		width = max(width, len(o.Name))
	}
	heading(b, width, "As the caller sees it", "requests", "failed")
	for _, o := range r.Operations {
		row(b, width, o.Name, o.Requests, strconv.Itoa(o.Failed), o.Latency)
	}
	if len(r.Operations) > 1 {
		row(b, width, all, r.Requests, strconv.Itoa(r.failed()), r.Latency)
	}
}

func (r *Report) writeFunctions(b *strings.Builder) {
	if len(r.Functions) == 0 {
		return
	}
	width := tableWidth
	for _, f := range r.Functions {
		width = max(width, len(f.Name))
	}
	heading(b, width, "In Lambda", "calls", "start")
	for _, f := range r.Functions {
		start := "warm"
		if f.Cold {
			start = "cold"
		}
		row(b, width, f.Name, f.Invocations, start, &f.Latency)
	}
}

// writeHistogram writes a bar for each bucket from the first to the last one that has requests.
func (r *Report) writeHistogram(b *strings.Builder) {
	const widest = 50 // columns of a bar
	first, last, most := -1, -1, 0
	for i, bucket := range r.Histogram {
		if bucket.Requests == 0 {
			continue
		}
		if first < 0 {
			first = i
		}
		last, most = i, max(most, bucket.Requests)
	}
	if first < 0 {
		return
	}
	fmt.Fprintf(b, "\n%16s %9s\n", "Latency", "requests")
	for _, bucket := range r.Histogram[first : last+1] {
		limits := fmt.Sprintf("%g to %g ms", bucket.FromMs, bucket.ToMs)
		if bucket.ToMs == 0 {
			limits = fmt.Sprintf("over %g ms", bucket.FromMs)
		}
		line := fmt.Sprintf("%16s %9d %s", limits, bucket.Requests, strings.Repeat("#", (bucket.Requests*widest+most-1)/most))
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}

func (r *Report) writeFailures(b *strings.Builder) {
	if len(r.Failures) == 0 {
		return
	}
	b.WriteString("\nFailures\n")
	explained := map[string]bool{}
	for _, f := range r.Failures {
		fmt.Fprintf(b, "%9d  %s: %s\n", f.Requests, f.Operation, f.kind())
		if f.Advice != "" && !explained[f.Advice] {
			explained[f.Advice] = true
			fmt.Fprintf(b, "%11s%s\n", "", f.Advice)
		}
	}
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.1f ms", inMilliseconds(d)) }

// advice says what a failure means and what to change.
func advice(f Failure, target Target) string {
	const limits = "the parameters ThrottlingRateLimit and ThrottlingBurstLimit of the stage"
	// Of the response for a function that failed or could not be invoked; the last is API Gateway's own error type.
	gatewayCodes := []string{"", "BadGateway", "InternalServerErrorException"}
	switch {
	case f.Status == 0:
		return noResponseAdvice(f.Code)
	case f.Status == http.StatusTooManyRequests && strings.HasPrefix(f.Code, "Quota"):
		return "the quota of the API key is used up: raise it in the usage plan, or wait for its next period"
	case f.Status == http.StatusTooManyRequests:
		return "API Gateway throttled the request: lower RATE, or raise " + limits +
			". The account and the Region have limits too (10,000 requests a second by default)"
	case f.Status == http.StatusUnauthorized && target.Caller.Authorization == template.AuthorizationCognito:
		return "the ID token is invalid or has expired: get a new one, and set TOKEN"
	case f.Status == http.StatusForbidden:
		return cmp.Or(target.Caller.ForbiddenHint(), "API Gateway rejected the caller")
	case f.Status == http.StatusServiceUnavailable && f.Code != "":
		return "the table throttled the function: a new on-demand table serves 4,000 writes and 12,000 reads a second, and " +
			"doubles within 30 minutes; increase RATE in steps, or set warm throughput"
	case f.Status == http.StatusGatewayTimeout:
		return "the function took longer than its timeout or API Gateway's 29 s: its log lines say where the time went"
	case f.Status == http.StatusInternalServerError && !slices.Contains(gatewayCodes, f.Code):
		return "the function responded with this error: its log lines have the cause"
	case f.Status >= http.StatusInternalServerError:
		return "the function failed, or Lambda had no free execution environment (concurrency quota of the account: 1,000, " +
			"of a new one 10; parameter ReservedConcurrency; setting CONCURRENCY of the local stack): the access log has the " +
			"cause in integrationError"
	case f.Status == http.StatusNotFound:
		return "the item that was created before does not exist: another client deleted it, or the read was not consistent"
	case f.Status == http.StatusBadRequest || f.Status == http.StatusUnprocessableEntity:
		return "the API rejected an item made from the example of the API document: see the response of the smoke test"
	default:
		return ""
	}
}

func noResponseAdvice(reason string) string {
	switch reason {
	case timedOut:
		return fmt.Sprintf("no response within %v: the network or this machine is overloaded; lower RATE", caller.Timeout)
	case refused:
		return "nothing listens at this address: the stack stopped, or cannot accept so many connections"
	case noAddress:
		return "the host name does not resolve: check the network, or wait until a new stage has propagated"
	case disconnected:
		return "the connection was closed before the response: the stack stopped, or a proxy closed it"
	case exhausted:
		return "this machine has no free ports or file descriptors: lower RATE, or raise ulimit -n"
	case unsigned:
		return "the request could not be signed: check the credentials, which may have expired"
	case untrusted:
		return "the certificate, perhaps of a proxy, is not trusted: set AWS_CA_BUNDLE to a file with its root certificate"
	case interrupted:
		return "the load was interrupted before the response"
	default:
		return "to see why, send a request to the same URL with curl"
	}
}
