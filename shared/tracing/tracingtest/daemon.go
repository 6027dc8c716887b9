// Package tracingtest stands for the X-Ray daemon in tests.
package tracingtest

import (
	"net"
	"testing"
)

// Daemon takes what functions send to the X-Ray daemon: a UDP socket on 127.0.0.1.
type Daemon struct{ conn *net.UDPConn }

// Listen returns a daemon on a free port, closed when the test ends.
func Listen(t *testing.T) Daemon {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return Daemon{conn}
}

// Address is host:port, as in AWS_XRAY_DAEMON_ADDRESS.
func (d Daemon) Address() string { return d.conn.LocalAddr().String() }

// Close frees the port: nobody listens there then.
func (d Daemon) Close() error { return d.conn.Close() }

// Received returns the payloads that were sent since the last call. The kernel queues a datagram on the loopback before its
// sender goes on, so a last one, sent from here, is behind all others.
func (d Daemon) Received(t *testing.T) []string {
	t.Helper()
	sender, err := net.DialUDP("udp", nil, d.conn.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sender.Close() }()
	const end = "end"
	if _, err := sender.Write([]byte(end)); err != nil {
		t.Fatal(err)
	}
	var payloads []string
	buffer := make([]byte, 1<<16)
	for {
		n, err := d.conn.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		payload := string(buffer[:n])
		if payload == end {
			return payloads
		}
		payloads = append(payloads, payload)
	}
}
