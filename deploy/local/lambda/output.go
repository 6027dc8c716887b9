package lambda

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
)

// maxLineBytes is the size above which CloudWatch Logs splits an event.
const maxLineBytes = 256 << 10

// output reads a process's stdout and stderr from a pipe and emits them line by line.
type output struct {
	reader, writer *os.File
	emit           func(line string, from origin)
	done           chan struct{} // closed when the reading goroutine returns

	mu     sync.Mutex // guards the following fields and reads from the pipe
	fd     int        // of reader; -1 at the end of the output
	buffer []byte     // for one read
	line   []byte     // current, incomplete line
	origin origin
}

// origin identifies the invocation that a line belongs to. The zero value means none.
type origin struct{ requestID, traceID string }

func newOutput(emit func(line string, from origin)) (*output, error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("pipe for the output: %w", err)
	}
	o := &output{
		reader: reader, writer: writer, emit: emit, done: make(chan struct{}), fd: -1, buffer: make([]byte, 32<<10),
	}
	conn, err := reader.SyscallConn()
	if err == nil {
		err = conn.Control(func(fd uintptr) { o.fd = int(fd) })
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("pipe for the output: %w", err), reader.Close(), writer.Close())
	}
	go func() {
		defer close(o.done)
		// Read fails only after close.
		_ = conn.Read(func(uintptr) bool {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.read()
			return o.fd < 0
		})
	}()
	return o, nil
}

// started closes the host's copy of the write end, which the child has inherited.
func (o *output) started() { _ = o.writer.Close() }

// read emits the complete lines in the pipe without blocking. The caller must hold o.mu.
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

// setOrigin emits the pending output and sets the origin of later lines.
func (o *output) setOrigin(from origin) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.read()
	o.origin = from
}

// finish emits the remaining output of a process that has ended, with a last line that lacks its newline.
func (o *output) finish() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.read()
	o.flush()
}

// close stops reading and closes the pipe.
func (o *output) close() {
	o.mu.Lock()
	o.fd = -1
	o.mu.Unlock()
	_ = o.reader.Close() // fails only if it is closed already
	<-o.done
}
