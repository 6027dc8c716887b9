package xray_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/userrequestapi/userdata/deploy/aws/trace"
	"github.com/userrequestapi/userdata/deploy/local/xray"
)

// request returns the stage's segment of trace n with a duration and a status code.
func request(n int, lasting time.Duration, status int) trace.Document {
	return stage(n, func(d *trace.Document) {
		d.EndTime = d.StartTime + lasting.Seconds()
		d.HTTP.Response.Status, d.Error, d.Fault = status, status/100 == 4, status/100 == 5
	})
}

func TestOverview(t *testing.T) {
	t.Parallel()
	c := listen(t, xray.Options{})
	by, err := xray.Property("status")
	if err != nil {
		t.Fatal(err)
	}
	empty := xray.Overview{Columns: 60, Groups: []xray.Group{}, Cells: []xray.Cell{}, EdgesMs: []float64{}}
	if diff := cmp.Diff(empty, c.Overview(xray.Filter{}, by)); diff != "" {
		t.Errorf("without traces (-want +got):\n%s", diff)
	}
	c.Add(
		request(0, 2*time.Millisecond, 200), request(1, 2500*time.Microsecond, 200), request(600, 4*time.Millisecond, 404),
		request(601, 200*time.Second, 500), request(602, 50*time.Microsecond, 200),
	)
	got := c.Overview(xray.Filter{MaxDuration: 5 * time.Millisecond}, by)
	want := xray.Overview{
		Traces: 4, Columns: 60, Start: time.Unix(start, 0).UTC(), End: time.Unix(start+602, 1e6).UTC(),
		EdgesMs: []float64{0, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5},
		Groups: []xray.Group{
			{Value: "200", Statistics: trace.Statistics{Count: 3, OK: 3, AverageMs: (2 + 2.5 + 0.05) / 3, P50Ms: 2, P95Ms: 2.5, P99Ms: 2.5}},
			{Value: "404", Statistics: trace.Statistics{Count: 1, Error: 1, AverageMs: 4, P50Ms: 4, P95Ms: 4, P99Ms: 4}},
		},
		Cells: []xray.Cell{
			{Group: 0, Column: 0, Bucket: 9, Count: 2, StartMs: 500, DurationMs: 2.25},
			{Group: 0, Column: 59, Bucket: 0, Count: 1, StartMs: 602_000, DurationMs: 0.05, ID: traceID(602)},
			{Group: 1, Column: 59, Bucket: 10, Count: 1, StartMs: 600_000, DurationMs: 4, ID: traceID(600)},
		},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateApprox(0, 1e-3)); diff != "" {
		t.Errorf("overview (-want +got):\n%s", diff)
	}
	if got := c.Overview(xray.Filter{Status: "500"}, by); got.EdgesMs[0] != 70_000 || got.EdgesMs[1] != 100_000 || got.Cells[0].Bucket != 0 {
		t.Errorf("overview of 200 s = %+v, want the bucket below 100 s", got)
	}
}

// TestOverview_LongPeriod checks the columns of a period in which nanoseconds times columns overflow an int64.
func TestOverview_LongPeriod(t *testing.T) {
	t.Parallel()
	c := listen(t, xray.Options{})
	const years10 = 10 * 365 * 24 * 3600
	c.Add(request(0, time.Millisecond, 200), request(years10/2, time.Millisecond, 200), request(years10, time.Millisecond, 200))
	by, err := xray.Property("status")
	if err != nil {
		t.Fatal(err)
	}
	var columns []int
	for _, cell := range c.Overview(xray.Filter{}, by).Cells {
		columns = append(columns, cell.Column)
	}
	if diff := cmp.Diff([]int{0, 29, 59}, columns); diff != "" {
		t.Errorf("columns (-want +got):\n%s", diff)
	}
}

// TestOverview_Groups checks each property, and that its values select the traces of its group.
func TestOverview_Groups(t *testing.T) {
	t.Parallel()
	c := listen(t, xray.Options{})
	for n := range 3 {
		c.Add(request(n, time.Millisecond, 200+n), handler(n, func(d *trace.Document) {
			d.Annotations = map[string]any{
				"Operation": fmt.Sprint("operation", n), "ErrorCode": fmt.Sprint("Code", n), "Version": strconv.Itoa(n),
			}
		}))
	}
	c.Add(stage(4, func(d *trace.Document) { d.HTTP = nil }))
	for name, filter := range map[string]xray.Filter{
		"operation": {Operation: "operation1"}, "status": {Status: "201"}, "code": {ErrorCode: "Code1"}, "version": {Version: "1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			by, err := xray.Property(name)
			if err != nil {
				t.Fatal(err)
			}
			all, one := c.Overview(xray.Filter{}, by), c.Overview(filter, by)
			if len(all.Groups) != 4 || all.Groups[0].Value != "" || len(one.Groups) != 1 || one.Groups[0].Value != all.Groups[2].Value {
				t.Errorf("groups = %+v, of the filter %+v; want 4, the first without a value, and the third of them", all.Groups, one.Groups)
			}
		})
	}
	if _, err := xray.Property("colour"); err == nil {
		t.Error("error = nil, want one for an unknown property")
	}
}
