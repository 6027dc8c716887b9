package lambda

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"

	"github.com/userrequestapi/userdata/deploy/host/process"
)

// state is where a runtime stands in the lifecycle; the values are the names in the Runtime API's error messages.
type state string

const (
	stateStarted      state = "Started"
	stateInitError    state = "InitError" // it has posted /init/error
	stateReady        state = "Ready"     // it waits in "next"
	stateRunning      state = "Running"   // it has an invocation
	stateResponseSent state = "ResponseSent"
)

const (
	phaseInit   = "init"   // before the invocation, under the init limit
	phaseInvoke = "invoke" // a failed init, repeated within the invocation and under its timeout
)

// shutdownTimeout is the Shutdown phase of a function with an internal extension ("Lambda execution environment
// lifecycle"). It is also the time that a runtime gets to exit after it reported an init error.
const shutdownTimeout = 500 * time.Millisecond

// debuggerTimeout is what a debugger gets after SIGTERM, to end the function too: that may be in a process group of its own.
const debuggerTimeout = 2 * time.Second

// invocation is one call of a function.
type invocation struct {
	id       string
	function string // function name
	arn      string
	trace    traceContext
	payload  []byte
	result   chan result // has room for the one result
	received time.Time

	// Owned by the environment that runs it.
	started   time.Time
	responded time.Time
}

// origin of the lines that are written meanwhile; inv may be nil.
func (inv *invocation) origin() origin {
	if inv == nil {
		return origin{}
	}
	return origin{requestID: inv.id, traceID: inv.trace.id}
}

// result is what an Invoke returns.
type result struct {
	payload       []byte
	functionError string
	err           error
}

// failure is why an init or an invocation failed.
type failure struct {
	status    string // "error" or "timeout", as in platform.report
	errorType string
	message   string          // for traces; "" where the words are the function's
	document  []byte          // the error document for the caller
	cause     json.RawMessage // what the runtime says for X-Ray; nil: nothing
}

// environment is an execution environment: a process, and the goroutine (run) that owns it. The process's calls of the
// Runtime API are carried out on that goroutine, so its fields need no lock.
type environment struct {
	host     *Host
	function *function
	id       string // in the path of the process's Runtime API address
	// calls, invocations: what run is told. ended: closed when run is over.
	calls       chan func()
	invocations chan *invocation
	ended       chan struct{}

	pid      int  // guarded by Host.mu
	answered bool // guarded by Host.mu

	// Set before run, then owned by it.
	logStream  string
	phase      string
	invocation *invocation    // nil when idle
	after      []*environment // that must have ended before the process starts

	process    *process.Process
	output     *output
	state      state
	next       chan<- answer     // answers the "next" in which the runtime waits
	extensions map[string]string // names of the registered extensions by identifier
	timer      *time.Timer
	initStart  time.Time
	initEnd    time.Time     // zero while init runs
	initTime   time.Duration // to be reported with the first invocation
	cold       bool          // until an invocation is over
	expired    time.Time     // when the time for init or for the invocation was over; zero: it is not
	initError  *failure      // posted by the runtime
	failed     *failure      // how the running invocation failed, when the runtime has said so
	memory     int           // largest peak seen, in bytes
	over       bool
}

// newEnvironment returns an environment whose first invocation is inv, or which waits for one when inv is nil; Host.add
// starts it.
func newEnvironment(h *Host, fn *function, inv *invocation) *environment {
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
		extensions:  make(map[string]string),
	}
}

func randomHex() string { return strings.ReplaceAll(uuid.NewString(), "-", "") }

// run starts the process and serves it until it has ended.
func (e *environment) run() {
	defer close(e.ended)
	if !e.awaitPlace() {
		e.shutdown()
		return
	}
	if err := e.start(); err != nil {
		e.initFailed(e.invocationFailure("Runtime.InvalidEntrypoint", err.Error()))
		return
	}
	defer e.output.close()
	defer e.timer.Stop()
	for !e.over {
		select {
		case call := <-e.calls:
			call()
		case e.invocation = <-e.invocations:
			e.begin()
		case <-e.timer.C:
			e.expire()
		case <-e.process.Done():
			e.exited()
		case <-e.retired():
			e.shutdown()
		case <-e.host.closing:
			e.shutdown()
		}
	}
}

// retired is closed when the function's configuration was replaced, of which an environment hears between invocations only.
func (e *environment) retired() <-chan struct{} {
	if e.invocation != nil {
		return nil
	}
	return e.function.retired
}

// awaitPlace waits for the environments before this one to end; false when this one is not wanted any more.
func (e *environment) awaitPlace() bool {
	for _, before := range e.after {
		select {
		case <-before.ended:
		case <-e.retired():
			return false
		case <-e.host.closing:
			return false
		}
	}
	e.after = nil
	return true
}

func (e *environment) start() error {
	e.initStart = time.Now()
	if e.phase == phaseInvoke {
		e.invocation.started = e.initStart
	} else {
		e.log(InitStart{InitializationType: "on-demand", Phase: e.phase, RuntimeVersion: "provided:al2023"})
	}
	out, err := newOutput(func(line string, of origin) {
		e.host.log(Event{
			Time: time.Now(), Function: e.function.Name, LogStream: e.logStream,
			RequestID: of.requestID, TraceID: of.traceID, Record: Line(line),
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
	e.process, e.output, e.timer = p, out, time.NewTimer(e.limit())
	e.host.mu.Lock()
	e.pid = p.Pid()
	e.host.mu.Unlock()
	return nil
}

// ready handles a "next": init, or the invocation before, is over.
func (e *environment) ready(answers chan<- answer) {
	switch e.state {
	case stateStarted:
		e.measure()
		e.initEnd = time.Now()
		if e.invocation == nil {
			e.cold = false // it was started by itself, maybe hours before its first invocation
		}
		if e.phase == phaseInit {
			e.initTime = e.initEnd.Sub(e.initStart)
		}
	case stateResponseSent:
		e.report(e.failed)
		e.invocation, e.failed = nil, nil
	case stateReady: // asked again: the connection of the earlier call was lost
	default:
		answers <- forbiddenTransition(e.state, stateReady)
		return
	}
	wasReady := e.state == stateReady
	e.state, e.next = stateReady, answers
	switch {
	case e.invocation != nil:
		e.begin()
	case !wasReady:
		e.timer.Stop()
		if idle := e.host.opts.IdleTimeout; idle > 0 {
			e.timer.Reset(idle)
		}
		e.host.markIdle(e)
	}
}

// begin hands the invocation to the runtime, which waits in "next".
func (e *environment) begin() {
	inv := e.invocation
	if inv.started.IsZero() {
		inv.started = time.Now()
	}
	deadline := inv.started.Add(e.function.Timeout)
	e.timer.Reset(time.Until(deadline))
	e.output.setOrigin(inv.origin())
	e.log(InvocationStart{RequestID: inv.id, Version: version, Tracing: e.tracing()})
	header := http.Header{
		"Content-Type":                        {"application/json"},
		"Lambda-Runtime-Aws-Request-Id":       {inv.id},
		"Lambda-Runtime-Deadline-Ms":          {strconv.FormatInt(deadline.UnixMilli(), 10)},
		"Lambda-Runtime-Invoked-Function-Arn": {inv.arn},
	}
	if trace := inv.trace.functionHeader(); trace != "" {
		header.Set("Lambda-Runtime-Trace-Id", trace)
	}
	e.state = stateRunning
	e.next <- answer{status: http.StatusOK, header: header, body: inv.payload}
	e.next = nil
}

// respond handles the response to an invocation, or the error when failed is set, and gives it to the caller. The
// invocation ends only when the runtime asks for the next one.
func (e *environment) respond(requestID string, body []byte, failed *failure, answers chan<- answer) {
	requested := state("InvocationResponse")
	if failed != nil {
		requested = "InvocationErrorResponse"
	}
	switch {
	case e.state == stateStarted || e.state == stateReady || e.state == stateInitError:
		answers <- forbiddenTransition(e.state, requested)
		return
	case requestID != e.invocation.id:
		answers <- refusal(http.StatusBadRequest, "InvalidRequestID", "Invalid request ID")
		return
	case e.state != stateRunning:
		answers <- forbiddenTransition(e.state, requested)
		return
	}
	accepted := answer{status: http.StatusAccepted, body: []byte(`{"status":"OK"}`)}
	if failed == nil && len(body) > maxResponseBytes {
		accepted = refusal(http.StatusRequestEntityTooLarge, "RequestEntityTooLarge",
			fmt.Sprintf("Exceeded maximum allowed payload size (%d bytes).", maxResponseBytes))
		failed = newFailure("error", "Function.ResponseSizeTooLarge",
			fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", maxResponseBytes))
	}
	e.state, e.failed, e.invocation.responded = stateResponseSent, failed, time.Now()
	e.host.markAnswered(e) // first, so that the caller's next invocation waits for this environment
	if failed != nil {
		e.invocation.result <- result{payload: failed.document, functionError: "Unhandled"}
	} else {
		e.invocation.result <- result{payload: body}
	}
	answers <- accepted
}

// reportInitError handles an /init/error. The runtime is expected to exit; it is ended when it does not.
func (e *environment) reportInitError(failed *failure, answers chan<- answer) {
	if e.state != stateStarted {
		answers <- forbiddenTransition(e.state, stateInitError)
		return
	}
	e.state, e.initError = stateInitError, failed
	if wait := min(shutdownTimeout, time.Until(e.initStart.Add(e.limit()))); wait > 0 {
		e.timer.Reset(wait)
	}
	answers <- answer{status: http.StatusAccepted, body: []byte(`{"status":"OK"}`)}
}

// limit is the time that the init phase may take.
func (e *environment) limit() time.Duration {
	if e.phase == phaseInvoke || len(e.function.Debugger) > 0 {
		return e.function.Timeout
	}
	return e.host.opts.InitTimeout
}

// expire handles the end of the time for init, for the invocation, or to be idle.
func (e *environment) expire() {
	if e.state == stateReady {
		if e.host.takeIdle(e) {
			e.shutdown()
		} else {
			e.timer.Reset(e.host.opts.IdleTimeout)
		}
		return
	}
	e.expired = time.Now() // before the process has ended, which may take its time
	e.measure()
	e.terminate()
	switch {
	case e.state == stateInitError:
		e.initFailed(e.initError)
	case e.state == stateStarted && e.phase == phaseInit:
		e.initFailed(&failure{status: "timeout"})
	default:
		inv := e.invocation
		message := fmt.Sprintf("Task timed out after %.2f seconds", e.function.Timeout.Seconds())
		failed := newFailure("timeout", "Sandbox.Timedout", fmt.Sprintf("RequestId: %s Error: %s", inv.id, message))
		if e.state == stateStarted {
			e.log(e.initReport(&failure{status: "timeout"}))
			e.log(InvocationStart{RequestID: inv.id, Version: version, Tracing: e.tracing()})
		}
		e.log(Fault(time.Now().UTC().Format(timeFormat) + " " + inv.id + " " + message))
		e.fail(failed)
	}
}

// exited handles a process that has ended of itself.
func (e *environment) exited() {
	e.output.finish()
	failed := e.invocationFailure("Runtime.ExitError", exitMessage(e.process))
	switch {
	case e.state == stateInitError:
		e.initFailed(e.initError)
	case e.state == stateStarted:
		e.initFailed(failed)
	case e.invocation == nil:
		e.log(Fault(fmt.Sprintf("Error: %s\n%s", exitMessage(e.process), failed.errorType)))
		e.end()
	default:
		e.log(Fault(fmt.Sprintf("RequestId: %s Error: %s\n%s", e.invocation.id, exitMessage(e.process), failed.errorType)))
		e.fail(failed)
	}
}

func exitMessage(p *process.Process) string {
	if p.State().Success() {
		return "Runtime exited without providing a reason"
	}
	status, ok := p.State().Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		return "Runtime exited with error: signal: " + status.Signal().String() // no "(core dumped)"
	}
	return "Runtime exited with error: " + p.State().String()
}

// fail ends the environment together with the invocation. The caller hears of it last: its next invocation finds this
// environment's place free.
func (e *environment) fail(failed *failure) {
	answered := e.state == stateResponseSent
	if answered && e.failed != nil && failed.status != "timeout" {
		failed = e.failed // the exit after a panic is not the news, the panic is
	}
	e.report(failed)
	e.end()
	if !answered {
		e.invocation.result <- result{payload: failed.document, functionError: "Unhandled"}
	}
}

// initFailed ends the environment after an init that failed. Lambda repeats the init within the invocation; only when
// that fails too does the caller get the error.
func (e *environment) initFailed(failed *failure) {
	e.log(e.initReport(failed))
	e.over = true
	switch {
	case e.invocation == nil:
		e.end()
		return
	case e.phase == phaseInit:
		if !e.host.replace(e, e.invocation) {
			e.host.trace(e.invocation.closed())
			e.invocation.result <- result{err: ErrClosed}
		}
		return
	}
	e.log(InvocationStart{RequestID: e.invocation.id, Version: version, Tracing: e.tracing()})
	e.fail(failed)
}

// shutdown ends the environment because the host closes, or because the function has another configuration now.
func (e *environment) shutdown() {
	e.terminate()
	answered := e.state == stateResponseSent
	if answered {
		e.report(e.failed)
	}
	e.end()
	if e.invocation != nil && !answered {
		e.host.trace(e.invocation.closed())
		e.invocation.result <- result{err: ErrClosed}
	}
}

// terminate ends the process. SIGTERM is only for functions with an extension ("Lambda Extensions API", shutdown phase).
// No error can help here: a signal fails only when the process has ended.
func (e *environment) terminate() {
	switch {
	case e.process == nil: // not started yet
		return
	case len(e.function.Debugger) > 0:
		_ = e.process.Stop(debuggerTimeout)
	case len(e.extensions) > 0:
		_ = e.process.Stop(shutdownTimeout)
	default:
		_ = e.process.Kill()
	}
	e.output.finish()
}

// end takes the environment, whose process has ended, out of service.
func (e *environment) end() {
	e.over = true
	e.host.remove(e)
}

// report logs the end of the invocation.
func (e *environment) report(failed *failure) {
	e.measure()
	if e.output != nil {
		e.output.setOrigin(origin{}) // what was written until now belongs to this invocation
	}
	duration := min(time.Since(e.invocation.started), e.function.Timeout) // without the shutdown after a timeout
	r := Report{
		RequestID: e.invocation.id,
		Status:    "success",
		Metrics: ReportMetrics{
			DurationMs: milliseconds(duration),
			// A runtime of one's own has always been billed for its init.
			BilledDurationMs: int64((duration + e.initTime + time.Millisecond - 1) / time.Millisecond),
			MemorySizeMB:     e.function.MemoryMB,
			MaxMemoryUsedMB:  (e.memory + 1<<20 - 1) >> 20,
			InitDurationMs:   milliseconds(e.initTime),
		},
		Tracing: e.tracing(),
	}
	if failed != nil {
		r.Status, r.ErrorType = failed.status, failed.errorType
		if failed.status == "timeout" {
			r.ErrorType = ""
		}
	}
	e.log(InvocationEnd{RequestID: e.invocation.id})
	e.log(r)
	e.host.trace(e.record(failed))
	e.initTime, e.cold = 0, false
}

func (e *environment) initReport(failed *failure) InitReport {
	return InitReport{
		InitializationType: "on-demand",
		Phase:              e.phase,
		Status:             failed.status,
		ErrorType:          failed.errorType,
		Metrics:            InitReportMetrics{DurationMs: milliseconds(time.Since(e.initStart))},
	}
}

// tracing is the X-Ray part of the invocation's events; nil when the invocation is not sampled.
func (e *environment) tracing() *Tracing {
	trace := e.invocation.trace
	if !e.function.Tracing || !trace.sampled {
		return nil
	}
	return &Tracing{SpanID: trace.functionSegment, Type: "X-Amzn-Trace-Id", Value: trace.header}
}

func (e *environment) log(record Record) {
	of := e.invocation.origin()
	e.host.log(Event{
		Time: time.Now(), Function: e.function.Name, LogStream: e.logStream,
		RequestID: of.requestID, TraceID: of.traceID, Record: record,
	})
}

// measure notes the peak of the process's resident memory.
func (e *environment) measure() {
	if e.process != nil {
		e.memory = max(e.memory, peakMemory(e.process.Pid()))
	}
}

// invocationFailure is a failure whose message names the invocation, as the messages of Lambda itself do.
func (e *environment) invocationFailure(errorType, message string) *failure {
	var id string
	if e.invocation != nil {
		id = e.invocation.id
	}
	return newFailure("error", errorType, fmt.Sprintf("RequestId: %s Error: %s", id, message))
}

func newFailure(status, errorType, message string) *failure {
	return &failure{status: status, errorType: errorType, message: message, document: errorDocument(errorType, message)}
}

func errorDocument(errorType, message string) []byte {
	document, err := json.Marshal(struct {
		ErrorType    string `json:"errorType"`
		ErrorMessage string `json:"errorMessage"`
	}{errorType, message})
	if err != nil {
		panic(err) // two strings can always be encoded
	}
	return document
}
