// Package tracingtest provides an X-Ray daemon for tests.
package tracingtest

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// Daemon receives the payloads that functions send to the X-Ray daemon, on a UDP socket on 127.0.0.1. It reads
// continuously, because the kernel drops datagrams when the socket's queue is full.
type Daemon struct {
	conn     *net.UDPConn
	payloads chan string
}

// Listen returns a daemon on a free port, which is closed when the test ends. It queues up to 100,000 payloads.
func Listen(t *testing.T) Daemon {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	d := Daemon{conn, make(chan string, 100_000)}
	go d.read()
	t.Cleanup(func() {
		_ = conn.Close()
		for range d.payloads { // wait for the reader
		}
	})
	return d
}

func (d Daemon) read() {
	defer close(d.payloads)
	for buffer := make([]byte, 1<<16); ; {
		n, err := d.conn.Read(buffer)
		if err != nil {
			return
		}
		d.payloads <- string(buffer[:n])
	}
}

// Address returns host:port, for AWS_XRAY_DAEMON_ADDRESS.
func (d Daemon) Address() string { return d.conn.LocalAddr().String() }

// Close closes the socket, so that later datagrams are refused.
func (d Daemon) Close() error { return d.conn.Close() }

// endPrefix begins the datagrams that Received sends.
const endPrefix = "end "

// nextTimeout is far above the milliseconds that a payload takes, for a loaded machine.
const nextTimeout = time.Minute

// Next waits for a payload and returns it.
func (d Daemon) Next(t *testing.T) string {
	t.Helper()
	timeout := time.NewTimer(nextTimeout)
	defer timeout.Stop()
	for {
		select {
		case payload, open := <-d.payloads:
			if !open {
				t.Fatal("the daemon is closed")
			}
			if !strings.HasPrefix(payload, endPrefix) {
				return payload
			}
		case <-timeout.C:
			t.Fatal("timed out waiting for a payload")
		}
	}
}

// Received returns the payloads sent since the last call. On the loopback interface, a datagram is queued before its
// send returns, so a datagram sent here arrives after all others. It is sent again in case the queue was full.
func (d Daemon) Received(t *testing.T) []string {
	t.Helper()
	sender, err := net.DialUDP("udp", nil, d.conn.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sender.Close() }()
	end := endPrefix + uuid.NewString()
	retry := time.NewTicker(100 * time.Millisecond)
	defer retry.Stop()
	if _, err := sender.Write([]byte(end)); err != nil {
		t.Fatal(err)
	}
	var payloads []string
	for {
		select {
		case payload, ok := <-d.payloads:
			switch {
			case !ok:
				t.Fatal("the daemon is closed")
			case payload == end:
				return payloads
			case !strings.HasPrefix(payload, endPrefix):
				payloads = append(payloads, payload)
			}
		case <-retry.C:
			if _, err := sender.Write([]byte(end)); err != nil {
				t.Fatal(err)
			}
		}
	}
}
