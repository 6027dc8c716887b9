package xray

import (
	"compress/flate"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/userrequestapi/userdata/deploy/aws/trace"
)

// Limits in bytes. Most traces have less than 10 kB.
const (
	maxTraceBytes = 4 << 20
	maxBytes      = 64 << 20
	// Of a document and a line, besides the text.
	documentOverhead = 1 << 10
	lineOverhead     = 1 << 8
)

// recent is the number of newest traces whose documents are not compressed. With the others compressed, 10,000 traces
// need about 40 MB.
const recent = 500

// traces are the most recent traces.
type traces struct {
	capacity int
	bytes    int
	byID     map[string]*entry
	order    []*entry // oldest first
	dropped  dropped

	compressor *flate.Writer
}

func newTraces(capacity int) *traces {
	return &traces{
		capacity: capacity,
		byID:     map[string]*entry{},
		dropped:  dropped{capacity: capacity, ids: map[string]bool{}},

		compressor: newCompressor(),
	}
}

// entry is a trace with its documents and lines.
type entry struct {
	id        string
	documents []document // empty if packed is set
	packed    []byte     // the compressed documents of an older trace
	lines     []*Line
	bytes     int
	truncated bool

	// Computed from the documents on demand, and reset by changes.
	assembled  *trace.Trace
	summarized *trace.Summary
	searched   string
}

type document struct {
	trace.Document
	raw json.RawMessage
}

// add adds a document. lines returns the lines that were logged before the trace's first document.
func (t *traces) add(d trace.Document, raw []byte, lines func(traceID string) []*Line) {
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
		if older := len(t.order) - 1 - recent; older >= 0 {
			t.bytes += t.order[older].pack(t.compressor)
		}
	}
	if e.packed != nil {
		t.bytes += e.unpack() + e.addDocument(document{d, raw}) + e.pack(t.compressor)
	} else {
		t.bytes += e.addDocument(document{d, raw})
	}
	t.trim()
}

// prepend adds the traces of an earlier run, which are older than all others.
func (t *traces) prepend(earlier *traces) {
	var older []*entry
	for _, e := range earlier.order {
		if t.byID[e.id] == nil && !t.dropped.ids[e.id] {
			older = append(older, e)
			t.byID[e.id] = e
			t.bytes += e.bytes
		}
	}
	t.order = append(older, t.order...)
	for _, e := range t.order[:max(0, len(t.order)-recent)] {
		t.bytes += e.pack(t.compressor)
	}
	t.trim()
}

// log adds a line to its trace, if that exists.
func (t *traces) log(l *Line) {
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
	if e.bytes+len(d.raw)+documentOverhead > maxTraceBytes {
		e.truncated = true
		return 0
	}
	e.documents = append(e.documents, d)
	return e.grow(len(d.raw) + documentOverhead)
}

// addLine adds a line and returns the number of added bytes.
func (e *entry) addLine(l *Line) int {
	size := len(l.Text) + lineOverhead
	if e.bytes+size > maxTraceBytes {
		e.truncated = true
		return 0
	}
	e.lines = append(e.lines, l)
	e.bytes += size
	return size
}

// grow adds to the size, which it returns, and resets what was computed.
func (e *entry) grow(bytes int) int {
	e.bytes += bytes
	e.assembled, e.summarized, e.searched = nil, nil, ""
	return bytes
}

// trace returns the assembled trace, which is kept only for recent traces.
func (e *entry) trace() *trace.Trace {
	if e.assembled != nil {
		return e.assembled
	}
	documents := make([]trace.Document, 0, len(e.documents))
	for _, d := range e.all() {
		documents = append(documents, d.Document)
	}
	assembled := trace.New(e.id, documents)
	if e.packed == nil {
		e.assembled = assembled
	}
	return assembled
}

func (e *entry) summary() trace.Summary {
	if e.summarized == nil {
		summary := e.trace().Summary()
		e.summarized = &summary
	}
	return *e.summarized
}

// hasWords reports whether the documents and the log lines contain all words, in lower case.
func (e *entry) hasWords(words []string) bool {
	var lines []string // in lower case; most searches need none
	for _, word := range words {
		if strings.Contains(e.searchable(), word) {
			continue
		}
		if lines == nil {
			for _, l := range e.lines {
				lines = append(lines, strings.ToLower(l.Text))
			}
		}
		if !slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, word) }) {
			return false
		}
	}
	return true
}

// searchable returns the content of the documents that filters search, in lower case.
func (e *entry) searchable() string {
	if e.searched == "" {
		var b strings.Builder
		written := map[string]bool{} // the spans of a trace repeat many values
		write := func(values ...any) {
			for _, v := range values {
				if str := fmt.Sprint(v); !written[str] {
					written[str] = true
					b.WriteString(str)
					b.WriteByte('\n')
				}
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
