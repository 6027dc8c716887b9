package lambda

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/userrequestapi/userdata/deploy/host/process"
)

// state is the state of a runtime in its lifecycle. The values are the names in the Runtime API's error messages.
type state string

const (
	stateStarted      state = "Started"
	stateInitError    state = "InitError" // after POST /init/error
	stateReady        state = "Ready"     // waiting in GET /invocation/next
	stateRunning      state = "Running"   // executing an invocation
	stateResponseSent state = "ResponseSent"
)

const (
	phaseInit   = "init"   // before the invocation; limited by Options.InitTimeout
	phaseInvoke = "invoke" // retry of a failed init within the invocation; limited by its timeout
)

// exitTimeout limits how long a runtime may take to exit after it reported an init error.
const exitTimeout = 500 * time.Millisecond

// debuggerTimeout is the time from SIGTERM to SIGKILL for a debugger. It must be long enough for the debugger to stop
// the function, which may run in another process group.
const debuggerTimeout = 2 * time.Second

// invocation is a running invocation. The environment that runs it owns Started and Responded.
type invocation struct {
	Invocation

	traceHeader string // as received
	payload     []byte
	result      chan result // buffered: capacity 1
}

// origin returns the origin of log lines written during inv, which may be nil.
func (inv *invocation) origin() origin {
	if inv == nil {
		return origin{}
	}
	return origin{requestID: inv.RequestID, traceID: inv.TraceID}
}

// result holds the results of [Host.Invoke].
type result struct {
	payload       []byte
	functionError string
	cold          bool
	err           error
}

// environment is an execution environment: a process and the goroutine (run) that owns it. That goroutine also handles
// the process's Runtime API requests, so most fields need no lock.
type environment struct {
	host     *Host
	function *pool
	id       string // first path segment of the process's Runtime API address

	calls       chan func()      // API requests to handle on the goroutine
	invocations chan *invocation // invocations to start
	ended       chan struct{}    // closed when run returns

	pid       int  // 0 until the process starts; written by run, with Host.mu held
	responded bool // guarded by Host.mu

	// Set before run starts, then owned by run.
	logStream    string
	phase        string
	invocation   *invocation    // nil when idle
	predecessors []*environment // must have ended before the process starts

	process   *process.Process
	output    *output
	state     state
	next      chan<- apiResponse // receives the response to the pending GET /invocation/next
	timer     *time.Timer
	initStart time.Time
	initEnd   time.Time     // zero while init runs
	initTime  time.Duration // of a successful init; reported with the first invocation
	cold      bool          // until the first invocation has ended
	expired   time.Time     // when the init or the invocation timed out; zero if it did not
	initError *failure      // reported by the runtime
	failed    *failure      // reported by the runtime for the current invocation
	memory    int           // peak resident memory, in bytes
	done      bool          // ends run
}

// newEnvironment returns an environment, to be started by Host.add. If inv is not nil, it is the first invocation.
func newEnvironment(h *Host, fn *pool, inv *invocation) *environment {
	return &environment{
		host:        h,
		function:    fn,
		id:          randomHex(),
		calls:       make(chan func()),
		invocations: make(chan *invocation),
		ended:       make(chan struct{}),
		logStream:   time.Now().UTC().Format("2006/01/02/[$LATEST]") + randomHex(),
		phase:       phaseInit,
		invocation:  inv,
		state:       stateStarted,
		cold:        true,
	}
}

func randomHex() string { return strings.ReplaceAll(uuid.NewString(), "-", "") }

// run starts the process and handles its events until it has ended.
func (e *environment) run() {
	defer close(e.ended)
	if !e.waitForPredecessors() {
		e.shutdown()
		return
	}
	if err := e.start(); err != nil {
		e.initFailed(e.invocationFailure("Runtime.InvalidEntrypoint", err.Error()))
		return
	}
	defer e.output.close()
	defer e.timer.Stop()
	for !e.done {
		select {
		case call := <-e.calls:
			call()
		case e.invocation = <-e.invocations:
			e.startInvocation()
		case <-e.timer.C:
			e.handleTimeout()
		case <-e.process.Done():
			e.handleExit()
		case <-e.retired():
			e.shutdown()
		case <-e.host.closing:
			e.shutdown()
		}
	}
}

// retired returns a channel that is closed when the function's configuration is replaced. It returns nil during an
// invocation: an environment ends between invocations only.
func (e *environment) retired() <-chan struct{} {
	if e.invocation != nil {
		return nil
	}
	return e.function.retired
}

// waitForPredecessors waits for the environments in e.predecessors to end. It reports whether e is still needed.
func (e *environment) waitForPredecessors() bool {
	for _, before := range e.predecessors {
		select {
		case <-before.ended:
		case <-e.retired():
			return false
		case <-e.host.closing:
			return false
		}
	}
	e.predecessors = nil
	return true
}

func (e *environment) start() error {
	e.initStart = time.Now()
	if e.phase == phaseInvoke {
		e.invocation.Started = e.initStart
	} else {
		e.log(InitStart{InitializationType: "on-demand", Phase: e.phase, RuntimeVersion: "provided:al2023"})
	}
	out, err := newOutput(func(line string, from origin) {
		e.host.log(Event{
			Time: time.Now(), Function: e.function.Name, LogStream: e.logStream,
			RequestID: from.requestID, TraceID: from.traceID, Record: Line(line),
		})
	})
	if err != nil {
		return err
	}
	out.setOrigin(e.invocation.origin())
	command := e.function.command()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = filepath.Dir(e.function.Bootstrap)
	cmd.Env = e.variables()
	cmd.Stdout, cmd.Stderr = out.writer, out.writer
	p, err := process.Start(cmd)
	out.started()
	if err != nil {
		out.close()
		return err
	}
	e.process, e.output, e.timer = p, out, time.NewTimer(e.initLimit())
	e.host.mu.Lock()
	e.pid = p.Pid()
	e.host.mu.Unlock()
	return nil
}

// handleNext handles GET /invocation/next, which ends the init or the previous invocation.
func (e *environment) handleNext(responses chan<- apiResponse) {
	switch e.state {
	case stateStarted:
		e.updateMemory()
		e.initEnd = time.Now()
		if e.invocation == nil {
			e.cold = false // started without an invocation, maybe hours before the first one
		}
		if e.phase == phaseInit {
			e.initTime = e.initEnd.Sub(e.initStart)
		}
	case stateResponseSent:
		e.report(e.failed)
		e.invocation, e.failed = nil, nil
	case stateReady: // the connection of the previous request was lost
	default:
		responses <- forbiddenTransition(e.state, stateReady)
		return
	}
	wasReady := e.state == stateReady
	e.state, e.next = stateReady, responses
	switch {
	case e.invocation != nil:
		e.startInvocation()
	case !wasReady:
		e.timer.Stop()
		if idle := e.host.opts.IdleTimeout; idle > 0 {
			e.timer.Reset(idle)
		}
		e.host.markIdle(e)
	}
}

// startInvocation sends the invocation to the runtime, which waits in GET /invocation/next.
func (e *environment) startInvocation() {
	inv := e.invocation
	if inv.Started.IsZero() {
		inv.Started = time.Now()
	}
	deadline := inv.Started.Add(e.function.Timeout)
	e.timer.Reset(time.Until(deadline))
	e.output.setOrigin(inv.origin())
	e.log(InvocationStart{RequestID: inv.RequestID, Version: version, Tracing: e.tracing()})
	header := http.Header{
		"Content-Type":                        {"application/json"},
		"Lambda-Runtime-Aws-Request-Id":       {inv.RequestID},
		"Lambda-Runtime-Deadline-Ms":          {strconv.FormatInt(deadline.UnixMilli(), 10)},
		"Lambda-Runtime-Invoked-Function-Arn": {inv.ARN},
	}
	if trace := inv.functionHeader(); trace != "" {
		header.Set("Lambda-Runtime-Trace-Id", trace)
	}
	e.state = stateRunning
	e.next <- apiResponse{status: http.StatusOK, header: header, body: inv.payload}
	e.next = nil
}

// handleResponse handles the response to an invocation, or the error if failed is not nil, and returns it to the
// caller. The invocation does not end until the runtime requests the next one.
func (e *environment) handleResponse(requestID string, body []byte, failed *failure, responses chan<- apiResponse) {
	requested := state("InvocationResponse")
	if failed != nil {
		requested = "InvocationErrorResponse"
	}
	switch {
	case e.state == stateStarted || e.state == stateReady || e.state == stateInitError:
		responses <- forbiddenTransition(e.state, requested)
		return
	case requestID != e.invocation.RequestID:
		responses <- errorResponse(http.StatusBadRequest, "InvalidRequestID", "Invalid request ID")
		return
	case e.state != stateRunning:
		responses <- forbiddenTransition(e.state, requested)
		return
	}
	accepted := apiResponse{status: http.StatusAccepted, body: []byte(`{"status":"OK"}`)}
	if failed == nil && len(body) > maxResponseBytes {
		accepted = errorResponse(http.StatusRequestEntityTooLarge, "RequestEntityTooLarge",
			fmt.Sprintf("Exceeded maximum allowed payload size (%d bytes).", maxResponseBytes))
		failed = newFailure("error", "Function.ResponseSizeTooLarge",
			fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", maxResponseBytes))
	}
	e.state, e.failed, e.invocation.Responded = stateResponseSent, failed, time.Now()
	e.host.markResponded(e) // before the result is sent, so that the caller's next invocation waits for this environment
	if failed != nil {
		e.invocation.result <- result{payload: failed.document, functionError: "Unhandled", cold: e.cold}
	} else {
		e.invocation.result <- result{payload: body, cold: e.cold}
	}
	responses <- accepted
}

// handleInitError handles POST /init/error. It terminates a runtime that does not exit within exitTimeout.
func (e *environment) handleInitError(failed *failure, responses chan<- apiResponse) {
	if e.state != stateStarted {
		responses <- forbiddenTransition(e.state, stateInitError)
		return
	}
	e.state, e.initError = stateInitError, failed
	if wait := min(exitTimeout, time.Until(e.initStart.Add(e.initLimit()))); wait > 0 {
		e.timer.Reset(wait)
	}
	responses <- apiResponse{status: http.StatusAccepted, body: []byte(`{"status":"OK"}`)}
}

// initLimit returns the time limit of the init phase.
func (e *environment) initLimit() time.Duration {
	if e.phase == phaseInvoke || len(e.function.Debugger) > 0 {
		return e.function.Timeout
	}
	return e.host.opts.InitTimeout
}

// handleTimeout handles the timeout of the init, the invocation or the idle period.
func (e *environment) handleTimeout() {
	if e.state == stateReady {
		if e.host.takeIdle(e) {
			e.shutdown()
		} else {
			e.timer.Reset(e.host.opts.IdleTimeout)
		}
		return
	}
	e.expired = time.Now() // before terminate, which takes time for a debugger
	e.updateMemory()
	e.terminate()
	switch {
	case e.state == stateInitError:
		e.initFailed(e.initError)
	case e.state == stateStarted && e.phase == phaseInit:
		e.initFailed(&failure{status: "timeout"})
	default:
		inv := e.invocation
		message := fmt.Sprintf("Task timed out after %.2f seconds", e.function.Timeout.Seconds())
		failed := newFailure("timeout", "Sandbox.Timedout", fmt.Sprintf("RequestId: %s Error: %s", inv.RequestID, message))
		if e.state == stateStarted {
			e.log(e.initReport(&failure{status: "timeout"}))
			e.log(InvocationStart{RequestID: inv.RequestID, Version: version, Tracing: e.tracing()})
		}
		e.log(Fault(time.Now().UTC().Format(timeFormat) + " " + inv.RequestID + " " + message))
		e.fail(failed)
	}
}

// handleExit handles the exit of a process that the host did not terminate.
func (e *environment) handleExit() {
	e.output.finish()
	message := exitMessage(e.process)
	failed := e.invocationFailure("Runtime.ExitError", message)
	switch {
	case e.state == stateInitError:
		e.initFailed(e.initError)
	case e.state == stateStarted:
		e.initFailed(failed)
	case e.invocation == nil:
		e.log(Fault(fmt.Sprintf("Error: %s\n%s", message, failed.errorType)))
		e.end()
	default:
		e.log(Fault(failed.message + "\n" + failed.errorType))
		e.fail(failed)
	}
}

// fail ends the environment and the invocation. It sends the result last, so that the caller's next invocation does not
// count this environment against the limit.
func (e *environment) fail(failed *failure) {
	responded := e.state == stateResponseSent
	if responded && e.failed != nil && failed.status != "timeout" {
		failed = e.failed // report the panic, not the exit that follows it
	}
	e.report(failed)
	e.end()
	if !responded {
		e.invocation.result <- result{payload: failed.document, functionError: "Unhandled", cold: e.cold}
	}
}

// initFailed ends the environment after a failed init. Lambda retries the init within the invocation. The caller gets
// the error only if the retry fails too.
func (e *environment) initFailed(failed *failure) {
	e.log(e.initReport(failed))
	e.done = true
	switch {
	case e.invocation == nil:
		e.end()
		return
	case e.phase == phaseInit:
		if !e.host.replace(e, e.invocation) {
			e.host.trace(e.invocation.closedRecord())
			e.invocation.result <- result{err: ErrClosed}
		}
		return
	}
	e.log(InvocationStart{RequestID: e.invocation.RequestID, Version: version, Tracing: e.tracing()})
	e.fail(failed)
}

// shutdown ends the environment on Host.Close, Host.Update or the idle timeout.
func (e *environment) shutdown() {
	e.terminate()
	responded := e.state == stateResponseSent
	if responded {
		e.report(e.failed)
	}
	e.end()
	if e.invocation != nil && !responded {
		e.host.trace(e.invocation.closedRecord())
		e.invocation.result <- result{err: ErrClosed}
	}
}

// terminate ends the process. Errors are ignored: a signal fails only if the process has ended.
func (e *environment) terminate() {
	if e.process == nil { // not started yet
		return
	}
	if len(e.function.Debugger) > 0 {
		_ = e.process.Stop(debuggerTimeout)
	} else {
		_ = e.process.Kill()
	}
	e.output.finish()
}

// end removes the environment, whose process has ended, from the host.
func (e *environment) end() {
	e.done = true
	e.host.remove(e)
}
