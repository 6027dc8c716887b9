package xray

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// Line is a log line.
type Line struct {
	Sequence  uint64    `json:"sequence"` // set by Log: 1 for the first line, then 2, …
	Time      time.Time `json:"time"`
	Source    string    `json:"source"` // function name, or another source such as "access log"
	Stream    string    `json:"stream,omitempty"`
	RequestID string    `json:"requestId,omitempty"` // if empty, set by Log from a line of JSON
	TraceID   string    `json:"traceId,omitempty"`   // if empty, set by Log from xrayTraceId in a line of JSON
	Level     string    `json:"level,omitempty"`     // if empty, set by Log from a line of JSON
	Type      string    `json:"type"`                // such as "function" or "platform.report"
	Text      string    `json:"text"`                // as written

	// LambdaRequestID is Lambda's ID of the request, where RequestID is API Gateway's; set by Log from a line of JSON.
	LambdaRequestID string `json:"lambdaRequestId,omitempty"`
}

// noValue is API Gateway's placeholder for a context variable without a value.
const noValue = "-"

// setFieldsFromText sets empty fields from a line of JSON.
func (l *Line) setFieldsFromText() {
	if strings.HasPrefix(l.Text, "{") {
		var fields struct {
			Level       string `json:"level"`
			RequestID   string `json:"requestId"`
			XRayTraceID string `json:"xrayTraceId"`
			// In a function's line and in the access log.
			LambdaRequestID      string `json:"lambdaRequestId"`
			IntegrationRequestID string `json:"integrationRequestId"`
		}
		if json.Unmarshal([]byte(l.Text), &fields) == nil {
			l.Level = l.shared(cmp.Or(l.Level, fields.Level))
			l.RequestID = l.shared(cmp.Or(l.RequestID, fields.RequestID))
			l.TraceID = l.shared(cmp.Or(l.TraceID, fields.XRayTraceID))
			if id := cmp.Or(fields.LambdaRequestID, fields.IntegrationRequestID); id != noValue {
				l.LambdaRequestID = l.shared(id)
			}
		}
	}
	if l.Type == "platform.fault" {
		l.Level = cmp.Or(l.Level, "ERROR")
	}
}

// shared returns a string that shares the memory of the text if the text contains value, and otherwise value: 50,000
// lines have 200,000 such values.
func (l *Line) shared(value string) string {
	if at := strings.Index(l.Text, value); at >= 0 {
		return l.Text[at : at+len(value)]
	}
	return value
}

// Limits of the lines that are kept independently of traces.
const (
	maxLines     = 10_000
	maxLineBytes = 32 << 20
)

// lines are the most recent lines, oldest first. An added line is shared with its trace, and is not changed.
type lines struct {
	sequence uint64
	bytes    int
	all      []*Line
	byTrace  map[string][]*Line
}

func newLines() *lines { return &lines{byTrace: map[string][]*Line{}} }

// add adds a line and sets its sequence number.
func (s *lines) add(l *Line) {
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
}

func (s *lines) dropOldest() {
	oldest := s.all[0]
	s.all[0], s.all = nil, s.all[1:]
	s.bytes -= len(oldest.Text)
	if rest := s.byTrace[oldest.TraceID]; len(rest) > 1 {
		rest[0] = nil
		s.byTrace[oldest.TraceID] = rest[1:]
	} else {
		delete(s.byTrace, oldest.TraceID)
	}
}

// ofTrace returns the lines of a trace.
func (s *lines) ofTrace(id string) []*Line { return s.byTrace[id] }

// clear deletes the lines. Sequence numbers continue.
func (s *lines) clear() {
	s.bytes, s.all = 0, nil
	clear(s.byTrace)
}

// matching returns the lines that match, oldest first.
func (s *lines) matching(f LineFilter) []*Line {
	found, requests := []*Line{}, s.requests(f.RequestID)
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

// requests returns the IDs of one request, API Gateway's and Lambda's, given either of them.
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
