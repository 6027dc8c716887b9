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

// timeFormat is the time layout of Lambda's logs.
const timeFormat = "2006-01-02T15:04:05.000Z"

// Event is an entry of a function's log.
type Event struct {
	Time      time.Time
	Function  string // function name
	LogStream string // of the execution environment
	PID       int    // of its process; 0 in the function's own lines and before the process starts
	RequestID string // of the invocation; "" if the event belongs to none
	TraceID   string // of the invocation's X-Ray trace; "" if it has none
	Record    Record
}

// Record is the content of an [Event]: [InitStart], [InitReport], [InvocationStart], [InvocationEnd], [Report], [Fault]
// or [Line].
type Record interface {
	// Type is the event type of the Telemetry API, such as "platform.start" or "function".
	Type() string
	// Text is the entry in the log format Text. It may have several lines.
	Text() string
}

// Type returns the event type, such as "platform.start", "platform.report" or "function".
func (e Event) Type() string { return e.Record.Type() }

// Text returns the event as CloudWatch Logs stores it in the log format Text.
func (e Event) Text() string { return e.Record.Text() }

// MarshalJSON encodes the event as in Lambda's JSON logs and in the Telemetry API: time, type and record.
func (e Event) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Time   string `json:"time"`
		Type   string `json:"type"`
		Record Record `json:"record"`
	}{e.Time.UTC().Format(timeFormat), e.Type(), e.Record})
}

// InitStart is logged at the start of the init phase.
type InitStart struct {
	InitializationType string `json:"initializationType"` // "on-demand"
	Phase              string `json:"phase"`              // "init"
	RuntimeVersion     string `json:"runtimeVersion"`
}

// Type returns "platform.initStart".
func (InitStart) Type() string { return "platform.initStart" }

// Text returns the INIT_START line.
func (r InitStart) Text() string { return "INIT_START Runtime Version: " + r.RuntimeVersion }

// InitReport is logged when an init fails. Lambda logs none for an init that succeeds: [Report] has its duration.
type InitReport struct {
	InitializationType string            `json:"initializationType"` // "on-demand"
	Phase              string            `json:"phase"`              // "init"; "invoke" for a retry within the invocation
	Status             string            `json:"status"`             // "error" or "timeout"
	ErrorType          string            `json:"errorType,omitempty"`
	Metrics            InitReportMetrics `json:"metrics"`
}

// InitReportMetrics are the metrics of an [InitReport].
type InitReportMetrics struct {
	DurationMs float64 `json:"durationMs"`
}

// Type returns "platform.initReport".
func (InitReport) Type() string { return "platform.initReport" }

// Text returns the INIT_REPORT line.
func (r InitReport) Text() string {
	return fmt.Sprintf("INIT_REPORT Init Duration: %.2f ms\tPhase: %s", r.Metrics.DurationMs, r.Phase) +
		formatStatus(r.Status, r.ErrorType)
}

// InvocationStart is logged at the start of an invocation.
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

// InvocationEnd is logged at the end of an invocation. Its type is from the Lambda Logs API, not the Telemetry API.
type InvocationEnd struct {
	RequestID string `json:"requestId"`
}

// Type returns "platform.end".
func (InvocationEnd) Type() string { return "platform.end" }

// Text returns the END line.
func (r InvocationEnd) Text() string { return "END RequestId: " + r.RequestID }

// Report is logged after [InvocationEnd], with the status and the metrics of the invocation.
type Report struct {
	RequestID string        `json:"requestId"`
	Status    string        `json:"status"` // "success", "error" or "timeout"
	ErrorType string        `json:"errorType,omitempty"`
	Metrics   ReportMetrics `json:"metrics"`
	Tracing   *Tracing      `json:"tracing,omitempty"`
}

// ReportMetrics are the metrics of a [Report].
type ReportMetrics struct {
	DurationMs       float64 `json:"durationMs"`
	BilledDurationMs int64   `json:"billedDurationMs"` // includes the init; rounded up
	MemorySizeMB     int     `json:"memorySizeMB"`
	MaxMemoryUsedMB  int     `json:"maxMemoryUsedMB,omitempty"` // peak resident memory, rounded up; 0 if unknown
	InitDurationMs   float64 `json:"initDurationMs,omitempty"`  // 0 except for the environment's first invocation
}

// Tracing identifies the X-Ray trace of an invocation.
type Tracing struct {
	SpanID string `json:"spanId,omitempty"` // of the AWS::Lambda::Function segment
	Type   string `json:"type"`             // "X-Amzn-Trace-Id"
	Value  string `json:"value"`            // the invocation's trace header
}

// Type returns "platform.report".
func (Report) Type() string { return "platform.report" }

// Text returns the REPORT line, followed by the XRAY line if Tracing is set.
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
		b.WriteString(formatStatus(r.Status, r.ErrorType))
	}
	if r.Tracing != nil {
		fmt.Fprintf(&b, "\nXRAY TraceId: %s\tSegmentId: %s\tSampled: true",
			trace.HeaderField(r.Tracing.Value, "Root"), r.Tracing.SpanID)
	}
	return b.String()
}

// formatStatus returns the fields of INIT_REPORT and REPORT about a failure.
func formatStatus(status, errorType string) string {
	fields := "\tStatus: " + status
	if errorType != "" {
		fields += "\tError Type: " + errorType
	}
	return fields
}

// Fault is the message that Lambda logs for a timeout or an unexpected exit of the process. Its type is from the Lambda
// Logs API.
type Fault string

// Type returns "platform.fault".
func (Fault) Type() string { return "platform.fault" }

// Text returns the message, which may have several lines.
func (r Fault) Text() string { return string(r) }

// Line is a line that the function wrote to stdout or stderr, without its newline. A line longer than 256 KB is split.
type Line string

// Type returns "function".
func (Line) Type() string { return "function" }

// Text returns the line.
func (r Line) Text() string { return string(r) }

// MarshalJSON encodes a line that is a JSON object as that object, as Lambda does in the log format JSON. It encodes
// any other line as a string.
func (r Line) MarshalJSON() ([]byte, error) {
	if logformat.IsObject(string(r)) {
		return []byte(r), nil
	}
	return json.Marshal(string(r))
}

// milliseconds returns d in milliseconds, rounded to two decimals as in Lambda's reports.
func milliseconds(d time.Duration) float64 {
	return math.Round(float64(d)/float64(time.Millisecond)*100) / 100
}
