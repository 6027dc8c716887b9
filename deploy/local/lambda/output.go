package lambda

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
)

// maxLineBytes is the size at which CloudWatch Logs splits an event.
const maxLineBytes = 256 << 10

// output reads the pipe that is a process's stdout and stderr, and passes it on line by line.
type output struct {
	reader, writer *os.File
	emit           func(line string, of origin)
	done           chan struct{} // closed when nothing waits for the pipe any more

	mu     sync.Mutex // guards what follows and the reading of the pipe
	fd     int        // of reader; -1 when there is nothing more to read
	buffer []byte     // for one read
	line   []byte     // the line that has begun
	origin origin
}

// origin is the invocation that a line belongs to; the zero value is none.
type origin struct{ requestID, traceID string }

func newOutput(emit func(line string, of origin)) (*output, error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("pipe for the output: %w", err)
	}
	o := &output{reader: reader, writer: writer, emit: emit, done: make(chan struct{}), fd: -1, buffer: make([]byte, 32<<10)}
	conn, err := reader.SyscallConn()
	if err == nil {
		err = conn.Control(func(fd uintptr) { o.fd = int(fd) })
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("pipe for the output: %w", err), reader.Close(), writer.Close())
	}
	go func() {
		defer close(o.done)
		// The error is that close was called.
		_ = conn.Read(func(uintptr) bool {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.read()
			return o.fd < 0
		})
	}()
	return o, nil
}

// started closes this process's copy of the writing end, once the child has its own.
func (o *output) started() { _ = o.writer.Close() }

// read passes on what is in the pipe, without waiting for more.
func (o *output) read() {
	for o.fd >= 0 {
		n, err := read(o.fd, o.buffer)
		switch {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EAGAIN):
			return
		case err != nil || n == 0:
			o.fd = -1
		default:
			o.split(o.buffer[:n])
		}
	}
}

func (o *output) split(data []byte) {
	for len(data) > 0 {
		part, rest, ended := bytes.Cut(data, []byte("\n"))
		if room := maxLineBytes - len(o.line); len(part) > room {
			part, rest, ended = data[:room], data[room:], true
		}
		o.line = append(o.line, part...)
		data = rest
		if ended {
			o.flush()
		}
	}
}

func (o *output) flush() {
	if len(o.line) > 0 {
		o.emit(string(o.line), o.origin)
	}
	o.line = o.line[:0]
}

// setOrigin passes on what the process has written until now; what follows belongs to another invocation.
func (o *output) setOrigin(of origin) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.read()
	o.origin = of
}

// finish passes on what a process that has ended has left, the last line even when it is not terminated.
func (o *output) finish() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.read()
	o.flush()
}

// close stops the reading.
func (o *output) close() {
	o.mu.Lock()
	o.fd = -1
	o.mu.Unlock()
	_ = o.reader.Close() // nothing can be lost by it
	<-o.done
}
