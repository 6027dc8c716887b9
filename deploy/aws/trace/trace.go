package trace

import (
	"cmp"
	"slices"
	"time"
)

// Trace is a trace assembled from its documents.
type Trace struct {
	ID    string  `json:"id"`
	Roots []*Span `json:"roots"` // by start time; a complete trace has one
}

// Span is a segment or subsegment with its children. Embedded subsegments become Children with the Type "subsegment".
type Span struct {
	Document
	// Orphan means that the document's parent is missing in the trace, as that of the first segment is if the client sent
	// a Parent in X-Amzn-Trace-Id.
	Orphan   bool    `json:"orphan,omitempty"`
	Children []*Span `json:"children,omitempty"` // by start time
}

// New assembles a trace from its documents in any order. An embedded subsegment is a child of its segment; any other
// document is a child of its parent_id. Documents with the same ID are one span: a complete document takes precedence
// over one in progress, otherwise the last one.
func New(id string, documents []Document) *Trace {
	nodes := forest{byID: map[string]*node{}}
	for _, d := range documents {
		nodes.add(d, d.ParentID)
	}
	return &Trace{ID: id, Roots: nodes.link()}
}

// node is a span with its parent's ID; "" for a root.
type node struct {
	span   *Span
	parent string
	search state
}

// state is the state of the search for a node's root.
type state uint8

const (
	unknown state = iota
	visiting
	rooted
)

// forest contains the nodes of a trace, in the order of their documents.
type forest struct {
	nodes []*node
	byID  map[string]*node
}

// add adds a document and its embedded subsegments.
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

// link adds each span to its parent's children and returns the roots, by start time.
func (f *forest) link() []*Span {
	for _, n := range f.nodes {
		f.breakCycle(n)
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

// parent returns the parent of a node, or nil for a root or a node whose parent is missing.
func (f *forest) parent(n *node) *node {
	if n.parent == "" {
		return nil
	}
	return f.byID[n.parent]
}

// breakCycle walks up from a node and makes a root of the ancestor whose parent is missing or is one of its
// descendants.
func (f *forest) breakCycle(n *node) {
	var path []*node
	for n.search == unknown {
		n.search = visiting
		path = append(path, n)
		parent := f.parent(n)
		if parent == nil || parent.search == visiting {
			n.span.Orphan = n.parent != ""
			n.parent = ""
			break
		}
		n = parent
	}
	for _, n := range path {
		n.search = rooted
	}
}

func byStart(a, b *Span) int { return cmp.Compare(a.StartTime, b.StartTime) }

// Walk yields each span and its depth, 0 for roots, parents before their children. It is an iterator:
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

// Start returns the start time of the first span, or the zero time for a trace without spans.
func (t *Trace) Start() time.Time {
	var start time.Time
	for _, s := range t.Walk {
		if at := s.Start(); start.IsZero() || at.Before(start) {
			start = at
		}
	}
	return start
}

// End returns the latest end time of a span. A span in progress counts with its start time.
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

// Duration returns the time from Start to End.
func (t *Trace) Duration() time.Duration { return t.End().Sub(t.Start()) }
