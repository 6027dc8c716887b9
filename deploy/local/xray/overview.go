package xray

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/userrequestapi/userdata/deploy/aws/trace"
)

// Overview is the distribution of traces over time and duration, in groups. Its size does not depend on the number of
// traces.
type Overview struct {
	Traces int       `json:"traces"`
	Start  time.Time `json:"start"` // of the first trace
	End    time.Time `json:"end"`   // later than the start of the last trace
	Groups []Group   `json:"groups"`
	// EdgesMs are the limits of the durations: bucket i has the traces of at least EdgesMs[i] and less than EdgesMs[i+1].
	// The bucket below 100 s has also all longer ones.
	EdgesMs []float64 `json:"edgesMs"`
	Columns int       `json:"columns"` // Cell.Column of equal length from Start to End
	Cells   []Cell    `json:"cells"`
}

// Group is all traces with one value of the property by which they are grouped.
type Group struct {
	Value      string           `json:"value"` // "" for traces without the property
	Statistics trace.Statistics `json:"statistics"`
}

// Cell is the traces of one group that are close to each other in time and duration.
type Cell struct {
	Group  int `json:"group"`  // index in Groups
	Column int `json:"column"` // of the start
	Bucket int `json:"bucket"` // of the duration
	Count  int `json:"count"`
	// Means of the traces. For one trace, they are its start and its duration.
	StartMs    float64 `json:"startMs"` // since Overview.Start
	DurationMs float64 `json:"durationMs"`
	ID         string  `json:"id,omitempty"` // of the only trace
}

// columns is the number of columns: enough for a chart of a usual window, few enough for one element each.
const columns = 60

// Property returns a property of a trace, by which [Collector.Overview] groups: operation, status, code or version.
func Property(name string) (func(trace.Summary) string, error) {
	switch name {
	case "operation":
		return func(s trace.Summary) string { return s.Operation }, nil
	case "", "status":
		return func(s trace.Summary) string {
			if s.Status == 0 {
				return ""
			}
			return strconv.Itoa(s.Status)
		}, nil
	case "code":
		return func(s trace.Summary) string { return s.ErrorCode }, nil
	case "version":
		return func(s trace.Summary) string { return s.Version }, nil
	}
	return nil, errors.New("by=" + name + ": want operation, status, code or version")
}

// Overview returns the distribution of the traces that match. The groups with faults are first, then those with the
// most traces.
func (c *Collector) Overview(f Filter, by func(trace.Summary) string) Overview {
	summaries := c.Traces(f)
	o := Overview{Traces: len(summaries), Columns: columns, Groups: []Group{}, Cells: []Cell{}, EdgesMs: []float64{}}
	if len(summaries) == 0 {
		return o
	}
	o.Start, o.End = summaries[len(summaries)-1].Start, summaries[0].Start.Add(time.Millisecond)
	groups, edges := map[string][]trace.Summary{}, edges()
	lowest, highest := len(edges), 0
	for _, s := range summaries {
		value := by(s)
		groups[value] = append(groups[value], s)
		b := bucket(edges, s.Duration)
		lowest, highest = min(lowest, b), max(highest, b)
	}
	for value, members := range groups {
		o.Groups = append(o.Groups, Group{value, trace.StatisticsOf(members)})
	}
	slices.SortFunc(o.Groups, func(a, b Group) int {
		return cmp.Or(
			min(b.Statistics.Fault, 1)-min(a.Statistics.Fault, 1), b.Statistics.Count-a.Statistics.Count,
			cmp.Compare(a.Value, b.Value))
	})
	o.EdgesMs = edges[lowest : highest+2]
	for i, g := range o.Groups {
		o.Cells = append(o.Cells, o.cells(i, groups[g.Value])...)
	}
	return o
}

// cells returns the cells of a group, by time and duration.
func (o *Overview) cells(group int, members []trace.Summary) []Cell {
	type place struct{ column, bucket int }
	byPlace := map[place]*Cell{}
	length := o.End.Sub(o.Start)
	for _, s := range members {
		since := s.Start.Sub(o.Start)
		column := int(columns * (float64(since) / float64(length))) // an integer overflows after five years
		p := place{min(column, columns-1), bucket(o.EdgesMs, s.Duration)}
		cell, known := byPlace[p]
		if !known {
			cell = &Cell{Group: group, Column: p.column, Bucket: p.bucket}
			byPlace[p] = cell
		}
		cell.Count++
		cell.StartMs += float64(since) / float64(time.Millisecond)
		cell.DurationMs += float64(s.Duration) / float64(time.Millisecond)
		cell.ID = s.ID
	}
	cells := make([]Cell, 0, len(byPlace))
	for _, cell := range byPlace {
		cell.StartMs /= float64(cell.Count)
		cell.DurationMs /= float64(cell.Count)
		if cell.Count > 1 {
			cell.ID = ""
		}
		cells = append(cells, *cell)
	}
	slices.SortFunc(cells, func(a, b Cell) int { return cmp.Or(a.Column-b.Column, a.Bucket-b.Bucket) })
	return cells
}

// edges returns the limits of all buckets in milliseconds: six per decade, up to 100 s.
func edges() []float64 {
	all := []float64{0}
	for _, decade := range []string{"e-1", "e0", "e1", "e2", "e3", "e4"} {
		for _, step := range []string{"1", "1.5", "2", "3", "5", "7"} {
			edge, err := strconv.ParseFloat(step+decade, 64) // exact, unlike a product
			if err != nil {
				panic(err)
			}
			all = append(all, edge)
		}
	}
	return append(all, 1e5)
}

// bucket returns the bucket of a duration. The last one has no upper limit.
func bucket(edges []float64, d time.Duration) int {
	n, found := slices.BinarySearch(edges, float64(d)/float64(time.Millisecond))
	if found {
		n++
	}
	return min(n-1, len(edges)-2)
}
