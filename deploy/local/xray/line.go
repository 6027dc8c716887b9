package xray

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

	// LambdaRequestID is Lambda's id of the request whose id by API Gateway is RequestID; set by Log from a line of JSON.
	LambdaRequestID string `json:"lambdaRequestId,omitempty"`
}

// absent stands in the access log for what a request has not.
const absent = "-"

// complete takes from the text what is not said beside it.
func (l *Line) complete() {
	if strings.HasPrefix(l.Text, "{") {
		var fields struct {
			Level       string `json:"level"`
			RequestID   string `json:"requestId"`
			XRayTraceID string `json:"xrayTraceId"`
			// Of a function's line, and of the access log's.
			LambdaRequestID      string `json:"lambdaRequestId"`
			IntegrationRequestID string `json:"integrationRequestId"`
		}
		// A line may be anything, also what only begins like JSON.
		if json.Unmarshal([]byte(l.Text), &fields) == nil {
			l.Level = cmp.Or(l.Level, fields.Level)
			l.RequestID = cmp.Or(l.RequestID, fields.RequestID)
			l.TraceID = cmp.Or(l.TraceID, fields.XRayTraceID)
			if id := cmp.Or(fields.LambdaRequestID, fields.IntegrationRequestID); id != absent {
				l.LambdaRequestID = id
			}
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
	found, requests := []Line{}, s.requests(f.RequestID)
	for _, l := range slices.Backward(s.all) {
		if l.Sequence <= f.After || f.Limit > 0 && len(found) == f.Limit {
			break
		}
		if (f.RequestID == "" || requests[l.RequestID]) && f.matches(l) {
			found = append(found, l)
		}
	}
	slices.Reverse(found)
	return found
}

// requests are the ids that lines tell of one request, API Gateway's and Lambda's, by either of them.
func (s *lines) requests(id string) map[string]bool {
	ids := map[string]bool{id: true}
	if id == "" {
		return ids
	}
	for _, l := range s.all {
		if l.LambdaRequestID != "" && (l.RequestID == id || l.LambdaRequestID == id) {
			ids[l.RequestID], ids[l.LambdaRequestID] = true, true
		}
	}
	return ids
}
