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
	"github.com/userrequestapi/userdata/deploy/release"
)

const (
	defaultTraces = 50
	kept          = 30 * 24 * time.Hour // X-Ray's retention
	// What one search may span; X-Ray refuses longer times.
	longestSearch = 6 * time.Hour
)

// Traces shows the latest traces of the stage, newest first: as a table, or as JSON lines, each a [trace.Summary]. With the id of a
// trace it is [Trace].
func Traces(ctx context.Context, s Settings) error {
	if s.TraceID != "" {
		return Trace(ctx, s, s.TraceID)
	}
	return release.Look(ctx, s.Settings, func(ctx context.Context, d *release.Deployed) error {
		if s.Since > kept {
			return release.WithCode(release.CodeSettings, fmt.Errorf("SINCE is %v: X-Ray keeps traces for 30 days", s.Since))
		}
		expression := s.expression(d)
		s.Printer.Notef("%s", expression)
		now := time.Now()
		from := now.Add(-cmp.Or(s.Since, defaultSince))
		summaries, err := summaries(ctx, xray.NewFromConfig(d.Account.Config), expression, from, now, cmp.Or(s.Limit, defaultTraces))
		if err != nil {
			return err
		}
		if len(summaries) == 0 {
			s.Printer.Notef("no such trace since %s; SINCE=7d looks further back. Not every request is traced (the parameters TracingReservoir "+
				"and TracingSamplingRate of the stage): the logs have a line of each", from.Local().Format(time.DateTime))
			return nil
		}
		if err := s.table(summaries); err != nil {
			return err
		}
		if !s.JSON && s.Width > 0 {
			s.Printer.Notef("one of them with all its spans and lines: %s", d.Command("traces", "TRACE="+summaries[0].ID))
		}
		return nil
	})
}

// expression is X-Ray's filter for what the settings ask for ("Use filter expressions").
func (s Settings) expression(d *release.Deployed) string {
	parts := []string{fmt.Sprintf(`service(id(name: %q, type: "AWS::ApiGateway::Stage"))`, d.Stack+"/"+d.Outputs["StageName"])}
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
		n, _ := strconv.Atoi(class) // one digit, or it is no status
		parts = append(parts, fmt.Sprintf("http.status >= %d AND http.status < %d", n*100, (n+1)*100))
	} else if s.Status != "" {
		parts = append(parts, "http.status = "+s.Status)
	}
	return strings.Join(parts, " AND ")
}

// summaries returns the latest traces of a time, newest first.
func summaries(ctx context.Context, client *xray.Client, expression string, from, to time.Time, limit int) ([]trace.Summary, error) {
	byID := map[string]trace.Summary{} // one that lasts from one search to the next is in both
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
	slices.SortFunc(all, func(a, b trace.Summary) int { return cmp.Or(b.Start.Compare(a.Start), cmp.Compare(a.ID, b.ID)) })
	return all[:min(len(all), limit)], nil
}

// summary is what X-Ray's own summary tells. How many spans there are it does not.
func summary(t types.TraceSummary) trace.Summary {
	s := trace.Summary{
		ID: aws.ToString(t.Id), Start: aws.ToTime(t.StartTime),
		Duration: seconds(cmp.Or(aws.ToFloat64(t.ResponseTime), aws.ToFloat64(t.Duration))),
		Error:    aws.ToBool(t.HasError), Fault: aws.ToBool(t.HasFault), Throttle: aws.ToBool(t.HasThrottle), Complete: !aws.ToBool(t.IsPartial),
	}
	if t.StartTime == nil {
		s.Start = startOf(s.ID)
	}
	if t.Http != nil {
		// Not the URL, which API Gateway gives X-Ray with the path and the query: they name users.
		s.Method, s.Status = aws.ToString(t.Http.HttpMethod), int(aws.ToInt32(t.Http.HttpStatus))
	}
	for name, field := range map[string]*string{
		"Operation": &s.Operation, "Outcome": &s.Outcome, "ErrorCode": &s.ErrorCode, "Stage": &s.Stage, "Version": &s.Version,
	} {
		for _, value := range t.Annotations[name] {
			if text, ok := value.AnnotationValue.(*types.AnnotationValueMemberStringValue); ok {
				*field = text.Value
			}
		}
	}
	for _, value := range t.Annotations["ColdStart"] {
		if cold, ok := value.AnnotationValue.(*types.AnnotationValueMemberBooleanValue); ok {
			s.ColdStart = s.ColdStart || cold.Value
		}
	}
	if s.ErrorCode == "" { // of what ended before the function could say so
		s.ErrorCode = exception(t)
	}
	return s
}

// exception is the name of the exception that X-Ray has found to be the cause; empty: none.
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

// startOf returns when the trace of an id began, which is part of it.
func startOf(id string) time.Time {
	_, rest, _ := strings.Cut(id, "-")
	hex, _, _ := strings.Cut(rest, "-")
	n, err := strconv.ParseInt(hex, 16, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(n, 0)
}

// cell is a text in a table, and how it looks.
type cell struct {
	text  string
	right bool
	look  func(string) string // nil: plain
}

// table shows summaries.
func (s Settings) table(summaries []trace.Summary) error {
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
	head := func(text string) cell { return cell{text: text, look: style.Faint} }
	took := head("TOOK")
	took.right = true
	rows := [][]cell{{head("TIME"), head("STATUS"), head("METHOD"), head("OPERATION"), took, head("TRACE"), head("")}}
	for _, t := range summaries {
		rows = append(rows, []cell{
			{text: t.Start.Local().Format(time.Stamp), look: style.Faint},
			{text: statusText(t.Status), look: style.Status},
			{text: t.Method},
			{text: logformat.Printable(cmp.Or(t.Operation, "-"))},
			{text: milliseconds(t.Duration), right: true},
			{text: t.ID},
			{text: s.remarks(t)},
		})
	}
	return s.rows(rows)
}

// remarks are what is not usual about a trace.
func (s Settings) remarks(t trace.Summary) string {
	style := s.style()
	var words []string
	if t.ErrorCode != "" {
		look := style.Warning
		if t.Fault {
			look = style.Bad
		}
		words = append(words, look(logformat.Printable(t.ErrorCode)))
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
		words = append(words, style.Faint("in part"))
	}
	return strings.Join(words, ", ")
}

func statusText(status int) string {
	if status == 0 {
		return "-"
	}
	return strconv.Itoa(status)
}

func milliseconds(d time.Duration) string {
	return strconv.FormatFloat(float64(d.Microseconds())/1000, 'f', 1, 64) + " ms"
}

// rows shows a table whose columns are as wide as they must be.
func (s Settings) rows(rows [][]cell) error {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, c := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	for _, row := range rows {
		var b strings.Builder
		for i, c := range row {
			text, padding := c.text, strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text))
			if c.look != nil && text != "" {
				text = c.look(text)
			}
			if c.right {
				text, padding = padding+text, ""
			}
			b.WriteString(text)
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
