// Package xray listens where functions expect the X-Ray daemon, and keeps the last traces with their log lines.
//
// It holds what is recent, in memory that stays level: so many traces and lines, and of both no more than a number of bytes.
package xray

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/userrequestapi/userdata/deploy/aws/trace"
)

// DefaultCapacity is how many traces are kept unless [Options] say otherwise.
const DefaultCapacity = 1000

// Options of a [Collector].
type Options struct {
	Capacity int         // how many traces are kept; 0: DefaultCapacity
	Forward  string      // host:port of an X-Ray daemon that gets a copy of every document; "": none
	Refused  func(error) // is told of each document that X-Ray would refuse, and which is not kept; may be nil
}

// Collector receives segment documents and keeps the last traces. All methods may be called from any goroutine.
type Collector struct {
	options  Options
	conn     *net.UDPConn
	daemon   net.Conn // that documents are forwarded to, nil for none
	received chan []byte
	workers  sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	traces  *traces
	lines   *lines
	waiting map[chan struct{}]struct{} // subscribers
}

// Sizes of what has been received and is not looked at yet: by the kernel, which may grant less, and in packets.
const (
	readBuffer = 8 << 20
	queue      = 8192
)

// Listen starts to receive documents on a free UDP port of 127.0.0.1, until Close. It fails when there is none, or when
// the address of the other daemon is not one.
func Listen(o Options) (*Collector, error) {
	if o.Capacity <= 0 {
		o.Capacity = DefaultCapacity
	}
	if o.Refused == nil {
		o.Refused = func(error) {}
	}
	c := &Collector{
		options:  o,
		received: make(chan []byte, queue),
		traces:   newTraces(o.Capacity),
		lines:    newLines(),
		waiting:  map[chan struct{}]struct{}{},
	}
	if o.Forward != "" {
		address, err := net.ResolveUDPAddr("udp", o.Forward)
		if err != nil {
			return nil, fmt.Errorf("forward traces to %s: %w: use host:port", o.Forward, err)
		}
		if c.daemon, err = net.DialUDP("udp", nil, address); err != nil {
			return nil, fmt.Errorf("forward traces to %s: %w", o.Forward, err)
		}
	}
	var err error
	if c.conn, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
		err = fmt.Errorf("listen for traces: %w", err)
		if c.daemon != nil {
			err = errors.Join(err, c.daemon.Close())
		}
		return nil, err
	}
	// Functions send in bursts. With less than this, a few more documents are lost under load.
	_ = c.conn.SetReadBuffer(readBuffer)
	c.workers.Go(c.receive)
	c.workers.Go(c.work)
	return c, nil
}

// Address returns host:port, as AWS_XRAY_DAEMON_ADDRESS has it.
func (c *Collector) Address() string { return c.conn.LocalAddr().String() }

// receive only takes packets from the kernel, so that its buffer does not fill up meanwhile.
func (c *Collector) receive() {
	defer close(c.received)
	buffer := make([]byte, 1<<16)
	for {
		n, err := c.conn.Read(buffer)
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				c.options.Refused(fmt.Errorf("receive segment documents: %w", err))
			}
			return
		}
		c.received <- bytes.Clone(buffer[:n])
	}
}

func (c *Collector) work() {
	for packet := range c.received {
		data, err := payload(packet)
		if err == nil {
			err = c.take(data)
		}
		if err != nil {
			c.options.Refused(err)
		}
	}
}

// header is what precedes a document in a packet ("Sending segment documents to the X-Ray daemon").
const header = `{"format": "json", "version": 1}` + "\n"

// payload returns the document in a packet.
func payload(packet []byte) ([]byte, error) {
	line, data, found := bytes.Cut(packet, []byte("\n"))
	var fields struct {
		Format  string `json:"format"`
		Version int    `json:"version"`
	}
	if err := json.Unmarshal(line, &fields); err != nil || !found || fields.Format != "json" || fields.Version != 1 {
		return nil, fmt.Errorf("receive segment document: it does not begin with the line %s", header[:len(header)-1])
	}
	return data, nil
}

// Add takes documents that did not come by UDP: those that the platform itself sends on AWS.
func (c *Collector) Add(documents ...trace.Document) {
	for _, d := range documents {
		data, err := json.Marshal(d)
		if err == nil {
			err = c.take(data)
		}
		if err != nil {
			c.options.Refused(err)
		}
	}
}

// take keeps a document and forwards it, if it is one.
func (c *Collector) take(data []byte) error {
	if err := trace.Validate(data); err != nil {
		return err
	}
	d, err := trace.Parse(data)
	if err != nil {
		return err
	}
	if c.daemon != nil {
		// Nothing is known about who listens there, if anyone; nor do senders ever know of a daemon.
		_, _ = c.daemon.Write(append([]byte(header), data...))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.traces.add(d, data, c.lines.ofTrace)
	c.changed()
	return nil
}

// Log keeps a line: among the last 10,000, and with its trace if that is or will be known.
func (c *Collector) Log(l Line) {
	l.complete()
	c.mu.Lock()
	defer c.mu.Unlock()
	l = c.lines.add(l)
	c.traces.log(l)
	c.changed()
}

// Traces returns the traces that match, newest first.
func (c *Collector) Traces(f Filter) []trace.Summary {
	c.mu.Lock()
	defer c.mu.Unlock()
	summaries := []trace.Summary{}
	for _, kept := range c.traces.matching(f) {
		summaries = append(summaries, kept.summary())
	}
	return summaries
}

// Detail is all that is known of a trace. The Trace and the Documents are shared: do not change them.
type Detail struct {
	Trace     *trace.Trace      `json:"trace"`
	Documents []json.RawMessage `json:"documents"` // as they were received
	Lines     []Line            `json:"lines"`     // in the order in which they were logged
	Truncated bool              `json:"truncated"` // there was more than is kept of one trace
}

// Trace returns the trace with this id, and whether it is there.
func (c *Collector) Trace(id string) (Detail, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept, ok := c.traces.byID[id]
	if !ok {
		return Detail{}, false
	}
	d := Detail{Trace: kept.trace(), Lines: append([]Line{}, kept.lines...), Truncated: kept.truncated}
	for _, document := range kept.documents {
		d.Documents = append(d.Documents, document.raw)
	}
	return d, true
}

// Map draws the service map of the traces that match.
func (c *Collector) Map(f Filter) trace.Map {
	c.mu.Lock()
	matching := c.traces.matching(f)
	list := make([]*trace.Trace, 0, len(matching))
	for _, kept := range matching {
		list = append(list, kept.trace())
	}
	c.mu.Unlock()
	return trace.NewMap(list)
}

// Lines returns the lines that match, oldest first.
func (c *Collector) Lines(f LineFilter) []Line {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lines.matching(f)
}

// Subscribe returns a channel that gets a value when something has changed since the last was taken, and is closed by Close;
// and a function that ends the subscription.
func (c *Collector) Subscribe() (changes <-chan struct{}, cancel func()) {
	subscriber := make(chan struct{}, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		close(subscriber)
		return subscriber, func() {}
	}
	c.waiting[subscriber] = struct{}{}
	return subscriber, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.waiting, subscriber)
	}
}

// changed tells the subscribers that have not been told yet.
func (c *Collector) changed() {
	for subscriber := range c.waiting {
		select {
		case subscriber <- struct{}{}:
		default:
		}
	}
}

// Clear forgets all traces and lines.
func (c *Collector) Clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.traces = newTraces(c.options.Capacity)
	c.lines.clear()
	c.changed()
}

// Close ends receiving, after what has been received, and the subscriptions. What was kept can still be read. It can be called
// more than once.
func (c *Collector) Close() error {
	c.mu.Lock()
	closed := c.closed
	c.closed = true
	c.mu.Unlock()
	if closed {
		c.workers.Wait()
		return nil
	}
	err := c.conn.Close()
	c.workers.Wait()
	if c.daemon != nil {
		err = errors.Join(err, c.daemon.Close())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for subscriber := range c.waiting {
		close(subscriber)
	}
	clear(c.waiting)
	if err != nil {
		return fmt.Errorf("close the trace collector: %w", err)
	}
	return nil
}
