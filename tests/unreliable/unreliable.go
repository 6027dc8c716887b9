//go:build unix

// Package unreliable is a database that breaks as a test tells it to.
package unreliable

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/userrequestapi/userdata/deploy/local"
	"github.com/userrequestapi/userdata/tests/stacktest"
)

// Fault is what happens to a request on its way to the database.
type Fault int

// What can happen to a request.
const (
	None        Fault = iota
	Ignore            // the database does not get it, and no response comes
	Throttle          // the database refuses it as one that is too busy
	Lose              // the database executes it; instead of the response, the connection is closed (FIN)
	Reset             // the same, with a reset (RST)
	Cut               // the database executes it; the connection is closed in the middle of the response
	Withhold          // the database executes it; no response comes
	ResetBefore       // the database does not get it; the connection is reset
	FailBefore        // the database does not get it; the response is 500
	FailAfter         // the database executes it; the response is 500
	Delay             // the database executes it; the response comes after Lateness
	Late              // the database executes it after Lateness, whether the caller still waits or not
)

// Lateness is longer than an attempt of the functions waits for a response.
const Lateness = 3 * time.Second

// Operation is a request that the database was sent.
type Operation struct {
	Name    string // of DynamoDB's operation, such as "PutItem"
	Attempt string // of the SDK, counted from "1"
}

// Database stands between the functions and the database of a package's tests, and breaks what it is told to break.
type Database struct {
	url       string
	Address   string // host:port
	database  *url.URL
	transport *http.Transport
	reserved  int // a socket that keeps the port while nobody listens

	mu         sync.Mutex // guards what follows
	server     *http.Server
	served     chan error
	conns      map[net.Conn]http.ConnState
	fault      func(name string) Fault
	interrupts map[string]func(execute func())
	operations []Operation

	delayed sync.WaitGroup // the requests that wait for Lateness
}

// NewDatabase starts a database where nothing is broken, and stops it after the test.
func NewDatabase(tb testing.TB) *Database {
	tb.Helper()
	database, err := url.Parse(stacktest.Endpoint(tb))
	if err != nil {
		tb.Fatal(err)
	}
	d := &Database{
		database: database, transport: &http.Transport{MaxIdleConnsPerHost: 64},
		conns: map[net.Conn]http.ConnState{}, interrupts: map[string]func(func()){},
	}
	if d.reserved, d.Address, err = reservePort(); err != nil {
		tb.Fatal(err)
	}
	d.url = "http://" + d.Address
	d.Up(tb)
	tb.Cleanup(func() {
		d.Down(tb)
		d.Settle()
		d.transport.CloseIdleConnections()
		if err := syscall.Close(d.reserved); err != nil {
			tb.Errorf("release the port: %v", err)
		}
	})
	return d
}

// reservePort binds a socket to a free port without listening. Connections to the port are refused, and yet nobody else is
// given it.
func reservePort() (socket int, address string, err error) {
	syscall.ForkLock.RLock()
	socket, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(socket)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return 0, "", fmt.Errorf("reserve a port: %w", err)
	}
	var bound syscall.Sockaddr
	// With SO_REUSEADDR, which package net sets too, the server can listen on the port nevertheless.
	err = syscall.SetsockoptInt(socket, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	if err == nil {
		err = syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	}
	if err == nil {
		bound, err = syscall.Getsockname(socket)
	}
	if err != nil {
		return 0, "", fmt.Errorf("reserve a port: %w", errors.Join(err, syscall.Close(socket)))
	}
	return socket, net.JoinHostPort("127.0.0.1", strconv.Itoa(bound.(*syscall.SockaddrInet4).Port)), nil
}

// With makes it the database of a stack.
func (d *Database) With(cfg *local.Config) { cfg.DynamoDBEndpoint = d.url }

// Up makes it accept connections.
func (d *Database) Up(tb testing.TB) {
	tb.Helper()
	listener, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", d.Address)
	if err != nil {
		tb.Fatal(err)
	}
	server := &http.Server{Handler: d, ConnState: d.track, ReadHeaderTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- server.Serve(forgetful{listener}) }()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.server, d.served = server, served
}

// Down makes it refuse connections, and closes those that there are, requests under way or not.
func (d *Database) Down(tb testing.TB) {
	tb.Helper()
	d.mu.Lock()
	server, served := d.server, d.served
	d.server = nil
	d.mu.Unlock()
	if server == nil {
		return
	}
	if err := server.Close(); err != nil {
		tb.Errorf("close the unreliable database: %v", err)
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		tb.Errorf("the unreliable database: %v", err)
	}
}

func (d *Database) track(conn net.Conn, state http.ConnState) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if state == http.StateClosed || state == http.StateHijacked {
		delete(d.conns, conn)
		return
	}
	d.conns[conn] = state
}

// Kept is how many connections are open and wait for a next request.
func (d *Database) Kept() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for _, state := range d.conns {
		if state == http.StateIdle {
			n++
		}
	}
	return n
}

// CutConnections closes all connections: with FIN, or with RST.
func (d *Database) CutConnections(tb testing.TB, withReset bool) {
	tb.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for conn := range d.conns {
		if err := hangUp(conn, withReset); err != nil && !errors.Is(err, net.ErrClosed) {
			tb.Errorf("cut a connection: %v", err)
		}
	}
}

// ForgetConnections makes it ignore what comes on the connections that there are, without closing them, as a firewall does that has
// forgotten them.
func (d *Database) ForgetConnections() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for conn := range d.conns {
		conn.(*connection).forgotten.Store(true)
	}
}

// forgetful accepts connections that can be forgotten.
type forgetful struct{ net.Listener }

// Accept implements [net.Listener].
func (l forgetful) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &connection{Conn: conn, closed: make(chan struct{})}, nil
}

type connection struct {
	net.Conn
	forgotten atomic.Bool
	closing   sync.Once
	closed    chan struct{}
}

// Read implements [net.Conn].
func (c *connection) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.forgotten.Load() {
		<-c.closed
		return 0, net.ErrClosed
	}
	return n, err
}

// Close implements [net.Conn].
func (c *connection) Close() error {
	c.closing.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

func hangUp(conn net.Conn, withReset bool) error {
	if withReset {
		if err := conn.(*connection).Conn.(*net.TCPConn).SetLinger(0); err != nil {
			return err
		}
	}
	return conn.Close()
}

// Fail gives every request from now on the fault that choose returns for the operation. nil heals.
func (d *Database) Fail(choose func(name string) Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = choose
}

// Interrupt breaks the connection of the next request for an operation, after meanwhile has run. What meanwhile does happens while
// the sender still waits. The database executes the request if and when execute is called, once, which may be later.
func (d *Database) Interrupt(name string, meanwhile func(execute func())) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.interrupts[name] = meanwhile
}

// Settle waits until the database has executed all delayed requests.
func (d *Database) Settle() { d.delayed.Wait() }

// All is the fault of every request.
func All(f Fault) func(string) Fault { return func(string) Fault { return f } }

// First is the fault of the first times requests for an operation.
func First(times int, name string, f Fault) func(string) Fault {
	return func(called string) Fault {
		if called != name || times == 0 {
			return None
		}
		times--
		return f
	}
}

// Forget forgets the operations so far.
func (d *Database) Forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.operations = nil
}

// Seen returns the operations since [Database.Forget].
func (d *Database) Seen() []Operation {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.operations)
}

// note records a request, and returns what happens to it.
func (d *Database) note(r *http.Request) (f Fault, interrupt func(execute func())) {
	_, name, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	attempt, _, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Amz-Sdk-Request"), "attempt="), ";")
	d.mu.Lock()
	defer d.mu.Unlock()
	d.operations = append(d.operations, Operation{Name: name, Attempt: attempt})
	if interrupt = d.interrupts[name]; interrupt != nil {
		delete(d.interrupts, name)
		return ResetBefore, interrupt
	}
	if d.fault != nil {
		f = d.fault(name)
	}
	if f == Delay || f == Late {
		d.delayed.Add(1)
	}
	return f, nil
}

// ServeHTTP implements [http.Handler].
func (d *Database) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	f, interrupt := d.note(r)
	if interrupt != nil {
		interrupt(func() {
			if _, err := d.forward(r, body); err != nil {
				panic(err)
			}
		})
	}
	switch f {
	case Ignore:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case ResetBefore:
		abort(w, true)
		return
	case Throttle:
		refuse(w, http.StatusBadRequest, "ProvisionedThroughputExceededException",
			"The level of configured provisioned throughput for the table was exceeded.")
		return
	case FailBefore:
		refuse(w, http.StatusInternalServerError, "InternalServerError", "Internal server error")
		return
	case Late:
		time.Sleep(Lateness)
	default:
	}
	response, err := d.forward(r, body)
	if f == Delay {
		time.Sleep(Lateness)
	}
	if f == Delay || f == Late {
		d.delayed.Done()
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	switch f {
	case Lose, Reset:
		abort(w, f == Reset)
		return
	case Withhold:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case FailAfter:
		refuse(w, http.StatusInternalServerError, "InternalServerError", "Internal server error")
		return
	default:
	}
	maps.Copy(w.Header(), response.header)
	w.Header().Set("Content-Length", strconv.Itoa(len(response.body)))
	w.WriteHeader(response.status)
	if f == Cut {
		_, _ = w.Write(response.body[:len(response.body)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(response.body)
}

// abort closes the connection without a response.
func abort(w http.ResponseWriter, withReset bool) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		err = hangUp(conn, withReset)
	}
	if err != nil {
		panic(err)
	}
}

// refuse responds as DynamoDB does to a request that it does not execute.
func refuse(w http.ResponseWriter, status int, exception, message string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"__type":"com.amazonaws.dynamodb.v20120810#%s","message":%q}`, exception, message)
}

type response struct {
	status int
	header http.Header
	body   []byte
}

// forward has the database execute a request, whether its sender still waits or not.
func (d *Database) forward(r *http.Request, body []byte) (response, error) {
	out, err := http.NewRequest(r.Method, d.database.JoinPath(r.URL.Path).String(), bytes.NewReader(body)) //nolint:noctx // as it says
	if err != nil {
		return response{}, err
	}
	out.Header = r.Header.Clone()
	res, err := d.transport.RoundTrip(out)
	if err != nil {
		return response{}, err
	}
	defer func() { _ = res.Body.Close() }()
	got, err := io.ReadAll(res.Body)
	return response{status: res.StatusCode, header: res.Header, body: got}, err
}
