package xray

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/userrequestapi/userdata/deploy/aws/trace"
)

// Limits in bytes. Most traces have less than 10 kB.
const (
	maxTraceBytes = 4 << 20
	maxBytes      = 128 << 20
	overhead      = 1 << 10 // of a document or line besides its text
)

// traces are the most recent traces.
type traces struct {
	capacity int
	bytes    int
	byID     map[string]*entry
	order    []*entry // oldest first
	dropped  dropped
}

func newTraces(capacity int) *traces {
	return &traces{
		capacity: capacity,
		byID:     map[string]*entry{},
		dropped:  dropped{capacity: capacity, ids: map[string]bool{}},
	}
}

// entry is a trace with its documents and lines.
type entry struct {
	id        string
	documents []document
	lines     []Line
	bytes     int
	truncated bool

	// Computed from the above on demand, and reset by changes.
	assembled  *trace.Trace
	summarized *trace.Summary
	searched   string
}

type document struct {
	trace.Document
	raw json.RawMessage
}

// add adds a document. lines returns the lines that were logged before the trace's first document.
func (t *traces) add(d trace.Document, raw []byte, lines func(traceID string) []Line) {
	// A late document of a dropped trace would replace a complete trace with an incomplete one.
	if t.dropped.ids[d.TraceID] {
		return
	}
	e, ok := t.byID[d.TraceID]
	if !ok {
		e = &entry{id: d.TraceID}
		t.order = append(t.order, e)
		t.byID[e.id] = e
		for _, l := range lines(e.id) {
			t.bytes += e.addLine(l)
		}
	}
	t.bytes += e.addDocument(document{d, raw})
	t.trim()
}

// log adds a line to its trace, if that exists.
func (t *traces) log(l Line) {
	if e, ok := t.byID[l.TraceID]; ok {
		t.bytes += e.addLine(l)
		t.trim()
	}
}

// trim drops the oldest traces beyond the limits.
func (t *traces) trim() {
	for len(t.order) > t.capacity || t.bytes > maxBytes {
		oldest := t.order[0]
		t.order[0], t.order = nil, t.order[1:]
		delete(t.byID, oldest.id)
		t.bytes -= oldest.bytes
		t.dropped.add(oldest.id)
	}
}

// matching returns the traces that match, newest first.
func (t *traces) matching(f Filter) []*entry {
	var found []*entry
	for _, e := range slices.Backward(t.order) {
		if f.matches(e) {
			found = append(found, e)
		}
	}
	slices.SortStableFunc(found, func(a, b *entry) int { return b.summary().Start.Compare(a.summary().Start) })
	if f.Limit > 0 && len(found) > f.Limit {
		found = found[:f.Limit]
	}
	return found
}

// addDocument adds a document and returns the number of added bytes. It replaces a document with the same ID, unless
// that is complete and the new one is in progress.
func (e *entry) addDocument(d document) int {
	for i, known := range e.documents {
		if known.ID != d.ID {
			continue
		}
		if d.InProgress && !known.InProgress {
			return 0
		}
		e.documents[i] = d
		return e.grow(len(d.raw) - len(known.raw))
	}
	if e.bytes+len(d.raw)+overhead > maxTraceBytes {
		e.truncated = true
		return 0
	}
	e.documents = append(e.documents, d)
	return e.grow(len(d.raw) + overhead)
}

// addLine adds a line and returns the number of added bytes.
func (e *entry) addLine(l Line) int {
	if e.bytes+len(l.Text)+overhead > maxTraceBytes {
		e.truncated = true
		return 0
	}
	e.lines = append(e.lines, l)
	return e.grow(len(l.Text) + overhead)
}

// grow adds to the size, which it returns, and resets what was computed.
func (e *entry) grow(bytes int) int {
	e.bytes += bytes
	e.assembled, e.summarized, e.searched = nil, nil, ""
	return bytes
}

func (e *entry) trace() *trace.Trace {
	if e.assembled == nil {
		documents := make([]trace.Document, 0, len(e.documents))
		for _, d := range e.documents {
			documents = append(documents, d.Document)
		}
		e.assembled = trace.New(e.id, documents)
	}
	return e.assembled
}

func (e *entry) summary() trace.Summary {
	if e.summarized == nil {
		summary := e.trace().Summary()
		e.summarized = &summary
	}
	return *e.summarized
}

// searchable returns the content that filters search, in lower case.
func (e *entry) searchable() string {
	if e.searched == "" {
		var b strings.Builder
		write := func(values ...any) {
			for _, v := range values {
				fmt.Fprintln(&b, v)
			}
		}
		write(e.id)
		for _, s := range e.trace().Walk {
			write(s.ID, s.Name, s.Origin)
			for _, value := range s.AWS {
				write(value)
			}
			for _, value := range s.Annotations {
				write(value)
			}
			if s.HTTP != nil && s.HTTP.Request != nil {
				write(s.HTTP.Request.Method, s.HTTP.Request.URL)
			}
			if s.HTTP != nil && s.HTTP.Response != nil {
				write(s.HTTP.Response.Status)
			}
			if s.Cause != nil {
				for _, exception := range s.Cause.Exceptions {
					write(exception.Type, exception.Message)
				}
			}
		}
		for _, l := range e.lines {
			write(l.Text)
		}
		e.searched = strings.ToLower(b.String())
	}
	return e.searched
}

// dropped are the IDs of the most recently dropped traces.
type dropped struct {
	capacity int
	ids      map[string]bool
	order    []string
}

func (d *dropped) add(id string) {
	d.ids[id] = true
	d.order = append(d.order, id)
	if len(d.order) > d.capacity {
		delete(d.ids, d.order[0])
		d.order = d.order[1:]
	}
}
