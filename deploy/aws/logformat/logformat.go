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

// Style is the style of formatted lines.
type Style struct {
	Color bool // use ANSI colors
}

// Text formats a line: the event first, then the remaining fields, sorted by name. It returns "" for events without
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

// Faint styles a less important string.
func (s Style) Faint(str string) string { return ansi.Faint.Paint(s.Color, str) }

// Good styles a string about a success.
func (s Style) Good(str string) string { return ansi.Green.Paint(s.Color, str) }

// Warning styles a string about an error of the caller or an unusual event.
func (s Style) Warning(str string) string { return ansi.Yellow.Paint(s.Color, str) }

// Bad styles a string about a failure.
func (s Style) Bad(str string) string { return ansi.Red.Paint(s.Color, str) }

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
	var values []string
	for _, from := range []fields{f, f.object("record")} {
		for _, name := range names {
			if value := from.value(name); value != "" && value != "-" {
				values = append(values, value)
			}
		}
	}
	return values
}

// Printable replaces control characters other than line breaks and tabs.
func Printable(str string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return unicode.ReplacementChar
		}
		return r
	}, str)
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
		formatted := s.Faint(strings.Join(words, "  "))
		if status := record.take("status"); failed(status) {
			formatted += "  " + s.Bad(strings.Join(strings.Fields(status+" "+record.take("errorType")), "  "))
		}
		return formatted + "  " + s.Faint("requestId="+record.take("requestId"))
	default:
		if record == nil {
			return s.Faint(kind) + "  " + s.Bad(f.take("record"))
		}
		return s.Faint(kind) + "  " + strings.Join(s.rest(record), "  ")
	}
}

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
	for _, name := range []string{responseType, "integrationError"} {
		if value := f.take(name); value != "" && value != "-" {
			words = append(words, s.Bad(value))
		}
	}
	return strings.Join(append(words, s.rest(f)...), "  ")
}

// responseType is the field of the access log with the type of a gateway response.
const responseType = "errorResponseType"

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

// fields are the fields of a JSON object. Numbers keep their digits.
type fields map[string]json.RawMessage

func parse(line string) (fields, bool) {
	var f fields
	if !strings.HasPrefix(line, "{") || json.Unmarshal([]byte(line), &f) != nil {
		return nil, false
	}
	return f, true
}

func (f fields) level() string {
	if level := strings.ToUpper(f.value("level")); slices.Contains(Levels(), level) {
		return level
	}
	record := f.object("record")
	status := f.value("status")
	switch {
	case f.kind() == "fault" || failed(record.value("status")) || f.kind() == "" && strings.HasPrefix(status, "5"):
		return "ERROR"
	case f.kind() == "logsDropped" || !slices.Contains([]string{"", "-"}, f.value(responseType)):
		return "WARN"
	default:
		return "INFO"
	}
}

// failed reports whether the status of a platform event is a failure.
func failed(status string) bool { return status != "" && status != "success" }

// kind returns the type of a platform event without "platform.", or "" for any other line.
func (f fields) kind() string {
	kind, ok := strings.CutPrefix(f.value("type"), "platform.")
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

// value returns the value of a field: a string unquoted, other values as JSON, and "" for null.
func (f fields) value(name string) string {
	encoded := f[name]
	var str string
	if encoded == nil || json.Unmarshal(encoded, &str) == nil {
		return Printable(str)
	}
	return Printable(string(encoded))
}

// take returns the value of a field and removes it.
func (f fields) take(name string) string {
	value := f.value(name)
	delete(f, name)
	return value
}

func (f fields) drop(names ...string) {
	for _, name := range names {
		delete(f, name)
	}
}
