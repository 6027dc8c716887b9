// Package trace has the documents that X-Ray is sent about requests, and puts traces together from them: [Parse] and
// [Validate] for a document, [Assemble] for what many say together, [Trace.Summary] and [NewMap] for what an operator asks
// first.
package trace

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"time"
)

// MaxSize is how large a document may be, in bytes ("AWS X-Ray segment documents": 64 kB).
const MaxSize = 64 << 10

// Document is a segment, or a subsegment that is sent by itself or is embedded in another ("AWS X-Ray segment documents").
// Times are in seconds since 1970.
type Document struct {
	Name         string                     `json:"name"`
	ID           string                     `json:"id"`                  // 16 hex digits
	TraceID      string                     `json:"trace_id,omitempty"`  // 1-8hex-24hex
	ParentID     string                     `json:"parent_id,omitempty"` // of the caller's subsegment
	Type         string                     `json:"type,omitempty"`      // "subsegment" where it is sent by itself
	Namespace    string                     `json:"namespace,omitempty"` // "aws" or "remote"
	StartTime    float64                    `json:"start_time"`
	EndTime      float64                    `json:"end_time,omitempty"`
	InProgress   bool                       `json:"in_progress,omitempty"`
	Origin       string                     `json:"origin,omitempty"` // such as AWS::Lambda::Function
	ResourceARN  string                     `json:"resource_arn,omitempty"`
	User         string                     `json:"user,omitempty"`
	Error        bool                       `json:"error,omitempty"`    // the caller's fault: a 4xx
	Throttle     bool                       `json:"throttle,omitempty"` // a 429
	Fault        bool                       `json:"fault,omitempty"`    // the service's: a 5xx
	Inferred     bool                       `json:"inferred,omitempty"` // made by X-Ray itself, of a subsegment
	HTTP         *HTTP                      `json:"http,omitempty"`
	AWS          map[string]any             `json:"aws,omitempty"`
	SQL          map[string]any             `json:"sql,omitempty"`
	Service      map[string]any             `json:"service,omitempty"`
	Annotations  map[string]any             `json:"annotations,omitempty"` // strings, numbers and booleans
	Metadata     map[string]json.RawMessage `json:"metadata,omitempty"`
	Cause        *Cause                     `json:"cause,omitempty"`
	PrecursorIDs []string                   `json:"precursor_ids,omitempty"`
	Subsegments  []Document                 `json:"subsegments,omitempty"`
}

// HTTP tells of an HTTP request and its answer.
type HTTP struct {
	Request  *HTTPRequest  `json:"request,omitempty"`
	Response *HTTPResponse `json:"response,omitempty"`
}

// HTTPRequest is the http.request block.
type HTTPRequest struct {
	Method        string `json:"method,omitempty"`
	URL           string `json:"url,omitempty"`
	UserAgent     string `json:"user_agent,omitempty"`
	ClientIP      string `json:"client_ip,omitempty"`
	XForwardedFor bool   `json:"x_forwarded_for,omitempty"` // of segments
	Traced        bool   `json:"traced,omitempty"`          // of subsegments
}

// HTTPResponse is the http.response block.
type HTTPResponse struct {
	Status        int `json:"status,omitempty"`
	ContentLength int `json:"content_length,omitempty"` // in bytes, -1 where it is not known
}

// Cause is why a segment failed: the id of another one's exception, or exceptions of its own.
type Cause struct {
	ExceptionID      string      `json:"-"` // 16 characters; the other fields are empty then
	WorkingDirectory string      `json:"working_directory,omitempty"`
	Paths            []string    `json:"paths,omitempty"`
	Exceptions       []Exception `json:"exceptions,omitempty"`
}

// MarshalJSON encodes the cause as X-Ray has it: an id alone is a string.
func (c *Cause) MarshalJSON() ([]byte, error) {
	if c.ExceptionID != "" {
		return json.Marshal(c.ExceptionID)
	}
	type object Cause
	return json.Marshal((*object)(c))
}

// UnmarshalJSON takes both forms.
func (c *Cause) UnmarshalJSON(data []byte) error {
	*c = Cause{}
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, &c.ExceptionID)
	}
	type object Cause
	return json.Unmarshal(data, (*object)(c))
}

// Exception is one error of a [Cause].
type Exception struct {
	ID        string  `json:"id"` // 16 hex digits
	Type      string  `json:"type,omitempty"`
	Message   string  `json:"message,omitempty"`
	Remote    bool    `json:"remote,omitempty"`    // a downstream service returned it
	Truncated int     `json:"truncated,omitempty"` // stack frames left out
	Skipped   int     `json:"skipped,omitempty"`   // exceptions left out between this and its child
	Cause     string  `json:"cause,omitempty"`     // id of the exception that caused this one
	Stack     []Frame `json:"stack,omitempty"`
}

// Frame is one of the calls in an [Exception].
type Frame struct {
	Path  string `json:"path,omitempty"`
	Line  int    `json:"line,omitempty"`
	Label string `json:"label,omitempty"` // of the function or method
}

// Parse decodes one document, without the header that precedes it in UDP. It accepts more than X-Ray does (see [Validate]) and
// ignores unknown fields. Numbers in annotations and in the other maps are [json.Number], so that they keep all digits.
func Parse(data []byte) (Document, error) {
	var d Document
	err := json.Unmarshal(data, new(json.RawMessage)) // refuses trailing data, which a decoder does not look at
	if err == nil {
		decoder := json.NewDecoder(bytes.NewReader(data))
		decoder.UseNumber()
		err = decoder.Decode(&d)
	}
	if err != nil {
		return Document{}, fmt.Errorf("parse segment document: %w", err)
	}
	return d, nil
}

// Start returns when the work began, to the microsecond.
func (d *Document) Start() time.Time { return timeOf(d.StartTime) }

// End returns when the work ended, to the microsecond, and the zero time for what has not ended.
func (d *Document) End() time.Time {
	if d.EndTime == 0 {
		return time.Time{}
	}
	return timeOf(d.EndTime)
}

// Duration returns how long the work took, 0 for what has not ended or ended before it began.
func (d *Document) Duration() time.Duration {
	if d.EndTime == 0 {
		return 0
	}
	return max(0, d.End().Sub(d.Start()))
}

const subsegment = "subsegment"

// IsSubsegment tells a subsegment from a segment, for a document that is sent by itself and for a [Span].
func (d *Document) IsSubsegment() bool { return d.Type == subsegment }

// maxTime is the last time that a trace id can say, in seconds since 1970: 8 hex digits.
const maxTime = 0xffffffff

// timeOf turns seconds into a time. A float64 of this century is exact to a quarter of a microsecond. What is no time that
// X-Ray takes becomes the nearest that is, so that the sums of times and their JSON always work.
func timeOf(seconds float64) time.Time {
	whole, fraction := math.Modf(min(max(seconds, 0), maxTime))
	return time.Unix(int64(whole), int64(math.Round(fraction*1e6))*1000).UTC()
}

// Seconds returns t as documents have it, to the microsecond.
func Seconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }
