package trace_test

import (
	"regexp"
	"testing"
	"time"

	"github.com/userrequestapi/userdata/deploy/aws/trace"
)

func TestIDs(t *testing.T) {
	t.Parallel()
	if id := trace.NewID(); !regexp.MustCompile(`^[0-9a-f]{16}$`).MatchString(id) || id == trace.NewID() {
		t.Errorf("segment id %q, want 16 hexadecimal digits that differ each time", id)
	}
	at := time.Unix(0x5759e988, 0)
	if id := trace.NewTraceID(at); !regexp.MustCompile(`^1-5759e988-[0-9a-f]{24}$`).MatchString(id) || id == trace.NewTraceID(at) {
		t.Errorf("trace id %q, want the time and 24 hexadecimal digits that differ each time", id)
	}
}

func TestHeaderField(t *testing.T) {
	t.Parallel()
	const header = "Root=1-5759e988-bd862e3fe1be46a994272793; Parent=53995c3f42cd8ad8;Sampled=1;Self"
	for name, want := range map[string]string{
		"Root": "1-5759e988-bd862e3fe1be46a994272793", "Parent": "53995c3f42cd8ad8", "Sampled": "1", "Self": "", "Lineage": "", "root": "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := trace.HeaderField(header, name); got != want {
				t.Errorf("%s = %q, want %q", name, got, want)
			}
		})
	}
}
