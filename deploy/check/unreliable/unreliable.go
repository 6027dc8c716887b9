//go:build unix

// Package unreliable provides a proxy for DynamoDB Local that injects faults.
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

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/deploy/local"
)

// Fault is a fault of a request to the database.
type Fault int

// Faults of requests to the database.
const (
	None          Fault = iota
	Ignore              // the request is dropped; there is no response
	Throttle            // the response is ProvisionedThroughputExceededException
	CloseAfter          // the request is executed; the connection is closed (FIN) without a response
	ResetAfter          // the request is executed; the connection is reset (RST) without a response
	Truncate            // the request is executed; the connection is closed in the middle of the response
	DropResponse        // the request is executed; there is no response
	ResetBefore         // the request is dropped; the connection is reset
	FailBefore          // the request is dropped; the response is 500
	FailAfter           // the request is executed; the response is 500
	DelayResponse       // the request is executed; the response is delayed by DelayTime
	DelayRequest        // the request is executed after DelayTime, even if the caller has given up
)

// DelayTime exceeds the timeout of an attempt of the functions.
const DelayTime = 3 * time.Second

// Operation is a request that the database received.
type Operation struct {
	Name    string // the DynamoDB operation, for example "PutItem"
	Attempt string // the SDK's attempt, from "1"
}

// Database is a proxy between the functions and the database of a package's tests.
type Database struct {
	url       string
	Address   string // host:port
	database  *url.URL
	transport *http.Transport
	reserved  int // a socket that reserves the port while there is no listener

	mu         sync.Mutex // guards the fields below
	server     *http.Server
	served     chan error
	conns      map[net.Conn]http.ConnState
	fault      func(name string) Fault
	interrupts map[string]func(execute func())
	operations []Operation

	delayed sync.WaitGroup // requests that wait for DelayTime
}

// NewDatabase starts a database without faults, and stops it after the test.
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
		d.WaitDelayed()
		d.transport.CloseIdleConnections()
		if err := syscall.Close(d.reserved); err != nil {
			tb.Errorf("release the port: %v", err)
		}
	})
	return d
}

// reservePort binds a socket to a free port without listening. Connections to the port are refused, and no other
// process gets the port.
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
	// With SO_REUSEADDR, which package net also sets, the server can listen on the port.
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

// With sets d as the database of a stack.
func (d *Database) With(cfg *local.Config) { cfg.DynamoDBEndpoint = d.url }

// Up starts to accept connections.
func (d *Database) Up(tb testing.TB) {
	tb.Helper()
	listener, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", d.Address)
	if err != nil {
		tb.Fatal(err)
	}
	server := &http.Server{Handler: d, ConnState: d.track, ReadHeaderTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- server.Serve(blackholeListener{listener}) }()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.server, d.served = server, served
}

// Down closes all connections, including those with pending requests, and refuses new ones.
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
		tb.Errorf("close unreliable database: %v", err)
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		tb.Errorf("serve unreliable database: %v", err)
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

// IdleConnections returns the number of open connections without a pending request.
func (d *Database) IdleConnections() int {
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

// CloseConnections closes all connections with FIN or, if withReset, with RST.
func (d *Database) CloseConnections(tb testing.TB, withReset bool) {
	tb.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for conn := range d.conns {
		if err := closeConnection(conn, withReset); err != nil && !errors.Is(err, net.ErrClosed) {
			tb.Errorf("close connection: %v", err)
		}
	}
}

// BlackholeConnections ignores all data on the open connections without closing them, like a firewall that has
// dropped their state.
func (d *Database) BlackholeConnections() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for conn := range d.conns {
		conn.(*connection).blackholed.Store(true)
	}
}

// blackholeListener accepts connections that can be blackholed.
type blackholeListener struct{ net.Listener }

// Accept implements [net.Listener].
func (l blackholeListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &connection{Conn: conn, closed: make(chan struct{})}, nil
}

type connection struct {
	net.Conn
	blackholed atomic.Bool
	closing    sync.Once
	closed     chan struct{}
}

// Read implements [net.Conn].
func (c *connection) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.blackholed.Load() {
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

func closeConnection(conn net.Conn, withReset bool) error {
	if withReset {
		if err := conn.(*connection).Conn.(*net.TCPConn).SetLinger(0); err != nil {
			return err
		}
	}
	return conn.Close()
}

// Fail sets the fault of every later request to what choose returns for its operation. If choose is nil, there are no
// faults.
func (d *Database) Fail(choose func(name string) Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = choose
}

// Interrupt calls meanwhile while the next request for an operation is pending, then resets its connection. The
// database executes the request when execute is called, which may be later or never.
func (d *Database) Interrupt(name string, meanwhile func(execute func())) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.interrupts[name] = meanwhile
}

// WaitDelayed waits until the database has executed all delayed requests.
func (d *Database) WaitDelayed() { d.delayed.Wait() }

// All returns an argument for [Database.Fail] with the fault f for every request.
func All(f Fault) func(string) Fault { return func(string) Fault { return f } }

// First returns an argument for [Database.Fail] with the fault f for the first requests for an operation, as many as
// times.
func First(times int, name string, f Fault) func(string) Fault {
	return func(called string) Fault {
		if called != name || times == 0 {
			return None
		}
		times--
		return f
	}
}

// ResetOperations clears the recorded operations.
func (d *Database) ResetOperations() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.operations = nil
}

// Operations returns the operations since [Database.ResetOperations].
func (d *Database) Operations() []Operation {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.operations)
}

// record records a request, and returns its fault or interrupt.
func (d *Database) record(r *http.Request) (f Fault, interrupt func(execute func())) {
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
	if f == DelayResponse || f == DelayRequest {
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
	f, interrupt := d.record(r)
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
		respondError(w, http.StatusBadRequest, "ProvisionedThroughputExceededException",
			"The level of configured provisioned throughput for the table was exceeded.")
		return
	case FailBefore:
		respondError(w, http.StatusInternalServerError, "InternalServerError", "Internal server error")
		return
	case DelayRequest:
		time.Sleep(DelayTime)
	default:
	}
	response, err := d.forward(r, body)
	if f == DelayResponse {
		time.Sleep(DelayTime)
	}
	if f == DelayResponse || f == DelayRequest {
		d.delayed.Done()
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	switch f {
	case CloseAfter, ResetAfter:
		abort(w, f == ResetAfter)
		return
	case DropResponse:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case FailAfter:
		respondError(w, http.StatusInternalServerError, "InternalServerError", "Internal server error")
		return
	default:
	}
	maps.Copy(w.Header(), response.header)
	w.Header().Set("Content-Length", strconv.Itoa(len(response.body)))
	w.WriteHeader(response.status)
	if f == Truncate {
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
		err = closeConnection(conn, withReset)
	}
	if err != nil {
		panic(err)
	}
}

// respondError responds with an error in DynamoDB's format.
func respondError(w http.ResponseWriter, status int, exception, message string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"__type":"com.amazonaws.dynamodb.v20120810#%s","message":%q}`, exception, message)
}

type response struct {
	status int
	header http.Header
	body   []byte
}

// forward sends a request to the database, even if the sender has given up.
func (d *Database) forward(r *http.Request, body []byte) (response, error) {
	target := d.database.JoinPath(r.URL.Path).String()
	out, err := http.NewRequest(r.Method, target, bytes.NewReader(body)) //nolint:noctx // not canceled with the sender
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
