package stacktest

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/aws/trace"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
)

// NewTrace returns the ID of a new trace, and the header that adds a sampled request to it.
func NewTrace() (id string, header Headers) {
	id = trace.NewTraceID(time.Now())
	return id, Headers{"X-Amzn-Trace-Id": "Root=" + id + ";Sampled=1"}
}

// quiet is the time without a change of a trace after which WantTrace expects no further segments.
const quiet = time.Minute

// WantTrace waits until the [Tree] of the trace equals want, in which STAGE and TABLE stand for the names of the stack.
// The test fails if the trace does not change for a minute, if the collector is closed, or at the deadline.
func (s *TestStack) WantTrace(tb testing.TB, id, want string) {
	tb.Helper()
	names := strings.NewReplacer(s.TableName, "TABLE", s.Stage(), "STAGE")
	want = strings.TrimSpace(want) + "\n"
	ctx, cancel := testenv.WithDeadline(tb.Context(), tb)
	defer cancel()
	changes, unsubscribe := s.Collector.Subscribe()
	defer unsubscribe()
	timer := time.NewTimer(quiet)
	defer timer.Stop()
	var last string
	for {
		detail, known := s.Collector.Trace(id)
		got := names.Replace(Tree(detail.Trace))
		if known && !detail.Trace.Summary().Complete {
			got += "(not complete)\n"
		}
		if got == want {
			return
		}
		if got != last { // a change of another trace does not count
			last = got
			timer.Reset(quiet)
		}
		select {
		case _, open := <-changes:
			if open {
				continue
			}
		case <-timer.C:
		case <-ctx.Done():
		}
		tb.Errorf("trace %s (-want +got):\n%s", id, gocmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")))
		return
	}
}

// Tree formats a trace as an indented tree with a line per span: name, origin, DynamoDB operation and table, HTTP
// status, outcome annotations, flags and the types of causes. Values that differ between runs are omitted.
func Tree(t *trace.Trace) string {
	if t == nil {
		return "nothing\n"
	}
	var b strings.Builder
	for depth, span := range t.Walk {
		words := []string{span.Name}
		add := func(condition bool, word string) {
			if condition {
				words = append(words, word)
			}
		}
		add(span.Orphan, "(of a caller)")
		add(span.InProgress, "IN PROGRESS")
		add(span.Origin != "", span.Origin)
		for _, key := range []string{"operation", "table_name"} {
			value, ok := span.AWS[key]
			add(ok, fmt.Sprint(value))
		}
		if span.HTTP != nil && span.HTTP.Response != nil {
			add(true, strconv.Itoa(span.HTTP.Response.Status))
		}
		for _, key := range []string{"Outcome", "ErrorCode", "ColdStart"} {
			value, ok := span.Annotations[key]
			add(ok, fmt.Sprintf("%s=%v", key, value))
		}
		add(span.Error, "error")
		add(span.Throttle, "throttle")
		add(span.Fault, "fault")
		if span.Cause != nil {
			for _, e := range span.Cause.Exceptions {
				words = append(words, "cause:"+e.Type)
			}
		}
		b.WriteString(strings.Repeat("  ", depth) + strings.Join(words, " ") + "\n")
	}
	return b.String()
}
