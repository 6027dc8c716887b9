package observe

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
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
	"github.com/userrequestapi/userdata/deploy/release/exitcode"
	"github.com/userrequestapi/userdata/deploy/release/stage"
)

const (
	defaultTraces = 50
	retention     = 30 * 24 * time.Hour // of X-Ray
	// The maximum time range of GetTraceSummaries.
	longestSearch = 6 * time.Hour
)

// Traces shows the latest traces of the stage, newest first: as a table, or as JSON lines, each a [trace.Summary]. With
// Settings.TraceID, Traces shows that trace instead.
func Traces(ctx context.Context, s Settings) error {
	switch {
	case stage.IsLocal(s.Root, s.Stage):
		return stage.Finish(ctx, s.Settings, s.localTraces())
	case s.TraceID != "":
		return showTrace(ctx, s)
	}
	return stage.Run(ctx, s.Settings, func(ctx context.Context, opened *stage.Stage) error {
		if s.Since > retention {
			return exitcode.Errorf(exitcode.Settings, "SINCE: want at most 30 days, the retention of X-Ray, got %v", s.Since)
		}
		if _, err := opened.Deployed(ctx); err != nil {
			return err
		}
		expression := s.expression(opened)
		s.Printer.Notef("%s", expression)
		now := time.Now()
		from := now.Add(-cmp.Or(s.Since, defaultSince))
		client, limit := xray.NewFromConfig(opened.Account.Config), cmp.Or(s.Limit, defaultTraces)
		summaries, err := summaries(ctx, client, expression, from, now, limit)
		if err != nil {
			return err
		}
		if len(summaries) == 0 {
			s.Printer.Notef(
				"no matching trace since %s; set SINCE=7d for older traces. Not all requests are traced (see the stage's "+
					"parameters TracingReservoir and TracingSamplingRate), but all are logged",
				from.Local().Format(time.DateTime),
			)
			return nil
		}
		return s.listTraces(summaries, opened.Command)
	})
}

// listTraces shows summaries, and on a terminal the command that shows the first trace.
func (s Settings) listTraces(summaries []trace.Summary, command func(target string, settings ...string) string) error {
	if err := s.showSummaries(summaries); err != nil {
		return err
	}
	if !s.JSON && s.Width > 0 {
		s.Printer.Notef("to show a trace with its spans and log lines: %s", command("traces", "TRACE="+summaries[0].ID))
	}
	return nil
}

// expression returns the filter expression for the settings ("Use filter expressions", X-Ray).
func (s Settings) expression(opened *stage.Stage) string {
	parts := []string{
		fmt.Sprintf(`service(id(name: %q, type: "AWS::ApiGateway::Stage"))`, opened.StackName()+"/"+opened.Name),
	}
	var anyOf []string
	for keyword, wanted := range map[string]bool{"error": s.Error, "fault": s.Fault, "throttle": s.Throttle} {
		if wanted {
			anyOf = append(anyOf, keyword)
		}
	}
	slices.Sort(anyOf)
	if len(anyOf) > 1 {
		parts = append(parts, "("+strings.Join(anyOf, " OR ")+")")
	} else {
		parts = append(parts, anyOf...)
	}
	if s.Slower > 0 {
		parts = append(parts, "responsetime > "+strconv.FormatFloat(s.Slower.Seconds(), 'f', -1, 64))
	}
	if s.ColdStart {
		parts = append(parts, "annotation.ColdStart = true")
	}
	if s.Operation != "" {
		parts = append(parts, fmt.Sprintf("annotation.Operation = %q", s.Operation))
	}
	if class, ok := strings.CutSuffix(s.Status, "xx"); ok {
		n, _ := strconv.Atoi(class) // one digit, see FromEnvironment
		parts = append(parts, fmt.Sprintf("http.status >= %d AND http.status < %d", n*100, (n+1)*100))
	} else if s.Status != "" {
		parts = append(parts, "http.status = "+s.Status)
	}
	return strings.Join(parts, " AND ")
}

// summaries returns the latest traces in a period, newest first.
func summaries(
	ctx context.Context, client *xray.Client, expression string, from, to time.Time, limit int,
) ([]trace.Summary, error) {
	byID := map[string]trace.Summary{} // adjacent searches may return the same trace
	for end := to; end.After(from) && len(byID) < limit; end = end.Add(-longestSearch) {
		start := end.Add(-longestSearch)
		if start.Before(from) {
			start = from
		}
		pages := xray.NewGetTraceSummariesPaginator(client, &xray.GetTraceSummariesInput{
			StartTime: &start, EndTime: &end, FilterExpression: &expression, Sampling: aws.Bool(false),
		})
		for pages.HasMorePages() && len(byID) < limit { // the first page has the latest
			page, err := pages.NextPage(ctx)
			if err != nil {
				return nil, fmt.Errorf("search the traces: %w", awserrors.Explain(err))
			}
			for _, t := range page.TraceSummaries {
				byID[aws.ToString(t.Id)] = summary(t)
			}
		}
	}
	var all []trace.Summary
	for _, t := range byID {
		all = append(all, t)
	}
	slices.SortFunc(all, newestFirst)
	return all[:min(len(all), limit)], nil
}

func newestFirst(a, b trace.Summary) int {
	return cmp.Or(b.Start.Compare(a.Start), cmp.Compare(a.ID, b.ID))
}

// summary converts X-Ray's summary. Spans remains 0.
func summary(t types.TraceSummary) trace.Summary {
	s := trace.Summary{
		ID:       aws.ToString(t.Id),
		Start:    aws.ToTime(t.StartTime),
		Duration: seconds(cmp.Or(aws.ToFloat64(t.ResponseTime), aws.ToFloat64(t.Duration))),
		Error:    aws.ToBool(t.HasError),
		Fault:    aws.ToBool(t.HasFault),
		Throttle: aws.ToBool(t.HasThrottle),
		Complete: !aws.ToBool(t.IsPartial),
	}
	if t.StartTime == nil {
		s.Start = startOf(s.ID)
	}
	if t.Http != nil {
		// The URL is omitted, because its path and query can contain personal data.
		s.Method, s.Status = aws.ToString(t.Http.HttpMethod), int(aws.ToInt32(t.Http.HttpStatus))
	}
	for name, field := range map[string]*string{
		"Operation": &s.Operation, "Outcome": &s.Outcome, "ErrorCode": &s.ErrorCode, "Stage": &s.Stage, "Version": &s.Version,
	} {
		for _, value := range t.Annotations[name] {
			if str, ok := value.AnnotationValue.(*types.AnnotationValueMemberStringValue); ok {
				*field = str.Value
			}
		}
	}
	for _, value := range t.Annotations["ColdStart"] {
		if cold, ok := value.AnnotationValue.(*types.AnnotationValueMemberBooleanValue); ok {
			s.ColdStart = s.ColdStart || cold.Value
		}
	}
	if s.ErrorCode == "" { // the function ended before it set the annotation
		s.ErrorCode = exception(t)
	}
	return s
}

// exception returns the name of the exception that is the root cause, or "".
func exception(t types.TraceSummary) string {
	for _, cause := range t.FaultRootCauses {
		for _, service := range slices.Backward(cause.Services) {
			for _, entity := range slices.Backward(service.EntityPath) {
				for _, e := range entity.Exceptions {
					if name := aws.ToString(e.Name); name != "" {
						return name
					}
				}
			}
		}
	}
	return ""
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// startOf returns the start time of a trace, which its ID contains, or the zero time.
func startOf(id string) time.Time {
	_, rest, _ := strings.Cut(id, "-")
	hex, _, _ := strings.Cut(rest, "-")
	n, err := strconv.ParseInt(hex, 16, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(n, 0)
}

// cell is a cell of a table.
type cell struct {
	value string
	right bool                // aligned to the right
	paint func(string) string // styles the value; may be nil
}

// showSummaries prints summaries as a table or as JSON lines.
func (s Settings) showSummaries(summaries []trace.Summary) error {
	if s.JSON {
		encoder := json.NewEncoder(s.Out)
		encoder.SetEscapeHTML(false)
		for _, t := range summaries {
			if err := encoder.Encode(t); err != nil {
				return fmt.Errorf("show the traces: %w", err)
			}
		}
		return nil
	}
	style := s.style()
	head := func(title string) cell { return cell{value: title, paint: style.Faint} }
	took := head("TOOK")
	took.right = true
	rows := [][]cell{{head("TIME"), head("STATUS"), head("METHOD"), head("OPERATION"), took, head("TRACE"), head("")}}
	for _, t := range summaries {
		rows = append(rows, []cell{
			{value: t.Start.Local().Format(time.Stamp), paint: style.Faint},
			{value: formatStatus(t.Status), paint: style.Status},
			{value: t.Method},
			{value: logformat.Printable(cmp.Or(t.Operation, "-"))},
			{value: milliseconds(t.Duration), right: true},
			{value: t.ID},
			{value: s.remarks(t)},
		})
	}
	return s.printTable(rows)
}

// remarks returns the unusual properties of a trace.
func (s Settings) remarks(t trace.Summary) string {
	style := s.style()
	var words []string
	if t.ErrorCode != "" {
		paint := style.Warning
		if t.Fault {
			paint = style.Bad
		}
		words = append(words, paint(logformat.Printable(t.ErrorCode)))
	} else if t.Fault {
		words = append(words, style.Bad("fault"))
	}
	if t.ColdStart {
		words = append(words, style.Warning("cold start"))
	}
	if t.Throttle {
		words = append(words, style.Warning("throttled"))
	}
	if !t.Complete {
		words = append(words, style.Faint("incomplete"))
	}
	return strings.Join(words, ", ")
}

// formatStatus formats a status code, or returns "-" for 0.
func formatStatus(status int) string {
	if status == 0 {
		return "-"
	}
	return strconv.Itoa(status)
}

func milliseconds(d time.Duration) string {
	return strconv.FormatFloat(float64(d.Microseconds())/1000, 'f', 1, 64) + " ms"
}

// printTable prints rows in aligned columns.
func (s Settings) printTable(rows [][]cell) error {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, c := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(c.value))
		}
	}
	for _, row := range rows {
		var b strings.Builder
		for i, c := range row {
			painted, padding := c.value, strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.value))
			if c.paint != nil && painted != "" {
				painted = c.paint(painted)
			}
			if c.right {
				painted, padding = padding+painted, ""
			}
			b.WriteString(painted)
			if i < len(row)-1 {
				b.WriteString(padding + "  ")
			}
		}
		if _, err := fmt.Fprintln(s.Out, strings.TrimRight(b.String(), " ")); err != nil {
			return fmt.Errorf("show the traces: %w", err)
		}
	}
	return nil
}
