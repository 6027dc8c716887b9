package trace

import (
	"math"
	"slices"
	"time"
)

// Map is the service map of traces: services, the calls between them, and their statistics.
type Map struct {
	Traces int       `json:"traces"` // number of traces
	Start  time.Time `json:"start"`  // the earliest start of a trace
	End    time.Time `json:"end"`    // the latest end of a trace
	Nodes  []Node    `json:"nodes"`  // callers before callees
	Edges  []Edge    `json:"edges"`
}

// Node is a service, or a resource that a service calls.
type Node struct {
	ID         string     `json:"id"`   // within the map
	Name       string     `json:"name"` // such as the name of a function or table
	Type       string     `json:"type"` // "client", "AWS::Lambda::Function", "AWS::DynamoDB::Table", "remote"…
	Statistics Statistics `json:"statistics"`
}

// Edge is all calls from one node to another, measured by the caller.
type Edge struct {
	Source     string     `json:"source"` // id of a node
	Target     string     `json:"target"` // id of a node
	Statistics Statistics `json:"statistics"`
}

// Statistics are the statistics of completed requests. OK, Error, Fault and Throttle add up to Count: Fault takes
// precedence over Throttle, and Throttle over Error. Latencies are in milliseconds.
type Statistics struct {
	Count     int     `json:"count"`
	OK        int     `json:"ok"`
	Error     int     `json:"error"`
	Fault     int     `json:"fault"`
	Throttle  int     `json:"throttle"`
	AverageMs float64 `json:"averageMs"`
	P50Ms     float64 `json:"p50Ms"`
	P95Ms     float64 `json:"p95Ms"`
	P99Ms     float64 `json:"p99Ms"`
}

// NewMap returns the service map of traces. Nodes are services with segments, and callees in subsegments without a
// segment, such as DynamoDB tables. Calls with an unknown caller are omitted.
func NewMap(traces []*Trace) Map {
	b := mapBuilder{nodes: map[string]*nodeBuilder{}, edges: map[[2]string]*tally{}}
	m := Map{Traces: len(traces)}
	for i, t := range traces {
		start, end := t.Start(), t.End()
		if i == 0 || start.Before(m.Start) {
			m.Start = start
		}
		if end.After(m.End) {
			m.End = end
		}
		for _, root := range t.Roots {
			if root.IsSubsegment() {
				continue
			}
			client := b.node("client", "client")
			client.add(root)
			b.addSegment(client.id, root, root)
		}
	}
	m.Nodes, m.Edges = b.result()
	return m
}

// mapBuilder builds a map. Nodes and edges are in the order in which they are found.
type mapBuilder struct {
	nodes     map[string]*nodeBuilder
	nodeOrder []*nodeBuilder
	edges     map[[2]string]*tally
	edgeOrder [][2]string
}

// nodeBuilder builds a node.
type nodeBuilder struct {
	tally
	id, name, kind string
}

func (b *mapBuilder) node(kind, name string) *nodeBuilder {
	id := kind + "/" + name
	if b.nodes[id] == nil {
		b.nodes[id] = &nodeBuilder{id: id, name: name, kind: kind}
		b.nodeOrder = append(b.nodeOrder, b.nodes[id])
	}
	return b.nodes[id]
}

func (b *mapBuilder) edge(source, target string) *tally {
	ends := [2]string{source, target}
	if b.edges[ends] == nil {
		b.edges[ends] = &tally{}
		b.edgeOrder = append(b.edgeOrder, ends)
	}
	return b.edges[ends]
}

// addSegment adds the service of a segment, and the call by which the caller called it.
func (b *mapBuilder) addSegment(caller string, call, s *Span) {
	kind := s.Origin
	if kind == "" {
		kind = "service"
	}
	node := b.node(kind, s.Name)
	node.add(s)
	b.edge(caller, node.id).add(call)
	for _, child := range s.Children {
		b.addCalls(node.id, nil, child)
	}
}

// addCalls adds the caller's calls in a span and its children. call is the call that contains the span, or nil.
func (b *mapBuilder) addCalls(caller string, call, s *Span) {
	if !s.IsSubsegment() {
		if call == nil {
			call = s
		}
		b.addSegment(caller, call, s)
		return
	}
	if call == nil && s.Namespace != "" {
		call = s
		if !slices.ContainsFunc(s.Children, isSegment) {
			node := b.node(callee(s))
			node.add(s)
			b.edge(caller, node.id).add(s)
		}
	}
	for _, child := range s.Children {
		b.addCalls(caller, call, child)
	}
}

func isSegment(s *Span) bool { return !s.IsSubsegment() }

// callee returns the type and name of the node that a subsegment calls.
func callee(s *Span) (kind, name string) {
	if s.Namespace != "aws" {
		return s.Namespace, s.Name
	}
	for _, resource := range [][2]string{
		{"table_name", "AWS::DynamoDB::Table"},
		{"queue_url", "AWS::SQS::Queue"},
		{"function_name", "AWS::Lambda"},
	} {
		if name, _ := s.AWS[resource[0]].(string); name != "" {
			return resource[1], name
		}
	}
	return "AWS::" + s.Name, s.Name
}

func (b *mapBuilder) result() ([]Node, []Edge) {
	nodes := make([]Node, 0, len(b.nodeOrder))
	for _, n := range b.nodeOrder {
		nodes = append(nodes, Node{ID: n.id, Name: n.name, Type: n.kind, Statistics: n.statistics()})
	}
	edges := make([]Edge, 0, len(b.edgeOrder))
	for _, ends := range b.edgeOrder {
		edges = append(edges, Edge{Source: ends[0], Target: ends[1], Statistics: b.edges[ends].statistics()})
	}
	return nodes, edges
}

// tally counts requests.
type tally struct {
	counts  Statistics
	latency []time.Duration
}

func (t *tally) add(s *Span) {
	if s.EndTime != 0 {
		t.count(s.Fault, s.Throttle, s.Error, s.Duration())
	}
}

func (t *tally) count(isFault, isThrottle, isError bool, latency time.Duration) {
	t.counts.Count++
	switch {
	case isFault:
		t.counts.Fault++
	case isThrottle:
		t.counts.Throttle++
	case isError:
		t.counts.Error++
	default:
		t.counts.OK++
	}
	t.latency = append(t.latency, latency)
}

// StatisticsOf returns the statistics of requests. A throttle counts only if the request has an error too: a throttled
// call may have been retried.
func StatisticsOf(requests []Summary) Statistics {
	var t tally
	for _, r := range requests {
		t.count(r.Fault, r.Throttle && r.Error, r.Error, r.Duration)
	}
	return t.statistics()
}

func (t *tally) statistics() Statistics {
	result := t.counts
	if len(t.latency) == 0 {
		return result
	}
	slices.Sort(t.latency)
	var sum time.Duration
	for _, l := range t.latency {
		sum += l
	}
	result.AverageMs = milliseconds(sum) / float64(len(t.latency))
	result.P50Ms = milliseconds(percentile(t.latency, 0.50))
	result.P95Ms = milliseconds(percentile(t.latency, 0.95))
	result.P99Ms = milliseconds(percentile(t.latency, 0.99))
	return result
}

// percentile returns the smallest value that is at least as large as the share p of all values.
func percentile(sorted []time.Duration, p float64) time.Duration {
	return sorted[int(math.Ceil(p*float64(len(sorted))))-1]
}
