package xray

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/userrequestapi/userdata/deploy/aws/trace"
)

// Bounds of what is kept, in bytes. A usual trace has under 10 kB.
const (
	maxTraceBytes = 4 << 20
	maxBytes      = 128 << 20
	overhead      = 1 << 10 // of a document or line besides its text
)

// traces are the last traces, by id and in the order in which they came.
type traces struct {
	capacity int
	sequence uint64
	bytes    int
	byID     map[string]*kept
	order    []*kept // oldest first
	dropped  dropped
}

func newTraces(capacity int) *traces {
	return &traces{
		capacity: capacity,
		byID:     map[string]*kept{},
		dropped:  dropped{capacity: capacity, ids: map[string]bool{}},
	}
}

// kept is a trace with what is known about it.
type kept struct {
	id        string
	sequence  uint64
	documents []document
	lines     []Line
	bytes     int
	truncated bool

	// Made of the above when they are asked for, and again after a change.
	assembled  *trace.Trace
	summarized *trace.Summary
	searched   string
}

type document struct {
	trace.Document
	raw json.RawMessage
}

// add keeps a document. Lines returns those that came before the trace's first document.
func (t *traces) add(d trace.Document, raw []byte, lines func(traceID string) []Line) {
	// What comes late for a trace that had to go would be half a trace, in the place of a whole one.
	if t.dropped.ids[d.TraceID] {
		return
	}
	k, ok := t.byID[d.TraceID]
	if !ok {
		t.sequence++
		k = &kept{id: d.TraceID, sequence: t.sequence}
		t.order = append(t.order, k)
		t.byID[k.id] = k
		for _, l := range lines(k.id) {
			t.bytes += k.addLine(l)
		}
	}
	t.bytes += k.addDocument(document{d, raw})
	t.trim()
}

// log keeps a line with its trace, if that is there.
func (t *traces) log(l Line) {
	if k, ok := t.byID[l.TraceID]; ok {
		t.bytes += k.addLine(l)
		t.trim()
	}
}

// trim drops the oldest traces when there are too many.
func (t *traces) trim() {
	for len(t.order) > t.capacity || t.bytes > maxBytes {
		oldest := t.order[0]
		t.order[0], t.order = nil, t.order[1:]
		delete(t.byID, oldest.id)
		t.bytes -= oldest.bytes
		t.dropped.add(oldest.id)
	}
}

// matching returns what matches, newest first.
func (t *traces) matching(f Filter) []*kept {
	var found []*kept
	for _, k := range t.order {
		if f.matches(k) {
			found = append(found, k)
		}
	}
	slices.SortFunc(found, func(a, b *kept) int {
		return cmp.Or(b.summary().Start.Compare(a.summary().Start), cmp.Compare(b.sequence, a.sequence))
	})
	if f.Limit > 0 && len(found) > f.Limit {
		found = found[:f.Limit]
	}
	return found
}

// addDocument returns by how many bytes the trace has grown. A document that is there already is replaced, unless the new
// one is from before it was complete.
func (k *kept) addDocument(d document) int {
	for i, known := range k.documents {
		if known.ID != d.ID {
			continue
		}
		if d.InProgress && !known.InProgress {
			return 0
		}
		k.documents[i] = d
		return k.grow(len(d.raw) - len(known.raw))
	}
	if k.bytes+len(d.raw)+overhead > maxTraceBytes {
		k.truncated = true
		return 0
	}
	k.documents = append(k.documents, d)
	return k.grow(len(d.raw) + overhead)
}

// addLine returns by how many bytes the trace has grown.
func (k *kept) addLine(l Line) int {
	if k.bytes+len(l.Text)+overhead > maxTraceBytes {
		k.truncated = true
		return 0
	}
	k.lines = append(k.lines, l)
	return k.grow(len(l.Text) + overhead)
}

func (k *kept) grow(bytes int) int {
	k.bytes += bytes
	k.assembled, k.summarized, k.searched = nil, nil, ""
	return bytes
}

func (k *kept) trace() *trace.Trace {
	if k.assembled == nil {
		documents := make([]trace.Document, 0, len(k.documents))
		for _, d := range k.documents {
			documents = append(documents, d.Document)
		}
		k.assembled = trace.New(k.id, documents)
	}
	return k.assembled
}

func (k *kept) summary() trace.Summary {
	if k.summarized == nil {
		summary := k.trace().Summary()
		k.summarized = &summary
	}
	return *k.summarized
}

// text returns what a search looks at, in lower case.
func (k *kept) text() string {
	if k.searched == "" {
		var b strings.Builder
		write := func(values ...any) {
			for _, v := range values {
				fmt.Fprintln(&b, v)
			}
		}
		write(k.id)
		for _, s := range k.trace().Walk {
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
				for _, e := range s.Cause.Exceptions {
					write(e.Type, e.Message)
				}
			}
		}
		for _, l := range k.lines {
			write(l.Text)
		}
		k.searched = strings.ToLower(b.String())
	}
	return k.searched
}

// dropped are the ids of the traces that had to go last.
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
