package users

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"net"
	"os"
	"strings"
	"time"
)

// span is a subsegment for X-Ray. With the X-Ray SDK, the executables would be almost twice as large, and many tests
// link and compress them.
type span struct {
	ID          string         `json:"id"`
	Name        string         `json:"name"`
	TraceID     string         `json:"trace_id,omitempty"`
	ParentID    string         `json:"parent_id,omitempty"`
	Type        string         `json:"type,omitempty"`
	Start       float64        `json:"start_time"`
	End         float64        `json:"end_time"`
	Error       bool           `json:"error,omitempty"`
	Fault       bool           `json:"fault,omitempty"`
	Namespace   string         `json:"namespace,omitempty"`
	Annotations map[string]any `json:"annotations,omitempty"`
	AWS         map[string]any `json:"aws,omitempty"`
	Subsegments []*span        `json:"subsegments,omitempty"`
}

type spanKey struct{}

// begin begins a subsegment of the span in ctx, or of the function's segment. A request has no concurrent ones.
func begin(ctx context.Context, name string) (context.Context, *span) {
	s := &span{ID: newID(), Name: name, Start: now()}
	if parent, ok := ctx.Value(spanKey{}).(*span); ok {
		parent.Subsegments = append(parent.Subsegments, s)
	} else {
		s.Type = "subsegment"
	}
	return context.WithValue(ctx, spanKey{}, s), s
}

// send ends a subsegment of the function's segment and sends it to the daemon, if the trace is sampled.
func (s *span) send(ctx context.Context) {
	s.End = now()
	header, _ := ctx.Value("x-amzn-trace-id").(string) // set by aws-lambda-go
	fields := map[string]string{}
	for field := range strings.SplitSeq(header, ";") {
		key, value, _ := strings.Cut(field, "=")
		fields[key] = value
	}
	if s.TraceID, s.ParentID = fields["Root"], fields["Parent"]; fields["Sampled"] != "1" {
		return
	}
	document, _ := json.Marshal(s) // fails for no string or number
	daemon, err := net.Dial("udp", cmp.Or(os.Getenv("AWS_XRAY_DAEMON_ADDRESS"), "127.0.0.1:2000"))
	if err != nil {
		return
	}
	defer func() { _ = daemon.Close() }()
	_, _ = daemon.Write(append([]byte(`{"format": "json", "version": 1}`+"\n"), document...)) // there may be no daemon
}

func newID() string {
	id := make([]byte, 8)
	_, _ = rand.Read(id)
	return hex.EncodeToString(id)
}

func now() float64 { return float64(time.Now().UnixNano()) / float64(time.Second) }
