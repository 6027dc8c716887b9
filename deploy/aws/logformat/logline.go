// Package logformat formats log lines for terminals: lines of the functions, Lambda's JSON system logs, and API
// Gateway's access log.
package logformat

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/userrequestapi/userdata/deploy/host/ansi"
)

// fields has the fields of a JSON object. Numbers keep their digits. nil has no fields.
type fields map[string]json.RawMessage

// Style is the style of formatted lines.
type Style struct {
	Color bool // use ANSI colors
}

// Faint styles less important text.
func (s Style) Faint(text string) string { return ansi.Faint.Paint(s.Color, text) }

// Good styles text about a success.
func (s Style) Good(text string) string { return ansi.Green.Paint(s.Color, text) }

// Warning styles text about an error of the caller or an unusual event.
func (s Style) Warning(text string) string { return ansi.Yellow.Paint(s.Color, text) }

// Bad styles text about a failure.
func (s Style) Bad(text string) string { return ansi.Red.Paint(s.Color, text) }

// Status styles a status code by its class.
func (s Style) Status(status string) string {
	switch {
	case strings.HasPrefix(status, "5"):
		return s.Bad(status)
	case strings.HasPrefix(status, "4"):
		return s.Warning(status)
	default:
		return s.Good(status)
	}
}

// Text formats a line: the event first, then the remaining fields by name. It returns "" for events without
// information, such as the start of an invocation. Control characters other than line breaks and tabs are replaced.
func (s Style) Text(line string) string {
	f, ok := parse(line)
	switch {
	case !ok:
		return s.Bad(Printable(line))
	case f.kind() != "":
		return s.platform(f)
	case f.has("httpMethod"):
		return s.access(f)
	default:
		return s.function(f)
	}
}

// function formats a line of a function.
func (s Style) function(f fields) string {
	// Redundant fields, and the metric definitions.
	f.drop("timestamp", "service", "function", "version", "operation", "outcome", "_aws")
	words := []string{s.level(f.take("level"))}
	message, stack := f.take("message"), f.take("stack")
	if message == "request" {
		words = append(words, f.take("method"), f.take("route"), s.Status(f.take("status")), f.take("durationMs")+" ms")
		if f.take("coldStart") == "true" {
			words = append(words, s.Warning("cold start"))
		}
	} else if message != "" {
		words = append(words, message)
	}
	if code := f.take("errorCode"); code != "" {
		words = append(words, s.Bad(code))
	}
	words = append(words, s.rest(f)...)
	if stack != "" {
		words = append(words, "\n"+stack)
	}
	return strings.Join(words, "  ")
}

func (s Style) level(level string) string {
	padded := fmt.Sprintf("%-5s", level)
	switch level {
	case "ERROR", "FATAL":
		return s.Bad(padded)
	case "WARN":
		return s.Warning(padded)
	default:
		return padded
	}
}

// platform formats a platform event of Lambda ("Lambda Telemetry API Event schema reference").
func (s Style) platform(f fields) string {
	kind, record := f.kind(), f.object("record")
	switch kind {
	case "start", "end", "initStart", "initRuntimeDone", "runtimeDone", "extension", "telemetrySubscription":
		return ""
	case "report":
		metrics := record.object("metrics")
		words := []string{"REPORT", metrics.take("durationMs") + " ms"}
		if init := metrics.take("initDurationMs"); init != "" {
			words = append(words, "init "+init+" ms")
		}
		words = append(words, fmt.Sprintf("%s of %s MB", metrics.take("maxMemoryUsedMB"), metrics.take("memorySizeMB")))
		text := s.Faint(strings.Join(words, "  "))
		if status := record.take("status"); failed(status) {
			text += "  " + s.Bad(strings.Join(strings.Fields(status+" "+record.take("errorType")), "  "))
		}
		return text + "  " + s.Faint("requestId="+record.take("requestId"))
	default:
		if record == nil {
			return s.Faint(kind) + "  " + s.Bad(f.take("record"))
		}
		return s.Faint(kind) + "  " + strings.Join(s.rest(record), "  ")
	}
}

// failed reports whether the status of a platform event is a failure.
func failed(status string) bool { return status != "" && status != "success" }

// refusal is the access log field with the type of a gateway response.
const refusal = "errorResponseType"

// access formats a line of API Gateway's access log in the format of the template. Missing values are hyphens.
func (s Style) access(f fields) string {
	f.drop("requestTime", "protocol", "extendedRequestId", "responseLength")
	words := []string{
		s.level(f.level()),
		f.take("httpMethod"),
		f.take("resourcePath"),
		s.Status(f.take("status")),
		f.take("responseLatency") + " ms",
	}
	for _, name := range []string{refusal, "integrationError"} {
		if text := f.take(name); text != "" && text != "-" {
			words = append(words, s.Bad(text))
		}
	}
	return strings.Join(append(words, s.rest(f)...), "  ")
}

// rest formats the remaining fields, sorted by name, and removes them.
func (s Style) rest(f fields) []string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(f)) {
		if value := f.take(name); value != "" && value != "-" {
			words = append(words, s.Faint(Printable(name)+"="+value))
		}
	}
	return words
}

// Levels returns the levels of Lambda's JSON log format, the lowest first.
func Levels() []string { return []string{"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"} }

// Level returns the level of a line, derived from its status if it has no level. A line that is not a JSON object has
// the level ERROR, because only crashes write such lines.
func Level(line string) string {
	f, ok := parse(line)
	if !ok {
		return "ERROR"
	}
	return f.level()
}

func (f fields) level() string {
	if level := strings.ToUpper(f.text("level")); slices.Contains(Levels(), level) {
		return level
	}
	record := f.object("record")
	status := f.text("status")
	switch {
	case f.kind() == "fault" || failed(record.text("status")) || f.kind() == "" && strings.HasPrefix(status, "5"):
		return "ERROR"
	case f.kind() == "logsDropped" || !slices.Contains([]string{"", "-"}, f.text(refusal)):
		return "WARN"
	default:
		return "INFO"
	}
}

func parse(line string) (fields, bool) {
	var f fields
	if !strings.HasPrefix(line, "{") || json.Unmarshal([]byte(line), &f) != nil {
		return nil, false
	}
	return f, true
}

// IsObject reports whether a line is a JSON object.
func IsObject(line string) bool {
	return strings.HasPrefix(line, "{") && json.Valid([]byte(line))
}

// Fields returns the non-empty values of fields with these names, in a line or in the record of a platform event.
func Fields(line string, names ...string) []string {
	f, ok := parse(line)
	if !ok {
		return nil
	}
	var texts []string
	for _, from := range []fields{f, f.object("record")} {
		for _, name := range names {
			if text := from.text(name); text != "" && text != "-" {
				texts = append(texts, text)
			}
		}
	}
	return texts
}

// kind returns the type of a platform event without "platform.", or "" for any other line.
func (f fields) kind() string {
	kind, ok := strings.CutPrefix(f.text("type"), "platform.")
	if !ok {
		return ""
	}
	return kind
}

func (f fields) has(name string) bool { return f[name] != nil }

func (f fields) object(name string) fields {
	var o fields
	if json.Unmarshal(f[name], &o) != nil {
		return nil
	}
	return o
}

// text returns the value of a field: a string unquoted, other values as JSON, and "" for null.
func (f fields) text(name string) string {
	value := f[name]
	var text string
	if value == nil || json.Unmarshal(value, &text) == nil {
		return Printable(text)
	}
	return Printable(string(value))
}

// take returns the value of a field and removes it.
func (f fields) take(name string) string {
	text := f.text(name)
	delete(f, name)
	return text
}

func (f fields) drop(names ...string) {
	for _, name := range names {
		delete(f, name)
	}
}

// Printable replaces control characters other than line breaks and tabs.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
