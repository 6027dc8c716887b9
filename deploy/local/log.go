package local

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/userrequestapi/userdata/deploy/aws/logformat"
	"github.com/userrequestapi/userdata/deploy/local/lambda"
)

// writeJSON writes an entry as one line of JSON. Lines of the access log, and a function's own lines if they are JSON,
// are written unchanged. All others have the format of Lambda's JSON logs, with these fields added: the function and
// the log stream, which the log group and stream identify on AWS, and the IDs that correlate the line with others.
func writeJSON(w io.Writer, e entry) error {
	if e.access != "" {
		if _, err := io.WriteString(w, e.access+"\n"); err != nil {
			return fmt.Errorf("write log event: %w", err)
		}
		return nil
	}
	event := e.event
	line := []byte(event.Text())
	if _, own := event.Record.(lambda.Line); !own || !logformat.IsObject(event.Text()) {
		var err error
		if line, err = json.Marshal(event); err != nil {
			return fmt.Errorf("encode log event: %w", err)
		}
		place, err := json.Marshal(struct {
			Function        string `json:"function"`
			LogStream       string `json:"logStream"`
			TraceID         string `json:"xrayTraceId,omitempty"`
			LambdaRequestID string `json:"lambdaRequestId,omitempty"`
		}{event.Function, event.LogStream, event.TraceID, event.RequestID})
		if err != nil {
			return fmt.Errorf("encode log event: %w", err)
		}
		line = append(append(line[:len(line)-1], ','), place[1:]...)
	}
	if _, err := w.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("write log event: %w", err)
	}
	return nil
}

// terminalWriter writes entries as text for a terminal.
type terminalWriter struct {
	out   io.Writer
	color bool
}

// write omits the start and end of invocations, and access log lines for successes and for responses that a function
// returned.
func (r terminalWriter) write(e entry) error {
	style := logformat.Style{Color: r.color}
	event := e.event
	if e.access != "" {
		if e.record.FunctionStatus == e.record.Status || e.record.Status < http.StatusBadRequest {
			return nil
		}
		event = lambda.Event{Time: e.record.Time.Add(e.record.Latency), Function: "gateway", Record: lambda.Line(e.access)}
	}
	var text string
	switch record := event.Record.(type) {
	case lambda.InvocationStart, lambda.InvocationEnd, lambda.InitStart:
		return nil
	case lambda.Line:
		text = style.Text(string(record))
	default:
		text = style.Faint(strings.ReplaceAll(event.Text(), "\t", "  "))
	}
	_, err := fmt.Fprintf(r.out, "%s %s  %s\n",
		style.Faint(event.Time.Local().Format("15:04:05.000")), event.Function, text)
	if err != nil {
		return fmt.Errorf("write log event: %w", err)
	}
	return nil
}
