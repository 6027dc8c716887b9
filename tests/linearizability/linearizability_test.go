// Package linearizability_test tests that responses are correct while the database fails. The history of each user
// must be linearizable: every request takes effect once, between its start and its end, as its response says.
package linearizability_test

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/check/unreliable"
	"github.com/userrequestapi/userdata/shared/user/usertest"
)

func TestMain(m *testing.M) {
	flag.Int("clients", 16, "number of concurrent clients")
	flag.Duration("duration", 5*time.Second, "duration of the workload")
	flag.Uint64("seed", 1, "seed for the random faults and requests")
	flag.Bool("kill", false, "also kill function processes")
	stacktest.Main(m, stacktest.Database, stacktest.Functions)
}

// workloadFromFlags returns the workload defined by the flags.
func workloadFromFlags() workload {
	value := func(name string) any { return flag.Lookup(name).Value.(flag.Getter).Get() }
	return workload{
		clients: value("clients").(int), duration: value("duration").(time.Duration),
		seed: value("seed").(uint64), kill: value("kill").(bool), faults: true,
	}
}

// TestLinearizable runs the workload defined by the flags; the default is a short one.
func TestLinearizable(t *testing.T) {
	t.Parallel()
	run(t, workloadFromFlags())
}

// TestLinearizable_All runs longer workloads in continuous integration.
//
//nolint:paralleltest // each run needs the whole machine
func TestLinearizable_All(t *testing.T) {
	testenv.SkipUnlessAll(t)
	for _, w := range []workload{
		{clients: 16, duration: 15 * time.Second, seed: 2, faults: true},
		{clients: 16, duration: 15 * time.Second, seed: 3, faults: true, kill: true},
	} {
		t.Run(fmt.Sprintf("seed %d, kill %t", w.seed, w.kill), func(t *testing.T) { run(t, w) })
	}
}

// TestLinearizable_NoFaults checks that no outcome is unknown without faults.
func TestLinearizable_NoFaults(t *testing.T) {
	t.Parallel()
	run(t, workload{clients: 8, duration: time.Second, seed: 4})
}

// randomFaults returns a function that returns a fault for 26 % of all calls. The function is safe for concurrent use.
func randomFaults(seed uint64) func(operation string) unreliable.Fault {
	perMille := map[unreliable.Fault]int{ // less for faults that take seconds
		unreliable.ResetBefore: 35, unreliable.ResetAfter: 35, unreliable.FailBefore: 35, unreliable.FailAfter: 35,
		unreliable.Truncate: 35, unreliable.Throttle: 35,
		unreliable.DropResponse: 12, unreliable.DelayResponse: 13, unreliable.DelayRequest: 13, unreliable.Ignore: 12,
	}
	var mu sync.Mutex
	source := rand.New(rand.NewPCG(seed, 0))
	return func(string) unreliable.Fault {
		mu.Lock()
		defer mu.Unlock()
		n := source.IntN(1000)
		for f := unreliable.None; f <= unreliable.DelayRequest; f++ { // in deterministic order, unlike the map
			if n -= perMille[f]; n < 0 {
				return f
			}
		}
		return unreliable.None
	}
}

type workload struct {
	clients      int
	duration     time.Duration
	seed         uint64
	faults, kill bool
}

// Few concurrent users make conflicts likely. Few requests per user keep the histories short enough to check.
const (
	usersAtOnce     = 4
	requestsPerUser = 40
)

// runner sends requests and records their histories.
type runner struct {
	stack *stacktest.TestStack
	began time.Time
	value atomic.Int64 // the last value sent

	mu        sync.Mutex                       // guards the fields below
	histories map[string][]porcupine.Operation // by user id
	current   []string                         // the ids of the current users
	statuses  map[string]int                   // number of responses by method and status code, for example "PUT 200"
	outcomes  map[int][]int                    // by value, the status codes of the requests that write it
	seen      map[int][]string                 // by value, the requests whose response contains it
}

func run(t *testing.T, w workload) {
	t.Helper()
	t.Logf("seed %d, %d clients, %v, faults %t, kill %t", w.seed, w.clients, w.duration, w.faults, w.kill)
	p := unreliable.NewDatabase(t)
	r := &runner{
		stack: stacktest.Start(t, p.With,
			stacktest.Parameters(map[string]string{"ReservedConcurrency": strconv.Itoa(w.clients)})),
		began:     time.Now(),
		histories: map[string][]porcupine.Operation{}, statuses: map[string]int{},
		outcomes: map[int][]int{}, seen: map[int][]string{},
	}
	for range usersAtOnce {
		r.current = append(r.current, "")
	}
	if w.faults {
		p.Fail(randomFaults(w.seed))
	}
	end := time.Now().Add(w.duration)
	var running sync.WaitGroup
	for i := range w.clients {
		running.Go(func() {
			source := rand.New(rand.NewPCG(w.seed, uint64(i)+1)) //nolint:gosec // reproducible
			c := &sender{runner: r, source: source, known: map[string]user{}}
			for time.Now().Before(end) {
				c.next(t)
			}
		})
	}
	if w.kill {
		running.Go(func() { r.killUntil(t, end, rand.New(rand.NewPCG(w.seed, 0))) })
	}
	running.Wait()
	p.Fail(nil)
	p.WaitDelayed()
	c := &sender{runner: r, known: map[string]user{}}
	for id := range r.histories {
		c.send(t, id, request{method: http.MethodGet})
	}
	r.check(t, w)
}

// killUntil kills a busy function process at regular intervals until end.
func (r *runner) killUntil(t *testing.T, end time.Time, source *rand.Rand) {
	ticker := time.NewTicker(250 * time.Millisecond)
	defer ticker.Stop()
	killed := 0
	for time.Now().Before(end) {
		<-ticker.C
		var busy []int
		for _, name := range r.stack.Functions {
			for _, e := range r.stack.Environments(name) {
				if e.Busy {
					busy = append(busy, e.PID)
				}
			}
		}
		if len(busy) == 0 {
			continue
		}
		slices.Sort(busy)
		if err := syscall.Kill(busy[source.IntN(len(busy))], syscall.SIGKILL); err == nil {
			killed++
		}
	}
	t.Logf("killed %d processes", killed)
	if killed == 0 {
		t.Error("got no busy process to kill, want some")
	}
}

// sender is a client that sends requests sequentially.
type sender struct {
	*runner
	source *rand.Rand
	known  map[string]user // as last seen by this client
	retry  *request        // the next request, with the same key as the previous one
	id     string          // the id of the user in retry
}

// next sends retry or a random request.
func (c *sender) next(t *testing.T) {
	if retry := c.retry; retry != nil {
		c.retry = nil
		c.send(t, c.id, *retry)
		return
	}
	id := c.user(c.source.IntN(usersAtOnce))
	req := request{}
	switch n := c.source.IntN(100); {
	case n < 25:
		req.method = http.MethodGet
	case n < 55:
		req.method = http.MethodPost
	case n < 85:
		req.method = http.MethodPut
	default:
		req.method = http.MethodDelete
	}
	if req.method == http.MethodPost || req.method == http.MethodPut {
		req.value = int(c.value.Add(1))
	}
	withHeader := c.source.IntN(2) == 0
	known, ok := c.known[id]
	switch {
	case req.method == http.MethodPost && withHeader:
		req.key = strconv.Itoa(req.value)
	case req.method != http.MethodGet && req.method != http.MethodPost && withHeader && ok:
		req.ifMatch = &known
	}
	if res := c.send(t, id, req); res.status == 0 && req.key != "" && c.source.IntN(2) == 0 {
		c.retry, c.id = &req, id
	}
}

// user returns the id of current user i. After requestsPerUser requests, a new user takes its place.
func (r *runner) user(i int) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if id := r.current[i]; id == "" || len(r.histories[id]) >= requestsPerUser {
		r.current[i] = fmt.Sprintf("user-%d", len(r.histories)+1)
		r.histories[r.current[i]] = nil
	}
	return r.current[i]
}

// send sends a request and adds it to the history of the user.
func (c *sender) send(t *testing.T, id string, req request) result {
	path, headers := "/users/"+id, stacktest.Headers{}
	body := usertest.Body(t, fmt.Sprintf(`{"userId":%q,"value":%d}`, id, req.value))
	switch req.method {
	case http.MethodPost:
		path = "/users"
		if req.key != "" {
			headers["Idempotency-Key"] = req.key
		}
	case http.MethodGet, http.MethodDelete:
		body = ""
	}
	if req.ifMatch != nil {
		headers["If-Match"] = req.ifMatch.etag
	}
	call := time.Since(c.began)
	response := c.stack.Do(t, req.method, path, body, headers)
	returned := time.Since(c.began)

	res := result{status: response.Status, replayed: response.Header.Get("Idempotent-Replayed") == "true"}
	switch response.Status {
	case http.StatusOK, http.StatusCreated:
		var content struct {
			Value int `json:"value"`
		}
		if err := json.Unmarshal(response.Body, &content); err != nil {
			t.Errorf("%s %s: got %s, error %v, want a user", req.method, path, response.Body, err)
		}
		res.user = user{exists: true, value: content.Value, etag: response.Header.Get("Etag")}
		c.known[id] = res.user
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusGatewayTimeout, 0:
		res.status = 0
	}
	c.record(id, req, res, call, returned, response.Status)
	return res
}

// noReturn is the end of a request with an unknown outcome, which may still take effect.
const noReturn = math.MaxInt64

// record adds a request to the history of the user.
func (r *runner) record(id string, req request, res result, call, returned time.Duration, status int) {
	name := req.method
	if req.key != "" {
		name += " with a key"
	}
	if req.ifMatch != nil {
		name += " with If-Match"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.statuses[fmt.Sprintf("%s %d", name, status)]++
	if req.value != 0 {
		r.outcomes[req.value] = append(r.outcomes[req.value], status)
	}
	if res.user.exists {
		r.seen[res.user.value] = append(r.seen[res.user.value], fmt.Sprintf("%s %s at %v", name, id, returned))
	}
	add := func(res result, until int64) {
		r.histories[id] = append(r.histories[id], porcupine.Operation{
			ClientId: len(r.histories[id]), Input: req, Output: res, Call: int64(call), Return: until,
		})
	}
	switch {
	case status == http.StatusServiceUnavailable, req.method == http.MethodGet && res.status == 0: // no effect, no state
	case res.status == 0:
		add(res, noReturn)
	case res.replayed: // a create with an unknown outcome, and a read
		add(result{}, int64(returned))
		add(res, int64(returned))
	default:
		add(res, int64(returned))
	}
}

// check checks that each history is linearizable, and that no response contains a value of a refused request.
func (r *runner) check(t *testing.T, w workload) {
	t.Helper()
	r.report(t, w)
	for value, statuses := range r.outcomes {
		refused := !slices.ContainsFunc(statuses, func(status int) bool {
			return status < 400 || status >= 500 && status != http.StatusServiceUnavailable
		})
		if seen := r.seen[value]; refused && len(seen) > 0 {
			t.Errorf("value %d: refused with %v, want no response with it, got %v", value, statuses, seen)
		}
	}
	if len(r.histories) == 0 {
		t.Error("got no histories, want some")
	}
	model := newModel()
	for id, history := range r.histories {
		result, info := porcupine.CheckOperationsVerbose(model, history, time.Minute)
		if result == porcupine.Ok {
			continue
		}
		name := fmt.Sprintf("linearizability-seed-%d-%s-*.html", w.seed, id)
		file, err := os.CreateTemp("", name) //nolint:usetesting // kept after the test
		if err == nil {
			err = porcupine.Visualize(model, info, file)
			err = cmp.Or(err, file.Close())
		}
		if err != nil {
			t.Errorf("write history of %s: %v", id, err)
			continue
		}
		verdict := map[porcupine.CheckResult]string{porcupine.Illegal: "not", porcupine.Unknown: "not known to be"}[result]
		t.Errorf("seed %d: history of %s (%d requests) is %s linearizable, want linearizable: see %s",
			w.seed, id, len(history), verdict, file.Name())
		var lines strings.Builder
		for _, o := range history {
			fmt.Fprintf(&lines, "%v %v → %v\n",
				time.Duration(o.Call), time.Duration(o.Return), model.DescribeOperation(o.Input, o.Output))
		}
		_, _ = io.WriteString(t.Output(), lines.String())
	}
}

// report logs the number of responses by status code, and the share of unknown outcomes.
func (r *runner) report(t *testing.T, w workload) {
	t.Helper()
	writes, unknown, all := 0, 0, 0
	for name, n := range r.statuses {
		all += n
		if strings.HasPrefix(name, http.MethodGet) {
			continue
		}
		writes += n
		if status := name[len(name)-3:]; status[0] == '5' && status != "503" {
			unknown += n
		}
	}
	var lines strings.Builder
	for _, name := range slices.Sorted(maps.Keys(r.statuses)) {
		fmt.Fprintf(&lines, "  %s: %d\n", name, r.statuses[name])
	}
	t.Logf("%d requests, %d users; the outcome of %d of %d writes is unknown (%.1f %%)\n%s",
		all, len(r.histories), unknown, writes, 100*float64(unknown)/float64(max(writes, 1)), &lines)
	switch {
	case !w.faults && unknown > 0:
		t.Errorf("got %d unknown outcomes, want none without faults", unknown)
	case w.faults && unknown == 0:
		t.Error("got no unknown outcome, want some with faults: check that the faults reach the functions")
	}
}
