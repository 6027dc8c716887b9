package userdata

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// idleTimeout is the time without traffic after which a kept connection is not used again. It may have been lost while the
// environment was frozen, without any notification (docs/decisions/0004-revisions.md has the measurements).
const idleTimeout = 5 * time.Second

func newHTTPClient() *http.Client {
	t := &transport{open: map[*connection]bool{}}
	t.next = &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         t.dial,
		TLSHandshakeTimeout: dialTimeout,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(1)},
		MaxIdleConnsPerHost: 4,
	}
	return &http.Client{
		Timeout:       attemptTimeout,
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// transport sends the attempts of calls, and records which attempts of a write are in doubt. It does not send them on
// connections that are lost, so that the first request after the environment was frozen is as good as any.
type transport struct {
	next *http.Transport
	used atomic.Int64 // the wall clock at the last response, in Unix nanoseconds

	mu   sync.Mutex
	open map[*connection]bool
}

// connection is a connection to DynamoDB that is open.
type connection struct {
	net.Conn
	transport *transport
	raw       syscall.RawConn
}

func (t *transport) dial(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	tcp, ok := conn.(syscall.Conn)
	if !ok {
		return conn, nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	c := &connection{conn, t, raw}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open[c] = true
	return c, nil
}

// Close implements [net.Conn].
func (c *connection) Close() error {
	c.transport.mu.Lock()
	delete(c.transport.open, c)
	c.transport.mu.Unlock()
	return c.Conn.Close()
}

// lost reports whether the peer has closed or reset the connection while it was idle, even if the goroutine that reads from it has not
// run since. Nothing but the end, which TLS announces, comes to an idle connection.
func (c *connection) lost() bool {
	var received error
	err := c.raw.Control(func(fd uintptr) { received = peek(fd) })
	return err != nil || !errors.Is(received, syscall.EAGAIN)
}

// CloseIdleConnections implements the method that [http.Client.CloseIdleConnections] calls.
func (t *transport) CloseIdleConnections() { t.next.CloseIdleConnections() }

// closeLost closes the idle connections if one of them is lost, or may be. The timer of [http.Transport.IdleConnTimeout] would not
// do: it uses the monotonic clock, which can stand still while the environment is frozen.
func (t *transport) closeLost() {
	idle := time.Duration(time.Now().UnixNano() - t.used.Load())
	lost := idle < 0 || idle > idleTimeout
	t.mu.Lock()
	for c := range t.open {
		lost = lost || c.lost()
	}
	t.mu.Unlock()
	if lost {
		t.next.CloseIdleConnections()
	}
}

// RoundTrip implements [http.RoundTripper].
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	t.closeLost()
	usage, doubt := usageOf(req.Context()), doubtOf(req.Context())
	usage.attempts.Add(1)
	connections := 0
	out := req.Clone(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
		connections++
		if connections > 1 { // net/http resends the request, because the kept connection broke
			usage.attempts.Add(1)
			if doubt != nil && doubt.pinned {
				doubt.raise()
			}
		}
	}}))
	if doubt == nil || doubt.pinned {
		// An empty list, which is not sent, allows net/http to resend the request. Without it, net/http does so only if no byte
		// was sent.
		out.Header["X-Idempotency-Key"] = nil
	}
	if req.Body != nil && req.GetBody == nil {
		body, err := io.ReadAll(req.Body)
		if err = errors.Join(err, req.Body.Close()); err != nil {
			return nil, fmt.Errorf("read request body: %w", err)
		}
		out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		out.Body, _ = out.GetBody() // never fails
	}
	res, err := t.next.RoundTrip(out)
	if err == nil {
		t.used.Store(time.Now().UnixNano())
	}
	refused := err == nil && res.StatusCode >= 400 && res.StatusCode < 500
	if doubt != nil && connections > 0 && !refused {
		doubt.raise() // after a complete success nobody asks
	}
	return res, err
}
