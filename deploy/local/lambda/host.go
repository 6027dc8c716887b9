// Package lambda runs Lambda functions on this machine as AWS Lambda runs them: their real provided.al2023 binaries,
// unmodified, as child processes that are served the Lambda Runtime API over HTTP on 127.0.0.1.
//
// Each execution environment is one process that handles one invocation at a time. An invocation that finds all
// environments busy gets a new one, up to the function's concurrency; beyond it Lambda's 429 is returned. Init limit,
// timeout, crash and payload limits end as they end on Lambda, with the same error documents and the same log lines.
//
// Each invocation gets the ids of the two segments that Lambda sends to X-Ray of it. The host sends none: it tells
// [Options].Trace what would be in them. [Host.Update] replaces functions while they are used, and [Function].Debugger runs one
// under a debugger.
//
// Idle environments end after Options.IdleTimeout. The most recently used one of each function stays while no other is busy.
//
// What is not Lambda's: memory is measured and not limited, CPU is not scaled with it, and an environment that waits for the
// next invocation is not frozen. Whether a trace is sampled is decided by who calls: what comes without a decision is not.
package lambda

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

const (
	defaultAccountID       = "000000000000"
	defaultRegion          = "us-east-1"
	defaultXRayDaemon      = "127.0.0.1:2000"
	defaultMaxEnvironments = 10
	defaultMemoryMB        = 128             // Lambda's default
	defaultTimeout         = 3 * time.Second // Lambda's default
	defaultInitTimeout     = 10 * time.Second
	debugTimeout           = 24 * time.Hour // of the init and of an invocation of a function that is debugged

	maxRequestBytes  = 6291456 // Lambda quotas: 6 MB each way for a synchronous invocation; the response may
	maxResponseBytes = 6291556 // have 100 bytes more (recorded in the error message of Function.ResponseSizeTooLarge)

	// An environment that has answered asks for the next invocation within microseconds. Waiting for that is better than
	// a cold start, or a refusal, for a client that sends one request after the other.
	reuseWait = 250 * time.Millisecond
)

// ErrClosed is returned by [Host.Invoke] when the host is closed, or is closed while the invocation runs.
var ErrClosed = errors.New("lambda host is closed")

// Function is the configuration of a Lambda function.
type Function struct {
	Name        string            // function name, such as "UserRequestAPI-get"
	Bootstrap   string            // path of the binary; its folder is the task root and the working directory
	Environment map[string]string // configured variables; the names that Lambda reserves are refused
	MemoryMB    int               // reported, not enforced; 0: 128
	Timeout     time.Duration     // of one invocation; 0: 3 s
	Concurrency *int              // most environments at once (Lambda's reserved concurrency); nil: Options.MaxEnvironments
	Handler     string            // value of _HANDLER; "": "bootstrap"
	Tracing     bool              // whether REPORT names the X-Ray trace of a sampled invocation
	LogGroup    string            // name of the log group; "": /aws/lambda/<Name>
	LogFormat   string            // "JSON" or "Text", told to the function; "": neither it nor LogLevel is
	LogLevel    string            // the lowest level of the function's own lines that Lambda keeps where LogFormat is JSON
	// Revision says which binary Bootstrap is, such as a hash of it: [Host.Update] takes functions with different revisions
	// for different ones.
	Revision string
	// Debugger is a command that runs the binary under a debugger: {bootstrap} in it stands for the path, which is appended
	// where it has none. Such a function has one environment, which Start or Update starts at once, and for which
	// invocations wait; neither its init nor its invocations have a time limit to speak of (24 h), whatever Timeout says.
	// When the debugger ends, the next invocation starts it again.
	Debugger []string
}

// Options configures a [Host]. The zero value is usable.
type Options struct {
	AccountID         string        // in ARNs; "": 000000000000
	Region            string        // "": us-east-1
	XRayDaemonAddress string        // host:port told to the functions; "": 127.0.0.1:2000
	MaxEnvironments   int           // most environments of a function that names no Concurrency; 0: 10
	InitTimeout       time.Duration // limit of the init phase; 0: Lambda's 10 s
	// IdleTimeout is how long an environment waits for an invocation before it ends; 0: for ever. The most recently used
	// idle one of a function stays while none of the others is starting or busy.
	IdleTimeout time.Duration
	// Log gets every log event, one call at a time and in order. It holds up the functions while it runs and must not
	// call the Host. nil: events are dropped.
	Log func(Event)
	// Trace gets every invocation once, when it is over, also one that was refused (but none of an unknown function or of a
	// closed host). It is called like Log, never at the same time, and after the invocation's last event. nil: nobody hears.
	Trace func(Invocation)
}

// Environment describes an execution environment.
type Environment struct {
	ID        string
	PID       int // 0 until the process was started
	LogStream string
	Busy      bool // in init, with an invocation, or not yet ready for the next one
}

// Error is a refusal by Lambda's Invoke API: the function was not run.
type Error struct {
	Status  int    // HTTP status
	Type    string // exception name, such as "TooManyRequestsException"
	Reason  string // of a TooManyRequestsException
	Message string
}

// StatusCode is the HTTP status of Lambda's answer.
func (e *Error) StatusCode() int { return e.Status }

// Error implements error.
func (e *Error) Error() string {
	return fmt.Sprintf("lambda invoke: %s (%d): %s", e.Type, e.Status, e.Message)
}

// Host runs functions. Create it with [Start]; its methods may be called from several goroutines.
type Host struct {
	opts     Options
	address  string // host:port of the Runtime API
	server   *http.Server
	served   chan error // what Serve returned
	closing  chan struct{}
	running  sync.WaitGroup // goroutines of environments
	close    func() error
	logMutex sync.Mutex // keeps calls of opts.Log and opts.Trace apart

	mu           sync.Mutex // guards what follows and the fields of functions and environments that say so
	closed       bool
	functions    map[string]*function
	environments map[string]*environment // by id
}

// function is a Function and its environments.
type function struct {
	Function
	limit int

	// Guarded by Host.mu.
	environments map[*environment]struct{}
	idle         []*environment // the most recently used last
	answered     int            // environments whose response is known, but which have not asked for the next invocation
	changed      chan struct{}  // closed and replaced when an environment becomes idle or ends

	retired chan struct{} // closed, with Host.mu held, when Update has replaced or removed the function
}

// Start checks the functions and starts to serve the Runtime API. Processes are started by the first invocations, save
// those with a debugger.
func Start(functions []Function, opts Options) (*Host, error) {
	h := &Host{
		opts:         opts.withDefaults(),
		served:       make(chan error, 1),
		closing:      make(chan struct{}),
		environments: make(map[string]*environment),
	}
	if _, _, err := net.SplitHostPort(h.opts.XRayDaemonAddress); err != nil {
		return nil, fmt.Errorf("X-Ray daemon address: %w", err)
	}
	configured, err := newFunctions(functions, h.opts)
	if err != nil {
		return nil, err
	}
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the Runtime API: %w", err)
	}
	h.address = listener.Addr().String()
	// No read or write timeouts: the runtime waits in "next" for as long as no request comes, and may be frozen anywhere.
	h.server = &http.Server{Handler: h.routes(), ReadHeaderTimeout: time.Minute}
	go func() { h.served <- h.server.Serve(listener) }()
	h.close = sync.OnceValue(h.shutdown)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.serve(configured)
	return h, nil
}

// Update replaces the configuration of all functions: what is given holds for every invocation that begins from now, and
// no invocation is lost or refused because of it. Functions that are not given are removed. The environments of a function
// whose configuration is another one end, as [Host.Close] ends them: those that are idle at once, the others after their
// invocation; they do not count against the limit of the new ones. An error means that nothing was changed.
func (h *Host) Update(functions []Function) error {
	configured, err := newFunctions(functions, h.opts)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return ErrClosed
	}
	h.serve(configured)
	return nil
}

// serve makes these the functions. Host.mu must be held.
func (h *Host) serve(configured map[string]*function) {
	before := h.functions
	h.functions = configured
	for name, old := range before {
		if fn := configured[name]; fn != nil && reflect.DeepEqual(fn.Function, old.Function) {
			configured[name] = old
			continue
		}
		close(old.retired)
		old.announce() // to those who wait for one of its environments
	}
	for name, fn := range configured {
		if len(fn.Debugger) > 0 && fn != before[name] {
			h.add(newEnvironment(h, fn, nil))
		}
	}
}

func (o Options) withDefaults() Options {
	o.AccountID = cmp.Or(o.AccountID, defaultAccountID)
	o.Region = cmp.Or(o.Region, defaultRegion)
	o.XRayDaemonAddress = cmp.Or(o.XRayDaemonAddress, defaultXRayDaemon)
	o.MaxEnvironments = cmp.Or(o.MaxEnvironments, defaultMaxEnvironments)
	o.InitTimeout = cmp.Or(o.InitTimeout, defaultInitTimeout)
	return o
}

func newFunctions(functions []Function, opts Options) (map[string]*function, error) {
	configured := make(map[string]*function, len(functions))
	for _, f := range functions {
		if _, twice := configured[f.Name]; twice {
			return nil, fmt.Errorf("function %s is configured twice", f.Name)
		}
		fn, err := newFunction(f, opts)
		if err != nil {
			return nil, fmt.Errorf("function %q: %w", f.Name, err)
		}
		configured[f.Name] = fn
	}
	return configured, nil
}

func newFunction(f Function, opts Options) (*function, error) {
	f.MemoryMB = cmp.Or(f.MemoryMB, defaultMemoryMB)
	f.Timeout = cmp.Or(f.Timeout, defaultTimeout)
	f.Handler = cmp.Or(f.Handler, "bootstrap")
	f.LogGroup = cmp.Or(f.LogGroup, "/aws/lambda/"+f.Name)
	f.Environment, f.Debugger = maps.Clone(f.Environment), slices.Clone(f.Debugger)
	limit := opts.MaxEnvironments
	if f.Concurrency != nil {
		limit = *f.Concurrency
	}
	if f.Name == "" || strings.ContainsAny(f.Name, ":/") {
		return nil, errors.New("the name must be set, without colon or slash")
	}
	if f.MemoryMB < 0 || f.Timeout < 0 || limit < 0 {
		return nil, errors.New("memory, timeout and concurrency must not be negative")
	}
	if err := checkVariables(f.Environment); err != nil {
		return nil, err
	}
	path, err := filepath.Abs(f.Bootstrap)
	if err != nil {
		return nil, fmt.Errorf("bootstrap: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("bootstrap: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
		return nil, fmt.Errorf("bootstrap: %s is not an executable file", path)
	}
	f.Bootstrap = path
	if len(f.Debugger) > 0 {
		f.Timeout, limit = debugTimeout, 1
	}
	return &function{
		Function:     f,
		limit:        limit,
		environments: make(map[*environment]struct{}),
		changed:      make(chan struct{}),
		retired:      make(chan struct{}),
	}, nil
}

// command is what an environment's process runs.
func (fn *function) command() []string {
	const placeholder = "{bootstrap}"
	if len(fn.Debugger) == 0 {
		return []string{fn.Bootstrap}
	}
	command := slices.Clone(fn.Debugger)
	for i, word := range command {
		command[i] = strings.ReplaceAll(word, placeholder, fn.Bootstrap)
	}
	if slices.Equal(command, fn.Debugger) {
		command = append(command, fn.Bootstrap)
	}
	return command
}

// Invoke runs a function synchronously, as Lambda's Invoke API does with RequestResponse. The function is given by name
// or ARN, either with or without a qualifier (which selects nothing here); traceHeader is the X-Amzn-Trace-Id value to
// pass on, or "". An empty payload is sent as {}.
//
// requestID is Lambda's, "" for an unknown function. When the function ran and failed, functionError is "Unhandled" and
// response is the error document. When Lambda would refuse the call, err is an [*Error]; when the host is closed it is
// [ErrClosed]; when ctx ends first it is ctx's error, and the invocation goes on to its end, as it does on Lambda; payload
// must not be changed then.
func (h *Host) Invoke(ctx context.Context, functionARN, traceHeader string, payload []byte) (
	response []byte, requestID, functionError string, err error,
) {
	name, arn, err := h.resolve(functionARN)
	if err != nil {
		return nil, "", "", err
	}
	inv := &invocation{
		id:       uuid.NewString(),
		function: name,
		arn:      arn,
		trace:    newTraceContext(traceHeader),
		received: time.Now(),
		result:   make(chan result, 1),
	}
	if inv.payload, err = checkPayload(payload); err == nil {
		err = h.dispatch(ctx, inv)
	}
	if err != nil {
		if refusal, ok := errors.AsType[*Error](err); ok {
			h.trace(inv.refused(refusal))
		}
		return nil, inv.id, "", err
	}
	select {
	case r := <-inv.result:
		return r.payload, inv.id, r.functionError, r.err
	case <-ctx.Done():
		return nil, inv.id, "", ctx.Err()
	}
}

// checkPayload returns what the function is given.
func checkPayload(payload []byte) ([]byte, error) {
	switch {
	case len(payload) == 0:
		return []byte("{}"), nil
	case len(payload) > maxRequestBytes:
		return nil, &Error{Status: http.StatusRequestEntityTooLarge, Type: "RequestEntityTooLargeException",
			Message: fmt.Sprintf("Request must be smaller than %d bytes for the InvokeFunction operation", maxRequestBytes)}
	case !json.Valid(payload):
		return nil, &Error{Status: http.StatusBadRequest, Type: "InvalidRequestContentException",
			Message: "Could not parse request body into json"}
	}
	return payload, nil
}

// resolve returns the name of a function that is given by name or ARN, and the ARN as it was invoked.
func (h *Host) resolve(ref string) (name, arn string, err error) {
	prefix := fmt.Sprintf("arn:aws:lambda:%s:%s:function:", h.opts.Region, h.opts.AccountID)
	qualified := strings.TrimPrefix(ref, prefix)
	name, _, _ = strings.Cut(qualified, ":")
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.functions[name] == nil {
		return "", "", notFound(ref)
	}
	return name, prefix + qualified, nil
}

func notFound(ref string) error {
	return &Error{Status: http.StatusNotFound, Type: "ResourceNotFoundException", Message: "Function not found: " + ref}
}

// dispatch gives inv to an idle environment, else to a new one.
func (h *Host) dispatch(ctx context.Context, inv *invocation) error {
	patience := time.NewTimer(reuseWait)
	defer patience.Stop()
	for patient := true; ; {
		h.mu.Lock()
		fn := h.functions[inv.function] // Update may have replaced it meanwhile
		switch {
		case h.closed:
			h.mu.Unlock()
			return ErrClosed
		case fn == nil:
			h.mu.Unlock()
			return notFound(inv.arn)
		case len(fn.idle) > 0:
			last := len(fn.idle) - 1
			e := fn.idle[last]
			fn.idle = fn.idle[:last]
			h.mu.Unlock()
			select {
			case e.invocations <- inv:
				return nil
			case <-e.ended: // it died while idle, or has another configuration than the function now
			}
		case len(fn.Debugger) > 0 && len(fn.environments) > 0:
			changed := fn.changed
			h.mu.Unlock()
			select {
			case <-changed:
			case <-h.closing:
			case <-ctx.Done():
				return ctx.Err()
			}
		case fn.answered > 0 && patient:
			changed := fn.changed
			h.mu.Unlock()
			select {
			case <-changed:
			case <-patience.C:
				patient = false
			case <-ctx.Done():
				return ctx.Err()
			}
		case len(fn.environments) < fn.limit:
			h.add(newEnvironment(h, fn, inv))
			h.mu.Unlock()
			return nil
		default:
			h.mu.Unlock()
			return fn.throttled()
		}
	}
}

func (fn *function) throttled() error {
	reason := "ConcurrentInvocationLimitExceeded"
	if fn.Concurrency != nil {
		reason = "ReservedFunctionConcurrentInvocationLimitExceeded"
	}
	return &Error{Status: http.StatusTooManyRequests, Type: "TooManyRequestsException", Reason: reason, Message: "Rate Exceeded."}
}

// add starts e. Host.mu must be held, and the host not closed.
func (h *Host) add(e *environment) {
	if len(e.function.Debugger) > 0 { // which listens where the one before it does
		for _, other := range h.environments {
			if other.function.Name == e.function.Name {
				e.after = append(e.after, other)
			}
		}
	}
	h.environments[e.id] = e
	e.function.environments[e] = struct{}{}
	h.running.Go(e.run)
}

// remove takes e, whose process has ended, out of service.
func (h *Host) remove(e *environment) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.removeLocked(e)
}

func (h *Host) removeLocked(e *environment) {
	fn := e.function
	delete(h.environments, e.id)
	delete(fn.environments, e)
	fn.idle = slices.DeleteFunc(fn.idle, func(idle *environment) bool { return idle == e })
	h.setAnswered(e, false)
	fn.announce()
}

// replace puts an environment in e's place that repeats the init for inv; false when the host is closing.
func (h *Host) replace(e *environment, inv *invocation) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.removeLocked(e)
	if h.closed {
		return false
	}
	successor := newEnvironment(h, e.function, inv)
	successor.logStream, successor.phase = e.logStream, phaseInvoke
	h.add(successor)
	return true
}

// markIdle makes e available for invocations. (Where the function has another configuration now, none comes here.)
func (h *Host) markIdle(e *environment) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.setAnswered(e, false)
	e.function.idle = append(e.function.idle, e)
	e.function.announce()
}

// takeIdle takes e, which has been idle for Options.IdleTimeout, from the environments that invocations are given to. It
// reports false if e is to stay: it is the most recently used one and no other is busy, or it has just been given an invocation.
func (h *Host) takeIdle(e *environment) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	fn := e.function
	i := slices.Index(fn.idle, e)
	if i < 0 || i == len(fn.idle)-1 && len(fn.idle) == len(fn.environments) {
		return false
	}
	fn.idle = slices.Delete(fn.idle, i, i+1)
	delete(fn.environments, e) // now: an environment that is ending does not count
	return true
}

// markAnswered notes that e will soon be idle.
func (h *Host) markAnswered(e *environment) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.setAnswered(e, true)
}

func (h *Host) setAnswered(e *environment, answered bool) {
	if e.answered == answered {
		return
	}
	e.answered = answered
	if answered {
		e.function.answered++
	} else {
		e.function.answered--
	}
}

func (fn *function) announce() {
	close(fn.changed)
	fn.changed = make(chan struct{})
}

// Environments lists the execution environments of a function, given as for [Host.Invoke], by id, with those that are about
// to end because of [Host.Update].
func (h *Host) Environments(function string) []Environment {
	name, _, err := h.resolve(function)
	if err != nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []Environment
	for _, e := range h.environments {
		if e.function.Name == name {
			idle := slices.Contains(e.function.idle, e)
			list = append(list, Environment{ID: e.id, PID: e.pid, LogStream: e.logStream, Busy: !idle})
		}
	}
	slices.SortFunc(list, func(a, b Environment) int { return strings.Compare(a.ID, b.ID) })
	return list
}

// Close ends every environment: at once, or after the graceful shutdown that registering an extension earns a function.
// Invocations that run return [ErrClosed]. When it returns no process and no goroutine is left; further calls return
// the same error.
func (h *Host) Close() error { return h.close() }

func (h *Host) shutdown() error {
	h.mu.Lock()
	h.closed = true
	close(h.closing)
	h.mu.Unlock()
	h.running.Wait()

	// The processes are gone, so every connection ends by itself; the deadline is for a stranger's.
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := h.server.Shutdown(ctx)
	if err != nil {
		err = h.server.Close()
	}
	if serveErr := <-h.served; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, fmt.Errorf("serve the Runtime API: %w", serveErr))
	}
	return err
}

func (h *Host) log(e Event) {
	if h.opts.Log == nil {
		return
	}
	h.logMutex.Lock()
	defer h.logMutex.Unlock()
	h.opts.Log(e)
}
