// Package logformat shows lines of the stage's logs to people: those of the functions, of Lambda itself in its JSON format, and
// of API Gateway's access log.
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

// fields are those of a JSON object; numbers keep their digits. A nil one has none.
type fields map[string]json.RawMessage

// Style is how lines are shown.
type Style struct {
	Color bool // ANSI's colors
}

func (s Style) paint(style ansi.Style, text string) string {
	if !s.Color || text == "" {
		return text
	}
	return style.Paint(text)
}

// Faint returns a text that is less important.
func (s Style) Faint(text string) string { return s.paint(ansi.Faint, text) }

// Good returns a text about a success.
func (s Style) Good(text string) string { return s.paint(ansi.Green, text) }

// Warning returns a text about what a caller did wrong, or what is unusual.
func (s Style) Warning(text string) string { return s.paint(ansi.Yellow, text) }

// Bad returns a text about a failure.
func (s Style) Bad(text string) string { return s.paint(ansi.Red, text) }

// Status returns the status code of an answer, by its class.
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

// Text returns a line as a person likes to read it: what happened first, then the remaining fields by their names. It is empty
// for what says nothing new to a person: that an invocation begins and ends. Characters that control a terminal are replaced, but
// for line breaks and tabs.
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

// function is a line of a function.
func (s Style) function(f fields) string {
	// What the time, the place of the line and the other fields say already, and the metrics' definition.
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

// platform is an event of Lambda itself ("Lambda Telemetry API Event schema reference").
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

// failed tells the status of an event of Lambda that means a failure.
func failed(status string) bool { return status != "" && status != "success" }

// refusal is the field of the access log that says why API Gateway answered by itself.
const refusal = "errorResponseType"

// access is a line of API Gateway's access log, in the format that the template gives it. What a request has not is a hyphen.
func (s Style) access(f fields) string {
	f.drop("requestTime", "protocol", "extendedRequestId", "responseLength")
	words := []string{
		s.level(f.level()), f.take("httpMethod"), f.take("resourcePath"), s.Status(f.take("status")), f.take("responseLatency") + " ms",
	}
	for _, name := range []string{refusal, "integrationError"} {
		if text := f.take(name); text != "" && text != "-" {
			words = append(words, s.Bad(text))
		}
	}
	return strings.Join(append(words, s.rest(f)...), "  ")
}

// rest is what is left of the fields, by their names.
func (s Style) rest(f fields) []string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(f)) {
		if value := f.take(name); value != "" && value != "-" {
			words = append(words, s.Faint(Printable(name)+"="+value))
		}
	}
	return words
}

// Levels returns the levels of lines, the lowest first: those of Lambda's JSON log format.
func Levels() []string { return []string{"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"} }

// Level returns how grave a line is. Where it does not say so itself, its status does; a line that is no JSON object is an
// error, as nothing writes one but what crashes.
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

// IsObject tells whether a line is one JSON object.
func IsObject(line string) bool {
	return strings.HasPrefix(line, "{") && json.Valid([]byte(line))
}

// Fields returns the texts that a line has in fields of these names, itself or in the record of an event of Lambda.
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

// kind is the type of an event of Lambda, without "platform."; empty for any other line.
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

// text is the value of a field: a text itself, all else as it is in JSON, and nothing for null.
func (f fields) text(name string) string {
	value := f[name]
	var text string
	if value == nil || json.Unmarshal(value, &text) == nil {
		return Printable(text)
	}
	return Printable(string(value))
}

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

// Printable replaces what would control a terminal, but for line breaks and tabs.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
