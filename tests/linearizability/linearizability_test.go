// Package linearizability_test tests that what clients are told is what happened: while the database fails in every way, each
// history of a user has an order in which every request took effect once, between its start and its end, as its response says.
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

	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/tests/stacktest"
	"github.com/userrequestapi/userdata/tests/unreliable"
)

func TestMain(m *testing.M) {
	flag.Int("clients", 16, "the number of clients at once")
	flag.Duration("duration", 5*time.Second, "how long the clients send requests")
	flag.Uint64("seed", 1, "the seed of the faults and the requests")
	flag.Bool("kill", false, "also kill processes of functions")
	stacktest.Main(m, stacktest.Database, stacktest.Functions)
}

// flagged returns the workload that the flags describe.
func flagged() workload {
	value := func(name string) any { return flag.Lookup(name).Value.(flag.Getter).Get() }
	return workload{
		clients: value("clients").(int), duration: value("duration").(time.Duration),
		seed: value("seed").(uint64), kill: value("kill").(bool), faults: true,
	}
}

// TestLinearizable is the short run, or the one that the flags describe.
func TestLinearizable(t *testing.T) {
	t.Parallel()
	run(t, flagged())
}

// TestLinearizable_All is the run of continuous integration.
//
//nolint:paralleltest // each run takes the whole machine
func TestLinearizable_All(t *testing.T) {
	testenv.SkipUnlessAll(t)
	for _, w := range []workload{
		{clients: 16, duration: 15 * time.Second, seed: 2, faults: true},
		{clients: 16, duration: 15 * time.Second, seed: 3, faults: true, kill: true},
	} {
		t.Run(fmt.Sprintf("seed %d, kill %t", w.seed, w.kill), func(t *testing.T) { run(t, w) })
	}
}

// TestLinearizable_NoFaults sees that no outcome is unknown unless something fails.
func TestLinearizable_NoFaults(t *testing.T) {
	t.Parallel()
	run(t, workload{clients: 8, duration: time.Second, seed: 4})
}

// chooseFaults returns a function that chooses faults for 26 % of all calls. It can be called from several goroutines.
func chooseFaults(seed uint64) func(operation string) unreliable.Fault {
	mix := map[unreliable.Fault]int{ // in thousandths; those that take seconds are rarer
		unreliable.ResetBefore: 35, unreliable.Reset: 35, unreliable.FailBefore: 35, unreliable.FailAfter: 35,
		unreliable.Cut: 35, unreliable.Throttle: 35,
		unreliable.Withhold: 12, unreliable.Delay: 13, unreliable.Late: 13, unreliable.Ignore: 12,
	}
	var mu sync.Mutex
	source := rand.New(rand.NewPCG(seed, 0))
	return func(string) unreliable.Fault {
		mu.Lock()
		defer mu.Unlock()
		n := source.IntN(1000)
		for f := unreliable.None; f <= unreliable.Late; f++ { // in an order that is the same each time
			if n -= mix[f]; n < 0 {
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

// Few users at once make requests collide; few requests for each keep its history short enough to check.
const (
	usersAtOnce     = 4
	requestsPerUser = 40
)

// runner sends requests and keeps their histories.
type runner struct {
	stack *stacktest.Stack
	began time.Time
	value atomic.Int64 // the last one

	mu        sync.Mutex // guards what follows
	histories map[string][]porcupine.Operation
	current   []string
	statuses  map[string]int   // "PUT 200" and how often
	outcomes  map[int][]int    // the statuses of the requests that write a value
	seen      map[int][]string // the requests whose response has a value
}

func run(t *testing.T, w workload) {
	t.Helper()
	t.Logf("seed %d, %d clients, %v, faults %t, kill %t", w.seed, w.clients, w.duration, w.faults, w.kill)
	p := unreliable.NewDatabase(t)
	r := &runner{
		stack:     stacktest.Start(t, p.With, stacktest.Parameters(map[string]string{"ReservedConcurrency": strconv.Itoa(w.clients)})),
		began:     time.Now(),
		histories: map[string][]porcupine.Operation{}, statuses: map[string]int{},
		outcomes: map[int][]int{}, seen: map[int][]string{},
	}
	for range usersAtOnce {
		r.current = append(r.current, "")
	}
	if w.faults {
		p.Fail(chooseFaults(w.seed))
	}
	end := time.Now().Add(w.duration)
	var running sync.WaitGroup
	for i := range w.clients {
		running.Go(func() {
			c := &sender{runner: r, source: rand.New(rand.NewPCG(w.seed, uint64(i)+1)), known: map[string]user{}} //nolint:gosec // repeatable
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
	p.Settle()
	c := &sender{runner: r, known: map[string]user{}}
	for id := range r.histories {
		c.send(t, id, request{method: http.MethodGet})
	}
	r.check(t, w)
}

// killUntil kills a process of a function that is busy, again and again.
func (r *runner) killUntil(t *testing.T, end time.Time, source *rand.Rand) {
	ticker := time.NewTicker(250 * time.Millisecond)
	defer ticker.Stop()
	killed := 0
	for time.Now().Before(end) {
		<-ticker.C
		var busy []int
		for _, name := range r.stack.Functions {
			for _, e := range r.stack.Host.Environments(name) {
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
		t.Error("no process was busy, so that none was killed")
	}
}

// sender sends one request after the other.
type sender struct {
	*runner
	source *rand.Rand
	known  map[string]user // as it last saw them
	again  *request        // to be sent with its key once more
	id     string          // of the user of again
}

// next sends a request at random.
func (c *sender) next(t *testing.T) {
	if again := c.again; again != nil {
		c.again = nil
		c.send(t, c.id, *again)
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
	other := c.source.IntN(2) == 0
	known, knows := c.known[id]
	switch {
	case req.method == http.MethodPost && other:
		req.key = strconv.Itoa(req.value)
	case req.method != http.MethodGet && req.method != http.MethodPost && other && knows:
		req.ifMatch = &known
	}
	if res := c.send(t, id, req); res.status == 0 && req.key != "" && c.source.IntN(2) == 0 {
		c.again, c.id = &req, id
	}
}

// user returns the id of one of the current users, which is replaced after requestsPerUser.
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
	var body string
	switch req.method {
	case http.MethodPost:
		path, body = "/users", fmt.Sprintf(`{"userId":%q,"value":%d}`, id, req.value)
		if req.key != "" {
			headers["Idempotency-Key"] = req.key
		}
	case http.MethodPut:
		body = fmt.Sprintf(`{"value":%d}`, req.value)
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
			t.Errorf("%s %s: %v: %s", req.method, path, err, response.Body)
		}
		res.user = user{exists: true, value: content.Value, etag: response.Header.Get("Etag")}
		c.known[id] = res.user
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusGatewayTimeout, 0:
		res.status = 0
	}
	c.record(id, req, res, call, returned, response.Status)
	return res
}

// never is the end of a request whose outcome is unknown: it may still take effect.
const never = math.MaxInt64

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
	case status == http.StatusServiceUnavailable, req.method == http.MethodGet && res.status == 0: // it says nothing of the user
	case res.status == 0:
		add(res, never)
	case res.replayed: // the request created the user, or one before it with the key did; then the user was read
		add(result{}, int64(returned))
		add(res, int64(returned))
	default:
		add(res, int64(returned))
	}
}

// check fails the test unless each history is linearizable, and what was refused was never seen.
func (r *runner) check(t *testing.T, w workload) {
	t.Helper()
	r.report(t, w)
	for value, statuses := range r.outcomes {
		refused := !slices.ContainsFunc(statuses, func(status int) bool {
			return status < 400 || status >= 500 && status != http.StatusServiceUnavailable
		})
		if seen := r.seen[value]; refused && len(seen) > 0 {
			t.Errorf("the value %d was refused with %v, and was seen by %v", value, statuses, seen)
		}
	}
	if len(r.histories) == 0 {
		t.Error("there are no histories")
	}
	model := newModel()
	for id, history := range r.histories {
		result, info := porcupine.CheckOperationsVerbose(model, history, time.Minute)
		if result == porcupine.Ok {
			continue
		}
		file, err := os.CreateTemp("", fmt.Sprintf("linearizability-seed-%d-%s-*.html", w.seed, id)) //nolint:usetesting // it is kept
		if err == nil {
			err = porcupine.Visualize(model, info, file)
			err = cmp.Or(err, file.Close())
		}
		if err != nil {
			t.Errorf("write the history of %s: %v", id, err)
			continue
		}
		t.Errorf("seed %d: the history of %s (%d requests) is %s linearizable: see %s",
			w.seed, id, len(history), map[porcupine.CheckResult]string{porcupine.Illegal: "not", porcupine.Unknown: "not known to be"}[result], file.Name())
		var text strings.Builder
		for _, o := range history {
			fmt.Fprintf(&text, "%v %v → %v\n", time.Duration(o.Call), time.Duration(o.Return), model.DescribeOperation(o.Input, o.Output))
		}
		_, _ = io.WriteString(t.Output(), text.String())
	}
}

// report prints how the requests ended, and the share of unknown outcomes.
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
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(r.statuses)) {
		fmt.Fprintf(&text, "  %s: %d\n", name, r.statuses[name])
	}
	t.Logf("%d requests, %d users; the outcome of %d of %d writes is unknown (%.1f %%)\n%s",
		all, len(r.histories), unknown, writes, 100*float64(unknown)/float64(max(writes, 1)), &text)
	switch {
	case !w.faults && unknown > 0:
		t.Errorf("without faults, the outcome of %d writes is unknown", unknown)
	case w.faults && unknown == 0:
		t.Error("with faults, no outcome is unknown: want some, or the faults do not reach the functions")
	}
}
