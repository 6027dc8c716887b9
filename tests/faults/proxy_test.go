package faults_test

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
	"syscall"
	"testing"
	"time"

	"github.com/userrequestapi/userdata/deploy/local"
	"github.com/userrequestapi/userdata/tests/stacktest"
)

// fault is what happens to a request on its way to the database.
type fault int

const (
	none     fault = iota
	ignore         // the database does not get it, and no answer comes
	throttle       // the database refuses it as one that is too busy
	lose           // the database carries it out; instead of the answer the connection is closed (FIN)
	reset          // the same, with a reset (RST)
	cut            // the database carries it out; the connection is closed in the middle of the answer
	withhold       // the database carries it out; no answer comes
)

// operation is a request that the database was sent.
type operation struct {
	Name    string // of DynamoDB's operation, such as "PutItem"
	Attempt string // of the SDK, counted from "1"
}

// proxy stands between the functions and the database and breaks what it is told to break.
type proxy struct {
	url       string
	address   string // host:port
	database  *url.URL
	transport *http.Transport
	reserved  int // a socket that keeps the port for the proxy while nobody listens

	mu         sync.Mutex // guards what follows
	server     *http.Server
	served     chan error
	conns      map[net.Conn]http.ConnState
	fault      func(name string) fault
	operations []operation
}

// newProxy starts a proxy before the database of the package's tests, and stops it after the test.
func newProxy(t *testing.T) *proxy {
	t.Helper()
	database, err := url.Parse(stacktest.Endpoint(t))
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{database: database, transport: &http.Transport{}, conns: map[net.Conn]http.ConnState{}}
	if p.reserved, p.address, err = reservePort(); err != nil {
		t.Fatal(err)
	}
	p.url = "http://" + p.address
	p.up(t)
	t.Cleanup(func() {
		p.down(t)
		p.transport.CloseIdleConnections()
		if err := syscall.Close(p.reserved); err != nil {
			t.Errorf("release the port: %v", err)
		}
	})
	return p
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
	// With SO_REUSEADDR, which package net sets too, the proxy can listen on the port nevertheless.
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

// with makes a stack's functions find the database through the proxy.
func (p *proxy) with(cfg *local.Config) { cfg.DynamoDBEndpoint = p.url }

// up makes the proxy accept connections.
func (p *proxy) up(t *testing.T) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: p, ConnState: p.track, ReadHeaderTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.server, p.served = server, served
}

// down makes the proxy refuse connections, and closes those that there are, requests under way or not.
func (p *proxy) down(t *testing.T) {
	t.Helper()
	p.mu.Lock()
	server, served := p.server, p.served
	p.server = nil
	p.mu.Unlock()
	if server == nil {
		return
	}
	if err := server.Close(); err != nil {
		t.Errorf("close the proxy: %v", err)
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("proxy: %v", err)
	}
}

func (p *proxy) track(conn net.Conn, state http.ConnState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if state == http.StateClosed || state == http.StateHijacked {
		delete(p.conns, conn)
		return
	}
	p.conns[conn] = state
}

// kept is how many connections are open and wait for a next request.
func (p *proxy) kept() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, state := range p.conns {
		if state == http.StateIdle {
			n++
		}
	}
	return n
}

// cutConnections closes all connections: with FIN, or with RST.
func (p *proxy) cutConnections(t *testing.T, withReset bool) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		if err := hangUp(conn, withReset); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Errorf("cut a connection: %v", err)
		}
	}
}

func hangUp(conn net.Conn, withReset bool) error {
	if withReset {
		if err := conn.(*net.TCPConn).SetLinger(0); err != nil {
			return err
		}
	}
	return conn.Close()
}

// fail gives every request from now on the fault that choose returns for the operation. nil heals.
func (p *proxy) fail(choose func(name string) fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = choose
}

// all is the fault of every request.
func all(f fault) func(string) fault { return func(string) fault { return f } }

// first is the fault of the first times requests for an operation.
func first(times int, name string, f fault) func(string) fault {
	return func(called string) fault {
		if called != name || times == 0 {
			return none
		}
		times--
		return f
	}
}

// forget forgets the operations so far.
func (p *proxy) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.operations = nil
}

// seen returns the operations since forget.
func (p *proxy) seen() []operation {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.operations)
}

func (p *proxy) note(r *http.Request) fault {
	_, name, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	attempt, _, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Amz-Sdk-Request"), "attempt="), ";")
	p.mu.Lock()
	defer p.mu.Unlock()
	p.operations = append(p.operations, operation{Name: name, Attempt: attempt})
	if p.fault == nil {
		return none
	}
	return p.fault(name)
}

// ServeHTTP implements [http.Handler].
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	f := p.note(r)
	if f == ignore {
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}
	if f == throttle {
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",`+
			`"message":"The level of configured provisioned throughput for the table was exceeded."}`)
		return
	}
	answer, err := p.forward(r, body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	if f == lose || f == reset {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			err = hangUp(conn, f == reset)
		}
		if err != nil {
			panic(err)
		}
		return
	}
	if f == withhold {
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}
	maps.Copy(w.Header(), answer.header)
	w.Header().Set("Content-Length", strconv.Itoa(len(answer.body)))
	w.WriteHeader(answer.status)
	if f == cut {
		_, _ = w.Write(answer.body[:len(answer.body)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(answer.body)
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

// forward has the database carry out a request, whether its sender still waits or not.
func (p *proxy) forward(r *http.Request, body []byte) (answer, error) {
	out, err := http.NewRequest(r.Method, p.database.JoinPath(r.URL.Path).String(), bytes.NewReader(body)) //nolint:noctx // as it says
	if err != nil {
		return answer{}, err
	}
	out.Header = r.Header.Clone()
	res, err := p.transport.RoundTrip(out)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	got, err := io.ReadAll(res.Body)
	return answer{status: res.StatusCode, header: res.Header, body: got}, err
}
