package trace

import (
	"cmp"
	"slices"
	"time"
)

// Trace is what the documents of one trace say together.
type Trace struct {
	ID    string  `json:"id"`
	Roots []*Span `json:"roots"` // by start time; one, when the trace is complete
}

// Span is a segment or subsegment in its place. Its Subsegments are among the Children, each with the Type "subsegment".
type Span struct {
	Document
	// Orphan says that the document names a parent that no document of the trace has (yet), as does a request's first
	// segment when the trace began outside.
	Orphan   bool    `json:"orphan,omitempty"`
	Children []*Span `json:"children,omitempty"` // by start time
}

// Assemble makes traces of documents, in the order in which each trace's first document comes.
func Assemble(documents []Document) []*Trace {
	byID := map[string][]Document{}
	var ids []string
	for _, d := range documents {
		if _, ok := byID[d.TraceID]; !ok {
			ids = append(ids, d.TraceID)
		}
		byID[d.TraceID] = append(byID[d.TraceID], d)
	}
	traces := make([]*Trace, 0, len(ids))
	for _, id := range ids {
		traces = append(traces, New(id, byID[id]))
	}
	return traces
}

// New makes the trace with this id of its documents, whatever their order. What is embedded stays below the segment that it
// is embedded in, whatever its own parent_id says; all else is where its parent_id says. One id is one span: that of a complete
// document rather than of one in progress, else of the last.
func New(id string, documents []Document) *Trace {
	nodes := forest{byID: map[string]*node{}}
	for _, d := range documents {
		nodes.add(d, d.ParentID)
	}
	return &Trace{ID: id, Roots: nodes.link()}
}

// node is a span with its parent's id, "" for none.
type node struct {
	span   *Span
	parent string
	rooted state
}

// state is what is known of the way from a node up to a root.
type state uint8

const (
	unknown state = iota
	asked
	rooted
)

// forest has spans by their ids, in the order in which they came.
type forest struct {
	nodes []*node
	byID  map[string]*node
}

// add takes a document and all that is embedded in it.
func (f *forest) add(d Document, parent string) {
	embedded := d.Subsegments
	d.Subsegments = nil
	if known, ok := f.byID[d.ID]; !ok {
		added := &node{span: &Span{Document: d}, parent: parent}
		f.nodes = append(f.nodes, added)
		f.byID[d.ID] = added
	} else if known.span.InProgress || !d.InProgress {
		known.span.Document, known.parent = d, parent
	}
	for _, e := range embedded {
		e.Type = subsegment
		f.add(e, d.ID)
	}
}

// link puts each span below its parent and returns those that have none, by start time.
func (f *forest) link() []*Span {
	for _, n := range f.nodes {
		f.root(n)
	}
	var roots []*Span
	for _, n := range f.nodes {
		if parent := f.parent(n); parent != nil {
			parent.span.Children = append(parent.span.Children, n.span)
		} else {
			roots = append(roots, n.span)
		}
	}
	for _, n := range f.nodes {
		slices.SortStableFunc(n.span.Children, byStart)
	}
	slices.SortStableFunc(roots, byStart)
	return roots
}

// parent returns the node that a node names as its parent, nil if there is none.
func (f *forest) parent(n *node) *node {
	if n.parent == "" {
		return nil
	}
	return f.byID[n.parent]
}

// root goes up from a node and makes a root of the one whose parent is absent, or is one of those below it.
func (f *forest) root(n *node) {
	var way []*node
	for n.rooted == unknown {
		n.rooted = asked
		way = append(way, n)
		parent := f.parent(n)
		if parent == nil || parent.rooted == asked {
			n.span.Orphan = n.parent != ""
			n.parent = ""
			break
		}
		n = parent
	}
	for _, n := range way {
		n.rooted = rooted
	}
}

func byStart(a, b *Span) int { return cmp.Compare(a.StartTime, b.StartTime) }

// Walk yields each span, parents before their children, and how deep it is, 0 for roots. It is an iterator:
//
//	for depth, span := range trace.Walk { … }
func (t *Trace) Walk(yield func(depth int, s *Span) bool) {
	walk(t.Roots, 0, yield)
}

func walk(spans []*Span, depth int, yield func(int, *Span) bool) bool {
	for _, s := range spans {
		if !yield(depth, s) || !walk(s.Children, depth+1, yield) {
			return false
		}
	}
	return true
}

// Start returns when the first span began, and the zero time for a trace without any.
func (t *Trace) Start() time.Time {
	var start time.Time
	for _, s := range t.Walk {
		if at := s.Start(); start.IsZero() || at.Before(start) {
			start = at
		}
	}
	return start
}

// End returns when the last span ended, as far as they have. What is still in progress counts by its start.
func (t *Trace) End() time.Time {
	var end time.Time
	for _, s := range t.Walk {
		for _, at := range []time.Time{s.Start(), s.End()} {
			if at.After(end) {
				end = at
			}
		}
	}
	return end
}

// Duration returns the time from Start to End: what a drawing of all spans to scale needs.
func (t *Trace) Duration() time.Duration { return t.End().Sub(t.Start()) }
