package lambda_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/local/lambda"
)

// revised is the function as it was started, in another revision, which the function itself finds in the variable REVISION.
func (h *host) revised(revision int) lambda.Function {
	f := h.function
	f.Revision = strconv.Itoa(revision)
	f.Environment = maps.Clone(f.Environment)
	if f.Environment == nil {
		f.Environment = map[string]string{}
	}
	f.Environment["REVISION"] = f.Revision
	return f
}

func (h *host) update(functions ...lambda.Function) {
	h.t.Helper()
	if err := h.Update(functions); err != nil {
		h.t.Fatalf("update: %v", err)
	}
}

// variable is the value that a variable has for the function in an invocation of it.
func (h *host) variable(name string) string {
	h.t.Helper()
	response, functionError := h.invoke(`{"do":"report"}`)
	var seen struct {
		Environment []string `json:"environment"`
	}
	if err := json.Unmarshal([]byte(response), &seen); err != nil || functionError != "" {
		h.t.Errorf("%s: %s %v", response, functionError, err)
	}
	for _, variable := range seen.Environment {
		if value, ok := strings.CutPrefix(variable, name+"="); ok {
			return value
		}
	}
	return ""
}

func (h *host) revision() int {
	n, _ := strconv.Atoi(h.variable("REVISION")) // 0 where there is none
	return n
}

// only returns the process id of the one environment.
func (h *host) only() int {
	h.t.Helper()
	var list []lambda.Environment
	testenv.Eventually(h.t, "the one environment", func() bool {
		list = h.Environments(function)
		return len(list) == 1 && list[0].PID != 0
	})
	return list[0].PID
}

func (h *host) ended(pid int) {
	h.t.Helper()
	testenv.Eventually(h.t, fmt.Sprintf("the end of process %d", pid), func() bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) })
}

// TestUpdate_UnderLoad replaces the function again and again under the hands of as many clients as there may be environments.
func TestUpdate_UnderLoad(t *testing.T) {
	t.Parallel()
	const clients, updates = 4, 12
	h := start(t, func(f *lambda.Function, _ *lambda.Options) { f.Concurrency = new(clients) })
	var (
		current, sent atomic.Int64
		stop          atomic.Bool
		running       sync.WaitGroup
		seen          [clients]map[int]bool
	)
	for i := range clients {
		seen[i] = map[int]bool{}
		running.Go(func() {
			for !stop.Load() {
				begun := int(current.Load())
				got := h.revision() // fails the test where the invocation is lost or refused
				sent.Add(1)
				if got < begun {
					t.Errorf("revision %d served an invocation that began when there was %d", got, begun)
				}
				seen[i][got] = true
			}
		})
	}
	// Of so many invocations most have begun after the update.
	more := func() {
		before := sent.Load()
		testenv.Eventually(t, "invocations", func() bool { return sent.Load() >= before+3*clients })
	}
	var pids []int
	for n := 1; n <= updates; n++ {
		more()
		for _, e := range h.Environments(function) {
			pids = append(pids, e.PID)
		}
		h.update(h.revised(n))
		current.Store(int64(n))
	}
	more()
	stop.Store(true)
	running.Wait()
	all := map[int]bool{}
	for _, revisions := range seen {
		maps.Copy(all, revisions)
	}
	if len(all) != updates+1 {
		t.Errorf("revisions %v were seen, want %d", slices.Sorted(maps.Keys(all)), updates+1)
	}
	for _, pid := range pids {
		if pid != 0 {
			h.ended(pid)
		}
	}
	testenv.Eventually(t, "idle environments", func() bool { return h.idle() == len(h.Environments(function)) })
	if got := len(h.Environments(function)); got > clients {
		t.Errorf("%d environments are left, want at most %d", got, clients)
	}
	if got := int64(len(h.invocations(int(sent.Load())))); got != sent.Load() {
		t.Errorf("%d invocations were told of, want %d", got, sent.Load())
	}
	h.checkOneAtATime(int(sent.Load()))
}

// TestUpdate_Environments sees which environments end when.
func TestUpdate_Environments(t *testing.T) {
	t.Parallel()
	h := start(t, func(f *lambda.Function, _ *lambda.Options) {
		f.Concurrency = new(1)
		f.Environment = map[string]string{"INIT": "sigterm"}
	})
	h.invoke(`{"do":"echo"}`)
	first := h.only()

	h.update(h.function, lambda.Function{Name: "other", Bootstrap: bootstrap})
	if _, _, _, err := h.Invoke(t.Context(), "other", "", []byte(`{"do":"echo"}`)); err != nil {
		t.Errorf("the function that was added: %v", err)
	}
	if got := h.only(); got != first {
		t.Errorf("process %d has taken the place of %d, though nothing has changed", got, first)
	}

	// An idle one ends at once, gracefully, and without an invocation.
	h.update(h.revised(1))
	h.ended(first)
	testenv.Eventually(t, "the last words", func() bool { return slices.Contains(h.texts(), "got SIGTERM") })
	if _, _, _, err := h.Invoke(t.Context(), "other", "", nil); err == nil {
		t.Error("a function that is not configured any more was invoked")
	}

	// A busy one ends after its invocation, and takes no place.
	gate := filepath.Join(t.TempDir(), "gate")
	hold := fmt.Sprintf(`{"do":"wait","text":%q}`, gate)
	held := make(chan string)
	go func() {
		pid, _ := h.invoke(hold)
		held <- pid
	}()
	h.log(3, "platform.start")
	busy := h.only()
	h.update(h.revised(2))
	if got := h.revision(); got != 2 {
		t.Errorf("revision %d, want 2", got)
	}
	if got := len(h.Environments(function)); got != 2 {
		t.Errorf("%d environments, want the old and the new one", got)
	}
	h.update() // removed, and yet what runs goes on
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := <-held; got != strconv.Itoa(busy) {
		t.Errorf("the invocation was answered by %s, want %d", got, busy)
	}
	h.ended(busy)
	h.invocations(4)
	for _, i := range h.invocations(4) {
		if i.Error != nil && i.Error.Kind != lambda.ErrorKindRefused {
			t.Errorf("got %+v", i.Error)
		}
	}
}

func (h *host) texts() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var lines []string
	for _, e := range h.events {
		lines = append(lines, e.Text())
	}
	return lines
}

// TestUpdate_InitFails sees that a function that cannot start any more fails, and one that can again serves.
func TestUpdate_InitFails(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.invoke(`{"do":"echo"}`)
	broken := h.revised(1)
	broken.Environment["INIT"] = "exit"
	h.update(broken)
	got, functionError := h.invoke(`{"do":"echo"}`)
	checkLog(t, []string{got, functionError}, []string{exitError("Runtime exited with error: exit status 7"), "Unhandled"})
	h.update(h.revised(2))
	if got := h.revision(); got != 2 {
		t.Errorf("revision %d, want 2", got)
	}
}

// TestUpdate_WhileInitRuns sees that the invocation of a cold start is not lost.
func TestUpdate_WhileInitRuns(t *testing.T) {
	t.Parallel()
	h := start(t, func(f *lambda.Function, o *lambda.Options) {
		f.Environment = map[string]string{"INIT": "hang once", "MARK": filepath.Join(t.TempDir(), "mark")}
		o.InitTimeout = timeLimit
	})
	answered := make(chan string)
	go func() {
		got, _ := h.invoke(`{"do":"echo"}`)
		answered <- got
	}()
	h.log(1, "function")
	h.update(h.revised(1))
	if got := <-answered; got != `{"do":"echo"}` {
		t.Errorf("got %s", got)
	}
	if got := h.revision(); got != 1 {
		t.Errorf("revision %d, want 1", got)
	}
}

func TestUpdate_Refused(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.invoke(`{"do":"echo"}`)
	first := h.only()
	missing := h.revised(1)
	missing.Bootstrap = filepath.Join(t.TempDir(), "bootstrap")
	for _, functions := range [][]lambda.Function{
		{h.revised(1), h.revised(2)}, {missing}, {h.revised(1), {Name: "other"}},
	} {
		if err := h.Update(functions); err == nil {
			t.Errorf("%+v was taken", functions)
		}
		if got := h.revision(); got != 0 || h.only() != first {
			t.Errorf("revision %d in process %d, want the first", got, h.only())
		}
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if err := h.Update([]lambda.Function{h.revised(3)}); !errors.Is(err, lambda.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}

// debugged starts a function whose debugger is a command that goes on as the function's process.
func debugged(t *testing.T, command ...string) *host {
	t.Helper()
	return start(t, func(f *lambda.Function, o *lambda.Options) {
		f.Debugger = command
		f.Timeout, o.InitTimeout = 1, 1 // which a debugger suspends
	})
}

func TestDebugger(t *testing.T) {
	t.Parallel()
	for name, command := range map[string][]string{
		"path appended": {"env", "DEBUGGED=yes"},
		"path inserted": {"sh", "-c", "DEBUGGED=yes exec {bootstrap} --"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := debugged(t, command...)
			first := h.only() // without an invocation
			if got := h.variable("DEBUGGED"); got != "yes" {
				t.Errorf("the variable is %q", got)
			}
			over := h.invocations(1)[0]
			checkMoments(t, over, moments{started: true, responded: true}) // its init was long before
			var seen struct {
				Deadline time.Time `json:"deadline"`
			}
			response, _ := h.invoke(`{"do":"report"}`)
			if err := json.Unmarshal([]byte(response), &seen); err != nil || time.Until(seen.Deadline) < 23*time.Hour {
				t.Errorf("deadline in %v, %v", time.Until(seen.Deadline), err)
			}

			// Others wait for the one environment.
			gate := filepath.Join(t.TempDir(), "gate")
			var held sync.WaitGroup
			for range 5 {
				held.Go(func() {
					if pid, _ := h.invoke(fmt.Sprintf(`{"do":"wait","text":%q}`, gate)); pid != strconv.Itoa(first) {
						t.Errorf("served by %s, want %d", pid, first)
					}
				})
			}
			h.log(3, "platform.start")
			if err := os.WriteFile(gate, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			held.Wait()

			// One that has ended comes back with the next invocation.
			testenv.Eventually(t, "an idle environment", func() bool { return h.idle() == 1 })
			if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			testenv.Eventually(t, "its end", func() bool { return len(h.Environments(function)) == 0 })
			if got := h.variable("DEBUGGED"); got != "yes" || h.only() == first {
				t.Errorf("the variable is %q in process %d", got, h.only())
			}
		})
	}
}

// TestDebugger_Update sees that the debugger of the new revision waits for the old one, whose address it listens at.
func TestDebugger_Update(t *testing.T) {
	t.Parallel()
	h := debugged(t, "env")
	idle := h.only()
	testenv.Eventually(t, "an idle environment", func() bool { return h.idle() == 1 })
	h.update(h.revised(1))
	h.ended(idle)
	busy := h.only() // without an invocation
	gate := filepath.Join(t.TempDir(), "gate")
	var held sync.WaitGroup
	held.Go(func() { h.invoke(fmt.Sprintf(`{"do":"wait","text":%q}`, gate)) })
	h.log(1, "platform.start")
	h.update(h.revised(2))
	h.update(h.revised(3))
	revisions := make(chan int)
	go func() { revisions <- h.revision() }()
	testenv.Eventually(t, "the other environments to leave", func() bool { return len(h.Environments(function)) == 2 })
	for _, e := range h.Environments(function) {
		if e.PID != busy && e.PID != 0 {
			t.Errorf("process %d runs beside %d", e.PID, busy)
		}
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	held.Wait()
	if got := <-revisions; got != 3 {
		t.Errorf("revision %d, want 3", got)
	}
	h.ended(busy)
	ordinary := h.revised(4)
	ordinary.Debugger = nil
	ordinary.Timeout = time.Minute
	h.update(ordinary)
	if got := h.revision(); got != 4 {
		t.Errorf("revision %d, want 4", got)
	}
}

// TestDebugger_CannotStart sees that invocations fail, instead of waiting for ever.
func TestDebugger_CannotStart(t *testing.T) {
	t.Parallel()
	for name, command := range map[string][]string{
		"ends":         {"sh", "-c", "exit 5", "{bootstrap}"},
		"is not there": {filepath.Join(t.TempDir(), "debugger")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := debugged(t, command...)
			testenv.Eventually(t, "its end", func() bool { return len(h.Environments(function)) == 0 })
			for n := range 2 {
				if got, functionError := h.invoke(`{"do":"echo"}`); functionError == "" {
					t.Errorf("got %s", got)
				}
				if over := h.invocations(n + 1); len(over) != n+1 || over[n].Error == nil {
					t.Errorf("invocations %+v", over)
				}
			}
		})
	}
}

// TestDebugger_Close sees that a debugger is asked to end, and those who wait for it hear of it.
func TestDebugger_Close(t *testing.T) {
	t.Parallel()
	h := debugged(t, "sh", "-c", "trap 'echo asked to end; kill $!; exit 0' TERM; {bootstrap} & wait")
	failed := make(chan error, 3)
	for range cap(failed) {
		go func() { failed <- h.invokeTraced(`{"do":"hang"}`) }()
	}
	h.log(1, "platform.start")
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	for range cap(failed) {
		if err := <-failed; !errors.Is(err, lambda.ErrClosed) {
			t.Errorf("error = %v", err)
		}
	}
	if lines := h.texts(); !slices.Contains(lines, "asked to end") {
		t.Errorf("log %q", lines)
	}
	if over := h.invocations(1); len(over) != 1 {
		t.Errorf("%d were told of, want the one that ran", len(over))
	}
}
