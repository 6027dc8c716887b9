package observe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/xray"
	"github.com/aws/aws-sdk-go-v2/service/xray/types"

	awserrors "github.com/userrequestapi/userdata/deploy/aws/errors"
	"github.com/userrequestapi/userdata/deploy/aws/logformat"
	"github.com/userrequestapi/userdata/deploy/aws/trace"
	"github.com/userrequestapi/userdata/deploy/release/stage"
)

// showTrace shows the trace Settings.TraceID as a tree with times, flags and causes, and its log lines. As JSON, it
// shows an object with the trace's summary, its segment documents and its log lines. If X-Ray does not have the trace,
// the error has the likely reason. If either the trace or the lines are unavailable, showTrace shows the other before
// it returns the error.
func showTrace(ctx context.Context, s Settings) error {
	id := s.TraceID
	s.RequestID, s.Level, s.Since = "", "", 0
	return stage.Run(ctx, s.Settings, func(ctx context.Context, opened *stage.Stage) error {
		l, err := openLogs(ctx, opened, nil)
		if err != nil {
			return err
		}
		client := xray.NewFromConfig(opened.Account.Config)
		documents, missing, traceErr := documents(ctx, client, id)
		lines, logsErr := l.related(ctx, s.query(time.Now()))
		if ctx.Err() != nil {
			return fmt.Errorf("get the trace %s: %w", id, context.Cause(ctx))
		}
		if traceErr == nil && missing == "" {
			t, err := assemble(id, documents)
			if err != nil {
				return err
			}
			if s.JSON {
				return errors.Join(s.encode(t, documents, lines), logsErr)
			}
			if err := s.showTree(t, lines); err != nil {
				return err
			}
			if len(lines) == 0 && logsErr == nil {
				s.Printer.Notef("the logs have no line about this trace")
			}
		}
		if err := s.show(lines...); err != nil {
			return err
		}
		if missing != "" && logsErr == nil {
			return s.missingError(ctx, client, missing, len(lines))
		}
		if missing != "" {
			traceErr = errors.New(missing)
		}
		return errors.Join(traceErr, logsErr)
	})
}

// showTree shows the tree of a trace, and an empty line if lines follow.
func (s Settings) showTree(t *trace.Trace, lines []line) error {
	tree := s.tree(t)
	if len(lines) > 0 {
		tree += "\n"
	}
	if _, err := fmt.Fprint(s.Out, tree); err != nil {
		return fmt.Errorf("show the trace: %w", err)
	}
	return nil
}

// documents returns the segment documents of a trace. If X-Ray has none, missing is the reason.
func documents(
	ctx context.Context, client *xray.Client, id string,
) (documents []json.RawMessage, missing string, err error) {
	pages := xray.NewBatchGetTracesPaginator(client, &xray.BatchGetTracesInput{TraceIds: []string{id}})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, "", fmt.Errorf("get the trace %s: %w", id, awserrors.Explain(err))
		}
		if slices.Contains(page.UnprocessedTraceIds, id) {
			missing = fmt.Sprintf("X-Ray has not processed the trace %s: retry", id)
		}
		for _, t := range page.Traces {
			for _, segment := range t.Segments {
				documents = append(documents, json.RawMessage(aws.ToString(segment.Document)))
			}
		}
	}
	if len(documents) > 0 {
		return documents, "", nil
	}
	if missing == "" {
		missing = fmt.Sprintf("X-Ray has no trace %s", id)
		if began := startOf(id); time.Since(began) > retention {
			missing += fmt.Sprintf(" of %s: traces are kept for 30 days", began.Local().Format(time.DateTime))
		} else {
			missing += ": a trace appears some seconds after a sampled request (Sampled=1 in X-Amzn-Trace-Id)"
		}
	}
	return nil, missing, nil
}

// missingError returns the error for a missing trace. With Transaction Search, X-Ray indexes only a part of all traces.
func (s Settings) missingError(ctx context.Context, client *xray.Client, missing string, lines int) error {
	if lines == 0 {
		missing += "; the logs have no line about it either: check the stage, account and Region"
	} else {
		missing += "; its log lines are above"
	}
	// Best effort: the caller may lack the permission.
	destination, err := client.GetTraceSegmentDestination(ctx, &xray.GetTraceSegmentDestinationInput{})
	if err == nil && destination.Destination == types.TraceSegmentDestinationCloudWatchLogs {
		missing += ". Transaction Search is on in this account: X-Ray finds only those traces that it indexes, " +
			"CloudWatch (Application Signals, Transaction Search) has them all"
	}
	return errors.New(missing)
}

// assemble assembles a trace without its inferred segments, which repeat their subsegments.
func assemble(id string, documents []json.RawMessage) (*trace.Trace, error) {
	var parsed []trace.Document
	for _, document := range documents {
		d, err := trace.Parse(document)
		if err != nil {
			return nil, fmt.Errorf("read the trace %s: %w", id, err)
		}
		if !d.Inferred {
			parsed = append(parsed, d)
		}
	}
	return trace.New(id, parsed), nil
}

// encode prints a trace as JSON.
func (s Settings) encode(t *trace.Trace, documents []json.RawMessage, lines []line) error {
	encoded := make([]json.RawMessage, len(lines))
	for i, line := range lines {
		encoded[i] = json.RawMessage(line.json())
	}
	encoder := json.NewEncoder(s.Out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(struct {
		Summary   trace.Summary     `json:"summary"`
		Documents []json.RawMessage `json:"documents"`
		Lines     []json.RawMessage `json:"lines"`
	}{t.Summary(), documents, encoded})
	if err != nil {
		return fmt.Errorf("show the trace: %w", err)
	}
	return nil
}

// tree renders a trace: a summary line, its annotations, and its spans with their errors.
func (s Settings) tree(t *trace.Trace) string {
	style, sum := s.style(), t.Summary()
	var b strings.Builder
	words := []string{
		"Trace " + t.ID, sum.Start.Local().Format("2006-01-02 15:04:05.000"), sum.Method,
		logformat.Printable(sum.Operation),
		style.Status(formatStatus(sum.Status)), milliseconds(sum.Duration), s.remarks(sum),
	}
	b.WriteString(strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), "  ") + "\n")
	if annotations := annotations(t); len(annotations) > 0 {
		b.WriteString(style.Faint(strings.Join(annotations, "  ")) + "\n")
	}
	b.WriteString("\n")
	rows := s.rows(t)
	var name, start, took, notes int // columns
	for _, r := range rows {
		name = max(name, utf8.RuneCountInString(r.branch+r.name))
		start, took, notes = max(start, len(r.start)), max(took, len(r.took)), max(notes, r.width)
	}
	bar := min(longestBar, s.Width-name-start-took-notes-3*len("  ")-1)
	for _, r := range rows {
		fmt.Fprintf(&b, "%s%s%*s  %s  %*s",
			style.Faint(r.branch), r.paint(r.name), name-utf8.RuneCountInString(r.branch+r.name), "",
			style.Faint(fmt.Sprintf("%*s", start, r.start)), took, r.took)
		if bar >= shortestBar {
			before, length := r.bar(bar)
			fmt.Fprintf(&b, "  %*s%s", before, "", r.paint(strings.Repeat("━", length)))
			if r.notes != "" {
				fmt.Fprintf(&b, "%*s", bar-before-length, "")
			}
		}
		b.WriteString(r.notes + "\n")
		for _, cause := range r.causes {
			b.WriteString(style.Faint(r.indent) + style.Bad(cause) + "\n")
		}
	}
	return b.String()
}

// Widths of the timeline in columns.
const (
	shortestBar = 10
	longestBar  = 60
)

// row is the row of a span.
type row struct {
	branch string // the tree branches before the name
	indent string // the tree branches before causes
	name   string
	start  string // relative to the trace
	took   string // duration
	notes  string // each with leading spaces
	width  int    // columns of the notes
	causes []string
	paint  func(string) string // styles the name and the bar
	// Start and end relative to the trace, from 0 to 1.
	from, to float64
}

// rows returns the rows of all spans, parents before their children.
func (s Settings) rows(t *trace.Trace) []row {
	var rows []row
	began, whole := t.Start(), math.Max(1, float64(t.Duration()))
	var add func(spans []*trace.Span, branch string, root bool)
	add = func(spans []*trace.Span, branch string, root bool) {
		for i, span := range spans {
			fork, below := "├ ", "│ " // the branches before the span, and before its children
			switch {
			case root:
				fork, below = "", ""
			case i == len(spans)-1:
				fork, below = "└ ", "  "
			}
			r := s.row(span)
			since := span.Start().Sub(began)
			r.start = "+" + milliseconds(since)
			r.from, r.to = float64(since)/whole, float64(since+span.Duration())/whole
			r.branch = branch + fork
			r.indent = branch + below
			if len(span.Children) > 0 {
				r.indent += "│ "
			} else {
				r.indent += "  "
			}
			rows = append(rows, r)
			add(span.Children, branch+below, false)
		}
	}
	add(t.Roots, "", true)
	return rows
}

// row returns the row of a span without its position in the tree and the trace.
func (s Settings) row(span *trace.Span) row {
	style := s.style()
	operation, _ := span.AWS["operation"].(string)
	table, _ := span.AWS["table_name"].(string)
	words := []string{span.Name, operation, table}
	if kind, ok := strings.CutPrefix(span.Origin, "AWS::"); ok { // two segments have the name of the function
		words = append(words, kind)
	}
	r := row{
		name:  logformat.Printable(strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " ")),
		took:  milliseconds(span.Duration()),
		paint: func(str string) string { return str },
	}
	note := func(str string, paint func(string) string) {
		r.notes += "  " + paint(str)
		r.width += utf8.RuneCountInString(str) + len("  ")
	}
	if span.HTTP != nil && span.HTTP.Response != nil && span.HTTP.Response.Status != 0 {
		note(strconv.Itoa(span.HTTP.Response.Status), style.Status)
	}
	if retries, ok := span.AWS["retries"].(json.Number); ok && retries != "0" {
		note(retries.String()+" retries", style.Warning)
	}
	switch {
	case span.Fault:
		note("fault", style.Bad)
		r.paint = style.Bad
	case span.Throttle:
		note("throttled", style.Warning)
		r.paint = style.Warning
	case span.Error:
		note("error", style.Warning)
		r.paint = style.Warning
	}
	if span.Name == "Initialization" {
		note("cold start", style.Warning)
	}
	if span.EndTime == 0 {
		r.took = "…"
		note("in progress", style.Warning)
	}
	if span.Orphan && span.IsSubsegment() {
		note("parent is missing", style.Warning)
	}
	if span.Cause != nil {
		for _, e := range span.Cause.Exceptions {
			words := slices.DeleteFunc([]string{e.Type, e.Message}, func(w string) bool { return w == "" })
			r.causes = append(r.causes, strings.ReplaceAll(logformat.Printable(strings.Join(words, ": ")), "\n", " "))
		}
	}
	return r
}

// bar returns the start and length of a span's bar in a timeline of this width.
func (r row) bar(columns int) (before, length int) {
	before = min(int(r.from*float64(columns)), columns-1)
	return before, min(max(1, int(math.Round((r.to-r.from)*float64(columns)))), columns-before)
}

// annotations returns the annotations of all spans, sorted.
func annotations(t *trace.Trace) []string {
	all := map[string]bool{}
	for _, span := range t.Walk {
		for name, value := range span.Annotations {
			all[logformat.Printable(fmt.Sprintf("%s=%v", name, value))] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}
