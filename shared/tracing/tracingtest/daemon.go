// Package tracingtest stands for the X-Ray daemon in tests.
package tracingtest

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// Daemon takes what functions send to the X-Ray daemon: a UDP socket on 127.0.0.1. It reads all the time, as the kernel drops
// what does not fit into the socket's queue.
type Daemon struct {
	conn     *net.UDPConn
	payloads chan string
}

// Listen returns a daemon on a free port, closed when the test ends. It keeps up to 100,000 payloads.
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
		for range d.payloads { // until the reader has ended
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

// Address is host:port, as in AWS_XRAY_DAEMON_ADDRESS.
func (d Daemon) Address() string { return d.conn.LocalAddr().String() }

// Close frees the port: nobody listens there then.
func (d Daemon) Close() error { return d.conn.Close() }

// endPrefix begins what the daemon sends to itself.
const endPrefix = "end "

// patience is for what comes within milliseconds on an idle machine.
const patience = time.Minute

// Next waits for a payload.
func (d Daemon) Next(t *testing.T) string {
	t.Helper()
	timeout := time.NewTimer(patience)
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
			t.Fatal("nothing was sent")
		}
	}
}

// Received returns the payloads that were sent since the last call. The kernel queues a datagram on the loopback before its
// sender goes on, so a last one, sent from here, is behind all others; should it find the queue full, it is sent again.
func (d Daemon) Received(t *testing.T) []string {
	t.Helper()
	sender, err := net.DialUDP("udp", nil, d.conn.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sender.Close() }()
	end := endPrefix + uuid.NewString()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
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
		case <-again.C:
			if _, err := sender.Write([]byte(end)); err != nil {
				t.Fatal(err)
			}
		}
	}
}
