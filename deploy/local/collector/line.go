package collector

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// Line is a line of a log.
type Line struct {
	Sequence  uint64    `json:"sequence"` // set by Log: 1 for the first line, and so on
	Time      time.Time `json:"time"`
	Source    string    `json:"source"` // function name, or what else wrote it, such as the gateway's access log
	Stream    string    `json:"stream,omitempty"`
	RequestID string    `json:"requestId,omitempty"` // set by Log from a line of JSON, if empty
	TraceID   string    `json:"traceId,omitempty"`   // the same, from xrayTraceId
	Level     string    `json:"level,omitempty"`     // the same
	Type      string    `json:"type"`                // such as "function" or "platform.report"
	Text      string    `json:"text"`                // as it was written, JSON if it was JSON
}

// complete takes from the text what is not said beside it.
func (l *Line) complete() {
	if strings.HasPrefix(l.Text, "{") {
		var fields struct {
			Level       string `json:"level"`
			RequestID   string `json:"requestId"`
			XRayTraceID string `json:"xrayTraceId"`
		}
		// A line may be anything, also what only begins like JSON.
		if json.Unmarshal([]byte(l.Text), &fields) == nil {
			l.Level = cmp.Or(l.Level, fields.Level)
			l.RequestID = cmp.Or(l.RequestID, fields.RequestID)
			l.TraceID = cmp.Or(l.TraceID, fields.XRayTraceID)
		}
	}
	if l.Type == "platform.fault" {
		l.Level = cmp.Or(l.Level, "ERROR")
	}
}

// Bounds of the lines that are kept by themselves.
const (
	maxLines     = 10_000
	maxLineBytes = 32 << 20
)

// lines are the last lines, oldest first.
type lines struct {
	sequence uint64
	bytes    int
	all      []Line
	byTrace  map[string][]Line
}

func newLines() *lines { return &lines{byTrace: map[string][]Line{}} }

// add returns the line with its sequence.
func (s *lines) add(l Line) Line {
	s.sequence++
	l.Sequence = s.sequence
	s.all = append(s.all, l)
	s.bytes += len(l.Text)
	if l.TraceID != "" {
		s.byTrace[l.TraceID] = append(s.byTrace[l.TraceID], l)
	}
	for len(s.all) > maxLines || s.bytes > maxLineBytes {
		s.dropOldest()
	}
	return l
}

func (s *lines) dropOldest() {
	oldest := s.all[0]
	s.all[0], s.all = Line{}, s.all[1:]
	s.bytes -= len(oldest.Text)
	if rest := s.byTrace[oldest.TraceID]; len(rest) > 1 {
		rest[0] = Line{}
		s.byTrace[oldest.TraceID] = rest[1:]
	} else {
		delete(s.byTrace, oldest.TraceID)
	}
}

// ofTrace returns those of the lines that belong to a trace.
func (s *lines) ofTrace(id string) []Line { return s.byTrace[id] }

// clear forgets the lines, but not their number.
func (s *lines) clear() {
	s.bytes, s.all = 0, nil
	clear(s.byTrace)
}

// matching returns what matches, oldest first.
func (s *lines) matching(f LineFilter) []Line {
	found := []Line{}
	for _, l := range slices.Backward(s.all) {
		if l.Sequence <= f.After || f.Limit > 0 && len(found) == f.Limit {
			break
		}
		if f.matches(l) {
			found = append(found, l)
		}
	}
	slices.Reverse(found)
	return found
}
