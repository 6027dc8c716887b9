package trace

import (
	"encoding/json"
	"net/url"
	"slices"
	"time"
)

// Summary is a summary of a trace. Error, Fault and Throttle are as in X-Ray's TraceSummary; Duration is its response
// time.
type Summary struct {
	ID       string        `json:"id"`
	Start    time.Time     `json:"start"`    // of the root segment, or of the first span without one
	Duration time.Duration `json:"-"`        // of the root segment, or from the first to the last span; durationMs in JSON
	Method   string        `json:"method"`   // of the root segment, "" if unknown
	Route    string        `json:"route"`    // path of the root segment's http.url, with the stage, without the query
	Status   int           `json:"status"`   // status code of the root segment, 0 if unknown
	Error    bool          `json:"error"`    // the root segment has a client error
	Fault    bool          `json:"fault"`    // the root segment has a server error
	Throttle bool          `json:"throttle"` // a span was throttled, even if a retry succeeded

	// Annotations with these names, or "". For a failure before the function set the annotation, such as a timeout,
	// ErrorCode is the type of the first exception.
	Operation string `json:"operation"`
	Outcome   string `json:"outcome"`
	ErrorCode string `json:"errorCode"`
	Stage     string `json:"stage"`
	Version   string `json:"version"`

	ColdStart bool `json:"coldStart"` // the request started an execution environment
	Complete  bool `json:"complete"`  // one root segment, no span in progress, and no missing segment of a traced call
	Spans     int  `json:"spans"`
}

// MarshalJSON adds durationMs, the duration in milliseconds.
func (s Summary) MarshalJSON() ([]byte, error) {
	type fields Summary
	return json.Marshal(struct {
		fields
		DurationMs float64 `json:"durationMs"`
	}{fields(s), milliseconds(s.Duration)})
}

// UnmarshalJSON decodes the output of MarshalJSON.
func (s *Summary) UnmarshalJSON(data []byte) error {
	type fields Summary
	decoded := struct {
		*fields
		DurationMs float64 `json:"durationMs"`
	}{fields: (*fields)(s)}
	if err := json.Unmarshal(data, &decoded); err != nil {
		return err
	}
	s.Duration = time.Duration(decoded.DurationMs * float64(time.Millisecond))
	return nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// Summary returns the summary of the trace.
func (t *Trace) Summary() Summary {
	summary := Summary{ID: t.ID, Start: t.Start(), Duration: t.Duration()}
	complete := len(t.Roots) == 1
	annotations := map[string]any{}
	for _, span := range t.Walk {
		summary.Spans++
		summary.Throttle = summary.Throttle || span.Throttle
		summary.ColdStart = summary.ColdStart || span.Name == "Initialization"
		complete = complete && span.EndTime != 0 && !span.missingSegment()
		for name, value := range span.Annotations {
			if _, ok := annotations[name]; !ok {
				annotations[name] = value
			}
		}
	}
	annotate(&summary, annotations)
	root := t.rootSegment()
	if root == nil {
		return summary
	}
	summary.Complete = complete
	summary.Start, summary.Error, summary.Fault = root.Start(), root.Error, root.Fault
	if root.EndTime != 0 {
		summary.Duration = root.Duration()
	}
	if root.HTTP != nil && root.HTTP.Request != nil {
		summary.Method, summary.Route = root.HTTP.Request.Method, pathOf(root.HTTP.Request.URL)
	}
	if root.HTTP != nil && root.HTTP.Response != nil {
		summary.Status = root.HTTP.Response.Status
	}
	if summary.ErrorCode == "" && (root.Error || root.Fault) {
		summary.ErrorCode = t.exception()
	}
	return summary
}

func annotate(s *Summary, annotations map[string]any) {
	cold, _ := annotations["ColdStart"].(bool)
	s.ColdStart = s.ColdStart || cold
	for name, field := range map[string]*string{
		"Operation": &s.Operation,
		"Outcome":   &s.Outcome,
		"ErrorCode": &s.ErrorCode,
		"Stage":     &s.Stage,
		"Version":   &s.Version,
	} {
		*field, _ = annotations[name].(string)
	}
}

// exception returns the type of the first exception, or "".
func (t *Trace) exception() string {
	for _, span := range t.Walk {
		if span.Cause != nil && len(span.Cause.Exceptions) > 0 {
			return span.Cause.Exceptions[0].Type
		}
	}
	return ""
}

// missingSegment reports whether the span is a traced call without the callee's segment.
func (s *Span) missingSegment() bool {
	return s.HTTP != nil && s.HTTP.Request != nil && s.HTTP.Request.Traced && !slices.ContainsFunc(s.Children, isSegment)
}

// rootSegment returns the first root that is a segment, or nil.
func (t *Trace) rootSegment() *Span {
	for _, s := range t.Roots {
		if isSegment(s) {
			return s
		}
	}
	return nil
}

func pathOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Path
}
