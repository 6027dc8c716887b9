package lambda

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/userrequestapi/userdata/deploy/aws/logformat"
	"github.com/userrequestapi/userdata/deploy/aws/trace"
)

// timeFormat is the form of times in Lambda's logs.
const timeFormat = "2006-01-02T15:04:05.000Z"

// Event is an entry of a function's log.
type Event struct {
	Time      time.Time
	Function  string // function name
	LogStream string // of the execution environment
	RequestID string // of the invocation that the event belongs to; "" outside of one
	TraceID   string // of the X-Ray trace of that invocation; "" where it has none
	Record    Record
}

// Record is the content of an [Event]: [InitStart], [InitReport], [InvocationStart], [InvocationEnd], [Report], [Fault] or
// [Line].
type Record interface {
	// Type is the event type of the Telemetry API, such as "platform.start" or "function".
	Type() string
	// Text is what stands in the log when its format is text. It may have several lines.
	Text() string
}

// Type returns the event type, such as "platform.start", "platform.report" or "function".
func (e Event) Type() string { return e.Record.Type() }

// Text returns the event as it stands in CloudWatch Logs when the log format is text.
func (e Event) Text() string { return e.Record.Text() }

// MarshalJSON encodes the event as Lambda does in JSON logs and in the Telemetry API: time, type and record.
func (e Event) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Time   string `json:"time"`
		Type   string `json:"type"`
		Record Record `json:"record"`
	}{e.Time.UTC().Format(timeFormat), e.Type(), e.Record})
}

// InitStart says that the init phase begins.
type InitStart struct {
	InitializationType string `json:"initializationType"` // "on-demand"
	Phase              string `json:"phase"`              // "init"
	RuntimeVersion     string `json:"runtimeVersion"`
}

// Type returns "platform.initStart".
func (InitStart) Type() string { return "platform.initStart" }

// Text returns the INIT_START line.
func (r InitStart) Text() string { return "INIT_START Runtime Version: " + r.RuntimeVersion }

// InitReport says that an init failed. (Lambda logs none for an init that succeeds: the REPORT has its duration.)
type InitReport struct {
	InitializationType string            `json:"initializationType"` // "on-demand"
	Phase              string            `json:"phase"`              // "init"; "invoke" when it was repeated within the invocation
	Status             string            `json:"status"`             // "error" or "timeout"
	ErrorType          string            `json:"errorType,omitempty"`
	Metrics            InitReportMetrics `json:"metrics"`
}

// InitReportMetrics are the figures of an [InitReport].
type InitReportMetrics struct {
	DurationMs float64 `json:"durationMs"`
}

// Type returns "platform.initReport".
func (InitReport) Type() string { return "platform.initReport" }

// Text returns the INIT_REPORT line.
func (r InitReport) Text() string {
	return fmt.Sprintf("INIT_REPORT Init Duration: %.2f ms\tPhase: %s", r.Metrics.DurationMs, r.Phase) +
		statusText(r.Status, r.ErrorType)
}

// InvocationStart says that an invocation begins.
type InvocationStart struct {
	RequestID string   `json:"requestId"`
	Version   string   `json:"version"`
	Tracing   *Tracing `json:"tracing,omitempty"`
}

// Type returns "platform.start".
func (InvocationStart) Type() string { return "platform.start" }

// Text returns the START line.
func (r InvocationStart) Text() string {
	return fmt.Sprintf("START RequestId: %s Version: %s", r.RequestID, r.Version)
}

// InvocationEnd says that an invocation has ended. The type is that of the Lambda Logs API: the Telemetry API has none for it.
type InvocationEnd struct {
	RequestID string `json:"requestId"`
}

// Type returns "platform.end".
func (InvocationEnd) Type() string { return "platform.end" }

// Text returns the END line.
func (r InvocationEnd) Text() string { return "END RequestId: " + r.RequestID }

// Report has the figures of an invocation that has ended.
type Report struct {
	RequestID string        `json:"requestId"`
	Status    string        `json:"status"` // "success", "error" or "timeout"
	ErrorType string        `json:"errorType,omitempty"`
	Metrics   ReportMetrics `json:"metrics"`
	Tracing   *Tracing      `json:"tracing,omitempty"`
}

// ReportMetrics are the figures of a [Report].
type ReportMetrics struct {
	DurationMs       float64 `json:"durationMs"`
	BilledDurationMs int64   `json:"billedDurationMs"` // with the init, in whole milliseconds
	MemorySizeMB     int     `json:"memorySizeMB"`
	MaxMemoryUsedMB  int     `json:"maxMemoryUsedMB,omitempty"` // peak of resident memory, rounded up; 0 where it is not known
	InitDurationMs   float64 `json:"initDurationMs,omitempty"`  // 0 when this was not the environment's first invocation
}

// Tracing says to which X-Ray trace an invocation belongs.
type Tracing struct {
	SpanID string `json:"spanId,omitempty"` // of Lambda's segment of the function: the parent of what the function sends
	Type   string `json:"type"`             // "X-Amzn-Trace-Id"
	Value  string `json:"value"`            // the header that the invocation came with
}

// Type returns "platform.report".
func (Report) Type() string { return "platform.report" }

// Text returns the REPORT line, and the XRAY line of an invocation that is traced and sampled.
func (r Report) Text() string {
	var b strings.Builder
	m := r.Metrics
	fmt.Fprintf(&b, "REPORT RequestId: %s\tDuration: %.2f ms\tBilled Duration: %d ms\tMemory Size: %d MB",
		r.RequestID, m.DurationMs, m.BilledDurationMs, m.MemorySizeMB)
	if m.MaxMemoryUsedMB > 0 {
		fmt.Fprintf(&b, "\tMax Memory Used: %d MB", m.MaxMemoryUsedMB)
	}
	if m.InitDurationMs > 0 {
		fmt.Fprintf(&b, "\tInit Duration: %.2f ms", m.InitDurationMs)
	}
	if r.Status != "success" {
		b.WriteString(statusText(r.Status, r.ErrorType))
	}
	if r.Tracing != nil {
		fmt.Fprintf(&b, "\nXRAY TraceId: %s\tSegmentId: %s\tSampled: true", trace.HeaderField(r.Tracing.Value, "Root"), r.Tracing.SpanID)
	}
	return b.String()
}

func statusText(status, errorType string) string {
	text := "\tStatus: " + status
	if errorType != "" {
		text += "\tError Type: " + errorType
	}
	return text
}

// Fault is a timeout, or a process that has ended of itself, in the words of Lambda's log. The type is that of the Lambda
// Logs API.
type Fault string

// Type returns "platform.fault".
func (Fault) Type() string { return "platform.fault" }

// Text returns the line or lines.
func (r Fault) Text() string { return string(r) }

// Line is a line that the function wrote to stdout or stderr, without its end. A line longer than 256 KB comes in parts.
type Line string

// Type returns "function".
func (Line) Type() string { return "function" }

// Text returns the line.
func (r Line) Text() string { return string(r) }

// MarshalJSON encodes a line that is a JSON object as that object, as Lambda does with the log format JSON, and any other
// as a string.
func (r Line) MarshalJSON() ([]byte, error) {
	if logformat.IsObject(string(r)) {
		return []byte(r), nil
	}
	return json.Marshal(string(r))
}

// milliseconds returns d in milliseconds with two decimals, as Lambda reports durations.
func milliseconds(d time.Duration) float64 {
	return math.Round(float64(d)/float64(time.Millisecond)*100) / 100
}
