package userdata

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
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

// idleTimeout is the time after which an idle connection is not reused. It may have been dropped without notice while
// the execution environment was frozen.
const idleTimeout = 5 * time.Second

func newHTTPClient(roots *x509.CertPool) *http.Client {
	t := &transport{open: map[*connection]bool{}}
	t.next = &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         t.dial,
		TLSHandshakeTimeout: dialTimeout,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(1)},
		MaxIdleConnsPerHost: 4,
	}
	if roots != nil {
		t.next.DialTLSContext = t.dialTLS(roots)
	}
	return &http.Client{
		Timeout:       attemptTimeout,
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// transport sends attempts and marks those of a write that are in doubt. It never sends on a broken connection, so
// the first request after the execution environment was frozen needs no retry.
type transport struct {
	next *http.Transport
	used atomic.Int64 // wall-clock time of the last response, in Unix nanoseconds

	mu   sync.Mutex
	open map[*connection]bool
}

// connection is an open connection to DynamoDB.
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

// broken reports whether the peer has closed or reset an idle connection, even if net/http has not noticed yet. The
// only data that an idle connection receives is the TLS close_notify alert.
func (c *connection) broken() bool {
	var received error
	err := c.raw.Control(func(fd uintptr) { received = peek(fd) })
	return err != nil || !errors.Is(received, syscall.EAGAIN)
}

// CloseIdleConnections is called by [http.Client.CloseIdleConnections].
func (t *transport) CloseIdleConnections() { t.next.CloseIdleConnections() }

// closeBroken closes the idle connections if one of them is, or may be, broken. [http.Transport.IdleConnTimeout] is no
// substitute: it uses the monotonic clock, which can stop while the execution environment is frozen.
func (t *transport) closeBroken() {
	idle := time.Duration(time.Now().UnixNano() - t.used.Load())
	broken := idle < 0 || idle > idleTimeout
	t.mu.Lock()
	for c := range t.open {
		broken = broken || c.broken()
	}
	t.mu.Unlock()
	if broken {
		t.next.CloseIdleConnections()
	}
}

// RoundTrip implements [http.RoundTripper].
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	t.closeBroken()
	usage, doubt := usageOf(req.Context()), doubtOf(req.Context())
	usage.attempts.Add(1)
	connections := 0
	out := req.Clone(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
		connections++
		if connections > 1 { // net/http retries because the reused connection broke
			usage.attempts.Add(1)
			if doubt != nil && doubt.retryable {
				doubt.mark()
			}
		}
	}}))
	if doubt == nil || doubt.retryable {
		// With this header, which is not sent if empty, net/http retries the request. Without it, net/http retries
		// only if no byte was sent.
		out.Header["X-Idempotency-Key"] = nil
	}
	if req.Body != nil && req.GetBody == nil {
		body, err := io.ReadAll(req.Body)
		if err = errors.Join(err, req.Body.Close()); err != nil {
			return nil, fmt.Errorf("read request body: %w", err)
		}
		out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		out.Body, _ = out.GetBody() // cannot fail
	}
	res, err := t.next.RoundTrip(out)
	if err == nil {
		t.used.Store(time.Now().UnixNano())
	}
	refused := err == nil && res.StatusCode >= 400 && res.StatusCode < 500
	if doubt != nil && connections > 0 && !refused {
		doubt.mark() // ignored after a complete success
	}
	return res, err
}
