// Package lambda runs Lambda functions locally. It starts their unmodified provided.al2023 binaries as child processes
// and serves them the Lambda Runtime API on 127.0.0.1.
//
// Each execution environment is one process that handles one invocation at a time. If all environments are busy, an
// invocation starts a new one, up to the function's concurrency. Beyond it, [Host.Invoke] returns Lambda's status code
// 429. Timeouts, crashes and payload limits produce the same error documents and log lines as on Lambda.
//
// Each invocation has the ids of the two segments that Lambda sends to X-Ray. The host does not send segments: it
// passes their contents to [Options].Trace.
//
// [Host.Update] replaces functions without interrupting invocations. [Configuration].Debugger runs a function under a
// debugger. Idle environments end after [Options].IdleTimeout.
//
// Differences from Lambda: there is no Extensions API, memory is measured but not limited, CPU does not scale with it,
// and idle environments are not frozen. The caller decides whether a trace is sampled; a trace without a decision is
// not sampled.
package lambda

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	defaultMaxEnvironments = 10
	defaultInitTimeout     = 10 * time.Second

	// Lambda quotas: 6 MB for the request and the response of a synchronous invocation. The error message of
	// Function.ResponseSizeTooLarge shows that Lambda accepts 100 bytes more in a response.
	maxRequestBytes  = 6291456
	maxResponseBytes = 6291556

	// reuseWait is how long an invocation waits for an environment that has sent its response, but has not yet
	// requested the next invocation. This takes microseconds and avoids a cold start or a 429 for sequential requests.
	reuseWait = 250 * time.Millisecond
)

// ErrClosed is returned by [Host.Invoke] if the host is closed before the invocation ends.
var ErrClosed = errors.New("lambda host is closed")

// Options configures a [Host].
type Options struct {
	AccountID         string        // in ARNs
	Region            string        // of the functions
	XRayDaemonAddress string        // host:port, passed to the functions
	MaxEnvironments   int           // maximum environments of a function without Concurrency; 0 means 10
	InitTimeout       time.Duration // limit of the init phase; 0 means 10 s, as on Lambda
	// IdleTimeout is how long an environment waits for an invocation before it ends; 0 means no limit. The most
	// recently used idle environment of a function stays while no other is starting or busy.
	IdleTimeout time.Duration
	// Log, if not nil, is called for each log event, sequentially and in order. It blocks the functions and must not
	// call the Host.
	Log func(Event)
	// Trace, if not nil, is called once for each invocation, after its last event. Rejected requests are included,
	// except for those to an unknown function or a closed host. Calls of Trace and Log do not overlap.
	Trace func(Invocation)
}

// Error is an error of Lambda's Invoke API. The function was not run.
type Error struct {
	Status  int    // HTTP status code
	Type    string // exception name, such as "TooManyRequestsException"
	Message string
}

// StatusCode returns the status code of Lambda's response.
func (e *Error) StatusCode() int { return e.Status }

// Error implements the error interface.
func (e *Error) Error() string {
	return fmt.Sprintf("lambda invoke: %s (%d): %s", e.Type, e.Status, e.Message)
}

// Host runs functions. Create it with [Start]. Its methods are safe for concurrent use.
type Host struct {
	opts     Options
	address  string // host:port of the Runtime API
	server   *http.Server
	served   chan error // result of server.Serve
	closing  chan struct{}
	running  sync.WaitGroup // goroutines of environments
	close    func() error
	logMutex sync.Mutex // serializes calls of opts.Log and opts.Trace

	mu           sync.Mutex // guards the following fields, and those marked in pool and environment
	closed       bool
	functions    map[string]*pool
	environments map[string]*environment // by id
}

// Start validates the functions and starts serving the Runtime API. Processes start with the first invocation, except
// for functions with a debugger.
func Start(functions []Configuration, opts Options) (*Host, error) {
	opts.MaxEnvironments = cmp.Or(opts.MaxEnvironments, defaultMaxEnvironments)
	opts.InitTimeout = cmp.Or(opts.InitTimeout, defaultInitTimeout)
	h := &Host{
		opts:         opts,
		served:       make(chan error, 1),
		closing:      make(chan struct{}),
		environments: make(map[string]*environment),
	}
	if _, _, err := net.SplitHostPort(opts.XRayDaemonAddress); err != nil {
		return nil, fmt.Errorf("X-Ray daemon address: want host:port: %w", err)
	}
	configured, err := newPools(functions, opts)
	if err != nil {
		return nil, err
	}
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the Runtime API: %w", err)
	}
	h.address = listener.Addr().String()
	// No read or write timeouts: a runtime waits in GET /invocation/next until the next invocation.
	h.server = &http.Server{Handler: h.routes(), ReadHeaderTimeout: time.Minute}
	go func() { h.served <- h.server.Serve(listener) }()
	h.close = sync.OnceValue(h.shutdown)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.setFunctions(configured)
	return h, nil
}

// Update replaces the configuration of all functions for invocations that begin after it returns. Functions not in the
// list are removed. Running invocations are not interrupted.
//
// The environments of a changed function end as with [Host.Close]: idle ones at once, others after their invocation.
// They do not count against the limit of the new function. If Update returns an error, nothing has changed.
func (h *Host) Update(functions []Configuration) error {
	configured, err := newPools(functions, h.opts)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return ErrClosed
	}
	h.setFunctions(configured)
	return nil
}

// setFunctions replaces the functions. The caller must hold Host.mu.
func (h *Host) setFunctions(configured map[string]*pool) {
	before := h.functions
	h.functions = configured
	for name, old := range before {
		if fn := configured[name]; fn != nil && reflect.DeepEqual(fn.Configuration, old.Configuration) {
			configured[name] = old
			continue
		}
		close(old.retired)
		old.notifyWaiters() // wakes invocations that wait for one of its environments
	}
	for name, fn := range configured {
		if len(fn.Debugger) > 0 && fn != before[name] {
			h.add(newEnvironment(h, fn, nil))
		}
	}
}

// InvokeOutput is the response of Lambda's Invoke API. With an error, only RequestID may be set.
type InvokeOutput struct {
	RequestID     string // "" for an unknown function
	FunctionError string // "Unhandled" if the function failed: Payload is the error document
	Payload       []byte
	// ColdStart reports whether the request waited for a new execution environment. Lambda's API does not return it.
	ColdStart bool
}

// Invoke runs a function synchronously, like Lambda's Invoke API with RequestResponse. functionARN is the function's
// name or ARN; a qualifier is ignored. traceHeader is the X-Amzn-Trace-Id to pass on, or "". An empty payload is sent
// as {}.
//
// If Lambda would reject the request, the error is an [*Error]. If the host is closed, it is [ErrClosed]. If ctx ends
// first, it is ctx.Err() and the invocation continues, as on Lambda; payload must not be modified.
func (h *Host) Invoke(ctx context.Context, functionARN, traceHeader string, payload []byte) (InvokeOutput, error) {
	name, arn, err := h.resolve(functionARN)
	if err != nil {
		return InvokeOutput{}, err
	}
	inv := &invocation{
		Invocation:  newInvocation(traceHeader),
		traceHeader: traceHeader,
		result:      make(chan result, 1),
	}
	inv.Function, inv.ARN = name, arn
	if inv.payload, err = checkPayload(payload); err == nil {
		err = h.dispatch(ctx, inv)
	}
	if err != nil {
		if rejected, ok := errors.AsType[*Error](err); ok {
			h.trace(inv.refusedRecord(rejected))
		}
		return InvokeOutput{RequestID: inv.RequestID}, err
	}
	select {
	case r := <-inv.result:
		return InvokeOutput{
			RequestID: inv.RequestID, FunctionError: r.functionError, Payload: r.payload, ColdStart: r.cold,
		}, r.err
	case <-ctx.Done():
		return InvokeOutput{RequestID: inv.RequestID}, ctx.Err()
	}
}

// Close ends every environment. Running invocations return [ErrClosed]. When Close returns, all processes and
// goroutines have ended. Further calls return the same error.
func (h *Host) Close() error { return h.close() }

// checkPayload returns the payload for the function, or an [*Error] if Lambda would reject it.
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

// resolve returns the function name and the invoked ARN for a name or ARN.
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

// dispatch sends inv to an idle environment or starts a new one.
func (h *Host) dispatch(ctx context.Context, inv *invocation) error {
	reuseTimer := time.NewTimer(reuseWait)
	defer reuseTimer.Stop()
	for mayWait := true; ; {
		h.mu.Lock()
		fn := h.functions[inv.Function] // Update may have replaced it
		switch {
		case h.closed:
			h.mu.Unlock()
			return ErrClosed
		case fn == nil:
			h.mu.Unlock()
			return notFound(inv.ARN)
		case len(fn.idle) > 0:
			last := len(fn.idle) - 1
			e := fn.idle[last]
			fn.idle = fn.idle[:last]
			h.mu.Unlock()
			select {
			case e.invocations <- inv:
				return nil
			case <-e.ended: // exited while idle, or the function was replaced
			}
		case len(fn.Debugger) > 0 && len(fn.environments) > 0 || fn.responded > 0 && mayWait:
			changed := fn.changed
			h.mu.Unlock()
			select {
			case <-changed:
			case <-h.closing:
			case <-reuseTimer.C:
				mayWait = false
			case <-ctx.Done():
				return ctx.Err()
			}
		case len(fn.environments) < fn.limit:
			h.add(newEnvironment(h, fn, inv))
			h.mu.Unlock()
			return nil
		default:
			h.mu.Unlock()
			return &Error{Status: http.StatusTooManyRequests, Type: "TooManyRequestsException", Message: "Rate Exceeded."}
		}
	}
}

// add starts e. The caller must hold Host.mu, and the host must not be closed.
func (h *Host) add(e *environment) {
	if len(e.function.Debugger) > 0 { // it listens on the same address as its predecessor
		for _, other := range h.environments {
			if other.function.Name == e.function.Name {
				e.predecessors = append(e.predecessors, other)
			}
		}
	}
	h.environments[e.id] = e
	e.function.environments[e] = struct{}{}
	h.running.Go(e.run)
}

// remove removes e, whose process has ended.
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
	h.setResponded(e, false)
	fn.notifyWaiters()
}

// replace replaces e with an environment that retries the init for inv, and reports whether it did: not if the host is
// closed.
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

// markIdle makes e available for invocations.
func (h *Host) markIdle(e *environment) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.setResponded(e, false)
	e.function.idle = append(e.function.idle, e)
	e.function.notifyWaiters()
}

// takeIdle removes e, which has reached Options.IdleTimeout, from the idle environments and reports whether it did: not
// if e is the most recently used one and no other is starting or busy, or if e has just received an invocation.
func (h *Host) takeIdle(e *environment) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	fn := e.function
	i := slices.Index(fn.idle, e)
	if i < 0 || i == len(fn.idle)-1 && len(fn.idle) == len(fn.environments) {
		return false
	}
	fn.idle = slices.Delete(fn.idle, i, i+1)
	delete(fn.environments, e) // an environment that is ending does not count against the limit
	return true
}

// markResponded records that e has sent its response and will soon be idle.
func (h *Host) markResponded(e *environment) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.setResponded(e, true)
}

func (h *Host) setResponded(e *environment, responded bool) {
	if e.responded == responded {
		return
	}
	e.responded = responded
	if responded {
		e.function.responded++
	} else {
		e.function.responded--
	}
}

func (h *Host) shutdown() error {
	h.mu.Lock()
	h.closed = true
	close(h.closing)
	h.mu.Unlock()
	h.running.Wait()

	// The processes have ended and so have their connections. The timeout is for connections of other clients.
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
