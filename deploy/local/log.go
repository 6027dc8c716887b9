package local

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/userrequestapi/userdata/deploy/aws/logformat"
	"github.com/userrequestapi/userdata/deploy/host/ansi"
	"github.com/userrequestapi/userdata/deploy/local/apigateway"
	"github.com/userrequestapi/userdata/deploy/local/lambda"
)

// eventLog writes the log to a file, and one line for each request, or all lines, to stdout.
type eventLog struct {
	file  *os.File
	mu    sync.Mutex // keeps lines of the file apart
	queue chan entry // to stdout
	done  chan struct{}
}

// entry is an event of a function's log, or a request with its line of the access log.
type entry struct {
	event  lambda.Event
	record *apigateway.Record // nil for an event
	access string             // "" if the stage has no access log
}

// backlog is the length of the queue to stdout. Further entries are only in the file, so that the functions do not
// wait.
const backlog = 10_000

// openLog opens the log. If all is set, stdout gets all lines, as JSON unless it is a terminal.
func openLog(path string, stdout *os.File, all bool) (*eventLog, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	//nolint:gosec // the user's tools may read it
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	log := &eventLog{file: file, queue: make(chan entry, backlog), done: make(chan struct{})}
	style := logformat.Style{Color: ansi.Color(stdout, os.Getenv)}
	format := func(e entry) string { return requestLine(e, style) }
	switch {
	case all && term.IsTerminal(int(stdout.Fd())):
		format = func(e entry) string { return textLine(e, style) }
	case all:
		format = jsonLine
	}
	go func() {
		defer close(log.done)
		for e := range log.queue {
			if line := format(e); line != "" {
				_, _ = stdout.WriteString(line + "\n") // a closed pipe must not stop the functions
			}
		}
	}()
	return log, nil
}

// add writes an entry.
func (l *eventLog) add(e entry) {
	l.mu.Lock() // both outputs have the same order
	defer l.mu.Unlock()
	if line := jsonLine(e); line != "" {
		_, _ = l.file.WriteString(line + "\n") // a full disk must not stop the functions
	}
	select {
	case l.queue <- e:
	default:
	}
}

// close waits at most 1 s for the queue to be written.
func (l *eventLog) close() error {
	close(l.queue)
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	select {
	case <-l.done:
	case <-timer.C:
	}
	return l.file.Close()
}

// jsonLine formats an entry as JSON. Lines of the access log, and a function's own lines if they are JSON, are
// unchanged. All others have the format of Lambda's JSON logs, with these fields added: the function and the log
// stream, which the log group and stream identify on AWS, and the IDs that correlate the line with others.
func jsonLine(e entry) string {
	event := e.event
	if e.record != nil {
		return e.access
	}
	if _, own := event.Record.(lambda.Line); own && logformat.IsObject(event.Text()) {
		return event.Text()
	}
	line, eventErr := json.Marshal(event)
	origin, err := json.Marshal(struct {
		Function        string `json:"function"`
		LogStream       string `json:"logStream"`
		TraceID         string `json:"xrayTraceId,omitempty"`
		LambdaRequestID string `json:"lambdaRequestId,omitempty"`
	}{event.Function, event.LogStream, event.TraceID, event.RequestID})
	if err := errors.Join(eventErr, err); err != nil { // impossible for strings and finite numbers
		panic(err)
	}
	return string(line[:len(line)-1]) + "," + string(origin[1:])
}

// requestLine formats a request: status code, route, duration, error code and trace id. It returns "" for an event.
func requestLine(e entry, style logformat.Style) string {
	r := e.record
	if r == nil {
		return ""
	}
	words := []string{
		style.Faint(r.Time.Add(r.Latency).Local().Format("15:04:05.000")),
		style.Status(strconv.Itoa(r.Status)),
		// A path without a route may contain personal data.
		fmt.Sprintf("%-6s %s", logformat.Printable(r.Method), cmp.Or(r.ResourcePath, "(no route)")),
		milliseconds(r.Latency),
	}
	highlight := style.Warning
	if r.Status >= http.StatusInternalServerError {
		highlight = style.Bad
		words = append(words, highlight("FAULT"))
	}
	if code := cmp.Or(r.ErrorCode, r.ErrorType); code != "" {
		words = append(words, highlight(logformat.Printable(code)))
	}
	if r.ColdStart {
		words = append(words, style.Warning("cold start"))
	}
	return strings.Join(append(words, style.Faint(r.Trace.Root)), "  ")
}

// milliseconds formats a duration with one decimal place below 10 ms.
func milliseconds(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	if ms < 9.95 {
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%.0f ms", ms)
}

// textLine formats an entry for a terminal. It returns "" for the start and end of invocations, and for access log
// lines of successes and of responses that a function returned.
func textLine(e entry, style logformat.Style) string {
	event := e.event
	if e.record != nil {
		if e.access == "" || e.record.FunctionStatus == e.record.Status || e.record.Status < http.StatusBadRequest {
			return ""
		}
		event = lambda.Event{Time: e.record.Time.Add(e.record.Latency), Function: "gateway", Record: lambda.Line(e.access)}
	}
	var formatted string
	switch record := event.Record.(type) {
	case lambda.InvocationStart, lambda.InvocationEnd, lambda.InitStart:
		return ""
	case lambda.Line:
		formatted = style.Text(string(record))
	default:
		formatted = style.Faint(strings.ReplaceAll(event.Text(), "\t", "  "))
	}
	return style.Faint(event.Time.Local().Format("15:04:05.000")) + " " + event.Function + "  " + formatted
}
