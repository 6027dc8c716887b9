package trace

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// NewID returns a random segment ID: 16 hexadecimal digits.
func NewID() string { return randomHex(8) }

// NewTraceID returns a random trace ID for a trace that begins at a time: 1-8hex-24hex.
func NewTraceID(begin time.Time) string { return fmt.Sprintf("1-%08x-%s", begin.Unix(), randomHex(12)) }

func randomHex(bytes int) string {
	id := make([]byte, bytes)
	_, _ = rand.Read(id) // never fails: crypto/rand
	return hex.EncodeToString(id)
}

// HeaderField returns a field of a header X-Amzn-Trace-Id, such as Root, Parent or Sampled, or "" if it is missing.
func HeaderField(header, name string) string {
	for field := range strings.SplitSeq(header, ";") {
		if key, value, _ := strings.Cut(strings.TrimSpace(field), "="); key == name {
			return value
		}
	}
	return ""
}
