package bench

import (
	"fmt"
	"io"
	"strings"

	"golang.org/x/perf/benchmath"
)

// WriteComparison writes what has changed since an earlier result, by the rules of benchstat: the medians, the change
// in percent or ~ if it is not significant, and the p value of the Mann-Whitney U test.
func (r *Result) WriteComparison(w io.Writer, before *Result, f Format) error {
	var b strings.Builder
	b.WriteString("\n")
	if before.Machine != r.Machine {
		fmt.Fprintf(&b, "The earlier result is from another machine or version of Go: %s/%s, %d processors, %s.\n\n",
			before.Machine.OS, before.Machine.Arch, before.Machine.Processors, before.Machine.Go)
	}
	rows := [][]string{{"since " + before.Time.Format("2006-01-02 15:04"), "metric", "before", "now", "change", ""}}
	for _, c := range r.Cells {
		old := before.Cell(c.Subject, c.Database, c.MemoryMB)
		if old == nil {
			continue
		}
		for _, m := range []Metric{Init, InitCPU, First, FirstCPU, Cold, P50, P90, P99, CPU, Thaw, Memory} {
			if len(c.Values[m]) == 0 || len(old.Values[m]) == 0 {
				continue
			}
			delta, p := compare(old.Values[m], c.Values[m])
			rows = append(rows, []string{c.String(), string(m), format(old.Values[m]), format(c.Values[m]), delta, p})
		}
	}
	for _, s := range r.Subjects {
		for _, old := range before.Subjects {
			if s.Name != old.Name || s.Kind != old.Kind {
				continue
			}
			delta := fmt.Sprintf("%+.2f%%", (float64(s.Zip)/float64(old.Zip)-1)*100)
			rows = append(rows, []string{s.Name, "zip MB", megabytes(old.Zip), megabytes(s.Zip), delta, ""})
		}
	}
	if len(rows) == 1 {
		b.WriteString("The earlier result has nothing that was measured now.\n")
	} else {
		writeRows(&b, rows, 2, f.Markdown)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// compare returns the change from before to after and its p value, in the format of benchstat.
func compare(before, after []float64) (delta, p string) {
	comparison := benchmath.AssumeNothing.Compare(newSample(before), newSample(after))
	return comparison.FormatDelta(median(before), median(after)), comparison.String()
}

// String describes the cell.
func (c *Cell) String() string {
	text := c.Subject
	if c.Database != noDatabase {
		text += ", " + string(c.Database)
	}
	if c.MemoryMB != 0 {
		text += fmt.Sprintf(", %d MB", c.MemoryMB)
	}
	return text
}
