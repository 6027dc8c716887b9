// Package xray emulates the X-Ray daemon and keeps the most recent traces with their log lines in memory, up to a
// maximum number and size. Their documents can be kept between runs.
package xray

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/userrequestapi/userdata/deploy/aws/trace"
)

// Options of a [Collector].
type Options struct {
	Capacity int    // maximum number of traces; 0: 10,000
	Dir      string // folder that keeps the documents between runs; "": they are lost
	DirBytes int64  // maximum size of the files in Dir; 0: 32 MB, about 10,000 traces
	Forward  string // host:port of an X-Ray daemon that receives a copy of every document; "": none
	// CheckAdded also checks the documents of Add against X-Ray's rules. The check takes most of the time that this
	// process spends on a request.
	CheckAdded bool
	Refused    func(error) // called for each document that X-Ray would reject, which is not kept; may be nil
	Failed     func(error) // called when Dir cannot be used; the traces are then lost with this run; may be nil
}

// Collector receives segment documents and keeps the most recent traces. Its methods are safe for concurrent use.
type Collector struct {
	options  Options
	conn     *net.UDPConn
	daemon   net.Conn // of Options.Forward; nil: none
	received chan []byte
	workers  sync.WaitGroup

	mu          sync.Mutex
	closed      bool
	traces      *traces
	lines       *lines
	archive     *archive // nil without Options.Dir
	subscribers map[chan struct{}]struct{}
}

const (
	readBuffer = 8 << 20 // bytes in the kernel, which may grant less
	queue      = 8192    // packets received and not yet processed
)

// Listen starts to receive documents on a free UDP port of 127.0.0.1, until Close. It returns an error if there is no
// free port, or if Options.Forward is not a valid address.
func Listen(o Options) (*Collector, error) {
	o.Capacity = cmp.Or(o.Capacity, 10_000)
	if o.Refused == nil {
		o.Refused = func(error) {}
	}
	if o.Failed == nil {
		o.Failed = func(error) {}
	}
	c := &Collector{
		options:     o,
		received:    make(chan []byte, queue),
		traces:      newTraces(o.Capacity),
		lines:       newLines(),
		subscribers: map[chan struct{}]struct{}{},
	}
	if o.Forward != "" {
		address, err := net.ResolveUDPAddr("udp", o.Forward)
		if err != nil {
			return nil, fmt.Errorf("forward traces to %s: want host:port: %w", o.Forward, err)
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
	// Functions send in bursts. A smaller buffer loses documents under load.
	_ = c.conn.SetReadBuffer(readBuffer)
	if o.Dir != "" {
		if archive, err := openArchive(o.Dir, cmp.Or(o.DirBytes, 32<<20)); err != nil {
			o.Failed(err)
		} else {
			c.archive = archive
			c.workers.Go(func() { c.loadEarlier(archive) })
		}
	}
	c.workers.Go(c.receive)
	c.workers.Go(c.storeReceived)
	return c, nil
}

// Address returns the collector's host:port, the value for AWS_XRAY_DAEMON_ADDRESS.
func (c *Collector) Address() string { return c.conn.LocalAddr().String() }

// receive only reads packets, so that the kernel's buffer does not overflow while they are processed.
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

// storeReceived stores the documents in the received packets.
func (c *Collector) storeReceived() {
	for packet := range c.received {
		data, err := payload(packet)
		if err == nil {
			err = c.receiveDocument(data)
		}
		if err != nil {
			c.options.Refused(err)
		}
	}
}

// receiveDocument stores a document if it is valid.
func (c *Collector) receiveDocument(data []byte) error {
	d, err := trace.ParseValid(data)
	if err == nil {
		c.store(d, data)
	}
	return err
}

// header precedes a document in a packet (X-Ray Developer Guide, "Sending segment documents to the X-Ray daemon").
const header = `{"format": "json", "version": 1}` + "\n"

// payload returns the document in a packet.
func payload(packet []byte) ([]byte, error) {
	line, data, found := bytes.Cut(packet, []byte("\n"))
	var fields struct {
		Format  string `json:"format"`
		Version int    `json:"version"`
	}
	if err := json.Unmarshal(line, &fields); err != nil || !found || fields.Format != "json" || fields.Version != 1 {
		return nil, fmt.Errorf("receive segment document: want the first line %s", header[:len(header)-1])
	}
	return data, nil
}

// Add adds documents without UDP: those that API Gateway and Lambda send on AWS. They must be valid, and must not be
// modified afterwards.
func (c *Collector) Add(documents ...trace.Document) {
	for _, d := range documents {
		data, err := json.Marshal(d)
		switch {
		case err == nil && c.options.CheckAdded:
			err = c.receiveDocument(data)
		case err == nil:
			c.store(d, data)
		}
		if err != nil {
			c.options.Refused(err)
		}
	}
}

// store stores and forwards a document.
func (c *Collector) store(d trace.Document, data []byte) {
	if c.daemon != nil {
		// As for every sender of UDP, there may be no daemon.
		_, _ = c.daemon.Write(append([]byte(header), data...))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.traces.add(d, data, c.lines.ofTrace)
	c.stopArchivingOn(c.archive.add(data))
	c.notify()
}

// stopArchivingOn ends archiving if there is an error.
func (c *Collector) stopArchivingOn(err error) {
	if err != nil {
		_ = c.archive.close()
		c.archive = nil
		c.options.Failed(err)
	}
}

func (c *Collector) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// loadEarlier adds the traces of earlier runs in an archive.
func (c *Collector) loadEarlier(archive *archive) {
	earlier := newTraces(c.options.Capacity)
	for data := range archive.earlier() {
		if c.isClosed() {
			return
		}
		if d, err := trace.Parse(data); err == nil { // it was valid when it was received
			earlier.add(d, data, func(string) []*Line { return nil })
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.archive == archive && !archive.cleared && len(earlier.order) > 0 {
		c.traces.prepend(earlier)
		c.notify()
	}
}

// Log adds a line to the last 10,000 lines, and to its trace, even if the trace is received later.
func (c *Collector) Log(l Line) {
	l.setFieldsFromText()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines.add(&l)
	c.traces.log(&l)
	c.notify()
}

// Traces returns the traces that match, newest first.
func (c *Collector) Traces(f Filter) []trace.Summary {
	c.mu.Lock()
	defer c.mu.Unlock()
	matching := c.traces.matching(f)
	summaries := make([]trace.Summary, 0, len(matching))
	for _, e := range matching {
		summaries = append(summaries, e.summary())
	}
	return summaries
}

// Detail is a trace with its documents and lines. Its parts are shared: do not modify them.
type Detail struct {
	Trace     *trace.Trace      `json:"trace"`
	Documents []json.RawMessage `json:"documents"` // as received
	Lines     []*Line           `json:"lines"`     // in the order of logging
	Truncated bool              `json:"truncated"` // documents or lines beyond the maximum size were dropped
}

// Trace returns the trace with this ID. ok reports whether it exists.
func (c *Collector) Trace(id string) (detail Detail, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.traces.byID[id]
	if !ok {
		return Detail{}, false
	}
	d := Detail{Trace: e.trace(), Lines: append([]*Line{}, e.lines...), Truncated: e.truncated}
	for _, document := range e.all() {
		d.Documents = append(d.Documents, document.raw)
	}
	return d, true
}

// Map returns the service map of the newest traces that match, at most 500.
func (c *Collector) Map(f Filter) trace.Map {
	f.Limit = min(cmp.Or(f.Limit, recent), recent)
	c.mu.Lock()
	matching := c.traces.matching(f)
	list := make([]*trace.Trace, 0, len(matching))
	for _, e := range matching {
		list = append(list, e.trace())
	}
	c.mu.Unlock()
	return trace.NewMap(list)
}

// Lines returns the lines that match, oldest first. They are shared: do not modify them.
func (c *Collector) Lines(f LineFilter) []*Line {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lines.matching(f)
}

// Subscribe returns a channel that receives a value after each change, and is closed by Close. Changes are combined
// until the value is received. cancel ends the subscription.
func (c *Collector) Subscribe() (changes <-chan struct{}, cancel func()) {
	subscriber := make(chan struct{}, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		close(subscriber)
		return subscriber, func() {}
	}
	c.subscribers[subscriber] = struct{}{}
	return subscriber, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.subscribers, subscriber)
	}
}

// notify notifies all subscribers of a change.
func (c *Collector) notify() {
	for subscriber := range c.subscribers {
		select {
		case subscriber <- struct{}{}:
		default:
		}
	}
}

// Clear deletes all traces and lines.
func (c *Collector) Clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.traces = newTraces(c.options.Capacity)
	c.lines.clear()
	c.stopArchivingOn(c.archive.clear())
	c.notify()
}

// Close processes the received documents, stops receiving and ends the subscriptions. Traces and lines can still be
// read. Later calls do nothing.
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
	err = errors.Join(err, c.archive.close())
	c.archive = nil
	for subscriber := range c.subscribers {
		close(subscriber)
	}
	clear(c.subscribers)
	if err != nil {
		return fmt.Errorf("close the trace collector: %w", err)
	}
	return nil
}
