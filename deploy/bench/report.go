package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/perf/benchmath"
)

// confidence is the level of the intervals in tables, and that of benchstat.
const confidence = 0.95

// none is the text of a cell without a value.
const none = "–"

// WriteJSON writes the result with all values, so that [Read] can read it.
func (r *Result) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// Format is the format of tables.
type Format struct {
	Markdown bool
	Bold     func(text string) string // styles a title; nil for none
}

// Write writes the tables of the result: one for each database, and one for each memory size. The values are medians
// with the 95 % confidence interval. Below the functions are their ratios to the baselines and to the floor.
func (r *Result) Write(w io.Writer, f Format) error {
	var b strings.Builder
	r.writeHead(&b, f)
	for _, d := range Databases() {
		whole := []Metric{Init, First, FirstCPU, Cold, P50, P90, P99, CPU, Thaw, Memory}
		r.writeTable(&b, f, d, 0, "Database "+string(d)+", a whole processor", whole)
	}
	for _, memoryMB := range r.sizes() {
		title := fmt.Sprintf("The quota of %d MB for requests (%s), database %s", memoryMB, r.Quota, r.limitedDatabase())
		r.writeTable(&b, f, r.limitedDatabase(), memoryMB, title, []Metric{Init, First, Cold, P50})
	}
	for _, note := range r.Notes {
		fmt.Fprintf(&b, "\nNote: %s.\n", note)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Result) writeHead(b *strings.Builder, f Format) {
	values := "medians ± 95 % confidence"
	if r.ColdStarts < intervalValues {
		values = fmt.Sprintf("medians; COLD_STARTS must be at least %d for confidence intervals", intervalValues)
	}
	lines := []string{
		fmt.Sprintf("%s/%s, %d processors, %s; %d cold starts, %d warm requests after each; %s",
			r.Machine.OS, r.Machine.Arch, r.Machine.Processors, r.Machine.Go, r.ColdStarts, r.Requests, values),
	}
	switch r.Quota {
	case QuotaMeasured:
		lines = append(lines, "Quotas are set with a control group after the init; warm requests are 20 ms apart.")
	case QuotaComputed:
		lines = append(lines, "Quotas are computed, because this user may not create control groups: "+
			"the duration on a whole processor, and the processor time beyond the quota of 20 ms divided by the share.")
	}
	separator := "\n"
	if f.Markdown {
		separator = "\n\n"
	}
	b.WriteString(strings.Join(lines, separator) + "\n")
}

// sizes returns the memory sizes of the cells, without 0.
func (r *Result) sizes() []int {
	var sizes []int
	for _, c := range r.Cells {
		if c.MemoryMB != 0 && !slices.Contains(sizes, c.MemoryMB) {
			sizes = append(sizes, c.MemoryMB)
		}
	}
	slices.Sort(sizes)
	return sizes
}

// limitedDatabase returns the database of the cells with a quota.
func (r *Result) limitedDatabase() Database {
	for _, c := range r.Cells {
		if c.MemoryMB != 0 && c.Database != noDatabase {
			return c.Database
		}
	}
	return noDatabase
}

// cell returns the cell of a subject with a database. The floor has none.
func (r *Result) cell(s Subject, d Database, memoryMB int) *Cell {
	if s.Kind == Floor {
		d = noDatabase
	}
	return r.Cell(s.Name, d, memoryMB)
}

func (r *Result) writeTable(b *strings.Builder, f Format, d Database, memoryMB int, title string, metrics []Metric) {
	measured := func(c *Cell) bool { return c.Database == d && c.MemoryMB == memoryMB }
	if !slices.ContainsFunc(r.Cells, measured) {
		return
	}
	sizes := memoryMB == 0
	header := []string{""}
	for _, m := range metrics {
		header = append(header, string(m))
	}
	if sizes {
		header = append(header, "zip MB", "arm64 MB")
	}
	rows := [][]string{header}
	for _, s := range r.Subjects {
		c := r.cell(s, d, memoryMB)
		if c == nil {
			continue
		}
		row := []string{s.Name}
		for _, m := range metrics {
			row = append(row, format(c.Values[m]))
		}
		if sizes {
			row = append(row, megabytes(s.Zip), megabytes(s.ZipARM64))
		}
		rows = append(rows, row)
	}
	for _, s := range r.Subjects {
		if s.Kind != Function {
			continue
		}
		for _, other := range r.Subjects {
			if other.Kind == Floor || other.Kind == Other && other.Of == s.Name {
				rows = append(rows, r.ratios(s, other, d, memoryMB, metrics, sizes))
			}
		}
	}
	heading := title
	if f.Bold != nil {
		heading = f.Bold(title)
	}
	if f.Markdown {
		heading = "**" + title + "**\n"
	}
	fmt.Fprintf(b, "\n%s\n", heading)
	writeRows(b, rows, 1, f.Markdown)
}

// ratios returns the row with the ratios of the medians of two subjects.
func (r *Result) ratios(s, other Subject, d Database, memoryMB int, metrics []Metric, sizes bool) []string {
	row := []string{s.Name + " ÷ " + other.Name}
	a, b := r.cell(s, d, memoryMB), r.cell(other, d, memoryMB)
	for _, m := range metrics {
		text := none
		if a != nil && b != nil {
			text = ratio(median(a.Values[m]), median(b.Values[m]))
		}
		row = append(row, text)
	}
	if sizes {
		row = append(row, ratio(float64(s.Zip), float64(other.Zip)), ratio(float64(s.ZipARM64), float64(other.ZipARM64)))
	}
	return row
}

func ratio(a, b float64) string {
	if a == 0 || b == 0 || math.IsNaN(a/b) {
		return none
	}
	return fmt.Sprintf("%.2f", a/b)
}

func megabytes(size int64) string {
	if size == 0 {
		return none
	}
	return fmt.Sprintf("%.2f", float64(size)/1e6)
}

// summarize returns the median of values with its confidence interval.
func summarize(values []float64) benchmath.Summary {
	return benchmath.AssumeNothing.Summary(newSample(values), confidence)
}

// newSample returns a sample of a copy of the values, which it sorts.
func newSample(values []float64) *benchmath.Sample {
	return benchmath.NewSample(slices.Clone(values), &benchmath.DefaultThresholds)
}

// median returns the median, or 0 without values.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	return summarize(values).Center
}

// intervalValues is the least number of values for a 95 % confidence interval of the median. The median lies outside
// the range of 6 values with a probability of 2 × 0.5^6, which is 3 %.
const intervalValues = 6

// format returns the median of values with its confidence interval, if there are enough values for one.
func format(values []float64) string {
	if len(values) == 0 {
		return none
	}
	s := summarize(values)
	if len(values) < intervalValues {
		return digits(s.Center)
	}
	return digits(s.Center) + " ±" + s.PctRangeString()
}

// digits formats a value with three significant digits, and all of those before the decimal point.
func digits(value float64) string {
	switch rounded, _ := strconv.ParseFloat(strconv.FormatFloat(value, 'g', 3, 64), 64); {
	case rounded >= 100:
		return fmt.Sprintf("%.0f", value)
	case rounded >= 10:
		return fmt.Sprintf("%.1f", value)
	case rounded >= 1:
		return fmt.Sprintf("%.2f", value)
	default:
		return fmt.Sprintf("%.3f", value)
	}
}

// writeRows writes a table whose first columns are aligned to the left, and the others to the right.
func writeRows(b *strings.Builder, rows [][]string, left int, markdown bool) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, text := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(text))
		}
	}
	for n, row := range rows {
		cells := make([]string, len(row))
		for i, text := range row {
			padding := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(text))
			if i < left {
				cells[i] = text + padding
			} else {
				cells[i] = padding + text
			}
		}
		if !markdown {
			b.WriteString(strings.TrimRight(strings.Join(cells, "  "), " ") + "\n")
			continue
		}
		b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
		if n == 0 {
			b.WriteString("|---" + strings.Repeat("|---", left-1) + strings.Repeat("|---:", len(row)-left) + "|\n")
		}
	}
}
