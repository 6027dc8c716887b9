package local

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/userrequestapi/userdata/deploy/local/lambdahost"
)

// writeJSON writes an event as one line of JSON: a function's own line as it is, where that is JSON, and all else as Lambda's
// JSON logs have it, with what on AWS the place of the log tells: the function and the log stream.
func writeJSON(w io.Writer, event lambdahost.Event) error {
	line := []byte(event.Text())
	if _, own := event.Record.(lambdahost.Line); !own || !isObject(line) {
		var err error
		if line, err = json.Marshal(event); err != nil {
			return fmt.Errorf("encode log event: %w", err)
		}
		place, err := json.Marshal(struct {
			Function  string `json:"function"`
			LogStream string `json:"logStream"`
		}{event.Function, event.LogStream})
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

func isObject(line []byte) bool {
	return len(line) > 0 && line[0] == '{' && json.Valid(line)
}

// Escape sequences of ECMA-48, "Select graphic rendition".
const (
	plain  = "\x1b[0m"
	dim    = "\x1b[2m"
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
)

// reader writes events for people who watch a terminal.
type reader struct {
	out   io.Writer
	color bool
}

func (r reader) paint(color, text string) string {
	if !r.color || text == "" {
		return text
	}
	return color + text + plain
}

// write leaves out what says nothing new to a person: that an invocation begins and ends.
func (r reader) write(event lambdahost.Event) error {
	var text string
	switch record := event.Record.(type) {
	case lambdahost.InvocationStart, lambdahost.InvocationEnd, lambdahost.InitStart:
		return nil
	case lambdahost.Line:
		text = r.line(string(record))
	default:
		text = r.paint(dim, strings.ReplaceAll(event.Text(), "\t", "  "))
	}
	_, err := fmt.Fprintf(r.out, "%s %s  %s\n", r.paint(dim, event.Time.Local().Format("15:04:05.000")), event.Function, text)
	if err != nil {
		return fmt.Errorf("write log event: %w", err)
	}
	return nil
}

// line is a line of a function: what happened first, then the remaining fields by their names.
func (r reader) line(line string) string {
	var fields map[string]json.RawMessage // numbers keep their digits
	if !isObject([]byte(line)) || json.Unmarshal([]byte(line), &fields) != nil {
		return line
	}
	take := func(name string) string {
		value := fields[name]
		delete(fields, name)
		var text string
		if json.Unmarshal(value, &text) == nil {
			return text
		}
		return string(value)
	}
	for _, said := range []string{"timestamp", "service", "function", "version", "operation", "outcome"} {
		delete(fields, said)
	}
	words := []string{r.level(take("level"))}
	message, stack := take("message"), take("stack")
	if message == "request" {
		words = append(words, take("method"), take("route"), r.status(take("status")), take("durationMs")+" ms")
		if take("coldStart") == "true" {
			words = append(words, r.paint(yellow, "cold start"))
		}
	} else if message != "" {
		words = append(words, message)
	}
	if code := take("errorCode"); code != "" {
		words = append(words, r.paint(red, code))
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if value := take(name); value != "" {
			words = append(words, r.paint(dim, name+"="+value))
		}
	}
	if stack != "" {
		words = append(words, "\n"+stack)
	}
	return strings.Join(words, "  ")
}

func (r reader) level(level string) string {
	padded := fmt.Sprintf("%-5s", level)
	switch level {
	case "ERROR", "FATAL":
		return r.paint(red, padded)
	case "WARN":
		return r.paint(yellow, padded)
	default:
		return padded
	}
}

func (r reader) status(status string) string {
	switch {
	case strings.HasPrefix(status, "5"):
		return r.paint(red, status)
	case strings.HasPrefix(status, "4"):
		return r.paint(yellow, status)
	default:
		return r.paint(green, status)
	}
}
