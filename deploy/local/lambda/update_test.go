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

// withRevision returns the started function with another revision, also in its environment variable REVISION.
func (h *host) withRevision(revision int) lambda.Configuration {
	f := h.function
	f.Revision = strconv.Itoa(revision)
	f.Environment = maps.Clone(f.Environment)
	if f.Environment == nil {
		f.Environment = map[string]string{}
	}
	f.Environment["REVISION"] = f.Revision
	return f
}

func withName(f lambda.Configuration, name string) lambda.Configuration {
	f.Name = name
	return f
}

func (h *host) update(functions ...lambda.Configuration) {
	h.t.Helper()
	if err := h.Update(functions); err != nil {
		h.t.Fatalf("Update: error = %v, want none", err)
	}
}

// variable invokes the function and returns one of its environment variables.
func (h *host) variable(name string) string {
	h.t.Helper()
	response, functionError := h.invoke(`{"do":"report"}`)
	var seen struct {
		Environment []string `json:"environment"`
	}
	if err := json.Unmarshal([]byte(response), &seen); err != nil || functionError != "" {
		h.t.Errorf("response = %s, function error = %q, error = %v; want a report", response, functionError, err)
	}
	for _, variable := range seen.Environment {
		if value, ok := strings.CutPrefix(variable, name+"="); ok {
			return value
		}
	}
	return ""
}

func (h *host) revision() int {
	n, _ := strconv.Atoi(h.variable("REVISION")) // 0 if not set
	return n
}

// singlePID waits until there is one environment and returns its process id.
func (h *host) singlePID() int {
	h.t.Helper()
	var list []lambda.Environment
	testenv.Eventually(h.t, "exactly one environment", func() bool {
		list = h.Environments(function)
		return len(list) == 1 && list[0].PID != 0
	})
	return list[0].PID
}

func (h *host) waitExit(pid int) {
	h.t.Helper()
	testenv.Eventually(h.t, fmt.Sprintf("the end of process %d", pid), func() bool {
		return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
	})
}

// Updates under load neither lose nor throttle invocations.
func TestUpdate_UnderLoad(t *testing.T) {
	t.Parallel()
	const clients, updates = 4, 12
	h := start(t, func(f *lambda.Configuration, _ *lambda.Options) { f.Concurrency = new(clients) })
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
				got := h.revision() // fails the test if the invocation fails
				sent.Add(1)
				if got < begun {
					t.Errorf("revision of an invocation = %d, want at least %d: it began after that update", got, begun)
				}
				seen[i][got] = true
			}
		})
	}
	// Of this many invocations, most begin after the update.
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
		h.update(h.withRevision(n))
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
		t.Errorf("revisions = %v, want %d", slices.Sorted(maps.Keys(all)), updates+1)
	}
	for _, pid := range pids {
		if pid != 0 {
			h.waitExit(pid)
		}
	}
	testenv.Eventually(t, "idle environments", func() bool { return h.idle() == len(h.Environments(function)) })
	if got := len(h.Environments(function)); got > clients {
		t.Errorf("%d environments, want at most %d", got, clients)
	}
	if got := int64(len(h.invocations(int(sent.Load())))); got != sent.Load() {
		t.Errorf("%d traced invocations, want %d", got, sent.Load())
	}
	h.checkOneAtATime(int(sent.Load()))
}

func TestUpdate_Environments(t *testing.T) {
	t.Parallel()
	h := start(t, func(f *lambda.Configuration, _ *lambda.Options) { f.Concurrency = new(1) })
	h.invoke(`{"do":"echo"}`)
	first := h.singlePID()

	h.update(h.function, withName(h.function, "other"))
	if _, err := h.Invoke(t.Context(), "other", "", []byte(`{"do":"echo"}`)); err != nil {
		t.Errorf("invoke the added function: error = %v, want none", err)
	}
	if got := h.singlePID(); got != first {
		t.Errorf("process = %d, want %d: the function has not changed", got, first)
	}

	// An idle environment ends at once.
	h.update(h.withRevision(1))
	h.waitExit(first)
	if _, err := h.Invoke(t.Context(), "other", "", nil); err == nil {
		t.Error("invoke the removed function: error = nil, want one")
	}

	// A busy environment ends after its invocation and does not count against the limit.
	gate := filepath.Join(t.TempDir(), "gate")
	hold := fmt.Sprintf(`{"do":"wait","text":%q}`, gate)
	held := make(chan string)
	go func() {
		pid, _ := h.invoke(hold)
		held <- pid
	}()
	h.log(3, "platform.start")
	busy := h.singlePID()
	h.update(h.withRevision(2))
	if got := h.revision(); got != 2 {
		t.Errorf("revision %d, want 2", got)
	}
	if got := len(h.Environments(function)); got != 2 {
		t.Errorf("%d environments, want the old and the new one", got)
	}
	h.update() // removes all functions, but does not interrupt the invocation
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := <-held; got != strconv.Itoa(busy) {
		t.Errorf("process of the invocation = %s, want %d", got, busy)
	}
	h.waitExit(busy)
	for _, i := range h.invocations(4) {
		if i.Error != nil {
			t.Errorf("error of an invocation = %+v, want none", i.Error)
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

// Invocations fail after an update to a function whose init fails, and succeed after the next update.
func TestUpdate_InitFails(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.invoke(`{"do":"echo"}`)
	broken := h.withRevision(1)
	broken.Environment["INIT"] = "exit"
	h.update(broken)
	got, functionError := h.invoke(`{"do":"echo"}`)
	checkLog(t, []string{got, functionError}, []string{exitError("Runtime exited with error: exit status 7"), "Unhandled"})
	h.update(h.withRevision(2))
	if got := h.revision(); got != 2 {
		t.Errorf("revision %d, want 2", got)
	}
}

// An update during a cold start does not lose the invocation.
func TestUpdate_WhileInitRuns(t *testing.T) {
	t.Parallel()
	h := start(t, func(f *lambda.Configuration, o *lambda.Options) {
		f.Environment = map[string]string{"INIT": "hang once", "MARK": filepath.Join(t.TempDir(), "mark")}
		o.InitTimeout = timeLimit
	})
	responses := make(chan string)
	go func() {
		got, _ := h.invoke(`{"do":"echo"}`)
		responses <- got
	}()
	h.log(1, "function")
	h.update(h.withRevision(1))
	if got := <-responses; got != `{"do":"echo"}` {
		t.Errorf("response = %s, want the payload", got)
	}
	if got := h.revision(); got != 1 {
		t.Errorf("revision %d, want 1", got)
	}
}

func TestUpdate_Errors(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.invoke(`{"do":"echo"}`)
	first := h.singlePID()
	missing := h.withRevision(1)
	missing.Bootstrap = filepath.Join(t.TempDir(), "bootstrap")
	for _, functions := range [][]lambda.Configuration{
		{h.withRevision(1), h.withRevision(2)}, {missing}, {h.withRevision(1), {Name: "other"}},
	} {
		if err := h.Update(functions); err == nil {
			t.Errorf("update to %+v: error = nil, want one", functions)
		}
		if got := h.revision(); got != 0 || h.singlePID() != first {
			t.Errorf("revision = %d in process %d, want 0 in process %d", got, h.singlePID(), first)
		}
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if err := h.Update([]lambda.Configuration{h.withRevision(3)}); !errors.Is(err, lambda.ErrClosed) {
		t.Errorf("update after close: %v, want %v", err, lambda.ErrClosed)
	}
}

// startDebugged starts a host whose function has command as its debugger.
func startDebugged(t *testing.T, command ...string) *host {
	t.Helper()
	return start(t, func(f *lambda.Configuration, o *lambda.Options) {
		f.Debugger = command
		f.Timeout, o.InitTimeout = 1, 1 // ignored with a debugger
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
			h := startDebugged(t, command...)
			first := h.singlePID() // starts without an invocation
			if got := h.variable("DEBUGGED"); got != "yes" {
				t.Errorf("DEBUGGED = %q, want yes", got)
			}
			traced := h.invocations(1)[0]
			checkTimestamps(t, traced, timestamps{started: true, responded: true}) // no init: it preceded the invocation
			var seen struct {
				Deadline time.Time `json:"deadline"`
			}
			response, _ := h.invoke(`{"do":"report"}`)
			if err := json.Unmarshal([]byte(response), &seen); err != nil || time.Until(seen.Deadline) < 23*time.Hour {
				t.Errorf("deadline in %v, error = %v; want about 24 h", time.Until(seen.Deadline), err)
			}

			// Concurrent invocations wait for the one environment.
			gate := filepath.Join(t.TempDir(), "gate")
			var held sync.WaitGroup
			for range 5 {
				held.Go(func() {
					if pid, _ := h.invoke(fmt.Sprintf(`{"do":"wait","text":%q}`, gate)); pid != strconv.Itoa(first) {
						t.Errorf("process = %s, want %d", pid, first)
					}
				})
			}
			h.log(3, "platform.start")
			if err := os.WriteFile(gate, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			held.Wait()

			// After the debugger exits, the next invocation restarts it.
			testenv.Eventually(t, "an idle environment", func() bool { return h.idle() == 1 })
			if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			testenv.Eventually(t, "its end", func() bool { return len(h.Environments(function)) == 0 })
			if got := h.variable("DEBUGGED"); got != "yes" || h.singlePID() == first {
				t.Errorf("DEBUGGED = %q in process %d, want yes in a new process", got, h.singlePID())
			}
		})
	}
}

// The debugger of the new revision starts after the old one has ended: both listen on the same address.
func TestDebugger_Update(t *testing.T) {
	t.Parallel()
	h := startDebugged(t, "env")
	idle := h.singlePID()
	testenv.Eventually(t, "an idle environment", func() bool { return h.idle() == 1 })
	h.update(h.withRevision(1))
	h.waitExit(idle)
	busy := h.singlePID() // starts without an invocation
	gate := filepath.Join(t.TempDir(), "gate")
	var held sync.WaitGroup
	held.Go(func() { h.invoke(fmt.Sprintf(`{"do":"wait","text":%q}`, gate)) })
	h.log(1, "platform.start")
	h.update(h.withRevision(2))
	h.update(h.withRevision(3))
	revisions := make(chan int)
	go func() { revisions <- h.revision() }()
	testenv.Eventually(t, "the end of the other environments", func() bool { return len(h.Environments(function)) == 2 })
	for _, e := range h.Environments(function) {
		if e.PID != busy && e.PID != 0 {
			t.Errorf("process %d runs at the same time as %d, want the latter to end first", e.PID, busy)
		}
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	held.Wait()
	if got := <-revisions; got != 3 {
		t.Errorf("revision %d, want 3", got)
	}
	h.waitExit(busy)
	ordinary := h.withRevision(4)
	ordinary.Debugger = nil
	ordinary.Timeout = time.Minute
	h.update(ordinary)
	if got := h.revision(); got != 4 {
		t.Errorf("revision %d, want 4", got)
	}
}

// Invocations fail, rather than wait forever, if the debugger does not start.
func TestDebugger_StartFails(t *testing.T) {
	t.Parallel()
	for name, command := range map[string][]string{
		"exits":     {"sh", "-c", "exit 5", "{bootstrap}"},
		"not found": {filepath.Join(t.TempDir(), "debugger")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := startDebugged(t, command...)
			testenv.Eventually(t, "its end", func() bool { return len(h.Environments(function)) == 0 })
			for n := range 2 {
				if got, functionError := h.invoke(`{"do":"echo"}`); functionError == "" {
					t.Errorf("response = %s, want a function error", got)
				}
				if traced := h.invocations(n + 1); len(traced) != n+1 || traced[n].Error == nil {
					t.Errorf("traced invocations = %+v, want %d, the last with an error", traced, n+1)
				}
			}
		})
	}
}

// Close sends SIGTERM to the debugger, and waiting invocations return ErrClosed.
func TestDebugger_Close(t *testing.T) {
	t.Parallel()
	h := startDebugged(t, "sh", "-c", "trap 'echo got SIGTERM; kill $!; exit 0' TERM; {bootstrap} & wait")
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
			t.Errorf("error = %v, want %v", err, lambda.ErrClosed)
		}
	}
	if lines := h.texts(); !slices.Contains(lines, "got SIGTERM") {
		t.Errorf("log = %q, want one with the debugger's line", lines)
	}
	if traced := h.invocations(1); len(traced) != 1 {
		t.Errorf("%d traced invocations, want 1: the one that ran", len(traced))
	}
}
